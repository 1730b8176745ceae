// Package client speaks to a control plane's HTTP API, ours or Kuma's, and keeps the file with the known control planes.
//
// In come kinds, names and documents; out go the server's own JSON, whole lists however many pages they have, and errors that say
// what to do next.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/kumactl/kumactl/internal/problem"
)

const (
	// maxAnswer is the most that one answer may hold, in bytes.
	maxAnswer = 256 << 20
	// readTries is how often a read is tried when the connection breaks or a proxy in between has a bad moment.
	readTries = 3
	// versionHeader is where our server says its version, so that no question of its own is needed.
	versionHeader = "Kumactl-Version"
)

// Options say which control plane to talk to, and as whom.
type Options struct {
	Plane ControlPlane
	// Timeout of one call with all of its answer; 0 means none.
	Timeout time.Duration
	// Version is this program's, for the User-Agent and for telling a server of another version.
	Version string
	// Warn is told, at most once, that the server is of another version. May be nil.
	Warn func(string)
	// Log gets each call at level debug.
	Log *slog.Logger
}

// Client talks to one control plane. It may be used by several goroutines.
type Client struct {
	o    Options
	base *url.URL
	http *http.Client
	warn sync.Once
}

// New prepares a client; nothing is sent yet. Errors are about the address, the certificates or the authentication.
func New(o Options) (*Client, error) {
	base, err := baseURL(o.Plane)
	if err != nil {
		return nil, err
	}
	if t := o.Plane.Coordinates.APIServer.AuthType; t != "" && t != AuthTokens {
		return nil, problem.New(problem.Invalid, "authentication of type %q is not known", t).WithHint("--auth-type %s --auth-conf token=…", AuthTokens)
	}
	tlsConfig, err := tlsOf(o.Plane.Coordinates.APIServer)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSClientConfig:     tlsConfig,
		TLSHandshakeTimeout: 10 * time.Second,
		IdleConnTimeout:     30 * time.Second,
		Protocols:           new(http.Protocols),
	}
	// One request after the other gains nothing from HTTP/2, and setting it up costs every command.
	transport.Protocols.SetHTTP1(true)
	// A redirect is an answer for a person, not an address to carry tokens to.
	noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{o: o, base: base, http: &http.Client{Transport: transport, CheckRedirect: noRedirect}}, nil
}

// URL is the address that the client talks to.
func (c *Client) URL() string { return c.base.String() }

// Close lets go of idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func baseURL(plane ControlPlane) (*url.URL, error) {
	base, err := url.Parse(plane.Coordinates.APIServer.URL)
	if err == nil && (base.Scheme == "http" || base.Scheme == "https") && base.Host != "" {
		base.Path = strings.TrimSuffix(base.Path, "/")
		return base, nil
	}
	return nil, problem.New(problem.Invalid, "address %q of control plane %q is no URL with http:// or https://", plane.Coordinates.APIServer.URL, plane.Name).
		WithHint("kumactl config control-planes add --overwrite --name %s --address %s", plane.Name, LocalURL)
}

func tlsOf(e Endpoint) (*tls.Config, error) {
	// SkipVerify is the user's own word in the contexts file.
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: e.SkipVerify}
	if e.CACertFile != "" {
		pem, err := os.ReadFile(e.CACertFile)
		if err != nil {
			return nil, problem.New(problem.Invalid, "certificate of the control plane's authority: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, problem.New(problem.Invalid, "certificate of the control plane's authority: no certificate in %s", e.CACertFile)
		}
	}
	if e.ClientCertFile == "" && e.ClientKeyFile == "" {
		return config, nil
	}
	pair, err := tls.LoadX509KeyPair(e.ClientCertFile, e.ClientKeyFile)
	if err != nil {
		return nil, problem.New(problem.Invalid, "client certificate: %w", err)
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}

// call is one request.
type call struct {
	method string
	path   string
	query  url.Values
	body   []byte
	header http.Header
}

// answer is what came back, whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request and reads the answer. The error is about not getting an answer; a status that is no success is not an error here.
// Reads are tried again when the connection breaks; writes never are.
func (c *Client) do(ctx context.Context, q call) (*answer, error) {
	if c.o.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.o.Timeout)
		defer cancel()
	}
	if q.method != http.MethodGet {
		return c.once(ctx, q)
	}
	var last *answer
	got, err := backoff.Retry(ctx, func() (*answer, error) {
		a, err := c.once(ctx, q)
		switch {
		case err != nil && !broken(err):
			return nil, backoff.Permanent(err)
		case err == nil && busy(a.status):
			last = a
			return nil, errBusy
		}
		return a, err
	}, backoff.WithMaxTries(readTries), backoff.WithBackOff(&backoff.ExponentialBackOff{
		InitialInterval: 100 * time.Millisecond, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: time.Second,
	}))
	if err != nil && last != nil && errors.Is(err, errBusy) {
		return last, nil
	}
	return got, err
}

var errBusy = errors.New("the server has no time")

// broken says whether a connection ended under a request, as it does when a server restarts.
func broken(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || isReset(err)
}

func busy(status int) bool {
	return status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests
}

func (c *Client) once(ctx context.Context, q call) (*answer, error) {
	started := time.Now()
	resp, err := c.send(ctx, q)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	if len(body) > maxAnswer {
		return nil, problem.New(problem.TooLarge, "answer of %s is over %d MiB", c.URL(), maxAnswer>>20)
	}
	if c.o.Log != nil {
		c.o.Log.Debug("call", "method", q.method, "path", q.path, "query", q.query.Encode(), "status", resp.StatusCode,
			"bytes", len(body), "took", time.Since(started).Round(time.Microsecond))
	}
	c.compareVersions(resp.Header.Get(versionHeader))
	return &answer{resp.StatusCode, resp.Header, body}, nil
}

func (c *Client) send(ctx context.Context, q call) (*http.Response, error) {
	target := c.base.JoinPath(q.path)
	target.RawQuery = q.query.Encode()
	req, err := http.NewRequestWithContext(ctx, q.method, target.String(), bytes.NewReader(q.body))
	if err != nil {
		return nil, err
	}
	for key, values := range q.header {
		req.Header[key] = values
	}
	req.Header.Set("Accept", "application/json, */*;q=0.1")
	req.Header.Set("User-Agent", fmt.Sprintf("kumactl/%s (%s; %s)", c.o.Version, runtime.GOOS, runtime.GOARCH))
	if q.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	server := c.o.Plane.Coordinates.APIServer
	for _, h := range server.Headers {
		req.Header.Add(h.Key, h.Value)
		if strings.EqualFold(h.Key, "Host") {
			req.Host = h.Value
		}
	}
	if token := server.AuthConf["token"]; server.AuthType == AuthTokens && token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return c.http.Do(req)
}

// compareVersions warns once when our server is of another minor version. Kuma's server does not say its version here.
func (c *Client) compareVersions(server string) {
	if server == "" || c.o.Warn == nil || minor(server) == minor(c.o.Version) {
		return
	}
	c.warn.Do(func() {
		c.o.Warn(fmt.Sprintf("this kumactl is version %s and the control plane at %s is %s", c.o.Version, c.URL(), server))
	})
}

// minor cuts a version down to its first two numbers.
func minor(version string) string {
	parts := strings.SplitN(strings.TrimPrefix(version, "v"), ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}

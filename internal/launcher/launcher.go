// Package launcher is the data plane as one value: it registers a proxy with a control plane, brings up a real Envoy with the
// bootstrap that it gets, answers for its readiness, and takes it down without cutting connections.
//
// In come a Config (flags and environment are the command's business) and a context whose end means "stop"; out come a running
// Envoy that never outlives us, messages on a log, and one error at the end. It keeps to the peer's wire contract, so that it
// works against our control plane and the peer's. Access logs over a named pipe, the metrics proxy, the embedded resolver and
// the application probe proxy are not part of it, and it does not claim them among its features.
package launcher

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/kumactl/kumactl/internal/problem"
)

// The values of Config.XDSVariant.
const (
	variantSotW  = "GRPC"
	variantDelta = "DELTA_GRPC"
)

// Launcher runs one data plane, once.
type Launcher struct {
	cfg      Config
	proxy    proxy
	endpoint *url.URL
	client   *http.Client
	log      *slog.Logger
	// authority is the PEM text that verifies the control plane; nil: the system's.
	authority []byte
	// token is empty where none is needed; tokenFile is the absolute path when it came from a file.
	token, tokenFile string

	stop     chan struct{}
	stopOnce sync.Once
}

// New settles a configuration: reads the files that it names and refuses what cannot work, before anything runs.
func New(cfg Config) (*Launcher, error) {
	if err := unsupported(); err != nil {
		return nil, err
	}
	// Zero values of a Config that was not made from Default are made harmless here.
	l := &Launcher{cfg: cfg, log: cfg.Log, stop: make(chan struct{})}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if l.cfg.EnvoyLogLevel == "" {
		l.cfg.EnvoyLogLevel = Default().EnvoyLogLevel
	}
	if l.cfg.Stdout == nil {
		l.cfg.Stdout = io.Discard
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	var err error
	if l.proxy, err = cfg.proxy(); err != nil {
		return nil, err
	}
	if l.endpoint, err = parseEndpoint(cfg.ControlPlane); err != nil {
		return nil, err
	}
	if err = l.readToken(); err != nil {
		return nil, err
	}
	return l, l.trust()
}

// check holds the rules for single values.
func (c Config) check() error {
	var wrong problem.Violations
	if c.ReadinessPort < NoPort || c.ReadinessPort > 65535 {
		wrong.Add("readiness port", "%d is not a port", c.ReadinessPort)
	}
	if c.DrainTime < 0 {
		wrong.Add("drain time", "%s is negative", c.DrainTime)
	}
	if c.RetryBackoff <= 0 || c.RetryMaxDuration <= 0 {
		wrong.Add("retry", "backoff and maximum must be longer than nothing")
	}
	switch c.XDSVariant {
	case "", variantSotW, variantDelta:
	default:
		wrong.Add("xds transport protocol variant", "%q is neither %s nor %s", c.XDSVariant, variantSotW, variantDelta)
	}
	switch c.EnvoyLogLevel {
	case "", "trace", "debug", "info", "warning", "warn", "error", "critical", "off":
	default:
		wrong.Add("envoy log level", "%q is none of trace, debug, info, warning, error, critical, off", c.EnvoyLogLevel)
	}
	if len(wrong) > 0 {
		return &problem.Error{Code: problem.Invalid, Title: "data plane", Violations: wrong}
	}
	return nil
}

// parseEndpoint takes https only: the token travels in the request.
func parseEndpoint(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, problem.New(problem.Invalid, "control plane address %q is not of the form https://HOST:PORT", address).
			WithHint("for example --cp-address https://localhost:5678")
	}
	return u, nil
}

// readToken takes the token from where it is and sees that it could be one; whether it is right, the control plane decides.
func (l *Launcher) readToken() error {
	l.token = strings.TrimSpace(l.cfg.Token)
	if l.token == "" && l.cfg.TokenPath != "" {
		path, err := filepath.Abs(l.cfg.TokenPath)
		if err != nil {
			return problem.New(problem.Invalid, "token: %w", err)
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return problem.New(problem.Invalid, "token: %w", err)
		}
		if l.token = strings.TrimSpace(string(raw)); l.token == "" {
			return problem.New(problem.Invalid, "token: %s is empty", path)
		}
		l.tokenFile = path
	}
	if l.token != "" && (strings.Count(l.token, ".") != 2 || strings.ContainsAny(l.token, " \t\r\n")) {
		return problem.New(problem.Invalid, "token: it is not three parts with dots between, on one line, as a JWT is").
			WithHint("kumactl generate dataplane-token --name %s", l.proxy.name)
	}
	return nil
}

// trust prepares the client for the bootstrap request. Verification is always on, unless it was switched off by name.
func (l *Launcher) trust() error {
	l.authority = []byte(l.cfg.CACert)
	name := "the given CA certificate"
	if len(l.authority) == 0 && l.cfg.CACertFile != "" {
		raw, err := os.ReadFile(l.cfg.CACertFile)
		if err != nil {
			return problem.New(problem.Invalid, "CA certificate of the control plane: %w", err).
				WithHint("a control plane that makes its own leaves it in its data directory")
		}
		l.authority, name = raw, l.cfg.CACertFile
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: l.cfg.TLSSkipVerify}
	if len(l.authority) > 0 {
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(l.authority) {
			return problem.New(problem.Invalid, "%s holds no certificate in PEM form", name)
		}
	}
	l.client = &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{TLSClientConfig: conf, MaxIdleConns: 1, TLSHandshakeTimeout: 10 * time.Second},
		// No proxy from the environment, as Envoy has none either; no redirects, as they would carry the token elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return nil
}

// Stop ends a drain that is under way, and makes a later one short: what a second Ctrl-C wants.
func (l *Launcher) Stop() { l.stopOnce.Do(func() { close(l.stop) }) }

// Run brings the data plane up and keeps it until ctx ends, then drains it; that end is no error. It returns an error when the
// control plane gives no bootstrap, or when Envoy ends by itself. Nothing of it is left when it returns.
func (l *Launcher) Run(ctx context.Context) error {
	err := l.run(ctx)
	if ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))) {
		return nil
	}
	return err
}

// run brings up one part after the other and takes them down in reverse: Envoy, readiness, work directory.
func (l *Launcher) run(ctx context.Context) error {
	path, err := l.cfg.findEnvoy()
	if err != nil {
		return err
	}
	version, err := askVersion(ctx, path)
	if err != nil {
		return err
	}
	if l.cfg.DNSProxyPort != 0 {
		l.log.Warn("the embedded DNS resolver is not available; KUMA_DNS_PROXY_PORT has no effect", "port", l.cfg.DNSProxyPort)
	}
	dir, err := l.openWorkDir()
	if err != nil {
		return err
	}
	defer dir.release()
	var ready *readiness
	if l.cfg.ReadinessPort != NoPort {
		if ready, err = listenReadiness(l.cfg.ReadinessPort, defaultReadinessPort); err != nil {
			return err
		}
		stop := ready.serve() // from now on, so that whoever asks early hears NOT_READY and not a refusal
		defer stop()
	}
	bootstrap, err := l.fetchBootstrap(ctx, l.request(version, ready.port(), dir))
	if err != nil {
		return err
	}
	file := filepath.Join(dir.path, "bootstrap.yaml")
	if err := writePrivate(file, bootstrap); err != nil {
		return err
	}
	network, address, err := parseAdmin(bootstrap)
	if err != nil {
		return err
	}
	admin := newAdmin(network, address)
	defer admin.close()
	envoy, err := startEnvoy(path, l.cfg.envoyArgs(file, version), l.cfg.Stdout, &envoyLog{log: l.log})
	if err != nil {
		return err
	}
	defer envoy.stop(l.cfg.StopGrace)
	serving := &serving{launcher: l, envoy: envoy, admin: admin, ready: ready}
	serving.running = Running{
		Name: l.proxy.name, Mesh: l.proxy.mesh, PID: envoy.process.Pid, EnvoyVersion: version.version,
		Readiness: ready.address(), Admin: address, WorkDir: dir.path,
	}
	return serving.until(ctx)
}

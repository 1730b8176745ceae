package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/kumactl/kumactl/internal/problem"
)

// unreachable puts the reason why there was no answer into words, with what to do about it. The cause stays in the chain.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	at := c.URL()
	name := c.o.Plane.Name
	p := func(format string, args ...any) *problem.Error {
		e := problem.New(problem.Unavailable, format, args...)
		e.Cause = err
		return e
	}
	if failed := c.distrusted(err, p); failed != nil {
		return failed
	}
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED) || isRefused(err):
		return p("no control plane answers at %s: connection refused", at).WithHint("%s", c.howToStart())
	case errors.As(err, &dns) && dns.IsNotFound:
		return p("no host is named %s", c.base.Hostname()).
			WithHint("kumactl config control-planes add --overwrite --name %s --address URL gives control plane %q another address", name, name)
	case errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil || errors.As(err, &timeout) && timeout.Timeout():
		return p("control plane at %s did not answer within %s", at, c.o.Timeout).WithHint("--api-timeout 5m waits longer")
	case errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETUNREACH):
		return p("no way to %s: %w", c.base.Host, err).WithHint("kumactl config control-planes list shows the control planes that are known")
	case isReset(err):
		return p("control plane at %s ended the connection: %w", at, err).WithHint("try again: it may be restarting")
	}
	return p("control plane at %s: %w", at, err)
}

// distrusted explains what goes wrong between http and https, and with certificates; nil when it is something else.
func (c *Client) distrusted(err error, p func(string, ...any) *problem.Error) error {
	at, name := c.URL(), c.o.Plane.Name
	again := fmt.Sprintf("kumactl config control-planes add --overwrite --name %s --address %s", name, at)
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &authority):
		return p("certificate of %s is signed by an authority that this machine does not know", at).WithHint("%s --ca-cert-file ca.pem", again)
	case errors.As(err, &host):
		return p("certificate of %s is for another name: %w", at, err).WithHint("use one of its names in the address, or %s --skip-verify", again)
	case errors.As(err, &invalid):
		return p("certificate of %s is not valid: %w", at, err)
	case errors.As(err, &record) || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return p("%s does not speak TLS", at).
			WithHint("kumactl config control-planes add --overwrite --name %s --address http://%s", name, c.base.Host)
	}
	return nil
}

// howToStart is what to type when nothing listens at the address.
func (c *Client) howToStart() string {
	if isLoopback(c.base.Hostname()) {
		return "`kumactl run control-plane` starts one here; `kumactl config control-planes list` shows the others that are known"
	}
	return "kumactl config control-planes list shows the control planes that are known"
}

func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// isRefused knows the refusal of systems whose error numbers differ (Windows' WSAECONNREFUSED).
func isRefused(err error) bool {
	const wsaRefused = syscall.Errno(10061)
	return errors.Is(err, wsaRefused)
}

// refusalBody is the JSON of an error, in the peer's shape.
type refusalBody struct {
	Status     int    `json:"status"`
	Title      string `json:"title"`
	Detail     string `json:"detail"`
	Details    string `json:"details"`
	Hint       string `json:"hint"`
	Violations []struct {
		Field  string `json:"field"`
		Reason string `json:"reason"`
	} `json:"invalid_parameters"`
}

func (b refusalBody) problem(code problem.Code) *problem.Error {
	detail := b.Detail
	if detail == "" {
		detail = b.Details
	}
	p := &problem.Error{Code: code, Title: b.Title, Detail: strings.TrimSpace(detail), Hint: b.Hint}
	for _, v := range b.Violations {
		p.Violations = append(p.Violations, problem.Violation{Field: v.Field, Message: v.Reason})
	}
	return p
}

// refusal turns an answer that is no success into an error. A server that is no control plane, or one that does not know the path,
// is asked who it is.
func (c *Client) refusal(ctx context.Context, q call, a *answer) error {
	var body refusalBody
	if err := json.Unmarshal(a.body, &body); err != nil || body.Title == "" {
		return c.stranger(ctx, q, a)
	}
	p := body.problem(codeOf(a.status))
	if p.Hint == "" {
		p.Hint = c.hintFor(p.Code)
	}
	return p
}

func (c *Client) hintFor(code problem.Code) string {
	again := fmt.Sprintf("kumactl config control-planes add --overwrite --name %s --address %s --auth-type tokens --auth-conf token=", c.o.Plane.Name, c.URL())
	switch code {
	case problem.Unauthenticated, problem.Forbidden:
		if c.o.Plane.Coordinates.APIServer.AuthType == "" {
			return again + "TOKEN; the administrator's token is in the data directory of the control plane"
		}
		return "the token of control plane " + c.o.Plane.Name + " was refused; " + again + "ANOTHER"
	}
	return ""
}

// codeOf is the one place that maps HTTP status to what it means.
func codeOf(status int) problem.Code {
	switch status {
	case http.StatusNotFound:
		return problem.NotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return problem.Conflict
	case http.StatusUnauthorized:
		return problem.Unauthenticated
	case http.StatusForbidden:
		return problem.Forbidden
	case http.StatusMethodNotAllowed:
		return problem.NotAllowed
	case http.StatusRequestEntityTooLarge:
		return problem.TooLarge
	case http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusGatewayTimeout:
		return problem.Unavailable
	}
	if status >= 400 && status < 500 {
		return problem.Invalid
	}
	return problem.Internal
}

// stranger explains an answer without an error in our shape: another product, a proxy, or a control plane of another version.
func (c *Client) stranger(ctx context.Context, q call, a *answer) error {
	code := codeOf(a.status)
	if a.status == http.StatusUnauthorized || a.status == http.StatusForbidden {
		return problem.New(code, "%s answers %d to %s %s", c.URL(), a.status, q.method, q.path).WithHint("%s", c.hintFor(code))
	}
	if strings.Contains(string(a.body), "HTTP request to an HTTPS server") {
		return problem.New(problem.Unavailable, "%s speaks TLS", c.URL()).
			WithHint("kumactl config control-planes add --overwrite --name %s --address https://%s", c.o.Plane.Name, c.base.Host)
	}
	if q.path == indexPath {
		return c.noControlPlane()
	}
	index, err := c.Index(ctx)
	if err != nil {
		return err
	}
	p := problem.New(code, "%s at %s does not know %s %s (it answers %d)", index, c.URL(), q.method, q.path, a.status).
		WithHint("this kumactl is version %s; `kumactl version` shows both", c.o.Version)
	if a.status == http.StatusNotFound || a.status == http.StatusMethodNotAllowed {
		// Not the resource is missing, the server is another one: callers must not take it for NotFound.
		p.Code, p.Cause = problem.NotAllowed, errUnknownPath
	}
	return p
}

func (c *Client) noControlPlane() error {
	return problem.New(problem.Unavailable, "what answers at %s is no control plane", c.URL()).
		WithHint("kumactl config control-planes list shows the control planes that are known; the API's port is 5681, with TLS 5682")
}

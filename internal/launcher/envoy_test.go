package launcher_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kumactl/kumactl/internal/launcher"
)

// deadline bounds every wait for something that should happen at once.
const deadline = 60 * time.Second

// realEnvoy is the path of a real Envoy: ENVOY_PATH, else what the project's script finds or brings.
var realEnvoy = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("../../scripts/envoy.sh").Output()
	return strings.TrimSpace(string(out)), err
})

func envoyPath(t testing.TB) string {
	t.Helper()
	path, err := realEnvoy()
	if err != nil {
		t.Fatalf("scripts/envoy.sh: %v", err)
	}
	return path
}

// controlPlane is a bootstrap server with a certificate of its own.
type controlPlane struct {
	url, ca string
	// requests gets each body.
	requests chan map[string]any
}

func newControlPlane(t testing.TB, answer http.HandlerFunc) *controlPlane {
	t.Helper()
	cp := &controlPlane{requests: make(chan map[string]any, 64)}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		raw, _ := io.ReadAll(r.Body)
		if r.URL.Path != "/bootstrap" || r.Header.Get("Accept") != "application/json" || json.Unmarshal(raw, &body) != nil {
			http.Error(w, "not a bootstrap request", http.StatusTeapot)
			return
		}
		cp.requests <- body
		r.Body = io.NopCloser(bytes.NewReader(raw))
		answer(w, r)
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)
	cp.url = server.URL
	cp.ca = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	return cp
}

// serveEnvoy answers with a bootstrap whose one listener says "hello" on a port that the kernel chooses.
func serveEnvoy(w http.ResponseWriter, r *http.Request) {
	var req struct{ Workdir string }
	json.NewDecoder(r.Body).Decode(&req)
	serveBootstrap(w, fmt.Sprintf(helloBootstrap, filepath.Join(req.Workdir, "kuma-envoy-admin.sock")))
}

func serveBootstrap(w http.ResponseWriter, yaml string) {
	json.NewEncoder(w).Encode(map[string]any{"bootstrap": []byte(yaml)})
}

const helloBootstrap = `
admin:
  address:
    pipe: {path: %q, mode: 384}
staticResources:
  listeners:
  - name: hello
    address: {socketAddress: {address: 127.0.0.1, portValue: 0}}
    filterChains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typedConfig:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          statPrefix: hello
          routeConfig:
            virtualHosts:
            - name: all
              domains: ["*"]
              routes: [{match: {prefix: /}, directResponse: {status: 200, body: {inlineString: hello}}}]
          httpFilters:
          - name: envoy.filters.http.router
            typedConfig: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
`

const webResource = `
type: Dataplane
name: {{ name }}
networking:
  address: 127.0.0.1
  inbound: [{port: 18080, servicePort: 8080, tags: {kuma.io/service: web}}]
`

func testConfig(t testing.TB, cp *controlPlane) launcher.Config {
	cfg := launcher.Default()
	cfg.ControlPlane, cfg.CACert = cp.url, cp.ca
	cfg.BinaryPath = envoyPath(t)
	cfg.Concurrency = 1
	cfg.ReadinessPort = launcher.AnyPort
	cfg.RetryBackoff, cfg.RetryMaxDuration = 10*time.Millisecond, deadline
	cfg.Resource, cfg.ResourceVars = webResource, map[string]string{"name": "web-1"}
	return cfg
}

// run is a data plane under test.
type run struct {
	*launcher.Launcher
	launcher.Running
	cancel context.CancelFunc
	ended  chan error
	log    *lines
}

// start runs a data plane until it serves.
func start(t *testing.T, cfg launcher.Config) *run {
	t.Helper()
	ready := make(chan launcher.Running, 1)
	cfg.OnReady = func(r launcher.Running) { ready <- r }
	r := &run{ended: make(chan error, 1), log: newLines()}
	cfg.Log = slog.New(slog.NewTextHandler(r.log, nil))
	var err error
	if r.Launcher, err = launcher.New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r.cancel = cancel
	over := make(chan struct{})
	go func() {
		defer close(over)
		r.ended <- r.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		r.Stop()
		<-over
	})
	select {
	case r.Running = <-ready:
	case err := <-r.ended:
		t.Fatalf("ended before it was ready: %v", err)
	case <-time.After(deadline):
		t.Fatalf("not ready:\n%s", r.log)
	}
	return r
}

// end waits for Run to return.
func (r *run) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(deadline):
		t.Fatalf("did not end:\n%s", r.log)
		return nil
	}
}

// listener asks Envoy where its one listener is.
func (r *run) listener(t *testing.T) string {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", r.Admin)
	}}}
	resp, err := client.Get("http://envoy/listeners")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	_, address, ok := strings.Cut(strings.TrimSpace(string(body)), "hello::")
	if !ok {
		t.Fatalf("listeners: %s", body)
	}
	return address
}

// get gives status and body.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, strings.TrimSpace(string(body))
}

// held is a client's connection that stays open between requests.
type held struct {
	net.Conn
	in *bufio.Reader
}

func hold(t *testing.T, address string) *held {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	h := &held{Conn: conn, in: bufio.NewReader(conn)}
	if resp := h.get(t); resp.Close {
		t.Fatal("Envoy closes a connection before it drains")
	}
	return h
}

func (h *held) get(t *testing.T) *http.Response {
	t.Helper()
	fmt.Fprint(h, "GET / HTTP/1.1\r\nHost: hello\r\n\r\n")
	resp, err := http.ReadResponse(h.in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 || string(body) != "hello" {
		t.Fatalf("answer %d %q", resp.StatusCode, body)
	}
	return resp
}

// lines keeps a log and lets a test wait for a line.
type lines struct {
	mu      sync.Mutex
	text    strings.Builder
	changed chan struct{}
}

func newLines() *lines { return &lines{changed: make(chan struct{})} }

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lines) await(t *testing.T, part string) {
	t.Helper()
	timeout := time.After(deadline)
	for {
		l.mu.Lock()
		found, changed := strings.Contains(l.text.String(), part), l.changed
		l.mu.Unlock()
		if found {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("no %q in:\n%s", part, l)
		}
	}
}

// TestMain lets this program also be the helper processes that some tests kill.
func TestMain(m *testing.M) {
	if help := os.Getenv("LAUNCHER_TEST_HELPER"); help != "" {
		os.Exit(helper(help))
	}
	os.Exit(m.Run())
}

package launcher_test

import (
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/launcher"
	"github.com/kumactl/kumactl/internal/problem"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestServesAndEndsAtOnceWhenNobodyIsConnected(t *testing.T) {
	t.Parallel()
	cp := newControlPlane(t, serveEnvoy)
	r := start(t, testConfig(t, cp))

	if status, body := get(t, "http://"+r.Readiness+"/ready"); status != 200 || body != "LIVE" {
		t.Errorf("/ready: %d %q", status, body)
	}
	if status, _ := get(t, "http://"+r.Readiness+"/other"); status != 404 {
		t.Errorf("/other: %d", status)
	}
	for _, secret := range []string{r.WorkDir, filepath.Join(r.WorkDir, "bootstrap.yaml")} {
		if info, err := os.Stat(secret); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v %v", secret, info.Mode(), err)
		}
	}
	if strings.Contains(r.log.String(), "level=WARN") {
		t.Errorf("a healthy start warns:\n%s", r.log)
	}

	began := time.Now()
	r.cancel()
	if err := r.end(t); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %s to end though nobody was connected", took)
	}
	if err := syscall.Kill(r.PID, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("Envoy is still there: %v", err)
	}
	if _, err := os.Stat(r.WorkDir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("work directory is still there: %v", err)
	}
	if strings.Contains(r.log.String(), "level=WARN") {
		t.Errorf("a healthy end warns:\n%s", r.log)
	}
}

func TestDrainLetsConnectionsEnd(t *testing.T) {
	t.Parallel()
	r := start(t, testConfig(t, newControlPlane(t, serveEnvoy)))
	client := hold(t, r.listener(t))

	r.cancel()
	r.log.await(t, "data plane drains")
	if status, body := get(t, "http://"+r.Readiness+"/ready"); status != 503 || body != "TERMINATING" {
		t.Errorf("/ready while it drains: %d %q", status, body)
	}
	if status, body := get(t, "http://"+r.listener(t)); status != 200 || body != "hello" {
		t.Errorf("a new connection while it drains: %d %q", status, body)
	}
	if !client.get(t).Close {
		t.Error("Envoy does not ask the client to go")
	}
	client.Close()
	began := time.Now()
	if err := r.end(t); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("took %s to end after the last connection, of a drain time of 30s", took)
	}
}

func TestStopEndsTheDrain(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, newControlPlane(t, serveEnvoy))
	cfg.DrainTime = time.Hour
	r := start(t, cfg)
	hold(t, r.listener(t))
	r.cancel()
	r.log.await(t, "data plane drains")
	select {
	case err := <-r.ended:
		t.Fatalf("ended with a client connected: %v", err)
	default:
	}
	r.Stop()
	if err := r.end(t); err != nil {
		t.Fatal(err)
	}
}

func TestDrainTimeIsTheLongest(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, newControlPlane(t, serveEnvoy))
	cfg.DrainTime = 50 * time.Millisecond
	r := start(t, cfg)
	hold(t, r.listener(t))
	r.cancel()
	if err := r.end(t); err != nil {
		t.Fatal(err)
	}
}

func TestEnvoyThatEndsByItselfIsAnError(t *testing.T) {
	t.Parallel()
	r := start(t, testConfig(t, newControlPlane(t, serveEnvoy)))
	if err := syscall.Kill(r.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	err := r.end(t)
	if err == nil || !strings.Contains(err.Error(), "envoy was ended by a signal: killed") {
		t.Errorf("error: %v", err)
	}
}

func TestEnvoyThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	cp := newControlPlane(t, func(w http.ResponseWriter, _ *http.Request) {
		serveBootstrap(w, "admin: {address: {pipe: {path: /nonexistent/admin.sock}}}\nnoSuchField: 1\n")
	})
	l, err := launcher.New(testConfig(t, cp))
	if err != nil {
		t.Fatal(err)
	}
	err = l.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "exited with code 1") || !strings.Contains(err.Error(), "noSuchField") {
		t.Errorf("error: %v", err)
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	cp := newControlPlane(t, serveEnvoy)
	cfg := testConfig(t, cp)
	cfg.Token = "e30.e30.sig\n"
	cfg.XDSVariant = "DELTA_GRPC"
	cfg.DynamicMetadata = map[string]string{"HOST_IP": "10.0.0.1"}
	cfg.Build = launcher.Build{Version: "0.1.0", GitTag: "v0.1.0", GitCommit: "abc"}
	r := start(t, cfg)
	got := <-cp.requests

	if token, err := os.ReadFile(got["dataplaneTokenPath"].(string)); err != nil || string(token) != "e30.e30.sig" {
		t.Errorf("token file: %q %v", token, err)
	}
	if want := "127.0.0.1:" + jsonText(got["readinessPort"]); r.Readiness != want {
		t.Errorf("readiness on %s, and the control plane was told %s", r.Readiness, want)
	}
	if got["workdir"] != r.WorkDir || got["caCert"] != cp.ca {
		t.Errorf("workdir %v, caCert %v", got["workdir"], got["caCert"])
	}
	for _, varies := range []string{"dataplaneTokenPath", "readinessPort", "workdir", "caCert", "systemCaPath", "ipv6Enabled", "operatingSystem"} {
		if _, ok := got[varies]; !ok {
			t.Errorf("%s is missing", varies)
		}
		got[varies] = "(varies)"
	}
	got["version"].(map[string]any)["envoy"] = "(varies)"
	golden(t, "testdata/request.json", got)
}

func jsonText(v any) string {
	raw, _ := json.Marshal(v)
	return string(raw)
}

func golden(t *testing.T, file string, got any) {
	t.Helper()
	raw, err := json.MarshalIndent(got, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	raw = append(raw, '\n')
	if *update {
		if err := os.WriteFile(file, raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(raw)); diff != "" {
		t.Errorf("%s (rewrite with -update): -want +got\n%s", file, diff)
	}
}

func TestTriesAgainUntilTheControlPlaneKnowsTheProxy(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	cp := newControlPlane(t, func(w http.ResponseWriter, r *http.Request) {
		switch asked.Add(1) {
		case 1:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 2, 3:
			w.WriteHeader(http.StatusNotFound)
		default:
			serveEnvoy(w, r)
		}
	})
	cfg := testConfig(t, cp)
	cfg.Resource, cfg.Name = "", "pre-1"
	r := start(t, cfg)
	if r.Name != "pre-1" || r.Mesh != "default" {
		t.Errorf("runs as %s of %s", r.Name, r.Mesh)
	}
	if n := strings.Count(r.log.String(), `does not know dataplane \"pre-1\"`); n != 1 {
		t.Errorf("said %d times that it waits, not once:\n%s", n, r.log)
	}
	if _, sent := (<-cp.requests)["dataplaneResource"]; sent {
		t.Error("sent a resource that it does not have")
	}
}

func TestWorkDirIsForOne(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t, newControlPlane(t, serveEnvoy))
	cfg.WorkDir = filepath.Join(t.TempDir(), "dp")
	r := start(t, cfg)
	second, err := launcher.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Run(t.Context()); problem.CodeOf(err) != problem.Conflict {
		t.Errorf("a second data plane in one work directory: %v", err)
	}
	r.cancel()
	if err := r.end(t); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(cfg.WorkDir, "bootstrap.yaml")); err != nil {
		t.Errorf("a work directory that was named should stay: %v", err)
	}
}

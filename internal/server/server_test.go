package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// free is a configuration on free ports.
func free(dir string) server.Config {
	c := server.DefaultConfig(dir)
	c.APIServer.HTTP.Port, c.APIServer.HTTPS.Port, c.DPServer.Port, c.Diagnostics.ServerPort = 0, 0, 0, 0
	return c
}

// serve runs a control plane until the test ends, or stop is called, which waits for the end.
func serve(t *testing.T, c server.Config) (at server.Addresses, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cp, err := server.New(ctx, c, slog.New(slog.DiscardHandler))
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cp.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := errors.Join(<-ended, cp.Close()); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return cp.Addresses(), stop
}

func client(t *testing.T, roots *x509.CertPool) *http.Client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Timeout: 10 * time.Second, Transport: transport}
}

func status(t *testing.T, c *http.Client, url string) (int, string) {
	t.Helper()
	answer, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func TestFacesAnswer(t *testing.T) {
	dir := t.TempDir()
	at, _ := serve(t, free(dir))
	pem, err := os.ReadFile(server.FilesIn(dir).CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	c := client(t, roots)
	for url, want := range map[string]string{
		"http://" + at.HTTP + "/meshes/default":         `"name": "default"`,
		"https://" + at.HTTPS + "/meshes/default":       `"name": "default"`,
		"http://" + at.Diagnostics + "/ready":           "",
		"http://" + at.Diagnostics + "/healthy":         "",
		"http://" + at.Diagnostics + "/metrics":         `kumactl_resources{kind="Mesh"} 1`,
		"http://" + at.HTTP + "/meshes/default/secrets": `"items"`,
	} {
		if code, body := status(t, c, url); code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s", url, code, body)
		}
	}
	if code, _ := status(t, c, "https://"+at.DataPlanes+"/elsewhere"); code != http.StatusNotFound {
		t.Errorf("the data planes' port answered %d", code)
	}
	// Envoy may take localhost for ::1.
	_, port, err := net.SplitHostPort(at.DataPlanes)
	if err != nil {
		t.Fatal(err)
	}
	if l, err := net.Listen("tcp", "[::1]:0"); err == nil {
		l.Close()
		if code, _ := status(t, c, "https://[::1]:"+port+"/elsewhere"); code != http.StatusNotFound {
			t.Errorf("on ::1 the data planes' port answered %d", code)
		}
	}
}

// TestRestartKeeps shows that the authority, and what was stored, are the same after a restart, and that nobody else may read it.
func TestRestartKeeps(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	_, stop := serve(t, free(dir))
	files := server.FilesIn(dir)
	before := map[string]string{}
	for _, name := range []string{files.CA, files.CAKey, files.Cert, files.Key} {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		before[name] = string(raw)
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%s: %v %v", dir, info.Mode(), err)
	}
	stop()
	c := free(dir)
	c.Defaults.SkipMeshCreation = true
	at, _ := serve(t, c)
	for name, was := range before {
		if is, err := os.ReadFile(name); err != nil || string(is) != was {
			t.Errorf("%s changed, or is gone: %v", name, err)
		}
	}
	if code, body := status(t, client(t, nil), "http://"+at.HTTP+"/meshes/default"); code != http.StatusOK {
		t.Errorf("%d %s", code, body)
	}
}

func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := free(t.TempDir())
	c.DPServer.Port = l.Addr().(*net.TCPAddr).Port
	_, err = server.New(t.Context(), c, slog.New(slog.DiscardHandler))
	p, ok := errors.AsType[*problem.Error](err)
	if !ok || p.Code != problem.Conflict || !strings.Contains(p.Hint, "KUMA_DP_SERVER_PORT") {
		t.Errorf("got %v", err)
	}
}

// TestSlowClients shows that those who do not finish what they began are let go, and that others are served meanwhile.
func TestSlowClients(t *testing.T) {
	at, _ := serve(t, free(t.TempDir()))
	for name, said := range map[string]string{
		"a header without an end": "GET /meshes HTTP/1.1\r\nHost: x\r\n",
		"nothing at all":          "",
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", at.HTTP)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := fmt.Fprint(conn, said); err != nil {
				t.Fatal(err)
			}
			if code, _ := status(t, client(t, nil), "http://"+at.HTTP+"/meshes"); code != http.StatusOK {
				t.Errorf("somebody else got %d", code)
			}
			if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, bufio.NewReader(conn)); err != nil {
				t.Errorf("the connection is still open: %v", err)
			}
		})
	}
}

// TestEndsAtOnce shows that neither an idle connection nor a watch holds up the end.
func TestEndsAtOnce(t *testing.T) {
	at, stop := serve(t, free(t.TempDir()))
	c := client(t, nil)
	status(t, c, "http://"+at.HTTP+"/meshes")
	watch, err := c.Get("http://" + at.HTTP + "/_watch?kind=Mesh")
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Body.Close()
	begin := time.Now()
	stop()
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
}

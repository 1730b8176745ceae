package main_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// service is an application of the test: it answers every request with its own name.
func service(t *testing.T, name string) int {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if wait, err := time.ParseDuration(r.URL.Query().Get("wait")); err == nil {
			select {
			case <-time.After(wait):
			case <-r.Context().Done():
			}
		}
		fmt.Fprintf(w, "%s %s", name, r.Proto)
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func echoService(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func body(address string) (string, error) {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get(address)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return fmt.Sprintf("%d %s", answer.StatusCode, text), err
}

func echoed(port int) error {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), 5*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(conn, "hello"); err != nil {
		return err
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && line != "hello\n" {
		err = fmt.Errorf("echoed %q", line)
	}
	return err
}

// TestProtocols sends traffic of each protocol through two Envoys.
func TestProtocols(t *testing.T) {
	m := newMesh(t)
	p := freePorts(t, 8)
	for i, protocol := range []string{"http", "http2", "grpc"} {
		m.dataplane("backend-"+protocol, inbound(p[i], service(t, protocol), "backend-"+protocol, protocol, ""), "[]")
	}
	m.dataplane("backend-tcp", inbound(p[3], echoService(t), "backend-tcp", "tcp", ""), "[]")
	m.dataplane("client", "[]", fmt.Sprintf("[{port: %d, tags: {kuma.io/service: backend-http}}, {port: %d, tags: {kuma.io/service: backend-http2}}, "+
		"{port: %d, tags: {kuma.io/service: backend-grpc}}, {port: %d, tags: {kuma.io/service: backend-tcp}}]", p[4], p[5], p[6], p[7]))
	for port, want := range map[int]string{p[4]: "200 http HTTP/1.1", p[5]: "200 http2 HTTP/2.0", p[6]: "200 grpc HTTP/2.0"} {
		eventually(t, want, func() error {
			got, err := body(fmt.Sprintf("http://127.0.0.1:%d/", port))
			if err == nil && got != want {
				err = fmt.Errorf("got %q", got)
			}
			return err
		})
	}
	eventually(t, "the echo comes back", func() error { return echoed(p[7]) })
}

// TestReplicas shows that a new replica gets traffic, that tags pick replicas, and that a replica that ended gets none.
func TestReplicas(t *testing.T) {
	m := newMesh(t)
	p := freePorts(t, 4)
	m.dataplane("web-1", inbound(p[0], service(t, "one"), "web", "http", ", version: v1"), "[]")
	m.dataplane("client", "[]", fmt.Sprintf("[{port: %d, tags: {kuma.io/service: web}}, {port: %d, tags: {kuma.io/service: web, version: v2}}]", p[2], p[3]))
	eventually(t, "the only replica answers", func() error { return answers(p[2], "one") })
	eventually(t, "no replica has version v2", func() error { return answers(p[3], "503") })

	second := m.launch("web-2", t.TempDir(), dataplaneYAML("web-2", inbound(p[1], service(t, "two"), "web", "http", ", version: v2"), "[]"))
	eventually(t, "the new replica answers too", func() error { return answers(p[2], "two") })
	eventually(t, "and alone where its version is wanted", func() error { return answers(p[3], "two") })

	if err := second.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-second.done
	eventually(t, "the replica that is gone is forgotten", func() error {
		return expect(m.url("/meshes/default/dataplanes/web-2"), http.StatusNotFound)
	})
	eventually(t, "and nobody has its version", func() error { return answers(p[3], "no healthy upstream") })
	for range 20 {
		if err := answers(p[2], "one"); err != nil {
			t.Fatal(err)
		}
	}
}

func answers(port int, want string) error {
	got, err := body(fmt.Sprintf("http://127.0.0.1:%d/", port))
	if err == nil && !strings.Contains(got, want) {
		err = fmt.Errorf("got %q", got)
	}
	return err
}

// TestTimeoutFires shows a MeshTimeout on a running proxy: first none that matters, then one that ends a slow request.
func TestTimeoutFires(t *testing.T) {
	m := newMesh(t)
	p := freePorts(t, 2)
	m.dataplane("slow", inbound(p[0], service(t, "slow"), "slow", "http", ""), "[]")
	m.dataplane("client", "[]", outbound(p[1], "kuma.io/service: slow"))
	ask := func() (string, error) { return body(fmt.Sprintf("http://127.0.0.1:%d/?wait=1s", p[1])) }
	eventually(t, "a slow answer comes", func() error {
		got, err := ask()
		if err == nil && !strings.HasPrefix(got, "200 slow") {
			err = fmt.Errorf("got %q", got)
		}
		return err
	})
	// Of two policies for the whole mesh the one whose name comes first in the alphabet wins; the mesh's own is named mesh-timeout-….
	m.put("/meshes/default/meshtimeouts/a-short", `{"type":"MeshTimeout","mesh":"default","name":"a-short","spec":{
		"to":[{"targetRef":{"kind":"Mesh"},"default":{"http":{"requestTimeout":"200ms"}}}]}}`)
	eventually(t, "the timeout fires", func() error {
		got, err := ask()
		if err == nil && !strings.HasPrefix(got, "504") {
			err = fmt.Errorf("got %q", got)
		}
		return err
	})
}

// load sends requests through a port, on kept and on new connections, until it is stopped, and counts.
type load struct {
	sent, failed atomic.Int64
	firstFailure atomic.Value
	stop         chan struct{}
	done         chan struct{}
}

func newLoad(port int) *load {
	l := &load{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		kept := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}
		fresh := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-l.stop:
				return
			case <-tick.C:
			}
			client := &kept
			if i%2 == 0 {
				client = &fresh
			}
			l.count(client, port)
		}
	}()
	return l
}

func (l *load) count(client *http.Client, port int) {
	l.sent.Add(1)
	answer, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
	if err == nil {
		_, err = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			err = fmt.Errorf("status %d", answer.StatusCode)
		}
	}
	if err != nil {
		l.failed.Add(1)
		l.firstFailure.CompareAndSwap(nil, err.Error())
	}
}

func (l *load) after(t *testing.T, more int64) {
	t.Helper()
	until := l.sent.Load() + more
	eventually(t, fmt.Sprintf("%d more requests", more), func() error {
		if l.sent.Load() < until {
			return fmt.Errorf("%d to go", until-l.sent.Load())
		}
		return nil
	})
}

// TestControlPlaneAway kills the control plane while traffic runs through both Envoys, and starts it again: no request fails, and
// no listener is touched.
func TestControlPlaneAway(t *testing.T) {
	m := newMesh(t)
	p := freePorts(t, 2)
	m.dataplane("backend", inbound(p[0], service(t, "backend"), "backend", "http", ""), "[]")
	client := m.dataplane("client", "[]", outbound(p[1], "kuma.io/service: backend"))
	eventually(t, "traffic flows", func() error { return answers(p[1], "backend") })
	before := listenerCounts(t, client)
	l := newLoad(p[1])
	l.after(t, 300)
	m.kill()
	l.after(t, 600)
	m.startControlPlane()
	m.online("client")
	m.online("backend")
	l.after(t, 300)
	close(l.stop)
	<-l.done
	if failed := l.failed.Load(); failed > 0 {
		t.Errorf("%d of %d requests failed; the first: %v", failed, l.sent.Load(), l.firstFailure.Load())
	}
	if after := listenerCounts(t, client); after != before {
		t.Errorf("listeners were touched:\nbefore %s\nafter  %s", before, after)
	}
}

// listenerCounts are how often Envoy added, changed and removed listeners.
func listenerCounts(t *testing.T, workdir string) string {
	t.Helper()
	stats, err := envoyAdmin(workdir, "/stats?filter=listener_manager.listener_(added|modified|removed|in_place_updated)$")
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(strings.TrimSpace(stats), "\n", " ")
}

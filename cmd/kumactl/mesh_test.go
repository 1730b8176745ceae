package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything that happens on its own may take before a test gives up on it.
const patience = 30 * time.Second

// mesh is a control plane in a process of its own, with the ports and the folder that it keeps over restarts.
type mesh struct {
	t                  *testing.T
	dir                string
	api, dataport, dia int
	cp                 *program
}

// program is a kumactl that runs in the background.
type program struct {
	*exec.Cmd
	name   string
	output *output
	done   chan struct{}
}

// output collects what a program says, for the log of a test that fails.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// newMesh starts a control plane on a new folder.
func newMesh(t *testing.T) *mesh {
	ports := freePorts(t, 3)
	m := &mesh{t: t, dir: t.TempDir(), api: ports[0], dataport: ports[1], dia: ports[2]}
	m.startControlPlane()
	return m
}

func (m *mesh) startControlPlane() {
	m.t.Helper()
	m.cp = start(m.t, "control plane", []string{
		fmt.Sprintf("KUMA_API_SERVER_HTTP_PORT=%d", m.api), "KUMA_API_SERVER_HTTPS_PORT=-1",
		"KUMA_XDS_SERVER_DATAPLANE_DEREGISTRATION_DELAY=1s",
		fmt.Sprintf("KUMA_DP_SERVER_PORT=%d", m.dataport), fmt.Sprintf("KUMA_DIAGNOSTICS_SERVER_PORT=%d", m.dia),
	}, "run", "control-plane", "--data-dir", filepath.Join(m.dir, "cp"))
	eventually(m.t, "the control plane is ready", func() error {
		return expect(fmt.Sprintf("http://127.0.0.1:%d/ready", m.dia), http.StatusOK)
	})
}

// kill ends the control plane as a power cut would.
func (m *mesh) kill() {
	m.t.Helper()
	if err := m.cp.Process.Kill(); err != nil {
		m.t.Fatal(err)
	}
	<-m.cp.done
}

// start runs kumactl in the background until the test ends.
func start(t *testing.T, name string, env []string, args ...string) *program {
	t.Helper()
	p := &program{Cmd: exec.Command("kumactl", args...), name: name, output: &output{}, done: make(chan struct{})}
	p.Env = append(os.Environ(), env...)
	p.Stdout, p.Stderr = p.output, p.output
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		// How it ended is in its output; tests that care look at ProcessState.
		_ = p.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.Process.Signal(syscall.SIGTERM)
		select {
		case <-p.done:
		case <-time.After(patience):
			t.Errorf("%s does not end", p.name)
			_ = p.Process.Kill()
			<-p.done
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", p.name, p.output)
		}
	})
	return p
}

// dataplane runs a data plane with its Envoy and waits until it serves. It returns the folder of Envoy's admin socket.
func (m *mesh) dataplane(name string, inbounds, outbounds string) (workdir string) {
	m.t.Helper()
	workdir = filepath.Join(m.t.TempDir(), "w")
	m.launch(name, workdir, dataplaneYAML(name, inbounds, outbounds))
	return workdir
}

func dataplaneYAML(name, inbounds, outbounds string) string {
	return fmt.Sprintf("type: Dataplane\nmesh: default\nname: %s\nnetworking:\n  address: 127.0.0.1\n  inbound: %s\n  outbound: %s\n", name, inbounds, outbounds)
}

func (m *mesh) launch(name, workdir, resource string) *program {
	m.t.Helper()
	p := start(m.t, "data plane "+name, []string{"KUMA_READINESS_PORT=0"}, "run", "dataplane",
		"--cp-address", fmt.Sprintf("https://127.0.0.1:%d", m.dataport), "--ca-cert-file", filepath.Join(m.dir, "cp", "tls", "ca.crt"),
		"--work-dir", workdir, "--drain-time", "0s", "--concurrency", "1", "--dns-enabled=false", "--dataplane", resource)
	eventually(m.t, name+" serves", func() error {
		select {
		case <-p.done:
			m.t.Fatalf("%s ended:\n%s", name, p.output)
		default:
		}
		_, err := envoyAdmin(workdir, "/ready")
		return err
	})
	return p
}

// envoyAdmin asks an Envoy by its admin socket.
func envoyAdmin(workdir, path string) (string, error) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(workdir, "kuma-envoy-admin.sock"))
		},
	}}
	answer, err := client.Get("http://envoy" + path)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %d %s", path, answer.StatusCode, body)
	}
	return string(body), err
}

// put writes a resource by the API.
func (m *mesh) put(path, body string) {
	m.t.Helper()
	request, err := http.NewRequest(http.MethodPut, m.url(path), strings.NewReader(body))
	if err != nil {
		m.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		m.t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, _ := io.ReadAll(answer.Body); answer.StatusCode >= 300 {
		m.t.Fatalf("PUT %s: %d %s", path, answer.StatusCode, text)
	}
}

func (m *mesh) url(path string) string { return fmt.Sprintf("http://127.0.0.1:%d%s", m.api, path) }

// online waits until a data plane is connected, as the API tells.
func (m *mesh) online(name string) {
	m.t.Helper()
	eventually(m.t, name+" is online", func() error {
		answer, err := http.Get(m.url("/meshes/default/dataplanes/" + name + "/_overview"))
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		var overview struct {
			DataplaneInsight struct {
				Subscriptions []struct {
					DisconnectTime *time.Time `json:"disconnectTime"`
				} `json:"subscriptions"`
			} `json:"dataplaneInsight"`
		}
		if err := json.NewDecoder(answer.Body).Decode(&overview); err != nil {
			return err
		}
		for _, s := range overview.DataplaneInsight.Subscriptions {
			if s.DisconnectTime == nil {
				return nil
			}
		}
		return fmt.Errorf("not connected: %+v", overview)
	})
}

// eventually waits for a condition, asking a few times a second, and fails the test when patience is over.
func eventually(t *testing.T, what string, condition func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s: %v", patience, what, err)
		}
		<-tick.C
	}
}

func expect(url string, status int) error {
	answer, err := http.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != status {
		body, _ := io.ReadAll(answer.Body)
		return fmt.Errorf("%s: %d %s", url, answer.StatusCode, body)
	}
	return nil
}

// freePorts are ports that nobody has at the moment.
func freePorts(t *testing.T, count int) []int {
	t.Helper()
	var ports []int
	for range count {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// inbound and outbound are entries of a Dataplane in YAML's flow style.
func inbound(port, servicePort int, service, protocol, more string) string {
	return fmt.Sprintf("[{port: %d, servicePort: %d, serviceAddress: 127.0.0.1, tags: {kuma.io/service: %s, kuma.io/protocol: %s%s}}]",
		port, servicePort, service, protocol, more)
}

func outbound(port int, tags string) string {
	return fmt.Sprintf("[{port: %d, tags: {%s}}]", port, tags)
}

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the test binary kumactl itself, found on PATH under that name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"kumactl": main})
}

// readyWithin is how long a control plane of a script may take to become ready.
const readyWithin = 30 * time.Second

// TestScripts runs testdata/script. Beside the usual commands there are:
//
//	controlplane [NAME=VALUE...]   starts a control plane on free ports with the store in $WORK/cp, and makes it the current one;
//	                               $API and $API_TLS are its addresses
//	endcontrolplane                ends it
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("testdata", "script"),
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("NO_PROXY", "*")
			e.Values[planeKey{}] = &scriptPlane{}
			return os.MkdirAll(e.Getenv("HOME"), 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"controlplane":    startPlane,
			"endcontrolplane": func(ts *testscript.TestScript, _ bool, _ []string) { planeOf(ts).stop(ts) },
		},
	})
}

type planeKey struct{}

// scriptPlane is the control plane of one script.
type scriptPlane struct {
	process *exec.Cmd
	over    chan struct{}
}

func planeOf(ts *testscript.TestScript) *scriptPlane { return ts.Value(planeKey{}).(*scriptPlane) }

func startPlane(ts *testscript.TestScript, _ bool, settings []string) {
	p := planeOf(ts)
	ports, err := unusedPorts(4)
	ts.Check(err)
	data := ts.MkAbs("cp")
	p.process = exec.Command("kumactl", "run", "control-plane", "--data-dir", data)
	p.process.Env = append(os.Environ(), "HOME="+ts.Getenv("HOME"))
	for i, name := range []string{"API_SERVER_HTTP_PORT", "API_SERVER_HTTPS_PORT", "DP_SERVER_PORT", "DIAGNOSTICS_SERVER_PORT"} {
		p.process.Env = append(p.process.Env, fmt.Sprintf("KUMA_%s=%d", name, ports[i]))
	}
	p.process.Env = append(p.process.Env, settings...)
	log, err := os.Create(ts.MkAbs("cp.log"))
	ts.Check(err)
	defer log.Close()
	p.process.Stdout, p.process.Stderr = log, log
	ts.Check(p.process.Start())
	p.over = make(chan struct{})
	go func() {
		defer close(p.over)
		// How it ended is in its log.
		_ = p.process.Wait()
	}()
	ts.Defer(func() { p.stop(ts) })
	api := fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	ts.Check(p.wait(fmt.Sprintf("http://127.0.0.1:%d/ready", ports[3])))
	ts.Setenv("API", api)
	ts.Setenv("API_TLS", fmt.Sprintf("https://127.0.0.1:%d", ports[1]))
	ts.Check(ts.Exec("kumactl", "config", "control-planes", "add", "--overwrite", "--name", "here", "--address", api))
}

// unusedPorts are ports that nothing listens on; all are different.
func unusedPorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		// Closed at the end, so that the next one is another.
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}

// wait returns when the control plane answers, or when it has ended.
func (p *scriptPlane) wait(ready string) error {
	ctx, cancel := context.WithTimeout(context.Background(), readyWithin)
	defer cancel()
	_, err := backoff.Retry(ctx, func() (bool, error) {
		select {
		case <-p.over:
			return false, backoff.Permanent(fmt.Errorf("the control plane ended: %v", p.process.ProcessState))
		default:
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, ready, nil)
		if err != nil {
			return false, backoff.Permanent(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false, err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return false, fmt.Errorf("%s answers %s", ready, resp.Status)
		}
		return true, nil
	}, backoff.WithBackOff(backoff.NewConstantBackOff(20*time.Millisecond)))
	return err
}

func (p *scriptPlane) stop(ts *testscript.TestScript) {
	if p.process == nil {
		return
	}
	_ = p.process.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.over:
	case <-time.After(readyWithin):
		_ = p.process.Process.Kill()
		<-p.over
		ts.Logf("the control plane did not end by itself")
	}
	p.process = nil
}

package main_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// kills is how often the control plane is killed: 20 times, or as often as the nightly run says.
func kills(t *testing.T) int {
	text := os.Getenv("KUMACTL_KILLS")
	if text == "" {
		return 20
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("KUMACTL_KILLS: %v", err)
	}
	return n
}

// acknowledged is what clients were told was written: for each name the number of its last acknowledged version, and of the last
// one that was sent and may or may not have been written.
type acknowledged struct {
	mu         sync.Mutex
	last, sent map[string]int
	count      int
}

// TestKilledWhileClientsWrite kills the control plane again and again while eight clients write over HTTP. Nothing that was
// acknowledged may be lost, the log has no gap, and the file opens by itself.
func TestKilledWhileClientsWrite(t *testing.T) {
	m := newMesh(t)
	known := acknowledged{last: map[string]int{}, sent: map[string]int{}}
	for round := range kills(t) {
		ctx, stop := context.WithCancel(t.Context())
		var clients sync.WaitGroup
		for client := range 8 {
			clients.Go(func() { known.write(ctx, m, fmt.Sprintf("c%d", client)) })
		}
		target := known.total() + 20 + rand.IntN(60)
		eventually(t, "clients write", func() error {
			if n := known.total(); n < target {
				return fmt.Errorf("round %d: %d of %d", round, n, target)
			}
			return nil
		})
		m.kill()
		stop()
		clients.Wait()
		checkStore(t, filepath.Join(m.dir, "cp"))
		m.startControlPlane()
		known.compare(t, m)
	}
	t.Logf("%d acknowledged writes", known.total())
}

func (a *acknowledged) total() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.count
}

// write changes a handful of resources in turn, until the control plane does not answer any more.
func (a *acknowledged) write(ctx context.Context, m *mesh, client string) {
	for i := 0; ctx.Err() == nil; i++ {
		name := fmt.Sprintf("%s-%d", client, i%5)
		a.mu.Lock()
		a.sent[name]++
		version := a.sent[name]
		a.mu.Unlock()
		body := fmt.Sprintf(`{"type":"MeshTimeout","mesh":"default","name":%q,"spec":{"to":[{"targetRef":{"kind":"Mesh"},"default":{"idleTimeout":"%ds"}}]}}`, name, version)
		request, err := http.NewRequestWithContext(ctx, http.MethodPut, m.url("/meshes/default/meshtimeouts/"+name), strings.NewReader(body))
		if err != nil {
			return
		}
		request.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return
		}
		_, err = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		if answer.StatusCode/100 != 2 || err != nil {
			return
		}
		a.mu.Lock()
		a.last[name] = version
		a.count++
		a.mu.Unlock()
	}
}

// compare reads everything back. What is stored is the last acknowledged version, or the one that was under way at the end.
func (a *acknowledged) compare(t *testing.T, m *mesh) {
	t.Helper()
	for name, last := range a.last {
		answer, err := http.Get(m.url("/meshes/default/meshtimeouts/" + name))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s was acknowledged at version %d and is lost: %d %s %v", name, last, answer.StatusCode, text, err)
		}
		stored := 0
		for version := last; version <= a.sent[name]; version++ {
			if strings.Contains(string(text), fmt.Sprintf("%q", (time.Duration(version)*time.Second).String())) {
				stored = version
			}
		}
		if stored == 0 {
			t.Fatalf("%s was acknowledged at version %d (%d sent) and is stored as %s", name, last, a.sent[name], text)
		}
		a.last[name], a.sent[name] = stored, stored
	}
}

// checkStore looks at the file as a person would, while nobody has it open.
func checkStore(t *testing.T, dataDir string) {
	t.Helper()
	text, err := exec.Command("kumactl", "store", "check", "--data-dir", dataDir).CombinedOutput()
	if err != nil {
		t.Fatalf("store check: %v\n%s", err, text)
	}
}

// TestSecondProcess shows that a store has one owner, who is named to the second.
func TestSecondProcess(t *testing.T) {
	m := newMesh(t)
	second := exec.Command("kumactl", "run", "control-plane", "--data-dir", filepath.Join(m.dir, "cp"))
	second.Env = append(os.Environ(), "KUMA_API_SERVER_HTTP_PORT=0", "KUMA_API_SERVER_HTTPS_PORT=-1", "KUMA_DP_SERVER_PORT=0", "KUMA_DIAGNOSTICS_SERVER_PORT=0")
	text, err := second.CombinedOutput()
	if err == nil || !strings.Contains(string(text), fmt.Sprint(m.cp.Process.Pid)) {
		t.Errorf("got %v: %s", err, text)
	}
}

// TestDemo is the main job: it needs nothing but an Envoy, shows both tables, and leaves nothing behind.
func TestDemo(t *testing.T) {
	temp := t.TempDir()
	demo := exec.Command("kumactl", "demo", "--once")
	demo.Env = append(os.Environ(), "TMPDIR="+temp)
	text, err := demo.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, want := range []string{"catalog-1", "shop-1", "echo-1", "Online", "20 of 20", "apples, pears", "hello"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	left, err := os.ReadDir(temp)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

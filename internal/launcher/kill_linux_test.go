package launcher_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// maxKB is what a data plane may hold beside Envoy: 25 MB. The race detector's shadow of it comes on top.
const maxKB = 25<<10 + raceKB

// child is a helper process, and the process that it started.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	// pid is the grandchild's; pidfd is the handle through which the kernel tells of its end.
	pid, pidfd int
}

func startHelper(t *testing.T, what string, environment ...string) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0])}
	c.cmd.Env = append(os.Environ(), append(environment, "LAUNCHER_TEST_HELPER="+what)...)
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.cmd.Process.Kill() })
	line, _ := bufio.NewReader(out).ReadString('\n')
	if c.pid, err = strconv.Atoi(strings.TrimSpace(line)); err != nil {
		t.Fatalf("helper %s: %s", what, line)
	}
	if c.pidfd, err = unix.PidfdOpen(c.pid, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.PidfdSendSignal(c.pidfd, unix.SIGKILL, nil, 0)
		unix.Close(c.pidfd)
	})
	return c
}

// gone waits, in milliseconds, for the grandchild's end.
func (c *child) gone(milliseconds int) bool {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(c.pidfd), Events: unix.POLLIN}}, milliseconds)
		if err != unix.EINTR {
			return n == 1
		}
	}
}

func TestEnvoyDiesWithALauncherThatIsKilled(t *testing.T) {
	t.Parallel()
	cp := newControlPlane(t, serveEnvoy)
	c := startHelper(t, "dataplane",
		"KUMA_CONTROL_PLANE_URL="+cp.url, "KUMA_CONTROL_PLANE_CA_CERT="+cp.ca,
		"KUMA_DATAPLANE_RUNTIME_BINARY_PATH="+envoyPath(t), "KUMA_DATAPLANE_RUNTIME_CONCURRENCY=1",
		"KUMA_DATAPLANE_NAME=web-1", "KUMA_DATAPLANE_RUNTIME_WORK_DIR="+t.TempDir())
	if kb := residentKB(t, c.cmd.Process.Pid); kb > maxKB {
		t.Errorf("the launcher holds %d kB, more than %d", kb, maxKB)
	} else {
		t.Logf("the launcher holds %d kB", kb)
	}
	if c.gone(0) {
		t.Fatal("Envoy is gone before its launcher was killed")
	}
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if !c.gone(int(deadline.Milliseconds())) {
		t.Error("Envoy outlives its launcher")
	}
}

// TestGuard holds the way of systems without a parent-death signal.
func TestGuard(t *testing.T) {
	t.Parallel()
	killed := startHelper(t, "guard")
	if killed.gone(0) {
		t.Fatal("gone before its parent was killed")
	}
	killed.cmd.Process.Kill()
	if !killed.gone(int(deadline.Milliseconds())) {
		t.Error("outlives its parent")
	}

	ended := startHelper(t, "guard")
	ended.stdin.Close()
	if err := ended.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if ended.gone(100) {
		t.Error("a guard that was called off kills")
	}
}

func residentKB(t *testing.T, pid int) int {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), "VmRSS:")
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kb
}

//go:build unix

package launcher

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/kumactl/kumactl/internal/problem"
)

// unsupported is nil where a data plane can run.
func unsupported() error { return nil }

// lockFile takes a file for this process; the kernel gives it back when the process ends, however it ends.
func lockFile(path string) (func(), error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.New("another data plane runs in it")
		}
		return nil, err
	}
	return func() { f.Close() }, nil
}

// watchParent kills the process pid when this one is gone, on systems without a parent-death signal: a shell waits at the
// reading end of a pipe whose writing end only we hold, so its read ends with us. The returned function ends the watch.
func watchParent(pid int) (func(), error) {
	cmd := exec.Command("/bin/sh", "-c", `read -r _; kill -9 "$1" 2>/dev/null`, "sh", strconv.Itoa(pid))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return func() {}, problem.New(problem.Internal, "envoy's guard: %w", err)
	}
	return func() {
		cmd.Process.Kill() // before the pipe closes: the number may belong to somebody else by now
		cmd.Wait()
		pipe.Close()
	}, nil
}

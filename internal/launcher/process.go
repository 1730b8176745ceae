package launcher

import (
	"errors"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/kumactl/kumactl/internal/problem"
)

// envoyProcess is one run of Envoy. It dies with us, however we end.
type envoyProcess struct {
	process *os.Process
	output  *envoyLog
	// done is closed when Envoy has ended and was waited for; state is valid from then on.
	done  chan struct{}
	state error
}

// envoyArgs are the options that the peer's launcher gives, and our log format.
func (c Config) envoyArgs(bootstrap string, version envoyVersion) []string {
	// Envoy counts in whole seconds. "immediate" closes at the first chance instead of ever more often until the end.
	drain := max(1, int(math.Ceil(c.DrainTime.Seconds())))
	args := []string{
		"--config-path", bootstrap,
		"--drain-time-s", strconv.Itoa(drain), "--drain-strategy", "immediate",
		"--disable-hot-restart",
		"--log-level", c.EnvoyLogLevel, "--log-format", envoyLogFormat,
	}
	if c.EnvoyComponentLogLevel != "" {
		args = append(args, "--component-log-level", c.EnvoyComponentLogLevel)
	}
	switch {
	case c.Concurrency > 0:
		args = append(args, "--concurrency", strconv.FormatUint(uint64(c.Concurrency), 10))
	case runtime.GOOS == "linux" && version.minor > 0 && version.minor < testedMinor:
		args = append(args, "--cpuset-threads") // the default since, and a warning when given
	}
	return args
}

// startEnvoy starts the program in a process group of its own, so that a Ctrl-C of the terminal reaches only us and Envoy can
// drain.
func startEnvoy(path string, args []string, stdout io.Writer, output *envoyLog) (*envoyProcess, error) {
	p := &envoyProcess{output: output, done: make(chan struct{})}
	started := make(chan error, 1)
	// Linux sends the parent-death signal when the *thread* that started the child ends, so this one is locked and lives as
	// long as Envoy.
	go func() {
		defer close(p.done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		cmd := exec.Command(path, args...)
		cmd.Stdout, cmd.Stderr = stdout, output
		cmd.SysProcAttr = processAttributes()
		cmd.WaitDelay = 2 * time.Second // for its standard error, if something that it started still holds it
		if err := cmd.Start(); err != nil {
			started <- problem.New(problem.Invalid, "envoy: %s: %w", path, cause(err)).WithHint(envoyHint)
			return
		}
		p.process = cmd.Process
		unguard, err := guard(cmd.Process.Pid)
		if err != nil { // better no Envoy than one that may be left behind
			cmd.Process.Kill()
		}
		started <- err
		p.state = cmd.Wait()
		unguard()
	}()
	if err := <-started; err != nil {
		<-p.done
		return nil, err
	}
	return p, nil
}

// stop ends Envoy: SIGTERM, and SIGKILL when it is still there after the grace time. It returns when Envoy is gone.
func (p *envoyProcess) stop(grace time.Duration) {
	p.process.Signal(syscall.SIGTERM) // an error means that it is gone, and done says so
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.process.Kill()
		<-p.done
	}
}

// exited describes an end that nobody asked for, with Envoy's last words.
func (p *envoyProcess) exited() error {
	how := "exited with code 0"
	if exit, ok := errors.AsType[*exec.ExitError](p.state); ok {
		how = "exited with code " + strconv.Itoa(exit.ExitCode())
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			how = "was ended by a signal: " + status.Signal().String()
		}
	} else if p.state != nil {
		how = "ended: " + p.state.Error()
	}
	lines := p.output.last()
	detail := how
	if len(lines) > 0 {
		detail += "; its last lines:\n    " + strings.Join(lines, "\n    ")
	}
	err := problem.New(problem.Internal, "envoy %s", detail)
	if strings.Contains(detail, "Address already in use") {
		err.Hint = "another program has that port; change it in the Dataplane (networking.inbound, networking.outbound, networking.admin.port)"
	}
	return err
}

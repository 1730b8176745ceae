package launcher_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/kumactl/kumactl/internal/launcher"
)

// helper is the program that some tests kill: a data plane, or a guard with somebody to guard. It tells a process id on
// standard output, and ends with its standard input.
func helper(what string) int {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	var err error
	if what == "guard" {
		err = guardHelper(ctx)
	} else {
		err = dataPlaneHelper(ctx)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func dataPlaneHelper(ctx context.Context) error {
	environment := map[string]string{}
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		environment[name] = value
	}
	cfg, err := launcher.FromEnv(environment)
	if err != nil {
		return err
	}
	cfg.ReadinessPort = launcher.AnyPort
	cfg.OnReady = func(r launcher.Running) { fmt.Println(r.PID) }
	l, err := launcher.New(cfg)
	if err != nil {
		return err
	}
	return l.Run(ctx)
}

func guardHelper(ctx context.Context) error {
	victim := exec.Command("tail", "-f", "/dev/null")
	if err := victim.Start(); err != nil {
		return err
	}
	unguard, err := launcher.WatchParent(victim.Process.Pid)
	if err != nil {
		return err
	}
	fmt.Println(victim.Process.Pid)
	<-ctx.Done()
	unguard()
	return nil
}

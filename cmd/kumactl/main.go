// Command kumactl is all of the mesh in one binary: the control plane, the data plane's launcher and the client.
//
// In come a command line, the environment and the contexts file; out go text, an exit code and, for `kumactl run`, a program that
// serves until it is told to stop. Each command has a file of its own: options, newXCmd that only parses, xRun that only does.
package main

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

func main() { os.Exit(run(os.Args)) }

// run is the program as a function of its arguments. The first signal asks it to end, a second one ends it.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	a := newApp()
	root := newRootCmd(a)
	root.SetArgs(arguments(args))
	cmd, err := root.ExecuteContextC(ctx)
	return a.report(ctx, cmd, err)
}

// arguments are those after the program's name. A link named kuma-cp or kuma-dp takes those programs' command line, in which
// `run` means what `run control-plane` and `run dataplane` mean here.
func arguments(args []string) []string {
	if len(args) == 0 {
		return nil
	}
	program := map[string]string{"kuma-cp": "control-plane", "kuma-dp": "dataplane"}[strings.TrimSuffix(filepath.Base(args[0]), ".exe")]
	rest := args[1:]
	if at := slices.Index(rest, "run"); program != "" && at >= 0 {
		return slices.Insert(slices.Clone(rest), at+1, program)
	}
	return rest
}

package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/kumactl/kumactl/internal/problem"
)

// Exit codes. Kuma's kumactl ends every mistake with 1 and scripts count on it; 130 is what shells give a command that Ctrl-C ended.
const (
	exitFine        = 0
	exitWrong       = 1
	exitInterrupted = 130
)

// usageError is a mistake in the command line itself, after which the usage helps.
type usageError struct {
	cmd *cobra.Command
	err error
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// errSaid ends the program with a code other than 0 when what went wrong was already told.
var errSaid = errors.New("already told")

// report tells a person what went wrong and gives the exit code. It is the only place that does either.
func (a *app) report(ctx context.Context, cmd *cobra.Command, err error) int {
	switch {
	case err == nil:
		return exitFine
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.Is(err, errSaid):
		return exitWrong
	}
	found := asProblem(err)
	a.errs.Problem(err, found)
	if wrong, ok := errors.AsType[*usageError](err); ok {
		a.errs.Line("\n%s", wrong.cmd.UsageString())
	} else if found == nil && cmd != nil {
		a.errs.Hint("%s --help", cmd.CommandPath())
	}
	return exitWrong
}

// asProblem finds what is told of an error beside its text; nil when there is nothing.
func asProblem(err error) *problem.Error {
	p, _ := errors.AsType[*problem.Error](err)
	return p
}

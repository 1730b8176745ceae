package main

import (
	"os"
	"time"

	"github.com/kumactl/kumactl/internal/catalog"
	"github.com/kumactl/kumactl/internal/render"
	"github.com/kumactl/kumactl/internal/resource"
)

// app is what the commands are made from: where text comes from and goes to, the clock, and the flags that all commands have.
// A command takes the parts that it needs into its own options.
type app struct {
	stdin  *os.File
	out    render.Output
	errs   render.Output
	getenv func(string) string
	now    func() time.Time
	// kinds are all that there are; called only by commands that need them.
	kinds  func() []*resource.Kind
	global globalOptions
}

// globalOptions are the flags that every command takes.
type globalOptions struct {
	apiTimeout time.Duration
	configFile string
	context    string
	logLevel   string
	noConfig   bool
}

func newApp() *app {
	return &app{
		stdin:  os.Stdin,
		out:    render.ForFile(os.Stdout, os.Getenv),
		errs:   render.ForFile(os.Stderr, os.Getenv),
		getenv: os.Getenv,
		now:    time.Now,
		kinds:  catalog.Kinds,
	}
}

package main

import (
	"context"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/kumactl/kumactl/internal/render"
)

// version is stamped by the release (-ldflags "-X main.version=1.2.3"); without it the module's own version is used.
var version string

// build says what this binary was made from.
type build struct {
	Version  string
	Revision string
	Time     string
	Go       string
	Platform string
}

// theBuild reads what the Go tool wrote into the binary.
func theBuild() build {
	b := build{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if b.Version == "" && info.Main.Version != "(devel)" {
		b.Version = info.Main.Version
	}
	if b.Version == "" {
		b.Version = "0.0.0-dev"
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		}
	}
	return b
}

type versionOptions struct {
	Out      render.Output
	Build    build
	Detailed bool
}

func newVersionCmd(a *app) *cobra.Command {
	opts := &versionOptions{Out: a.out}
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts.Build = theBuild()
			return versionRun(cmd.Context(), opts)
		},
	}
	cmd.Flags().BoolVarP(&opts.Detailed, "detailed", "a", false, "print also what it was built from")
	return cmd
}

func versionRun(_ context.Context, opts *versionOptions) error {
	b := opts.Build
	opts.Out.Line("Client: kumactl %s", b.Version)
	if opts.Detailed {
		opts.Out.Line("  revision: %s %s\n  built with: %s for %s", b.Revision, b.Time, b.Go, b.Platform)
	}
	return nil
}

package main

import (
	"context"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/kumactl/kumactl/internal/client"
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
	out     render.Output
	errs    render.Output
	build   build
	connect func() (*client.Client, error)

	detailed bool
	alone    bool
}

func newVersionCmd(a *app) *cobra.Command {
	o := &versionOptions{out: a.out, errs: a.errs, connect: a.connect}
	cmd := &cobra.Command{
		Use:               "version",
		Short:             "Print the versions of kumactl and of the control plane",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.build = theBuild()
			return versionRun(cmd.Context(), o)
		},
	}
	cmd.Flags().BoolVarP(&o.detailed, "detailed", "a", false, "print also what they were built from")
	cmd.Flags().BoolVar(&o.alone, "client", false, "do not ask the control plane")
	return cmd
}

func versionRun(ctx context.Context, o *versionOptions) error {
	o.out.Line("Client: kumactl %s", o.build.Version)
	if o.detailed {
		for _, line := range [][2]string{
			{"Git commit", o.build.Revision}, {"Build date", o.build.Time}, {"Go", o.build.Go}, {"Platform", o.build.Platform},
		} {
			if line[1] != "" {
				o.out.Line("  %-11s %s", line[0]+":", line[1])
			}
		}
	}
	if o.alone {
		return nil
	}
	c, err := o.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	index, err := c.Index(ctx)
	if err != nil {
		// The version of this program was asked for and told; that no control plane answers is worth a note.
		o.errs.Problem(err, asProblem(err))
		return nil
	}
	o.out.Line("Server: %s", index)
	if o.detailed {
		o.out.Line("  %-11s %s\n  %-11s %s\n  %-11s %s", "Address:", c.URL(), "Host:", index.Hostname, "Instance:", index.InstanceID)
	}
	return nil
}

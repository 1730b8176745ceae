package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/kumactl/kumactl/internal/demo"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/render"
)

type demoOptions struct {
	once      bool
	envoy     string
	out, errs render.Output
	logLevel  string
	// dataplanes shows the table of data planes of the control plane at a URL.
	dataplanes func(ctx context.Context, url string) error
}

func newDemoCmd(a *app) *cobra.Command {
	o := demoOptions{out: a.out, errs: a.errs, envoy: a.getenv("ENVOY_PATH")}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See a mesh work: three services, three Envoys, real traffic",
		Long: "Runs a control plane on a temporary store, two HTTP services and a TCP service, and a data plane with a real Envoy\n" +
			"beside each; sends traffic through them and shows what happened. Needs an Envoy; no root, no containers, no network.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.dataplanes = a.demoDataplanes
			return demoRun(cmd.Context(), o)
		},
	}
	cmd.Flags().BoolVar(&o.once, "once", false, "end after the tables instead of waiting for Ctrl-C")
	cmd.Flags().StringVar(&o.envoy, "binary-path", o.envoy, "Envoy's binary (default: envoy on PATH)")
	cmd.Flags().StringVar(&o.logLevel, "log-level", "off", "debug, info, warn, error or off")
	return cmd
}

func demoRun(ctx context.Context, o demoOptions) error {
	log, err := newLog(o.errs, o.logLevel)
	if err != nil {
		return err
	}
	d, err := o.start(ctx, log)
	if err != nil {
		return err
	}
	defer d.Close()
	calls := d.Traffic(ctx, 20)
	if err := o.tables(ctx, d, calls); err != nil {
		return err
	}
	for _, c := range calls {
		if c.Answered < c.Requests {
			return problem.New(problem.Unavailable, "%d of %d requests from %s to %s were not answered: %s",
				c.Requests-c.Answered, c.Requests, c.From, c.To, c.Answer)
		}
	}
	if o.once {
		return nil
	}
	o.out.Line("")
	o.out.Line("Try it: curl %s", d.Web())
	o.out.Line("        kumactl config control-planes add --name demo --address %s", d.API())
	o.out.Line("%s", o.out.Faint("Ctrl-C ends it and leaves nothing behind."))
	return d.Wait(ctx)
}

func (o demoOptions) start(ctx context.Context, log *slog.Logger) (*demo.Demo, error) {
	return demo.Start(ctx, demo.Options{Version: theBuild().Version, EnvoyPath: o.envoy, Log: log, Progress: func(step string) {
		o.errs.Line("%s %s", o.errs.Good("✓"), step)
	}})
}

func (o demoOptions) tables(ctx context.Context, d *demo.Demo, calls []demo.Call) error {
	o.out.Line("")
	if err := o.dataplanes(ctx, d.API()); err != nil {
		return err
	}
	o.out.Line("")
	table := render.Table{Columns: []render.Column{
		{Title: "FROM"}, {Title: "TO"}, {Title: "PROTOCOL"}, {Title: "ANSWERED"}, {Title: "MEDIAN", Rank: 1}, {Title: "LAST ANSWER"},
	}}
	for _, c := range calls {
		table.Rows = append(table.Rows, []string{
			c.From, c.To, c.Protocol, fmt.Sprintf("%d of %d", c.Answered, c.Requests), c.Median.Round(10 * time.Microsecond).String(), c.Answer,
		})
	}
	return o.out.Table(table)
}

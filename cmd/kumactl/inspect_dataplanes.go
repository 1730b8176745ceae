package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kumactl/kumactl/internal/client"
	"github.com/kumactl/kumactl/internal/render"
	"github.com/kumactl/kumactl/internal/resource"
)

type inspectDataplanesOptions struct {
	out, errs render.Output
	now       func() time.Time
	connect   func() (*client.Client, error)

	scope   scopeOptions
	filter  client.Filter
	format  render.Format
	gateway bool
	ingress bool
	watch   bool
}

func newInspectDataplanesCmd(a *app) *cobra.Command {
	o := &inspectDataplanesOptions{out: a.out, errs: a.errs, now: a.now, connect: a.connect}
	cmd := &cobra.Command{
		Use:     "dataplanes",
		Aliases: []string{"dps"},
		Short:   "Show which data planes are connected, and how they are",
		Example: "  kumactl inspect dataplanes\n" +
			"  kumactl inspect dataplanes --tag kuma.io/service=web --watch\n" +
			"  kumactl inspect dataplanes -A -o wide",
		Args:              noNames("inspect dataplane NAME"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return inspectDataplanesRun(cmd.Context(), o) },
	}
	flags := cmd.Flags()
	o.scope.flags(a, cmd)
	formatFlag(cmd, &o.format)
	flags.StringToStringVar(&o.filter.Tags, "tag", nil, "only data planes with these tags: key=value")
	flags.StringToStringVarP(&o.filter.Labels, "selector", "l", nil, "only data planes with these labels: key=value")
	flags.BoolVar(&o.gateway, "gateway", false, "only gateways")
	flags.BoolVar(&o.ingress, "ingress", false, "accepted, and changes nothing: zone ingresses are of a kind of their own")
	flags.BoolVarP(&o.watch, "watch", "w", false, "stay, and draw again whenever something changes")
	return cmd
}

// noNames refuses arguments, and says which command takes them.
func noNames(other string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return unknownArgument(cmd, args[0], other)
	}
}

func inspectDataplanesRun(ctx context.Context, o *inspectDataplanesOptions) error {
	if err := o.format.Check(); err != nil {
		return err
	}
	c, err := o.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	show := func(out render.Output) error { return o.show(ctx, c, out) }
	if o.watch {
		return watchAndDraw(ctx, c, o.out, []string{"Dataplane", "DataplaneInsight"}, show)
	}
	return show(o.out)
}

func (o *inspectDataplanesOptions) show(ctx context.Context, c *client.Client, out render.Output) error {
	query := o.filter.Query()
	if o.gateway {
		query.Set("gateway", "true")
	}
	overviews, list, err := c.Overviews(ctx, o.scope.name(), query)
	if err != nil {
		return missingMesh(ctx, c, o.scope.mesh, err)
	}
	switch o.format {
	case render.FormatYAML, render.FormatJSON:
		return writeList(out, o.format, list)
	case render.FormatName:
		for _, v := range overviews {
			out.Line("dataplane/%s", v.Name)
		}
		return nil
	case render.FormatWide:
		out.Width = 0
	}
	if len(overviews) == 0 {
		o.nothing()
		return nil
	}
	notes := c.Refusals(ctx, overviews)
	return out.Table(dataplaneTable(o.now(), overviews, notes))
}

func (o *inspectDataplanesOptions) nothing() {
	what := "no data planes in mesh " + o.scope.mesh
	if o.scope.all {
		what = "no data planes"
	}
	if len(o.filter.Labels)+len(o.filter.Tags) > 0 || o.gateway {
		o.errs.Line("%s that match", what)
		return
	}
	o.errs.Line("%s", what)
	o.errs.Hint("kumactl run dataplane --service web --port 8080")
}

// dataplaneTable is a line for each proxy. Notes come from its state and from what it refused.
func dataplaneTable(now time.Time, overviews []client.Overview, refused map[resource.Key]string) render.Table {
	table := render.Table{Columns: []render.Column{
		{Title: "MESH", Rank: 3},
		{Title: "NAME"},
		{Title: "TAGS", List: true, Rank: 1},
		{Title: "STATUS"},
		{Title: "LAST CONNECTED", Rank: 4},
		{Title: "LAST UPDATED", Rank: 5},
		{Title: "UPDATES", Rank: 3},
		{Title: "ERRORS", Rank: 2},
		{Title: "CERTIFICATE", Rank: 4, Optional: true},
		{Title: "BACKEND", Rank: 6, Optional: true},
		{Title: "VERSION", Rank: 6},
		{Title: "ENVOY", Rank: 5},
		{Title: "NOTES", Text: true, Optional: true},
	}}
	for _, v := range overviews {
		state, why := v.State()
		if text := refused[resource.Key{Mesh: v.Mesh, Name: v.Name}]; text != "" {
			why = append(why, text)
		}
		version := v.Last().GetVersion()
		mtls := v.Insight.GetMTLS()
		table.Rows = append(table.Rows, []string{
			v.Mesh, v.Name, v.TagText(), string(state),
			render.Age(now, v.LastConnected()), render.Age(now, v.LastUpdated()), fmt.Sprint(v.Updates()), fmt.Sprint(v.Errors()),
			certificate(now, v), mtls.GetIssuedBackend(),
			version.GetKumaDp().GetVersion(), version.GetEnvoy().GetVersion(), strings.Join(why, "; "),
		})
	}
	return table
}

// certificate says how long a proxy's certificate is good for.
func certificate(now time.Time, v client.Overview) string {
	expires := v.Insight.GetMTLS().GetCertificateExpirationTime()
	if expires == nil {
		return ""
	}
	if at := expires.AsTime(); at.After(now) {
		return render.Age(at, now) + " left"
	}
	return "expired " + render.Age(now, expires.AsTime()) + " ago"
}

// demoDataplanes shows the table of data planes of the control plane at a URL.
func (a *app) demoDataplanes(ctx context.Context, url string) error {
	o := &inspectDataplanesOptions{out: a.out, errs: a.errs, now: a.now, format: render.FormatTable, scope: scopeOptions{all: true}}
	o.connect = func() (*client.Client, error) {
		return a.connectTo(client.ControlPlane{Name: "demo", Coordinates: client.Coordinates{APIServer: client.Endpoint{URL: url}}})
	}
	return inspectDataplanesRun(ctx, o)
}

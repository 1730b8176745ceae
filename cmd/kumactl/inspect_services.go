package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kumactl/kumactl/internal/client"
	"github.com/kumactl/kumactl/internal/render"
)

type inspectServicesOptions struct {
	out, errs render.Output
	connect   func() (*client.Client, error)

	scope  scopeOptions
	format render.Format
	watch  bool
}

func newInspectServicesCmd(a *app) *cobra.Command {
	o := &inspectServicesOptions{out: a.out, errs: a.errs, connect: a.connect}
	cmd := &cobra.Command{
		Use:               "services",
		Short:             "Show the services of a mesh, and how many of their data planes are online",
		Args:              noNames("get dataplanes --tag kuma.io/service=NAME"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return inspectServicesRun(cmd.Context(), o) },
	}
	o.scope.flags(a, cmd)
	formatFlag(cmd, &o.format)
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false, "stay, and draw again whenever something changes")
	return cmd
}

func inspectServicesRun(ctx context.Context, o *inspectServicesOptions) error {
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

func (o *inspectServicesOptions) show(ctx context.Context, c *client.Client, out render.Output) error {
	services, list, err := c.Services(ctx, o.scope.name())
	if err != nil {
		return missingMesh(ctx, c, o.scope.mesh, err)
	}
	switch o.format {
	case render.FormatYAML, render.FormatJSON:
		return writeList(out, o.format, serviceOverviews(list))
	case render.FormatName:
		for _, s := range services {
			out.Line("service/%s", s.Name)
		}
		return nil
	case render.FormatWide:
		out.Width = 0
	}
	if len(services) == 0 {
		what := "no services in mesh " + o.scope.mesh
		if o.scope.all {
			what = "no services"
		}
		o.errs.Line("%s", what)
		return nil
	}
	return out.Table(serviceTable(services, o.scope.all || o.format == render.FormatWide))
}

// serviceOverviews gives the items the type that kumactl has always shown for them.
func serviceOverviews(list *client.List) *client.List {
	renamed := *list
	renamed.Items = make([]json.RawMessage, len(list.Items))
	for i, raw := range list.Items {
		for _, from := range []string{`"type": "ServiceInsight"`, `"type":"ServiceInsight"`} {
			raw = bytes.Replace(raw, []byte(from), []byte(`"type":"ServiceOverview"`), 1)
		}
		renamed.Items[i] = raw
	}
	return &renamed
}

func serviceTable(services []client.Service, withMesh bool) render.Table {
	table := render.Table{Columns: []render.Column{
		{Title: "MESH"},
		{Title: "SERVICE"},
		{Title: "STATUS"},
		{Title: "DATAPLANES"},
		{Title: "TYPE", Rank: 1, Optional: true},
		{Title: "ZONES", Rank: 3, List: true},
		{Title: "ADDRESS", Rank: 2, Optional: true},
	}}
	for _, s := range services {
		table.Rows = append(table.Rows, []string{
			s.Mesh, s.Name, string(s.State()), fmt.Sprintf("%d/%d", s.Dataplanes.Online, s.Dataplanes.Total),
			s.Type, strings.Join(s.Zones, " "), s.Address,
		})
	}
	if !withMesh {
		table.Columns = table.Columns[1:]
		for i, row := range table.Rows {
			table.Rows[i] = slices.Clone(row[1:])
		}
	}
	return table
}

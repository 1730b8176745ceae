package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kumactl/kumactl/internal/client"
	"github.com/kumactl/kumactl/internal/render"
)

type inspectMeshesOptions struct {
	out, errs render.Output
	connect   func() (*client.Client, error)

	format render.Format
	watch  bool
}

func newInspectMeshesCmd(a *app) *cobra.Command {
	o := &inspectMeshesOptions{out: a.out, errs: a.errs, connect: a.connect}
	cmd := &cobra.Command{
		Use:               "meshes",
		Short:             "Show what each mesh holds: data planes, services, policies",
		Args:              noNames("get mesh NAME"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return inspectMeshesRun(cmd.Context(), o) },
	}
	formatFlag(cmd, &o.format)
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false, "stay, and draw again whenever something changes")
	return cmd
}

func inspectMeshesRun(ctx context.Context, o *inspectMeshesOptions) error {
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
		return watchAndDraw(ctx, c, o.out, nil, show)
	}
	return show(o.out)
}

func (o *inspectMeshesOptions) show(ctx context.Context, c *client.Client, out render.Output) error {
	meshes, list, err := c.Meshes(ctx)
	if err != nil {
		return err
	}
	switch o.format {
	case render.FormatYAML, render.FormatJSON:
		return writeList(out, o.format, list)
	case render.FormatName:
		for _, m := range meshes {
			out.Line("mesh/%s", m.Name)
		}
		return nil
	case render.FormatWide:
		out.Width = 0
	}
	if len(meshes) == 0 {
		o.errs.Line("no meshes")
		o.errs.Hint(`echo '{type: Mesh, name: default}' | kumactl apply -f -`)
		return nil
	}
	return out.Table(meshTable(meshes))
}

// meshTable is a line for each mesh; DATAPLANES counts those that are online, and all.
func meshTable(meshes []client.Mesh) render.Table {
	table := render.Table{Columns: []render.Column{
		{Title: "MESH"},
		{Title: "DATAPLANES"},
		{Title: "SERVICES"},
		{Title: "DEGRADED", Rank: 2},
		{Title: "MTLS", Rank: 1, Optional: true},
		{Title: "POLICIES", Rank: 1, List: true, Optional: true},
	}}
	for _, m := range meshes {
		var policies []string
		for _, kind := range slices.Sorted(maps.Keys(m.Policies)) {
			policies = append(policies, fmt.Sprintf("%s=%d", kind, m.Policies[kind].Total))
		}
		table.Rows = append(table.Rows, []string{
			m.Name, fmt.Sprintf("%d/%d", m.Dataplanes.Online, m.Dataplanes.Total), fmt.Sprint(m.Services.Total), fmt.Sprint(m.Dataplanes.Partly),
			strings.Join(slices.Sorted(maps.Keys(m.MTLS.Issued)), ","), strings.Join(policies, " "),
		})
	}
	return table
}

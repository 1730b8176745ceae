package main

import (
	"context"
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/kumactl/kumactl/internal/client"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/render"
	"github.com/kumactl/kumactl/internal/resource"
)

func newInspectCmd(a *app) *cobra.Command {
	policy := &inspectPolicyOptions{out: a.out, errs: a.errs, connect: a.connect}
	cmd := group(&cobra.Command{
		Use:   "inspect",
		Short: "Show how things are: proxies, services, meshes, what a policy reaches",
		Long: "Shows the state of what runs, where `get` shows what was written.\n" +
			"`kumactl inspect POLICY NAME`, as in `inspect meshtimeout slow`, lists the data planes that a policy reaches.",
		Example: "  kumactl inspect dataplanes --watch\n" +
			"  kumactl inspect dataplane web-1\n" +
			"  kumactl inspect services\n" +
			"  kumactl inspect meshtimeout slow",
	},
		newInspectDataplanesCmd(a),
		newInspectDataplaneCmd(a),
		newInspectServicesCmd(a),
		newInspectMeshesCmd(a),
	)
	cmd.Flags().StringVarP(&policy.mesh, "mesh", "m", "default", "mesh of the policy")
	cmd.Flags().BoolVar(&policy.newAPI, "new-api", false, "accepted, and changes nothing")
	cmd.Flags().StringVar(&policy.offset, "offset", "", "how many data planes to leave out at the beginning")
	cmd.Flags().StringVarP((*string)(&policy.format), "output", "o", string(render.FormatTable), "how to show it: table, yaml, json, name")
	cmd.Flags().Lookup("new-api").Hidden = true
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		policy.kinds = a.kinds()
		return inspectPolicyRun(cmd.Context(), policy, args)
	}
	return cmd
}

type inspectPolicyOptions struct {
	out, errs render.Output
	kinds     []*resource.Kind
	connect   func() (*client.Client, error)

	mesh   string
	newAPI bool
	offset string
	format render.Format
}

// inspectPolicyRun lists the data planes that a policy reaches.
func inspectPolicyRun(ctx context.Context, o *inspectPolicyOptions, args []string) error {
	if err := o.format.Check(); err != nil {
		return err
	}
	k, _, err := kindNamed(o.kinds, args[0])
	if err != nil {
		return err
	}
	switch {
	case k.Policy == nil:
		return problem.New(problem.Invalid, "%s is no policy", args[0]).WithHint("`kumactl get %s` shows what was written", args[0])
	case len(args) != 2:
		return problem.New(problem.Invalid, "inspect %s takes one name", args[0]).WithHint("`kumactl get %s` lists the names", pluralOf(k))
	}
	c, err := o.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	list, err := c.Reached(ctx, k, o.mesh, args[1], client.Filter{Offset: o.offset})
	if notThere(err) {
		return missingResource(ctx, c, k, o.mesh, args[1])
	}
	if err != nil {
		return err
	}
	switch o.format {
	case render.FormatYAML, render.FormatJSON:
		return writeList(o.out, o.format, list)
	case render.FormatName:
		for _, name := range headNames(list) {
			o.out.Line("dataplane/%s", name)
		}
		return nil
	}
	return o.table(list, args)
}

func (o *inspectPolicyOptions) table(list *client.List, args []string) error {
	table := render.Table{Columns: []render.Column{{Title: "MESH"}, {Title: "DATAPLANE"}}}
	for _, raw := range list.Items {
		var head resource.Head
		if err := json.Unmarshal(raw, &head); err != nil {
			return err
		}
		table.Rows = append(table.Rows, []string{head.Mesh, head.Name})
	}
	if len(table.Rows) == 0 {
		o.errs.Line("%s %q reaches no data plane", args[0], args[1])
		return nil
	}
	return o.out.Table(table)
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/kumactl/kumactl/internal/client"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/render"
)

func newConfigCmd(a *app) *cobra.Command {
	use := newSwitchCmd(a)
	use.Use, use.Short = "use NAME", "Switch to another control plane (config control-planes switch)"
	return group(&cobra.Command{
		Use:   "config",
		Short: "Manage the control planes that kumactl knows",
	},
		newConfigViewCmd(a),
		group(&cobra.Command{
			Use:     "control-planes",
			Aliases: []string{"control-plane", "cps"},
			Short:   "Add, list, remove and switch control planes",
		}, newAddCmd(a), newListCmd(a), newRemoveCmd(a), newSwitchCmd(a)),
		use,
	)
}

func newConfigViewCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "view",
		Short: "Print the file with the known control planes",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			known, err := a.contexts()
			if err != nil {
				return err
			}
			raw, err := json.Marshal(known)
			if err != nil {
				return err
			}
			return a.out.YAML(raw)
		},
	}
}

type addOptions struct {
	out, errs render.Output
	connectTo func(client.ControlPlane) (*client.Client, error)
	change    func(func(*client.Contexts) error) error

	plane     client.ControlPlane
	headers   map[string]string
	overwrite bool
	skipCheck bool
}

func newAddCmd(a *app) *cobra.Command {
	o := &addOptions{out: a.out, errs: a.errs, connectTo: a.connectTo, change: a.changeContexts}
	cmd := &cobra.Command{
		Use:   "add --name NAME --address URL",
		Short: "Add a control plane, and switch to it",
		Example: "  kumactl config control-planes add --name home --address http://192.168.1.10:5681\n" +
			"  kumactl config control-planes add --name prod --address https://cp.example.com:5682 --ca-cert-file ca.pem \\\n" +
			"    --auth-type tokens --auth-conf token=TOKEN",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return addRun(cmd.Context(), o) },
	}
	flags, server := cmd.Flags(), &o.plane.Coordinates.APIServer
	flags.StringVar(&o.plane.Name, "name", "", "name for the control plane")
	flags.StringVar(&server.URL, "address", "", "URL of its API, such as http://localhost:5681 or https://localhost:5682")
	flags.StringVar(&server.CACertFile, "ca-cert-file", "", "authority that its certificate must come from (the file is named, not copied)")
	flags.StringVar(&server.ClientCertFile, "client-cert-file", "", "certificate to show to it (the file is named, not copied)")
	flags.StringVar(&server.ClientKeyFile, "client-key-file", "", "key of that certificate (the file is named, not copied)")
	flags.StringVar(&server.AuthType, "auth-type", "", "how to say who you are: tokens")
	flags.StringToStringVar(&server.AuthConf, "auth-conf", nil, "what --auth-type needs: token=TOKEN")
	flags.StringToStringVar(&o.headers, "headers", nil, "headers for each request: key=value")
	flags.BoolVar(&server.SkipVerify, "skip-verify", false, "trust whoever answers at the address")
	flags.BoolVar(&o.overwrite, "overwrite", false, "replace the control plane of that name")
	flags.BoolVar(&o.skipCheck, "skip-check", false, "do not try to reach it now")
	for _, name := range []string{"name", "address"} {
		// The error is about a flag that does not exist.
		_ = cmd.MarkFlagRequired(name)
	}
	return cmd
}

func addRun(ctx context.Context, o *addOptions) error {
	server := &o.plane.Coordinates.APIServer
	for _, key := range slices.Sorted(maps.Keys(o.headers)) {
		server.Headers = append(server.Headers, client.Header{Key: key, Value: o.headers[key]})
	}
	if server.AuthType == client.AuthTokens && server.AuthConf["token"] == "" {
		return problem.New(problem.Invalid, "--auth-type tokens needs a token").WithHint("--auth-conf token=TOKEN")
	}
	if err := o.check(ctx); err != nil {
		return err
	}
	if err := o.change(func(known *client.Contexts) error { return known.Add(o.plane, o.overwrite) }); err != nil {
		return err
	}
	o.out.Line("added control plane %q, and switched to it", o.plane.Name)
	return nil
}

// check asks the control plane who it is. With --skip-check what would not work is only told.
func (o *addOptions) check(ctx context.Context) error {
	c, err := o.connectTo(o.plane)
	if err == nil {
		defer c.Close()
		if o.skipCheck {
			return nil
		}
		_, err = c.Index(ctx)
	}
	p := asProblem(err)
	if p == nil {
		return err
	}
	known := p.Code == problem.Invalid && o.plane.Coordinates.APIServer.AuthType != "" && o.plane.Coordinates.APIServer.AuthType != client.AuthTokens
	if o.skipCheck && !known {
		o.errs.Line("%s %s", o.errs.Careful("Warning:"), p)
		return nil
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return p.WithHint("start it first, or add it all the same with --skip-check")
	}
	return p
}

func newListCmd(a *app) *cobra.Command {
	var format render.Format
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the known control planes",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			known, err := a.contexts()
			if err != nil {
				return err
			}
			return listPlanes(a.out, known, format)
		},
	}
	formatFlag(cmd, &format)
	return cmd
}

func listPlanes(out render.Output, known *client.Contexts, format render.Format) error {
	if err := format.Check(); err != nil {
		return err
	}
	table := render.Table{
		Columns: []render.Column{{Title: "ACTIVE"}, {Title: "NAME"}, {Title: "ADDRESS"}},
		Empty:   "no control planes; kumactl config control-planes add --name local --address " + client.LocalURL,
	}
	active, _ := known.Active("")
	for _, p := range known.ControlPlanes {
		mark := ""
		if p.Name == active.Name {
			mark = "*"
		}
		table.Rows = append(table.Rows, []string{mark, p.Name, p.Coordinates.APIServer.URL})
	}
	raw, err := json.Marshal(known.ControlPlanes)
	switch {
	case err != nil:
		return err
	case format == render.FormatYAML:
		return out.YAML(raw)
	case format == render.FormatJSON:
		return out.JSON(raw)
	case format == render.FormatName:
		for _, name := range known.Names() {
			out.Line("%s", name)
		}
		return nil
	}
	return out.Table(table)
}

func newRemoveCmd(a *app) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:               "remove NAME",
		Short:             "Forget a control plane",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completePlanes,
		RunE: func(_ *cobra.Command, args []string) error {
			if name = firstOf(args, name); name == "" {
				return problem.New(problem.Invalid, "no control plane is named").WithHint("kumactl config control-planes remove --name NAME")
			}
			before, now := "", ""
			err := a.changeContexts(func(known *client.Contexts) error {
				before = known.CurrentContext
				err := known.Remove(name)
				now = known.CurrentContext
				return err
			})
			if err != nil {
				return err
			}
			a.out.Line("removed control plane %q", name)
			if now != before && now != "" {
				a.out.Line("switched to control plane %q", now)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "name of the control plane")
	return cmd
}

func newSwitchCmd(a *app) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:               "switch NAME",
		Short:             "Switch to another control plane",
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completePlanes,
		RunE: func(_ *cobra.Command, args []string) error {
			if name = firstOf(args, name); name == "" {
				return problem.New(problem.Invalid, "no control plane is named").WithHint("kumactl config control-planes switch --name NAME")
			}
			if err := a.changeContexts(func(known *client.Contexts) error { return known.Switch(name) }); err != nil {
				return err
			}
			a.out.Line("switched to control plane %q", name)
			return nil
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "name of the control plane")
	return cmd
}

func firstOf(args []string, other string) string {
	if len(args) > 0 {
		return args[0]
	}
	return other
}

// changeContexts reads the known control planes, changes them and writes them back.
func (a *app) changeContexts(change func(*client.Contexts) error) error {
	path := a.contextsPath()
	if path == "" {
		return problem.New(problem.Invalid, "there is no file to write to").WithHint("leave --no-config out, or name a file with --config-file")
	}
	known, err := client.ReadContexts(path)
	if errors.Is(err, fs.ErrNotExist) {
		known, err = client.DefaultContexts(), nil
	}
	if err != nil {
		return err
	}
	if err := change(known); err != nil {
		return err
	}
	return known.Write(path)
}

func (a *app) completePlanes(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	known, err := a.contexts()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return known.Names(), cobra.ShellCompDirectiveNoFileComp
}

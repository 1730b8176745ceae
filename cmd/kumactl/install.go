package main

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/kumactl/kumactl/internal/client"
	"github.com/kumactl/kumactl/internal/install"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/render"
)

// localPlane is the name under which the client knows the control plane of this machine.
const localPlane = "local"

type installOptions struct {
	out, errs render.Output
	getenv    func(string) string
	change    func(func(*client.Contexts) error) error

	dryRun       bool
	user, system bool
	dataDir      string
	zone         string
	logLevel     string
	purge        bool
}

func newInstallCmd(a *app) *cobra.Command {
	o := &installOptions{out: a.out, errs: a.errs, getenv: a.getenv, change: a.changeContexts}
	controlPlane := &cobra.Command{
		Use:   "control-plane",
		Short: "Make this machine a node: directories, configuration, keys, a service",
		Long: "Writes the configuration, makes the keys, and has the system's service manager run the control plane:\n" +
			"as a service of the system for root, as a service of the user for everybody else. Run twice it changes nothing.",
		Example: "  kumactl install control-plane\n" +
			"  kumactl install control-plane --dry-run    # everything it would do, as a shell script\n" +
			"  sudo kumactl install control-plane --data-dir /srv/kumactl",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return installRun(cmd.Context(), o) },
	}
	o.flags(controlPlane)
	flags := controlPlane.Flags()
	flags.BoolVar(&o.dryRun, "dry-run", false, "print everything that would be done as a shell script, and do nothing")
	flags.StringVar(&o.zone, "zone", "", "name of the zone, in a new configuration (default \"default\")")
	flags.StringVar(&o.logLevel, "cp-log-level", "", "log level, in a new configuration (default \"warn\")")
	return group(&cobra.Command{Use: "install", Short: "Make this machine a part of the mesh"}, controlPlane)
}

func newUninstallCmd(a *app) *cobra.Command {
	o := &installOptions{out: a.out, errs: a.errs, getenv: a.getenv, change: a.changeContexts}
	controlPlane := &cobra.Command{
		Use:               "control-plane",
		Short:             "Take back what install did; the data stays unless --purge is given",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return uninstallRun(cmd.Context(), o) },
	}
	o.flags(controlPlane)
	controlPlane.Flags().BoolVar(&o.purge, "purge", false, "delete the data too: resources, secrets, keys")
	return group(&cobra.Command{Use: "uninstall", Short: "Take back what install did"}, controlPlane)
}

// flags that say whose node it is; install and uninstall must agree on them.
func (o *installOptions) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&o.user, "user", false, "a service of this user (what everybody but root gets)")
	flags.BoolVar(&o.system, "system", false, "a service of the system (what root gets)")
	flags.StringVar(&o.dataDir, "data-dir", "", "folder for the store and the keys (default /var/lib/kumactl, or below ~/.local/share)")
	cmd.MarkFlagsMutuallyExclusive("user", "system")
	// The error is about a flag that does not exist.
	_ = cmd.MarkFlagDirname("data-dir")
}

// plan works out what is to be done on this machine.
func (o *installOptions) plan() (install.Plan, error) {
	settings, err := install.ForThisMachine(o.getenv)
	if err != nil {
		return install.Plan{}, err
	}
	switch {
	case o.system && settings.Scope != install.System:
		return install.Plan{}, problem.New(problem.Forbidden, "a service of the system is root's").
			WithHint("run it again with sudo")
	case o.user && settings.Scope != install.User:
		return install.Plan{}, problem.New(problem.Invalid, "root has the service of the system").
			WithHint("run it as the user whose control plane it is to be")
	}
	if o.dataDir != "" {
		if settings.Paths.DataDir, err = filepath.Abs(o.dataDir); err != nil {
			return install.Plan{}, err
		}
	}
	if o.zone != "" {
		settings.Settings.Zone = o.zone
	}
	if o.logLevel != "" {
		settings.Settings.LogLevel = o.logLevel
	}
	settings.Context = &install.Context{Name: localPlane, Save: o.remember, Remove: o.forget}
	return install.NewPlan(settings)
}

func installRun(ctx context.Context, o *installOptions) error {
	plan, err := o.plan()
	if err != nil {
		return err
	}
	if o.dryRun {
		_, err := o.out.Out.Write([]byte(plan.Script()))
		return err
	}
	changed := false
	steps := render.NewSteps(o.errs)
	err = plan.Apply(ctx, func(s install.Step, state install.State) {
		changed = changed || state.Changes()
		show(steps, s, state)
	})
	if err != nil {
		steps.Broken()
		return err
	}
	for _, note := range plan.Notes() {
		o.errs.Line("%s %s", o.errs.Careful("Note:"), note)
	}
	if !changed {
		o.out.Line("nothing to change: this machine is a node already")
	}
	if manual := plan.Manual(); manual != "" {
		o.out.Line("no service manager runs here; start the control plane with:\n  %s", manual)
		return nil
	}
	if changed {
		o.out.Line("this machine is a node; next: kumactl inspect meshes")
	}
	return nil
}

func uninstallRun(ctx context.Context, o *installOptions) error {
	plan, err := o.plan()
	if err != nil {
		return err
	}
	steps := render.NewSteps(o.errs)
	if err := plan.Uninstall(ctx, o.purge, func(s install.Step, state install.State) { show(steps, s, state) }); err != nil {
		steps.Broken()
		return err
	}
	if !o.purge {
		o.out.Line("the data stays where it is; --purge deletes it")
	}
	return nil
}

func show(steps *render.Steps, s install.Step, state install.State) {
	if state == install.Working {
		steps.Begin(s.Name, s.Detail)
		return
	}
	steps.End(s.Name, s.Detail, string(state))
}

// remember makes the control plane of this machine known to the client.
func (o *installOptions) remember(name, address string) (install.State, error) {
	state := install.Created
	err := o.change(func(known *client.Contexts) error {
		plane := client.ControlPlane{Name: name, Coordinates: client.Coordinates{APIServer: client.Endpoint{URL: address}}}
		for _, p := range known.ControlPlanes {
			if p.Name != name {
				continue
			}
			if state = install.Updated; sameAddress(p.Coordinates.APIServer.URL, address) && known.CurrentContext == name {
				return errUnchanged
			}
		}
		return known.Add(plane, true)
	})
	if errors.Is(err, errUnchanged) {
		return install.Unchanged, nil
	}
	return state, err
}

// errUnchanged leaves the file with the known control planes as it is.
var errUnchanged = errors.New("unchanged")

// sameAddress knows that localhost is 127.0.0.1.
func sameAddress(a, b string) bool {
	return a == b || a == client.LocalURL && b == "http://127.0.0.1:5681"
}

// forget takes the control plane out of the client's file, unless it is there as it is for everybody.
func (o *installOptions) forget(name string) (install.State, error) {
	err := o.change(func(known *client.Contexts) error {
		for _, p := range known.ControlPlanes {
			if p.Name == name && p.Coordinates.APIServer.URL != client.LocalURL {
				return known.Remove(name)
			}
		}
		return errUnchanged
	})
	if errors.Is(err, errUnchanged) {
		return install.Absent, nil
	}
	return install.Removed, err
}

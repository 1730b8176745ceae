package main

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/kumactl/kumactl/internal/install"
	"github.com/kumactl/kumactl/internal/launcher"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/render"
	"github.com/kumactl/kumactl/internal/server"
)

type runDataplaneOptions struct {
	config   launcher.Config
	quick    launcher.QuickOptions
	vars     map[string]string
	logLevel string
	stdin    *os.File
	out      render.Output
	errs     render.Output
}

func newRunDataplaneCmd(a *app) *cobra.Command {
	o := &runDataplaneOptions{config: launcher.Default(), out: a.out, errs: a.errs, stdin: a.stdin}
	cmd := &cobra.Command{
		Use:     "dataplane",
		Aliases: []string{"dp"},
		Short:   "Run a data plane: Envoy beside an application, configured by the control plane",
		Long: "Registers a Dataplane, gets its configuration from the control plane and runs Envoy with it until Ctrl-C or SIGTERM.\n" +
			"The Dataplane comes from a file, from stdin, from flags (--service and --port), or is there already (--name and --mesh).",
		Example: "  kumactl run dataplane --service web --port 8080 --protocol http\n" +
			"  kumactl run dataplane --service web --port 8080 --outbound api:9000   # web finds api on 127.0.0.1:9000\n" +
			"  kumactl run dataplane -d dataplane.yaml -v name=web-1 -v address=10.0.0.7",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.layEnvironment(cmd.Flags(), environment(os.Environ())); err != nil {
				return err
			}
			return runDataplaneRun(cmd.Context(), o)
		},
	}
	o.resourceFlags(cmd.Flags())
	o.envoyFlags(cmd.Flags())
	o.controlPlaneFlags(cmd.Flags())
	return cmd
}

func (o *runDataplaneOptions) resourceFlags(f *pflag.FlagSet) {
	c, q := &o.config, &o.quick
	f.StringVarP(&c.ResourcePath, "dataplane-file", "d", c.ResourcePath, "file with the Dataplane; - is stdin")
	f.StringVar(&c.Resource, "dataplane", c.Resource, "the Dataplane itself, as YAML or JSON")
	f.StringToStringVarP(&o.vars, "dataplane-var", "v", nil, "values for {{ variables }} in the Dataplane")
	f.StringVar(&c.Name, "name", c.Name, "name of the Dataplane")
	f.StringVarP(&c.Mesh, "mesh", "m", c.Mesh, "mesh of the Dataplane")
	f.StringVar(&c.ProxyType, "proxy-type", c.ProxyType, "dataplane, ingress or egress")
	f.StringVar(&q.Service, "service", "", "make a Dataplane for this service")
	f.IntVar(&q.Port, "port", 0, "port on which the application listens (with --service)")
	f.IntVar(&q.ServicePort, "service-port", 0, "the application's port, where --port is to be the mesh's")
	f.StringVar(&q.Protocol, "protocol", "", "http, http2, grpc, kafka or tcp (with --service; default tcp)")
	f.StringVar(&q.Address, "address", "", "address at which other data planes reach this one (with --service)")
	f.StringArrayVar(&q.Outbounds, "outbound", nil, "SERVICE:PORT: the application finds SERVICE on 127.0.0.1:PORT; repeatable")
	f.StringToStringVar(&q.Tags, "tag", nil, "further tags of the service")
}

func (o *runDataplaneOptions) envoyFlags(f *pflag.FlagSet) {
	c := &o.config
	f.StringVar(&c.BinaryPath, "binary-path", c.BinaryPath, "Envoy's binary (default: envoy on PATH, or beside this program)")
	f.Uint32Var(&c.Concurrency, "concurrency", c.Concurrency, "Envoy's worker threads; 0 means one for each core")
	f.StringVar(&c.WorkDir, "work-dir", c.WorkDir, "folder for Envoy's first configuration and sockets (default: a temporary one)")
	f.StringVar(&c.ConfigDir, "config-dir", c.ConfigDir, "an older name of --work-dir")
	f.DurationVar(&c.DrainTime, "drain-time", c.DrainTime, "how long open connections get to end at a stop")
	f.StringVar(&c.EnvoyLogLevel, "envoy-log-level", c.EnvoyLogLevel, "Envoy's own log level")
	f.StringVar(&c.EnvoyComponentLogLevel, "envoy-component-log-level", c.EnvoyComponentLogLevel, "log levels of Envoy's components")
	f.StringVar(&c.MetricsCertPath, "metrics-cert-path", c.MetricsCertPath, "certificate for the metrics port")
	f.StringVar(&c.MetricsKeyPath, "metrics-key-path", c.MetricsKeyPath, "key for the metrics port")
	f.IntVar(&c.ReadinessPort, "readiness-port", c.ReadinessPort, "port for /ready; 0 means 9902 or any free one, -1 any, -2 none")
	f.BoolVar(&c.DNSEnabled, "dns-enabled", c.DNSEnabled, "let Envoy answer DNS where its configuration says so")
	f.Uint32Var(&c.DNSPort, "dns-envoy-port", c.DNSPort, "port on which Envoy answers DNS")
	f.StringVar(&o.logLevel, "log-level", "warn", "debug, info, warn, error or off")
}

func (o *runDataplaneOptions) controlPlaneFlags(f *pflag.FlagSet) {
	c := &o.config
	f.StringVar(&c.ControlPlane, "cp-address", c.ControlPlane, "the control plane's port for data planes")
	f.StringVar(&c.CACertFile, "ca-cert-file", c.CACertFile, "authority that the control plane's certificate must come from")
	f.BoolVar(&c.TLSSkipVerify, "skip-verify", c.TLSSkipVerify, "trust whoever answers at --cp-address")
	f.StringVar(&c.Token, "dataplane-token", c.Token, "credential of the data plane")
	f.StringVar(&c.TokenPath, "dataplane-token-file", c.TokenPath, "file that holds the credential")
}

func runDataplaneRun(ctx context.Context, o *runDataplaneOptions) error {
	log, err := newLog(o.errs, o.logLevel)
	if err != nil {
		return err
	}
	c := o.config
	c.Log, c.Stdin, c.Stdout, c.ResourceVars = log, o.stdin, o.out.Out, o.vars
	c.Build = launcher.Build{Version: theBuild().Version}
	if o.quick.Service != "" || o.quick.Port != 0 || len(o.quick.Outbounds) > 0 {
		made, err := o.makeDataplane()
		if err != nil {
			return err
		}
		c.Resource, c.Name, c.Mesh = made.Resource, "", ""
	}
	if c.CACert == "" && c.CACertFile == "" && !c.TLSSkipVerify {
		c.CACertFile = ownAuthority()
	}
	c.OnReady = func(at launcher.Running) {
		o.errs.Line("%s", o.errs.Bold("data plane "+at.Name+" of mesh "+at.Mesh+" serves")+" (Envoy "+at.EnvoyVersion+")")
	}
	l, err := launcher.New(c)
	if err != nil {
		return err
	}
	// The first signal drains; a second one does not wait any longer.
	again := make(chan os.Signal, 1)
	stop := context.AfterFunc(ctx, func() {
		signal.Notify(again, os.Interrupt, syscall.SIGTERM)
		<-again
		l.Stop()
	})
	defer func() {
		stop()
		signal.Stop(again)
	}()
	return l.Run(ctx)
}

// layEnvironment puts the environment below the flags: what a flag said is said again on top of it.
func (o *runDataplaneOptions) layEnvironment(flags *pflag.FlagSet, vars map[string]string) error {
	said := map[string]string{}
	flags.Visit(func(f *pflag.Flag) { said[f.Name] = f.Value.String() })
	config, err := launcher.FromEnv(vars)
	if err != nil {
		return err
	}
	// The flags write into o.config, so it is replaced before they write once more.
	o.config = config
	for name, value := range said {
		f := flags.Lookup(name)
		if f.Value.Type() == "stringToString" || f.Value.Type() == "stringArray" {
			continue
		}
		if err := f.Value.Set(value); err != nil {
			return err
		}
	}
	return nil
}

func (o *runDataplaneOptions) makeDataplane() (launcher.QuickDataplane, error) {
	c := o.config
	if c.ResourcePath != "" || c.Resource != "" {
		return launcher.QuickDataplane{}, problem.New(problem.Invalid, "--service and a Dataplane of your own exclude each other").
			WithHint("leave out --dataplane-file, or write the service into the file")
	}
	q := o.quick
	q.Name, q.Mesh, q.ControlPlane = c.Name, c.Mesh, c.ControlPlane
	made, err := launcher.Quick(q)
	if err != nil {
		return made, err
	}
	if made.Inbound != "" {
		o.errs.Line("%s: the mesh comes in at %s and goes to the application at %s", made.Name, made.Inbound, made.Application)
	}
	if made.Why != "" {
		o.errs.Line("%s", o.errs.Faint(made.Why))
	}
	for _, outbound := range made.Outbounds {
		o.errs.Line("%s: finds %s", made.Name, outbound)
	}
	return made, nil
}

// ownAuthority is the file that a control plane of this user, or of this machine, left on its first run; empty where there is none.
func ownAuthority() string {
	for _, uid := range []int{os.Geteuid(), 0} {
		file := server.FilesIn(install.DefaultDataDir(uid, os.Getenv)).CA
		if f, err := os.Open(file); err == nil {
			f.Close()
			return file
		}
	}
	return ""
}

func environment(environ []string) map[string]string {
	vars := make(map[string]string, len(environ))
	for _, line := range environ {
		if name, value, ok := strings.Cut(line, "="); ok {
			vars[name] = value
		}
	}
	return vars
}

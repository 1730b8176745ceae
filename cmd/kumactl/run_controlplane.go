package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kumactl/kumactl/internal/install"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/render"
	"github.com/kumactl/kumactl/internal/server"
)

type runControlPlaneOptions struct {
	configFile  string
	dataDir     string
	bind        string
	logLevel    string
	printConfig bool
	environ     []string
	out, errs   render.Output
}

func newRunControlPlaneCmd(a *app) *cobra.Command {
	o := runControlPlaneOptions{out: a.out, errs: a.errs}
	cmd := &cobra.Command{
		Use:     "control-plane",
		Aliases: []string{"cp"},
		Short:   "Run the control plane in the foreground",
		Long: "Runs the control plane until Ctrl-C or SIGTERM. What is not said by a flag comes from the environment\n" +
			"(KUMA_API_SERVER_HTTP_PORT, …), then from the configuration file, then from defaults for a laptop:\n" +
			"everything listens on loopback only, and everything is kept in one file.",
		Example: "  kumactl run control-plane\n" +
			"  kumactl run control-plane --data-dir ./cp --log-level info\n" +
			"  kumactl run control-plane --print-config    # every setting, and where its value came from",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.environ = os.Environ()
			return runControlPlaneRun(cmd.Context(), o)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&o.configFile, "config", "c", "", "configuration file (YAML)")
	flags.StringVar(&o.configFile, "config-file", "", "the same as --config")
	flags.StringVar(&o.dataDir, "data-dir", "", "folder for the store and the keys (default "+install.DefaultDataDir(os.Geteuid(), a.getenv)+")")
	flags.StringVar(&o.bind, "bind", "", "address to listen on for all ports (default 127.0.0.1)")
	flags.StringVar(&o.logLevel, "log-level", "", "debug, info, warn or error (default warn)")
	flags.BoolVar(&o.printConfig, "print-config", false, "show every setting and where its value came from, and end")
	return cmd
}

func runControlPlaneRun(ctx context.Context, o runControlPlaneOptions) error {
	config, origins, err := o.config()
	if err != nil {
		return err
	}
	if o.printConfig {
		return printConfig(o.out, config, origins)
	}
	log, err := newLog(o.errs, config.LogLevel)
	if err != nil {
		return err
	}
	config.Version = theBuild().Version
	cp, err := server.New(ctx, config, log)
	if err != nil {
		return err
	}
	banner(o.errs, config, cp.Addresses())
	return errors.Join(cp.Run(ctx), cp.Close())
}

// config lays file, environment and flags over the defaults.
func (o runControlPlaneOptions) config() (server.Config, server.Origins, error) {
	config, origins := server.DefaultConfig(install.DefaultDataDir(os.Geteuid(), os.Getenv)), server.Origins{}
	if o.configFile != "" {
		if err := config.ReadFile(o.configFile, origins); err != nil {
			return config, nil, err
		}
	}
	if err := config.ReadEnvironment(o.environ, origins); err != nil {
		return config, nil, err
	}
	set := func(flag, value string, keys map[string]*string) {
		for key, at := range keys {
			if value != "" {
				*at, origins[key] = value, "flag --"+flag
			}
		}
	}
	set("data-dir", o.dataDir, map[string]*string{"dataDir": &config.DataDir})
	set("log-level", o.logLevel, map[string]*string{"logLevel": &config.LogLevel})
	set("bind", o.bind, map[string]*string{
		"apiServer.http.interface": &config.APIServer.HTTP.Interface, "apiServer.https.interface": &config.APIServer.HTTPS.Interface,
		"dpServer.interface": &config.DPServer.Interface, "diagnostics.interface": &config.Diagnostics.Interface,
	})
	return config, origins, config.Validate()
}

func printConfig(out render.Output, config server.Config, origins server.Origins) error {
	settings, err := config.Settings(origins)
	if err != nil {
		return err
	}
	table := render.Table{Columns: []render.Column{{Title: "KEY"}, {Title: "VALUE"}, {Title: "FROM"}}}
	for _, s := range settings {
		table.Rows = append(table.Rows, []string{s.Key, s.Value, s.Origin})
	}
	return out.Table(table)
}

// banner says in a few lines where the control plane listens, where its data is and how to reach it.
func banner(out render.Output, config server.Config, at server.Addresses) {
	out.Line("%s", out.Bold("control plane of zone "+config.Multizone.Zone.Name+" is ready"))
	row := func(what, where string) { out.Line("  %-12s %s", what, where) }
	row("API", strings.Join(present(url("http", at.HTTP), url("https", at.HTTPS)), "  "))
	row("data planes", url("https", at.DataPlanes))
	row("health", url("http", at.Diagnostics))
	data := config.StorePath()
	if config.Store.Type == "memory" {
		data = "memory only: nothing survives a restart"
	}
	row("data", data)
	if at.HTTP == "127.0.0.1:5681" {
		row("next", "kumactl inspect dataplanes")
		return
	}
	row("next", fmt.Sprintf("kumactl config control-planes add --name here --address %s", url("http", at.HTTP)))
}

func url(scheme, address string) string {
	if address == "" {
		return ""
	}
	return scheme + "://" + address
}

func present(all ...string) (some []string) {
	for _, s := range all {
		if s != "" {
			some = append(some, s)
		}
	}
	return some
}

// newLog writes lines of key=value at a terminal and JSON elsewhere, to stderr.
func newLog(errs render.Output, level string) (*slog.Logger, error) {
	var l slog.Level
	if level == "off" {
		return slog.New(slog.DiscardHandler), nil
	}
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, problem.New(problem.Invalid, "unknown log level %q", level).WithHint("--log-level takes debug, info, warn or error")
	}
	options := &slog.HandlerOptions{Level: l}
	if errs.Width > 0 {
		return slog.New(slog.NewTextHandler(errs.Out, options)), nil
	}
	return slog.New(slog.NewJSONHandler(errs.Out, options)), nil
}

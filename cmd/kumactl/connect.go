package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"github.com/kumactl/kumactl/internal/client"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

// completionTimeout is how long a person who pressed Tab waits for names.
const completionTimeout = 500 * time.Millisecond

// contextsPath is where the known control planes are kept; "" when nothing is to be read or written.
func (a *app) contextsPath() string {
	switch {
	case a.global.noConfig:
		return ""
	case a.global.configFile != "":
		return a.global.configFile
	case a.getenv("KUMACTL_CONFIG") != "":
		return a.getenv("KUMACTL_CONFIG")
	}
	home := a.getenv("HOME")
	if home == "" {
		home = a.getenv("USERPROFILE")
	}
	if home == "" {
		return ""
	}
	return filepath.Join(home, ".kumactl", "config")
}

// contexts are the known control planes. On first use the file is made, as Kuma's kumactl does; where that is not possible the
// control plane on this machine is known all the same.
func (a *app) contexts() (*client.Contexts, error) {
	path := a.contextsPath()
	if path == "" {
		return client.DefaultContexts(), nil
	}
	known, err := client.ReadContexts(path)
	if errors.Is(err, fs.ErrNotExist) {
		known = client.DefaultContexts()
		if err := known.Write(path); err != nil && a.global.configFile != "" {
			return nil, err
		}
		return known, nil
	}
	return known, err
}

// connect prepares to talk to the control plane that is current, or that --context names.
func (a *app) connect() (*client.Client, error) {
	known, err := a.contexts()
	if err != nil {
		return nil, err
	}
	plane, err := known.Active(a.global.context)
	if err != nil {
		return nil, err
	}
	return a.connectTo(plane)
}

func (a *app) connectTo(plane client.ControlPlane) (*client.Client, error) {
	options := client.Options{
		Plane: plane, Timeout: a.global.apiTimeout, Version: theBuild().Version,
		Warn: func(text string) { a.errs.Line("%s %s", a.errs.Careful("Warning:"), text) },
	}
	if a.global.logLevel == "debug" {
		options.Log = slog.New(slog.NewTextHandler(a.errs.Out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return client.New(options)
}

// namesOf asks for the names of a kind's resources, for completion: quickly, and silently when it goes wrong.
func (a *app) namesOf(ctx context.Context, k *resource.Kind, mesh string, without []string) []string {
	ctx, cancel := context.WithTimeout(ctx, completionTimeout)
	defer cancel()
	c, err := a.connect()
	if err != nil {
		return nil
	}
	defer c.Close()
	list, err := c.List(ctx, client.Path(k, mesh), nil)
	if err != nil {
		return nil
	}
	var names []string
	for _, raw := range list.Items {
		var head resource.Head
		if json.Unmarshal(raw, &head) == nil && !slices.Contains(without, head.Name) {
			names = append(names, head.Name)
		}
	}
	return names
}

// notThere says whether an error means that a resource, or its mesh, does not exist.
func notThere(err error) bool { return problem.CodeOf(err) == problem.NotFound }

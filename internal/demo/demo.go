// Package demo is the main job in one process: a control plane on a temporary store, two HTTP services and a TCP service of its
// own, a data plane with a real Envoy beside each, and traffic through them.
//
// In come the path of an Envoy and where to keep files; out go the address of the API and the traffic that was seen.
package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kumactl/kumactl/internal/launcher"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/server"
)

// Options of a demo.
type Options struct {
	// Version of the program.
	Version string
	// EnvoyPath is a binary, or empty to look for one as `kumactl run dataplane` does.
	EnvoyPath string
	Log       *slog.Logger
	// Progress is told each step that is done.
	Progress func(step string)
}

// Demo is a mesh that runs.
type Demo struct {
	dir      string
	cp       *server.Server
	group    *errgroup.Group
	stop     context.CancelFunc
	web, tcp int
}

// readyIn is how long all data planes together may take to get their configuration.
const readyIn = time.Minute

// Start brings the mesh up and waits until every data plane serves. The caller closes it.
func Start(ctx context.Context, o Options) (*Demo, error) {
	dir, err := os.MkdirTemp("", "kumactl-demo-")
	if err != nil {
		return nil, problem.New(problem.Unavailable, "temporary folder: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	d := &Demo{dir: dir, group: group, stop: stop}
	if err := d.start(ctx, o); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Demo) start(ctx context.Context, o Options) error {
	config := server.DefaultConfig(d.dir)
	config.APIServer.HTTP.Port, config.APIServer.HTTPS.Port = 0, -1
	config.DPServer.Port, config.Diagnostics.ServerPort = 0, 0
	config.Version = o.Version
	// The tables are shown right after the start, so they should not lag behind by a second.
	config.XDSServer.StatusFlushInterval = server.Duration(20 * time.Millisecond)
	var err error
	if d.cp, err = server.New(ctx, config, o.Log); err != nil {
		return err
	}
	d.group.Go(func() error { return d.cp.Run(ctx) })
	o.Progress("control plane on " + d.API())

	ports, err := freePorts(ctx, 5)
	if err != nil {
		return err
	}
	shopIn, catalogIn, echoIn, shopToCatalog, shopToEcho := ports[0], ports[1], ports[2], ports[3], ports[4]
	d.web, d.tcp = shopIn, shopToEcho
	apps, err := d.applications(ctx, shopToCatalog)
	if err != nil {
		return err
	}
	o.Progress("services shop (http), catalog (http) and echo (tcp), which know nothing of the mesh")
	ready := make(chan launcher.Running, 3)
	for _, q := range []launcher.QuickOptions{
		{
			Service: "shop", Name: "shop-1", Protocol: "http", Port: shopIn, ServicePort: apps[0].port(),
			Outbounds: []string{fmt.Sprintf("catalog:%d", shopToCatalog), fmt.Sprintf("echo:%d", shopToEcho)},
		},
		{Service: "catalog", Name: "catalog-1", Protocol: "http", Port: catalogIn, ServicePort: apps[1].port()},
		{Service: "echo", Name: "echo-1", Protocol: "tcp", Port: echoIn, ServicePort: apps[2].port()},
	} {
		q.Address = "127.0.0.1"
		if err := d.launch(ctx, o, q, ready); err != nil {
			return err
		}
	}
	return d.awaitReady(ctx, o, ready, 3)
}

func (d *Demo) applications(ctx context.Context, catalogPort int) ([]application, error) {
	var apps []application
	for _, serve := range []func(context.Context, net.Listener) error{serveHTTP(shop(catalogPort)), serveHTTP(catalog()), echo} {
		app, err := listen(ctx, serve)
		if err != nil {
			return nil, problem.New(problem.Unavailable, "service of the demo: %w", err)
		}
		apps = append(apps, app)
		d.group.Go(func() error { return app.serve(ctx, app.listener) })
	}
	return apps, nil
}

func (d *Demo) launch(ctx context.Context, o Options, q launcher.QuickOptions, ready chan<- launcher.Running) error {
	made, err := launcher.Quick(q)
	if err != nil {
		return err
	}
	c := launcher.Default()
	c.Resource, c.EnvoyPath, c.Log = made.Resource, o.EnvoyPath, o.Log
	c.ControlPlane = "https://" + d.cp.Addresses().DataPlanes
	c.CACertFile = server.FilesIn(d.dir).CA
	c.ReadinessPort, c.DrainTime, c.Concurrency, c.DNSEnabled = launcher.AnyPort, 0, 1, false
	c.Build = launcher.Build{Version: o.Version}
	c.OnReady = func(r launcher.Running) { ready <- r }
	l, err := launcher.New(c)
	if err != nil {
		return err
	}
	d.group.Go(func() error { return l.Run(ctx) })
	return nil
}

func (d *Demo) awaitReady(ctx context.Context, o Options, ready <-chan launcher.Running, count int) error {
	limit := time.NewTimer(readyIn)
	defer limit.Stop()
	for range count {
		select {
		case r := <-ready:
			o.Progress(fmt.Sprintf("data plane %s: Envoy %s serves", r.Name, r.EnvoyVersion))
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-limit.C:
			return problem.New(problem.Unavailable, "data planes are not ready after %s", readyIn).WithHint("kumactl demo --log-level info shows what Envoy says")
		}
	}
	return nil
}

// API is the URL of the demo's control plane.
func (d *Demo) API() string { return "http://" + d.cp.Addresses().HTTP }

// Web is a URL that a person can open: the shop, through its own data plane.
func (d *Demo) Web() string { return fmt.Sprintf("http://127.0.0.1:%d/", d.web) }

// Traffic sends requests through the Envoys, one after the other, and tells what came back.
func (d *Demo) Traffic(ctx context.Context, requests int) []Call {
	client := &http.Client{Timeout: 5 * time.Second}
	return []Call{
		repeat(requests, Call{From: "you", To: "shop > catalog", Protocol: "http"}, func() (string, error) { return askHTTP(ctx, client, d.web) }),
		repeat(requests, Call{From: "shop", To: "echo", Protocol: "tcp"}, func() (string, error) {
			ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
			defer cancel()
			return askTCP(ctx, d.tcp)
		}),
	}
}

func repeat(requests int, c Call, ask func() (string, error)) Call {
	var took []time.Duration
	for range requests {
		begin := time.Now()
		answer, err := ask()
		c.Requests++
		if err != nil {
			c.Answer = err.Error()
			continue
		}
		took = append(took, time.Since(begin))
		c.Answered++
		c.Answer = strings.TrimSpace(answer)
	}
	if len(took) > 0 {
		slices.Sort(took)
		c.Median = took[len(took)/2]
	}
	return c
}

// Wait returns when the context ends or a part of the mesh does.
func (d *Demo) Wait(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- d.group.Wait() }()
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		return err
	}
}

// Close ends everything and removes the files.
func (d *Demo) Close() error {
	d.stop()
	err := d.group.Wait()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	if d.cp != nil {
		err = errors.Join(err, d.cp.Close())
	}
	return errors.Join(err, os.RemoveAll(d.dir))
}

// freePorts asks the system for ports that nobody has. Somebody could take one before Envoy does; then Envoy's error says so.
func freePorts(ctx context.Context, count int) ([]int, error) {
	var ports []int
	for range count {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, problem.New(problem.Unavailable, "free port: %w", err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// Package xds serves proxies: their first configuration over HTTP, and over gRPC everything that follows from the stored
// resources, at once when it changes.
//
// In come the store's changes and what proxies ask, accept and refuse; out go answers made of sealed resources that all streams
// share, and insights. One goroutine owns the picture of the meshes and compiles what changes concern (pusher); each stream has
// one that owns its subscriptions (stream). A stream computes nothing from the store, and there are no queues: a slow proxy gets
// the newest state when it is ready for it.
//
// A Dataplane that came with its proxy goes with it (lifecycle); what is known of each proxy is in the fleet.
package xds

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kumactl/kumactl/internal/admission"
	"github.com/kumactl/kumactl/internal/envoy"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/store"
)

// Options of a server. Store, Admission, Compiler and Kinds are needed; the rest has defaults that are right for use.
type Options struct {
	Store     *store.Store
	Admission *admission.Admission
	Compiler  *envoy.Compiler
	// Kinds that the picture of the meshes is made from.
	Kinds []*resource.Kind
	// Instance names this control plane to proxies and in insights.
	Instance string
	// Authenticate checks the credential of a proxy against what it connects as; nil takes everybody.
	Authenticate func(ctx context.Context, credential, mesh, name string) error
	Bootstrap    BootstrapOptions
	// DeregistrationDelay is how long a Dataplane outlives the last stream of the proxy that it came with; 10 seconds when 0.
	DeregistrationDelay time.Duration
	// RestartGrace is how long such a Dataplane stays after a start while its proxy does not come back; 5 minutes when 0.
	RestartGrace time.Duration
	// Quiet and HoldOff bound how long changes are gathered before proxies are told: until none came for Quiet (5 ms when 0), at
	// most HoldOff (50 ms when 0).
	Quiet, HoldOff time.Duration
	// ReportEvery is how often the insight of a proxy is written while it changes; 1 second when 0. With many proxies it is up to ten
	// times as long.
	ReportEvery time.Duration
	// Logger gets what nobody is told otherwise. Silent when nil.
	Logger *slog.Logger
	// Now is the clock; time.Now when nil.
	Now func() time.Time
}

// Server is the control plane's face towards data planes. Run and Serve belong together.
type Server struct {
	options      Options
	store        *store.Store
	admission    *admission.Admission
	authenticate func(ctx context.Context, credential, mesh, name string) error
	instance     string
	log          *slog.Logger
	now          func() time.Time

	fleet     *fleet
	lifecycle *lifecycle
	reporter  *reporter
	pusher    *pusher
	// streams are goroutines that read from streams.
	streams sync.WaitGroup
	// ready is closed when what the last control plane left has been looked at; no stream is answered before.
	ready chan struct{}
}

// New makes a server; nothing happens before Run and Serve.
func New(o Options) *Server {
	o = o.withDefaults()
	f := newFleet()
	return &Server{
		options: o, store: o.Store, admission: o.Admission, authenticate: o.Authenticate,
		instance: o.Instance, log: o.Logger, now: o.Now, fleet: f, ready: make(chan struct{}),
		lifecycle: &lifecycle{
			store: o.Store, admission: o.Admission, fleet: f, log: o.Logger, now: o.Now, brought: newBrought(), delay: o.DeregistrationDelay, grace: o.RestartGrace,
		},
		reporter: &reporter{store: o.Store, fleet: f, instance: o.Instance, every: o.ReportEvery, wake: make(chan struct{}, 1)},
		pusher:   newPusher(o, f),
	}
}

func (o Options) withDefaults() Options {
	for at, value := range map[*time.Duration]time.Duration{
		&o.DeregistrationDelay: 10 * time.Second, &o.RestartGrace: 5 * time.Minute,
		&o.Quiet: 5 * time.Millisecond, &o.HoldOff: 50 * time.Millisecond, &o.ReportEvery: time.Second,
		&o.Bootstrap.ConnectTimeout: time.Second,
	} {
		if *at == 0 {
			*at = value
		}
	}
	if o.Bootstrap.AdminAddress == "" {
		o.Bootstrap.AdminAddress = "127.0.0.1"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Run computes and keeps house until the context ends, or the store does. When it returns, no Dataplane is removed any more
// because its proxy has gone.
func (s *Server) Run(ctx context.Context) error {
	defer s.fleet.close()
	s.lifecycle.takeOver()
	close(s.ready)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.pusher.run(ctx) })
	group.Go(func() error { s.lifecycle.run(ctx); return nil })
	group.Go(func() error { s.reporter.run(ctx); return nil })
	return group.Wait()
}

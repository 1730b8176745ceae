package xds

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kumactl/kumactl/internal/envoy"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/store"
	"github.com/kumactl/kumactl/internal/view"
)

// pusher owns the picture of the meshes. One goroutine runs it: it takes changes of the store, finds out which of the connected
// proxies they concern, compiles these and offers the result to their streams. It waits for no stream.
type pusher struct {
	store    *store.Store
	kinds    []*resource.Kind
	compiler *envoy.Compiler
	fleet    *fleet
	log      *slog.Logger
	// quiet and holdOff bound how long changes are gathered: until none came for quiet, at most holdOff.
	quiet, holdOff time.Duration

	picture *view.Picture
	// shown is the picture for everybody else.
	shown atomic.Pointer[view.Picture]
	// connected proxies by mesh and name, and by mesh and service that they consume.
	connected map[string]map[string]*proxy
	consumers map[string]map[string]map[*proxy]struct{}
	// consumes is the inverse of consumers.
	consumes map[*proxy][]view.Selector
	// early are proxies whose Dataplane was stored after the picture was taken.
	early []*proxy
}

func newPusher(o Options, f *fleet) *pusher {
	return &pusher{
		store: o.Store, kinds: o.Kinds, compiler: o.Compiler, fleet: f, log: o.Logger, quiet: o.Quiet, holdOff: o.HoldOff,
		connected: map[string]map[string]*proxy{},
		consumers: map[string]map[string]map[*proxy]struct{}{},
		consumes:  map[*proxy][]view.Selector{},
	}
}

// run works until the context ends, or the store does.
func (h *pusher) run(ctx context.Context) error {
	watch := h.load()
	batches := make(chan []store.Change)
	failed := make(chan error, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() { failed <- h.follow(ctx, watch, batches) })

	var changes []store.Change
	quiet, latest := time.NewTimer(time.Hour), time.NewTimer(time.Hour)
	defer quiet.Stop()
	defer latest.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			if ctx.Err() != nil {
				return nil
			}
			return err
		case batch := <-batches:
			if batch == nil {
				// The log no longer reaches back to where we were.
				changes = nil
				h.reload()
				continue
			}
			if len(changes) == 0 {
				latest.Reset(h.holdOff)
			}
			changes = append(changes, batch...)
			quiet.Reset(h.quiet)
			continue
		case <-h.fleet.wake:
			h.meet(h.fleet.takeMoved())
			continue
		case <-quiet.C:
		case <-latest.C:
		}
		if len(changes) > 0 {
			h.apply(changes)
			changes = nil
		}
	}
}

// follow hands on what the store tells; nil stands for "look at everything again".
func (h *pusher) follow(ctx context.Context, watch *store.Watch, to chan<- []store.Change) error {
	for {
		batch, err := watch.Next(ctx)
		switch {
		case errors.Is(err, store.ErrCompacted):
			watch, batch = h.store.Watch(h.store.Snapshot().Revision()), nil
		case err != nil:
			return err
		}
		select {
		case to <- batch:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// load takes the picture anew. Changes from its revision on are told by the watch.
func (h *pusher) load() *store.Watch {
	snapshot := h.store.Snapshot()
	h.picture = view.New(snapshot, h.kinds)
	h.shown.Store(h.picture)
	return h.store.Watch(snapshot.Revision())
}

// reload takes the picture anew and compiles every proxy. Changes that are in the picture already do no harm when they are told
// again.
func (h *pusher) reload() {
	h.load()
	var all []*proxy
	for _, proxies := range h.connected {
		for _, p := range proxies {
			all = append(all, p)
		}
	}
	h.compile(all)
	h.meetEarly()
}

// meet takes note of proxies that came or went.
func (h *pusher) meet(moved []*proxy) {
	var ready []*proxy
	for _, p := range moved {
		s := h.fleet.session(p)
		switch {
		case s == nil:
			h.dismiss(p)
		case s.revision > h.picture.Revision():
			h.early = append(h.early, p)
		default:
			ready = append(ready, p)
		}
	}
	h.compile(ready)
}

// meetEarly looks again at proxies that were ahead of the picture.
func (h *pusher) meetEarly() {
	if len(h.early) > 0 {
		early := h.early
		h.early = nil
		h.meet(early)
	}
}

// dismiss forgets a proxy that went. What it ran with is still shown as long as there is a Dataplane.
func (h *pusher) dismiss(p *proxy) {
	delete(h.connected[p.key.Mesh], p.key.Name)
	h.index(p, nil)
	if m, ok := h.picture.Mesh(p.key.Mesh); ok {
		if _, ok := m.Proxy(p.key.Name); ok {
			return
		}
	}
	h.fleet.gone(p.key)
}

// apply moves the picture on and gives every proxy that is concerned what it should have now.
func (h *pusher) apply(changes []store.Change) {
	// After a reload the watch tells some once more.
	have := h.picture.Revision()
	changes = slices.DeleteFunc(changes, func(c store.Change) bool { return c.Revision <= have })
	next, touched := h.picture.Next(changes)
	h.picture = next
	h.shown.Store(next)
	var again []*proxy
	fewer := map[*proxy][]string{}
	for mesh, t := range touched.Meshes {
		for _, name := range t.Removed {
			if h.connected[mesh][name] == nil {
				h.fleet.gone(dataplaneKey(mesh, name))
			}
		}
		if t.All() {
			for _, p := range h.connected[mesh] {
				again = append(again, p)
			}
			continue
		}
		full := map[*proxy]struct{}{}
		for _, name := range t.Proxies {
			if p := h.connected[mesh][name]; p != nil {
				full[p] = struct{}{}
			}
		}
		for _, service := range t.Shapes {
			for p := range h.consumers[mesh][service] {
				full[p] = struct{}{}
			}
		}
		for p := range full {
			again = append(again, p)
		}
		for _, service := range t.Endpoints {
			for p := range h.consumers[mesh][service] {
				if _, ok := full[p]; !ok {
					fewer[p] = append(fewer[p], service)
				}
			}
		}
	}
	h.replace(fewer)
	h.compile(again)
	h.meetEarly()
}

// replace exchanges the endpoints of some services and leaves the rest of the configurations as it is.
func (h *pusher) replace(services map[*proxy][]string) {
	type part struct {
		mesh     string
		selector view.Selector
	}
	sealed := map[part]*envoy.Sealed{}
	for p, names := range services {
		m, ok := h.picture.Mesh(p.key.Mesh)
		old := p.compiled.Load()
		if !ok || old == nil || old.config == nil {
			continue
		}
		list := slices.Clone(old.config.Endpoints)
		for _, selector := range h.consumes[p] {
			if !slices.Contains(names, selector.Service) {
				continue
			}
			at := part{m.Name, selector}
			if sealed[at] == nil {
				sealed[at] = h.compiler.Endpoints(m, selector)
			}
			if i, ok := slices.BinarySearchFunc(list, sealed[at], byName); ok {
				list[i] = sealed[at]
			}
		}
		config := *old.config
		config.Endpoints = list
		settle(p, &compiled{session: old.session, config: &config, err: old.err})
	}
}

// compile computes configurations on all processors and offers each as soon as it is there.
func (h *pusher) compile(list []*proxy) {
	if len(list) == 0 {
		return
	}
	results := make([]*compiled, len(list))
	// One processor is enough for a few.
	workers := min(runtime.GOMAXPROCS(0), (len(list)+15)/16)
	var next sync.Mutex
	at := 0
	work := func() {
		for {
			next.Lock()
			i := at
			at++
			next.Unlock()
			if i >= len(list) {
				return
			}
			results[i] = h.one(list[i])
		}
	}
	var wg sync.WaitGroup
	for range workers - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
	// The maps are this goroutine's alone.
	for i, p := range list {
		if s := h.fleet.session(p); s != nil {
			if h.connected[p.key.Mesh] == nil {
				h.connected[p.key.Mesh] = map[string]*proxy{}
			}
			h.connected[p.key.Mesh][p.key.Name] = p
		}
		if results[i] != nil && results[i].config != nil {
			h.index(p, results[i].config.Destinations)
		}
	}
}

// one compiles one proxy and offers the result to its stream. A failure, even a panic, is this proxy's alone, and leaves it with
// what it has.
func (h *pusher) one(p *proxy) (result *compiled) {
	s := h.fleet.session(p)
	m, ok := h.picture.Mesh(p.key.Mesh)
	if s == nil || !ok {
		return nil
	}
	v, ok := m.Proxy(p.key.Name)
	if !ok {
		// Its Dataplane was removed while it is connected: it keeps what it has.
		return nil
	}
	defer func() {
		if r := recover(); r != nil {
			h.log.Error("compilation panicked", "mesh", p.key.Mesh, "proxy", p.key.Name, "panic", r, "stack", string(debug.Stack()))
			result = failed(p, s, fmt.Errorf("compile %s: %v", p.key.Name, r))
		}
	}()
	config, err := h.compiler.Compile(m, v, s.node)
	if err != nil {
		h.log.Warn("proxy keeps its last configuration", "mesh", p.key.Mesh, "proxy", p.key.Name, "error", err)
		return failed(p, s, err)
	}
	result = &compiled{session: s, config: config}
	settle(p, result)
	return result
}

// failed keeps the last good configuration.
func failed(p *proxy, s *session, err error) *compiled {
	result := &compiled{session: s, err: err}
	if old := p.compiled.Load(); old != nil {
		result.config = old.config
	}
	settle(p, result)
	return result
}

// settle stores a result and offers it to the session that it was made for; that may have ended since.
func settle(p *proxy, result *compiled) {
	p.compiled.Store(result)
	if result.config != nil {
		result.session.offer(result.config)
	}
}

// index notes what a proxy consumes.
func (h *pusher) index(p *proxy, selectors []view.Selector) {
	if slices.Equal(h.consumes[p], selectors) {
		return
	}
	services := h.consumers[p.key.Mesh]
	for _, s := range h.consumes[p] {
		delete(services[s.Service], p)
		if len(services[s.Service]) == 0 {
			delete(services, s.Service)
		}
	}
	delete(h.consumes, p)
	if len(selectors) == 0 {
		return
	}
	if services == nil {
		services = map[string]map[*proxy]struct{}{}
		h.consumers[p.key.Mesh] = services
	}
	for _, s := range selectors {
		if services[s.Service] == nil {
			services[s.Service] = map[*proxy]struct{}{}
		}
		services[s.Service][p] = struct{}{}
	}
	h.consumes[p] = selectors
}

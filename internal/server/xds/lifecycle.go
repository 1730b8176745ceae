package xds

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kumactl/kumactl/internal/admission"
	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/resource/dataplane"
	"github.com/kumactl/kumactl/internal/resource/insight"
	"github.com/kumactl/kumactl/internal/store"
)

// sourceProxy marks what was written because a proxy connected or went; sourceHealth what its health checks found.
const (
	sourceProxy  = "dataplane"
	sourceHealth = "health"
)

// metadataResource is the key of the node's metadata that holds the proxy's own resource. A stored insight that has it says that
// the Dataplane came with its proxy; that survives a restart.
const metadataResource = "dataplane.resource"

func dataplaneKey(mesh, name string) resource.Key {
	return resource.Key{Kind: dataplane.Kind.Name, Mesh: mesh, Name: name}
}

func insightKey(k resource.Key) resource.Key {
	return resource.Key{Kind: insight.DataplaneInsight.Name, Mesh: k.Mesh, Name: k.Name}
}

// lifecycle makes Dataplanes come and go with their proxies.
type lifecycle struct {
	store     *store.Store
	admission *admission.Admission
	fleet     *fleet
	log       *slog.Logger
	now       func() time.Time
	brought   *brought
	// delay is how long a Dataplane outlives its proxy's last stream, grace how long it waits for its proxy after a start.
	delay, grace time.Duration
}

// register stores the resource that a proxy brought, unless the same is there. Between the first request and this, fleet.enter
// keeps the stored one in place. It returns a revision that contains the Dataplane.
func (l *lifecycle) register(ctx context.Context, p *proxy, text string) (uint64, error) {
	snapshot := l.store.Snapshot()
	stored, there := snapshot.Get(p.key)
	if text == "" {
		if !there {
			return 0, problem.New(problem.NotFound, "Dataplane %s of mesh %s is not there, and the proxy brought none", p.key.Name, p.key.Mesh) // wire: a kind's name
		}
		return snapshot.Revision(), nil
	}
	// The same proxy again, and nobody has touched what it brought: nothing is even read.
	l.fleet.mu.Lock()
	known := p.registered == text && there && stored.Revision == p.revision
	l.fleet.mu.Unlock()
	if known {
		return snapshot.Revision(), nil
	}
	own, err := l.brought.read(text)
	if err == nil {
		err = isOwn(p.key, own)
	}
	if err != nil {
		return 0, err
	}
	if there {
		keepHealth(own, stored)
	}
	outcomes, err := l.admission.Put(ctx, store.Writer{Who: p.key.Name, Source: sourceProxy}, []admission.Request{{Resource: own}})
	if err != nil {
		return 0, err
	}
	revision := l.store.Snapshot().Revision()
	l.fleet.mu.Lock()
	defer l.fleet.mu.Unlock()
	p.registered, p.revision = text, 0
	if len(outcomes) == 1 && outcomes[0].Resource != nil {
		p.revision = outcomes[0].Resource.Revision
	}
	return revision, nil
}

// keepHealth takes over what was found out about applications that have a probe: a proxy that connects again knows nothing of it.
func keepHealth(own, stored *resource.Resource) {
	old := stored.Spec.(*kumapb.Dataplane).GetNetworking().GetInbound()
	for _, in := range own.Spec.(*kumapb.Dataplane).GetNetworking().GetInbound() {
		i := slices.IndexFunc(old, func(o *kumapb.Dataplane_Networking_Inbound) bool {
			return o.GetPort() == in.GetPort() && o.GetAddress() == in.GetAddress() && o.GetServiceProbe() != nil
		})
		if in.GetServiceProbe() != nil && in.GetHealth() == nil && i >= 0 {
			in.State, in.Health = old[i].GetState(), old[i].GetHealth()
		}
	}
}

// takeOver looks at what the last control plane left: connections that it cannot have ended are ended, and Dataplanes that came
// with their proxies get time until these are back.
func (l *lifecycle) takeOver() {
	due := l.now().Add(l.grace)
	snapshot := l.store.Snapshot()
	var wait, unsure []resource.Key
	for r := range snapshot.List(insight.DataplaneInsight.Name, "") {
		if closed := endSubscriptions(r); closed != nil {
			l.store.PutVolatile(closed)
		}
	}
	for r := range snapshot.List(dataplane.Kind.Name, "") {
		saved, ok := snapshot.Get(insightKey(r.Key()))
		switch {
		case !ok:
			unsure = append(unsure, r.Key())
		case saved.Spec.(*kumapb.DataplaneInsight).GetMetadata().GetFields()[metadataResource] != nil:
			wait = append(wait, r.Key())
		}
	}
	if len(unsure) > 0 {
		wait = append(wait, l.recent(unsure)...)
	}
	l.fleet.mu.Lock()
	defer l.fleet.mu.Unlock()
	for _, key := range wait {
		if p := l.fleet.at(key); p.session == nil && p.arriving == 0 {
			p.due = due
		}
	}
}

// recent gives those of the Dataplanes that a proxy wrote last. An insight is saved some seconds after its proxy has connected,
// so after a crash the newest ones may be without.
func (l *lifecycle) recent(unsure []resource.Key) []resource.Key {
	const newest = 5_000
	history, err := l.store.History(nil, 0, newest)
	if err != nil {
		l.log.Warn("change log is not read: Dataplanes of proxies that do not come back may stay", "error", err)
	}
	last := make(map[resource.Key]string, len(unsure))
	for _, c := range slices.Backward(history) {
		last[c.Key] = c.Source
	}
	return slices.DeleteFunc(unsure, func(k resource.Key) bool { return last[k] != sourceProxy })
}

// endSubscriptions gives a copy of an insight without open connections; nil when it has none.
func endSubscriptions(r *resource.Resource) *resource.Resource {
	open := func(s *kumapb.DiscoverySubscription) bool { return s.GetDisconnectTime() == nil }
	if !slices.ContainsFunc(r.Spec.(*kumapb.DataplaneInsight).GetSubscriptions(), open) {
		return nil
	}
	r = r.Clone()
	for _, s := range r.Spec.(*kumapb.DataplaneInsight).GetSubscriptions() {
		if open(s) {
			s.DisconnectTime = s.GetStatus().GetLastUpdateTime()
			if s.DisconnectTime == nil {
				s.DisconnectTime = timestamppb.New(r.Modified)
			}
		}
	}
	return r
}

// run removes Dataplanes when their time has come. Nothing is removed while this control plane ends.
func (l *lifecycle) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.fleet.leave:
		case <-timer.C:
		}
		for {
			due, next := l.fleet.takeDue(l.now())
			if len(due) > 0 {
				l.remove(ctx, due)
				continue
			}
			timer.Stop()
			if !next.IsZero() {
				timer.Reset(max(next.Sub(l.now()), time.Millisecond))
			}
			break
		}
	}
}

// maxRemoved is how many go in one transaction.
const maxRemoved = 256

// takeDue gives the proxies whose Dataplanes are to go now, marked so that nobody connects as one of them meanwhile, and when the
// next ones are due.
func (f *fleet) takeDue(now time.Time) (due []*proxy, next time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closing {
		return nil, time.Time{}
	}
	for _, p := range f.proxies {
		switch {
		case p.due.IsZero(), p.session != nil, p.arriving > 0, p.leaving != nil:
			// It stays, is there, is about to be there, or is just going.
		case !p.due.After(now) && len(due) < maxRemoved:
			p.leaving = make(chan struct{})
			p.compiled.Store(nil)
			due = append(due, p)
		case next.IsZero() || p.due.Before(next):
			next = p.due
		}
	}
	return due, next
}

// remove deletes the Dataplanes of proxies that have gone for good.
func (l *lifecycle) remove(ctx context.Context, due []*proxy) {
	snapshot := l.store.Snapshot()
	var keys []resource.Key
	for _, p := range due {
		if _, there := snapshot.Get(p.key); there {
			keys = append(keys, p.key)
		}
	}
	var again time.Time
	if len(keys) > 0 {
		err := l.admission.Delete(ctx, store.Writer{Who: sourceProxy, Source: sourceProxy}, keys...)
		if err != nil {
			l.log.Warn("Dataplanes of proxies that are gone stay for now", "count", len(keys), "error", err)
			again = l.now().Add(retryRemoval)
		}
	}
	l.fleet.mu.Lock()
	defer l.fleet.mu.Unlock()
	for _, p := range due {
		if p.due = again; again.IsZero() {
			p.registered, p.past, p.last = "", nil, nil
			l.store.DeleteVolatile(insightKey(p.key))
		}
		close(p.leaving)
		p.leaving = nil
		l.fleet.prune(p)
	}
}

// retryRemoval is the pause after a removal that did not work: the disk is full, or somebody else removed one of them meanwhile.
const retryRemoval = 5 * time.Second

package xds

import (
	"context"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kumactl/kumactl/internal/envoy"
	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/resource/insight"
	"github.com/kumactl/kumactl/internal/store"
	"github.com/kumactl/kumactl/internal/view"
)

// ProxyStatus is how a proxy stands, as of now. It is not stored.
type ProxyStatus struct {
	Connected bool
	// Since is when the current connection, or the last one, began.
	Since time.Time
	// Delta says which variant of the protocol it speaks.
	Delta bool
	// Types holds one entry for each type that was sent, in the order of sending.
	Types []TypeStatus
	// Problems are parts of the configuration that were left out; Err is why there is no newer configuration. The last good one
	// stays.
	Problems []envoy.Problem
	Err      error
}

// TypeStatus counts the answers of one type of resource on the current connection.
type TypeStatus struct {
	// URL is the type's name on the wire.
	URL                      string
	Sent, Accepted, Rejected uint64
	// Version is the last one sent.
	Version string
	// Rejection is the reason that the proxy gave for not accepting the last answer, and RejectedAt when; empty when it did.
	Rejection  string
	RejectedAt time.Time
}

// Status tells how a proxy stands; false when nothing is known of it since the start.
func (s *Server) Status(mesh, name string) (ProxyStatus, bool) {
	p := s.fleet.get(dataplaneKey(mesh, name))
	if p == nil {
		return ProxyStatus{}, false
	}
	// Of a proxy that went, the last connection is shown.
	s.fleet.mu.Lock()
	session := p.session
	status := ProxyStatus{Connected: session != nil}
	if session == nil {
		session = p.last
	}
	s.fleet.mu.Unlock()
	if session == nil {
		return ProxyStatus{}, false
	}
	status.Since, status.Delta = session.connected, session.delta
	types, _ := session.counts.read()
	for t, c := range types {
		if c.sent > 0 {
			status.Types = append(status.Types, TypeStatus{
				URL: resourceType(t).url(), Sent: c.sent, Accepted: c.accepted, Rejected: c.refused,
				Version: c.version, Rejection: c.reason, RejectedAt: c.refusedAt,
			})
		}
	}
	if c := p.compiled.Load(); c != nil {
		status.Err = c.err
		if c.config != nil {
			status.Problems = c.config.Problems
		}
	}
	return status, true
}

// Picture gives the meshes as the streams see them; nil before Run has begun.
func (s *Server) Picture() *view.Picture { return s.pusher.shown.Load() }

// Config gives the very configuration that a proxy's stream sends, or sent last; false when none was computed since the start.
func (s *Server) Config(mesh, name string) (*envoy.Config, bool) {
	p := s.fleet.get(dataplaneKey(mesh, name))
	if p == nil {
		return nil, false
	}
	if c := p.compiled.Load(); c != nil && c.config != nil {
		return c.config, true
	}
	return nil, false
}

// reporter writes insights: at once when a proxy comes or goes, and soon after anything else changed.
type reporter struct {
	store    *store.Store
	fleet    *fleet
	instance string
	every    time.Duration

	mu    sync.Mutex
	dirty []*proxy
	wake  chan struct{}
}

// soon makes the insight of a proxy be written soon.
func (w *reporter) soon(p *proxy) {
	if p.reporting.Swap(true) {
		return
	}
	w.mu.Lock()
	w.dirty = append(w.dirty, p)
	w.mu.Unlock()
	signal(w.wake)
}

// run writes what is dirty, each proxy at most once in a while. What is dirty at the end is written by those whose stream ends.
func (w *reporter) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		}
		// What happens from now on until the timer ends is in the same write.
		timer.Reset(w.pause())
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		w.mu.Lock()
		dirty := w.dirty
		w.dirty = nil
		w.mu.Unlock()
		for _, p := range dirty {
			p.reporting.Store(false)
			w.fleet.mu.Lock()
			if p.session != nil {
				w.write(p)
			}
			w.fleet.mu.Unlock()
		}
	}
}

// pause grows with the number of proxies: a change that all get makes all insights be written, which costs more than the change.
func (w *reporter) pause() time.Duration {
	const perProxy = 10 * time.Millisecond
	return min(max(w.every, time.Duration(w.fleet.size())*perProxy), 10*w.every)
}

// arrived begins a connection's part of the insight. The one before it is kept: the one that it replaced, or the one that is stored.
func (w *reporter) arrived(s, replaced *session) {
	w.fleet.mu.Lock()
	defer w.fleet.mu.Unlock()
	p := s.proxy
	if replaced != nil {
		p.past = w.subscription(replaced, &s.connected)
	} else if p.past == nil {
		if r, ok := w.store.Snapshot().Get(insightKey(p.key)); ok {
			if subs := r.Spec.(*kumapb.DataplaneInsight).GetSubscriptions(); len(subs) > 0 {
				p.past = subs[len(subs)-1]
			}
		}
	}
	w.write(p)
}

// ended ends a connection's part. When the proxy is back already, the newer connection shows.
func (w *reporter) ended(s *session, at time.Time) {
	w.fleet.mu.Lock()
	defer w.fleet.mu.Unlock()
	if s.proxy.session == nil || s.proxy.past == nil {
		s.proxy.past = w.subscription(s, &at)
	}
	w.write(s.proxy)
}

// write puts a proxy's insight, as long as there is a Dataplane that it is about. The caller holds fleet.mu, which keeps writes of
// one proxy in order.
func (w *reporter) write(p *proxy) {
	if _, ok := w.store.Snapshot().Get(p.key); !ok {
		w.store.DeleteVolatile(insightKey(p.key))
		return
	}
	r := insight.DataplaneInsight.New(p.key.Mesh, p.key.Name)
	spec := r.Spec.(*kumapb.DataplaneInsight)
	if p.past != nil {
		spec.Subscriptions = append(spec.Subscriptions, p.past)
	}
	switch {
	case p.session != nil:
		spec.Metadata = p.session.metadata
		spec.Subscriptions = append(spec.Subscriptions, w.subscription(p.session, nil))
	case p.last != nil:
		spec.Metadata = p.last.metadata
	}
	w.store.PutVolatile(r)
}

// subscription describes a connection as it stands, or as it ended. It is never changed afterwards.
func (w *reporter) subscription(s *session, ended *time.Time) *kumapb.DiscoverySubscription {
	types, updated := s.counts.read()
	if updated.IsZero() {
		updated = s.connected
	}
	state := &kumapb.DiscoverySubscriptionStatus{
		LastUpdateTime: timestamppb.New(updated),
		Total:          &kumapb.DiscoveryServiceStats{},
		Cds:            types[clusters].stats(), Eds: types[endpoints].stats(),
		Lds: types[listeners].stats(), Rds: types[routes].stats(),
	}
	for _, t := range types {
		state.Total.ResponsesSent += t.sent
		state.Total.ResponsesAcknowledged += t.accepted
		state.Total.ResponsesRejected += t.refused
	}
	sub := &kumapb.DiscoverySubscription{
		Id: s.id, ControlPlaneInstanceId: w.instance, ConnectTime: timestamppb.New(s.connected), Status: state, Version: s.version,
	}
	if ended != nil {
		sub.DisconnectTime = timestamppb.New(*ended)
	}
	return sub
}

// stats gives the counts as the insight has them.
func (t typeCounts) stats() *kumapb.DiscoveryServiceStats {
	return &kumapb.DiscoveryServiceStats{ResponsesSent: t.sent, ResponsesAcknowledged: t.accepted, ResponsesRejected: t.refused}
}

// versionOfPrograms reads who is behind a stream from the node's metadata.
func versionOfPrograms(metadata *structpb.Struct) *kumapb.Version {
	version := metadata.GetFields()["version"].GetStructValue().GetFields()
	launcher, own := version["kumaDp"].GetStructValue().GetFields(), version["envoy"].GetStructValue().GetFields()
	v := &kumapb.Version{
		KumaDp: &kumapb.KumaDpVersion{
			Version: launcher["version"].GetStringValue(), GitTag: launcher["gitTag"].GetStringValue(),
			GitCommit: launcher["gitCommit"].GetStringValue(), BuildDate: launcher["buildDate"].GetStringValue(),
			KumaCpCompatible: true,
		},
		Envoy: &kumapb.EnvoyVersion{
			Version: own["version"].GetStringValue(), Build: own["build"].GetStringValue(),
			KumaDpCompatible: own["kumaDpCompatible"].GetBoolValue(),
		},
	}
	const prefix = "version.dependencies."
	for key, value := range metadata.GetFields()["dynamicMetadata"].GetStructValue().GetFields() {
		if len(key) > len(prefix) && key[:len(prefix)] == prefix {
			if v.Dependencies == nil {
				v.Dependencies = map[string]string{}
			}
			v.Dependencies[key[len(prefix):]] = value.GetStringValue()
		}
	}
	return v
}

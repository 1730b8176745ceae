package xds

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/kumactl/kumactl/internal/envoy"
	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/resource"
)

// session is one connection of a proxy. It does not change after it is made, save for its stream.
type session struct {
	*stream
	proxy *proxy
	// id names the subscription in the insight.
	id        string
	connected time.Time
	// metadata is the node's, as it was sent; node and version are what we read from it.
	metadata *structpb.Struct
	node     envoy.Node
	version  *kumapb.Version
	// revision is that of the store which the proxy's configuration must not be older than.
	revision uint64
}

// owned says that the Dataplane came with the proxy, and goes with it.
func (s *session) owned() bool { return s.node.Resource != "" }

// proxy is what is known of one proxy, connected or not. It is kept until its Dataplane goes.
type proxy struct {
	key resource.Key
	// compiled is what was computed last; nil before that.
	compiled atomic.Pointer[compiled]
	// reporting says that its insight is going to be written.
	reporting atomic.Bool

	// The rest is guarded by fleet.mu.
	session *session
	// last is the session that ended last, past the part of the insight that tells of the connection before this one.
	last *session
	past *kumapb.DiscoverySubscription
	// replacements counts sessions that were replaced since a time.
	replacements int
	since        time.Time
	// arriving counts streams that are between their first request and their session.
	arriving int
	// due is when a Dataplane that came with its proxy is to go; zero when it stays.
	due time.Time
	// leaving is closed when a deletion under way has ended; nil without one.
	leaving chan struct{}
	// registered is the text of the resource that the proxy brought, and at which revision it was stored.
	registered string
	revision   uint64
}

// compiled is the result of one compilation. After an error the last good configuration stays.
type compiled struct {
	session *session
	config  *envoy.Config
	err     error
}

// fleet is all proxies. It is shared by the streams, the pusher and those who ask.
type fleet struct {
	mu      sync.Mutex
	proxies map[resource.Key]*proxy
	// moved holds proxies that came or went since the pusher looked; wake tells it.
	moved []*proxy
	wake  chan struct{}
	// leave tells the one who deregisters that there is something to wait for.
	leave chan struct{}
	// closing says that streams end because this control plane does.
	closing bool
}

func newFleet() *fleet {
	return &fleet{proxies: map[resource.Key]*proxy{}, wake: make(chan struct{}, 1), leave: make(chan struct{}, 1)}
}

// signal tells whoever waits at a channel of one place; it never waits.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// get finds what is known of a proxy; nil when that is nothing.
func (f *fleet) get(key resource.Key) *proxy {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.proxies[key]
}

// size is the number of proxies that are known, connected or not.
func (f *fleet) size() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.proxies)
}

// at gives the entry of a proxy, made if it is new. The caller holds mu.
func (f *fleet) at(key resource.Key) *proxy {
	p := f.proxies[key]
	if p == nil {
		p = &proxy{key: key}
		f.proxies[key] = p
	}
	return p
}

// Two proxies of one name would replace each other for ever, so there is a limit to how often that happens in a while.
const (
	maxReplacements  = 10
	replacementsTime = 30 * time.Second
)

// enter keeps a proxy's Dataplane from going while it connects. When it is just going, enter waits until it has gone: what is
// stored can be relied upon afterwards. Each enter is followed by one call of connect or retreat.
func (f *fleet) enter(ctx context.Context, key resource.Key, now time.Time) (*proxy, error) {
	f.mu.Lock()
	for {
		p := f.at(key)
		leaving := p.leaving
		if leaving == nil {
			defer f.mu.Unlock()
			if p.session != nil && p.replacements >= maxReplacements && now.Sub(p.since) < replacementsTime {
				return nil, status.Errorf(codes.Unavailable,
					"more than one proxy connects as %s of mesh %s: there is already an active stream, and %d were replaced", key.Name, key.Mesh, p.replacements)
			}
			p.arriving++
			return p, nil
		}
		f.mu.Unlock()
		select {
		case <-leaving:
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
		f.mu.Lock()
	}
}

// retreat ends an enter that came to nothing.
func (f *fleet) retreat(p *proxy) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p.arriving--
	f.prune(p)
}

// connect makes a session the proxy's one. An older one is replaced at once: its proxy may have died without a word.
func (f *fleet) connect(s *session) (replaced *session) {
	f.mu.Lock()
	p := s.proxy
	replaced = p.session
	p.arriving--
	p.session, p.due = s, time.Time{}
	f.moved = append(f.moved, p)
	if replaced != nil {
		if s.connected.Sub(p.since) >= replacementsTime {
			p.replacements, p.since = 0, s.connected
		}
		p.replacements++
	}
	f.mu.Unlock()
	if replaced != nil {
		replaced.stop(status.Error(codes.Aborted, "replaced by a newer stream of the same proxy"))
	}
	signal(f.wake)
	return replaced
}

// disconnect ends a session. It says whether it was the proxy's current one. The Dataplane goes at due, if it is set.
func (f *fleet) disconnect(s *session, due time.Time) bool {
	f.mu.Lock()
	p := s.proxy
	if p.session != s {
		f.mu.Unlock()
		return false
	}
	p.session, p.last = nil, s
	if s.owned() && !f.closing {
		p.due = due
	}
	f.moved = append(f.moved, p)
	f.mu.Unlock()
	signal(f.wake)
	signal(f.leave)
	return true
}

// close makes the sessions that end from now on no reason to remove anything.
func (f *fleet) close() {
	f.mu.Lock()
	f.closing = true
	f.mu.Unlock()
}

// takeMoved gives the proxies that came or went.
func (f *fleet) takeMoved() []*proxy {
	f.mu.Lock()
	defer f.mu.Unlock()
	moved := f.moved
	f.moved = nil
	return moved
}

// session gives the connection of a proxy; nil when it has none.
func (f *fleet) session(p *proxy) *session {
	f.mu.Lock()
	defer f.mu.Unlock()
	return p.session
}

// gone forgets what was computed for a proxy whose Dataplane is gone and that is not connected.
func (f *fleet) gone(key resource.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p := f.proxies[key]; p != nil && p.session == nil && p.leaving == nil {
		p.compiled.Store(nil)
		p.due = time.Time{}
		f.prune(p)
	}
}

// prune forgets a proxy that there is nothing to know of.
func (f *fleet) prune(p *proxy) {
	if p.session == nil && p.arriving == 0 && p.leaving == nil && p.due.IsZero() && p.compiled.Load() == nil {
		delete(f.proxies, p.key)
	}
}

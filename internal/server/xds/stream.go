package xds

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/kumactl/kumactl/internal/envoy"
)

// patience is how long listeners wait for the clusters that they need. It bounds what a client that never answers can hold up.
const patience = time.Second

// stream is one discovery stream of a proxy. Its handler's goroutine owns it; others offer configurations and end it.
// What is not sent yet is not queued: only the newest configuration is there.
type stream struct {
	delta    bool
	instance string
	now      func() time.Time

	// offered is the newest configuration, kick tells of it, and end why the stream is to end.
	offered atomic.Pointer[envoy.Config]
	kick    chan struct{}
	end     chan error
	counts  counts

	// config is the one that is being sent; nil at first, and then nothing is answered: an empty answer would take away what the
	// proxy has.
	config *envoy.Config
	subs   [typeCount]subscription
	// dirty marks the types to look at.
	dirty [typeCount]bool
	nonce uint64
	// deadline is until when a change is sent in order; later nothing waits.
	deadline time.Time
}

func newStream(delta bool, instance string, now func() time.Time) *stream {
	return &stream{delta: delta, instance: instance, now: now, kick: make(chan struct{}, 1), end: make(chan error, 1)}
}

// offer gives the stream its newest configuration. It never waits.
func (s *stream) offer(config *envoy.Config) {
	s.offered.Store(config)
	signal(s.kick)
}

// stop ends the stream with an error for the proxy. It never waits.
func (s *stream) stop(err error) {
	select {
	case s.end <- err:
	default:
	}
}

// adopt takes what was offered.
func (s *stream) adopt() {
	config := s.offered.Load()
	if config == s.config {
		return
	}
	for t := range typeCount {
		// The first one is looked at even if it is empty.
		if s.config == nil || !shared(listOf(config, t), listOf(s.config, t)) {
			s.dirty[t] = true
		}
	}
	// Clusters that were kept for the listeners may go now.
	s.dirty[clusters] = true
	s.config, s.deadline = config, s.now().Add(patience)
}

// listOf gives the resources of a type; types that no configuration has yet are empty.
func listOf(c *envoy.Config, t resourceType) []*envoy.Sealed {
	switch t {
	case clusters:
		return c.Clusters
	case endpoints:
		return c.Endpoints
	case listeners:
		return c.Listeners
	}
	return nil
}

// next gives the next answer to send, or nil when there is none now; then wait says how long until one may be due because its
// order no longer matters (0: not before something happens).
func (s *stream) next() (m message, wait time.Duration) {
	if s.config == nil {
		return nil, 0
	}
	for t := range typeCount {
		u := &s.subs[t]
		if !s.dirty[t] || !u.asked || u.waiting {
			continue
		}
		if t == listeners && !u.owed && shared(u.known, listOf(s.config, t)) {
			// Others have changed that it might have had to wait for.
			s.dirty[t] = false
			continue
		}
		if left := s.blocked(t); left > 0 {
			// It stays dirty, and is looked at again with the next thing that happens.
			wait = left
			continue
		}
		s.dirty[t] = false
		all, kept := s.resources(t)
		if kept > 0 {
			s.dirty[t], wait = true, kept
		}
		var w answer
		var ok bool
		if s.delta {
			w, ok = u.nextDelta(t, all)
		} else {
			w, ok = u.nextSotw(t, all)
		}
		if ok {
			return s.send(t, w), 0
		}
	}
	return nil, wait
}

// send numbers an answer, notes what follows from it and encodes it.
func (s *stream) send(t resourceType, w answer) message {
	s.nonce++
	u := &s.subs[t]
	w.typeURL, w.nonce, w.instance = t.url(), s.nonce, s.instance
	u.nonce, u.waiting, u.owed, u.again, u.stale, u.base = s.nonce, true, false, false, false, true
	u.heldVersion = ""
	switch t {
	case clusters:
		s.warm(w.anew)
		s.subs[endpoints].again, s.subs[secrets].again = true, true
	case listeners:
		s.subs[routes].again, s.subs[secrets].again = true, true
	}
	s.counts.sent(t, w.version)
	if s.delta {
		return w.delta()
	}
	return w.sotw()
}

// warm makes the endpoints of clusters that are new or have changed be sent again, even if they are the same: Envoy warms such a
// cluster anew, and waits for them.
func (s *stream) warm(anew []*envoy.Sealed) {
	u := &s.subs[endpoints]
	if !u.asked {
		u.stale = true
		return
	}
	u.forget(func(name string) bool { return find(anew, name) != nil })
	s.dirty[endpoints] = true
}

// blocked says how long an answer may have to wait for those that it builds on: listeners for clusters and their endpoints,
// routes also for listeners. What the proxy asks for is answered at once.
func (s *stream) blocked(t resourceType) time.Duration {
	if t != listeners && t != routes || s.subs[t].owed {
		return 0
	}
	left := s.deadline.Sub(s.now())
	if left <= 0 {
		return 0
	}
	cds, eds := &s.subs[clusters], &s.subs[endpoints]
	switch {
	case cds.waiting, eds.waiting, t == routes && s.subs[listeners].waiting:
		return left
	case eds.asked && cds.asked && slices.ContainsFunc(s.config.Endpoints, func(r *envoy.Sealed) bool {
		_, asked := slices.BinarySearch(eds.names, r.Name)
		return !asked && !eds.wildcard
	}):
		// A new cluster whose endpoints the proxy has not asked for yet.
		return left
	}
	return 0
}

// resources gives the list of a type. Clusters that have gone stay in it while the proxy's listeners may still use them: until
// it has accepted the new ones, or for as long as it refuses them. kept says for how long they stay at most, 0 when none do.
func (s *stream) resources(t resourceType) (all []*envoy.Sealed, kept time.Duration) {
	all = listOf(s.config, t)
	if t != clusters {
		return all, 0
	}
	cds, lds := &s.subs[clusters], &s.subs[listeners]
	if len(cds.known) == 0 || !lds.asked && !cds.claims {
		return all, 0
	}
	// Somebody who does not answer cannot hold them for ever; somebody who refuses can, for his listeners are the old ones.
	left := s.deadline.Sub(s.now())
	refused := len(lds.refused) > 0
	if lds.settled(listOf(s.config, listeners)) || left <= 0 && !refused {
		return all, 0
	}
	with := union(all, cds.known)
	if len(with) == len(all) || refused {
		left = 0
	}
	return with, left
}

// receive takes a request in.
func (s *stream) receive(r *request) {
	if r.kind == unknownType {
		return
	}
	u := &s.subs[r.kind]
	if s.delta {
		s.receiveDelta(u, r)
	} else {
		s.receiveSotw(u, r)
	}
	s.dirty[r.kind] = true
}

// judged takes note of the proxy's answer to an answer of ours.
func (s *stream) judged(u *subscription, r *request) {
	if r.refused {
		u.reject()
	} else {
		u.accept()
	}
	s.counts.judged(r, s.now())
	// Others may have waited for this.
	switch r.kind {
	case clusters, endpoints:
		s.dirty[listeners], s.dirty[routes] = true, true
	case listeners:
		s.dirty[clusters], s.dirty[routes] = true, true
	}
}

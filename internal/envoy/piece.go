package envoy

import (
	"fmt"
	"maps"
	"sync"
	"weak"

	"github.com/kumactl/kumactl/internal/view"
)

// piece is what one part of a proxy became: sealed resources, and what there is to say about them.
type piece struct {
	clusters, listeners []*Sealed
	problems            []Problem
}

// inboundKey is everything that the piece of an inbound depends on. The inbound is the same pointer for as long as its Dataplane
// does not change; held weakly, it does not keep an old one.
type inboundKey struct {
	inbound weak.Pointer[view.Inbound]
	reuse   bool
	kafka   bool
	effects *effects
}

// outboundKey is everything that the piece of an outbound depends on.
type outboundKey struct {
	address  string
	port     uint32
	to       view.Selector
	protocol string
	kafka    bool
	effects  *effects
}

// ownKey is everything that the resources of the proxy itself depend on.
type ownKey struct {
	address      string
	adminAddress string
	adminPort    uint32
	adminSocket  string
	readiness    uint32
	reuse        bool
}

// maxPieces bounds each table of pieces. An entry holds its resources weakly: it is a few hundred bytes once they are gone.
const maxPieces = 50_000

// pieces finds what was made for a key, as long as somebody still holds it.
type pieces[K comparable] struct {
	mu   sync.Mutex
	made map[K]weakPiece
}

type weakPiece struct {
	clusters, listeners []weak.Pointer[Sealed]
	problems            []Problem
}

func (p *pieces[K]) get(key K, make func() piece) piece {
	p.mu.Lock()
	had, ok := p.made[key]
	p.mu.Unlock()
	if ok {
		if found, all := had.strong(); all {
			return found
		}
	}
	fresh := make()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.made == nil {
		p.made = map[K]weakPiece{}
	}
	if len(p.made) >= maxPieces {
		maps.DeleteFunc(p.made, func(_ K, w weakPiece) bool { _, all := w.strong(); return !all })
	}
	if len(p.made) >= maxPieces {
		clear(p.made)
	}
	p.made[key] = fresh.weak()
	return fresh
}

func (p piece) weak() weakPiece {
	w := weakPiece{problems: p.problems}
	for _, s := range p.clusters {
		w.clusters = append(w.clusters, weak.Make(s))
	}
	for _, s := range p.listeners {
		w.listeners = append(w.listeners, weak.Make(s))
	}
	return w
}

// strong gives the piece; false when a resource of it is gone.
func (w weakPiece) strong() (p piece, all bool) {
	p.problems = w.problems
	for _, s := range w.clusters {
		p.clusters = append(p.clusters, s.Value())
	}
	for _, s := range w.listeners {
		p.listeners = append(p.listeners, s.Value())
	}
	for _, s := range p.clusters {
		if s == nil {
			return piece{}, false
		}
	}
	for _, s := range p.listeners {
		if s == nil {
			return piece{}, false
		}
	}
	return p, true
}

// effects is a list of effects, the last one first. Equal lists are the same pointer, so that a list can be part of a key.
type effects struct {
	before *effects
	in     inboundEffect
	out    outboundEffect
}

// effectLists hands out lists.
type effectLists struct {
	mu    sync.Mutex
	known map[effects]*effects
}

// with gives the list that has one effect more.
func (l *effectLists) with(e effects) *effects {
	l.mu.Lock()
	defer l.mu.Unlock()
	if had, ok := l.known[e]; ok {
		return had
	}
	if l.known == nil || len(l.known) >= maxPieces {
		l.known = map[effects]*effects{}
	}
	l.known[e] = &e
	return &e
}

func (e *effects) onInbound(d *DraftInbound) {
	if e != nil {
		e.before.onInbound(d)
		e.in.onInbound(d)
	}
}

func (e *effects) onOutbound(d *DraftOutbound) {
	if e != nil {
		e.before.onOutbound(d)
		e.out.onOutbound(d)
	}
}

// attempt makes a piece and turns a panic into a problem: the part is left out, and the rest of the proxy goes on.
func attempt(about string, make func() piece) (p piece) {
	defer func() {
		if r := recover(); r != nil {
			p = piece{problems: []Problem{{about, fmt.Sprintf("is left out, it cannot be compiled: %v", r)}}}
		}
	}()
	return make()
}

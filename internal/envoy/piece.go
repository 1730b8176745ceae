package envoy

import (
	"fmt"
	"maps"
	"sync"
	"weak"

	"github.com/kumactl/kumactl/internal/view"
)

// piece is one resource of a proxy, and what there is to say about it. It is nil when it could not be made.
type piece struct {
	sealed   *Sealed
	problems []Problem
}

// The keys of pieces: everything that the piece depends on. Effects are pointers to equal lists.
type (
	// inboundKey names the inbound by its pointer, which stays the same for as long as its Dataplane does not change; held
	// weakly, it does not keep an old one.
	inboundKey struct {
		inbound weak.Pointer[view.Inbound]
		reuse   bool
		kafka   bool
		effects *effects
	}
	outboundKey struct {
		address string
		port    uint32
		kafka   bool
		destinationKey
	}
	destinationKey struct {
		to       view.Selector
		protocol string
		effects  *effects
	}
	// ownKey is a cluster of the proxy itself, or with a listener's address the listener.
	ownKey struct {
		name    string
		address string
		port    uint32
		reuse   bool
	}
)

// maxPieces bounds each table. An entry holds its resource weakly: it is a few hundred bytes once that is gone.
const maxPieces = 100_000

// pieces finds what was made for a key, as long as somebody still holds it.
type pieces[K comparable] struct {
	mu   sync.Mutex
	made map[K]weakPiece
}

type weakPiece struct {
	sealed   weak.Pointer[Sealed]
	failed   bool
	problems []Problem
}

// get finds a piece, or makes it. A panic while it is made leaves it out and is told as a problem.
func (p *pieces[K]) get(key K, about string, make func(K) piece) piece {
	p.mu.Lock()
	had, ok := p.made[key]
	p.mu.Unlock()
	if ok {
		if sealed := had.sealed.Value(); sealed != nil || had.failed {
			return piece{sealed, had.problems}
		}
	}
	fresh := attempt(about, key, make)
	p.put(key, fresh)
	return fresh
}

func (p *pieces[K]) put(key K, fresh piece) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.made == nil {
		p.made = map[K]weakPiece{}
	}
	if len(p.made) >= maxPieces {
		maps.DeleteFunc(p.made, func(_ K, w weakPiece) bool { return w.sealed.Value() == nil })
	}
	if len(p.made) >= maxPieces {
		clear(p.made)
	}
	p.made[key] = weakPiece{weak.Make(fresh.sealed), fresh.sealed == nil, fresh.problems}
}

func attempt[K any](about string, key K, make func(K) piece) (p piece) {
	defer func() {
		if r := recover(); r != nil {
			p = piece{problems: []Problem{{about, fmt.Sprintf("is left out, it cannot be compiled: %v", r)}}}
		}
	}()
	return make(key)
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

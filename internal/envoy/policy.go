package envoy

import (
	"sync"

	"github.com/kumactl/kumactl/internal/policy"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/view"
)

// Policy is a kind of policy with what it does to drafts. PolicyOf makes it.
type Policy struct {
	Kind *resource.Kind

	// open starts a memory of what was bound, and gives what binds the policies of one mesh.
	open   func() binder
	target func(*resource.Resource) policy.TargetRef
}

type binder func(list []*resource.Resource) boundPolicy

// Effects are what a kind of policy with configuration C does. An effect gets one part of a draft and its own merged rules about
// that part, and nothing else: so it cannot read an input that sharing does not know of. Effects that a kind does not have are
// nil, and none is called where no policy of the kind says anything.
type Effects[C any] struct {
	// Inbound changes what serves an inbound.
	Inbound func(*DraftInbound, *policy.InboundRules[C])
	// Outbound changes what serves an outbound and its destination.
	Outbound func(*DraftOutbound, *C)
}

// PolicyOf binds a kind to how its specification is read and to its effects.
func PolicyOf[S, C any](kind *resource.Kind, shape policy.Shape[S, C], effects Effects[C]) Policy {
	return Policy{
		Kind: kind,
		open: func() binder {
			known := &identities[C]{}
			return func(list []*resource.Resource) boundPolicy {
				return &boundSet[C]{
					set: shape.Bind(list), effects: &effects, known: known,
					to: map[policy.Mask]*toRules[C]{}, inbound: map[policy.Mask]*policy.InboundRules[C]{},
				}
			}
		},
		target: func(r *resource.Resource) policy.TargetRef {
			if t := shape.Target(r.Spec.(*S)); t != nil {
				return *t
			}
			return policy.TargetRef{Kind: policy.RefMesh}
		},
	}
}

// Selects says whether one policy of the kind applies to a proxy.
func (p Policy) Selects(r *resource.Resource, proxy *view.Proxy) bool {
	return policy.Selects(r, p.target(r), proxy)
}

// boundPolicy is the policies of one kind in one mesh, without their type.
type boundPolicy interface {
	choose(m *view.Mesh, p *view.Proxy, shadow bool) (chosen, error)
	inspect(kind string, m *view.Mesh, p *view.Proxy) (*policy.Inspection, error)
}

// chosen is what the policies of one kind say about one proxy.
type chosen interface {
	// inbound is about the i-th inbound, outbound about a destination by kuma.io/service; nil when nothing is said.
	inbound(i int) inboundEffect
	outbound(service string) outboundEffect
}

// inboundEffect and outboundEffect are an effect with its rules. Equal ones do the same, and they can be compared.
type (
	inboundEffect  interface{ onInbound(*DraftInbound) }
	outboundEffect interface{ onOutbound(*DraftOutbound) }
)

// boundSet makes the rules of a kind once for all proxies that the same policies select.
type boundSet[C any] struct {
	set     *policy.Set[C]
	effects *Effects[C]
	known   *identities[C]

	mu      sync.Mutex
	to      map[policy.Mask]*toRules[C]
	inbound map[policy.Mask]*policy.InboundRules[C]
}

// toRules are rules with the pointers that stand for their configurations.
type toRules[C any] struct {
	*policy.ToRules[C]
	same map[*C]*C
}

// chosenRules are the rules for one proxy; nil where nothing is said.
type chosenRules[C any] struct {
	effects *Effects[C]
	to      *toRules[C]
	in      []*policy.InboundRules[C]
}

func (b *boundSet[C]) choose(m *view.Mesh, p *view.Proxy, shadow bool) (chosen, error) {
	sel := b.set.Select(p, shadow)
	if sel.Proxy.Empty() {
		return nil, nil
	}
	rules := &chosenRules[C]{effects: b.effects}
	b.mu.Lock()
	defer b.mu.Unlock()
	var err error
	if b.effects.Outbound != nil {
		if rules.to, err = kept(b.to, sel.Proxy, func() (*toRules[C], error) { return b.makeTo(sel.Proxy, m) }); err != nil {
			return nil, err
		}
	}
	if b.effects.Inbound != nil {
		rules.in = make([]*policy.InboundRules[C], len(sel.Inbounds))
		for i, mask := range sel.Inbounds {
			if rules.in[i], err = kept(b.inbound, mask, func() (*policy.InboundRules[C], error) { return b.makeInbound(mask) }); err != nil {
				return nil, err
			}
		}
	}
	return rules, nil
}

func (b *boundSet[C]) makeTo(mask policy.Mask, m *view.Mesh) (*toRules[C], error) {
	made, err := b.set.To(mask, m)
	if err != nil {
		return nil, err
	}
	rules := &toRules[C]{made, map[*C]*C{}}
	for i := range made.Services {
		conf := &made.Services[i].Conf
		if rules.same[conf], err = b.known.conf(conf); err != nil {
			return nil, err
		}
	}
	return rules, nil
}

func (b *boundSet[C]) makeInbound(mask policy.Mask) (*policy.InboundRules[C], error) {
	made, err := b.set.Inbound(mask)
	if err != nil {
		return nil, err
	}
	return b.known.inbound(made)
}

// maxKept bounds how many different selections are remembered.
const maxKept = 10_000

func kept[V any](in map[policy.Mask]V, m policy.Mask, make func() (V, error)) (V, error) {
	if v, ok := in[m]; ok {
		return v, nil
	}
	v, err := make()
	if err != nil {
		return v, err
	}
	if len(in) >= maxKept {
		clear(in)
	}
	in[m] = v
	return v, nil
}

func (b *boundSet[C]) inspect(kind string, m *view.Mesh, p *view.Proxy) (*policy.Inspection, error) {
	return b.set.Inspect(kind, m, p)
}

func (c *chosenRules[C]) inbound(i int) inboundEffect {
	if i >= len(c.in) || c.in[i] == nil || len(c.in[i].Rules) == 0 {
		return nil
	}
	return onInbound[C]{c.effects, c.in[i]}
}

func (c *chosenRules[C]) outbound(service string) outboundEffect {
	if c.to == nil {
		return nil
	}
	conf := c.to.Service(service)
	if conf == nil {
		return nil
	}
	return onOutbound[C]{c.effects, c.to.same[conf]}
}

type onInbound[C any] struct {
	effects *Effects[C]
	rules   *policy.InboundRules[C]
}

func (e onInbound[C]) onInbound(d *DraftInbound) { e.effects.Inbound(d, e.rules) }

type onOutbound[C any] struct {
	effects *Effects[C]
	conf    *C
}

func (e onOutbound[C]) onOutbound(d *DraftOutbound) { e.effects.Outbound(d, e.conf) }

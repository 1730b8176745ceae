package policy

import (
	"cmp"
	"slices"
	"sync"

	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/view"
)

// ToRules are the configurations of one proxy's policies for the destinations that it consumes.
type ToRules[C any] struct {
	// Services are about destinations by kuma.io/service, the most specific first.
	Services []SubsetRule[C]
	// Resources are about destinations that are resources, and about the mesh, which stands for all others.
	Resources []ResourceRule[C]

	mu    sync.RWMutex
	found map[string]*C
}

// ResourceRule is the configuration of one resource, or of one section (port) of it.
type ResourceRule[C any] struct {
	Resource *resource.Resource
	Section  string
	// Confs has more than one element only where the configuration itself names the parts that it is about.
	Confs []C
	// Origins in ascending precedence.
	Origins []Origin
}

// To makes the rules of the policies that are meant. In a mesh of services that are all resources there are none by tag.
func (s *Set[C]) To(m Mask, mesh *view.Mesh) (*ToRules[C], error) {
	entries := s.entries(m, func(b *bound[C]) []Entry[C] { return b.to })
	rules := &ToRules[C]{found: map[string]*C{}}
	var err error
	if rules.Resources, err = resourceRules(entries, mesh); err != nil {
		return nil, err
	}
	if !onlyResources(mesh) && !slices.ContainsFunc(entries, func(e entryOf[C]) bool { return e.Target.Kind == RefMeshHTTPRoute }) {
		rules.Services, err = subsetRules(entries, false)
	}
	return rules, err
}

// Service gives the configuration for a destination by kuma.io/service; nil when no policy says anything about it. The same
// pointer means the same configuration.
func (r *ToRules[C]) Service(name string) *C {
	if len(r.Services) == 0 {
		return nil
	}
	r.mu.RLock()
	conf, ok := r.found[name]
	r.mu.RUnlock()
	if ok {
		return conf
	}
	tags := map[string]string{resource.TagService: name}
	for i := range r.Services {
		if r.Services[i].Subset.Contains(tags) {
			conf = &r.Services[i].Conf
			break
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.found) >= maxFound {
		clear(r.found)
	}
	r.found[name] = conf
	return conf
}

// maxFound bounds how many answers of Service are remembered.
const maxFound = 4096

// InboundRule is what one entry says about what arrives at an inbound.
type InboundRule[C any] struct {
	// Match is nil when the rule is about everybody.
	Match  *Match
	Conf   C
	Origin Origin
}

// InboundRules are the configurations of one inbound's policies for what arrives at it.
type InboundRules[C any] struct {
	// Rules in ascending precedence; among rules with a match the most exact comes first.
	Rules []InboundRule[C]
	// All is what the rules about everybody say together; nil when there are none.
	All *C
}

// Inbound makes the rules of the policies that are meant.
func (s *Set[C]) Inbound(m Mask) (*InboundRules[C], error) {
	rules := &InboundRules[C]{}
	for _, e := range s.entries(m, s.inboundEntries) {
		if k := e.Target.Kind; k != "" && k != RefMesh {
			continue
		}
		if len(e.Matches) == 0 {
			rules.Rules = append(rules.Rules, InboundRule[C]{nil, e.Default, e.origin()})
		}
		for i := range e.Matches {
			rules.Rules = append(rules.Rules, InboundRule[C]{&e.Matches[i], e.Default, e.origin()})
		}
	}
	slices.SortStableFunc(rules.Rules, func(a, b InboundRule[C]) int { return cmp.Compare(b.specificity(), a.specificity()) })
	var confs []C
	for _, r := range rules.Rules {
		if r.Match == nil {
			confs = append(confs, r.Conf)
		}
	}
	merged, err := Merge(confs)
	if len(merged) > 0 {
		rules.All = &merged[0]
	}
	return rules, err
}

func (r InboundRule[C]) specificity() int {
	if r.Match == nil {
		return 0
	}
	return specificity([]Match{*r.Match})
}

// inboundEntries are a policy's rules; for some kinds its `from` entries, of which those about the whole mesh count.
func (s *Set[C]) inboundEntries(b *bound[C]) []Entry[C] {
	if len(b.rules) > 0 || !s.fromAsRules {
		return b.rules
	}
	return b.from
}

// From makes rules by the clients' tags of the policies that are meant.
func (s *Set[C]) From(m Mask) ([]SubsetRule[C], error) {
	return subsetRules(s.entries(m, func(b *bound[C]) []Entry[C] { return b.from }), true)
}

// ProxyRule is the configuration of a proxy as a whole.
type ProxyRule[C any] struct {
	Conf C
	// Origins in ascending precedence.
	Origins []Origin
}

// Single merges the policies that are meant; nil when there are none.
func (s *Set[C]) Single(m Mask) (*ProxyRule[C], error) {
	var confs []C
	var origins []Origin
	for i := range s.policies {
		if b := &s.policies[i]; m.has(i) && b.single != nil {
			confs = append(confs, *b.single)
			origins = append(origins, Origin{Policy: b.resource})
		}
	}
	merged, err := Merge(confs)
	if err != nil || len(merged) == 0 {
		return nil, err
	}
	return &ProxyRule[C]{merged[0], origins}, nil
}

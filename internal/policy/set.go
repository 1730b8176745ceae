package policy

import (
	"slices"
	"strings"

	"github.com/kumactl/kumactl/internal/resource"
)

// Shape says how to read a kind's specification S, whose configuration is C: which proxies it selects, and its entries. Parts
// that the kind does not have stay nil.
type Shape[S, C any] struct {
	// Target is the top-level reference; nil means the whole mesh.
	Target func(*S) *TargetRef
	// To entries are about destinations, From entries about clients, Rules entries about clients by what they prove to be.
	To, From, Rules func(*S) []Entry[C]
	// Single is the configuration of kinds that are about the proxy as a whole.
	Single func(*S) C
	// FromAsRules kinds take a From entry about the whole mesh for a rule without matches.
	FromAsRules bool
}

// Entry is one configuration of a policy, with what it is about.
type Entry[C any] struct {
	// Target of To and From entries; Matches of Rules entries, where none means everybody.
	Target  TargetRef
	Matches []Match
	Default C
}

// bound is one policy as its shape reads it.
type bound[C any] struct {
	resource        *resource.Resource
	target          TargetRef
	to, from, rules []Entry[C]
	single          *C
}

// Set is the policies of one kind in one mesh, in ascending precedence: what comes later counts more. It never changes.
type Set[C any] struct {
	policies    []bound[C]
	fromAsRules bool
}

// Bind reads the policies of a kind and puts them in order.
func (s Shape[S, C]) Bind(list []*resource.Resource) *Set[C] {
	set := &Set[C]{fromAsRules: s.FromAsRules, policies: make([]bound[C], 0, len(list))}
	for _, r := range list {
		spec := r.Spec.(*S)
		b := bound[C]{resource: r, target: TargetRef{Kind: RefMesh}}
		if s.Target != nil {
			if t := s.Target(spec); t != nil {
				b.target = *t
			}
		}
		for _, part := range []struct {
			read func(*S) []Entry[C]
			into *[]Entry[C]
		}{{s.To, &b.to}, {s.From, &b.from}, {s.Rules, &b.rules}} {
			if part.read != nil {
				*part.into = part.read(spec)
			}
		}
		if s.Single != nil {
			conf := s.Single(spec)
			b.single = &conf
		}
		set.policies = append(set.policies, b)
	}
	slices.SortStableFunc(set.policies, func(a, b bound[C]) int {
		if c := comparePolicies(a.resource, b.resource, &a.target, &b.target); c != 0 {
			return c
		}
		return compareNames(a.resource, b.resource)
	})
	return set
}

// Mask says which policies of a set are meant. It is comparable: the same mask of the same set gives the same rules.
type Mask string

func (m Mask) has(i int) bool { return m[i>>3]&(1<<(i&7)) != 0 }

// Empty says that no policy is meant.
func (m Mask) Empty() bool { return strings.Trim(string(m), "\x00") == "" }

type maskBuilder []byte

func newMask(n int) maskBuilder { return make(maskBuilder, (n+7)/8) }

func (b maskBuilder) set(i int) { b[i>>3] |= 1 << (i & 7) }

// Origin is where a configuration comes from: a policy, and which of its entries.
type Origin struct {
	Policy *resource.Resource
	Index  int
}

// entryOf is an entry with the policy that it is of.
type entryOf[C any] struct {
	*Entry[C]
	policy *bound[C]
	index  int
}

func (e entryOf[C]) origin() Origin { return Origin{e.policy.resource, e.index} }

// entries gathers the entries of the policies that are meant, in the order of the set.
func (s *Set[C]) entries(m Mask, of func(*bound[C]) []Entry[C]) []entryOf[C] {
	var all []entryOf[C]
	for i := range s.policies {
		if !m.has(i) {
			continue
		}
		p := &s.policies[i]
		list := of(p)
		for j := range list {
			all = append(all, entryOf[C]{&list[j], p, j})
		}
	}
	return all
}

// policiesOf names each policy of some origins once, in the order of their first appearance.
func policiesOf(origins []Origin) []*resource.Resource {
	var all []*resource.Resource
	for _, o := range origins {
		if !slices.Contains(all, o.Policy) {
			all = append(all, o.Policy)
		}
	}
	return all
}

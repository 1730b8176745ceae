package view

import (
	"iter"

	"github.com/tidwall/btree"

	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/resource"
)

// Mesh is one mesh at one revision.
type Mesh struct {
	Name string
	// Revision of the store when this mesh changed last, as far as this control plane saw it.
	Revision uint64
	// Resource is nil when things of the mesh are stored and the mesh itself is not.
	Resource *resource.Resource
	// Spec is never nil.
	Spec *kumapb.Mesh

	proxies      *btree.Map[string, *Proxy]
	destinations *btree.Map[string, *Destination]
	policies     map[string]*PolicyList
}

// PolicyList holds the policies of one kind by name. The same pointer means the same policies.
type PolicyList struct {
	Kind  *resource.Kind
	Items []*resource.Resource
}

// Proxy finds a proxy by the name of its Dataplane.
func (m *Mesh) Proxy(name string) (*Proxy, bool) { return m.proxies.Get(name) }

// Proxies yields all proxies by name.
func (m *Mesh) Proxies() iter.Seq[*Proxy] { return values(m.proxies) }

// ProxyCount is the number of proxies.
func (m *Mesh) ProxyCount() int { return m.proxies.Len() }

// Destination finds a destination by the value of its tag kuma.io/service.
func (m *Mesh) Destination(service string) (*Destination, bool) { return m.destinations.Get(service) }

// Destinations yields all destinations by service.
func (m *Mesh) Destinations() iter.Seq[*Destination] { return values(m.destinations) }

// Protocol of a destination; tcp for one that nobody offers.
func (m *Mesh) Protocol(service string) string {
	if d, ok := m.destinations.Get(service); ok {
		return d.Protocol
	}
	return ProtocolTCP
}

// Policies of a kind, by name.
func (m *Mesh) Policies(kind string) []*resource.Resource {
	if l := m.policies[kind]; l != nil {
		return l.Items
	}
	return nil
}

// PolicyList of a kind; nil when there is no policy of it.
func (m *Mesh) PolicyList(kind string) *PolicyList { return m.policies[kind] }

func (m *Mesh) empty() bool {
	return m.Resource == nil && m.proxies.Len() == 0 && len(m.policies) == 0
}

func values[V any](of *btree.Map[string, V]) iter.Seq[V] {
	return func(yield func(V) bool) {
		of.Scan(func(_ string, v V) bool { return yield(v) })
	}
}

package view

import (
	"cmp"
	"maps"
	"slices"

	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/resource/dataplane"
)

// The protocols of applications; tls and what is unknown are carried as tcp.
const (
	ProtocolTCP   = dataplane.TCP
	ProtocolHTTP  = dataplane.HTTP
	ProtocolHTTP2 = dataplane.HTTP2
	ProtocolGRPC  = dataplane.GRPC
	ProtocolKafka = dataplane.Kafka
)

// carriers are what each protocol can be taken for, nearest first. Whatever is not here can only be carried as tcp.
var carriers = map[string][]string{
	ProtocolGRPC:  {ProtocolGRPC, ProtocolHTTP2},
	ProtocolHTTP2: {ProtocolHTTP2},
	ProtocolHTTP:  {ProtocolHTTP},
	ProtocolKafka: {ProtocolKafka},
}

// Destination is a service that proxies of the mesh offer, by the tag kuma.io/service. Delegated gateways offer none.
type Destination struct {
	Service string
	// Protocol is the one that all endpoints have in common, ready or not, so that it does not change with their health.
	Protocol string
	// Endpoints that are ready, by proxy and inbound.
	Endpoints []*Endpoint

	// members are all endpoints, ready or not, in the same order.
	members []*Endpoint
}

// Endpoint is one inbound, as others reach it.
type Endpoint struct {
	// Proxy is the name of the Dataplane, Inbound counts its inbounds from 0.
	Proxy    string
	Inbound  int
	Address  string
	Port     uint32
	Protocol string
	// Tags of the inbound and Labels of the Dataplane; must not be changed.
	Tags   map[string]string
	Labels map[string]string
	Zone   string
	Ready  bool
}

// All gives the endpoints that are not ready, too.
func (d *Destination) All() []*Endpoint { return slices.Clone(d.members) }

// Select gives the ready endpoints that carry the selector's extra tags; `*` stands for any value.
func (d *Destination) Select(s Selector) []*Endpoint {
	if s.Whole() {
		return d.Endpoints
	}
	var found []*Endpoint
	extra := s.Extra()
	for _, e := range d.Endpoints {
		if Match(extra, e.Tags) {
			found = append(found, e)
		}
	}
	return found
}

// Match says whether tags fit a selection by tags; `*` stands for any value.
func Match(wanted, tags map[string]string) bool {
	for k, v := range wanted {
		if got, ok := tags[k]; !ok || v != "*" && v != got {
			return false
		}
	}
	return true
}

// next is the destination with the members of some proxies replaced; nil when none is left. What did not change is shared,
// down to the pointers, and a destination that did not change at all is the same.
func (d *Destination) next(service string, e *destinationEdit) *Destination {
	old := map[endpointID]*Endpoint{}
	var kept []*Endpoint
	if d != nil {
		kept = make([]*Endpoint, 0, len(d.members))
		for _, m := range d.members {
			if e.gone[m.Proxy] {
				old[m.id()] = m
			} else {
				kept = append(kept, m)
			}
		}
	}
	for i, m := range e.come {
		if was := old[m.id()]; was != nil && was.equal(m) {
			e.come[i] = was
		}
	}
	slices.SortFunc(e.come, compareEndpoints)
	members := merge(kept, e.come)
	if len(members) == 0 {
		return nil
	}
	if d != nil && slices.Equal(members, d.members) {
		return d
	}
	next := &Destination{Service: service, Protocol: commonProtocol(members), Endpoints: members, members: members}
	if slices.ContainsFunc(members, func(m *Endpoint) bool { return !m.Ready }) {
		next.Endpoints = slices.DeleteFunc(slices.Clone(members), func(m *Endpoint) bool { return !m.Ready })
	}
	return next
}

// merge puts two ordered lists together.
func merge(a, b []*Endpoint) []*Endpoint {
	all := make([]*Endpoint, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if compareEndpoints(a[0], b[0]) < 0 {
			all, a = append(all, a[0]), a[1:]
		} else {
			all, b = append(all, b[0]), b[1:]
		}
	}
	return append(append(all, a...), b...)
}

type endpointID struct {
	proxy   string
	inbound int
}

func (e *Endpoint) id() endpointID { return endpointID{e.Proxy, e.Inbound} }

func compareEndpoints(a, b *Endpoint) int {
	return cmp.Or(cmp.Compare(a.Proxy, b.Proxy), cmp.Compare(a.Inbound, b.Inbound))
}

func (e *Endpoint) equal(o *Endpoint) bool {
	return e.id() == o.id() && e.Address == o.Address && e.Port == o.Port && e.Protocol == o.Protocol && e.Ready == o.Ready &&
		maps.Equal(e.Tags, o.Tags) && maps.Equal(e.Labels, o.Labels)
}

func (e *Endpoint) service() string { return e.Tags[resource.TagService] }

// commonProtocol is the nearest protocol that all endpoints can be taken for.
func commonProtocol(all []*Endpoint) string {
	common := carriers[all[0].Protocol]
	for _, e := range all[1:] {
		if len(common) > 0 && e.Protocol == common[0] {
			continue
		}
		mine := carriers[e.Protocol]
		at := slices.IndexFunc(common, func(p string) bool { return slices.Contains(mine, p) })
		if at < 0 {
			return ProtocolTCP
		}
		common = common[at:]
	}
	if len(common) == 0 {
		return ProtocolTCP
	}
	return common[0]
}

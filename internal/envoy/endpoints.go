package envoy

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"weak"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/view"
)

// endpointsKey is everything that sealed endpoints depend on: the destination is the same pointer for as long as nothing about
// its endpoints changes. It is empty for a service that nobody offers.
type endpointsKey struct {
	destination weak.Pointer[view.Destination]
	selector    view.Selector
}

// endpointTable finds the sealed endpoints that somebody still holds.
type endpointTable struct {
	mu   sync.Mutex
	made map[endpointsKey]weak.Pointer[Sealed]
}

func (t *endpointTable) get(key endpointsKey) *Sealed {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.made[key].Value()
}

func (t *endpointTable) put(key endpointsKey, s *Sealed) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.made == nil {
		t.made = map[endpointsKey]weak.Pointer[Sealed]{}
	}
	if len(t.made) >= maxPieces {
		maps.DeleteFunc(t.made, func(_ endpointsKey, w weak.Pointer[Sealed]) bool { return w.Value() == nil })
	}
	if len(t.made) >= maxPieces {
		clear(t.made)
	}
	t.made[key] = weak.Make(s)
}

// Endpoints seals the endpoints of a destination, or of a part of it, once for all proxies that consume it. What nobody offers
// has no endpoints, and Envoy must be told so.
func (c *Compiler) Endpoints(m *view.Mesh, s view.Selector) *Sealed {
	key := endpointsKey{selector: s}
	destination, there := m.Destination(s.Service)
	if there {
		key.destination = weak.Make(destination)
	}
	if had := c.endpoints.get(key); had != nil {
		return had
	}
	assignment := &endpointv3.ClusterLoadAssignment{ClusterName: clusterName(s)}
	if there {
		assignment.Endpoints = localities(destination.Select(s))
	}
	sealed, err := c.sealer.seal(assignment.ClusterName, TypeEndpoint, assignment)
	if err != nil {
		// Text that is not UTF-8 does not get past the decoders; an empty answer is better than none.
		sealed = c.sealer.share(assignment.ClusterName, TypeEndpoint, nil)
	}
	c.endpoints.put(key, sealed)
	return sealed
}

// localities groups endpoints by zone, zones by name. Of endpoints with the same address and port the first counts; one whose
// address is a name would make Envoy refuse them all.
func localities(endpoints []*view.Endpoint) []*endpointv3.LocalityLbEndpoints {
	type place struct {
		address string
		port    uint32
	}
	seen := make(map[place]bool, len(endpoints))
	var groups []*endpointv3.LocalityLbEndpoints
	for _, e := range endpoints {
		at := place{e.Address, e.Port}
		if seen[at] || !isIP(e.Address) {
			continue
		}
		seen[at] = true
		i := slices.IndexFunc(groups, func(g *endpointv3.LocalityLbEndpoints) bool { return g.GetLocality().GetZone() == e.Zone })
		if i < 0 {
			i = len(groups)
			group := &endpointv3.LocalityLbEndpoints{}
			if e.Zone != "" {
				group.Locality = &corev3.Locality{Zone: e.Zone}
			}
			groups = append(groups, group)
		}
		groups[i].LbEndpoints = append(groups[i].LbEndpoints, lbEndpoint(e))
	}
	slices.SortStableFunc(groups, func(a, b *endpointv3.LocalityLbEndpoints) int {
		return strings.Compare(a.GetLocality().GetZone(), b.GetLocality().GetZone())
	})
	return groups
}

func lbEndpoint(e *view.Endpoint) *endpointv3.LbEndpoint {
	tags := stringStruct(e.Tags, resource.TagService)
	return &endpointv3.LbEndpoint{
		HostIdentifier:      &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: socket(e.Address, e.Port)}},
		LoadBalancingWeight: wrapperspb.UInt32(1),
		Metadata: &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
			"envoy.lb": tags, "envoy.transport_socket_match": tags, "io.kuma.labels": stringStruct(e.Labels, ""),
		}},
	}
}

package envoy

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/view"
)

// Config is all that one proxy gets. Each list is ordered by name.
type Config struct {
	Clusters, Listeners, Endpoints []*Sealed
	// Destinations are what the proxy consumes: when the endpoints of one change, the proxy gets those and nothing else.
	Destinations []view.Selector
	// Problems are parts that were left out.
	Problems []Problem
}

// Policy is a kind of policy with what it does to a draft.
type Policy struct {
	Kind *resource.Kind
	// Apply finds the policies of the kind that select the proxy, merges them, and lets them change the draft.
	Apply func(in Inputs, d *Draft) error
}

// Compiler turns pictures into configuration. Its only state is copies of what it made, shared by proxies that need the same.
type Compiler struct {
	policies []Policy
	sealer   *sealer

	mu        sync.Mutex
	endpoints map[endpointsKey]endpointsOf
}

type endpointsKey struct {
	mesh     string
	selector view.Selector
}

type endpointsOf struct {
	destination *view.Destination
	sealed      *Sealed
}

// NewCompiler takes the policies in the order in which their effects apply.
func NewCompiler(policies []Policy) *Compiler {
	return &Compiler{policies: policies, sealer: newSealer(), endpoints: map[endpointsKey]endpointsOf{}}
}

// Compile makes the configuration of one proxy. A part that cannot be made is left out and named in Problems; the error is for a
// proxy that gets nothing new at all.
func (c *Compiler) Compile(m *view.Mesh, p *view.Proxy, n Node) (*Config, error) {
	in := Inputs{Mesh: m, Proxy: p, Node: n}
	d := newDraft(in)
	for _, policy := range c.policies {
		if err := policy.Apply(in, d); err != nil {
			return nil, fmt.Errorf("%s: %w", policy.Kind.Name, err)
		}
	}
	return c.sealDraft(in, d), nil
}

func (c *Compiler) sealDraft(in Inputs, d *Draft) *Config {
	config := &Config{}
	for _, cluster := range d.ownClusters {
		c.addCluster(config, d, cluster, nil)
	}
	for _, l := range d.ownListeners {
		c.add(&config.Listeners, d, l.GetName(), TypeListener, l)
	}
	for _, b := range d.Inbounds {
		c.addListener(config, d, b.Listener, b.chain)
		c.addCluster(config, d, b.Cluster, b.Options)
	}
	for _, b := range d.Outbounds {
		c.addListener(config, d, b.Listener, b.chain)
	}
	for _, to := range d.Destinations {
		c.addCluster(config, d, to.Cluster, to.Options)
		config.Endpoints = append(config.Endpoints, c.Endpoints(in.Mesh, to.Selector))
		config.Destinations = append(config.Destinations, to.Selector)
	}
	config.Clusters, config.Listeners, config.Endpoints = ordered(config.Clusters), ordered(config.Listeners), ordered(config.Endpoints)
	slices.SortFunc(config.Destinations, func(a, b view.Selector) int { return strings.Compare(a.String(), b.String()) })
	config.Problems = d.problems
	return config
}

// ordered sorts by name and keeps the first of equals: two inbounds of one workload port share its cluster.
func ordered(list []*Sealed) []*Sealed {
	slices.SortStableFunc(list, func(a, b *Sealed) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(list, func(a, b *Sealed) bool { return a.Name == b.Name })
}

func (c *Compiler) addListener(config *Config, d *Draft, l *listenerv3.Listener, chain chain) {
	filter := networkFilter(filterTCP, chain.TCP)
	if chain.HTTP != nil {
		filter = networkFilter(filterHTTP, chain.HTTP)
	}
	l.FilterChains = []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{filter}}}
	c.add(&config.Listeners, d, l.GetName(), TypeListener, l)
}

func (c *Compiler) addCluster(config *Config, d *Draft, cluster *clusterv3.Cluster, options *httpv3.HttpProtocolOptions) {
	if options != nil {
		cluster.TypedExtensionProtocolOptions = map[string]*anypb.Any{optionsHTTP: mustPack(options)}
	}
	c.add(&config.Clusters, d, cluster.GetName(), TypeCluster, cluster)
}

func (c *Compiler) add(to *[]*Sealed, d *Draft, name, typeURL string, m proto.Message) {
	sealed, err := c.sealer.seal(name, typeURL, m)
	if err != nil {
		d.Note(name, err.Error())
		return
	}
	*to = append(*to, sealed)
}

// Endpoints seals the endpoints of a destination, or of a part of it, once for all proxies that consume it. What nobody offers
// has no endpoints, and Envoy must be told so.
func (c *Compiler) Endpoints(m *view.Mesh, s view.Selector) *Sealed {
	destination, there := m.Destination(s.Service)
	key := endpointsKey{m.Name, s}
	c.mu.Lock()
	had, ok := c.endpoints[key]
	c.mu.Unlock()
	if ok && there && had.destination == destination {
		return had.sealed
	}
	assignment := &endpointv3.ClusterLoadAssignment{ClusterName: clusterName(s)}
	if there {
		assignment.Endpoints = localities(destination.Select(s))
	}
	sealed, err := c.sealer.seal(assignment.ClusterName, TypeEndpoint, assignment)
	if err != nil {
		// Tags are checked when they are stored, so this does not happen; an empty answer is better than none.
		sealed = c.sealer.share(assignment.ClusterName, TypeEndpoint, nil)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if there {
		c.endpoints[key] = endpointsOf{destination, sealed}
	} else {
		delete(c.endpoints, key)
	}
	return sealed
}

// localities groups endpoints by zone, zones by name.
func localities(endpoints []*view.Endpoint) []*endpointv3.LocalityLbEndpoints {
	var groups []*endpointv3.LocalityLbEndpoints
	for _, e := range endpoints {
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

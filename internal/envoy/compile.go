package envoy

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/kumactl/kumactl/internal/policy"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/view"
)

// Config is all that one proxy gets. Each list is ordered by name.
type Config struct {
	Clusters, Listeners, Endpoints []*Sealed
	// Destinations are what the proxy consumes: when the endpoints of one change, the proxy gets those and nothing else.
	Destinations []view.Selector
	// Problems are parts that were left out, or do not do all that was asked for.
	Problems []Problem
}

// Compiler turns pictures into configuration. Its only state is copies of what it made, shared by proxies that need the same:
// with or without them it makes the same. It may be used by many goroutines.
type Compiler struct {
	policies []Policy
	binders  []binder
	sealer   *sealer
	effects  effectLists

	ownClusters, ownListeners         pieces[ownKey]
	inboundClusters, inboundListeners pieces[inboundKey]
	clusters                          pieces[destinationKey]
	listeners                         pieces[outboundKey]
	endpoints                         endpointTable

	mu     sync.Mutex
	meshes map[string]*generation
}

// generation holds what follows from the policies of one mesh. It is left behind when one of them changes.
type generation struct {
	mesh  *resource.Resource
	lists []*view.PolicyList
	bound []boundPolicy
}

// maxMeshes bounds how many generations are kept; there is one for each mesh.
const maxMeshes = 1_000

// NewCompiler takes the policies in the order in which their effects apply.
func NewCompiler(policies []Policy) *Compiler {
	c := &Compiler{policies: policies, sealer: newSealer(), meshes: map[string]*generation{}}
	for _, p := range policies {
		c.binders = append(c.binders, p.open())
	}
	return c
}

// generation finds what is known of the mesh's policies, or starts anew.
func (c *Compiler) generation(m *view.Mesh) *generation {
	lists := make([]*view.PolicyList, len(c.policies))
	for i, p := range c.policies {
		lists[i] = m.PolicyList(p.Kind.Name)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if g := c.meshes[m.Name]; g != nil && g.mesh == m.Resource && slices.Equal(g.lists, lists) {
		return g
	}
	g := &generation{mesh: m.Resource, lists: lists, bound: make([]boundPolicy, len(lists))}
	for i, l := range lists {
		if l != nil {
			g.bound[i] = c.binders[i](l.Items)
		}
	}
	if len(c.meshes) >= maxMeshes {
		clear(c.meshes)
	}
	c.meshes[m.Name] = g
	return g
}

// Compile makes the configuration of one proxy. A part that cannot be made is left out and named in Problems; the error is for a
// proxy that gets nothing new at all.
func (c *Compiler) Compile(m *view.Mesh, p *view.Proxy, n Node) (*Config, error) {
	return c.compile(m, p, n, false)
}

// CompileShadow makes what the proxy would get if policies in shadow mode counted, too.
func (c *Compiler) CompileShadow(m *view.Mesh, p *view.Proxy, n Node) (*Config, error) {
	return c.compile(m, p, n, true)
}

func (c *Compiler) compile(m *view.Mesh, p *view.Proxy, n Node, shadow bool) (config *Config, err error) {
	defer func() {
		if r := recover(); r != nil {
			config, err = nil, fmt.Errorf("compile %s of mesh %s: %v", p.Name(), m.Name, r)
		}
	}()
	a := &assembly{Compiler: c, generation: c.generation(m), mesh: m, proxy: p, node: n, config: &Config{}}
	a.config.Problems = beyond(p, n)
	a.choose(shadow)
	a.addOwn()
	if p.Gateway != view.BuiltinGateway {
		for i := range p.Inbounds {
			a.addInbound(i)
		}
		for _, outbound := range p.Outbounds {
			a.addOutbound(outbound)
		}
	}
	return a.finish(), nil
}

// Inspect tells what the policies say about a proxy, kind by kind in the order of their names: the very rules that Compile uses.
func (c *Compiler) Inspect(m *view.Mesh, p *view.Proxy) ([]*policy.Inspection, error) {
	g := c.generation(m)
	var all []*policy.Inspection
	for i, b := range g.bound {
		if b == nil {
			continue
		}
		in, err := b.inspect(c.policies[i].Kind.Name, m, p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.policies[i].Kind.Name, err)
		}
		if in != nil {
			all = append(all, in)
		}
	}
	slices.SortFunc(all, func(a, b *policy.Inspection) int { return strings.Compare(a.Type, b.Type) })
	return all, nil
}

// Selects says whether a policy applies to a proxy; false for resources that are no policies with an effect.
func (c *Compiler) Selects(r *resource.Resource, p *view.Proxy) bool {
	i := slices.IndexFunc(c.policies, func(p Policy) bool { return p.Kind == r.Kind })
	return i >= 0 && c.policies[i].Selects(r, p)
}

// ordered sorts by name and keeps the first of equals: two outbounds of one destination share its cluster.
func ordered(list []*Sealed) []*Sealed {
	slices.SortStableFunc(list, func(a, b *Sealed) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(list, func(a, b *Sealed) bool { return a.Name == b.Name })
}

// beyond says what a proxy asks for and does not get yet.
func beyond(p *view.Proxy, n Node) (problems []Problem) {
	if intercepts(p.Dataplane) || n.TransparentProxy != "" {
		problems = append(problems, Problem{"transparent proxying", "is not there yet; the proxy serves its inbounds and its outbounds with an address"})
	}
	net := p.Dataplane.GetNetworking()
	if len(net.GetListeners()) > 0 {
		problems = append(problems, Problem{"listeners", "zone proxies are not there yet; the proxy serves its inbounds and outbounds"})
	}
	if len(p.Dataplane.GetProbes().GetEndpoints()) > 0 {
		problems = append(problems, Problem{"probes", "virtual probes are not there yet; probe the application itself"})
	}
	for _, address := range []string{p.Address, net.GetAdvertisedAddress()} {
		if address != "" && !isIP(address) {
			problems = append(problems, Problem{"address " + address, "names are not resolved yet, write an IP address; others do not reach the proxy, and it cannot listen there"})
		}
	}
	if p.Gateway == view.BuiltinGateway {
		problems = append(problems, Problem{"gateway", "builtin gateways are not there yet; the proxy serves nothing"})
	}
	return problems
}

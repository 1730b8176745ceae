package envoy

import (
	"slices"
	"strings"
	"weak"

	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/view"
)

// assembly gathers the pieces of one proxy.
type assembly struct {
	*Compiler
	generation *generation
	mesh       *view.Mesh
	proxy      *view.Proxy
	node       Node
	chosen     []chosen
	config     *Config
}

// choose finds the rules of each kind; policies in shadow mode count when shadow is set. A kind whose rules cannot be made has no effect, and the problem says so.
func (a *assembly) choose(shadow bool) {
	for i, b := range a.generation.bound {
		if b == nil {
			continue
		}
		rules, err := b.choose(a.mesh, a.proxy, shadow)
		if err != nil {
			a.note(a.policies[i].Kind.Name, "has no effect: "+err.Error())
			continue
		}
		if rules != nil {
			a.chosen = append(a.chosen, rules)
		}
	}
}

func (a *assembly) note(about, text string) {
	a.config.Problems = append(a.config.Problems, Problem{about, text})
}

func (a *assembly) add(list *[]*Sealed, p piece) {
	if p.sealed != nil {
		*list = append(*list, p.sealed)
	}
	a.config.Problems = append(a.config.Problems, p.problems...)
}

// addOwn lets others ask whether the proxy is ready. Envoy's admin itself is not opened: that takes certificates on both sides,
// which come with identity.
func (a *assembly) addOwn() {
	n, clusters := a.node, &a.config.Clusters
	switch {
	case n.AdminSocket != "":
		a.add(clusters, a.ownClusters.get(ownKey{name: adminName, address: n.AdminSocket}, adminName, a.ownCluster))
	case n.AdminPort != 0:
		a.add(clusters, a.ownClusters.get(ownKey{name: adminName, address: n.AdminAddress, port: n.AdminPort}, adminName, a.ownCluster))
	default:
		return
	}
	if n.ReadinessPort == 0 {
		return
	}
	a.add(clusters, a.ownClusters.get(ownKey{name: readinessName, address: loopback, port: n.ReadinessPort}, readinessName, a.ownCluster))
	if a.proxy.Address != n.AdminAddress && n.AdminPort != 0 && isIP(a.proxy.Address) {
		key := ownKey{name: adminName, address: a.proxy.Address, port: n.AdminPort, reuse: n.ReusePort}
		a.add(&a.config.Listeners, a.ownListeners.get(key, adminName, a.ownListener))
	}
}

func (a *assembly) addInbound(i int) {
	inbound := a.proxy.Inbounds[i]
	if !isIP(inbound.Address) {
		return // beyond says so
	}
	var list *effects
	for _, rules := range a.chosen {
		if e := rules.inbound(i); e != nil {
			list = a.effects.with(effects{before: list, in: e})
		}
	}
	key, about := inboundKey{weak.Make(inbound), a.node.ReusePort, a.node.KafkaFilter, list}, "inbound "+port(inbound.Port)
	a.add(&a.config.Listeners, a.inboundListeners.get(key, about, a.inboundListener))
	a.add(&a.config.Clusters, a.inboundClusters.get(key, about, a.inboundCluster))
}

func (a *assembly) addOutbound(outbound *view.Outbound) {
	if outbound.BackendRef != nil {
		a.note("outbound "+hostPort(outbound.Address, outbound.Port), "backendRef is not there yet; use the tag "+resource.TagService)
		return
	}
	to := outbound.Destination
	var list *effects
	for _, rules := range a.chosen {
		if e := rules.outbound(to.Service); e != nil {
			list = a.effects.with(effects{before: list, out: e})
		}
	}
	destination := destinationKey{to, a.mesh.Protocol(to.Service), list}
	key := outboundKey{outbound.Address, outbound.Port, a.node.KafkaFilter, destination}
	a.add(&a.config.Listeners, a.listeners.get(key, "outbound "+to.Service, a.outboundListener))
	if slices.Contains(a.config.Destinations, to) {
		return
	}
	cluster := a.clusters.get(destination, "destination "+to.Service, a.destinationCluster)
	a.add(&a.config.Clusters, cluster)
	if cluster.sealed != nil {
		a.config.Destinations = append(a.config.Destinations, to)
	}
}

func (a *assembly) finish() *Config {
	c := a.config
	slices.SortFunc(c.Destinations, func(x, y view.Selector) int { return strings.Compare(x.String(), y.String()) })
	c.Endpoints = make([]*Sealed, 0, len(c.Destinations))
	for _, to := range c.Destinations {
		c.Endpoints = append(c.Endpoints, a.Endpoints(a.mesh, to))
	}
	c.Clusters, c.Listeners, c.Endpoints = ordered(c.Clusters), ordered(c.Listeners), ordered(c.Endpoints)
	return c
}

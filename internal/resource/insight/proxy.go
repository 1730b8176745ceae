package insight

import (
	"iter"
	"slices"
	"time"

	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/resource"
)

// proxy is a Dataplane with its insight, which may be nil.
type proxy struct {
	*resource.Resource
	networking *kumapb.Dataplane_Networking
	insight    *kumapb.DataplaneInsight
	modified   time.Time
}

// proxies walks through those of a mesh, or of all for "".
func (c *Counter) proxies(from resource.Reader, mesh string) iter.Seq[proxy] {
	return func(yield func(proxy) bool) {
		for _, k := range c.kinds {
			if k.ProxyType == nil || k.Scope != resource.InMesh || k.Overview == nil {
				continue
			}
			for r := range from.List(k.Name, mesh) {
				p := proxy{r, r.Spec.(*kumapb.Dataplane).GetNetworking(), nil, r.Modified}
				if seen, ok := from.Get(resource.Key{Kind: k.Overview.Insight, Mesh: r.Mesh, Name: r.Name}); ok {
					p.insight = seen.Spec.(*kumapb.DataplaneInsight)
					p.modified = later(p.modified, seen.Modified)
				}
				if !yield(p) {
					return
				}
			}
		}
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// last is the newest connection, nil when there was none.
func (p proxy) last() *kumapb.DiscoverySubscription {
	all := p.insight.GetSubscriptions()
	if len(all) == 0 {
		return nil
	}
	return all[len(all)-1]
}

func (p proxy) connected() bool {
	return slices.ContainsFunc(p.insight.GetSubscriptions(), func(s *kumapb.DiscoverySubscription) bool {
		return s.GetConnectTime() != nil && s.GetDisconnectTime() == nil
	})
}

// ready says whether an inbound takes traffic, as far as its health is known.
func ready(in *kumapb.Dataplane_Networking_Inbound) bool {
	return in.GetState() == kumapb.Dataplane_Networking_Inbound_Ready && (in.GetHealth() == nil || in.GetHealth().GetReady())
}

// state says how a proxy is. A gateway is as connected as its proxy; a sidecar needs a ready inbound to be online, and all of them
// ready to be wholly so.
func (p proxy) state() kumapb.ServiceInsight_Service_Status {
	if !p.connected() {
		return kumapb.ServiceInsight_Service_offline
	}
	if p.networking.GetGateway() != nil {
		return kumapb.ServiceInsight_Service_online
	}
	serving, good := 0, 0
	for _, in := range p.networking.GetInbound() {
		if in.GetState() == kumapb.Dataplane_Networking_Inbound_Ignored {
			continue
		}
		if serving++; ready(in) {
			good++
		}
	}
	switch good {
	case 0:
		return kumapb.ServiceInsight_Service_offline
	case serving:
		return kumapb.ServiceInsight_Service_online
	}
	return kumapb.ServiceInsight_Service_partially_degraded
}

func bump(s *kumapb.MeshInsight_DataplaneStat, state kumapb.ServiceInsight_Service_Status) {
	s.Total++
	switch state {
	case kumapb.ServiceInsight_Service_online:
		s.Online++
	case kumapb.ServiceInsight_Service_partially_degraded:
		s.PartiallyDegraded++
	default:
		s.Offline++
	}
}

// bumpAt is bump for a count by name.
func bumpAt(counts *map[string]*kumapb.MeshInsight_DataplaneStat, name string, state kumapb.ServiceInsight_Service_Status) {
	if *counts == nil {
		*counts = map[string]*kumapb.MeshInsight_DataplaneStat{}
	}
	if (*counts)[name] == nil {
		(*counts)[name] = &kumapb.MeshInsight_DataplaneStat{}
	}
	bump((*counts)[name], state)
}

func (p proxy) addToMesh(m *kumapb.MeshInsight) {
	state := p.state()
	bump(m.GetDataplanes(), state)
	by := m.GetDataplanesByType()
	switch gateway := p.networking.GetGateway(); {
	case gateway == nil:
		bump(by.GetStandard(), state)
	case gateway.GetType() == kumapb.Dataplane_Networking_Gateway_BUILTIN:
		bump(by.GetGateway(), state)
		bump(by.GetGatewayBuiltin(), state)
	default:
		bump(by.GetGateway(), state)
		bump(by.GetGatewayDelegated(), state)
	}
	version := p.last().GetVersion()
	bumpAt(&m.DpVersions.KumaDp, or(version.GetKumaDp().GetVersion(), unknown), state)
	bumpAt(&m.DpVersions.Envoy, or(version.GetEnvoy().GetVersion(), unknown), state)
	if issued := p.insight.GetMTLS().GetIssuedBackend(); issued != "" {
		bumpAt(&m.MTLS.IssuedBackends, issued, state)
	}
	for _, supported := range p.insight.GetMTLS().GetSupportedBackends() {
		bumpAt(&m.MTLS.SupportedBackends, supported, state)
	}
}

func or(word, otherwise string) string {
	if word == "" {
		return otherwise
	}
	return word
}

// addTo counts the proxy for each service that it is an instance of.
func (p proxy) addTo(services map[resource.Key]*resource.Resource) {
	if gateway := p.networking.GetGateway(); gateway != nil {
		kind := kumapb.ServiceInsight_Service_gateway_delegated
		if gateway.GetType() == kumapb.Dataplane_Networking_Gateway_BUILTIN {
			kind = kumapb.ServiceInsight_Service_gateway_builtin
		}
		p.addService(services, gateway.GetTags(), p.connected()).ServiceType = kind
	}
	online := map[string]bool{}
	for _, in := range p.networking.GetInbound() {
		if name := in.GetTags()[resource.TagService]; name != "" && in.GetState() != kumapb.Dataplane_Networking_Inbound_Ignored {
			online[name] = online[name] || p.connected() && ready(in)
		}
	}
	for _, in := range p.networking.GetInbound() {
		name := in.GetTags()[resource.TagService]
		on, ok := online[name]
		if !ok {
			continue
		}
		// One proxy counts once for a service, however many inbounds it has for it.
		delete(online, name)
		p.addService(services, in.GetTags(), on).AddressPort = name + ".mesh:80"
	}
}

func (p proxy) addService(services map[resource.Key]*resource.Resource, tags map[string]string, online bool) *kumapb.ServiceInsight_Service {
	key := resource.Key{Mesh: p.Mesh, Name: tags[resource.TagService]}
	r := services[key]
	if r == nil {
		r = &resource.Resource{
			Kind: ServiceInsight, Meta: resource.Meta{Mesh: p.Mesh, Name: key.Name, Created: p.Created},
			Spec: &kumapb.ServiceInsight_Service{Dataplanes: &kumapb.ServiceInsight_Service_DataplaneStat{}},
		}
		services[key] = r
	}
	if p.Created.Before(r.Created) {
		r.Created = p.Created
	}
	r.Modified = later(r.Modified, p.modified)
	s := r.Spec.(*kumapb.ServiceInsight_Service)
	count := s.GetDataplanes()
	if count.Total++; online {
		count.Online++
	} else {
		count.Offline++
	}
	switch count.Online {
	case 0:
		s.Status = kumapb.ServiceInsight_Service_offline
	case count.Total:
		s.Status = kumapb.ServiceInsight_Service_online
	default:
		s.Status = kumapb.ServiceInsight_Service_partially_degraded
	}
	if zone := tags[resource.TagZone]; zone != "" && !slices.Contains(s.Zones, zone) {
		s.Zones = append(s.Zones, zone)
		slices.Sort(s.Zones)
	}
	if issued := p.insight.GetMTLS().GetIssuedBackend(); issued != "" {
		if s.IssuedBackends == nil {
			s.IssuedBackends = map[string]uint32{}
		}
		s.IssuedBackends[issued]++
	}
	return s
}

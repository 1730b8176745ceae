package view

import (
	"net/url"

	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/resource/dataplane"
)

// Proxy is one Dataplane, with the defaults of its fields filled in.
type Proxy struct {
	Resource  *resource.Resource
	Dataplane *kumapb.Dataplane
	// Address is where its listeners bind unless they say otherwise; never empty in a valid Dataplane.
	Address string
	// Inbounds in the order of the Dataplane, without those in state Ignored.
	Inbounds []*Inbound
	// Outbounds in the order of the Dataplane.
	Outbounds []*Outbound
	Gateway   GatewayKind
	// GatewayTags are set for gateways, which have no inbounds.
	GatewayTags map[string]string
	// Zone from the tags; empty when no inbound has the tag.
	Zone string

	endpoints []*Endpoint
}

// GatewayKind says whether a proxy takes traffic from outside of the mesh.
type GatewayKind int

// The kinds of gateways: the proxy itself, or another program beside it.
const (
	NotGateway GatewayKind = iota
	DelegatedGateway
	BuiltinGateway
)

// Inbound is a port of the application that others reach through the proxy.
type Inbound struct {
	// Name may be empty.
	Name string
	// Address and Port are of the listener.
	Address string
	Port    uint32
	// WorkloadAddress and WorkloadPort are where the application listens.
	WorkloadAddress string
	WorkloadPort    uint32
	// Service is empty for an inbound without tags.
	Service string
	// Protocol is one of package dataplane's; tcp when none is given.
	Protocol string
	// Tags must not be changed.
	Tags map[string]string
	// Ready is false while somebody found the application unhealthy.
	Ready bool
}

// Outbound is a local port of a proxy that leads to a destination.
type Outbound struct {
	Address string
	Port    uint32
	// Destination is the zero Selector when BackendRef names the destination.
	Destination Selector
	BackendRef  *kumapb.Dataplane_Networking_Outbound_BackendRef
}

// Selector names a destination, or a part of it. It is comparable and the same for all who mean the same.
type Selector struct {
	Service string
	// extra holds the tags beside kuma.io/service, encoded.
	extra string
}

// SelectorOf takes the tags of an outbound.
func SelectorOf(tags map[string]string) Selector {
	s := Selector{Service: tags[resource.TagService]}
	if len(tags) <= 1 {
		return s
	}
	extra := make(url.Values, len(tags))
	for k, v := range tags {
		if k != resource.TagService {
			extra.Set(k, v)
		}
	}
	s.extra = extra.Encode()
	return s
}

// Whole says whether the selector means every endpoint of the service.
func (s Selector) Whole() bool { return s.extra == "" }

// Extra gives the tags beside kuma.io/service; nil when there are none.
func (s Selector) Extra() map[string]string {
	if s.extra == "" {
		return nil
	}
	// It was encoded by SelectorOf.
	values, _ := url.ParseQuery(s.extra)
	tags := make(map[string]string, len(values))
	for k := range values {
		tags[k] = values.Get(k)
	}
	return tags
}

// String is for people.
func (s Selector) String() string {
	if s.extra == "" {
		return s.Service
	}
	return s.Service + "?" + s.extra
}

// Name of the Dataplane.
func (p *Proxy) Name() string { return p.Resource.Name }

// Mesh is the name of the proxy's mesh.
func (p *Proxy) Mesh() string { return p.Resource.Mesh }

func newProxy(r *resource.Resource) *Proxy {
	d := r.Spec.(*kumapb.Dataplane)
	net := d.GetNetworking()
	p := &Proxy{Resource: r, Dataplane: d, Address: net.GetAddress()}
	if gw := net.GetGateway(); gw != nil {
		p.GatewayTags = gw.GetTags()
		p.Zone = p.GatewayTags[resource.TagZone]
		p.Gateway = DelegatedGateway
		if gw.GetType() == kumapb.Dataplane_Networking_Gateway_BUILTIN {
			p.Gateway = BuiltinGateway
		}
	}
	for _, in := range dataplane.Inbounds(d) {
		if in.GetState() != kumapb.Dataplane_Networking_Inbound_Ignored {
			p.addInbound(in)
		}
	}
	for _, out := range net.GetOutbound() {
		o := &Outbound{Address: or(out.GetAddress(), "127.0.0.1"), Port: out.GetPort(), BackendRef: out.GetBackendRef()}
		if o.BackendRef == nil {
			o.Destination = SelectorOf(out.GetTags())
		}
		p.Outbounds = append(p.Outbounds, o)
	}
	return p
}

func (p *Proxy) addInbound(in dataplane.Inbound) {
	i := &Inbound{
		Name:            in.GetName(),
		Address:         in.Listen,
		Port:            in.GetPort(),
		WorkloadAddress: in.App,
		WorkloadPort:    in.AppPort,
		Service:         dataplane.Service(in.GetTags()),
		Protocol:        dataplane.Protocol(in.Dataplane_Networking_Inbound),
		Tags:            in.GetTags(),
		Ready:           in.GetState() == kumapb.Dataplane_Networking_Inbound_Ready && (in.GetHealth() == nil || in.GetHealth().GetReady()),
	}
	zone := i.Tags[resource.TagZone]
	p.Zone = or(p.Zone, zone)
	p.Inbounds = append(p.Inbounds, i)
	if i.Service == "" {
		return // nobody can ask for it
	}
	p.endpoints = append(p.endpoints, &Endpoint{
		Proxy:    p.Resource.Name,
		Inbound:  len(p.Inbounds) - 1,
		Address:  or(p.Dataplane.GetNetworking().GetAdvertisedAddress(), i.Address),
		Port:     i.Port,
		Protocol: i.Protocol,
		Tags:     i.Tags,
		Labels:   p.Resource.Labels,
		Zone:     zone,
		Ready:    i.Ready,
	})
}

func or(first, second string) string {
	if first != "" {
		return first
	}
	return second
}

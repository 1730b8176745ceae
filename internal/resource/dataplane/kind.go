// Package dataplane is the kind of proxies that stand beside an application, or in front of a mesh as its gateway.
//
// In come Dataplane documents; out go what is wrong with them, what the control plane adds to them, their columns, and what
// others ask of a proxy: its services, protocols, addresses and type.
package dataplane

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/resource"
)

// Kind is Dataplane.
var Kind = resource.OfProto(resource.Kind{
	Name:         "Dataplane",
	Path:         "dataplanes",
	Arg:          "dataplane",
	Plural:       "dataplanes",
	Aliases:      []string{"dp"},
	Short:        "dp",
	Sync:         resource.ZoneToGlobal,
	ZoneProvided: true,
	ProxyType:    func(spec any) string { return ProxyType(spec.(*kumapb.Dataplane)) },
	OwnLabels:    func(spec any) map[string]string { return listenerLabels(spec.(*kumapb.Dataplane)) },
	Tags:         func(spec any) []map[string]string { return TagSets(spec.(*kumapb.Dataplane)) },
	Gateway:      func(spec any) string { return Gateway(spec.(*kumapb.Dataplane)) },
	Overview: &resource.Overview{
		Type: "DataplaneOverview", LegacyPath: "dataplanes+insights",
		Field: "dataplane", InsightField: "dataplaneInsight", Insight: "DataplaneInsight",
	},
	Columns: []resource.Column{
		{Title: "TAGS", Value: column(tagsColumn)},
		{Title: "ADDRESS", Value: column(Address)},
		{Title: "TYPE", Wide: true, Value: column(typeColumn)},
		{Title: "PORTS", Wide: true, Value: column(portsColumn)},
	},
	BeforePut: beforePut,
}, func() *kumapb.Dataplane { return &kumapb.Dataplane{} }, resource.Rules[*kumapb.Dataplane]{Validate: validate, Warn: warn})

// The types of proxies, in the label kuma.io/proxy-type. A delegated gateway counts as a sidecar there.
const (
	TypeSidecar = "sidecar"
	TypeGateway = "gateway"
)

// The kinds of gateways.
const (
	Builtin   = "builtin"
	Delegated = "delegated"
)

// The protocols that an inbound's application may speak. Unknown ones are refused, and none means TCP.
const (
	TCP   = "tcp"
	TLS   = "tls"
	HTTP  = "http"
	HTTP2 = "http2"
	GRPC  = "grpc"
	Kafka = "kafka"
)

// ProxyType is what the label kuma.io/proxy-type says.
func ProxyType(d *kumapb.Dataplane) string {
	if Gateway(d) == Builtin {
		return TypeGateway
	}
	return TypeSidecar
}

// Gateway is Builtin, Delegated, or empty for a proxy that is no gateway.
func Gateway(d *kumapb.Dataplane) string {
	g := d.GetNetworking().GetGateway()
	switch {
	case g == nil:
		return ""
	case g.GetType() == kumapb.Dataplane_Networking_Gateway_BUILTIN:
		return Builtin
	}
	return Delegated
}

// Service is the value of kuma.io/service among tags; empty when there is none.
func Service(tags map[string]string) string { return tags[resource.TagService] }

// Protocol is what the application behind an inbound speaks: its field, else its tag, else TCP.
func Protocol(in *kumapb.Dataplane_Networking_Inbound) string {
	for _, word := range []string{in.GetProtocol(), in.GetTags()[resource.TagProtocol]} {
		if p, ok := ParseProtocol(word); ok {
			return p
		}
	}
	return TCP
}

// ParseProtocol reads a protocol's name in any case.
func ParseProtocol(word string) (protocol string, ok bool) {
	switch p := strings.ToLower(word); p {
	case TCP, TLS, HTTP, HTTP2, GRPC, Kafka:
		return p, true
	}
	return "", false
}

// Address is where others reach the proxy: its advertised address, else its own.
func Address(d *kumapb.Dataplane) string {
	if a := d.GetNetworking().GetAdvertisedAddress(); a != "" {
		return a
	}
	return d.GetNetworking().GetAddress()
}

// Inbound is one inbound with what it leaves out filled in.
type Inbound struct {
	*kumapb.Dataplane_Networking_Inbound
	// Listen is the address that the proxy listens on; the port is the inbound's.
	Listen string
	// App and AppPort are where the application is.
	App     string
	AppPort uint32
}

// Inbounds gives all inbounds, in their order.
func Inbounds(d *kumapb.Dataplane) []Inbound {
	all := make([]Inbound, 0, len(d.GetNetworking().GetInbound()))
	for _, in := range d.GetNetworking().GetInbound() {
		i := Inbound{in, in.GetAddress(), in.GetServiceAddress(), in.GetServicePort()}
		if i.Listen == "" {
			i.Listen = d.GetNetworking().GetAddress()
		}
		if i.App == "" {
			i.App = i.Listen
		}
		if i.AppPort == 0 {
			i.AppPort = in.GetPort()
		}
		all = append(all, i)
	}
	return all
}

// TagSets are the tags of each inbound, or of the gateway.
func TagSets(d *kumapb.Dataplane) []map[string]string {
	if g := d.GetNetworking().GetGateway(); g != nil {
		return []map[string]string{g.GetTags()}
	}
	sets := make([]map[string]string, 0, len(d.GetNetworking().GetInbound()))
	for _, in := range d.GetNetworking().GetInbound() {
		sets = append(sets, in.GetTags())
	}
	return sets
}

// listenerLabels tell which zone proxies live inside.
func listenerLabels(d *kumapb.Dataplane) map[string]string {
	labels := map[string]string{resource.LabelZoneIngress: "", resource.LabelZoneEgress: ""}
	for _, l := range d.GetNetworking().GetListeners() {
		switch l.GetType() {
		case kumapb.Dataplane_Networking_Listener_ZoneIngress:
			labels[resource.LabelZoneIngress] = "enabled"
		case kumapb.Dataplane_Networking_Listener_ZoneEgress:
			labels[resource.LabelZoneEgress] = "enabled"
		}
	}
	return labels
}

// column reads a Dataplane for a table.
func column(of func(*kumapb.Dataplane) string) func(*resource.Resource) string {
	return func(r *resource.Resource) string { return of(r.Spec.(*kumapb.Dataplane)) }
}

// tagsColumn joins the tags of all inbounds: `kuma.io/service=web version=v1,v2`.
func tagsColumn(d *kumapb.Dataplane) string {
	values := map[string][]string{}
	for _, tags := range TagSets(d) {
		for name, value := range tags {
			if !slices.Contains(values[name], value) {
				values[name] = append(values[name], value)
			}
		}
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		slices.Sort(values[name])
		parts = append(parts, name+"="+strings.Join(values[name], ","))
	}
	return strings.Join(parts, " ")
}

// typeColumn tells gateways apart, which the label kuma.io/proxy-type does not.
func typeColumn(d *kumapb.Dataplane) string {
	if g := Gateway(d); g != "" {
		return g + " gateway"
	}
	return TypeSidecar
}

// portsColumn shows each inbound's port, and the application's where it differs: `80→8080`.
func portsColumn(d *kumapb.Dataplane) string {
	var ports []string
	for _, in := range Inbounds(d) {
		port := strconv.FormatUint(uint64(in.GetPort()), 10)
		if in.AppPort != in.GetPort() {
			port = fmt.Sprintf("%d→%d", in.GetPort(), in.AppPort)
		}
		ports = append(ports, port)
	}
	return strings.Join(ports, " ")
}

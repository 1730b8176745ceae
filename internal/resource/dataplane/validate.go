package dataplane

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

// What the peers say of several fields; clients compare these texts.
const (
	portRange     = "port must be in the range [1, 65535]"
	notPositive   = "must have a positive value"
	allowedWords  = "Allowed values: grpc, http, http2, kafka, tcp"
	differAddress = "serviceAddress and servicePort has to differ from address and port"
)

// validate says what is wrong with a Dataplane.
func validate(_ resource.Meta, d *kumapb.Dataplane) (v problem.Violations) {
	n := d.GetNetworking()
	if n == nil {
		v.Add("networking", "must be defined")
		return v
	}
	v.AddAll("networking", checkAdmin(d))
	gateway := Gateway(d)
	if gateway != "" {
		v.AddAll("networking", checkGateway(d, gateway))
	}
	v.AddAll("networking", checkAddress(n.GetAddress()))
	for i, in := range n.GetInbound() {
		v.AddAll(fmt.Sprintf("networking.inbound[%d]", i), checkInbound(in, n.GetAddress()))
	}
	v.AddAll("networking", checkListeners(d))
	for i, out := range n.GetOutbound() {
		v.AddAll(fmt.Sprintf("networking.outbound[%d]", i), checkOutbound(out))
	}
	// The misspelt path is the peers'.
	v.AddAll("networking.transparentProxing.reachableBackends", checkReachable(n.GetTransparentProxying().GetReachableBackends()))
	if gateway != Builtin {
		v.AddAll("probes", checkProbes(d.GetProbes()))
	}
	if m := d.GetMetrics(); m != nil && gateway == "" {
		if m.GetType() != resource.Prometheus {
			v.Add("metrics.type", "unknown backend type. Available backends: %q", resource.Prometheus)
		} else {
			v.AddAll("metrics.conf", resource.CheckPrometheus(m.GetConf()))
		}
	}
	return v
}

// checkAdmin holds Envoy's own port against the ports of the same address.
func checkAdmin(d *kumapb.Dataplane) (v problem.Violations) {
	admin := d.GetNetworking().GetAdmin()
	if admin == nil {
		return v
	}
	// Envoy's own API listens on loopback.
	taken := func(address string, port uint32) bool {
		ip := net.ParseIP(address)
		return ip != nil && port == admin.GetPort() && (ip.IsUnspecified() || ip.Equal(net.IPv4(127, 0, 0, 1)))
	}
	if slices.ContainsFunc(Inbounds(d), func(in Inbound) bool { return taken(in.Listen, in.GetPort()) || taken(in.App, in.AppPort) }) {
		v.Add("admin.port", "must differ from inbound")
	}
	for _, out := range d.GetNetworking().GetOutbound() {
		address := out.GetAddress()
		if address == "" {
			address = "127.0.0.1"
		}
		if taken(address, out.GetPort()) {
			v.Add("admin.port", "must differ from outbound")
			break
		}
	}
	return v
}

// checkGateway holds a gateway against the parts that only sidecars have, and its tags.
func checkGateway(d *kumapb.Dataplane, gateway string) (v problem.Violations) {
	n := d.GetNetworking()
	if len(n.GetInbound()) > 0 {
		v.Add("inbound", "inbound cannot be defined for %s gateways", gateway)
	}
	if gateway == Builtin {
		if len(n.GetOutbound()) > 0 {
			v.Add("outbound", "outbound cannot be defined for builtin gateways")
		}
		if d.GetProbes() != nil {
			v.Add("probes", "probes cannot be defined for builtin gateways")
		}
	}
	tags := n.GetGateway().GetTags()
	if len(tags) == 0 {
		// Said when it is written; see beforePut.
		return v
	}
	v.AddAll("gateway.tags", resource.CheckTags(tags, resource.TagRules{Service: true, More: func(tags map[string]string) (v problem.Violations) {
		if p, ok := tags[resource.TagProtocol]; ok && p != TCP {
			v.Add(resource.TagPath(resource.TagProtocol), "other values than tcp are not allowed, provided value %q", p)
		}
		return v
	}}))
	return v
}

// checkAddress takes an IP address or a host name, below the path `address`.
func checkAddress(address string) (v problem.Violations) {
	if address == "" {
		v.Add("address", "address can't be empty")
		return v
	}
	if address == "0.0.0.0" || address == "::" {
		v.Add("address", "must not be 0.0.0.0 or ::")
	}
	if net.ParseIP(address) == nil && !isHost(address) {
		v.Add("address", "address has to be valid IP address or domain name")
	}
	return v
}

// isHost says whether s is a host's name: labels of letters, digits, dashes and underscores with dots between.
func isHost(s string) bool {
	if len(strings.ReplaceAll(s, ".", "")) > 255 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimRight(s, "."), ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || strings.ContainsFunc(label, func(r rune) bool {
			return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
		}) {
			return false
		}
	}
	return !strings.HasSuffix(s, "..")
}

// checkPort takes the ports of TCP and UDP.
func checkPort(v *problem.Violations, path string, port uint32) {
	if port < 1 || port > 65535 {
		v.Add(path, portRange)
	}
}

// checkInbound holds one inbound against itself and the address of the proxy.
func checkInbound(in *kumapb.Dataplane_Networking_Inbound, address string) (v problem.Violations) {
	checkPort(&v, "port", in.GetPort())
	if in.GetServicePort() != 0 {
		checkPort(&v, "servicePort", in.GetServicePort())
	}
	// The proxy and the application cannot both listen on the same address and port.
	samePort := in.GetServicePort() == 0 || in.GetServicePort() == in.GetPort()
	if app := in.GetServiceAddress(); app != "" {
		if net.ParseIP(app) == nil {
			v.Add("serviceAddress", "serviceAddress has to be valid IP address")
		}
		if app == address && samePort {
			v.Add("serviceAddress", differAddress)
		}
	}
	if own := in.GetAddress(); own != "" {
		if net.ParseIP(own) == nil {
			v.Add("address", "address has to be valid IP address")
		}
		if own == in.GetServiceAddress() && samePort {
			v.Add("serviceAddress", differAddress)
		}
	}
	if p := in.GetProtocol(); p != "" {
		if _, ok := ParseProtocol(p); !ok {
			v.Add("protocol", "has an invalid value %q. %s", p, allowedWords)
		}
	}
	v = append(v, checkInboundTags(in.GetTags())...)
	v.AddAll("serviceProbe", checkServiceProbe(in.GetServiceProbe()))
	return v
}

// checkInboundTags takes no tags at all, which is also what an inbound looks like that got its zone from the control plane.
func checkInboundTags(tags map[string]string) (v problem.Violations) {
	v.AddAll("tags", resource.CheckTags(tags, resource.TagRules{More: func(tags map[string]string) (v problem.Violations) {
		if p, given := tags[resource.TagProtocol]; given {
			if _, ok := ParseProtocol(p); !ok {
				v.Add(resource.TagPath(resource.TagProtocol), "tag %q has an invalid value %q. %s", resource.TagProtocol, p, allowedWords)
			}
		}
		return v
	}}))
	_, service := tags[resource.TagService]
	_, zone := tags[resource.TagZone]
	if !service && len(tags) > 0 && (len(tags) > 1 || !zone) {
		v.Add("tags"+resource.TagPath(resource.TagService), "tag has to exist")
	}
	return v
}

// checkServiceProbe takes what is left out; what is said must not be zero.
func checkServiceProbe(p *kumapb.Dataplane_Networking_Inbound_ServiceProbe) (v problem.Violations) {
	if p == nil {
		return v
	}
	for _, d := range []struct {
		path  string
		value *durationpb.Duration
	}{{"interval", p.GetInterval()}, {"timeout", p.GetTimeout()}} {
		switch {
		case d.value == nil:
		case d.value.CheckValid() != nil:
			v.Add(d.path, "must have a valid value")
		case d.value.AsDuration() == 0:
			v.Add(d.path, notPositive)
		}
	}
	if p.GetUnhealthyThreshold() != nil && p.GetUnhealthyThreshold().GetValue() == 0 {
		v.Add("unhealthyThreshold", notPositive)
	}
	if p.GetHealthyThreshold() != nil && p.GetHealthyThreshold().GetValue() == 0 {
		v.Add("healthyThreshold", notPositive)
	}
	return v
}

// checkProbes holds the older probes, which expose paths without mTLS.
func checkProbes(p *kumapb.Dataplane_Probes) (v problem.Violations) {
	if p == nil {
		return v
	}
	checkPort(&v, "port", p.GetPort())
	for i, e := range p.GetEndpoints() {
		at := fmt.Sprintf("endpoints[%d]", i)
		checkPort(&v, at+".inboundPort", e.GetInboundPort())
		for _, path := range []struct{ name, value string }{{"inboundPath", e.GetInboundPath()}, {"path", e.GetPath()}} {
			if _, err := url.ParseRequestURI(path.value); err != nil {
				v.Add(at+"."+path.name, "should be a valid URL Path")
			}
		}
	}
	return v
}

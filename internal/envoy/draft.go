package envoy

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"

	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/view"
)

// Problem is a part of a proxy's configuration that was left out, or does not do all that was asked for.
type Problem struct {
	// About names the part: an inbound, an outbound, a kind of policy.
	About string
	// Text says what is wrong and what happens instead.
	Text string
}

// String is for people.
func (p Problem) String() string { return p.About + ": " + p.Text }

// Chain is what a listener does with a connection: it ends in one of two ways.
type Chain struct {
	// HTTP is set for protocols that are HTTP, TCP for all others; the other one is nil.
	HTTP *hcmv3.HttpConnectionManager
	TCP  *tcpproxyv3.TcpProxy
	// Network filters come before that end, in order.
	Network []*listenerv3.Filter
}

// Routes are the routes of an HTTP chain, in order; nil for TCP.
func (c Chain) Routes() []*routev3.Route {
	var routes []*routev3.Route
	for _, v := range c.HTTP.GetRouteConfig().GetVirtualHosts() {
		routes = append(routes, v.GetRoutes()...)
	}
	return routes
}

// DraftInbound is what serves one inbound: Envoy's own messages, not yet packed. Messages that it refers to may be shared with
// other drafts, save those that it was made with a pointer of its own for: effects replace, they do not reach through.
type DraftInbound struct {
	Inbound  *view.Inbound
	Protocol string
	Listener *listenerv3.Listener
	Chain
	// Cluster is the application, Options its HTTP options; nil for TCP.
	Cluster *clusterv3.Cluster
	Options *httpv3.HttpProtocolOptions

	problems []Problem
}

// DraftOutbound is what serves one local port, and the destination that it leads to.
type DraftOutbound struct {
	// Destination is what is consumed, Protocol what its endpoints have in common.
	Destination view.Selector
	Protocol    string
	Listener    *listenerv3.Listener
	Chain
	// Cluster is the destination, Options its HTTP options.
	Cluster *clusterv3.Cluster
	Options *httpv3.HttpProtocolOptions

	problems []Problem
}

// Note records what a draft does not do although it was asked for.
func (d *DraftInbound) Note(about, text string) {
	d.problems = append(d.problems, Problem{about, text})
}

// Note records what a draft does not do although it was asked for.
func (d *DraftOutbound) Note(about, text string) {
	d.problems = append(d.problems, Problem{about, text})
}

// isHTTP says whether Envoy looks into a protocol.
func isHTTP(protocol string) bool {
	switch protocol {
	case view.ProtocolHTTP, view.ProtocolHTTP2, view.ProtocolGRPC:
		return true
	}
	return false
}

// intercepts says whether a Dataplane asks for its traffic to be intercepted.
func intercepts(d *kumapb.Dataplane) bool {
	t := d.GetNetworking().GetTransparentProxying()
	return t.GetRedirectPortInbound() != 0 || t.GetRedirectPortOutbound() != 0
}

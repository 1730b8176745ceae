package envoy

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"

	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/resource/dataplane"
	"github.com/kumactl/kumactl/internal/view"
)

// Draft is one proxy's configuration before it is sealed: Envoy's own messages, not yet packed, each beside the inbound or the
// destination that it serves. The effects of policies change it; nothing else does.
type Draft struct {
	Inbounds  []*DraftInbound
	Outbounds []*DraftOutbound
	// Destinations are what the outbounds lead to, each once, in the order of first use.
	Destinations []*DraftDestination
	// own are resources that belong to the proxy itself: admin and readiness.
	ownClusters  []*clusterv3.Cluster
	ownListeners []*listenerv3.Listener

	problems []Problem
}

// Problem is a part of a proxy's configuration that was left out, or does not do all that was asked for.
type Problem struct {
	// About names the part: an inbound, an outbound, a policy.
	About string
	// Text says what is wrong and what happens instead.
	Text string
}

// String is for people.
func (p Problem) String() string { return p.About + ": " + p.Text }

// Note records a problem.
func (d *Draft) Note(about, text string) { d.problems = append(d.problems, Problem{about, text}) }

// Filter chains of an inbound or outbound end in one of two ways.
type chain struct {
	// HTTP is set for protocols that are HTTP, TCP for all others; the other one is nil.
	HTTP *hcmv3.HttpConnectionManager
	TCP  *tcpproxyv3.TcpProxy
}

// Routes are the routes of an HTTP chain, in order; nil for TCP.
func (c chain) Routes() []*routev3.Route {
	if c.HTTP == nil {
		return nil
	}
	var routes []*routev3.Route
	for _, v := range c.HTTP.GetRouteConfig().GetVirtualHosts() {
		routes = append(routes, v.GetRoutes()...)
	}
	return routes
}

// DraftInbound is what serves one inbound.
type DraftInbound struct {
	Inbound  *view.Inbound
	Protocol string
	Listener *listenerv3.Listener
	chain
	// Cluster is the application, Options its HTTP options; nil for TCP.
	Cluster *clusterv3.Cluster
	Options *httpv3.HttpProtocolOptions
}

// DraftOutbound is what serves one local port.
type DraftOutbound struct {
	Outbound    *view.Outbound
	Listener    *listenerv3.Listener
	Destination *DraftDestination
	chain
}

// DraftDestination is what the proxy knows of a destination.
type DraftDestination struct {
	Selector view.Selector
	Protocol string
	// Name is that of the cluster and of its endpoints.
	Name    string
	Cluster *clusterv3.Cluster
	Options *httpv3.HttpProtocolOptions
}

// Inputs are what a draft is made from.
type Inputs struct {
	Mesh  *view.Mesh
	Proxy *view.Proxy
	Node  Node
}

// isHTTP says whether Envoy looks into a protocol.
func isHTTP(protocol string) bool {
	switch protocol {
	case dataplane.HTTP, dataplane.HTTP2, dataplane.GRPC:
		return true
	}
	return false
}

// intercepts says whether a Dataplane asks for its traffic to be intercepted.
func intercepts(d *kumapb.Dataplane) bool {
	t := d.GetNetworking().GetTransparentProxying()
	return t.GetRedirectPortInbound() != 0 || t.GetRedirectPortOutbound() != 0
}

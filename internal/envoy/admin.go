package envoy

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kumactl/kumactl/internal/view"
)

// The resources through which the proxy itself is reached.
const (
	adminName     = "kuma:envoy:admin"
	readinessName = "kuma:readiness"
	loopback      = "127.0.0.1"
)

func ownKeyOf(p *view.Proxy, n Node) ownKey {
	return ownKey{p.Address, n.AdminAddress, n.AdminPort, n.AdminSocket, n.ReadinessPort, n.ReusePort}
}

// ownPiece lets others ask whether the proxy is ready. Envoy's admin itself is not opened: that takes certificates on both
// sides, which come with identity.
func (c *Compiler) ownPiece(of ownKey) (p piece) {
	switch {
	case of.adminSocket != "":
		c.addCluster(&p, staticCluster(adminName, "kuma_envoy_admin", pipe(of.adminSocket)), nil)
	case of.adminPort != 0:
		c.addCluster(&p, staticCluster(adminName, "kuma_envoy_admin", socket(of.adminAddress, of.adminPort)), nil)
	default:
		return p
	}
	if of.readiness == 0 {
		return p
	}
	c.addCluster(&p, staticCluster(readinessName, "kuma_readiness", socket(loopback, of.readiness)), nil)
	if of.address != of.adminAddress && of.adminPort != 0 && isIP(of.address) {
		listener, chain := adminListener(of)
		c.addListener(&p, listener, chain)
	}
	return p
}

func adminListener(of ownKey) (*listenerv3.Listener, Chain) {
	manager := &hcmv3.HttpConnectionManager{
		StatPrefix: "kuma_envoy_admin",
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{
			VirtualHosts: []*routev3.VirtualHost{{Name: adminName, Domains: []string{"*"}, Routes: []*routev3.Route{{
				Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/ready"}},
				Action: &routev3.Route_Route{Route: &routev3.RouteAction{
					ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: readinessName}, PrefixRewrite: "/ready",
				}},
			}}}},
			ValidateClusters: wrapperspb.Bool(false),
		}},
		HttpFilters:           httpFilters(view.ProtocolHTTP),
		InternalAddressConfig: loopbackAddresses(),
	}
	return &listenerv3.Listener{
		Name: adminName, Address: socket(of.address, of.adminPort), TrafficDirection: corev3.TrafficDirection_INBOUND,
		EnableReusePort: wrapperspb.Bool(of.reuse),
	}, Chain{HTTP: manager}
}

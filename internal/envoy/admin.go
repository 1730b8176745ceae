package envoy

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The resources through which the proxy itself is reached.
const (
	adminName     = "kuma:envoy:admin"
	readinessName = "kuma:readiness"
	loopback      = "127.0.0.1"
)

// addAdmin lets others ask whether the proxy is ready. Envoy's admin itself is not opened: that takes certificates on both sides,
// which come with identity.
func (d *Draft) addAdmin(in Inputs) {
	switch {
	case in.Node.AdminSocket != "":
		d.ownClusters = append(d.ownClusters, staticCluster(adminName, "kuma_envoy_admin", pipe(in.Node.AdminSocket)))
	case in.Node.AdminPort != 0:
		d.ownClusters = append(d.ownClusters, staticCluster(adminName, "kuma_envoy_admin", socket(in.Node.AdminAddress, in.Node.AdminPort)))
	default:
		return
	}
	if in.Node.ReadinessPort == 0 {
		return
	}
	d.ownClusters = append(d.ownClusters, staticCluster(readinessName, "kuma_readiness", socket(loopback, in.Node.ReadinessPort)))
	if in.Proxy.Address == in.Node.AdminAddress || in.Node.AdminPort == 0 {
		return
	}
	d.ownListeners = append(d.ownListeners, adminListener(in))
}

func adminListener(in Inputs) *listenerv3.Listener {
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
		HttpFilters:           []*hcmv3.HttpFilter{routerFilter()},
		InternalAddressConfig: internalAddresses(loopbackRanges()),
	}
	return &listenerv3.Listener{
		Name: adminName, Address: socket(in.Proxy.Address, in.Node.AdminPort), TrafficDirection: corev3.TrafficDirection_INBOUND,
		EnableReusePort: wrapperspb.Bool(in.Node.ReusePort),
		FilterChains:    []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{networkFilter(filterHTTP, manager)}}},
	}
}

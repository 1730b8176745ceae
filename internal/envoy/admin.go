package envoy

import (
	"strings"

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

func (c *Compiler) ownCluster(of ownKey) piece {
	at := pipe(of.address)
	if of.port != 0 {
		at = socket(of.address, of.port)
	}
	return c.sealCluster(staticCluster(of.name, strings.ReplaceAll(of.name, ":", "_"), at), nil)
}

func (c *Compiler) ownListener(of ownKey) piece {
	return c.sealListener(adminListener(of))
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
		Name: adminName, Address: socket(of.address, of.port), TrafficDirection: corev3.TrafficDirection_INBOUND,
		EnableReusePort: wrapperspb.Bool(of.reuse),
	}, Chain{HTTP: manager}
}

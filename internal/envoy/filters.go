package envoy

import (
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	grpcstatsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_stats/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
)

// Names of Envoy's filters.
const (
	filterHTTP      = "envoy.filters.network.http_connection_manager"
	filterTCP       = "envoy.filters.network.tcp_proxy"
	filterRouter    = "envoy.filters.http.router"
	filterGRPCStats = "envoy.filters.http.grpc_stats"
	optionsHTTP     = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
)

func routerFilter() *hcmv3.HttpFilter { return HTTPFilter(filterRouter, &routerv3.Router{}) }

func grpcStatsFilter() *hcmv3.HttpFilter {
	return HTTPFilter(filterGRPCStats, &grpcstatsv3.FilterConfig{
		EmitFilterState: true, PerMethodStatSpecifier: &grpcstatsv3.FilterConfig_StatsForAllMethods{},
	})
}

// HTTPFilter packs the configuration of an HTTP filter. It panics where the message cannot be marshalled: text that is not UTF-8.
func HTTPFilter(name string, config proto.Message) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: mustPack(config)}}
}

func networkFilter(name string, config proto.Message) *listenerv3.Filter {
	return &listenerv3.Filter{Name: name, ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: mustPack(config)}}
}

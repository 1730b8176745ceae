package envoy

import (
	"sync"

	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	grpcstatsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/grpc_stats/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/kumactl/kumactl/internal/view"
)

// Names of Envoy's filters.
const (
	filterHTTP      = "envoy.filters.network.http_connection_manager"
	filterTCP       = "envoy.filters.network.tcp_proxy"
	filterKafka     = "envoy.filters.network.kafka_broker"
	filterRouter    = "envoy.filters.http.router"
	filterGRPCStats = "envoy.filters.http.grpc_stats"
	optionsHTTP     = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
)

// router and grpcStats are the same in every chain.
var (
	router    = sync.OnceValue(func() *hcmv3.HttpFilter { return HTTPFilter(filterRouter, &routerv3.Router{}) })
	grpcStats = sync.OnceValue(func() *hcmv3.HttpFilter {
		return HTTPFilter(filterGRPCStats, &grpcstatsv3.FilterConfig{
			EmitFilterState: true, PerMethodStatSpecifier: &grpcstatsv3.FilterConfig_StatsForAllMethods{},
		})
	})
)

// httpFilters are those of a protocol, the router last.
func httpFilters(protocol string) []*hcmv3.HttpFilter {
	if protocol == view.ProtocolGRPC {
		return []*hcmv3.HttpFilter{grpcStats(), router()}
	}
	return []*hcmv3.HttpFilter{router()}
}

// kafkaFilter counts what passes, where the protocol is kafka and this Envoy has the filter; where it has not, note tells.
func kafkaFilter(protocol string, n Node, stat string, note func(text string)) []*listenerv3.Filter {
	switch {
	case protocol != view.ProtocolKafka:
		return nil
	case !n.KafkaFilter:
		note("this Envoy has no filter for kafka; its traffic is handled as tcp")
		return nil
	}
	// The message is in a module of Envoy's contributors; its one field that is needed is the first, stat_prefix.
	body := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), stat)
	return []*listenerv3.Filter{{Name: filterKafka, ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: &anypb.Any{
		TypeUrl: "type.googleapis.com/envoy.extensions.filters.network.kafka_broker.v3.KafkaBroker", Value: body,
	}}}}
}

// HTTPFilter packs the configuration of an HTTP filter. It panics where the message cannot be marshalled: text that is not UTF-8.
func HTTPFilter(name string, config proto.Message) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: mustPack(config)}}
}

func networkFilter(name string, config proto.Message) *listenerv3.Filter {
	return &listenerv3.Filter{Name: name, ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: mustPack(config)}}
}

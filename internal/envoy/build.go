package envoy

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/view"
)

// What a proxy does where no policy says otherwise. Inbound limits are wide, so that the client's decide.
const (
	outboundConnect    = 5 * time.Second
	outboundIdle       = time.Hour
	outboundStreamIdle = 30 * time.Minute
	outboundRequest    = 15 * time.Second
	inboundConnect     = 10 * time.Second
	inboundIdle        = 2 * time.Hour
	inboundStreamIdle  = time.Hour
)

// catchAll is the name of the route that takes every request: the base64 of the SHA-256 of its match.
const catchAll = "9Zuf5Tg79OuZcQITwBbQykxAk2u4fRKrwYn3//AL4Yo="

// tagsMetadata is where a listener carries the tags of what it serves.
const tagsMetadata = "io.kuma.tags"

// newInbound drafts what serves an inbound, before policies change it.
func newInbound(inbound *view.Inbound, n Node) *DraftInbound {
	d := &DraftInbound{Inbound: inbound, Protocol: inbound.Protocol}
	workload := port(inbound.WorkloadPort)
	name, stat := "localhost:"+workload, "localhost_"+workload
	d.Cluster = staticCluster(name, stat, socket(inbound.WorkloadAddress, inbound.WorkloadPort))
	d.Cluster.ConnectTimeout = durationpb.New(inboundConnect)
	if isHTTP(d.Protocol) {
		d.Options = httpOptions(d.Protocol != view.ProtocolHTTP)
		d.Options.CommonHttpProtocolOptions = commonOptions(inboundIdle)
		d.HTTP = inboundHTTP(inbound, name, stat)
		d.HTTP.HttpFilters = httpFilters(d.Protocol)
	} else {
		d.TCP = &tcpproxyv3.TcpProxy{
			StatPrefix: stat, ClusterSpecifier: &tcpproxyv3.TcpProxy_Cluster{Cluster: name}, IdleTimeout: durationpb.New(inboundIdle),
		}
		d.Network = kafkaFilter(d.Protocol, n, stat, func(text string) { d.Note("inbound "+port(inbound.Port), text) })
	}
	d.Listener = &listenerv3.Listener{
		Name:             "inbound:" + hostPort(inbound.Address, inbound.Port),
		Address:          socket(inbound.Address, inbound.Port),
		Metadata:         tagsOf(inbound.Tags),
		TrafficDirection: corev3.TrafficDirection_INBOUND,
		EnableReusePort:  wrapperspb.Bool(n.ReusePort),
	}
	return d
}

func inboundHTTP(inbound *view.Inbound, cluster, stat string) *hcmv3.HttpConnectionManager {
	service := inbound.Service
	if service == "" {
		service = stat
	}
	return &hcmv3.HttpConnectionManager{
		StatPrefix: stat,
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{
			Name: "inbound:" + service,
			VirtualHosts: []*routev3.VirtualHost{{
				Name: service, Domains: []string{"*"},
				Routes: []*routev3.Route{{
					Match: everything(),
					Action: &routev3.Route_Route{Route: &routev3.RouteAction{
						ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster}, Timeout: durationpb.New(0),
						IdleTimeout: durationpb.New(inboundStreamIdle),
					}},
				}},
			}},
			RequestHeadersToRemove: []string{"x-kuma-tags"},
			ValidateClusters:       wrapperspb.Bool(false),
		}},
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{IdleTimeout: durationpb.New(0)},
		StreamIdleTimeout:         durationpb.New(inboundStreamIdle),
		RequestHeadersTimeout:     durationpb.New(0),
		InternalAddressConfig:     privateAddresses(),
		ForwardClientCertDetails:  hcmv3.HttpConnectionManager_SANITIZE_SET,
		SetCurrentClientCertDetails: &hcmv3.HttpConnectionManager_SetCurrentClientCertDetails{
			Uri: true,
		},
	}
}

// newOutbound drafts what serves an outbound, before policies change it.
func newOutbound(of outboundKey) *DraftOutbound {
	d := &DraftOutbound{Destination: of.to, Protocol: of.protocol}
	name := clusterName(of.to)
	d.Cluster = &clusterv3.Cluster{
		Name:                 name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig:     &clusterv3.Cluster_EdsClusterConfig{EdsConfig: fromControlPlane()},
		ConnectTimeout:       durationpb.New(outboundConnect),
		CircuitBreakers:      trackRemaining(),
	}
	// Between two proxies of the mesh everything that is HTTP goes over HTTP/2. The options do no harm to what is not.
	d.Options = httpOptions(true)
	if isHTTP(d.Protocol) {
		d.Options.CommonHttpProtocolOptions = commonOptions(outboundIdle)
		d.HTTP = outboundHTTP(of.to.Service, name)
		d.HTTP.HttpFilters = httpFilters(d.Protocol)
	} else {
		d.TCP = &tcpproxyv3.TcpProxy{
			StatPrefix: name, ClusterSpecifier: &tcpproxyv3.TcpProxy_Cluster{Cluster: name}, IdleTimeout: durationpb.New(outboundIdle),
		}
		d.Network = kafkaFilter(d.Protocol, Node{KafkaFilter: of.kafka}, name, func(string) {})
	}
	d.Listener = &listenerv3.Listener{
		Name:             "outbound:" + hostPort(of.address, of.port),
		Address:          socket(of.address, of.port),
		Metadata:         tagsOf(map[string]string{resource.TagService: of.to.Service}),
		TrafficDirection: corev3.TrafficDirection_OUTBOUND,
	}
	return d
}

func outboundHTTP(service, cluster string) *hcmv3.HttpConnectionManager {
	return &hcmv3.HttpConnectionManager{
		StatPrefix: service,
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{
			Name: "outbound:" + service,
			VirtualHosts: []*routev3.VirtualHost{{
				Name: service, Domains: []string{"*"},
				Routes: []*routev3.Route{{
					Name: catchAll, Match: everything(),
					Action: &routev3.Route_Route{Route: &routev3.RouteAction{
						ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster}, Timeout: durationpb.New(outboundRequest),
						IdleTimeout: durationpb.New(outboundStreamIdle),
					}},
				}},
			}},
			ValidateClusters: wrapperspb.Bool(false),
		}},
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{IdleTimeout: durationpb.New(0)},
		RequestHeadersTimeout:     durationpb.New(0),
		InternalAddressConfig:     privateAddresses(),
		NormalizePath:             wrapperspb.Bool(true),
	}
}

// clusterName is the service, and for a part of it a hash of all tags, sorted by key, as the peers make it.
func clusterName(s view.Selector) string {
	if s.Whole() {
		return s.Service
	}
	tags := s.Extra()
	tags[resource.TagService] = s.Service
	h := sha256.New()
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		h.Write([]byte(k + tags[k]))
	}
	return s.Service + "-" + hex.EncodeToString(h.Sum(nil)[:8])
}

func everything() *routev3.RouteMatch {
	return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}}
}

func httpOptions(http2 bool) *httpv3.HttpProtocolOptions {
	explicit := &httpv3.HttpProtocolOptions_ExplicitHttpConfig{}
	if http2 {
		explicit.ProtocolConfig = &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{Http2ProtocolOptions: &corev3.Http2ProtocolOptions{}}
	} else {
		explicit.ProtocolConfig = &httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{HttpProtocolOptions: &corev3.Http1ProtocolOptions{}}
	}
	return &httpv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: explicit},
	}
}

func commonOptions(idle time.Duration) *corev3.HttpProtocolOptions {
	return &corev3.HttpProtocolOptions{
		IdleTimeout: durationpb.New(idle), MaxConnectionDuration: durationpb.New(0), MaxStreamDuration: durationpb.New(0),
	}
}

func trackRemaining() *clusterv3.CircuitBreakers {
	return &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{TrackRemaining: true}}}
}

func staticCluster(name, stat string, at *corev3.Address) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name: name, AltStatName: stat, ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		ConnectTimeout: durationpb.New(outboundConnect), CircuitBreakers: trackRemaining(),
		LoadAssignment: &endpointv3.ClusterLoadAssignment{ClusterName: name, Endpoints: []*endpointv3.LocalityLbEndpoints{{
			LbEndpoints: []*endpointv3.LbEndpoint{{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: at}}}},
		}}},
	}
}

func tagsOf(tags map[string]string) *corev3.Metadata {
	return &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{tagsMetadata: stringStruct(tags, "")}}
}

// stringStruct is a Struct of strings, without one key.
func stringStruct(values map[string]string, without string) *structpb.Struct {
	s := &structpb.Struct{Fields: make(map[string]*structpb.Value, len(values))}
	for k, v := range values {
		if k != without {
			s.Fields[k] = structpb.NewStringValue(v)
		}
	}
	return s
}

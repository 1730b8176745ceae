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
	"github.com/kumactl/kumactl/internal/resource/dataplane"
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

// newDraft builds what a proxy needs before policies change it.
func newDraft(in Inputs) *Draft {
	d := &Draft{}
	d.addAdmin(in)
	if intercepts(in.Proxy.Dataplane) || in.Node.TransparentProxy != "" {
		d.Note("transparent proxying", "is not there yet; the proxy serves its inbounds and its outbounds with an address")
	}
	if in.Proxy.Gateway == view.BuiltinGateway {
		d.Note("gateway", "builtin gateways are not there yet; the proxy serves nothing")
		return d
	}
	for _, inbound := range in.Proxy.Inbounds {
		d.addInbound(in, inbound)
	}
	for _, outbound := range in.Proxy.Outbounds {
		d.addOutbound(in, outbound)
	}
	return d
}

func (d *Draft) addInbound(in Inputs, inbound *view.Inbound) {
	b := &DraftInbound{Inbound: inbound, Protocol: inbound.Protocol}
	if b.Protocol == dataplane.Kafka && !in.Node.KafkaFilter {
		d.Note("inbound "+port(inbound.Port), "this Envoy has no filter for kafka; its traffic is handled as tcp")
	}
	workload := port(inbound.WorkloadPort)
	name, stat := "localhost:"+workload, "localhost_"+workload
	b.Cluster = staticCluster(name, stat, socket(inbound.WorkloadAddress, inbound.WorkloadPort))
	b.Cluster.ConnectTimeout = durationpb.New(inboundConnect)
	if isHTTP(b.Protocol) {
		b.Options = httpOptions(b.Protocol != dataplane.HTTP)
		b.Options.CommonHttpProtocolOptions = commonOptions(inboundIdle)
		b.HTTP = inboundHTTP(inbound, name, stat)
		if b.Protocol == dataplane.GRPC {
			b.HTTP.HttpFilters = slices.Insert(b.HTTP.HttpFilters, 0, grpcStatsFilter())
		}
	} else {
		b.TCP = &tcpproxyv3.TcpProxy{
			StatPrefix: stat, ClusterSpecifier: &tcpproxyv3.TcpProxy_Cluster{Cluster: name}, IdleTimeout: durationpb.New(inboundIdle),
		}
	}
	b.Listener = &listenerv3.Listener{
		Name:             "inbound:" + hostPort(inbound.Address, inbound.Port),
		Address:          socket(inbound.Address, inbound.Port),
		Metadata:         tagsOf(inbound.Tags),
		TrafficDirection: corev3.TrafficDirection_INBOUND,
		EnableReusePort:  wrapperspb.Bool(in.Node.ReusePort),
	}
	d.Inbounds = append(d.Inbounds, b)
}

func inboundHTTP(inbound *view.Inbound, cluster, stat string) *hcmv3.HttpConnectionManager {
	return &hcmv3.HttpConnectionManager{
		StatPrefix: stat,
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{
			Name: "inbound:" + inbound.Service,
			VirtualHosts: []*routev3.VirtualHost{{
				Name: inbound.Service, Domains: []string{"*"},
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
		HttpFilters:               []*hcmv3.HttpFilter{routerFilter()},
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{IdleTimeout: durationpb.New(0)},
		StreamIdleTimeout:         durationpb.New(inboundStreamIdle),
		RequestHeadersTimeout:     durationpb.New(0),
		InternalAddressConfig:     internalAddresses(privateRanges()),
		ForwardClientCertDetails:  hcmv3.HttpConnectionManager_SANITIZE_SET,
		SetCurrentClientCertDetails: &hcmv3.HttpConnectionManager_SetCurrentClientCertDetails{
			Uri: true,
		},
	}
}

func (d *Draft) addOutbound(in Inputs, outbound *view.Outbound) {
	about := "outbound " + hostPort(outbound.Address, outbound.Port)
	if outbound.BackendRef != nil {
		d.Note(about, "backendRef is not there yet; use the tag "+resource.TagService)
		return
	}
	destination := d.destination(in.Mesh, outbound.Destination)
	b := &DraftOutbound{Outbound: outbound, Destination: destination}
	if isHTTP(destination.Protocol) {
		b.HTTP = outboundHTTP(destination)
		if destination.Protocol == dataplane.GRPC {
			b.HTTP.HttpFilters = slices.Insert(b.HTTP.HttpFilters, 0, grpcStatsFilter())
		}
	} else {
		b.TCP = &tcpproxyv3.TcpProxy{
			StatPrefix: destination.Name, ClusterSpecifier: &tcpproxyv3.TcpProxy_Cluster{Cluster: destination.Name}, IdleTimeout: durationpb.New(outboundIdle),
		}
	}
	b.Listener = &listenerv3.Listener{
		Name:             "outbound:" + hostPort(outbound.Address, outbound.Port),
		Address:          socket(outbound.Address, outbound.Port),
		Metadata:         tagsOf(map[string]string{resource.TagService: destination.Selector.Service}),
		TrafficDirection: corev3.TrafficDirection_OUTBOUND,
	}
	d.Outbounds = append(d.Outbounds, b)
}

func outboundHTTP(to *DraftDestination) *hcmv3.HttpConnectionManager {
	service := to.Selector.Service
	return &hcmv3.HttpConnectionManager{
		StatPrefix: service,
		RouteSpecifier: &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: &routev3.RouteConfiguration{
			Name: "outbound:" + service,
			VirtualHosts: []*routev3.VirtualHost{{
				Name: service, Domains: []string{"*"},
				Routes: []*routev3.Route{{
					Name: catchAll, Match: everything(),
					Action: &routev3.Route_Route{Route: &routev3.RouteAction{
						ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: to.Name}, Timeout: durationpb.New(outboundRequest),
						IdleTimeout: durationpb.New(outboundStreamIdle),
					}},
				}},
			}},
			ValidateClusters: wrapperspb.Bool(false),
		}},
		HttpFilters:               []*hcmv3.HttpFilter{routerFilter()},
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{IdleTimeout: durationpb.New(0)},
		RequestHeadersTimeout:     durationpb.New(0),
		InternalAddressConfig:     internalAddresses(privateRanges()),
		NormalizePath:             wrapperspb.Bool(true),
	}
}

// destination finds or makes the draft of a destination.
func (d *Draft) destination(m *view.Mesh, s view.Selector) *DraftDestination {
	for _, had := range d.Destinations {
		if had.Selector == s {
			return had
		}
	}
	to := &DraftDestination{Selector: s, Protocol: m.Protocol(s.Service), Name: clusterName(s)}
	to.Cluster = &clusterv3.Cluster{
		Name:                 to.Name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig: &clusterv3.Cluster_EdsClusterConfig{EdsConfig: &corev3.ConfigSource{
			ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}}, ResourceApiVersion: corev3.ApiVersion_V3,
		}},
		ConnectTimeout:  durationpb.New(outboundConnect),
		CircuitBreakers: trackRemaining(),
	}
	// Between two proxies of the mesh everything that is not plain TCP goes over HTTP/2.
	to.Options = httpOptions(true)
	if isHTTP(to.Protocol) {
		to.Options.CommonHttpProtocolOptions = commonOptions(outboundIdle)
	}
	d.Destinations = append(d.Destinations, to)
	return to
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

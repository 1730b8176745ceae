package xds_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"slices"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/kumactl/kumactl/internal/envoy"
)

const (
	cds = envoy.TypeCluster
	eds = envoy.TypeEndpoint
	lds = envoy.TypeListener
)

// proxy is what Envoy does on its discovery stream, step by step as the test wants it.
type proxy struct {
	t      testing.TB
	conn   *grpc.ClientConn
	node   *corev3.Node
	cancel context.CancelFunc
	stream discoveryv3.AggregatedDiscoveryService_StreamAggregatedResourcesClient
	// last answers by type; peeked one that next has looked at.
	last   map[string]*discoveryv3.DiscoveryResponse
	peeked *discoveryv3.DiscoveryResponse
}

// nodeOf is the node of a proxy; resource may be empty.
func nodeOf(t testing.TB, name, resource string) *corev3.Node {
	fields := map[string]any{
		"dataplane.admin.port": "9901", "dataplane.admin.address": "127.0.0.1", "dataplane.proxyType": "dataplane",
		"version": map[string]any{"envoy": map[string]any{"version": "1.40.0"}, "kumaDp": map[string]any{"version": "2.14.3"}},
	}
	if resource != "" {
		fields["dataplane.resource"] = resource
	}
	m, err := structpb.NewStruct(fields)
	if err != nil {
		t.Fatal(err)
	}
	return &corev3.Node{Id: "default." + name, Cluster: name, Metadata: m}
}

func dial(t testing.TB, addr string, o ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	o = append(o, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})), grpc.WithDisableRetry())
	conn, err := grpc.NewClient("passthrough:///"+addr, o...)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// connect opens a stream as a proxy that brings a Dataplane (or none, when doc is nil).
func connect(t testing.TB, p *plane, name string, doc map[string]any) *proxy {
	t.Helper()
	resource := ""
	if doc != nil {
		resource = text(t, doc)
	}
	return connectOn(t, dial(t, p.addr), nodeOf(t, name, resource))
}

func connectOn(t testing.TB, conn *grpc.ClientConn, node *corev3.Node) *proxy {
	t.Helper()
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(context.Background(), "authorization", "secret"), deadline)
	stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).StreamAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, conn: conn, node: node, cancel: cancel, stream: stream, last: map[string]*discoveryv3.DiscoveryResponse{}}
	t.Cleanup(p.close)
	return p
}

func (p *proxy) close() {
	p.cancel()
	_ = p.conn.Close()
}

// ask sends a request; the node goes with the first.
func (p *proxy) ask(r *discoveryv3.DiscoveryRequest) {
	p.t.Helper()
	r.Node, p.node = p.node, nil
	if err := p.stream.Send(r); err != nil {
		p.t.Fatal(err)
	}
}

// get waits for an answer of a type; an answer of another is a failure.
func (p *proxy) get(typeURL string) *discoveryv3.DiscoveryResponse {
	p.t.Helper()
	r, err := p.peeked, error(nil)
	if p.peeked = nil; r == nil {
		r, err = p.stream.Recv()
	}
	if err != nil {
		p.t.Fatalf("no answer of type %s: %v", typeURL, err)
	}
	if r.TypeUrl != typeURL {
		p.t.Fatalf("answer of type %s, want %s", r.TypeUrl, typeURL)
	}
	p.last[typeURL] = r
	return r
}

// ack accepts the last answer of a type.
func (p *proxy) ack(typeURL string, names ...string) {
	p.t.Helper()
	r := p.last[typeURL]
	p.ask(&discoveryv3.DiscoveryRequest{TypeUrl: typeURL, VersionInfo: r.VersionInfo, ResponseNonce: r.Nonce, ResourceNames: names})
}

// full takes a whole configuration: clusters, endpoints of those that want them, listeners.
func (p *proxy) full() (endpointNames []string) {
	p.t.Helper()
	p.ask(&discoveryv3.DiscoveryRequest{TypeUrl: cds})
	names := edsNames(p.t, p.get(cds))
	p.ack(cds)
	if len(names) > 0 {
		p.ask(&discoveryv3.DiscoveryRequest{TypeUrl: eds, ResourceNames: names})
		p.get(eds)
		p.ack(eds, names...)
	}
	p.ask(&discoveryv3.DiscoveryRequest{TypeUrl: lds})
	p.get(lds)
	p.ack(lds)
	return names
}

// end waits until the stream ends, and gives its error.
func (p *proxy) end() error {
	p.t.Helper()
	for {
		if _, err := p.stream.Recv(); err != nil {
			return err
		}
	}
}

func edsNames(t testing.TB, r *discoveryv3.DiscoveryResponse) []string {
	t.Helper()
	var names []string
	for _, a := range r.Resources {
		c := unpack(t, a, &clusterv3.Cluster{})
		if c.GetType() == clusterv3.Cluster_EDS {
			names = append(names, c.Name)
		}
	}
	slices.Sort(names)
	return names
}

// addresses gives the endpoints of an answer, by cluster.
func addresses(t testing.TB, r *discoveryv3.DiscoveryResponse) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, a := range r.Resources {
		cla := unpack(t, a, &endpointv3.ClusterLoadAssignment{})
		all[cla.ClusterName] = []string{}
		for _, l := range cla.Endpoints {
			for _, e := range l.LbEndpoints {
				s := e.GetEndpoint().GetAddress().GetSocketAddress()
				all[cla.ClusterName] = append(all[cla.ClusterName], fmt.Sprintf("%s:%d", s.GetAddress(), s.GetPortValue()))
			}
		}
	}
	return all
}

func unpack[M proto.Message](t testing.TB, a *anypb.Any, m M) M {
	t.Helper()
	if err := a.UnmarshalTo(m); err != nil {
		t.Fatal(err)
	}
	return m
}

func equalAddresses(a, b map[string][]string) bool {
	return maps.EqualFunc(a, b, slices.Equal)
}

// next gives the type of the next answer, and keeps that for get.
func (p *proxy) next() string {
	p.t.Helper()
	r, err := p.stream.Recv()
	if err != nil {
		p.t.Fatal(err)
	}
	p.peeked = r
	return r.TypeUrl
}

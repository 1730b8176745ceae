package xds

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	healthv3 "github.com/envoyproxy/go-control-plane/envoy/service/health/v3"
	"github.com/google/go-cmp/cmp"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/kumactl/kumactl/internal/envoy"
)

func sealedOf(name, version string, size int) *envoy.Sealed {
	return &envoy.Sealed{Name: name, TypeURL: clusters.url(), Version: version, Body: []byte(strings.Repeat("x", size))}
}

// bytesOf is what gRPC puts on the wire.
func bytesOf(t testing.TB, m message) []byte {
	t.Helper()
	parts, err := newCodec().Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return parts.Materialize()
}

func TestAnswersReadAsEnvoyReadsThem(t *testing.T) {
	for name, w := range map[string]answer{
		"nothing": {typeURL: clusters.url(), nonce: 1},
		"small":   {typeURL: clusters.url(), version: "v", nonce: 2, instance: "cp-1", put: []*envoy.Sealed{sealedOf("a", "1", 3), sealedOf("b", "2", 0)}},
		"shared":  {typeURL: listeners.url(), version: "v", nonce: 1 << 40, instance: "cp-1", put: []*envoy.Sealed{sealedOf("a", "1", shareFrom), sealedOf("b", "2", 1), sealedOf("c", "", 5000)}},
		"removed": {typeURL: endpoints.url(), version: "v", nonce: 4, removed: []string{"x", "y"}, put: []*envoy.Sealed{sealedOf("a", "1", 700)}},
	} {
		t.Run(name, func(t *testing.T) {
			control := &corev3.ControlPlane{Identifier: w.instance}
			if w.instance == "" {
				control = nil
			}
			sotw := &discoveryv3.DiscoveryResponse{VersionInfo: w.version, TypeUrl: w.typeURL, Nonce: fmt.Sprint(w.nonce), ControlPlane: control}
			delta := &discoveryv3.DeltaDiscoveryResponse{
				SystemVersionInfo: w.version, TypeUrl: w.typeURL, Nonce: fmt.Sprint(w.nonce), ControlPlane: control, RemovedResources: w.removed,
			}
			for _, r := range w.put {
				body := &anypb.Any{TypeUrl: r.TypeURL, Value: r.Body}
				sotw.Resources = append(sotw.Resources, body)
				delta.Resources = append(delta.Resources, &discoveryv3.Resource{Name: r.Name, Version: r.Version, Resource: body})
			}
			for _, c := range []struct {
				sent      message
				got, want proto.Message
			}{
				{w.sotw(), &discoveryv3.DiscoveryResponse{}, sotw},
				{w.delta(), &discoveryv3.DeltaDiscoveryResponse{}, delta},
			} {
				if err := proto.Unmarshal(bytesOf(t, c.sent), c.got); err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(c.want, c.got, protocmp.Transform()); d != "" {
					t.Error(d)
				}
			}
		})
	}
}

// bigNode is what a real Envoy sends: 516 extensions make it 62 KB.
func bigNode(t testing.TB) *corev3.Node {
	metadata, err := structpb.NewStruct(map[string]any{
		metadataResource: `{"type":"Dataplane"}`, "dataplane.admin.port": "9901", "features": []any{"feature-reuse-port"},
		"version": map[string]any{"envoy": map[string]any{"version": "1.40.0"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	n := &corev3.Node{Id: "default.web-1", Cluster: "web", Metadata: metadata, UserAgentName: "envoy"}
	for i := range 516 {
		n.Extensions = append(n.Extensions, &corev3.Extension{
			Name: fmt.Sprintf("envoy.filters.http.extension_number_%d", i), Category: "envoy.filters.http",
			TypeUrls: []string{fmt.Sprintf("envoy.extensions.filters.http.extension_number_%d.v3.Config", i)},
		})
	}
	return n
}

func TestKafkaFilterIsSeen(t *testing.T) {
	n := bigNode(t)
	for _, want := range []bool{false, true} {
		raw, err := proto.Marshal(&discoveryv3.DiscoveryRequest{Node: n, TypeUrl: clusters.url()})
		if err != nil {
			t.Fatal(err)
		}
		r := &sotwRequest{}
		if err := r.decode(raw); err != nil || r.node.kafka != want || r.node.id != n.Id {
			t.Errorf("%v: read %+v", err, r.node)
		}
		n.Extensions = append(n.Extensions, &corev3.Extension{Name: kafkaFilter, Category: "envoy.filters.network"})
	}
}

func FuzzRequests(f *testing.F) {
	add := func(m proto.Message) {
		raw, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	small := &corev3.Node{Id: "default.web-1", Extensions: []*corev3.Extension{{Name: "envoy.filters.network.kafka_broker"}}}
	small.Metadata, _ = structpb.NewStruct(map[string]any{"a": []any{1.0, true, nil, "x"}})
	add(&discoveryv3.DiscoveryRequest{
		VersionInfo: "v", Node: small, ResourceNames: []string{"a", "b"}, TypeUrl: endpoints.url(), ResponseNonce: "7",
		ErrorDetail: &statuspb.Status{Code: 13, Message: "no"},
	})
	add(&discoveryv3.DeltaDiscoveryRequest{
		Node: small, TypeUrl: clusters.url(), ResourceNamesSubscribe: []string{"a"}, ResourceNamesUnsubscribe: []string{"b"},
		InitialResourceVersions: map[string]string{"a": "1"}, ResponseNonce: "7", ErrorDetail: &statuspb.Status{Message: "no"},
	})
	add(&healthv3.HealthCheckRequestOrEndpointHealthResponse{
		RequestType: &healthv3.HealthCheckRequestOrEndpointHealthResponse_HealthCheckRequest{HealthCheckRequest: &healthv3.HealthCheckRequest{Node: small}},
	})
	f.Fuzz(func(t *testing.T, raw []byte) {
		var sotw discoveryv3.DiscoveryRequest
		if r := (&sotwRequest{}); proto.Unmarshal(raw, &sotw) == nil && kept(t, r.decode(raw)) {
			same := r.version == sotw.VersionInfo && slices.Equal(r.names, sotw.ResourceNames) && r.nonce == sotw.ResponseNonce &&
				r.reason == sotw.GetErrorDetail().GetMessage() && r.refused == (sotw.ErrorDetail != nil) &&
				(r.kind == unknownType && r.typeURL == sotw.TypeUrl || r.kind.url() == sotw.TypeUrl)
			if !same {
				t.Errorf("read %+v from %v", r, &sotw)
			}
			equalNodes(t, r.node, sotw.Node)
		}
		var delta discoveryv3.DeltaDiscoveryRequest
		if r := (&deltaRequest{}); proto.Unmarshal(raw, &delta) == nil && kept(t, r.decode(raw)) {
			same := slices.Equal(r.names, delta.ResourceNamesSubscribe) && slices.Equal(r.dropped, delta.ResourceNamesUnsubscribe) &&
				r.nonce == delta.ResponseNonce && r.refused == (delta.ErrorDetail != nil) && maps.Equal(r.held, delta.InitialResourceVersions)
			if !same {
				t.Errorf("read %+v from %v", r, &delta)
			}
			equalNodes(t, r.node, delta.Node)
		}
		var health healthv3.HealthCheckRequestOrEndpointHealthResponse
		if r := (&healthRequest{}); proto.Unmarshal(raw, &health) == nil && kept(t, r.decode(raw)) {
			if health.GetHealthCheckRequest() != nil && r.node == nil && health.GetHealthCheckRequest().Node != nil {
				t.Errorf("read %+v from %v", r, &health)
			}
		}
		// Whatever it is, it must not panic.
		_ = (&sotwRequest{}).decode(raw)
		_ = (&deltaRequest{}).decode(raw)
		_ = (&healthRequest{}).decode(raw)
	})
}

// kept says whether a request was taken; only what is over a limit may be refused although protobuf takes it.
func kept(t *testing.T, err error) bool {
	if err != nil && !strings.Contains(err.Error(), "most") && !strings.Contains(err.Error(), "more than") && !strings.Contains(err.Error(), "recursion") {
		t.Errorf("refused: %v", err)
	}
	return err == nil
}

func equalNodes(t *testing.T, got *node, want *corev3.Node) {
	if (got == nil) != (want == nil) {
		t.Fatalf("node %v read as %+v", want, got)
	}
	if got == nil {
		return
	}
	if got.id != want.Id || (got.metadata == nil) != (want.Metadata == nil) {
		t.Errorf("node %v read as %+v", want, got)
	}
	if got.metadata != nil && !proto.Equal(got.metadata, want.Metadata) {
		// NaN is not equal to itself.
		a, _ := proto.MarshalOptions{Deterministic: true}.Marshal(got.metadata)
		b, _ := proto.MarshalOptions{Deterministic: true}.Marshal(want.Metadata)
		if string(a) != string(b) {
			t.Errorf("metadata %v read as %v", want.Metadata, got.metadata)
		}
	}
}

func BenchmarkDecodeFirstRequest(b *testing.B) {
	c := newCodec()
	raw, err := proto.Marshal(&discoveryv3.DiscoveryRequest{Node: bigNode(b), TypeUrl: clusters.url()})
	if err != nil {
		b.Fatal(err)
	}
	pieces := mem.BufferSlice{}
	for piece := range slices.Chunk(raw, 16<<10) {
		pieces = append(pieces, mem.SliceBuffer(piece))
	}
	b.Run("this", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := c.Unmarshal(pieces, &sotwRequest{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("protobuf", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := proto.Unmarshal(pieces.Materialize(), &discoveryv3.DiscoveryRequest{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkEncodeAnswer(b *testing.B) {
	w := answer{typeURL: clusters.url(), version: "0123456789abcdef", nonce: 5, instance: "cp-1"}
	for i := range 12 {
		w.put = append(w.put, sealedOf(fmt.Sprintf("outbound:127.0.0.1:200%02d", i), "0123456789abcdef", 900))
	}
	b.ReportAllocs()
	for b.Loop() {
		_ = w.sotw()
	}
}

// bufferOf and slice are what gRPC's transport makes of a message.
func bufferOf(raw []byte) mem.Buffer { return mem.SliceBuffer(raw) }

func (m message) slice() mem.BufferSlice { return mem.BufferSlice(m) }

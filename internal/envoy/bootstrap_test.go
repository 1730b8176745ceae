package envoy_test

import (
	"encoding/json"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/regex_engines/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"

	"github.com/kumactl/kumactl/internal/envoy"
)

var params = envoy.BootstrapParams{
	Cluster: "web", AdminAddress: "127.0.0.1", AdminPort: 9901, XDSHost: "10.0.0.1", XDSPort: 5678, ConnectTimeoutSeconds: 1, CA: "own", HealthDiscovery: true,
}

func bootstrapOf(t *testing.T, r envoy.BootstrapRequest, p envoy.BootstrapParams) *bootstrapv3.Bootstrap {
	t.Helper()
	raw, err := envoy.Bootstrap(r, p)
	if err != nil {
		t.Fatal(err)
	}
	var b bootstrapv3.Bootstrap
	if err := protojson.Unmarshal(raw, &b); err != nil {
		t.Fatalf("Envoy's own message does not take it: %v\n%s", err, raw)
	}
	if err := b.ValidateAll(); err != nil {
		t.Errorf("against Envoy's rules: %v", err)
	}
	return &b
}

func TestBootstrap(t *testing.T) {
	full := envoy.BootstrapRequest{Mesh: "m", Name: "web-1", Workdir: "/w", Token: "secret", ReadinessPort: 9902, Features: []string{"feature-delta-grpc"}}
	for name, c := range map[string]struct {
		request envoy.BootstrapRequest
		change  func(*envoy.BootstrapParams)
		want    func(*bootstrapv3.Bootstrap) bool
	}{
		"the node is mesh and name": {full, nil, func(b *bootstrapv3.Bootstrap) bool { return b.Node.Id == "m.web-1" && b.Node.Cluster == "web" }},
		"a proxy without a service": {
			full, func(p *envoy.BootstrapParams) { p.Cluster = "" },
			func(b *bootstrapv3.Bootstrap) bool { return b.Node.Cluster == "web-1" },
		},
		"zone proxies have no mesh": {
			envoy.BootstrapRequest{Name: "zi", ProxyType: "ingress"},
			nil,
			func(b *bootstrapv3.Bootstrap) bool { return b.Node.Id == ".zi" },
		},
		"admin is a private socket": {full, nil, func(b *bootstrapv3.Bootstrap) bool {
			return b.Admin.Address.GetPipe().GetPath() == "/w/kuma-envoy-admin.sock" && b.Admin.Address.GetPipe().GetMode() == 0o600
		}},
		"without a folder admin is a port of loopback": {envoy.BootstrapRequest{Mesh: "m", Name: "a"}, nil, func(b *bootstrapv3.Bootstrap) bool {
			a := b.Admin.Address.GetSocketAddress()
			return a.GetAddress() == "127.0.0.1" && a.GetPortValue() == 9901
		}},
		"the token goes bare": {full, nil, func(b *bootstrapv3.Bootstrap) bool {
			return b.DynamicResources.AdsConfig.GrpcServices[0].InitialMetadata[0].Value == "secret"
		}},
		"delta is asked for": {full, nil, func(b *bootstrapv3.Bootstrap) bool {
			return b.DynamicResources.AdsConfig.ApiType.String() == "DELTA_GRPC" && b.HdsConfig.ApiType.String() == "GRPC"
		}},
		"a name is looked up": {full, func(p *envoy.BootstrapParams) { p.XDSHost = "cp.example" }, func(b *bootstrapv3.Bootstrap) bool {
			return b.StaticResources.Clusters[1].GetType().String() == "STRICT_DNS"
		}},
		"the request's authority wins": {envoy.BootstrapRequest{Mesh: "m", Name: "a", CACert: "theirs"}, nil, func(b *bootstrapv3.Bootstrap) bool {
			return string(b.StaticResources.Secrets[0].GetValidationContext().GetTrustedCa().GetInlineBytes()) == "theirs"
		}},
		"health discovery can be off": {
			full, func(p *envoy.BootstrapParams) { p.HealthDiscovery = false },
			func(b *bootstrapv3.Bootstrap) bool { return b.HdsConfig == nil },
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := params
			if c.change != nil {
				c.change(&p)
			}
			if b := bootstrapOf(t, c.request, p); !c.want(b) {
				t.Errorf("got %s", protojson.Format(b))
			}
		})
	}
}

func TestNodeComesBack(t *testing.T) {
	var r envoy.BootstrapRequest
	err := json.Unmarshal([]byte(`{"mesh":"m","name":"a","dataplaneResource":"{}","workdir":"/w","readinessPort":9902,"dnsPort":15054,
		"features":["feature-reuse-port","feature-strict-inbound-ports"],"version":{"envoy":{"version":"1.40.0"},"kumaDp":{"version":"2.14.3"}},
		"dataplaneConfig":{"redirect":{"inbound":{"enabled":true}}}}`), &r)
	if err != nil {
		t.Fatal(err)
	}
	got := envoy.ParseNode(bootstrapOf(t, r, params).Node.Metadata)
	want := envoy.Node{
		ProxyType: "dataplane", Resource: "{}", AdminAddress: "127.0.0.1", AdminPort: 9901, AdminSocket: "/w/kuma-envoy-admin.sock",
		ReadinessPort: 9902, DNSPort: 15054, Workdir: "/w", ReusePort: true, StrictInbound: true,
		TransparentProxy: `{"redirect":{"inbound":{"enabled":true}}}`, Version: r.Version,
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func FuzzParseNode(f *testing.F) {
	f.Add([]byte(`{"features":[1,null],"version":"x","ipv6Enabled":"no","dataplane.admin.port":"-1"}`))
	f.Fuzz(func(_ *testing.T, raw []byte) {
		var asJSON, asBytes structpb.Struct
		if protojson.Unmarshal(raw, &asJSON) == nil {
			envoy.ParseNode(&asJSON)
		}
		if proto.Unmarshal(raw, &asBytes) == nil {
			envoy.ParseNode(&asBytes)
		}
		envoy.ParseNode(nil)
	})
}

package envoy_test

import (
	"fmt"
	"slices"
	"testing"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/kumactl/kumactl/internal/envoy"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/resource/dataplane"
	"github.com/kumactl/kumactl/internal/resource/mesh"
	"github.com/kumactl/kumactl/internal/store"
	"github.com/kumactl/kumactl/internal/view"
)

// meshOf makes the picture of one mesh with these Dataplanes, given as the specification's JSON by name.
func meshOf(t testing.TB, dataplanes map[string]string) *view.Mesh {
	t.Helper()
	s := store.OpenMemory(store.Options{Kinds: []*resource.Kind{mesh.Kind, dataplane.Kind}})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	_, err := s.Update(t.Context(), store.Writer{}, func(tx *store.Tx) error {
		if err := tx.Put(mesh.Kind.New("", "m")); err != nil {
			return err
		}
		for name, spec := range dataplanes {
			r := dataplane.Kind.New("m", name)
			if err := r.SetSpecJSON([]byte(spec)); err != nil {
				return err
			}
			if err := tx.Put(r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	m, ok := view.New(s.Snapshot(), []*resource.Kind{mesh.Kind, dataplane.Kind}).Mesh("m")
	if !ok {
		t.Fatal("the mesh is not in the picture")
	}
	return m
}

func web(n int, more string) string {
	return fmt.Sprintf(`{"networking":{"address":"10.0.0.%d","inbound":[{"port":80,"servicePort":8080,"serviceAddress":"127.0.0.1",
		"tags":{"kuma.io/service":"web","kuma.io/protocol":"http","kuma.io/zone":"z"%s}}]}}`, n, more)
}

const client = `{"networking":{"address":"10.0.0.9","outbound":[
	{"port":1000,"tags":{"kuma.io/service":"web"}},
	{"port":1001,"tags":{"kuma.io/service":"web","version":"v2"}},
	{"port":1002,"tags":{"kuma.io/service":"nobody"}}]}}`

func compile(t testing.TB, c *envoy.Compiler, m *view.Mesh, name string, n envoy.Node) *envoy.Config {
	t.Helper()
	p, ok := m.Proxy(name)
	if !ok {
		t.Fatalf("no proxy %s", name)
	}
	config, err := c.Compile(m, p, n)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func namesOf(list []*envoy.Sealed) []string {
	var names []string
	for _, s := range list {
		names = append(names, s.Name)
	}
	return names
}

func TestCompileNames(t *testing.T) {
	m := meshOf(t, map[string]string{"web-1": web(1, ""), "web-2": web(2, `,"version":"v2"`), "client": client})
	got := compile(t, envoy.NewCompiler(nil), m, "client", envoy.Node{AdminAddress: "127.0.0.1", AdminPort: 9901, ReadinessPort: 9902})
	hashed := got.Clusters[slices.IndexFunc(got.Clusters, func(s *envoy.Sealed) bool { return len(s.Name) == len("web-")+16 })].Name
	want := map[string][]string{
		"clusters":  {"kuma:envoy:admin", "kuma:readiness", "nobody", "web", hashed},
		"listeners": {"kuma:envoy:admin", "outbound:127.0.0.1:1000", "outbound:127.0.0.1:1001", "outbound:127.0.0.1:1002"},
		"endpoints": {"nobody", "web", hashed},
	}
	if diff := cmp.Diff(want, map[string][]string{"clusters": namesOf(got.Clusters), "listeners": namesOf(got.Listeners), "endpoints": namesOf(got.Endpoints)}); diff != "" {
		t.Error(diff)
	}
	for i, count := range []int{0, 2, 1} {
		message, err := got.Endpoints[i].Message()
		if err != nil {
			t.Fatal(err)
		}
		var have int
		for _, l := range message.(interface {
			GetEndpoints() []*endpointv3.LocalityLbEndpoints
		}).GetEndpoints() {
			have += len(l.GetLbEndpoints())
		}
		if have != count {
			t.Errorf("%s has %d endpoints, want %d", got.Endpoints[i].Name, have, count)
		}
	}
	again := compile(t, envoy.NewCompiler(nil), m, "client", envoy.Node{AdminAddress: "127.0.0.1", AdminPort: 9901, ReadinessPort: 9902})
	for i := range got.Listeners {
		if got.Listeners[i].Version != again.Listeners[i].Version {
			t.Errorf("%s: another compiler gave another version", got.Listeners[i].Name)
		}
	}
}

// TestEqualIsShared shows that two proxies with the same outbound hold the same bytes.
func TestEqualIsShared(t *testing.T) {
	m := meshOf(t, map[string]string{"web-1": web(1, ""), "a": client, "b": client})
	c := envoy.NewCompiler(nil)
	a, b := compile(t, c, m, "a", envoy.Node{}), compile(t, c, m, "b", envoy.Node{})
	for _, pair := range [][2][]*envoy.Sealed{{a.Clusters, b.Clusters}, {a.Listeners, b.Listeners}, {a.Endpoints, b.Endpoints}} {
		if !slices.Equal(pair[0], pair[1]) {
			t.Errorf("not shared: %v and %v", namesOf(pair[0]), namesOf(pair[1]))
		}
	}
}

func TestCompileSays(t *testing.T) {
	for name, c := range map[string]struct{ spec, want string }{
		"kafka without the filter": {
			`{"networking":{"address":"10.0.0.1","inbound":[{"port":9092,"tags":{"kuma.io/service":"k","kuma.io/protocol":"kafka"}}]}}`,
			"inbound 9092: this Envoy has no filter for kafka; its traffic is handled as tcp",
		},
		"a backendRef": {
			`{"networking":{"address":"10.0.0.1","outbound":[{"port":9000,"backendRef":{"kind":"MeshService","name":"x","port":1}}]}}`,
			"outbound 127.0.0.1:9000: backendRef is not there yet; use the tag kuma.io/service",
		},
		"a name for an address": {
			`{"networking":{"address":"web.example.org","inbound":[{"port":80,"tags":{"kuma.io/service":"web"}}]}}`,
			"address web.example.org: names are not resolved yet, write an IP address; others do not reach the proxy, and it cannot listen there",
		},
		"zone proxies": {
			`{"networking":{"address":"10.0.0.1","listeners":[{"type":"ZoneIngress","address":"10.0.0.1","port":10001}]}}`,
			"listeners: zone proxies are not there yet; the proxy serves its inbounds and outbounds",
		},
		"interception": {
			`{"networking":{"address":"10.0.0.1","transparentProxying":{"redirectPortInbound":15006,"redirectPortOutbound":15001}}}`,
			"transparent proxying: is not there yet; the proxy serves its inbounds and its outbounds with an address",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := compile(t, envoy.NewCompiler(nil), meshOf(t, map[string]string{"p": c.spec}), "p", envoy.Node{})
			if len(got.Problems) != 1 || got.Problems[0].String() != c.want {
				t.Errorf("got %v", got.Problems)
			}
		})
	}
}

// TestCompiledIsValid holds everything against the rules in Envoy's own messages.
func TestCompiledIsValid(t *testing.T) {
	m := meshOf(t, map[string]string{"web-1": web(1, ""), "client": client})
	c := envoy.NewCompiler(nil)
	for _, name := range []string{"web-1", "client"} {
		got := compile(t, c, m, name, envoy.Node{AdminAddress: "127.0.0.1", AdminPort: 9901, AdminSocket: "/w/s", ReadinessPort: 9902, ReusePort: true})
		for _, s := range slices.Concat(got.Clusters, got.Listeners, got.Endpoints) {
			message, err := s.Message()
			if err != nil {
				t.Fatal(err)
			}
			if err := message.(interface{ ValidateAll() error }).ValidateAll(); err != nil {
				t.Errorf("%s: %v\n%s", s.Name, err, protojson.Format(message))
			}
		}
	}
}

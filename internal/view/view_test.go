package view_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/store"
	"github.com/kumactl/kumactl/internal/view"
)

// world is a store and the picture that follows it.
type world struct {
	t       testing.TB
	kinds   []*resource.Kind
	store   *store.Store
	watch   *store.Watch
	picture *view.Picture
}

type timeout struct {
	Seconds int `json:"seconds"`
}

func newWorld(t testing.TB) *world {
	kinds := []*resource.Kind{
		resource.OfProto(resource.Kind{Name: "Mesh", Scope: resource.Global}, func() *kumapb.Mesh { return &kumapb.Mesh{} }, resource.Rules[*kumapb.Mesh]{}),
		resource.OfProto(resource.Kind{Name: "Dataplane"}, func() *kumapb.Dataplane { return &kumapb.Dataplane{} }, resource.Rules[*kumapb.Dataplane]{}),
		resource.Of(resource.Kind{Name: "Timeout", Policy: &resource.PolicyTraits{}}, resource.Rules[*timeout]{}),
		resource.Of(resource.Kind{Name: "Other"}, resource.Rules[*timeout]{}),
	}
	w := &world{t: t, kinds: kinds, store: store.OpenMemory(store.Options{Kinds: kinds})}
	t.Cleanup(func() {
		if err := w.store.Close(); err != nil {
			t.Error(err)
		}
	})
	w.watch = w.store.Watch(0)
	w.picture = view.New(w.store.Snapshot(), kinds)
	return w
}

func (w *world) fresh() *view.Picture { return view.New(w.store.Snapshot(), w.kinds) }

func (w *world) update(f func(tx *store.Tx) error) view.Touched {
	w.t.Helper()
	revision, err := w.store.Update(w.t.Context(), store.Writer{Who: "test"}, f)
	if err != nil {
		w.t.Fatal(err)
	}
	if revision == w.picture.Revision() {
		return view.Touched{} // nothing was written
	}
	changes, err := w.watch.Next(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	next, touched := w.picture.Next(changes)
	w.picture = next
	return touched
}

// put stores a resource whose specification is JSON.
func (w *world) put(kind int, mesh, name, spec string) view.Touched {
	w.t.Helper()
	return w.update(func(tx *store.Tx) error {
		r := w.kinds[kind].New(mesh, name)
		if err := r.SetSpecJSON([]byte(spec)); err != nil {
			return err
		}
		return tx.Put(r)
	})
}

func (w *world) dataplane(name, networking string) view.Touched {
	w.t.Helper()
	return w.put(1, "default", name, `{"networking":{`+networking+`}}`)
}

func (w *world) remove(kind int, mesh, name string) view.Touched {
	w.t.Helper()
	return w.update(func(tx *store.Tx) error {
		return tx.Delete(resource.Key{Kind: w.kinds[kind].Name, Mesh: mesh, Name: name})
	})
}

// mesh is the picture of mesh default.
func (w *world) mesh() *view.Mesh {
	w.t.Helper()
	m, ok := w.picture.Mesh("default")
	if !ok {
		w.t.Fatal("there is no mesh default")
	}
	return m
}

func inbound(port, service, more string) string {
	return `{"port":` + port + `,"tags":{"kuma.io/service":"` + service + `"` + more + `}}`
}

func TestProxy(t *testing.T) {
	w := newWorld(t)
	w.dataplane("web-1", `"address":"10.0.0.1","advertisedAddress":"203.0.113.9","inbound":[
		{"port":80,"name":"main","tags":{"kuma.io/service":"web","kuma.io/protocol":"HTTP","kuma.io/zone":"east"}},
		{"port":81,"servicePort":8081,"serviceAddress":"127.0.0.1","address":"10.0.0.2","tags":{"kuma.io/service":"web-admin"},"state":"NotReady"},
		{"port":82,"tags":{"kuma.io/service":"hidden"},"state":"Ignored"}],
		"outbound":[
		{"port":9001,"tags":{"kuma.io/service":"db"}},
		{"port":9002,"address":"127.0.0.3","tags":{"kuma.io/service":"db","version":"v1","a":"b&c=d"}},
		{"port":9003,"backendRef":{"kind":"MeshService","name":"x","port":1}}]`)
	p, ok := w.mesh().Proxy("web-1")
	if !ok {
		t.Fatal("the proxy is not there")
	}
	if len(p.Inbounds) != 2 || p.Zone != "east" || p.Gateway != view.NotGateway {
		t.Errorf("the proxy is %+v", p)
	}
	main, admin := p.Inbounds[0], p.Inbounds[1]
	if main.Address != "10.0.0.1" || main.WorkloadAddress != "10.0.0.1" || main.WorkloadPort != 80 || main.Protocol != "http" || !main.Ready {
		t.Errorf("the first inbound is %+v", main)
	}
	if admin.Address != "10.0.0.2" || admin.WorkloadAddress != "127.0.0.1" || admin.WorkloadPort != 8081 || admin.Protocol != "tcp" || admin.Ready {
		t.Errorf("the second inbound is %+v", admin)
	}
	whole, part := p.Outbounds[0], p.Outbounds[1]
	if whole.Address != "127.0.0.1" || whole.Destination != view.SelectorOf(map[string]string{"kuma.io/service": "db"}) || !whole.Destination.Whole() {
		t.Errorf("the first outbound is %+v", whole)
	}
	if extra := part.Destination.Extra(); part.Destination.Whole() || len(extra) != 2 || extra["a"] != "b&c=d" || extra["version"] != "v1" {
		t.Errorf("the second outbound selects %v", extra)
	}
	if p.Outbounds[2].BackendRef == nil || p.Outbounds[2].Destination != (view.Selector{}) {
		t.Errorf("the third outbound is %+v", p.Outbounds[2])
	}
	d, _ := w.mesh().Destination("web")
	if e := d.Endpoints[0]; e.Address != "203.0.113.9" || e.Port != 80 || e.Zone != "east" {
		t.Errorf("others reach it by %+v", e)
	}
	if _, ok := w.mesh().Destination("hidden"); ok {
		t.Error("an ignored inbound is a destination")
	}
}

func TestGatewayIsNoDestination(t *testing.T) {
	w := newWorld(t)
	w.dataplane("gw", `"address":"10.0.0.1","gateway":{"tags":{"kuma.io/service":"edge"}}`)
	w.dataplane("builtin", `"address":"10.0.0.2","gateway":{"type":"BUILTIN","tags":{"kuma.io/service":"edge"}}`)
	if _, ok := w.mesh().Destination("edge"); ok {
		t.Error("a gateway is a destination")
	}
	for name, want := range map[string]view.GatewayKind{"gw": view.DelegatedGateway, "builtin": view.BuiltinGateway} {
		if p, _ := w.mesh().Proxy(name); p.Gateway != want || p.GatewayTags["kuma.io/service"] != "edge" {
			t.Errorf("%s is %+v", name, p)
		}
	}
}

func TestCommonProtocol(t *testing.T) {
	for protocols, want := range map[string]string{
		"http": "http", "http http": "http", "http ": "tcp", " http": "tcp", "": "tcp", "http tcp": "tcp", "grpc http2": "http2",
		"http2 grpc": "http2", "grpc http2 grpc": "http2", "grpc http": "tcp", "kafka kafka": "kafka", "GRPC grpc": "grpc", "other": "tcp",
	} {
		w := newWorld(t)
		for i, p := range strings.Split(protocols, " ") {
			tag := `,"kuma.io/protocol":"` + p + `"`
			if p == "" {
				tag = ""
			}
			w.dataplane(string(rune('a'+i)), `"address":"10.0.0.1","inbound":[`+inbound("80", "s", tag)+`]`)
		}
		if got := w.mesh().Protocol("s"); got != want {
			t.Errorf("%q have %s in common, want %s", protocols, got, want)
		}
	}
	w := newWorld(t)
	w.dataplane("a", `"address":"10.0.0.1","inbound":[{"port":1,"protocol":"http","tags":{"kuma.io/service":"s"}}]`)
	if got := w.mesh().Protocol("s"); got != "http" {
		t.Errorf("the inbound's own field says http, got %s", got)
	}
	if got := w.mesh().Protocol("nobody"); got != "tcp" {
		t.Errorf("a service that nobody offers is %s", got)
	}
}

func TestTouched(t *testing.T) {
	w := newWorld(t)
	check := func(what string, touched view.Touched, want string) {
		t.Helper()
		var got []string
		for mesh, m := range touched.Meshes {
			for label, list := range map[string][]string{"proxy": m.Proxies, "removed": m.Removed, "shape": m.Shapes, "endpoints": m.Endpoints, "policy": m.Policies} {
				for _, name := range list {
					got = append(got, mesh+" "+label+" "+name)
				}
			}
			if m.Mesh {
				got = append(got, mesh+" mesh")
			}
			if m.Gone {
				got = append(got, mesh+" gone")
			}
		}
		slices.Sort(got)
		if text := strings.Join(got, ", "); text != want {
			t.Errorf("%s touched\n %s\nwant\n %s", what, text, want)
		}
	}
	http := `,"kuma.io/protocol":"http"`
	one := `"address":"10.0.0.1","inbound":[` + inbound("80", "web", http) + `]`
	check("a mesh", w.put(0, "", "default", `{}`), "default mesh")
	check("the first replica", w.dataplane("web-1", one), "default endpoints web, default proxy web-1, default shape web")
	check("another replica", w.dataplane("web-2", strings.ReplaceAll(one, "10.0.0.1", "10.0.0.2")), "default endpoints web, default proxy web-2")
	check("the same again", w.dataplane("web-2", strings.ReplaceAll(one, "10.0.0.1", "10.0.0.2")), "default proxy web-2")
	check("an outbound", w.dataplane("web-1", one+`,"outbound":[{"port":1,"tags":{"kuma.io/service":"db"}}]`), "default proxy web-1")
	check("another address", w.dataplane("web-1", strings.ReplaceAll(one, "10.0.0.1", "10.0.0.3")), "default endpoints web, default proxy web-1")
	check("its health", w.dataplane("web-1", strings.ReplaceAll(one, `"port"`, `"health":{},"port"`)), "default endpoints web, default proxy web-1")
	if d, _ := w.mesh().Destination("web"); len(d.Endpoints) != 1 || len(d.All()) != 2 || d.Protocol != "http" {
		t.Errorf("with one replica unwell the destination is %+v", d)
	}
	check("its address while it is unwell", w.dataplane("web-1", strings.ReplaceAll(strings.ReplaceAll(one, `"port"`, `"health":{},"port"`), "10.0.0.1", "10.0.0.4")), "default proxy web-1")
	check("its protocol", w.dataplane("web-1", strings.ReplaceAll(one, "http", "tcp")), "default endpoints web, default proxy web-1, default shape web")
	check("a policy", w.put(2, "default", "t", `{"seconds":1}`), "default policy Timeout")
	check("another kind", w.put(3, "default", "o", `{}`), "")
	check("a policy gone", w.remove(2, "default", "t"), "default policy Timeout")
	check("a replica gone", w.remove(1, "default", "web-2"), "default endpoints web, default removed web-2")
	check("the last one gone", w.remove(1, "default", "web-1"), "default endpoints web, default removed web-1, default shape web")
	check("the mesh gone", w.remove(0, "", "default"), "default gone, default mesh")
	if len(slices.Collect(w.picture.Meshes())) != 0 {
		t.Error("something is left of the mesh")
	}
}

func TestChangesThatAreKnownDoNothing(t *testing.T) {
	w := newWorld(t)
	w.dataplane("a", `"address":"10.0.0.1"`)
	w.remove(1, "default", "a")
	old, err := w.store.Watch(0).Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if next, touched := w.picture.Next(old[:1]); next != w.picture || !touched.Empty() {
		t.Errorf("telling an old change again touched %+v", touched)
	}
}

// text shows everything that a mesh says.
func text(m *view.Mesh, kinds []*resource.Kind) string {
	var b strings.Builder
	b.WriteString(m.Name + " " + protojson.Format(m.Spec) + "\n")
	for p := range m.Proxies() {
		b.WriteString("proxy " + p.Name() + " " + protojson.Format(p.Dataplane) + "\n")
	}
	for d := range m.Destinations() {
		b.WriteString("destination " + d.Service + " " + d.Protocol + endpoints(d.Endpoints) + " of" + endpoints(d.All()) + "\n")
	}
	for _, k := range kinds {
		for _, r := range m.Policies(k.Name) {
			b.WriteString("policy " + r.Name + "\n")
		}
	}
	return b.String()
}

func endpoints(list []*view.Endpoint) string {
	var b strings.Builder
	for _, e := range list {
		b.WriteString(" " + e.Proxy + "/" + e.Address + "/" + e.Protocol)
		for _, k := range []string{"version", "kuma.io/service"} {
			b.WriteString("/" + e.Tags[k])
		}
	}
	return b.String()
}

package envoytest

import (
	"testing"

	"github.com/kumactl/kumactl/internal/envoy"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/resource/dataplane"
	"github.com/kumactl/kumactl/internal/resource/mesh"
	"github.com/kumactl/kumactl/internal/store"
	"github.com/kumactl/kumactl/internal/view"
)

// Node is what proxies say of themselves in these tests.
func Node() envoy.Node {
	return envoy.Node{
		ProxyType: "dataplane", AdminAddress: "127.0.0.1", AdminPort: 9901, AdminSocket: "/run/demo/admin.sock", ReadinessPort: 9902,
		Workdir: "/run/demo", ReusePort: true,
	}
}

// Picture stores documents (YAML, of meshes, dataplanes and further kinds) and gives the picture of their mesh, which is called
// default unless they say otherwise. They are checked as the control plane would.
func Picture(t testing.TB, documents string, further ...*resource.Kind) *view.Mesh {
	t.Helper()
	kinds := append([]*resource.Kind{mesh.Kind, dataplane.Kind}, further...)
	var all []*resource.Resource
	name := "default"
	docs, err := resource.Documents("resources.yaml", []byte(documents))
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range docs {
		r := read(t, doc, kinds)
		if r.Kind == mesh.Kind {
			name = r.Name
		}
		all = append(all, r)
	}
	s := store.OpenMemory(store.Options{Kinds: kinds})
	defer s.Close()
	_, err = s.Update(t.Context(), store.Writer{Who: "test"}, func(tx *store.Tx) error {
		if err := tx.Put(mesh.Kind.New("", name)); err != nil {
			return err
		}
		for _, r := range all {
			if r.Kind != mesh.Kind && r.Mesh == "" {
				r.Mesh = name
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
	m, ok := view.New(s.Snapshot(), kinds).Mesh(name)
	if !ok {
		t.Fatalf("mesh %s is not in the picture", name)
	}
	return m
}

func read(t testing.TB, doc *resource.Document, kinds []*resource.Kind) *resource.Resource {
	t.Helper()
	head, err := resource.ReadHead(doc.JSON)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kinds {
		if k.Name != head.Type {
			continue
		}
		d, err := k.Decode(doc.JSON)
		if err != nil {
			t.Fatal(err)
		}
		if len(d.Unknown) > 0 {
			t.Fatalf("line %d: %v", doc.Line, d.Unknown)
		}
		d.Default()
		if v := d.Validate(); len(v) > 0 {
			t.Fatalf("line %d: %v", doc.Line, v)
		}
		return d.Resource
	}
	t.Fatalf("line %d: no kind %s", doc.Line, head.Type)
	return nil
}

// Compile gives what a proxy gets.
func Compile(t testing.TB, c *envoy.Compiler, m *view.Mesh, proxy string) *envoy.Config {
	t.Helper()
	p, ok := m.Proxy(proxy)
	if !ok {
		t.Fatalf("mesh %s has no proxy %s", m.Name, proxy)
	}
	config, err := c.Compile(m, p, Node())
	if err != nil {
		t.Fatal(err)
	}
	return config
}

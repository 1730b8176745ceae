package envoy_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/kumactl/kumactl/internal/envoy"
	"github.com/kumactl/kumactl/internal/envoy/envoytest"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/resource/dataplane"
	"github.com/kumactl/kumactl/internal/resource/mesh"
	"github.com/kumactl/kumactl/internal/store"
	"github.com/kumactl/kumactl/internal/view"
)

// fleet is the picture of n proxies of n/5 services, each with one inbound and five outbounds.
func fleet(b *testing.B, n int) *view.Picture {
	b.Helper()
	kinds := []*resource.Kind{mesh.Kind, dataplane.Kind, delayKind}
	s := store.OpenMemory(store.Options{Kinds: kinds})
	defer s.Close()
	_, err := s.Update(b.Context(), store.Writer{}, func(tx *store.Tx) error {
		if err := tx.Put(mesh.Kind.New("", "default")); err != nil {
			return err
		}
		for i := range n {
			var out []string
			for j := range 5 {
				out = append(out, fmt.Sprintf(`{"port":%d,"tags":{"kuma.io/service":"service-%d"}}`, 20000+j, (i*7+j)%(n/5)))
			}
			r := dataplane.Kind.New("default", fmt.Sprint("proxy-", i))
			if err := r.SetSpecJSON(fmt.Appendf(nil, `{"networking":{"address":"10.%d.%d.%d","inbound":[{"port":80,"servicePort":8080,"tags":{
				"kuma.io/service":"service-%d","kuma.io/protocol":"http","kuma.io/zone":"default"}}],"outbound":[%s]}}`,
				i>>16, i>>8&255, i&255, i%(n/5), strings.Join(out, ","))); err != nil {
				return err
			}
			if err := tx.Put(r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return view.New(s.Snapshot(), kinds)
}

// limited is the picture with another policy for all.
func limited(b *testing.B, p *view.Picture, seconds int) *view.Picture {
	b.Helper()
	r := delayKind.New("default", "t")
	if err := r.SetSpecJSON(fmt.Appendf(nil, `{"to":[{"targetRef":{"kind":"Mesh"},"default":{"seconds":%d}}]}`, seconds)); err != nil {
		b.Fatal(err)
	}
	next, _ := p.Next([]store.Change{{Revision: p.Revision() + 1, Key: r.Key(), After: r}})
	return next
}

func compileAll(b *testing.B, c *envoy.Compiler, p *view.Picture) []*envoy.Config {
	m, _ := p.Mesh("default")
	all := make([]*envoy.Config, 0, m.ProxyCount())
	for p := range m.Proxies() {
		config, err := c.Compile(m, p, envoytest.Node())
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, config)
	}
	return all
}

func newCompiler() *envoy.Compiler { return envoy.NewCompiler([]envoy.Policy{delayPolicy()}) }

// BenchmarkCompileAll is 1,000 proxies with one inbound and five outbounds each: when nothing is known, when all is, and after a
// policy for all has changed. Divide by 1,000 for one proxy.
func BenchmarkCompileAll(b *testing.B) {
	picture := limited(b, fleet(b, 1000), 1)
	b.Run("cold", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			compileAll(b, newCompiler(), picture)
		}
	})
	b.Run("warm", func(b *testing.B) {
		c := newCompiler()
		held := compileAll(b, c, picture)
		b.ReportAllocs()
		for b.Loop() {
			compileAll(b, c, picture)
		}
		runtime.KeepAlive(held)
	})
	b.Run("policy", func(b *testing.B) {
		c := newCompiler()
		held := compileAll(b, c, picture)
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			picture = limited(b, picture, i+2)
			next := compileAll(b, c, picture)
			runtime.KeepAlive(held)
			held = next
		}
	})
}

// BenchmarkEndpoints is what one more replica costs: the endpoints of a service with n of them, sealed anew.
func BenchmarkEndpoints(b *testing.B) {
	for _, n := range []int{5, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var docs strings.Builder
			for i := range n {
				fmt.Fprintf(&docs, `{"type":"Dataplane","name":"web-%d","labels":{"kuma.io/env":"universal","kuma.io/mesh":"default","kuma.io/zone":"default"},"networking":{"address":"10.0.0.%d","inbound":[{"port":80,"tags":{"kuma.io/service":"web","kuma.io/protocol":"http","kuma.io/zone":"default"}}]}}`+"\n---\n", i, i+1)
			}
			m := envoytest.Picture(b, docs.String())
			web := view.SelectorOf(map[string]string{"kuma.io/service": "web"})
			b.ReportAllocs()
			for b.Loop() {
				envoy.NewCompiler(nil).Endpoints(m, web)
			}
		})
	}
}

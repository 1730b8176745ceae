package view_test

import (
	"fmt"
	"testing"

	"github.com/kumactl/kumactl/internal/store"
	"github.com/kumactl/kumactl/internal/view"
)

// fleet stores n proxies of n/5 services with five outbounds each.
func fleet(b *testing.B, n int) *world {
	w := newWorld(b)
	w.put(0, "", "default", `{}`)
	w.update(func(tx *store.Tx) error {
		for i := range n {
			r := w.kinds[1].New("default", fmt.Sprintf("proxy-%d", i))
			if err := r.SetSpecJSON([]byte(spec(i, n, "v1"))); err != nil {
				return err
			}
			if err := tx.Put(r); err != nil {
				return err
			}
		}
		return nil
	})
	return w
}

func spec(i, n int, version string) string {
	out := ""
	for j := range 5 {
		out += fmt.Sprintf(`{"port":%d,"tags":{"kuma.io/service":"service-%d"}},`, 20000+j, (i*7+j)%(n/5))
	}
	return fmt.Sprintf(`{"networking":{"address":"10.%d.%d.%d","inbound":[{"port":80,"tags":{"kuma.io/service":"service-%d","kuma.io/protocol":"http","version":%q}}],"outbound":[%s]}}`,
		i>>16, i>>8&255, i&255, i%(n/5), version, out[:len(out)-1])
}

func BenchmarkNew(b *testing.B) {
	for _, n := range []int{1000, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := fleet(b, n)
			b.ReportAllocs()
			for b.Loop() {
				w.fresh()
			}
		})
	}
}

// BenchmarkNext is one replica whose endpoint changes.
func BenchmarkNext(b *testing.B) {
	for _, n := range []int{1000, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := fleet(b, n)
			r := w.kinds[1].New("default", "proxy-7")
			flip := w.kinds[1].New("default", "proxy-7")
			for to, version := range map[any]string{r: "v1", flip: "v2"} {
				if err := to.(interface{ SetSpecJSON([]byte) error }).SetSpecJSON([]byte(spec(7, n, version))); err != nil {
					b.Fatal(err)
				}
			}
			picture := w.picture
			b.ReportAllocs()
			for b.Loop() {
				var touched view.Touched
				picture, touched = picture.Next([]store.Change{{Revision: picture.Revision() + 1, Key: r.Key(), Before: r, After: flip}})
				r, flip = flip, r
				if len(touched.Mesh("default").Endpoints) != 1 {
					b.Fatalf("touched %+v", touched)
				}
			}
		})
	}
}

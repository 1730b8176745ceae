package store_test

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/store"
	"github.com/kumactl/kumactl/internal/store/storetest"
)

func gadget(kinds []*resource.Kind, i int) *resource.Resource {
	r := kinds[0].New("default", fmt.Sprintf("gadget-%06d", i))
	r.Labels = map[string]string{"kuma.io/mesh": "default", "kuma.io/zone": "default", "kuma.io/origin": "zone"}
	g := r.Spec.(*storetest.Gadget)
	g.Size, g.Note = i, string(note)
	return r
}

// note makes a record about as large as a Dataplane's.
var note = make([]byte, 400)

func init0() {
	for i := range note {
		note[i] = 'a' + byte(i%26)
	}
}

func mesh(kinds []*resource.Kind, i int) *resource.Resource {
	r := kinds[1].New("", fmt.Sprintf("mesh-%06d", i))
	r.Spec.(*kumapb.Mesh).Mtls = &kumapb.Mesh_Mtls{EnabledBackend: fmt.Sprint(i)}
	return r
}

func bolt(b testing.TB, o store.Options) *store.Store {
	if o.Path == "" {
		o.Path = filepath.Join(b.TempDir(), "store.db")
	}
	s, err := store.Open(b.Context(), o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

func put(r *resource.Resource) func(*store.Tx) error {
	return func(tx *store.Tx) error { return tx.Put(r) }
}

func fill(b testing.TB, s *store.Store, kinds []*resource.Kind, n int) {
	for i := 0; i < n; i += 500 {
		_, err := s.Update(b.Context(), store.Writer{Who: "bench", Source: "api"}, func(tx *store.Tx) error {
			for j := i; j < min(i+500, n); j++ {
				if err := tx.Put(gadget(kinds, j)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	init0()
	kinds := storetest.Kinds()
	s := bolt(b, store.Options{Kinds: kinds})
	fill(b, s, kinds, 10_000)
	b.ResetTimer()
	for i := range b.N {
		if _, err := s.Update(b.Context(), store.Writer{Who: "bench", Source: "api"}, put(gadget(kinds, i%10_000))); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPut64(b *testing.B) {
	init0()
	kinds := storetest.Kinds()
	s := bolt(b, store.Options{Kinds: kinds})
	fill(b, s, kinds, 10_000)
	var n atomic.Int64
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := int(n.Add(1))
			if _, err := s.Update(b.Context(), store.Writer{Who: "bench", Source: "api"}, put(gadget(kinds, i%10_000))); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkOpen10000(b *testing.B) {
	init0()
	kinds := storetest.Kinds()
	path := filepath.Join(b.TempDir(), "store.db")
	s, err := store.Open(b.Context(), store.Options{Path: path, Kinds: kinds})
	if err != nil {
		b.Fatal(err)
	}
	fill(b, s, kinds, 10_000)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	for range b.N {
		s, err := store.Open(b.Context(), store.Options{Path: path, Kinds: kinds})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		s.Close()
		b.StartTimer()
	}
}

package store_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/store"
	"github.com/kumactl/kumactl/internal/store/storetest"
)

// dataplaneKind is what most resources of a control plane are: a protobuf message of some 400 bytes with five outbounds.
func dataplaneKind() *resource.Kind {
	return resource.OfProto(resource.Kind{Name: "Dataplane", Path: "dataplanes"},
		func() *kumapb.Dataplane { return &kumapb.Dataplane{} }, resource.Rules[*kumapb.Dataplane]{})
}

func dataplane(kind *resource.Kind, i int) *resource.Resource {
	r := kind.New("default", fmt.Sprintf("dp-%06d", i))
	r.Labels = map[string]string{"kuma.io/mesh": "default", "kuma.io/zone": "default", "kuma.io/origin": "zone", "kuma.io/proxy-type": "sidecar"}
	n := &kumapb.Dataplane_Networking{Address: "127.0.0.1", Inbound: []*kumapb.Dataplane_Networking_Inbound{{
		Port: uint32(10_000 + i), Tags: map[string]string{"kuma.io/service": fmt.Sprint("service-", i/5), "kuma.io/protocol": "http", "kuma.io/zone": "default"},
	}}}
	for o := range 5 {
		n.Outbound = append(n.Outbound, &kumapb.Dataplane_Networking_Outbound{
			Port: uint32(20_000 + o), Tags: map[string]string{"kuma.io/service": fmt.Sprint("service-", i/5+o)},
		})
	}
	r.Spec.(*kumapb.Dataplane).Networking = n
	return r
}

// benchStore opens a store with 10,000 resources in it.
func benchStore(b *testing.B, kind *resource.Kind, make func(*resource.Kind, int) *resource.Resource) (*store.Store, store.Options) {
	b.Helper()
	o := store.Options{Path: filepath.Join(b.TempDir(), "store.db"), Kinds: []*resource.Kind{kind}}
	s := openBolt(b, o)
	b.Cleanup(func() { s.Close() })
	for i := 0; i < 10_000; i += 500 {
		storetest.Update(b, s, func(tx *store.Tx) error {
			for j := range 500 {
				if err := tx.Put(make(kind, i+j)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return s, o
}

// percentiles reports the middle and the end of what single operations took.
func percentiles(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// BenchmarkPut is one writer alone: two flushes of the disk each time.
func BenchmarkPut(b *testing.B) {
	kind := dataplaneKind()
	s, _ := benchStore(b, kind, dataplane)
	took := make([]time.Duration, 0, b.N)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		began := time.Now()
		storetest.Put(b, s, dataplane(kind, i*7%10_000))
		took = append(took, time.Since(began))
	}
	b.StopTimer()
	percentiles(b, took)
}

// BenchmarkPut64 is 64 writers at once, who share flushes.
func BenchmarkPut64(b *testing.B) {
	kind := dataplaneKind()
	s, _ := benchStore(b, kind, dataplane)
	var next atomic.Int64
	var mu sync.Mutex
	var took []time.Duration
	b.ReportAllocs()
	b.ResetTimer()
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			var mine []time.Duration
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				began := time.Now()
				storetest.Put(b, s, dataplane(kind, int(i*7%10_000)))
				mine = append(mine, time.Since(began))
			}
			mu.Lock()
			took = append(took, mine...)
			mu.Unlock()
		})
	}
	all.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
	percentiles(b, took)
}

// BenchmarkOpen is the start with 10,000 resources and as many changes in the log.
func BenchmarkOpen(b *testing.B) {
	gadgets := func(kind *resource.Kind, i int) *resource.Resource {
		r := kind.New("default", fmt.Sprintf("g-%06d", i))
		*r.Spec.(*storetest.Gadget) = storetest.Gadget{Size: i, Note: strings.Repeat("n", 300)}
		return r
	}
	for name, c := range map[string]struct {
		kind *resource.Kind
		make func(*resource.Kind, int) *resource.Resource
	}{
		"protobuf": {dataplaneKind(), dataplane},
		"json":     {storetest.NewSet().Kinds()[0], gadgets},
	} {
		b.Run(name, func(b *testing.B) {
			s, o := benchStore(b, c.kind, c.make)
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				s := openBolt(b, o)
				b.StopTimer()
				s.Close()
				b.StartTimer()
			}
		})
	}
}

// BenchmarkWatch is one change that 100 watchers wait for, in memory.
func BenchmarkWatch(b *testing.B) {
	const watchers = 100
	set := storetest.NewSet()
	s := store.OpenMemory(store.Options{Kinds: set.Kinds()})
	defer s.Close()
	var got sync.WaitGroup
	var all sync.WaitGroup
	for range watchers {
		all.Go(func() {
			w := s.Watch(0)
			for {
				changes, err := w.Next(b.Context())
				if err != nil {
					return
				}
				for range changes {
					got.Done()
				}
			}
		})
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		got.Add(watchers)
		storetest.Put(b, s, set.Gadget("default", "a", i))
		got.Wait()
	}
	s.Close()
	all.Wait()
}

// BenchmarkSnapshot is what a reader pays for one resource.
func BenchmarkSnapshot(b *testing.B) {
	set := storetest.NewSet()
	s := store.OpenMemory(store.Options{Kinds: set.Kinds()})
	defer s.Close()
	for i := range 10_000 {
		storetest.Put(b, s, set.Gadget("default", fmt.Sprint("g", i), i))
	}
	key := storetest.GadgetKey("default", "g5000")
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := s.Snapshot().Get(key); !ok {
			b.Fatal("not there")
		}
	}
}

// BenchmarkPutVolatile is one report of a status among 1,000.
func BenchmarkPutVolatile(b *testing.B) {
	set := storetest.NewSet()
	s := store.OpenMemory(store.Options{Kinds: set.Kinds()})
	defer s.Close()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.PutVolatile(set.Pulse(fmt.Sprint("p", i%1_000), i))
	}
}

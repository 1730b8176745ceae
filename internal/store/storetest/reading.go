package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/store"
)

func snapshotsNeverChange(t *testing.T, h harness) {
	s := h.store(t)
	for i := range 200 {
		Put(t, s, h.Gadget("default", fmt.Sprintf("g%03d", i), i))
	}
	snapshot := s.Snapshot()
	before := Image(t, snapshot)
	var all sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	all.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			_, err := s.Update(t.Context(), Writer, func(tx *store.Tx) error {
				if i%2 == 0 {
					return tx.Put(h.Gadget("default", fmt.Sprintf("g%03d", i%200), -i))
				}
				return tx.Delete(GadgetKey("default", fmt.Sprintf("g%03d", (i-1)%200)))
			})
			if err != nil {
				t.Error(err)
				return
			}
			s.PutVolatile(h.Pulse("p", i))
		}
	})
	for range 20 {
		if diff := gocmp.Diff(before, Image(t, snapshot)); diff != "" {
			t.Error(diff)
			break
		}
	}
	stop()
	all.Wait()
}

func orderAndRanges(t *testing.T, h harness) {
	s := h.store(t)
	random := rand.New(rand.NewPCG(1, 2))
	meshes := []string{"a", "a-b", "b", "default"}
	model := map[resource.Key]bool{}
	for range 300 {
		k := GadgetKey(meshes[random.IntN(len(meshes))], fmt.Sprintf("n%d", random.IntN(60)))
		if model[k] && random.IntN(3) == 0 {
			Update(t, s, func(tx *store.Tx) error { return tx.Delete(k) })
			delete(model, k)
			continue
		}
		Put(t, s, h.Gadget(k.Mesh, k.Name, 1))
		model[k] = true
	}
	sorted := slices.SortedFunc(maps.Keys(model), func(a, b resource.Key) int {
		return cmp.Or(cmp.Compare(a.Mesh, b.Mesh), cmp.Compare(a.Name, b.Name))
	})
	keys := func(mesh string, after *resource.Key) []resource.Key {
		var found []resource.Key
		for _, k := range sorted {
			if (mesh == "" || k.Mesh == mesh) && (after == nil || after.Less(k)) {
				found = append(found, k)
			}
		}
		return found
	}
	snapshot := s.Snapshot()
	for _, mesh := range append(meshes, "", "none") {
		var got []resource.Key
		for r := range snapshot.List(GadgetKind, mesh) {
			got = append(got, r.Key())
		}
		if diff := gocmp.Diff(keys(mesh, nil), got); diff != "" {
			t.Errorf("mesh %q: %s", mesh, diff)
		}
		if n := snapshot.Count(GadgetKind, mesh); n != len(got) {
			t.Errorf("mesh %q: counts %d, lists %d", mesh, n, len(got))
		}
	}
	for _, after := range []resource.Key{{Kind: GadgetKind}, sorted[0], sorted[len(sorted)/2], sorted[len(sorted)-1], GadgetKey("a", "zzz"), GadgetKey("b", "n1x")} {
		var got []resource.Key
		for r := range snapshot.From(GadgetKind, after) {
			got = append(got, r.Key())
		}
		if diff := gocmp.Diff(keys("", &after), got); diff != "" {
			t.Errorf("from %v: %s", after, diff)
		}
	}
	if n := len(slices.Collect(snapshot.List("Stranger", ""))); n != 0 || snapshot.Count("Stranger", "") != 0 {
		t.Error("an unknown kind has resources")
	}
	var none store.Snapshot
	if _, ok := none.Get(sorted[0]); ok || none.Count(GadgetKind, "") != 0 || none.Revision() != 0 {
		t.Error("the zero snapshot is not empty")
	}
}

func volatileState(t *testing.T, h harness) {
	s := h.store(t)
	Put(t, s, h.Gadget("default", "a", 1))
	old := s.Snapshot()
	first := h.Pulse("p", 1)
	s.PutVolatile(first)
	s.PutVolatile(h.Pulse("p", 2))
	r, ok := s.Snapshot().Get(resource.Key{Kind: PulseKind, Mesh: "default", Name: "p"})
	if !ok || r.Spec.(*Pulse).Beats != 2 || r.Created != first.Created || r.Created.IsZero() || r.Modified.IsZero() {
		t.Errorf("got %+v", r)
	}
	if old.Count(PulseKind, "") != 0 {
		t.Error("an older snapshot changed")
	}
	if got := s.Snapshot().Revision(); got != 1 {
		t.Errorf("revision %d, want 1: volatile writes get none", got)
	}
	s.DeleteVolatile(r.Key())
	s.DeleteVolatile(r.Key())
	// What is not volatile is not written this way.
	s.PutVolatile(h.Gadget("default", "b", 1))
	s.DeleteVolatile(GadgetKey("default", "a"))
	if snapshot := s.Snapshot(); snapshot.Count(PulseKind, "") != 0 || snapshot.Count(GadgetKind, "") != 1 {
		t.Error("deleting, or writing what is not volatile, went wrong")
	}
	changes, err := s.Watch(0).Next(t.Context())
	if err != nil || len(changes) != 1 {
		t.Errorf("changes %v, %v: want the gadget's alone", changes, err)
	}
}

func volatileInTransaction(t *testing.T, h harness) {
	s := h.store(t)
	key := resource.Key{Kind: PulseKind, Mesh: "default", Name: "p"}
	s.PutVolatile(h.Pulse("p", 1))
	s.PutVolatile(h.Pulse("q", 1))
	mine := errors.New("mine")
	_, err := s.Update(t.Context(), Writer, func(tx *store.Tx) error {
		if err := tx.Delete(key); err != nil {
			return err
		}
		if _, ok := tx.Get(key); ok {
			t.Error("the transaction still sees what it removed")
		}
		return mine
	})
	if err != mine || s.Snapshot().Count(PulseKind, "") != 2 {
		t.Errorf("a transaction that ended badly: %v, %d pulses", err, s.Snapshot().Count(PulseKind, ""))
	}
	revision := Update(t, s, func(tx *store.Tx) error {
		// Written meanwhile, and not lost by the commit.
		s.PutVolatile(h.Pulse("r", 1))
		return errors.Join(tx.Put(h.Gadget("default", "a", 1)), tx.Delete(key), tx.Put(h.Pulse("q", 2)))
	})
	snapshot := s.Snapshot()
	q, _ := snapshot.Get(resource.Key{Kind: PulseKind, Mesh: "default", Name: "q"})
	if revision != 1 || snapshot.Count(PulseKind, "") != 2 || q.Spec.(*Pulse).Beats != 2 {
		t.Errorf("revision %d, %d pulses, q %+v", revision, snapshot.Count(PulseKind, ""), q)
	}
	if got := Update(t, s, func(tx *store.Tx) error { return tx.Put(h.Pulse("q", 3)) }); got != 1 {
		t.Errorf("volatile writes alone made revision %d", got)
	}
}

func volatileTold(t *testing.T, h harness) {
	s := h.store(t)
	told := s.WatchVolatile()
	if told != s.WatchVolatile() {
		t.Error("two who wait at once have different channels")
	}
	Put(t, s, h.Gadget("default", "a", 1))
	select {
	case <-told:
		t.Error("told of a change that is not volatile")
	default:
	}
	s.PutVolatile(h.Pulse("p", 1))
	<-told
	told = s.WatchVolatile()
	Update(t, s, func(tx *store.Tx) error { return tx.Put(h.Pulse("p", 2)) })
	<-told
	told = s.WatchVolatile()
	s.DeleteVolatile(resource.Key{Kind: PulseKind, Mesh: "default", Name: "p"})
	<-told
}

func givingUp(t *testing.T, h harness) {
	s := h.store(t)
	ended, end := context.WithCancel(t.Context())
	end()
	never := func(*store.Tx) error { t.Error("the function ran"); return nil }
	if _, err := s.Update(ended, Writer, never); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	// The writer is held up, and a caller gives up while it waits for its turn.
	started, held := make(chan struct{}), make(chan struct{})
	var holder sync.WaitGroup
	holder.Go(func() {
		_, _ = s.Update(t.Context(), Writer, func(*store.Tx) error { close(started); <-held; return nil })
	})
	<-started
	waiting, stop := context.WithCancel(t.Context())
	stopped := make(chan error)
	go func() {
		_, err := s.Update(waiting, Writer, never)
		stopped <- err
	}()
	stop()
	if err := <-stopped; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(held)
	holder.Wait()
	if _, err := s.Watch(0).Next(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("watch: got %v", err)
	}
}

func closing(t *testing.T, h harness) {
	s := h.store(t)
	Put(t, s, h.Gadget("default", "a", 1))
	watched := make(chan error)
	go func() {
		_, err := s.Watch(1).Next(t.Context())
		watched <- err
	}()
	var writers sync.WaitGroup
	var mu sync.Mutex
	var last uint64
	for i := range 20 {
		writers.Go(func() {
			revision, err := s.Update(t.Context(), Writer, func(tx *store.Tx) error {
				return tx.Put(h.Gadget("default", fmt.Sprint("b", i), 1))
			})
			if err != nil && problem.CodeOf(err) != problem.Unavailable {
				t.Errorf("got %v", err)
			}
			mu.Lock()
			last = max(last, revision)
			mu.Unlock()
		})
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	writers.Wait()
	if got := s.Snapshot().Revision(); got < last {
		t.Errorf("revision %d was answered, and the last snapshot is of %d", last, got)
	}
	// It got a change that came before the end, or learned of the end.
	if err := <-watched; err != nil && problem.CodeOf(err) != problem.Unavailable {
		t.Errorf("watch: got %v", err)
	}
	if _, err := s.Update(t.Context(), Writer, func(*store.Tx) error { return nil }); problem.CodeOf(err) != problem.Unavailable {
		t.Errorf("after the end: got %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

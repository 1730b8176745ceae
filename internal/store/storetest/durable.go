package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/store"
)

// again closes a store and opens it anew.
func (h harness) again(t *testing.T, s *store.Store) *store.Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return h.store(t)
}

func everythingIsThereAgain(t *testing.T, h harness) {
	s := h.store(t)
	if got := s.Snapshot().Revision(); got != 0 {
		t.Errorf("a new store is at revision %d", got)
	}
	bare := h.Gadget("default", "bare", 0)
	bare.Labels = nil
	Put(t, s, h.Mesh("default"), h.Mesh("other"), h.Gadget("default", "a", 1), h.Gadget("other", "ä/ö", 2), bare)
	Put(t, s, h.Gadget("default", "a", 7), h.Gadget("default", "b", 3))
	Update(t, s, func(tx *store.Tx) error { return tx.Delete(GadgetKey("default", "b")) })
	want := Image(t, s.Snapshot())
	for range 3 {
		s = h.again(t, s)
		if diff := cmp.Diff(want, Image(t, s.Snapshot())); diff != "" {
			t.Fatal(diff)
		}
		if got := s.Snapshot().Revision(); got != 3 {
			t.Fatalf("revision %d, want 3", got)
		}
	}
	if got := Put(t, s, h.Gadget("default", "c", 1)); got != 4 {
		t.Errorf("the next revision is %d, want 4", got)
	}
}

func watchOverRestart(t *testing.T, h harness) {
	s := h.store(t)
	for i := range 5 {
		Put(t, s, h.Gadget("default", "a", i))
	}
	want := brief(collect(t, s.Watch(0), 5))
	s = h.again(t, s)
	want = append(want, fmt.Sprintf("%d/0 a 4>5", 6))
	Put(t, s, h.Gadget("default", "a", 5))
	all := collect(t, s.Watch(0), 6)
	if diff := cmp.Diff(want, brief(all)); diff != "" {
		t.Error(diff)
	}
	if all[0].Writer != Writer || !all[0].Time.Equal(start) || all[0].After.Kind != h.gadget {
		t.Errorf("read back as %+v", all[0])
	}
	if len(collect(t, s.Watch(3), 6)) != 3 {
		t.Error("from the middle there are not 3 changes")
	}
}

func trimmedOverRestart(t *testing.T, h harness) {
	h.options.KeepChanges = 10
	s := h.store(t)
	for i := range 40 {
		Put(t, s, h.Gadget("default", "a", i), h.Gadget("default", "b", i))
		if i%10 == 9 {
			s = h.again(t, s)
		}
	}
	if _, err := s.Watch(30).Next(t.Context()); !errors.Is(err, store.ErrCompacted) {
		t.Errorf("got %v", err)
	}
	if got := collect(t, s.Watch(35), 40); len(got) != 10 {
		t.Errorf("%d changes, want 10", len(got))
	}
	// A transaction that is larger than the whole log stays until the next.
	Update(t, s, func(tx *store.Tx) error {
		for i := range 50 {
			if err := tx.Put(h.Gadget("default", fmt.Sprint("large", i), i)); err != nil {
				return err
			}
		}
		return nil
	})
	s = h.again(t, s)
	if got := collect(t, s.Watch(40), 41); len(got) != 50 {
		t.Errorf("%d changes, want 50", len(got))
	}
}

func logIsBounded(t *testing.T, h harness) {
	h.options.KeepBytes = 64 << 10
	s := h.store(t)
	for i := range 100 {
		r := h.Gadget("default", "a", i)
		r.Spec.(*Gadget).Note = strings.Repeat("n", 2_000)
		Put(t, s, r)
	}
	s = h.again(t, s)
	changes, err := s.History(nil, 0, 1_000)
	// A change has before and after.
	if err != nil || len(changes) < 10 || len(changes) > 20 {
		t.Errorf("%d changes of 4 KB in a log of 64 KB, %v", len(changes), err)
	}
}

func historyOverRestart(t *testing.T, h harness) {
	s := h.store(t)
	// More than one read of the log copies at once.
	for i := range 60 {
		Update(t, s, func(tx *store.Tx) error {
			for j := range 10 {
				if err := tx.Put(h.Gadget("default", fmt.Sprint("g", j), i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	s = h.again(t, s)
	key := GadgetKey("default", "g3")
	changes, err := s.History(&key, 50, 45)
	if err != nil || len(changes) != 45 {
		t.Fatalf("%d changes, want 45: %v", len(changes), err)
	}
	for i, c := range changes {
		if want := uint64(49 - i); c.Revision != want || c.Key != key || c.Index != 3 {
			t.Fatalf("change %d is of revision %d, %v", i, c.Revision, c.Key)
		}
	}
}

func volatileIsSaved(t *testing.T, h harness) {
	s := h.store(t)
	s.PutVolatile(h.Pulse("p", 1))
	s.PutVolatile(h.Pulse("gone", 1))
	s = h.again(t, s)
	gone := resource.Key{Kind: PulseKind, Mesh: "default", Name: "gone"}
	if _, ok := s.Snapshot().Get(gone); !ok {
		t.Error("volatile state is not saved by closing")
	}
	s.DeleteVolatile(gone)
	s.PutVolatile(h.Pulse("p", 2))
	want := Image(t, s.Snapshot())
	s = h.again(t, s)
	if diff := cmp.Diff(want, Image(t, s.Snapshot())); diff != "" {
		t.Error(diff)
	}
}

// randomLife compares a store that is closed and opened now and then with a model.
func randomLife(t *testing.T, h harness) {
	s := h.store(t)
	random := rand.New(rand.NewPCG(3, 4))
	model := map[resource.Key]*resource.Resource{}
	for i := range 400 {
		k := GadgetKey("default", fmt.Sprint("g", random.IntN(40)))
		Update(t, s, func(tx *store.Tx) error {
			if model[k] != nil && random.IntN(2) == 0 {
				model[k] = nil
				return tx.Delete(k)
			}
			r := h.Gadget("default", k.Name, i)
			// Values of very different lengths move pages about.
			r.Spec.(*Gadget).Note = fmt.Sprintf("%0*d", random.IntN(9_000), i)
			model[k] = r
			return tx.Put(r)
		})
		if i%40 == 39 {
			s = h.again(t, s)
			compareModel(t, model, s.Snapshot())
		}
	}
}

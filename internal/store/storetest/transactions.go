package storetest

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/store"
)

func transactionIsWhole(t *testing.T, h harness) {
	s := h.store(t)
	Put(t, s, h.Gadget("default", "a", 1), h.Mesh("default"))
	before := Image(t, s.Snapshot())

	mine := errors.New("mine")
	_, err := s.Update(t.Context(), Writer, func(tx *store.Tx) error {
		if err := tx.Put(h.Gadget("default", "b", 2)); err != nil {
			return err
		}
		if err := tx.Delete(GadgetKey("default", "a")); err != nil {
			return err
		}
		return mine
	})
	if err != mine {
		t.Errorf("got %v, want the function's own error", err)
	}
	func() {
		defer func() {
			if p := recover(); p != "oh" {
				t.Errorf("recovered %v, want the function's own panic", p)
			}
		}()
		_, _ = s.Update(t.Context(), Writer, func(tx *store.Tx) error {
			_ = tx.Put(h.Gadget("default", "c", 3))
			panic("oh")
		})
	}()
	if diff := cmp.Diff(before, Image(t, s.Snapshot())); diff != "" {
		t.Errorf("transactions that ended badly left something behind: %s", diff)
	}
	if got := Put(t, s, h.Gadget("default", "d", 4)); got != 2 {
		t.Errorf("revision %d, want 2: transactions that ended badly get none", got)
	}
}

// functionsThatNeverReturn: a test's FailNow within a transaction ends its goroutine; and nothing works after the end.
func functionsThatNeverReturn(t *testing.T, h harness) {
	s := h.store(t)
	var gone sync.WaitGroup
	gone.Go(func() {
		_, _ = s.Update(t.Context(), Writer, func(tx *store.Tx) error {
			_ = tx.Put(h.Gadget("default", "a", 1))
			runtime.Goexit()
			return nil
		})
	})
	gone.Wait()
	var late *store.Tx
	if got := Update(t, s, func(tx *store.Tx) error { late = tx; return tx.Put(h.Gadget("default", "b", 1)) }); got != 1 {
		t.Errorf("revision %d, want 1", got)
	}
	if late.Put(h.Gadget("default", "c", 1)) == nil || late.Delete(GadgetKey("default", "b")) == nil {
		t.Error("a transaction was written after its end")
	}
	if got := s.Snapshot().Count(GadgetKind, ""); got != 1 {
		t.Errorf("%d gadgets, want 1", got)
	}
}

func revisionsHaveNoGap(t *testing.T, h harness) {
	s := h.store(t)
	for want := uint64(1); want <= 5; want++ {
		if got := Put(t, s, h.Gadget("default", "a", int(want))); got != want {
			t.Fatalf("revision %d, want %d", got, want)
		}
		if got := Update(t, s, func(*store.Tx) error { return nil }); got != want {
			t.Fatalf("a transaction that wrote nothing has revision %d, want %d", got, want)
		}
	}
	// Putting what is there already is a write: its time changes.
	if got := Put(t, s, h.Gadget("default", "a", 5)); got != 6 {
		t.Errorf("the same again has revision %d, want 6", got)
	}
	both := Update(t, s, func(tx *store.Tx) error {
		if err := tx.Put(h.Gadget("default", "passing", 1)); err != nil {
			return err
		}
		return tx.Delete(GadgetKey("default", "passing"))
	})
	if both != 6 {
		t.Errorf("making and removing is revision %d, want 6: nothing happened", both)
	}
}

func seesOwnWrites(t *testing.T, h harness) {
	s := h.store(t)
	Put(t, s, h.Gadget("default", "a", 1), h.Gadget("default", "b", 1))
	Update(t, s, func(tx *store.Tx) error {
		if err := errors.Join(tx.Delete(GadgetKey("default", "a")), tx.Put(h.Gadget("default", "c", 2)), tx.Put(h.Gadget("default", "b", 3))); err != nil {
			return err
		}
		var seen []string
		for r := range tx.List(GadgetKind, "default") {
			seen = append(seen, fmt.Sprint(r.Name, r.Spec.(*Gadget).Size))
		}
		if diff := cmp.Diff([]string{"b3", "c2"}, seen); diff != "" {
			t.Error(diff)
		}
		if _, ok := tx.Get(GadgetKey("default", "a")); ok {
			t.Error("the transaction still sees what it removed")
		}
		if _, ok := s.Snapshot().Get(GadgetKey("default", "c")); ok {
			t.Error("others see what is not committed")
		}
		return nil
	})
}

func oneChangeEach(t *testing.T, h harness) {
	s := h.store(t)
	Put(t, s, h.Gadget("default", "old", 1), h.Gadget("default", "gone", 1))
	Update(t, s, func(tx *store.Tx) error {
		return errors.Join(
			tx.Put(h.Gadget("default", "passing", 1)),
			tx.Put(h.Gadget("default", "old", 2)),
			tx.Put(h.Gadget("default", "new", 1)),
			tx.Delete(GadgetKey("default", "gone")),
			tx.Put(h.Gadget("default", "new", 2)),
			tx.Delete(GadgetKey("default", "passing")),
			tx.Delete(GadgetKey("default", "old")),
			tx.Put(h.Gadget("default", "old", 3)),
		)
	})
	changes, err := s.Watch(1).Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"2/0 old 1>3", "2/1 new ->2", "2/2 gone 1>-"}
	if diff := cmp.Diff(want, brief(changes)); diff != "" {
		t.Error(diff)
	}
}

// brief tells of changes of gadgets: revision, index, name, sizes.
func brief(changes []store.Change) []string {
	size := func(r *resource.Resource) string {
		if r == nil {
			return "-"
		}
		return fmt.Sprint(r.Spec.(*Gadget).Size)
	}
	var lines []string
	for _, c := range changes {
		lines = append(lines, fmt.Sprintf("%d/%d %s %s>%s", c.Revision, c.Index, c.Key.Name, size(c.Before), size(c.After)))
	}
	return lines
}

func timesAreSet(t *testing.T, h harness) {
	clock := start
	h.options.Now = func() time.Time { clock = clock.Add(time.Minute); return clock.In(time.FixedZone("east", 3600)) }
	s := h.store(t)
	first := h.Gadget("default", "a", 1)
	Put(t, s, first)
	created := first.Created
	if created.Location() != time.UTC || !created.Equal(first.Modified) || created.Before(start) || first.Revision != 1 {
		t.Errorf("after creation: %v, %v, revision %d", first.Created, first.Modified, first.Revision)
	}
	Put(t, s, h.Gadget("default", "a", 2))
	r, _ := s.Snapshot().Get(GadgetKey("default", "a"))
	if !r.Created.Equal(created) || !r.Modified.After(created) || r.Revision != 2 {
		t.Errorf("after a change: %v, %v, revision %d", r.Created, r.Modified, r.Revision)
	}
	changes, err := s.Watch(1).Next(t.Context())
	if err != nil || len(changes) != 1 || !changes[0].Time.Equal(r.Modified) || changes[0].Writer != Writer {
		t.Errorf("change %+v, %v", changes, err)
	}
}

func storedValuesStay(t *testing.T, h harness) {
	s := h.store(t)
	first := h.Gadget("default", "a", 1)
	Put(t, s, first)
	old := s.Snapshot()
	// The very value that is stored is put again.
	Put(t, s, first)
	r, _ := old.Get(GadgetKey("default", "a"))
	if r.Revision != 1 {
		t.Error("a snapshot's resource was changed")
	}
	if r, _ := s.Snapshot().Get(GadgetKey("default", "a")); r.Revision != 2 {
		t.Errorf("revision %d, want 2", r.Revision)
	}
}

func compareAndSet(t *testing.T, h harness) {
	for name, c := range map[string]struct {
		write func(*store.Tx) error
		want  problem.Code
		fine  bool
	}{
		"put at the right revision":    {func(tx *store.Tx) error { return tx.PutAt(h.Gadget("default", "a", 9), 2) }, 0, true},
		"put at an older one":          {func(tx *store.Tx) error { return tx.PutAt(h.Gadget("default", "a", 9), 1) }, problem.Conflict, false},
		"put what should be new":       {func(tx *store.Tx) error { return tx.PutAt(h.Gadget("default", "a", 9), 0) }, problem.Conflict, false},
		"put what is new":              {func(tx *store.Tx) error { return tx.PutAt(h.Gadget("default", "n", 9), 0) }, 0, true},
		"put what was deleted":         {func(tx *store.Tx) error { return tx.PutAt(h.Gadget("default", "gone", 9), 1) }, problem.Conflict, false},
		"delete at the right revision": {func(tx *store.Tx) error { return tx.DeleteAt(GadgetKey("default", "a"), 2) }, 0, true},
		"delete at an older one":       {func(tx *store.Tx) error { return tx.DeleteAt(GadgetKey("default", "a"), 1) }, problem.Conflict, false},
		"delete what is not there":     {func(tx *store.Tx) error { return tx.DeleteAt(GadgetKey("default", "no"), 1) }, problem.NotFound, false},
		"plain delete of nothing":      {func(tx *store.Tx) error { return tx.Delete(GadgetKey("default", "no")) }, problem.NotFound, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newHarness(t, h.open).with(h.Set).store(t)
			Put(t, s, h.Gadget("default", "a", 1))
			Put(t, s, h.Gadget("default", "a", 2))
			_, err := s.Update(t.Context(), Writer, c.write)
			if (err == nil) != c.fine || err != nil && problem.CodeOf(err) != c.want {
				t.Errorf("got %v", err)
			}
			if c.want == problem.NotFound && !errors.Is(err, store.ErrNotFound) {
				t.Error("the cause is not ErrNotFound")
			}
		})
	}
}

func (h harness) with(set Set) harness {
	h.Set, h.options.Kinds = set, set.Kinds()
	return h
}

func refusedNames(t *testing.T, h harness) {
	s := h.store(t)
	large := h.Gadget("default", "large", 1)
	large.Spec.(*Gadget).Note = strings.Repeat("x", 600<<10)
	other := NewSet().Gadget("default", "a", 1)
	other.Kind.Name = "Stranger"
	for name, c := range map[string]struct {
		r    *resource.Resource
		want problem.Code
	}{
		"no name":         {h.Gadget("default", "", 1), problem.Invalid},
		"a zero in it":    {h.Gadget("default", "a\x00b", 1), problem.Invalid},
		"a zero in mesh":  {h.Gadget("a\x00b", "a", 1), problem.Invalid},
		"far too long":    {h.Gadget("default", strings.Repeat("x", 5000), 1), problem.Invalid},
		"too large":       {large, problem.TooLarge},
		"an unknown kind": {other, problem.Internal},
	} {
		_, err := s.Update(t.Context(), Writer, func(tx *store.Tx) error { return tx.Put(c.r) })
		if err == nil || problem.CodeOf(err) != c.want {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if got := s.Snapshot().Revision(); got != 0 {
		t.Errorf("revision %d, want 0", got)
	}
}

func transactionsAreSerial(t *testing.T, h harness) {
	const writers, rounds = 8, 40
	s := h.store(t)
	Put(t, s, h.Gadget("default", "counter", 0))
	seen := make([]uint64, 0, writers*rounds)
	var mu sync.Mutex
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range rounds {
				revision, err := s.Update(t.Context(), Writer, func(tx *store.Tx) error {
					r, _ := tx.Get(GadgetKey("default", "counter"))
					return tx.Put(h.Gadget("default", "counter", r.Spec.(*Gadget).Size+1))
				})
				if err != nil {
					t.Error(err)
					return
				}
				if r, _ := s.Snapshot().Get(GadgetKey("default", "counter")); r.Revision < revision {
					t.Errorf("a snapshot after the answer to %d is of %d", revision, r.Revision)
				}
				mu.Lock()
				seen = append(seen, revision)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	r, _ := s.Snapshot().Get(GadgetKey("default", "counter"))
	if got := r.Spec.(*Gadget).Size; got != writers*rounds {
		t.Errorf("counted to %d, want %d", got, writers*rounds)
	}
	slices.Sort(seen)
	for i, revision := range seen {
		if revision != uint64(i+2) {
			t.Fatalf("revision %d is answered at place %d", revision, i)
		}
	}
}

// groupKeepsTheGood holds the writer up so that many transactions share a commit, every third of which ends badly.
func groupKeepsTheGood(t *testing.T, h harness) {
	const n = 60
	s := h.store(t)
	mine := errors.New("mine")
	started, held := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		_, _ = s.Update(t.Context(), Writer, func(*store.Tx) error { close(started); <-held; return nil })
	})
	<-started
	var queued sync.WaitGroup
	for i := range n {
		queued.Add(1)
		all.Go(func() {
			queued.Done()
			_, err := s.Update(t.Context(), Writer, func(tx *store.Tx) error {
				if err := tx.Put(h.Gadget("default", fmt.Sprintf("g%02d", i), i)); err != nil {
					return err
				}
				if i%3 == 0 {
					return mine
				}
				return nil
			})
			if (err == mine) != (i%3 == 0) || i%3 != 0 && err != nil {
				t.Errorf("transaction %d: %v", i, err)
			}
		})
	}
	queued.Wait()
	close(held)
	all.Wait()
	snapshot := s.Snapshot()
	if snapshot.Count(GadgetKind, "") != n-n/3 || snapshot.Revision() != n-n/3 {
		t.Errorf("%d gadgets at revision %d, want %d at both", snapshot.Count(GadgetKind, ""), snapshot.Revision(), n-n/3)
	}
	for i := range n {
		if _, ok := snapshot.Get(GadgetKey("default", fmt.Sprintf("g%02d", i))); ok == (i%3 == 0) {
			t.Errorf("gadget %d: %v", i, ok)
		}
	}
}

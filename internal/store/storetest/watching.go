package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/store"
)

// collect takes changes until one of the given revision has come. It fails when a transaction comes in parts.
func collect(t testing.TB, w *store.Watch, upTo uint64) []store.Change {
	t.Helper()
	var all []store.Change
	for len(all) == 0 || all[len(all)-1].Revision < upTo {
		changes, err := w.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(changes) == 0 {
			t.Fatal("woken for nothing")
		}
		if n := len(all); n > 0 && changes[0].Revision == all[n-1].Revision {
			t.Fatalf("revision %d came in two parts", changes[0].Revision)
		}
		all = append(all, changes...)
	}
	return all
}

func watchFromStart(t *testing.T, h harness) {
	s := h.store(t)
	// More than is kept at hand, so that the beginning comes from the log.
	const rounds, each = 50, 100
	for i := range rounds {
		Update(t, s, func(tx *store.Tx) error {
			for j := range each {
				if err := tx.Put(h.Gadget("default", fmt.Sprintf("g%03d", j), i)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	all := collect(t, s.Watch(0), rounds)
	if len(all) != rounds*each {
		t.Fatalf("%d changes, want %d", len(all), rounds*each)
	}
	for i, c := range all {
		want := fmt.Sprintf("%d/%d g%03d %d>%d", i/each+1, i%each, i%each, i/each-1, i/each)
		if i < each {
			want = fmt.Sprintf("1/%d g%03d ->0", i, i)
		}
		if got := brief([]store.Change{c})[0]; got != want {
			t.Fatalf("change %d is %s, want %s", i, got, want)
		}
	}
}

func watchFromMiddle(t *testing.T, h harness) {
	s := h.store(t)
	Put(t, s, h.Gadget("default", "a", 1))
	Put(t, s, h.Gadget("default", "a", 2))
	snapshot := s.Snapshot()
	Update(t, s, func(tx *store.Tx) error { return tx.Delete(GadgetKey("default", "a")) })
	Put(t, s, h.Gadget("default", "b", 1))
	got := brief(collect(t, s.Watch(snapshot.Revision()), 4))
	if diff := cmp.Diff([]string{"3/0 a 2>-", "4/0 b ->1"}, got); diff != "" {
		t.Error(diff)
	}
	if _, err := s.Watch(5).Next(t.Context()); !errors.Is(err, store.ErrCompacted) {
		t.Errorf("from a revision to come: got %v", err)
	}
}

func watchWaits(t *testing.T, h harness) {
	s := h.store(t)
	w := s.Watch(0)
	got := make(chan []store.Change)
	go func() {
		changes, _ := w.Next(t.Context())
		got <- changes
	}()
	Put(t, s, h.Gadget("default", "a", 1))
	if changes := <-got; len(changes) != 1 {
		t.Errorf("%d changes, want 1", len(changes))
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := w.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// watchWhileWriting holds that what a watcher puts together is, at each revision, what a snapshot of it has.
func watchWhileWriting(t *testing.T, h harness) {
	const rounds = 150
	s := h.store(t)
	var all sync.WaitGroup
	for w := range 3 {
		all.Go(func() {
			for i := range rounds {
				_, err := s.Update(t.Context(), Writer, func(tx *store.Tx) error {
					k := GadgetKey("default", fmt.Sprint("g", (w+i)%7))
					if _, ok := tx.Get(k); ok && i%3 == 0 {
						return tx.Delete(k)
					}
					return errors.Join(tx.Put(h.Gadget("default", k.Name, i)), tx.Put(h.Gadget("other", fmt.Sprint(w), i)))
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 3 {
		all.Go(func() {
			model := map[resource.Key]*resource.Resource{}
			w := s.Watch(0)
			for at := uint64(0); at < 3*rounds; {
				changes, err := w.Next(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				for _, c := range changes {
					if c.Revision != at && c.Revision != at+1 {
						t.Errorf("revision %d follows %d", c.Revision, at)
						return
					}
					at = c.Revision
					if Line(t, model[c.Key]) != Line(t, c.Before) {
						t.Errorf("revision %d: before is %s, and it was %s", at, Line(t, c.Before), Line(t, model[c.Key]))
						return
					}
					model[c.Key] = c.After
				}
				if snapshot := s.Snapshot(); snapshot.Revision() < at {
					t.Errorf("a snapshot of %d after the change %d", snapshot.Revision(), at)
				} else if snapshot.Revision() == at {
					compareModel(t, model, snapshot)
				}
			}
		})
	}
	all.Wait()
}

func compareModel(t testing.TB, model map[resource.Key]*resource.Resource, snapshot store.Snapshot) {
	n := 0
	for k, r := range model {
		if r == nil {
			continue
		}
		n++
		if got, _ := snapshot.Get(k); Line(t, got) != Line(t, r) {
			t.Errorf("revision %d: %v is not what its changes make it", snapshot.Revision(), k)
		}
	}
	if n != snapshot.Count(GadgetKind, "") {
		t.Errorf("revision %d has %d gadgets, and its changes make %d", snapshot.Revision(), snapshot.Count(GadgetKind, ""), n)
	}
}

func watchCompacted(t *testing.T, h harness) {
	h.options.KeepChanges = 100
	s := h.store(t)
	// More than is kept at hand too.
	const revisions = 3_000
	w := s.Watch(0)
	for i := range revisions / 100 {
		var all sync.WaitGroup
		for j := range 100 {
			all.Go(func() { Put(t, s, h.Gadget("default", fmt.Sprint("g", j), i)) })
		}
		all.Wait()
	}
	if _, err := w.Next(t.Context()); !errors.Is(err, store.ErrCompacted) {
		t.Errorf("from the start: got %v", err)
	}
	if got := collect(t, s.Watch(revisions-100), revisions); len(got) != 100 {
		t.Errorf("the newest 100 changes are %d", len(got))
	}
	changes, err := s.History(nil, 0, revisions)
	if err != nil || len(changes) < 100 || len(changes) > 100+100/8 {
		t.Errorf("history has %d changes, want 100 and up to an eighth more: %v", len(changes), err)
	}
}

func watchTooOld(t *testing.T, h harness) {
	var clock atomic.Int64
	h.options.Now = func() time.Time { return start.Add(time.Duration(clock.Load())) }
	h.options.KeepAge = time.Hour
	s := h.store(t)
	// More than is kept at hand, so that the log is asked.
	put := func(size int) {
		Update(t, s, func(tx *store.Tx) error {
			for i := range 1_500 {
				if err := tx.Put(h.Gadget("default", fmt.Sprint("g", i), size)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for i := range 4 {
		put(i)
		clock.Add(int64(25 * time.Minute))
	}
	// The first is an hour and 40 minutes old when the last is written, the last but one 25 minutes.
	put(4)
	if _, err := s.Watch(0).Next(t.Context()); !errors.Is(err, store.ErrCompacted) {
		t.Errorf("from the start: got %v", err)
	}
	if got := collect(t, s.Watch(2), 5); len(got) != 3*1_500 {
		t.Errorf("%d changes, want %d", len(got), 3*1_500)
	}
}

func changesHoldStoredValues(t *testing.T, h harness) {
	s := h.store(t)
	Put(t, s, h.Gadget("default", "a", 1))
	before, _ := s.Snapshot().Get(GadgetKey("default", "a"))
	Put(t, s, h.Gadget("default", "a", 2))
	after, _ := s.Snapshot().Get(GadgetKey("default", "a"))
	changes := collect(t, s.Watch(1), 2)
	if changes[0].Before != before || changes[0].After != after {
		t.Error("a change has copies of the stored values")
	}
}

func history(t *testing.T, h harness) {
	s := h.store(t)
	for i := range 6 {
		Put(t, s, h.Gadget("default", "a", i), h.Gadget("default", "b", i))
	}
	a := GadgetKey("default", "a")
	for name, c := range map[string]struct {
		key    *resource.Key
		before uint64
		limit  int
		want   []string
	}{
		"the newest of all":   {nil, 0, 3, []string{"6/1 b 4>5", "6/0 a 4>5", "5/1 b 3>4"}},
		"of one":              {&a, 0, 2, []string{"6/0 a 4>5", "5/0 a 3>4"}},
		"of one, further":     {&a, 5, 2, []string{"4/0 a 2>3", "3/0 a 1>2"}},
		"to the beginning":    {&a, 3, 0, []string{"2/0 a 0>1", "1/0 a ->0"}},
		"before the start":    {nil, 1, 0, nil},
		"before what comes":   {nil, 99, 1, []string{"6/1 b 4>5"}},
		"of nothing that was": {&resource.Key{Kind: MeshKind, Name: "a"}, 0, 0, nil},
	} {
		changes, err := s.History(c.key, c.before, c.limit)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, brief(changes)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	all, err := s.History(nil, 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(all)
	if diff := cmp.Diff(brief(collect(t, s.Watch(0), 6)), brief(all)); diff != "" {
		t.Errorf("history backwards is not what watch tells: %s", diff)
	}
}

package store_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/store"
	"github.com/kumactl/kumactl/internal/store/storetest"
)

// disk is one that does not work while it is told so: early commits are not written, late ones are, and only their last flush
// goes wrong.
type disk struct {
	mu    sync.Mutex
	early error
	late  error
}

func (d *disk) fault(committed bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if committed {
		return d.late
	}
	return d.early
}

func (d *disk) set(early, late error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.early, d.late = early, late
}

// TestCommitFails lets commits go wrong in both ways, in a row, and compares memory with the file afterwards.
func TestCommitFails(t *testing.T) {
	for name, c := range map[string]struct {
		early, late error
		hint        string
	}{
		"no room":                   {fmt.Errorf("write: %w", syscall.ENOSPC), nil, "make room"},
		"no room, in bbolt's words": {fmt.Errorf("file resize error: %s", syscall.ENOSPC), nil, "make room"},
		"a broken disk":             {syscall.EIO, nil, "dmesg"},
		"a broken last flush":       {nil, syscall.EIO, "dmesg"},
		"now this way, now that":    {syscall.EIO, syscall.EIO, "dmesg"},
	} {
		for _, closeAtOnce := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", closed at once: ", closeAtOnce), func(t *testing.T) {
				var d disk
				set := storetest.NewSet()
				o := store.Options{Path: filepath.Join(t.TempDir(), "store.db"), Kinds: set.Kinds()}
				s, err := store.OpenFaulty(t.Context(), o, d.fault)
				if err != nil {
					t.Fatal(err)
				}
				storetest.Put(t, s, set.Gadget("default", "stays", 1), set.Gadget("default", "goes", 1), set.Mesh("default"))
				before := storetest.Image(t, s.Snapshot())

				d.set(c.early, c.late)
				for i := range 4 {
					if i == 3 && c.early != nil {
						d.set(nil, c.early)
					}
					_, err := s.Update(t.Context(), storetest.Writer, func(tx *store.Tx) error {
						_ = tx.Delete(storetest.GadgetKey("default", "goes"))
						_ = tx.Put(set.Gadget("default", fmt.Sprint("new", i), 1))
						return tx.Put(set.Gadget("default", "stays", 100+i))
					})
					wantError(t, err, problem.Unavailable, o.Path, c.hint)
				}
				if diff := cmp.Diff(before, storetest.Image(t, s.Snapshot())); diff != "" {
					t.Errorf("memory has what was refused: %s", diff)
				}
				d.set(nil, nil)
				want := uint64(1)
				if !closeAtOnce {
					want = 2
					if got := storetest.Put(t, s, set.Gadget("default", "after", 1)); got != want {
						t.Errorf("the first write that works is revision %d, want %d", got, want)
					}
				}
				image := storetest.Image(t, s.Snapshot())
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				checkFileIs(t, o, image, want)
			})
		}
	}
}

// checkFileIs opens the file and compares it and its log with what was in memory.
func checkFileIs(t *testing.T, o store.Options, image []string, revision uint64) {
	t.Helper()
	report, err := store.Check(t.Context(), o.Path, o.Kinds)
	if err != nil || len(report.Faults) > 0 || report.Revision != revision {
		t.Errorf("revision %d, want %d; %v, %v", report.Revision, revision, err, report.Faults)
	}
	s := openBolt(t, o)
	defer s.Close()
	if diff := cmp.Diff(image, storetest.Image(t, s.Snapshot())); diff != "" {
		t.Errorf("the file is not what memory was: %s", diff)
	}
	model := map[resource.Key]string{}
	for _, c := range allChanges(t, s) {
		if c.Before != nil && model[c.Key] != storetest.Line(t, c.Before) {
			t.Errorf("revision %d: before is %s", c.Revision, storetest.Line(t, c.Before))
		}
		model[c.Key] = storetest.Line(t, c.After)
	}
	for _, kind := range []string{storetest.GadgetKind, storetest.MeshKind} {
		for r := range s.Snapshot().List(kind, "") {
			if model[r.Key()] != storetest.Line(t, r) {
				t.Errorf("the log makes %v %s", r.Key(), model[r.Key()])
			}
		}
	}
}

// TestGroupFailsTogether holds that of the transactions that share a commit none is acknowledged when it goes wrong.
func TestGroupFailsTogether(t *testing.T) {
	var d disk
	set := storetest.NewSet()
	o := store.Options{Path: filepath.Join(t.TempDir(), "store.db"), Kinds: set.Kinds()}
	s, err := store.OpenFaulty(t.Context(), o, d.fault)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d.set(syscall.ENOSPC, nil)
	var all sync.WaitGroup
	for i := range 32 {
		all.Go(func() {
			_, err := s.Update(t.Context(), storetest.Writer, func(tx *store.Tx) error {
				return tx.Put(set.Gadget("default", fmt.Sprint("g", i), i))
			})
			if problem.CodeOf(err) != problem.Unavailable {
				t.Errorf("got %v", err)
			}
		})
	}
	all.Wait()
	if s.Snapshot().Revision() != 0 || s.Snapshot().Count(storetest.GadgetKind, "") != 0 {
		t.Error("something is there")
	}
}

// TestPanicInTheEngine stands for a page that was damaged while the store was open, at which bbolt panics.
func TestPanicInTheEngine(t *testing.T) {
	set := storetest.NewSet()
	o := store.Options{Path: filepath.Join(t.TempDir(), "store.db"), Kinds: set.Kinds()}
	panics := false
	s, err := store.OpenFaulty(t.Context(), o, func(committed bool) error {
		if panics && !committed {
			panic("page 7: unexpected type")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	storetest.Put(t, s, set.Gadget("default", "a", 1))
	panics = true
	_, err = s.Update(t.Context(), storetest.Writer, func(tx *store.Tx) error { return tx.Put(set.Gadget("default", "a", 2)) })
	wantError(t, err, problem.Internal, o.Path, "damaged", "page 7", "kumactl store")
	panics = false
	// The file turns out to be good when it is opened again.
	if got := storetest.Put(t, s, set.Gadget("default", "a", 3)); got != 2 {
		t.Errorf("revision %d, want 2", got)
	}
	image := storetest.Image(t, s.Snapshot())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	checkFileIs(t, o, image, 2)
}

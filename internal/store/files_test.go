package store_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/store"
	"github.com/kumactl/kumactl/internal/store/storetest"
)

func TestFilesArePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "data")
	path := filepath.Join(dir, "store.db")
	sample(t, path)
	for name, want := range map[string]os.FileMode{"": 0o700, "store.db": 0o600, "store.db.good": 0o600, "store.db.lock": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%q has mode %o, want %o", name, got, want)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Errorf("%d files, want 3: %v", len(entries), err)
	}

	// One that others can read is made private, and the log says so.
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	s := openBolt(t, store.Options{Path: path, Kinds: storetest.NewSet().Kinds(), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	defer s.Close()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 || !strings.Contains(log.String(), "open to others") {
		t.Errorf("mode %o, log %s", info.Mode().Perm(), &log)
	}
}

func TestWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	o := store.Options{Kinds: storetest.NewSet().Kinds()}
	target := filepath.Join(dir, "elsewhere")
	sample(t, target)
	o.Path = filepath.Join(dir, "link")
	if err := os.Symlink(target, o.Path); err != nil {
		t.Fatal(err)
	}
	_, err := store.Open(t.Context(), o)
	wantError(t, err, problem.Invalid, o.Path, "not a plain file")
	o.Path = filepath.Join(dir, "directory")
	if err := os.Mkdir(o.Path, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err = store.Open(t.Context(), o)
	wantError(t, err, problem.Invalid, o.Path, "not a plain file")
	o.Path, o.ReadOnly = filepath.Join(dir, "nothing"), true
	_, err = store.Open(t.Context(), o)
	wantError(t, err, problem.NotFound, o.Path, "--data-dir")
	for _, err := range []error{
		second(store.Check(t.Context(), o.Path, o.Kinds)),
		second(store.Export(t.Context(), o.Path, o.Kinds, func(*resource.Resource) error { return nil })),
	} {
		wantError(t, err, problem.NotFound, o.Path)
	}
}

func second[T any](_ T, err error) error { return err }

// TestLastGoodCopy holds that the copy is a store of its own, with everything in it, after closing and after opening anew.
func TestLastGoodCopy(t *testing.T) {
	dir := t.TempDir()
	o := store.Options{Path: filepath.Join(dir, "store.db"), Kinds: storetest.NewSet().Kinds()}
	sample(t, o.Path)
	set := storetest.NewSet()
	o.Kinds = set.Kinds()
	s := openBolt(t, o)
	s.PutVolatile(set.Pulse("p", 1))
	storetest.Put(t, s, set.Gadget("default", "late", 1))
	image := storetest.Image(t, s.Snapshot())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	copied := o
	copied.Path = filepath.Join(dir, "copy.db")
	if err := os.Rename(o.Path+".good", copied.Path); err != nil {
		t.Fatal(err)
	}
	checkFileIs(t, copied, image, 5)

	// It is gone, as after a crash: opening makes it again, without a change being written.
	s = openBolt(t, o)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	report, err := store.Check(t.Context(), o.Path, o.Kinds)
	if err != nil || report.CopyRevision != 5 || report.CopyTime.IsZero() {
		t.Errorf("%+v, %v", report, err)
	}
}

// TestUnknownKinds opens a file with a release that knows fewer kinds: it keeps what it does not know.
func TestUnknownKinds(t *testing.T) {
	o := store.Options{Path: filepath.Join(t.TempDir(), "store.db"), Kinds: storetest.NewSet().Kinds()}
	sample(t, o.Path)
	set := storetest.NewSet()
	older := store.Options{Path: o.Path, Kinds: set.Kinds()[1:2]}
	s := openBolt(t, older)
	if got := s.Snapshot().Count(storetest.MeshKind, ""); got != 3 {
		t.Errorf("%d meshes, want 3", got)
	}
	if got := storetest.Put(t, s, set.Mesh("by-the-older")); got != 5 {
		t.Errorf("revision %d, want 5", got)
	}
	for _, c := range allChanges(t, s) {
		if c.Key.Kind != storetest.MeshKind || c.After.Kind == nil {
			t.Errorf("a change of %v", c.Key)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	report, err := store.Check(t.Context(), o.Path, older.Kinds)
	if err != nil || len(report.Faults) > 0 {
		t.Errorf("%v, %v", report.Faults, err)
	}
	if diff := cmp.Diff([]string{storetest.GadgetKind}, report.Unknown); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]int{storetest.GadgetKind: 60, storetest.MeshKind: 4}, report.Kinds); diff != "" {
		t.Error(diff)
	}
	// The copy that the older release made has them too.
	for _, path := range []string{o.Path, o.Path + ".good"} {
		newer := openBolt(t, store.Options{Path: path, Kinds: o.Kinds})
		if snapshot := newer.Snapshot(); snapshot.Count(storetest.GadgetKind, "") != 60 || snapshot.Count(storetest.MeshKind, "") != 4 {
			t.Errorf("%s: %d gadgets, %d meshes", path, snapshot.Count(storetest.GadgetKind, ""), snapshot.Count(storetest.MeshKind, ""))
		}
		if err := newer.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadOnly(t *testing.T) {
	set := storetest.NewSet()
	o := store.Options{Path: filepath.Join(t.TempDir(), "store.db"), Kinds: set.Kinds(), ReadOnly: true}
	image := sample(t, o.Path)
	before := fileBytes(t, o.Path)
	first, second := openBolt(t, o), openBolt(t, o)
	if diff := cmp.Diff(image, storetest.Image(t, second.Snapshot())); diff != "" {
		t.Error(diff)
	}
	if got := len(allChanges(t, first)); got != 3*81+20 {
		t.Errorf("%d changes, want %d", got, 3*81+20)
	}
	_, err := first.Update(t.Context(), storetest.Writer, func(*store.Tx) error { return nil })
	if problem.CodeOf(err) != problem.NotAllowed {
		t.Errorf("got %v", err)
	}
	first.PutVolatile(set.Pulse("p", 1))
	writing := o
	writing.ReadOnly = false
	_, err = store.Open(t.Context(), writing)
	wantError(t, err, problem.Conflict, o.Path, "in use by another process")
	if err := errors.Join(first.Close(), second.Close()); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(before, fileBytes(t, o.Path)) {
		t.Error("the file was changed")
	}
}

func TestCompact(t *testing.T) {
	set := storetest.NewSet()
	o := store.Options{Path: filepath.Join(t.TempDir(), "store.db"), Kinds: set.Kinds(), KeepChanges: 20}
	s := openBolt(t, o)
	for round := range 10 {
		storetest.Update(t, s, func(tx *store.Tx) error {
			for i := range 200 {
				r := set.Gadget("default", string(rune('a'+i%26))+strings.Repeat("x", i/26), round)
				r.Spec.(*storetest.Gadget).Note = strings.Repeat("n", 2_000)
				if err := tx.Put(r); err != nil {
					return err
				}
				if round == 9 && i >= 20 {
					if err := tx.Delete(r.Key()); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	for i := range 30 {
		storetest.Put(t, s, set.Gadget("default", "a", i))
	}
	image := storetest.Image(t, s.Snapshot())
	_, _, err := store.Compact(t.Context(), o.Path)
	wantError(t, err, problem.Conflict, o.Path)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	report, err := store.Check(t.Context(), o.Path, o.Kinds)
	if err != nil || len(report.Faults) > 0 {
		t.Fatalf("%v, %v", report.Faults, err)
	}
	before, after, err := store.Compact(t.Context(), o.Path)
	if err != nil || after*4 > before || before != report.Bytes || report.FreeBytes < before/2 {
		t.Errorf("from %d to %d bytes with %d free, %v", before, after, report.FreeBytes, err)
	}
	s = openBolt(t, o)
	defer s.Close()
	if diff := cmp.Diff(image, storetest.Image(t, s.Snapshot())); diff != "" {
		t.Error(diff)
	}
	if changes, err := s.Watch(20).Next(t.Context()); err != nil || len(changes) != 20 {
		t.Errorf("%d changes, %v", len(changes), err)
	}
}

func TestExport(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	image := sample(t, path)
	kinds := storetest.NewSet().Kinds()
	var got []string
	exported, err := store.Export(t.Context(), path, kinds, func(r *resource.Resource) error {
		got = append(got, storetest.Line(t, r))
		return nil
	})
	if diff := cmp.Diff(image, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if diff := cmp.Diff(store.Exported{Revision: 4, Resources: len(image)}, exported); diff != "" {
		t.Error(diff)
	}
	enough := errors.New("enough")
	if _, err := store.Export(t.Context(), path, kinds, func(*resource.Resource) error { return enough }); err != enough {
		t.Errorf("got %v", err)
	}
}

// TestVolatileIsSavedSoon looks at the file some seconds after a volatile write, and at how often it is written.
func TestVolatileIsSavedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := storetest.NewSet()
		var commits atomic.Int64
		o := store.Options{Path: filepath.Join(t.TempDir(), "store.db"), Kinds: set.Kinds()}
		s, err := store.OpenFaulty(t.Context(), o, func(committed bool) error {
			if committed {
				return nil
			}
			if commits.Add(1) == 1 {
				return errors.New("the first save does not work")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for beat := range 1_000 {
			s.PutVolatile(set.Pulse("p", beat))
		}
		<-time.After(6 * time.Second)
		synctest.Wait()
		if commits.Load() != 1 {
			t.Errorf("%d saves after 6 seconds, want 1", commits.Load())
		}
		<-time.After(6 * time.Second)
		synctest.Wait()
		copied := o
		copied.Path = filepath.Join(t.TempDir(), "copy.db")
		if err := os.WriteFile(copied.Path, fileBytes(t, o.Path), 0o600); err != nil {
			t.Fatal(err)
		}
		other := openBolt(t, copied)
		r, ok := other.Snapshot().Get(resource.Key{Kind: storetest.PulseKind, Mesh: "default", Name: "p"})
		if !ok || r.Spec.(*storetest.Pulse).Beats != 999 {
			t.Errorf("the file has %v", r)
		}
		// Nothing is written while nothing changes.
		<-time.After(time.Hour)
		synctest.Wait()
		if commits.Load() != 2 {
			t.Errorf("%d saves after an hour, want 2", commits.Load())
		}
		if err := errors.Join(other.Close(), s.Close()); err != nil {
			t.Error(err)
		}
	})
}

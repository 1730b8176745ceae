package store_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	bolt "go.etcd.io/bbolt"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/store"
	"github.com/kumactl/kumactl/internal/store/storetest"
)

// setSchema makes a file look like another release's.
func setSchema(t testing.TB, path string, version uint32) {
	t.Helper()
	db, err := bolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("meta")).Put([]byte("schema"), store.EncodeSchema(version))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestMigration(t *testing.T) {
	o := store.Options{Path: filepath.Join(t.TempDir(), "store.db"), Kinds: storetest.NewSet().Kinds()}
	image := sample(t, o.Path)
	setSchema(t, o.Path, 0)
	before := fileBytes(t, o.Path)

	_, err := store.Open(t.Context(), store.Options{Path: o.Path, Kinds: o.Kinds, ReadOnly: true})
	wantError(t, err, problem.NotAllowed, o.Path, "older release (schema 0)")
	_, _, err = store.Compact(t.Context(), o.Path)
	wantError(t, err, problem.NotAllowed, o.Path, "older release")

	// Two releases later: every step since the file's version is taken, in order, once.
	var steps []string
	step := func(name string) func(*bolt.Tx) error {
		return func(tx *bolt.Tx) error {
			steps = append(steps, name)
			_, err := tx.CreateBucketIfNotExists([]byte(name))
			return err
		}
	}
	for range 2 {
		s, err := store.OpenSteps(t.Context(), o, step("first"), step("second"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(image, storetest.Image(t, s.Snapshot())); diff != "" {
			t.Error(diff)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"first", "second"}, steps); diff != "" {
		t.Error(diff)
	}
	if !bytes.Equal(before, fileBytes(t, o.Path+".schema0")) {
		t.Error("the copy from before the migration is not what was")
	}
	// This release does not know the newer form.
	_, err = store.Open(t.Context(), o)
	wantError(t, err, problem.Invalid, o.Path, "newer release (schema 3, and this one knows 1)")
	report, err := store.Check(t.Context(), o.Path, o.Kinds)
	if err != nil || len(report.Faults) != 1 || report.Schema != 3 {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestMigrationFails(t *testing.T) {
	o := store.Options{Path: filepath.Join(t.TempDir(), "store.db"), Kinds: storetest.NewSet().Kinds()}
	image := sample(t, o.Path)
	for name, step := range map[string]func(*bolt.Tx) error{
		"with an error": func(*bolt.Tx) error { return errors.New("cannot be turned") },
		"with a panic":  func(*bolt.Tx) error { panic("cannot be turned") },
	} {
		_, err := store.OpenSteps(t.Context(), o, func(tx *bolt.Tx) error { return tx.DeleteBucket([]byte("log")) }, step)
		if err == nil {
			t.Fatalf("%s: it was opened", name)
		}
		wantError(t, err, problem.Internal, o.Path, "cannot be turned")
		s := openBolt(t, o)
		if diff := cmp.Diff(image, storetest.Image(t, s.Snapshot())); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

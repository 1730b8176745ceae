package store_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/store"
	"github.com/kumactl/kumactl/internal/store/storetest"
)

func TestSmoke(t *testing.T) {
	kinds := storetest.Kinds()
	s := store.OpenMemory(store.Options{Kinds: kinds})
	defer s.Close()
	for i := range 10 {
		rev, err := s.Update(t.Context(), store.Writer{Who: "me"}, func(tx *store.Tx) error {
			r := kinds[0].New("default", string(rune('a'+i)))
			r.Spec.(*storetest.Gadget).Size = i
			return tx.Put(r)
		})
		if err != nil || rev != uint64(i+1) {
			t.Fatal(rev, err)
		}
	}
	if _, err := s.Update(t.Context(), store.Writer{}, func(tx *store.Tx) error { return tx.Delete(resource.Key{Kind: "Gadget", Name: "x"}) }); !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	s.PutVolatile(kinds[2].New("default", "p"))
	if n := len(slices.Collect(s.Snapshot().List("Gadget", "default"))); n != 10 || s.Snapshot().Count("Gadget", "default") != 10 || s.Snapshot().Count("Pulse", "") != 1 {
		t.Fatal(n)
	}
	w := s.Watch(3)
	c, err := w.Next(t.Context())
	if err != nil || len(c) != 7 || c[0].Revision != 4 {
		t.Fatal(c, err)
	}
}

package store_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/store"
	"github.com/kumactl/kumactl/internal/store/storetest"
)

func stored(set storetest.Set) *resource.Resource {
	r := set.Gadget("default", "a", 7)
	r.Created, r.Modified, r.Revision = time.Unix(1_700_000_000, 5).UTC(), time.Unix(-3, 999_999_999).UTC(), 42
	return r
}

// TestRecordIsTheMessage holds that the decoder written by hand reads what the message of store.proto says.
func TestRecordIsTheMessage(t *testing.T) {
	set := storetest.NewSet()
	r := stored(set)
	raw, err := store.EncodeRecord(r)
	if err != nil {
		t.Fatal(err)
	}
	got, err := store.DecodeRecord(set.Kinds(), raw)
	if err != nil {
		t.Fatal(err)
	}
	if storetest.Line(t, got) != storetest.Line(t, r) || got.Kind != r.Kind {
		t.Errorf("got  %s\nwant %s", storetest.Line(t, got), storetest.Line(t, r))
	}
	// Fields that a later release adds are passed over.
	got, err = store.DecodeRecord(set.Kinds(), append(raw, 0xfa, 0x07, 0x01, 'x', 0xf5, 0x07, 1, 2, 3, 4))
	if err != nil || storetest.Line(t, got) != storetest.Line(t, r) {
		t.Errorf("with fields of a later release: %v", err)
	}
}

func TestChangeIsTheMessage(t *testing.T) {
	set := storetest.NewSet()
	r := stored(set)
	record, err := store.EncodeRecord(r)
	if err != nil {
		t.Fatal(err)
	}
	var message kumapb.Record
	if err := proto.Unmarshal(record, &message); err != nil {
		t.Fatal(err)
	}
	c := store.Change{Revision: 42, Time: r.Modified, Writer: store.Writer{Who: "me", Source: "api"}, Key: r.Key(), Before: r, After: r}
	for name, parts := range map[string][2][]byte{"created": {nil, record}, "changed": {record, record}, "deleted": {record, nil}} {
		raw, err := store.EncodeChange(c, parts[0], parts[1])
		if err != nil {
			t.Fatal(err)
		}
		want := &kumapb.Change{Revision: 42, Time: timestamppb.New(r.Modified), Who: "me", Source: "api", Kind: r.Kind.Name, Mesh: r.Mesh, Name: r.Name}
		if parts[0] != nil {
			want.Before = &message
		}
		if parts[1] != nil {
			want.After = &message
		}
		var got kumapb.Change
		if err := proto.Unmarshal(raw, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, &got, protocmp.Transform()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		back, known, err := store.DecodeChange(set.Kinds(), raw)
		if err != nil || !known || back.Writer != c.Writer || !back.Time.Equal(c.Time) || back.Key != c.Key ||
			(back.Before == nil) != (parts[0] == nil) || (back.After == nil) != (parts[1] == nil) {
			t.Errorf("%s: read back as %+v, %v", name, back, err)
		}
	}
}

// FuzzRecord compares the decoder with the generated message: what it takes, it takes alike.
func FuzzRecord(f *testing.F) {
	set := storetest.NewSet()
	raw, err := store.EncodeRecord(stored(set))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(raw[:len(raw)/2])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, _, _ = store.DecodeChange(set.Kinds(), raw)
		r, err := store.DecodeRecord(set.Kinds(), raw)
		if err != nil || r == nil {
			return
		}
		again, err := store.EncodeRecord(r)
		if err != nil {
			return
		}
		back, err := store.DecodeRecord(set.Kinds(), again)
		if err != nil {
			t.Fatalf("decoded, encoded, and not decoded again: %v", err)
		}
		if back.Key() != r.Key() || back.Revision != r.Revision || len(back.Labels) != len(r.Labels) {
			t.Errorf("%v became %v", r, back)
		}
	})
}

// FuzzOpen opens a file of which some bytes were changed: it ends, with a store or an error.
func FuzzOpen(f *testing.F) {
	dir := f.TempDir()
	sample(f, filepath.Join(dir, "good.db"))
	good := fileBytes(f, filepath.Join(dir, "good.db"))
	f.Add(uint32(20), []byte{1}, uint32(len(good)))
	f.Add(uint32(3*pageBytes+8), []byte{1, 0, 255, 255}, uint32(len(good)))
	f.Add(uint32(5*pageBytes+20), []byte{255, 255, 255, 127}, uint32(len(good)/2))
	f.Fuzz(func(t *testing.T, at uint32, bytes []byte, size uint32) {
		raw := append([]byte(nil), good...)
		copy(raw[int(at)%len(raw):], bytes)
		path := filepath.Join(t.TempDir(), "store.db")
		if err := os.WriteFile(path, raw[:int(size)%(len(raw)+1)], 0o600); err != nil {
			t.Fatal(err)
		}
		set := storetest.NewSet()
		if _, err := store.Check(t.Context(), path, set.Kinds()); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Export(t.Context(), path, set.Kinds(), func(*resource.Resource) error { return nil }); err != nil {
			t.Fatal(err)
		}
		s, err := store.Open(t.Context(), store.Options{Path: path, Kinds: set.Kinds()})
		if err != nil {
			return
		}
		storetest.Put(t, s, set.Gadget("default", "after", 1))
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

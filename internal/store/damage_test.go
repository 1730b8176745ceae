package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/store"
	"github.com/kumactl/kumactl/internal/store/storetest"
)

// sample writes a file with a few hundred resources, pages that were freed, and a log.
func sample(t testing.TB, path string) (image []string) {
	t.Helper()
	set := storetest.NewSet()
	s := openBolt(t, store.Options{Path: path, Kinds: set.Kinds()})
	for round := range 3 {
		storetest.Update(t, s, func(tx *store.Tx) error {
			for i := range 80 {
				r := set.Gadget("default", fmt.Sprintf("g%03d", i), round*1000+i)
				r.Spec.(*storetest.Gadget).Note = strings.Repeat("n", 2*i)
				if err := tx.Put(r); err != nil {
					return err
				}
			}
			return tx.Put(set.Mesh(fmt.Sprint("m", round)))
		})
	}
	storetest.Update(t, s, func(tx *store.Tx) error {
		for i := range 20 {
			if err := tx.Delete(storetest.GadgetKey("default", fmt.Sprintf("g%03d", i*2))); err != nil {
				return err
			}
		}
		return nil
	})
	image = storetest.Image(t, s.Snapshot())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return image
}

const pageBytes = 4096

// damages are ways in which a file goes bad.
func damages(t testing.TB, good []byte) map[string]func() []byte {
	random := rand.New(rand.NewPCG(5, 6))
	edit := func(f func(raw []byte)) func() []byte {
		return func() []byte {
			raw := bytes.Clone(good)
			f(raw)
			return raw
		}
	}
	all := map[string]func() []byte{
		"empty":     func() []byte { return nil },
		"a text":    func() []byte { return []byte(strings.Repeat("this is no store\n", 1000)) },
		"no header": edit(func(raw []byte) { clear(raw[:2*pageBytes]) }),
		"one header": edit(func(raw []byte) {
			raw[pageBytes+20] ^= 1
		}),
		"the other header": edit(func(raw []byte) { raw[20] ^= 1 }),
		"all zeros":        func() []byte { return make([]byte, len(good)) },
		"zeros after it":   func() []byte { return append(bytes.Clone(good), make([]byte, 3*pageBytes)...) },
	}
	for _, n := range []int{1, 99, pageBytes, 2 * pageBytes, 3*pageBytes + 17, 4 * pageBytes, len(good) / 4, len(good) / 2} {
		all[fmt.Sprintf("cut to %d", n)] = func() []byte { return bytes.Clone(good[:n]) }
	}
	for page := 2; page < len(good)/pageBytes; page++ {
		part := func(raw []byte) []byte { return raw[page*pageBytes : (page+1)*pageBytes] }
		switch page % 4 {
		case 0:
			all[fmt.Sprintf("zeros in page %d", page)] = edit(func(raw []byte) { clear(part(raw)) })
		case 1:
			all[fmt.Sprintf("noise in page %d", page)] = edit(func(raw []byte) {
				for i := range part(raw) {
					part(raw)[i] = byte(random.Uint32())
				}
			})
		case 2:
			all[fmt.Sprintf("an older page %d", page)] = edit(func(raw []byte) { copy(part(raw), raw[(page-1)*pageBytes:page*pageBytes]) })
		case 3:
			all[fmt.Sprintf("noise in the head of page %d", page)] = edit(func(raw []byte) {
				for i := range part(raw)[8:48] {
					part(raw)[8+i] = byte(random.Uint32())
				}
			})
		}
	}
	for i := range 80 {
		at, bit := random.IntN(len(good)-2*pageBytes)+2*pageBytes, random.IntN(8)
		all[fmt.Sprintf("bit %d of %d flipped (%d)", bit, at, i)] = edit(func(raw []byte) { raw[at] ^= 1 << bit })
	}
	return all
}

// TestDamage damages a file in some 200 ways. Each ends in a clear error and an untouched file, or does no harm: where the damage
// is in a page that is not in use, in the log, or in the older one of the two headers.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	image := sample(t, filepath.Join(dir, "good.db"))
	good := fileBytes(t, filepath.Join(dir, "good.db"))
	refused, harmless := 0, 0
	for name, make := range damages(t, good) {
		path := filepath.Join(dir, "store.db")
		bad := make()
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		ok := openDamaged(t, name, path, bad, image)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
		if ok {
			harmless++
		} else {
			refused++
			exportDamaged(t, name, path, image)
		}
		for _, rest := range []string{"store.db.good", "store.db.lock"} {
			if err := os.Remove(filepath.Join(dir, rest)); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d refused, %d harmless", refused, harmless)
	if refused < 40 || harmless < 20 {
		t.Error("the damages do not reach what they should")
	}
}

// openDamaged tells whether the file was opened. Then nothing may be missing that no log line tells of.
func openDamaged(t *testing.T, name, path string, bad []byte, image []string) bool {
	t.Helper()
	var log bytes.Buffer
	kinds := storetest.NewSet().Kinds()
	report, err := store.Check(t.Context(), path, kinds)
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	s, err := store.Open(t.Context(), store.Options{Path: path, Kinds: kinds, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		wantError(t, err, problem.Internal, path, "damaged", "untouched", "kumactl store export")
		if !errors.Is(err, store.ErrDamaged) {
			t.Errorf("%s: the cause is not ErrDamaged", name)
		}
		if !bytes.Equal(bad, fileBytes(t, path)) {
			t.Errorf("%s: the file was changed", name)
		}
		if len(report.Faults) == 0 {
			t.Errorf("%s: refused (%v), and Check finds nothing", name, err)
		}
		return false
	}
	defer s.Close()
	if diff := cmp.Diff(image, storetest.Image(t, s.Snapshot())); diff != "" && !strings.Contains(log.String(), "last write may be gone") {
		t.Errorf("%s: opened, and not what it was: %s", name, diff)
	}
	if log.Len() == 0 && len(report.Faults) > 0 {
		t.Errorf("%s: Check finds %v, and opening is silent", name, report.Faults)
	}
	if log.Len() > 0 && len(report.Faults) == 0 {
		t.Errorf("%s: Check finds nothing, and opening says %s", name, &log)
	}
	// It can be written, and its log can be read or says that it cannot.
	storetest.Put(t, s, storetest.NewSet().Gadget("default", "after", 1))
	if _, err := s.Watch(0).Next(t.Context()); err != nil && !errors.Is(err, store.ErrCompacted) {
		t.Errorf("%s: watch: %v", name, err)
	}
	if _, err := s.History(nil, 0, 5_000); err != nil && !errors.Is(err, store.ErrDamaged) {
		t.Errorf("%s: history: %v", name, err)
	}
	return true
}

// exportDamaged checks that what is saved is right, and that one bad page costs next to nothing: the log has it too.
func exportDamaged(t *testing.T, name, path string, image []string) {
	t.Helper()
	want := map[string]bool{}
	for _, line := range image {
		want[line] = true
	}
	right := 0
	exported, err := store.Export(t.Context(), path, storetest.NewSet().Kinds(), func(r *resource.Resource) error {
		if want[storetest.Line(t, r)] {
			right++
		} else if strings.Contains(name, " page ") || strings.HasPrefix(name, "bit ") {
			t.Errorf("%s: saved what is not right: %s", name, storetest.Line(t, r))
		}
		return nil
	})
	if err != nil || len(exported.Faults) == 0 {
		t.Errorf("%s: export: %+v, %v", name, exported, err)
	}
	if (strings.Contains(name, " page ") || strings.HasPrefix(name, "bit ")) && right*100 < len(image)*99 {
		t.Errorf("%s: saved %d of %d", name, right, len(image))
	}
}

// TestGoBack follows the hint: the last-good copy takes the place of a damaged file.
func TestGoBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	image := sample(t, path)
	if err := os.Truncate(path, 3*pageBytes); err != nil {
		t.Fatal(err)
	}
	o := store.Options{Path: path, Kinds: storetest.NewSet().Kinds()}
	_, err := store.Open(t.Context(), o)
	wantError(t, err, problem.Internal, path, "cut short", "store.db.good")
	if err := os.Rename(path, path+".damaged"); err != nil {
		t.Fatal(err)
	}
	_, err = store.Open(t.Context(), o)
	wantError(t, err, problem.Unavailable, path, "is gone", "cp -p")
	if err := os.WriteFile(path, fileBytes(t, path+".good"), 0o600); err != nil {
		t.Fatal(err)
	}
	checkFileIs(t, o, image, 4)
}

//go:build unix

package store_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kumactl/kumactl/internal/store"
	"github.com/kumactl/kumactl/internal/store/storetest"
)

const (
	killWriters = 8
	// killsEnv is the number of kills; the nightly form has 200.
	killsEnv = "KUMACTL_KILLS"
	kills    = 20
)

// childWrites has 8 writers write as fast as they can, and tells each acknowledged write: "writer name value revision", value -1
// for a delete. It goes on until it is killed.
func childWrites(path string) error {
	set := storetest.NewSet()
	s, err := store.Open(noContext(), store.Options{Path: path, Kinds: set.Kinds(), KeepChanges: 500})
	if err != nil {
		return err
	}
	fmt.Println("open")
	var out sync.Mutex
	var all sync.WaitGroup
	for w := range killWriters {
		all.Go(func() {
			for i := 0; ; i++ {
				name, value := fmt.Sprintf("w%d-%d", w, i%25), rand.IntN(1<<30)
				revision, err := s.Update(noContext(), storetest.Writer, func(tx *store.Tx) error {
					if _, there := tx.Get(storetest.GadgetKey("default", name)); there && i%4 == 0 {
						value = -1
						return tx.Delete(storetest.GadgetKey("default", name))
					}
					r := set.Gadget("default", name, value)
					r.Spec.(*storetest.Gadget).Note = strings.Repeat("x", rand.IntN(3_000))
					return tx.Put(r)
				})
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				out.Lock()
				// One write to the pipe is whole or not there.
				fmt.Printf("ack %s %d %d\n", name, value, revision)
				out.Unlock()
			}
		})
	}
	all.Wait()
	return nil
}

// acknowledged is the last write of a resource that was told.
type acknowledged struct {
	value    int
	revision uint64
}

// TestKill kills a writing process again and again: what it acknowledged is there, and the log has no gap.
func TestKill(t *testing.T) {
	rounds := kills
	if n, err := strconv.Atoi(os.Getenv(killsEnv)); err == nil {
		rounds = n
	}
	path := filepath.Join(t.TempDir(), "store.db")
	told := map[string]acknowledged{}
	total := 0
	for range rounds {
		total += killOnce(t, path, told)
		checkTold(t, path, told)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d kills, %d acknowledged writes", rounds, total)
}

// killOnce lets a child write for a moment, kills it, and notes what it told.
func killOnce(t *testing.T, path string, told map[string]acknowledged) (count int) {
	c := startChild(t, "write", path)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lines := bufio.NewScanner(c.stdout)
	for lines.Scan() {
		if lines.Text() == "open" {
			// The moment is from before the first write to long after it.
			time.AfterFunc(time.Duration(rand.IntN(300))*time.Millisecond, func() {
				defer cancel()
				_ = c.Process.Kill()
			})
			continue
		}
		var name string
		var a acknowledged
		if n, _ := fmt.Sscanf(lines.Text(), "ack %s %d %d", &name, &a.value, &a.revision); n != 3 {
			t.Errorf("the child says %q", lines.Text())
		}
		told[name] = a
		count++
	}
	_ = c.Wait()
	if c.stderr.Len() > 0 {
		t.Errorf("the child says %s", &c.stderr)
	}
	<-ctx.Done()
	return count
}

func checkTold(t *testing.T, path string, told map[string]acknowledged) {
	t.Helper()
	set := storetest.NewSet()
	report, err := store.Check(t.Context(), path, set.Kinds())
	if err != nil || len(report.Faults) > 0 {
		t.Fatalf("%v, %v", err, report.Faults)
	}
	began := time.Now()
	s := openBolt(t, store.Options{Path: path, Kinds: set.Kinds(), KeepChanges: 500})
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("opening took %v", took)
	}
	defer s.Close()
	snapshot := s.Snapshot()
	for name, a := range told {
		r, there := snapshot.Get(storetest.GadgetKey("default", name))
		if a.revision > snapshot.Revision() {
			t.Errorf("revision %d was acknowledged, and the file is at %d", a.revision, snapshot.Revision())
		}
		switch {
		// A write after the told one may have come to the disk without being told.
		case there && r.Revision > a.revision:
		case !there && a.value == -1:
		case !there && deletedAfter(t, s, name, a.revision):
		case there && r.Revision == a.revision && r.Spec.(*storetest.Gadget).Size == a.value:
		default:
			t.Errorf("%s was acknowledged as %+v, and is %s", name, a, storetest.Line(t, r))
		}
	}
	noGap(t, s)
}

func deletedAfter(t *testing.T, s *store.Store, name string, revision uint64) bool {
	key := storetest.GadgetKey("default", name)
	changes, err := s.History(&key, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	return len(changes) == 1 && changes[0].After == nil && changes[0].Revision > revision
}

// noGap walks the log backwards.
func noGap(t *testing.T, s *store.Store) {
	changes, err := s.History(nil, 0, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	next := s.Snapshot().Revision()
	for _, c := range changes {
		if c.Revision != next || c.Index != 0 {
			t.Fatalf("the log has %d/%d where %d should be", c.Revision, c.Index, next)
		}
		next--
	}
}

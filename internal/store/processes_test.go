//go:build unix

package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/store"
	"github.com/kumactl/kumactl/internal/store/storetest"
)

// noContext is for children, which end when they are told to.
func noContext() context.Context { return context.Background() }

func TestSecondProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	holder := startChild(t, "hold", path)
	if line, err := holder.stdout.ReadString('\n'); line != "open\n" {
		t.Fatalf("%q, %v, %s", line, err, &holder.stderr)
	}
	kinds := storetest.NewSet().Kinds()
	pid := "process " + strconv.Itoa(holder.Process.Pid)
	_, err := store.Open(t.Context(), store.Options{Path: path, Kinds: kinds})
	wantError(t, err, problem.Conflict, path, pid, "kill")
	_, err = store.Open(t.Context(), store.Options{Path: path, Kinds: kinds, ReadOnly: true})
	wantError(t, err, problem.Conflict, path, pid)
	_, err = store.Check(t.Context(), path, kinds)
	wantError(t, err, problem.Conflict, path, pid)
	_, _, err = store.Compact(t.Context(), path)
	wantError(t, err, problem.Conflict, path, pid)
	_, err = store.Export(t.Context(), path, kinds, func(*resource.Resource) error { return nil })
	wantError(t, err, problem.Conflict, path, pid)

	// One that is going away is waited for.
	opened := make(chan error)
	go func() {
		s, err := store.Open(t.Context(), store.Options{Path: path, Kinds: kinds})
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	holder.stdin.Close()
	if err := holder.Wait(); err != nil {
		t.Errorf("%v: %s", err, &holder.stderr)
	}
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

// childIsLimited writes to a disk that is full: the kernel refuses to let files grow over a limit, as a full disk would, and
// without asking for rights. It then makes room.
func childIsLimited(path string) error {
	set := storetest.NewSet()
	ctx := noContext()
	s, err := store.Open(ctx, store.Options{Path: path, Kinds: set.Kinds()})
	if err != nil {
		return err
	}
	write := func(i int) error {
		r := set.Gadget("default", fmt.Sprintf("g%05d", i), i)
		r.Spec.(*storetest.Gadget).Note = strings.Repeat("x", 4_000)
		_, err := s.Update(ctx, storetest.Writer, func(tx *store.Tx) error { return tx.Put(r) })
		return err
	}
	signalIgnored()
	var all syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &all); err != nil {
		return err
	}
	limited := all
	limited.Cur = 3 << 20
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limited); err != nil {
		return err
	}
	good, refused := 0, error(nil)
	for refused == nil && good < 10_000 {
		if refused = write(good); refused == nil {
			good++
		}
	}
	p, ok := refused.(*problem.Error)
	if !ok || p.Code != problem.Unavailable || !strings.Contains(p.Detail, path) || !strings.Contains(p.Hint, "df -h") {
		return fmt.Errorf("after %d writes: %w", good, refused)
	}
	// As long as the disk is full every write is refused, and nothing changes.
	for range 3 {
		if err := write(good); problem.CodeOf(err) != problem.Unavailable {
			return fmt.Errorf("a write to a full disk: %w", err)
		}
	}
	if got := s.Snapshot(); got.Revision() != uint64(good) || got.Count(storetest.GadgetKind, "") != good {
		return fmt.Errorf("%d writes were acknowledged, and memory is at %d", good, got.Revision())
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &all); err != nil {
		return err
	}
	if err := write(good); err != nil {
		return fmt.Errorf("with room again: %w", err)
	}
	fmt.Println(good + 1)
	return s.Close()
}

func TestFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	c := startChild(t, "limited", path)
	line, readErr := c.stdout.ReadString('\n')
	if err := c.Wait(); err != nil || readErr != nil {
		t.Fatalf("%v, %v: %s", err, readErr, &c.stderr)
	}
	want, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || want < 50 {
		t.Fatalf("%q: the disk was full too soon for this to show anything", line)
	}
	s := openBolt(t, store.Options{Path: path, Kinds: storetest.NewSet().Kinds()})
	defer s.Close()
	if got := s.Snapshot().Count(storetest.GadgetKind, ""); got != want || s.Snapshot().Revision() != uint64(want) {
		t.Errorf("%d gadgets at revision %d, want %d at both", got, s.Snapshot().Revision(), want)
	}
	if got := len(allChanges(t, s)); got != want {
		t.Errorf("%d changes, want %d", got, want)
	}
}

// childIsUnprivileged opens a store as somebody who is not root, for root may do everything.
func childIsUnprivileged(path string) error {
	if os.Geteuid() == 0 {
		if err := syscall.Setuid(65534); err != nil {
			return err
		}
	}
	s, err := store.Open(noContext(), store.Options{Path: path, Kinds: storetest.NewSet().Kinds()})
	if err != nil {
		return err
	}
	return s.Close()
}

func TestRights(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(dir string) error
		words   []string
	}{
		"a directory that cannot be written": {func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "store.db.lock")), os.Chmod(dir, 0o555))
		}, []string{"--data-dir"}},
		"a file that cannot be read": {func(dir string) error {
			return errors.Join(os.Chmod(filepath.Join(dir, "store.db"), 0), os.Chmod(filepath.Join(dir, "store.db.lock"), 0o666))
		}, []string{"permission denied", "--data-dir", "this process runs as user"}},
		"a lock of somebody else": {func(dir string) error { return os.Chmod(filepath.Join(dir, "store.db.lock"), 0) }, []string{"permission denied", "--data-dir"}},
	} {
		t.Run(name, func(t *testing.T) {
			// T.TempDir lies in a directory that lets nobody else in; this one the test made itself and may open.
			top, err := os.MkdirTemp("", "kumactl-rights-")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(top) })
			dir := filepath.Join(top, "data")
			path := filepath.Join(dir, "store.db")
			set := storetest.NewSet()
			s := openBolt(t, store.Options{Path: path, Kinds: set.Kinds()})
			storetest.Put(t, s, set.Gadget("default", "a", 1))
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			before := fileBytes(t, path)
			for _, d := range []string{top, dir} {
				if err := os.Chmod(d, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.prepare(dir); err != nil {
				t.Fatal(err)
			}
			child := startChild(t, "unprivileged", path)
			if err := child.Wait(); err == nil {
				t.Fatal("it was opened")
			}
			for _, w := range append(c.words, path, "hint: ") {
				if !strings.Contains(child.stderr.String(), w) {
					t.Errorf("%q is not in %s", w, &child.stderr)
				}
			}
			if err := os.Chmod(path, 0o600); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(before, fileBytes(t, path)); diff != "" {
				t.Error("the file was changed")
			}
			if err := os.Chmod(dir, 0o700); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// signalIgnored lets writes over the limit of a file's size end with an error.
func signalIgnored() { signal.Ignore(syscall.SIGXFSZ) }

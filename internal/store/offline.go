package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

// Report is what Check found in a file that no process has open.
type Report struct {
	Path  string
	Bytes int64
	// FreeBytes are taken and unused: what Compact would give back, roughly.
	FreeBytes int64
	Schema    uint32
	// Revision is the newest; the log goes back to LogStart and holds LogChanges changes.
	Revision, LogStart, LogChanges uint64
	// Kinds counts the resources, Volatile the saved status, by kind.
	Kinds, Volatile map[string]int
	// Unknown names the kinds that this release does not know. Their resources stay as they are.
	Unknown []string
	// Faults tells everything that is wrong, at most 100 lines; a good file has none.
	Faults []string
	// CopyRevision is the revision of the last-good copy, CopyTime when it was made; zero when there is none.
	CopyRevision uint64
	CopyTime     time.Time
}

const (
	maxFaults = 100
	// checkTime bounds bbolt's own check.
	checkTime = 5 * time.Second
)

// Check reads a file and tells what is in it and what is wrong with it. It changes nothing. The error is for a file that cannot
// be read at all, or that a process has open (Conflict).
func Check(ctx context.Context, path string, kinds []*resource.Kind) (Report, error) {
	report := Report{Path: path, Kinds: map[string]int{}, Volatile: map[string]int{}}
	f, release, err := openOffline(ctx, path)
	if err != nil {
		return report, err
	}
	defer release()
	info, err := f.Stat()
	if err != nil {
		return report, diskError(path, "it is not read", err)
	}
	report.Bytes = info.Size()
	if good, err := os.Stat(path + goodSuffix); err == nil {
		if revision, err := goodRevision(path); err == nil {
			report.CopyRevision, report.CopyTime = revision, good.ModTime()
		}
	}
	c, err := readHead(f, report.fault)
	if err != nil {
		report.fault(err)
		return report, nil
	}
	if c.oneMeta {
		report.fault(errors.New("one of its two headers is not valid: the last write may be gone"))
	}
	report.Schema = c.schema
	if c.schema != schemaVersion {
		report.fault(fmt.Errorf("its schema is %d, and this release knows %d: the rest is not checked", c.schema, schemaVersion))
		return report, nil
	}
	index := newKindIndex(kinds)
	if err := c.readAll(index); err != nil {
		report.fault(err)
	}
	report.describe(c, index)
	// bbolt is let near the file only when nothing was found that would make it panic.
	if len(report.Faults) == 0 {
		boltCheck(ctx, path, report.fault)
	}
	return report, nil
}

// fault notes one thing that is wrong.
func (r *Report) fault(err error) {
	if len(r.Faults) < maxFaults {
		r.Faults = append(r.Faults, err.Error())
	}
}

// describe takes over what was read.
func (r *Report) describe(c *contents, index *kindIndex) {
	r.FreeBytes = int64(c.free+c.lost) * int64(c.pageSize)
	r.Revision, r.LogStart, r.LogChanges = c.state.revision, c.state.logStart, c.state.logCount
	for i, t := range c.trees {
		counts := r.Kinds
		if index.kinds[i].Volatile {
			counts = r.Volatile
		}
		if n := t.Len(); n > 0 {
			counts[index.kinds[i].Name] = n
		}
	}
	for _, e := range c.foreign {
		kind, _, _ := bytes.Cut(e.key, []byte{0})
		r.Kinds[string(kind)]++
		if !slices.Contains(r.Unknown, string(kind)) {
			r.Unknown = append(r.Unknown, string(kind))
		}
	}
	for _, note := range c.notes {
		r.fault(note)
	}
}

// boltCheck runs bbolt's own check, which sees what a search depends on. The pages are known to be sound by now, so it ends; on
// a slow disk that may be later than anybody wants to wait.
func boltCheck(ctx context.Context, path string, fault func(error)) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	db, err := bolt.Open(path, 0o600, boltOptions(func(o *bolt.Options) { o.ReadOnly = true }))
	if err != nil {
		fault(err)
		return
	}
	found := make(chan error)
	go func() {
		defer db.Close()
		defer close(found)
		err := db.View(func(tx *bolt.Tx) error {
			// All findings must be taken, or bbolt waits for ever.
			for err := range tx.Check() {
				select {
				case found <- err:
				case <-ctx.Done():
				}
			}
			return nil
		})
		if err != nil {
			select {
			case found <- err:
			case <-ctx.Done():
			}
		}
	}()
	for {
		select {
		case err, more := <-found:
			if !more {
				return
			}
			fault(err)
		case <-ctx.Done():
			fault(fmt.Errorf("bbolt's own check did not end: %w", ctx.Err()))
			return
		}
	}
}

// openOffline opens a file that no process may have open for writing.
func openOffline(ctx context.Context, path string) (f *os.File, release func(), err error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil, problem.New(problem.NotFound, "%s: there is no such file", path).WithHint("name the data directory with `--data-dir`")
	}
	lock, err := acquire(ctx, path, true, 0)
	if err != nil {
		return nil, nil, err
	}
	if f, err = os.Open(path); err != nil {
		_ = lock.release()
		return nil, nil, diskError(path, "it is not opened", err)
	}
	return f, func() {
		f.Close()
		_ = lock.release()
	}, nil
}

// Compact writes the file anew without its unused room, and gives its size in bytes before and after. The old file stays
// until the new one is whole. Errors are those of Open.
func Compact(ctx context.Context, path string) (before, after int64, err error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return 0, 0, problem.New(problem.NotFound, "%s: there is no such file", path).WithHint("name the data directory with `--data-dir`")
	}
	lock, err := acquire(ctx, path, false, 0)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = firstError(err, lock.release()) }()
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, diskError(path, "it is not opened", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, 0, diskError(path, "it is not read", err)
	}
	// A damaged file is not touched: less can be saved from a compacted one.
	if _, err := loadFile(path, newKindIndex(nil), schemaVersion); err != nil {
		if errors.Is(err, errOldSchema) {
			err = problem.New(problem.NotAllowed, "%s has the form of an older release", path).WithHint("start the control plane once, which brings it up to date")
		}
		return 0, 0, err
	}
	err = replaceFile(path, func(tmp string) error {
		if err := buildFile(tmp, func(put put) error { return copyRaw(f, put) }); err != nil {
			return err
		}
		// The old one goes only when the new one was read.
		_, err := loadFile(tmp, newKindIndex(nil), schemaVersion)
		return err
	})
	if err != nil {
		return 0, 0, diskError(path, "it is not compacted", err)
	}
	now, err := os.Stat(path)
	if err != nil {
		return 0, 0, diskError(path, "it is not read", err)
	}
	return info.Size(), now.Size(), nil
}

// copyRaw puts every entry of every bucket as it is.
func copyRaw(f *os.File, put put) error {
	c, err := readHead(f, nil)
	if err != nil {
		return err
	}
	// The meta bucket was visited by readHead already.
	c.seen = nil
	for name, b := range c.buckets {
		if err := c.each(b, func(e element) error { return put(name, e.key, bytes.Clone(e.value)) }); err != nil {
			return err
		}
	}
	return nil
}

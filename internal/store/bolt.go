package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

const (
	// allocBytes is the step in which the file grows.
	allocBytes = 1 << 20
	// lockWait is how long Open waits for another process to let go, and bbolt for its own lock.
	lockWait = time.Second
)

func boltOptions(set func(*bolt.Options)) *bolt.Options {
	o := &bolt.Options{Timeout: lockWait, FreelistType: bolt.FreelistMapType, NoStatistics: true}
	set(o)
	return o
}

// boltEngine keeps resources and log in one bbolt file. After the start it reads nothing of it but the log: memory has the rest.
type boltEngine struct {
	path    string
	options Options
	kinds   *kindIndex
	// lock keeps other processes out as long as the engine lives, also while the file is opened again.
	lock *fileLock
	// foreign are records of unknown kinds, for the last-good copy.
	foreign []entry
	good    goodCopy

	// mu is held for reading by those who read the log, for writing while the file is opened again.
	mu sync.RWMutex
	// db is nil after Close, and between a panic and the next commit.
	db *bolt.DB
	// file is the one that db uses.
	file *os.File

	// revision is the last one that was acknowledged.
	revision uint64
	// suspect is set when a commit went wrong: the file is opened again before the next one. panicked is set when bbolt
	// panicked: then every page is checked first.
	suspect, panicked bool
	// doubt holds, for the resources of commits that went wrong, what is right: such a commit may be in the file all the
	// same, when only its last flush did not work. The next commit writes the right ones again.
	doubt map[resource.Key]*resource.Resource
	// fault is nil outside tests.
	fault func(committed bool) error
}

// openDB opens the file with bbolt.
func (b *boltEngine) openDB() error {
	db, err := bolt.Open(b.path, 0o600, boltOptions(func(o *bolt.Options) {
		o.ReadOnly = b.options.ReadOnly
		// The file was there and was checked; should it be gone by now, an empty one must not take its place.
		o.OpenFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag&^os.O_CREATE, mode)
			b.file = f
			return f, err
		}
	}))
	if errors.Is(err, bolterrors.ErrTimeout) {
		return inUse(b.path, 0)
	}
	if err != nil {
		return diskError(b.path, "it is not opened", err)
	}
	db.AllocSize = allocBytes
	b.db = db
	return nil
}

// reopen closes and opens the file after a commit that went wrong, for bbolt's own picture of it may be wrong too.
func (b *boltEngine) reopen() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.db != nil {
		// The changes that matter are in memory and in doubt; what closing says changes nothing.
		_ = b.db.Close()
		b.db = nil
	}
	if err := b.recheck(); err != nil {
		return err
	}
	b.panicked = false
	return guarded(b.openDB)
}

// recheck looks at the file before bbolt gets to see it again.
func (b *boltEngine) recheck() error {
	f, err := os.Open(b.path)
	if err != nil {
		return diskError(b.path, "it is not opened again", err)
	}
	defer f.Close()
	c, err := readHead(f, nil)
	if err == nil && b.panicked {
		err = c.readAll(b.kinds)
	}
	if err != nil {
		return damaged(b.path, err)
	}
	return nil
}

// panicError is what bbolt panicked with: a page is not what it should be.
type panicError struct{ value any }

func (p panicError) Error() string { return fmt.Sprint(p.value) }

func (p panicError) Unwrap() error { return ErrDamaged }

// guarded turns a panic or a fault of bbolt, which trusts the file, into an error.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = panicError{p}
		}
	}()
	return f()
}

// update runs one bbolt transaction: two flushes of the disk, of the pages and then of the header that makes them count. The
// error is for people.
func (b *boltEngine) update(f func(*bolt.Tx) error) error {
	if b.suspect || b.db == nil {
		if err := b.reopen(); err != nil {
			return err
		}
		b.suspect = false
	}
	err := guarded(func() error {
		return b.db.Update(func(tx *bolt.Tx) error {
			return firstError(f(tx), b.faulty(false))
		})
	})
	err = firstError(err, b.faulty(true))
	if err == nil {
		return nil
	}
	b.suspect = true
	if _, ok := errors.AsType[panicError](err); ok {
		// bbolt may hold its own locks for good now, so it cannot be closed, and it is left alone. What it mapped would keep
		// the file's lock.
		b.mu.Lock()
		b.db, b.panicked = nil, true
		abandon(b.file)
		b.mu.Unlock()
	}
	if errors.Is(err, ErrDamaged) {
		return damaged(b.path, err)
	}
	return diskError(b.path, "the change is not saved", err)
}

// faulty asks the test's disk whether it works.
func (b *boltEngine) faulty(committed bool) error {
	if b.fault == nil {
		return nil
	}
	return b.fault(committed)
}

// commit writes a group in one transaction of bbolt. The order matters: what earlier failures may have left is undone before
// anything is put on top of it, and the log is trimmed when it has its new entries.
func (b *boltEngine) commit(group []transaction) error {
	err := b.update(func(tx *bolt.Tx) error {
		w, err := newFileWriter(tx, b.options)
		if err != nil {
			return err
		}
		if err := w.heal(b.doubt, b.revision); err != nil {
			return err
		}
		for _, t := range group {
			if err := w.apply(t); err != nil {
				return err
			}
		}
		if err := w.trim(); err != nil {
			return err
		}
		return w.save()
	})
	if err != nil {
		b.doubtful(group)
		return err
	}
	b.doubt = nil
	if len(group) > 0 {
		b.revision = group[len(group)-1].revision
	}
	return nil
}

// doubtful notes what is right where the group may have written something else.
func (b *boltEngine) doubtful(group []transaction) {
	if b.doubt == nil {
		b.doubt = map[resource.Key]*resource.Resource{}
	}
	for _, t := range group {
		for _, c := range t.changes {
			// Of several writes of one resource the first knows what memory has.
			if _, known := b.doubt[c.Key]; !known {
				b.doubt[c.Key] = c.Before
			}
		}
	}
}

// saveVolatile has a commit of its own. It gets no revision, and the state in meta does not know of it.
func (b *boltEngine) saveVolatile(put []*resource.Resource, remove []resource.Key) error {
	return b.update(func(tx *bolt.Tx) error {
		bucket := tx.Bucket([]byte(bucketVolatile))
		for _, r := range put {
			record, err := encodeRecord(r)
			if err != nil {
				return fmt.Errorf("%s: %w", describe(r.Key()), err)
			}
			key := keyBytes(r.Key())
			if err := bucket.Put(key, sealed(key, record)); err != nil {
				return err
			}
		}
		for _, k := range remove {
			if err := bucket.Delete(keyBytes(k)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *boltEngine) close(last Snapshot) error {
	b.good.stop()
	if len(b.doubt) > 0 {
		// An empty commit heals.
		if err := b.commit(nil); err != nil {
			b.options.Logger.Warn("a write that went wrong may still be in the file", "error", err)
		}
	}
	if !b.options.ReadOnly {
		b.good.write(context.Background(), b, last)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var err error
	if b.db != nil {
		err = guarded(b.db.Close)
		b.db = nil
	}
	if err = errors.Join(err, b.lock.release()); err != nil {
		return problem.New(problem.Unavailable, "%s: it is not closed: %w", b.path, err)
	}
	return nil
}

package store

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/kumactl/kumactl/internal/resource"
)

// Sizes of what a watcher gets at once and of what is kept for it in memory, in changes.
const (
	watchBatch  = 1_024
	feedChanges = 2_048
)

// ErrCompacted says that the log no longer reaches back to the revision asked for: take a Snapshot and watch from there.
var ErrCompacted = errors.New("the change log no longer reaches back to that revision")

// feed keeps the newest changes and wakes those who wait for more. Readers come and take; nothing is pushed to them, so a slow
// one holds up nobody.
type feed struct {
	mu sync.Mutex
	// recent holds whole transactions, the oldest first, revisions without a gap, up to last.
	recent []transaction
	count  int
	last   uint64
	wake   chan struct{}
}

func newFeed(last uint64) *feed { return &feed{last: last, wake: make(chan struct{})} }

func (f *feed) add(group []transaction) {
	if len(group) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range group {
		t.records = nil
		f.recent = append(f.recent, t)
		f.count += len(t.changes)
		f.last = t.revision
	}
	// Snapshots hold the newest values anyway; what is dropped here frees the ones before them.
	drop := 0
	for ; f.count > feedChanges && drop < len(f.recent)-1; drop++ {
		f.count -= len(f.recent[drop].changes)
	}
	clear(f.recent[:drop])
	f.recent = f.recent[drop:]
	// Everybody who waits has this channel and will come for the changes; the next to wait get another.
	close(f.wake)
	f.wake = make(chan struct{})
}

// after gives the changes after a revision, and which it went to. older says that they must be read from the log; the channel,
// which is set when there are none yet, is closed when there are.
func (f *feed) after(revision uint64) (answer found, older bool, wake <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if revision >= f.last {
		return found{}, false, f.wake
	}
	first := f.last - uint64(len(f.recent)) + 1
	if revision+1 < first {
		return found{}, true, nil
	}
	answer.through = revision
	for _, t := range f.recent[revision+1-first:] {
		answer.changes = append(answer.changes, t.changes...)
		answer.through = t.revision
		if len(answer.changes) >= watchBatch {
			break
		}
	}
	return answer, false, nil
}

// Watch is a place in the log. It holds nothing of the store, so it needs no closing; it is for one goroutine.
type Watch struct {
	store *Store
	at    uint64
}

// Watch gives the changes after a revision, which is mostly that of a Snapshot.
func (s *Store) Watch(from uint64) *Watch { return &Watch{store: s, at: from} }

// Next waits for changes and returns some of them, in order, never a part of a transaction. Errors: ErrCompacted, the
// context's, Unavailable when the store is closed, or what reading the disk ended with.
func (w *Watch) Next(ctx context.Context) ([]Change, error) {
	if w.at > w.store.Snapshot().revision {
		return nil, ErrCompacted
	}
	for {
		answer, older, wake := w.store.feed.after(w.at)
		switch {
		case older:
			var err error
			if answer, err = w.store.engine.read(query{after: w.at, limit: watchBatch}); err != nil {
				return nil, err
			}
		case wake != nil:
			select {
			case <-wake:
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-w.store.stopped:
				return nil, errClosed()
			}
			continue
		}
		w.at = answer.through
		// Changes of kinds that this release does not know are passed over.
		if len(answer.changes) > 0 {
			return answer.changes, nil
		}
	}
}

// History gives changes before a revision (0: up to now), the newest first, of one resource or of all (nil), as far as the log
// reaches back. A limit below 1 means 100.
func (s *Store) History(k *resource.Key, before uint64, limit int) ([]Change, error) {
	if limit < 1 {
		limit = 100
	}
	answer, err := s.engine.read(query{before: before, backward: true, key: k, limit: limit})
	return slices.Clip(answer.changes), err
}

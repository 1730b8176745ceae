package store

import (
	"bytes"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// readAtOnce bounds the entries that one read transaction of bbolt copies. While one is open the file cannot reuse pages, so none
// stays open while anything is decoded or waited for.
const readAtOnce = 256

// view runs one short read transaction.
func (b *boltEngine) view(f func(*bolt.Tx) error) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.db == nil {
		return errClosed()
	}
	err := guarded(func() error { return b.db.View(f) })
	if errors.Is(err, ErrDamaged) {
		return damaged(b.path, err)
	}
	return err
}

// read runs on the goroutine of whoever asks, beside the writer.
func (b *boltEngine) read(q query) (found, error) {
	if q.backward {
		return b.readBackward(q)
	}
	return b.readForward(q)
}

// readForward reads whole transactions after a revision until the limit is reached or the log ends.
func (b *boltEngine) readForward(q query) (found, error) {
	answer := found{through: q.after}
	dec := newDecoder(b.kinds)
	for len(answer.changes) < q.limit {
		entries, start, err := b.copyLog(logKey(answer.through+1, 0), q.limit-len(answer.changes))
		if err != nil {
			return found{}, err
		}
		// Trimming goes on while the log is read in pieces, so each piece is checked.
		if answer.through+1 < start {
			return found{}, ErrCompacted
		}
		if len(entries) == 0 {
			break
		}
		for _, e := range entries {
			c, known, err := decodeLogEntry(dec, e)
			if err != nil {
				// The watcher goes on from a snapshot, which is whole.
				return found{}, fmt.Errorf("%w: %w", ErrCompacted, damaged(b.path, err))
			}
			if known {
				answer.changes = append(answer.changes, c)
			}
			answer.through = c.Revision
		}
	}
	return answer, nil
}

// copyLog copies entries from a key on, at least one transaction and always whole ones, and tells where the log starts.
func (b *boltEngine) copyLog(from []byte, limit int) (entries []entry, start uint64, err error) {
	err = b.view(func(tx *bolt.Tx) error {
		state, err := decodeState(tx.Bucket([]byte(bucketMeta)).Get([]byte(metaState)))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		start = state.logStart
		c := tx.Bucket([]byte(bucketLog)).Cursor()
		for k, v := c.Seek(from); k != nil; k, v = c.Next() {
			n := len(entries)
			// The first 8 bytes of a key are the revision.
			if n >= min(limit, readAtOnce) && !bytes.Equal(entries[n-1].key[:8], k[:8]) {
				break
			}
			entries = append(entries, entry{bytes.Clone(k), bytes.Clone(v)})
		}
		return nil
	})
	return entries, start, err
}

// decodeLogEntry gives the change; known is false, and only Revision set, for a kind that the store does not know.
func decodeLogEntry(dec *decoder, e entry) (c Change, known bool, err error) {
	revision, index, err := parseLogKey(e.key)
	if err != nil {
		return Change{}, false, err
	}
	content, err := opened(e.key, e.value)
	if err == nil {
		var raw rawChange
		if raw, err = decodeChange(content); err == nil {
			c, known, err = dec.change(raw, index)
		}
	}
	if err != nil {
		return Change{}, false, fmt.Errorf("log entry %d/%d: %w", revision, index, err)
	}
	c.Revision = revision
	return c, known, nil
}

// readBackward reads the changes before a revision, the newest first.
func (b *boltEngine) readBackward(q query) (found, error) {
	var answer found
	dec := newDecoder(b.kinds)
	var before []byte
	if q.before > 0 {
		before = logKey(q.before, 0)
	}
	for {
		entries, err := b.copyLogBackward(before)
		if err != nil || len(entries) == 0 {
			return answer, err
		}
		for _, e := range entries {
			if len(answer.changes) == q.limit {
				return answer, nil
			}
			c, known, err := decodeLogEntry(dec, e)
			if err != nil {
				return found{}, damaged(b.path, err)
			}
			if known && (q.key == nil || c.Key == *q.key) {
				answer.changes = append(answer.changes, c)
			}
		}
		before = entries[len(entries)-1].key
	}
}

func (b *boltEngine) copyLogBackward(before []byte) (entries []entry, err error) {
	err = b.view(func(tx *bolt.Tx) error {
		c := tx.Bucket([]byte(bucketLog)).Cursor()
		k, v := c.Last()
		if before != nil {
			// Prev from the first key that is not before; from behind the end when there is none.
			if found, _ := c.Seek(before); found != nil {
				k, v = c.Prev()
			} else {
				k, v = c.Last()
			}
		}
		for ; k != nil && len(entries) < readAtOnce; k, v = c.Prev() {
			entries = append(entries, entry{bytes.Clone(k), bytes.Clone(v)})
		}
		return nil
	})
	return entries, err
}

package store

import (
	"bytes"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/kumactl/kumactl/internal/resource"
)

// trimAtOnce bounds how many entries of the log one commit removes, so that none waits long for it.
const trimAtOnce = 1_024

// fileWriter writes one commit: it keeps buckets and state in step.
type fileWriter struct {
	options Options

	meta      *bolt.Bucket
	resources *bolt.Bucket
	log       *bolt.Bucket
	// state is as the file has it, which after a commit that went wrong is not what memory has.
	state fileState
}

func newFileWriter(tx *bolt.Tx, o Options) (*fileWriter, error) {
	w := &fileWriter{
		options:   o,
		meta:      tx.Bucket([]byte(bucketMeta)),
		resources: tx.Bucket([]byte(bucketResources)),
		log:       tx.Bucket([]byte(bucketLog)),
	}
	// Keys of the log only ever grow, so its pages are left full.
	w.log.FillPercent = 0.95
	var err error
	w.state, err = decodeState(w.meta.Get([]byte(metaState)))
	return w, err
}

// save is the last step of a commit.
func (w *fileWriter) save() error { return w.meta.Put([]byte(metaState), w.state.encode()) }

// heal makes the file what it was after the given revision, whether or not commits that went wrong are in it.
func (w *fileWriter) heal(right map[resource.Key]*resource.Resource, revision uint64) error {
	if len(right) == 0 {
		return nil
	}
	for k, r := range right {
		var record []byte
		if r != nil {
			var err error
			if record, err = encodeRecord(r); err != nil {
				return fmt.Errorf("%s: %w", describe(k), err)
			}
		}
		if _, err := w.set(keyBytes(k), record); err != nil {
			return err
		}
	}
	// Entries of commits that went wrong have revisions that were never acknowledged and will be given again.
	var late [][]byte
	c := w.log.Cursor()
	for k, _ := c.Seek(logKey(revision+1, 0)); k != nil; k, _ = c.Next() {
		late = append(late, bytes.Clone(k))
	}
	if err := w.unlog(late); err != nil {
		return err
	}
	w.state.revision = revision
	if w.state.logCount == 0 {
		w.state.logStart = revision + 1
	}
	return nil
}

// set puts a record, or removes it when it is nil, and gives the record that was there.
func (w *fileWriter) set(key, record []byte) (before []byte, err error) {
	if old := w.resources.Get(key); old != nil {
		if before, err = opened(key, old); err != nil {
			return nil, fmt.Errorf("%w: record %q: %w", ErrDamaged, key, err)
		}
		w.state.dropRecord(old)
	}
	if record == nil {
		return before, w.resources.Delete(key)
	}
	value := sealed(key, record)
	w.state.addRecord(value)
	return before, w.resources.Put(key, value)
}

// apply writes the resources of a transaction and its entries of the log.
func (w *fileWriter) apply(t transaction) error {
	for i, c := range t.changes {
		before, err := w.set(keyBytes(c.Key), t.records[i])
		if err != nil {
			return err
		}
		// Memory was loaded from this file and has seen every commit: when they differ, the file was changed behind our back.
		if (before == nil) != (c.Before == nil) {
			return fmt.Errorf("%w: %s is in the file or in memory alone", ErrDamaged, describe(c.Key))
		}
		raw, err := encodeChange(c, before, t.records[i])
		if err != nil {
			return err
		}
		key := logKey(t.revision, i)
		value := sealed(key, raw)
		if err := w.log.Put(key, value); err != nil {
			return err
		}
		w.state.logCount++
		w.state.logBytes += uint64(len(value))
	}
	w.state.revision = t.revision
	return nil
}

// unlog removes entries of the log.
func (w *fileWriter) unlog(keys [][]byte) error {
	for _, k := range keys {
		w.state.logCount--
		w.state.logBytes -= uint64(len(w.log.Get(k)))
		if err := w.log.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// trim removes the oldest transactions from the log, never the newest. It begins when the log is an eighth over a bound, so
// that most commits leave the old end of the log alone.
func (w *fileWriter) trim() error {
	count, size := w.state.logCount, w.state.logBytes
	keep, keepSize := uint64(w.options.KeepChanges), uint64(w.options.KeepBytes)
	oldest := w.options.Now().Add(-w.options.KeepAge)
	c := w.log.Cursor()
	k, v := c.First()
	if k == nil || count <= keep+keep/8 && size <= keepSize+keepSize/8 && !olderThan(v, oldest) {
		return nil
	}
	// pending are the entries of the transaction under the cursor, drop those of whole transactions. Keys are collected first:
	// deleting moves a cursor.
	var drop, pending [][]byte
	start := w.state.logStart
	for ; k != nil && len(drop) < trimAtOnce; k, v = c.Next() {
		revision, _, err := parseLogKey(k)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		if revision != start {
			// The transaction before this one is complete.
			drop, pending, start = append(drop, pending...), pending[:0], revision
		}
		over := count > keep || size > keepSize || olderThan(v, oldest)
		if len(pending) == 0 && !over || revision == w.state.revision {
			break
		}
		pending = append(pending, bytes.Clone(k))
		count, size = count-1, size-uint64(len(v))
	}
	w.state.logStart = start
	return w.unlog(drop)
}

// olderThan says whether an entry of the log is from before a time; what cannot be read is.
func olderThan(value []byte, oldest time.Time) bool {
	if len(value) < sumBytes {
		return true
	}
	c, err := decodeChange(value[sumBytes:])
	return err != nil || c.time.Before(oldest)
}

package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
)

// goodCopy keeps the last-good copy: a file beside the store's own, as of the last time that the store was opened or closed in
// order. It is written from memory, so that it holds nothing that was not decoded, and no reader is held open for it.
type goodCopy struct {
	// cancel ends the copying in the background, done waits for it.
	cancel context.CancelFunc
	done   sync.WaitGroup
	// have tells the revision of the copy.
	have atomic.Uint64
	// exists is false while there is no copy that can be used.
	exists atomic.Bool
}

// start brings the copy up to date in the background.
func (g *goodCopy) start(b *boltEngine, snapshot Snapshot) {
	ctx, cancel := context.WithCancel(context.Background())
	g.cancel = cancel
	g.done.Go(func() {
		if revision, err := goodRevision(b.path); err == nil {
			g.have.Store(revision)
			g.exists.Store(true)
		}
		g.write(ctx, b, snapshot)
	})
}

// stop ends what start began and waits for it.
func (g *goodCopy) stop() {
	if g.cancel != nil {
		g.cancel()
	}
	g.done.Wait()
}

// write replaces the copy when the log has advanced since it was made.
func (g *goodCopy) write(ctx context.Context, b *boltEngine, snapshot Snapshot) {
	if g.exists.Load() && g.have.Load() == snapshot.revision {
		return
	}
	err := replaceFile(b.path+goodSuffix, func(tmp string) error {
		return buildFile(tmp, func(put put) error { return b.copyTo(ctx, put, snapshot) })
	})
	switch {
	case err == nil:
		g.have.Store(snapshot.revision)
		g.exists.Store(true)
	case !errors.Is(err, context.Canceled):
		b.options.Logger.Warn("the last-good copy is not renewed", "file", b.path+goodSuffix, "error", err)
	}
}

// copyTo puts the snapshot, and the log up to its revision.
func (b *boltEngine) copyTo(ctx context.Context, put put, snapshot Snapshot) error {
	state := fileState{revision: snapshot.revision, logStart: snapshot.revision + 1}
	for i, kind := range b.kinds.kinds {
		bucket := bucketResources
		if kind.Volatile {
			bucket = bucketVolatile
		}
		for _, r := range snapshot.trees[i].Items() {
			record, err := encodeRecord(r)
			if err != nil {
				return fmt.Errorf("%s: %w", describe(r.Key()), err)
			}
			key := keyBytes(r.Key())
			value := sealed(key, record)
			if !kind.Volatile {
				state.addRecord(value)
			}
			if err := put(bucket, key, value); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	// Nothing can write these, so what was read at the start is what is there.
	for _, e := range b.foreign {
		state.addRecord(e.value)
		if err := put(bucketResources, e.key, e.value); err != nil {
			return err
		}
	}
	if err := b.copyLogTo(ctx, put, &state); err != nil {
		return err
	}
	return putMeta(put, state)
}

// copyLogTo copies the log in pieces. When it is trimmed faster than that, the copy waits for
// the next occasion.
func (b *boltEngine) copyLogTo(ctx context.Context, put put, state *fileState) error {
	from, end := logKey(0, 0), logKey(state.revision+1, 0)
	var last uint64
	for ctx.Err() == nil {
		entries, _, err := b.copyLog(from, readAtOnce)
		if err != nil {
			return err
		}
		for _, e := range entries {
			// The writer is already further than the snapshot.
			if bytes.Compare(e.key, end) >= 0 {
				return nil
			}
			revision, _, err := parseLogKey(e.key)
			if err != nil {
				return err
			}
			if state.logCount == 0 {
				state.logStart, last = revision, revision
			}
			if revision > last+1 {
				return errors.New("the log was trimmed meanwhile")
			}
			last = revision
			if err := put(bucketLog, e.key, e.value); err != nil {
				return err
			}
			state.logCount++
			state.logBytes += uint64(len(e.value))
			from = logKey(revision+1, 0)
		}
		if len(entries) == 0 {
			return nil
		}
	}
	return ctx.Err()
}

// putMeta makes the file complete: without it nobody opens it.
func putMeta(put put, state fileState) error {
	if err := put(bucketMeta, []byte(metaSchema), encodeSchema(schemaVersion)); err != nil {
		return err
	}
	return put(bucketMeta, []byte(metaState), state.encode())
}

// goodRevision tells the revision of the copy.
func goodRevision(path string) (uint64, error) {
	f, err := os.Open(path + goodSuffix)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	c, err := readHead(f, nil)
	if err != nil {
		return 0, err
	}
	return c.state.revision, nil
}

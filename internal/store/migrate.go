package store

import (
	"fmt"
	"io"
	"os"

	bolt "go.etcd.io/bbolt"

	"github.com/kumactl/kumactl/internal/problem"
)

// migration brings a file from one schema version to the next, within one transaction.
type migration func(*bolt.Tx) error

// migrations gives the step from each version to the next: the first is from 0. They are kept for good. A step must work on
// what is in the file alone, not on types of this release. Version 0 was never released; its step does nothing.
func migrations() []migration {
	return []migration{
		func(*bolt.Tx) error { return nil },
	}
}

// migrate copies the file and then takes all steps in one transaction.
func (b *boltEngine) migrate(from uint32, steps []migration) error {
	if b.options.ReadOnly {
		return problem.New(problem.NotAllowed, "%s has the form of an older release (schema %d), and it is open for reading only", b.path, from).
			WithHint("start the control plane once, which brings it up to date")
	}
	// Whoever has to go back to the older release finds what it can read.
	kept := fmt.Sprintf("%s.schema%d", b.path, from)
	if err := replaceFile(kept, func(tmp string) error { return copyFile(b.path, tmp) }); err != nil {
		return diskError(kept, "the copy from before the migration is not made", err)
	}
	if err := guarded(b.openDB); err != nil {
		return err
	}
	err := b.update(func(tx *bolt.Tx) error {
		for version := int(from); version < len(steps); version++ {
			if err := steps[version](tx); err != nil {
				return problem.New(problem.Internal, "%s: from schema %d to %d: %w", b.path, version, version+1, err).
					WithHint("nothing was changed; go on with the release that wrote it, and report this")
			}
		}
		return tx.Bucket([]byte(bucketMeta)).Put([]byte(metaSchema), encodeSchema(uint32(len(steps))))
	})
	// The file is read anew after this, and then opened again.
	if b.db != nil {
		err = firstError(err, guarded(b.db.Close))
		b.db = nil
	}
	if err == nil {
		b.options.Logger.Info("the store's file has the form of this release now", "file", b.path, "from", from, "to", len(steps), "copy", kept)
	}
	return err
}

// firstError is the error to tell when several steps were taken all the same.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// copyFile copies and flushes; the copy must not exist yet.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return firstError(err, out.Sync(), out.Close())
}

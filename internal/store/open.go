package store

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/kumactl/kumactl/internal/problem"
)

// Open opens the store in a file, or makes it. It reads the whole file into memory, having checked every page and record of it;
// a file that is damaged in a way that matters stays as it is and is refused. The error is a *problem.Error that names the file
// and says what to do: Conflict when another process has it (after a second of waiting), Unavailable when the disk or the rights
// are in the way, Internal with the cause ErrDamaged, NotFound when it is to be read only and there is none.
func Open(ctx context.Context, o Options) (*Store, error) {
	return open(ctx, o, parts{steps: migrations()})
}

// parts are what tests put others in place of.
type parts struct {
	steps []migration
	// fault stands in for a disk that does not work: asked before each commit, and after it, when what it says comes too late.
	fault func(committed bool) error
}

func open(ctx context.Context, o Options, p parts) (s *Store, err error) {
	o = o.withDefaults()
	if !o.ReadOnly {
		if err := makeDir(o.Path); err != nil {
			return nil, err
		}
	}
	// Nothing of the file is looked at before it is ours.
	lock, err := acquire(ctx, o.Path, o.ReadOnly, lockWait)
	if err != nil {
		return nil, err
	}
	b := &boltEngine{path: o.Path, options: o, kinds: newKindIndex(o.Kinds), lock: lock, fault: p.fault}
	defer func() {
		if err != nil {
			// The first error is the one to tell.
			_ = lock.release()
		}
	}()
	missing, err := checkFile(o)
	if err == nil && missing {
		err = create(o)
	}
	if err != nil {
		return nil, err
	}
	c, err := b.load(p.steps)
	if err != nil {
		return nil, err
	}
	if err := guarded(b.openDB); err != nil {
		if errors.Is(err, ErrDamaged) {
			err = damaged(o.Path, err)
		}
		return nil, err
	}
	snapshot := Snapshot{picture{b.kinds, c.trees}, c.state.revision}
	b.revision, b.foreign = c.state.revision, c.foreign
	if !o.ReadOnly {
		b.good.start(b, snapshot)
	}
	return start(o, b, snapshot), nil
}

// load reads the file, after bringing it up to date, and tells what is odd about it.
func (b *boltEngine) load(steps []migration) (*contents, error) {
	c, err := loadFile(b.path, b.kinds, uint32(len(steps)))
	if errors.Is(err, errOldSchema) {
		if err := b.migrate(c.schema, steps); err != nil {
			return nil, err
		}
		c, err = loadFile(b.path, b.kinds, uint32(len(steps)))
	}
	if err != nil {
		return nil, err
	}
	if c.oneMeta {
		b.options.Logger.Warn("one of the two headers of the store's file is damaged: the last write may be gone", "file", b.path)
	}
	for _, note := range c.notes {
		b.options.Logger.Warn("the store's file is damaged where it does not matter", "file", b.path, "error", note)
	}
	if len(c.foreign) > 0 {
		b.options.Logger.Warn("resources of kinds that this release does not know stay in the file unseen", "count", len(c.foreign))
	}
	return c, nil
}

// create makes an empty store, whole or not at all, so that an empty file is never one.
func create(o Options) error {
	if o.ReadOnly {
		return problem.New(problem.NotFound, "%s: there is no such file", o.Path).WithHint("name the data directory with `--data-dir`")
	}
	if _, err := os.Stat(o.Path + goodSuffix); err == nil {
		return problem.New(problem.Unavailable, "%s is gone, and its copy %s%s is there", o.Path, o.Path, goodSuffix).
			WithHint("to go back to the copy: `cp -p %s%s %s`; to start with an empty store: `rm %s%s`",
				o.Path, goodSuffix, o.Path, o.Path, goodSuffix)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return diskError(o.Path, "it is not made", err)
	}
	err := replaceFile(o.Path, func(tmp string) error {
		return buildFile(tmp, func(put put) error { return putMeta(put, fileState{logStart: 1}) })
	})
	if err != nil {
		return diskError(o.Path, "it is not made", err)
	}
	return nil
}

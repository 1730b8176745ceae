package store

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/kumactl/kumactl/internal/resource"
)

// volatileEvery is how long a volatile write may wait in memory before it is saved.
const volatileEvery = 5 * time.Second

// volatile is what the store knows of unsaved volatile writes. All but changed is guarded by Store.publishing.
type volatile struct {
	dirty map[resource.Key]struct{}
	timer *time.Timer
	// changed is closed at the next volatile write; nil while nobody asked.
	changed atomic.Pointer[chan struct{}]
}

// tell wakes those who wait for a volatile change.
func (v *volatile) tell() {
	if c := v.changed.Swap(nil); c != nil {
		close(*c)
	}
}

// WatchVolatile gives a channel that is closed when the volatile state changes next. Call it before taking the snapshot that
// is shown, and again after it was closed: changes in between are told once.
func (s *Store) WatchVolatile() <-chan struct{} {
	for {
		if c := s.volatile.changed.Load(); c != nil {
			return *c
		}
		c := make(chan struct{})
		if s.volatile.changed.CompareAndSwap(nil, &c) {
			return c
		}
	}
}

// PutVolatile writes a resource of a volatile kind to memory, seen by every later snapshot, and to the disk within some
// seconds. It sets Created, Modified and Revision (that of the state it joins) in r, which belongs to the store from then on.
// Resources of other kinds are ignored.
func (s *Store) PutVolatile(r *resource.Resource) { s.writeVolatile(r.Key(), r) }

// DeleteVolatile removes a resource of a volatile kind; nothing happens when there is none.
func (s *Store) DeleteVolatile(k resource.Key) { s.writeVolatile(k, nil) }

// writeVolatile publishes at once, beside the writer: what the writer publishes next starts from there.
func (s *Store) writeVolatile(k resource.Key, r *resource.Resource) {
	i, ok := s.kinds.byName[k.Kind]
	if !ok || !s.kinds.kinds[i].Volatile {
		s.options.Logger.Error("not a volatile resource", "kind", k.Kind, "mesh", k.Mesh, "name", k.Name)
		return
	}
	s.publishing.Lock()
	current := s.published.Load()
	old, had := current.trees[i].Get(at(k.Mesh, k.Name))
	if r == nil && !had {
		s.publishing.Unlock()
		return
	}
	if r != nil {
		if r == old {
			again := *r
			r = &again
		}
		now := wall(s.options.Now())
		r.Created, r.Modified, r.Revision = now, now, current.revision
		if had {
			r.Created = old.Created
		}
	}
	trees := slices.Clone(current.trees)
	edit := treeEditor{kinds: s.kinds, trees: trees}
	edit.set(k, r)
	s.dirty(k)
	s.published.Store(&Snapshot{picture{s.kinds, trees}, current.revision})
	s.publishing.Unlock()
	s.volatile.tell()
}

// dirty notes that a volatile resource is to be saved, and sets the timer when it is the first.
func (s *Store) dirty(k resource.Key) {
	if s.options.ReadOnly {
		return
	}
	s.volatile.dirty[k] = struct{}{}
	if s.volatile.timer == nil {
		s.volatile.timer = time.AfterFunc(volatileEvery, func() {
			select {
			case s.flush <- struct{}{}:
			default:
			}
		})
	}
}

// saveVolatile writes what is dirty. What could not be saved stays dirty and is tried again.
func (s *Store) saveVolatile() {
	s.publishing.Lock()
	dirty := s.volatile.dirty
	s.volatile.dirty = map[resource.Key]struct{}{}
	if s.volatile.timer != nil {
		s.volatile.timer.Stop()
		s.volatile.timer = nil
	}
	snapshot := s.published.Load()
	s.publishing.Unlock()
	if len(dirty) == 0 {
		return
	}
	var put []*resource.Resource
	var remove []resource.Key
	// What is written now is what is there now, however often it changed.
	for k := range dirty {
		if r, ok := snapshot.Get(k); ok {
			put = append(put, r)
		} else {
			remove = append(remove, k)
		}
	}
	if err := s.engine.saveVolatile(put, remove); err != nil {
		s.options.Logger.Warn("volatile state is not saved", "error", err)
		s.publishing.Lock()
		for k := range dirty {
			s.dirty(k)
		}
		s.publishing.Unlock()
	}
}

// treeEditor changes trees that are published, each copied before its first change.
type treeEditor struct {
	kinds  *kindIndex
	trees  []*tree
	copied []bool
}

func (e *treeEditor) set(k resource.Key, r *resource.Resource) {
	if e.copied == nil {
		e.copied = make([]bool, len(e.trees))
	}
	i := e.kinds.byName[k.Kind]
	if !e.copied[i] {
		e.copied[i] = true
		e.trees[i] = e.trees[i].Copy()
	}
	if r == nil {
		e.trees[i].Delete(at(k.Mesh, k.Name))
		return
	}
	e.trees[i].Set(r)
}

package store

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

// Limits of what is stored: bytes of one encoded resource and of one key.
const (
	maxRecordBytes = 512 << 10
	maxKeyBytes    = 4 << 10
)

// ErrNotFound is the cause of the error when a resource to delete is not there.
var ErrNotFound = errors.New("not found")

// Tx is a transaction under way. It implements resource.Reader and sees its own writes. It belongs to the function that
// Update called and is of no use after that has returned.
type Tx struct {
	picture
	store *Store
	// revision is what the transaction will have; nothing else can take it meanwhile.
	revision uint64
	now      time.Time
	writer   Writer

	// own marks the trees that are this transaction's copies.
	own []bool
	// changes and records grow together; index finds a resource's place in them.
	changes []Change
	records [][]byte
	index   map[resource.Key]int
	// volatile holds what is to happen to volatile resources when the transaction is committed; nil removes.
	volatile map[resource.Key]*resource.Resource
	ended    bool
}

// Now is the time that all writes of the transaction get, in UTC.
func (tx *Tx) Now() time.Time { return tx.now }

// Revision is the one that the transaction gets when it writes something.
func (tx *Tx) Revision() uint64 { return tx.revision }

// Put creates or replaces a resource. It sets Created (kept from the old one), Modified and Revision in r, which belongs to the
// store from then on. The error is a *problem.Error: Invalid for a key that cannot be stored, TooLarge over 512 KiB.
// A resource of a volatile kind is put into memory when the transaction is committed, and gets no change.
func (tx *Tx) Put(r *resource.Resource) error {
	i, err := tx.writable(r.Key())
	if err != nil {
		return err
	}
	old, had := tx.trees[i].Get(r)
	if had && old == r {
		// The stored value itself came back; snapshots hold it, so it stays as it is.
		again := *r
		r = &again
	}
	r.Created, r.Modified, r.Revision = tx.now, tx.now, tx.revision
	if had {
		r.Created = old.Created
	}
	if tx.kinds.kinds[i].Volatile {
		tx.edit(i).Set(r)
		tx.setVolatile(r.Key(), r)
		return nil
	}
	// Encoded here and not at the commit, so that what cannot be encoded fails alone and not with its whole group.
	record, err := encodeRecord(r)
	if err != nil {
		return problem.New(problem.Internal, "%s is not stored: %w", describe(r.Key()), err)
	}
	if len(record) > maxRecordBytes {
		return problem.New(problem.TooLarge, "%s has %d KiB, and %d KiB is the most that is stored",
			describe(r.Key()), len(record)>>10, maxRecordBytes>>10)
	}
	tx.edit(i).Set(r)
	tx.note(r.Key(), old, r, record)
	return nil
}

// Delete removes a resource. The error has the code NotFound and the cause ErrNotFound when it is not there.
func (tx *Tx) Delete(k resource.Key) error {
	i, err := tx.writable(k)
	if err != nil {
		return err
	}
	old, had := tx.trees[i].Get(at(k.Mesh, k.Name))
	if !had {
		return problem.New(problem.NotFound, "%s: %w", describe(k), ErrNotFound)
	}
	tx.edit(i).Delete(old)
	if tx.kinds.kinds[i].Volatile {
		tx.setVolatile(k, nil)
		return nil
	}
	tx.note(k, old, nil, nil)
	return nil
}

// PutAt is Put if the stored resource still has the given revision (0: if there is none), else the error's code is Conflict.
func (tx *Tx) PutAt(r *resource.Resource, revision uint64) error {
	if err := tx.unchanged(r.Key(), revision); err != nil {
		return err
	}
	return tx.Put(r)
}

// DeleteAt is Delete if the stored resource still has the given revision, else the error's code is Conflict.
func (tx *Tx) DeleteAt(k resource.Key, revision uint64) error {
	// What is not there is not found rather than in conflict.
	if _, there := tx.Get(k); there {
		if err := tx.unchanged(k, revision); err != nil {
			return err
		}
	}
	return tx.Delete(k)
}

// unchanged compares revisions, and words the difference.
func (tx *Tx) unchanged(k resource.Key, revision uint64) error {
	var current uint64
	if old, ok := tx.Get(k); ok {
		current = old.Revision
	}
	switch {
	case current == revision:
		return nil
	case revision == 0:
		return problem.New(problem.Conflict, "%s exists already, at revision %d", describe(k), current)
	case current == 0:
		return problem.New(problem.Conflict, "%s was deleted, and the request is based on revision %d", describe(k), revision)
	}
	return problem.New(problem.Conflict, "%s is at revision %d, and the request is based on revision %d",
		describe(k), current, revision).WithHint("read it again and repeat the change")
}

// writable checks the key and gives the place of its kind.
func (tx *Tx) writable(k resource.Key) (int, error) {
	if tx.ended {
		return 0, problem.New(problem.Internal, "%s is written after the transaction's end", describe(k))
	}
	i, ok := tx.kinds.byName[k.Kind]
	if !ok {
		return 0, problem.New(problem.Internal, "%s: the store was opened without this kind", describe(k))
	}
	if k.Name == "" || strings.ContainsRune(k.Mesh+k.Name, 0) || len(k.Mesh)+len(k.Name) > maxKeyBytes {
		return 0, problem.New(problem.Invalid, "%s: this name cannot be stored", describe(k))
	}
	return i, nil
}

// edit gives the transaction's own copy of a kind's tree.
func (tx *Tx) edit(i int) *tree {
	if !tx.own[i] {
		if tx.kinds.kinds[i].Volatile {
			// Copying marks the published tree, which PutVolatile does too.
			tx.store.publishing.Lock()
			defer tx.store.publishing.Unlock()
		}
		tx.own[i] = true
		tx.trees[i] = tx.trees[i].Copy()
	}
	return tx.trees[i]
}

// note keeps one change for each resource, however often the transaction writes it.
func (tx *Tx) note(k resource.Key, before, after *resource.Resource, record []byte) {
	if i, ok := tx.index[k]; ok {
		tx.changes[i].After, tx.records[i] = after, record
		return
	}
	if tx.index == nil {
		tx.index = map[resource.Key]int{}
	}
	tx.index[k] = len(tx.changes)
	tx.changes = append(tx.changes, Change{Revision: tx.revision, Time: tx.now, Writer: tx.writer, Key: k, Before: before, After: after})
	tx.records = append(tx.records, record)
}

func (tx *Tx) setVolatile(k resource.Key, r *resource.Resource) {
	if tx.volatile == nil {
		tx.volatile = map[resource.Key]*resource.Resource{}
	}
	tx.volatile[k] = r
}

// result gives what the transaction did, without the resources that it both made and removed.
func (tx *Tx) result() transaction {
	t := transaction{revision: tx.revision, time: tx.now, writer: tx.writer, changes: tx.changes, records: tx.records}
	idle := func(c Change) bool { return c.Before == nil && c.After == nil }
	if slices.ContainsFunc(t.changes, idle) {
		t.changes, t.records = nil, nil
		for i, c := range tx.changes {
			if !idle(c) {
				t.changes = append(t.changes, c)
				t.records = append(t.records, tx.records[i])
			}
		}
	}
	for i := range t.changes {
		t.changes[i].Index = i
	}
	return t
}

// describe names a resource as people write it.
func describe(k resource.Key) string {
	if k.Mesh == "" {
		return k.Kind + " " + k.Name
	}
	return k.Kind + " " + k.Name + " of mesh " + k.Mesh
}

package admission

import (
	"context"
	"slices"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/store"
)

// Delete removes all resources or none, in one transaction, with what falls with them: insights with what they are about, and
// with a mesh all that is in it, save what outlives it. The error's code is NotFound when one is not there.
func (a *Admission) Delete(ctx context.Context, w store.Writer, keys ...resource.Key) error {
	// The reverse of the order of writes, so that a mesh can go together with its proxies.
	keys = slices.Clone(keys)
	slices.SortStableFunc(keys, func(x, y resource.Key) int { return a.order[y.Kind] - a.order[x.Kind] })
	_, err := a.o.Store.Update(ctx, w, func(tx *store.Tx) error {
		for _, key := range keys {
			if err := a.delete(tx, key, tx.Delete); err != nil {
				return titled(titleDelete, err)
			}
		}
		return nil
	})
	return err
}

// DeleteAt is Delete of one resource if it still has the given revision; else the error's code is Conflict.
func (a *Admission) DeleteAt(ctx context.Context, w store.Writer, key resource.Key, revision uint64) error {
	_, err := a.o.Store.Update(ctx, w, func(tx *store.Tx) error {
		at := func(key resource.Key) error { return tx.DeleteAt(key, revision) }
		return titled(titleDelete, a.delete(tx, key, at))
	})
	return err
}

// delete removes a resource by remove, and what falls with it.
func (a *Admission) delete(tx *store.Tx, key resource.Key, remove func(resource.Key) error) error {
	old, ok := tx.Get(key)
	if !ok {
		return &problem.Error{Code: problem.NotFound, Cause: store.ErrNotFound}
	}
	if old.Kind.ReadOnly {
		return problem.New(problem.NotAllowed, "%s is written by the control plane alone", old.Kind.Name)
	}
	if old.Kind.BeforeDelete != nil {
		if err := old.Kind.BeforeDelete(tx, old); err != nil {
			return err
		}
	}
	if err := remove(key); err != nil {
		return err
	}
	for _, fallen := range a.falling(tx, old) {
		if err := tx.Delete(fallen); err != nil {
			return err
		}
	}
	return nil
}

// falling gives what goes with a resource.
func (a *Admission) falling(tx *store.Tx, old *resource.Resource) (keys []resource.Key) {
	for _, k := range a.o.Kinds {
		if k.Owner == old.Kind.Name {
			owned := resource.Key{Kind: k.Name, Mesh: old.Mesh, Name: old.Name}
			if _, ok := tx.Get(owned); ok {
				keys = append(keys, owned)
			}
		}
		if !old.Kind.Members || k.Scope != resource.InMesh {
			continue
		}
		for r := range tx.List(k.Name, old.Name) {
			if k.OutlivesMesh == nil || !k.OutlivesMesh(r) {
				keys = append(keys, r.Key())
			}
		}
	}
	return keys
}

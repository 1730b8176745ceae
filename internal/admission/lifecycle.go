package admission

import (
	"context"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/store"
)

// defaultMesh is the mesh that a first run makes.
const defaultMesh = "default"

// Delete removes resources in one transaction, and what falls with them: everything in a mesh save secrets, which people wrote,
// and what a resource owns.
func (a *Admission) Delete(ctx context.Context, w store.Writer, keys ...resource.Key) error {
	_, err := a.o.Store.Update(ctx, w, func(tx *store.Tx) error {
		for _, key := range keys {
			if err := a.remove(tx, key); err != nil {
				return titled(titleDelete, err)
			}
		}
		return nil
	})
	return err
}

func (a *Admission) remove(tx *store.Tx, key resource.Key) error {
	old, ok := tx.Get(key)
	if !ok {
		return &problem.Error{Code: problem.NotFound, Detail: notFound}
	}
	if old.Kind.BeforeDelete != nil {
		if err := old.Kind.BeforeDelete(tx, old); err != nil {
			return err
		}
	}
	if err := tx.Delete(key); err != nil {
		return err
	}
	if old.Kind == a.mesh {
		return a.empty(tx, old.Name)
	}
	for _, k := range a.o.Kinds {
		if k.Owner != old.Kind.Name {
			continue
		}
		owned := resource.Key{Kind: k.Name, Mesh: key.Mesh, Name: key.Name}
		if _, ok := tx.Get(owned); ok {
			if err := tx.Delete(owned); err != nil {
				return err
			}
		}
	}
	return nil
}

// empty removes what is in a mesh that goes.
func (a *Admission) empty(tx *store.Tx, mesh string) error {
	var keys []resource.Key
	for _, k := range a.o.Kinds {
		if k.Scope != resource.InMesh || k.AdminOnly {
			continue
		}
		for r := range tx.List(k.Name, mesh) {
			keys = append(keys, r.Key())
		}
	}
	for _, key := range keys {
		if err := tx.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

// furnish gives a new mesh what it starts with, where nothing of that name is there.
func (a *Admission) furnish(tx *store.Tx, mesh *resource.Resource) error {
	for _, k := range a.o.Kinds {
		if k.ForNewMesh == nil || mesh.Kind.Skips != nil && mesh.Kind.Skips(mesh.Spec, k.Name) {
			continue
		}
		for _, r := range k.ForNewMesh(k, mesh.Name) {
			if _, there := tx.Get(r.Key()); there {
				continue
			}
			r.ComputeLabels(a.o.Zone)
			if err := tx.Put(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// FirstRun makes the default mesh in a store that nothing was ever written to. A default mesh that was deleted does not come back.
func (a *Admission) FirstRun(ctx context.Context) error {
	if a.o.SkipMeshCreation || a.o.Store.Snapshot().Revision() > 0 {
		return nil
	}
	_, err := a.Put(ctx, store.Writer{Who: "control plane", Source: "first run"}, []Request{{Resource: a.mesh.New("", defaultMesh)}})
	return err
}

// Package resource says what a resource is: metadata, a kind, a specification, and the JSON and bytes of it.
//
// In come documents that people and programs write (YAML, JSON); out go *Resource values, which are immutable once they are
// stored, and their JSON as the HTTP API shows it. The kinds themselves live in the folders below and in internal/policies.
package resource

import (
	"iter"
	"time"
)

// Scope says whether a resource lives in a mesh or beside all of them.
type Scope int

// The scopes.
const (
	InMesh Scope = iota
	Global
)

// Meta is what all resources have. Mesh is empty for global kinds.
type Meta struct {
	Mesh string
	Name string
	// Created and Modified are UTC; zero until stored.
	Created  time.Time
	Modified time.Time
	// Labels are free, save those under kuma.io/ that the control plane computes.
	Labels map[string]string
}

// Key identifies a resource within one control plane.
type Key struct {
	Kind string
	Mesh string
	Name string
}

// Less orders keys by kind, mesh, name: the order of lists.
func (k Key) Less(o Key) bool {
	if k.Kind != o.Kind {
		return k.Kind < o.Kind
	}
	if k.Mesh != o.Mesh {
		return k.Mesh < o.Mesh
	}
	return k.Name < o.Name
}

// Resource is one thing of a kind. Whoever holds one from the store must not change it: take a Clone.
type Resource struct {
	Kind *Kind
	Meta
	// Spec has the type that the kind was bound to: a protobuf message or a pointer to a struct. Never nil.
	Spec any
	// Status is what the control plane writes beside the specification; nil for kinds without it and until it is known.
	Status any
	// Revision is the store's revision that wrote it last; 0 when not stored.
	Revision uint64
}

// Key of the resource.
func (r *Resource) Key() Key { return Key{Kind: r.Kind.Name, Mesh: r.Mesh, Name: r.Name} }

// Reader is a consistent picture of the stored resources at one revision.
type Reader interface {
	// Get returns the resource, or false.
	Get(Key) (*Resource, bool)
	// List yields the resources of a kind ordered by mesh, then name; mesh "" means all meshes.
	List(kind, mesh string) iter.Seq[*Resource]
}

// Clone copies the resource deeply, so that it may be changed.
func (r *Resource) Clone() *Resource {
	c := *r
	c.Labels = make(map[string]string, len(r.Labels))
	for k, v := range r.Labels {
		c.Labels[k] = v
	}
	c.Spec = r.Kind.spec.clone(r.Spec)
	if r.Status != nil {
		c.Status = r.Kind.status.clone(r.Status)
	}
	return &c
}

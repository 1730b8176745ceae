package view

import (
	"iter"
	"maps"
	"slices"

	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/store"
)

// Snapshot is a consistent state of the store; store.Snapshot is one.
type Snapshot interface {
	resource.Reader
	// Revision of the last transaction in it.
	Revision() uint64
}

// Picture is all meshes at one revision.
type Picture struct {
	revision uint64
	meshes   map[string]*Mesh
}

// New builds a picture from nothing but the snapshot. Of the kinds, it looks at meshes, dataplanes and policies.
func New(from Snapshot, kinds []*resource.Kind) *Picture {
	b := newBuilder(&Picture{}, from.Revision())
	for _, k := range kinds {
		if !looksAt(k) {
			continue
		}
		for r := range from.List(k.Name, "") {
			b.put(nil, r)
		}
	}
	next, _ := b.finish()
	return next
}

// looksAt says whether resources of a kind can change the picture.
func looksAt(k *resource.Kind) bool {
	switch k.New("", "").Spec.(type) {
	case *kumapb.Mesh, *kumapb.Dataplane:
		return true
	}
	return k.Policy != nil
}

// Next applies changes in their order and says what they touched. Changes of kinds that the picture does not hold cost
// nothing, and those that are in the picture already (by their revision) are left out. The picture itself stays as it is.
func (p *Picture) Next(changes []store.Change) (*Picture, Touched) {
	b := newBuilder(p, p.revision)
	for _, c := range changes {
		if c.Revision > p.revision {
			b.revision = max(b.revision, c.Revision)
			b.put(c.Before, c.After)
		}
	}
	return b.finish()
}

// Revision of the store that the picture is of.
func (p *Picture) Revision() uint64 { return p.revision }

// Mesh finds a mesh by name.
func (p *Picture) Mesh(name string) (*Mesh, bool) {
	m, ok := p.meshes[name]
	return m, ok
}

// Meshes yields all meshes by name.
func (p *Picture) Meshes() iter.Seq[*Mesh] {
	return func(yield func(*Mesh) bool) {
		for _, name := range slices.Sorted(maps.Keys(p.meshes)) {
			if !yield(p.meshes[name]) {
				return
			}
		}
	}
}

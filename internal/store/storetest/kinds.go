// Package storetest is the one conformance suite of store engines, and the kinds that tests of the store use.
//
// In comes a way to open a store; out go failed tests. An engine that passes Run keeps every promise that the package store
// makes while it is open; RunDurable adds those that outlive a restart.
package storetest

import (
	"fmt"
	"testing"

	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/store"
)

// Gadget is the specification of a kind in a mesh whose form is JSON.
type Gadget struct {
	Size int    `json:"size,omitempty"`
	Note string `json:"note,omitempty"`
}

// Pulse is the specification of a volatile kind.
type Pulse struct {
	Beats int `json:"beats,omitempty"`
}

// The kinds' names. Mesh is the real message, global and in protobuf.
const (
	GadgetKind = "Gadget"
	MeshKind   = "Mesh"
	PulseKind  = "Pulse"
)

// Set is the kinds of one store, with ways to make resources of them.
type Set struct{ gadget, mesh, pulse *resource.Kind }

// NewSet makes kinds anew.
func NewSet() Set {
	return Set{
		gadget: resource.Of(resource.Kind{Name: GadgetKind, Path: "gadgets", Short: "g"}, resource.Rules[*Gadget]{}),
		mesh: resource.OfProto(resource.Kind{Name: MeshKind, Path: "meshes", Scope: resource.Global},
			func() *kumapb.Mesh { return &kumapb.Mesh{} }, resource.Rules[*kumapb.Mesh]{}),
		pulse: resource.Of(resource.Kind{Name: PulseKind, Path: "pulses", Volatile: true}, resource.Rules[*Pulse]{}),
	}
}

// Kinds are those for store.Options.
func (s Set) Kinds() []*resource.Kind { return []*resource.Kind{s.gadget, s.mesh, s.pulse} }

// Gadget makes a gadget with some labels.
func (s Set) Gadget(mesh, name string, size int) *resource.Resource {
	r := s.gadget.New(mesh, name)
	r.Labels = map[string]string{resource.LabelMesh: mesh, resource.LabelZone: "default"}
	r.Spec.(*Gadget).Size = size
	return r
}

// Mesh makes a mesh.
func (s Set) Mesh(name string) *resource.Resource {
	r := s.mesh.New("", name)
	r.Spec.(*kumapb.Mesh).Mtls = &kumapb.Mesh_Mtls{EnabledBackend: "of-" + name}
	return r
}

// Pulse makes a volatile resource.
func (s Set) Pulse(name string, beats int) *resource.Resource {
	r := s.pulse.New("default", name)
	r.Spec.(*Pulse).Beats = beats
	return r
}

// GadgetKey is the key of a gadget.
func GadgetKey(mesh, name string) resource.Key {
	return resource.Key{Kind: GadgetKind, Mesh: mesh, Name: name}
}

// Writer is who the suite writes as.
var Writer = store.Writer{Who: "storetest", Source: "api"}

// Update runs one transaction that must succeed and gives its revision.
func Update(t testing.TB, s *store.Store, f func(*store.Tx) error) uint64 {
	t.Helper()
	revision, err := s.Update(t.Context(), Writer, f)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

// Put puts resources in one transaction.
func Put(t testing.TB, s *store.Store, all ...*resource.Resource) uint64 {
	t.Helper()
	return Update(t, s, func(tx *store.Tx) error {
		for _, r := range all {
			if err := tx.Put(r); err != nil {
				return err
			}
		}
		return nil
	})
}

// Image tells everything of the stored resources in a form that can be compared: one line each, in order.
func Image(t testing.TB, s store.Snapshot) []string {
	t.Helper()
	var lines []string
	for _, kind := range []string{GadgetKind, MeshKind, PulseKind} {
		for r := range s.List(kind, "") {
			lines = append(lines, Line(t, r))
		}
	}
	return lines
}

// Line tells everything of one resource.
func Line(t testing.TB, r *resource.Resource) string {
	t.Helper()
	if r == nil {
		return "none"
	}
	raw, err := r.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", r.Revision, raw)
}

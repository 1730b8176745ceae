// Package storetest is the one conformance suite of store engines, and the kinds that tests of the store use.
//
// In comes a way to open a store; out go failed tests. An engine that passes keeps every promise that the package store makes.
package storetest

import (
	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/resource"
)

// Gadget is the specification of GadgetKind.
type Gadget struct {
	Size int    `json:"size,omitempty"`
	Note string `json:"note,omitempty"`
}

// Pulse is the specification of PulseKind.
type Pulse struct {
	Beats int `json:"beats,omitempty"`
}

// Kinds are made anew for each call: a mesh's kind in JSON (Gadget), a global one in protobuf (Mesh), a volatile one (Pulse).
func Kinds() []*resource.Kind {
	return []*resource.Kind{
		resource.Of(resource.Kind{Name: "Gadget", Path: "gadgets", Short: "g"}, resource.Rules[*Gadget]{}),
		resource.OfProto(resource.Kind{Name: "Mesh", Path: "meshes", Scope: resource.Global},
			func() *kumapb.Mesh { return &kumapb.Mesh{} }, resource.Rules[*kumapb.Mesh]{}),
		resource.Of(resource.Kind{Name: "Pulse", Path: "pulses", Volatile: true}, resource.Rules[*Pulse]{}),
	}
}

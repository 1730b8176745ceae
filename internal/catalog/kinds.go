// Package catalog is the one list of every kind, and of every policy in the order in which their effects apply.
//
// Nothing comes in; out go the lists, which the control plane and the command line hand to whoever works with all kinds.
package catalog

import (
	"github.com/kumactl/kumactl/internal/policies/meshtimeout"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/resource/dataplane"
	"github.com/kumactl/kumactl/internal/resource/insight"
	"github.com/kumactl/kumactl/internal/resource/mesh"
	"github.com/kumactl/kumactl/internal/resource/secret"
)

// Kinds gives all kinds: first what others need, then what is about it. Sets of documents are written in this order.
func Kinds() []*resource.Kind {
	return []*resource.Kind{
		secret.Kind,              // first: meshes read the secrets of their authorities
		mesh.Kind,                // before all that is in one
		dataplane.Kind,           // before policies, which select proxies
		insight.DataplaneInsight, // beside what it is about
		meshtimeout.Kind,         // policies, in the order of their effects
	}
}

// Computed gives the kinds that are not stored: they are worked out from the others when somebody asks.
func Computed() []resource.Computed {
	counter := insight.NewCounter(Kinds())
	return []resource.Computed{
		{Kind: insight.MeshInsight, All: counter.Meshes},      // one a mesh, of its name
		{Kind: insight.ServiceInsight, All: counter.Services}, // one a value of kuma.io/service
	}
}

// Package insight is the kind of what the control plane knows about a proxy beside its Dataplane: its connections, versions,
// acknowledgements and certificate.
//
// In comes what streams report; out goes a volatile, read-only resource with the Dataplane's mesh and name, and by Counter what
// meshes and services hold, worked out when somebody asks.
package insight

import (
	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/resource"
)

// DataplaneInsight belongs to the Dataplane of the same mesh and name and goes with it.
var DataplaneInsight = resource.OfProto(resource.Kind{
	Name:        "DataplaneInsight",
	Path:        "dataplane-insights",
	Arg:         "dataplane-insight",
	Plural:      "dataplane-insights",
	Sync:        resource.ZoneToGlobal,
	ReadOnly:    true,
	Volatile:    true,
	NoMeshLabel: true,
	Owner:       "Dataplane",
}, func() *kumapb.DataplaneInsight { return &kumapb.DataplaneInsight{} }, resource.Rules[*kumapb.DataplaneInsight]{})

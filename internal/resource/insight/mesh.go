package insight

import (
	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/resource"
)

// MeshInsight counts what is in the mesh of its name. It is not stored: Counter works it out.
var MeshInsight = resource.OfProto(resource.Kind{
	Name:     "MeshInsight",
	Path:     "mesh-insights",
	Scope:    resource.Global,
	Sync:     resource.GlobalToZone,
	ReadOnly: true,
}, func() *kumapb.MeshInsight { return &kumapb.MeshInsight{} }, resource.Rules[*kumapb.MeshInsight]{})

// ServiceInsight says how the proxies of one `kuma.io/service` are. It is not stored: Counter works it out.
var ServiceInsight = resource.OfProto(resource.Kind{
	Name:     "ServiceInsight",
	Path:     "service-insights",
	Scope:    resource.InMesh,
	Sync:     resource.GlobalToZone,
	ReadOnly: true,
}, func() *kumapb.ServiceInsight_Service { return &kumapb.ServiceInsight_Service{} }, resource.Rules[*kumapb.ServiceInsight_Service]{})

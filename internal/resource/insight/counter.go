package insight

import (
	"cmp"
	"maps"
	"slices"

	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/resource"
)

// unknown stands for the version of a proxy that did not say it, or that never came.
const unknown = "unknown"

// Counter works out the insights of meshes and services from the resources themselves, whenever somebody asks.
type Counter struct{ kinds []*resource.Kind }

// NewCounter counts resources of these kinds.
func NewCounter(kinds []*resource.Kind) *Counter { return &Counter{kinds} }

// Meshes gives the insights of all meshes, ordered by name. They are global, so that no mesh narrows them down.
func (c *Counter) Meshes(from resource.Reader, _ string) []*resource.Resource {
	var all []*resource.Resource
	for _, k := range c.kinds {
		if !k.Members {
			continue
		}
		for mesh := range from.List(k.Name, "") {
			all = append(all, c.mesh(from, mesh))
		}
	}
	return all
}

// Services gives the insights of all services of a mesh, or of all meshes for "", ordered by mesh, then name.
func (c *Counter) Services(from resource.Reader, mesh string) []*resource.Resource {
	found := map[resource.Key]*resource.Resource{}
	for p := range c.proxies(from, mesh) {
		p.addTo(found)
	}
	return slices.SortedFunc(maps.Values(found), func(a, b *resource.Resource) int {
		return cmp.Or(cmp.Compare(a.Mesh, b.Mesh), cmp.Compare(a.Name, b.Name))
	})
}

func (c *Counter) mesh(from resource.Reader, mesh *resource.Resource) *resource.Resource {
	spec := &kumapb.MeshInsight{
		Dataplanes: &kumapb.MeshInsight_DataplaneStat{}, MTLS: &kumapb.MeshInsight_MTLS{}, Services: &kumapb.MeshInsight_ServiceStat{},
		Policies: map[string]*kumapb.MeshInsight_PolicyStat{}, Resources: map[string]*kumapb.MeshInsight_ResourceStat{},
		DpVersions: &kumapb.MeshInsight_DpVersions{},
		DataplanesByType: &kumapb.MeshInsight_DataplanesByType{
			Standard: &kumapb.MeshInsight_DataplaneStat{}, Gateway: &kumapb.MeshInsight_DataplaneStat{},
			GatewayBuiltin: &kumapb.MeshInsight_DataplaneStat{}, GatewayDelegated: &kumapb.MeshInsight_DataplaneStat{},
		},
	}
	r := &resource.Resource{Kind: MeshInsight, Meta: resource.Meta{Name: mesh.Name, Created: mesh.Created, Modified: mesh.Modified}, Spec: spec}
	for _, k := range c.kinds {
		if k.Scope == resource.InMesh && !k.ReadOnly {
			count(from, k, r)
		}
	}
	services := map[resource.Key]*resource.Resource{}
	for p := range c.proxies(from, mesh.Name) {
		p.addToMesh(spec)
		p.addTo(services)
	}
	spec.Services.Total = uint32(len(services))
	spec.Services.Internal = spec.Services.Total
	return r
}

// count notes how many resources of a kind a mesh has.
func count(from resource.Reader, k *resource.Kind, mesh *resource.Resource) {
	n := uint32(0)
	for r := range from.List(k.Name, mesh.Name) {
		n++
		mesh.Modified = later(mesh.Modified, r.Modified)
	}
	if n == 0 {
		return
	}
	spec := mesh.Spec.(*kumapb.MeshInsight)
	spec.Resources[k.Name] = &kumapb.MeshInsight_ResourceStat{Total: n}
	if k.Policy != nil {
		spec.Policies[k.Name] = &kumapb.MeshInsight_PolicyStat{Total: n}
	}
}

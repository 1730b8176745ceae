package policy

import (
	"slices"

	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/view"
)

// onlyResources says whether kuma.io/service names no destination in the mesh.
func onlyResources(m *view.Mesh) bool {
	return m.Spec.GetMeshServices().GetMode() == kumapb.Mesh_MeshServices_Exclusive
}

// place is a resource, or a section of it.
type place struct {
	key     resource.Key
	section string
}

// resolved is an entry with one of the resources that its reference means.
type resolved[C any] struct {
	entryOf[C]
	resource *resource.Resource
	place    place
}

// resourceRules merges, for each resource that an entry names, all that is said about it: about the mesh, about the resource,
// and about its section.
func resourceRules[C any](entries []entryOf[C], mesh *view.Mesh) ([]ResourceRule[C], error) {
	entries = slices.Clone(entries)
	slices.SortStableFunc(entries, compareEntries[C])
	var all []resolved[C]
	for _, e := range entries {
		for _, r := range resolve(&e.Target, mesh) {
			all = append(all, resolved[C]{e, r, place{r.Key(), e.Target.SectionName}})
		}
	}
	var rules []ResourceRule[C]
	seen := map[place]bool{}
	for _, at := range all {
		if seen[at.place] {
			continue
		}
		seen[at.place] = true
		rule := ResourceRule[C]{Resource: at.resource, Section: at.place.section}
		var confs []C
		for _, other := range all {
			if other.concerns(at.place, mesh) {
				confs = append(confs, other.Default)
				rule.Origins = append(rule.Origins, other.origin())
			}
		}
		var err error
		if rule.Confs, err = Merge(confs); err != nil {
			return nil, err
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

// concerns says whether an entry is about a place: its own, a section of its resource, or anything when it is about the mesh.
func (r resolved[C]) concerns(at place, mesh *view.Mesh) bool {
	if mesh.Resource != nil && r.place.key == mesh.Resource.Key() {
		return true
	}
	return r.place == at || r.place.key == at.key && r.place.section == ""
}

// resolve finds the resources that a reference in `to` means. So far the mesh is the only kind of resource that can be meant.
func resolve(t *TargetRef, mesh *view.Mesh) []*resource.Resource {
	if t.Kind == RefMesh && mesh.Resource != nil {
		return []*resource.Resource{mesh.Resource}
	}
	return nil
}

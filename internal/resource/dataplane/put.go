package dataplane

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

// beforePut adds what only the control plane knows, and asks the mesh whether the proxy may join it.
func beforePut(w *resource.Write) error {
	d := w.New.Spec.(*kumapb.Dataplane)
	if g := d.GetNetworking().GetGateway(); g != nil && Service(g.GetTags()) == "" {
		var v problem.Violations
		v.Add("networking.gateway.tags", "mandatory tag %q is missing", resource.TagService)
		return resource.Refused(v)
	}
	if w.Old == nil {
		if err := checkWorkload(w.New.Labels[resource.LabelWorkload]); err != nil {
			return err
		}
		awaitProbes(d)
	}
	// Whether the mesh exists was looked at before.
	mesh := &kumapb.Mesh{}
	if m, ok := w.All.Get(resource.Key{Kind: "Mesh", Name: w.New.Mesh}); ok {
		mesh = m.Spec.(*kumapb.Mesh)
	}
	setZone(w, d, mesh.GetMeshServices().GetMode() == kumapb.Mesh_MeshServices_Exclusive)
	return checkMembership(d, w.New.Mesh, mesh.GetConstraints().GetDataplaneProxy())
}

// setZone puts the zone's name into the tags of inbounds and gateway, whatever the document says.
func setZone(w *resource.Write, d *kumapb.Dataplane, exclusive bool) {
	if w.Zone == "" {
		return
	}
	// put gives the tags with the right zone in them.
	put := func(tags map[string]string, at string) map[string]string {
		if said := tags[resource.TagZone]; said != "" && said != w.Zone {
			w.Warnings = append(w.Warnings, fmt.Sprintf("%s.tags[%q]: this is zone %q, not %q; the right name is stored", at, resource.TagZone, w.Zone, said))
		}
		if tags == nil {
			tags = map[string]string{}
		}
		tags[resource.TagZone] = w.Zone
		return tags
	}
	for i, in := range d.GetNetworking().GetInbound() {
		if len(in.GetTags()) > 0 || !exclusive {
			in.Tags = put(in.GetTags(), fmt.Sprintf("networking.inbound[%d]", i))
		}
	}
	if g := d.GetNetworking().GetGateway(); g != nil {
		g.Tags = put(g.GetTags(), "networking.gateway")
	}
}

// awaitProbes makes the inbounds of a new proxy that are probed wait for the first success.
func awaitProbes(d *kumapb.Dataplane) {
	for _, in := range d.GetNetworking().GetInbound() {
		if in.GetServiceProbe() != nil {
			in.State = kumapb.Dataplane_Networking_Inbound_NotReady
			// Old readers look at health alone.
			in.Health = &kumapb.Dataplane_Networking_Inbound_Health{}
		}
	}
}

// checkWorkload holds the label of new proxies; it becomes a part of the proxy's identity.
func checkWorkload(name string) error {
	if name == "" {
		return nil
	}
	wrong := resource.DNS1035(name)
	if len(wrong) == 0 {
		return nil
	}
	return &problem.Error{
		Code: problem.Invalid, Title: "Bad Request", // wire: the peer's words
		Detail: fmt.Sprintf("bad request: labels[%q]: must be a valid DNS-1035 label (at most 63 characters, matching regex [a-z]([-a-z0-9]*[a-z0-9])?): %s",
			resource.LabelWorkload, strings.Join(wrong, "; ")),
	}
}

// checkMembership asks the mesh's constraints: each set of tags must fit one requirement and no restriction.
func checkMembership(d *kumapb.Dataplane, mesh string, c *kumapb.Mesh_DataplaneProxyConstraints) error {
	if c == nil {
		return nil
	}
	var v problem.Violations
	for i, tags := range TagSets(d) {
		at := fmt.Sprintf("networking.inbound[%d].tags", i)
		if d.GetNetworking().GetGateway() != nil {
			at = "networking.gateway.tags"
		}
		if required := c.GetRequirements(); len(required) > 0 && !slices.ContainsFunc(required, fitting(tags)) {
			v.Add(at, "dataplane cannot be a member of mesh %q because its tags %q does not fulfill any requirements defined on the Mesh", mesh, tagText(tags))
		}
		if n := slices.IndexFunc(c.GetRestrictions(), fitting(tags)); n >= 0 {
			v.Add(at, "dataplane cannot be a member of mesh %q because its tags %q matches restricted tags %q defined on the Mesh",
				mesh, tagText(tags), tagText(c.GetRestrictions()[n].GetTags()))
		}
	}
	if len(v) == 0 {
		return nil
	}
	return resource.Refused(v)
}

// fitting says which rules tags fit: each of a rule's tags is there, with its value or, for "*", with any.
func fitting(tags map[string]string) func(*kumapb.Mesh_DataplaneProxyConstraints_Rules) bool {
	return func(rule *kumapb.Mesh_DataplaneProxyConstraints_Rules) bool {
		for name, value := range rule.GetTags() {
			if has := tags[name]; value != has && (value != "*" || has == "") {
				return false
			}
		}
		return true
	}
}

// tagText is how the peers write tags in a sentence.
func tagText(tags map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		parts = append(parts, name+"="+tags[name])
	}
	return strings.Join(parts, " ")
}

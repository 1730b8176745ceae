package dataplane

import (
	"fmt"
	"net"
	"strconv"

	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

const (
	externalKind = "MeshExternalService"
	refKinds     = "invalid value. Available values are: MeshExternalService,MeshMultiZoneService,MeshService"
)

// isRefKind says whether outbounds may refer to a kind.
func isRefKind(kind string) bool {
	switch kind {
	case externalKind, "MeshMultiZoneService", "MeshService": // wire: kinds in references
		return true
	}
	return false
}

// checkOutbound takes a reference or tags, not both.
func checkOutbound(out *kumapb.Dataplane_Networking_Outbound) (v problem.Violations) {
	checkPort(&v, "port", out.GetPort())
	if a := out.GetAddress(); a != "" && net.ParseIP(a) == nil {
		v.Add("address", "address has to be valid IP address")
	}
	ref := out.GetBackendRef()
	switch {
	case ref != nil:
		if !isRefKind(ref.GetKind()) {
			v.Add("backendRef.kind", refKinds)
		}
		if ref.GetName() == "" && len(ref.GetLabels()) == 0 {
			v.Add("backendRef", "either 'name' or 'labels' should be specified")
		}
		// The port of what is outside of the mesh is that of its endpoints.
		if ref.GetKind() != externalKind {
			checkPort(&v, "backendRef.port", ref.GetPort())
		}
		if len(out.GetTags()) > 0 {
			v.Add("backendRef", "both backendRef and tags/service cannot be defined")
		}
	default:
		v.AddAll("tags", resource.CheckTags(out.GetTags(), resource.TagRules{Service: true}))
	}
	return v
}

// checkReachable holds the references to what the application may reach.
func checkReachable(r *kumapb.Dataplane_Networking_TransparentProxying_ReachableBackends) (v problem.Violations) {
	for i, ref := range r.GetRefs() {
		at := fmt.Sprintf("refs[%d]", i)
		if !isRefKind(ref.GetKind()) {
			v.Add(at+".kind", refKinds)
		}
		if ref.GetName() != "" {
			v.AddAll(at+".name", resource.CheckName(ref.GetName()))
		}
		switch {
		case ref.GetName() == "" && ref.GetNamespace() != "":
			v.Add(at+".name", "name is required, when namespace is defined")
		case ref.GetName() == "" && len(ref.GetLabels()) == 0:
			v.Add(at+".name", "name or labels are required")
		}
		if (ref.GetName() != "" || ref.GetNamespace() != "") && len(ref.GetLabels()) > 0 {
			v.Add(at+".labels", "labels cannot be defined when name is specified")
		}
	}
	return v
}

// checkListeners holds the zone proxies inside of the Dataplane against each other and against the inbounds.
func checkListeners(d *kumapb.Dataplane) (v problem.Violations) {
	// Names are shared by inbounds and listeners, and so are addresses.
	names, inbounds := map[string]bool{}, map[string]bool{}
	for _, in := range Inbounds(d) {
		if in.GetName() != "" {
			names[in.GetName()] = true
		}
		inbounds[hostPort(in.Listen, in.GetPort())] = true
	}
	taken := map[string]kumapb.Dataplane_Networking_Listener_Type{}
	for i, l := range d.GetNetworking().GetListeners() {
		at := fmt.Sprintf("listeners[%d]", i)
		if l.GetType() == kumapb.Dataplane_Networking_Listener_Unspecified {
			v.Add(at+".type", "type must be ZoneIngress or ZoneEgress")
		}
		v.AddAll(at, checkAddress(l.GetAddress()))
		checkPort(&v, at+".port", l.GetPort())
		if name := l.GetName(); name != "" {
			if names[name] {
				v.Add(at+".name", "name %q must be unique across inbounds and listeners", name)
			}
			names[name] = true
		}
		if l.GetAddress() == "" {
			continue
		}
		where := hostPort(l.GetAddress(), l.GetPort())
		if inbounds[where] {
			v.Add(at, "address:port %s collides with an inbound listener", where)
		}
		other, used := taken[where]
		switch {
		case used && other == l.GetType():
			v.Add(at, "address:port %s is already used by another listener", where)
		case used:
			v.Add(at, "address:port %s is used by listeners of different types", where)
		default:
			taken[where] = l.GetType()
		}
	}
	return v
}

// hostPort is how the peers write an address with its port.
func hostPort(address string, port uint32) string {
	return net.JoinHostPort(address, strconv.FormatUint(uint64(port), 10))
}

// warn tells what is stored and does nothing so far.
func warn(_ resource.Meta, d *kumapb.Dataplane) (w []string) {
	for i, l := range d.GetNetworking().GetListeners() {
		w = append(w, fmt.Sprintf("networking.listeners[%d]: %s listeners are stored, and carry no traffic yet", i, l.GetType()))
	}
	return w
}

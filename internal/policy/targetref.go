package policy

// RefKind is the kind of thing that a reference means. The words belong to the wire.
type RefKind string

// The kinds of references. A top-level reference selects proxies, one in `to` destinations, one in `from` clients.
const (
	RefMesh              RefKind = "Mesh"
	RefMeshSubset        RefKind = "MeshSubset"
	RefMeshGateway       RefKind = "MeshGateway"
	RefMeshService       RefKind = "MeshService"
	RefMeshExternal      RefKind = "MeshExternalService"
	RefMeshMultiZone     RefKind = "MeshMultiZoneService"
	RefMeshServiceSubset RefKind = "MeshServiceSubset"
	RefMeshHTTPRoute     RefKind = "MeshHTTPRoute"
	RefDataplane         RefKind = "Dataplane"
)

// ProxyType narrows a reference to kind Mesh or MeshSubset.
type ProxyType string

// The types of proxies.
const (
	Sidecar ProxyType = "Sidecar"
	Gateway ProxyType = "Gateway"
)

// TargetRef is a reference to the things that a policy, or one entry of it, is about. Which fields go together depends on
// the kind. Maps and lists that were written empty stay apart from those that were left out, since both are read back.
type TargetRef struct {
	// Kind is never empty in a valid reference; a policy without a top-level reference means its whole mesh.
	Kind RefKind `json:"kind" schema:"required,enum=Mesh|MeshSubset|MeshGateway|MeshService|MeshExternalService|MeshMultiZoneService|MeshServiceSubset|MeshHTTPRoute|Dataplane"`
	Name string  `json:"name,omitempty"`
	// Tags of inbounds that MeshSubset and MeshServiceSubset select by, or of a MeshGateway's listeners.
	Tags map[string]string `json:"tags,omitzero"`
	// Mesh is for MeshService and MeshGateway of another mesh.
	Mesh       string      `json:"mesh,omitempty"`
	ProxyTypes []ProxyType `json:"proxyTypes,omitzero" schema:"items=Sidecar|Gateway"`
	Namespace  string      `json:"namespace,omitempty"`
	// Labels of resources, instead of a name.
	Labels map[string]string `json:"labels,omitzero"`
	// SectionName is a port or inbound, by name or by number.
	SectionName string `json:"sectionName,omitempty"`
}

// Match selects clients in `rules`; all parts that are given must fit.
type Match struct {
	SpiffeID *SpiffeIDMatch `json:"spiffeID,omitempty"`
	SNI      *SNIMatch      `json:"sni,omitempty"`
}

// The ways of comparing that Match knows.
const (
	MatchExact  = "Exact"
	MatchPrefix = "Prefix"
)

// SpiffeIDMatch compares the client's identity.
type SpiffeIDMatch struct {
	Type  string `json:"type" schema:"required,enum=Exact|Prefix"`
	Value string `json:"value" schema:"required"`
}

// SNIMatch compares the server name that the client asks for.
type SNIMatch struct {
	Type  string `json:"type" schema:"required,enum=Exact"`
	Value string `json:"value" schema:"required"`
}

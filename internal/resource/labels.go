package resource

// The labels that the control plane computes, and the tags that it knows. Tags are on inbounds and gateways, labels on resources.
const (
	LabelMesh        = "kuma.io/mesh"
	LabelZone        = "kuma.io/zone"
	LabelOrigin      = "kuma.io/origin"
	LabelEnv         = "kuma.io/env"
	LabelNamespace   = "k8s.kuma.io/namespace"
	LabelDisplayName = "kuma.io/display-name"
	LabelProxyType   = "kuma.io/proxy-type"
	LabelPolicyRole  = "kuma.io/policy-role"
	LabelEffect      = "kuma.io/effect"
	LabelWorkload    = "kuma.io/workload"
	LabelManagedBy   = "kuma.io/managed-by"

	TagService  = "kuma.io/service"
	TagZone     = "kuma.io/zone"
	TagProtocol = "kuma.io/protocol"
)

package resource

import (
	"fmt"
	"maps"
	"slices"

	"github.com/kumactl/kumactl/internal/problem"
)

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
	LabelZoneIngress = "kuma.io/listener-zoneingress"
	LabelZoneEgress  = "kuma.io/listener-zoneegress"

	TagService  = "kuma.io/service"
	TagZone     = "kuma.io/zone"
	TagProtocol = "kuma.io/protocol"
)

// The values of LabelOrigin and LabelEnv.
const (
	OriginZone   = "zone"
	OriginGlobal = "global"
	EnvUniversal = "universal"
)

// ComputeLabels adds the labels that the control plane of a zone gives to a resource that is written through it. What the
// writer gave is kept, save what the kind sets itself.
func (r *Resource) ComputeLabels(zone string) {
	if r.Labels == nil {
		r.Labels = map[string]string{}
	}
	missing := func(label, value string) {
		if _, ok := r.Labels[label]; !ok {
			r.Labels[label] = value
		}
	}
	if r.Kind.Scope == InMesh && !r.Kind.NoMeshLabel {
		missing(LabelMesh, r.Mesh)
	}
	if r.Kind.ZoneProvided && r.Labels[LabelOrigin] != OriginGlobal {
		missing(LabelOrigin, OriginZone)
		missing(LabelZone, zone)
		missing(LabelEnv, EnvUniversal)
	}
	if r.Kind.ProxyType != nil {
		r.Labels[LabelProxyType] = r.Kind.ProxyType(r.Spec)
	}
	if r.Kind.OwnLabels == nil {
		return
	}
	for label, value := range r.Kind.OwnLabels(r.Spec) {
		if value == "" {
			delete(r.Labels, label)
			continue
		}
		r.Labels[label] = value
	}
}

// CheckLabels says what is wrong with the labels that a writer gave, on the control plane of a zone.
func (r *Resource) CheckLabels(zone string) (v problem.Violations) {
	at := func(label string) string { return fmt.Sprintf("labels[%q]", label) }
	origin, given := r.Labels[LabelOrigin]
	if given && origin != OriginZone && origin != OriginGlobal {
		v.Add(at(LabelOrigin), "unknown resource origin %q", origin)
	}
	if origin != OriginGlobal {
		if value, ok := r.Labels[LabelZone]; ok && value != zone {
			v.Add(at(LabelZone), "%s label should have %s value", LabelZone, zone)
		}
		if value, ok := r.Labels[LabelMesh]; ok && value != r.Mesh {
			v.Add(at(LabelMesh), "%s label must not differ from mesh set on resource", LabelMesh)
		}
	}
	for _, label := range slices.Sorted(maps.Keys(r.Labels)) {
		for _, wrong := range labelKeyWrong(label) {
			v.Add(at(label), "%s", wrong)
		}
		for _, wrong := range labelValueWrong(r.Labels[label]) {
			v.Add(at(label), "%s", wrong)
		}
	}
	return v
}

// CheckLabelsKept says which labels a write would change that never change. Both resources have their computed labels.
func (r *Resource) CheckLabelsKept(old *Resource) (v problem.Violations) {
	for _, label := range []string{LabelOrigin, LabelZone, LabelDisplayName} {
		was, had := old.Labels[label]
		is, has := r.Labels[label]
		at := fmt.Sprintf("labels[%q]", label)
		switch {
		case had && !has:
			v.Add(at, "is immutable, cannot be removed (was %q)", was)
		case had && was != is:
			v.Add(at, "is immutable, cannot be changed from %q to %q", was, is)
		}
	}
	return v
}

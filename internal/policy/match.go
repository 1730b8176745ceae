package policy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/view"
)

// Selection is what the policies of a set have to do with one proxy.
type Selection struct {
	// Proxy are the policies that select the proxy as a whole or at least one of its inbounds.
	Proxy Mask
	// Inbounds are, for each inbound of the proxy, those that select it.
	Inbounds []Mask
	// Warnings tell of references that could not be resolved.
	Warnings []string
}

// Select finds the policies that select a proxy. Policies in shadow mode count only when shadow is set.
func (s *Set[C]) Select(p *view.Proxy, shadow bool) Selection {
	var sel Selection
	proxy := newMask(len(s.policies))
	inbounds := make([]maskBuilder, len(p.Inbounds))
	for i := range inbounds {
		inbounds[i] = newMask(len(s.policies))
	}
	for i := range s.policies {
		b := &s.policies[i]
		if !shadow && b.resource.Labels[resource.LabelEffect] == effectShadow {
			continue
		}
		t := &b.target
		if err := t.resolvable(); err != nil {
			sel.Warnings = append(sel.Warnings, fmt.Sprintf("unable to resolve TargetRef on policy: mesh:%s name:%s error:%q", b.resource.Mesh, b.resource.Name, err.Error())) // wire: the peer's
			continue
		}
		if !near(b.resource, p.Resource) || !t.admits(b.resource, p) {
			continue
		}
		if p.Gateway != view.NotGateway {
			if t.selectsTags(p.GatewayTags) {
				proxy.set(i)
			}
			continue
		}
		if len(p.Inbounds) == 0 && t.selectsBare() {
			proxy.set(i)
		}
		for j, in := range p.Inbounds {
			if t.selectsInbound(in) {
				inbounds[j].set(i)
				proxy.set(i)
			}
		}
	}
	sel.Proxy = Mask(proxy)
	for _, m := range inbounds {
		sel.Inbounds = append(sel.Inbounds, Mask(m))
	}
	return sel
}

// Selects says whether one policy, by its top-level reference, selects a proxy.
func Selects(policy *resource.Resource, target TargetRef, p *view.Proxy) bool {
	set := Set[struct{}]{policies: []bound[struct{}]{{resource: policy, target: target}}}
	return !set.Select(p, true).Proxy.Empty()
}

// resolvable says why a reference means nothing that is known here.
func (t *TargetRef) resolvable() error {
	if t.Kind == RefMeshHTTPRoute {
		return fmt.Errorf("couldn't resolve MeshHTTPRoute targetRef with name '%s'", t.Name) // wire: the peer's
	}
	return nil
}

// near says whether a policy may concern a proxy, by the zone and namespace that both come from.
func near(policy, proxy *resource.Resource) bool {
	role := policy.Labels[resource.LabelPolicyRole]
	if role == roleConsumer || role == roleWorkloadOwner {
		ns, ok := policy.Labels[resource.LabelNamespace]
		if !ok || ns != proxy.Labels[resource.LabelNamespace] {
			return false
		}
	}
	if role == roleProducer || policy.Labels[resource.LabelOrigin] != originZone {
		return true
	}
	if origin, ok := proxy.Labels[resource.LabelOrigin]; !ok || origin == originGlobal {
		return true
	}
	zone, ok := policy.Labels[resource.LabelZone]
	return !ok || zone == proxy.Labels[resource.LabelZone]
}

// admits says whether a reference can mean a proxy at all; the inbounds are asked afterwards.
func (t *TargetRef) admits(policy *resource.Resource, p *view.Proxy) bool {
	switch t.Kind {
	case RefMesh, RefMeshSubset:
		typ := Sidecar
		if p.Gateway != view.NotGateway {
			typ = Gateway
		}
		return len(t.ProxyTypes) == 0 || slices.Contains(t.ProxyTypes, typ)
	case RefDataplane:
		return t.admitsDataplane(policy, p)
	case RefMeshService, RefMeshServiceSubset:
		return true
	}
	// A MeshGateway means builtin gateways, whose listeners are not there yet.
	return false
}

func (t *TargetRef) admitsDataplane(policy *resource.Resource, p *view.Proxy) bool {
	if p.Gateway == view.BuiltinGateway || p.Gateway != view.NotGateway && t.SectionName != "" {
		return false
	}
	if t.Name == "" {
		return subset(t.Labels, p.Resource.Labels)
	}
	namespace := t.Namespace
	if namespace == "" {
		namespace = policy.Labels[resource.LabelNamespace]
	}
	return p.Resource.DisplayName() == t.Name && p.Resource.Labels[resource.LabelNamespace] == namespace &&
		p.Resource.Labels[resource.LabelZone] == policy.Labels[resource.LabelZone]
}

// selectsBare says whether a reference means a proxy that has neither inbounds nor a gateway's tags, and only sends.
func (t *TargetRef) selectsBare() bool {
	return t.Kind == RefMesh || t.Kind == RefDataplane && t.SectionName == ""
}

func (t *TargetRef) selectsInbound(in *view.Inbound) bool {
	if t.Kind == RefDataplane {
		return t.SectionName == "" || t.SectionName == in.Name || t.SectionName == strconv.FormatUint(uint64(in.Port), 10)
	}
	return t.selectsTags(in.Tags)
}

func (t *TargetRef) selectsTags(tags map[string]string) bool {
	switch t.Kind {
	case RefMeshService, RefMeshServiceSubset:
		return tags[resource.TagService] == t.Name && view.Match(t.Tags, tags)
	case RefMeshSubset:
		return view.Match(t.Tags, tags)
	}
	return true
}

// subset says whether all labels that are wanted are there.
func subset(wanted, labels map[string]string) bool {
	for k, v := range maps.All(wanted) {
		if got, ok := labels[k]; !ok || got != v {
			return false
		}
	}
	return true
}

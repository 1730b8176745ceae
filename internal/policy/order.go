package policy

import (
	"cmp"
	"strings"

	"github.com/kumactl/kumactl/internal/resource"
)

// Words of the labels that order policies.
const (
	originGlobal = "global"
	originZone   = "zone"

	roleSystem        = "system"
	roleProducer      = "producer"
	roleConsumer      = "consumer"
	roleWorkloadOwner = "workload-owner"

	effectShadow = "shadow"
)

// precedence of what a reference means: the narrower, the more it counts.
func (k RefKind) precedence() int {
	switch k {
	case RefMesh:
		return 1
	case RefDataplane:
		return 2
	case RefMeshSubset:
		return 3
	case RefMeshGateway:
		return 4
	case RefMeshService:
		return 5
	case RefMeshExternal:
		return 6
	case RefMeshMultiZone:
		return 7
	case RefMeshServiceSubset:
		return 8
	case RefMeshHTTPRoute:
		return 9
	}
	return 0
}

// comparePolicies orders two policies by everything but their names; negative when the first counts less.
func comparePolicies(a, b *resource.Resource, ta, tb *TargetRef) int {
	return cmp.Or(
		cmp.Compare(ta.Kind.precedence(), tb.Kind.precedence()),
		cmp.Compare(ta.narrowness(), tb.narrowness()),
		cmp.Compare(originRank(a), originRank(b)),
		compareListenerTags(ta, tb),
		cmp.Compare(roleRank(a), roleRank(b)),
	)
}

// narrowness orders references to Dataplanes: all, by labels, by name, and each before the same with a section.
func (t *TargetRef) narrowness() int {
	if t.Kind != RefDataplane {
		return 0
	}
	rank := 0
	switch {
	case t.Name != "":
		rank = 4
	case len(t.Labels) > 0:
		rank = 2
	}
	if t.SectionName != "" {
		rank++
	}
	return rank
}

func compareListenerTags(a, b *TargetRef) int {
	if a.Kind != RefMeshGateway {
		return 0
	}
	return cmp.Compare(len(a.Tags), len(b.Tags))
}

func originRank(r *resource.Resource) int {
	switch r.Labels[resource.LabelOrigin] {
	case originGlobal:
		return 0
	case originZone:
		return 2
	}
	return 1
}

func roleRank(r *resource.Resource) int {
	switch r.Labels[resource.LabelPolicyRole] {
	case roleProducer:
		return 1
	case roleConsumer:
		return 2
	case roleWorkloadOwner:
		return 3
	}
	return 0
}

// compareNames puts the alphabetically first name last, so that it counts most.
func compareNames(a, b *resource.Resource) int {
	return strings.Compare(b.DisplayName(), a.DisplayName())
}

// compareEntries orders entries of `to` about resources: by policy, then by what they are about, then by the policy's name.
// Entries of one policy about the same kind of thing stay in their order.
func compareEntries[C any](a, b entryOf[C]) int {
	return cmp.Or(
		comparePolicies(a.policy.resource, b.policy.resource, &a.policy.target, &b.policy.target),
		cmp.Compare(a.Target.Kind.precedence(), b.Target.Kind.precedence()),
		cmp.Compare(sectionRank(&a.Target), sectionRank(&b.Target)),
		compareNames(a.policy.resource, b.policy.resource),
	)
}

func sectionRank(t *TargetRef) int {
	if t.Kind == RefMeshService && t.SectionName != "" {
		return 1
	}
	return 0
}

// specificity of a rule's match: the more exact, the earlier it is asked.
func specificity(matches []Match) int {
	if len(matches) == 0 {
		return 0
	}
	rank := 0
	if id := matches[0].SpiffeID; id != nil {
		rank += 2
		if id.Type == MatchExact {
			rank += 2
		}
	}
	if matches[0].SNI != nil {
		rank++
	}
	return rank
}

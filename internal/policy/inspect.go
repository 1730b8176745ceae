package policy

import (
	"cmp"
	"slices"
	"strings"

	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/view"
)

// Inspect tells what the policies of a set say about a proxy: the very rules that its configuration is made from. Nil when they
// say nothing.
func (s *Set[C]) Inspect(kind string, mesh *view.Mesh, p *view.Proxy) (*Inspection, error) {
	sel := s.Select(p, false)
	in := &Inspection{
		Type: kind, FromRules: []InspectedFrom{}, InboundRules: []InspectedInbound{}, ToRules: []InspectedRule{},
		ToResourceRules: []InspectedResource{}, Warnings: append([]string{}, sel.Warnings...),
	}
	to, err := s.To(sel.Proxy, mesh)
	if err != nil {
		return nil, err
	}
	in.ToRules = inspectSubsets(to.Services)
	for _, r := range to.Resources {
		in.ToResourceRules = append(in.ToResourceRules, InspectedResource{
			Conf: confs(r.Confs), Origin: origins(r.Origins), Meta: MetaOf(r.Resource), Section: r.Section,
		})
	}
	slices.SortStableFunc(in.ToResourceRules, func(a, b InspectedResource) int {
		return cmp.Or(strings.Compare(a.Meta.Name, b.Meta.Name), strings.Compare(b.Section, a.Section))
	})
	for i, inbound := range p.Inbounds {
		if err := s.inspectInbound(in, inbound, sel.Inbounds[i]); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(in.FromRules, func(a, b InspectedFrom) int { return cmp.Compare(a.Inbound.Port, b.Inbound.Port) })
	slices.SortStableFunc(in.InboundRules, func(a, b InspectedInbound) int { return cmp.Compare(a.Inbound.Port, b.Inbound.Port) })
	single, err := s.Single(sel.Proxy)
	if err != nil {
		return nil, err
	}
	if single != nil {
		in.ProxyRule = &InspectedProxy{Conf: single.Conf, Origin: metas(single.Origins)}
	}
	if in.ProxyRule == nil && len(in.ToRules)+len(in.ToResourceRules)+len(in.FromRules)+len(in.InboundRules) == 0 {
		return nil, nil
	}
	return in, nil
}

func (s *Set[C]) inspectInbound(in *Inspection, inbound *view.Inbound, m Mask) error {
	at := InspectedPort{inbound.Name, inbound.Port, inbound.Tags}
	from, err := s.From(m)
	if err != nil {
		return err
	}
	if len(from) > 0 {
		in.FromRules = append(in.FromRules, InspectedFrom{at, inspectSubsets(from)})
	}
	rules, err := s.Inbound(m)
	if err != nil || len(rules.Rules) == 0 {
		return err
	}
	entry := InspectedInbound{Inbound: at}
	for _, r := range rules.Rules {
		one := InspectedInboundRule{Conf: []any{r.Conf}, Origin: origins([]Origin{r.Origin})}
		if r.Match != nil {
			one.Matches = []Match{*r.Match}
		}
		entry.Rules = append(entry.Rules, one)
	}
	in.InboundRules = append(in.InboundRules, entry)
	return nil
}

func inspectSubsets[C any](rules []SubsetRule[C]) []InspectedRule {
	all := []InspectedRule{}
	for _, r := range rules {
		one := InspectedRule{Conf: r.Conf, Matchers: []InspectedMatcher{}, Origin: metas(r.Origins)}
		for _, t := range r.Subset {
			one.Matchers = append(one.Matchers, InspectedMatcher{t.Key, t.Not, t.Value})
		}
		all = append(all, one)
	}
	return all
}

func confs[C any](list []C) []any {
	all := make([]any, len(list))
	for i, c := range list {
		all[i] = c
	}
	return all
}

func origins(list []Origin) []InspectedOrigin {
	all := make([]InspectedOrigin, len(list))
	for i, o := range list {
		all[i] = InspectedOrigin{MetaOf(o.Policy), o.Index}
	}
	return all
}

func metas(list []Origin) []Meta {
	all := []Meta{}
	for _, r := range policiesOf(list) {
		all = append(all, MetaOf(r))
	}
	return all
}

// MetaOf names a resource in an answer.
func MetaOf(r *resource.Resource) Meta {
	m := Meta{Labels: r.Labels, Mesh: r.Mesh, Name: r.Name, Type: r.Kind.Name}
	if m.Labels == nil {
		m.Labels = map[string]string{}
	}
	return m
}

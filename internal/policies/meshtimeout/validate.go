package meshtimeout

import (
	"fmt"
	"slices"

	"github.com/kumactl/kumactl/internal/policy"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

// What the peers say; clients compare these texts.
const (
	notNegative    = "must not be negative when defined"
	aboveZero      = "must be greater than zero when defined"
	notOfRoutes    = "can't be specified when top-level TargetRef is referencing MeshHTTPRoute"
	notOfIdentity  = "can't be specified when matches contain spiffeID because this field cannot be conditioned on source identity"
	fromDeprecated = "'from' field is deprecated, use 'rules' instead"
)

// validate says what is wrong with a policy.
func validate(_ resource.Meta, s *Spec) (v problem.Violations) {
	top := policy.TargetRef{Kind: policy.RefMesh}
	if s.TargetRef != nil {
		top = *s.TargetRef
		v.AddAll("spec.targetRef", top.Check(policy.RefRules{
			Kinds: []policy.RefKind{
				policy.RefMesh, policy.RefMeshSubset, policy.RefMeshGateway, policy.RefMeshService,
				policy.RefMeshServiceSubset, policy.RefMeshHTTPRoute, policy.RefDataplane,
			},
			ListenerTags: true,
			Inbound:      len(s.From) > 0 || len(s.Rules) > 0,
		}))
	}
	switch {
	case len(s.Rules) > 0 && len(s.To)+len(s.From) > 0:
		v.Add("spec", "fields 'to' and 'from' must be empty when 'rules' is defined")
	case len(s.Rules)+len(s.To)+len(s.From) == 0:
		v.Add("spec", "at least one of 'from', 'to' or 'rules' has to be defined")
	}
	v = append(v, checkFrom(s.From, top.Kind)...)
	toKinds := []policy.RefKind{policy.RefMesh, policy.RefMeshService, policy.RefMeshExternal, policy.RefMeshMultiZone, policy.RefMeshHTTPRoute}
	if narrow(top.Kind) {
		toKinds = []policy.RefKind{policy.RefMesh, policy.RefMeshExternal}
	}
	for i, to := range s.To {
		at := fmt.Sprintf("spec.to[%d]", i)
		v.AddAll(at+".targetRef", to.TargetRef.Check(policy.RefRules{Kinds: toKinds}))
		v.AddAll(at+".default", to.Default.check(top.Kind))
	}
	for i, rule := range s.Rules {
		at := fmt.Sprintf("spec.rules[%d]", i)
		v.AddAll(at, rule.check())
		v.AddAll(at+".default", rule.Default.check(top.Kind))
	}
	return v
}

// narrow says whether the policy is about a route or a builtin gateway, which have no traffic from clients of their own.
func narrow(k policy.RefKind) bool { return k == policy.RefMeshHTTPRoute || k == policy.RefMeshGateway }

func checkFrom(from []From, top policy.RefKind) (v problem.Violations) {
	if narrow(top) {
		if len(from) > 0 {
			v.Add("spec.from", "must not be defined")
		}
		return v
	}
	for i, f := range from {
		at := fmt.Sprintf("spec.from[%d]", i)
		v.AddAll(at+".targetRef", f.TargetRef.Check(policy.RefRules{Kinds: []policy.RefKind{policy.RefMesh}}))
		v.AddAll(at+".default", f.Default.check(top))
	}
	return v
}

// check holds the matches of a rule, and what they allow to be said. Paths are below the rule.
func (r Rule) check() (v problem.Violations) {
	for i, m := range r.Matches {
		at := fmt.Sprintf("matches[%d]", i)
		v.AddAll(at, m.Check())
		if m.SpiffeID == nil && m.SNI == nil {
			v.Add(at, "must specify at least one of 'spiffeID' or 'sni'")
		}
	}
	if slices.ContainsFunc(r.Matches, func(m policy.Match) bool { return m.SpiffeID != nil }) {
		v.AddAll("default", r.Default.refuse(notOfIdentity, "connectionTimeout", "idleTimeout",
			"http.requestHeadersTimeout", "http.maxStreamDuration", "http.maxConnectionDuration"))
	}
	return v
}

// named is one timeout with its path below the configuration.
type named struct {
	path  string
	value *policy.Duration
}

func (c Conf) all() []named {
	all := []named{{"connectionTimeout", c.ConnectionTimeout}, {"idleTimeout", c.IdleTimeout}}
	if h := c.HTTP; h != nil {
		all = append(all,
			named{"http.requestTimeout", h.RequestTimeout},
			named{"http.streamIdleTimeout", h.StreamIdleTimeout},
			named{"http.maxStreamDuration", h.MaxStreamDuration},
			named{"http.maxConnectionDuration", h.MaxConnectionDuration},
			named{"http.requestHeadersTimeout", h.RequestHeadersTimeout})
	}
	return all
}

// refuse says text of each of the paths that is set.
func (c Conf) refuse(text string, paths ...string) (v problem.Violations) {
	for _, n := range c.all() {
		if n.value != nil && slices.Contains(paths, n.path) {
			v.Add(n.path, "%s", text)
		}
	}
	return v
}

func (c Conf) check(top policy.RefKind) (v problem.Violations) {
	if c == (Conf{}) {
		v.Add("", "at least one timeout should be configured")
		return v
	}
	if top == policy.RefMeshHTTPRoute {
		v = c.refuse(notOfRoutes, "connectionTimeout", "idleTimeout", "http.maxStreamDuration", "http.maxConnectionDuration")
	}
	if h := c.HTTP; h != nil && *h == (HTTP{RequestHeadersTimeout: h.RequestHeadersTimeout}) {
		v.Add("http", "at least one timeout in this section should be configured")
	}
	for _, n := range c.all() {
		switch {
		case n.value == nil:
		case n.path == "connectionTimeout" && n.value.Duration <= 0:
			v.Add(n.path, aboveZero)
		case n.value.Duration < 0:
			v.Add(n.path, notNegative)
		}
	}
	return v
}

// warn tells of old ways.
func warn(_ resource.Meta, s *Spec) (w []string) {
	if len(s.From) > 0 {
		w = append(w, fromDeprecated)
	}
	return append(w, s.TargetRef.Warnings()...)
}

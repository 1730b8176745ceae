package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

// RefRules say which references one place of a policy takes.
type RefRules struct {
	Kinds []RefKind
	// KindsText is said of other kinds instead of naming them; mostly empty.
	KindsText string
	// Inbound is set where the policy is about inbounds, so that a section of a proxy means something.
	Inbound bool
	// ListenerTags lets tags select listeners of a MeshGateway.
	ListenerTags bool
	// AnyName lists names that are taken although they break the rule for names.
	AnyName []string
}

const (
	labelsOrNameNamespace = "either labels or name and namespace must be specified"
	labelsOrName          = "either labels or name must be specified"
)

// Check says what is wrong with a reference, with paths below it. The texts are the wire's.
func (t TargetRef) Check(rules RefRules) problem.Violations {
	c := refCheck{ref: t, rules: rules}
	if !slices.Contains(rules.Kinds, t.Kind) {
		switch {
		case t.Kind == "":
			c.v.Add("kind", "must be defined")
		case rules.KindsText != "":
			c.v.Add("kind", "%s", rules.KindsText)
		default:
			c.v.Add("kind", "value '%s' is not supported", t.Kind)
		}
		return c.v
	}
	switch t.Kind {
	case RefMesh:
		if t.Name != "" {
			c.v.Add("name", "using name with kind %s is not yet supported", t.Kind)
		}
		c.unset("mesh", "tags", "labels", "namespace", "sectionName")
		c.proxyTypes()
	case RefMeshSubset:
		c.unset("name", "mesh")
		c.tags(false)
		c.unset("labels", "namespace", "sectionName")
		c.proxyTypes()
	case RefDataplane:
		c.unset("tags", "mesh", "proxyTypes")
		c.eitherLabels(labelsOrNameNamespace)
		if t.SectionName != "" && !rules.Inbound {
			c.v.Add("sectionName", "can only be used with inbound policies")
		}
	case RefMeshServiceSubset, RefMeshGateway:
		c.namedOnly()
	case RefMeshExternal:
		c.nameOrLabels(labelsOrName)
		c.unset("sectionName")
	case RefMeshHTTPRoute:
		c.nameOrLabels(labelsOrNameNamespace)
		c.unset("sectionName")
	default:
		c.nameOrLabels(labelsOrNameNamespace)
	}
	return c.v
}

type refCheck struct {
	ref   TargetRef
	rules RefRules
	v     problem.Violations
}

// unset refuses fields that do not go with the kind.
func (c *refCheck) unset(fields ...string) {
	for _, field := range fields {
		var set bool
		switch field {
		case "name":
			set = c.ref.Name != ""
		case "namespace":
			set = c.ref.Namespace != ""
		case "mesh":
			set = c.ref.Mesh != ""
		case "sectionName":
			set = c.ref.SectionName != ""
		case "tags":
			set = len(c.ref.Tags) > 0
		case "labels":
			set = len(c.ref.Labels) > 0
		case "proxyTypes":
			set = len(c.ref.ProxyTypes) > 0
		}
		if set {
			c.v.Add(field, "must not be set with kind %s", c.ref.Kind)
		}
	}
}

func (c *refCheck) proxyTypes() {
	if c.ref.ProxyTypes != nil && len(c.ref.ProxyTypes) == 0 {
		c.v.Add("proxyTypes", "must be undefined or have at least one element")
	}
}

func (c *refCheck) tags(selector bool) {
	c.v.AddAll("tags", resource.CheckTags(c.ref.Tags, resource.TagRules{Selector: selector}))
}

// namedOnly is for the kinds that have a name and tags, and no labels.
func (c *refCheck) namedOnly() {
	if c.ref.Name == "" {
		c.v.Add("name", "must be set when kind is %s", c.ref.Kind)
	}
	c.name()
	c.unset("mesh", "proxyTypes")
	c.tags(true)
	if c.ref.Kind == RefMeshGateway && !c.rules.ListenerTags {
		c.unset("tags")
	}
	c.unset("labels", "namespace", "sectionName")
}

// nameOrLabels is for the kinds that mean resources, by name or by labels.
func (c *refCheck) nameOrLabels(either string) {
	c.name()
	c.unset("mesh", "tags", "proxyTypes")
	if c.ref.Name == "" && len(c.ref.Labels) == 0 {
		c.v.Add("", "name or labels must be set when kind is %s", c.ref.Kind)
	}
	c.eitherLabels(either)
}

func (c *refCheck) eitherLabels(text string) {
	if len(c.ref.Labels) > 0 && (c.ref.Name != "" || c.ref.Namespace != "") {
		c.v.Add("labels", "%s", text)
	}
}

func (c *refCheck) name() {
	good := func(r rune) bool {
		return 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || strings.ContainsRune("-._", r)
	}
	if !slices.Contains(c.rules.AnyName, c.ref.Name) && strings.ContainsFunc(c.ref.Name, func(r rune) bool { return !good(r) }) {
		c.v.Add("name", "invalid characters: must consist of lower case alphanumeric characters, '-', '.' and '_'.")
	}
}

// Warnings tells which references are of old ways, at the top level of a policy. Other levels have warnings of their own.
func (t *TargetRef) Warnings() []string {
	if t == nil {
		return nil
	}
	switch t.Kind {
	case RefMeshSubset, RefMeshService, RefMeshServiceSubset:
		return []string{fmt.Sprintf("%s value for 'targetRef.kind' is deprecated, use Dataplane with labels instead", t.Kind)}
	case RefMeshHTTPRoute:
		return []string{"MeshHTTPRoute value for 'targetRef.kind' is deprecated, use MeshHTTPRoute in spec.to[].targetRef"}
	}
	return nil
}

// Check says what is wrong with a match, with paths below it. Which parts a policy needs is for the policy to say.
func (m Match) Check() (v problem.Violations) {
	if m.SpiffeID != nil {
		if err := checkSpiffeID(m.SpiffeID.Value); err != nil {
			v.Add("spiffeID", "must be a valid Spiffe ID: %v", err)
		}
	}
	if m.SNI == nil {
		return v
	}
	if m.SNI.Value == "" {
		v.Add("sni.value", "must be set")
		return v
	}
	for _, wrong := range resource.DNS1123Subdomain(m.SNI.Value) {
		v.Add("sni.value", "%s", wrong)
	}
	return v
}

// checkSpiffeID follows the SPIFFE standard: `spiffe://trust-domain/path`.
func checkSpiffeID(id string) error {
	if id == "" {
		return errors.New("cannot be empty")
	}
	rest, ok := strings.CutPrefix(id, "spiffe://")
	if !ok {
		return errors.New("scheme is missing or invalid")
	}
	domain, path, hasPath := strings.Cut(rest, "/")
	if domain == "" {
		return errors.New("trust domain is missing")
	}
	if !letters(domain, "abcdefghijklmnopqrstuvwxyz") {
		return errors.New("trust domain characters are limited to lowercase letters, numbers, dots, dashes, and underscores")
	}
	if !hasPath {
		return nil
	}
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		switch {
		case segment == "" && i == len(segments)-1:
			return errors.New("path cannot have a trailing slash")
		case segment == "":
			return errors.New("path cannot contain empty segments")
		case segment == ".", segment == "..":
			return errors.New("path cannot contain dot segments")
		case !letters(segment, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"):
			return errors.New("path segment characters are limited to letters, numbers, dots, dashes, and underscores")
		}
	}
	return nil
}

func letters(s, of string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune(of+"0123456789.-_", r) })
}

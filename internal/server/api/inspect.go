package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/kumactl/kumactl/internal/policy"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

// Inspector knows what became of proxies. Errors are *problem.Error; NotFound means that the proxy is not known.
type Inspector interface {
	// Rules are the merged policies of a proxy, one entry for each kind that applies, in the order of the kinds' names.
	Rules(mesh, proxy string) ([]*policy.Inspection, error)
	// Selects says whether a policy applies to a proxy.
	Selects(policy, proxy *resource.Resource) (bool, error)
	// Sent is the configuration of a connected proxy: Envoy's JSON by type URL and name. With shadow, policies in shadow mode
	// count too.
	Sent(mesh, proxy string, shadow bool) (map[string]map[string]json.RawMessage, error)
	// Status is what happened on the proxy's stream.
	Status(mesh, proxy string) (ProxyStatus, error)
}

// ProxyStatus is what a proxy was sent, acknowledged and refused.
type ProxyStatus struct {
	Connected bool `json:"connected"`
	// Since is when the stream began, or when it ended.
	Since *time.Time   `json:"since,omitempty"`
	Types []TypeStatus `json:"types"`
	// Problems are parts of the configuration that were left out.
	Problems []string `json:"problems,omitempty"`
}

// TypeStatus is one type of Envoy's configuration on a stream. Refused is Envoy's own text when it refused Version; what it had before
// stays in effect then.
type TypeStatus struct {
	Type      string     `json:"type"`
	Resources int        `json:"resources"`
	Version   string     `json:"version,omitempty"`
	Acked     string     `json:"acknowledged,omitempty"`
	Refused   string     `json:"refused,omitempty"`
	RefusedAt *time.Time `json:"refusedAt,omitempty"`
}

// rulesAnswer is the body of `_rules`.
type rulesAnswer struct {
	HTTPMatches []any                `json:"httpMatches"`
	Resource    policy.Meta          `json:"resource"`
	Rules       []*policy.Inspection `json:"rules"`
}

// rules shows what the policies of a mesh come to for one proxy.
func (a *API) rules(k *resource.Kind) handler {
	return func(c *call) error {
		r, _, err := a.one(c, k)
		if err != nil {
			return err
		}
		rules, err := a.o.Inspector.Rules(c.mesh, c.name)
		if err != nil {
			return titled("Could not retrieve a resource", err) // wire: the peer's title
		}
		if rules == nil {
			rules = []*policy.Inspection{}
		}
		respond(c, http.StatusOK, encode(rulesAnswer{[]any{}, policy.MetaOf(r), rules}))
		return nil
	}
}

// config answers with Envoy's configuration of a proxy, resource by resource.
func (a *API) config(k *resource.Kind) handler {
	return func(c *call) error {
		if _, _, err := a.one(c, k); err != nil {
			return err
		}
		query := c.r.URL.Query()
		shadow := query.Get("shadow")
		if shadow != "" && shadow != "true" && shadow != "false" {
			return badRequest("unsupported value for query parameter 'shadow'")
		}
		include := query.Get("include")
		if include != "" && include != "diff" {
			return badRequest("unsupported value for query parameter 'include'")
		}
		sent, err := a.o.Inspector.Sent(c.mesh, c.name, shadow == "true")
		if err != nil {
			return titled("Failed to fetch dataplane insight", err) // wire: the peer's title
		}
		answer := struct {
			Diff *[]patch                              `json:"diff,omitempty"`
			XDS  map[string]map[string]json.RawMessage `json:"xds"`
		}{XDS: sent}
		if include == "diff" {
			before, err := a.o.Inspector.Sent(c.mesh, c.name, false)
			if err != nil {
				return titled("Failed to fetch dataplane insight", err) // wire: the peer's title
			}
			diff := difference(before, sent)
			answer.Diff = &diff
		}
		raw, err := marshal(answer)
		if err != nil {
			return err
		}
		return respondRaw(c, raw)
	}
}

// status shows what became of what the proxy was sent; one that never came is shown as not connected.
func (a *API) status(k *resource.Kind) handler {
	return func(c *call) error {
		if _, _, err := a.one(c, k); err != nil {
			return err
		}
		status, err := a.o.Inspector.Status(c.mesh, c.name)
		if p, ok := errors.AsType[*problem.Error](err); ok && p.Code == problem.NotFound {
			status, err = ProxyStatus{}, nil
		}
		if err != nil {
			return titled("Could not retrieve a resource", err) // wire: the peer's title
		}
		if status.Types == nil {
			status.Types = []TypeStatus{}
		}
		respond(c, http.StatusOK, encode(status))
		return nil
	}
}

// matchedAnswer is a page of proxies; unlike other lists it has no next at the end.
type matchedAnswer struct {
	Items []policy.Meta `json:"items"`
	Next  *string       `json:"next,omitempty"`
	Total int           `json:"total"`
}

// matched lists the proxies that a policy applies to.
func (a *API) matched(k *resource.Kind) handler {
	const title = "Could not retrieve policy" // wire: the peer's title
	return func(c *call) error {
		from := a.picture()
		if err := a.meshThere(from, c.mesh); err != nil {
			return err
		}
		selecting, ok := from.Get(resource.Key{Kind: k.Name, Mesh: c.mesh, Name: c.name})
		if !ok {
			return &problem.Error{Code: problem.NotFound, Title: title}
		}
		p, err := pageOf(c.r.URL.Query())
		if err != nil {
			return titled(title, err)
		}
		named, err := filterOf(c, k)
		if err != nil {
			return titled(title, err)
		}
		answer := matchedAnswer{Items: []policy.Meta{}}
		for _, proxy := range a.proxies(from, c.mesh) {
			if named != nil && !named(proxy) {
				continue
			}
			selects, err := a.o.Inspector.Selects(selecting, proxy)
			if err != nil {
				return titled(title, err)
			}
			if !selects {
				continue
			}
			if answer.Total >= p.offset && len(answer.Items) < p.size {
				answer.Items = append(answer.Items, policy.MetaOf(proxy))
			}
			answer.Total++
		}
		answer.Next = nextPage(c, p, answer.Total)
		respond(c, http.StatusOK, encode(answer))
		return nil
	}
}

// proxies of a mesh, of all kinds that are proxies.
func (a *API) proxies(from picture, mesh string) []*resource.Resource {
	var all []*resource.Resource
	for _, k := range a.o.Kinds {
		if k.ProxyType == nil || k.Scope != resource.InMesh {
			continue
		}
		for r := range from.List(k.Name, mesh) {
			all = append(all, r)
		}
	}
	return all
}

// patch is one step of a JSON patch.
type patch struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value,omitempty"`
}

// difference is what turns one configuration into another, resource by resource.
func difference(before, after map[string]map[string]json.RawMessage) []patch {
	steps := []patch{}
	for _, kind := range slices.Sorted(maps.Keys(union(before, after))) {
		was, is := before[kind], after[kind]
		for _, name := range slices.Sorted(maps.Keys(union(was, is))) {
			step := patch{Path: "/" + pointer(kind) + "/" + pointer(name), Value: is[name]}
			switch {
			case was[name] == nil:
				step.Op = "add"
			case is[name] == nil:
				step.Op = "remove"
			case !bytes.Equal(was[name], is[name]):
				step.Op = "replace"
			default:
				continue
			}
			steps = append(steps, step)
		}
	}
	return steps
}

// union gives the keys of both.
func union[V any](a, b map[string]V) map[string]bool {
	keys := map[string]bool{}
	for k := range a {
		keys[k] = true
	}
	for k := range b {
		keys[k] = true
	}
	return keys
}

// pointer escapes a word for a JSON pointer.
func pointer(word string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(word)
}

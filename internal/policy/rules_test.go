package policy_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/kumactl/kumactl/internal/policy"
)

// describe shows rules as one line each: what they are about, the configuration, where it comes from.
func describe(in *policy.Inspection) string {
	if in == nil {
		return "nothing"
	}
	var b strings.Builder
	line := func(what string, conf any, origin []string) {
		raw, _ := json.Marshal(conf)
		fmt.Fprintf(&b, "%s: %s from %s\n", what, raw, strings.Join(origin, " "))
	}
	metas := func(list []policy.Meta) (names []string) {
		for _, m := range list {
			names = append(names, m.Name)
		}
		return names
	}
	origins := func(list []policy.InspectedOrigin) (names []string) {
		for _, o := range list {
			names = append(names, fmt.Sprintf("%s[%d]", o.Meta.Name, o.Index))
		}
		return names
	}
	tagged := func(what string, rules []policy.InspectedRule) {
		for _, r := range rules {
			words := []string{what}
			for _, m := range r.Matchers {
				words = append(words, fmt.Sprintf("%s%s=%s", map[bool]string{true: "!"}[m.Not], m.Key, m.Value))
			}
			line(strings.Join(words, " "), r.Conf, metas(r.Origin))
		}
	}
	tagged("to", in.ToRules)
	for _, r := range in.ToResourceRules {
		line("to "+r.Meta.Type+" "+r.Meta.Name+r.Section, r.Conf, origins(r.Origin))
	}
	for _, f := range in.FromRules {
		tagged(fmt.Sprintf("from at %d", f.Inbound.Port), f.Rules)
	}
	for _, i := range in.InboundRules {
		for _, r := range i.Rules {
			what := fmt.Sprintf("inbound %d", i.Inbound.Port)
			for _, m := range r.Matches {
				if m.SpiffeID != nil {
					what += " " + m.SpiffeID.Type + " " + m.SpiffeID.Value
				}
			}
			line(what, r.Conf, origins(r.Origin))
		}
	}
	return b.String()
}

func TestRules(t *testing.T) {
	one := `{"type":"Dataplane","name":"web-1","networking":{"address":"10.0.0.1","inbound":[{"port":80,"tags":{"kuma.io/service":"web"}}]}}`
	for name, c := range map[string]struct{ documents, want string }{
		"nothing": {``, "nothing"},
		"a policy that selects others": {
			`{"type":"Toy","name":"p","spec":{"targetRef":{"kind":"MeshService","name":"other"},"to":[{"targetRef":{"kind":"Mesh"},"default":{"a":"1"}}]}}`,
			"nothing",
		},
		"the mesh and a service": {
			`{"type":"Toy","name":"a","spec":{"to":[{"targetRef":{"kind":"Mesh"},"default":{"a":"1","b":"1"}}]}}
			{"type":"Toy","name":"b","spec":{"to":[{"targetRef":{"kind":"MeshService","name":"db"},"default":{"a":"2"}}]}}`,
			`to kuma.io/service=db: {"a":"1","b":"1"} from b a
to: {"a":"1","b":"1"} from a
to Mesh m: [{"a":"1","b":"1"}] from a[0]
`,
		},
		"a service in a policy that counts more": {
			`{"type":"Toy","name":"a","spec":{"targetRef":{"kind":"MeshService","name":"web"},"to":[{"targetRef":{"kind":"MeshService","name":"db"},"default":{"a":"2"}}]}}
			{"type":"Toy","name":"b","spec":{"to":[{"targetRef":{"kind":"Mesh"},"default":{"a":"1","b":"1"}}]}}`,
			`to kuma.io/service=db: {"a":"2","b":"1"} from b a
to: {"a":"1","b":"1"} from b
to Mesh m: [{"a":"1","b":"1"}] from b[0]
`,
		},
		"where services are resources, tags mean nothing": {
			`{"type":"Mesh","name":"m","meshServices":{"mode":"Exclusive"}}
			{"type":"Toy","name":"a","spec":{"to":[{"targetRef":{"kind":"Mesh"},"default":{"a":"1"}},{"targetRef":{"kind":"MeshService","name":"db"},"default":{"a":"2"}}]}}`,
			`to Mesh m: [{"a":"1"}] from a[0]
`,
		},
		"clients by tag": {
			`{"type":"Toy","name":"a","spec":{"from":[{"targetRef":{"kind":"MeshSubset","tags":{"v":"1"}},"default":{"a":"1"}},{"targetRef":{"kind":"MeshService","name":"x"},"default":{"a":"2"}}]}}`,
			`from at 80 kuma.io/service=x v=1: {"a":"2"} from a
from at 80 !kuma.io/service=x v=1: {"a":"1"} from a
from at 80 kuma.io/service=x !v=1: {"a":"2"} from a
`,
		},
		"clients that exclude each other": {
			`{"type":"Toy","name":"a","spec":{"from":[{"targetRef":{"kind":"MeshService","name":"x"},"default":{"a":"1"}},{"targetRef":{"kind":"MeshService","name":"y"},"default":{"a":"2"}}]}}`,
			`from at 80 kuma.io/service=y: {"a":"2"} from a
from at 80 kuma.io/service=x: {"a":"1"} from a
`,
		},
		"from the mesh is a rule about everybody": {
			`{"type":"Toy","name":"a","spec":{"from":[{"targetRef":{"kind":"Mesh"},"default":{"a":"1"}}]}}`,
			`from at 80: {"a":"1"} from a
inbound 80: [{"a":"1"}] from a[0]
`,
		},
		"rules, the exact ones first": {
			`{"type":"Toy","name":"a","spec":{"rules":[{"targetRef":{"kind":"Mesh"},"default":{"a":"1"}},{"targetRef":{"kind":"Mesh"},"matches":[{"spiffeID":{"type":"Prefix","value":"spiffe://m/"}},{"spiffeID":{"type":"Exact","value":"spiffe://m/x"}}],"default":{"a":"2"}}]}}`,
			`inbound 80 Exact spiffe://m/x: [{"a":"2"}] from a[1]
inbound 80 Prefix spiffe://m/: [{"a":"2"}] from a[1]
inbound 80: [{"a":"1"}] from a[0]
`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := pictureOf(t, one+"\n"+c.documents)
			in, err := shape().Bind(m.Policies("Toy")).Inspect("Toy", m, proxyOf(t, m, "web-1"))
			if err != nil {
				t.Fatal(err)
			}
			if got := describe(in); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestTooManyTagsAreRefused(t *testing.T) {
	var entries []string
	for i := range 20 {
		entries = append(entries, fmt.Sprintf(`{"targetRef":{"kind":"MeshSubset","tags":{"t%d":"1"}},"default":{"a":"1"}}`, i))
	}
	m := pictureOf(t, fmt.Sprintf(`{"type":"Toy","name":"a","spec":{"from":[%s]}}`, strings.Join(entries, ",")))
	set := shape().Bind(m.Policies("Toy"))
	if _, err := set.From("\x01"); err == nil || !strings.Contains(err.Error(), "20 different tags") {
		t.Errorf("a million rules are made: %v", err)
	}
}

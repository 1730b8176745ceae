package policy_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/kumactl/kumactl/internal/policy"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/resource/dataplane"
	"github.com/kumactl/kumactl/internal/resource/mesh"
	"github.com/kumactl/kumactl/internal/store"
	"github.com/kumactl/kumactl/internal/view"
)

// toy is a policy with all parts that policies have.
type toy struct {
	TargetRef *policy.TargetRef `json:"targetRef,omitempty"`
	To        []entry           `json:"to,omitempty"`
	From      []entry           `json:"from,omitempty"`
	Rules     []entry           `json:"rules,omitempty"`
	Default   *conf             `json:"default,omitempty"`
}

type entry struct {
	TargetRef policy.TargetRef `json:"targetRef"`
	Matches   []policy.Match   `json:"matches,omitempty"`
	Default   conf             `json:"default"`
}

type conf struct {
	A    string   `json:"a,omitempty"`
	B    string   `json:"b,omitempty"`
	Zero *int     `json:"zero,omitempty"`
	List []string `json:"list,omitempty"`
	In   *inner   `json:"in,omitempty"`
}

type inner struct {
	C string `json:"c,omitempty"`
	D string `json:"d,omitempty"`
}

var toyKind = resource.Of(resource.Kind{Name: "Toy", Policy: &resource.PolicyTraits{}}, resource.Rules[*toy]{})

func shape() policy.Shape[toy, conf] {
	read := func(of func(*toy) []entry) func(*toy) []policy.Entry[conf] {
		return func(t *toy) (list []policy.Entry[conf]) {
			for _, e := range of(t) {
				list = append(list, policy.Entry[conf]{Target: e.TargetRef, Matches: e.Matches, Default: e.Default})
			}
			return list
		}
	}
	return policy.Shape[toy, conf]{
		Target:      func(t *toy) *policy.TargetRef { return t.TargetRef },
		To:          read(func(t *toy) []entry { return t.To }),
		From:        read(func(t *toy) []entry { return t.From }),
		Rules:       read(func(t *toy) []entry { return t.Rules }),
		FromAsRules: true,
	}
}

// pictureOf stores documents (a resource's JSON, one a line) and gives the picture of mesh m.
func pictureOf(t testing.TB, documents string) *view.Mesh {
	t.Helper()
	kinds := map[string]*resource.Kind{"Mesh": mesh.Kind, "Dataplane": dataplane.Kind, "Toy": toyKind}
	list := []*resource.Kind{mesh.Kind, dataplane.Kind, toyKind}
	s := store.OpenMemory(store.Options{Kinds: list})
	defer s.Close()
	_, err := s.Update(t.Context(), store.Writer{}, func(tx *store.Tx) error {
		if err := tx.Put(mesh.Kind.New("", "m")); err != nil {
			return err
		}
		for line := range strings.Lines(documents) {
			if strings.TrimSpace(line) == "" {
				continue
			}
			head, err := resource.ReadHead([]byte(line))
			if err != nil {
				return fmt.Errorf("%s: %w", line, err)
			}
			r, err := kinds[head.Type].Decode([]byte(line))
			if err != nil {
				return fmt.Errorf("%s: %w", line, err)
			}
			if len(r.Unknown) > 0 {
				return fmt.Errorf("%s: %v", line, r.Unknown)
			}
			if r.Mesh = "m"; r.Kind == mesh.Kind {
				r.Mesh = ""
			}
			if err := tx.Put(r.Resource); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	m, ok := view.New(s.Snapshot(), list).Mesh("m")
	if !ok {
		t.Fatal("there is no mesh m")
	}
	return m
}

func proxyOf(t testing.TB, m *view.Mesh, name string) *view.Proxy {
	t.Helper()
	p, ok := m.Proxy(name)
	if !ok {
		t.Fatalf("there is no proxy %s", name)
	}
	return p
}

const sidecar = `{"type":"Dataplane","name":"web-1","labels":{"app":"web","kuma.io/origin":"zone","kuma.io/zone":"east"},"networking":{"address":"10.0.0.1","inbound":[
{"port":80,"name":"main","tags":{"kuma.io/service":"web","version":"v1"}},
{"port":81,"tags":{"kuma.io/service":"admin"}},
{"port":82,"state":"Ignored","tags":{"kuma.io/service":"hidden"}}]}}`

const gateway = `{"type":"Dataplane","name":"gw-1","labels":{"app":"gw"},"networking":{"address":"10.0.0.2","gateway":{"tags":{"kuma.io/service":"gw","version":"v1"}}}}`

const bare = `{"type":"Dataplane","name":"job-1","labels":{"app":"job"},"networking":{"address":"10.0.0.3"}}`

// TestSelect: which proxies and inbounds a policy selects. The answer names web-1's inbounds by port, the gateway, and the job,
// which has no inbounds.
func TestSelect(t *testing.T) {
	for _, c := range []struct{ target, labels, want string }{
		{``, ``, "80 81 gw job"},
		{`{"kind":"Mesh"}`, ``, "80 81 gw job"},
		{`{"kind":"Mesh","proxyTypes":["Sidecar"]}`, ``, "80 81 job"},
		{`{"kind":"Mesh","proxyTypes":["Gateway"]}`, ``, "gw"},
		{`{"kind":"MeshSubset","tags":{"version":"v1"}}`, ``, "80 gw"},
		{`{"kind":"MeshSubset","tags":{"version":"*"}}`, ``, "80 gw"},
		{`{"kind":"MeshSubset","tags":{"version":"v1"},"proxyTypes":["Sidecar"]}`, ``, "80"},
		{`{"kind":"MeshSubset","tags":{"version":"v2"}}`, ``, ""},
		{`{"kind":"MeshService","name":"admin"}`, ``, "81"},
		{`{"kind":"MeshService","name":"hidden"}`, ``, ""},
		{`{"kind":"MeshService","name":"gw"}`, ``, "gw"},
		{`{"kind":"MeshServiceSubset","name":"web","tags":{"version":"v1"}}`, ``, "80"},
		{`{"kind":"MeshServiceSubset","name":"admin","tags":{"version":"v1"}}`, ``, ""},
		{`{"kind":"Dataplane"}`, ``, "80 81 gw job"},
		{`{"kind":"Dataplane","name":"web-1"}`, `"kuma.io/zone":"east"`, "80 81"},
		{`{"kind":"Dataplane","name":"web-1"}`, `"kuma.io/zone":"west"`, ""},
		{`{"kind":"Dataplane","name":"web-1","namespace":"other"}`, `"kuma.io/zone":"east"`, ""},
		{`{"kind":"Dataplane","labels":{"app":"web"}}`, ``, "80 81"},
		{`{"kind":"Dataplane","labels":{"app":"web"},"sectionName":"main"}`, ``, "80"},
		{`{"kind":"Dataplane","labels":{"app":"web"},"sectionName":"81"}`, ``, "81"},
		{`{"kind":"Dataplane","labels":{"app":"web"},"sectionName":"other"}`, ``, ""},
		{`{"kind":"Dataplane","labels":{"kuma.io/service":"web"}}`, ``, ""},
		{`{"kind":"Dataplane","labels":{"app":"gw"}}`, ``, "gw"},
		{`{"kind":"Dataplane","sectionName":"80"}`, ``, "80"},
		{`{"kind":"MeshGateway","name":"gw"}`, ``, ""},
		{`{"kind":"MeshHTTPRoute","name":"gone"}`, ``, ""},
		{``, `"kuma.io/effect":"shadow"`, ""},
		{``, `"kuma.io/origin":"zone","kuma.io/zone":"east"`, "80 81 gw job"},
		{``, `"kuma.io/origin":"zone","kuma.io/zone":"west"`, "gw job"},
		{``, `"kuma.io/origin":"zone","kuma.io/zone":"west","kuma.io/policy-role":"producer"`, "80 81 gw job"},
		{``, `"kuma.io/origin":"global","kuma.io/zone":"west"`, "80 81 gw job"},
		{``, `"kuma.io/policy-role":"consumer"`, ""},
		{``, `"kuma.io/policy-role":"workload-owner","k8s.kuma.io/namespace":"ns"`, ""},
		{``, `"kuma.io/policy-role":"system","k8s.kuma.io/namespace":"ns"`, "80 81 gw job"},
	} {
		target := ""
		if c.target != "" {
			target = `"targetRef":` + c.target
		}
		m := pictureOf(t, strings.ReplaceAll(sidecar, "\n", "")+"\n"+gateway+"\n"+bare+"\n"+fmt.Sprintf(`{"type":"Toy","name":"p","labels":{%s},"spec":{%s}}`, c.labels, target))
		set := shape().Bind(m.Policies("Toy"))
		var got []string
		web := proxyOf(t, m, "web-1")
		sel := set.Select(web, false)
		for i, in := range web.Inbounds {
			if !sel.Inbounds[i].Empty() {
				got = append(got, fmt.Sprint(in.Port))
			}
		}
		if sel.Proxy.Empty() != (len(got) == 0) {
			t.Errorf("%s %s: the proxy is selected %v, its inbounds are %v", c.target, c.labels, !sel.Proxy.Empty(), got)
		}
		if !set.Select(proxyOf(t, m, "gw-1"), false).Proxy.Empty() {
			got = append(got, "gw")
		}
		if !set.Select(proxyOf(t, m, "job-1"), false).Proxy.Empty() {
			got = append(got, "job")
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s %s selects %q, want %q", c.target, c.labels, text, c.want)
		}
		if shadow := strings.Contains(c.labels, "shadow"); shadow && set.Select(web, true).Proxy.Empty() {
			t.Error("a policy in shadow mode does not count when asked for")
		}
		if warned := len(sel.Warnings) > 0; warned != strings.Contains(c.target, "MeshHTTPRoute") {
			t.Errorf("%s warns %v", c.target, sel.Warnings)
		}
	}
}

// TestOrder: of two policies that say different things, which one counts. `less` and `more` are the top level and labels.
func TestOrder(t *testing.T) {
	for _, c := range []struct{ less, more string }{
		{`|`, `{"kind":"Dataplane"}|`},
		{`{"kind":"Dataplane"}|`, `{"kind":"Dataplane","labels":{"app":"web"}}|`},
		{`{"kind":"Dataplane"}|`, `{"kind":"Dataplane","sectionName":"main"}|`},
		{`{"kind":"Dataplane","labels":{"app":"web"},"sectionName":"main"}|"kuma.io/zone":"east"`, `{"kind":"Dataplane","name":"web-1"}|"kuma.io/zone":"east"`},
		{`{"kind":"Dataplane","name":"web-1"}|"kuma.io/zone":"east"`, `{"kind":"Dataplane","name":"web-1","sectionName":"80"}|"kuma.io/zone":"east"`},
		{`{"kind":"Dataplane","name":"web-1"}|"kuma.io/zone":"east"`, `{"kind":"MeshSubset","tags":{"version":"v1"}}|`},
		{`{"kind":"MeshSubset","tags":{"version":"v1"}}|`, `{"kind":"MeshService","name":"web"}|`},
		{`{"kind":"MeshService","name":"web"}|`, `{"kind":"MeshServiceSubset","name":"web","tags":{"version":"v1"}}|`},
		{`|"kuma.io/origin":"global"`, `|`},
		{`|`, `|"kuma.io/origin":"zone"`},
		{`|"kuma.io/origin":"global","kuma.io/policy-role":"producer"`, `|"kuma.io/origin":"zone"`},
		{`|`, `|"kuma.io/policy-role":"producer"`},
		{`|"kuma.io/policy-role":"producer"`, `|"kuma.io/policy-role":"consumer","k8s.kuma.io/namespace":"ns"`},
		{`|"kuma.io/policy-role":"consumer","k8s.kuma.io/namespace":"ns"`, `|"kuma.io/policy-role":"workload-owner","k8s.kuma.io/namespace":"ns"`},
		{`|"kuma.io/display-name":"b"`, `|"kuma.io/display-name":"a"`},
	} {
		for swapped, names := range map[bool][2]string{false: {"x", "y"}, true: {"y", "x"}} {
			var lines []string
			for i, text := range []string{c.less, c.more} {
				target, labels, _ := strings.Cut(text, "|")
				if target == "" {
					target = `{"kind":"Mesh"}`
				}
				lines = append(lines, fmt.Sprintf(`{"type":"Toy","name":%q,"labels":{%s},"spec":{"targetRef":%s,"rules":[{"targetRef":{"kind":"Mesh"},"default":{"a":"%d"}}]}}`, names[i], labels, target, i))
			}
			web := strings.ReplaceAll(strings.ReplaceAll(sidecar, "\n", ""), `"app":"web"`, `"app":"web","k8s.kuma.io/namespace":"ns"`)
			if strings.Contains(c.less+c.more, "name\":\"web-1") {
				web = strings.ReplaceAll(sidecar, "\n", "")
			}
			m := pictureOf(t, web+"\n"+strings.Join(lines, "\n"))
			set := shape().Bind(m.Policies("Toy"))
			rules, err := set.Inbound(set.Select(proxyOf(t, m, "web-1"), false).Inbounds[0])
			if err != nil {
				t.Fatal(err)
			}
			if len(rules.Rules) != 2 || rules.All == nil || rules.All.A != "1" {
				t.Errorf("%s should count less than %s (swapped %v): %+v", c.less, c.more, swapped, rules.Rules)
			}
		}
	}
}

func TestMerge(t *testing.T) {
	for _, c := range []struct{ confs, want string }{
		{`[]`, `[]`},
		{`[{"a":"1"}]`, `[{"a":"1"}]`},
		{`[{"a":"1","b":"1"},{"b":"2"}]`, `[{"a":"1","b":"2"}]`},
		{`[{"in":{"c":"1"}},{"in":{"d":"2"}}]`, `[{"in":{"c":"1","d":"2"}}]`},
		{`[{"in":{"c":"1"}},{}]`, `[{"in":{"c":"1"}}]`},
		{`[{"zero":5},{"zero":0}]`, `[{"zero":0}]`},
		{`[{"list":["1","2"]},{"list":["3"]}]`, `[{"list":["3"]}]`},
	} {
		check(t, policy.Merge[conf], c.confs, c.want)
	}
	type special struct {
		Append []string `json:"append,omitempty" policyMerge:"append"`
		In     *struct {
			Append []string `json:"append,omitempty" policyMerge:"append"`
		} `json:"in,omitempty"`
		Rules []struct {
			Matches []string `json:"matches" policyMerge:"mergeKey"`
			Default conf     `json:"default"`
		} `json:"rules,omitempty" policyMerge:"mergeByKey"`
	}
	for _, c := range []struct{ confs, want string }{
		{`[{"append":["1"]},{"append":["2"]}]`, `[{"append":["1","2"]}]`},
		{`[{"in":{"append":["1"]}},{"in":{"append":["2"]}}]`, `[{"in":{"append":["1","2"]}}]`},
		{
			`[{"rules":[{"matches":["x"],"default":{"a":"1","b":"1"}},{"matches":["y"],"default":{"a":"2"}}]},{"rules":[{"matches":["x"],"default":{"b":"3"}}]}]`,
			`[{"rules":[{"matches":["y"],"default":{"a":"2"}},{"matches":["x"],"default":{"a":"1","b":"3"}}]}]`,
		},
		{
			`[{"rules":[{"matches":["x"],"default":{"a":"1"}},{"matches":["x"],"default":{"a":"2"}}]}]`,
			`[{"rules":[{"matches":["x"],"default":{"a":"2"}}]}]`,
		},
	} {
		check(t, policy.Merge[special], c.confs, c.want)
	}
	type hosted struct {
		Hosts []string `json:"hosts,omitempty" policyMerge:"mergeValues"`
		A     string   `json:"a,omitempty"`
		B     string   `json:"b,omitempty"`
	}
	check(t, policy.Merge[hosted], `[{"a":"0"},{"hosts":["x","y"],"a":"1"},{"hosts":["y"],"b":"2"}]`,
		`[{"a":"0"},{"hosts":["x"],"a":"1"},{"hosts":["y"],"a":"1","b":"2"}]`)
}

func check[C any](t *testing.T, merge func([]C) ([]C, error), confs, want string) {
	t.Helper()
	var in []C
	if err := json.Unmarshal([]byte(confs), &in); err != nil {
		t.Fatal(err)
	}
	out, err := merge(in)
	if err != nil {
		t.Fatal(err)
	}
	if out == nil {
		out = []C{}
	}
	got, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s\nmerged is %s\nwant      %s", confs, got, want)
	}
}

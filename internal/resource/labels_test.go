package resource_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

func texts(v problem.Violations) (all []string) {
	for _, one := range v {
		all = append(all, one.Field+"|"+one.Message)
	}
	return all
}

func TestComputeLabels(t *testing.T) {
	type labels = map[string]string
	mine := func(any) labels { return labels{"own": "set", "gone": ""} }
	for name, c := range map[string]struct {
		kind        resource.Kind
		given, want labels
	}{
		"global":        {resource.Kind{Scope: resource.Global}, labels{"a": "b"}, labels{"a": "b"}},
		"in a mesh":     {resource.Kind{}, nil, labels{"kuma.io/mesh": "m"}},
		"no mesh label": {resource.Kind{NoMeshLabel: true}, nil, labels{}},
		"of a zone":     {resource.Kind{ZoneProvided: true}, nil, labels{"kuma.io/mesh": "m", "kuma.io/origin": "zone", "kuma.io/zone": "z", "kuma.io/env": "universal"}},
		"given stays":   {resource.Kind{ZoneProvided: true}, labels{"kuma.io/env": "x"}, labels{"kuma.io/mesh": "m", "kuma.io/origin": "zone", "kuma.io/zone": "z", "kuma.io/env": "x"}},
		"from global":   {resource.Kind{ZoneProvided: true}, labels{"kuma.io/origin": "global"}, labels{"kuma.io/mesh": "m", "kuma.io/origin": "global"}},
		"its own":       {resource.Kind{NoMeshLabel: true, OwnLabels: mine}, labels{"own": "x", "gone": "y"}, labels{"own": "set"}},
		"a proxy": {
			resource.Kind{NoMeshLabel: true, ProxyType: func(any) string { return "sidecar" }},
			labels{"kuma.io/proxy-type": "gateway"},
			labels{"kuma.io/proxy-type": "sidecar"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := resource.Of(c.kind, resource.Rules[*limits]{})
			r := k.New("m", "a")
			r.Labels = c.given
			r.ComputeLabels("z")
			if diff := cmp.Diff(c.want, r.Labels); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCheckLabels(t *testing.T) {
	long := strings.Repeat("x", 64)
	for name, c := range map[string]struct{ key, value, want string }{
		"good":          {"example.com/My_name.1", "My-value_1", ""},
		"empty value":   {"k", "", ""},
		"own zone":      {"kuma.io/zone", "z", ""},
		"origin":        {"kuma.io/origin", "mars", `unknown resource origin "mars"`},
		"zone":          {"kuma.io/zone", "other", "kuma.io/zone label should have z value"},
		"mesh":          {"kuma.io/mesh", "other", "kuma.io/mesh label must not differ from mesh set on resource"},
		"long key":      {long, "", "name part must be no more than 63 bytes"},
		"long value":    {"k", long, "must be no more than 63 bytes"},
		"value":         {"k", "a b", "a valid label must be an empty string or consist of"},
		"key":           {"-a", "", "name part must consist of"},
		"two slashes":   {"a/b/c", "", "a valid label key must consist of"},
		"empty prefix":  {"/a", "", "prefix part must be non-empty"},
		"prefix":        {"A/b", "", "prefix part a lowercase RFC 1123 subdomain must consist of"},
		"prefix, parts": {"a..b/c", "", "prefix part a lowercase RFC 1123 subdomain must consist of"},
	} {
		t.Run(name, func(t *testing.T) {
			r := kind.New("m", "a")
			r.Labels = map[string]string{c.key: c.value}
			got := r.CheckLabels("z")
			if c.want == "" && len(got) == 0 {
				return
			}
			if len(got) != 1 || got[0].Field != `labels["`+c.key+`"]` || !strings.HasPrefix(got[0].Message, c.want) || c.want == "" {
				t.Errorf("got %q, want %q", texts(got), c.want)
			}
		})
	}
	r := kind.New("m", "a")
	r.Labels = map[string]string{"kuma.io/origin": "global", "kuma.io/zone": "other", "kuma.io/mesh": "other"}
	if got := r.CheckLabels("z"); len(got) > 0 {
		t.Errorf("a resource of the global control plane: %q", texts(got))
	}
}

func TestCheckLabelsKept(t *testing.T) {
	with := func(labels map[string]string) *resource.Resource {
		r := kind.New("m", "a")
		r.Labels = labels
		return r
	}
	old := with(map[string]string{"kuma.io/origin": "zone", "kuma.io/zone": "z", "free": "a"})
	if got := with(map[string]string{"kuma.io/origin": "zone", "kuma.io/zone": "z", "kuma.io/display-name": "new"}).CheckLabelsKept(old); len(got) > 0 {
		t.Errorf("got %q", texts(got))
	}
	want := []string{
		`labels["kuma.io/origin"]|is immutable, cannot be changed from "zone" to "global"`,
		`labels["kuma.io/zone"]|is immutable, cannot be removed (was "z")`,
	}
	if diff := cmp.Diff(want, texts(with(map[string]string{"kuma.io/origin": "global"}).CheckLabelsKept(old))); diff != "" {
		t.Error(diff)
	}
}

func TestNames(t *testing.T) {
	strict := "invalid characters. A lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character"
	for name, c := range map[string]struct {
		name   string
		exists bool
		want   []string
	}{
		"good":      {"a-1.b", false, nil},
		"empty":     {"", false, []string{"name|cannot be empty"}},
		"long":      {strings.Repeat("a", 254), false, []string{"name|value length must less or equal 253"}},
		"upper":     {"A", false, []string{"name|" + strict}},
		"old":       {"a_b-", true, nil},
		"new":       {"a_b", false, []string{"name|" + strict}},
		"dots":      {"a..b", false, []string{"name|" + strict}},
		"old, bad":  {"A", true, []string{"name|invalid characters. Valid characters are numbers, lowercase latin letters and '-', '_', '.' symbols."}},
		"dash last": {"a-", false, []string{"name|" + strict}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, texts(kind.New("m_1", c.name).CheckMeta(c.exists))); diff != "" {
				t.Error(diff)
			}
		})
	}
	if diff := cmp.Diff([]string{"mesh|cannot be empty"}, texts(kind.New("", "a").CheckMeta(false))); diff != "" {
		t.Error(diff)
	}
	for name, want := range map[string]int{"a-1": 0, "1a": 1, "a.b": 1, "A": 1, "": 1, strings.Repeat("a", 63): 0, strings.Repeat("a", 64): 1} {
		if got := resource.DNS1035(name); len(got) != want {
			t.Errorf("DNS1035(%q) is %q", name, got)
		}
	}
}

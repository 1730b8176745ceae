package envoytest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"sigs.k8s.io/yaml"

	"github.com/kumactl/kumactl/internal/envoy"
)

// All gives every resource of a configuration by kind and name: `listener inbound:10.0.0.1:80`.
func All(c *envoy.Config) map[string]*envoy.Sealed {
	all := map[string]*envoy.Sealed{}
	for kind, list := range map[string][]*envoy.Sealed{"cluster": c.Clusters, "listener": c.Listeners, "endpoints": c.Endpoints} {
		for _, s := range list {
			all[kind+" "+s.Name] = s
		}
	}
	return all
}

// YAML shows a resource.
func YAML(t testing.TB, s *envoy.Sealed) string {
	t.Helper()
	text, err := yaml.JSONToYAML(JSON(t, s))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// JSON gives a resource in protobuf's JSON.
func JSON(t testing.TB, s *envoy.Sealed) []byte {
	t.Helper()
	message, err := s.Message()
	if err != nil {
		t.Fatalf("%s: %v", s.Name, err)
	}
	raw, err := protojson.Marshal(message)
	if err != nil {
		t.Fatalf("%s: %v", s.Name, err)
	}
	return raw
}

// Difference tells what is not the same in two configurations: resource by resource, path by path.
func Difference(t testing.TB, before, after *envoy.Config) string {
	t.Helper()
	old, now := All(before), All(after)
	names := maps.Clone(old)
	maps.Copy(names, now)
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(names)) {
		a, c := values(t, old[name]), values(t, now[name])
		var lines []string
		paths := maps.Clone(a)
		maps.Copy(paths, c)
		for _, path := range slices.Sorted(maps.Keys(paths)) {
			was, is := a[path], c[path]
			if was == is {
				continue
			}
			lines = append(lines, fmt.Sprintf("  %s: %s → %s", short(path), said(was), said(is)))
		}
		if len(lines) > 0 {
			fmt.Fprintf(&b, "%s\n%s\n", name, strings.Join(lines, "\n"))
		}
	}
	for _, p := range after.Problems {
		if !slices.Contains(before.Problems, p) {
			fmt.Fprintf(&b, "problem %s\n", p)
		}
	}
	return b.String()
}

func said(value string) string {
	if value == "" {
		return "-"
	}
	return value
}

// short leaves out of a path what all chains have.
func short(path string) string {
	path = strings.ReplaceAll(path, "typedConfig.", "")
	path = strings.ReplaceAll(path, "typedExtensionProtocolOptions.envoy.extensions.upstreams.http.v3.HttpProtocolOptions.", "http.")
	return strings.ReplaceAll(path, "[0]", "")
}

// values flattens a resource to its leaves.
func values(t testing.TB, s *envoy.Sealed) map[string]string {
	t.Helper()
	leaves := map[string]string{}
	if s == nil {
		return leaves
	}
	var tree any
	if err := json.Unmarshal(JSON(t, s), &tree); err != nil {
		t.Fatal(err)
	}
	flatten("", tree, leaves)
	return leaves
}

func flatten(path string, value any, into map[string]string) {
	switch v := value.(type) {
	case map[string]any:
		for k, inner := range v {
			flatten(strings.TrimPrefix(path+"."+k, "."), inner, into)
		}
		if len(v) == 0 {
			into[path] = "{}"
		}
	case []any:
		for i, inner := range v {
			flatten(fmt.Sprintf("%s[%d]", path, i), inner, into)
		}
	default:
		into[path] = fmt.Sprint(v)
	}
}

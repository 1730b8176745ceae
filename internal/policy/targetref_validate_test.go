package policy_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/policy"
	"github.com/kumactl/kumactl/internal/problem"
)

func texts(v problem.Violations) (all []string) {
	for _, one := range v {
		all = append(all, one.Field+"|"+one.Message)
	}
	return all
}

func TestTargetRefCheck(t *testing.T) {
	all := policy.RefRules{ListenerTags: true, Kinds: []policy.RefKind{
		policy.RefMesh, policy.RefMeshSubset, policy.RefMeshGateway, policy.RefMeshService, policy.RefMeshExternal,
		policy.RefMeshMultiZone, policy.RefMeshServiceSubset, policy.RefMeshHTTPRoute, policy.RefDataplane,
	}}
	only := policy.RefRules{Kinds: []policy.RefKind{policy.RefMesh}}
	inbound, anyName, noListeners, own := all, all, all, only
	inbound.Inbound = true
	anyName.AnyName = []string{"kuma.io/unresolved"}
	noListeners.ListenerTags = false
	own.KindsText = "only meshes here"
	const badName = "name|invalid characters: must consist of lower case alphanumeric characters, '-', '.' and '_'."
	for name, c := range map[string]struct {
		ref   string
		rules policy.RefRules
		want  []string
	}{
		"no kind":            {`{}`, all, []string{"kind|must be defined"}},
		"other kind":         {`{"kind":"Dataplane","name":"x","mesh":"y"}`, only, []string{"kind|value 'Dataplane' is not supported"}},
		"other kind, own":    {`{"kind":"Dataplane"}`, own, []string{"kind|only meshes here"}},
		"mesh":               {`{"kind":"Mesh","proxyTypes":["Sidecar"]}`, all, nil},
		"mesh, all":          {`{"kind":"Mesh","name":"a","mesh":"b","tags":{"c":"d"},"labels":{"e":"f"},"namespace":"g","sectionName":"h","proxyTypes":[]}`, all, []string{"name|using name with kind Mesh is not yet supported", "mesh|must not be set with kind Mesh", "tags|must not be set with kind Mesh", "labels|must not be set with kind Mesh", "namespace|must not be set with kind Mesh", "sectionName|must not be set with kind Mesh", "proxyTypes|must be undefined or have at least one element"}},
		"mesh, empty maps":   {`{"kind":"Mesh","tags":{},"labels":{}}`, all, nil},
		"subset":             {`{"kind":"MeshSubset","tags":{"kuma.io/service":"web"}}`, all, nil},
		"subset, tags":       {`{"kind":"MeshSubset","name":"x","tags":{"":"a","b*":"c","d":"","e":"f/g"}}`, all, []string{"name|must not be set with kind MeshSubset", "tags|tag name must be non-empty", `tags["b*"]|tag name must consist of alphanumeric characters, dots, dashes, slashes and underscores`, `tags["d"]|tag value must be non-empty`, `tags["e"]|tag value must consist of alphanumeric characters, dots, dashes and underscores`}},
		"service":            {`{"kind":"MeshService","name":"a.b-c_1","namespace":"n","sectionName":"s"}`, all, nil},
		"service by labels":  {`{"kind":"MeshService","labels":{"a":"b"},"sectionName":"http"}`, all, nil},
		"service, nothing":   {`{"kind":"MeshService","namespace":"n"}`, all, []string{"|name or labels must be set when kind is MeshService"}},
		"service, both":      {`{"kind":"MeshService","name":"x","labels":{"a":"b"}}`, all, []string{"labels|either labels or name and namespace must be specified"}},
		"service, name":      {`{"kind":"MeshService","name":"*","mesh":"m","tags":{"a":"b"},"proxyTypes":["Gateway"]}`, all, []string{badName, "mesh|must not be set with kind MeshService", "tags|must not be set with kind MeshService", "proxyTypes|must not be set with kind MeshService"}},
		"service, odd name":  {`{"kind":"MeshService","name":"kuma.io/unresolved"}`, anyName, nil},
		"multizone":          {`{"kind":"MeshMultiZoneService"}`, all, []string{"|name or labels must be set when kind is MeshMultiZoneService"}},
		"external, both":     {`{"kind":"MeshExternalService","name":"x","labels":{"a":"b"},"sectionName":"s"}`, all, []string{"labels|either labels or name must be specified", "sectionName|must not be set with kind MeshExternalService"}},
		"route":              {`{"kind":"MeshHTTPRoute","name":"r"}`, all, nil},
		"route, section":     {`{"kind":"MeshHTTPRoute","name":"r","sectionName":"s"}`, all, []string{"sectionName|must not be set with kind MeshHTTPRoute"}},
		"service subset":     {`{"kind":"MeshServiceSubset","name":"x","tags":{"a":"*"}}`, all, nil},
		"service subset, no": {`{"kind":"MeshServiceSubset","tags":{"a":"b c"},"labels":{"e":"f"}}`, all, []string{"name|must be set when kind is MeshServiceSubset", `tags["a"]|tag value must consist of alphanumeric characters, dots, dashes, slashes and underscores or be "*"`, "labels|must not be set with kind MeshServiceSubset"}},
		"gateway":            {`{"kind":"MeshGateway","name":"edge","tags":{"port":"http/443"}}`, all, nil},
		"gateway, listeners": {`{"kind":"MeshGateway","name":"edge","tags":{"port":"http"}}`, noListeners, []string{"tags|must not be set with kind MeshGateway"}},
		"dataplane":          {`{"kind":"Dataplane"}`, all, nil},
		"dataplane, section": {`{"kind":"Dataplane","name":"x","sectionName":"http"}`, inbound, nil},
		"dataplane, not in":  {`{"kind":"Dataplane","name":"x","sectionName":"http"}`, all, []string{"sectionName|can only be used with inbound policies"}},
		"dataplane, both":    {`{"kind":"Dataplane","namespace":"n","labels":{"a":"b"},"tags":{"c":"d"}}`, all, []string{"tags|must not be set with kind Dataplane", "labels|either labels or name and namespace must be specified"}},
	} {
		t.Run(name, func(t *testing.T) {
			var ref policy.TargetRef
			if err := json.Unmarshal([]byte(c.ref), &ref); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, texts(ref.Check(c.rules))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestTargetRefKeepsWhatWasWritten: empty maps and lists are read back, what was left out is not there.
func TestTargetRefKeepsWhatWasWritten(t *testing.T) {
	for _, doc := range []string{`{"kind":"Mesh"}`, `{"kind":"MeshSubset","tags":{},"proxyTypes":[],"labels":{}}`} {
		var ref policy.TargetRef
		if err := json.Unmarshal([]byte(doc), &ref); err != nil {
			t.Fatal(err)
		}
		if raw, err := json.Marshal(ref); err != nil || string(raw) != doc {
			t.Errorf("got %s, %v, want %s", raw, err, doc)
		}
	}
}

func TestTargetRefWarnings(t *testing.T) {
	for kind, want := range map[policy.RefKind][]string{
		policy.RefMesh:              nil,
		policy.RefDataplane:         nil,
		policy.RefMeshSubset:        {"MeshSubset value for 'targetRef.kind' is deprecated, use Dataplane with labels instead"},
		policy.RefMeshService:       {"MeshService value for 'targetRef.kind' is deprecated, use Dataplane with labels instead"},
		policy.RefMeshServiceSubset: {"MeshServiceSubset value for 'targetRef.kind' is deprecated, use Dataplane with labels instead"},
		policy.RefMeshHTTPRoute:     {"MeshHTTPRoute value for 'targetRef.kind' is deprecated, use MeshHTTPRoute in spec.to[].targetRef"},
	} {
		if diff := cmp.Diff(want, (&policy.TargetRef{Kind: kind}).Warnings()); diff != "" {
			t.Error(kind, diff)
		}
	}
	if got := (*policy.TargetRef)(nil).Warnings(); got != nil {
		t.Errorf("no reference: %q", got)
	}
}

func TestMatchCheck(t *testing.T) {
	id := func(value string) policy.Match { return policy.Match{SpiffeID: &policy.SpiffeIDMatch{Value: value}} }
	sni := func(value string) policy.Match { return policy.Match{SNI: &policy.SNIMatch{Value: value}} }
	for name, c := range map[string]struct {
		match policy.Match
		want  string
	}{
		"id":               {id("spiffe://default/ns/a/sa/b_C.1-d"), ""},
		"id of the domain": {id("spiffe://default"), ""},
		"empty":            {id(""), "cannot be empty"},
		"scheme":           {id("http://default/a"), "scheme is missing or invalid"},
		"no domain":        {id("spiffe:///a"), "trust domain is missing"},
		"domain":           {id("spiffe://Default/a"), "trust domain characters are limited to lowercase letters, numbers, dots, dashes, and underscores"},
		"slash at the end": {id("spiffe://default/a/"), "path cannot have a trailing slash"},
		"empty segment":    {id("spiffe://default//a"), "path cannot contain empty segments"},
		"dots":             {id("spiffe://default/../a"), "path cannot contain dot segments"},
		"letters":          {id("spiffe://default/a b"), "path segment characters are limited to letters, numbers, dots, dashes, and underscores"},
		"sni":              {sni("a.example.com"), ""},
		"sni, empty":       {sni(""), "must be set"},
		"sni, letters":     {sni("A"), "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"},
	} {
		t.Run(name, func(t *testing.T) {
			want := []string(nil)
			switch {
			case c.want != "" && c.match.SNI != nil:
				want = []string{"sni.value|" + c.want}
			case c.want != "":
				want = []string{"spiffeID|must be a valid Spiffe ID: " + c.want}
			}
			if diff := cmp.Diff(want, texts(c.match.Check())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDuration(t *testing.T) {
	for in, want := range map[string]string{`"90s"`: `"1m30s"`, `"1.5h"`: `"1h30m0s"`, `"0"`: `"0s"`, `"-1s"`: `"-1s"`} {
		var d policy.Duration
		if err := json.Unmarshal([]byte(in), &d); err != nil {
			t.Fatal(err)
		}
		if raw, err := json.Marshal(d); err != nil || string(raw) != want {
			t.Errorf("%s is written %s, %v, want %s", in, raw, err, want)
		}
	}
	var d policy.Duration
	if err := json.Unmarshal([]byte(`"2 seconds"`), &d); err == nil || err.Error() != `time: unknown unit " seconds" in duration "2 seconds"` {
		t.Errorf("got %v", err)
	}
}

package meshtimeout_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/policies/meshtimeout"
	"github.com/kumactl/kumactl/internal/problem"
)

func TestValidate(t *testing.T) {
	const (
		empty    = "at least one timeout should be configured"
		section  = "at least one timeout in this section should be configured"
		routes   = "can't be specified when top-level TargetRef is referencing MeshHTTPRoute"
		identity = "can't be specified when matches contain spiffeID because this field cannot be conditioned on source identity"
	)
	for name, c := range map[string]struct {
		spec string
		want []string
	}{
		"to":                     {`{"to":[{"targetRef":{"kind":"MeshHTTPRoute","name":"r"},"default":{"http":{"requestTimeout":"0s"}}}]}`, nil},
		"from":                   {`{"targetRef":{"kind":"Mesh"},"from":[{"targetRef":{"kind":"Mesh"},"default":{"idleTimeout":"0s"}}]}`, nil},
		"rules":                  {`{"targetRef":{"kind":"Dataplane","sectionName":"http"},"rules":[{"matches":[{"sni":{"type":"Exact","value":"a.b"}}],"default":{"connectionTimeout":"1s"}}]}`, nil},
		"nothing":                {`{"to":[]}`, []string{"spec|at least one of 'from', 'to' or 'rules' has to be defined"}},
		"rules beside to":        {`{"to":[{"targetRef":{"kind":"Mesh"},"default":{"idleTimeout":"1s"}}],"rules":[{"default":{"idleTimeout":"1s"}}]}`, []string{"spec|fields 'to' and 'from' must be empty when 'rules' is defined"}},
		"no conf":                {`{"to":[{"targetRef":{"kind":"Mesh"}}],"from":[{"targetRef":{"kind":"Mesh"},"default":{}}]}`, []string{"spec.from[0].default|" + empty, "spec.to[0].default|" + empty}},
		"empty section":          {`{"to":[{"targetRef":{"kind":"Mesh"},"default":{"idleTimeout":"1s","http":{}}}]}`, []string{"spec.to[0].default.http|" + section}},
		"headers alone":          {`{"to":[{"targetRef":{"kind":"Mesh"},"default":{"http":{"requestHeadersTimeout":"1s"}}}]}`, []string{"spec.to[0].default.http|" + section}},
		"negative":               {`{"to":[{"targetRef":{"kind":"Mesh"},"default":{"connectionTimeout":"0s","idleTimeout":"-1s","http":{"streamIdleTimeout":"-1s","maxConnectionDuration":"-1s"}}}]}`, []string{"spec.to[0].default.connectionTimeout|must be greater than zero when defined", "spec.to[0].default.idleTimeout|must not be negative when defined", "spec.to[0].default.http.streamIdleTimeout|must not be negative when defined", "spec.to[0].default.http.maxConnectionDuration|must not be negative when defined"}},
		"references":             {`{"targetRef":{"kind":"MeshExternalService","name":"x"},"to":[{"targetRef":{"kind":"MeshSubset"},"default":{"idleTimeout":"1s"}}],"from":[{"targetRef":{"kind":"MeshService","name":"x"},"default":{"idleTimeout":"1s"}}]}`, []string{"spec.targetRef.kind|value 'MeshExternalService' is not supported", "spec.from[0].targetRef.kind|value 'MeshService' is not supported", "spec.to[0].targetRef.kind|value 'MeshSubset' is not supported"}},
		"section without a port": {`{"targetRef":{"kind":"Dataplane","sectionName":"http"},"to":[{"targetRef":{"kind":"Mesh"},"default":{"idleTimeout":"1s"}}]}`, []string{"spec.targetRef.sectionName|can only be used with inbound policies"}},
		"of a route":             {`{"targetRef":{"kind":"MeshHTTPRoute","name":"r"},"to":[{"targetRef":{"kind":"MeshService","name":"x"},"default":{"connectionTimeout":"1s","http":{"requestTimeout":"1s","maxStreamDuration":"1s"}}}],"from":[{"targetRef":{"kind":"Mesh"},"default":{}}]}`, []string{"spec.from|must not be defined", "spec.to[0].targetRef.kind|value 'MeshService' is not supported", "spec.to[0].default.connectionTimeout|" + routes, "spec.to[0].default.http.maxStreamDuration|" + routes}},
		"of a gateway":           {`{"targetRef":{"kind":"MeshGateway","name":"g"},"from":[{"targetRef":{"kind":"Mesh"},"default":{"idleTimeout":"1s"}}]}`, []string{"spec.from|must not be defined"}},
		"matches":                {`{"rules":[{"matches":[{},{"spiffeID":{"type":"Exact","value":"x"}}],"default":{"idleTimeout":"1s","http":{"requestTimeout":"1s","requestHeadersTimeout":"1s"}}}]}`, []string{"spec.rules[0].matches[0]|must specify at least one of 'spiffeID' or 'sni'", "spec.rules[0].matches[1].spiffeID|must be a valid Spiffe ID: scheme is missing or invalid", "spec.rules[0].default.idleTimeout|" + identity, "spec.rules[0].default.http.requestHeadersTimeout|" + identity}},
		"schema":                 {`{"to":[{"default":{"connectionTimeout":2}},{"targetRef":{"kind":"Planet"}}],"from":{}}`, []string{"spec.to[0].targetRef|in body is required", `spec.to[0].default.connectionTimeout|in body must be of type string: "number"`, "spec.to[1].targetRef.kind|in body should be one of [Mesh MeshSubset MeshGateway MeshService MeshExternalService MeshMultiZoneService MeshServiceSubset MeshHTTPRoute Dataplane]", `spec.from|in body must be of type array: "object"`}},
		"schema of matches":      {`{"rules":[{"matches":[{"spiffeID":{"type":"Regex"},"sni":{"value":"a"}}]}]}`, []string{"spec.rules[0].matches[0].spiffeID.type|in body should be one of [Exact Prefix]", "spec.rules[0].matches[0].spiffeID.value|in body is required", "spec.rules[0].matches[0].sni.type|in body is required"}},
	} {
		t.Run(name, func(t *testing.T) {
			var found problem.Violations
			r, err := meshtimeout.Kind.Decode([]byte(`{"type":"MeshTimeout","name":"a","mesh":"m","spec":` + c.spec + `}`))
			if p, ok := errors.AsType[*problem.Error](err); ok {
				found = p.Violations
			} else {
				found = r.Validate()
			}
			var got []string
			for _, v := range found {
				got = append(got, v.Field+"|"+v.Message)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	r, err := meshtimeout.Kind.Decode([]byte(`{"type":"MeshTimeout","name":"a","spec":{"targetRef":{"kind":"MeshSubset"},"from":[{"targetRef":{"kind":"Mesh"}}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"'from' field is deprecated, use 'rules' instead", "MeshSubset value for 'targetRef.kind' is deprecated, use Dataplane with labels instead"}
	if diff := cmp.Diff(want, r.Warnings()); diff != "" {
		t.Error(diff)
	}
}

// TestForNewMesh holds the policies that every new mesh begins with, which are valid themselves.
func TestForNewMesh(t *testing.T) {
	want := map[string]string{
		"mesh-timeout-all-m": `{"targetRef":{"kind":"Mesh","proxyTypes":["Sidecar"]},` +
			`"to":[{"targetRef":{"kind":"Mesh"},"default":{"connectionTimeout":"5s","idleTimeout":"1h0m0s","http":{"requestTimeout":"15s","streamIdleTimeout":"30m0s"}}}],` +
			`"from":[{"targetRef":{"kind":"Mesh"},"default":{"connectionTimeout":"10s","idleTimeout":"2h0m0s","http":{"requestTimeout":"0s","streamIdleTimeout":"1h0m0s","maxStreamDuration":"0s"}}}]}`,
		"mesh-gateways-timeout-all-m": `{"targetRef":{"kind":"Mesh","proxyTypes":["Gateway"]},` +
			`"to":[{"targetRef":{"kind":"Mesh"},"default":{"idleTimeout":"1h0m0s","http":{"streamIdleTimeout":"5s"}}}],` +
			`"from":[{"targetRef":{"kind":"Mesh"},"default":{"idleTimeout":"5m0s","http":{"streamIdleTimeout":"5s","requestHeadersTimeout":"500ms"}}}]}`,
	}
	got := map[string]string{}
	for _, r := range meshtimeout.Kind.ForNewMesh(meshtimeout.Kind, "m") {
		raw, err := r.SpecJSON()
		if err != nil || r.Mesh != "m" || len(r.Validate()) > 0 {
			t.Errorf("%s of mesh %s: %v, %v", r.Name, r.Mesh, err, r.Validate())
		}
		got[r.Name] = string(raw)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

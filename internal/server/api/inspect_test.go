package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/policy"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/server/api"
)

// fixedInspector knows one connected proxy, d.
type fixedInspector struct{}

func (fixedInspector) Rules(string, string) ([]*policy.Inspection, error) {
	return []*policy.Inspection{{
		FromRules: []policy.InspectedFrom{}, InboundRules: []policy.InspectedInbound{}, ToResourceRules: []policy.InspectedResource{},
		Type: "MeshTimeout", Warnings: []string{},
		ToRules: []policy.InspectedRule{{
			Conf: map[string]string{"idleTimeout": "1s"}, Matchers: []policy.InspectedMatcher{}, Origin: []policy.Meta{{Type: "MeshTimeout", Name: "t"}},
		}},
	}}, nil
}

func (fixedInspector) Selects(_, proxy *resource.Resource) (bool, error) {
	return strings.HasPrefix(proxy.Name, "d"), nil
}

func (fixedInspector) Sent(_, proxy string, shadow bool) (map[string]map[string]json.RawMessage, error) {
	if proxy != "d" {
		return nil, problem.New(problem.NotFound, "%s is not connected", proxy)
	}
	sent := map[string]map[string]json.RawMessage{"example.com/Cluster": {"a/b": json.RawMessage(`{"name":"a/b"}`), "old": json.RawMessage(`1`)}}
	if shadow {
		sent["example.com/Cluster"] = map[string]json.RawMessage{"a/b": json.RawMessage(`{"name":"c"}`), "new": json.RawMessage(`2`)}
	}
	return sent, nil
}

func (fixedInspector) Status(_, proxy string) (api.ProxyStatus, error) {
	if proxy != "d" {
		return api.ProxyStatus{}, problem.New(problem.NotFound, "%s is not known", proxy)
	}
	return api.ProxyStatus{Connected: true, Types: []api.TypeStatus{{Type: "example.com/Cluster", Resources: 2, Version: "v2", Acked: "v1", Refused: "no such thing"}}}, nil
}

func TestInspection(t *testing.T) {
	p := start(t, func(o *api.Options) { o.Inspector = fixedInspector{} })
	p.ask(http.MethodPut, "/meshes/m", meshDoc)
	for _, name := range []string{"d", "d2", "e"} {
		p.ask(http.MethodPut, "/meshes/m/dataplanes/"+name, `{"type":"Dataplane","mesh":"m","name":"`+name+`","labels":{"kuma.io/origin":"global"},"networking":{"address":"1.1.1.1"}}`)
	}
	p.ask(http.MethodPut, "/meshes/m/meshtimeouts/t", `{"type":"MeshTimeout","mesh":"m","name":"t","spec":{"to":[{"targetRef":{"kind":"Mesh"},"default":{"idleTimeout":"1s"}}]}}`)
	ref := func(name string) string {
		return `{"labels":{"kuma.io/mesh":"m","kuma.io/origin":"global","kuma.io/proxy-type":"sidecar"},"mesh":"m","name":"` + name + `","type":"Dataplane"}`
	}
	const notFound = `{"type":"/std-errors","status":404,"title":"Could not retrieve a resource","detail":"Not found"}`
	for path, want := range map[string]string{
		"/meshes/m/dataplanes/d/_rules": `{"httpMatches":[],"resource":` + ref("d") + `,"rules":[{"type":"MeshTimeout","fromRules":[],"inboundRules":[],` +
			`"toRules":[{"conf":{"idleTimeout":"1s"},"matchers":[],"origin":[{"labels":null,"mesh":"","name":"t","type":"MeshTimeout"}]}],"toResourceRules":[],"warnings":[]}]}`,
		"/meshes/m/dataplanes/none/_rules": notFound,
		"/meshes/m/dataplanes/d/_status":   `{"connected":true,"types":[{"type":"example.com/Cluster","resources":2,"version":"v2","acknowledged":"v1","refused":"no such thing"}]}`,
		"/meshes/m/dataplanes/e/_status":   `{"connected":false,"types":[]}`,
		"/meshes/m/dataplanes/d/_config":   `{"xds":{"example.com/Cluster":{"a/b":{"name":"a/b"},"old":1}}}`,
		"/meshes/m/dataplanes/d/_config?shadow=true&include=diff": `{"diff":[{"op":"replace","path":"/example.com~1Cluster/a~1b","value":{"name":"c"}},` +
			`{"op":"add","path":"/example.com~1Cluster/new","value":2},{"op":"remove","path":"/example.com~1Cluster/old"}],` +
			`"xds":{"example.com/Cluster":{"a/b":{"name":"c"},"new":2}}}`,
		"/meshes/m/dataplanes/e/_config":                         `{"type":"/std-errors","status":404,"title":"Failed to fetch dataplane insight","detail":"e is not connected"}`,
		"/meshes/m/dataplanes/d/_config?shadow=maybe":            `{"type":"/std-errors","status":400,"title":"Bad Request","detail":"bad request: unsupported value for query parameter 'shadow'"}`,
		"/meshes/m/dataplanes/d/_config?include=all":             `{"type":"/std-errors","status":400,"title":"Bad Request","detail":"bad request: unsupported value for query parameter 'include'"}`,
		"/meshes/m/meshtimeouts/t/_resources/dataplanes":         `{"items":[` + ref("d") + `,` + ref("d2") + `],"total":2}`,
		"/meshes/m/meshtimeouts/t/_resources/dataplanes?size=1":  `{"items":[` + ref("d") + `],"next":"http://localhost:5681/meshes/m/meshtimeouts/t/_resources/dataplanes?offset=1&size=1","total":2}`,
		"/meshes/m/meshtimeouts/t/_resources/dataplanes?name=2":  `{"items":[` + ref("d2") + `],"total":1}`,
		"/meshes/m/meshtimeouts/none/_resources/dataplanes":      `{"type":"/std-errors","status":404,"title":"Could not retrieve policy","detail":"Not found"}`,
		"/meshes/m/meshtimeouts/t/_resources/dataplanes?size=-1": `{"type":"/std-errors","status":400,"title":"Could not retrieve policy","detail":"Invalid page size","invalid_parameters":[{"field":"size","reason":"must be greater than 0"}]}`,
	} {
		t.Run(path, func(t *testing.T) {
			if diff := cmp.Diff(want, compact(t, p.ask(http.MethodGet, path, "").Body.Bytes())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

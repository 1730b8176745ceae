package dataplane_test

import (
	"encoding/json"
	"errors"
	"iter"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/resource/dataplane"
	"github.com/kumactl/kumactl/internal/resource/mesh"
)

// world is a store with one mesh.
type world struct{ mesh *resource.Resource }

func (w world) Get(k resource.Key) (*resource.Resource, bool) {
	return w.mesh, w.mesh != nil && w.mesh.Key() == k
}

func (w world) List(string, string) iter.Seq[*resource.Resource] {
	return func(func(*resource.Resource) bool) {}
}

func meshOf(t *testing.T, spec string) world {
	t.Helper()
	r := mesh.Kind.New("", "m")
	if err := r.SetSpecJSON([]byte(spec)); err != nil {
		t.Fatal(err)
	}
	return world{r}
}

func TestBeforePut(t *testing.T) {
	const untagged = `{"networking":{"address":"10.0.0.1","inbound":[{"port":80}]}}`
	for name, c := range map[string]struct {
		mesh, old, new string
		want           string
		warnings       []string
	}{
		"zone of inbounds":     {`{}`, "", `{"networking":{"inbound":[{"tags":{"kuma.io/service":"a"}},{}]}}`, `{"networking":{"inbound":[{"tags":{"kuma.io/service":"a","kuma.io/zone":"z"}},{"tags":{"kuma.io/zone":"z"}}]}}`, nil},
		"zone of gateways":     {`{}`, "", `{"networking":{"gateway":{"tags":{"kuma.io/service":"a"}}}}`, `{"networking":{"gateway":{"tags":{"kuma.io/service":"a","kuma.io/zone":"z"}}}}`, nil},
		"zone given right":     {`{}`, "", `{"networking":{"inbound":[{"tags":{"kuma.io/zone":"z"}}]}}`, `{"networking":{"inbound":[{"tags":{"kuma.io/zone":"z"}}]}}`, nil},
		"zone given wrong":     {`{}`, "", `{"networking":{"inbound":[{"tags":{"kuma.io/zone":"other"}}]}}`, `{"networking":{"inbound":[{"tags":{"kuma.io/zone":"z"}}]}}`, []string{`networking.inbound[0].tags["kuma.io/zone"]: this is zone "z", not "other"; the right name is stored`}},
		"untagged, exclusive":  {`{"meshServices":{"mode":"Exclusive"}}`, "", untagged, untagged, nil},
		"a probe, new":         {`{}`, "", `{"networking":{"inbound":[{"serviceProbe":{"tcp":{}}}]}}`, `{"networking":{"inbound":[{"tags":{"kuma.io/zone":"z"},"serviceProbe":{"tcp":{}},"state":"NotReady","health":{}}]}}`, nil},
		"a probe, known":       {`{}`, untagged, `{"networking":{"inbound":[{"serviceProbe":{"tcp":{}}}]}}`, `{"networking":{"inbound":[{"tags":{"kuma.io/zone":"z"},"serviceProbe":{"tcp":{}}}]}}`, nil},
		"fits the constraints": {`{"constraints":{"dataplaneProxy":{"requirements":[{"tags":{"no":"1"}},{"tags":{"team":"*"}}],"restrictions":[{"tags":{"team":"b"}}]}}}`, "", `{"networking":{"inbound":[{"tags":{"team":"a"}}]}}`, `{"networking":{"inbound":[{"tags":{"team":"a","kuma.io/zone":"z"}}]}}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := &resource.Write{All: meshOf(t, c.mesh), New: read(t, c.new), Zone: "z"}
			if c.old != "" {
				w.Old = read(t, c.old)
			}
			if err := dataplane.Kind.BeforePut(w); err != nil {
				t.Fatal(err)
			}
			raw, err := w.New.SpecJSON()
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(decode(t, c.want), decode(t, string(raw))); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.warnings, w.Warnings); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func decode(t *testing.T, doc string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(doc), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestBeforePutRefuses(t *testing.T) {
	const constraints = `{"constraints":{"dataplaneProxy":{"requirements":[{"tags":{"team":"a"}}],"restrictions":[{"tags":{"kuma.io/service":"bad"}}]}}}`
	for name, c := range map[string]struct {
		mesh, spec, workload string
		want                 []string
		detail               string
	}{
		"gateway without a service": {`{}`, `{"networking":{"gateway":{}}}`, "", []string{`networking.gateway.tags|mandatory tag "kuma.io/service" is missing`}, ""},
		"not required":              {constraints, `{"networking":{"inbound":[{"tags":{"team":"a"}},{"tags":{"team":"b"}}]}}`, "", []string{`networking.inbound[1].tags|dataplane cannot be a member of mesh "m" because its tags "kuma.io/zone=z team=b" does not fulfill any requirements defined on the Mesh`}, ""},
		"restricted":                {constraints, `{"networking":{"gateway":{"tags":{"kuma.io/service":"bad","team":"a"}}}}`, "", []string{`networking.gateway.tags|dataplane cannot be a member of mesh "m" because its tags "kuma.io/service=bad kuma.io/zone=z team=a" matches restricted tags "kuma.io/service=bad" defined on the Mesh`}, ""},
		"workload": {`{}`, `{}`, "1a", nil, `bad request: labels["kuma.io/workload"]: must be a valid DNS-1035 label (at most 63 characters, matching regex [a-z]([-a-z0-9]*[a-z0-9])?): ` +
			`a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')`},
	} {
		t.Run(name, func(t *testing.T) {
			w := &resource.Write{All: meshOf(t, c.mesh), New: read(t, c.spec), Zone: "z"}
			w.New.Labels = map[string]string{resource.LabelWorkload: c.workload}
			p, ok := errors.AsType[*problem.Error](dataplane.Kind.BeforePut(w))
			if !ok || p.Code != problem.Invalid {
				t.Fatalf("got %v", p)
			}
			if diff := cmp.Diff(c.want, texts(p.Violations)); diff != "" {
				t.Error(diff)
			}
			if c.detail != "" && p.Detail != c.detail {
				t.Errorf("got  %s\nwant %s", p.Detail, c.detail)
			}
		})
	}
	w := &resource.Write{All: world{}, Old: read(t, `{}`), New: read(t, `{}`), Zone: "z"}
	w.New.Labels = map[string]string{resource.LabelWorkload: "1a"}
	if err := dataplane.Kind.BeforePut(w); err != nil {
		t.Errorf("a proxy that exists keeps its workload: %v", err)
	}
}

func TestReaders(t *testing.T) {
	sidecar := read(t, `{"networking":{"address":"10.0.0.1","advertisedAddress":"1.2.3.4","inbound":[
		{"port":80,"servicePort":8080,"tags":{"kuma.io/service":"web","kuma.io/protocol":"HTTP","version":"v2"}},
		{"port":81,"address":"10.0.0.2","serviceAddress":"127.0.0.1","protocol":"grpc","tags":{"kuma.io/service":"web","kuma.io/protocol":"http","version":"v1"}},
		{"port":82}]}}`)
	var columns []string
	for _, c := range dataplane.Kind.Columns {
		columns = append(columns, c.Title+": "+c.Value(sidecar))
	}
	if diff := cmp.Diff([]string{
		"TAGS: kuma.io/protocol=HTTP,http kuma.io/service=web version=v1,v2", "ADDRESS: 1.2.3.4", "TYPE: sidecar", "PORTS: 80→8080 81 82",
	}, columns); diff != "" {
		t.Error(diff)
	}
	var inbounds [][]any
	for _, in := range dataplane.Inbounds(sidecar.Spec.(*kumapb.Dataplane)) {
		inbounds = append(inbounds, []any{in.Listen, in.App, in.AppPort, dataplane.Protocol(in.Dataplane_Networking_Inbound)})
	}
	if diff := cmp.Diff([][]any{
		{"10.0.0.1", "10.0.0.1", uint32(8080), "http"}, {"10.0.0.2", "127.0.0.1", uint32(81), "grpc"}, {"10.0.0.1", "10.0.0.1", uint32(82), "tcp"},
	}, inbounds); diff != "" {
		t.Error(diff)
	}
	for name, c := range map[string]struct{ spec, gateway, proxyType string }{
		"sidecar":   {`{"networking":{}}`, "", "sidecar"},
		"delegated": {`{"networking":{"gateway":{}}}`, "delegated", "sidecar"},
		"builtin":   {`{"networking":{"gateway":{"type":"BUILTIN"}}}`, "builtin", "gateway"},
	} {
		d := read(t, c.spec).Spec.(*kumapb.Dataplane)
		if dataplane.Gateway(d) != c.gateway || dataplane.ProxyType(d) != c.proxyType {
			t.Errorf("%s: gateway %q, type %q", name, dataplane.Gateway(d), dataplane.ProxyType(d))
		}
	}
}

func TestLabels(t *testing.T) {
	r := read(t, `{"networking":{"listeners":[{"type":"ZoneIngress"}]}}`)
	r.Labels = map[string]string{"kuma.io/listener-zoneegress": "enabled", "team": "x"}
	r.ComputeLabels("z")
	want := map[string]string{
		"team": "x", "kuma.io/mesh": "m", "kuma.io/origin": "zone", "kuma.io/zone": "z", "kuma.io/env": "universal",
		"kuma.io/proxy-type": "sidecar", "kuma.io/listener-zoneingress": "enabled",
	}
	if diff := cmp.Diff(want, r.Labels); diff != "" {
		t.Error(diff)
	}
}

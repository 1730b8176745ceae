package insight_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/resource/dataplane"
	"github.com/kumactl/kumactl/internal/resource/insight"
	"github.com/kumactl/kumactl/internal/resource/mesh"
	"github.com/kumactl/kumactl/internal/store"
)

var kinds = []*resource.Kind{mesh.Kind, dataplane.Kind, insight.DataplaneInsight}

const (
	sidecar = `{"name":"NAME","mesh":"m","networking":{"address":"10.0.0.1","inbound":[{"port":80,"tags":{"kuma.io/service":"web","kuma.io/zone":"z2"}},{"port":81,"state":"STATE","tags":{"kuma.io/service":"admin","kuma.io/zone":"z1"}}]}}`
	online  = `{"name":"NAME","mesh":"m","subscriptions":[{"id":"1","connectTime":"2026-01-01T00:00:00Z","version":{"kumaDp":{"version":"1.2.3"}}}],"mTLS":{"issuedBackend":"ca","supportedBackends":["ca","old"]}}`
	gone    = `{"name":"NAME","mesh":"m","subscriptions":[{"id":"1","connectTime":"2026-01-01T00:00:00Z","disconnectTime":"2026-01-01T00:00:01Z"}]}`
)

// document fills in a template and reads it.
func document(t *testing.T, k *resource.Kind, template string, words ...string) *resource.Resource {
	t.Helper()
	for i := 0; i+1 < len(words); i += 2 {
		template = strings.ReplaceAll(template, words[i], words[i+1])
	}
	d, err := k.Decode([]byte(template))
	if err != nil {
		t.Fatal(err)
	}
	return d.Resource
}

func filled(t *testing.T, resources ...*resource.Resource) store.Snapshot {
	t.Helper()
	s := store.OpenMemory(store.Options{Kinds: kinds})
	t.Cleanup(func() { s.Close() })
	_, err := s.Update(context.Background(), store.Writer{}, func(tx *store.Tx) error {
		for _, r := range resources {
			if r.Kind.Volatile {
				continue
			}
			if err := tx.Put(r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range resources {
		if r.Kind.Volatile {
			s.PutVolatile(r)
		}
	}
	return s.Snapshot()
}

// specs gives the specifications by name.
func specs(t *testing.T, resources []*resource.Resource) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, r := range resources {
		raw, err := r.SpecJSON()
		if err != nil {
			t.Fatal(err)
		}
		// protojson varies its spaces on purpose.
		var b bytes.Buffer
		if err := json.Compact(&b, raw); err != nil {
			t.Fatal(err)
		}
		found[r.Name] = b.String()
	}
	return found
}

func TestCounter(t *testing.T) {
	from := filled(t,
		document(t, mesh.Kind, `{"name":"m"}`), document(t, mesh.Kind, `{"name":"empty"}`),
		document(t, dataplane.Kind, sidecar, "NAME", "a", "STATE", "Ready"), document(t, insight.DataplaneInsight, online, "NAME", "a"),
		document(t, dataplane.Kind, sidecar, "NAME", "b", "STATE", "NotReady"), document(t, insight.DataplaneInsight, online, "NAME", "b"),
		document(t, dataplane.Kind, sidecar, "NAME", "c", "STATE", "Ignored"), document(t, insight.DataplaneInsight, gone, "NAME", "c"),
		document(t, dataplane.Kind, `{"name":"g","mesh":"m","networking":{"address":"10.0.0.1","gateway":{"tags":{"kuma.io/service":"kong","kuma.io/zone":"z1"}}}}`),
	)
	counter := insight.NewCounter(kinds)
	nothing := `{"dataplanes":{},"dpVersions":{},"mTLS":{},"services":{},"dataplanesByType":{"standard":{},"gateway":{},"gatewayBuiltin":{},"gatewayDelegated":{}}}`
	wantMeshes := map[string]string{
		"empty": nothing,
		"m": `{"dataplanes":{"total":4,"online":1,"offline":2,"partiallyDegraded":1},` +
			`"dpVersions":{"kumaDp":{"1.2.3":{"total":2,"online":1,"partiallyDegraded":1},"unknown":{"total":2,"offline":2}},` +
			`"envoy":{"unknown":{"total":4,"online":1,"offline":2,"partiallyDegraded":1}}},` +
			`"mTLS":{"issuedBackends":{"ca":{"total":2,"online":1,"partiallyDegraded":1}},` +
			`"supportedBackends":{"ca":{"total":2,"online":1,"partiallyDegraded":1},"old":{"total":2,"online":1,"partiallyDegraded":1}}},` +
			`"services":{"total":3,"internal":3},` +
			`"dataplanesByType":{"standard":{"total":3,"online":1,"offline":1,"partiallyDegraded":1},"gateway":{"total":1,"offline":1},` +
			`"gatewayBuiltin":{},"gatewayDelegated":{"total":1,"offline":1}},"resources":{"Dataplane":{"total":4}}}`,
	}
	if diff := cmp.Diff(wantMeshes, specs(t, counter.Meshes(from, ""))); diff != "" {
		t.Error(diff)
	}
	wantServices := map[string]string{
		"admin": `{"status":"partially_degraded","dataplanes":{"total":2,"online":1,"offline":1},"issuedBackends":{"ca":2},"addressPort":"admin.mesh:80","zones":["z1"]}`,
		"kong":  `{"status":"offline","dataplanes":{"total":1,"offline":1},"serviceType":"gateway_delegated","zones":["z1"]}`,
		"web":   `{"status":"partially_degraded","dataplanes":{"total":3,"online":2,"offline":1},"issuedBackends":{"ca":2},"addressPort":"web.mesh:80","zones":["z2"]}`,
	}
	services := counter.Services(from, "m")
	if diff := cmp.Diff(wantServices, specs(t, services)); diff != "" {
		t.Error(diff)
	}
	if names := []string{services[0].Name, services[1].Name, services[2].Name}; !cmp.Equal(names, []string{"admin", "kong", "web"}) {
		t.Errorf("order of services: %v", names)
	}
	if got := counter.Services(from, "empty"); len(got) != 0 {
		t.Errorf("%d services of an empty mesh", len(got))
	}
}

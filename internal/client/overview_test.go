package client_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/client"
)

// overview is the JSON of a proxy: its inbounds or gateway, and its subscriptions.
func overview(name, networking, subscriptions string) string {
	return fmt.Sprintf(`{"type":"DataplaneOverview","mesh":"default","name":%q,"dataplane":{"networking":{"address":"127.0.0.1",%s}},
		"dataplaneInsight":{"subscriptions":[%s]}}`, name, networking, subscriptions)
}

const (
	connected = `{"connectTime":"2026-01-01T00:00:00Z","disconnectTime":"2026-01-01T01:00:00Z","status":{"total":{"responsesSent":"3","responsesRejected":"1"}}},
		{"connectTime":"2026-01-02T00:00:00Z","status":{"lastUpdateTime":"2026-01-02T00:00:05Z","total":{"responsesSent":"4"}},"version":{"envoy":{"version":"1.40.0"}}}`
	gone  = `{"connectTime":"2026-01-01T00:00:00Z","disconnectTime":"2026-01-01T01:00:00Z"}`
	ready = `{"port":80,"tags":{"kuma.io/service":"web","version":"v1","kuma.io/zone":"z"}}`
	not   = `{"port":81,"state":"NotReady","tags":{"kuma.io/service":"api","kuma.io/zone":"z"}}`
	sick  = `{"port":82,"health":{"ready":false},"tags":{"kuma.io/service":"old"}}`
	off   = `{"port":83,"state":"Ignored","tags":{"kuma.io/service":"off"}}`
)

func overviews(t *testing.T, items ...string) (*client.Client, []client.Overview) {
	t.Helper()
	s := serve(t, map[string]http.HandlerFunc{
		"/meshes/default/dataplanes/_overview": func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 200, fmt.Sprintf(`{"total":%d,"items":[%s],"next":null}`, len(items), strings.Join(items, ",")))
		},
		"/dataplanes/_overview": func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 200, fmt.Sprintf(`{"total":%d,"items":[%s],"next":null}`, len(items), strings.Join(items, ",")))
		},
		"/meshes": func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 200, `{"total":2,"items":[{"type":"Mesh","name":"default"},{"type":"Mesh","name":"other"}],"next":null}`)
		},
		"/meshes/default/dataplanes/nack/_status": func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 200, `{"connected":true,"types":[{"type":"type.googleapis.com/envoy.config.listener.v3.Listener","refused":"no such filter"}],"problems":["left out: x"]}`)
		},
	})
	c := connect(t, s.URL, nil)
	all, _, err := c.Overviews(t.Context(), "default", nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, all
}

func TestStateOfProxies(t *testing.T) {
	for name, c := range map[string]struct {
		networking, subscriptions string
		want                      client.State
		why                       string
	}{
		"online":                {`"inbound":[` + ready + `]`, connected, client.Online, ""},
		"never connected":       {`"inbound":[` + ready + `]`, ``, client.Offline, ""},
		"gone":                  {`"inbound":[` + ready + `]`, gone, client.Offline, ""},
		"one inbound not ready": {`"inbound":[` + ready + `,` + not + `]`, connected, client.Partly, "inbound 81 (api) is not ready"},
		"none ready":            {`"inbound":[` + not + `,` + sick + `]`, connected, client.Offline, "inbound 81 (api) is not ready; inbound 82 (old) is not ready"},
		"no inbound":            {`"outbound":[]`, connected, client.Offline, "it has no inbound"},
		"ignored do not count":  {`"inbound":[` + ready + `,` + off + `]`, connected, client.Online, ""},
		"gateway":               {`"gateway":{"tags":{"kuma.io/service":"edge"}}`, connected, client.Online, ""},
		"gateway gone":          {`"gateway":{"tags":{"kuma.io/service":"edge"}}`, gone, client.Offline, ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, all := overviews(t, overview("x", c.networking, c.subscriptions))
			state, why := all[0].State()
			if state != c.want || strings.Join(why, "; ") != c.why {
				t.Errorf("%s because %q, want %s because %q", state, why, c.want, c.why)
			}
		})
	}
}

func TestOverviewCounts(t *testing.T) {
	_, all := overviews(t, overview("x", `"inbound":[`+ready+`,`+not+`]`, connected))
	o := all[0]
	if o.Updates() != 7 || o.Errors() != 1 {
		t.Errorf("%d updates, %d errors", o.Updates(), o.Errors())
	}
	if got := o.LastConnected().Format(time.DateTime) + " " + o.LastUpdated().Format(time.DateTime); got != "2026-01-02 00:00:00 2026-01-02 00:00:05" {
		t.Error(got)
	}
	if got := o.TagText(); got != "kuma.io/service=api,web kuma.io/zone=z version=v1" {
		t.Error(got)
	}
	if got := o.Last().GetVersion().GetEnvoy().GetVersion(); got != "1.40.0" {
		t.Error(got)
	}
}

func TestServicesWithoutServiceInsights(t *testing.T) {
	c, _ := overviews(t,
		overview("a", `"inbound":[`+ready+`]`, connected), overview("b", `"inbound":[`+ready+`]`, gone),
		overview("c", `"inbound":[`+not+`]`, connected), overview("d", `"gateway":{"tags":{"kuma.io/service":"edge"}}`, connected))
	services, list, err := c.Services(t.Context(), "default")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, s := range services {
		got = append(got, fmt.Sprintf("%s %s %d/%d %s %v", s.Name, s.State(), s.Dataplanes.Online, s.Dataplanes.Total, s.Type, s.Zones))
		if !strings.HasPrefix(string(list.Items[i]), `{"type":"ServiceInsight","mesh":"default","name":"`) {
			t.Errorf("item %s", list.Items[i])
		}
	}
	want := []string{"api Offline 0/1  [z]", "edge Online 1/1 gateway_delegated []", "web Partially degraded 1/2  [z]"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestMeshesWithoutMeshInsights(t *testing.T) {
	c, _ := overviews(t, overview("a", `"inbound":[`+ready+`]`, connected), overview("b", `"inbound":[`+ready+`,`+not+`]`, connected))
	got, _, err := c.Meshes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []client.Mesh{
		{Name: "default", Dataplanes: client.Count{Total: 2, Online: 1, Partly: 1}, Services: client.Count{Total: 2}},
		{Name: "other"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRefusalsAreAskedOfThoseThatRefused(t *testing.T) {
	c, all := overviews(t, overview("nack", `"inbound":[`+ready+`]`, connected), overview("fine", `"inbound":[`+ready+`]`, ``))
	got := c.Refusals(t.Context(), all)
	if len(got) != 1 {
		t.Fatalf("got %v", got)
	}
	for _, text := range got {
		if text != "Listener refused: no such filter; left out: x" {
			t.Errorf("got %q", text)
		}
	}
}

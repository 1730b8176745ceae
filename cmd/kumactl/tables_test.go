package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/kumactl/kumactl/internal/client"
	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/render"
	"github.com/kumactl/kumactl/internal/resource"
)

var update = flag.Bool("update", false, "write goldens anew")

var clock = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// proxy makes an overview: connected so many minutes ago, or never.
func proxy(name string, minutes int, change func(*client.Overview)) client.Overview {
	o := client.Overview{
		Mesh: "default", Name: name, Insight: &kumapb.DataplaneInsight{},
		Dataplane: &kumapb.Dataplane{Networking: &kumapb.Dataplane_Networking{Address: "10.0.0.1", Inbound: []*kumapb.Dataplane_Networking_Inbound{
			{Port: 8080, Tags: map[string]string{"kuma.io/service": strings.Split(name, "-")[0], "kuma.io/protocol": "http", "kuma.io/zone": "default"}},
		}}},
	}
	if minutes >= 0 {
		at := timestamppb.New(clock.Add(-time.Duration(minutes) * time.Minute))
		o.Insight.Subscriptions = []*kumapb.DiscoverySubscription{{
			ConnectTime: at,
			Status:      &kumapb.DiscoverySubscriptionStatus{LastUpdateTime: at, Total: &kumapb.DiscoveryServiceStats{ResponsesSent: 12}},
			Version:     &kumapb.Version{KumaDp: &kumapb.KumaDpVersion{Version: "0.1.0"}, Envoy: &kumapb.EnvoyVersion{Version: "1.40.0"}},
		}}
	}
	if change != nil {
		change(&o)
	}
	return o
}

// fleet has a proxy in each state that the table knows.
func fleet() ([]client.Overview, map[resource.Key]string) {
	refused := proxy("web-nack", 3, func(o *client.Overview) {
		o.Insight.Subscriptions[0].Status.Total.ResponsesRejected = 1
	})
	all := []client.Overview{
		proxy("api-1", 61, nil),
		proxy("db", -1, func(o *client.Overview) { o.Dataplane.Networking.Inbound[0].Tags["version"] = "v1" }),
		proxy("edge", 1, func(o *client.Overview) {
			o.Dataplane.Networking.Inbound = nil
			o.Dataplane.Networking.Gateway = &kumapb.Dataplane_Networking_Gateway{Tags: map[string]string{"kuma.io/service": "edge"}}
		}),
		proxy("web-1", 2, func(o *client.Overview) {
			in := &kumapb.Dataplane_Networking_Inbound{
				Port: 9090, State: kumapb.Dataplane_Networking_Inbound_NotReady,
				Tags: map[string]string{"kuma.io/service": "web-admin", "kuma.io/protocol": "tcp"},
			}
			o.Dataplane.Networking.Inbound = append(o.Dataplane.Networking.Inbound, in)
			o.Insight.MTLS = &kumapb.DataplaneInsight_MTLS{IssuedBackend: "ca-1", CertificateExpirationTime: timestamppb.New(clock.Add(23 * time.Hour))}
		}),
		refused,
	}
	return all, map[resource.Key]string{{Mesh: "default", Name: "web-nack"}: "Listener refused: Error adding/updating listener(s) inbound:10.0.0.1:8080: cannot bind '10.0.0.1:8080': Address already in use"}
}

func draw(t *testing.T, width int, table render.Table) string {
	t.Helper()
	var b bytes.Buffer
	if err := (render.Output{Out: &b, Width: width}).Table(table); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); width > 0 && n > width {
			t.Errorf("a line of %d cells on %d: %s", n, width, line)
		}
	}
	return b.String()
}

func TestTablesFitTheTerminal(t *testing.T) {
	all, notes := fleet()
	overviews := dataplaneTable(clock, all, notes)
	one := dataplaneTable(clock, all[:1], nil)
	services := serviceTable([]client.Service{
		{Mesh: "default", Name: "api", Status: "online", Dataplanes: client.Count{Total: 2, Online: 2}, Zones: []string{"default"}, Address: "api.mesh:80"},
		{Mesh: "default", Name: "web", Status: "partially_degraded", Dataplanes: client.Count{Total: 3, Online: 1}, Zones: []string{"east", "west"}, Address: "web.mesh:80"},
		{Mesh: "demo", Name: "ext", Status: "not_available", Type: "external", Address: "example.com:443"},
	}, true)
	meshes := meshTable([]client.Mesh{
		{Name: "default", Dataplanes: client.Count{Total: 5, Online: 3, Partly: 1}, Services: client.Count{Total: 4}, Policies: map[string]client.Count{"MeshTimeout": {Total: 2}, "MeshRetry": {Total: 1}}},
		{Name: "demo"},
	})
	for name, table := range map[string]render.Table{"dataplanes": overviews, "one-dataplane": one, "services": services, "meshes": meshes} {
		for _, width := range []int{0, 80, 200} {
			t.Run(fmt.Sprintf("%s-%d", name, width), func(t *testing.T) {
				got := draw(t, width, table)
				golden := filepath.Join("testdata", "tables", fmt.Sprintf("%s-%d.txt", name, width))
				if *update {
					if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), got); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func TestAThousandRowsFit(t *testing.T) {
	var all []client.Overview
	for i := range 1000 {
		all = append(all, proxy(fmt.Sprintf("service%d-%d", i/5, i%5), i, nil))
	}
	table := dataplaneTable(clock, all, nil)
	for _, width := range []int{0, 80, 200} {
		if lines := strings.Count(draw(t, width, table), "\n"); lines < 1001 {
			t.Errorf("%d lines on %d cells", lines, width)
		}
	}
}

func BenchmarkThousandRows(b *testing.B) {
	var all []client.Overview
	for i := range 1000 {
		all = append(all, proxy(fmt.Sprintf("service%d-%d", i/5, i%5), i, nil))
	}
	for b.Loop() {
		var text bytes.Buffer
		if err := (render.Output{Out: &text, Width: 120}).Table(dataplaneTable(clock, all, nil)); err != nil {
			b.Fatal(err)
		}
	}
}

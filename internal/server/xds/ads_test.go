package xds_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/resource/dataplane"
	"github.com/kumactl/kumactl/internal/server/xds"
)

func TestAProxyBringsItsDataplaneAndItGoesWithIt(t *testing.T) {
	p := start(t, func(o *xds.Options) { o.DeregistrationDelay = 30 * time.Millisecond })
	c := connect(t, p, "web-1", web("web-1", "10.0.0.1", "web"))
	c.full()
	stored, ok := p.store.Snapshot().Get(key("web-1"))
	if !ok {
		t.Fatal("it is not stored")
	}
	if zone := stored.Spec.(*kumapb.Dataplane).GetNetworking().GetInbound()[0].GetTags()["kuma.io/zone"]; zone != "default" {
		t.Errorf("its zone is %q", zone)
	}
	c.close()
	p.until("the Dataplane goes", func(all resource.Reader) bool { _, ok := all.Get(key("web-1")); return !ok })
	p.until("so does its insight", func(resource.Reader) bool { return p.insight("web-1") == nil })
	if _, ok := p.server.Config("default", "web-1"); ok {
		t.Error("its configuration is kept for ever")
	}
}

func TestAReconnectWritesAndSendsNothing(t *testing.T) {
	p := start(t, nil)
	p.put(decode(t, dataplane.Kind, web("b-0", "10.0.0.2", "back")))
	doc := web("web-1", "10.0.0.1", "web", "back")
	c := connect(t, p, "web-1", doc)
	names := c.full()
	before, versions := p.store.Snapshot().Revision(), c.last
	for _, again := range []func(){func() {}, p.restart} {
		c.close()
		again()
		c = connect(t, p, "web-1", doc)
		c.ask(&discoveryv3.DiscoveryRequest{TypeUrl: cds, VersionInfo: versions[cds].VersionInfo})
		c.ask(&discoveryv3.DiscoveryRequest{TypeUrl: eds, VersionInfo: versions[eds].VersionInfo, ResourceNames: names})
		c.ask(&discoveryv3.DiscoveryRequest{TypeUrl: lds, VersionInfo: versions[lds].VersionInfo})
		// The next thing that it hears of is the next change.
		p.put(decode(t, dataplane.Kind, web("b-1", "10.0.0.3", "back")))
		got := addresses(t, c.get(eds))
		if len(got["back"]) != 2 {
			t.Errorf("endpoints %v", got)
		}
		p.delete(key("b-1"))
		c.ack(eds, names...)
		c.get(eds)
		versions = map[string]*discoveryv3.DiscoveryResponse{cds: versions[cds], lds: versions[lds], eds: c.last[eds]}
	}
	if after := p.store.Snapshot().Revision(); after != before+4 {
		t.Errorf("%d revisions, and only 4 are the test's own", after-before)
	}
}

func TestARefusalIsShownAndNotSentAgain(t *testing.T) {
	p := start(t, nil)
	doc := web("web-1", "10.0.0.1", "web", "back")
	c := connect(t, p, "web-1", doc)
	c.ask(&discoveryv3.DiscoveryRequest{TypeUrl: cds})
	c.get(cds)
	c.ack(cds)
	c.ask(&discoveryv3.DiscoveryRequest{TypeUrl: lds})
	refused := c.get(lds)
	c.ask(&discoveryv3.DiscoveryRequest{TypeUrl: lds, ResponseNonce: refused.Nonce, ErrorDetail: &statuspb.Status{Code: 13, Message: "no such filter"}})
	p.until("the insight counts it", func(resource.Reader) bool {
		subs := p.insight("web-1").GetSubscriptions()
		return len(subs) == 1 && subs[0].GetStatus().GetLds().GetResponsesRejected() == 1 && subs[0].GetStatus().GetTotal().GetResponsesSent() == 2
	})
	s, ok := p.server.Status("default", "web-1")
	if !ok || len(s.Types) != 2 || s.Types[1].Rejection != "no such filter" || s.Types[1].Rejected != 1 || s.Types[0].Accepted != 1 {
		t.Errorf("status %+v", s)
	}
	// The next answer is about something else, and the listeners come when they differ.
	c.ask(&discoveryv3.DiscoveryRequest{TypeUrl: eds, ResourceNames: []string{"back"}})
	c.get(eds)
	c.ack(eds, "back")
	doc["networking"].(map[string]any)["outbound"].([]any)[0].(map[string]any)["port"] = 30001
	p.put(decode(t, dataplane.Kind, doc))
	if next := c.get(lds); next.VersionInfo == refused.VersionInfo {
		t.Error("the refused version came again")
	}
	c.ack(lds)
	p.until("the reason is forgotten", func(resource.Reader) bool {
		s, _ := p.server.Status("default", "web-1")
		return len(s.Types) == 3 && s.Types[2].Rejection == "" && s.Types[2].Accepted == 1
	})
}

func TestChangesComeInOrder(t *testing.T) {
	p := start(t, nil)
	doc := web("web-1", "10.0.0.1", "web", "back")
	c := connect(t, p, "web-1", doc)
	c.full()
	// A new destination: cluster, its endpoints once they are asked for, and only then the listener that leads to it.
	doc = web("web-1", "10.0.0.1", "web", "back", "cart")
	p.put(decode(t, dataplane.Kind, doc))
	names := edsNames(t, c.get(cds))
	c.ack(cds)
	c.ask(&discoveryv3.DiscoveryRequest{TypeUrl: eds, ResourceNames: names, VersionInfo: c.last[eds].VersionInfo, ResponseNonce: c.last[eds].Nonce})
	c.get(eds)
	c.ack(eds, names...)
	c.get(lds)
	c.ack(lds)
	// It goes: first the listener, then the cluster.
	p.put(decode(t, dataplane.Kind, web("web-1", "10.0.0.1", "web", "back")))
	c.get(lds)
	c.ack(lds)
	if left := edsNames(t, c.get(cds)); len(left) != 1 {
		t.Errorf("clusters left: %v", left)
	}
}

func TestWhoIsRefused(t *testing.T) {
	p := start(t, func(o *xds.Options) {
		o.Authenticate = func(_ context.Context, credential, mesh, name string) error {
			if credential != "secret" || mesh != "default" || name == "stranger" {
				return errors.New("not this one")
			}
			return nil
		}
	})
	broken := web("web-1", "10.0.0.1", "web")
	broken["networking"].(map[string]any)["address"] = ""
	elsewhere := web("web-1", "10.0.0.1", "web")
	elsewhere["mesh"] = "nope"
	for name, c := range map[string]struct {
		id   string
		doc  map[string]any
		code codes.Code
		text string
	}{
		"wrong credential": {"default.stranger", web("stranger", "10.0.0.1", "web"), codes.Unknown, "authentication failed: not this one"},
		"not there":        {"default.pre-1", nil, codes.NotFound, "pre-1"},
		"other name":       {"default.web-2", web("web-1", "10.0.0.1", "web"), codes.InvalidArgument, "web-1"},
		"other mesh":       {"default.web-1", elsewhere, codes.InvalidArgument, "nope"},
		"not valid":        {"default.web-1", broken, codes.InvalidArgument, "networking.address"},
		"zone proxy":       {".zi-1", nil, codes.Unimplemented, "zone proxy"},
		"no name":          {"default", nil, codes.InvalidArgument, "default"},
	} {
		t.Run(name, func(t *testing.T) {
			resource := ""
			if c.doc != nil {
				resource = text(t, c.doc)
			}
			node := nodeOf(t, "x", resource)
			node.Id = c.id
			proxy := connectOn(t, dial(t, p.addr), node)
			proxy.ask(&discoveryv3.DiscoveryRequest{TypeUrl: cds})
			err := proxy.end()
			if status.Code(err) != c.code || !strings.Contains(err.Error(), c.text) {
				t.Errorf("ended with %v, want %s and %q", err, c.code, c.text)
			}
		})
	}
	if n := p.store.Snapshot().Count(dataplane.Kind.Name, ""); n != 0 {
		t.Errorf("%d Dataplanes are stored", n)
	}
}

// A stream that says nothing is ended; it would hold memory for ever.
func TestSilenceIsEnded(t *testing.T) {
	t.Parallel()
	p := start(t, nil)
	c := connect(t, p, "web-1", nil)
	if err := c.end(); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("ended with %v", err)
	}
}

// TestASlowProxyHoldsUpNobody: one that takes nothing is told the newest state when it takes something again.
func TestASlowProxyHoldsUpNobody(t *testing.T) {
	p := start(t, nil)
	var consumes []string
	for i := range 60 {
		consumes = append(consumes, fmt.Sprintf("a-service-with-quite-a-long-name-so-that-it-fills-the-window-%03d", i))
	}
	// Neither reads, and the other one answers everything at once.
	slow := connect(t, p, "slow", web("slow", "10.0.0.1", "web", consumes...))
	slow.ask(&discoveryv3.DiscoveryRequest{TypeUrl: cds})
	slow.get(cds)
	slow.ack(cds)
	slow.ask(&discoveryv3.DiscoveryRequest{TypeUrl: eds, ResourceNames: consumes})
	slow.get(eds)
	slow.ack(eds, consumes...)
	fast := connect(t, p, "fast", web("fast", "10.0.0.2", "web", consumes[0]))
	fast.full()
	for i := range 100 {
		var set []*resource.Resource
		for j, service := range consumes {
			set = append(set, decode(t, dataplane.Kind, web(fmt.Sprintf("b-%d", j), fmt.Sprintf("10.1.%d.%d", i, j), service)))
		}
		p.put(set...)
		want := fmt.Sprintf("10.1.%d.0:8080", i)
		for {
			r := fast.get(fast.next())
			fast.ack(r.TypeUrl, namesOf(r.TypeUrl, consumes[0])...)
			if r.TypeUrl == eds && len(addresses(t, r)[consumes[0]]) == 1 && addresses(t, r)[consumes[0]][0] == want {
				break
			}
		}
	}
	// The slow one gets what was on its way, and then what there is now: no queue of a hundred.
	answers := 0
	for want := "10.1.99.59:8080"; ; answers++ {
		r := slow.get(slow.next())
		slow.ack(r.TypeUrl, namesOf(r.TypeUrl, consumes...)...)
		if r.TypeUrl != eds {
			continue
		}
		if got := addresses(t, r)[consumes[59]]; len(got) == 1 && got[0] == want {
			break
		}
	}
	if answers > 10 {
		t.Errorf("the slow one got %d answers before the newest", answers)
	}
}

func namesOf(typeURL string, names ...string) []string {
	if typeURL == eds {
		return names
	}
	return nil
}

func TestInsightTellsOfConnections(t *testing.T) {
	p := start(t, func(o *xds.Options) { o.ReportEvery = 10 * time.Millisecond })
	p.put(decode(t, dataplane.Kind, web("web-1", "10.0.0.1", "web")))
	for i := range 3 {
		c := connect(t, p, "web-1", nil)
		c.full()
		p.until("it is online", func(resource.Reader) bool {
			subs := p.insight("web-1").GetSubscriptions()
			if len(subs) != min(i+1, 2) {
				return false
			}
			s := subs[len(subs)-1]
			return s.GetDisconnectTime() == nil && s.GetStatus().GetTotal().GetResponsesAcknowledged() == 2 &&
				s.GetVersion().GetEnvoy().GetVersion() == "1.40.0" && s.GetControlPlaneInstanceId() == "cp-1"
		})
		if subs := p.insight("web-1").GetSubscriptions(); i > 0 && subs[0].GetDisconnectTime() == nil {
			t.Errorf("the connection before is still open: %v", subs[0])
		}
		if i == 1 {
			// Killed together with the control plane: the next one must not show it as online.
			r, _ := p.store.Snapshot().Get(resource.Key{Kind: "DataplaneInsight", Mesh: "default", Name: "web-1"})
			p.halt()
			p.store.PutVolatile(r.Clone())
			p.serve()
		} else {
			c.close()
		}
		p.until("it is offline", func(resource.Reader) bool {
			subs := p.insight("web-1").GetSubscriptions()
			return len(subs) > 0 && subs[len(subs)-1].GetDisconnectTime() != nil
		})
	}
	if p.insight("web-1").GetMetadata().GetFields()["dataplane.admin.port"].GetStringValue() != "9901" {
		t.Error("the node's metadata is not in the insight")
	}
}

func TestDeltaOverTheWire(t *testing.T) {
	p := start(t, nil)
	p.put(decode(t, dataplane.Kind, web("b-1", "10.0.0.2", "back")))
	doc := web("web-1", "10.0.0.1", "web", "back")
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	conn := dial(t, p.addr)
	defer conn.Close()
	open := func(r *discoveryv3.DeltaDiscoveryRequest) (func(*discoveryv3.DeltaDiscoveryRequest), func(string) *discoveryv3.DeltaDiscoveryResponse) {
		stream, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
		if err != nil {
			t.Fatal(err)
		}
		send := func(r *discoveryv3.DeltaDiscoveryRequest) {
			t.Helper()
			if err := stream.Send(r); err != nil {
				t.Fatal(err)
			}
		}
		r.Node = nodeOf(t, "web-1", text(t, doc))
		send(r) // the node goes with the first
		return send, func(typeURL string) *discoveryv3.DeltaDiscoveryResponse {
			t.Helper()
			r, err := stream.Recv()
			if err != nil || r.TypeUrl != typeURL {
				t.Fatalf("got %v, %v; want %s", r, err, typeURL)
			}
			send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResponseNonce: r.Nonce})
			return r
		}
	}
	send, get := open(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: cds})
	held := map[string]map[string]string{cds: {}, eds: {}, lds: {}}
	hold := func(r *discoveryv3.DeltaDiscoveryResponse) {
		for _, x := range r.Resources {
			held[r.TypeUrl][x.Name] = x.Version
		}
	}
	hold(get(cds))
	send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: eds, ResourceNamesSubscribe: []string{"back", "ghost"}})
	if r := get(eds); len(r.Resources) != 2 {
		t.Errorf("%d assignments", len(r.Resources))
	} else {
		hold(r)
	}
	send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: lds})
	hold(get(lds))
	p.put(decode(t, dataplane.Kind, web("b-2", "10.0.0.3", "back")))
	if r := get(eds); len(r.Resources) != 1 || r.Resources[0].Name != "back" {
		t.Errorf("one more endpoint came as %v", r)
	} else {
		hold(r)
	}
	// The outbound goes: its listener, then its cluster.
	doc = web("web-1", "10.0.0.1", "web")
	p.put(decode(t, dataplane.Kind, doc))
	gone := get(lds)
	if len(gone.RemovedResources) != 1 || len(gone.Resources) != 0 {
		t.Errorf("listeners: %v", gone)
	}
	if r := get(cds); len(r.RemovedResources) != 1 || r.RemovedResources[0] != "back" || len(r.Resources) != 0 {
		t.Errorf("clusters: %v", r)
	}
	// It comes back with what it had before that, and is told the difference.
	send, get = open(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: cds, InitialResourceVersions: held[cds]})
	send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: lds, InitialResourceVersions: held[lds]})
	if r := get(lds); len(r.RemovedResources) != 1 || len(r.Resources) != 0 {
		t.Errorf("listeners after coming back: %v", r)
	}
	if r := get(cds); len(r.RemovedResources) != 1 || len(r.Resources) != 0 {
		t.Errorf("clusters after coming back: %v", r)
	}
}

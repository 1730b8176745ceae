package xds_test

import (
	"slices"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"

	"github.com/kumactl/kumactl/internal/policies/meshtimeout"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/resource/dataplane"
	"github.com/kumactl/kumactl/internal/server/xds"
)

// Trap 1: what is not answered costs Envoy 15 seconds, and what is answered are exactly the names that it asked for.
func TestTrap1AnswersFollowTheNamesAsked(t *testing.T) {
	p := start(t, nil)
	p.put(decode(t, dataplane.Kind, web("b-1", "10.0.0.2", "back")), decode(t, dataplane.Kind, web("c-1", "10.0.0.3", "cart")))
	c := connect(t, p, "web-1", web("web-1", "10.0.0.1", "web", "back", "cart"))
	c.ask(&discoveryv3.DiscoveryRequest{TypeUrl: cds})
	if names := edsNames(t, c.get(cds)); !slices.Equal(names, []string{"back", "cart"}) {
		t.Fatalf("clusters with endpoints: %v", names)
	}
	c.ack(cds)
	c.ask(&discoveryv3.DiscoveryRequest{TypeUrl: eds, ResourceNames: []string{"cart"}})
	if got := addresses(t, c.get(eds)); !equalAddresses(got, map[string][]string{"cart": {"10.0.0.3:8080"}}) {
		t.Errorf("asked for cart alone, got %v", got)
	}
	c.ack(eds, "cart")
	c.ask(&discoveryv3.DiscoveryRequest{
		TypeUrl: eds, ResourceNames: []string{"back", "cart"}, VersionInfo: c.last[eds].VersionInfo, ResponseNonce: c.last[eds].Nonce,
	})
	if got := addresses(t, c.get(eds)); !equalAddresses(got, map[string][]string{"back": {"10.0.0.2:8080"}, "cart": {"10.0.0.3:8080"}}) {
		t.Errorf("asked for both, got %v", got)
	}
}

// Trap 2: a cluster that changed warms anew and waits for its endpoints, even if these are the same.
func TestTrap2EndpointsFollowChangedClusters(t *testing.T) {
	p := start(t, nil)
	p.put(decode(t, dataplane.Kind, web("b-1", "10.0.0.2", "back")))
	c := connect(t, p, "web-1", web("web-1", "10.0.0.1", "web", "back"))
	c.full()
	before := c.last[eds]
	p.put(decode(t, meshtimeout.Kind, map[string]any{"type": "MeshTimeout", "mesh": "default", "name": "a-slow", "spec": map[string]any{
		"targetRef": map[string]any{"kind": "Mesh"},
		"to":        []any{map[string]any{"targetRef": map[string]any{"kind": "Mesh"}, "default": map[string]any{"connectionTimeout": "7s"}}},
	}}))
	c.get(cds)
	after := c.get(eds)
	if !equalAddresses(addresses(t, after), map[string][]string{"back": {"10.0.0.2:8080"}}) {
		t.Errorf("endpoints behind the changed cluster: %v", addresses(t, after))
	}
	if after.Nonce == before.Nonce {
		t.Error("the same answer came twice")
	}
}

// Trap 3: a service that nobody offers has an assignment without endpoints; Envoy waits for it otherwise.
func TestTrap3UnknownServicesHaveNoEndpoints(t *testing.T) {
	p := start(t, nil)
	c := connect(t, p, "web-1", web("web-1", "10.0.0.1", "web", "ghost"))
	c.ask(&discoveryv3.DiscoveryRequest{TypeUrl: cds})
	c.get(cds)
	c.ack(cds)
	c.ask(&discoveryv3.DiscoveryRequest{TypeUrl: eds, ResourceNames: []string{"ghost", "never-heard-of"}})
	if got := addresses(t, c.get(eds)); !equalAddresses(got, map[string][]string{"ghost": {}, "never-heard-of": {}}) {
		t.Errorf("got %v", got)
	}
}

// Trap 4: a proxy that was killed comes back before anybody noticed. Its new stream is served at once and ends the old one.
func TestTrap4ARestartedProxyIsServedAtOnce(t *testing.T) {
	p := start(t, nil)
	doc := web("web-1", "10.0.0.1", "web")
	old := connect(t, p, "web-1", doc)
	old.full()
	begin := time.Now()
	again := connect(t, p, "web-1", doc)
	again.full()
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("served after %s", d)
	}
	if err := old.end(); err == nil {
		t.Error("the old stream goes on")
	}
	// The end of the old one takes nothing from the new one.
	p.put(decode(t, dataplane.Kind, web("web-2", "10.0.0.9", "web")))
	if s, ok := p.server.Status("default", "web-1"); !ok || !s.Connected {
		t.Errorf("status %+v", s)
	}
	// Streams of one connection replace each other, too.
	third := connectOn(t, again.conn, nodeOf(t, "web-1", text(t, doc)))
	third.full()
	if err := again.end(); err == nil {
		t.Error("the second stream goes on")
	}
}

// Trap 5: after a restart of the control plane nothing vanishes before proxies had time to come back.
func TestTrap5EndpointsStayWhileProxiesFindBack(t *testing.T) {
	p := start(t, func(o *xds.Options) {
		o.DeregistrationDelay, o.RestartGrace = 10*time.Millisecond, time.Hour
	})
	back := connect(t, p, "b-1", web("b-1", "10.0.0.2", "back"))
	back.full()
	c := connect(t, p, "web-1", web("web-1", "10.0.0.1", "web", "back"))
	c.full()
	want := map[string][]string{"back": {"10.0.0.2:8080"}}
	if got := addresses(t, c.last[eds]); !equalAddresses(got, want) {
		t.Fatalf("endpoints %v", got)
	}
	c.close()
	p.restart()
	// The consumer is back first.
	c = connect(t, p, "web-1", web("web-1", "10.0.0.1", "web", "back"))
	c.full()
	if got := addresses(t, c.last[eds]); !equalAddresses(got, want) {
		t.Errorf("after the restart: endpoints %v", got)
	}
	if _, ok := p.store.Snapshot().Get(key("b-1")); !ok {
		t.Error("the Dataplane of a proxy that is on its way back was removed")
	}
}

// After the grace, those that did not come back go, and only those that came with their proxies.
func TestRestartForgetsProxiesThatDoNotComeBack(t *testing.T) {
	p := start(t, func(o *xds.Options) { o.RestartGrace = 50 * time.Millisecond })
	p.put(decode(t, dataplane.Kind, web("pre-1", "10.0.0.3", "pre")))
	for _, name := range []string{"web-1", "web-2"} {
		c := connect(t, p, name, web(name, "10.0.0.1", "web"))
		c.full()
	}
	pre := connect(t, p, "pre-1", nil)
	pre.full()
	p.halt()
	// The crash came before the insight of one of them was saved.
	p.store.DeleteVolatile(resource.Key{Kind: "DataplaneInsight", Mesh: "default", Name: "web-2"})
	p.serve()
	p.until("the proxies that did not come back are gone", func(all resource.Reader) bool {
		_, one := all.Get(key("web-1"))
		_, two := all.Get(key("web-2"))
		return !one && !two
	})
	if _, ok := p.store.Snapshot().Get(key("pre-1")); !ok {
		t.Error("a Dataplane that was there before its proxy was removed")
	}
}

package xds_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/resource/dataplane"
	"github.com/kumactl/kumactl/internal/server/xds"
)

// TestAConnectedProxyIsNeverRemoved lets proxies come and go just as their Dataplanes are about to go.
func TestAConnectedProxyIsNeverRemoved(t *testing.T) {
	p := start(t, func(o *xds.Options) { o.DeregistrationDelay = time.Millisecond })
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			name := fmt.Sprintf("web-%d", i)
			for range 25 {
				c := connect(t, p, name, web(name, "10.0.0.1", "web"))
				c.full()
				if _, ok := p.store.Snapshot().Get(key(name)); !ok {
					t.Errorf("%s is connected and was removed", name)
				}
				c.close()
			}
		})
	}
	wg.Wait()
	c := connect(t, p, "web-0", web("web-0", "10.0.0.1", "web"))
	c.full()
	p.until("the others are gone", func(all resource.Reader) bool {
		n := 0
		for range all.List(dataplane.Kind.Name, "") {
			n++
		}
		return n == 1
	})
	if _, ok := p.store.Snapshot().Get(key("web-0")); !ok {
		t.Error("the one that stayed was removed")
	}
}

// A Dataplane that somebody removes under a connected proxy takes nothing from the proxy; when it is back, so are changes.
func TestAProxyOutlivesItsDataplane(t *testing.T) {
	p := start(t, func(o *xds.Options) { o.ReportEvery = 10 * time.Millisecond })
	p.put(decode(t, dataplane.Kind, web("web-1", "10.0.0.1", "web", "back")))
	c := connect(t, p, "web-1", nil)
	c.full()
	p.delete(key("web-1"))
	p.until("nobody tells of it", func(resource.Reader) bool { return p.insight("web-1") == nil })
	if _, ok := p.server.Config("default", "web-1"); !ok {
		t.Error("what it runs with is not shown any more")
	}
	p.put(decode(t, dataplane.Kind, web("web-1", "10.0.0.1", "web", "back")), decode(t, dataplane.Kind, web("b-1", "10.0.0.2", "back")))
	for typeURL := ""; typeURL != eds; {
		typeURL = c.next()
		r := c.get(typeURL)
		c.ack(typeURL, namesOf(typeURL, "back")...)
		if typeURL == eds && len(addresses(t, r)["back"]) != 1 {
			typeURL = ""
		}
	}
}

// Two proxies of one name would replace each other without end.
func TestTwoOfOneNameDoNotFightForEver(t *testing.T) {
	p := start(t, nil)
	var err error
	for range 20 {
		c := connect(t, p, "web-1", web("web-1", "10.0.0.1", "web"))
		c.ask(&discoveryv3.DiscoveryRequest{TypeUrl: cds})
		if _, err = c.stream.Recv(); err != nil {
			break
		}
	}
	if status.Code(err) != codes.Unavailable {
		t.Errorf("ended with %v", err)
	}
	if s, ok := p.server.Status("default", "web-1"); !ok || !s.Connected {
		t.Errorf("status %+v", s)
	}
}

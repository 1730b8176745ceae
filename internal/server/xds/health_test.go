package xds_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	healthv3 "github.com/envoyproxy/go-control-plane/envoy/service/health/v3"

	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/resource/dataplane"
)

// checker is the health discovery side of a proxy.
type checker struct {
	t      *testing.T
	stream healthv3.HealthDiscoveryService_StreamHealthCheckClient
}

func check(t *testing.T, p *plane, name string) *checker {
	t.Helper()
	conn := dial(t, p.addr)
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	t.Cleanup(func() {
		cancel()
		conn.Close()
	})
	stream, err := healthv3.NewHealthDiscoveryServiceClient(conn).StreamHealthCheck(ctx)
	if err != nil {
		t.Fatal(err)
	}
	c := &checker{t, stream}
	c.send(&healthv3.HealthCheckRequestOrEndpointHealthResponse{RequestType: &healthv3.HealthCheckRequestOrEndpointHealthResponse_HealthCheckRequest{
		HealthCheckRequest: &healthv3.HealthCheckRequest{Node: nodeOf(t, name, "")},
	}})
	return c
}

func (c *checker) send(m *healthv3.HealthCheckRequestOrEndpointHealthResponse) {
	c.t.Helper()
	if err := c.stream.Send(m); err != nil {
		c.t.Fatal(err)
	}
}

// specifier gives what to check: cluster and interval.
func (c *checker) specifier() (clusters []string, interval string) {
	c.t.Helper()
	s, err := c.stream.Recv()
	if err != nil {
		c.t.Fatal(err)
	}
	for _, cluster := range s.ClusterHealthChecks {
		clusters = append(clusters, cluster.ClusterName)
	}
	return clusters, s.Interval.AsDuration().String()
}

func (c *checker) report(healthy map[string]bool) {
	c.t.Helper()
	answer := &healthv3.EndpointHealthResponse{}
	for _, name := range []string{"kuma:envoy:admin", "localhost:80"} {
		good, said := healthy[name]
		if !said {
			continue
		}
		h := &healthv3.EndpointHealth{HealthStatus: corev3.HealthStatus_UNHEALTHY}
		if good {
			h.HealthStatus = corev3.HealthStatus_HEALTHY
		}
		answer.ClusterEndpointsHealth = append(answer.ClusterEndpointsHealth, &healthv3.ClusterEndpointsHealth{
			ClusterName: name, LocalityEndpointsHealth: []*healthv3.LocalityEndpointsHealth{{EndpointsHealth: []*healthv3.EndpointHealth{h}}},
		})
	}
	c.send(&healthv3.HealthCheckRequestOrEndpointHealthResponse{RequestType: &healthv3.HealthCheckRequestOrEndpointHealthResponse_EndpointHealthResponse{
		EndpointHealthResponse: answer,
	}})
}

func (p *plane) untilInbound(name, want string) {
	p.t.Helper()
	p.until(name+" is "+want, func(all resource.Reader) bool {
		r, ok := all.Get(key(name))
		if !ok {
			return false
		}
		in := r.Spec.(*kumapb.Dataplane).GetNetworking().GetInbound()[0]
		health := "none"
		if in.GetHealth() != nil {
			health = fmt.Sprint(in.GetHealth().GetReady())
		}
		return in.GetState().String()+" "+health == want
	})
}

func TestProbesDecideWhoGetsTraffic(t *testing.T) {
	p := start(t, nil)
	probed := web("b-1", "10.0.0.2", "back")
	probed["networking"].(map[string]any)["inbound"].([]any)[0].(map[string]any)["serviceProbe"] = map[string]any{"tcp": map[string]any{}}
	p.put(decode(t, dataplane.Kind, probed))
	consumer := connect(t, p, "web-1", web("web-1", "10.0.0.1", "web", "back"))
	consumer.full()
	c := check(t, p, "b-1")
	if clusters, interval := c.specifier(); !slices.Equal(clusters, []string{"kuma:envoy:admin", "localhost:80"}) || interval != "5s" {
		t.Errorf("checks %v every %s", clusters, interval)
	}
	// Until something is found out it gets no traffic.
	for _, ready := range []bool{true, false, true} {
		c.report(map[string]bool{"kuma:envoy:admin": true, "localhost:80": ready})
		want := map[bool]string{true: "Ready true", false: "NotReady false"}[ready]
		p.untilInbound("b-1", want)
		if got := addresses(t, consumer.get(eds)); (len(got["back"]) == 1) != ready {
			t.Errorf("%s: endpoints %v", want, got)
		}
		consumer.ack(eds, "back")
	}
	// The same again writes nothing.
	before := p.store.Snapshot().Revision()
	c.report(map[string]bool{"kuma:envoy:admin": true, "localhost:80": true})
	c.report(map[string]bool{"localhost:80": true})
	c.report(map[string]bool{"kuma:envoy:admin": false, "localhost:80": false})
	p.untilInbound("b-1", "NotReady false")
	if after := p.store.Snapshot().Revision(); after != before+1 {
		t.Errorf("%d writes for one change", after-before)
	}
	// A proxy that connects again brings its Dataplane without what was found out.
	own := connect(t, p, "b-1", probed)
	own.full()
	p.untilInbound("b-1", "NotReady false")
}

func TestADrainingProxyGetsNoTraffic(t *testing.T) {
	p := start(t, nil)
	p.put(decode(t, dataplane.Kind, web("b-1", "10.0.0.2", "back")))
	c := check(t, p, "b-1")
	if clusters, interval := c.specifier(); !slices.Equal(clusters, []string{"kuma:envoy:admin"}) || interval != "5s" {
		t.Errorf("checks %v every %s", clusters, interval)
	}
	c.report(map[string]bool{"kuma:envoy:admin": false})
	p.untilInbound("b-1", "NotReady none")
	c.report(map[string]bool{"kuma:envoy:admin": true})
	p.untilInbound("b-1", "Ready none")
	// It gets a probe; the specifier follows with the next report.
	probed := web("b-1", "10.0.0.2", "back")
	probed["networking"].(map[string]any)["inbound"].([]any)[0].(map[string]any)["serviceProbe"] = map[string]any{"interval": "3s", "tcp": map[string]any{}}
	p.put(decode(t, dataplane.Kind, probed))
	c.report(map[string]bool{"kuma:envoy:admin": true})
	if clusters, interval := c.specifier(); len(clusters) != 2 || interval != "5s" {
		t.Errorf("checks %v every %s", clusters, interval)
	}
}

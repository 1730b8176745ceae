package xds

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	healthv3 "github.com/envoyproxy/go-control-plane/envoy/service/health/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/kumactl/kumactl/internal/admission"
	"github.com/kumactl/kumactl/internal/envoy"
	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/resource/dataplane"
	"github.com/kumactl/kumactl/internal/store"
)

// probedInterval is how often a proxy reports when it probes applications.
const probedInterval = 5 * time.Second

// plainInterval is how often a proxy reports that has no application to probe. Then all that can be found out is that it drains,
// which takes 30 seconds by default; each report costs a wake-up, so the more there are, the rarer they come.
func plainInterval(proxies int) time.Duration {
	switch {
	case proxies <= 100:
		return 5 * time.Second
	case proxies <= 400:
		return 10 * time.Second
	}
	return 25 * time.Second
}

// adminCluster is the cluster whose health is that of Envoy itself.
const adminCluster = "kuma:envoy:admin"

// healthRequest is one message of a proxy on a health discovery stream. It is used again for the next, and keeps a report only
// when that differs from the one before.
type healthRequest struct {
	node   *node
	report []byte
	news   bool
}

// decode reads envoy.service.health.v3.HealthCheckRequestOrEndpointHealthResponse.
func (r *healthRequest) decode(raw []byte) error {
	r.node, r.news = nil, false
	return eachBytes(raw, func(n protowire.Number, value []byte) error {
		switch n {
		case 1:
			r.node = &node{}
			return eachBytes(value, func(n protowire.Number, value []byte) error {
				if n == 1 {
					return r.node.decode(value)
				}
				return nil
			})
		case 2:
			if r.news = !bytes.Equal(value, r.report); r.news {
				r.report = append(r.report[:0], value...)
			}
		}
		return nil
	})
}

// checkHealth serves one health discovery stream. Its handler alone reads and sends; a changed Dataplane is noticed with the next
// report, which is soon enough.
func (s *Server) checkHealth(ss grpc.ServerStream) error {
	r := &healthRequest{}
	if err := s.firstHealth(ss, r); err != nil {
		return err
	}
	if r.node == nil {
		return status.Error(codes.InvalidArgument, "the first request has no node")
	}
	key, err := identify(r.node)
	if err != nil {
		return err
	}
	ctx := ss.Context()
	if err := s.authenticated(ctx, key); err != nil {
		return err
	}
	if err := s.loaded(ctx); err != nil {
		return err
	}
	c := &checkup{key: key, node: envoy.ParseNode(r.node.metadata)}
	r.node = nil
	for {
		if m := c.specify(s.store.Snapshot(), plainInterval(s.fleet.size())); m != nil {
			if err := ss.SendMsg(m); err != nil {
				return err
			}
		}
		if err := ss.RecvMsg(r); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if r.news && !s.lifecycle.found(ctx, c, r.report) {
			r.report = nil // look at the same report again
		}
	}
}

// firstHealth reads the first request; silence ends the stream.
func (s *Server) firstHealth(ss grpc.ServerStream, r *healthRequest) error {
	read := make(chan error, 1)
	s.streams.Go(func() { read <- ss.RecvMsg(r) })
	timer := time.NewTimer(greetingTime)
	defer timer.Stop()
	select {
	case err := <-read:
		return err
	case <-timer.C:
		return status.Errorf(codes.DeadlineExceeded, "no request within %s", greetingTime)
	case <-ss.Context().Done():
		return status.FromContextError(ss.Context().Err()).Err()
	}
}

// checkup is what one proxy is asked to check.
type checkup struct {
	key  resource.Key
	node envoy.Node
	// seen is the Dataplane that the last specifier is for, interval what it says without probes.
	seen     *resource.Resource
	interval time.Duration
	sent     string
}

// specify gives the specifier if it has changed.
func (c *checkup) specify(all resource.Reader, interval time.Duration) message {
	stored, _ := all.Get(c.key)
	if interval == c.interval && stored == c.seen {
		return nil
	}
	c.seen, c.interval = stored, interval
	var dp *kumapb.Dataplane
	if stored != nil {
		dp = stored.Spec.(*kumapb.Dataplane)
		c.node.Resource = ""
	} else if strings.Contains(c.node.Resource, "serviceProbe") {
		// The discovery stream beside this one is going to store it.
		if own, err := dataplane.Kind.Decode([]byte(c.node.Resource)); err == nil {
			dp = own.Spec.(*kumapb.Dataplane)
		}
	}
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(specifier(dp, c.node, interval))
	if err != nil || string(raw) == c.sent {
		return nil
	}
	c.sent = string(raw)
	return message{mem.SliceBuffer(raw)}
}

// specifier says what to check: Envoy itself, and the applications that have a probe.
func specifier(dp *kumapb.Dataplane, n envoy.Node, interval time.Duration) *healthv3.HealthCheckSpecifier {
	spec := &healthv3.HealthCheckSpecifier{Interval: durationpb.New(interval)}
	if address := adminAddress(n); address != nil {
		check := healthCheck(&kumapb.Dataplane_Networking_Inbound_ServiceProbe{})
		check.HealthChecker = &corev3.HealthCheck_HttpHealthCheck_{HttpHealthCheck: &corev3.HealthCheck_HttpHealthCheck{Path: "/ready"}}
		spec.ClusterHealthChecks = append(spec.ClusterHealthChecks, clusterCheck(adminCluster, check, address))
	}
	net := dp.GetNetworking()
	for _, in := range net.GetInbound() {
		probe := in.GetServiceProbe()
		if probe == nil {
			continue
		}
		spec.Interval = durationpb.New(probedInterval)
		check := healthCheck(probe)
		check.HealthChecker = &corev3.HealthCheck_TcpHealthCheck_{TcpHealthCheck: &corev3.HealthCheck_TcpHealthCheck{}}
		host, port := workload(net, in)
		cluster := clusterCheck(probeCluster(net, in), check, socketAddress(host, port))
		if net.GetTransparentProxying() != nil || n.TransparentProxy != "" {
			// From here the firewall does not send it back to Envoy.
			cluster.UpstreamBindConfig = &corev3.BindConfig{SourceAddress: socketAddress("127.0.0.6", 0).GetSocketAddress()}
		}
		spec.ClusterHealthChecks = append(spec.ClusterHealthChecks, cluster)
	}
	return spec
}

// healthCheck gives a check with what a probe says, and defaults for the rest.
func healthCheck(p *kumapb.Dataplane_Networking_Inbound_ServiceProbe) *corev3.HealthCheck {
	check := &corev3.HealthCheck{
		Timeout: durationpb.New(2 * time.Second), Interval: durationpb.New(time.Second), NoTrafficInterval: durationpb.New(time.Second),
		UnhealthyThreshold: wrapperspb.UInt32(1), HealthyThreshold: wrapperspb.UInt32(1),
	}
	if p.GetTimeout() != nil {
		check.Timeout = p.GetTimeout()
	}
	if p.GetInterval() != nil {
		check.Interval, check.NoTrafficInterval = p.GetInterval(), p.GetInterval()
	}
	if p.GetUnhealthyThreshold() != nil {
		check.UnhealthyThreshold = p.GetUnhealthyThreshold()
	}
	if p.GetHealthyThreshold() != nil {
		check.HealthyThreshold = p.GetHealthyThreshold()
	}
	return check
}

// clusterCheck is a check of one address under a cluster's name.
func clusterCheck(name string, check *corev3.HealthCheck, address *corev3.Address) *healthv3.ClusterHealthCheck {
	return &healthv3.ClusterHealthCheck{
		ClusterName: name, HealthChecks: []*corev3.HealthCheck{check},
		LocalityEndpoints: []*healthv3.LocalityEndpoints{{Endpoints: []*endpointv3.Endpoint{{Address: address}}}},
	}
}

// adminAddress is where Envoy's own admin listens; nil when the proxy did not say.
func adminAddress(n envoy.Node) *corev3.Address {
	switch {
	case n.AdminSocket != "":
		return &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: n.AdminSocket}}}
	case n.AdminPort != 0:
		return socketAddress(n.AdminAddress, n.AdminPort)
	}
	return nil
}

func socketAddress(host string, port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
}

// workload is where the application of an inbound listens.
func workload(net *kumapb.Dataplane_Networking, in *kumapb.Dataplane_Networking_Inbound) (host string, port uint32) {
	host, port = in.GetServiceAddress(), in.GetServicePort()
	if host == "" {
		host = in.GetAddress()
	}
	if host == "" {
		host = net.GetAddress()
	}
	if port == 0 {
		port = in.GetPort()
	}
	return host, port
}

// probeCluster names the cluster of an inbound as the proxy's configuration does.
func probeCluster(net *kumapb.Dataplane_Networking, in *kumapb.Dataplane_Networking_Inbound) string {
	_, port := workload(net, in)
	return fmt.Sprintf("localhost:%d", port)
}

// found stores what a report says of the applications, if that is something new. It says whether the report is dealt with.
func (l *lifecycle) found(ctx context.Context, c *checkup, report []byte) bool {
	var answer healthv3.EndpointHealthResponse
	if err := proto.Unmarshal(report, &answer); err != nil {
		return true
	}
	stored, ok := l.store.Snapshot().Get(c.key)
	if !ok {
		return false
	}
	healthy := healthOf(&answer)
	if !judge(stored.Spec.(*kumapb.Dataplane).GetNetworking(), healthy, false) {
		return true
	}
	next := stored.Clone()
	judge(next.Spec.(*kumapb.Dataplane).GetNetworking(), healthy, true)
	revision := stored.Revision
	_, err := l.admission.Put(ctx, store.Writer{Who: c.key.Name, Source: sourceHealth},
		[]admission.Request{{Resource: next, IfRevision: &revision}})
	if err != nil && problem.CodeOf(err) != problem.Conflict {
		l.log.Warn("health of applications is not stored", "mesh", c.key.Mesh, "proxy", c.key.Name, "error", err)
	}
	return err == nil
}

// healthOf says for each cluster of a report whether all its endpoints are healthy.
func healthOf(answer *healthv3.EndpointHealthResponse) map[string]bool {
	healthy := map[string]bool{}
	for _, cluster := range answer.GetClusterEndpointsHealth() {
		for _, locality := range cluster.GetLocalityEndpointsHealth() {
			for _, e := range locality.GetEndpointsHealth() {
				before, more := healthy[cluster.GetClusterName()]
				good := e.GetHealthStatus() == corev3.HealthStatus_HEALTHY
				healthy[cluster.GetClusterName()] = good && (before || !more)
			}
		}
	}
	return healthy
}

// judge says whether the state of an inbound differs from what was found: that of the application where it has a probe, else that
// of Envoy. It sets the states if it may change them.
func judge(net *kumapb.Dataplane_Networking, healthy map[string]bool, change bool) (differs bool) {
	for _, in := range net.GetInbound() {
		if in.GetState() == kumapb.Dataplane_Networking_Inbound_Ignored {
			continue
		}
		cluster := adminCluster
		if in.GetServiceProbe() != nil {
			cluster = probeCluster(net, in)
		}
		good, said := healthy[cluster]
		if !said {
			continue
		}
		state := kumapb.Dataplane_Networking_Inbound_NotReady
		if good {
			state = kumapb.Dataplane_Networking_Inbound_Ready
		}
		probed := in.GetServiceProbe() != nil && (in.GetHealth() == nil || in.GetHealth().GetReady() != good)
		differs = differs || probed || in.GetState() != state
		if change {
			in.State = state
			if probed {
				in.Health = &kumapb.Dataplane_Networking_Inbound_Health{Ready: good}
			}
		}
	}
	return differs
}

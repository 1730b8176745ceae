package xds

import (
	"context"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/kumactl/kumactl/internal/envoy"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

// register adds the services to a gRPC server that has our codec. The generated descriptions would bring their own messages.
func (s *Server) register(to grpc.ServiceRegistrar) {
	handler := func(serve func(grpc.ServerStream) error) grpc.StreamHandler {
		return func(_ any, ss grpc.ServerStream) error { return serve(ss) }
	}
	stream := func(name string, serve func(grpc.ServerStream) error) grpc.StreamDesc {
		return grpc.StreamDesc{StreamName: name, Handler: handler(serve), ServerStreams: true, ClientStreams: true}
	}
	to.RegisterService(&grpc.ServiceDesc{
		ServiceName: "envoy.service.discovery.v3.AggregatedDiscoveryService",
		Streams: []grpc.StreamDesc{
			stream("StreamAggregatedResources", func(ss grpc.ServerStream) error { return s.discover(ss, false) }),
			stream("DeltaAggregatedResources", func(ss grpc.ServerStream) error { return s.discover(ss, true) }),
		},
		Metadata: "envoy/service/discovery/v3/ads.proto",
	}, nil)
	to.RegisterService(&grpc.ServiceDesc{
		ServiceName: "envoy.service.health.v3.HealthDiscoveryService",
		Streams:     []grpc.StreamDesc{stream("StreamHealthCheck", s.checkHealth)},
		Metadata:    "envoy/service/health/v3/hds.proto",
	}, nil)
}

// incoming is what a stream's reader found.
type incoming struct {
	*request
	err error
}

// read hands requests on until the stream ends; the last one has an error.
func read(ss grpc.ServerStream, delta bool, to chan<- incoming) {
	for {
		var in incoming
		if delta {
			r := &deltaRequest{}
			in.err, in.request = ss.RecvMsg(r), &r.request
		} else {
			r := &sotwRequest{}
			in.err, in.request = ss.RecvMsg(r), &r.request
		}
		select {
		case to <- in:
		case <-ss.Context().Done():
			return
		}
		if in.err != nil {
			return
		}
	}
}

// discover serves one discovery stream.
func (s *Server) discover(ss grpc.ServerStream, delta bool) error {
	requests := make(chan incoming)
	s.streams.Add(1)
	go func() {
		defer s.streams.Done()
		read(ss, delta, requests)
	}()
	ctx := ss.Context()
	first, err := s.first(ctx, requests)
	if err != nil {
		return err
	}
	if err := s.loaded(ctx); err != nil {
		return err
	}
	session, err := s.admit(ctx, first.node, newStream(delta, s.instance, s.now))
	if err != nil {
		s.log.Debug("data plane refused", "node", first.node.id, "error", err)
		return err
	}
	// Whatever ends the stream, the proxy is gone from here on, unless a newer stream has taken its place.
	defer func() {
		end := s.now()
		if s.fleet.disconnect(session, end.Add(s.lifecycle.delay)) {
			s.reporter.ended(session, end)
		}
	}()
	session.receive(first.request)
	return session.serve(ss, requests)
}

// first waits for the first request; silence ends the stream.
func (s *Server) first(ctx context.Context, requests <-chan incoming) (incoming, error) {
	timer := time.NewTimer(greetingTime)
	defer timer.Stop()
	select {
	case in := <-requests:
		switch {
		case in.err == nil && in.node == nil:
			return in, status.Error(codes.InvalidArgument, "the first request has no node")
		case errors.Is(in.err, io.EOF):
			return in, status.Error(codes.InvalidArgument, "the stream ended before its first request")
		}
		return in, in.err
	case <-timer.C:
		return incoming{}, status.Errorf(codes.DeadlineExceeded, "no request within %s", greetingTime)
	case <-ctx.Done():
		return incoming{}, status.FromContextError(ctx.Err()).Err()
	}
}

// loaded waits until the state is there: an answer without it would take away what a proxy has.
func (s *Server) loaded(ctx context.Context) error {
	select {
	case <-s.ready:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}

// admit finds out who a proxy is, and makes it one that is served.
func (s *Server) admit(ctx context.Context, n *node, stream *stream) (*session, error) {
	key, err := identify(n)
	if err != nil {
		return nil, err
	}
	if err := s.authenticated(ctx, key); err != nil {
		return nil, err
	}
	p, err := s.fleet.enter(ctx, key, s.now())
	if err != nil {
		return nil, err
	}
	session := &session{
		stream: stream, proxy: p, id: uuid.NewString(), connected: s.now(),
		metadata: n.metadata, node: envoy.ParseNode(n.metadata), version: versionOfPrograms(n.metadata),
	}
	// The extensions are not in the metadata, where the rest comes from.
	session.node.KafkaFilter = n.kafka
	session.counts.changed = func() { s.reporter.soon(p) }
	if session.revision, err = s.lifecycle.register(ctx, p, session.node.Resource); err != nil {
		s.fleet.retreat(p)
		return nil, statusOf(err)
	}
	replaced := s.fleet.connect(session)
	s.reporter.arrived(session, replaced)
	return session, nil
}

// identify reads the node's identifier, `<mesh>.<name>`. Zone proxies have no mesh.
func identify(n *node) (resource.Key, error) {
	mesh, name, ok := strings.Cut(n.id, ".")
	switch {
	case !ok || name == "":
		return resource.Key{}, status.Errorf(codes.InvalidArgument, "node id %q is not <mesh>.<name>", clip(n.id, 200))
	case mesh == "":
		return resource.Key{}, status.Errorf(codes.Unimplemented, "%s is a zone proxy, and these are not served yet", clip(name, 200))
	}
	return dataplaneKey(mesh, name), nil
}

// authenticated checks the credential that came with the stream. Code and text are those that data planes know.
func (s *Server) authenticated(ctx context.Context, key resource.Key) error {
	if s.authenticate == nil {
		return nil
	}
	credential := ""
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		if values := md.Get("authorization"); len(values) > 0 {
			credential = strings.TrimSpace(values[0])
		}
	}
	if err := s.authenticate(ctx, credential, key.Mesh, key.Name); err != nil {
		return status.Errorf(codes.Unknown, "authentication failed: %v", err)
	}
	return nil
}

// statusOf maps a problem to gRPC's codes.
func statusOf(err error) error {
	if _, ok := status.FromError(err); ok {
		return err
	}
	code := codes.Internal
	switch problem.CodeOf(err) {
	case problem.Invalid:
		code = codes.InvalidArgument
	case problem.NotFound:
		code = codes.NotFound
	case problem.Conflict:
		code = codes.Aborted
	case problem.Unauthenticated:
		code = codes.Unauthenticated
	case problem.Forbidden, problem.NotAllowed:
		code = codes.PermissionDenied
	case problem.TooLarge:
		code = codes.ResourceExhausted
	case problem.Unavailable:
		code = codes.Unavailable
	}
	return status.Error(code, err.Error())
}

// serve answers until the stream ends. It alone sends.
func (s *session) serve(ss grpc.ServerStream, requests <-chan incoming) error {
	ctx := ss.Context()
	for {
		wait, err := s.flush(ss)
		if err != nil {
			return err
		}
		// Mostly there is nothing to wait for, and no timer.
		var due <-chan time.Time
		if wait > 0 {
			due = time.After(wait)
		}
		select {
		case in := <-requests:
			if in.err != nil {
				if errors.Is(in.err, io.EOF) {
					return nil
				}
				return in.err
			}
			s.receive(in.request)
		case <-s.kick:
			s.adopt()
		case err := <-s.end:
			return err
		case <-due:
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

// flush sends what there is to send. A slow proxy makes it wait; what changes meanwhile is sent as it is then.
func (s *session) flush(ss grpc.ServerStream) (wait time.Duration, err error) {
	for {
		m, wait := s.next()
		if m == nil {
			return wait, nil
		}
		if err := ss.SendMsg(m); err != nil {
			return 0, err
		}
		if s.offered.Load() != s.config {
			s.adopt()
		}
	}
}

package xds

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// Limits of a connection. Whoever is behind it, it costs little until a proxy is known to be there.
const (
	// maxHandshakes are under way at once, and each step of getting acquainted has greetingTime: TLS, HTTP/2, a first request.
	maxHandshakes = 64
	greetingTime  = 5 * time.Second
	// keepaliveTime is when an idle connection is looked at; after twice that without an answer it ends. pingTime is when gRPC
	// itself looks.
	keepaliveTime = 15 * time.Second
	pingTime      = 5 * time.Minute
	// idleTime is how long a connection without streams, or with HTTP, may stay.
	idleTime   = 30 * time.Second
	maxStreams = 100
	// maxMessageBytes bounds a request; a first one has some 62 KB and fits into windowBytes without a word from us.
	maxMessageBytes  = 4 << 20
	windowBytes      = 128 << 10
	maxHeaderBytes   = 64 << 10
	writeBufferBytes = 4 << 10
)

// The protocols as they are offered in a TLS handshake.
const (
	protocolHTTP1 = "http/1.1"
	protocolHTTP2 = "h2"
)

// Serve answers on a listener until the context ends, and closes it. One port takes gRPC and the bootstrap's HTTP; who comes is
// told apart by what the client offers in the TLS handshake:
//   - only HTTP/2 (Envoy, gRPC): gRPC's own transport, which is light;
//   - only HTTP/1.1, or nothing (kuma-dp): HTTP, unless the first bytes are those of HTTP/2;
//   - both (curl, proxies in between): HTTP/2 by net/http, which takes either, request by request.
//
// The certificate is config's. The streams need Run beside it: they are not answered before the state is loaded.
func (s *Server) Serve(ctx context.Context, ln net.Listener, config *tls.Config) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	discovery := grpc.NewServer(
		grpc.ForceServerCodecV2(newCodec()),
		// Reads go straight to the TLS connection, which has a buffer; the write buffer is there only while something is written.
		grpc.ReadBufferSize(0), grpc.WriteBufferSize(writeBufferBytes),
		grpc.StaticStreamWindowSize(windowBytes), grpc.StaticConnWindowSize(2*windowBytes),
		grpc.MaxRecvMsgSize(maxMessageBytes), grpc.MaxConcurrentStreams(maxStreams), grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.ConnectionTimeout(greetingTime), grpc.WaitForHandlers(true),
		// The kernel finds out who is gone (watch); pings are for where it cannot. A thousand proxies pinged every 15 seconds would
		// be felt.
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingTime, Timeout: keepaliveTime, MaxConnectionIdle: idleTime}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: keepaliveTime, PermitWithoutStream: true}),
	)
	s.register(discovery)
	bootstrap := s.Handler()
	m := &multiplexer{
		log:       s.log,
		config:    config.Clone(),
		discovery: &connQueue{addr: ln.Addr(), conns: make(chan net.Conn), closed: make(chan struct{})},
		web:       &connQueue{addr: ln.Addr(), conns: make(chan net.Conn), closed: make(chan struct{})},
	}
	m.config.NextProtos = []string{protocolHTTP2, protocolHTTP1}
	m.config.GetConfigForClient = noteOffers
	web := &http.Server{
		ReadHeaderTimeout: greetingTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		HTTP2:    &http.HTTP2Config{MaxConcurrentStreams: maxStreams, SendPingTimeout: pingTime, PingTimeout: keepaliveTime},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
				discovery.ServeHTTP(w, r)
				return
			}
			bootstrap.ServeHTTP(w, r)
		}),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}

	var wg sync.WaitGroup
	// These two end when they are told to, and with nothing to say but that.
	wg.Go(func() { _ = discovery.Serve(m.discovery) })
	wg.Go(func() { _ = web.Serve(m.web) })
	wg.Go(func() {
		<-ctx.Done()
		_ = ln.Close()
		discovery.Stop()
		_ = web.Close()
	})
	err := m.accept(ctx, ln)
	cancel()
	wg.Wait()
	s.streams.Wait()
	return err
}

// multiplexer greets connections and hands them to the server that speaks their protocol.
type multiplexer struct {
	log            *slog.Logger
	config         *tls.Config
	discovery, web *connQueue
}

// accept takes connections until the context ends. Each of a fixed number of goroutines takes one and greets it, so that their
// stacks, which a handshake makes large, are used again; while all are busy the kernel keeps the others waiting.
func (m *multiplexer) accept(ctx context.Context, ln net.Listener) error {
	failed := make(chan error, maxHandshakes)
	var wg sync.WaitGroup
	for range maxHandshakes {
		wg.Go(func() { failed <- m.acceptSome(ctx, ln) })
	}
	wg.Wait()
	return <-failed
}

// acceptSome takes one connection after the other; an error of the listener that passes is waited out.
func (m *multiplexer) acceptSome(ctx context.Context, ln net.Listener) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval = 5*time.Millisecond, time.Second
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			pause.Reset()
			m.greet(ctx, conn)
			continue
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		}
		// Out of file descriptors, mostly.
		m.log.Warn("no connection accepted", "error", err)
		select {
		case <-time.After(pause.NextBackOff()):
		case <-ctx.Done():
		}
	}
}

// greet makes the TLS handshake and passes the connection on, or closes it.
func (m *multiplexer) greet(ctx context.Context, raw net.Conn) {
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	if conn, ok := raw.(*net.TCPConn); ok {
		watch(conn)
	}
	caller := &caller{Conn: raw}
	conn := tls.Server(caller, m.config)
	err := raw.SetDeadline(time.Now().Add(greetingTime))
	if err == nil {
		err = conn.Handshake()
	}
	var head []byte
	protocol := conn.ConnectionState().NegotiatedProtocol
	if err == nil && protocol == "" {
		// Nothing was offered; the first bytes tell.
		head = make([]byte, len(preface))
		_, err = io.ReadFull(conn, head)
	}
	if err == nil {
		// From here on the servers have limits of their own.
		err = raw.SetDeadline(time.Time{})
	}
	switch {
	case err != nil:
		m.log.Debug("no TLS with a data plane", "from", raw.RemoteAddr().String(), "error", err)
		raw.Close()
	case protocol == protocolHTTP2 && !caller.mixed:
		m.discovery.push(conn)
	case protocol != "":
		m.web.push(conn)
	case string(head) == preface:
		m.discovery.push(&readAgain{conn, head})
	default:
		m.web.push(&readAgain{conn, head})
	}
}

// preface is how HTTP/2 begins.
const preface = "PRI "

// caller is a connection that remembers whether its client offered both protocols.
type caller struct {
	net.Conn
	mixed bool
}

// noteOffers is called during the handshake and changes nothing of it.
func noteOffers(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if c, ok := hello.Conn.(*caller); ok {
		c.mixed = slices.Contains(hello.SupportedProtos, protocolHTTP2) && slices.Contains(hello.SupportedProtos, protocolHTTP1)
	}
	return nil, nil
}

// readAgain gives back the bytes that were looked at.
type readAgain struct {
	net.Conn
	head []byte
}

// Read gives the looked-at bytes first.
func (r *readAgain) Read(p []byte) (int, error) {
	if len(r.head) > 0 {
		n := copy(p, r.head)
		r.head = r.head[n:]
		return n, nil
	}
	return r.Conn.Read(p)
}

// connQueue is a listener whose connections come from the multiplexer.
type connQueue struct {
	addr   net.Addr
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (q *connQueue) push(conn net.Conn) {
	select {
	case q.conns <- conn:
	case <-q.closed:
		conn.Close()
	}
}

// Accept waits for the next connection.
func (q *connQueue) Accept() (net.Conn, error) {
	select {
	case conn := <-q.conns:
		return conn, nil
	case <-q.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (q *connQueue) Close() error {
	q.once.Do(func() { close(q.closed) })
	return nil
}

// Addr is that of the real listener.
func (q *connQueue) Addr() net.Addr { return q.addr }

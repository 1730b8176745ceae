// Package server is the control plane as one value: the store, admission, and the faces towards people, programs and data planes.
//
// In comes a Config; New opens the store and the ports, Run serves until its context ends, Close gives the store back. It starts
// on a machine that has only loopback, and nothing is answered before the store is loaded.
package server

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"reflect"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/kumactl/kumactl/internal/admission"
	"github.com/kumactl/kumactl/internal/catalog"
	"github.com/kumactl/kumactl/internal/envoy"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/server/api"
	"github.com/kumactl/kumactl/internal/server/xds"
	"github.com/kumactl/kumactl/internal/store"
)

// Limits of an HTTP request: how long its header, its body and the answer may take, and how long a connection may be idle.
const (
	headerTimeout = time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 64 << 10
	// endTimeout is what requests under way get when the control plane is told to stop.
	endTimeout = 500 * time.Millisecond
)

// Addresses are where the control plane listens, host:port; empty for ports that are switched off.
type Addresses struct{ HTTP, HTTPS, DataPlanes, Diagnostics string }

// Server is a control plane.
type Server struct {
	config      Config
	log         *slog.Logger
	store       *store.Store
	api         http.Handler
	xds         *xds.Server
	diagnostics *diagnostics
	credentials *credentials

	http, https, dataplanes, health net.Listener
	// dataplanes6 is the same port on ::1, where Envoy may look for `localhost`; nil where it is not to be had.
	dataplanes6 net.Listener
}

// New opens the store and the ports. Errors say which file or port is in the way. The caller closes the server.
func New(ctx context.Context, config Config, log *slog.Logger) (*Server, error) {
	s := &Server{config: config, log: log}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (s *Server) open(ctx context.Context) error {
	if err := s.openStore(ctx); err != nil {
		return err
	}
	if err := s.openCredentials(); err != nil {
		return err
	}
	c := s.config
	admit := admission.New(admission.Options{
		Store: s.store, Kinds: catalog.Kinds(), Zone: c.Multizone.Zone.Name, SkipMeshCreation: c.Defaults.SkipMeshCreation,
	})
	if err := admit.FirstRun(ctx); err != nil {
		return err
	}
	if err := s.listenAll(ctx); err != nil {
		return err
	}
	instance := uuid.NewString()
	compiler := envoy.NewCompiler(catalog.Policies())
	s.xds = s.newXDS(admit, compiler, instance)
	s.diagnostics = newDiagnostics(s.gauges())
	var err error
	s.api, err = s.newAPI(admit, compiler, instance)
	return err
}

func (s *Server) openStore(ctx context.Context) (err error) {
	c := s.config.Store
	o := store.Options{
		Path: s.config.StorePath(), Kinds: catalog.Kinds(), KeepChanges: c.KeepChanges, KeepAge: time.Duration(c.KeepAge), Logger: s.log,
	}
	if c.Type == "memory" {
		s.store = store.OpenMemory(o)
		return nil
	}
	s.store, err = store.Open(ctx, o)
	return err
}

func (s *Server) openCredentials() (err error) {
	c := s.config
	if c.General.TLSCertFile != "" {
		s.credentials, err = givenCredentials(c.General.TLSCertFile, c.General.TLSKeyFile)
		return err
	}
	hosts := ownHosts(c.DPServer.Interface, c.APIServer.HTTPS.Interface)
	if c.Bootstrap.Params.XDSHost != "" {
		hosts = append(hosts, c.Bootstrap.Params.XDSHost)
	}
	s.credentials, err = ownCredentials(c.DataDir, hosts, time.Now())
	return err
}

func (s *Server) listenAll(ctx context.Context) error {
	c := s.config
	for _, port := range []struct {
		key string
		at  ListenConfig
		to  *net.Listener
	}{
		{"apiServer.http.port", c.APIServer.HTTP, &s.http},
		{"apiServer.https.port", c.APIServer.HTTPS, &s.https},
		{"dpServer.port", ListenConfig{c.DPServer.Interface, c.DPServer.Port}, &s.dataplanes},
		{"diagnostics.serverPort", ListenConfig{c.Diagnostics.Interface, c.Diagnostics.ServerPort}, &s.health},
	} {
		if port.at.Port < 0 {
			continue
		}
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", port.at.address())
		if errors.Is(err, syscall.EADDRINUSE) {
			return problem.New(problem.Conflict, "%s: %s is in use by another program", port.key, port.at.address()).
				WithHint("is a control plane running already? kumactl get meshes asks it; another port: %s", variable(port.key))
		}
		if err != nil {
			return problem.New(problem.Unavailable, "%s: %w", port.key, err)
		}
		*port.to = l
	}
	if at, ok := s.dataplanesOn127(); ok {
		// A machine without IPv6 has no ::1, and then nobody looks for it there.
		s.dataplanes6, _ = new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort("::1", at))
	}
	return nil
}

// dataplanesOn127 gives the port of the data planes when it is on 127.0.0.1 alone.
func (s *Server) dataplanesOn127() (port string, ok bool) {
	host, port, err := net.SplitHostPort(addressOf(s.dataplanes))
	return port, err == nil && host == "127.0.0.1"
}

// variable is the environment variable that sets a key, with a value to try.
func variable(key string) string {
	name := ""
	variables(reflect.TypeFor[Config](), "", "", func(k, v string) {
		if k == key {
			name = v
		}
	})
	return name + "=0 takes any free one"
}

func (s *Server) newXDS(admit *admission.Admission, compiler *envoy.Compiler, instance string) *xds.Server {
	c := s.config
	o := xds.BootstrapOptions{
		AdminAddress: c.Bootstrap.Params.AdminAddress, AdminPort: uint32(max(c.Bootstrap.Params.AdminPort, 0)),
		Host: c.Bootstrap.Params.XDSHost, Port: uint32(c.Bootstrap.Params.XDSPort),
		ConnectTimeout: time.Duration(c.Bootstrap.Params.XDSConnect), HealthDiscovery: c.DPServer.HDS.Enabled,
		CA: s.credentials.authority, Certificate: s.credentials.certificate.Leaf,
	}
	return xds.New(xds.Options{
		Store: s.store, Admission: admit, Compiler: compiler, Kinds: catalog.Kinds(), Instance: instance, Bootstrap: o, Logger: s.log,
		DeregistrationDelay: time.Duration(c.XDSServer.DeregistrationDelay), RestartGrace: time.Duration(c.XDSServer.RestartGrace),
		ReportEvery: time.Duration(c.XDSServer.StatusFlushInterval),
	})
}

func (s *Server) newAPI(admit *admission.Admission, compiler *envoy.Compiler, instance string) (http.Handler, error) {
	c := s.config.APIServer
	token := ""
	if c.AdminTokenFile != "" {
		raw, err := os.ReadFile(c.AdminTokenFile)
		if err != nil {
			return nil, problem.New(problem.Invalid, "apiServer.adminTokenFile: %w", err)
		}
		token = strings.TrimSpace(string(raw))
	}
	shown, err := json.Marshal(s.config)
	if err != nil {
		return nil, err
	}
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "localhost"
	}
	return api.New(api.Options{
		Kinds: catalog.Kinds(), Store: s.store, Admission: admit, Inspector: &inspector{store: s.store, xds: s.xds, compiler: compiler},
		Info:   api.Info{Version: s.config.Version, InstanceID: instance, ClusterID: instance, Hostname: hostname, Zone: s.config.Multizone.Zone.Name},
		Config: shown, ReadOnly: c.ReadOnly, Strict: c.StrictFields, AdminToken: token,
		CompatOpenAPI: c.CompatOpenAPI, BodyLimit: c.BodyLimitBytes, Logger: s.log, Computed: catalog.Computed(),
	}), nil
}

// Addresses are where the control plane listens.
func (s *Server) Addresses() Addresses {
	return Addresses{addressOf(s.http), addressOf(s.https), addressOf(s.dataplanes), addressOf(s.health)}
}

func addressOf(l net.Listener) string {
	if l == nil {
		return ""
	}
	return l.Addr().String()
}

// Run serves until the context ends, or a part of it does. It returns nil when the context ended it.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.xds.Run(ctx) })
	secure := &tls.Config{Certificates: []tls.Certificate{s.credentials.certificate}, MinVersion: tls.VersionTLS12}
	for _, l := range []net.Listener{s.dataplanes, s.dataplanes6} {
		if l != nil {
			group.Go(func() error { return s.xds.Serve(ctx, l, secure) })
		}
	}
	if s.http != nil {
		group.Go(func() error { return s.serve(ctx, s.http, s.api) })
	}
	if s.https != nil {
		group.Go(func() error { return s.serve(ctx, tls.NewListener(s.https, secure), s.api) })
	}
	if s.health != nil {
		group.Go(func() error { return s.serve(ctx, s.health, s.diagnostics) })
	}
	s.diagnostics.ready.Store(true)
	notify("READY=1", s.log)
	err := group.Wait()
	s.diagnostics.ready.Store(false)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (s *Server) serve(ctx context.Context, l net.Listener, handler http.Handler) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		// The context has ended, so what is under way gets a time of its own.
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
		defer cancel()
		if server.Shutdown(end) != nil {
			server.Close()
		}
	})
	err := server.Serve(l)
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Close gives the ports and the store back, after Run has returned or when it was never called.
func (s *Server) Close() error {
	for _, l := range []net.Listener{s.http, s.https, s.dataplanes, s.dataplanes6, s.health} {
		if l != nil {
			// Run closed it already where it ran.
			_ = l.Close()
		}
	}
	if s.store == nil {
		return nil
	}
	return s.store.Close()
}

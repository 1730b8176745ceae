package xds

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/kumactl/kumactl/internal/admission"
	"github.com/kumactl/kumactl/internal/envoy"
	"github.com/kumactl/kumactl/internal/kumapb"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

// Limits of a bootstrap request: bytes, and time to read it and to write the answer.
const (
	maxBootstrapBytes = 1 << 20
	bootstrapTime     = 10 * time.Second
)

// BootstrapOptions is what proxies are told with their first configuration.
type BootstrapOptions struct {
	// AdminAddress and AdminPort are of Envoy's admin, for Dataplanes that name no port.
	AdminAddress string
	AdminPort    uint32
	// Host and Port are where proxies find this control plane; empty and 0 stand for what they called.
	Host string
	Port uint32
	// ConnectTimeout is for a proxy's connection to the control plane.
	ConnectTimeout time.Duration
	// CA is PEM of the authority behind the server's certificate; nil for one that the system knows. Certificate is the server's
	// own: proxies must call it by a name that is in it.
	CA          []byte
	Certificate *x509.Certificate
	// HealthDiscovery makes proxies check themselves and their applications.
	HealthDiscovery bool
	// RequireToken refuses proxies that bring none. Whether it is right is found out when their streams begin.
	RequireToken bool
}

// Handler answers POST /bootstrap, and nothing else.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/bootstrap" {
			http.NotFound(w, r)
			return
		}
		limits := http.NewResponseController(w)
		end := time.Now().Add(bootstrapTime)
		// Not every kind of connection has deadlines; those that have none have the client's.
		_ = limits.SetReadDeadline(end)
		_ = limits.SetWriteDeadline(end)
		s.answerBootstrap(w, r)
	})
}

// refusal is an answer that is not 200: its status, and a text that may be empty.
type refusal struct {
	code int
	text string
}

// Error gives the text.
func (r *refusal) Error() string { return r.text }

// sidecarAnswer is the JSON around the first configuration.
type sidecarAnswer struct {
	Bootstrap []byte        `json:"bootstrap"`
	Sidecar   sidecarConfig `json:"kumaSidecarConfiguration"`
}

type sidecarConfig struct {
	Networking struct {
		CorefileTemplate []byte `json:"corefileTemplate"`
		Address          string `json:"address"`
	} `json:"networking"`
	Metrics struct {
		Aggregate []struct{} `json:"aggregate"`
	} `json:"metrics"`
}

// answerBootstrap writes the answer in the form that the client asked for: launchers want JSON around it, people just read it.
func (s *Server) answerBootstrap(w http.ResponseWriter, r *http.Request) {
	config, address, err := s.bootstrap(w, r)
	if err != nil {
		refused, ok := errors.AsType[*refusal](err)
		if !ok {
			s.log.Error("bootstrap", "error", err)
			refused = &refusal{code: http.StatusInternalServerError}
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(refused.code)
		_, _ = io.WriteString(w, refused.text)
		return
	}
	contentType := "text/x-yaml"
	if r.Header.Get("Accept") == "application/json" {
		contentType = "application/json"
		answer := sidecarAnswer{Bootstrap: config}
		answer.Sidecar.Networking.Address = address
		answer.Sidecar.Metrics.Aggregate = []struct{}{}
		if config, err = json.Marshal(answer); err != nil {
			s.log.Error("bootstrap", "error", err)
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(config)))
	_, _ = w.Write(config)
}

// bootstrap gives a proxy's first configuration and the address of its Dataplane. Statuses and the places where the body is
// empty are what launchers rely on: they try again after an empty 404 and after 5xx, and give up after any other.
func (s *Server) bootstrap(w http.ResponseWriter, r *http.Request) (config []byte, address string, err error) {
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBootstrapBytes))
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, "", &refusal{http.StatusRequestEntityTooLarge, "a bootstrap request has at most " + strconv.FormatInt(tooLarge.Limit, 10) + " bytes"}
	}
	var req envoy.BootstrapRequest
	if err != nil || json.Unmarshal(raw, &req) != nil {
		return nil, "", &refusal{code: http.StatusBadRequest}
	}
	// The words are those of the wire; zone proxies are known and come later.
	switch req.ProxyType {
	case "", "dataplane":
	case "ingress", "egress":
		return nil, "", &refusal{http.StatusUnprocessableEntity, "proxyType: " + req.ProxyType + ": zone proxies are not served yet"}
	default:
		return nil, "", &refusal{code: http.StatusInternalServerError}
	}
	o := s.options.Bootstrap
	if o.RequireToken && req.Token == "" && req.TokenPath == "" {
		return nil, "", &refusal{
			http.StatusUnprocessableEntity,
			"Dataplane Token is required: make one with `kumactl generate dataplane-token` and start the data plane with --dataplane-token-file",
		}
	}
	params, err := o.params(r, req.CACert)
	if err != nil {
		return nil, "", err
	}
	found, err := s.dataplaneOf(r, req)
	if err != nil {
		return nil, "", err
	}
	dp := found.Spec.(*kumapb.Dataplane)
	if port := dp.GetNetworking().GetAdmin().GetPort(); port != 0 {
		params.AdminPort = port
	}
	params.Cluster = firstService(dp)
	address = dp.GetNetworking().GetAddress()
	if req.Resource != "" {
		s.lifecycle.brought.keep(req.Resource, found)
	}
	config, err = envoy.Bootstrap(req, params)
	return config, address, err
}

// dataplaneOf finds the Dataplane of a request: the one that it brings, checked as if it were written now, or the stored one.
func (s *Server) dataplaneOf(r *http.Request, req envoy.BootstrapRequest) (*resource.Resource, error) {
	if req.Resource == "" {
		stored, ok := s.store.Snapshot().Get(dataplaneKey(req.Mesh, req.Name))
		if !ok {
			return nil, &refusal{code: http.StatusNotFound}
		}
		return stored, nil
	}
	// That it may have another name than the proxy is found out by its stream.
	own, err := s.lifecycle.brought.read(req.Resource)
	if err != nil {
		return nil, unprocessable(err)
	}
	if _, err := s.admission.Check(r.Context(), []admission.Request{{Resource: own}}); err != nil {
		return nil, unprocessable(err)
	}
	outbounds := own.Spec.(*kumapb.Dataplane).GetNetworking().GetOutbound()
	if len(outbounds) > 0 && len(req.DataplaneConfig) > 0 && string(req.DataplaneConfig) != "null" {
		return nil, &refusal{http.StatusUnprocessableEntity, "networking.outbound: must be empty when a transparent proxy takes what the application sends"}
	}
	return own, nil
}

// unprocessable words what is wrong with a Dataplane as `path: message; path: message`.
func unprocessable(err error) error {
	p, ok := errors.AsType[*problem.Error](err)
	if !ok || p.Code == problem.Internal {
		return err
	}
	if p.Code == problem.Unavailable {
		return &refusal{http.StatusServiceUnavailable, p.Error()}
	}
	if len(p.Violations) == 0 {
		return &refusal{http.StatusUnprocessableEntity, p.Error()}
	}
	texts := make([]string, len(p.Violations))
	for i, v := range p.Violations {
		texts[i] = v.Field + ": " + v.Message
	}
	return &refusal{http.StatusUnprocessableEntity, strings.Join(texts, "; ")}
}

// firstService is the value of the first tag kuma.io/service.
func firstService(dp *kumapb.Dataplane) string {
	if gw := dp.GetNetworking().GetGateway(); gw != nil {
		return gw.GetTags()[resource.TagService]
	}
	if in := dp.GetNetworking().GetInbound(); len(in) > 0 {
		return in[0].GetTags()[resource.TagService]
	}
	return ""
}

// params are what the control plane adds to the first configuration. A proxy could not verify a control plane that it calls by a
// name which is not in the certificate, or whose authority is none, so it is told at once.
func (o BootstrapOptions) params(r *http.Request, given string) (envoy.BootstrapParams, error) {
	host, port := r.Host, ""
	if h, p, err := net.SplitHostPort(r.Host); err == nil {
		host, port = h, p
	}
	p := envoy.BootstrapParams{
		AdminAddress: o.AdminAddress, AdminPort: o.AdminPort, XDSHost: strings.Trim(host, "[]"), XDSPort: o.Port,
		ConnectTimeoutSeconds: o.ConnectTimeout.Seconds(), CA: string(o.CA), HealthDiscovery: o.HealthDiscovery,
	}
	if o.Host != "" {
		p.XDSHost = o.Host
	} else if o.Certificate != nil {
		if err := o.Certificate.VerifyHostname(p.XDSHost); err != nil {
			return p, &refusal{http.StatusBadRequest, "the control plane was called by a name that is not in its certificate, so Envoy could not verify it: " +
				err.Error() + "; call it by one of these, set bootstrapServer.params.xdsHost, or give it a certificate with this name"}
		}
	}
	if p.XDSPort == 0 {
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			number = 443
		}
		p.XDSPort = uint32(number)
	}
	if given == "" {
		given = string(o.CA)
	}
	return p, checkAuthority(given)
}

// checkAuthority refuses what Envoy would refuse as an authority. Certificates without basic constraints are taken.
func checkAuthority(text string) error {
	if text == "" {
		return nil
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return &refusal{code: http.StatusInternalServerError}
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	switch {
	case err != nil:
		return &refusal{code: http.StatusInternalServerError}
	case cert.BasicConstraintsValid && !cert.IsCA:
		return &refusal{http.StatusBadRequest, "the certificate " + cert.Subject.String() +
			" says that it is no authority (basic constraints: CA is false), so Envoy could not verify the control plane with it; give the authority's certificate"}
	}
	return nil
}

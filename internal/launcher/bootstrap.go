package launcher

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/kumactl/kumactl/internal/problem"
)

// maxBootstrapBytes bounds the control plane's answer; a real one has some ten kilobytes.
const maxBootstrapBytes = 16 << 20

// bootstrapRequest is the body of POST /bootstrap. appProbeProxyDisabled is left out on purpose: its sense is inverted
// (true means that there is a probe proxy), and this launcher has none.
type bootstrapRequest struct {
	Mesh               string            `json:"mesh"`
	Name               string            `json:"name"`
	ProxyType          string            `json:"proxyType"`
	DataplaneToken     string            `json:"dataplaneToken,omitempty"`
	DataplaneTokenPath string            `json:"dataplaneTokenPath,omitempty"`
	DataplaneResource  string            `json:"dataplaneResource,omitempty"`
	Version            requestVersion    `json:"version"`
	CACert             string            `json:"caCert"`
	DynamicMetadata    map[string]string `json:"dynamicMetadata"`
	DNSPort            uint32            `json:"dnsPort,omitempty"`
	ReadinessPort      int               `json:"readinessPort,omitempty"`
	OperatingSystem    string            `json:"operatingSystem"`
	Features           []string          `json:"features"`
	Resources          struct {
		MaxHeapSizeBytes uint64 `json:"maxHeapSizeBytes"`
	} `json:"resources"`
	Workdir          string `json:"workdir"`
	MetricsResources struct {
		CertPath string `json:"certPath"`
		KeyPath  string `json:"keyPath"`
	} `json:"metricsResources"`
	SystemCAPath string `json:"systemCaPath"`
	IPv6Enabled  bool   `json:"ipv6Enabled"`
}

// requestVersion is shown in inspect; a control plane may warn when the two were not tested together.
type requestVersion struct {
	KumaDP struct {
		Version   string `json:"version"`
		GitTag    string `json:"gitTag"`
		GitCommit string `json:"gitCommit"`
		BuildDate string `json:"buildDate"`
	} `json:"kumaDp"`
	Envoy struct {
		Version          string `json:"version"`
		Build            string `json:"build"`
		KumaDPCompatible bool   `json:"kumaDpCompatible"`
	} `json:"envoy"`
}

// bootstrapResponse is the part of the answer that is used; Bootstrap is YAML, base64 on the wire.
type bootstrapResponse struct {
	Bootstrap []byte `json:"bootstrap"`
}

// request describes this data plane to the control plane. A feature is named only where it is really served.
func (l *Launcher) request(version envoyVersion, readinessPort int, dir workDir) bootstrapRequest {
	req := bootstrapRequest{
		Mesh: l.proxy.mesh, Name: l.proxy.name, ProxyType: l.cfg.ProxyType,
		DataplaneToken: l.token, DataplaneTokenPath: dir.tokenPath,
		DataplaneResource: string(l.proxy.resource),
		CACert:            string(l.authority),
		DynamicMetadata:   l.cfg.DynamicMetadata,
		ReadinessPort:     readinessPort,
		OperatingSystem:   runtime.GOOS,
		Features:          []string{"feature-strict-inbound-ports"},
		Workdir:           dir.path,
		SystemCAPath:      l.cfg.systemCA(),
		IPv6Enabled:       l.cfg.IPv6Enabled && hostHasIPv6(),
	}
	if req.DynamicMetadata == nil {
		req.DynamicMetadata = map[string]string{}
	}
	if l.cfg.DNSEnabled {
		req.DNSPort = l.cfg.DNSPort
	}
	if runtime.GOOS == "linux" {
		req.Features = append(req.Features, "feature-reuse-port")
	}
	if l.cfg.XDSVariant == variantDelta {
		req.Features = append(req.Features, "feature-delta-grpc")
	}
	req.Resources.MaxHeapSizeBytes = l.cfg.MaxMemoryBytes
	req.MetricsResources.CertPath, req.MetricsResources.KeyPath = l.cfg.MetricsCertPath, l.cfg.MetricsKeyPath
	dp := &req.Version.KumaDP
	dp.Version, dp.GitTag = known(l.cfg.Build.Version), known(l.cfg.Build.GitTag)
	dp.GitCommit, dp.BuildDate = known(l.cfg.Build.GitCommit), known(l.cfg.Build.BuildDate)
	envoy := &req.Version.Envoy
	envoy.Version, envoy.Build, envoy.KumaDPCompatible = version.version, version.build, version.compatible()
	return req
}

// known keeps to the wire's word for what a build does not tell.
func known(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// fetchBootstrap asks until there is an answer. Tried again: a server that cannot be reached, 5xx, and the empty 404 that
// means "this proxy is not registered yet". Anything else is final.
func (l *Launcher) fetchBootstrap(ctx context.Context, req bootstrapRequest) ([]byte, error) {
	body, err := json.MarshalIndent(req, "", " ")
	if err != nil {
		return nil, problem.New(problem.Internal, "bootstrap request: %w", err)
	}
	defer l.client.CloseIdleConnections() // the rest is between Envoy and the control plane
	began, said := time.Now(), ""
	answer, err := backoff.Retry(ctx,
		func() ([]byte, error) { return l.askBootstrap(ctx, body) },
		backoff.WithBackOff(backoff.NewConstantBackOff(l.cfg.RetryBackoff)),
		backoff.WithMaxElapsedTime(l.cfg.RetryMaxDuration),
		backoff.WithNotify(func(err error, next time.Duration) {
			if err.Error() != said { // once for each new reason, not at each attempt
				said = err.Error()
				l.log.Warn(said, "again_in", next, "giving_up_in", (l.cfg.RetryMaxDuration - time.Since(began)).Round(time.Second))
			}
		}))
	if err != nil {
		if p, ok := errors.AsType[*problem.Error](err); ok && p.Code == problem.Unavailable {
			p.Detail += "; gave up after " + time.Since(began).Round(time.Millisecond).String()
		}
		return nil, err
	}
	return answer, nil
}

// askBootstrap asks once. An error that backoff knows as permanent is not worth another attempt; any other is.
func (l *Launcher) askBootstrap(ctx context.Context, body []byte) ([]byte, error) {
	endpoint := l.endpoint.JoinPath("/bootstrap").String()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(body))
	if err != nil {
		return nil, backoff.Permanent(problem.New(problem.Invalid, "control plane %s: %w", l.endpoint, err))
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/json")
	resp, err := l.client.Do(req)
	if err != nil {
		return nil, l.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxBootstrapBytes+1))
	if err != nil {
		return nil, l.unreachable(ctx, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, l.refused(resp.StatusCode, strings.TrimSpace(string(raw)))
	}
	var answer bootstrapResponse
	if err := json.Unmarshal(raw, &answer); err != nil || len(answer.Bootstrap) == 0 || len(raw) > maxBootstrapBytes {
		return nil, backoff.Permanent(problem.New(problem.Invalid, "%s answers with something that is no bootstrap", endpoint).
			WithHint("--cp-address must be the data plane server of a control plane, port 5678 by default"))
	}
	return answer.Bootstrap, nil
}

// unreachable says why there was no answer. A certificate that is not trusted does not get better by waiting.
func (l *Launcher) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return backoff.Permanent(ctx.Err())
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return backoff.Permanent(problem.New(problem.Unauthenticated, "control plane %s: its certificate is not trusted: %w", l.endpoint, err).
			WithHint("name the authority that signed it with --ca-cert-file FILE, or trust whoever answers with --skip-verify"))
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok || errors.Is(err, http.ErrSchemeMismatch) {
		return backoff.Permanent(problem.New(problem.Invalid, "control plane %s: what answers there does not speak TLS", l.endpoint).
			WithHint("--cp-address must be the data plane server of a control plane, port 5678 by default"))
	}
	text := "does not answer"
	if errors.Is(err, syscall.ECONNREFUSED) {
		text = "is not running there (connection refused)"
		err = syscall.ECONNREFUSED
	} else if dns, ok := errors.AsType[*net.DNSError](err); ok {
		text = "has no known address: " + dns.Err
	} else {
		text += ": " + err.Error()
	}
	p := problem.New(problem.Unavailable, "control plane %s %s", l.endpoint, text)
	p.Cause = err
	return p.WithHint("start it with: kumactl run control-plane; or give the right --cp-address")
}

// refused turns a status into words, and says whether waiting may help.
func (l *Launcher) refused(status int, text string) error {
	const maxText = 2000
	if len(text) > maxText {
		text = text[:maxText] + " …"
	}
	who := "control plane " + l.endpoint.String()
	switch {
	case status == http.StatusNotFound && text == "":
		return problem.New(problem.Unavailable, "%s does not know %s %q of mesh %q yet", who, l.cfg.ProxyType, l.proxy.name, l.proxy.mesh).
			WithHint("create it with: kumactl apply -f FILE; or run with the resource itself: -d FILE")
	case status == http.StatusNotFound: // somebody's words in it: not this server's
		return backoff.Permanent(problem.New(problem.Invalid, "%s has no bootstrap to give: 404 %s", who, text).
			WithHint("wrong port? --cp-address must be the data plane server, port 5678 by default"))
	case status >= 500:
		return problem.New(problem.Unavailable, "%s answers %d %s", who, status, strings.TrimSpace(http.StatusText(status)+" "+text))
	}
	if text == "" {
		text = http.StatusText(status)
	}
	refusal := problem.New(problem.Invalid, "%s refuses %s %q: %d %s", who, l.cfg.ProxyType, l.proxy.name, status, text)
	// A bootstrap server cannot tell a wrong token from a right one; that comes later, with the stream. It can miss one.
	if l.token == "" && strings.Contains(strings.ToLower(text), "token") {
		refusal.Code = problem.Unauthenticated
		refusal.Hint = "kumactl generate dataplane-token --name " + l.proxy.name + " > token, then run with --dataplane-token-file token"
	}
	return backoff.Permanent(refusal)
}

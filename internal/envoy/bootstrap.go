package envoy

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"path/filepath"
	"strconv"
)

// BootstrapRequest is what a data plane's launcher tells of itself and of its Envoy: the JSON of POST /bootstrap.
type BootstrapRequest struct {
	Mesh      string `json:"mesh"`
	Name      string `json:"name"`
	ProxyType string `json:"proxyType"`
	// Token is the credential itself, TokenPath a file that holds it beside the proxy.
	Token     string `json:"dataplaneToken"`
	TokenPath string `json:"dataplaneTokenPath"`
	// Resource is the JSON of the proxy's own resource; empty when the control plane has it already.
	Resource string           `json:"dataplaneResource"`
	Version  BootstrapVersion `json:"version"`
	// CACert is PEM that the proxy wants the control plane verified with.
	CACert          string            `json:"caCert"`
	DynamicMetadata map[string]string `json:"dynamicMetadata"`
	OtelEnv         *OtelEnv          `json:"otelEnv"`
	DNSPort         uint32            `json:"dnsPort"`
	ReadinessPort   uint32            `json:"readinessPort"`
	// AppProbeProxyDisabled is misnamed on the wire: true means that the probe proxy is there.
	AppProbeProxyDisabled bool     `json:"appProbeProxyDisabled"`
	OperatingSystem       string   `json:"operatingSystem"`
	Features              []string `json:"features"`
	Resources             struct {
		MaxHeapSizeBytes uint64 `json:"maxHeapSizeBytes"`
	} `json:"resources"`
	Workdir          string `json:"workdir"`
	MetricsResources struct {
		CertPath string `json:"certPath"`
		KeyPath  string `json:"keyPath"`
	} `json:"metricsResources"`
	SystemCAPath string `json:"systemCaPath"`
	// DataplaneConfig describes transparent proxying; passed on as it is.
	DataplaneConfig json.RawMessage `json:"dataplaneConfig"`
	IPv6Enabled     bool            `json:"ipv6Enabled"`
	SpireResources  struct {
		SocketPath string `json:"socketPath"`
	} `json:"spireResources"`
}

// BootstrapVersion is who asks.
type BootstrapVersion struct {
	KumaDP struct {
		Version   string `json:"version"`
		GitTag    string `json:"gitTag"`
		GitCommit string `json:"gitCommit"`
		BuildDate string `json:"buildDate"`
	} `json:"kumaDp"`
	Envoy struct {
		Version string `json:"version"`
		Build   string `json:"build"`
	} `json:"envoy"`
}

// OtelEnv is what the launcher found of OpenTelemetry's environment variables; passed on in the node's metadata.
type OtelEnv struct {
	PipeEnabled      bool            `json:"pipeEnabled"`
	Shared           json.RawMessage `json:"shared"`
	Traces           json.RawMessage `json:"traces"`
	Logs             json.RawMessage `json:"logs"`
	Metrics          json.RawMessage `json:"metrics"`
	ValidationErrors []string        `json:"validationErrors"`
}

// BootstrapParams are what the control plane adds.
type BootstrapParams struct {
	// Cluster is the node's cluster: the proxy's first service.
	Cluster string
	// AdminAddress and AdminPort are where Envoy's admin listens when there is no folder for a socket, and what inspection uses.
	AdminAddress string
	AdminPort    uint32
	// XDSHost and XDSPort are where the proxy finds this control plane; ConnectTimeoutSeconds is for the connection to it.
	XDSHost               string
	XDSPort               uint32
	ConnectTimeoutSeconds float64
	// CA is PEM of the authority that the control plane's certificate comes from, used when the request names none.
	CA string
	// HealthDiscovery asks for a health discovery stream.
	HealthDiscovery bool
}

// object is one message of Envoy's configuration in its JSON form.
type object = map[string]any

// Names in the bootstrap that other parts refer to.
const (
	adsCluster     = "ads_cluster"
	accessLogSink  = "access_log_sink"
	validationName = "cp_validation_ctx"
	typePrefix     = "type.googleapis.com/envoy.extensions."
)

// Bootstrap gives Envoy's first configuration as JSON, which is YAML too: who it is, where the control plane is, how it verifies
// it, and that everything else comes from there. The source of each part is envoy.config.bootstrap.v3.Bootstrap.
func Bootstrap(r BootstrapRequest, p BootstrapParams) ([]byte, error) {
	id := r.Mesh + "." + r.Name
	if r.ProxyType == "ingress" || r.ProxyType == "egress" {
		id = "." + r.Name
	}
	if p.Cluster == "" {
		// Envoy insists on one, and a proxy that only consumes has no service.
		p.Cluster = r.Name
	}
	config := object{
		"node":  object{"id": id, "cluster": p.Cluster, "metadata": nodeMetadata(r, p)},
		"admin": admin(r, p),
		"defaultRegexEngine": object{
			"name": "envoy.regex_engines.google_re2", "typedConfig": object{"@type": typePrefix + "regex_engines.v3.GoogleRE2"},
		},
		"dynamicResources": object{
			"adsConfig": controlPlaneStream(r, r.has(featureDelta)),
			"cdsConfig": object{"ads": object{}, "initialFetchTimeout": "0s", "resourceApiVersion": "V3"},
			"ldsConfig": object{"ads": object{}, "initialFetchTimeout": "0s", "resourceApiVersion": "V3"},
		},
		"layeredRuntime": object{"layers": []any{object{"name": "kuma", "staticLayer": object{
			"re2.max_program_size.error_level": uint32(math.MaxUint32), "re2.max_program_size.warn_level": 1000,
		}}}},
		"staticResources": object{"clusters": staticClusters(r, p), "secrets": []any{validation(r, p)}},
		"statsConfig":     object{"statsTags": statsTags()},
	}
	if p.HealthDiscovery {
		config["hdsConfig"] = controlPlaneStream(r, false)
	}
	return json.Marshal(config)
}

func (r BootstrapRequest) has(feature string) bool {
	for _, f := range r.Features {
		if f == feature {
			return true
		}
	}
	return false
}

func (r BootstrapRequest) adminSocket() string {
	if r.Workdir == "" {
		return ""
	}
	return filepath.Join(r.Workdir, "kuma-envoy-admin.sock")
}

func admin(r BootstrapRequest, p BootstrapParams) object {
	address := object{"socketAddress": object{"address": p.AdminAddress, "portValue": p.AdminPort}}
	if socket := r.adminSocket(); socket != "" {
		address = object{"pipe": object{"path": socket, "mode": 0o600}}
	}
	return object{
		"address": address,
		"accessLog": []any{object{"name": "envoy.access_loggers.file", "typedConfig": object{
			"@type": typePrefix + "access_loggers.file.v3.FileAccessLog", "path": "/dev/null",
		}}},
	}
}

func controlPlaneStream(r BootstrapRequest, delta bool) object {
	service := object{"envoyGrpc": object{"clusterName": adsCluster}}
	if r.Token != "" {
		service["initialMetadata"] = []any{object{"key": "authorization", "value": r.Token}}
	}
	variant := "GRPC"
	if delta {
		variant = "DELTA_GRPC"
	}
	return object{
		"apiType": variant, "transportApiVersion": "V3", "setNodeOnFirstMessageOnly": true, "grpcServices": []any{service},
	}
}

func staticClusters(r BootstrapRequest, p BootstrapParams) []any {
	discovery := "STATIC"
	if _, err := netip.ParseAddr(p.XDSHost); err != nil {
		discovery = "STRICT_DNS"
	}
	controlPlane := http2Cluster(adsCluster, discovery, p, object{"socketAddress": object{"address": p.XDSHost, "portValue": p.XDSPort}})
	controlPlane["transportSocket"] = object{"name": "envoy.transport_sockets.tls", "typedConfig": object{
		"@type": typePrefix + "transport_sockets.tls.v3.UpstreamTlsContext",
		"sni":   p.XDSHost,
		"commonTlsContext": object{
			"tlsParams":                        object{"tlsMinimumProtocolVersion": "TLSv1_2"},
			"validationContextSdsSecretConfig": object{"name": validationName},
		},
	}}
	if r.Workdir == "" {
		return []any{controlPlane}
	}
	sink := object{"pipe": object{"path": socketPath(r.Workdir, fmt.Sprintf("kuma-al-%s-%s", r.Name, r.Mesh))}}
	return []any{http2Cluster(accessLogSink, "STATIC", p, sink), controlPlane}
}

// socketPath keeps within what the kernel takes for the path of a unix socket, as the launcher does on its side.
func socketPath(dir, name string) string {
	path := filepath.Join(dir, name)
	return path[:min(len(path), 98)] + ".sock"
}

func http2Cluster(name, discovery string, p BootstrapParams, address object) object {
	const options = "extensions.upstreams.http.v3.HttpProtocolOptions"
	return object{
		"name": name, "type": discovery, "connectTimeout": strconv.FormatFloat(p.ConnectTimeoutSeconds, 'f', -1, 64) + "s",
		"loadAssignment": object{"clusterName": name, "endpoints": []any{object{"lbEndpoints": []any{
			object{"endpoint": object{"address": address}},
		}}}},
		"typedExtensionProtocolOptions": object{"envoy." + options: object{
			"@type": "type.googleapis.com/envoy." + options, "explicitHttpConfig": object{"http2ProtocolOptions": object{}},
		}},
		"upstreamConnectionOptions": object{"tcpKeepalive": object{"keepaliveProbes": 3, "keepaliveTime": 10, "keepaliveInterval": 10}},
	}
}

func validation(r BootstrapRequest, p BootstrapParams) object {
	ca := r.CACert
	if ca == "" {
		ca = p.CA
	}
	exact := object{"exact": p.XDSHost}
	return object{"name": validationName, "validationContext": object{
		"trustedCa": object{"inlineBytes": base64.StdEncoding.EncodeToString([]byte(ca))},
		"matchTypedSubjectAltNames": []any{
			object{"sanType": "DNS", "matcher": exact}, object{"sanType": "IP_ADDRESS", "matcher": exact},
		},
	}}
}

// statsTags cut the parts out of Envoy's statistic names that Prometheus wants as labels.
func statsTags() []any {
	var tags []any
	for _, t := range [][2]string{
		{"name", `^grpc\.((.+)\.)`},
		{"status", `^grpc.*streams_closed(_([0-9]+))`},
		{"kafka_name", `^kafka(\.(\S*[0-9]))\.`},
		{"kafka_type", `^kafka\..*\.(.*?(?=_duration|$))`},
		{"worker", `(worker_([0-9]+)\.)`},
		{"listener", `((.+?)\.)rbac\.`},
	} {
		tags = append(tags, object{"tagName": t[0], "regex": t[1]})
	}
	return tags
}

// nodeMetadata is what the proxy sends back with its first discovery request: the control plane keeps nothing between the two.
// Numbers are strings on this wire.
func nodeMetadata(r BootstrapRequest, p BootstrapParams) object {
	m := object{
		"dataplane.admin.address": p.AdminAddress,
		"dataplane.admin.port":    fmt.Sprint(p.AdminPort),
		"dataplane.proxyType":     r.ProxyType,
		"features":                append([]string{}, r.Features...),
		"ipv6Enabled":             r.IPv6Enabled,
		"metricsCertPath":         r.MetricsResources.CertPath,
		"metricsKeyPath":          r.MetricsResources.KeyPath,
		"spireAgent.socketPath":   r.SpireResources.SocketPath,
		"systemCaPath":            r.SystemCAPath,
		"version":                 r.Version,
		"workdir":                 r.Workdir,
	}
	if r.ProxyType == "" {
		m["dataplane.proxyType"] = "dataplane"
	}
	for key, value := range map[string]string{
		"dataplane.admin.socketPath": r.adminSocket(), "dataplane.resource": r.Resource,
		"dataplane.dns.port": number(r.DNSPort), "dataplane.readinessReporter.port": number(r.ReadinessPort),
	} {
		if value != "" {
			m[key] = value
		}
	}
	if r.AppProbeProxyDisabled {
		m["dataplane.appProbeProxy.enabled"] = "true"
	}
	if len(r.DynamicMetadata) > 0 {
		m["dynamicMetadata"] = r.DynamicMetadata
	}
	if r.OtelEnv != nil {
		otel := *r.OtelEnv
		otel.ValidationErrors = append([]string{}, otel.ValidationErrors...)
		m["otelEnvInventory"] = otel
	}
	if len(r.DataplaneConfig) > 0 && string(r.DataplaneConfig) != "null" {
		m["transparentProxy"] = r.DataplaneConfig
	}
	return m
}

func number(n uint32) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

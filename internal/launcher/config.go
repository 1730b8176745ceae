package launcher

import (
	"errors"
	"io"
	"log/slog"
	"maps"
	"reflect"
	"time"

	"github.com/caarlos0/env/v11"

	"github.com/kumactl/kumactl/internal/problem"
)

// Values of Config.ReadinessPort that are not a port.
const (
	// AutoPort: 9902, and any free port when that one is taken (a second data plane on the same host).
	AutoPort = 0
	// AnyPort: any free port.
	AnyPort = -1
	// NoPort: no readiness server; Envoy's admin answers /ready alone.
	NoPort = -2
)

// Proxy types that a launcher can run.
const (
	TypeDataplane = "dataplane"
	TypeIngress   = "ingress"
	TypeEgress    = "egress"
)

// Config is all that a data plane needs to know; Default fills in the rest. The environment names are the peer's.
type Config struct {
	// Name and Mesh name a proxy that the control plane already knows. With a Resource they come from it.
	Name string `env:"KUMA_DATAPLANE_NAME"`
	Mesh string `env:"KUMA_DATAPLANE_MESH"`
	// ProxyType is one of the Type… constants.
	ProxyType string `env:"KUMA_DATAPLANE_PROXY_TYPE"`
	// Resource is the proxy's own resource, YAML or JSON, with `{{ name }}` for variables; it is registered on the way.
	Resource string `env:"KUMA_DATAPLANE_RUNTIME_RESOURCE"`
	// ResourcePath is the file to read Resource from; "-" is Stdin.
	ResourcePath string `env:"KUMA_DATAPLANE_RUNTIME_RESOURCE_PATH"`
	// ResourceVars are the values of the variables; a name may hold dots.
	ResourceVars map[string]string `env:"-"`

	// ControlPlane is the https address of the control plane's data plane server.
	ControlPlane string `env:"KUMA_CONTROL_PLANE_URL"`
	// CACert (PEM text) goes before CACertFile (path). Without both, the system's authorities decide.
	CACert     string `env:"KUMA_CONTROL_PLANE_CA_CERT"`
	CACertFile string `env:"KUMA_CONTROL_PLANE_CA_CERT_FILE"`
	// TLSSkipVerify trusts whoever answers. Never the default.
	TLSSkipVerify bool `env:"KUMA_CONTROL_PLANE_TLS_SKIP_VERIFY"`
	// RetryBackoff is the pause between two bootstrap attempts; RetryMaxDuration is when to give up.
	RetryBackoff     time.Duration `env:"KUMA_CONTROL_PLANE_RETRY_BACKOFF"`
	RetryMaxDuration time.Duration `env:"KUMA_CONTROL_PLANE_RETRY_MAX_DURATION"`
	// Token is a JWT; TokenPath is the file that holds one. Neither is right where the control plane asks for none.
	Token     string `env:"KUMA_DATAPLANE_RUNTIME_TOKEN"`
	TokenPath string `env:"KUMA_DATAPLANE_RUNTIME_TOKEN_PATH"`

	// BinaryPath is Envoy, a path or a name on PATH. EnvoyPath is the same with lower rank.
	BinaryPath string `env:"KUMA_DATAPLANE_RUNTIME_BINARY_PATH"`
	EnvoyPath  string `env:"ENVOY_PATH"`
	// Concurrency is the number of Envoy's worker threads; 0 is one for each usable core.
	Concurrency uint32 `env:"KUMA_DATAPLANE_RUNTIME_CONCURRENCY"`
	// WorkDir holds the bootstrap file and sockets. Empty: a private temporary directory that goes at the end.
	WorkDir string `env:"KUMA_DATAPLANE_RUNTIME_WORK_DIR"`
	// ConfigDir and SocketDir are older names of WorkDir, used in this order when it is empty.
	ConfigDir string `env:"KUMA_DATAPLANE_RUNTIME_CONFIG_DIR"`
	SocketDir string `env:"KUMA_DATAPLANE_RUNTIME_SOCKET_DIR"`
	// EnvoyLogLevel and EnvoyComponentLogLevel are Envoy's own options.
	EnvoyLogLevel          string `env:"KUMA_DATAPLANE_RUNTIME_ENVOY_LOG_LEVEL"`
	EnvoyComponentLogLevel string `env:"KUMA_DATAPLANE_RUNTIME_ENVOY_COMPONENT_LOG_LEVEL"`
	// XDSVariant is GRPC (state of the world, also when empty) or DELTA_GRPC.
	XDSVariant string `env:"KUMA_DATAPLANE_RUNTIME_ENVOY_XDS_TRANSPORT_PROTOCOL_VARIANT"`
	// MaxMemoryBytes is what Envoy may use before it sheds load; 0 is no limit.
	MaxMemoryBytes uint64 `env:"KUMA_DATAPLANE_RESOURCES_MAX_MEMORY_BYTES"`
	// SystemCAPath is the bundle of public authorities; empty: the first well-known one that exists.
	SystemCAPath string `env:"KUMA_DATAPLANE_RUNTIME_DYNAMIC_SYSTEM_CA_PATH"`
	// IPv6Enabled is told to the control plane; a host without IPv6 clears it.
	IPv6Enabled bool `env:"KUMA_DATAPLANE_RUNTIME_IPV6_ENABLED"`
	// MetricsCertPath and MetricsKeyPath secure the metrics listener that Envoy may get.
	MetricsCertPath string `env:"KUMA_DATAPLANE_RUNTIME_METRICS_CERT_PATH"`
	MetricsKeyPath  string `env:"KUMA_DATAPLANE_RUNTIME_METRICS_KEY_PATH"`

	// DrainTime is how long connections may take to end after Run is told to stop; they may end earlier.
	DrainTime time.Duration `env:"KUMA_DATAPLANE_DRAIN_TIME"`
	// StopGrace is what Envoy gets between SIGTERM and SIGKILL.
	StopGrace time.Duration `env:"-"`
	// ReadinessPort on 127.0.0.1: a port, or AutoPort, AnyPort, NoPort.
	ReadinessPort int `env:"-"`
	// DNSEnabled and DNSPort are where Envoy itself answers DNS, if its configuration makes it do so.
	DNSEnabled bool   `env:"KUMA_DNS_ENABLED"`
	DNSPort    uint32 `env:"KUMA_DNS_ENVOY_DNS_PORT"`
	// DNSProxyPort asks for the embedded resolver, which this launcher does not have: it says so and goes on.
	DNSProxyPort uint32 `env:"KUMA_DNS_PROXY_PORT"`
	// DynamicMetadata goes with the proxy to the control plane as it is.
	DynamicMetadata map[string]string `env:"-"`

	// Build is what the control plane shows as this program's version.
	Build Build `env:"-"`
	// Stdin serves ResourcePath "-". Stdout gets what Envoy writes there, such as access logs; nil drops it.
	Stdin  io.Reader `env:"-"`
	Stdout io.Writer `env:"-"`
	// Log gets our own messages and, by level, Envoy's; nil is silence.
	Log *slog.Logger `env:"-"`
	// OnReady is called once, from a goroutine of Run, when Envoy has its first configuration and serves.
	OnReady func(Running) `env:"-"`
}

// Build says which program this is.
type Build struct {
	Version, GitTag, GitCommit, BuildDate string
}

// Running tells where a data plane that serves can be reached.
type Running struct {
	Name, Mesh string
	// PID is Envoy's.
	PID          int
	EnvoyVersion string
	// Readiness is host:port, empty with NoPort. Admin is host:port or the path of a unix socket.
	Readiness, Admin string
	WorkDir          string
}

// Default is right for a laptop whose control plane runs beside it.
func Default() Config {
	return Config{
		ProxyType:        TypeDataplane,
		ControlPlane:     "https://localhost:5678",
		RetryBackoff:     3 * time.Second,
		RetryMaxDuration: 5 * time.Minute,
		EnvoyLogLevel:    "warning",
		IPv6Enabled:      true,
		DrainTime:        30 * time.Second,
		StopGrace:        5 * time.Second,
		DNSEnabled:       true,
		DNSPort:          15054,
	}
}

// readinessEnv is apart from Config because the wire's 0 means "none" and ours means "choose".
type readinessEnv struct {
	ReadinessPort *uint16 `env:"KUMA_READINESS_PORT"`
}

// FromEnv is Default with what the environment (name to value) says on top. A value that cannot be read is an Invalid
// problem with one violation for each variable.
func FromEnv(environment map[string]string) (Config, error) {
	cfg := Default()
	opts := env.Options{Environment: maps.Clone(environment)}
	if opts.Environment == nil {
		opts.Environment = map[string]string{}
	}
	var port readinessEnv
	var wrong problem.Violations
	addEnv(&wrong, reflect.TypeFor[Config](), env.ParseWithOptions(&cfg, opts))
	addEnv(&wrong, reflect.TypeFor[readinessEnv](), env.ParseWithOptions(&port, opts))
	if len(wrong) > 0 {
		return Config{}, &problem.Error{Code: problem.Invalid, Title: "environment", Violations: wrong}
	}
	if port.ReadinessPort != nil {
		cfg.ReadinessPort = int(*port.ReadinessPort)
		if cfg.ReadinessPort == 0 {
			cfg.ReadinessPort = NoPort
		}
	}
	return cfg, nil
}

// addEnv names the variable of each field that the library could not set.
func addEnv(wrong *problem.Violations, in reflect.Type, err error) {
	if err == nil {
		return
	}
	all, ok := errors.AsType[env.AggregateError](err)
	if !ok {
		wrong.Add("", "%v", err)
		return
	}
	for _, one := range all.Errors {
		parse, ok := errors.AsType[env.ParseError](one)
		if !ok {
			wrong.Add("", "%v", one)
			continue
		}
		variable := parse.Name
		if field, ok := in.FieldByName(parse.Name); ok {
			variable = field.Tag.Get("env")
		}
		wrong.Add(variable, "%v", parse.Err)
	}
}

// workDir is the directory that the person chose, by any of its names.
func (c Config) workDir() string {
	for _, dir := range []string{c.WorkDir, c.ConfigDir, c.SocketDir} {
		if dir != "" {
			return dir
		}
	}
	return ""
}

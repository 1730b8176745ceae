package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"sigs.k8s.io/yaml"

	"github.com/kumactl/kumactl/internal/problem"
)

// Config is all that can be set. JSON names are the keys of the configuration file; env tags the variables, with the names that
// Kuma's control plane uses where the meaning is the same. A port of 0 means any free one, -1 none.
type Config struct {
	// Version of the program, which is told and not set.
	Version string `json:"-" env:"-"`
	// DataDir holds the store and the keys.
	DataDir     string            `json:"dataDir" env:"KUMA_GENERAL_WORK_DIR"`
	LogLevel    string            `json:"logLevel" env:"KUMA_LOG_LEVEL"`
	Mode        string            `json:"mode" env:"KUMA_MODE"`
	General     GeneralConfig     `json:"general" envPrefix:"KUMA_GENERAL_"`
	Store       StoreConfig       `json:"store" envPrefix:"KUMA_STORE_"`
	APIServer   APIServerConfig   `json:"apiServer" envPrefix:"KUMA_API_SERVER_"`
	DPServer    DPServerConfig    `json:"dpServer" envPrefix:"KUMA_DP_SERVER_"`
	Diagnostics DiagnosticsConfig `json:"diagnostics" envPrefix:"KUMA_DIAGNOSTICS_"`
	Bootstrap   BootstrapConfig   `json:"bootstrapServer" envPrefix:"KUMA_BOOTSTRAP_SERVER_"`
	Defaults    DefaultsConfig    `json:"defaults" envPrefix:"KUMA_DEFAULTS_"`
	Multizone   MultizoneConfig   `json:"multizone" envPrefix:"KUMA_MULTIZONE_"`
	XDSServer   XDSConfig         `json:"xdsServer" envPrefix:"KUMA_XDS_SERVER_"`
}

// GeneralConfig names a certificate of the user's own for all TLS ports; empty means the one that the control plane makes.
type GeneralConfig struct {
	TLSCertFile string `json:"tlsCertFile,omitempty" env:"TLS_CERT_FILE"`
	TLSKeyFile  string `json:"tlsKeyFile,omitempty" env:"TLS_KEY_FILE"`
}

// StoreConfig says where resources are kept and how much of the past with them.
type StoreConfig struct {
	// Type is bbolt (a file in the data folder) or memory (nothing survives).
	Type        string   `json:"type" env:"TYPE"`
	KeepChanges int      `json:"keepChanges" env:"KEEP_CHANGES"`
	KeepAge     Duration `json:"keepAge" env:"KEEP_AGE"`
}

// APIServerConfig is the HTTP API.
type APIServerConfig struct {
	HTTP  ListenConfig `json:"http" envPrefix:"HTTP_"`
	HTTPS ListenConfig `json:"https" envPrefix:"HTTPS_"`
	// ReadOnly refuses all writes; StrictFields refuses documents with unknown fields instead of naming them in warnings.
	ReadOnly     bool `json:"readOnly" env:"READ_ONLY"`
	StrictFields bool `json:"strictFields" env:"STRICT_FIELDS"`
	// CompatOpenAPI lets anybody who reaches the port write, as Kuma does.
	CompatOpenAPI bool `json:"compatOpenApi" env:"COMPAT_OPEN_API"`
	// AdminTokenFile holds the token that stands for the administrator when the request does not come from this machine.
	AdminTokenFile string `json:"adminTokenFile,omitempty" env:"ADMIN_TOKEN_FILE"`
	BodyLimitBytes int64  `json:"bodyLimitBytes" env:"BODY_LIMIT_BYTES"`
}

// ListenConfig is one listening address.
type ListenConfig struct {
	Interface string `json:"interface" env:"INTERFACE"`
	Port      int    `json:"port" env:"PORT"`
}

func (l ListenConfig) address() string {
	return net.JoinHostPort(l.Interface, fmt.Sprint(max(l.Port, 0)))
}

// DPServerConfig is the port for data planes: bootstrap, ADS, health discovery.
type DPServerConfig struct {
	Interface string     `json:"interface" env:"INTERFACE"`
	Port      int        `json:"port" env:"PORT"`
	Authn     AuthConfig `json:"authn" envPrefix:"AUTHN_"`
	HDS       HDSConfig  `json:"hds" envPrefix:"HDS_"`
}

// AuthConfig says whether data planes need a credential. Only `none` exists so far, and it must be said by name when the port is
// reachable from other machines.
type AuthConfig struct {
	Type string `json:"type" env:"DP_PROXY_TYPE"`
}

// HDSConfig is health discovery.
type HDSConfig struct {
	Enabled bool `json:"enabled" env:"ENABLED"`
}

// DiagnosticsConfig is the port for health, readiness and metrics.
type DiagnosticsConfig struct {
	Interface  string `json:"interface" env:"INTERFACE"`
	ServerPort int    `json:"serverPort" env:"SERVER_PORT"`
}

// BootstrapConfig is what goes into Envoy's first configuration.
type BootstrapConfig struct {
	Params BootstrapParams `json:"params" envPrefix:"PARAMS_"`
}

// BootstrapParams are the parameters of Envoy's first configuration. XDSHost and XDSPort replace where proxies find this control
// plane; empty and 0 mean the address that they called.
type BootstrapParams struct {
	AdminAddress string   `json:"adminAddress" env:"ADMIN_ADDRESS"`
	AdminPort    int      `json:"adminPort" env:"ADMIN_PORT"`
	XDSHost      string   `json:"xdsHost,omitempty" env:"XDS_HOST"`
	XDSPort      int      `json:"xdsPort,omitempty" env:"XDS_PORT"`
	XDSConnect   Duration `json:"xdsConnectTimeout" env:"XDS_CONNECT_TIMEOUT"`
}

// DefaultsConfig is what a first run makes.
type DefaultsConfig struct {
	SkipMeshCreation bool `json:"skipMeshCreation" env:"SKIP_MESH_CREATION"`
}

// MultizoneConfig names this zone.
type MultizoneConfig struct {
	Zone ZoneConfig `json:"zone" envPrefix:"ZONE_"`
}

// ZoneConfig names this zone.
type ZoneConfig struct {
	Name string `json:"name" env:"NAME"`
}

// XDSConfig is the life of proxies.
type XDSConfig struct {
	// DeregistrationDelay is how long a Dataplane that came with its proxy stays after the proxy has gone.
	DeregistrationDelay Duration `json:"dataplaneDeregistrationDelay" env:"DATAPLANE_DEREGISTRATION_DELAY"`
	// RestartGrace is how long such a Dataplane stays when the control plane starts and its proxy has not come back.
	RestartGrace Duration `json:"restartGrace" env:"RESTART_GRACE"`
	// StatusFlushInterval is how often the insight of a proxy is brought up to date while it changes.
	StatusFlushInterval Duration `json:"dataplaneStatusFlushInterval" env:"DATAPLANE_STATUS_FLUSH_INTERVAL"`
}

// Duration is a time.Duration that is written `10s` in files and variables.
type Duration time.Duration

// UnmarshalText reads `10s`.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

// MarshalText writes `10s`.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// DefaultConfig is right for a laptop: loopback only, everything durable.
func DefaultConfig(dataDir string) Config {
	const loopback = "127.0.0.1"
	return Config{
		DataDir:  dataDir,
		LogLevel: "warn",
		Mode:     "zone",
		Store:    StoreConfig{Type: "bbolt", KeepChanges: 10_000, KeepAge: Duration(30 * 24 * time.Hour)},
		APIServer: APIServerConfig{
			HTTP:           ListenConfig{loopback, 5681},
			HTTPS:          ListenConfig{loopback, 5682},
			BodyLimitBytes: 1 << 20,
		},
		DPServer:    DPServerConfig{Interface: loopback, Port: 5678, HDS: HDSConfig{Enabled: true}},
		Diagnostics: DiagnosticsConfig{Interface: loopback, ServerPort: 5680},
		Bootstrap:   BootstrapConfig{Params: BootstrapParams{AdminAddress: loopback, AdminPort: 9901, XDSConnect: Duration(time.Second)}},
		Multizone:   MultizoneConfig{Zone: ZoneConfig{Name: "default"}},
		XDSServer:   XDSConfig{DeregistrationDelay: Duration(10 * time.Second), RestartGrace: Duration(5 * time.Minute), StatusFlushInterval: Duration(time.Second)},
	}
}

// Origins says for each key where its value came from; keys that are not in it have their default.
type Origins map[string]string

// ReadFile lays a YAML configuration file over the configuration. An unknown key is an error that names the nearest one.
func (c *Config) ReadFile(path string, origins Origins) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return problem.New(problem.Invalid, "configuration file: %w", err).WithHint("--config FILE names another one")
	}
	if err := yaml.UnmarshalStrict(raw, c); err != nil {
		return problem.New(problem.Invalid, "%s: %w", path, err).
			WithHint("kumactl run control-plane --print-config lists every key")
	}
	asJSON, err := yaml.YAMLToJSON(raw)
	if err != nil {
		return problem.New(problem.Invalid, "%s: %w", path, err)
	}
	keys, err := flatten(asJSON)
	for key := range keys {
		origins[key] = "file " + path
	}
	return err
}

// ReadEnvironment lays environment variables (`NAME=value`) over the configuration.
func (c *Config) ReadEnvironment(environ []string, origins Origins) error {
	vars := env.ToMap(environ)
	if err := env.ParseWithOptions(c, env.Options{Environment: vars}); err != nil {
		return problem.New(problem.Invalid, "environment: %w", err)
	}
	variables(reflect.TypeFor[Config](), "", "", func(key, name string) {
		if vars[name] != "" {
			origins[key] = "environment " + name
		}
	})
	return nil
}

// variables visits each key that an environment variable can set.
func variables(t reflect.Type, at, prefix string, visit func(key, name string)) {
	for i := range t.NumField() {
		f := t.Field(i)
		key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if key == "-" {
			continue
		}
		if f.Type.Kind() == reflect.Struct {
			variables(f.Type, problem.Join(at, key), prefix+f.Tag.Get("envPrefix"), visit)
			continue
		}
		visit(problem.Join(at, key), prefix+f.Tag.Get("env"))
	}
}

// Validate refuses what cannot work, all at once.
func (c *Config) Validate() error {
	var wrong problem.Violations
	for key, port := range map[string]int{
		"apiServer.http.port": c.APIServer.HTTP.Port, "apiServer.https.port": c.APIServer.HTTPS.Port,
		"dpServer.port": c.DPServer.Port, "diagnostics.serverPort": c.Diagnostics.ServerPort,
		"bootstrapServer.params.adminPort": c.Bootstrap.Params.AdminPort,
	} {
		if port < -1 || port > 65535 {
			wrong.Add(key, "%d is no port (0 means any, -1 none)", port)
		}
	}
	if c.Mode != "zone" {
		wrong.Add("mode", "%q is not known yet; only zone is", c.Mode)
	}
	if c.Store.Type != "bbolt" && c.Store.Type != "memory" {
		wrong.Add("store.type", "%q is not known; use bbolt or memory", c.Store.Type)
	}
	if c.Store.Type == "bbolt" && c.DataDir == "" {
		wrong.Add("dataDir", "must be set")
	}
	if c.Multizone.Zone.Name == "" || len(c.Multizone.Zone.Name) > 253 {
		wrong.Add("multizone.zone.name", "must have 1 to 253 characters")
	}
	if (c.General.TLSCertFile == "") != (c.General.TLSKeyFile == "") {
		wrong.Add("general", "tlsCertFile and tlsKeyFile go together")
	}
	if !isLoopback(c.DPServer.Interface) && c.DPServer.Authn.Type != "none" {
		wrong.Add("dpServer.interface", "%s is reachable from other machines, and data planes have no credentials yet; "+
			"say dpServer.authn.type: none to accept any data plane that reaches it", c.DPServer.Interface)
	}
	if t := c.DPServer.Authn.Type; t != "" && t != "none" {
		wrong.Add("dpServer.authn.type", "%q is not known yet; only none is", t)
	}
	if len(wrong) == 0 {
		return nil
	}
	slices.SortFunc(wrong, func(a, b problem.Violation) int { return strings.Compare(a.Field, b.Field) })
	return &problem.Error{
		Code: problem.Invalid, Detail: "configuration is not valid", Violations: wrong,
		Hint: "kumactl run control-plane --print-config shows each value and where it came from",
	}
}

// Setting is one key of the configuration as `--print-config` shows it.
type Setting struct{ Key, Value, Origin string }

// Settings lists every key with its value and where it came from, sorted.
func (c *Config) Settings(origins Origins) ([]Setting, error) {
	keys, err := c.keys()
	var all []Setting
	for key, value := range keys {
		origin := origins[key]
		if origin == "" {
			origin = "default"
		}
		all = append(all, Setting{key, value, origin})
	}
	slices.SortFunc(all, func(a, b Setting) int { return strings.Compare(a.Key, b.Key) })
	return all, err
}

// StorePath is the store's file.
func (c *Config) StorePath() string { return filepath.Join(c.DataDir, "store.db") }

func (c *Config) keys() (map[string]string, error) {
	raw, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	return flatten(raw)
}

func flatten(raw []byte) (map[string]string, error) {
	var doc map[string]any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		return nil, err
	}
	flat := map[string]string{}
	var walk func(at string, v any)
	walk = func(at string, v any) {
		if m, ok := v.(map[string]any); ok {
			for k, inner := range m {
				walk(problem.Join(at, k), inner)
			}
			return
		}
		flat[at] = fmt.Sprint(v)
	}
	walk("", doc)
	return flat, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

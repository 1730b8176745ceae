package launcher_test

import (
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kumactl/kumactl/internal/launcher"
	"github.com/kumactl/kumactl/internal/problem"
)

func TestFromEnv(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		environment map[string]string
		change      func(*launcher.Config)
	}{
		"nothing":        {nil, func(*launcher.Config) {}},
		"empty is unset": {map[string]string{"KUMA_DATAPLANE_DRAIN_TIME": "", "KUMA_CONTROL_PLANE_URL": ""}, func(*launcher.Config) {}},
		"texts": {map[string]string{
			"KUMA_DATAPLANE_NAME": "web-1", "KUMA_DATAPLANE_MESH": "m", "KUMA_DATAPLANE_PROXY_TYPE": "ingress",
			"KUMA_CONTROL_PLANE_URL": "https://cp:1", "KUMA_CONTROL_PLANE_CA_CERT": "pem", "KUMA_CONTROL_PLANE_CA_CERT_FILE": "f",
			"KUMA_DATAPLANE_RUNTIME_RESOURCE": "a: b, c", "KUMA_DATAPLANE_RUNTIME_RESOURCE_PATH": "-",
			"KUMA_DATAPLANE_RUNTIME_TOKEN": "a.b.c", "KUMA_DATAPLANE_RUNTIME_TOKEN_PATH": "t", "ENVOY_PATH": "e",
		}, func(c *launcher.Config) {
			c.Name, c.Mesh, c.ProxyType = "web-1", "m", "ingress"
			c.ControlPlane, c.CACert, c.CACertFile = "https://cp:1", "pem", "f"
			c.Resource, c.ResourcePath, c.Token, c.TokenPath, c.EnvoyPath = "a: b, c", "-", "a.b.c", "t", "e"
		}},
		"numbers": {map[string]string{
			"KUMA_CONTROL_PLANE_TLS_SKIP_VERIFY": "true", "KUMA_CONTROL_PLANE_RETRY_BACKOFF": "1s", "KUMA_CONTROL_PLANE_RETRY_MAX_DURATION": "1m",
			"KUMA_DATAPLANE_RUNTIME_CONCURRENCY": "2", "KUMA_DATAPLANE_DRAIN_TIME": "10s", "KUMA_READINESS_PORT": "9912",
			"KUMA_DNS_ENABLED": "false", "KUMA_DNS_PROXY_PORT": "15053", "KUMA_DATAPLANE_RESOURCES_MAX_MEMORY_BYTES": "1000",
		}, func(c *launcher.Config) {
			c.TLSSkipVerify, c.RetryBackoff, c.RetryMaxDuration = true, time.Second, time.Minute
			c.Concurrency, c.DrainTime, c.ReadinessPort, c.MaxMemoryBytes = 2, 10*time.Second, 9912, 1000
			c.DNSEnabled, c.DNSProxyPort = false, 15053
		}},
		"no readiness": {map[string]string{"KUMA_READINESS_PORT": "0"}, func(c *launcher.Config) { c.ReadinessPort = launcher.NoPort }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			want := launcher.Default()
			test.change(&want)
			got, err := launcher.FromEnv(test.environment)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(launcher.Config{}, "OnReady", "Log")); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestFromEnvNamesTheVariables(t *testing.T) {
	t.Parallel()
	_, err := launcher.FromEnv(map[string]string{
		"KUMA_DATAPLANE_DRAIN_TIME": "soon", "KUMA_READINESS_PORT": "70000", "KUMA_CONTROL_PLANE_TLS_SKIP_VERIFY": "perhaps",
	})
	p, ok := errors.AsType[*problem.Error](err)
	if !ok || p.Code != problem.Invalid {
		t.Fatalf("error: %v", err)
	}
	var names []string
	for _, v := range p.Violations {
		names = append(names, v.Field)
	}
	want := []string{"KUMA_CONTROL_PLANE_TLS_SKIP_VERIFY", "KUMA_DATAPLANE_DRAIN_TIME", "KUMA_READINESS_PORT"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("%v: -want +got\n%s", err, diff)
	}
}

// TestEveryFieldIsDecided: a field without a tag would be forgotten by FromEnv in silence.
func TestEveryFieldIsDecided(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for field := range reflect.TypeFor[launcher.Config]().Fields() {
		tag, ok := field.Tag.Lookup("env")
		if !ok {
			t.Errorf("field %s has no env tag; give it a variable, or `env:\"-\"`", field.Name)
		}
		if other, taken := seen[tag]; taken && tag != "-" {
			t.Errorf("fields %s and %s share %s", other, field.Name, tag)
		}
		seen[tag] = field.Name
	}
}

func TestParseVersion(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		out, version string
		compatible   bool
	}{
		"release":      {"\n/usr/bin/envoy  version: 9e55/1.40.0/Clean/RELEASE/BoringSSL\n\n", "1.40.0", true},
		"development":  {"envoy  version: 9e55/1.41.0-dev/Modified/DEBUG/BoringSSL", "1.41.0-dev", false},
		"short":        {"envoy 1.39.2", "1.39.2", false},
		"v":            {"version: v1.40.3", "1.40.3", true},
		"path with it": {"/opt/envoy-1.2.x/bin/envoy version: abc/1.40.0/Clean", "1.40.0", true},
		"nothing":      {"", "unknown", false},
		"nonsense":     {"a/b.c.d/1.2", "unknown", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			version, build, compatible := launcher.ParseVersion(test.out)
			if version != test.version || compatible != test.compatible || !strings.Contains(test.out+"unknown", build) {
				t.Errorf("version %q, build %q, compatible %v", version, build, compatible)
			}
		})
	}
}

func TestParseAdmin(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ bootstrap, network, address string }{
		"socket":     {"admin: {address: {pipe: {path: /a/b.sock, mode: 384}}}", "unix", "/a/b.sock"},
		"port":       {"admin: {address: {socketAddress: {address: 127.0.0.1, portValue: 9901}}}", "tcp", "127.0.0.1:9901"},
		"snake case": {"admin: {address: {socket_address: {address: '::1', port_value: 9901}}}", "tcp", "[::1]:9901"},
		"json":       {`{"admin":{"address":{"pipe":{"path":"/x"}}},"node":{"id":"a"}}`, "unix", "/x"},
		"none":       {"node: {id: a}", "", ""},
		"no YAML":    {"admin: [", "", ""},
		"other type": {"admin: 3", "", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			network, address, err := launcher.ParseAdmin([]byte(test.bootstrap))
			if network != test.network || address != test.address || (err == nil) != (test.network != "") {
				t.Errorf("%s %s %v", network, address, err)
			}
		})
	}
}

func TestTraffic(t *testing.T) {
	t.Parallel()
	open, total := launcher.CountTraffic(`listener.127.0.0.1_18999.downstream_cx_active: 2
listener.127.0.0.1_18999.downstream_cx_total: 7
listener.127.0.0.1_18999.worker_0.downstream_cx_active: 2
listener.127.0.0.1_18999.worker_0.downstream_cx_total: 7
listener.[__1]_80.downstream_cx_active: 1
listener.[__1]_80.downstream_cx_total: 1
listener.admin.downstream_cx_active: 1
listener.admin.downstream_cx_total: 90
listener.admin.main_thread.downstream_cx_active: 1
nonsense
`)
	if open != 3 || total != 8 {
		t.Errorf("open %d, total %d", open, total)
	}
}

func TestQuiet(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		seen [][2]int
		want []bool
	}{
		"nobody ever came":             {[][2]int{{0, 0}}, []bool{true}},
		"quiet for a while":            {[][2]int{{0, 5}, {0, 5}, {0, 5}, {0, 5}}, []bool{false, false, false, true}},
		"somebody comes between":       {[][2]int{{0, 5}, {0, 5}, {0, 6}, {0, 6}, {0, 6}, {0, 6}}, []bool{false, false, false, false, false, true}},
		"somebody stays":               {[][2]int{{1, 5}, {1, 5}, {1, 5}, {1, 5}, {1, 5}}, []bool{false, false, false, false, false}},
		"the last one goes":            {[][2]int{{1, 5}, {0, 5}, {0, 5}, {0, 5}}, []bool{false, false, false, true}},
		"nobody first, then somebody":  {[][2]int{{1, 1}, {0, 1}, {0, 1}, {0, 1}}, []bool{false, false, false, true}},
		"connected now, and nobody is": {[][2]int{{0, 1}, {1, 2}, {0, 2}, {0, 2}}, []bool{false, false, false, false}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, launcher.QuietAfter(test.seen...)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestEnvoyLog(t *testing.T) {
	t.Parallel()
	log := newLines()
	w, last := launcher.EnvoyLog(slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "from" {
				return slog.Attr{}
			}
			return a
		},
	})))
	for _, piece := range []string{
		"[warning][config] gRPC config str", "eam closed\n[info][main] starting\n[critical][main] bad\nsecond line\n\n",
		"[warning][main] caught ENVOY_SIGTERM\n[error][x]  two spaces\n[nonsense][x] y\n[2026-11-21 12:10:55.298][87][warning][config] [a.cc:1] early\nunfinished",
	} {
		if n, err := w.Write([]byte(piece)); n != len(piece) || err != nil {
			t.Fatal(n, err)
		}
	}
	want := `level=WARN msg="gRPC config stream closed" component=config
level=INFO msg=starting component=main
level=ERROR msg=bad component=main
level=INFO msg="second line" component=""
level=DEBUG msg="caught ENVOY_SIGTERM" component=main
level=ERROR msg=" two spaces" component=x
level=INFO msg="[nonsense][x] y" component=""
level=WARN msg="[a.cc:1] early" component=config
`
	if diff := cmp.Diff(want, log.String()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if lines := last(); len(lines) != 9 || lines[8] != "unfinished" {
		t.Errorf("last lines: %q", lines)
	}
	for range 100 {
		w.Write([]byte(strings.Repeat("x", 1000)))
	}
	w.Write([]byte(strings.Repeat("\nline", 50)))
	lines := last()
	if len(lines) != 21 || len(lines[0]) > 16<<10 {
		t.Errorf("keeps %d lines, the first of %d bytes", len(lines), len(lines[0]))
	}
}

package envoytest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/kumactl/kumactl/internal/envoy"
)

// Binary is the path of a real Envoy: ENVOY_PATH, one on PATH, or the one that the project's script brings.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatalf("scripts/envoy.sh: %v", err)
	}
	return path
}

var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.Getwd()
	for ; err == nil && dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		script := filepath.Join(dir, "scripts", "envoy.sh")
		if _, missing := os.Stat(script); missing != nil {
			continue
		}
		out, err := exec.Command(script).Output()
		return strings.TrimSpace(string(out)), err
	}
	return "", fmt.Errorf("no scripts/envoy.sh above the package: %w", err)
})

// Accepted asks a real Envoy to validate configurations.
func Accepted(t *testing.T, configs ...*envoy.Config) {
	t.Helper()
	seen := map[string]bool{}
	for i, c := range configs {
		document := static(t, c)
		if seen[document] {
			continue
		}
		seen[document] = true
		AcceptedBootstrap(t, fmt.Sprint("configuration ", i), []byte(document))
	}
}

// AcceptedBootstrap asks a real Envoy to validate a whole bootstrap, JSON or YAML.
func AcceptedBootstrap(t *testing.T, about string, document []byte) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bootstrap.yaml")
	if err := os.WriteFile(file, document, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), Binary(t), "--mode", "validate", "--config-path", file, "--log-level", "error").CombinedOutput()
	if err != nil {
		t.Errorf("%s: Envoy refuses it (%v)\n%s\n%s", about, err, out, document)
	}
}

// static puts a configuration into a bootstrap. Endpoints become clusters of their own, so that they are looked at, too.
func static(t *testing.T, c *envoy.Config) string {
	t.Helper()
	var clusters, listeners []json.RawMessage
	for _, s := range c.Clusters {
		clusters = append(clusters, JSON(t, s))
	}
	for _, s := range c.Listeners {
		listeners = append(listeners, JSON(t, s))
	}
	for _, s := range c.Endpoints {
		clusters = append(clusters, fmt.Appendf(nil, `{"name":%q,"type":"STATIC","connectTimeout":"1s","loadAssignment":%s}`, "endpoints:"+s.Name, JSON(t, s)))
	}
	clusters = append(clusters, json.RawMessage(`{"name":"control-plane","type":"STATIC","connectTimeout":"1s","typedExtensionProtocolOptions":{
		"envoy.extensions.upstreams.http.v3.HttpProtocolOptions":{"@type":"type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions","explicitHttpConfig":{"http2ProtocolOptions":{}}}}}`))
	document, err := json.MarshalIndent(map[string]any{
		"node": map[string]string{"id": "test", "cluster": "test"},
		"dynamicResources": json.RawMessage(`{"adsConfig":{"apiType":"GRPC","transportApiVersion":"V3",
			"grpcServices":[{"envoyGrpc":{"clusterName":"control-plane"}}]}}`),
		"staticResources": map[string]any{"clusters": clusters, "listeners": listeners},
	}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(document)
}

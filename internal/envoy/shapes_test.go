package envoy_test

import (
	"encoding/json"
	"flag"
	"testing"

	"github.com/kumactl/kumactl/internal/envoy"
	"github.com/kumactl/kumactl/internal/envoy/envoytest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestShapes(t *testing.T) { envoytest.Shapes(t, *update) }

// authority is a certificate of nobody; Envoy reads it when it validates a bootstrap.
const authority = `-----BEGIN CERTIFICATE-----
MIIBpDCCAUqgAwIBAgIUbM23/l2MF6rL+q9QWEWMOlXGY+QwCgYIKoZIzj0EAwIw
EjEQMA4GA1UEAwwHa3VtYS1jcDAeFw0yNjExMjEwOTEzNThaFw0yNjEyMjEwOTEz
NThaMBIxEDAOBgNVBAMMB2t1bWEtY3AwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AASFfucfvK30yJJd5+Fy0khuAcYTNjl5TOHGV8909/rK6of693longMNlNP7uYSb
2NyVQkgCMhYSFuNfV4WXb9ooo34wfDAdBgNVHQ4EFgQUvDyajNoRscsbwNBu0+fJ
AJkJJZowHwYDVR0jBBgwFoAUvDyajNoRscsbwNBu0+fJAJkJJZowKQYDVR0RBCIw
IIcECjcAAYcEfwAAAYIJbG9jYWxob3N0ggdjcC50ZXN0MA8GA1UdEwEB/wQFMAMB
Af8wCgYIKoZIzj0EAwIDSAAwRQIgHxvp/Z9kgO5KmXk1hWSIy0fIfE9gqgwrkhU/
TtVVHZMCIQDiLFLAEBpaE26dPPeUrwuTllvd9FJk1jTszWm805QooQ==
-----END CERTIFICATE-----
`

// TestBootstrapIsAccepted asks a real Envoy.
func TestBootstrapIsAccepted(t *testing.T) {
	for name, change := range map[string]func(*envoy.BootstrapRequest, *envoy.BootstrapParams){
		"a socket":  func(*envoy.BootstrapRequest, *envoy.BootstrapParams) {},
		"a port":    func(r *envoy.BootstrapRequest, _ *envoy.BootstrapParams) { r.Workdir = "" },
		"delta":     func(r *envoy.BootstrapRequest, _ *envoy.BootstrapParams) { r.Features = []string{"feature-delta-grpc"} },
		"a name":    func(_ *envoy.BootstrapRequest, p *envoy.BootstrapParams) { p.XDSHost = "localhost" },
		"no token":  func(r *envoy.BootstrapRequest, _ *envoy.BootstrapParams) { r.Token = "" },
		"no health": func(_ *envoy.BootstrapRequest, p *envoy.BootstrapParams) { p.HealthDiscovery = false },
		"much more": func(r *envoy.BootstrapRequest, _ *envoy.BootstrapParams) {
			r.OtelEnv = &envoy.OtelEnv{PipeEnabled: true}
			r.DynamicMetadata = map[string]string{"version": "1"}
			r.DataplaneConfig = json.RawMessage(`{"redirect":{"inbound":{"enabled":true}}}`)
		},
	} {
		r := envoy.BootstrapRequest{Mesh: "default", Name: "web-1", Workdir: t.TempDir(), Token: "x.y.z", ReadinessPort: 9902, CACert: authority}
		p := params
		p.CA = authority
		change(&r, &p)
		document, err := envoy.Bootstrap(r, p)
		if err != nil {
			t.Fatal(err)
		}
		envoytest.AcceptedBootstrap(t, name, document)
	}
}

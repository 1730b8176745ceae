package xds_test

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"sigs.k8s.io/yaml"

	"github.com/kumactl/kumactl/internal/resource/dataplane"
	"github.com/kumactl/kumactl/internal/server/xds"
)

// http1 and http2 are clients that offer one protocol, both one that offers both, as curl does.
func httpClient(t *testing.T, protocols ...string) *http.Client {
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, Protocols: new(http.Protocols)}
	for _, p := range protocols {
		tr.Protocols.SetHTTP1(p == "http1" || tr.Protocols.HTTP1())
		tr.Protocols.SetHTTP2(p == "http2" || tr.Protocols.HTTP2())
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: deadline}
}

type reply struct {
	status            int
	contentType, body string
	proto             int
}

func post(t *testing.T, c *http.Client, url, accept, body string) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", accept)
	r.Header.Set("Content-Type", "application/json")
	answer, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{answer.StatusCode, answer.Header.Get("Content-Type"), string(raw), answer.ProtoMajor}
}

// request is a bootstrap request with some fields changed; nil leaves one out.
func request(t *testing.T, change map[string]any) string {
	doc := map[string]any{
		"mesh": "default", "name": "web-1", "proxyType": "dataplane", "dataplaneToken": "token", "workdir": "/run/web",
		"dataplaneResource": text(t, web("web-1", "10.0.0.1", "web", "back")),
		"version":           map[string]any{"kumaDp": map[string]any{"version": "2.14.3"}, "envoy": map[string]any{"version": "1.40.0"}},
	}
	for k, v := range change {
		if doc[k] = v; v == nil {
			delete(doc, k)
		}
	}
	return text(t, doc)
}

func TestBootstrapAnswers(t *testing.T) {
	p := start(t, func(o *xds.Options) { o.Bootstrap.RequireToken = true })
	p.put(decode(t, dataplane.Kind, web("pre-1", "10.0.0.7", "pre")))
	broken := web("web-1", "", "web")
	elsewhere := web("web-1", "10.0.0.1", "web")
	elsewhere["mesh"] = "nope"
	leaf := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: notAnAuthority(t)})
	url := "https://" + p.addr + "/bootstrap"
	for name, c := range map[string]struct {
		change map[string]any
		raw    string
		status int
		// body is a part of the text; empty means that there is none.
		body string
	}{
		"from its own resource":  {nil, "", 200, "kumaSidecarConfiguration"},
		"from a stored one":      {map[string]any{"name": "pre-1", "dataplaneResource": nil}, "", 200, "kumaSidecarConfiguration"},
		"other name in resource": {map[string]any{"name": "web-2"}, "", 200, "kumaSidecarConfiguration"},
		"token by path":          {map[string]any{"dataplaneToken": nil, "dataplaneTokenPath": "/token"}, "", 200, "kumaSidecarConfiguration"},
		"no JSON":                {nil, "{,", 400, ""},
		"no token":               {map[string]any{"dataplaneToken": nil}, "", 422, "Dataplane Token is required"},
		"not there":              {map[string]any{"name": "gone", "dataplaneResource": nil}, "", 404, ""},
		"no such mesh":           {map[string]any{"mesh": "nope", "dataplaneResource": nil}, "", 404, ""},
		"resource of no mesh":    {map[string]any{"mesh": "nope", "dataplaneResource": text(t, elsewhere)}, "", 422, "esh"},
		"resource not valid":     {map[string]any{"dataplaneResource": text(t, broken)}, "", 422, "networking.address: "},
		"resource no JSON":       {map[string]any{"dataplaneResource": "{,"}, "", 422, "invalid"},
		"resource of other kind": {map[string]any{"dataplaneResource": `{"type":"Mesh","name":"x"}`}, "", 422, "Mesh"},
		"outbound and redirect":  {map[string]any{"dataplaneConfig": map[string]any{"redirect": map[string]any{}}}, "", 422, "networking.outbound: "},
		"unknown type of proxy":  {map[string]any{"proxyType": "teapot"}, "", 500, ""},
		"zone proxy":             {map[string]any{"proxyType": "ingress"}, "", 422, "zone proxies"},
		"authority that is none": {map[string]any{"caCert": string(leaf)}, "", 400, "CA is false"},
		"authority not PEM":      {map[string]any{"caCert": "not a certificate"}, "", 500, ""},
		"too large":              {nil, strings.Repeat(" ", 1<<20+1), 413, "1048576"},
	} {
		t.Run(name, func(t *testing.T) {
			body := c.raw
			if body == "" {
				body = request(t, c.change)
			}
			got := post(t, httpClient(t, "http1"), url, "application/json", body)
			if got.status != c.status || (got.body == "") != (c.body == "") || !strings.Contains(got.body, c.body) {
				t.Errorf("answer %+v, want %d and %q", got, c.status, c.body)
			}
		})
	}
	t.Run("called by another name", func(t *testing.T) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(request(t, nil)))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "cp.example:5678"
		answer, err := httpClient(t, "http1").Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		raw, _ := io.ReadAll(answer.Body)
		if answer.StatusCode != 400 || !bytes.Contains(raw, []byte("cp.example")) {
			t.Errorf("answer %d %s", answer.StatusCode, raw)
		}
	})
	if got := post(t, httpClient(t, "http1"), "https://"+p.addr+"/other", "", ""); got.status != 404 || got.body != "404 page not found\n" {
		t.Errorf("another path: %+v", got)
	}
}

func TestBootstrapForms(t *testing.T) {
	p := start(t, func(o *xds.Options) {
		o.Bootstrap.CA = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate().Certificate[0]})
	})
	url := "https://" + p.addr + "/bootstrap"
	got := post(t, httpClient(t, "http1"), url, "application/json", request(t, nil))
	var answer struct {
		Bootstrap string
		Sidecar   json.RawMessage `json:"kumaSidecarConfiguration"`
	}
	if err := json.Unmarshal([]byte(got.body), &answer); err != nil || got.contentType != "application/json" {
		t.Fatalf("%v in %+v", err, got)
	}
	if want := `{"networking":{"corefileTemplate":null,"address":"10.0.0.1"},"metrics":{"aggregate":[]}}`; string(answer.Sidecar) != want {
		t.Errorf("beside it: %s", answer.Sidecar)
	}
	raw, err := base64.StdEncoding.DecodeString(answer.Bootstrap)
	if err != nil {
		t.Fatal(err)
	}
	plain := post(t, httpClient(t, "http1"), url, "*/*", request(t, nil))
	if plain.contentType != "text/x-yaml" || plain.body != string(raw) {
		t.Errorf("as text: %+v", plain)
	}
	var config struct {
		Node struct{ Id, Cluster string }
		Hds  *struct{} `json:"hdsConfig"`
	}
	if err := yaml.Unmarshal(raw, &config); err != nil || config.Node.Id != "default.web-1" || config.Node.Cluster != "web" || config.Hds == nil {
		t.Errorf("%v: %+v", err, config)
	}
	if n := p.store.Snapshot().Count(dataplane.Kind.Name, ""); n != 0 {
		t.Errorf("%d Dataplanes are stored before a stream began", n)
	}
	// What was read for the answer serves the stream that follows, once.
	for range 2 {
		connect(t, p, "web-1", web("web-1", "10.0.0.1", "web", "back")).full()
	}
	if n := p.store.Snapshot().Count(dataplane.Kind.Name, ""); n != 1 {
		t.Errorf("%d Dataplanes are stored", n)
	}
}

// TestOnePortTakesAllProtocols: what a client offers decides, and whoever offers both may send either.
func TestOnePortTakesAllProtocols(t *testing.T) {
	p := start(t, nil)
	url := "https://" + p.addr + "/bootstrap"
	for offer, want := range map[string]int{"http1": 1, "http1 http2": 2} {
		got := post(t, httpClient(t, strings.Fields(offer)...), url, "application/json", request(t, nil))
		if got.status != 200 || got.proto != want {
			t.Errorf("offered %s: %+v", offer, got)
		}
	}
	for i, protocols := range [][]string{{"h2"}, {"h2", "http/1.1"}, nil} {
		t.Run(fmt.Sprintf("gRPC offering %v", protocols), func(t *testing.T) {
			name := fmt.Sprintf("grpc-%d", i)
			transport := offering{credentials.NewTLS(&tls.Config{InsecureSkipVerify: true, NextProtos: protocols}), protocols}
			conn, err := grpc.NewClient("passthrough:///"+p.addr, grpc.WithTransportCredentials(transport))
			if err != nil {
				t.Fatal(err)
			}
			c := connectOn(t, conn, nodeOf(t, name, text(t, web(name, "10.0.0.1", "web"))))
			c.ask(&discoveryv3.DiscoveryRequest{TypeUrl: cds})
			c.get(cds)
		})
	}
}

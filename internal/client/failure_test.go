package client_test

import (
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/client"
	"github.com/kumactl/kumactl/internal/problem"
)

// told is an error as a person reads it.
func told(err error) string {
	p, ok := err.(*problem.Error)
	if !ok {
		return "not a problem: " + err.Error()
	}
	return p.Error() + " | " + p.Hint
}

func TestFailuresSayWhatToDo(t *testing.T) {
	plain := serve(t, map[string]http.HandlerFunc{
		"/meshes/slow": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"/meshes/invalid": func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 400, `{"status":400,"title":"Could not do it","details":"Resource is not valid","invalid_parameters":[{"field":"a.b","reason":"is wrong"}]}`)
		},
		"/meshes/denied": func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 403, `{"title":"Access Denied","detail":"no"}`)
		},
		"/meshes/stranger": func(w http.ResponseWriter, _ *http.Request) { answer(w, 401, `<html>`) },
		"/meshes/gone": func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 404, `{"title":"Not here","detail":"Not found"}`)
		},
		"/meshes/elsewhere": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://elsewhere.invalid/", http.StatusFound)
		},
	})
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<h1>hello</h1>")) }))
	t.Cleanup(other.Close)
	host := strings.TrimPrefix(secure.URL, "https://")
	for name, c := range map[string]struct {
		url, mesh string
		want      []string
	}{
		"refused":         {"http://" + free(t), "a", []string{"no control plane answers at http://127.0.0.1:", "connection refused", "kumactl run control-plane"}},
		"too slow":        {plain.URL, "slow", []string{"did not answer within 200ms", "--api-timeout"}},
		"unknown issuer":  {secure.URL, "a", []string{"authority that this machine does not know", "--ca-cert-file"}},
		"http to https":   {"http://" + host, "a", []string{"speaks TLS", "--address https://" + host}},
		"https to http":   {strings.Replace(plain.URL, "http:", "https:", 1), "a", []string{"does not speak TLS", "--address http://"}},
		"another product": {other.URL, "a", []string{"is no control plane", "5681"}},
		"no such path":    {plain.URL, "b", []string{"Kuma 2.14.3 at", "does not know GET /meshes/b", "kumactl version"}},
		"invalid":         {plain.URL, "invalid", []string{"Could not do it: Resource is not valid: a.b: is wrong"}},
		"forbidden":       {plain.URL, "denied", []string{"Access Denied: no", "--auth-type tokens"}},
		"a proxy's 401":   {plain.URL, "stranger", []string{"answers 401", "--auth-type tokens"}},
		"not found":       {plain.URL, "gone", []string{"Not here: Not found"}},
		"a redirect":      {plain.URL, "elsewhere", []string{"does not know GET /meshes/elsewhere (it answers 302)"}},
	} {
		t.Run(name, func(t *testing.T) {
			conn := connect(t, c.url, func(o *client.Options) {
				if name == "too slow" {
					o.Timeout = 200 * time.Millisecond
				}
			})
			_, err := conn.Get(t.Context(), meshes, "", c.mesh)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range c.want {
				if !strings.Contains(told(err), want) {
					t.Errorf("%q is not in: %s", want, told(err))
				}
			}
		})
	}
}

// free is an address where nothing listens.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestMissingResourceAndUnknownPathAreNotTheSame(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{
		"/meshes/gone": func(w http.ResponseWriter, _ *http.Request) {
			answer(w, 404, `{"title":"Not here","detail":"Not found"}`)
		},
	})
	c := connect(t, s.URL, nil)
	for name, want := range map[string]problem.Code{"gone": problem.NotFound, "never-heard-of": problem.NotAllowed} {
		if _, err := c.Get(t.Context(), meshes, "", name); problem.CodeOf(err) != want {
			t.Errorf("%s: code %v, want %v (%v)", name, problem.CodeOf(err), want, err)
		}
	}
}

func TestTrustedAuthority(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, index) }))
	t.Cleanup(s.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*client.Endpoint){
		"by file": func(e *client.Endpoint) { e.CACertFile = ca },
		"blindly": func(e *client.Endpoint) { e.SkipVerify = true },
	} {
		c := connect(t, s.URL, func(o *client.Options) { change(&o.Plane.Coordinates.APIServer) })
		got, err := c.Index(t.Context())
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(client.Index{Product: "Kuma", Version: "2.14.3", Hostname: "h", InstanceID: "i"}, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		endpoint client.Endpoint
		want     string
	}{
		"no scheme":      {client.Endpoint{URL: "cp.example.com:5682"}, "is no URL with http:// or https://"},
		"no authority":   {client.Endpoint{URL: "https://h", CACertFile: "/nowhere.pem"}, "authority"},
		"no certificate": {client.Endpoint{URL: "https://h", ClientCertFile: "/nowhere.pem"}, "client certificate"},
		"authentication": {client.Endpoint{URL: "http://h", AuthType: "magic"}, `"magic" is not known`},
	} {
		_, err := client.New(client.Options{Plane: client.ControlPlane{Name: "x", Coordinates: client.Coordinates{APIServer: c.endpoint}}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

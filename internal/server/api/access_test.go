package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/server/api"
)

const (
	secretDoc = `{"type":"Secret","mesh":"m","name":"s","data":"aGk="}`
	meshDoc   = `{"type":"Mesh","name":"m","skipCreatingInitialPolicies":["*"]}`
)

// TestWhoMayDoWhat asks for the same four things with all the ways in which a request can come.
func TestWhoMayDoWhat(t *testing.T) {
	const admin, nobody, wrong = "200 200 200 200", "200 200 403 403", "401 401 401 401"
	for name, c := range map[string]struct {
		headers []string
		want    string
	}{
		"this machine":               {nil, admin},
		"by name":                    {[]string{"Host: localhost"}, admin},
		"IPv6":                       {[]string{"Host: [::1]:5681", "From: [::1]:50000"}, admin},
		"IPv4 within IPv6":           {[]string{"From: [::ffff:127.0.0.1]:50000"}, admin},
		"another machine":            {[]string{"From: 10.0.0.7:50000", "Host: cp.example.com"}, nobody},
		"says it is localhost":       {[]string{"From: 10.0.0.7:50000"}, nobody},
		"a name that was rebound":    {[]string{"Host: evil.example.com"}, nobody},
		"through a proxy":            {[]string{"X-Forwarded-For: 10.0.0.1"}, nobody},
		"through a modern proxy":     {[]string{"Forwarded: for=10.0.0.1"}, nobody},
		"through nginx":              {[]string{"X-Real-IP: 10.0.0.1"}, nobody},
		"through a proxy's host":     {[]string{"X-Forwarded-Host: localhost"}, nobody},
		"through a chain":            {[]string{"Via: 1.1 cache"}, nobody},
		"a page of this server":      {[]string{"Origin: http://localhost:5681", "Sec-Fetch-Site: same-origin"}, admin},
		"an address typed by hand":   {[]string{"Sec-Fetch-Site: none"}, admin},
		"a page of another site":     {[]string{"Sec-Fetch-Site: cross-site"}, nobody},
		"a page of a sibling":        {[]string{"Sec-Fetch-Site: same-site"}, nobody},
		"a page of another origin":   {[]string{"Origin: https://evil.example.com"}, nobody},
		"a page of another port":     {[]string{"Origin: http://localhost:8080"}, nobody},
		"a page in a sandbox":        {[]string{"Origin: null"}, nobody},
		"the right token":            {[]string{"From: 10.0.0.7:50000", "Authorization: Bearer right"}, admin},
		"a wrong token":              {[]string{"From: 10.0.0.7:50000", "Authorization: Bearer wrong"}, wrong},
		"an empty token":             {[]string{"From: 10.0.0.7:50000", "Authorization: Bearer "}, wrong},
		"a wrong token, but at home": {[]string{"Authorization: Bearer wrong"}, admin},
		"another scheme":             {[]string{"From: 10.0.0.7:50000", "Authorization: Basic cmlnaHQ="}, nobody},
		"no address":                 {[]string{"From: @"}, nobody},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, nil)
			p.ask(http.MethodPut, "/meshes/m", meshDoc)
			p.ask(http.MethodPut, "/meshes/m/secrets/s", secretDoc)
			var got []string
			for _, request := range [][3]string{
				{http.MethodGet, "/meshes/m"}, {http.MethodGet, "/who-am-i"}, {http.MethodGet, "/meshes/m/secrets"}, {http.MethodPut, "/meshes/m", meshDoc},
			} {
				got = append(got, http.StatusText(p.ask(request[0], request[1], request[2], c.headers...).Code))
			}
			want := strings.NewReplacer("200", "OK", "401", "Unauthorized", "403", "Forbidden").Replace(c.want)
			if text := strings.Join(got, " "); text != want {
				t.Errorf("meshes, who, secrets, write: %s; want %s", text, want)
			}
		})
	}
}

func TestOpenAPI(t *testing.T) {
	p := start(t, func(o *api.Options) { o.CompatOpenAPI = true })
	far := "From: 10.0.0.7:50000"
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{http.MethodPut, "/meshes/m", meshDoc, http.StatusCreated},
		{http.MethodPut, "/meshes/m/secrets/s", secretDoc, http.StatusForbidden},
		// The body is looked at before the right to write it, and what is not there is not forbidden.
		{http.MethodPut, "/meshes/m/secrets/s", "{", http.StatusBadRequest},
		{http.MethodDelete, "/meshes/m/secrets/s", "", http.StatusNotFound},
		{http.MethodPost, "/_apply", "[" + meshDoc + "]", http.StatusOK},
		{http.MethodPost, "/_apply", "[" + secretDoc + "]", http.StatusForbidden},
		{http.MethodGet, "/_watch?kind=Secret", "", http.StatusForbidden},
		{http.MethodDelete, "/meshes/m", "", http.StatusOK},
	} {
		if got := p.ask(c.method, c.path, c.body, far); got.Code != c.want {
			t.Errorf("%s %s %s: %d, want %d: %s", c.method, c.path, c.body, got.Code, c.want, got.Body)
		}
	}
}

func TestWritersAreNamed(t *testing.T) {
	p := start(t, nil)
	p.ask(http.MethodPut, "/meshes/m", meshDoc, "Kumactl-Source: mesh.yaml\x00\x1b[31m")
	p.ask(http.MethodDelete, "/meshes/m", "", "From: 10.0.0.7:50000", "Authorization: Bearer right")
	changes, err := p.store.History(&resource.Key{Kind: "Mesh", Name: "m"}, 0, 10)
	if err != nil || len(changes) != 2 {
		t.Fatalf("%d changes, %v", len(changes), err)
	}
	if w := changes[1].Writer; w.Who != "mesh-system:admin" || w.Source != "mesh.yaml[31m" {
		t.Errorf("the write is by %+v", w)
	}
	if w := changes[0].Writer; w.Who != "mesh-system:admin" || w.Source != "api" {
		t.Errorf("the removal is by %+v", w)
	}
}

package api_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/resource/insight"
	"github.com/kumactl/kumactl/internal/server/api"
	"github.com/kumactl/kumactl/internal/store"
)

func TestBodiesAreBounded(t *testing.T) {
	p := start(t, func(o *api.Options) { o.BodyLimit = 300_000 })
	p.ask(http.MethodPut, "/meshes/m", meshDoc)
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	document := `{"type":"Dataplane","mesh":"m","name":"d","networking":{"address":"10.0.0.1"},"x":%s}`
	for name, c := range map[string]struct {
		body string
		want int
		text string
	}{
		"just right":    {fmt.Sprintf(document, deep(60)), http.StatusOK, "x: unknown field"},
		"too deep":      {fmt.Sprintf(document, deep(64)), http.StatusBadRequest, "nested deeper than 64 levels"},
		"too many":      {fmt.Sprintf(document, "["+strings.Repeat("1,", 10_000)+"1]"), http.StatusBadRequest, "more than 10000 values"},
		"too long":      {strings.Repeat(" ", 300_001), http.StatusRequestEntityTooLarge, "more than 300000 bytes"},
		"deep brackets": {strings.Repeat("[", 200_000), http.StatusBadRequest, "invalid Dataplane object"},
		"long number":   {fmt.Sprintf(document, strings.Repeat("9", 200_000)), http.StatusOK, "unknown field"},
	} {
		t.Run(name, func(t *testing.T) {
			got := p.ask(http.MethodPut, "/meshes/m/dataplanes/d", c.body)
			if got.Code != c.want && (c.want != http.StatusOK || got.Code != http.StatusCreated) || !strings.Contains(got.Body.String(), c.text) {
				t.Errorf("%d %s, want %d with %q", got.Code, got.Body, c.want, c.text)
			}
		})
	}
	t.Run("length unknown", func(t *testing.T) {
		r := httptest.NewRequest(http.MethodPut, "/meshes/m", struct{ *strings.Reader }{strings.NewReader(strings.Repeat(" ", 300_001))})
		r.RemoteAddr, r.Host, r.ContentLength = "127.0.0.1:1", "localhost", -1
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		if w.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
	t.Run("a long set", func(t *testing.T) {
		if got := p.ask(http.MethodPost, "/_apply", "["+strings.Repeat("{},", 1000)+"{}]"); got.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("%d %s", got.Code, got.Body)
		}
	})
}

// TestAPanicIsAnAnswer: one request that ends badly is answered and logged, and the next one is served.
func TestAPanicIsAnAnswer(t *testing.T) {
	p := start(t, func(o *api.Options) {
		o.Computed = []resource.Computed{{Kind: insight.MeshInsight, All: func(resource.Reader, string) []*resource.Resource { panic("secret of the trade") }}}
	})
	got := p.ask(http.MethodGet, "/mesh-insights", "")
	if got.Code != http.StatusInternalServerError || !strings.Contains(got.Body.String(), "Internal Server Error") || strings.Contains(got.Body.String(), "trade") {
		t.Errorf("%d %s", got.Code, got.Body)
	}
	if got := p.ask(http.MethodGet, "/meshes", ""); got.Code != http.StatusOK {
		t.Errorf("afterwards: %d", got.Code)
	}
}

// many fills a store with Dataplanes of one mesh.
func many(t testing.TB, p plane, n int) {
	t.Helper()
	kind := p.kind("Dataplane")
	_, err := p.store.Update(t.Context(), store.Writer{}, func(tx *store.Tx) error {
		for i := range n {
			r := kind.New("m", fmt.Sprintf("d%05d", i))
			if err := r.SetSpecJSON([]byte(`{"networking":{"address":"10.0.0.1"}}`)); err != nil {
				return err
			}
			if err := tx.Put(r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPagesCoverTheWholeOnce(t *testing.T) {
	p := start(t, nil)
	p.ask(http.MethodPut, "/meshes/m", meshDoc)
	many(t, p, 25)
	for _, query := range []string{"size=7", "size=7&name=d"} {
		seen := 0
		for path := "/dataplanes?" + query; path != ""; {
			body := p.ask(http.MethodGet, path, "").Body.String()
			for range strings.Count(body, `"name": "d`) {
				if name := fmt.Sprintf(`"name": "d%05d"`, seen); !strings.Contains(body, name) {
					t.Fatalf("%s: %s is missing in %s", path, name, body)
				}
				seen++
			}
			path = ""
			if at := strings.Index(body, `"next": "`); at >= 0 {
				next, err := url.Parse(strings.SplitN(body[at+9:], `"`, 2)[0])
				if err != nil {
					t.Fatal(err)
				}
				path = next.RequestURI()
			}
		}
		if seen != 25 {
			t.Errorf("%s: %d resources in all pages", query, seen)
		}
	}
}

// FuzzPut: no body makes the server fail, and what it took it also gives.
func FuzzPut(f *testing.F) {
	f.Add([]byte(`{"type":"Dataplane","mesh":"m","name":"d","networking":{"address":"10.0.0.1","inbound":[{"port":"80","tags":{"kuma.io/service":"web"}}]}}`))
	f.Add([]byte(`{"type":"Dataplane","mesh":"m","name":"d","name":"d","networking":{"address":"10.0.0.1"},"labels":{"a":null}}`))
	f.Add([]byte(`[{"type":"Mesh","name":"x"},{"type":"MeshTimeout","mesh":"x","name":"t","spec":{"to":[{"targetRef":{"kind":"Mesh"},"default":{"idleTimeout":"1s"}}]}}]`))
	f.Add([]byte("null"))
	p := start(f, nil)
	p.ask(http.MethodPut, "/meshes/m", meshDoc)
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, request := range [][2]string{{http.MethodPut, "/meshes/m/dataplanes/d"}, {http.MethodPut, "/meshes/m/meshtimeouts/d"}, {http.MethodPost, "/_apply?dryRun=true"}} {
			got := p.ask(request[0], request[1], string(body))
			if got.Code >= http.StatusInternalServerError {
				t.Fatalf("%s %s: %d %s", request[0], request[1], got.Code, got.Body)
			}
			if !bytes.HasSuffix(got.Body.Bytes(), []byte("}\n")) {
				t.Errorf("%s %s: no JSON: %s", request[0], request[1], got.Body)
			}
			if request[0] == http.MethodPut && got.Code < 300 {
				if got := p.ask(http.MethodGet, request[1], ""); got.Code != http.StatusOK {
					t.Errorf("taken, and not given: %d %s", got.Code, got.Body)
				}
			}
		}
	})
}

// FuzzList: no query makes the server fail.
func FuzzList(f *testing.F) {
	f.Add("size=1&offset=1&name=a&tag=a:b&gateway=true&filter[labels.a]=b")
	f.Add("filter[labels.]=&tag=:&offset=9223372036854775807")
	f.Add("format=k8s&namespace=%00")
	p := start(f, nil)
	p.ask(http.MethodPut, "/meshes/m", meshDoc)
	many(f, p, 3)
	f.Fuzz(func(t *testing.T, query string) {
		for _, path := range []string{"/meshes/m/dataplanes", "/dataplanes/_overview", "/meshes/m", "/_kri/kri_m____m_"} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			r.URL.RawQuery, r.RemoteAddr = query, "127.0.0.1:1"
			w := httptest.NewRecorder()
			p.ServeHTTP(w, r)
			if w.Code >= http.StatusInternalServerError {
				t.Fatalf("%s?%s: %d %s", path, query, w.Code, w.Body)
			}
		}
	})
}

// BenchmarkList reads a page of 100 of 10,000, at the beginning and near the end.
func BenchmarkList(b *testing.B) {
	p := start(b, nil)
	p.ask(http.MethodPut, "/meshes/m", meshDoc)
	many(b, p, 10_000)
	for _, query := range []string{"size=100", "size=100&offset=9900", "size=100&name=d0999"} {
		b.Run(query, func(b *testing.B) {
			for b.Loop() {
				if got := p.ask(http.MethodGet, "/meshes/m/dataplanes?"+query, ""); got.Code != http.StatusOK {
					b.Fatal(got.Code)
				}
			}
		})
	}
}

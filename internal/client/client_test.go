package client_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/kumactl/kumactl/internal/client"
	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type limits struct {
	Timeout string `json:"timeout,omitempty"`
}

var (
	meshes   = resource.Of(resource.Kind{Name: "Mesh", Path: "meshes", Scope: resource.Global}, resource.Rules[*limits]{})
	timeouts = resource.Of(resource.Kind{Name: "MeshTimeout", Path: "meshtimeouts"}, resource.Rules[*limits]{})
)

const index = `{"product":"Kuma","version":"2.14.3","hostname":"h","instanceId":"i"}`

// serve starts a control plane that answers as the handlers say; paths without one are unknown, as they are to Kuma's.
func serve(t *testing.T, handlers map[string]http.HandlerFunc) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			answer(w, http.StatusOK, index)
			return
		}
		http.Error(w, "404: Page Not Found", http.StatusNotFound)
	})
	for pattern, h := range handlers {
		mux.HandleFunc(pattern, h)
	}
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func answer(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintln(w, body)
}

// connect makes a client for an address; change may set more.
func connect(t *testing.T, url string, change func(*client.Options)) *client.Client {
	t.Helper()
	o := client.Options{Timeout: 10 * time.Second, Version: "1.2.3"}
	o.Plane.Name, o.Plane.Coordinates.APIServer.URL = "test", url
	if change != nil {
		change(&o)
	}
	c, err := client.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestListReadsAllPages(t *testing.T) {
	const total = 2300
	asked := []string{}
	s := serve(t, map[string]http.HandlerFunc{"/meshes": func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		asked = append(asked, q.Get("offset"))
		size := 100
		if q.Has("size") {
			size, _ = strconv.Atoi(q.Get("size"))
		}
		offset, _ := strconv.Atoi(q.Get("offset"))
		items := []string{}
		for i := offset; i < min(offset+size, total); i++ {
			items = append(items, fmt.Sprintf(`{"type":"Mesh","name":"m%04d"}`, i))
		}
		next := "null"
		if offset+size < total {
			// Another host than the one asked, as behind a proxy: only the offset counts.
			next = fmt.Sprintf("%q", fmt.Sprintf("http://elsewhere.invalid/meshes?offset=%d&size=%d", offset+size, size))
		}
		answer(w, http.StatusOK, fmt.Sprintf(`{"total":%d,"items":[%s],"next":%s}`, total, strings.Join(items, ","), next))
	}})
	list, err := connect(t, s.URL, nil).List(t.Context(), "/meshes", nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != total || list.Total != total || list.Next != nil {
		t.Errorf("%d items of %d, next %v", len(list.Items), list.Total, list.Next)
	}
	if diff := cmp.Diff([]string{"", "100", "1100", "2100"}, asked); diff != "" {
		t.Error(diff)
	}
}

func TestListGivesOnePageWhenAskedForOne(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"/meshes": func(w http.ResponseWriter, r *http.Request) {
		answer(w, http.StatusOK, fmt.Sprintf(`{"total":9,"items":[{"name":"a"}],"next":"http://h/meshes?offset=3&size=%s"}`, r.URL.Query().Get("size")))
	}})
	list, err := connect(t, s.URL, nil).List(t.Context(), "/meshes", client.Filter{Size: 1, Offset: "2"}.Query())
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 1 || list.Offset() != "3" || list.Total != 9 {
		t.Errorf("%d items, next at %q, total %d", len(list.Items), list.Offset(), list.Total)
	}
}

func TestListThatDoesNotEndIsAnError(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"/meshes": func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, `{"total":9,"items":[{"name":"a"}],"next":"http://h/meshes?offset=1"}`)
	}})
	_, err := connect(t, s.URL, nil).List(t.Context(), "/meshes", nil)
	if err == nil || !strings.Contains(err.Error(), "does not end") {
		t.Errorf("got %v", err)
	}
}

func TestFilterIsInTheQuery(t *testing.T) {
	got := client.Filter{Labels: map[string]string{"app": "web"}, Tags: map[string]string{"kuma.io/service": "web"}, Size: 5}.Query().Encode()
	if want := "filter%5Blabels.app%5D=web&size=5&tag=kuma.io%2Fservice%3Aweb"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestReadsAreTriedAgainAndWritesAreNot(t *testing.T) {
	var reads, writes atomic.Int32
	s := serve(t, map[string]http.HandlerFunc{
		"GET /meshes/a": func(w http.ResponseWriter, _ *http.Request) {
			switch reads.Add(1) {
			case 1:
				panic(http.ErrAbortHandler)
			case 2:
				answer(w, http.StatusServiceUnavailable, `{}`)
			default:
				answer(w, http.StatusOK, `{"type":"Mesh","name":"a"}`)
			}
		},
		"PUT /meshes/a": func(http.ResponseWriter, *http.Request) {
			writes.Add(1)
			panic(http.ErrAbortHandler)
		},
	})
	c := connect(t, s.URL, nil)
	if _, err := c.Get(t.Context(), meshes, "", "a"); err != nil {
		t.Error(err)
	}
	_, err := c.Put(t.Context(), client.Document{Kind: meshes, Name: "a", JSON: json.RawMessage(`{}`)})
	if problem.CodeOf(err) != problem.Unavailable {
		t.Errorf("got %v", err)
	}
	if reads.Load() != 3 || writes.Load() != 1 {
		t.Errorf("%d reads, want 3; %d writes, want 1", reads.Load(), writes.Load())
	}
}

func TestRequestsSayWhoAsks(t *testing.T) {
	var got http.Header
	s := serve(t, map[string]http.HandlerFunc{"/meshes/a": func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		answer(w, http.StatusOK, `{}`)
	}})
	c := connect(t, s.URL, func(o *client.Options) {
		e := &o.Plane.Coordinates.APIServer
		e.AuthType, e.AuthConf = client.AuthTokens, map[string]string{"token": "secret"}
		e.Headers = []client.Header{{Key: "x-team", Value: "a"}}
	})
	if _, err := c.Get(t.Context(), meshes, "", "a"); err != nil {
		t.Fatal(err)
	}
	for header, want := range map[string]string{"Authorization": "Bearer secret", "X-Team": "a", "Accept": "application/json, */*;q=0.1"} {
		if got.Get(header) != want {
			t.Errorf("%s: %q, want %q", header, got.Get(header), want)
		}
	}
	if !strings.HasPrefix(got.Get("User-Agent"), "kumactl/1.2.3 (") {
		t.Errorf("User-Agent: %q", got.Get("User-Agent"))
	}
}

func TestAnotherVersionIsToldOnce(t *testing.T) {
	for server, want := range map[string]int{"1.2.9": 0, "": 0, "1.3.0": 1, "2.0.0": 1} {
		s := serve(t, map[string]http.HandlerFunc{"/meshes/a": func(w http.ResponseWriter, _ *http.Request) {
			if server != "" {
				w.Header().Set("Kumactl-Version", server)
			}
			answer(w, http.StatusOK, `{}`)
		}})
		var told []string
		c := connect(t, s.URL, func(o *client.Options) { o.Warn = func(text string) { told = append(told, text) } })
		for range 3 {
			if _, err := c.Get(t.Context(), meshes, "", "a"); err != nil {
				t.Fatal(err)
			}
		}
		if len(told) != want {
			t.Errorf("server %q: told %q", server, told)
		}
	}
}

func TestNamesAreNoPaths(t *testing.T) {
	c := connect(t, "http://localhost:1", nil)
	for _, name := range []string{"", ".", "..", "a/b", `a\b`} {
		if _, err := c.Get(t.Context(), meshes, "", name); problem.CodeOf(err) != problem.Invalid {
			t.Errorf("%q: got %v", name, err)
		}
		if err := c.Delete(t.Context(), timeouts, "..", "x"); problem.CodeOf(err) != problem.Invalid {
			t.Errorf("mesh `..`: got %v", err)
		}
	}
}

func TestCancelledCallsEndWithTheContext(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{"/meshes/a": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := connect(t, s.URL, nil).Get(ctx, meshes, "", "a"); err == nil || ctx.Err() == nil {
		t.Errorf("got %v", err)
	}
}

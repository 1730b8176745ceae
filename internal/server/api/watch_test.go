package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/resource/insight"
	"github.com/kumactl/kumactl/internal/server/api"
	"github.com/kumactl/kumactl/internal/store"
)

// follow opens a watch over a real connection and gives its lines as `event type mesh/name@revision`.
func follow(t *testing.T, url, accept string) (next func() string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", accept)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		answer.Body.Close()
	})
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("status %d", answer.StatusCode)
	}
	lines := bufio.NewScanner(answer.Body)
	return func() string {
		for lines.Scan() {
			line, _ := strings.CutPrefix(lines.Text(), "data: ")
			if !strings.HasPrefix(line, "{") {
				continue
			}
			var e struct {
				Event, Type, Mesh, Name, Who, Source string
				Revision                             uint64
				Resource                             *struct{ Name string }
			}
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatal(err)
			}
			if gone := e.Event == "deleted"; e.Type != "" && gone != (e.Resource == nil) {
				t.Errorf("resource of %s", line)
			}
			return strings.TrimSpace(strings.Join([]string{e.Event, e.Type, e.Name, e.Source}, " "))
		}
		t.Fatal("the stream ended", lines.Err())
		return ""
	}
}

func TestWatch(t *testing.T) {
	for name, accept := range map[string]string{"lines": "application/json", "events": "text/event-stream"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, nil)
			p.ask(http.MethodPut, "/meshes/m", meshDoc)
			server := httptest.NewServer(p)
			t.Cleanup(server.Close)
			next := follow(t, server.URL+"/_watch?kind=Mesh&kind=dataplanes&mesh=m", accept)
			got := []string{next()}
			p.ask(http.MethodPut, "/meshes/other", strings.Replace(meshDoc, `"m"`, `"other"`, 1))
			p.ask(http.MethodPut, "/meshes/m/secrets/s", secretDoc)
			p.ask(http.MethodPut, "/meshes/m/dataplanes/d", `{"type":"Dataplane","mesh":"m","name":"d","networking":{"address":"1.1.1.1"}}`)
			p.ask(http.MethodPut, "/meshes/m", meshDoc, "Kumactl-Source: file.yaml")
			p.ask(http.MethodDelete, "/meshes/m/dataplanes/d", "")
			for range 3 {
				got = append(got, next())
			}
			want := []string{"start", "created Dataplane d api", "configured Mesh m file.yaml", "deleted Dataplane d api"}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			// What came before can be asked for, and the status of proxies is told without saying what it is.
			again := follow(t, server.URL+"/_watch?kind=Mesh&kind=DataplaneInsight&from=1", accept)
			got = []string{again(), again(), again()}
			p.store.PutVolatile(insight.DataplaneInsight.New("m", "d"))
			got = append(got, again())
			// This one is in the pause after the first.
			p.store.PutVolatile(insight.DataplaneInsight.New("m", "d"))
			got = append(got, again())
			if diff := cmp.Diff([]string{"start", "created Mesh other api", "configured Mesh m file.yaml", "status", "status"}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWatchSaysWhatItMissed(t *testing.T) {
	p := start(t, func(o *api.Options) {
		o.Store = store.OpenMemory(store.Options{Kinds: o.Kinds, KeepChanges: 1})
		t.Cleanup(func() { o.Store.Close() })
	})
	put := func(names ...string) {
		_, err := p.store.Update(t.Context(), store.Writer{}, func(tx *store.Tx) error {
			for _, name := range names {
				if err := tx.Put(p.kind("Mesh").New("", name)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	// More than the store keeps at hand beside its log.
	names := make([]string, 1_500)
	for i := range names {
		names[i] = fmt.Sprint("m", i)
	}
	for range 3 {
		put(names...)
	}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	next := follow(t, server.URL+"/_watch?kind=Mesh&from=1", "")
	got := []string{next(), next()}
	put("e")
	got = append(got, next())
	if diff := cmp.Diff([]string{"start", "resync", "created Mesh e"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestWatchesAreBounded(t *testing.T) {
	p := start(t, func(o *api.Options) { o.Watches = 2 })
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	follow(t, server.URL+"/_watch", "")()
	if got := p.ask(http.MethodGet, "/_watch", "", "From: 10.0.0.7:50000"); got.Code != http.StatusServiceUnavailable {
		t.Errorf("a stranger: %d %s", got.Code, got.Body)
	}
	follow(t, server.URL+"/_watch", "")()
	for path, want := range map[string]int{"/_watch": http.StatusServiceUnavailable, "/_watch?kind=Nope": http.StatusBadRequest, "/_watch?from=x": http.StatusBadRequest} {
		if got := p.ask(http.MethodGet, path, ""); got.Code != want {
			t.Errorf("%s: %d %s", path, got.Code, got.Body)
		}
	}
}

func (p plane) kind(name string) *resource.Kind {
	for _, k := range p.kinds {
		if k.Name == name {
			return k
		}
	}
	return nil
}

// TestWatchOutlivesTheLimitsOfTheServer: what bounds answers that end does not end a watch.
func TestWatchOutlivesTheLimitsOfTheServer(t *testing.T) {
	p := start(t, nil)
	server := httptest.NewUnstartedServer(p)
	const limit = 100 * time.Millisecond
	server.Config.ReadTimeout, server.Config.WriteTimeout = limit, limit
	server.Start()
	t.Cleanup(server.Close)
	next := follow(t, server.URL+"/_watch?kind=Mesh", "")
	got := []string{next()}
	// A client that never ends its header is thrown out when the limit is over.
	slow, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slow.Close() })
	if _, err := slow.Write([]byte("GET /")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(slow); err != nil {
		t.Fatal(err)
	}
	p.ask(http.MethodPut, "/meshes/m", meshDoc)
	got = append(got, next())
	if diff := cmp.Diff([]string{"start", "created Mesh m api"}, got); diff != "" {
		t.Error(diff)
	}
}

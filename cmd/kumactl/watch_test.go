package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kumactl/kumactl/internal/catalog"
	"github.com/kumactl/kumactl/internal/client"
	"github.com/kumactl/kumactl/internal/render"
)

// TestWatchDrawsAgain follows `get meshes --watch -o name` through two changes, and ends it.
func TestWatchDrawsAgain(t *testing.T) {
	var meshes atomic.Pointer[string]
	set := func(names ...string) {
		items := ""
		for i, name := range names {
			items += ","[:min(i, 1)] + fmt.Sprintf(`{"type":"Mesh","name":%q}`, name)
		}
		meshes.Store(&items)
	}
	set("a")
	events := make(chan string)
	mux := http.NewServeMux()
	mux.HandleFunc("/meshes", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"total":1,"items":[%s],"next":null}`, *meshes.Load())
	})
	mux.HandleFunc("/_watch", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, `{"event":"start"}`)
		w.(http.Flusher).Flush()
		for {
			select {
			case e := <-events:
				fmt.Fprintln(w, e)
				w.(http.Flusher).Flush()
			case <-r.Context().Done():
				return
			}
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	lines, ended := watchLines(ctx, server.URL)
	expect := func(want ...string) {
		t.Helper()
		for _, w := range want {
			select {
			case got := <-lines:
				if got != w {
					t.Fatalf("got %q, want %q", got, w)
				}
			case <-ctx.Done():
				t.Fatalf("no %q", w)
			}
		}
	}
	expect("mesh/a")
	set("a", "b")
	events <- `{"event":"created"}`
	expect("", "mesh/a", "mesh/b")
	// Something changed that the list does not show: nothing is drawn.
	events <- `{"event":"configured"}`
	set("b")
	events <- `{"event":"deleted"}`
	expect("", "mesh/b")
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

// watchLines runs the command and gives its lines, and how it ended.
func watchLines(ctx context.Context, url string) (<-chan string, <-chan error) {
	read, write := io.Pipe()
	lines, ended := make(chan string), make(chan error, 1)
	o := &getOptions{
		out: render.Output{Out: write}, errs: render.Output{Out: io.Discard}, now: time.Now, kinds: catalog.Kinds(),
		word: "meshes", format: render.FormatName, watch: true,
		connect: func() (*client.Client, error) {
			plane := client.ControlPlane{Name: "x"}
			plane.Coordinates.APIServer.URL = url
			return client.New(client.Options{Plane: plane, Timeout: 10 * time.Second})
		},
	}
	go func() {
		err := getRun(ctx, o)
		write.Close()
		ended <- err
	}()
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(read); s.Scan(); {
			select {
			case lines <- s.Text():
			case <-ctx.Done():
			}
		}
	}()
	return lines, ended
}

package client_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kumactl/kumactl/internal/client"
	"github.com/kumactl/kumactl/internal/problem"
)

// events is a control plane's stream of changes that a test drives.
type events struct {
	opened chan string
	send   chan string
}

func newEvents() *events { return &events{opened: make(chan string, 4), send: make(chan string)} }

// watch sends what the test says; "end" ends the stream.
func (e *events) watch(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintln(w, `{"event":"start","revision":1}`)
	w.(http.Flusher).Flush()
	e.opened <- r.URL.RawQuery
	for {
		select {
		case line := <-e.send:
			if line == "end" {
				return
			}
			fmt.Fprintln(w, line)
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

// say hands a line to the stream that is open.
func (e *events) say(t *testing.T, line string) {
	t.Helper()
	select {
	case e.send <- line:
	case <-time.After(10 * time.Second):
		t.Fatal("nobody reads")
	}
}

func open(t *testing.T, e *events) *client.Changes {
	t.Helper()
	s := serve(t, map[string]http.HandlerFunc{"/_watch": e.watch})
	w, err := connect(t, s.URL, nil).Watch(t.Context(), []string{"Mesh"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	if got := <-e.opened; got != "kind=Mesh" {
		t.Errorf("query %q", got)
	}
	return w
}

func TestWatchTellsOfChanges(t *testing.T) {
	e := newEvents()
	w := open(t, e)
	for _, line := range []string{"", `{"event":"created"}`, `{"event":"status"}`, ""} {
		e.say(t, line)
	}
	if err := w.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Whatever came before this line was one change or two, never more than were sent.
	e.say(t, `{"event":"deleted"}`)
	if err := w.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestWatchIsQuietWithoutChanges(t *testing.T) {
	e := newEvents()
	w := open(t, e)
	e.say(t, "")
	e.say(t, "")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := w.Next(ctx); err != context.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
}

func TestWatchOutlivesTheStream(t *testing.T) {
	e := newEvents()
	w := open(t, e)
	e.say(t, "end")
	// A new stream counts as a change: something may have been missed.
	if err := w.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-e.opened
	e.say(t, `{"event":"configured"}`)
	if err := w.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestWatchOfAnotherServer(t *testing.T) {
	_, err := connect(t, serve(t, nil).URL, nil).Watch(t.Context(), nil)
	if problem.CodeOf(err) != problem.NotAllowed || !strings.Contains(told(err), "without --watch") {
		t.Errorf("got %v", err)
	}
}

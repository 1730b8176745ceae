package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/resource"
	"github.com/kumactl/kumactl/internal/store"
)

const (
	mediaLines  = "application/x-ndjson"
	mediaEvents = "text/event-stream"
	// heartbeat is how often a quiet watch sends an empty line, so that both ends notice when the other is gone.
	heartbeat = 15 * time.Second
	// watchWrite is how long a client may take to read what it was sent.
	watchWrite = 10 * time.Second
)

// watchEvent is one line of GET /_watch?kind=&mesh=&from=. The first line is `start` with the revision that the watch begins
// after; list at that time and nothing is missed. Then:
//
//	created, configured, deleted  a resource changed; `resource` is what it is now, missing when it was deleted
//	status                        insights of a watched kind changed, in whatever way; at most one a second
//	resync                        changes were missed (the log no longer reaches back): list anew, the watch goes on after `revision`
//
// `kind` may be given several times (a kind's name or its path), without it all kinds are watched that the caller may read.
// Clients that accept text/event-stream get the lines as events. Empty lines come every 15 s.
type watchEvent struct {
	Event    string          `json:"event"`
	Revision uint64          `json:"revision"`
	Time     *time.Time      `json:"time,omitempty"`
	Who      string          `json:"who,omitempty"`
	Source   string          `json:"source,omitempty"`
	Type     string          `json:"type,omitempty"`
	Mesh     string          `json:"mesh,omitempty"`
	Name     string          `json:"name,omitempty"`
	Resource json.RawMessage `json:"resource,omitempty"`
}

// subject is what a watch is about.
type subject struct {
	kinds map[string]bool
	mesh  string
	// volatile says that one of the kinds is status, which has no changes of its own.
	volatile bool
}

// wants says whether a change is to be told. A mesh belongs to itself.
func (s subject) wants(k resource.Key) bool {
	return s.kinds[k.Kind] && (s.mesh == "" || k.Mesh == s.mesh || k.Mesh == "" && k.Name == s.mesh)
}

// watch sends changes until the client goes away or the server ends.
func (a *API) watch(c *call) error {
	about, err := a.subjectOf(c)
	if err != nil {
		return err
	}
	from := a.o.Store.Snapshot().Revision()
	if given := c.r.URL.Query().Get("from"); given != "" {
		if from, err = strconv.ParseUint(given, 10, 64); err != nil {
			return badRequest("from %q is no revision", given)
		}
	}
	full := problem.New(problem.Unavailable, "%d watches are open already", len(a.watches))
	// Strangers get half of the places, so that they cannot keep the administrator out.
	if !c.who.admin() && 2*len(a.watches) >= cap(a.watches) {
		return full
	}
	select {
	case a.watches <- struct{}{}:
		defer func() { <-a.watches }()
	default:
		return full
	}
	s := &stream{c: c, events: wants(c.r.Header.Values("Accept"), []string{mediaEvents}) && !wants(c.r.Header.Values("Accept"), []string{mediaLines})}
	// Before the start is told, so that nothing is missed after it.
	var status <-chan struct{}
	if about.volatile {
		status = a.o.Store.WatchVolatile()
	}
	s.begin()
	if err := s.send(watchEvent{Event: "start", Revision: from}); err != nil {
		return nil
	}
	ctx, stop := context.WithCancel(c.r.Context())
	log := &reader{watch: a.o.Store.Watch(from), store: a.o.Store, to: make(chan news), over: make(chan struct{})}
	go log.run(ctx, stop)
	a.follow(ctx, s, about, log.to, status)
	stop()
	<-log.over
	return nil
}

// subjectOf reads the query of a watch. Kinds that the caller may not read are refused when asked for, and left out otherwise.
func (a *API) subjectOf(c *call) (subject, error) {
	query := c.r.URL.Query()
	about := subject{kinds: map[string]bool{}, mesh: query.Get("mesh")}
	for _, word := range query["kind"] {
		at := slices.IndexFunc(a.o.Kinds, func(k *resource.Kind) bool {
			return k.Name == word || k.Path == word || k.AltPath == word && word != ""
		})
		if at < 0 {
			return about, badRequest("kind %q is not known", word)
		}
		if err := mayRead(c.who, a.o.Kinds[at]); err != nil {
			return about, err
		}
		about.kinds[a.o.Kinds[at].Name] = true
	}
	for _, k := range a.o.Kinds {
		if len(query["kind"]) == 0 && mayRead(c.who, k) == nil {
			about.kinds[k.Name] = true
		}
		about.volatile = about.volatile || k.Volatile && about.kinds[k.Name]
	}
	return about, nil
}

// follow sends what happens until the context ends or the client does not read any more.
func (a *API) follow(ctx context.Context, s *stream, about subject, changes <-chan news, status <-chan struct{}) {
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	// Status is told once a second at most: what happens in the pause is told after it.
	var pause <-chan time.Time
	var next <-chan struct{}
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case n := <-changes:
			err = s.sendNews(n, about)
		case <-status:
			next, status, pause = a.o.Store.WatchVolatile(), nil, time.After(time.Second)
			err = s.send(watchEvent{Event: "status", Revision: a.o.Store.Snapshot().Revision()})
		case <-pause:
			status, pause = next, nil
		case <-beat.C:
			err = s.blank()
		}
		if err != nil {
			return
		}
	}
}

// news is what a watch finds in the log: changes, or that some before resync were missed.
type news struct {
	changes []store.Change
	resync  uint64
}

// reader waits for the log in a goroutine of its own, and hands over what it finds.
type reader struct {
	watch *store.Watch
	store *store.Store
	to    chan news
	over  chan struct{}
}

// run ends with the context, or with the store, and then ends the context.
func (r *reader) run(ctx context.Context, stop context.CancelFunc) {
	defer close(r.over)
	defer stop()
	for {
		var n news
		var err error
		n.changes, err = r.watch.Next(ctx)
		if errors.Is(err, store.ErrCompacted) {
			n.resync, err = r.store.Snapshot().Revision(), nil
			r.watch = r.store.Watch(n.resync)
		}
		if err != nil {
			return
		}
		select {
		case r.to <- n:
		case <-ctx.Done():
			return
		}
	}
}

// stream writes events to one client.
type stream struct {
	c      *call
	events bool
	buffer bytes.Buffer
}

// begin answers; what follows is the stream.
func (s *stream) begin() {
	media := mediaLines
	if s.events {
		media = mediaEvents
	}
	s.c.Header().Set("Content-Type", media)
	s.c.Header().Set("Cache-Control", "no-store")
	s.c.WriteHeader(http.StatusOK)
}

// sendNews sends what of a batch is to be told, in one write.
func (s *stream) sendNews(n news, about subject) error {
	if n.resync != 0 {
		return s.send(watchEvent{Event: "resync", Revision: n.resync})
	}
	for _, change := range n.changes {
		if !about.wants(change.Key) {
			continue
		}
		e := watchEvent{
			Event: "configured", Revision: change.Revision, Time: &change.Time, Who: change.Who, Source: change.Source,
			Type: change.Key.Kind, Mesh: change.Key.Mesh, Name: change.Key.Name,
		}
		switch {
		case change.After == nil:
			e.Event = "deleted"
		case change.Before == nil:
			e.Event = "created"
		}
		if change.After != nil {
			raw, err := change.After.MarshalJSON()
			if err != nil {
				return err
			}
			e.Resource = raw
		}
		if err := s.append(e); err != nil {
			return err
		}
	}
	return s.flush()
}

func (s *stream) send(e watchEvent) error {
	if err := s.append(e); err != nil {
		return err
	}
	return s.flush()
}

// append puts an event into the buffer, as a line or as a server-sent event.
func (s *stream) append(e watchEvent) error {
	raw, err := marshal(e)
	if err != nil {
		return err
	}
	if s.events {
		fmt.Fprintf(&s.buffer, "event: %s\nid: %d\ndata: %s\n\n", e.Event, e.Revision, raw)
	} else {
		s.buffer.Write(raw)
		s.buffer.WriteByte('\n')
	}
	return nil
}

// blank is an empty line, which both formats overlook.
func (s *stream) blank() error {
	s.buffer.WriteByte('\n')
	return s.flush()
}

// flush sends what is in the buffer, within a limit of its own: those of the server are for answers that end.
func (s *stream) flush() error {
	if s.buffer.Len() == 0 {
		return nil
	}
	control := http.NewResponseController(s.c.ResponseWriter)
	// Writers in tests may have no deadline; then the write has none.
	_ = control.SetWriteDeadline(time.Now().Add(watchWrite))
	_, err := s.c.Write(s.buffer.Bytes())
	s.buffer.Reset()
	if err == nil {
		err = control.Flush()
	}
	return err
}

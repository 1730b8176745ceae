package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/kumactl/kumactl/internal/problem"
)

const (
	watchPath = "/_watch"
	// watchSilence is how long a stream may be quiet before it counts as dead; the server sends an empty line every 15 s.
	watchSilence = 45 * time.Second
	// watchGone is how long a control plane may be away before a watch gives up.
	watchGone = 2 * time.Minute
	// maxEvent bounds one line of the stream, in bytes.
	maxEvent = 4 << 20
)

// Changes tells that something changed. It outlives a restart of the control plane. One goroutine uses it.
type Changes struct {
	client *Client
	query  url.Values
	now    *changeStream
}

// Watch follows changes of some kinds (all for none). When it returns, the stream has begun: what is read after that misses nothing.
func (c *Client) Watch(ctx context.Context, kinds []string) (*Changes, error) {
	w := &Changes{client: c, query: url.Values{"kind": kinds}}
	var err error
	w.now, err = c.open(ctx, w.query)
	if errors.Is(err, errUnknownPath) {
		return nil, problem.New(problem.NotAllowed, "control plane at %s cannot be watched", c.URL()).
			WithHint("run the command without --watch; Kuma's own control plane has no stream of changes")
	}
	return w, err
}

// Next waits until something changed since the last call. Several changes count as one.
func (w *Changes) Next(ctx context.Context) error {
	select {
	case <-w.now.changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-w.now.ended:
	}
	w.now.close()
	again, err := backoff.Retry(ctx, func() (*changeStream, error) { return w.client.open(ctx, w.query) },
		backoff.WithMaxElapsedTime(watchGone))
	if err != nil {
		return err
	}
	w.now = again
	return nil
}

// Close ends the stream and waits for what reads it.
func (w *Changes) Close() { w.now.close() }

// changeStream is one connection. Its goroutine reads lines until the connection ends.
type changeStream struct {
	// changed holds at most one signal.
	changed chan struct{}
	ended   chan struct{}
	stop    context.CancelFunc
}

func (s *changeStream) close() {
	s.stop()
	<-s.ended
}

func (c *Client) open(ctx context.Context, query url.Values) (*changeStream, error) {
	q := call{method: http.MethodGet, path: watchPath, query: query}
	ctx, stop := context.WithCancel(ctx)
	resp, err := c.send(ctx, q)
	if err != nil {
		stop()
		return nil, c.unreachable(ctx, err)
	}
	if resp.StatusCode != http.StatusOK {
		defer stop()
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxEvent))
		if err != nil {
			return nil, c.unreachable(ctx, err)
		}
		a := &answer{resp.StatusCode, resp.Header, body}
		if unknownTo(a) {
			return nil, errUnknownPath
		}
		return nil, c.refusal(ctx, q, a)
	}
	s := &changeStream{changed: make(chan struct{}, 1), ended: make(chan struct{}), stop: stop}
	started := make(chan struct{})
	go func() {
		defer close(s.ended)
		defer stop()
		defer resp.Body.Close()
		s.read(resp.Body, started)
	}()
	select {
	case <-started:
		return s, nil
	case <-s.ended:
	case <-ctx.Done():
		<-s.ended
	}
	return nil, problem.New(problem.Unavailable, "control plane at %s ended the stream of changes before it began", c.URL())
}

// read signals each event until the stream ends, or is silent for too long.
func (s *changeStream) read(from io.Reader, started chan<- struct{}) {
	watchdog := time.AfterFunc(watchSilence, s.stop)
	defer watchdog.Stop()
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, maxEvent)
	for lines.Scan() {
		watchdog.Reset(watchSilence)
		if len(lines.Bytes()) == 0 {
			continue
		}
		var event struct {
			Event string `json:"event"`
		}
		if json.Unmarshal(lines.Bytes(), &event) != nil {
			return
		}
		if event.Event == "start" {
			if started != nil {
				close(started)
				started = nil
			}
			continue
		}
		select {
		case s.changed <- struct{}{}:
		default:
		}
	}
}

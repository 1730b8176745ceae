package launcher

import (
	"context"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/kumactl/kumactl/internal/problem"
)

// drainCheck is how often Envoy is asked, while it drains, whether anybody is still connected. Its admin has no way to tell
// us by itself.
const drainCheck = time.Second

// quietChecks is how many checks in a row must find Envoy quiet.
const quietChecks = 3

// serving is a data plane whose Envoy has been started.
type serving struct {
	launcher *Launcher
	envoy    *envoyProcess
	admin    *adminClient
	// ready is nil without a readiness server.
	ready   *readiness
	running Running
}

// until waits for the end: the context's, then it drains, or Envoy's own, which is an error.
func (s *serving) until(ctx context.Context) error {
	if s.ready != nil {
		s.ready.admin.Store(s.admin)
	}
	watch, cancel := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { s.announce(watch) })
	defer watching.Wait()
	defer cancel()
	select {
	case <-s.envoy.done:
		return s.envoy.exited()
	case <-ctx.Done():
		s.drain(context.WithoutCancel(ctx))
		return nil
	}
}

// announce asks Envoy's admin, at growing intervals up to half a second, until it serves for the first time, and tells. It
// asks because Envoy has no way to tell.
func (s *serving) announce(ctx context.Context) {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval, pause.RandomizationFactor = 20*time.Millisecond, 500*time.Millisecond, 0
	began, said := time.Now(), false
	_, err := backoff.Retry(ctx, func() (struct{}, error) { return struct{}{}, s.askReady(ctx) },
		backoff.WithBackOff(pause), backoff.WithMaxElapsedTime(0),
		backoff.WithNotify(func(err error, _ time.Duration) {
			if !said && time.Since(began) > 10*time.Second {
				said = true
				s.launcher.log.Warn("Envoy still waits for its first configuration from the control plane", "state", err)
			}
		}))
	if err != nil {
		return
	}
	debug.FreeOSMemory() // what the start needed is not needed again; a data plane lives long beside others
	s.launcher.log.Info("data plane is ready", "name", s.running.Name, "mesh", s.running.Mesh, "readiness", s.running.Readiness)
	if tell := s.launcher.cfg.OnReady; tell != nil {
		tell(s.running)
	}
}

func (s *serving) askReady(ctx context.Context) error {
	status, body, err := s.admin.do(ctx, http.MethodGet, "/ready")
	if err == nil && status != http.StatusOK {
		err = problem.New(problem.Unavailable, "envoy: %s", body)
	}
	return err
}

// drain lets connections end: readiness says so, Envoy answers its health checks with failure and closes what it can. It is
// over when Envoy is quiet, after the drain time, or when Stop is called.
func (s *serving) drain(ctx context.Context) {
	if s.ready != nil {
		s.ready.terminating.Store(true)
	}
	ctx, cancel := context.WithTimeout(ctx, s.launcher.cfg.DrainTime)
	defer cancel()
	s.launcher.log.Info("data plane drains", "for_up_to", s.launcher.cfg.DrainTime)
	if status, _, err := s.admin.do(ctx, http.MethodPost, "/healthcheck/fail"); err != nil || status != http.StatusOK {
		s.launcher.log.Info("envoy does not take the news that it drains", "status", status, "error", err)
		return // not up yet, or gone: nobody is connected
	}
	tick := time.NewTicker(drainCheck)
	defer tick.Stop()
	var calm quiet
	for {
		if now, err := s.admin.traffic(ctx); err == nil && calm.after(now) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		case <-s.launcher.stop:
			return
		case <-s.envoy.done:
			return
		}
	}
}

// quiet decides when a drain may end before its time. A draining Envoy closes each connection after one answer, so that
// nobody is connected at this moment proves nothing: somebody may come every second until the control plane has told them to
// go elsewhere.
type quiet struct {
	seen   traffic
	checks int
}

// after takes the next observation. It is true at once for an Envoy that nobody ever connected to, else when quietChecks
// in a row show no open connection and no new one.
func (q *quiet) after(now traffic) bool {
	if now.open == 0 && now.total == q.seen.total {
		q.checks++
	} else {
		q.checks = 0
	}
	q.seen = now
	return now.total == 0 || q.checks >= quietChecks
}

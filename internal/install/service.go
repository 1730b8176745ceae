package install

import (
	"context"
	"errors"
	"net/http"
	"os/exec"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/kumactl/kumactl/internal/problem"
)

// commands are what one supervisor is told, as command lines.
type commands struct {
	// checks all succeed when the service is set up and runs.
	checks [][]string
	// setup starts it now and from now on; restart after a change; stop ends it for good; forget after the unit has gone.
	setup, restart, stop, forget [][]string
	// log shows what the service said.
	log string
	// blocks: setup and restart come back when the service is ready, or has failed.
	blocks bool
}

func commandsOf(o Options) commands {
	if o.Supervisor == Launchd {
		return launchdCommands(o)
	}
	var scope []string
	journal := "journalctl"
	if o.Scope == User {
		scope, journal = []string{"--user"}, "journalctl --user"
	}
	systemctl := func(args ...string) []string { return append(append([]string{"systemctl"}, scope...), args...) }
	reload := systemctl("daemon-reload")
	return commands{
		checks:  [][]string{systemctl("--quiet", "is-enabled", systemdUnit), systemctl("--quiet", "is-active", systemdUnit)},
		setup:   [][]string{reload, systemctl("enable", "--now", systemdUnit)},
		restart: [][]string{reload, systemctl("restart", systemdUnit)},
		stop:    [][]string{systemctl("disable", "--now", systemdUnit)},
		forget:  [][]string{reload},
		log:     journal + " -u " + systemdUnit + " -n 50 --no-pager",
		blocks:  true,
	}
}

// carryOut runs the commands one after the other; an error has what the command said.
func (c commands) carryOut(ctx context.Context, lines [][]string) error {
	for _, line := range lines {
		out, err := exec.CommandContext(ctx, line[0], line[1:]...).CombinedOutput()
		if err != nil {
			said := strings.Join(strings.Fields(string(out)), " ")
			return problem.New(problem.Unavailable, "%s: %s (%w)", strings.Join(line, " "), said, err).WithHint("%s", c.log)
		}
	}
	return nil
}

// holding counts the checks that succeed.
func (c commands) holding(ctx context.Context) (n int) {
	for _, check := range c.checks {
		if exec.CommandContext(ctx, check[0], check[1:]...).Run() == nil {
			n++
		}
	}
	return n
}

// unit is the supervisor's file.
type unit struct {
	file
	commands commands
}

func (u unit) undo(ctx context.Context, r *run) (State, error) {
	state, err := u.file.undo(ctx, r)
	if err == nil && state == Removed {
		err = u.commands.carryOut(ctx, u.commands.forget)
	}
	return state, err
}

// service runs from now on, with the files as they are now.
type service struct {
	commands commands
	name     string
}

func (s service) step() Step { return Step{"service", s.name} }

func (s service) apply(ctx context.Context, r *run) (State, error) {
	switch {
	case s.commands.holding(ctx) < len(s.commands.checks):
		return Started, s.commands.carryOut(ctx, s.commands.setup)
	case r.changed:
		return Restarted, s.commands.carryOut(ctx, s.commands.restart)
	}
	return Unchanged, nil
}

func (s service) undo(ctx context.Context, _ *run) (State, error) {
	if s.commands.holding(ctx) == 0 {
		return Absent, nil
	}
	return Stopped, s.commands.carryOut(ctx, s.commands.stop)
}

func (s service) script(to *script) {
	check := make([]string, len(s.commands.checks))
	for i, c := range s.commands.checks {
		check[i] = words(c) + " >/dev/null 2>&1"
	}
	to.line("if ! { %s; }; then", strings.Join(check, " && "))
	for _, c := range s.commands.setup {
		to.line("\t%s", words(c))
	}
	to.line("elif [ -n \"$changed\" ]; then")
	for _, c := range s.commands.restart {
		to.line("\t%s", words(c))
	}
	to.line("fi")
}

// health waits until the control plane says that it is ready.
type health struct {
	commands commands
	settings Settings
	within   time.Duration
}

func (h health) step() Step { return Step{"ready", readyURL(h.settings)} }

func (h health) apply(ctx context.Context, r *run) (State, error) {
	now, err := r.settingsNow()
	if err != nil {
		return "", err
	}
	url := readyURL(now)
	ctx, cancel := context.WithTimeout(ctx, h.within)
	defer cancel()
	client := &http.Client{Timeout: 2 * time.Second}
	_, err = backoff.Retry(ctx, func() (int, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return 0, backoff.Permanent(err)
		}
		answer, err := client.Do(request)
		if err != nil {
			return 0, err
		}
		if err := answer.Body.Close(); err != nil || answer.StatusCode == http.StatusOK {
			return answer.StatusCode, err
		}
		return 0, errors.New(answer.Status)
	}, backoff.WithBackOff(&backoff.ExponentialBackOff{InitialInterval: 20 * time.Millisecond, Multiplier: 1.5, MaxInterval: time.Second}))
	if err != nil {
		return "", problem.New(problem.Unavailable, "control plane is not ready after %s: %w", h.within, err).WithHint("%s", h.commands.log)
	}
	return Ready, nil
}

func (health) undo(context.Context, *run) (State, error) { return "", nil }

func (h health) script(s *script) {
	if h.commands.blocks {
		s.line("# The supervisor came back above, so it is ready.")
		return
	}
	s.line("tries=0")
	s.line("until curl -fsS -o /dev/null %s; do", readyURL(h.settings))
	s.line("\ttries=$((tries + 1))")
	s.line("\t[ $tries -lt %d ] || exit 1", int(h.within.Seconds()))
	s.line("\tsleep 1")
	s.line("done")
}

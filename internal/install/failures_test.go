package install_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kumactl/kumactl/internal/install"
	"github.com/kumactl/kumactl/internal/problem"
)

func TestFailuresSayWhatToDo(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(m *machine)
		want  string
		hint  string
	}{
		"service does not start": {
			func(m *machine) { must(t, os.WriteFile(filepath.Join(m.supervisor, "broken"), nil, 0o644)) },
			"systemctl enable --now kumactl-control-plane.service: Job for kumactl-control-plane.service failed.",
			"journalctl -u kumactl-control-plane.service -n 50 --no-pager",
		},
		"never ready": {
			func(m *machine) { m.o.Settings.DiagnosticsPort, m.o.HealthyWithin = 1, 50*time.Millisecond },
			"control plane is not ready after 50ms", "journalctl -u kumactl-control-plane.service",
		},
		"no keys": {
			func(m *machine) { m.t.Setenv("KEYS", filepath.Join(m.supervisor, "elsewhere")) },
			"key /var/lib/kumactl/tls/ca.key was not made", "journalctl",
		},
		"file where a folder goes": {
			func(m *machine) {
				must(t, os.MkdirAll(m.disk("/etc"), 0o755))
				must(t, os.WriteFile(m.disk("/etc/kumactl"), nil, 0o644))
			},
			"configuration folder: /etc/kumactl is not a folder", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, install.System, install.Systemd)
			c.spoil(m)
			err := m.plan().Apply(t.Context(), func(install.Step, install.State) {})
			e, ok := errors.AsType[*problem.Error](err)
			if !ok || !strings.Contains(e.Error(), c.want) || !strings.Contains(e.Hint, c.hint) {
				t.Errorf("got %v, want %q with the hint %q", err, c.want, c.hint)
			}
		})
	}
}

func TestApplyEndsWithItsContext(t *testing.T) {
	m := newMachine(t, install.System, install.Systemd)
	m.o.Settings.DiagnosticsPort = 1
	ctx, cancel := context.WithCancel(t.Context())
	err := m.plan().Apply(ctx, func(s install.Step, _ install.State) {
		if s.Name == "ready" {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for name, spoil := range map[string]func(o *install.Options){
		"relative data folder":          func(o *install.Options) { o.Paths.DataDir = "data" },
		"no executable":                 func(o *install.Options) { o.Executable = "" },
		"line break in a path":          func(o *install.Options) { o.Paths.ConfigDir = "/etc/a\nb" },
		"no unit":                       func(o *install.Options) { o.Paths.UnitFile = "" },
		"quotes in the executable":      func(o *install.Options) { o.Executable = "/opt/it's/kumactl" },
		"data folder holds the machine": func(o *install.Options) { o.Paths.DataDir = "/" },
		"data folder holds the settings": func(o *install.Options) {
			o.Paths.DataDir = filepath.Dir(o.Paths.ConfigDir)
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, install.System, install.Systemd)
			spoil(&m.o)
			if _, err := install.NewPlan(m.o); problem.CodeOf(err) != problem.Invalid {
				t.Errorf("got %v", err)
			}
		})
	}
}

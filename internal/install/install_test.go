package install_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kumactl/kumactl/internal/install"
)

// machine is one to install on: folders of its own, a supervisor that only takes notes, and a control plane that is ready as soon
// as the supervisor has started it.
type machine struct {
	t          *testing.T
	o          install.Options
	supervisor string
	contexts   map[string]string
}

func newMachine(t *testing.T, scope install.Scope, supervisor install.Supervisor) *machine {
	t.Helper()
	dir := t.TempDir()
	m := &machine{t: t, supervisor: filepath.Join(dir, "supervisor"), contexts: map[string]string{}}
	ready := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := os.Stat(filepath.Join(m.supervisor, "active")); err != nil || r.URL.Path != "/ready" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(ready.Close)
	at, err := url.Parse(ready.URL)
	must(t, err)

	paths := install.Paths{ConfigDir: "/etc/kumactl", DataDir: "/var/lib/kumactl", UnitFile: "/etc/systemd/system/kumactl-control-plane.service"}
	if supervisor == install.Launchd {
		paths.UnitFile, paths.LogFile = "/Library/LaunchDaemons/io.kumactl.control-plane.plist", "/Library/Logs/kumactl.log"
	}
	settings := install.DefaultSettings()
	settings.DiagnosticsPort, err = strconv.Atoi(at.Port())
	must(t, err)
	m.o = install.Options{
		Scope: scope, Supervisor: supervisor, Paths: paths, Executable: "/usr/bin/kumactl", Settings: settings, UID: 501,
		Root: filepath.Join(dir, "it's a root"), HealthyWithin: 10 * time.Second,
	}
	if supervisor == install.Systemd && scope == install.System {
		m.o.Executable, m.o.Program = "/usr/local/bin/kumactl", filepath.Join(dir, "build's kumactl")
		must(t, os.WriteFile(m.o.Program, []byte("#!/bin/sh\n"), 0o700))
	}
	m.o.Context = &install.Context{Name: "here", Save: m.save, Remove: m.forget}

	tool, err := filepath.Abs("testdata/supervisor")
	must(t, err)
	must(t, os.MkdirAll(m.supervisor, 0o755))
	for _, name := range []string{"systemctl", "launchctl"} {
		must(t, os.Symlink(tool, filepath.Join(m.supervisor, name)))
	}
	t.Setenv("PATH", m.supervisor+":"+os.Getenv("PATH"))
	t.Setenv("SUPERVISOR", m.supervisor)
	t.Setenv("KEYS", m.disk(paths.DataDir+"/tls"))
	return m
}

func (m *machine) save(name, address string) (install.State, error) {
	old, known := m.contexts[name]
	m.contexts[name] = address
	switch {
	case !known:
		return install.Created, nil
	case old != address:
		return install.Updated, nil
	}
	return install.Unchanged, nil
}

func (m *machine) forget(name string) (install.State, error) {
	if _, known := m.contexts[name]; !known {
		return install.Absent, nil
	}
	delete(m.contexts, name)
	return install.Removed, nil
}

func (m *machine) disk(path string) string { return filepath.Join(m.o.Root, path) }

func (m *machine) plan() install.Plan {
	m.t.Helper()
	plan, err := install.NewPlan(m.o)
	must(m.t, err)
	return plan
}

// told gathers the end of each step, as `name: state`.
func told(lines *[]string) func(install.Step, install.State) {
	return func(s install.Step, state install.State) {
		if state != install.Working {
			*lines = append(*lines, s.Name+": "+string(state))
		}
	}
}

func (m *machine) apply() []string {
	m.t.Helper()
	var lines []string
	must(m.t, m.plan().Apply(m.t.Context(), told(&lines)))
	return lines
}

func (m *machine) uninstall(purge bool) []string {
	m.t.Helper()
	var lines []string
	must(m.t, m.plan().Uninstall(m.t.Context(), purge, told(&lines)))
	return lines
}

// commands are those that the supervisor got since the last call, without questions.
func (m *machine) commands() (done []string) {
	m.t.Helper()
	name := filepath.Join(m.supervisor, "commands")
	raw, err := os.ReadFile(name)
	if !errors.Is(err, fs.ErrNotExist) {
		must(m.t, err)
		must(m.t, os.Remove(name))
	}
	for line := range strings.Lines(string(raw)) {
		if !strings.Contains(line, " is-") && !strings.Contains(line, " print ") {
			done = append(done, strings.TrimSpace(line))
		}
	}
	return done
}

var secret = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// files lists everything below the root with its mode, and what is in it.
func (m *machine) files() map[string]string {
	m.t.Helper()
	all := map[string]string{}
	must(m.t, filepath.WalkDir(m.o.Root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := ""
		if !d.IsDir() {
			raw, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			if text = string(raw); secret.MatchString(text) {
				text = "a secret"
			}
		}
		rel, err := filepath.Rel(m.o.Root, name)
		all["/"+rel] = fmt.Sprintf("%v %s", info.Mode(), text)
		return err
	}))
	return all
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func same[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

var everySupervisor = map[string]struct {
	scope      install.Scope
	supervisor install.Supervisor
	start      []string
	stop       []string
}{
	"systemd for the system": {
		install.System, install.Systemd,
		[]string{"systemctl daemon-reload", "systemctl enable --now kumactl-control-plane.service"},
		[]string{"systemctl disable --now kumactl-control-plane.service", "systemctl daemon-reload"},
	},
	"systemd for a user": {
		install.User, install.Systemd,
		[]string{"systemctl --user daemon-reload", "systemctl --user enable --now kumactl-control-plane.service"},
		[]string{"systemctl --user disable --now kumactl-control-plane.service", "systemctl --user daemon-reload"},
	},
	"launchd for the system": {
		install.System, install.Launchd,
		[]string{"launchctl bootstrap system /Library/LaunchDaemons/io.kumactl.control-plane.plist"},
		[]string{"launchctl bootout system/io.kumactl.control-plane"},
	},
	"launchd for a user": {
		install.User, install.Launchd,
		[]string{"launchctl bootstrap gui/501 /Library/LaunchDaemons/io.kumactl.control-plane.plist"},
		[]string{"launchctl bootout gui/501/io.kumactl.control-plane"},
	},
	"no supervisor": {scope: install.System, supervisor: install.None},
}

func TestApplyTwiceAndUninstall(t *testing.T) {
	for name, c := range everySupervisor {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, c.scope, c.supervisor)
			started := func(unit, service install.State) (lines []string) {
				if c.supervisor != install.None {
					lines = []string{"unit: " + string(unit), "service: " + string(service), "ready: ready", "keys: unchanged"}
				}
				return lines
			}
			copied := func(state install.State) (lines []string) {
				if m.o.Program != "" {
					lines = []string{"program: " + string(state)}
				}
				return lines
			}
			made := append(copied("created"), "configuration folder: created", "data folder: created", "configuration: created", "admin token: created")
			same(t, "first time", m.apply(), append(append(made, started("created", "started")...), "context: created"))
			same(t, "commands of the first time", m.commands(), c.start)
			same(t, "context", m.contexts["here"], "http://127.0.0.1:5681")
			before := m.files()
			same(t, "mode of the token", before["/etc/kumactl/admin-token"], "-rw------- a secret")
			same(t, "mode of the data folder", before["/var/lib/kumactl"], "drwx------ ")

			nothing := append(copied("unchanged"), "configuration folder: unchanged", "data folder: unchanged", "configuration: unchanged", "admin token: unchanged")
			same(t, "second time", m.apply(), append(append(nothing, started("unchanged", "unchanged")...), "context: unchanged"))
			same(t, "commands of the second time", m.commands(), nil)
			same(t, "files after the second time", m.files(), before)

			m.uninstall(false)
			same(t, "commands of the end", m.commands(), c.stop)
			for name := range m.files() {
				if strings.Contains(name, "etc/kumactl") || strings.HasSuffix(name, ".service") || strings.HasSuffix(name, ".plist") || strings.Contains(name, "bin/") {
					t.Errorf("%s is still there", name)
				}
			}
			same(t, "data folder", m.files()["/var/lib/kumactl"], "drwx------ ")
			same(t, "contexts", len(m.contexts), 0)
			for _, line := range m.uninstall(true) {
				if name, state, _ := strings.Cut(line, ": "); state != "absent" && line != "data folder: removed" {
					t.Errorf("%s is %s when all is gone", name, state)
				}
			}
			if _, err := os.Stat(m.disk("/var/lib/kumactl")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the data folder is there after purge: %v", err)
			}
		})
	}
}

func TestEditedConfigurationIsKeptAndHeeded(t *testing.T) {
	m := newMachine(t, install.System, install.Systemd)
	m.apply()
	m.commands()
	edited := strings.Replace(m.files()["/etc/kumactl/control-plane.yaml"][len("-rw-r--r-- "):], "port: 5681", "port: 15681", 1)
	must(t, os.WriteFile(m.disk("/etc/kumactl/control-plane.yaml"), []byte(edited), 0o644))
	m.o.Settings.DiagnosticsPort = 1 // the file's is the right one

	lines := strings.Join(m.apply(), "\n")
	for _, want := range []string{"configuration: kept", "service: unchanged", "context: updated"} {
		if !strings.Contains(lines, want) {
			t.Errorf("%q is not in\n%s", want, lines)
		}
	}
	same(t, "context", m.contexts["here"], "http://127.0.0.1:15681")
	same(t, "commands", m.commands(), nil)
}

func TestChangesRestartTheService(t *testing.T) {
	m := newMachine(t, install.System, install.Systemd)
	m.apply()
	m.commands()
	m.o.Executable, m.o.Program = "/opt/kumactl/kumactl", ""
	lines := strings.Join(m.apply(), "\n")
	if !strings.Contains(lines, "unit: updated\nservice: restarted") {
		t.Errorf("not restarted:\n%s", lines)
	}
	same(t, "commands", m.commands(), []string{"systemctl daemon-reload", "systemctl restart kumactl-control-plane.service"})
}

func TestANewProgramIsCopiedAndStarted(t *testing.T) {
	m := newMachine(t, install.System, install.Systemd)
	m.apply()
	must(t, os.WriteFile(m.o.Program, []byte("#!/bin/sh\n# newer\n"), 0o700))
	lines := strings.Join(m.apply(), "\n")
	if !strings.Contains(lines, "program: updated\n") || !strings.Contains(lines, "service: restarted") {
		t.Errorf("not updated:\n%s", lines)
	}
	same(t, "program", m.files()["/usr/local/bin/kumactl"], "-rwxr-xr-x #!/bin/sh\n# newer\n")
	must(t, os.WriteFile(m.disk("/usr/local/bin/kumactl"), []byte("somebody else's"), 0o755))
	if lines := m.uninstall(true); lines[len(lines)-1] != "program: kept" {
		t.Errorf("another program was not kept: %v", lines)
	}
}

func TestOpenSecretsAreClosed(t *testing.T) {
	m := newMachine(t, install.System, install.Systemd)
	m.apply()
	for _, name := range []string{"/etc/kumactl/admin-token", "/var/lib/kumactl/tls/ca.key"} {
		must(t, os.Chmod(m.disk(name), 0o644))
	}
	must(t, os.Chmod(m.disk("/var/lib/kumactl"), 0o755))
	lines := strings.Join(m.apply(), "\n")
	for _, want := range []string{"admin token: updated", "keys: updated", "data folder: updated"} {
		if !strings.Contains(lines, want) {
			t.Errorf("%q is not in\n%s", want, lines)
		}
	}
	for name, text := range m.files() {
		if (strings.Contains(text, "secret") || name == "/var/lib/kumactl") && !strings.Contains(text[:10], "------") {
			t.Errorf("%s is open to others: %s", name, text)
		}
	}
}

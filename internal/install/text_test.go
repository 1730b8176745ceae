package install_test

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/kumactl/kumactl/internal/install"
	"github.com/kumactl/kumactl/internal/server"
)

var update = flag.Bool("update", false, "rewrite the files of packaging/")

// TestScriptDoesTheSame runs the printed script, twice, on one machine and applies the plan on another.
func TestScriptDoesTheSame(t *testing.T) {
	for name, c := range everySupervisor {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, c.scope, c.supervisor)
			m.apply()
			want := m.files()

			s := newMachine(t, c.scope, c.supervisor)
			s.o.Settings.DiagnosticsPort = m.o.Settings.DiagnosticsPort // it is in the files
			client := filepath.Join(s.supervisor, "kumactl")
			must(t, os.WriteFile(client, []byte("#!/bin/sh\necho \"$@\" >>\"$SUPERVISOR/client\"\n"), 0o755))
			text := strings.ReplaceAll(s.plan().Script(), "\n"+s.o.Executable+" config", "\n'"+client+"' config")
			first := shell(t, text)
			same(t, "commands", s.commands(), c.start)
			same(t, "files", s.files(), want)
			if c.supervisor == install.None {
				same(t, "what it says", first, "No service manager runs here. Start the control plane with:\n"+
					"  /usr/bin/kumactl run control-plane --config /etc/kumactl/control-plane.yaml\n")
			}
			raw, err := os.ReadFile(filepath.Join(s.supervisor, "client"))
			must(t, err)
			same(t, "client", string(raw), "config control-planes add --name here --address http://127.0.0.1:5681 --overwrite --skip-check\n")

			token, err := os.ReadFile(s.disk("/etc/kumactl/admin-token"))
			must(t, err)
			shell(t, text)
			same(t, "commands of the second run", s.commands(), nil)
			again, err := os.ReadFile(s.disk("/etc/kumactl/admin-token"))
			must(t, err)
			same(t, "token after the second run", string(again), string(token))
			if strings.Contains(text, string(token)) {
				t.Error("the script holds the token")
			}
		})
	}
}

func shell(t *testing.T, text string) string {
	t.Helper()
	sh := exec.CommandContext(t.Context(), "sh")
	sh.Stdin = strings.NewReader(text)
	out, err := sh.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s\n%s", err, out, text)
	}
	return string(out)
}

// packaged are the options under which deb and rpm packages put files down.
func packaged() install.Options {
	return install.Options{
		Supervisor: install.Systemd, Executable: "/usr/bin/kumactl", Settings: install.DefaultSettings(),
		Paths: install.Paths{ConfigDir: "/etc/kumactl", DataDir: "/var/lib/kumactl", UnitFile: "/etc/systemd/system/kumactl-control-plane.service"},
	}
}

// written applies a plan without a running supervisor and gives the files that it writes.
func written(t *testing.T, o install.Options) (unit, configuration string) {
	t.Helper()
	m := newMachine(t, o.Scope, o.Supervisor)
	o.Root, o.HealthyWithin = m.o.Root, m.o.HealthyWithin
	ready := m.o.Settings.DiagnosticsPort
	plan, err := install.NewPlan(o)
	must(t, err)
	// What is wanted is there before the service is started.
	err = plan.Apply(t.Context(), func(s install.Step, state install.State) {
		if s.Name == "service" && state == install.Working {
			raw, err := os.ReadFile(m.disk(o.Paths.UnitFile))
			must(t, err)
			unit = string(raw)
			raw, err = os.ReadFile(m.disk(o.Paths.ConfigFile()))
			must(t, err)
			configuration = string(raw)
			port := []byte("diagnostics:\n  serverPort: " + strconv.Itoa(ready) + "\n")
			must(t, os.WriteFile(m.disk(o.Paths.ConfigFile()), port, 0o644))
			t.Setenv("KEYS", m.disk(o.Paths.DataDir+"/tls"))
		}
	})
	must(t, err)
	return unit, configuration
}

// TestPackagesHoldTheSame: deb and rpm lay down what install writes.
func TestPackagesHoldTheSame(t *testing.T) {
	unit, configuration := written(t, packaged())
	for name, text := range map[string]string{"kumactl-control-plane.service": unit, "control-plane.yaml": configuration} {
		file := filepath.Join("..", "..", "packaging", name)
		if *update {
			must(t, os.WriteFile(file, []byte(text), 0o644))
		}
		raw, err := os.ReadFile(file)
		must(t, err)
		same(t, file, string(raw), text)
	}
}

// oddly has names that every kind of file has to quote in its own way.
func oddly(scope install.Scope, supervisor install.Supervisor) install.Options {
	o := packaged()
	o.Scope, o.Supervisor = scope, supervisor
	o.Executable = "/opt/100% mesh & co/$HOME/kumactl"
	o.Paths.ConfigDir, o.Paths.DataDir = "/etc/it's: a \"$1\"/kumactl", "/srv/true $ 5%/data"
	o.Settings.Zone = "true"
	return o
}

func TestConfigurationIsReadByTheServer(t *testing.T) {
	for name, o := range map[string]install.Options{"usual": packaged(), "odd": oddly(install.System, install.Systemd)} {
		t.Run(name, func(t *testing.T) {
			_, configuration := written(t, o)
			file := filepath.Join(t.TempDir(), "control-plane.yaml")
			must(t, os.WriteFile(file, []byte(configuration), 0o644))
			got := server.DefaultConfig("")
			must(t, got.ReadFile(file, server.Origins{}))
			must(t, got.Validate())
			want := server.DefaultConfig(o.Paths.DataDir)
			want.APIServer.AdminTokenFile, want.Multizone.Zone.Name = o.Paths.TokenFile(), o.Settings.Zone
			same(t, "configuration", got, want)
		})
	}
}

func TestUnits(t *testing.T) {
	for name, c := range map[string]struct {
		scope      install.Scope
		supervisor install.Supervisor
		want       []string
	}{
		"system": {install.System, install.Systemd, []string{
			`ExecStart="/opt/100%% mesh & co/$HOME/kumactl" run control-plane --config "/etc/it's: a \"$$1\"/kumactl/control-plane.yaml"`,
			`ReadWritePaths="/srv/true $ 5%%/data"`, "ProtectSystem=strict", "NoNewPrivileges=yes", "Type=notify", "Restart=on-failure", "UMask=0077",
			"CapabilityBoundingSet=\n", "WantedBy=multi-user.target",
		}},
		"user": {install.User, install.Systemd, []string{
			`ExecStart="/opt/100%% mesh & co/$HOME/kumactl" run control-plane --config`,
			"NoNewPrivileges=yes", "Type=notify", "Restart=on-failure", "UMask=0077", "WantedBy=default.target",
		}},
		"launchd": {install.System, install.Launchd, []string{
			"<string>/opt/100% mesh &amp; co/$HOME/kumactl</string>", "<string>io.kumactl.control-plane</string>",
			"<string>/etc/it&#39;s: a &#34;$1&#34;/kumactl/control-plane.yaml</string>", "<key>Umask</key>\n\t<integer>63</integer>",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			unit, _ := written(t, oddly(c.scope, c.supervisor))
			for _, want := range c.want {
				if !strings.Contains(unit, want) {
					t.Errorf("%q is not in\n%s", want, unit)
				}
			}
			if strings.Contains(unit, "@") && !strings.Contains(unit, "@system-service") {
				t.Errorf("a value is missing in\n%s", unit)
			}
			if c.supervisor == install.Systemd {
				verify(t, c.scope, unit)
			}
		})
	}
}

// verify has systemd read the unit, where there is one; the expectations above hold everywhere.
func verify(t *testing.T, scope install.Scope, unit string) {
	t.Helper()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("systemd-analyze is not here: systemd did not read this unit")
		return
	}
	dir := t.TempDir()
	// It wants the program to be there.
	program := filepath.Join(dir, "100% mesh & co", "$HOME", "kumactl")
	must(t, os.MkdirAll(filepath.Dir(program), 0o755))
	must(t, os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755))
	file := filepath.Join(dir, "kumactl-control-plane.service")
	must(t, os.WriteFile(file, []byte(strings.ReplaceAll(unit, `"/opt/`, `"`+dir+`/`)), 0o644))
	args := []string{"verify", "--man=no", file}
	if scope == install.User {
		args = append([]string{"--user"}, args...)
	}
	cmd := exec.CommandContext(t.Context(), analyze, args...)
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+dir)
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), file) {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

func TestDefaultPaths(t *testing.T) {
	none := func(string) string { return "" }
	env := func(vars map[string]string) func(string) string {
		return func(name string) string { return vars[name] }
	}
	for name, c := range map[string]struct {
		uid          int
		getenv       func(string) string
		config, data string
	}{
		"root":           {0, env(map[string]string{"HOME": "/root", "XDG_DATA_HOME": "/x"}), "/etc/kumactl", "/var/lib/kumactl"},
		"user":           {1000, env(map[string]string{"HOME": "/home/a"}), "/home/a/.config/kumactl", "/home/a/.local/share/kumactl"},
		"user with XDG":  {1000, env(map[string]string{"HOME": "/home/a", "XDG_CONFIG_HOME": "/c", "XDG_DATA_HOME": "/d"}), "/c/kumactl", "/d/kumactl"},
		"relative XDG":   {1000, env(map[string]string{"HOME": "/home/a", "XDG_DATA_HOME": "d"}), "/home/a/.config/kumactl", "/home/a/.local/share/kumactl"},
		"without a home": {1000, none, ".config/kumactl", ".local/share/kumactl"},
	} {
		t.Run(name, func(t *testing.T) {
			p := install.DefaultPaths(c.uid, c.getenv)
			same(t, "configuration", p.ConfigDir, c.config)
			same(t, "data", p.DataDir, c.data)
		})
	}
}

// TestForThisMachine: what is found here makes a plan.
func TestForThisMachine(t *testing.T) {
	o, err := install.ForThisMachine(os.Getenv)
	must(t, err)
	plan, err := install.NewPlan(o)
	must(t, err)
	if (plan.Manual() == "") != (o.Supervisor != install.None) {
		t.Errorf("started by %v, by hand with %q", o.Supervisor, plan.Manual())
	}
}

package install

import (
	"os"
	"path/filepath"
	"runtime"

	"github.com/kumactl/kumactl/internal/problem"
)

// ForThisMachine gives the options that fit this machine and whoever runs this: a system service for root, a user's for
// everybody else, supervised by what runs here.
func ForThisMachine(getenv func(string) string) (Options, error) {
	uid := os.Geteuid()
	executable, err := os.Executable()
	if err != nil {
		return Options{}, problem.New(problem.Unavailable, "path of kumactl: %w", err)
	}
	o := Options{Scope: User, UID: uid, Paths: DefaultPaths(uid, getenv), Settings: DefaultSettings()}
	if uid == 0 {
		o.Scope = System
	}
	o.Supervisor = runningSupervisor(o.Scope, getenv)
	o.Executable = executable
	if o.Supervisor != None {
		o.Executable, o.Program = supervised(o.Scope, executable)
	}
	o.Paths = withUnit(o, getenv)
	return o, nil
}

// runningSupervisor is what supervises services here. An installed systemd that does not run (a container) is none.
func runningSupervisor(scope Scope, getenv func(string) string) Supervisor {
	if runtime.GOOS == "darwin" {
		return Launchd
	}
	here := []string{"/run/systemd/system"} // sd_booted(3)
	if scope == User {
		here = append(here, filepath.Join(getenv("XDG_RUNTIME_DIR"), "systemd"))
	}
	for _, dir := range here {
		if _, err := os.Stat(dir); err != nil || !filepath.IsAbs(dir) {
			return None
		}
	}
	return Systemd
}

const (
	systemdUnit  = "kumactl-control-plane.service"
	launchdLabel = "io.kumactl.control-plane"
)

// withUnit adds where the supervisor looks for its units, and launchd's log.
func withUnit(o Options, getenv func(string) string) Paths {
	p, library := o.Paths, "/Library"
	if o.Scope == User {
		library = filepath.Join(home(getenv), "Library")
	}
	switch {
	case o.Supervisor == Systemd && o.Scope == System:
		p.UnitFile = filepath.Join("/etc/systemd/system", systemdUnit)
	case o.Supervisor == Systemd:
		p.UnitFile = filepath.Join(xdg(getenv, "XDG_CONFIG_HOME", ".config"), "systemd", "user", systemdUnit)
	case o.Supervisor == Launchd && o.Scope == System:
		p.UnitFile = filepath.Join(library, "LaunchDaemons", launchdLabel+".plist")
	case o.Supervisor == Launchd:
		p.UnitFile = filepath.Join(library, "LaunchAgents", launchdLabel+".plist")
	}
	if o.Supervisor == Launchd {
		p.LogFile = filepath.Join(library, "Logs", "kumactl-control-plane.log")
	}
	return p
}

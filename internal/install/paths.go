package install

import "path/filepath"

// Paths are where a node keeps what it is. All are absolute.
type Paths struct {
	ConfigDir string
	DataDir   string
	// UnitFile is what the supervisor reads; empty without one.
	UnitFile string
	// LogFile is where launchd puts the control plane's log; systemd has a journal.
	LogFile string
}

// ConfigFile is what the control plane reads at its start.
func (p Paths) ConfigFile() string { return filepath.Join(p.ConfigDir, "control-plane.yaml") }

// TokenFile holds the administrator's token.
func (p Paths) TokenFile() string { return filepath.Join(p.ConfigDir, "admin-token") }

// keyFiles are what the control plane makes in its data folder at its first start, and that nobody else may read.
func (p Paths) keyFiles() []string {
	tls := filepath.Join(p.DataDir, "tls")
	return []string{filepath.Join(tls, "ca.key"), filepath.Join(tls, "tls.key")}
}

// DefaultPaths follows the file system hierarchy for root and the XDG base directories for everybody else. uid is the effective
// user id (-1 where there is none).
func DefaultPaths(uid int, getenv func(string) string) Paths {
	if uid == 0 {
		return Paths{ConfigDir: "/etc/kumactl", DataDir: "/var/lib/kumactl"}
	}
	return Paths{
		ConfigDir: filepath.Join(xdg(getenv, "XDG_CONFIG_HOME", ".config"), "kumactl"),
		DataDir:   filepath.Join(xdg(getenv, "XDG_DATA_HOME", filepath.Join(".local", "share")), "kumactl"),
	}
}

// DefaultDataDir is where this user's control plane keeps its store and its keys.
func DefaultDataDir(uid int, getenv func(string) string) string {
	return DefaultPaths(uid, getenv).DataDir
}

// xdg is a base directory; a relative value in the environment is to be ignored, says its specification.
func xdg(getenv func(string) string, name, fallback string) string {
	if dir := getenv(name); filepath.IsAbs(dir) {
		return dir
	}
	return filepath.Join(home(getenv), fallback)
}

// home is the user's home, also where only Windows says so.
func home(getenv func(string) string) string {
	if dir := getenv("HOME"); dir != "" {
		return dir
	}
	return getenv("USERPROFILE")
}

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/kumactl/kumactl/internal/client"
	"github.com/kumactl/kumactl/internal/install"
)

func TestInstallRemembersTheControlPlane(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config")
	a := &app{getenv: func(string) string { return "" }, global: globalOptions{configFile: path}}
	o := &installOptions{change: a.changeContexts}
	for _, step := range []struct {
		name string
		do   func() (install.State, error)
		want install.State
	}{
		{"known from the start", func() (install.State, error) { return o.remember("local", "http://127.0.0.1:5681") }, install.Unchanged},
		{"at another port", func() (install.State, error) { return o.remember("local", "http://127.0.0.1:1") }, install.Updated},
		{"again", func() (install.State, error) { return o.remember("local", "http://127.0.0.1:1") }, install.Unchanged},
		{"under another name", func() (install.State, error) { return o.remember("node", "http://127.0.0.1:2") }, install.Created},
		{"forgotten", func() (install.State, error) { return o.forget("node") }, install.Removed},
		{"forgotten again", func() (install.State, error) { return o.forget("node") }, install.Absent},
		{"back to the usual", func() (install.State, error) { return o.remember("local", client.LocalURL) }, install.Updated},
		{"the usual one stays", func() (install.State, error) { return o.forget("local") }, install.Absent},
	} {
		if got, err := step.do(); got != step.want || err != nil {
			t.Errorf("%s: %s, %v; want %s", step.name, got, err, step.want)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

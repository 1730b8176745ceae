package install

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"strconv"

	"sigs.k8s.io/yaml"

	"github.com/kumactl/kumactl/internal/problem"
)

// keys are the control plane's own, made by itself at its first start. Here it is made sure that nobody else can read them.
type keys struct{ paths Paths }

func (k keys) step() Step { return Step{"keys", k.paths.keyFiles()[0]} }

func (k keys) apply(_ context.Context, r *run) (State, error) {
	now, err := r.config()
	if err != nil {
		return "", err
	}
	if now.General.TLSCertFile != "" {
		return Unchanged, nil // the person's own certificate, and own care
	}
	state := Unchanged
	for _, path := range k.paths.keyFiles() {
		info, err := os.Stat(r.disk(path))
		if errors.Is(err, fs.ErrNotExist) {
			return "", problem.New(problem.Unavailable, "key %s was not made by the control plane", path).
				WithHint("%s", commandsOf(r.o).log)
		}
		if err != nil {
			return "", err
		}
		one, err := tighten(r.disk(path), info, 0o600)
		if err != nil {
			return "", err
		}
		if one == Updated {
			state = Updated
		}
	}
	return state, nil
}

func (keys) undo(context.Context, *run) (State, error) { return "", nil }

func (k keys) script(s *script) {
	for _, path := range k.paths.keyFiles() {
		s.line("chmod go= %s", s.path(path))
	}
}

// clientContext makes kumactl find the control plane.
type clientContext struct {
	Context
	settings   Settings
	executable string
}

func (c clientContext) step() Step { return Step{"context", c.Name} }

func (c clientContext) apply(_ context.Context, r *run) (State, error) {
	now, err := r.settingsNow()
	if err != nil {
		return "", err
	}
	return c.Save(c.Name, apiURL(now))
}

func (c clientContext) undo(context.Context, *run) (State, error) { return c.Remove(c.Name) }

func (c clientContext) script(s *script) {
	s.line("%s", words([]string{c.executable, "config", "control-planes", "add", "--name", c.Name, "--address", apiURL(c.settings), "--overwrite", "--skip-check"}))
}

func apiURL(s Settings) string   { return "http://" + local(s.HTTPPort) }
func readyURL(s Settings) string { return "http://" + local(s.DiagnosticsPort) + "/ready" }

func local(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// configOnDisk are the settings that a person may have changed in the file and that matter here.
type configOnDisk struct {
	General struct {
		TLSCertFile string `json:"tlsCertFile"`
	} `json:"general"`
	APIServer struct {
		HTTP struct {
			Port int `json:"port"`
		} `json:"http"`
	} `json:"apiServer"`
	Diagnostics struct {
		ServerPort int `json:"serverPort"`
	} `json:"diagnostics"`
}

func (r *run) config() (configOnDisk, error) {
	var c configOnDisk
	c.APIServer.HTTP.Port, c.Diagnostics.ServerPort = DefaultSettings().HTTPPort, DefaultSettings().DiagnosticsPort
	raw, err := os.ReadFile(r.disk(r.o.Paths.ConfigFile()))
	if err != nil {
		return c, err
	}
	if err := yaml.Unmarshal(raw, &c); err != nil {
		return c, problem.New(problem.Invalid, "%s: %w", r.o.Paths.ConfigFile(), err)
	}
	return c, nil
}

// settingsNow are the settings with the ports that the configuration file says now: it may be an older one, or edited.
func (r *run) settingsNow() (Settings, error) {
	c, err := r.config()
	s := r.o.Settings
	s.HTTPPort, s.DiagnosticsPort = c.APIServer.HTTP.Port, c.Diagnostics.ServerPort
	return s, err
}

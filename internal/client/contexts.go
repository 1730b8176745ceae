package client

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"sigs.k8s.io/yaml"

	"github.com/kumactl/kumactl/internal/problem"
	"github.com/kumactl/kumactl/internal/wholefile"
)

// Contexts is the file with the known control planes, ~/.kumactl/config. It is the file of Kuma's kumactl: both can use the same one.
type Contexts struct {
	Contexts       []Context      `json:"contexts,omitempty"`
	ControlPlanes  []ControlPlane `json:"controlPlanes,omitempty"`
	CurrentContext string         `json:"currentContext,omitempty"`
}

// Context gives a control plane a name to switch to.
type Context struct {
	Name         string `json:"name"`
	ControlPlane string `json:"controlPlane"`
}

// ControlPlane is one known control plane.
type ControlPlane struct {
	Name        string      `json:"name"`
	Coordinates Coordinates `json:"coordinates"`
}

// Coordinates say how a control plane is reached.
type Coordinates struct {
	APIServer Endpoint `json:"apiServer"`
}

// Endpoint is the HTTP API of a control plane, and what it wants to see from who calls it. Files are named, never copied.
type Endpoint struct {
	URL            string            `json:"url"`
	CACertFile     string            `json:"caCertFile,omitempty"`
	ClientCertFile string            `json:"clientCertFile,omitempty"`
	ClientKeyFile  string            `json:"clientKeyFile,omitempty"`
	Headers        []Header          `json:"headers,omitempty"`
	AuthType       string            `json:"authType,omitempty"`
	AuthConf       map[string]string `json:"authConf,omitempty"`
	SkipVerify     bool              `json:"skipVerify,omitempty"`
}

// Header is one header that every request carries.
type Header struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// LocalURL is where a control plane on this machine answers.
const LocalURL = "http://localhost:5681"

// AuthTokens is the one type of authentication: a bearer token under `token`.
const AuthTokens = "tokens"

// DefaultContexts know the control plane on this machine.
func DefaultContexts() *Contexts {
	return &Contexts{
		Contexts:       []Context{{Name: "local", ControlPlane: "local"}},
		ControlPlanes:  []ControlPlane{{Name: "local", Coordinates: Coordinates{Endpoint{URL: LocalURL}}}},
		CurrentContext: "local",
	}
}

// ReadContexts reads the file; fs.ErrNotExist is in the chain when there is none.
func ReadContexts(path string) (*Contexts, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, problem.New(problem.Invalid, "file with the known control planes: %w", err).
			WithHint("--config-file FILE names another one, --no-config does without")
	}
	var c Contexts
	if err := yaml.Unmarshal(raw, &c); err != nil {
		return nil, problem.New(problem.Invalid, "%s: %w", path, err).
			WithHint("repair the file, or move it away: it is made anew with the control plane on this machine in it")
	}
	return &c, nil
}

// Write replaces the file, readable by its owner alone. A file with fields that this version does not know is left as it is.
func (c *Contexts) Write(path string) error {
	if old, err := os.ReadFile(path); err == nil {
		if err := yaml.UnmarshalStrict(old, &Contexts{}); err != nil {
			return problem.New(problem.Conflict, "%s: not rewritten, since that would lose a field: %w", path, err).
				WithHint("edit the file by hand, or name another one with --config-file")
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return problem.New(problem.Invalid, "file with the known control planes: %w", err)
	}
	raw, err := yaml.Marshal(c)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return problem.New(problem.Invalid, "folder of the file with the known control planes: %w", err)
	}
	if err := wholefile.Write(path, raw, 0o600); err != nil {
		return problem.New(problem.Invalid, "file with the known control planes: %w", err)
	}
	return nil
}

// Active is the control plane that commands talk to: the one of the given name, or the current one for "".
func (c *Contexts) Active(name string) (ControlPlane, error) {
	asked := name
	if asked == "" {
		asked = c.CurrentContext
	}
	if asked == "" {
		return ControlPlane{}, problem.New(problem.Invalid, "no control plane is active").WithHint("%s", c.whatToDo())
	}
	plane := asked
	if i := slices.IndexFunc(c.Contexts, func(x Context) bool { return x.Name == asked }); i >= 0 {
		plane = c.Contexts[i].ControlPlane
	}
	if i := c.index(plane); i >= 0 {
		return c.ControlPlanes[i], nil
	}
	return ControlPlane{}, c.unknown(plane)
}

// Add notes a control plane and makes it the current one. The name must be new unless overwrite is set.
func (c *Contexts) Add(plane ControlPlane, overwrite bool) error {
	if i := c.index(plane.Name); i >= 0 {
		if !overwrite {
			return problem.New(problem.Conflict, "control plane %q is there already", plane.Name).WithHint("--overwrite replaces it")
		}
		c.ControlPlanes[i] = plane
	} else {
		c.ControlPlanes = append(c.ControlPlanes, plane)
	}
	if !slices.ContainsFunc(c.Contexts, func(x Context) bool { return x.Name == plane.Name }) {
		c.Contexts = append(c.Contexts, Context{Name: plane.Name, ControlPlane: plane.Name})
	}
	c.CurrentContext = plane.Name
	return nil
}

// Remove forgets a control plane. When it was the current one, the first that is left becomes it.
func (c *Contexts) Remove(name string) error {
	at := c.index(name)
	if at < 0 {
		return c.unknown(name)
	}
	c.ControlPlanes = slices.Delete(c.ControlPlanes, at, at+1)
	c.Contexts = slices.DeleteFunc(c.Contexts, func(x Context) bool { return x.ControlPlane == name })
	if slices.ContainsFunc(c.Contexts, func(x Context) bool { return x.Name == c.CurrentContext }) {
		return nil
	}
	c.CurrentContext = ""
	if len(c.Contexts) > 0 {
		c.CurrentContext = c.Contexts[0].Name
	}
	return nil
}

// Switch makes a control plane the current one.
func (c *Contexts) Switch(name string) error {
	if !slices.ContainsFunc(c.Contexts, func(x Context) bool { return x.Name == name }) {
		return c.unknown(name)
	}
	c.CurrentContext = name
	return nil
}

// Names lists the known control planes.
func (c *Contexts) Names() []string {
	names := make([]string, len(c.ControlPlanes))
	for i, p := range c.ControlPlanes {
		names[i] = p.Name
	}
	return names
}

func (c *Contexts) index(name string) int {
	return slices.IndexFunc(c.ControlPlanes, func(p ControlPlane) bool { return p.Name == name })
}

func (c *Contexts) unknown(name string) error {
	err := problem.New(problem.NotFound, "control plane %q is not known", name)
	if near := Nearest(name, c.Names()); near != "" {
		return err.WithHint("did you mean %q?", near)
	}
	return err.WithHint("%s", c.whatToDo())
}

func (c *Contexts) whatToDo() string {
	if len(c.ControlPlanes) == 0 {
		return "kumactl config control-planes add --name local --address " + LocalURL
	}
	return "the known ones are " + strings.Join(c.Names(), ", ")
}

// Nearest is the word that is closest to what was typed: a letter in three may be wrong, three at most. Empty when none is near.
func Nearest(typed string, among []string) string {
	best, bestAt := "", max(1, min(len(typed)/3, 3))+1
	for _, word := range among {
		if d := levenshtein.ComputeDistance(typed, word); d < bestAt {
			best, bestAt = word, d
		}
	}
	return best
}

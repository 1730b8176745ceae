package install

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/kumactl/kumactl/internal/problem"
)

// Options say what kind of node this machine becomes. ForThisMachine fills them in as they fit the machine and its user.
type Options struct {
	Scope      Scope
	Supervisor Supervisor
	Paths      Paths
	// Executable is the kumactl that is supervised, an absolute path. It is copied there from Program when that is not empty.
	Executable string
	Program    string
	Settings   Settings
	// UID is the user whose launchd agent it becomes.
	UID int
	// Root stands before every path on disk, not before those within files; empty for this machine, a folder for an image.
	Root string
	// Context makes the control plane known to the client; nil when it is not wanted.
	Context *Context
	// HealthyWithin is how long the control plane may take to become ready.
	HealthyWithin time.Duration
}

// Scope says whom the node belongs to.
type Scope int

// The scopes: the whole machine (for root), or one user.
const (
	System Scope = iota
	User
)

// Supervisor is what starts the control plane and keeps it running.
type Supervisor int

// The supervisors. With None nothing is started; Manual says what to run.
const (
	None Supervisor = iota
	Systemd
	Launchd
)

// Settings are what goes into a configuration file that is not there yet. Ports are on loopback.
type Settings struct {
	HTTPPort, HTTPSPort, DPPort, DiagnosticsPort int
	Zone                                         string
	LogLevel                                     string
	SkipMeshCreation                             bool
}

// DefaultSettings are the control plane's own defaults.
func DefaultSettings() Settings {
	return Settings{HTTPPort: 5681, HTTPSPort: 5682, DPPort: 5678, DiagnosticsPort: 5680, Zone: "default", LogLevel: "warn"}
}

// Context is how the client learns of the control plane. The caller knows where contexts are kept.
type Context struct {
	Name string
	// Save makes the API's address known under the name, as the current one: Created, Updated or Unchanged.
	Save func(name, address string) (State, error)
	// Remove forgets it: Removed or Absent.
	Remove func(name string) (State, error)
}

// Step is one thing that a plan does: "configuration", and the file that is meant.
type Step struct{ Name, Detail string }

// State is how far a step is, or how it ended.
type State string

// The states. Working is told when a step begins; one of the others follows, unless it went wrong.
const (
	Working   State = "working"
	Created   State = "created"
	Updated   State = "updated"
	Unchanged State = "unchanged"
	Started   State = "started"
	Restarted State = "restarted"
	Ready     State = "ready"
	// Kept: it is there, differs from what would be written, and is somebody's own.
	Kept    State = "kept"
	Stopped State = "stopped"
	Removed State = "removed"
	Absent  State = "absent"
)

// Changes says whether the machine is different after the step.
func (s State) Changes() bool {
	switch s {
	case Created, Updated, Started, Restarted, Stopped, Removed:
		return true
	}
	return false
}

// Plan is what would be done, in order. It is a value: making one touches nothing.
type Plan struct {
	o       Options
	actions []action
}

// action is one step, in the three ways in which it can be carried out. An empty state from undo means that there is nothing to tell.
type action interface {
	step() Step
	apply(ctx context.Context, r *run) (State, error)
	undo(ctx context.Context, r *run) (State, error)
	script(s *script)
}

// run is what the steps of one application tell each other.
type run struct {
	o     Options
	purge bool
	// changed: something that the control plane reads at its start is different now.
	changed bool
}

// disk is where a path is on disk.
func (r *run) disk(path string) string { return filepath.Join(r.o.Root, path) }

// NewPlan works out what makes the machine a node. Errors are about the options.
func NewPlan(o Options) (Plan, error) {
	if err := o.check(); err != nil {
		return Plan{}, err
	}
	if o.HealthyWithin == 0 {
		o.HealthyWithin = 30 * time.Second
	}
	configMode, secretMode := fs.FileMode(0o755), fs.FileMode(0o700)
	if o.Scope == User {
		configMode = secretMode
	}
	p := Plan{o: o}
	if o.Program != "" {
		p.actions = append(p.actions, program{from: o.Program, path: o.Executable})
	}
	p.actions = append(
		p.actions,
		directory{name: "configuration folder", path: o.Paths.ConfigDir, mode: configMode},
		directory{name: "data folder", path: o.Paths.DataDir, mode: secretMode, data: true},
		file{name: "configuration", path: o.Paths.ConfigFile(), content: configuration(o), mode: 0o644, keep: true},
		token{path: o.Paths.TokenFile()},
	)
	if o.Supervisor != None {
		c := commandsOf(o)
		p.actions = append(
			p.actions,
			unit{file{name: "unit", path: o.Paths.UnitFile, content: unitText(o), mode: 0o644}, c},
			service{commands: c, name: filepath.Base(o.Paths.UnitFile)},
			health{commands: c, settings: o.Settings, within: o.HealthyWithin},
			keys{paths: o.Paths},
		)
	}
	if o.Context != nil {
		p.actions = append(p.actions, clientContext{*o.Context, o.Settings, o.Executable})
	}
	return p, nil
}

// check refuses options that cannot work.
func (o Options) check() error {
	for what, path := range map[string]string{
		"configuration folder": o.Paths.ConfigDir, "data folder": o.Paths.DataDir, "kumactl": o.Executable, "unit": o.Paths.UnitFile,
	} {
		if what == "unit" && o.Supervisor == None {
			continue
		}
		if !filepath.IsAbs(path) || strings.ContainsFunc(path, unicode.IsControl) {
			return problem.New(problem.Invalid, "%s: %q is not an absolute path", what, path)
		}
	}
	if within(o.Executable, o.Paths.DataDir) || within(o.Paths.ConfigDir, o.Paths.DataDir) {
		return problem.New(problem.Invalid, "data folder: %s holds other things too; give the control plane a folder of its own", o.Paths.DataDir)
	}
	if o.Supervisor == Systemd && strings.ContainsAny(o.Executable, "\"'\\") {
		return problem.New(problem.Invalid, "kumactl: systemd takes no quotes in a program's path: %s", o.Executable)
	}
	return nil
}

// within says whether path is dir or below it.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// Apply carries the plan out. progress is told each step with Working, then with how it ended. The first error ends it; what
// was done stays, and applying again goes on from there.
func (p Plan) Apply(ctx context.Context, progress func(Step, State)) error {
	r := &run{o: p.o}
	for _, a := range p.actions {
		progress(a.step(), Working)
		state, err := a.apply(ctx, r)
		if err != nil {
			return explain(a.step(), err)
		}
		r.changed = r.changed || state.Changes()
		progress(a.step(), state)
	}
	return nil
}

// Uninstall takes it all back, in the opposite order. The data folder stays unless purge is set.
func (p Plan) Uninstall(ctx context.Context, purge bool, progress func(Step, State)) error {
	r := &run{o: p.o, purge: purge}
	for _, a := range slices.Backward(p.actions) {
		state, err := a.undo(ctx, r)
		if err != nil {
			return explain(a.step(), err)
		}
		if state != "" {
			progress(a.step(), state)
		}
	}
	return nil
}

// explain puts the step before the error, and a hint behind one that root would not have met.
func explain(s Step, err error) error {
	if e, ok := errors.AsType[*problem.Error](err); ok {
		return e
	}
	e := problem.New(problem.Unavailable, "%s: %w", s.Name, err)
	if errors.Is(err, fs.ErrPermission) {
		return e.WithHint("run it again with sudo")
	}
	return e
}

// Script is the plan as a POSIX shell script that does the same.
func (p Plan) Script() string {
	s := newScript(p.o.Root)
	for _, a := range p.actions {
		step := a.step()
		s.line("")
		s.line("# %s: %s", step.Name, step.Detail)
		a.script(s)
	}
	if command := p.Manual(); command != "" {
		s.line("")
		s.line("echo 'No service manager runs here. Start the control plane with:'")
		s.line("echo %s", quote("  "+command))
	}
	return s.String()
}

// Manual is the command that starts the control plane where no supervisor does; empty where one does.
func (p Plan) Manual() string {
	if p.o.Supervisor != None {
		return ""
	}
	return word(p.o.Executable) + " run control-plane --config " + word(p.o.Paths.ConfigFile())
}

// Notes are what the person should know besides, one line each.
func (p Plan) Notes() []string {
	if p.o.Supervisor == Systemd && p.o.Scope == User {
		return []string{"it ends when you log out; to keep it running: loginctl enable-linger"}
	}
	return nil
}

package install

import (
	"context"
	"os"
	"path/filepath"
	"strings"
)

// systemPrograms is where a service's program may lie: root's, readable for everybody, and not rebuilt or cleaned away by a person.
var systemPrograms = []string{"/usr/", "/opt/", "/bin/", "/nix/", "/snap/", "/home/linuxbrew/"}

// ownProgram is where a program is put that lies elsewhere.
const ownProgram = "/usr/local/bin/kumactl"

// supervised says which program a service runs, and from where that has to be copied first (empty: it is in place).
func supervised(scope Scope, executable string) (program, from string) {
	if scope == User {
		return executable, ""
	}
	for _, dir := range systemPrograms {
		if strings.HasPrefix(executable, dir) {
			return executable, ""
		}
	}
	return ownProgram, executable
}

// program is a copy of kumactl that a system service can run: one in somebody's home is closed to it, and may go any moment.
type program struct{ from, path string }

func (p program) step() Step { return Step{"program", p.path} }

func (p program) apply(ctx context.Context, r *run) (State, error) {
	f, err := p.file()
	if err != nil {
		return "", err
	}
	return f.apply(ctx, r)
}

// undo takes the copy away when it is still this one.
func (p program) undo(ctx context.Context, r *run) (State, error) {
	f, err := p.file()
	if err != nil {
		return "", err
	}
	there, err := os.ReadFile(r.disk(p.path))
	if err == nil && string(there) != f.content {
		return Kept, nil
	}
	return f.undo(ctx, r)
}

func (p program) file() (file, error) {
	content, err := os.ReadFile(p.from)
	return file{path: p.path, content: string(content), mode: 0o755}, err
}

func (p program) script(s *script) {
	s.line("(umask 022; mkdir -p %s)", s.path(filepath.Dir(p.path)))
	s.line("put 0755 %s <%s", s.path(p.path), word(p.from))
}

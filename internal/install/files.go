package install

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/kumactl/kumactl/internal/wholefile"
)

const private = fs.FileMode(0o077) // what others may do with a private file: nothing

// directory is made when it is missing. One for private things is closed to others when it is open.
type directory struct {
	name, path string
	mode       fs.FileMode
	// data: what is in it is the mesh itself, and survives Uninstall.
	data bool
}

func (d directory) step() Step { return Step{d.name, d.path} }

func (d directory) apply(_ context.Context, r *run) (State, error) {
	path := r.disk(d.path)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(path, 0o700); err != nil {
			return "", err
		}
		return Created, os.Chmod(path, d.mode)
	case err != nil:
		return "", err
	case !info.IsDir():
		return "", fmt.Errorf("%s is not a folder", d.path)
	}
	return tighten(path, info, d.mode)
}

// tighten closes what is to be private and is not.
func tighten(path string, info fs.FileInfo, mode fs.FileMode) (State, error) {
	if mode&private == 0 && info.Mode()&private != 0 {
		return Updated, os.Chmod(path, mode)
	}
	return Unchanged, nil
}

func (d directory) undo(_ context.Context, r *run) (State, error) {
	path := r.disk(d.path)
	_, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Absent, nil
	case err != nil:
		return "", err
	case d.data && r.purge:
		return Removed, os.RemoveAll(path)
	case d.data:
		return Kept, nil
	}
	if err := os.Remove(path); errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST) {
		return Kept, nil
	} else if err != nil {
		return "", err
	}
	return Removed, nil
}

func (d directory) script(s *script) {
	path := s.path(d.path)
	s.line("[ -d %s ] || { mkdir -p %s && chmod %04o %s; }", path, path, d.mode, path)
	if d.mode&private == 0 {
		s.line("chmod go= %s", path)
	}
}

// file is written when it differs; one that a person may have edited is kept.
type file struct {
	name, path, content string
	mode                fs.FileMode
	keep                bool
}

func (f file) step() Step { return Step{f.name, f.path} }

func (f file) apply(_ context.Context, r *run) (State, error) {
	path := r.disk(f.path)
	old, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Created, replace(path, []byte(f.content), f.mode)
	case err != nil:
		return "", err
	case bytes.Equal(old, []byte(f.content)):
		return Unchanged, nil
	case f.keep:
		return Kept, nil
	}
	return Updated, replace(path, []byte(f.content), f.mode)
}

func (f file) undo(_ context.Context, r *run) (State, error) { return remove(r.disk(f.path)) }

func (f file) script(s *script) {
	path := s.path(f.path)
	if dir := filepath.Dir(f.path); !f.keep {
		s.line("(umask 022; mkdir -p %s)", s.path(dir))
	}
	guard := ""
	if f.keep {
		guard = "[ -e " + path + " ] || "
	}
	s.line("%sput %04o %s <<'END_OF_FILE'\n%sEND_OF_FILE", guard, f.mode, path, f.content)
}

// token is the administrator's: 32 random bytes, made once, never shown.
type token struct{ path string }

func (t token) step() Step { return Step{"admin token", t.path} }

func (t token) apply(_ context.Context, r *run) (State, error) {
	path := r.disk(t.path)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && info.Size() == 0:
		secret := make([]byte, 32)
		rand.Read(secret) // never fails
		return Created, replace(path, []byte(base64.RawURLEncoding.EncodeToString(secret)), 0o600)
	case err != nil:
		return "", err
	}
	return tighten(path, info, 0o600)
}

func (t token) undo(_ context.Context, r *run) (State, error) { return remove(r.disk(t.path)) }

func (t token) script(s *script) {
	path := s.path(t.path)
	s.line("[ -s %s ] || { head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\\n' >%s; changed=yes; }", path, path)
	s.line("chmod go= %s", path)
}

func remove(path string) (State, error) {
	err := os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Absent, nil
	}
	return Removed, err
}

// replace writes a file whole, and its folder where that is missing.
func replace(path string, content []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return wholefile.Write(path, content, mode)
}

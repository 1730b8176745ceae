package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/kumactl/kumactl/internal/problem"
)

// Names of the files beside the store's own.
const (
	goodSuffix = ".good"
	lockSuffix = ".lock"
	tmpSuffix  = ".tmp"
)

// ErrDamaged is the cause when a file is not what the store wrote. The file is left as it is.
var ErrDamaged = errors.New("damaged")

// damaged tells a person that the file is not usable and what to do.
func damaged(path string, err error) error {
	e := &problem.Error{
		Code:   problem.Internal,
		Detail: fmt.Sprintf("%s is damaged and was left untouched: %v", path, err),
		Cause:  fmt.Errorf("%w: %w", ErrDamaged, err),
	}
	if good, statErr := os.Stat(path + goodSuffix); statErr == nil {
		return e.WithHint("what can be saved: `kumactl store export %s`; to go back to the copy of %s: `mv %s %s.damaged && cp -p %s%s %s`",
			path, good.ModTime().UTC().Format("2006-01-02 15:04 MST"), path, path, path, goodSuffix, path)
	}
	return e.WithHint("what is wrong: `kumactl store check %s`; what can be saved: `kumactl store export %s`", path, path)
}

// diskError tells a person why the disk did not do what was asked.
func diskError(path, what string, err error) error {
	if already, ok := errors.AsType[*problem.Error](err); ok {
		return already
	}
	// bbolt loses the cause of some errors and keeps its text.
	is := func(targets ...syscall.Errno) bool {
		for _, t := range targets {
			if errors.Is(err, t) || strings.Contains(err.Error(), t.Error()) {
				return true
			}
		}
		return false
	}
	e := problem.New(problem.Unavailable, "%s: %s: %w", path, what, err)
	switch {
	case is(syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG):
		return e.WithHint("make room on the disk of %s: `df -h %s`; nothing was lost, and writing goes on when there is room",
			filepath.Dir(path), filepath.Dir(path))
	case is(syscall.EROFS):
		return e.WithHint("the disk is read-only; name a directory that can be written: `--data-dir`")
	case is(syscall.EACCES, syscall.EPERM):
		return e.WithHint("this process runs as user %d%s; name another directory with `--data-dir`, or give it the rights: `sudo chown -R %d %s`",
			os.Geteuid(), ownerText(path), os.Geteuid(), filepath.Dir(path))
	}
	return e.WithHint("the disk did not do what was asked; look at the system's log: `dmesg | tail`")
}

// inUse tells a person which process has the file; pid 0 means that it is not known.
func inUse(path string, pid int) error {
	if pid == 0 {
		return problem.New(problem.Conflict, "%s is in use by another process", path).
			WithHint("see which: `fuser %s%s`", path, lockSuffix)
	}
	return &problem.Error{
		Code:   problem.Conflict,
		Detail: fmt.Sprintf("%s is in use by process %d", path, pid),
		Hint:   fmt.Sprintf("stop it first (`kill %d`), or name another directory with `--data-dir`", pid),
	}
}

// ownerText says who owns the file or the directory that is in the way.
func ownerText(path string) string {
	// When the file cannot even be looked at, the directory tells.
	for _, p := range []string{path, filepath.Dir(path)} {
		if info, err := os.Stat(p); err == nil {
			if uid, _, ok := ownerOf(info); ok && uid != os.Geteuid() {
				return fmt.Sprintf(", and %s belongs to user %d", p, uid)
			}
		}
	}
	return ""
}

// makeDir makes the directory of the store's file, 0700, when it is missing.
func makeDir(path string) error {
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return diskError(path, "its directory is not made", err)
	}
	return nil
}

// checkFile refuses what is not a plain file; it makes one that others can read private. missing is true when there is none.
func checkFile(o Options) (missing bool, err error) {
	info, err := os.Lstat(o.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case err != nil:
		return false, diskError(o.Path, "it is not accessible", err)
	case !info.Mode().IsRegular():
		return false, problem.New(problem.Invalid, "%s is not a plain file but %s", o.Path, info.Mode().Type()).
			WithHint("name the file itself")
	case info.Size() == 0:
		return false, damaged(o.Path, errors.New("the file is empty"))
	}
	if open := info.Mode().Perm() & 0o077; open != 0 && !o.ReadOnly {
		o.Logger.Warn("the store's file was open to others, and it holds secrets; now it is private", "file", o.Path, "mode", info.Mode().Perm())
		if err := os.Chmod(o.Path, 0o600); err != nil {
			return false, diskError(o.Path, "it is open to others", err)
		}
	}
	return false, nil
}

// replaceFile makes a file whole or not at all: write fills a temporary one, which then takes the name.
func replaceFile(path string, write func(tmp string) error) error {
	// What an attempt that was killed left behind is in the way of the new one.
	tmp := path + tmpSuffix
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := write(tmp)
	if err == nil {
		err = likeDir(tmp)
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		// What is left of the attempt only takes room; the next one removes it too.
		_ = os.Remove(tmp)
		return err
	}
	return syncDir(filepath.Dir(path))
}

// likeDir gives a file that root makes to the owner of its directory, who will want to open it later.
func likeDir(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return err
	}
	if uid, gid, ok := ownerOf(info); ok && uid != 0 {
		return os.Chown(path, uid, gid)
	}
	return nil
}

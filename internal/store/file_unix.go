//go:build unix

package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// ownerOf gives user and group of a file.
func ownerOf(info fs.FileInfo) (uid, gid int, ok bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int(stat.Uid), int(stat.Gid), true
}

// syncDir makes a rename in the directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// fileLock is held as long as a process has the store open. It is a file of its own, so that it outlives the moments in which
// the store's file is closed or replaced, and it holds the pid for others to read. It is never removed: removing locks races.
type fileLock struct {
	file *os.File
	// shared locks leave the pid alone.
	shared bool
}

// acquire waits for the lock until the time is up. Shared locks are for readers, several of whom may hold it.
func acquire(ctx context.Context, path string, shared bool, wait time.Duration) (*fileLock, error) {
	f, err := openLock(path+lockSuffix, shared)
	if shared && err != nil {
		// On a disk that cannot be written nobody else writes either.
		return &fileLock{}, nil
	}
	if err != nil {
		return nil, diskError(path, "its lock file is not made", err)
	}
	how := syscall.LOCK_EX
	if shared {
		how = syscall.LOCK_SH
	}
	// The kernel has no way to wait for a lock with a deadline.
	_, err = backoff.Retry(ctx, func() (struct{}, error) {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) {
			err = backoff.Permanent(err)
		}
		return struct{}{}, err
	}, backoff.WithBackOff(backoff.NewConstantBackOff(25*time.Millisecond)), backoff.WithMaxElapsedTime(max(wait, time.Nanosecond)))
	if err != nil {
		holder := holderOf(f)
		f.Close()
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, diskError(path, "it is not locked", err)
		}
		return nil, inUse(path, holder)
	}
	if !shared {
		// The pid is for people; the lock works without it.
		_ = f.Truncate(0)
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return &fileLock{file: f, shared: shared}, nil
}

// openLock makes the lock file when it may; a reader is content with one that is there.
func openLock(path string, shared bool) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil && shared {
		return os.Open(path)
	}
	if err != nil {
		return nil, err
	}
	return f, likeDir(path)
}

// holderOf gives the pid in the lock file if there is such a process, else 0.
func holderOf(f *os.File) int {
	var buf [16]byte
	n, _ := f.ReadAt(buf[:], 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	if err != nil || pid <= 0 {
		return 0
	}
	// Signal 0 asks whether there is such a process; one that may not be signalled is there.
	if err := syscall.Kill(pid, 0); err != nil && !errors.Is(err, syscall.EPERM) {
		return 0
	}
	return pid
}

// abandon gives up a file and its lock, even when it is mapped.
func abandon(f *os.File) {
	// There is nobody to tell, and the next to open the file will see.
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
	_ = f.Close()
}

// release lets the next one in.
func (l *fileLock) release() error {
	if l.file == nil {
		return nil
	}
	if !l.shared {
		// A pid that stays, as after a kill, misleads nobody while there is no such process.
		_ = l.file.Truncate(0)
	}
	return l.file.Close()
}

//go:build !unix

package store

import (
	"context"
	"io/fs"
	"os"
	"time"
)

func ownerOf(fs.FileInfo) (uid, gid int, ok bool) { return 0, 0, false }

// syncDir does nothing: directories cannot be flushed here.
func syncDir(string) error { return nil }

// fileLock is left to bbolt, which locks the store's file while it is open.
type fileLock struct{}

func acquire(context.Context, string, bool, time.Duration) (*fileLock, error) {
	return &fileLock{}, nil
}

func abandon(f *os.File) { _ = f.Close() }

func (l *fileLock) release() error { return nil }

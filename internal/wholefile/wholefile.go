// Package wholefile replaces files whole: a reader, or whoever comes after a crash, finds the old content or the new one.
//
// In come a path and what is to be in it; out goes a file, or an error and the old file.
package wholefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Write puts the content into a new file beside the path, on disk and with its mode, and renames it. The folder must be there.
// Errors are those of package os.
func Write(path string, content []byte, mode fs.FileMode) error {
	// CreateTemp gives mode 0600, so nobody else reads it before it has its own.
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

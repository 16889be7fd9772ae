// Package durable writes files so that a name is never seen with half its content, and survives a power cut once the
// call has returned.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// WriteFile puts data at path, mode 0600, replacing what was there. After a crash the file is the old or the new one.
func WriteFile(path string, data []byte) error {
	return write(path, data, os.Rename)
}

// CreateFile is WriteFile, but fails with [fs.ErrExist] if there is a file already, also when two race.
func CreateFile(path string, data []byte) error {
	return write(path, data, os.Link)
}

func write(path string, data []byte, publish func(temp, path string) error) error {
	// CreateTemp makes the file 0600, so the data is never readable by others, not even for a moment.
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // after a rename there is nothing to remove
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := publish(f.Name(), path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// Rename is os.Rename that survives a power cut. Both paths are in the same directory.
func Rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(to))
}

// RenameNew is Rename that fails with [fs.ErrExist], and replaces nothing, if there is something at to. Where the file system knows no links, something
// that comes to be there at the same moment is replaced.
func RenameNew(from, to string) error {
	switch err := os.Link(from, to); {
	case errors.Is(err, fs.ErrExist):
		return err
	case err != nil:
		if _, err := os.Lstat(to); err == nil {
			return &fs.PathError{Op: "rename", Path: to, Err: fs.ErrExist}
		}
		return Rename(from, to)
	}
	if err := os.Remove(from); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(to))
}

// MkdirAll makes dir and its missing parents, mode 0700, and makes their names durable.
func MkdirAll(dir string) error {
	switch info, err := os.Stat(dir); {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return &fs.PathError{Op: "mkdir", Path: dir, Err: errors.New("not a directory")}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	parent := filepath.Dir(dir)
	if err := MkdirAll(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return SyncDir(parent)
}

// SyncDir makes the creations, renames and removals in dir durable.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // directories cannot be synced there; NTFS journals names itself
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

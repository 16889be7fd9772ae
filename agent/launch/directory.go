package launch

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Directory holds values as files that only their owner can read. It is a link to a directory beside it, so that all values change at once: a program that reads a user
// name and a password one after the other through the link opened before sees either both old or both new.
type Directory struct {
	path  string // of the link
	now   string // what it points to; "" before the first Write
	whole string // the directory that was made around it, "" if none was
}

// NewDirectory is at path, which must not exist, but for what a run that was killed left. An empty path is a new one in memory, where the machine has such a place.
func NewDirectory(path string, getenv func(string) string) (*Directory, error) {
	if path == "" {
		whole, err := os.MkdirTemp(inMemory(getenv), "holdfast-exec-")
		if err != nil {
			return nil, err
		}
		return &Directory{path: filepath.Join(whole, "secrets"), whole: whole}, nil
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	d := &Directory{path: path}
	target, err := os.Readlink(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return d, nil
	case err == nil && d.ours(target):
		d.now = filepath.Join(filepath.Dir(path), target)
		return d, nil
	}
	return nil, fmt.Errorf("%s exists already, and is not from an earlier run", path)
}

// inMemory is where files reach no disk, or "" for wherever temporary files go.
func inMemory(getenv func(string) string) string {
	for _, dir := range []string{getenv("XDG_RUNTIME_DIR"), "/dev/shm"} {
		if dir == "" {
			continue
		}
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			return dir
		}
	}
	return ""
}

func (d *Directory) ours(target string) bool {
	return filepath.Base(target) == target && strings.HasPrefix(target, d.hidden())
}

// hidden is how the names begin of what the link points to.
func (d *Directory) hidden() string { return "." + filepath.Base(d.path) + ".holdfast-" }

// Path is where the files are.
func (d *Directory) Path() string { return d.path }

// Write puts values in place of those that were there.
func (d *Directory) Write(v *Values) (err error) {
	name := d.hidden() + rand.Text()
	next := filepath.Join(filepath.Dir(d.path), name)
	if err := os.Mkdir(next, 0o700); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(next)
		}
	}()
	root, err := os.OpenRoot(next) // whatever a value is called, it stays inside
	if err != nil {
		return err
	}
	defer root.Close()
	for name, value := range v.byName {
		if err := root.WriteFile(name, []byte(value), 0o600); err != nil {
			return fmt.Errorf("writing the value %s: %w", name, err)
		}
	}
	link := next + ".link"
	if err := os.Symlink(name, link); err != nil {
		return err
	}
	if err := os.Rename(link, d.path); err != nil {
		_ = os.Remove(link)
		return err
	}
	old := d.now
	d.now = next
	if old != "" {
		return os.RemoveAll(old)
	}
	return nil
}

// Close removes all of it.
func (d *Directory) Close() error {
	var errs []error
	if d.now != "" {
		errs = append(errs, os.Remove(d.path), os.RemoveAll(d.now))
		d.now = ""
	}
	if d.whole != "" {
		errs = append(errs, os.RemoveAll(d.whole))
	}
	return errors.Join(errs...)
}

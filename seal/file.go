package seal

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/holdfast-cloud/holdfast/durable"
)

// File is the [Provider] whose root key lies in a file: 32 bytes in base64, readable by its owner alone. The file is
// made at the very first start. It is read when needed and not kept in memory.
//
// A new key for the same path ([Keyring.Rewrap]) takes these steps; after a crash between any two of them, one of the
// files opens the keyring, and [Open] finds it and finishes:
//
//  1. PATH.next is written, complete or not at all      PATH opens
//  2. the keyring, wrapped by PATH.next, is stored      PATH.next opens
//  3. PATH is renamed to PATH.old                       PATH.next opens
//  4. PATH.next is renamed to PATH                      PATH opens
//
// PATH.old still opens older backups. Delete it when none of them matters.
type File struct {
	path string

	mu   sync.Mutex
	next bool // the root in force lies in path + ".next". Guarded by mu.

	// step, if set, is called between the steps above; tests return an error there to play a crash.
	step func(string) error
}

// NewFile returns the provider for the root key at path. It does not touch the file yet.
func NewFile(path string) *File { return &File{path: filepath.Clean(path)} }

// Path returns where the root key lies.
func (f *File) Path() string { return f.path }

func (f *File) nextPath() string { return f.path + ".next" }

// successor returns the provider that replaces f's key by a new one.
func (f *File) successor() *File { return &File{path: f.path, next: true, step: f.step} }

// same reports whether both are one file, however they are named.
func (f *File) same(other *File) bool {
	if f.path == other.path {
		return true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	a, errA := os.Stat(f.current())
	b, errB := os.Stat(other.path)
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// Kind implements [Provider].
func (*File) Kind() string { return "key" }

// Create implements [Provider].
func (f *File) Create(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	path := f.current()
	r, err := readRoot(path)
	if err == nil {
		clear(r[:])
		return nil
	}
	if !errors.Is(err, ErrNoRoot) {
		return err
	}
	if err := durable.MkdirAll(filepath.Dir(path)); err != nil {
		return fmt.Errorf("seal: making the root key's directory: %w", err)
	}
	r = newRoot()
	defer clear(r[:])
	text := make([]byte, base64.StdEncoding.EncodedLen(keySize), 64)
	base64.StdEncoding.Encode(text, r[:])
	text = append(text, '\n')
	defer clear(text)
	// CreateFile never replaces: if another process made a root meanwhile, that one counts.
	if err := durable.CreateFile(path, text); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("seal: writing the root key: %w", err)
	}
	return f.at("created")
}

// Wrap implements [Provider].
func (f *File) Wrap(_ context.Context, keyring []byte) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, err := readRoot(f.current())
	if err != nil {
		return nil, err
	}
	defer clear(r[:])
	return r.wrap(nil, keyring), nil
}

// Unwrap implements [Provider]. It tries both files that may be in force after a crash.
func (f *File) Unwrap(_ context.Context, wrapped []byte) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var first error
	for _, next := range []bool{f.next, !f.next} {
		path := f.path
		if next {
			path = f.nextPath()
		}
		plain, err := unwrapBy(path, wrapped)
		if err == nil {
			f.next = next
			return plain, nil
		}
		if first == nil {
			first = err
		}
		if !errors.Is(err, ErrWrongRoot) && !errors.Is(err, ErrNoRoot) {
			break
		}
	}
	return nil, first
}

func unwrapBy(path string, wrapped []byte) ([]byte, error) {
	r, err := readRoot(path)
	if err != nil {
		return nil, err
	}
	defer clear(r[:])
	plain, err := r.unwrap(nil, wrapped)
	if err != nil {
		return nil, fmt.Errorf("%w (root key from %s)", err, path)
	}
	return plain, nil
}

// Settle implements [Settler]: steps 3 and 4.
func (f *File) Settle(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.next {
		return nil
	}
	if err := f.at("stored"); err != nil {
		return err
	}
	// After a crash between the renames, PATH is gone already.
	if err := durable.Rename(f.path, f.path+".old"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := f.at("old moved away"); err != nil {
		return err
	}
	if err := durable.Rename(f.nextPath(), f.path); err != nil {
		return err
	}
	f.next = false
	return f.at("new in place")
}

func (f *File) current() string {
	if f.next {
		return f.nextPath()
	}
	return f.path
}

func (f *File) at(step string) error {
	if f.step == nil {
		return nil
	}
	return f.step(step)
}

// readRoot reads the root key at path, if it is nobody's business but ours.
func readRoot(path string) (*root, error) {
	if err := refuseShared("root key", path, os.Stat); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s does not exist; restore it from where you keep a copy, a new key cannot replace it", ErrNoRoot, path)
	} else if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("seal: reading the root key: %w", err)
	}
	defer f.Close()
	// Again on what was opened: the file may have been exchanged since. The first look keeps Open from hanging on a pipe.
	if err := refuseShared("root key", path, func(string) (fs.FileInfo, error) { return f.Stat() }); err != nil {
		return nil, err
	}
	var buf [128]byte
	defer clear(buf[:])
	n, err := io.ReadFull(f, buf[:])
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("seal: reading the root key: %w", err)
	}
	r, err := parseRoot(buf[:n])
	if err != nil {
		return nil, fmt.Errorf("%w, and %s holds something else", err, path)
	}
	return r, nil
}

// refuseShared refuses what is not a regular file that only its owner can read. A key that others could read may have
// been read, so the answer is not to mend the mode silently.
func refuseShared(what, path string, stat func(string) (fs.FileInfo, error)) error {
	info, err := stat(path)
	switch {
	case err != nil:
		return fmt.Errorf("seal: reading the %s: %w", what, err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("seal: the %s %s is not a regular file", what, path)
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("seal: the %s %s can be read or written by others (mode %04o); make it 0600, and rewrap if it may have been seen",
			what, path, info.Mode().Perm())
	}
	return nil
}

package blob

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/holdfast-cloud/holdfast/durable"
)

// Files is the [Store] in a local directory, which belongs to one process at a time. Get it from [OpenFiles].
//
//	DIR/.tmp/RANDOM             what is being written; swept at open
//	DIR/trail/2026/=7c/0001     the object trail/2026/0001
//
// The last segment of a key is spread over up to 256 directories by a byte of its SHA-256, so that no directory grows
// beyond what file systems like. "=" is in no key, so objects and directories never meet.
type Files struct {
	dir string

	mu      sync.Mutex          // guards durable, and is held while a directory is made so that nobody uses it too early
	durable map[string]struct{} // directories whose names are known to survive a power cut
}

const tempDir = ".tmp"

// OpenFiles returns the store in dir, which is made if it is missing, and removes what crashed Puts left behind.
func OpenFiles(dir string) (*Files, error) {
	dir = filepath.Clean(dir)
	f := &Files{dir: dir, durable: map[string]struct{}{dir: {}}}
	temp := filepath.Join(dir, tempDir)
	if err := durable.MkdirAll(temp); err != nil {
		return nil, fmt.Errorf("making the blob directory: %w", err)
	}
	left, err := os.ReadDir(temp)
	if err != nil {
		return nil, fmt.Errorf("sweeping the blob directory: %w", err)
	}
	for _, entry := range left {
		if err := os.Remove(filepath.Join(temp, entry.Name())); err != nil {
			return nil, fmt.Errorf("sweeping the blob directory: %w", err)
		}
	}
	return f, nil
}

// locate returns the file of a key that was checked.
func (f *Files) locate(key string) string {
	dir, name := path.Split(key)
	shard := sha256.Sum256([]byte(name))
	return filepath.Join(f.dir, filepath.FromSlash(dir), fmt.Sprintf("=%02x", shard[0]), name)
}

// Put implements [Store].
func (f *Files) Put(ctx context.Context, key string, r io.Reader) (Info, error) {
	if err := CheckKey(key); err != nil {
		return Info{}, err
	}
	final := f.locate(key)
	// Only to spare the work: what decides is the link below.
	if _, err := os.Lstat(final); err == nil {
		return Info{}, f.exists(key, final)
	}
	temp, err := os.CreateTemp(filepath.Join(f.dir, tempDir), "put-*") // mode 0600
	if err != nil {
		return Info{}, fmt.Errorf("putting %s: %w", key, err)
	}
	defer os.Remove(temp.Name())
	size, err := io.Copy(temp, ctxReader{ctx, r})
	if err == nil {
		err = temp.Sync()
	}
	if err := errors.Join(err, temp.Close()); err != nil {
		return Info{}, fmt.Errorf("putting %s: %w", key, err)
	}
	if err := f.ensure(filepath.Dir(final)); err != nil {
		return Info{}, fmt.Errorf("putting %s: %w", key, err)
	}
	if err := ctx.Err(); err != nil {
		return Info{}, err
	}
	// A link, unlike a rename, never replaces: of two racing Puts one wins and the other is told. A crash right after it
	// leaves two names for one complete object, and the sweep takes the other one away.
	if err := os.Link(temp.Name(), final); errors.Is(err, fs.ErrExist) {
		return Info{}, f.exists(key, final)
	} else if err != nil {
		return Info{}, fmt.Errorf("putting %s: %w", key, err)
	}
	if err := durable.SyncDir(filepath.Dir(final)); err != nil {
		return Info{}, fmt.Errorf("putting %s: %w", key, err)
	}
	return Info{key, size}, nil
}

// exists is the error for a key in use. The Put before may have ended between its link and its sync: the object is durable when somebody is told of it.
func (f *Files) exists(key, final string) error {
	dir := filepath.Dir(final)
	if err := errors.Join(f.ensure(dir), durable.SyncDir(dir)); err != nil {
		return fmt.Errorf("putting %s: %w", key, err)
	}
	return fmt.Errorf("%w: %s", ErrExists, key)
}

// ensure makes dir and its parents and their names durable. That a directory exists is not enough: another Put, or one
// that was killed, may have made it without syncing its parent yet.
func (f *Files) ensure(dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ensureLocked(dir)
}

func (f *Files) ensureLocked(dir string) error {
	if _, ok := f.durable[dir]; ok {
		return nil
	}
	parent := filepath.Dir(dir)
	if err := f.ensureLocked(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := durable.SyncDir(parent); err != nil {
		return err
	}
	f.durable[dir] = struct{}{}
	return nil
}

// Get implements [Store].
func (f *Files) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, Info, error) {
	if err := errors.Join(CheckKey(key), ctx.Err()); err != nil {
		return nil, Info{}, err
	}
	file, err := os.Open(f.locate(key))
	if err != nil {
		return nil, Info{}, notFound(key, err)
	}
	info, err := file.Stat()
	if err == nil {
		n, err = span(off, n, info.Size())
	}
	if err != nil {
		file.Close()
		return nil, Info{}, err
	}
	section := io.NewSectionReader(file, off, n)
	return readCloser{ctxReader{ctx, section}, file}, Info{key, info.Size()}, nil
}

type readCloser struct {
	io.Reader
	io.Closer
}

// Stat implements [Store].
func (f *Files) Stat(ctx context.Context, key string) (Info, error) {
	if err := errors.Join(CheckKey(key), ctx.Err()); err != nil {
		return Info{}, err
	}
	info, err := os.Lstat(f.locate(key))
	if err != nil {
		return Info{}, notFound(key, err)
	}
	return Info{key, info.Size()}, nil
}

func notFound(key string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s", ErrNotFound, key)
	}
	return fmt.Errorf("opening %s: %w", key, err)
}

// Delete implements [Store]. Directories stay, for a Put may be about to use them.
func (f *Files) Delete(ctx context.Context, key string) error {
	if err := errors.Join(CheckKey(key), ctx.Err()); err != nil {
		return err
	}
	file := f.locate(key)
	err := os.Remove(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = durable.SyncDir(filepath.Dir(file))
	}
	if err != nil {
		return fmt.Errorf("deleting %s: %w", key, err)
	}
	return nil
}

// List implements [Store]. It holds the names of one directory of the key space at a time.
func (f *Files) List(ctx context.Context, prefix, after string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		dir, _ := path.Split(prefix)
		if dir != "" && CheckKey(strings.TrimSuffix(dir, "/")) != nil {
			return // no key begins like this; and it may point out of the directory
		}
		f.walk(ctx, dir, prefix, after, yield)
	}
}

// walk yields what lies under dir, which is "" or ends with "/". It returns false when the listing is over.
func (f *Files) walk(ctx context.Context, dir, prefix, after string, yield func(Info, error) bool) bool {
	if err := ctx.Err(); err != nil {
		yield(Info{}, err)
		return false
	}
	names, err := f.names(dir)
	if err != nil {
		yield(Info{}, fmt.Errorf("listing %q: %w", prefix, err))
		return false
	}
	for _, name := range names {
		key := dir + name
		if strings.HasSuffix(name, "/") {
			// A directory holds something wanted if it may reach into prefix and beyond after.
			if !strings.HasPrefix(key, prefix) && !strings.HasPrefix(prefix, key) || key < after && !strings.HasPrefix(after, key) {
				continue
			}
			if !f.walk(ctx, key, prefix, after, yield) {
				return false
			}
			continue
		}
		if !strings.HasPrefix(key, prefix) || key <= after {
			continue
		}
		info, err := os.Lstat(f.locate(key))
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			yield(Info{}, fmt.Errorf("listing %q: %w", prefix, err))
			return false
		}
		if !yield(Info{key, info.Size()}, nil) {
			return false
		}
	}
	return true
}

// names returns the last segments of the objects in dir and, ending with "/", the directories. Sorting them with that
// slash gives the byte order of the keys: "a.b" comes before "a/b", though "a" comes before "a.b".
func (f *Files) names(dir string) ([]string, error) {
	at := filepath.Join(f.dir, filepath.FromSlash(dir))
	entries, err := os.ReadDir(at)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		switch name := entry.Name(); {
		case !entry.IsDir(), dir == "" && name == tempDir:
		case strings.HasPrefix(name, "="):
			objects, err := os.ReadDir(filepath.Join(at, name))
			if err != nil {
				return nil, err
			}
			for _, object := range objects {
				if object.Type().IsRegular() {
					names = append(names, object.Name())
				}
			}
		default:
			names = append(names, name+"/")
		}
	}
	slices.Sort(names)
	return names, nil
}

package runner

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
)

// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: 250 MB unzipped, code and layers together.
const (
	maxUnpacked = 262144000
	maxEntries  = 100_000
	maxLink     = 4096
	keptTrees   = 16 // that no instance uses
)

// An ArchiveError tells what is wrong with a zip file.
type ArchiveError struct{ Reason string }

func (e *ArchiveError) Error() string { return "the archive " + e.Reason }

// unpack writes archives into an empty directory, one over the other. Names that lead out of it, also through links that the archive itself brings, are refused, because each step goes through
// root. They may have max bytes together. Links may point anywhere: they are followed in the sandbox only, whose root is its own.
func unpack(root *os.Root, archives []*zip.Reader, max int64) error {
	left, entries := max, 0
	for _, z := range archives {
		if entries += len(z.File); entries > maxEntries {
			return &ArchiveError{fmt.Sprintf("has more than %d entries", maxEntries)}
		}
		for _, f := range z.File {
			n, err := unpackFile(root, f, left)
			if n > left {
				return &ArchiveError{fmt.Sprintf("has more than %d bytes when unpacked", max)}
			} else if err != nil {
				return err
			}
			left -= n
		}
	}
	return nil
}

// unpackFile writes one entry and returns its length, or one more than left if it is longer.
func unpackFile(root *os.Root, f *zip.File, left int64) (int64, error) {
	name := strings.TrimSuffix(path.Clean(f.Name), "/")
	if !filepath.IsLocal(name) || strings.HasPrefix(f.Name, "/") || strings.ContainsRune(f.Name, 0) {
		return 0, &ArchiveError{fmt.Sprintf("has an entry %q that leads out of it", f.Name)}
	}
	if strings.HasSuffix(f.Name, "/") || f.Mode().IsDir() {
		return 0, entryError(f, root.MkdirAll(name, 0o755))
	}
	if !f.Mode().IsRegular() && f.Mode()&fs.ModeType != fs.ModeSymlink {
		return 0, &ArchiveError{fmt.Sprintf("has an entry %q that is neither a file, a directory nor a link", f.Name)}
	}
	if dir := path.Dir(name); dir != "." {
		if err := root.MkdirAll(dir, 0o755); err != nil {
			return 0, entryError(f, err)
		}
	}
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) { // of an earlier archive
		return 0, entryError(f, err)
	}
	in, err := f.Open()
	if err != nil {
		return 0, entryError(f, err)
	}
	defer in.Close()
	if f.Mode()&fs.ModeSymlink != 0 {
		target, err := io.ReadAll(io.LimitReader(in, maxLink+1))
		if err != nil || len(target) == 0 || len(target) > maxLink || strings.ContainsRune(string(target), 0) {
			return 0, &ArchiveError{fmt.Sprintf("has a link %q that cannot be read", f.Name)}
		}
		return int64(len(target)), entryError(f, root.Symlink(string(target), name))
	}
	// Whoever owns it, the function reads it as somebody else. The other bits, setuid among them, have no business here.
	mode := fs.FileMode(0o644)
	if f.Mode()&0o111 != 0 {
		mode = 0o755
	}
	out, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return 0, entryError(f, err)
	}
	// What the headers say of lengths is the archive's word only. One byte more than may be is read, to tell.
	n, err := io.Copy(out, io.LimitReader(in, left+1))
	err = errors.Join(err, out.Chmod(mode), out.Close()) // whatever the umask
	return n, entryError(f, err)
}

// entryError names the entry, not the place on the host.
func entryError(f *zip.File, err error) error {
	if err == nil {
		return nil
	}
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	var link *os.LinkError
	if errors.As(err, &link) {
		err = link.Err
	}
	return &ArchiveError{fmt.Sprintf("has an entry %q that cannot be unpacked: %v", f.Name, err)}
}

// trees keeps what was unpacked: each combination of archives once, for all instances that use it, and some that none does.
type trees struct {
	dir string // on the host

	mu     sync.Mutex // guards the rest; nothing is unpacked under it
	all    map[string]*tree
	unused []string // keys, longest first
}

type tree struct {
	refs  int
	ready chan struct{} // closed when err is known
	err   error
}

// hold returns the name, in dir, of the directory with the archives in it, and what gives it back. No archives, no directory.
func (t *trees) hold(ctx context.Context, archives []Archive) (string, func(), error) {
	if len(archives) == 0 {
		return "", func() {}, nil
	}
	h := sha256.New()
	for _, a := range archives {
		if a.Digest == "" || a.Open == nil {
			return "", nil, errors.New("an archive has no digest, or cannot be opened")
		}
		fmt.Fprintf(h, "%d:%s", len(a.Digest), a.Digest)
	}
	key := hex.EncodeToString(h.Sum(nil))
	t.mu.Lock()
	e, ok := t.all[key]
	if !ok {
		e = &tree{ready: make(chan struct{})}
		t.all[key] = e
	}
	e.refs++
	for i, k := range t.unused {
		if k == key {
			t.unused = append(t.unused[:i:i], t.unused[i+1:]...)
			break
		}
	}
	t.mu.Unlock()
	release := sync.OnceFunc(func() { t.release(key, e) })
	if !ok {
		e.err = t.make(context.WithoutCancel(ctx), key, archives) // others wait for it too
		close(e.ready)
	}
	select {
	case <-e.ready:
	case <-ctx.Done():
		release()
		return "", nil, ctx.Err()
	}
	if e.err != nil {
		release()
		return "", nil, e.err
	}
	return key, release, nil
}

func (t *trees) release(key string, e *tree) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.refs--; e.refs > 0 {
		return
	}
	if e.err != nil { // the next one tries again
		if t.all[key] == e {
			delete(t.all, key)
		}
		return
	}
	t.unused = append(t.unused, key)
	for len(t.unused) > keptTrees {
		old := t.unused[0]
		t.unused = t.unused[1:]
		delete(t.all, old)
		// Renamed under the lock, so that nobody finds half of it, and removed outside.
		gone := filepath.Join(t.dir, "gone-"+old)
		if os.Rename(filepath.Join(t.dir, old), gone) == nil {
			go os.RemoveAll(gone)
		}
	}
}

func (t *trees) make(ctx context.Context, key string, archives []Archive) (err error) {
	tmp, err := os.MkdirTemp(t.dir, "new-")
	if err != nil {
		return fmt.Errorf("making a directory for a function's code: %w", err)
	}
	defer os.RemoveAll(tmp)
	var readers []*zip.Reader
	for _, a := range archives {
		f, r, err := t.open(ctx, a)
		if err != nil {
			return err
		}
		defer f.Close()
		readers = append(readers, r)
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return fmt.Errorf("making a directory for a function's code: %w", err)
	}
	root, err := os.OpenRoot(tmp)
	if err != nil {
		return fmt.Errorf("opening a directory for a function's code: %w", err)
	}
	defer root.Close()
	if err := unpack(root, readers, maxUnpacked); err != nil {
		return err
	}
	if err := os.Rename(tmp, filepath.Join(t.dir, key)); err != nil {
		return fmt.Errorf("placing a function's code: %w", err)
	}
	return nil
}

// open copies an archive to a file without a name and reads its directory.
func (t *trees) open(ctx context.Context, a Archive) (*os.File, *zip.Reader, error) {
	in, err := a.Open(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("opening a function's code: %w", err)
	}
	defer in.Close()
	f, err := os.CreateTemp(t.dir, "zip-")
	if err != nil {
		return nil, nil, fmt.Errorf("keeping a function's code: %w", err)
	}
	if err = os.Remove(f.Name()); err == nil {
		var n int64
		if n, err = io.Copy(f, io.LimitReader(in, maxUnpacked+1)); err == nil {
			if n > maxUnpacked {
				err = &ArchiveError{"is too long"}
			} else {
				var z *zip.Reader
				if z, err = zip.NewReader(f, n); err == nil {
					return f, z, nil
				}
				err = &ArchiveError{fmt.Sprintf("is not a zip file: %v", err)}
			}
		}
	}
	f.Close()
	return nil, nil, fmt.Errorf("reading a function's code: %w", err)
}

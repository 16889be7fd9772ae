package cloud

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/backup"
	"github.com/holdfast-cloud/holdfast/blob"
	"github.com/holdfast-cloud/holdfast/durable"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/pebblestore"
)

// Backup writes everything of the cloud to w, encrypted, as it is at one moment: every call that was answered before is in it, with its record, and no
// call is in it by halves. The cloud goes on meanwhile. The root key that the cloud has now opens the backup; it is not in it.
func (c *Cloud) Backup(ctx context.Context, w io.Writer) (backup.Contents, error) {
	return c.BackupFor(ctx, w, nil)
}

// BackupFor is Backup, for another root key than the cloud's. It is made if there is none.
func (c *Cloud) BackupFor(ctx context.Context, w io.Writer, root seal.Provider) (backup.Contents, error) {
	core, release := c.hold()
	defer release()
	contents, err := core.backup(ctx, w, root)
	if err != nil {
		return backup.Contents{}, fmt.Errorf("backing up: %w", err)
	}
	return contents, nil
}

func (c *core) backup(ctx context.Context, w io.Writer, root seal.Provider) (none backup.Contents, err error) {
	// The order matters. The key is wrapped first: by a keyring that is not newer than the one in the snapshot, which goes with it. The log comes before the
	// store: whatever it tells of a key or a user, the store knows that key or user. An object comes to be before its record, and goes after it: those that the
	// snapshot names are all there while none is deleted.
	h := backup.Header{ID: rand.Text(), Taken: c.clock.Now().UTC(), Software: Version}
	key := make([]byte, backup.KeySize)
	rand.Read(key)
	defer clear(key)
	if h.Key, err = c.keyring.Wrap(backupPlace(h.ID), key); err != nil {
		return none, err
	}
	defer c.objects.Hold()()
	log, err := c.trail.Mark()
	if err != nil {
		return none, err
	}
	defer log.Close()
	var out *backup.Writer
	err = c.store.View(ctx, func(r store.Reader) error {
		if h.Keyring, err = r.Get(keyringKey); err != nil {
			return fmt.Errorf("reading the keyring: %w", err)
		}
		log.Beheld() // the first read has fixed what this view shows
		if root != nil {
			// Now that the snapshot is taken: a keyring that is newer opens all that is in it, too.
			if h.Keyring, err = c.keyring.WrapFor(ctx, root); err != nil {
				return err
			}
		}
		if out, err = backup.NewWriter(w, h, key); err != nil {
			return err
		}
		for kv, err := range r.Scan(nil, nil, store.ScanOptions{}) {
			if err == nil {
				err = ctx.Err()
			}
			if err == nil && bytes.Equal(kv.Key, keyringKey) {
				kv.Value = h.Keyring
			}
			if err == nil {
				err = out.Pair(kv.Key, kv.Value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return none, err
	}
	err = log.Copy(func(name string, data io.Reader) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return out.Segment(name, data)
	})
	if err != nil {
		return none, err
	}
	if err := c.copyObjects(ctx, out); err != nil {
		return none, err
	}
	// Only now: what View has read is durable when it has returned, and what is not must not be in a backup.
	return out.Close()
}

// copyObjects copies all objects as they lie there, sealed. Some are newer than the snapshot: no record in it names them, and the restored cloud sweeps them away.
func (c *core) copyObjects(ctx context.Context, out *backup.Writer) error {
	for info, err := range c.objects.List(ctx, "", "") {
		if err != nil {
			return fmt.Errorf("looking for objects: %w", err)
		}
		r, _, err := c.objects.Get(ctx, info.Key, 0, -1)
		if errors.Is(err, blob.ErrNotFound) {
			continue // its deletion began before this backup
		}
		if err != nil {
			return fmt.Errorf("copying an object: %w", err)
		}
		err = out.Object(info.Key, r)
		if err := errors.Join(err, r.Close()); err != nil {
			return fmt.Errorf("copying the object %s: %w", info.Key, err)
		}
	}
	return nil
}

func backupPlace(id string) seal.Place { return seal.At("backup", id) }

// Checked is a backup that was read to its end and is as it was written.
type Checked struct {
	backup.Header
	backup.Contents
}

// CheckBackup reads a backup of this cloud.
func (c *Cloud) CheckBackup(ctx context.Context, r io.Reader) (*Checked, error) {
	core, release := c.hold()
	defer release()
	return readBackup(r, checkSink{ctx}, func(*backup.Header) (*seal.Keyring, error) { return core.keyring, nil })
}

// VerifyBackup reads a backup for which there is no cloud, only its root key.
func VerifyBackup(ctx context.Context, r io.Reader, root seal.Provider) (*Checked, error) {
	return readBackup(r, checkSink{ctx}, openedBy(ctx, root))
}

// openedBy opens the keyring that lies in the header.
func openedBy(ctx context.Context, root seal.Provider) func(*backup.Header) (*seal.Keyring, error) {
	return func(h *backup.Header) (*seal.Keyring, error) {
		if len(h.Keyring) == 0 {
			return nil, fmt.Errorf("%w: it has no keyring", backup.ErrDamaged)
		}
		saved := new(seal.Memory)
		if err := saved.Swap(ctx, nil, h.Keyring); err != nil {
			return nil, err
		}
		// Without its other methods: nothing is to be settled for a keyring that lies in no cloud.
		return seal.Open(ctx, seal.Config{Provider: struct{ seal.Provider }{root}, Storage: saved})
	}
}

func readBackup(r io.Reader, sink backup.Sink, keyring func(*backup.Header) (*seal.Keyring, error)) (*Checked, error) {
	f, err := backup.Open(r)
	if err != nil {
		return nil, err
	}
	k, err := keyring(&f.Header)
	if err != nil {
		return nil, fmt.Errorf("opening the backup of %s: %w", f.Taken.Format("2006-01-02 15:04:05 MST"), err)
	}
	key, err := k.Unwrap(backupPlace(f.ID), f.Key)
	if err != nil {
		return nil, fmt.Errorf("opening the backup: its key does not open: %w", err)
	}
	defer clear(key)
	contents, err := f.Read(key, sink)
	if err != nil {
		return nil, err
	}
	return &Checked{f.Header, contents}, nil
}

// checkSink looks at everything and keeps nothing.
type checkSink struct{ ctx context.Context }

func (s checkSink) Pair([]byte, []byte) error { return s.ctx.Err() }

func (s checkSink) Segment(_ string, r io.Reader) error {
	if _, err := io.Copy(io.Discard, r); err != nil {
		return err
	}
	return s.ctx.Err()
}

func (s checkSink) Object(key string, r io.Reader) error { return s.Segment(key, r) }

// Restore makes the data directory of a cloud from a backup. The directory must be new or empty, except for a root key that lies there already. A nil
// root is that key. When Restore fails, or is killed, what it leaves is nothing, or nothing that opens as a cloud.
func Restore(ctx context.Context, r io.Reader, dir string, root seal.Provider) (_ *Checked, err error) {
	if root == nil {
		root = seal.NewFile(filepath.Join(dir, rootFile))
	}
	made, err := claim(dir)
	if err != nil {
		return nil, err
	}
	half := filepath.Join(dir, restoringDir)
	var placed []string
	defer func() {
		if err == nil {
			return
		}
		for _, path := range append(placed, half) { // the mark goes last
			if left := os.RemoveAll(path); left != nil {
				err = errors.Join(err, left)
				return
			}
		}
		if made {
			_ = os.Remove(dir) // it is empty, or somebody else's by now
		}
	}()
	s := &restoreSink{ctx: ctx, dir: half}
	done, err := readBackup(r, s, openedBy(ctx, root))
	if err == nil {
		err = s.flush()
	}
	if err = errors.Join(err, s.close()); err != nil {
		return nil, fmt.Errorf("restoring: %w", err)
	}
	// The store comes last, and the mark of what is not complete goes after it. Who has recorded nothing yet has no log.
	for _, name := range []string{auditDir, blobDir, storeDir} {
		if name == auditDir && done.Segments == 0 || name == blobDir && done.Objects == 0 {
			continue
		}
		path := filepath.Join(dir, name)
		if err := os.Rename(filepath.Join(half, name), path); err != nil {
			return nil, fmt.Errorf("restoring: %w", err)
		}
		placed = append(placed, path)
	}
	if err := durable.SyncDir(dir); err != nil {
		return nil, err
	}
	if err := os.Remove(half); err != nil {
		return nil, err
	}
	return done, durable.SyncDir(dir)
}

// restoringDir holds what is being restored. A directory in which it lies opens as no cloud.
const restoringDir = "restoring"

var errHalfRestored = errors.New("a restore into this data directory was not finished, or still runs: if it does not, remove the directory and restore again")

// wholly refuses a directory that a restore has not finished.
func wholly(dir string) error {
	if _, err := os.Lstat(filepath.Join(dir, restoringDir)); err == nil {
		return errHalfRestored
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// claim takes a directory for a restore, and reports whether it made it.
func claim(dir string) (made bool, err error) {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if err := durable.MkdirAll(dir); err != nil {
			return false, err
		}
		made = true
	case err != nil:
		return false, err
	}
	for _, e := range entries {
		switch e.Name() {
		case rootFile:
		case restoringDir:
			return false, errHalfRestored
		default:
			return false, fmt.Errorf("%s is not empty: a backup is restored into a new directory, with nothing but %s in it", dir, rootFile)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, restoringDir), 0o700); err != nil {
		return false, err
	}
	return made, durable.SyncDir(dir)
}

// restoreSink writes a store, a log and objects.
type restoreSink struct {
	ctx   context.Context
	dir   string
	store store.Store // opened with the first pair
	blob  blob.Store  // opened with the first object
	pairs []store.KV  // that are not written yet
	size  int
}

// restoreBatch is how many bytes one transaction of a restore writes: few enough for the store, and many for each time that it waits for the disk.
const restoreBatch = 4 << 20

func (s *restoreSink) Pair(key, value []byte) error {
	if s.size+len(key)+len(value) > restoreBatch {
		if err := s.flush(); err != nil {
			return err
		}
	}
	s.pairs = append(s.pairs, store.KV{Key: key, Value: value})
	s.size += len(key) + len(value)
	return nil
}

func (s *restoreSink) flush() (err error) {
	if len(s.pairs) == 0 {
		return nil
	}
	if s.store == nil {
		if s.store, err = pebblestore.Open(pebblestore.Options{Dir: filepath.Join(s.dir, storeDir)}); err != nil {
			return err
		}
	}
	err = s.store.Update(s.ctx, func(tx store.Tx) error {
		for _, kv := range s.pairs {
			tx.Set(kv.Key, kv.Value)
		}
		return nil
	})
	s.pairs, s.size = s.pairs[:0], 0
	return err
}

func (s *restoreSink) Segment(name string, r io.Reader) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	return audit.WriteCopy(filepath.Join(s.dir, auditDir), name, r)
}

func (s *restoreSink) Object(key string, r io.Reader) (err error) {
	if s.blob == nil {
		if s.blob, err = blob.OpenFiles(filepath.Join(s.dir, blobDir)); err != nil {
			return err
		}
	}
	_, err = s.blob.Put(s.ctx, key, r)
	return err
}

func (s *restoreSink) close() error {
	if s.store == nil {
		return nil
	}
	return s.store.Close()
}

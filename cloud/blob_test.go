package cloud

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/backup"
	"github.com/holdfast-cloud/holdfast/blob"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/tuple"
)

func openHere(t *testing.T, cfg Config) *Cloud {
	t.Helper()
	c, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func putObject(t *testing.T, c *Cloud, key, content string) {
	t.Helper()
	if _, err := c.core.blob.Put(t.Context(), key, strings.NewReader(content)); err != nil {
		t.Fatal(err)
	}
}

func wantObject(t *testing.T, c *Cloud, key, want string) {
	t.Helper()
	r, _, err := c.core.blob.Get(t.Context(), key, 0, -1)
	if err != nil {
		t.Errorf("Get(%q): %v", key, err)
		return
	}
	defer r.Close()
	if got, err := io.ReadAll(r); err != nil || string(got) != want {
		t.Errorf("Get(%q) = %d bytes, %v, want %d", key, len(got), err, len(want))
	}
}

// onWrite calls a function before the first byte of a backup: its snapshot is taken by then.
type onWrite struct {
	bytes.Buffer
	do func()
}

func (o *onWrite) Write(b []byte) (int, error) {
	if o.do != nil {
		o.do()
		o.do = nil
	}
	return o.Buffer.Write(b)
}

// An object whose record is in the backup is in it, also when it is deleted while the backup is taken.
func TestBackupHasObjects(t *testing.T) {
	dir := t.TempDir()
	c := openHere(t, Config{Dir: dir, Dev: true})
	long := strings.Repeat("what a bucket holds ", 10_000)
	putObject(t, c, "s3/a/1", long)
	putObject(t, c, "s3/a/2", "")
	if _, err := c.RotateSeal(t.Context()); err != nil {
		t.Fatal(err)
	}
	putObject(t, c, "audit/3", "segment")
	out := onWrite{do: func() {
		for _, key := range []string{"s3/a/1", "s3/a/2"} {
			if err := c.core.blob.Delete(t.Context(), key); err != nil {
				t.Error(err)
			}
		}
	}}
	other := seal.NewFile(filepath.Join(t.TempDir(), "other.key"))
	contents, err := c.BackupFor(t.Context(), &out, other)
	if err != nil {
		t.Fatal(err)
	}
	if contents.Objects != 3 {
		t.Errorf("the backup has %d objects, want 3", contents.Objects)
	}
	for _, key := range []string{"s3/a/1", "s3/a/2"} {
		if _, err := c.core.blob.Stat(t.Context(), key); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("when the backup is taken, %s is still there: %v", key, err)
		}
	}
	target := filepath.Join(t.TempDir(), "new")
	if _, err := Restore(t.Context(), bytes.NewReader(out.Bytes()), target, other); err != nil {
		t.Fatal(err)
	}
	restored := openHere(t, Config{Dir: target, Seal: other, Dev: true})
	wantObject(t, restored, "s3/a/1", long)
	wantObject(t, restored, "s3/a/2", "")
	wantObject(t, restored, "audit/3", "segment")
	t.Run("Cut", func(t *testing.T) {
		target := filepath.Join(t.TempDir(), "new")
		if _, err := Restore(t.Context(), bytes.NewReader(out.Bytes()[:out.Len()-100]), target, other); !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("Restore = %v, want ErrDamaged", err)
		}
		if left, _ := filepath.Glob(target); left != nil {
			t.Errorf("%s was left", left)
		}
	})
	t.Run("Reset", func(t *testing.T) {
		if err := restored.Reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := restored.core.blob.Stat(t.Context(), "s3/a/1"); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("after a reset: %v, want ErrNotFound", err)
		}
	})
}

// Objects that come and go while backups are taken are in them by the records of that moment.
func TestBackupWhileObjectsComeAndGo(t *testing.T) {
	dir := t.TempDir()
	c := openHere(t, Config{Dir: dir, Dev: true})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			key := fmt.Sprintf("s3/%d", i)
			if _, err := c.core.blob.Put(ctx, key, strings.NewReader(key)); err != nil {
				break
			}
			if err := nameObject(ctx, c, key); err != nil { // and the one before is named no more
				break
			}
			if i > 0 {
				_ = c.core.blob.Delete(ctx, fmt.Sprintf("s3/%d", i-1))
			}
		}
	}()
	root := seal.NewFile(filepath.Join(dir, "root.key"))
	for range 5 {
		var out bytes.Buffer
		if _, err := c.Backup(t.Context(), &out); err != nil {
			t.Fatal(err)
		}
		target := filepath.Join(t.TempDir(), "new")
		if _, err := Restore(t.Context(), &out, target, root); err != nil {
			t.Fatal(err)
		}
		restored := openHere(t, Config{Dir: target, Seal: root, Dev: true})
		if key := namedObject(t, restored); key != "" {
			wantObject(t, restored, key, key)
		}
	}
	cancel()
	<-done
}

var nameKey = tuple.Encode("test", "object")

// nameObject is what an owner of an object does.
func nameObject(ctx context.Context, c *Cloud, key string) error {
	return c.core.store.Update(ctx, func(tx store.Tx) error {
		tx.Set(nameKey, []byte(key))
		return nil
	})
}

func namedObject(t *testing.T, c *Cloud) (key string) {
	t.Helper()
	err := c.core.store.View(t.Context(), func(r store.Reader) error {
		b, err := r.Get(nameKey)
		key = string(b)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

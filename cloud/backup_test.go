package cloud_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/backup"
	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/seal"
)

// backedUp is a cloud with a key, a ciphertext, and a backup of it.
type backedUp struct {
	dir, key   string
	ciphertext []byte
	file       []byte
}

func (b *backedUp) root() seal.Provider { return seal.NewFile(filepath.Join(b.dir, "root.key")) }

func backUp(t *testing.T, c *cloud.Cloud) []byte {
	t.Helper()
	var out bytes.Buffer
	if _, err := c.Backup(t.Context(), &out); err != nil {
		t.Fatalf("Backup: %v", err)
	}
	return out.Bytes()
}

func newBackedUp(t *testing.T) *backedUp {
	t.Helper()
	b := &backedUp{dir: t.TempDir()}
	c := open(t, cloud.Config{Dir: b.dir, Dev: true})
	defer closeCloud(t, c)
	k := client(t, c, "test", "test")
	made, err := k.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	b.key = *made.KeyMetadata.KeyId
	b.ciphertext = encrypt(t, k, b.key, "hello")
	b.file = backUp(t, c)
	return b
}

// wantHello opens a restored cloud, which decrypts what the first one encrypted.
func (b *backedUp) wantHello(t *testing.T, dir string, root seal.Provider) {
	t.Helper()
	c := open(t, cloud.Config{Dir: dir, Seal: root, Dev: true})
	defer closeCloud(t, c)
	out, err := client(t, c, "test", "test").Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: b.ciphertext})
	if err != nil || string(out.Plaintext) != "hello" {
		t.Errorf("Decrypt in the restored cloud = %v, want hello", err)
	}
}

func restore(t *testing.T, file []byte, dir string, root seal.Provider) (*cloud.Checked, error) {
	t.Helper()
	return cloud.Restore(t.Context(), bytes.NewReader(file), dir, root)
}

func TestRestore(t *testing.T) {
	b := newBackedUp(t)
	t.Run("OK", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "new")
		done, err := restore(t, b.file, dir, b.root())
		if err != nil {
			t.Fatal(err)
		}
		if done.Pairs == 0 || done.Segments != 1 || done.Taken.IsZero() {
			t.Errorf("Restore = %+v", done)
		}
		b.wantHello(t, dir, b.root())
		for _, name := range []string{"root.key", "admin.json", "restoring"} {
			if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s lies in the restored directory", name)
			}
		}
	})
	t.Run("TheRootKeyLiesThere", func(t *testing.T) {
		dir := t.TempDir()
		key, err := os.ReadFile(filepath.Join(b.dir, "root.key"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "root.key"), key, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := restore(t, b.file, dir, nil); err != nil {
			t.Fatal(err)
		}
		b.wantHello(t, dir, nil)
	})
	t.Run("TheTrailIsThere", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "new")
		if _, err := restore(t, b.file, dir, b.root()); err != nil {
			t.Fatal(err)
		}
		c := open(t, cloud.Config{Dir: dir, Seal: b.root(), Idle: true})
		defer closeCloud(t, c)
		events, err := c.Events(t.Context(), audit.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		all := string(bytes.Join(events, nil))
		for _, name := range []string{"CreateKey", "Encrypt"} {
			if !strings.Contains(all, `"eventName":"`+name+`"`) {
				t.Errorf("%s is not on record", name)
			}
		}
	})
}

// What goes wrong is told, and leaves nothing.
func TestRestoreRefuses(t *testing.T) {
	b := newBackedUp(t)
	other := newBackedUp(t)
	altered := bytes.Clone(b.file)
	altered[len(altered)-100] ^= 1
	newer := bytes.Clone(b.file)
	newer[17] = 9
	for name, c := range map[string]struct {
		file []byte
		root seal.Provider
		want error
		text string
	}{
		"AnotherRootKey": {b.file, other.root(), seal.ErrWrongRoot, "does not open"},
		"NoRootKey":      {b.file, nil, seal.ErrNoRoot, "root.key does not exist"},
		"Truncated":      {b.file[:len(b.file)-1], b.root(), backup.ErrDamaged, "its end is missing"},
		"Altered":        {altered, b.root(), backup.ErrDamaged, ""},
		"AppendedTo":     {append(bytes.Clone(b.file), "x"...), b.root(), backup.ErrDamaged, ""},
		"Newer":          {newer, b.root(), backup.ErrNewer, "its format is 9"},
		"NoBackup":       {[]byte("hello"), b.root(), backup.ErrNoBackup, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "new")
			_, err := restore(t, c.file, dir, c.root)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("Restore = %v, want %v with %q", err, c.want, c.text)
			}
			if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Error("the directory was left")
			}
			if name != "NoRootKey" {
				if _, err := cloud.VerifyBackup(t.Context(), bytes.NewReader(c.file), c.root); !errors.Is(err, c.want) {
					t.Errorf("VerifyBackup = %v, want %v", err, c.want)
				}
			}
		})
	}
	t.Run("DirectoryInUse", func(t *testing.T) {
		before := files(t, other.dir)
		if _, err := restore(t, b.file, other.dir, b.root()); err == nil || !strings.Contains(err.Error(), "not empty") {
			t.Errorf("Restore into a cloud's directory = %v", err)
		}
		if after := files(t, other.dir); after != before {
			t.Errorf("the directory changed from\n%s to\n%s", before, after)
		}
		other.wantHello(t, other.dir, nil)
	})
}

func files(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		fmt.Fprintln(&b, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// interrupted ends before the backup does, as the process would.
type interrupted struct {
	r      *bytes.Reader
	at     func()
	called bool
}

func (i *interrupted) Read(b []byte) (int, error) {
	if i.r.Len() == 0 && !i.called {
		i.called = true
		i.at()
	}
	return i.r.Read(b)
}

// What a restore leaves that was killed does not start, and is no place for another restore.
func TestAHalfRestoreDoesNotStart(t *testing.T) {
	b := newBackedUp(t)
	dir, copied := filepath.Join(t.TempDir(), "new"), filepath.Join(t.TempDir(), "killed")
	// The last bytes are read when much is written already. The directory as it is then is what a kill would leave.
	r := &interrupted{r: bytes.NewReader(b.file), at: func() {
		if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
			t.Error(err)
		}
	}}
	if _, err := cloud.Restore(t.Context(), r, dir, b.root()); err != nil {
		t.Fatal(err)
	}
	if c, err := cloud.Open(t.Context(), cloud.Config{Dir: copied, Seal: b.root()}); err == nil {
		closeCloud(t, c)
		t.Error("a half restore started as a cloud")
	} else if !strings.Contains(err.Error(), "was not finished") {
		t.Errorf("Open = %v", err)
	}
	if _, err := restore(t, b.file, copied, b.root()); err == nil || !strings.Contains(err.Error(), "was not finished") {
		t.Errorf("Restore over a half restore = %v", err)
	}
	b.wantHello(t, dir, b.root())
}

// A restore that fails when all is read, because somebody else has made a store there meanwhile, leaves nothing of its own.
func TestARestoreThatCannotBePutIntoPlaceLeavesNothing(t *testing.T) {
	b := newBackedUp(t)
	dir := filepath.Join(t.TempDir(), "new")
	r := &interrupted{r: bytes.NewReader(b.file), at: func() {
		if err := os.MkdirAll(filepath.Join(dir, "store", "theirs"), 0o700); err != nil {
			t.Error(err)
		}
	}}
	if _, err := cloud.Restore(t.Context(), r, dir, b.root()); err == nil {
		t.Error("Restore went over another store")
	}
	if got, want := files(t, dir), strings.Join([]string{dir, dir + "/store", dir + "/store/theirs", ""}, "\n"); got != want {
		t.Errorf("what is left is\n%s, want\n%s", got, want)
	}
}

func TestACancelledRestoreLeavesNothing(t *testing.T) {
	b := newBackedUp(t)
	dir := filepath.Join(t.TempDir(), "new")
	ctx, cancel := context.WithCancel(t.Context())
	r := &interrupted{r: bytes.NewReader(b.file), at: cancel}
	if _, err := cloud.Restore(ctx, r, dir, b.root()); !errors.Is(err, context.Canceled) {
		t.Errorf("Restore = %v, want context.Canceled", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error("the directory was left")
	}
}

// The root key of the time opens a backup: the old one when it was taken before a rewrap, and the new one after.
func TestBackupAndRewrap(t *testing.T) {
	b := newBackedUp(t)
	c := open(t, cloud.Config{Dir: b.dir, Dev: true})
	defer closeCloud(t, c)
	if err := c.Rewrap(t.Context(), b.root()); err != nil {
		t.Fatal(err)
	}
	old := seal.NewFile(filepath.Join(b.dir, "root.key.old"))
	if _, err := c.CheckBackup(t.Context(), bytes.NewReader(b.file)); err != nil {
		t.Errorf("the cloud does not open its older backup: %v", err)
	}
	if _, err := cloud.VerifyBackup(t.Context(), bytes.NewReader(b.file), b.root()); !errors.Is(err, seal.ErrWrongRoot) {
		t.Errorf("the older backup under the new root key: %v, want ErrWrongRoot", err)
	}
	dir := filepath.Join(t.TempDir(), "new")
	if _, err := restore(t, b.file, dir, old); err != nil {
		t.Fatal(err)
	}
	b.wantHello(t, dir, old)

	if _, err := c.RotateSeal(t.Context()); err != nil {
		t.Fatal(err)
	}
	file := backUp(t, c)
	if _, err := cloud.VerifyBackup(t.Context(), bytes.NewReader(file), old); !errors.Is(err, seal.ErrWrongRoot) {
		t.Errorf("the newer backup under the old root key: %v, want ErrWrongRoot", err)
	}
	dir = filepath.Join(t.TempDir(), "new")
	if _, err := restore(t, file, dir, b.root()); err != nil {
		t.Fatal(err)
	}
	b.wantHello(t, dir, b.root())
}

// A backup for another root key opens with that one alone, and becomes a cloud that has it.
func TestBackupForAnotherRootKey(t *testing.T) {
	b := newBackedUp(t)
	c := open(t, cloud.Config{Dir: b.dir, Dev: true})
	defer closeCloud(t, c)
	other := seal.NewFile(filepath.Join(t.TempDir(), "other.key"))
	var out bytes.Buffer
	if _, err := c.BackupFor(t.Context(), &out, other); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CheckBackup(t.Context(), bytes.NewReader(out.Bytes())); err != nil {
		t.Errorf("CheckBackup: %v", err)
	}
	if _, err := cloud.VerifyBackup(t.Context(), bytes.NewReader(out.Bytes()), b.root()); !errors.Is(err, seal.ErrWrongRoot) {
		t.Errorf("the backup under the cloud's root key: %v, want ErrWrongRoot", err)
	}
	dir := filepath.Join(t.TempDir(), "new")
	if _, err := restore(t, out.Bytes(), dir, other); err != nil {
		t.Fatal(err)
	}
	b.wantHello(t, dir, other)
	if _, err := cloud.Open(t.Context(), cloud.Config{Dir: dir, Seal: b.root()}); !errors.Is(err, seal.ErrWrongRoot) {
		t.Errorf("the restored cloud under the root key of the first: %v, want ErrWrongRoot", err)
	}
	t.Run("RootKeyOutOfReach", func(t *testing.T) {
		nowhere := seal.NewFile(filepath.Join(b.dir, "root.key", "x"))
		if _, err := c.BackupFor(t.Context(), io.Discard, nowhere); err == nil {
			t.Error("a backup was taken that nothing opens")
		}
	})
	if c.Seal().Kind != "key" {
		t.Errorf("the cloud is sealed by %s now", c.Seal().Kind)
	}
	closeCloud(t, c)
	b.wantHello(t, b.dir, nil)
}

// Backups that are taken while the keyring is rotated open, each of them.
func TestBackupWhileTheKeyringRotates(t *testing.T) {
	dir := t.TempDir()
	c := open(t, cloud.Config{Dir: dir, Dev: true})
	defer closeCloud(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	var rotating sync.WaitGroup
	rotating.Go(func() {
		for ctx.Err() == nil {
			if _, err := c.RotateSeal(ctx); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	})
	other := seal.NewFile(filepath.Join(t.TempDir(), "other.key"))
	for range 50 {
		file := backUp(t, c)
		if _, err := cloud.VerifyBackup(t.Context(), bytes.NewReader(file), seal.NewFile(filepath.Join(dir, "root.key"))); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if _, err := c.BackupFor(t.Context(), &out, other); err != nil {
			t.Fatal(err)
		}
		if _, err := cloud.VerifyBackup(t.Context(), &out, other); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	rotating.Wait()
}

// A backup under load has every call that was answered before it began, and no call by halves: an alias comes with its key, a key with its record.
func TestBackupUnderLoad(t *testing.T) {
	dir := t.TempDir()
	c := open(t, cloud.Config{Dir: dir, Dev: true})
	defer closeCloud(t, c)
	k := client(t, c, "test", "test")
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	acknowledged := make(map[string]string) // alias to its key
	var load sync.WaitGroup
	for w := range 4 {
		load.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				made, err := k.CreateKey(ctx, &kms.CreateKeyInput{})
				if err != nil {
					break
				}
				alias := fmt.Sprintf("alias/%d-%d", w, i)
				if _, err := k.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: &alias, TargetKeyId: made.KeyMetadata.KeyId}); err != nil {
					break
				}
				mu.Lock()
				acknowledged[alias] = *made.KeyMetadata.KeyId
				mu.Unlock()
			}
		})
	}
	enough := func() bool { mu.Lock(); defer mu.Unlock(); return len(acknowledged) >= 40 }
	for !enough() {
		time.Sleep(time.Millisecond)
	}
	mu.Lock()
	want := make(map[string]string)
	for alias, key := range acknowledged {
		want[alias] = key
	}
	mu.Unlock()
	file := backUp(t, c)
	cancel()
	load.Wait()

	target := filepath.Join(t.TempDir(), "new")
	root := seal.NewFile(filepath.Join(dir, "root.key"))
	if _, err := restore(t, file, target, root); err != nil {
		t.Fatal(err)
	}
	restored := open(t, cloud.Config{Dir: target, Seal: root, Dev: true})
	defer closeCloud(t, restored)
	k = client(t, restored, "test", "test")
	for alias, key := range want {
		if out, err := k.DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: &alias}); err != nil || *out.KeyMetadata.KeyId != key {
			t.Errorf("%s was acknowledged and is not in the backup: %v", alias, err)
		}
	}
	events, err := restored.Events(t.Context(), audit.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	all := string(bytes.Join(events, nil))
	keys, err := k.ListKeys(t.Context(), &kms.ListKeysInput{Limit: aws.Int32(1000)})
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys.Keys {
		if _, err := k.Encrypt(t.Context(), &kms.EncryptInput{KeyId: key.KeyId, Plaintext: []byte("x")}); err != nil {
			t.Errorf("a restored key does not encrypt: %v", err)
		}
		if !strings.Contains(all, `"keyId":"`+*key.KeyId+`"`) && !strings.Contains(all, *key.KeyArn) {
			t.Errorf("key %s is there, and its record is not", *key.KeyId)
		}
	}
	t.Logf("%d aliases acknowledged before, %d keys in the backup", len(want), len(keys.Keys))
}

// full is a disk that has no room for more than n bytes.
type full struct{ n int }

func (f *full) Write(b []byte) (int, error) {
	if f.n -= len(b); f.n < 0 {
		return 0, syscall.ENOSPC
	}
	return len(b), nil
}

func TestBackupOnAFullDisk(t *testing.T) {
	b := newBackedUp(t)
	c := open(t, cloud.Config{Dir: b.dir, Dev: true})
	defer closeCloud(t, c)
	for _, n := range []int{0, 10, 1000, len(b.file) / 2} {
		if _, err := c.Backup(t.Context(), &full{n}); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("Backup with room for %d bytes = %v, want ENOSPC", n, err)
		}
	}
	backUp(t, c)
}

// What is in memory has no root key that would open it later.
func TestBackupOfACloudInMemory(t *testing.T) {
	c := open(t, cloud.Config{})
	defer closeCloud(t, c)
	if _, err := c.Backup(t.Context(), new(bytes.Buffer)); err == nil {
		t.Error("a cloud in memory was backed up")
	}
}

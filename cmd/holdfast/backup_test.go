package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/holdfast-cloud/holdfast/internal/syncbuffer"
)

// A backup of a running server, and one of the same when it is stopped, restore to what it was.
func TestBackup(t *testing.T) {
	dir, at := t.TempDir(), t.TempDir()
	root := "file:" + filepath.Join(dir, "root.key")
	s := start(t, dir)
	id, pass := s.id, s.secret
	key, ciphertext := newCiphertext(t, s.kms())

	running := filepath.Join(at, "running.backup")
	if out := wantCommand(t, 0, "backup", "--data", dir, "--to", running); !strings.Contains(out, "all read and checked") {
		t.Errorf("backup said %q", out)
	}
	if log := s.log.String(); !strings.Contains(log, "msg=command name=backup done=true") {
		t.Errorf("the log does not tell of the backup: %s", log)
	}
	if info, err := os.Stat(running); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup's file: %v, %v, want mode 0600", info.Mode(), err)
	}
	t.Run("ReplacesNothing", func(t *testing.T) {
		before, _ := os.ReadFile(running)
		if out := wantCommand(t, 1, "backup", "--data", dir, "--to", running); !strings.Contains(out, "a backup replaces nothing") {
			t.Errorf("backup said %q", out)
		}
		if after, _ := os.ReadFile(running); !bytes.Equal(before, after) {
			t.Error("the backup was replaced")
		}
	})
	t.Run("Usage", func(t *testing.T) {
		wantCommand(t, 2, "backup", "--data", dir)
		wantCommand(t, 2, "backup", "verify", "--data", dir)
		wantCommand(t, 2, "restore", "--data", dir)
		wantCommand(t, 1, "backup", "--data", dir, "--to", filepath.Join(at, "no-such-directory", "x"))
		wantCommand(t, 1, "backup", "--data", t.TempDir(), "--to", filepath.Join(at, "x"))
		wantCommand(t, 1, "restore", "--from", filepath.Join(at, "x"), "--data", filepath.Join(at, "y"))
	})
	s.end(t, 0)
	stopped := filepath.Join(at, "stopped.backup")
	wantCommand(t, 0, "backup", "--data", dir, "--to", stopped)
	for _, file := range []string{running, stopped} {
		t.Run(filepath.Base(file), func(t *testing.T) {
			wantCommand(t, 0, "backup", "verify", file, "--data", dir)
			wantCommand(t, 0, "backup", "verify", "--seal", root, file)
			other := filepath.Join(at, filepath.Base(file)+".restored")
			if out := wantCommand(t, 0, "restore", "--from", file, "--data", other, "--seal", root); !strings.Contains(out, "holdfast serve --data "+other+" --seal "+root) {
				t.Errorf("restore said %q", out)
			}
			s := start(t, other, "--seal", root)
			if s.id != "" {
				t.Error("the restored cloud made a new key for the root user")
			}
			s.id, s.secret = id, pass
			wantPlaintext(t, s.kms(), key, ciphertext)
			s.end(t, 0)
		})
	}
	if left, _ := filepath.Glob(filepath.Join(at, "*.tmp-*")); len(left) > 0 {
		t.Errorf("%s was left", left)
	}
}

// Of two commands at once that write the same file, one does, and the other replaces nothing.
func TestBackupTwiceAtOnce(t *testing.T) {
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "backup")
	s := start(t, dir)
	fill(t, s.kms(), 20)
	var both sync.WaitGroup
	var wrote atomic.Int32
	for range 2 {
		both.Go(func() {
			e, _, said := environment()
			if run(t.Context(), e, []string{"backup", "--data", dir, "--to", file}) == 0 {
				wrote.Add(1)
			} else if !strings.Contains(said.String(), "a backup replaces nothing") {
				t.Errorf("backup said %q", said)
			}
		})
	}
	both.Wait()
	if wrote.Load() != 1 {
		t.Errorf("%d of two backups wrote the file", wrote.Load())
	}
	wantCommand(t, 0, "backup", "verify", file, "--data", dir)
	if left, _ := filepath.Glob(file + ".tmp-*"); len(left) > 0 {
		t.Errorf("%s was left", left)
	}
}

func TestQuoted(t *testing.T) {
	for arg, want := range map[string]string{
		"/var/lib/holdfast": "/var/lib/holdfast", "passphrase:file:/a": "passphrase:file:/a", "tpm:/dev/tpmrm0?pcrs=7": "'tpm:/dev/tpmrm0?pcrs=7'",
		"pkcs11:token=a?b=c&d=e": "'pkcs11:token=a?b=c&d=e'", "it's": `'it'\''s'`, "/my data": "'/my data'",
	} {
		if got := quoted(arg); got != want {
			t.Errorf("quoted(%s) = %s, want %s", arg, got, want)
		}
	}
}

// Backups go through pipes.
func TestBackupThroughAPipe(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	id, pass := s.id, s.secret
	key, ciphertext := newCiphertext(t, s.kms())
	e, out, said := environment()
	if status := run(t.Context(), e, []string{"backup", "--data", dir, "--to", "-"}); status != 0 || !strings.Contains(said.String(), "not read back") {
		t.Fatalf("backup --to - ended with %d: %s", status, said)
	}
	e, told, said := environment()
	e.in = strings.NewReader(out.String())
	if status := run(t.Context(), e, []string{"backup", "verify", "-", "--data", dir}); status != 0 || !strings.Contains(told.String(), "all read and checked") {
		t.Fatalf("backup verify - ended with %d: %s", status, said)
	}
	other := filepath.Join(t.TempDir(), "new")
	root := "file:" + filepath.Join(dir, "root.key")
	e, _, said = environment()
	e.in = strings.NewReader(out.String())
	if status := run(t.Context(), e, []string{"restore", "--from", "-", "--data", other, "--seal", root}); status != 0 {
		t.Fatalf("restore --from - ended with %d: %s", status, said)
	}
	restored := start(t, other, "--seal", root)
	restored.id, restored.secret = id, pass
	wantPlaintext(t, restored.kms(), key, ciphertext)
}

// A backup that another root key opens than the server's outlives, for one, the TPM of its machine.
func TestBackupForAnotherRootKey(t *testing.T) {
	dir, at := t.TempDir(), t.TempDir()
	phrase := filepath.Join(at, "phrase")
	if err := os.WriteFile(phrase, []byte("correct horse battery staple\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir)
	id, pass := s.id, s.secret
	key, ciphertext := newCiphertext(t, s.kms())
	for _, to := range []string{"shamir:2/3", "shamir", "passphrase:fd:3", "pkcs11:token=a?module-path=/b&pin-source=fd:3"} {
		wantCommand(t, 2, "backup", "--data", dir, "--to", filepath.Join(at, "x"), "--for", to)
	}
	wantCommand(t, 1, "backup", "--data", dir, "--to", filepath.Join(at, "x"), "--for", "passphrase:file:"+filepath.Join(at, "none"))
	running, stopped := filepath.Join(at, "running"), filepath.Join(at, "stopped")
	wantCommand(t, 0, "backup", "--data", dir, "--to", running, "--for", "passphrase:file:"+phrase)
	s.end(t, 0)
	wantCommand(t, 0, "backup", "--data", dir, "--to", stopped, "--for", "passphrase:file:"+phrase)
	for _, file := range []string{running, stopped} {
		wantCommand(t, 1, "backup", "verify", file, "--data", dir)
		wantCommand(t, 0, "backup", "verify", file, "--seal", "passphrase:file:"+phrase)
		wantCommand(t, 0, "restore", "--from", file, "--data", file+".restored", "--seal", "passphrase:file:"+phrase)
		restored := start(t, file+".restored", "--seal", "passphrase:file:"+phrase)
		restored.id, restored.secret = id, pass
		wantPlaintext(t, restored.kms(), key, ciphertext)
		restored.end(t, 0)
	}
	again := start(t, dir)
	again.id, again.secret = id, pass
	wantPlaintext(t, again.kms(), key, ciphertext)
}

// Those who hold the shares of the root key come together for a restore, too.
func TestRestoreByShares(t *testing.T) {
	dir, at := t.TempDir(), t.TempDir()
	s := start(t, dir, "--seal", "shamir:2/3")
	shares := shareText.FindAllString(s.out.String(), -1)
	if len(shares) != 3 {
		t.Fatalf("the server told %d shares", len(shares))
	}
	key, ciphertext := newCiphertext(t, s.kms())
	id, pass := s.id, s.secret
	file := filepath.Join(at, "backup")
	wantCommand(t, 0, "backup", "--data", dir, "--to", file)
	s.end(t, 0)
	with := func(status int, given int, args ...string) string {
		t.Helper()
		e, out, said := environment()
		e.in = strings.NewReader(strings.Join(shares[:given], "\n"))
		if got := run(t.Context(), e, args); got != status {
			t.Errorf("holdfast %s with %d shares ended with %d: %s%s", args[0], given, got, out, said)
		}
		return said.String()
	}
	other := filepath.Join(at, "new")
	if said := with(1, 1, "restore", "--from", file, "--data", other, "--seal", "shamir"); !strings.Contains(said, "1 of the 2 shares needed are given") {
		t.Errorf("restore with too few shares said %q", said)
	}
	if said := with(1, 0, "backup", "--data", dir, "--to", file+"2", "--seal", "shamir"); !strings.Contains(said, "start the server, and try again") {
		t.Errorf("a backup of a sealed cloud that does not run said %q", said)
	}
	with(2, 2, "restore", "--from", "-", "--data", other, "--seal", "shamir")
	with(0, 2, "backup", "verify", file, "--seal", "shamir")
	with(0, 2, "restore", "--from", file, "--data", other, "--seal", "shamir")

	again := sealedServer(t, other)
	if status, said := unsealing(t, strings.Join(shares[1:], "\n"), "--data", other); status != 0 {
		t.Fatalf("unseal ended with %d: %s", status, said)
	}
	again.id, again.secret = id, pass
	wantPlaintext(t, again.kms(), key, ciphertext)
}

func newCiphertext(t *testing.T, k *kms.Client) (key string, ciphertext []byte) {
	t.Helper()
	made, err := k.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	out, err := k.Encrypt(t.Context(), &kms.EncryptInput{KeyId: made.KeyMetadata.KeyId, Plaintext: []byte("hello")})
	if err != nil {
		t.Fatal(err)
	}
	return *made.KeyMetadata.KeyId, out.CiphertextBlob
}

func wantPlaintext(t *testing.T, k *kms.Client, key string, ciphertext []byte) {
	t.Helper()
	out, err := k.Decrypt(t.Context(), &kms.DecryptInput{KeyId: &key, CiphertextBlob: ciphertext})
	if err != nil || string(out.Plaintext) != "hello" {
		t.Errorf("Decrypt = %v, want hello", err)
	}
}

// child starts a command as a process of its own, for tests to kill.
func child(t *testing.T, in io.Reader, args ...string) (cmd *exec.Cmd, said *syncbuffer.Buffer) {
	t.Helper()
	cmd, said = exec.Command(os.Args[0], args...), new(syncbuffer.Buffer)
	cmd.Env = append(os.Environ(), "HOLDFAST_TEST_AS_MAIN=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, said
}

// fill makes a cloud of some megabytes: keys with long policies.
func fill(t *testing.T, k *kms.Client, keys int) {
	t.Helper()
	policy := func(i int) string {
		var sids strings.Builder
		for j := range 250 {
			fmt.Fprintf(&sids, `,{"Sid":"n%dx%d","Effect":"Deny","Principal":"*","Action":"kms:Sign","Resource":"*"}`, i, j)
		}
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000000000000:root"},"Action":"kms:*","Resource":"*"}` + sids.String() + `]}`
	}
	for i := range keys {
		if _, err := k.CreateKey(t.Context(), &kms.CreateKeyInput{Policy: aws.String(policy(i))}); err != nil {
			t.Fatal(err)
		}
	}
}

// Killing the command, or the server, in the middle of a backup leaves no file of its name, and a server that has lost nothing.
func TestKillDuringBackup(t *testing.T) {
	dir, at := t.TempDir(), t.TempDir()
	s, server := process(t, dir)
	id, pass := s.id, s.secret
	fill(t, s.kms(), 100)
	key, ciphertext := newCiphertext(t, s.kms())
	file := filepath.Join(at, "backup")
	// begun waits for the first bytes of the file that is being written, or for the whole of it.
	begun := func() {
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Microsecond) {
			found, _ := filepath.Glob(file + ".tmp-*")
			for _, f := range found {
				if info, err := os.Stat(f); err == nil && info.Size() > 0 {
					return
				}
			}
			if _, err := os.Stat(file); err == nil {
				return
			}
		}
		t.Fatal("no backup began")
	}
	forget := func() {
		found, _ := filepath.Glob(file + ".tmp-*")
		for _, f := range found {
			os.Remove(f)
		}
	}
	wantNone := func() {
		t.Helper()
		if _, err := os.Stat(file); !os.IsNotExist(err) {
			t.Fatalf("a backup that was not finished has its name (%v)", err)
		}
	}
	for range 3 {
		cmd, _ := child(t, nil, "backup", "--data", dir, "--to", file)
		begun()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if _, err := os.Stat(file); err == nil { // it was faster, at least until the backup had its name
			wantCommand(t, 0, "backup", "verify", file, "--data", dir)
			_ = os.Remove(file)
		}
		forget()
		wantPlaintext(t, s.kms(), key, ciphertext)
	}
	cmd, said := child(t, nil, "backup", "--data", dir, "--to", file)
	begun()
	_ = server.Process.Kill()
	_ = server.Wait()
	if cmd.Wait() != nil {
		wantNone()
		t.Logf("the command said: %s", said)
	}
	forget()
	_ = os.Remove(file)

	again, _ := process(t, dir)
	again.id, again.secret = id, pass
	wantPlaintext(t, again.kms(), key, ciphertext)
	wantCommand(t, 0, "backup", "--data", dir, "--to", file)
	wantCommand(t, 0, "backup", "verify", file, "--data", dir)
}

// A command that waits for what does not come is ended by a second signal, as the first one waits with it.
func TestASecondSignalEndsACommandThatWaits(t *testing.T) {
	dir := t.TempDir()
	nothing, feed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer feed.Close()
	defer nothing.Close()
	cmd, said := child(t, nothing, "restore", "--from", "-", "--data", dir)
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	begun := func() bool {
		_, err := os.Stat(filepath.Join(dir, "restoring"))
		return err == nil
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if begun() {
			_ = cmd.Process.Signal(os.Interrupt)
		}
		select {
		case <-ended:
			if !begun() {
				t.Errorf("it ended before it waited: %s", said)
			}
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
	t.Error("signals do not end a restore that waits for its input")
}

// Killing a restore leaves nothing that starts.
func TestKillDuringRestore(t *testing.T) {
	dir, at := t.TempDir(), t.TempDir()
	root := "file:" + filepath.Join(dir, "root.key")
	s := start(t, dir)
	fill(t, s.kms(), 200)
	file := filepath.Join(at, "backup")
	wantCommand(t, 0, "backup", "--data", dir, "--to", file)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(at, "new")
	in, feed := io.Pipe()
	cmd, said := child(t, in, "restore", "--from", "-", "--data", target, "--seal", root)
	var feeding sync.WaitGroup
	feeding.Go(func() { _, _ = feed.Write(whole[:len(whole)-1]) })
	// The store is being written when its directory is there.
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(filepath.Join(target, "restoring", "store")); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the restore wrote nothing: %s", said)
		}
	}
	_ = cmd.Process.Kill()
	feed.Close()
	feeding.Wait()
	_ = cmd.Wait()
	if out := wantCommand(t, 1, "serve", "--listen", "127.0.0.1:0", "--data", target, "--seal", root); !strings.Contains(out, "was not finished") {
		t.Errorf("serve said %q", out)
	}
	if out := wantCommand(t, 1, "restore", "--from", file, "--data", target, "--seal", root); !strings.Contains(out, "was not finished") {
		t.Errorf("restore said %q", out)
	}
	if err := os.RemoveAll(target); err != nil {
		t.Fatal(err)
	}
	wantCommand(t, 0, "restore", "--from", file, "--data", target, "--seal", root)
}

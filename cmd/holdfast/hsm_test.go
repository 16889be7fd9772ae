//go:build pkcs11 && cgo

package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/holdfast-cloud/holdfast/hsm/hsmtest"
)

const rootPIN = "the root's PIN"

// tokenSeal is a token for a root key, and how --seal names it.
func tokenSeal(t *testing.T) (soft *hsmtest.SoftHSM, spec string) {
	t.Helper()
	soft = hsmtest.New(t)
	soft.Init("roots", rootPIN)
	pin := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(pin, []byte(rootPIN+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return soft, soft.Text("roots") + "&pin-source=file:" + pin
}

// A running server goes from a file to a token and back, and nobody who calls it meanwhile notices.
func TestRewrapToTokenAndBack(t *testing.T) {
	soft, spec := tokenSeal(t)
	dir := t.TempDir()
	s := start(t, dir)
	id, pass := s.id, s.secret
	k := s.kms()
	key, err := k.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	blob, err := k.Encrypt(t.Context(), &kms.EncryptInput{KeyId: key.KeyMetadata.KeyId, Plaintext: []byte("secret")})
	if err != nil {
		t.Fatal(err)
	}
	decrypts := func(k *kms.Client) error {
		_, err := k.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: blob.CiphertextBlob})
		return err
	}
	var stop atomic.Bool
	var calls sync.WaitGroup
	for range 2 {
		calls.Go(func() {
			for !stop.Load() {
				if err := decrypts(k); err != nil {
					t.Errorf("while the seal changed: %v", err)
					return
				}
			}
		})
	}
	wantCommand(t, 0, "seal", "rewrap", "--data", dir, "--to", spec)
	wantCommand(t, 0, "seal", "rewrap", "--data", dir, "--to", "file:"+filepath.Join(dir, "another.key"))
	wantCommand(t, 0, "seal", "rewrap", "--data", dir, "--to", spec)
	if out := wantCommand(t, 1, "seal", "rewrap", "--data", dir, "--to", strings.Replace(spec, "token=roots", "token=nowhere", 1)); !strings.Contains(out, "nowhere") {
		t.Errorf("rewrapping to a token that is not there: %s", out)
	}
	stop.Store(true)
	calls.Wait()
	s.end(t, 0)
	if len(soft.Keys("roots", rootPIN)) != 1 {
		t.Errorf("the token has %v, want one root", soft.Keys("roots", rootPIN))
	}
	// The old root opens it no more.
	if out := wantCommand(t, 1, "serve", "--listen", "127.0.0.1:0", "--data", dir, "--seal", "file:"+filepath.Join(dir, "root.key")); !strings.Contains(out, "pkcs11") {
		t.Errorf("starting with the old root: %s", out)
	}
	s = start(t, dir, "--seal", spec)
	s.id, s.secret = id, pass
	if err := decrypts(s.kms()); err != nil {
		t.Errorf("after a start with the token: %v", err)
	}
}

// A server whose token is away starts sealed, and opens when the token is there. With a wrong PIN it does not start, and does not try it again.
func TestStartWithoutToken(t *testing.T) {
	soft, spec := tokenSeal(t)
	dir := t.TempDir()
	s := start(t, dir, "--seal", spec)
	id, pass := s.id, s.secret
	s.end(t, 0)

	wrong := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(wrong, []byte("wrong\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before, _, _ := strings.Cut(spec, "&pin-source=")
	out := wantCommand(t, 1, "serve", "--listen", "127.0.0.1:0", "--data", dir, "--seal", before+"&pin-source=file:"+wrong)
	if !strings.Contains(out, "the PIN is wrong") || strings.Contains(out, rootPIN) {
		t.Errorf("starting with a wrong PIN: %s", out)
	}

	soft.Vanish()
	go func() {
		for _, err := os.Stat(filepath.Join(dir, adminFile)); err != nil; _, err = os.Stat(filepath.Join(dir, adminFile)) {
			time.Sleep(time.Millisecond)
		}
		soft.Return() // once the server has begun to wait
	}()
	s = start(t, dir, "--seal", spec) // waits for the greeting, which comes when the cloud is open
	if !strings.Contains(s.out.String(), "and is sealed") {
		t.Errorf("without the token it was not sealed: %s", s.out)
	}
	s.endpoint, s.id, s.secret = strings.TrimSuffix(s.endpoint, ","), id, pass
	s.whoAmI(t, id, pass)
}

package tpm

import (
	"bytes"
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/holdfast-cloud/holdfast/internal/swtpm"
	"github.com/holdfast-cloud/holdfast/seal"
)

func mustNew(t testing.TB, path string, pcrs ...uint) *Seal {
	t.Helper()
	s, err := New(path, pcrs...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustWrap(t *testing.T, s *Seal) []byte {
	t.Helper()
	w, err := s.Wrap(t.Context(), []byte("keyring"))
	if err != nil {
		t.Fatalf("Wrap: %v", err)
	}
	return w
}

func checkUnwrap(t *testing.T, s *Seal, wrapped []byte) {
	t.Helper()
	if got, err := s.Unwrap(t.Context(), wrapped); string(got) != "keyring" || err != nil {
		t.Errorf("Unwrap = %q, %v", got, err)
	}
}

func checkRefused(t *testing.T, s *Seal, wrapped []byte, want error, text string) {
	t.Helper()
	if got, err := s.Unwrap(t.Context(), wrapped); !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
		t.Errorf("Unwrap = %q, %v, want %v with %q", got, err, want, text)
	}
}

func TestTPM(t *testing.T) {
	v := swtpm.Start(t)
	s := mustNew(t, v.Path)
	wrapped := mustWrap(t, s)
	checkUnwrap(t, s, wrapped)
	// Nothing stays in the TPM, which has place for three keys.
	for range 8 {
		checkUnwrap(t, s, mustWrap(t, s))
	}
	t.Run("Restart", func(t *testing.T) {
		v.Stop()
		checkRefused(t, s, wrapped, seal.ErrNoRoot, "reaching the TPM")
		v.Start(t)
		checkUnwrap(t, s, wrapped)
	})
	t.Run("Keyring", func(t *testing.T) {
		var storage seal.Memory
		for range 2 {
			k, err := seal.Open(t.Context(), seal.Config{Provider: mustNew(t, v.Path), Storage: &storage})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := k.Rotate(t.Context()); err != nil {
				t.Errorf("Rotate: %v", err)
			}
		}
	})
	t.Run("AnotherTPM", func(t *testing.T) {
		checkRefused(t, mustNew(t, swtpm.Start(t).Path), wrapped, seal.ErrWrongRoot, "another TPM")
	})
	t.Run("NoTPM", func(t *testing.T) {
		checkRefused(t, mustNew(t, filepath.Join(t.TempDir(), "tpm")), wrapped, seal.ErrNoRoot, "reaching the TPM")
	})
	t.Run("Tampered", func(t *testing.T) {
		for i := 0; i < len(wrapped); i += 3 {
			bad := bytes.Clone(wrapped)
			bad[i] ^= 1
			if got, err := s.Unwrap(t.Context(), bad); err == nil {
				t.Errorf("byte %d changed: Unwrap = %q", i, got)
			}
		}
		checkUnwrap(t, s, wrapped)
	})
	t.Run("SecretOnTheBus", func(t *testing.T) {
		ear := overhear(t, v.Path)
		heard := mustNew(t, ear.path)
		w := mustWrap(t, heard)
		checkUnwrap(t, heard, w)
		ear.close()
		b, header, err := decodeBlob(w)
		if err != nil {
			t.Fatal(err)
		}
		c, err := s.open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		p, err := c.storageRoot(b.parent)
		if err != nil {
			t.Fatal(err)
		}
		secret, err := c.unseal(p, b)
		if err != nil {
			t.Fatal(err)
		}
		c.flush(p)
		c.close()
		root, _ := seal.NewKey(secret)
		if _, err := root.UnwrapAfter(header, w[len(header):]); err != nil {
			t.Fatalf("this is not the root key: %v", err)
		}
		if len(ear.heard) < 1000 || bytes.Contains(ear.heard, secret) {
			t.Errorf("%d bytes passed, and the root key was among them: %v", len(ear.heard), bytes.Contains(ear.heard, secret))
		}
	})
	t.Run("Canceled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Unwrap(ctx, wrapped); err == nil {
			t.Error("Unwrap did not obey its context")
		}
	})
	t.Run("Cleared", func(t *testing.T) {
		c, err := s.open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (tpm2.Clear{AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHLockout, Auth: tpm2.PasswordAuth(nil)}}).Execute(c); err != nil {
			t.Fatal(err)
		}
		c.close()
		checkRefused(t, s, wrapped, seal.ErrWrongRoot, "cleared")
	})
}

func TestPCRs(t *testing.T) {
	v := swtpm.Start(t)
	s := mustNew(t, v.Path, 11, 7, 7)
	extend := func(index uint32) {
		t.Helper()
		c, err := s.open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.close()
		if _, err := (tpm2.PCRExtend{
			PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(index), Auth: tpm2.PasswordAuth(nil)},
			Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: bytes.Repeat([]byte{1}, 32)}}},
		}).Execute(c); err != nil {
			t.Fatal(err)
		}
	}
	wrapped := mustWrap(t, s)
	checkUnwrap(t, s, wrapped)
	checkUnwrap(t, mustNew(t, v.Path), wrapped) // which PCRs count is stored
	extend(8)
	checkUnwrap(t, s, wrapped)
	extend(11)
	checkRefused(t, s, wrapped, seal.ErrNoRoot, "PCR 11 changed")

	// It is the TPM that refuses, and not only the comparison that finds the words.
	b, _, err := decodeBlob(wrapped)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.storageRoot(b.parent)
	if err != nil {
		t.Fatal(err)
	}
	if secret, err := c.unseal(p, b); err == nil {
		t.Errorf("the TPM gave out %d bytes", len(secret))
	}
	b.pcrs = nil
	if secret, err := c.unseal(p, b); err == nil {
		t.Errorf("without a policy the TPM gave out %d bytes", len(secret))
	}
	c.flush(p)
	c.close()

	v.Stop()
	v.Start(t) // as at boot, the PCRs begin anew
	checkUnwrap(t, s, wrapped)
}

func TestProvisioned(t *testing.T) {
	// The owner has a password, and left the storage root key in the TPM.
	v := swtpm.Start(t)
	s := mustNew(t, v.Path)
	before := mustWrap(t, s)
	c, err := s.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.storageRoot(nil)
	if err != nil {
		t.Fatal(err)
	}
	owner := tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)}
	if _, err := (tpm2.EvictControl{
		Auth: owner, ObjectHandle: &tpm2.NamedHandle{Handle: p.handle, Name: p.named()}, PersistentHandle: persistent,
	}).Execute(c); err != nil {
		t.Fatal(err)
	}
	c.flush(p)
	if _, err := (tpm2.HierarchyChangeAuth{AuthHandle: owner, NewAuth: tpm2.TPM2BAuth{Buffer: []byte("owner")}}).Execute(c); err != nil {
		t.Fatal(err)
	}
	c.close()
	checkUnwrap(t, s, before)
	checkUnwrap(t, s, mustWrap(t, s))
}

func TestNew(t *testing.T) {
	for _, bad := range []struct {
		path string
		pcrs []uint
	}{{"tcp://192.0.2.1:2321", nil}, {"tcp://nonsense", nil}, {"", []uint{24}}} {
		if _, err := New(bad.path, bad.pcrs...); err == nil {
			t.Errorf("New(%q, %v) took it", bad.path, bad.pcrs)
		}
	}
	if s := mustNew(t, ""); s.path != DefaultPath {
		t.Errorf("the default is %s", s.path)
	}
}

func FuzzDecodeBlob(f *testing.F) {
	f.Add((&blob{pcrs: []pcr{{index: 7}}, parent: []byte("parent"), public: []byte("public"), private: []byte("private")}).encode())
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, wrapped []byte) {
		if b, header, err := decodeBlob(wrapped); err == nil && (!bytes.Equal(b.encode(), header) || !bytes.HasPrefix(wrapped, header)) {
			t.Errorf("decoding %x and encoding gives something else", wrapped)
		}
	})
}

// An ear passes bytes on to a TPM and back, and keeps them.
type ear struct {
	path     string
	heard    []byte
	listener net.Listener
	done     chan struct{}
}

func overhear(t *testing.T, path string) *ear {
	t.Helper()
	e := &ear{path: path + ".ear", done: make(chan struct{})}
	var err error
	if e.listener, err = net.Listen("unix", e.path); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(e.done)
		for {
			from, err := e.listener.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("unix", path)
			if err != nil {
				return
			}
			buf := make([]byte, mostResponse)
			for {
				// A TPM answers one command after the other.
				n, err := from.Read(buf)
				if err != nil {
					break
				}
				e.heard = append(e.heard, buf[:n]...)
				to.Write(buf[:n])
				if n, err = to.Read(buf); err != nil {
					break
				}
				e.heard = append(e.heard, buf[:n]...)
				from.Write(buf[:n])
			}
			from.Close()
			to.Close()
		}
	}()
	return e
}

func (e *ear) close() {
	e.listener.Close()
	<-e.done
}

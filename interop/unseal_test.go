package interop

import (
	"bytes"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	wrapping "github.com/hashicorp/go-kms-wrapping/v2"
	"github.com/hashicorp/go-kms-wrapping/wrappers/awskms/v2"
	"google.golang.org/protobuf/proto"
)

// seal is what Vault and OpenBao have in memory of `seal "awskms" {...}`: the same library, with the same settings.
func (s *server) seal(t *testing.T, key string) (*awskms.Wrapper, error) {
	t.Helper()
	w := awskms.NewWrapper()
	_, err := w.SetConfig(t.Context(), wrapping.WithKeyId(key), wrapping.WithConfigMap(map[string]string{
		"region": virginia, "endpoint": s.endpoint, "access_key": s.id, "secret_key": s.secret, "disallow_env_vars": "true",
	}))
	return w, err
}

// TestVaultSeal keeps a root key in the form that Vault stores, and gets it back after each of the two programs has ended.
func TestVaultSeal(t *testing.T) {
	s := start(t)
	key := s.key(t, &kms.CreateKeyInput{})
	alias := aws.String("alias/vault")
	if _, err := s.kms(virginia).CreateAlias(t.Context(), &kms.CreateAliasInput{AliasName: alias, TargetKeyId: &key}); err != nil {
		t.Fatal(err)
	}
	root := bytes.Repeat([]byte("root key"), 4)
	first, err := s.seal(t, *alias)
	if err != nil {
		t.Fatal(err)
	}
	stored := wrap(t, first, root)
	if bytes.Contains(stored, root) {
		t.Error("the stored form has the root key in it")
	}
	wantRoot := func(t *testing.T, w *awskms.Wrapper, stored []byte) {
		t.Helper()
		if got, err := unwrap(t, w, stored); err != nil || !bytes.Equal(got, root) {
			t.Errorf("unsealing: %q, %v", got, err)
		}
	}
	wantRoot(t, first, stored)

	t.Run("HoldfastDown", func(t *testing.T) {
		s.kill()
		if got, err := unwrap(t, first, stored); err == nil {
			t.Errorf("unsealed to %q with nobody there", got)
		}
		if _, err := s.seal(t, *alias); err == nil {
			t.Error("a seal was configured with nobody there")
		}
		s.run(t)
		wantRoot(t, first, stored) // the same process goes on
	})
	t.Run("BothRestarted", func(t *testing.T) {
		s.kill()
		s.run(t)
		again, err := s.seal(t, *alias)
		if err != nil {
			t.Fatal(err)
		}
		wantRoot(t, again, stored)
	})
	t.Run("Rotated", func(t *testing.T) {
		if _, err := s.kms(virginia).RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: &key}); err != nil {
			t.Fatal(err)
		}
		wantRoot(t, first, stored)
		wantRoot(t, first, wrap(t, first, root))
	})
	t.Run("AnotherKey", func(t *testing.T) {
		other := s.key(t, &kms.CreateKeyInput{})
		if _, err := s.kms(virginia).UpdateAlias(t.Context(), &kms.UpdateAliasInput{AliasName: alias, TargetKeyId: &other}); err != nil {
			t.Fatal(err)
		}
		again, err := s.seal(t, *alias)
		if err != nil {
			t.Fatal(err)
		}
		wantRoot(t, again, stored) // the ciphertext names its key
		newer := wrap(t, again, root)
		if got, _ := again.KeyId(t.Context()); got != other {
			t.Errorf("the seal says that its key is %s, want %s", got, other)
		}
		if _, err := s.kms(virginia).DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &key}); err != nil {
			t.Fatal(err)
		}
		if got, err := unwrap(t, again, stored); err == nil || !strings.Contains(err.Error(), "DisabledException") {
			t.Errorf("unsealing with a disabled key: %q, %v", got, err)
		}
		wantRoot(t, again, newer)
	})
	t.Run("NoSuchKey", func(t *testing.T) {
		if _, err := s.seal(t, "alias/none"); err == nil || !strings.Contains(err.Error(), "NotFoundException") {
			t.Errorf("a seal with a key that is not there: %v", err)
		}
	})
	t.Run("Altered", func(t *testing.T) {
		w, err := s.seal(t, *alias)
		if err != nil {
			t.Fatal(err)
		}
		var blob wrapping.BlobInfo
		if err := proto.Unmarshal(wrap(t, w, root), &blob); err != nil {
			t.Fatal(err)
		}
		blob.KeyInfo.WrappedKey[len(blob.KeyInfo.WrappedKey)-1] ^= 1
		if got, err := w.Decrypt(t.Context(), &blob); err == nil || !strings.Contains(err.Error(), "InvalidCiphertextException") {
			t.Errorf("unsealing what was altered: %q, %v", got, err)
		}
	})
}

// wrap seals plaintext, and returns what Vault writes to its storage.
func wrap(t *testing.T, w *awskms.Wrapper, plaintext []byte) []byte {
	t.Helper()
	blob, err := w.Encrypt(t.Context(), plaintext)
	if err != nil {
		t.Fatalf("sealing: %v", err)
	}
	b, err := proto.Marshal(blob)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func unwrap(t *testing.T, w *awskms.Wrapper, stored []byte) ([]byte, error) {
	t.Helper()
	var blob wrapping.BlobInfo
	if err := proto.Unmarshal(stored, &blob); err != nil {
		t.Fatal(err)
	}
	return w.Decrypt(t.Context(), &blob)
}

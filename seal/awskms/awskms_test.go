package awskms

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/remote/kmsclient"
	"github.com/holdfast-cloud/holdfast/seal"
)

// another is a KMS with a key, and a user who may use it and nothing else, whose credentials are in the environment.
type another struct {
	*cloudtest.Cloud
	kms *sdk.Client
	key string // ARN
}

func anotherKMS(t *testing.T) *another {
	t.Helper()
	a := &another{Cloud: cloudtest.Start(t)}
	a.kms = sdk.NewFromConfig(a.Config())
	made, err := a.kms.CreateKey(t.Context(), &sdk.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	a.key = *made.KeyMetadata.Arn
	a.use(t, a.User(a.Account, "holdfast", allow))
	return a
}

const allow = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["kms:Encrypt","kms:Decrypt"],"Resource":"*",
	"Condition":{"StringEquals":{"kms:EncryptionContext:holdfast:seal":"keyring"}}}]}`

// use puts credentials where AWS tools look first.
func (a *another) use(t *testing.T, cfg aws.Config) {
	t.Helper()
	c, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_ACCESS_KEY_ID", c.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", c.SecretAccessKey)
	t.Setenv("AWS_SESSION_TOKEN", c.SessionToken)
}

func (a *another) seal(t *testing.T, key string) *Seal {
	t.Helper()
	s, err := New(t.Context(), kmsclient.Config{Key: key, Region: a.Region, Endpoint: a.URL})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func refused(t *testing.T, s *Seal, wrapped []byte, want error, text string) {
	t.Helper()
	if got, err := s.Unwrap(t.Context(), wrapped); !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
		t.Errorf("Unwrap = %q, %v, want %v with %q", got, err, want, text)
	}
}

func TestSeal(t *testing.T) {
	a := anotherKMS(t)
	alias := "alias/holdfast"
	if _, err := a.kms.CreateAlias(t.Context(), &sdk.CreateAliasInput{AliasName: &alias, TargetKeyId: &a.key}); err != nil {
		t.Fatal(err)
	}
	keyring := bytes.Repeat([]byte("x"), 10_000) // longer than a KMS encrypts
	wrapped, err := a.seal(t, a.key).Wrap(t.Context(), keyring)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{a.key, alias} {
		if got, err := a.seal(t, key).Unwrap(t.Context(), wrapped); !bytes.Equal(got, keyring) || err != nil {
			t.Errorf("Unwrap by %s: %d bytes, %v", key, len(got), err)
		}
	}
	s := a.seal(t, a.key)
	t.Run("Tampered", func(t *testing.T) {
		small, err := s.Wrap(t.Context(), []byte("keyring"))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(small); i += 5 {
			bad := bytes.Clone(small)
			bad[i] ^= 1
			if got, err := s.Unwrap(t.Context(), bad); err == nil {
				t.Errorf("byte %d changed: Unwrap = %q", i, got)
			}
		}
	})
	t.Run("AnotherKey", func(t *testing.T) {
		made, err := a.kms.CreateKey(t.Context(), &sdk.CreateKeyInput{})
		if err != nil {
			t.Fatal(err)
		}
		refused(t, a.seal(t, *made.KeyMetadata.Arn), wrapped, seal.ErrWrongRoot, a.key)
	})
	t.Run("NoKey", func(t *testing.T) {
		refused(t, a.seal(t, "alias/none"), wrapped, seal.ErrNoRoot, "no key alias/none")
	})
	t.Run("Disabled", func(t *testing.T) {
		if _, err := a.kms.DisableKey(t.Context(), &sdk.DisableKeyInput{KeyId: &a.key}); err != nil {
			t.Fatal(err)
		}
		refused(t, s, wrapped, seal.ErrNoRoot, "disabled")
		if _, err := a.kms.EnableKey(t.Context(), &sdk.EnableKeyInput{KeyId: &a.key}); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("Denied", func(t *testing.T) {
		a.use(t, a.User(a.Account, "nobody"))
		refused(t, a.seal(t, a.key), wrapped, seal.ErrNoRoot, "may not be used")
	})
	t.Run("WrongCredentials", func(t *testing.T) {
		t.Setenv("AWS_SECRET_ACCESS_KEY", "nonsense")
		refused(t, a.seal(t, a.key), wrapped, seal.ErrNoRoot, "refuses")
	})
	t.Run("NoCredentials", func(t *testing.T) {
		t.Setenv("AWS_ACCESS_KEY_ID", "")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "")
		refused(t, a.seal(t, a.key), wrapped, seal.ErrUnavailable, "credentials")
	})
	t.Run("CredentialsFile", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "credentials")
		text := "[seal]\naws_access_key_id = " + os.Getenv("AWS_ACCESS_KEY_ID") + "\naws_secret_access_key = " + os.Getenv("AWS_SECRET_ACCESS_KEY") + "\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv("AWS_ACCESS_KEY_ID", "")
		t.Setenv("AWS_SECRET_ACCESS_KEY", "")
		s, err := New(t.Context(), kmsclient.Config{Key: a.key, Endpoint: a.URL, Profile: "seal", Credentials: path})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Unwrap(t.Context(), wrapped); err != nil {
			t.Errorf("Unwrap: %v", err)
		}
	})
	t.Run("Deleted", func(t *testing.T) {
		if _, err := a.kms.ScheduleKeyDeletion(t.Context(), &sdk.ScheduleKeyDeletionInput{KeyId: &a.key, PendingWindowInDays: aws.Int32(7)}); err != nil {
			t.Fatal(err)
		}
		refused(t, s, wrapped, seal.ErrNoRoot, "about to be deleted")
	})
}

// TestUnavailable answers as KMSes do that are down, busy or broken, and as what is no KMS.
func TestUnavailable(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "example")
	answer := func(status int, body string) *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, body)
		}))
		t.Cleanup(s.Close)
		return s
	}
	down := answer(200, "")
	down.Close()
	for name, c := range map[string]struct {
		server *httptest.Server
		want   error
	}{
		"Down":       {down, seal.ErrUnavailable},
		"Sealed":     {answer(503, `{"__type":"ServiceUnavailable","message":"sealed"}`), seal.ErrUnavailable},
		"Internal":   {answer(500, `{"__type":"KMSInternalException"}`), seal.ErrUnavailable},
		"Throttling": {answer(400, `{"__type":"ThrottlingException"}`), seal.ErrUnavailable},
		"Expired":    {answer(400, `{"__type":"ExpiredTokenException"}`), seal.ErrUnavailable},
		"NoKMS":      {answer(502, "<html>bad gateway</html>"), seal.ErrUnavailable},
		"Elsewhere":  {answer(404, "not here"), seal.ErrNoRoot},
		"Redirect":   {answer(302, ""), seal.ErrNoRoot},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := New(t.Context(), kmsclient.Config{Key: "alias/x", Region: "us-east-1", Endpoint: c.server.URL})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Wrap(t.Context(), []byte("keyring")); !errors.Is(err, c.want) {
				t.Errorf("Wrap: %v, want %v", err, c.want)
			}
		})
	}
	t.Run("ShortKey", func(t *testing.T) {
		s, err := New(t.Context(), kmsclient.Config{Key: "alias/x", Region: "us-east-1", Endpoint: answer(200, `{"Plaintext":"eA=="}`).URL})
		if err != nil {
			t.Fatal(err)
		}
		refused(t, s, []byte{1, 0, 0, 0, 1, 'x'}, seal.ErrDamaged, "")
	})
}

func TestNew(t *testing.T) {
	for _, bad := range []kmsclient.Config{{}, {Key: "alias/x", Endpoint: "kms"}} {
		if _, err := New(t.Context(), bad); err == nil || !strings.HasPrefix(err.Error(), "seal: ") {
			t.Errorf("New(%+v): %v", bad, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{1, 0, 1, 'a', 0, 1, 'b', 'c'})
	f.Fuzz(func(t *testing.T, wrapped []byte) {
		if _, _, prefix, err := decode(wrapped); err == nil && !bytes.HasPrefix(wrapped, prefix) {
			t.Errorf("decode(%x) = %x", wrapped, prefix)
		}
	})
}

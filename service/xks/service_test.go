package xks_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/api/xks"
	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/engine/keys"
)

func TestGetHealthStatus(t *testing.T) {
	h := build(t)
	in := &xks.GetHealthStatusRequest{RequestMetadata: &xks.HealthRequestMetadata{KmsRequestId: new("r"), KmsOperation: new("KmsHealthCheck")}}
	model := "Holdfast " + cloud.Version
	want := &xks.GetHealthStatusResponse{
		XksProxyFleetSize: new(int32(1)), XksProxyVendor: new("Holdfast"), XksProxyModel: &model, EkmVendor: new("Holdfast"),
		EkmFleetDetails: []xks.EkmDetails{{Id: new("kms-us-east-1"), Model: &model, HealthStatus: "ACTIVE"}},
	}
	for user, policy := range map[string]string{"proxy": full, "nobody": `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}`} {
		got, err := h.as(user, policy).GetHealthStatus(nil, in)
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("as %s: %v (-want +got)\n%s", user, err, d)
		}
	}
	_, err := h.proxy.GetHealthStatus(nil, &xks.GetHealthStatusRequest{})
	wantCode(t, err, "ValidationException", "requestMetadata")
}

func TestGetKeyMetadata(t *testing.T) {
	h := build(t)
	disabled, pending := h.newKey(&kms.CreateKeyInput{}), h.newKey(&kms.CreateKeyInput{})
	if _, err := h.kms.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &disabled}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.kms.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: &pending}); err != nil {
		t.Fatal(err)
	}
	mac := h.newKey(&kms.CreateKeyInput{KeySpec: types.KeySpecHmac256, KeyUsage: types.KeyUsageTypeGenerateVerifyMac})
	agreement := h.newKey(&kms.CreateKeyInput{KeySpec: types.KeySpecEccNistP256, KeyUsage: types.KeyUsageTypeKeyAgreement})
	both := []xks.KeyUsage{"ENCRYPT", "DECRYPT"}
	for _, tt := range []struct {
		name, key string
		want      xks.GetKeyMetadataResponse
	}{
		{"Enabled", h.key, xks.GetKeyMetadataResponse{KeySpec: "AES_256", KeyUsage: both, KeyStatus: "ENABLED"}},
		{"Disabled", disabled, xks.GetKeyMetadataResponse{KeySpec: "AES_256", KeyUsage: both, KeyStatus: "DISABLED"}},
		{"PendingDeletion", pending, xks.GetKeyMetadataResponse{KeySpec: "AES_256", KeyUsage: both, KeyStatus: "DISABLED"}},
		{"MAC", mac, xks.GetKeyMetadataResponse{KeySpec: "HMAC_256", KeyUsage: []xks.KeyUsage{"SIGN", "VERIFY"}, KeyStatus: "ENABLED"}},
		{"Agreement", agreement, xks.GetKeyMetadataResponse{KeySpec: "ECC_NIST_P256", KeyUsage: []xks.KeyUsage{"DERIVE"}, KeyStatus: "ENABLED"}},
	} {
		got, err := h.proxy.GetKeyMetadata(nil, metadata(tt.key))
		if d := cmp.Diff(&tt.want, got); err != nil || d != "" {
			t.Errorf("%s: %v (-want +got)\n%s", tt.name, err, d)
		}
	}
	_, err := h.proxy.GetKeyMetadata(nil, metadata("no-such_key.1"))
	wantCode(t, err, "KeyNotFoundException", "no-such_key.1")
	_, err = h.proxy.GetKeyMetadata(nil, metadata("a"+strings.Repeat("b", 128)))
	wantCode(t, err, "ValidationException", "externalKeyId")
	_, err = h.proxy.GetKeyMetadata(nil, &xks.GetKeyMetadataRequest{ExternalKeyId: &h.key})
	wantCode(t, err, "ValidationException", "requestMetadata")
}

func TestEncryptDecrypt(t *testing.T) {
	h := build(t)
	for name, tt := range map[string]struct{ text, aad string }{
		"Short":                  {"x", ""},
		"DataKey":                {strings.Repeat("k", 32), "project=nile,department=marketing"},
		"AsLongAsAProxyMustTake": {strings.Repeat("t", 4300), strings.Repeat("\xff", 8192)},
	} {
		t.Run(name, func(t *testing.T) {
			made := h.encrypt(tt.text, tt.aad)
			if len(made.Ciphertext) != len(tt.text) || len(made.InitializationVector) != 16 || len(made.AuthenticationTag) != 16 || len(made.CiphertextMetadata) != 20 || made.CiphertextDataIntegrityValue != nil {
				t.Errorf("Encrypt = %+v", made)
			}
			h.wantText(made, tt.aad, tt.text)
			if again := h.encrypt(tt.text, tt.aad); bytes.Equal(again.InitializationVector, made.InitializationVector) || bytes.Equal(again.Ciphertext, made.Ciphertext) {
				t.Error("two encryptions have one initialization vector")
			}
		})
	}
	t.Run("IntegrityValue", func(t *testing.T) {
		for _, aad := range []string{"", "aad"} {
			in := encryption(h.key, "hello", aad)
			in.CiphertextDataIntegrityValueAlgorithm = "SHA_256"
			out, err := h.proxy.Encrypt(nil, in)
			if err != nil {
				t.Fatal(err)
			}
			want := sha256.Sum256(slices.Concat([]byte(aad), out.CiphertextMetadata, out.InitializationVector, out.Ciphertext, out.AuthenticationTag))
			if !bytes.Equal(out.CiphertextDataIntegrityValue, want[:]) {
				t.Errorf("the integrity value is %x, want %x", out.CiphertextDataIntegrityValue, want)
			}
			h.wantText(out, aad, "hello")
		}
	})
	t.Run("MultiRegion", func(t *testing.T) {
		h := build(t)
		h.key = h.newKey(&kms.CreateKeyInput{MultiRegion: new(true)})
		h.wantText(h.encrypt("hello", ""), "", "hello")
	})
}

// Nothing of a ciphertext can be changed, and nothing that it was bound to.
func TestInvalidCiphertext(t *testing.T) {
	h := build(t)
	made := h.encrypt("hello", "aad")
	for name, part := range map[string]func(*xks.DecryptRequest) []byte{
		"Ciphertext": func(in *xks.DecryptRequest) []byte { return in.Ciphertext }, "Vector": func(in *xks.DecryptRequest) []byte { return in.InitializationVector },
		"Tag": func(in *xks.DecryptRequest) []byte { return in.AuthenticationTag }, "Metadata": func(in *xks.DecryptRequest) []byte { return in.CiphertextMetadata },
		"AdditionalData": func(in *xks.DecryptRequest) []byte { return in.AdditionalAuthenticatedData },
	} {
		in := decryption(h.key, made, "aad")
		for i := range part(in) {
			part(in)[i] ^= 1
			_, err := h.proxy.Decrypt(nil, in)
			wantCode(t, err, "InvalidCiphertextException", "")
			if err == nil {
				t.Errorf("byte %d of %s can be changed", i, name)
			}
			part(in)[i] ^= 1
		}
	}
	for name, change := range map[string]func(*xks.DecryptRequest){
		"NoAdditionalData": func(in *xks.DecryptRequest) { in.AdditionalAuthenticatedData = nil },
		"NoMetadata":       func(in *xks.DecryptRequest) { in.CiphertextMetadata = nil },
		"ShortVector":      func(in *xks.DecryptRequest) { in.InitializationVector = in.InitializationVector[:12] },
		"OtherKey":         func(in *xks.DecryptRequest) { in.ExternalKeyId = new(h.newKey(&kms.CreateKeyInput{})) },
		"MetadataIntoData": func(in *xks.DecryptRequest) {
			in.AdditionalAuthenticatedData, in.CiphertextMetadata = append([]byte("aad"), in.CiphertextMetadata...), nil
		},
		"EmptyCiphertext": func(in *xks.DecryptRequest) { in.Ciphertext = []byte{} },
		"LongerThanItWas": func(in *xks.DecryptRequest) { in.Ciphertext = append(slices.Clone(in.Ciphertext), 0) },
	} {
		t.Run(name, func(t *testing.T) {
			in := decryption(h.key, made, "aad")
			change(in)
			_, err := h.proxy.Decrypt(nil, in)
			wantCode(t, err, "InvalidCiphertextException", "")
		})
	}
	h.wantText(made, "aad", "hello")
}

// What KMS encrypted for others is no ciphertext of the proxy, and the other way round.
func TestCiphertextsOfOthers(t *testing.T) {
	h := build(t)
	made := h.encrypt("hello", "")
	for _, context := range []map[string]string{nil, {"purpose": "test"}} {
		out, err := h.kms.Encrypt(t.Context(), &kms.EncryptInput{KeyId: &h.key, Plaintext: []byte("hello"), EncryptionContext: context})
		if err != nil {
			t.Fatal(err)
		}
		p, err := keys.SplitBlob(out.CiphertextBlob)
		if err != nil {
			t.Fatal(err)
		}
		theirs := &xks.EncryptResponse{
			Ciphertext: p.Ciphertext, InitializationVector: p.Nonce[:16], AuthenticationTag: p.Tag,
			CiphertextMetadata: slices.Concat(made.CiphertextMetadata[:1], p.Nonce[16:], made.CiphertextMetadata[9:]),
		}
		_, err = h.proxy.Decrypt(nil, decryption(h.key, theirs, ""))
		wantCode(t, err, "InvalidCiphertextException", "")

		ours := slices.Concat(p.Header, made.InitializationVector, made.CiphertextMetadata[1:9], made.Ciphertext, made.AuthenticationTag)
		_, err = h.kms.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: ours, EncryptionContext: context})
		if _, ok := errors.AsType[*types.InvalidCiphertextException](err); !ok {
			t.Errorf("KMS decrypts with context %v what the proxy encrypted: %v", context, err)
		}
		bound := sha256.Sum256(nil)
		again, err := h.kms.Decrypt(t.Context(), &kms.DecryptInput{CiphertextBlob: ours, EncryptionContext: map[string]string{"kms-xks-proxy:aad": base64.StdEncoding.EncodeToString(bound[:])}})
		if err != nil || string(again.Plaintext) != "hello" { // else the test puts together something else
			t.Errorf("KMS does not decrypt what the proxy encrypted, with its context: %v", err)
		}
	}
}

func TestErrors(t *testing.T) {
	h := build(t)
	made := h.encrypt("hello", "")
	disabled := h.newKey(&kms.CreateKeyInput{})
	if _, err := h.kms.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &disabled}); err != nil {
		t.Fatal(err)
	}
	pending := h.newKey(&kms.CreateKeyInput{})
	if _, err := h.kms.ScheduleKeyDeletion(t.Context(), &kms.ScheduleKeyDeletionInput{KeyId: &pending}); err != nil {
		t.Fatal(err)
	}
	mac := h.newKey(&kms.CreateKeyInput{KeySpec: types.KeySpecHmac256, KeyUsage: types.KeyUsageTypeGenerateVerifyMac})
	rsa := h.newKey(&kms.CreateKeyInput{KeySpec: types.KeySpecRsa2048, KeyUsage: types.KeyUsageTypeEncryptDecrypt})
	for _, tt := range []struct{ name, key, encrypt, decrypt string }{
		{"Disabled", disabled, "InvalidStateException", "InvalidCiphertextException"}, // the ciphertext is another key's
		{"PendingDeletion", pending, "InvalidStateException", "InvalidCiphertextException"},
		{"Missing", "00000000-0000-0000-0000-000000000000", "KeyNotFoundException", "KeyNotFoundException"},
		{"Malformed", "foo", "KeyNotFoundException", "KeyNotFoundException"},
		{"MAC", mac, "InvalidKeyUsageException", "InvalidCiphertextException"},
		{"RSA", rsa, "InvalidKeyUsageException", "InvalidCiphertextException"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := h.proxy.Encrypt(nil, encryption(tt.key, "hello", ""))
			wantCode(t, err, tt.encrypt, "")
			_, err = h.proxy.Decrypt(nil, decryption(tt.key, made, ""))
			wantCode(t, err, tt.decrypt, "")
		})
	}
	t.Run("DisabledSince", func(t *testing.T) {
		if _, err := h.kms.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &h.key}); err != nil {
			t.Fatal(err)
		}
		_, err := h.proxy.Decrypt(nil, decryption(h.key, made, ""))
		wantCode(t, err, "InvalidStateException", "is disabled")
		if _, err := h.kms.EnableKey(t.Context(), &kms.EnableKeyInput{KeyId: &h.key}); err != nil {
			t.Fatal(err)
		}
		h.wantText(made, "", "hello")
	})
	t.Run("TooLong", func(t *testing.T) {
		_, err := h.proxy.Encrypt(nil, encryption(h.key, strings.Repeat("x", 4301), ""))
		wantCode(t, err, "UnsupportedOperationException", "4300")
		_, err = h.proxy.Encrypt(nil, encryption(h.key, "x", strings.Repeat("x", 8193)))
		wantCode(t, err, "UnsupportedOperationException", "8192")
		in := decryption(h.key, made, "")
		in.Ciphertext = make([]byte, 4301)
		_, err = h.proxy.Decrypt(nil, in)
		wantCode(t, err, "UnsupportedOperationException", "4300")
	})
	for name, change := range map[string]func(*xks.EncryptRequest){
		"OtherAlgorithm": func(in *xks.EncryptRequest) { in.EncryptionAlgorithm = "AES_CBC" }, "OtherHash": func(in *xks.EncryptRequest) { in.CiphertextDataIntegrityValueAlgorithm = "MD5" },
		"NoPlaintext": func(in *xks.EncryptRequest) { in.Plaintext = nil }, "NoMetadata": func(in *xks.EncryptRequest) { in.RequestMetadata = nil },
		"NoKeyARN": func(in *xks.EncryptRequest) { in.RequestMetadata.KmsKeyArn = nil }, "NoAlgorithm": func(in *xks.EncryptRequest) { in.EncryptionAlgorithm = "" },
	} {
		t.Run(name, func(t *testing.T) {
			in := encryption(h.key, "hello", "")
			change(in)
			_, err := h.proxy.Encrypt(nil, in)
			wantCode(t, err, "ValidationException", "")
		})
	}
}

// Ciphertexts name their key material: after rotations all of them decrypt, also in the next life of the cloud.
func TestRotationAndRestart(t *testing.T) {
	dir := t.TempDir()
	var made []*xks.EncryptResponse
	var key, id, secret string
	for life := range 2 {
		t.Run([]string{"Before", "After"}[life], func(t *testing.T) {
			h := build(t, func(c *cloud.Config) { c.Dir = dir })
			if life == 0 {
				key = h.key
				var err error
				if id, secret, err = h.CreateProxyKey(t.Context(), h.Account, "proxy"); err != nil {
					t.Fatal(err)
				}
			}
			h.key, h.proxy = key, xks.Client{Transport: h.transport(h.As(id, secret), "")}
			for range 3 {
				made = append(made, h.encrypt("hello", "aad"))
				if _, err := h.kms.RotateKeyOnDemand(t.Context(), &kms.RotateKeyOnDemandInput{KeyId: &h.key}); err != nil {
					t.Fatal(err)
				}
				h.Advance(time.Hour)
			}
			for _, m := range made {
				h.wantText(m, "aad", "hello")
			}
			if bytes.Equal(made[0].CiphertextMetadata[9:], made[1].CiphertextMetadata[9:]) {
				t.Error("the metadata of two materials name one")
			}
		})
	}
}

// A cloud that is restored from a backup decrypts what was encrypted after the backup with keys that are in it, also what was encrypted first.
func TestRestored(t *testing.T) {
	dir, backup := t.TempDir(), filepath.Join(t.TempDir(), "backup")
	var made *xks.EncryptResponse
	var key, id, secret string
	live := func(name, dir string, run func(*house)) {
		t.Run(name, func(t *testing.T) {
			h := build(t, func(c *cloud.Config) { c.Dir = dir })
			if key == "" {
				var err error
				key = h.key
				if id, secret, err = h.CreateProxyKey(t.Context(), h.Account, "proxy"); err != nil {
					t.Fatal(err)
				}
			}
			h.key, h.proxy = key, xks.Client{Transport: h.transport(h.As(id, secret), "")}
			run(h)
		})
	}
	live("BackedUp", dir, func(*house) {})
	if err := errors.Join(os.CopyFS(backup, os.DirFS(dir)), os.Chmod(filepath.Join(backup, "root.key"), 0o600)); err != nil {
		t.Fatal(err)
	}
	live("Used", dir, func(h *house) { made = h.encrypt("hello", "aad") })
	live("Restored", backup, func(h *house) {
		h.wantText(made, "aad", "hello")
		_, err := h.proxy.Decrypt(nil, decryption(h.newKey(&kms.CreateKeyInput{}), made, "aad"))
		wantCode(t, err, "InvalidCiphertextException", "")
	})
}

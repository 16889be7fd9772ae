package stories_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

// emptyKey makes a key that waits for its material.
func emptyKey(t *testing.T, k *kms.Client) *types.KeyMetadata {
	t.Helper()
	out, err := k.CreateKey(t.Context(), &kms.CreateKeyInput{Origin: types.OriginTypeExternal})
	if err != nil {
		t.Fatalf("CreateKey: %v", err)
	}
	return out.KeyMetadata
}

// wrapped is an import of material into a key, wrapped as its owner does it: by RSA-OAEP, under the public key that was handed out.
func wrapped(t *testing.T, k *kms.Client, key *types.KeyMetadata, material []byte) *kms.ImportKeyMaterialInput {
	t.Helper()
	p, err := k.GetParametersForImport(t.Context(), &kms.GetParametersForImportInput{
		KeyId: key.KeyId, WrappingAlgorithm: types.AlgorithmSpecRsaesOaepSha256, WrappingKeySpec: types.WrappingKeySpecRsa2048,
	})
	if err != nil {
		t.Fatalf("GetParametersForImport: %v", err)
	}
	public, err := x509.ParsePKIXPublicKey(p.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	under, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, public.(*rsa.PublicKey), material, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &kms.ImportKeyMaterialInput{
		KeyId: key.KeyId, ImportToken: p.ImportToken, EncryptedKeyMaterial: under, ExpirationModel: types.ExpirationModelTypeKeyMaterialDoesNotExpire,
	}
}

func importInto(t *testing.T, k *kms.Client, in *kms.ImportKeyMaterialInput) {
	t.Helper()
	if _, err := k.ImportKeyMaterial(t.Context(), in); err != nil {
		t.Fatalf("ImportKeyMaterial: %v", err)
	}
}

// Material that you bring is what the key encrypts with. It can be taken away, and comes back only as it was.
func TestYourOwnMaterialComesAndGoes(t *testing.T) {
	c := cloudtest.Start(t)
	k := kms.NewFromConfig(c.Config())
	key := emptyKey(t, k)
	_, err := k.Encrypt(t.Context(), &kms.EncryptInput{KeyId: key.KeyId, Plaintext: []byte("x")})
	wantRefusal(t, err, "KMSInvalidStateException", "is pending import")

	mine, other := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
	importInto(t, k, wrapped(t, k, key, mine))
	ciphertext := encrypt(t, k, key, "under my own key")
	wantText(t, k, ciphertext, "under my own key")

	if _, err := k.DeleteImportedKeyMaterial(t.Context(), &kms.DeleteImportedKeyMaterialInput{KeyId: key.KeyId}); err != nil {
		t.Fatalf("DeleteImportedKeyMaterial: %v", err)
	}
	_, err = decrypt(t, k, ciphertext)
	wantRefusal(t, err, "KMSInvalidStateException", "is pending import")
	_, err = k.ImportKeyMaterial(t.Context(), wrapped(t, k, key, other))
	wantRefusal(t, err, "IncorrectKeyMaterialException", "")
	importInto(t, k, wrapped(t, k, key, mine))
	wantText(t, k, ciphertext, "under my own key")
}

// Material expires when it was said to, and the key waits for the same again.
func TestImportedMaterialExpires(t *testing.T) {
	c := cloudtest.Start(t)
	k := kms.NewFromConfig(c.Config())
	key := emptyKey(t, k)
	material := bytes.Repeat([]byte{7}, 32)
	in := wrapped(t, k, key, material)
	until := c.Now().Add(30 * 24 * time.Hour)
	in.ExpirationModel, in.ValidTo = types.ExpirationModelTypeKeyMaterialExpires, &until
	importInto(t, k, in)
	ciphertext := encrypt(t, k, key, "for a month")

	c.Advance(29 * 24 * time.Hour)
	wantText(t, k, ciphertext, "for a month")
	c.Advance(2 * 24 * time.Hour)
	_, err := decrypt(t, k, ciphertext)
	wantRefusal(t, err, "KMSInvalidStateException", "is pending import")
	expired := false
	for _, e := range c.Trail(c.Account) {
		expired = expired || e.EventName == "DeleteExpiredKeyMaterial" && e.Resources[0].ARN == *key.Arn
	}
	if !expired {
		t.Error("the trail does not tell that the material expired")
	}
	_, err = k.ImportKeyMaterial(t.Context(), wrapped(t, k, key, bytes.Repeat([]byte{8}, 32)))
	wantRefusal(t, err, "IncorrectKeyMaterialException", "")
	importInto(t, k, wrapped(t, k, key, material))
	wantText(t, k, ciphertext, "for a month")
}

// An import token is for one key and for a day.
func TestAnImportTokenIsForOneKeyAndADay(t *testing.T) {
	c := cloudtest.Start(t)
	k := kms.NewFromConfig(c.Config())
	key, another := emptyKey(t, k), emptyKey(t, k)
	in := wrapped(t, k, key, bytes.Repeat([]byte{1}, 32))

	swapped := *in
	swapped.KeyId = another.KeyId
	_, err := k.ImportKeyMaterial(t.Context(), &swapped)
	wantRefusal(t, err, "InvalidImportTokenException", "")
	altered := *in
	altered.EncryptedKeyMaterial = append([]byte{}, in.EncryptedKeyMaterial...)
	altered.EncryptedKeyMaterial[0] ^= 1
	_, err = k.ImportKeyMaterial(t.Context(), &altered)
	wantRefusal(t, err, "InvalidCiphertextException", "")

	c.Advance(25 * time.Hour)
	_, err = k.ImportKeyMaterial(t.Context(), in)
	wantRefusal(t, err, "ExpiredImportTokenException", "")
	importInto(t, k, wrapped(t, k, key, bytes.Repeat([]byte{1}, 32)))
	wantText(t, k, encrypt(t, k, key, "x"), "x")
}

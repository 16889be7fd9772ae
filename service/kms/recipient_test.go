package kms_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/engine/attest"
	"github.com/holdfast-cloud/holdfast/engine/attest/attesttest"
	"github.com/holdfast-cloud/holdfast/engine/keys"
)

func TestRecipient(t *testing.T) {
	t.Parallel()
	authority, err := attesttest.NewAuthority(time.Now())
	ok(t)(authority, err)
	enclave, private, err := attesttest.NewEnclave()
	ok(t)(enclave, err)
	w := start(t, func(cfg *cloud.Config) { cfg.Attestation = attest.Verifier{Roots: authority.Roots()} })
	document := func(e *attesttest.Enclave, at time.Time) *types.RecipientInfo {
		doc, err := authority.Document(e, at)
		ok(t)(doc, err)
		return &types.RecipientInfo{AttestationDocument: doc, KeyEncryptionAlgorithm: types.KeyEncryptionMechanismRsaesOaepSha256}
	}
	recipient := document(enclave, w.Now())
	open := func(t *testing.T, plaintext, sealed []byte) []byte {
		t.Helper()
		if len(plaintext) != 0 {
			t.Errorf("the answer has the plaintext %q", plaintext)
		}
		opened, err := attesttest.Open(private, sealed)
		ok(t)(opened, err)
		return opened
	}
	key := w.key(t)
	agree := w.key(t, of(types.KeySpecEccNistP256, types.KeyUsageTypeKeyAgreement))
	blob := w.encrypt(t, key, "for the enclave")
	decrypt := func(c *kms.Client, r *types.RecipientInfo) (*kms.DecryptOutput, error) {
		return c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob, Recipient: r})
	}
	t.Run("Decrypt", func(t *testing.T) {
		out, err := decrypt(w.Client, recipient)
		ok(t)(out, err)
		if got := open(t, out.Plaintext, out.CiphertextForRecipient); string(got) != "for the enclave" {
			t.Errorf("the enclave reads %q", got)
		}
	})
	t.Run("GenerateDataKey", func(t *testing.T) {
		out, err := w.GenerateDataKey(ctx, &kms.GenerateDataKeyInput{KeyId: &key, KeySpec: types.DataKeySpecAes256, Recipient: recipient})
		ok(t)(out, err)
		w.decrypts(t, out.CiphertextBlob, string(open(t, out.Plaintext, out.CiphertextForRecipient)))
	})
	t.Run("GenerateDataKeyPair", func(t *testing.T) {
		out, err := w.GenerateDataKeyPair(ctx, &kms.GenerateDataKeyPairInput{KeyId: &key, KeyPairSpec: types.DataKeyPairSpecEccNistP256, Recipient: recipient})
		ok(t)(out, err)
		pair, err := keys.Parse(keys.NISTP256, open(t, out.PrivateKeyPlaintext, out.CiphertextForRecipient))
		ok(t)(pair, err)
		if !bytes.Equal(pair.PublicKeyDER(), out.PublicKey) {
			t.Error("the public key is another's")
		}
	})
	t.Run("GenerateRandom", func(t *testing.T) {
		out, err := w.GenerateRandom(ctx, &kms.GenerateRandomInput{NumberOfBytes: aws.Int32(77), Recipient: recipient})
		ok(t)(out, err)
		if got := open(t, out.Plaintext, out.CiphertextForRecipient); len(got) != 77 {
			t.Errorf("the enclave reads %d bytes", len(got))
		}
	})
	t.Run("DeriveSharedSecret", func(t *testing.T) {
		pub, _ := w.public(t, agree)
		in := &kms.DeriveSharedSecretInput{KeyId: &agree, PublicKey: pub, KeyAgreementAlgorithm: types.KeyAgreementAlgorithmSpecEcdh}
		clear, err := w.DeriveSharedSecret(ctx, in)
		ok(t)(clear, err)
		in.Recipient = recipient
		out, err := w.DeriveSharedSecret(ctx, in)
		ok(t)(out, err)
		if !bytes.Equal(open(t, out.SharedSecret, out.CiphertextForRecipient), clear.SharedSecret) {
			t.Error("the enclave reads another secret")
		}
	})
	t.Run("Conditions", func(t *testing.T) {
		pcr0 := hex.EncodeToString(enclave.PCRs[0])
		for condition, want := range map[string]string{
			`"StringEqualsIgnoreCase":{"kms:RecipientAttestation:PCR0":"` + pcr0 + `"}`:        "",
			`"StringEqualsIgnoreCase":{"kms:RecipientAttestation:ImageSha384":"` + pcr0 + `"}`: "",
			`"StringEqualsIgnoreCase":{"kms:RecipientAttestation:PCR8":"` + pcr0 + `"}`:        "AccessDeniedException",
		} {
			c := w.user(account, "enclave", `"Action":"kms:Decrypt","Resource":"*","Condition":{`+condition+`}`)
			if _, err := decrypt(c, recipient); code(err) != want {
				t.Errorf("%s: got %v, want %q", condition, err, want)
			}
			denied(t)(decrypt(c, nil)) // without an attestation there is nothing to match
		}
	})
	stranger, err := attesttest.NewAuthority(time.Now())
	ok(t)(stranger, err)
	forged, err := stranger.Document(enclave, w.Now())
	ok(t)(forged, err)
	keyless := *enclave
	keyless.PublicKey = nil
	for name, r := range map[string]*types.RecipientInfo{
		"NoAlgorithm": {AttestationDocument: recipient.AttestationDocument},
		"NoDocument":  {KeyEncryptionAlgorithm: types.KeyEncryptionMechanismRsaesOaepSha256},
		"Garbage":     {AttestationDocument: []byte("garbage"), KeyEncryptionAlgorithm: types.KeyEncryptionMechanismRsaesOaepSha256},
		"Stranger":    {AttestationDocument: forged, KeyEncryptionAlgorithm: types.KeyEncryptionMechanismRsaesOaepSha256},
		"TooOld":      document(enclave, w.Now().Add(-6*time.Minute)),
		"NoKey":       document(&keyless, w.Now()),
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, "ValidationException", "-")(decrypt(w.Client, r))
			refused(t, "ValidationException", "-")(w.GenerateRandom(ctx, &kms.GenerateRandomInput{NumberOfBytes: aws.Int32(1), Recipient: r}))
		})
	}
	t.Run("DryRun", func(t *testing.T) {
		refused(t, "DryRunOperationException", wouldHave)(w.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob, Recipient: recipient, DryRun: aws.Bool(true)}))
	})
	t.Run("Recorded", func(t *testing.T) {
		r := w.recorded(t, account, "Decrypt", "")
		if r.ResponseElements != nil || bytes.Contains(r.Raw, []byte(fmt.Sprintf("%x", recipient.AttestationDocument[:8]))) {
			t.Errorf("recorded as %s", r.Raw)
		}
	})
}

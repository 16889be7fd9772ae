package kms_test

import (
	"bytes"
	"crypto/x509"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/holdfast-cloud/holdfast/engine/keys"
)

func TestGenerateDataKey(t *testing.T) {
	w := start(t)
	key := w.key(t)
	hmac := w.key(t, of(types.KeySpecHmac256, types.KeyUsageTypeGenerateVerifyMac))
	t.Run("OK", func(t *testing.T) {
		for want, in := range map[int]*kms.GenerateDataKeyInput{
			16:   {KeySpec: types.DataKeySpecAes128},
			32:   {KeySpec: types.DataKeySpecAes256},
			1:    {NumberOfBytes: aws.Int32(1)},
			1024: {NumberOfBytes: aws.Int32(1024)},
		} {
			in.KeyId, in.EncryptionContext = &key, map[string]string{"a": "1"}
			out, err := w.GenerateDataKey(ctx, in)
			ok(t)(out, err)
			if len(out.Plaintext) != want || *out.KeyId != key || len(*out.KeyMaterialId) != 64 {
				t.Errorf("%d bytes: GenerateDataKey answered %d bytes, %s, %s", want, len(out.Plaintext), *out.KeyId, *out.KeyMaterialId)
			}
			w.decrypts(t, out.CiphertextBlob, string(out.Plaintext), "a", "1")
		}
		if r := w.recorded(t, account, "GenerateDataKey", ""); !r.ReadOnly || r.ResponseElements != nil || r.RequestParameters["encryptionContext"] == nil {
			t.Errorf("recorded as %s", r.Raw)
		}
	})
	t.Run("WithoutPlaintext", func(t *testing.T) {
		out, err := w.GenerateDataKeyWithoutPlaintext(ctx, &kms.GenerateDataKeyWithoutPlaintextInput{KeyId: &key, NumberOfBytes: aws.Int32(24)})
		ok(t)(out, err)
		opened, err := w.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: out.CiphertextBlob})
		ok(t)(opened, err)
		if len(opened.Plaintext) != 24 || bytes.Equal(opened.Plaintext, make([]byte, 24)) {
			t.Errorf("the data key has %d bytes: %x", len(opened.Plaintext), opened.Plaintext)
		}
		refused(t, "DryRunOperationException", wouldHave)(w.GenerateDataKeyWithoutPlaintext(ctx, &kms.GenerateDataKeyWithoutPlaintextInput{KeyId: &key, KeySpec: types.DataKeySpecAes256, DryRun: aws.Bool(true)}))
		refused(t, "InvalidKeyUsageException", "-")(w.GenerateDataKeyWithoutPlaintext(ctx, &kms.GenerateDataKeyWithoutPlaintextInput{KeyId: &hmac, KeySpec: types.DataKeySpecAes256}))
		refused(t, "NotFoundException", "-")(w.GenerateDataKeyWithoutPlaintext(ctx, &kms.GenerateDataKeyWithoutPlaintextInput{KeyId: aws.String(unknownKey), KeySpec: types.DataKeySpecAes256}))
		refused(t, "InvalidGrantTokenException", "-")(w.GenerateDataKeyWithoutPlaintext(ctx, &kms.GenerateDataKeyWithoutPlaintextInput{KeyId: &key, KeySpec: types.DataKeySpecAes256, GrantTokens: []string{"x"}}))
	})
	for name, c := range map[string]struct {
		in            kms.GenerateDataKeyInput
		code, message string
	}{
		"NoSize":       {kms.GenerateDataKeyInput{KeyId: &key}, "ValidationException", "Please specify either number of bytes or key spec."},
		"TwoSizes":     {kms.GenerateDataKeyInput{KeyId: &key, KeySpec: types.DataKeySpecAes128, NumberOfBytes: aws.Int32(16)}, "ValidationException", "Please specify either number of bytes or key spec."},
		"TooShort":     {kms.GenerateDataKeyInput{KeyId: &key, NumberOfBytes: aws.Int32(0)}, "ValidationException", "1 validation error detected: Value '0' at 'numberOfBytes' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		"TooLong":      {kms.GenerateDataKeyInput{KeyId: &key, NumberOfBytes: aws.Int32(1025)}, "ValidationException", "1 validation error detected: Value '1025' at 'numberOfBytes' failed to satisfy constraint: Member must have value less than or equal to 1024"},
		"Negative":     {kms.GenerateDataKeyInput{KeyId: &key, NumberOfBytes: aws.Int32(-2147483648)}, "ValidationException", "-"},
		"WrongUsage":   {kms.GenerateDataKeyInput{KeyId: &hmac, KeySpec: types.DataKeySpecAes256}, "InvalidKeyUsageException", hmac + " key usage is GENERATE_VERIFY_MAC which is not valid for GenerateDataKey."},
		"NotFound":     {kms.GenerateDataKeyInput{KeyId: aws.String(unknownKey), KeySpec: types.DataKeySpecAes256}, "NotFoundException", "-"},
		"DryRun":       {kms.GenerateDataKeyInput{KeyId: &key, KeySpec: types.DataKeySpecAes256, DryRun: aws.Bool(true)}, "DryRunOperationException", wouldHave},
		"InvalidToken": {kms.GenerateDataKeyInput{KeyId: &key, KeySpec: types.DataKeySpecAes256, GrantTokens: []string{"x"}}, "InvalidGrantTokenException", "-"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, c.code, c.message)(w.GenerateDataKey(ctx, &c.in)) })
	}
}

func TestGenerateDataKeyPair(t *testing.T) {
	t.Parallel()
	w := start(t)
	key := w.key(t)
	hmac := w.key(t, of(types.KeySpecHmac256, types.KeyUsageTypeGenerateVerifyMac))
	for _, spec := range keys.Specs() {
		if !spec.DataKeyPair() || spec == keys.SM2 || spec == keys.RSA3072 || spec == keys.RSA4096 {
			continue // long RSA keys are made in TestSpecs, SM2 in TestSM2
		}
		t.Run("OK/"+string(spec), func(t *testing.T) {
			out, err := w.GenerateDataKeyPair(ctx, &kms.GenerateDataKeyPairInput{KeyId: &key, KeyPairSpec: types.DataKeyPairSpec(spec), EncryptionContext: map[string]string{"a": "1"}})
			ok(t)(out, err)
			if *out.KeyId != key || out.KeyPairSpec != types.DataKeyPairSpec(spec) || len(*out.KeyMaterialId) != 64 {
				t.Errorf("GenerateDataKeyPair answered %+v", out)
			}
			private, err := keys.Parse(spec, out.PrivateKeyPlaintext)
			ok(t)(private, err)
			if !bytes.Equal(private.PublicKeyDER(), out.PublicKey) {
				t.Error("the public key is not that of the private key")
			}
			w.decrypts(t, out.PrivateKeyCiphertextBlob, string(out.PrivateKeyPlaintext), "a", "1")
		})
	}
	t.Run("WithoutPlaintext", func(t *testing.T) {
		out, err := w.GenerateDataKeyPairWithoutPlaintext(ctx, &kms.GenerateDataKeyPairWithoutPlaintextInput{KeyId: &key, KeyPairSpec: types.DataKeyPairSpecEccNistP256})
		ok(t)(out, err)
		opened, err := w.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: out.PrivateKeyCiphertextBlob})
		ok(t)(opened, err)
		if _, err := x509.ParsePKCS8PrivateKey(opened.Plaintext); err != nil {
			t.Errorf("the private key: %v", err)
		}
	})
	type in struct {
		key    string
		spec   types.DataKeyPairSpec
		dry    bool
		tokens []string
	}
	for name, c := range map[string]struct {
		in
		code string
	}{
		"Unsupported":  {in{key: key, spec: types.DataKeyPairSpecSm2}, "UnsupportedOperationException"},
		"UnknownSpec":  {in{key: key, spec: "RSA_1024"}, "ValidationException"},
		"WrongUsage":   {in{key: hmac, spec: types.DataKeyPairSpecEccNistP256}, "InvalidKeyUsageException"},
		"NotFound":     {in{key: unknownKey, spec: types.DataKeyPairSpecEccNistP256}, "NotFoundException"},
		"DryRun":       {in{key: key, spec: types.DataKeyPairSpecRsa4096, dry: true}, "DryRunOperationException"},
		"InvalidToken": {in{key: key, spec: types.DataKeyPairSpecEccNistP256, tokens: []string{"x"}}, "InvalidGrantTokenException"},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, c.code, "-")(w.GenerateDataKeyPair(ctx, &kms.GenerateDataKeyPairInput{KeyId: &c.key, KeyPairSpec: c.spec, DryRun: &c.dry, GrantTokens: c.tokens}))
			refused(t, c.code, "-")(w.GenerateDataKeyPairWithoutPlaintext(ctx, &kms.GenerateDataKeyPairWithoutPlaintextInput{KeyId: &c.key, KeyPairSpec: c.spec, DryRun: &c.dry, GrantTokens: c.tokens}))
		})
	}
	t.Run("DeniedBySpec", func(t *testing.T) {
		c := w.user(account, "pairs", `"Action":"kms:GenerateDataKeyPair","Resource":"*","Condition":{"StringEquals":{"kms:DataKeyPairSpec":"ECC_NIST_P384"}}`)
		ok(t)(c.GenerateDataKeyPair(ctx, &kms.GenerateDataKeyPairInput{KeyId: &key, KeyPairSpec: types.DataKeyPairSpecEccNistP384}))
		denied(t)(c.GenerateDataKeyPair(ctx, &kms.GenerateDataKeyPairInput{KeyId: &key, KeyPairSpec: types.DataKeyPairSpecEccNistP256}))
	})
}

func TestGenerateRandom(t *testing.T) {
	w := start(t)
	for _, n := range []int32{1, 32, 1024} {
		out, err := w.GenerateRandom(ctx, &kms.GenerateRandomInput{NumberOfBytes: &n})
		ok(t)(out, err)
		if len(out.Plaintext) != int(n) || n > 16 && bytes.Equal(out.Plaintext, make([]byte, n)) {
			t.Errorf("%d bytes: got %d", n, len(out.Plaintext))
		}
	}
	t.Run("NoSize", func(t *testing.T) {
		refused(t, "ValidationException", "NumberOfBytes is required.")(w.GenerateRandom(ctx, &kms.GenerateRandomInput{}))
	})
	t.Run("Sizes", func(t *testing.T) {
		refused(t, "ValidationException", "-")(w.GenerateRandom(ctx, &kms.GenerateRandomInput{NumberOfBytes: aws.Int32(0)}))
		refused(t, "ValidationException", "1 validation error detected: Value '1025' at 'numberOfBytes' failed to satisfy constraint: Member must have value less than or equal to 1024")(
			w.GenerateRandom(ctx, &kms.GenerateRandomInput{NumberOfBytes: aws.Int32(1025)}))
	})
	t.Run("CustomKeyStoreNotFound", func(t *testing.T) {
		refused(t, "CustomKeyStoreNotFoundException", "-")(w.GenerateRandom(ctx, &kms.GenerateRandomInput{NumberOfBytes: aws.Int32(1), CustomKeyStoreId: aws.String("cks-1")}))
	})
}

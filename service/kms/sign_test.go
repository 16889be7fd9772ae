package kms_test

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

func (w *world) public(t *testing.T, key string) (der []byte, parsed any) {
	t.Helper()
	out, err := w.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &key})
	ok(t)(out, err)
	parsed, _ = x509.ParsePKIXPublicKey(out.PublicKey)
	return out.PublicKey, parsed
}

func TestSign(t *testing.T) {
	w := start(t)
	p256 := w.key(t, of(types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify))
	ed := w.key(t, of(types.KeySpecEccNistEdwards25519, types.KeyUsageTypeSignVerify))
	ml := w.key(t, of(types.KeySpecMlDsa44, types.KeyUsageTypeSignVerify))
	hmac := w.key(t, of(types.KeySpecHmac256, types.KeyUsageTypeGenerateVerifyMac))
	sign := func(t *testing.T, key string, alg types.SigningAlgorithmSpec, mt types.MessageType, text []byte) []byte {
		t.Helper()
		out, err := w.Sign(ctx, &kms.SignInput{KeyId: &key, SigningAlgorithm: alg, MessageType: mt, Message: text})
		ok(t)(out, err)
		if *out.KeyId != key || out.SigningAlgorithm != alg {
			t.Errorf("Sign answered %s, %s", *out.KeyId, out.SigningAlgorithm)
		}
		return out.Signature
	}
	verify := func(key string, alg types.SigningAlgorithmSpec, mt types.MessageType, text, signature []byte) (any, error) {
		return w.Verify(ctx, &kms.VerifyInput{KeyId: &key, SigningAlgorithm: alg, MessageType: mt, Message: text, Signature: signature})
	}
	digest := sha256.Sum256(message)
	long := sha512.Sum512(message)
	const es256 = types.SigningAlgorithmSpecEcdsaSha256
	t.Run("OK", func(t *testing.T) {
		raw := sign(t, p256, es256, "", message)
		ok(t)(verify(p256, es256, types.MessageTypeRaw, message, raw))
		ok(t)(verify(p256, es256, types.MessageTypeDigest, digest[:], raw))
		ok(t)(verify(p256, es256, "", message, sign(t, p256, es256, types.MessageTypeDigest, digest[:])))
		_, pub := w.public(t, p256)
		if !ecdsa.VerifyASN1(pub.(*ecdsa.PublicKey), digest[:], raw) {
			t.Error("the signature is not valid outside")
		}
		if r := w.recorded(t, account, "Sign", ""); !r.ReadOnly || r.RequestParameters["message"] != nil || r.RequestParameters["signingAlgorithm"] != "ECDSA_SHA_256" {
			t.Errorf("recorded as %s", r.Raw)
		}
	})
	t.Run("Ed25519", func(t *testing.T) {
		const pure, pre = types.SigningAlgorithmSpecEd25519Sha512, types.SigningAlgorithmSpecEd25519PhSha512
		_, pub := w.public(t, ed)
		if !ed25519.Verify(pub.(ed25519.PublicKey), message, sign(t, ed, pure, types.MessageTypeRaw, message)) {
			t.Error("the signature is not valid outside")
		}
		ok(t)(verify(ed, pre, types.MessageTypeDigest, long[:], sign(t, ed, pre, types.MessageTypeDigest, long[:])))
		refused(t, "ValidationException", "-")(w.Sign(ctx, &kms.SignInput{KeyId: &ed, SigningAlgorithm: pure, MessageType: types.MessageTypeDigest, Message: long[:]}))
		refused(t, "ValidationException", "-")(w.Sign(ctx, &kms.SignInput{KeyId: &ed, SigningAlgorithm: pre, MessageType: types.MessageTypeRaw, Message: message}))
		refused(t, "ValidationException", "-")(verify(ed, pre, types.MessageTypeRaw, message, make([]byte, 64)))
	})
	t.Run("ExternalMu", func(t *testing.T) {
		const alg = types.SigningAlgorithmSpecMlDsaShake256
		ok(t)(verify(ml, alg, types.MessageTypeRaw, message, sign(t, ml, alg, types.MessageTypeRaw, message)))
		mu := long[:] // any 64 bytes are a representative
		ok(t)(verify(ml, alg, types.MessageTypeExternalMu, mu, sign(t, ml, alg, types.MessageTypeExternalMu, mu)))
		refused(t, "ValidationException", "Digest is invalid length for algorithm ML_DSA_SHAKE_256.")(
			w.Sign(ctx, &kms.SignInput{KeyId: &ml, SigningAlgorithm: alg, MessageType: types.MessageTypeExternalMu, Message: mu[:63]}))
		refused(t, "ValidationException", "-")(w.Sign(ctx, &kms.SignInput{KeyId: &p256, SigningAlgorithm: es256, MessageType: types.MessageTypeExternalMu, Message: mu}))
	})
	t.Run("KMSInvalidSignature", func(t *testing.T) {
		signature := sign(t, p256, es256, "", message)
		for _, bad := range [][]byte{turned(signature, len(signature)-1), signature[:5], []byte("x"), make([]byte, 6144)} {
			refused(t, "KMSInvalidSignatureException", "")(verify(p256, es256, "", message, bad))
		}
		refused(t, "KMSInvalidSignatureException", "")(verify(p256, es256, "", []byte("other"), signature))
		if r := w.recorded(t, account, "Verify", "KMSInvalidSignatureException"); r.UserIdentity.Type != "Root" {
			t.Errorf("recorded as %s", r.Raw)
		}
	})
	t.Run("DigestLength", func(t *testing.T) {
		refused(t, "ValidationException", "Digest is invalid length for algorithm ECDSA_SHA_256.")(
			w.Sign(ctx, &kms.SignInput{KeyId: &p256, SigningAlgorithm: es256, MessageType: types.MessageTypeDigest, Message: long[:]}))
		refused(t, "ValidationException", "Digest is invalid length for algorithm ECDSA_SHA_256.")(verify(p256, es256, types.MessageTypeDigest, message, []byte("x")))
	})
	// Both operations refuse the same.
	for name, c := range map[string]struct {
		key           string
		alg           types.SigningAlgorithmSpec
		dry           bool
		tokens        []string
		text          []byte
		code, message string // %s is the operation
	}{
		"WrongUsage":   {key: hmac, alg: es256, text: message, code: "InvalidKeyUsageException", message: hmac + " key usage is GENERATE_VERIFY_MAC which is not valid for %s."},
		"OtherSpec":    {key: p256, alg: types.SigningAlgorithmSpecEcdsaSha384, text: message, code: "InvalidKeyUsageException", message: "Algorithm ECDSA_SHA_384 is incompatible with key spec ECC_NIST_P256."},
		"NotFound":     {key: unknownKey, alg: es256, text: message, code: "NotFoundException", message: "-"},
		"DryRun":       {key: p256, alg: es256, dry: true, text: message, code: "DryRunOperationException", message: wouldHave},
		"InvalidToken": {key: p256, alg: es256, tokens: []string{"x"}, text: message, code: "InvalidGrantTokenException", message: "-"},
		"TooLong":      {key: p256, alg: es256, text: make([]byte, 4097), code: "ValidationException", message: "1 validation error detected: Value at 'message' failed to satisfy constraint: Member must have length less than or equal to 4096"},
	} {
		t.Run(name, func(t *testing.T) {
			say := func(op string) string {
				if name == "WrongUsage" {
					return fmt.Sprintf(c.message, op)
				}
				return c.message
			}
			refused(t, c.code, say("Sign"))(w.Sign(ctx, &kms.SignInput{KeyId: &c.key, SigningAlgorithm: c.alg, Message: c.text, DryRun: &c.dry, GrantTokens: c.tokens}))
			refused(t, c.code, say("Verify"))(w.Verify(ctx, &kms.VerifyInput{KeyId: &c.key, SigningAlgorithm: c.alg, Message: c.text, Signature: []byte("x"), DryRun: &c.dry, GrantTokens: c.tokens}))
		})
	}
	t.Run("Conditions", func(t *testing.T) {
		c := w.user(account, "signer", `"Action":"kms:Sign","Resource":"*","Condition":{"StringEquals":{"kms:SigningAlgorithm":"ECDSA_SHA_256","kms:MessageType":"DIGEST"}}`)
		ok(t)(c.Sign(ctx, &kms.SignInput{KeyId: &p256, SigningAlgorithm: es256, MessageType: types.MessageTypeDigest, Message: digest[:]}))
		denied(t)(c.Sign(ctx, &kms.SignInput{KeyId: &p256, SigningAlgorithm: es256, Message: message}))
		denied(t)(c.Sign(ctx, &kms.SignInput{KeyId: &ed, SigningAlgorithm: types.SigningAlgorithmSpecEd25519PhSha512, MessageType: types.MessageTypeDigest, Message: long[:]}))
	})
}

func TestMac(t *testing.T) {
	w := start(t)
	key := w.key(t, of(types.KeySpecHmac224, types.KeyUsageTypeGenerateVerifyMac))
	symmetric := w.key(t)
	const alg = types.MacAlgorithmSpecHmacSha224
	out, err := w.GenerateMac(ctx, &kms.GenerateMacInput{KeyId: &key, Message: message, MacAlgorithm: alg})
	ok(t)(out, err)
	t.Run("OK", func(t *testing.T) {
		if len(out.Mac) != 28 || *out.KeyId != key || out.MacAlgorithm != alg {
			t.Errorf("GenerateMac answered %+v", out)
		}
		good, err := w.VerifyMac(ctx, &kms.VerifyMacInput{KeyId: &key, Message: message, MacAlgorithm: alg, Mac: out.Mac})
		ok(t)(good, err)
		if !good.MacValid || *good.KeyId != key {
			t.Errorf("VerifyMac answered %+v", good)
		}
	})
	t.Run("KMSInvalidMac", func(t *testing.T) {
		refused(t, "KMSInvalidMacException", "")(w.VerifyMac(ctx, &kms.VerifyMacInput{KeyId: &key, Message: message, MacAlgorithm: alg, Mac: turned(out.Mac, 0)}))
		refused(t, "KMSInvalidMacException", "")(w.VerifyMac(ctx, &kms.VerifyMacInput{KeyId: &key, Message: message, MacAlgorithm: alg, Mac: []byte("x")}))
		w.recorded(t, account, "VerifyMac", "KMSInvalidMacException")
	})
	for name, c := range map[string]struct {
		key           string
		alg           types.MacAlgorithmSpec
		dry           bool
		tokens        []string
		code, message string
	}{
		"OtherSpec":    {key, types.MacAlgorithmSpecHmacSha256, false, nil, "InvalidKeyUsageException", "Algorithm HMAC_SHA_256 is incompatible with key spec HMAC_224."},
		"WrongUsage":   {symmetric, alg, false, nil, "InvalidKeyUsageException", "-"},
		"NotFound":     {unknownKey, alg, false, nil, "NotFoundException", "-"},
		"DryRun":       {key, alg, true, nil, "DryRunOperationException", wouldHave},
		"InvalidToken": {key, alg, false, []string{"x"}, "InvalidGrantTokenException", "-"},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, c.code, c.message)(w.GenerateMac(ctx, &kms.GenerateMacInput{KeyId: &c.key, Message: message, MacAlgorithm: c.alg, DryRun: &c.dry, GrantTokens: c.tokens}))
			refused(t, c.code, c.message)(w.VerifyMac(ctx, &kms.VerifyMacInput{KeyId: &c.key, Message: message, Mac: out.Mac, MacAlgorithm: c.alg, DryRun: &c.dry, GrantTokens: c.tokens}))
		})
	}
	t.Run("Condition", func(t *testing.T) {
		c := w.user(account, "mac", `"Action":"kms:GenerateMac","Resource":"*","Condition":{"StringEquals":{"kms:MacAlgorithm":"HMAC_SHA_512"}}`)
		denied(t)(c.GenerateMac(ctx, &kms.GenerateMacInput{KeyId: &key, Message: message, MacAlgorithm: alg}))
	})
}

func TestDeriveSharedSecret(t *testing.T) {
	w := start(t)
	key := w.key(t, of(types.KeySpecEccNistP256, types.KeyUsageTypeKeyAgreement))
	signer := w.key(t, of(types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify))
	const alg = types.KeyAgreementAlgorithmSpecEcdh
	peer, err := ecdh.P256().GenerateKey(rand.Reader)
	ok(t)(peer, err)
	public, err := x509.MarshalPKIXPublicKey(peer.PublicKey())
	ok(t)(public, err)
	t.Run("OK", func(t *testing.T) {
		out, err := w.DeriveSharedSecret(ctx, &kms.DeriveSharedSecretInput{KeyId: &key, PublicKey: public, KeyAgreementAlgorithm: alg})
		ok(t)(out, err)
		_, mine := w.public(t, key)
		point, err := mine.(*ecdsa.PublicKey).ECDH()
		ok(t)(point, err)
		want, err := peer.ECDH(point)
		ok(t)(want, err)
		if string(out.SharedSecret) != string(want) || *out.KeyId != key || out.KeyOrigin != types.OriginTypeAwsKms || out.KeyAgreementAlgorithm != alg {
			t.Errorf("DeriveSharedSecret answered %+v, want secret %x", out, want)
		}
	})
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	ok(t)(other, err)
	otherCurve, err := x509.MarshalPKIXPublicKey(other.Public())
	ok(t)(otherCurve, err)
	for name, c := range map[string]struct {
		in   kms.DeriveSharedSecretInput
		code string
	}{
		"BrokenPeer":   {kms.DeriveSharedSecretInput{KeyId: &key, PublicKey: []byte("x")}, "ValidationException"},
		"OtherCurve":   {kms.DeriveSharedSecretInput{KeyId: &key, PublicKey: otherCurve}, "ValidationException"},
		"WrongUsage":   {kms.DeriveSharedSecretInput{KeyId: &signer, PublicKey: public}, "InvalidKeyUsageException"},
		"NotFound":     {kms.DeriveSharedSecretInput{KeyId: aws.String(unknownKey), PublicKey: public}, "NotFoundException"},
		"DryRun":       {kms.DeriveSharedSecretInput{KeyId: &key, PublicKey: public, DryRun: aws.Bool(true)}, "DryRunOperationException"},
		"InvalidToken": {kms.DeriveSharedSecretInput{KeyId: &key, PublicKey: public, GrantTokens: []string{"x"}}, "InvalidGrantTokenException"},
	} {
		t.Run(name, func(t *testing.T) {
			c.in.KeyAgreementAlgorithm = alg
			refused(t, c.code, "-")(w.DeriveSharedSecret(ctx, &c.in))
		})
	}
}

func TestGetPublicKey(t *testing.T) {
	w := start(t)
	key := w.key(t, of(types.KeySpecRsa2048, types.KeyUsageTypeEncryptDecrypt))
	t.Run("OK", func(t *testing.T) {
		out, err := w.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &key})
		ok(t)(out, err)
		if *out.KeyId != key || out.KeySpec != types.KeySpecRsa2048 || string(out.CustomerMasterKeySpec) != "RSA_2048" || out.KeyUsage != types.KeyUsageTypeEncryptDecrypt ||
			len(out.EncryptionAlgorithms) != 2 || out.SigningAlgorithms != nil || out.KeyAgreementAlgorithms != nil {
			t.Errorf("GetPublicKey answered %+v", out)
		}
	})
	t.Run("UnsupportedOperation", func(t *testing.T) {
		symmetric, hmac := w.key(t), w.key(t, of(types.KeySpecHmac256, types.KeyUsageTypeGenerateVerifyMac))
		refused(t, "UnsupportedOperationException", "-")(w.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &symmetric}))
		refused(t, "UnsupportedOperationException", "-")(w.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &hmac}))
	})
	t.Run("NotFound", func(t *testing.T) {
		refused(t, "NotFoundException", "-")(w.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: aws.String(unknownKey)}))
	})
	t.Run("InvalidGrantToken", func(t *testing.T) {
		refused(t, "InvalidGrantTokenException", "-")(w.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &key, GrantTokens: []string{"x"}}))
	})
}

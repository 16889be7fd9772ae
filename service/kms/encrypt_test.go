package kms_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

const (
	wouldHave    = "The request would have succeeded, but the DryRun option is set."
	incorrectKey = "The key ID in the request does not identify a CMK that can perform this operation."
	unknownKey   = "1234abcd-12ab-34cd-56ef-1234567890ab"
)

func TestKeyID(t *testing.T) {
	w := start(t)
	key := w.key(t)
	ok(t)(w.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: aws.String("alias/name"), TargetKeyId: &key}))
	encrypt := func(id string) (any, error) {
		out, err := w.Encrypt(ctx, &kms.EncryptInput{KeyId: &id, Plaintext: message})
		if err == nil && *out.KeyId != key {
			t.Errorf("Encrypt with %s answered %s, want the key's ARN", id, *out.KeyId)
		}
		return out, err
	}
	t.Run("OK", func(t *testing.T) {
		for _, name := range []string{key, id(key), "alias/name", "arn:aws:kms:us-east-1:" + account + ":alias/name"} {
			ok(t)(encrypt(name))
		}
	})
	for name, c := range map[string]struct{ id, code, message string }{
		"Malformed":      {"fake-key-id", "NotFoundException", "Invalid keyId 'fake-key-id'"},
		"Unknown":        {unknownKey, "NotFoundException", "Key 'arn:aws:kms:us-east-1:" + account + ":key/" + unknownKey + "' does not exist"},
		"UnknownARN":     {"arn:aws:kms:us-east-1:" + account + ":key/" + unknownKey, "NotFoundException", "Key 'arn:aws:kms:us-east-1:" + account + ":key/" + unknownKey + "' does not exist"},
		"UnknownMRK":     {"mrk-" + strings.Repeat("0", 32), "NotFoundException", "Key 'arn:aws:kms:us-east-1:" + account + ":key/mrk-" + strings.Repeat("0", 32) + "' does not exist"},
		"OtherRegion":    {"arn:aws:kms:eu-west-1:" + account + ":key/" + id(key), "NotFoundException", "Invalid arn eu-west-1"},
		"OtherPartition": {"arn:aws-cn:kms:us-east-1:" + account + ":key/" + id(key), "NotFoundException", "-"},
		"OtherService":   {"arn:aws:s3:us-east-1:" + account + ":key/" + id(key), "NotFoundException", "-"},
		"OtherResource":  {"arn:aws:kms:us-east-1:" + account + ":grant/" + id(key), "NotFoundException", "-"},
		"BrokenARN":      {"arn:aws:kms", "NotFoundException", "-"},
		"UnknownAlias":   {"alias/nobody", "NotFoundException", "Alias arn:aws:kms:us-east-1:" + account + ":alias/nobody is not found."},
		"OtherAccount": {"arn:aws:kms:us-east-1:" + other + ":key/" + unknownKey, "AccessDeniedException",
			"User: arn:aws:iam::" + account + ":root is not authorized to perform: kms:Encrypt " + foreign},
		"OtherAccountAlias": {"arn:aws:kms:us-east-1:" + other + ":alias/nobody", "AccessDeniedException", "-"},
		"Empty":             {"", "ValidationException", "1 validation error detected: Value '' at 'keyId' failed to satisfy constraint: Member must have length greater than or equal to 1"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, c.code, c.message)(encrypt(c.id)) })
	}
	t.Run("NoAliasInManagement", func(t *testing.T) {
		for _, name := range []string{"alias/name", "arn:aws:kms:us-east-1:" + account + ":alias/name"} {
			refused(t, "NotFoundException", "Invalid keyId 'alias/name'")(w.DisableKey(ctx, &kms.DisableKeyInput{KeyId: &name}))
			refused(t, "NotFoundException", "Invalid keyId 'alias/name'")(w.GetKeyPolicy(ctx, &kms.GetKeyPolicyInput{KeyId: &name}))
			ok(t)(w.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &name}))
		}
	})
	t.Run("RegionsApart", func(t *testing.T) {
		cfg := w.Config()
		cfg.Region = "eu-west-1"
		there := kms.NewFromConfig(cfg)
		refused(t, "NotFoundException", "Key 'arn:aws:kms:eu-west-1:"+account+":key/"+id(key)+"' does not exist")(there.Encrypt(ctx, &kms.EncryptInput{KeyId: aws.String(id(key)), Plaintext: message}))
		refused(t, "NotFoundException", "Invalid arn us-east-1")(there.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: message}))
		out, err := there.CreateKey(ctx, &kms.CreateKeyInput{})
		ok(t)(out, err)
		if !strings.HasPrefix(*out.KeyMetadata.Arn, "arn:aws:kms:eu-west-1:") {
			t.Errorf("the key is %s", *out.KeyMetadata.Arn)
		}
	})
}

func TestEncrypt(t *testing.T) {
	t.Parallel()
	w := start(t)
	key, hmac := w.key(t), w.key(t, of(types.KeySpecHmac256, types.KeyUsageTypeGenerateVerifyMac))
	signer := w.key(t, of(types.KeySpecEccNistP256, types.KeyUsageTypeSignVerify))
	rsaKey := w.key(t, of(types.KeySpecRsa2048, types.KeyUsageTypeEncryptDecrypt))
	t.Run("OK", func(t *testing.T) {
		a, err := w.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: message})
		ok(t)(a, err)
		if *a.KeyId != key || a.EncryptionAlgorithm != types.EncryptionAlgorithmSpecSymmetricDefault {
			t.Errorf("Encrypt answered %s, %s", *a.KeyId, a.EncryptionAlgorithm)
		}
		if bytes.Equal(a.CiphertextBlob, w.encrypt(t, key, string(message))) {
			t.Error("two encryptions of the same text are the same")
		}
		if strings.Contains(string(a.CiphertextBlob), string(message)) {
			t.Error("the plaintext is in the ciphertext")
		}
		// Both are read-only calls, whose records have the context and no payload.
		ok(t)(w.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: message, EncryptionContext: map[string]string{"a": "b"}}))
		r := w.recorded(t, account, "Encrypt", "")
		if !r.ReadOnly || r.ResponseElements != nil || r.RequestParameters["plaintext"] != nil ||
			fmt.Sprint(r.RequestParameters["encryptionContext"]) != "map[a:b]" {
			t.Errorf("recorded as %s", r.Raw)
		}
	})
	t.Run("Sizes", func(t *testing.T) {
		big := strings.Repeat("x", 4096)
		blob := w.encrypt(t, key, big)
		if len(blob) > 6144 {
			t.Errorf("the ciphertext of %d bytes has %d", len(big), len(blob))
		}
		w.decrypts(t, blob, big)
		refused(t, "ValidationException", "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 4096")(
			w.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: []byte(big + "x")}))
		refused(t, "ValidationException", "1 validation error detected: Value at 'plaintext' failed to satisfy constraint: Member must have length greater than or equal to 1")(
			w.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: []byte{}}))
		for alg, size := range map[types.EncryptionAlgorithmSpec]int{types.EncryptionAlgorithmSpecRsaesOaepSha1: 214, types.EncryptionAlgorithmSpecRsaesOaepSha256: 190} {
			out, err := w.Encrypt(ctx, &kms.EncryptInput{KeyId: &rsaKey, EncryptionAlgorithm: alg, Plaintext: make([]byte, size)})
			ok(t)(out, err)
			if len(out.CiphertextBlob) != 256 {
				t.Errorf("the RSA ciphertext has %d bytes", len(out.CiphertextBlob))
			}
			refused(t, "ValidationException", fmt.Sprintf("Algorithm %s and key spec RSA_2048 cannot encrypt data larger than %d bytes.", alg, size))(
				w.Encrypt(ctx, &kms.EncryptInput{KeyId: &rsaKey, EncryptionAlgorithm: alg, Plaintext: make([]byte, size+1)}))
		}
	})
	t.Run("InvalidKeyUsage", func(t *testing.T) {
		refused(t, "InvalidKeyUsageException", hmac+" key usage is GENERATE_VERIFY_MAC which is not valid for Encrypt.")(w.Encrypt(ctx, &kms.EncryptInput{KeyId: &hmac, Plaintext: message}))
		refused(t, "InvalidKeyUsageException", signer+" key usage is SIGN_VERIFY which is not valid for Encrypt.")(w.Encrypt(ctx, &kms.EncryptInput{KeyId: &signer, Plaintext: message}))
		refused(t, "InvalidKeyUsageException", "Algorithm SYMMETRIC_DEFAULT is incompatible with key spec RSA_2048.")(w.Encrypt(ctx, &kms.EncryptInput{KeyId: &rsaKey, Plaintext: message}))
		refused(t, "InvalidKeyUsageException", "Algorithm RSAES_OAEP_SHA_1 is incompatible with key spec SYMMETRIC_DEFAULT.")(
			w.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: message, EncryptionAlgorithm: types.EncryptionAlgorithmSpecRsaesOaepSha1}))
	})
	t.Run("ContextForRSA", func(t *testing.T) {
		refused(t, "ValidationException", "-")(w.Encrypt(ctx, &kms.EncryptInput{
			KeyId: &rsaKey, Plaintext: message, EncryptionAlgorithm: types.EncryptionAlgorithmSpecRsaesOaepSha1, EncryptionContext: map[string]string{"a": "b"},
		}))
	})
	t.Run("Several", func(t *testing.T) {
		refused(t, "ValidationException", "2 validation errors detected: Value at 'plaintext' failed to satisfy constraint: Member must have length less than or equal to 4096; "+
			"Value 'nonsense' at 'encryptionAlgorithm' failed to satisfy constraint: Member must satisfy enum value set: [SYMMETRIC_DEFAULT, RSAES_OAEP_SHA_1, RSAES_OAEP_SHA_256, SM2PKE]")(
			w.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: make([]byte, 4097), EncryptionAlgorithm: "nonsense"}))
	})
	t.Run("DryRun", func(t *testing.T) {
		refused(t, "DryRunOperationException", wouldHave)(w.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: message, DryRun: aws.Bool(true)}))
		refused(t, "InvalidKeyUsageException", "-")(w.Encrypt(ctx, &kms.EncryptInput{KeyId: &hmac, Plaintext: message, DryRun: aws.Bool(true)}))
		denied(t)(w.user(account, "dry").Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: message, DryRun: aws.Bool(true)}))
	})
	t.Run("InvalidGrantToken", func(t *testing.T) {
		refused(t, "InvalidGrantTokenException", "-")(w.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: message, GrantTokens: []string{"bm90IG91cnM="}}))
		refused(t, "ValidationException", "-")(w.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: message, GrantTokens: make([]string, 11)}))
	})
}

func TestDecrypt(t *testing.T) {
	t.Parallel()
	w := start(t)
	key, second := w.key(t), w.key(t)
	hmac := w.key(t, of(types.KeySpecHmac256, types.KeyUsageTypeGenerateVerifyMac))
	rsaKey := w.key(t, of(types.KeySpecRsa2048, types.KeyUsageTypeEncryptDecrypt))
	blob := w.encrypt(t, key, "text", "a", "1", "B", "2")
	decrypt := func(change func(*kms.DecryptInput)) (any, error) {
		in := &kms.DecryptInput{CiphertextBlob: blob, EncryptionContext: map[string]string{"B": "2", "a": "1"}}
		change(in)
		return w.Decrypt(ctx, in)
	}
	t.Run("OK", func(t *testing.T) {
		out := w.decrypts(t, blob, "text", "B", "2", "a", "1")
		desc, err := w.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &key})
		ok(t)(desc, err)
		if *out.KeyId != key || aws.ToString(out.KeyMaterialId) != aws.ToString(desc.KeyMetadata.CurrentKeyMaterialId) || len(*out.KeyMaterialId) != 64 {
			t.Errorf("Decrypt told %s, %s", *out.KeyId, aws.ToString(out.KeyMaterialId))
		}
		ok(t)(decrypt(func(in *kms.DecryptInput) { in.KeyId = &key }))
		ok(t)(w.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: w.encrypt(t, key, "x"), EncryptionContext: map[string]string{}}))
	})
	t.Run("InvalidCiphertext", func(t *testing.T) {
		for name, change := range map[string]func(*kms.DecryptInput){
			"NoContext":     func(in *kms.DecryptInput) { in.EncryptionContext = nil },
			"LessContext":   func(in *kms.DecryptInput) { delete(in.EncryptionContext, "a") },
			"MoreContext":   func(in *kms.DecryptInput) { in.EncryptionContext["c"] = "3" },
			"OtherValue":    func(in *kms.DecryptInput) { in.EncryptionContext["a"] = "2" },
			"OtherCase":     func(in *kms.DecryptInput) { in.EncryptionContext = map[string]string{"A": "1", "B": "2"} },
			"Truncated":     func(in *kms.DecryptInput) { in.CiphertextBlob = blob[:len(blob)-1] },
			"Garbage":       func(in *kms.DecryptInput) { in.CiphertextBlob = []byte("garbage") },
			"LastBitTurned": func(in *kms.DecryptInput) { in.CiphertextBlob = turned(blob, len(blob)-1) },
		} {
			t.Run(name, func(t *testing.T) { refused(t, "InvalidCiphertextException", "")(decrypt(change)) })
		}
		// Wherever a bit is turned, nothing is opened and nothing breaks.
		for i := range blob {
			if _, err := decrypt(func(in *kms.DecryptInput) { in.CiphertextBlob = turned(blob, i) }); code(err) != "InvalidCiphertextException" && code(err) != "AccessDeniedException" {
				t.Fatalf("with byte %d changed: %v", i, err)
			}
		}
	})
	t.Run("TooLarge", func(t *testing.T) {
		refused(t, "ValidationException", "-")(decrypt(func(in *kms.DecryptInput) { in.CiphertextBlob = make([]byte, 6145) }))
	})
	t.Run("IncorrectKey", func(t *testing.T) {
		refused(t, "IncorrectKeyException", incorrectKey)(decrypt(func(in *kms.DecryptInput) { in.KeyId = &second }))
		refused(t, "IncorrectKeyException", incorrectKey)(decrypt(func(in *kms.DecryptInput) { in.KeyId = &hmac }))
		refused(t, "IncorrectKeyException", incorrectKey)(w.Decrypt(ctx, &kms.DecryptInput{KeyId: &hmac, CiphertextBlob: []byte("x")}))
		refused(t, "IncorrectKeyException", incorrectKey)(w.Decrypt(ctx, &kms.DecryptInput{KeyId: &key, CiphertextBlob: blob, EncryptionAlgorithm: types.EncryptionAlgorithmSpecRsaesOaepSha1}))
	})
	t.Run("UnknownKeyInBlob", func(t *testing.T) {
		gone := w.key(t)
		orphan := w.encrypt(t, gone, "x")
		w.schedule(t, gone)
		w.Advance(8 * day)
		refused(t, "AccessDeniedException", "-")(w.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: orphan}))
		refused(t, "NotFoundException", "Key '"+gone+"' does not exist")(w.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: orphan, KeyId: &gone}))
	})
	t.Run("RSA", func(t *testing.T) {
		pub, err := w.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &rsaKey})
		ok(t)(pub, err)
		public, err := x509.ParsePKIXPublicKey(pub.PublicKey)
		ok(t)(public, err)
		outside, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, public.(*rsa.PublicKey), message, nil)
		ok(t)(outside, err)
		out, err := w.Decrypt(ctx, &kms.DecryptInput{KeyId: &rsaKey, CiphertextBlob: outside, EncryptionAlgorithm: types.EncryptionAlgorithmSpecRsaesOaepSha256})
		ok(t)(out, err)
		if string(out.Plaintext) != string(message) || out.KeyMaterialId != nil {
			t.Errorf("Decrypt gave %q, material %v", out.Plaintext, out.KeyMaterialId)
		}
		refused(t, "InvalidCiphertextException", "")(w.Decrypt(ctx, &kms.DecryptInput{KeyId: &rsaKey, CiphertextBlob: outside, EncryptionAlgorithm: types.EncryptionAlgorithmSpecRsaesOaepSha1}))
		refused(t, "ValidationException", "-")(w.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: outside, EncryptionAlgorithm: types.EncryptionAlgorithmSpecRsaesOaepSha256}))
	})
	t.Run("DryRun", func(t *testing.T) {
		dry := func(in *kms.DecryptInput) { in.DryRun = aws.Bool(true) }
		refused(t, "DryRunOperationException", wouldHave)(decrypt(dry))
		refused(t, "InvalidCiphertextException", "")(decrypt(func(in *kms.DecryptInput) { dry(in); in.EncryptionContext = nil }))
		blind := func(in *kms.DecryptInput) {
			dry(in)
			in.CiphertextBlob, in.DryRunModifiers = nil, []types.DryRunModifierType{types.DryRunModifierTypeIgnoreCiphertext}
		}
		refused(t, "DryRunOperationException", wouldHave)(decrypt(func(in *kms.DecryptInput) { blind(in); in.KeyId = &key }))
		refused(t, "ValidationException", "-")(decrypt(blind))
		refused(t, "IncorrectKeyException", incorrectKey)(decrypt(func(in *kms.DecryptInput) { blind(in); in.KeyId = &hmac; in.EncryptionContext = nil }))
		// Without DryRun the modifier means nothing.
		refused(t, "InvalidCiphertextException", "")(decrypt(func(in *kms.DecryptInput) {
			blind(in)
			in.KeyId, in.DryRun, in.CiphertextBlob = &key, nil, []byte("x")
		}))
		refused(t, "InvalidCiphertextException", "")(decrypt(func(in *kms.DecryptInput) { blind(in); in.KeyId, in.DryRun = &key, nil }))
	})
	t.Run("AuthorizedOnTheKeyInTheBlob", func(t *testing.T) {
		// Who may use one key is not let to another by naming the first.
		c := w.user(account, "one", fmt.Sprintf(`"Action":"kms:Decrypt","Resource":%q`, second))
		denied(t)(c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: w.encrypt(t, key, "x")}))
		refused(t, "IncorrectKeyException", incorrectKey)(c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: w.encrypt(t, key, "x"), KeyId: &second}))
		ok(t)(c.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: w.encrypt(t, second, "x")}))
	})
}

func turned(blob []byte, i int) []byte {
	b := bytes.Clone(blob)
	b[i] ^= 1
	return b
}

func TestReEncrypt(t *testing.T) {
	t.Parallel()
	w := start(t)
	from, to := w.key(t), w.key(t)
	rsaKey := w.key(t, of(types.KeySpecRsa2048, types.KeyUsageTypeEncryptDecrypt))
	hmac := w.key(t, of(types.KeySpecHmac256, types.KeyUsageTypeGenerateVerifyMac))
	blob := w.encrypt(t, from, "text", "a", "1")
	reencrypt := func(change func(*kms.ReEncryptInput)) (*kms.ReEncryptOutput, error) {
		in := &kms.ReEncryptInput{CiphertextBlob: blob, SourceEncryptionContext: map[string]string{"a": "1"}, DestinationKeyId: &to, DestinationEncryptionContext: map[string]string{"b": "2"}}
		change(in)
		return w.ReEncrypt(ctx, in)
	}
	t.Run("OK", func(t *testing.T) {
		out, err := reencrypt(func(in *kms.ReEncryptInput) {})
		ok(t)(out, err)
		if *out.KeyId != to || *out.SourceKeyId != from || len(aws.ToString(out.SourceKeyMaterialId)) != 64 || len(aws.ToString(out.DestinationKeyMaterialId)) != 64 {
			t.Errorf("ReEncrypt answered %+v", out)
		}
		w.decrypts(t, out.CiphertextBlob, "text", "b", "2")
		ok(t)(reencrypt(func(in *kms.ReEncryptInput) { in.SourceKeyId = &from }))
		r := w.recorded(t, account, "ReEncrypt", "")
		if len(r.Resources) != 2 {
			t.Errorf("recorded as %s", r.Raw)
		}
	})
	t.Run("ToRSAAndBack", func(t *testing.T) {
		alg := types.EncryptionAlgorithmSpecRsaesOaepSha256
		out, err := reencrypt(func(in *kms.ReEncryptInput) {
			in.DestinationKeyId, in.DestinationEncryptionAlgorithm, in.DestinationEncryptionContext = &rsaKey, alg, nil
		})
		ok(t)(out, err)
		if out.DestinationKeyMaterialId != nil {
			t.Error("an RSA key has no material ID")
		}
		back, err := reencrypt(func(in *kms.ReEncryptInput) {
			in.CiphertextBlob, in.SourceKeyId, in.SourceEncryptionAlgorithm, in.SourceEncryptionContext = out.CiphertextBlob, &rsaKey, alg, nil
		})
		ok(t)(back, err)
		w.decrypts(t, back.CiphertextBlob, "text", "b", "2")
	})
	t.Run("IncorrectKey", func(t *testing.T) {
		refused(t, "IncorrectKeyException", incorrectKey)(reencrypt(func(in *kms.ReEncryptInput) { in.SourceKeyId = &to }))
	})
	t.Run("InvalidCiphertext", func(t *testing.T) {
		refused(t, "InvalidCiphertextException", "")(reencrypt(func(in *kms.ReEncryptInput) { in.SourceEncryptionContext = nil }))
	})
	t.Run("InvalidKeyUsage", func(t *testing.T) {
		refused(t, "InvalidKeyUsageException", hmac+" key usage is GENERATE_VERIFY_MAC which is not valid for ReEncrypt.")(reencrypt(func(in *kms.ReEncryptInput) { in.DestinationKeyId = &hmac }))
	})
	t.Run("NotFound", func(t *testing.T) {
		refused(t, "NotFoundException", "-")(reencrypt(func(in *kms.ReEncryptInput) { in.DestinationKeyId = aws.String(unknownKey) }))
		refused(t, "NotFoundException", "-")(reencrypt(func(in *kms.ReEncryptInput) { in.SourceKeyId = aws.String(unknownKey) }))
	})
	t.Run("InvalidGrantToken", func(t *testing.T) {
		refused(t, "InvalidGrantTokenException", "-")(reencrypt(func(in *kms.ReEncryptInput) { in.GrantTokens = []string{"x"} }))
	})
	t.Run("DryRun", func(t *testing.T) {
		dry := func(in *kms.ReEncryptInput) { in.DryRun = aws.Bool(true) }
		refused(t, "DryRunOperationException", wouldHave)(reencrypt(dry))
		refused(t, "InvalidCiphertextException", "")(reencrypt(func(in *kms.ReEncryptInput) { dry(in); in.SourceEncryptionContext = nil }))
		blind := func(in *kms.ReEncryptInput) {
			dry(in)
			in.CiphertextBlob, in.DryRunModifiers = nil, []types.DryRunModifierType{types.DryRunModifierTypeIgnoreCiphertext}
		}
		refused(t, "DryRunOperationException", wouldHave)(reencrypt(func(in *kms.ReEncryptInput) { blind(in); in.SourceKeyId = &from }))
		refused(t, "ValidationException", "-")(reencrypt(blind))
		w.disable(t, to)
		defer w.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &to})
		refused(t, "DisabledException", "-")(reencrypt(func(in *kms.ReEncryptInput) { blind(in); in.SourceKeyId = &from }))
	})
	t.Run("OnSameKey", func(t *testing.T) {
		c := w.user(account, "same", `"Action":"kms:ReEncrypt*","Resource":"*","Condition":{"Bool":{"kms:ReEncryptOnSameKey":"true"}}`)
		plain := w.encrypt(t, from, "x")
		ok(t)(c.ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: plain, DestinationKeyId: &from}))
		denied(t)(c.ReEncrypt(ctx, &kms.ReEncryptInput{CiphertextBlob: plain, DestinationKeyId: &to}))
	})
}

package kms_test

import (
	"bytes"
	"crypto/aes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/smx509"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/engine/keys"
)

// external has a key made without material.
func external(in *kms.CreateKeyInput) { in.Origin = types.OriginTypeExternal }

// parameters are those of an import.
type parameters struct {
	*kms.GetParametersForImportOutput
	alg types.AlgorithmSpec
}

func (w *world) parameters(t *testing.T, key string, alg types.AlgorithmSpec, spec types.WrappingKeySpec) *parameters {
	t.Helper()
	out, err := w.GetParametersForImport(ctx, &kms.GetParametersForImportInput{KeyId: &key, WrappingAlgorithm: alg, WrappingKeySpec: spec})
	ok(t)(out, err)
	return &parameters{out, alg}
}

// usual are the parameters that most tests import with.
func (w *world) usual(t *testing.T, key string) *parameters {
	t.Helper()
	return w.parameters(t, key, types.AlgorithmSpecRsaesOaepSha256, types.WrappingKeySpecRsa2048)
}

// input is the request that imports material that does not expire.
func (p *parameters) input(material []byte, change ...func(*kms.ImportKeyMaterialInput)) *kms.ImportKeyMaterialInput {
	in := &kms.ImportKeyMaterialInput{
		KeyId: p.KeyId, ImportToken: p.ImportToken, EncryptedKeyMaterial: p.wrap(material), ExpirationModel: types.ExpirationModelTypeKeyMaterialDoesNotExpire,
	}
	for _, f := range change {
		f(in)
	}
	return in
}

func expiring(at time.Time) func(*kms.ImportKeyMaterialInput) {
	return func(in *kms.ImportKeyMaterialInput) {
		in.ExpirationModel, in.ValidTo = types.ExpirationModelTypeKeyMaterialExpires, &at
	}
}

func asNew(in *kms.ImportKeyMaterialInput)      { in.ImportType = types.ImportTypeNewKeyMaterial }
func asExisting(in *kms.ImportKeyMaterialInput) { in.ImportType = types.ImportTypeExistingKeyMaterial }

// wrap does what a client does with material, by the standard library.
func (p *parameters) wrap(material []byte) []byte {
	must := func(b []byte, err error) []byte {
		if err != nil {
			panic(err)
		}
		return b
	}
	if p.alg == types.AlgorithmSpecSm2pke {
		public, err := smx509.ParsePKIXPublicKey(p.PublicKey)
		must(nil, err)
		return must(sm2.EncryptASN1(rand.Reader, public.(*ecdsa.PublicKey), material))
	}
	parsed, err := x509.ParsePKIXPublicKey(p.PublicKey)
	must(nil, err)
	public := parsed.(*rsa.PublicKey)
	oaep := func(h hash.Hash, b []byte) []byte { return must(rsa.EncryptOAEP(h, rand.Reader, public, b, nil)) }
	kek := make([]byte, 32)
	rand.Read(kek)
	switch p.alg {
	case types.AlgorithmSpecRsaesOaepSha1:
		return oaep(sha1.New(), material)
	case types.AlgorithmSpecRsaesOaepSha256:
		return oaep(sha256.New(), material)
	case types.AlgorithmSpecRsaAesKeyWrapSha1:
		return append(oaep(sha1.New(), kek), wrapAES(kek, material)...)
	}
	return append(oaep(sha256.New(), kek), wrapAES(kek, material)...)
}

// wrapAES is AES-KWP, RFC 5649, section 4.1.
func wrapAES(kek, material []byte) []byte {
	block, err := aes.NewCipher(kek)
	if err != nil {
		panic(err)
	}
	out := binary.BigEndian.AppendUint32([]byte{0xa6, 0x59, 0x59, 0xa6}, uint32(len(material)))
	out = append(out, material...)
	out = append(out, make([]byte, -len(material)&7)...)
	n := len(out)/8 - 1
	if n == 1 {
		block.Encrypt(out, out)
		return out
	}
	var b [16]byte
	for j := range 6 {
		for i := 1; i <= n; i++ {
			copy(b[:8], out)
			copy(b[8:], out[8*i:])
			block.Encrypt(b[:], b[:])
			binary.BigEndian.PutUint64(out, binary.BigEndian.Uint64(b[:8])^uint64(n*j+i))
			copy(out[8*i:8*i+8], b[8:])
		}
	}
	return out
}

// material is n bytes of which none is like those of another seed.
func material(seed byte, n int) []byte {
	sum := sha256.Sum256([]byte{seed})
	return bytes.Repeat(sum[:], 2)[:n]
}

// materialOf is material for a spec: the same each time for symmetric ones.
func materialOf(t *testing.T, spec keys.Spec) []byte {
	t.Helper()
	if spec == keys.SymmetricDefault {
		return material(1, 32)
	}
	k, err := keys.Generate(spec, nil)
	ok(t)(k, err)
	return k.Material()
}

// imported makes a symmetric key with material that does not expire, and returns it with the parameters that it was imported with.
func (w *world) imported(t *testing.T, seed byte) (key string, p *parameters) {
	t.Helper()
	key = w.key(t, external)
	p = w.usual(t, key)
	ok(t)(w.ImportKeyMaterial(ctx, p.input(material(seed, 32))))
	return key, p
}

func (w *world) metadata(t *testing.T, key string) *types.KeyMetadata {
	t.Helper()
	out, err := w.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &key})
	ok(t)(out, err)
	return out.KeyMetadata
}

func (w *world) inState(t *testing.T, key string, want types.KeyState) {
	t.Helper()
	if m := w.metadata(t, key); m.KeyState != want || m.Enabled != (want == types.KeyStateEnabled) {
		t.Fatalf("the key is %s, enabled is %t, want %s", m.KeyState, m.Enabled, want)
	}
}

// materials lists all material of a key.
func (w *world) materials(t *testing.T, key string) []types.RotationsListEntry {
	t.Helper()
	out, err := w.ListKeyRotations(ctx, &kms.ListKeyRotationsInput{KeyId: &key, IncludeKeyMaterial: types.IncludeKeyMaterialAllKeyMaterial})
	ok(t)(out, err)
	return out.Rotations
}

// told is what an entry of the list says, in short.
func told(entries []types.RotationsListEntry) (all []string) {
	for _, e := range entries {
		all = append(all, strings.TrimRight(fmt.Sprintf("%s %s %s %s", e.KeyMaterialState, e.ImportState, e.ExpirationModel, e.RotationType), " "))
	}
	return all
}

func expectMaterials(t *testing.T, got []types.RotationsListEntry, want ...string) {
	t.Helper()
	if !slices.Equal(told(got), want) {
		t.Fatalf("the material is\n\t%q, want\n\t%q", told(got), want)
	}
}

func TestGetParametersForImport(t *testing.T) {
	t.Parallel()
	w := start(t)
	key := w.key(t, external)
	t.Run("OK", func(t *testing.T) {
		p := w.parameters(t, key, types.AlgorithmSpecRsaesOaepSha256, types.WrappingKeySpecRsa2048)
		public, err := x509.ParsePKIXPublicKey(p.PublicKey)
		ok(t)(public, err)
		if bits := public.(*rsa.PublicKey).N.BitLen(); bits != 2048 {
			t.Errorf("the wrapping key has %d bits", bits)
		}
		if life := p.ParametersValidTo.Sub(w.Now()); *p.KeyId != key || life < 24*time.Hour-time.Minute || life > 24*time.Hour {
			t.Errorf("got %s, valid for %s", *p.KeyId, life)
		}
		again := w.usual(t, key)
		if bytes.Equal(again.PublicKey, p.PublicKey) {
			t.Error("the wrapping key is the same twice")
		}
	})
	get := func(key string, alg types.AlgorithmSpec, spec types.WrappingKeySpec) (any, error) {
		return w.GetParametersForImport(ctx, &kms.GetParametersForImportInput{KeyId: &key, WrappingAlgorithm: alg, WrappingKeySpec: spec})
	}
	oaep, hybrid, rsa2048 := types.AlgorithmSpecRsaesOaepSha256, types.AlgorithmSpecRsaAesKeyWrapSha256, types.WrappingKeySpecRsa2048
	t.Run("UnsupportedOperation", func(t *testing.T) {
		own := w.key(t)
		refused(t, "UnsupportedOperationException", own+" origin is AWS_KMS which is not valid for this operation.")(get(own, oaep, rsa2048))
		long, p521 := w.key(t, external, of(types.KeySpecRsa2048, types.KeyUsageTypeSignVerify)), w.key(t, external, of(types.KeySpecEccNistP521, types.KeyUsageTypeSignVerify))
		for name, run := range map[string]func() (any, error){
			"PKCS1":       func() (any, error) { return get(key, types.AlgorithmSpecRsaesPkcs1V15, rsa2048) },
			"SM2":         func() (any, error) { return get(key, types.AlgorithmSpecSm2pke, types.WrappingKeySpecSm2) },
			"SM2WithRSA":  func() (any, error) { return get(key, types.AlgorithmSpecSm2pke, rsa2048) },
			"RSAByOAEP":   func() (any, error) { return get(long, oaep, types.WrappingKeySpecRsa4096) },
			"P521ByShort": func() (any, error) { return get(p521, oaep, rsa2048) },
		} {
			t.Run(name, func(t *testing.T) { refused(t, "UnsupportedOperationException", "-")(run()) })
		}
		ok(t)(get(p521, hybrid, rsa2048))
	})
	t.Run("Validation", func(t *testing.T) {
		refused(t, "ValidationException", "-")(get(key, "RSA", rsa2048))
		refused(t, "ValidationException", "-")(get(key, oaep, "RSA_1024"))
	})
	t.Run("NotFound", func(t *testing.T) { refused(t, "NotFoundException", "-")(get(unknownKey, oaep, rsa2048)) })
	t.Run("Conditions", func(t *testing.T) {
		c := w.user(account, "importer", `"Action":"kms:GetParametersForImport","Resource":"*","Condition":{"StringEquals":{"kms:WrappingAlgorithm":"RSAES_OAEP_SHA_256",`+
			`"kms:WrappingKeySpec":"RSA_2048","kms:KeyOrigin":"EXTERNAL"}}`)
		ok(t)(c.GetParametersForImport(ctx, &kms.GetParametersForImportInput{KeyId: &key, WrappingAlgorithm: oaep, WrappingKeySpec: rsa2048}))
		denied(t)(c.GetParametersForImport(ctx, &kms.GetParametersForImportInput{KeyId: &key, WrappingAlgorithm: hybrid, WrappingKeySpec: rsa2048}))
		denied(t)(c.GetParametersForImport(ctx, &kms.GetParametersForImportInput{KeyId: &key, WrappingAlgorithm: oaep, WrappingKeySpec: types.WrappingKeySpecRsa3072}))
		maker := w.user(account, "maker", `"Action":"kms:CreateKey","Resource":"*","Condition":{"StringEquals":{"kms:KeyOrigin":"EXTERNAL"}}`)
		ok(t)(maker.CreateKey(ctx, &kms.CreateKeyInput{Origin: types.OriginTypeExternal}))
		denied(t)(maker.CreateKey(ctx, &kms.CreateKeyInput{}))
	})
}

func TestImportKeyMaterial(t *testing.T) {
	t.Parallel()
	w := start(t)
	t.Run("OK", func(t *testing.T) {
		key := w.key(t, external)
		m := w.metadata(t, key)
		if m.KeyState != types.KeyStatePendingImport || m.Enabled || m.Origin != types.OriginTypeExternal || m.CurrentKeyMaterialId != nil || m.ExpirationModel != "" || m.ValidTo != nil {
			t.Errorf("without material the key is %+v", m)
		}
		p := w.usual(t, key)
		out, err := w.ImportKeyMaterial(ctx, p.input(material(1, 32)))
		ok(t)(out, err)
		m = w.metadata(t, key)
		if *out.KeyId != key || m.KeyState != types.KeyStateEnabled || *m.CurrentKeyMaterialId != *out.KeyMaterialId || m.ExpirationModel != types.ExpirationModelTypeKeyMaterialDoesNotExpire || m.ValidTo != nil {
			t.Errorf("got %+v of %+v", out, m)
		}
		w.decrypts(t, w.encrypt(t, key, "text"), "text")
		r := w.recorded(t, account, "ImportKeyMaterial", "")
		if text := string(r.Raw); strings.Contains(text, "mportToken") || strings.Contains(text, "ncryptedKeyMaterial") || r.RequestParameters["expirationModel"] != "KEY_MATERIAL_DOES_NOT_EXPIRE" {
			t.Errorf("recorded as %s", text)
		}
		// The same again is no change.
		again, err := w.ImportKeyMaterial(ctx, p.input(material(1, 32)))
		ok(t)(again, err)
		if *again.KeyMaterialId != *out.KeyMaterialId || len(w.materials(t, key)) != 1 {
			t.Errorf("the same material became %s", *again.KeyMaterialId)
		}
		other := w.key(t, external)
		elsewhere, err := w.ImportKeyMaterial(ctx, w.usual(t, other).input(material(1, 32)))
		ok(t)(elsewhere, err)
		if *elsewhere.KeyMaterialId == *out.KeyMaterialId {
			t.Error("the same material has the same ID in two keys")
		}
		refused(t, "IncorrectKeyException", "-")(w.Decrypt(ctx, &kms.DecryptInput{KeyId: &other, CiphertextBlob: w.encrypt(t, key, "text")}))
	})
	key, p := w.imported(t, 1)
	do := func(in *kms.ImportKeyMaterialInput) (any, error) { return w.ImportKeyMaterial(ctx, in) }
	same := material(1, 32)
	t.Run("Validation", func(t *testing.T) {
		refused(t, "ValidationException", "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES")(do(p.input(same, func(in *kms.ImportKeyMaterialInput) { in.ExpirationModel = "" })))
		for name, change := range map[string]func(*kms.ImportKeyMaterialInput){
			"Past":       expiring(w.Now().Add(-time.Hour)),
			"TooFar":     expiring(w.Now().Add(366 * day)),
			"Unexpiring": func(in *kms.ImportKeyMaterialInput) { in.ValidTo = aws.Time(w.Now().Add(day)) },
			"NewWithID": func(in *kms.ImportKeyMaterialInput) {
				in.ImportType, in.KeyMaterialId = types.ImportTypeNewKeyMaterial, aws.String(strings.Repeat("0", 64))
			},
			"ShortID":         func(in *kms.ImportKeyMaterialInput) { in.KeyMaterialId = aws.String("0") },
			"BadDescription":  func(in *kms.ImportKeyMaterialInput) { in.KeyMaterialDescription = aws.String("<>") },
			"LongDescription": func(in *kms.ImportKeyMaterialInput) { in.KeyMaterialDescription = aws.String(strings.Repeat("x", 257)) },
			"NoToken":         func(in *kms.ImportKeyMaterialInput) { in.ImportToken = []byte{} },
		} {
			t.Run(name, func(t *testing.T) { refused(t, "ValidationException", "-")(do(p.input(same, change))) })
		}
	})
	t.Run("IncorrectKeyMaterial", func(t *testing.T) {
		for name, in := range map[string]*kms.ImportKeyMaterialInput{
			"Other":        p.input(material(2, 32)),
			"OtherAsOld":   p.input(material(2, 32), asExisting),
			"TooShort":     p.input(material(2, 31), asNew),
			"TooLong":      p.input(material(2, 33), asNew),
			"Empty":        p.input(nil, asNew),
			"OldAsNew":     p.input(same, asNew),
			"OtherID":      p.input(same, func(in *kms.ImportKeyMaterialInput) { in.KeyMaterialId = aws.String(strings.Repeat("0", 64)) }),
			"NothingIsOld": w.usual(t, w.key(t, external)).input(same, asExisting),
		} {
			t.Run(name, func(t *testing.T) { refused(t, "IncorrectKeyMaterialException", "-")(do(in)) })
		}
		w.inState(t, key, types.KeyStateEnabled)
	})
	t.Run("InvalidCiphertext", func(t *testing.T) {
		wrong := func(change func([]byte) []byte) *kms.ImportKeyMaterialInput {
			return p.input(same, func(in *kms.ImportKeyMaterialInput) { in.EncryptedKeyMaterial = change(in.EncryptedKeyMaterial) })
		}
		for name, in := range map[string]*kms.ImportKeyMaterialInput{
			"Altered": wrong(func(b []byte) []byte { b[100] ^= 1; return b }),
			"Short":   wrong(func(b []byte) []byte { return b[1:] }),
			"Long":    wrong(func(b []byte) []byte { return append(b, 0) }),
			"Bare":    wrong(func([]byte) []byte { return same }),
			"OtherAlgorithm": wrong(func([]byte) []byte {
				return (&parameters{p.GetParametersForImportOutput, types.AlgorithmSpecRsaesOaepSha1}).wrap(same)
			}),
			"OtherKey": wrong(func([]byte) []byte { return w.usual(t, key).wrap(same) }),
		} {
			t.Run(name, func(t *testing.T) { refused(t, "InvalidCiphertextException", "")(do(in)) })
		}
	})
	t.Run("UnsupportedOperation", func(t *testing.T) {
		own := w.key(t)
		refused(t, "UnsupportedOperationException", own+" origin is AWS_KMS which is not valid for this operation.")(do(p.input(same, func(in *kms.ImportKeyMaterialInput) { in.KeyId = &own })))
		mac := w.usual(t, w.key(t, external, of(types.KeySpecHmac256, types.KeyUsageTypeGenerateVerifyMac)))
		refused(t, "UnsupportedOperationException", "-")(do(mac.input(same, asNew)))
		refused(t, "UnsupportedOperationException", "-")(do(mac.input(same, func(in *kms.ImportKeyMaterialInput) { in.KeyMaterialDescription = aws.String("x") })))
		ok(t)(do(mac.input(same)))
	})
	t.Run("NotFound", func(t *testing.T) {
		refused(t, "NotFoundException", "-")(do(p.input(same, func(in *kms.ImportKeyMaterialInput) { in.KeyId = aws.String(unknownKey) })))
	})
	t.Run("DisabledStaysSo", func(t *testing.T) {
		key, p := w.imported(t, 3)
		w.disable(t, key)
		ok(t)(do(p.input(material(3, 32))))
		w.inState(t, key, types.KeyStateDisabled)
	})
	t.Run("Conditions", func(t *testing.T) {
		soon, late := w.Now().Add(10*day), w.Now().Add(100*day)
		limit := w.Now().Add(30 * day).UTC().Format(time.RFC3339)
		c := w.user(account, "importer", `"Action":"kms:ImportKeyMaterial","Resource":"*","Condition":{"StringEquals":{"kms:ExpirationModel":"KEY_MATERIAL_EXPIRES"},"DateLessThan":{"kms:ValidTo":"`+limit+`"}}`)
		denied(t)(c.ImportKeyMaterial(ctx, p.input(same)))
		denied(t)(c.ImportKeyMaterial(ctx, p.input(same, expiring(late))))
		ok(t)(c.ImportKeyMaterial(ctx, p.input(same, expiring(soon))))
		ok(t)(c.ImportKeyMaterial(ctx, p.input(same, expiring(soon), func(in *kms.ImportKeyMaterialInput) { in.ExpirationModel = "" }))) // which is the default
	})
}

// TestImportTokens holds that a token is for its key and its day alone.
func TestImportTokens(t *testing.T) {
	t.Parallel()
	w := start(t)
	key, second := w.key(t, external), w.key(t, external)
	p, q := w.usual(t, key), w.usual(t, second)
	do := func(change func(*kms.ImportKeyMaterialInput)) (any, error) {
		return w.ImportKeyMaterial(ctx, p.input(material(1, 32), change))
	}
	for name, token := range map[string][]byte{
		"OtherKey":  q.ImportToken,
		"Altered":   append(bytes.Clone(p.ImportToken[:len(p.ImportToken)-1]), p.ImportToken[len(p.ImportToken)-1]^1),
		"Header":    append([]byte{p.ImportToken[0] ^ 1}, p.ImportToken[1:]...),
		"Version":   append([]byte{p.ImportToken[0], 9, 9, 9, 9}, p.ImportToken[5:]...),
		"Truncated": p.ImportToken[:len(p.ImportToken)/2],
		"Junk":      []byte("x"),
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, "InvalidImportTokenException", "-")(do(func(in *kms.ImportKeyMaterialInput) { in.ImportToken = token }))
		})
	}
	t.Run("SwappedKey", func(t *testing.T) {
		refused(t, "InvalidImportTokenException", "-")(do(func(in *kms.ImportKeyMaterialInput) { in.KeyId = &second }))
	})
	t.Run("OtherRegion", func(t *testing.T) {
		cfg := w.Config()
		cfg.Region = "eu-west-1"
		west := kms.NewFromConfig(cfg)
		there, err := west.CreateKey(ctx, &kms.CreateKeyInput{Origin: types.OriginTypeExternal})
		ok(t)(there, err)
		refused(t, "InvalidImportTokenException", "-")(west.ImportKeyMaterial(ctx, p.input(material(1, 32), func(in *kms.ImportKeyMaterialInput) { in.KeyId = there.KeyMetadata.KeyId })))
	})
	t.Run("SwappedPublicKey", func(t *testing.T) {
		refused(t, "InvalidCiphertextException", "")(do(func(in *kms.ImportKeyMaterialInput) { in.EncryptedKeyMaterial = q.wrap(material(1, 32)) }))
	})
	w.inState(t, key, types.KeyStatePendingImport)
	w.Advance(24*time.Hour - time.Minute)
	ok(t)(do(func(*kms.ImportKeyMaterialInput) {}))
	w.Advance(2 * time.Minute)
	t.Run("Expired", func(t *testing.T) {
		refused(t, "ExpiredImportTokenException", "-")(do(func(*kms.ImportKeyMaterialInput) {}))
		w.inState(t, second, types.KeyStatePendingImport)
		refused(t, "ExpiredImportTokenException", "-")(w.ImportKeyMaterial(ctx, q.input(material(1, 32))))
	})
}

// TestImportSpecs imports a key of every spec and usage, wrapped in every way that is for it, and uses it; the same key outside must do the same.
func TestImportSpecs(t *testing.T) {
	t.Parallel()
	w := start(t)
	direct := []types.AlgorithmSpec{types.AlgorithmSpecRsaesOaepSha1, types.AlgorithmSpecRsaesOaepSha256}
	hybrid := []types.AlgorithmSpec{types.AlgorithmSpecRsaAesKeyWrapSha1, types.AlgorithmSpecRsaAesKeyWrapSha256}
	turn := 0
	for _, spec := range keys.Specs() {
		if spec == keys.SM2 || spec == keys.RSA3072 || spec == keys.RSA4096 { // the first is in TestImportSM2, and the others take long to make
			continue
		}
		t.Run(string(spec), func(t *testing.T) {
			usages := spec.Usages()
			usage := usages[len(usages)-1]
			algorithms := slices.Concat(direct, hybrid)
			if spec == keys.RSA2048 {
				algorithms = hybrid
			}
			alg, wrapping := algorithms[turn%len(algorithms)], types.WrappingKeySpecRsa2048
			if turn++; spec == keys.NISTP521 {
				wrapping = types.WrappingKeySpecRsa3072
			}
			key := w.key(t, external, of(types.KeySpec(spec), types.KeyUsageType(usage)))
			mine, err := keys.Parse(spec, materialOf(t, spec))
			ok(t)(mine, err)
			p := w.parameters(t, key, alg, wrapping)
			out, err := w.ImportKeyMaterial(ctx, p.input(mine.Material()))
			ok(t)(out, err)
			if (out.KeyMaterialId != nil) != (spec == keys.SymmetricDefault) {
				t.Errorf("the material ID is %v", out.KeyMaterialId)
			}
			w.inState(t, key, types.KeyStateEnabled)
			same(t, w, key, mine, usage)
			// Another key of the spec is refused, and so is junk.
			for _, bad := range [][]byte{materialFor(t, spec), []byte("junk")} {
				refused(t, "IncorrectKeyMaterialException", "-")(w.ImportKeyMaterial(ctx, p.input(bad)))
			}
			ok(t)(w.DeleteImportedKeyMaterial(ctx, &kms.DeleteImportedKeyMaterialInput{KeyId: &key}))
			w.inState(t, key, types.KeyStatePendingImport)
			ok(t)(w.ImportKeyMaterial(ctx, p.input(mine.Material())))
			same(t, w, key, mine, usage)
		})
	}
}

// materialFor is material of a spec that is not materialOf's.
func materialFor(t *testing.T, spec keys.Spec) []byte {
	if spec == keys.SymmetricDefault {
		return material(2, 32)
	}
	return materialOf(t, spec)
}

// same holds that a key does what mine does outside.
func same(t *testing.T, w *world, key string, mine *keys.Key, usage keys.Usage) {
	t.Helper()
	alg := mine.Spec().Algorithms(usage)[0]
	switch usage {
	case keys.EncryptDecrypt:
		if mine.Spec() == keys.SymmetricDefault {
			w.decrypts(t, w.encrypt(t, key, "text"), "text")
			return
		}
		blob, err := mine.Encrypt(alg, message)
		ok(t)(blob, err)
		out, err := w.Decrypt(ctx, &kms.DecryptInput{KeyId: &key, CiphertextBlob: blob, EncryptionAlgorithm: types.EncryptionAlgorithmSpec(alg)})
		ok(t)(out, err)
	case keys.SignVerify:
		out, err := w.Sign(ctx, &kms.SignInput{KeyId: &key, Message: message, SigningAlgorithm: types.SigningAlgorithmSpec(alg)})
		ok(t)(out, err)
		if err := mine.Verify(alg, keys.Raw, message, out.Signature); err != nil {
			t.Errorf("the signature is not valid outside: %v", err)
		}
	case keys.GenerateVerifyMAC:
		out, err := w.GenerateMac(ctx, &kms.GenerateMacInput{KeyId: &key, Message: message, MacAlgorithm: types.MacAlgorithmSpec(alg)})
		ok(t)(out, err)
		if err := mine.VerifyMAC(alg, message, out.Mac); err != nil {
			t.Errorf("the MAC is not valid outside: %v", err)
		}
	case keys.KeyAgreement:
		peer, err := keys.Generate(mine.Spec(), nil)
		ok(t)(peer, err)
		out, err := w.DeriveSharedSecret(ctx, &kms.DeriveSharedSecretInput{KeyId: &key, PublicKey: peer.PublicKeyDER(), KeyAgreementAlgorithm: types.KeyAgreementAlgorithmSpecEcdh})
		ok(t)(out, err)
		if secret, err := mine.Agree(alg, peer.PublicKeyDER()); err != nil || !bytes.Equal(secret, out.SharedSecret) {
			t.Errorf("the shared secret is another outside (%v)", err)
		}
	}
}

// TestImportSM2 imports what only the partition aws-cn has.
func TestImportSM2(t *testing.T) {
	t.Parallel()
	w := start(t, china)
	for _, spec := range []keys.Spec{keys.SM2, keys.SymmetricDefault, keys.HMAC512, keys.NISTP521} {
		usage := spec.Usages()[0]
		key := w.key(t, external, of(types.KeySpec(spec), types.KeyUsageType(usage)))
		mine, err := keys.Parse(spec, materialOf(t, spec))
		ok(t)(mine, err)
		p := w.parameters(t, key, types.AlgorithmSpecSm2pke, types.WrappingKeySpecSm2)
		ok(t)(w.ImportKeyMaterial(ctx, p.input(mine.Material())))
		same(t, w, key, mine, usage)
		in := p.input(mine.Material())
		in.EncryptedKeyMaterial[len(in.EncryptedKeyMaterial)-1] ^= 1
		refused(t, "InvalidCiphertextException", "")(w.ImportKeyMaterial(ctx, in))
	}
}

// TestImportWithOpenSSL imports as the guide has it:
// https://docs.aws.amazon.com/kms/latest/developerguide/importing-keys-encrypt-key-material.html
func TestImportWithOpenSSL(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("there is no openssl")
	}
	w := start(t)
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	write := func(name string, b []byte) { ok(t)(nil, os.WriteFile(file(name), b, 0o600)) }
	read := func(name string) []byte {
		t.Helper()
		b, err := os.ReadFile(file(name))
		ok(t)(nil, err)
		return b
	}
	openssl := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
			t.Fatalf("openssl %v: %v\n%s", args, err, out)
		}
	}
	oaep := func(in, out string) {
		t.Helper()
		openssl("pkeyutl", "-encrypt", "-in", file(in), "-out", file(out), "-inkey", file("WrappingPublicKey.bin"), "-keyform", "DER", "-pubin",
			"-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256", "-pkeyopt", "rsa_mgf1_md:sha256")
	}
	t.Run("Symmetric", func(t *testing.T) {
		key := w.key(t, external)
		p := w.parameters(t, key, types.AlgorithmSpecRsaesOaepSha256, types.WrappingKeySpecRsa4096)
		write("WrappingPublicKey.bin", p.PublicKey)
		openssl("rand", "-out", file("PlaintextKeyMaterial.bin"), "32")
		oaep("PlaintextKeyMaterial.bin", "EncryptedKeyMaterial.bin")
		in := p.input(material(1, 32))
		in.EncryptedKeyMaterial = read("EncryptedKeyMaterial.bin")
		ok(t)(w.ImportKeyMaterial(ctx, in))
		w.decrypts(t, w.encrypt(t, key, "text"), "text")
	})
	t.Run("RSA", func(t *testing.T) {
		key := w.key(t, external, of(types.KeySpecRsa2048, types.KeyUsageTypeSignVerify))
		p := w.parameters(t, key, types.AlgorithmSpecRsaAesKeyWrapSha256, types.WrappingKeySpecRsa2048)
		write("WrappingPublicKey.bin", p.PublicKey)
		openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-outform", "PEM", "-out", file("private.pem"))
		openssl("pkcs8", "-topk8", "-inform", "PEM", "-in", file("private.pem"), "-outform", "DER", "-nocrypt", "-out", file("private.der"))
		openssl("rand", "-out", file("aes-key.bin"), "32")
		oaep("aes-key.bin", "aes-key-wrapped.bin")
		openssl("enc", "-id-aes256-wrap-pad", "-K", hex.EncodeToString(read("aes-key.bin")), "-iv", "A65959A6", "-in", file("private.der"), "-out", file("key-material-wrapped.bin"))
		in := p.input(material(1, 32))
		in.EncryptedKeyMaterial = append(read("aes-key-wrapped.bin"), read("key-material-wrapped.bin")...)
		ok(t)(w.ImportKeyMaterial(ctx, in))
		signed, err := w.Sign(ctx, &kms.SignInput{KeyId: &key, Message: message, SigningAlgorithm: types.SigningAlgorithmSpecRsassaPkcs1V15Sha256})
		ok(t)(signed, err)
		write("message", message)
		write("signature", signed.Signature)
		openssl("dgst", "-sha256", "-prverify", file("private.pem"), "-signature", file("signature"), file("message"))
	})
}

// TestImportNewMaterial rotates a key among imported materials: each ciphertext needs its own.
func TestImportNewMaterial(t *testing.T) {
	t.Parallel()
	w := start(t)
	key, p := w.imported(t, 1)
	rotate := func() (any, error) { return w.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: &key}) }
	do := func(seed byte, change ...func(*kms.ImportKeyMaterialInput)) (any, error) {
		return w.ImportKeyMaterial(ctx, p.input(material(seed, 32), change...))
	}
	remove := func(t *testing.T, id *string) *kms.DeleteImportedKeyMaterialOutput {
		t.Helper()
		out, err := w.DeleteImportedKeyMaterial(ctx, &kms.DeleteImportedKeyMaterialInput{KeyId: &key, KeyMaterialId: id})
		ok(t)(out, err)
		return out
	}
	described := func(in *kms.ImportKeyMaterialInput) { in.KeyMaterialDescription = aws.String("the second") }
	t.Run("NothingToRotateTo", func(t *testing.T) {
		refused(t, "KMSInvalidStateException", "No available key material pending rotation for the key: "+key+".")(rotate())
	})
	t.Run("NoAutomaticRotation", func(t *testing.T) {
		for _, name := range []string{"EnableKeyRotation", "DisableKeyRotation"} {
			refused(t, "UnsupportedOperationException", key+" origin is EXTERNAL which is not valid for this operation.")(rotationOperations[name](w.Client, key))
		}
		if s := w.status(t, key); s.KeyRotationEnabled || s.NextRotationDate != nil {
			t.Errorf("the status is %+v", s)
		}
	})
	old := w.encrypt(t, key, "old")
	ok(t)(do(2, asNew, described))
	list := w.materials(t, key)
	expectMaterials(t, list, "CURRENT IMPORTED KEY_MATERIAL_DOES_NOT_EXPIRE", "PENDING_ROTATION IMPORTED KEY_MATERIAL_DOES_NOT_EXPIRE")
	first, second := list[0].KeyMaterialId, list[1].KeyMaterialId
	if list[1].RotationDate != nil || *list[1].KeyMaterialDescription != "the second" || list[0].KeyMaterialDescription != nil {
		t.Errorf("pending is %+v", list[1])
	}
	if m := w.metadata(t, key); *m.CurrentKeyMaterialId != *first || m.KeyState != types.KeyStateEnabled {
		t.Errorf("with pending material, the key is %+v", m)
	}
	t.Run("OneAtATime", func(t *testing.T) {
		refused(t, "KMSInvalidStateException", "-")(do(3, asNew))
		refused(t, "IncorrectKeyMaterialException", "-")(do(2, asNew))
		ok(t)(do(2, asExisting))
	})
	t.Run("PendingIsReplaced", func(t *testing.T) {
		if out := remove(t, second); *out.KeyMaterialId != *second {
			t.Errorf("deleted %+v", out)
		}
		expectMaterials(t, w.materials(t, key), "CURRENT IMPORTED KEY_MATERIAL_DOES_NOT_EXPIRE")
		w.inState(t, key, types.KeyStateEnabled)
		ok(t)(do(3, asNew, expiring(w.Now().Add(2*time.Hour))))
		if m := w.metadata(t, key); m.ValidTo != nil {
			t.Errorf("material that is not the key's yet expires the key at %s", m.ValidTo)
		}
		w.Advance(3 * time.Hour) // it goes, and the key stays
		expectMaterials(t, w.materials(t, key), "CURRENT IMPORTED KEY_MATERIAL_DOES_NOT_EXPIRE")
		w.inState(t, key, types.KeyStateEnabled)
		ok(t)(do(2, asNew, described))
	})
	ok(t)(rotate())
	list = w.materials(t, key)
	expectMaterials(t, list, "NON_CURRENT IMPORTED KEY_MATERIAL_DOES_NOT_EXPIRE", "CURRENT IMPORTED KEY_MATERIAL_DOES_NOT_EXPIRE ON_DEMAND")
	if *list[1].KeyMaterialId != *second || list[1].RotationDate == nil || *list[1].KeyMaterialDescription != "the second" {
		t.Errorf("after the rotation: %+v", list[1])
	}
	if got := w.rotations(t, key); len(got) != 1 {
		t.Errorf("%d rotations", len(got))
	}
	blob := w.encrypt(t, key, "new")
	if out := w.decrypts(t, old, "old"); *out.KeyMaterialId != *first {
		t.Errorf("decrypted with %s", *out.KeyMaterialId)
	}
	if out := w.decrypts(t, blob, "new"); *out.KeyMaterialId != *second {
		t.Errorf("decrypted with %s", *out.KeyMaterialId)
	}
	decrypt := func(blob []byte) (any, error) { return w.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob}) }
	t.Run("EachIsNeeded", func(t *testing.T) {
		for i, id := range []*string{first, second} {
			remove(t, id)
			w.inState(t, key, types.KeyStatePendingImport)
			for _, b := range [][]byte{old, blob} {
				refused(t, "KMSInvalidStateException", key+" is pending import.")(decrypt(b))
			}
			refused(t, "KMSInvalidStateException", key+" is pending import.")(rotate())
			// The other does not do, whatever it is called.
			refused(t, "IncorrectKeyMaterialException", "-")(do(3))
			refused(t, "IncorrectKeyMaterialException", "-")(do(byte(2-i), func(in *kms.ImportKeyMaterialInput) { in.KeyMaterialId = id }))
			ok(t)(do(byte(2 - i)))
			w.inState(t, key, types.KeyStatePendingImport)
			ok(t)(do(byte(1+i), func(in *kms.ImportKeyMaterialInput) { in.KeyMaterialId = id }))
			w.inState(t, key, types.KeyStateEnabled)
			w.decrypts(t, old, "old")
			w.decrypts(t, blob, "new")
		}
		if d := w.materials(t, key)[1].KeyMaterialDescription; d == nil || *d != "the second" {
			t.Error("the description is lost")
		}
	})
	t.Run("BothAreNeeded", func(t *testing.T) {
		remove(t, first)
		if out := remove(t, nil); *out.KeyMaterialId != *second { // the current one
			t.Errorf("deleted %s", *out.KeyMaterialId)
		}
		expectMaterials(t, w.materials(t, key), "NON_CURRENT PENDING_IMPORT", "CURRENT PENDING_IMPORT  ON_DEMAND")
		ok(t)(do(1))
		w.inState(t, key, types.KeyStatePendingImport)
		ok(t)(do(2))
		w.inState(t, key, types.KeyStateEnabled)
		w.decrypts(t, old, "old")
	})
	t.Run("Back", func(t *testing.T) { // what a key had before cannot come as new
		refused(t, "IncorrectKeyMaterialException", "-")(do(1, asNew))
	})
	t.Run("Pages", func(t *testing.T) {
		ok(t)(do(4, asNew))
		var states []types.KeyMaterialState
		pages := kms.NewListKeyRotationsPaginator(w.Client, &kms.ListKeyRotationsInput{KeyId: &key, IncludeKeyMaterial: types.IncludeKeyMaterialAllKeyMaterial, Limit: aws.Int32(1)})
		for pages.HasMorePages() {
			out, err := pages.NextPage(ctx)
			ok(t)(out, err)
			for _, r := range out.Rotations {
				states = append(states, r.KeyMaterialState)
			}
		}
		if want := []types.KeyMaterialState{"NON_CURRENT", "CURRENT", "PENDING_ROTATION"}; !slices.Equal(states, want) {
			t.Errorf("listed %v, want %v", states, want)
		}
	})
}

// TestImportExpiry has material expire, with everything that tells of it.
func TestImportExpiry(t *testing.T) {
	t.Parallel()
	w := start(t)
	key := w.key(t, external)
	p := w.usual(t, key)
	do := func(seed byte, change ...func(*kms.ImportKeyMaterialInput)) {
		t.Helper()
		ok(t)(w.ImportKeyMaterial(ctx, p.input(material(seed, 32), change...)))
	}
	end := w.Now().Add(10 * day).Truncate(time.Second)
	do(1, expiring(end))
	if m := w.metadata(t, key); m.ExpirationModel != types.ExpirationModelTypeKeyMaterialExpires || !m.ValidTo.Equal(end) {
		t.Errorf("the key is %+v", m)
	}
	blob := w.encrypt(t, key, "text")
	w.Advance(end.Sub(w.Now()) - time.Minute)
	w.decrypts(t, blob, "text")
	w.Advance(2 * time.Minute)
	m := w.metadata(t, key)
	if m.KeyState != types.KeyStatePendingImport || m.ExpirationModel != "" || m.ValidTo != nil || m.CurrentKeyMaterialId == nil {
		t.Errorf("expired, the key is %+v", m)
	}
	refused(t, "KMSInvalidStateException", key+" is pending import.")(w.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob}))
	r := w.recorded(t, account, "DeleteExpiredKeyMaterial", "")
	if r.EventType != "AwsServiceEvent" || r.UserIdentity.InvokedBy != "kms.amazonaws.com" || len(r.Resources) != 1 || r.Resources[0].ARN != key || !bytes.Contains(r.Raw, []byte(*m.CurrentKeyMaterialId)) {
		t.Errorf("recorded as %s", r.Raw)
	}
	p = w.usual(t, key) // the old ones are long past
	t.Run("OnlyTheSame", func(t *testing.T) {
		refused(t, "IncorrectKeyMaterialException", "-")(w.ImportKeyMaterial(ctx, p.input(material(2, 32))))
	})
	do(1, expiring(w.Now().Add(2*day)))
	w.decrypts(t, blob, "text")
	t.Run("AnotherDate", func(t *testing.T) {
		do(1, expiring(w.Now().Add(20*day)))
		w.Advance(3 * day)
		w.inState(t, key, types.KeyStateEnabled)
		p = w.usual(t, key)
		do(1)
		w.Advance(30 * day)
		w.decrypts(t, blob, "text")
		p = w.usual(t, key)
	})
	t.Run("SeveralAtOnce", func(t *testing.T) {
		do(2, asNew)
		ok(t)(w.RotateKeyOnDemand(ctx, &kms.RotateKeyOnDemandInput{KeyId: &key}))
		same := w.Now().Add(5 * day)
		do(1, expiring(same))
		do(2, expiring(same.Add(-time.Hour)))
		do(3, asNew, expiring(same))
		if m := w.metadata(t, key); !m.ValidTo.Equal(same.Add(-time.Hour).Truncate(time.Millisecond)) && m.ValidTo.Sub(same.Add(-time.Hour)).Abs() > time.Second {
			t.Errorf("the first expires %s, told is %s", same.Add(-time.Hour), m.ValidTo)
		}
		before := w.count(t, "DeleteExpiredKeyMaterial")
		w.Advance(6 * day)
		expectMaterials(t, w.materials(t, key), "NON_CURRENT PENDING_IMPORT", "CURRENT PENDING_IMPORT  ON_DEMAND")
		if n := w.count(t, "DeleteExpiredKeyMaterial") - before; n != 3 {
			t.Errorf("%d records of three expirations", n)
		}
		p = w.usual(t, key)
		do(1)
		do(2)
		w.decrypts(t, blob, "text")
	})
	t.Run("WhilePendingDeletion", func(t *testing.T) {
		do(1, expiring(w.Now().Add(3*day)))
		w.schedule(t, key)
		w.Advance(4 * day)
		w.inState(t, key, types.KeyStatePendingDeletion)
		ok(t)(w.CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: &key}))
		w.inState(t, key, types.KeyStatePendingImport)
		p = w.usual(t, key)
		do(1)
		w.decrypts(t, blob, "text")
	})
	t.Run("WhileDisabled", func(t *testing.T) {
		do(1, expiring(w.Now().Add(day)))
		w.disable(t, key)
		w.Advance(2 * day)
		w.inState(t, key, types.KeyStatePendingImport)
		refused(t, "KMSInvalidStateException", "-")(w.EnableKey(ctx, &kms.EnableKeyInput{KeyId: &key}))
	})
	t.Run("Deleted", func(t *testing.T) {
		p = w.usual(t, key)
		do(1, expiring(w.Now().Add(20*day)))
		w.schedule(t, key)
		before := w.count(t, "DeleteExpiredKeyMaterial")
		w.Advance(30 * day)
		refused(t, "NotFoundException", "-")(w.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &key}))
		if n := w.count(t, "DeleteExpiredKeyMaterial") - before; n != 0 {
			t.Errorf("material of a deleted key expired %d times", n)
		}
	})
}

// count is how many records there are of an operation.
func (w *world) count(t *testing.T, operation string) (n int) {
	t.Helper()
	for _, e := range w.Trail(account) {
		if e.EventName == operation {
			n++
		}
	}
	return n
}

func TestDeleteImportedKeyMaterial(t *testing.T) {
	t.Parallel()
	w := start(t)
	remove := func(key string, id *string) (*kms.DeleteImportedKeyMaterialOutput, error) {
		return w.DeleteImportedKeyMaterial(ctx, &kms.DeleteImportedKeyMaterialInput{KeyId: &key, KeyMaterialId: id})
	}
	key, p := w.imported(t, 1)
	blob := w.encrypt(t, key, "text")
	t.Run("OK", func(t *testing.T) {
		current := w.metadata(t, key).CurrentKeyMaterialId
		out, err := remove(key, nil)
		ok(t)(out, err)
		if *out.KeyId != key || *out.KeyMaterialId != *current {
			t.Errorf("got %+v", out)
		}
		w.inState(t, key, types.KeyStatePendingImport)
		refused(t, "KMSInvalidStateException", key+" is pending import.")(w.Decrypt(ctx, &kms.DecryptInput{CiphertextBlob: blob}))
		ok(t)(remove(key, nil)) // again is no change
		ok(t)(remove(key, current))
		refused(t, "IncorrectKeyMaterialException", "-")(w.ImportKeyMaterial(ctx, p.input(material(2, 32))))
		ok(t)(w.ImportKeyMaterial(ctx, p.input(material(1, 32))))
		w.decrypts(t, blob, "text")
	})
	t.Run("WhilePendingDeletion", func(t *testing.T) {
		w.schedule(t, key)
		ok(t)(remove(key, nil))
		w.inState(t, key, types.KeyStatePendingDeletion)
		ok(t)(w.CancelKeyDeletion(ctx, &kms.CancelKeyDeletionInput{KeyId: &key}))
		w.inState(t, key, types.KeyStatePendingImport)
	})
	t.Run("Nothing", func(t *testing.T) {
		key := w.key(t, external)
		ok(t)(remove(key, nil))
		w.inState(t, key, types.KeyStatePendingImport)
	})
	t.Run("NotFound", func(t *testing.T) {
		refused(t, "NotFoundException", "-")(remove(key, aws.String(strings.Repeat("0", 64))))
		refused(t, "NotFoundException", "-")(remove(unknownKey, nil))
	})
	t.Run("UnsupportedOperation", func(t *testing.T) {
		own := w.key(t)
		refused(t, "UnsupportedOperationException", own+" origin is AWS_KMS which is not valid for this operation.")(remove(own, nil))
		mac := w.key(t, external, of(types.KeySpecHmac256, types.KeyUsageTypeGenerateVerifyMac))
		refused(t, "UnsupportedOperationException", "-")(remove(mac, aws.String(strings.Repeat("0", 64))))
	})
	t.Run("Validation", func(t *testing.T) { refused(t, "ValidationException", "-")(remove(key, aws.String("x"))) })
}

// TestImportRestart closes a cloud on disk and opens it again: tokens, material and expiry are as they were.
func TestImportRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	onDisk := func(cfg *cloud.Config) { cfg.Dir = dir }
	var key, waiting string
	var blob []byte
	var p *parameters
	t.Run("Before", func(t *testing.T) {
		w := start(t, onDisk)
		waiting, key = w.key(t, external), w.key(t, external)
		p = w.usual(t, waiting)
		ok(t)(w.ImportKeyMaterial(ctx, w.usual(t, key).input(material(1, 32), expiring(w.Now().Add(5*day)))))
		blob = w.encrypt(t, key, "text")
	})
	t.Run("After", func(t *testing.T) {
		w := start(t, onDisk)
		w.decrypts(t, blob, "text")
		ok(t)(w.ImportKeyMaterial(ctx, p.input(material(1, 32))))
		w.Advance(6 * day)
		w.inState(t, key, types.KeyStatePendingImport)
		w.inState(t, waiting, types.KeyStateEnabled)
		ok(t)(w.ImportKeyMaterial(ctx, w.usual(t, key).input(material(1, 32))))
		w.decrypts(t, blob, "text")
	})
}

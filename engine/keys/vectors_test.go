package keys_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"testing"

	"github.com/holdfast-cloud/holdfast/engine/keys"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func parse(t testing.TB, spec keys.Spec, material []byte) *keys.Key {
	t.Helper()
	key, err := keys.Parse(spec, material)
	if err != nil {
		t.Fatalf("Parse(%s): %v", spec, err)
	}
	return key
}

// RFC 8032, sections 7.1 and 7.3. A seed becomes PKCS #8 by 16 bytes before it (RFC 8410, section 7).
func TestEd25519Vectors(t *testing.T) {
	seed := func(s string) *keys.Key {
		return parse(t, keys.Ed25519, append(unhex("302e020100300506032b657004220420"), unhex(s)...))
	}
	for _, c := range []struct{ seed, message, signature string }{
		{"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "",
			"e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
		{"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "72",
			"92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
		{"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7", "af82",
			"6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"},
	} {
		key := seed(c.seed)
		got, err := key.Sign(keys.Ed25519SHA512, keys.Raw, unhex(c.message))
		if err != nil || hex.EncodeToString(got) != c.signature {
			t.Errorf("Sign(%s): %x, %v, want %s", c.message, got, err, c.signature)
		}
	}

	// Ed25519ph signs SHA-512 of its message, "abc" in the RFC. KMS's message is the caller's digest, always 64 bytes, so the RFC's vector
	// shows that the options are those, and the standard library that the digest is hashed once more.
	key := seed("833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42")
	pub, err := x509.ParsePKIXPublicKey(key.PublicKeyDER())
	if err != nil {
		t.Fatal(err)
	}
	ph := &ed25519.Options{Hash: crypto.SHA512}
	abc := sha512.Sum512([]byte("abc"))
	rfc := unhex("98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae4131f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406")
	if err := ed25519.VerifyWithOptions(pub.(ed25519.PublicKey), abc[:], rfc, ph); err != nil {
		t.Errorf("the vector of RFC 8032, section 7.3: %v", err)
	}
	if err := key.Verify(keys.Ed25519PHSHA512, keys.Digest, abc[:], rfc); err != keys.ErrInvalidSignature {
		t.Errorf("Verify of a signature whose message was hashed once: %v, want ErrInvalidSignature", err)
	}
	sig, err := key.Sign(keys.Ed25519PHSHA512, keys.Digest, abc[:])
	if err != nil {
		t.Fatal(err)
	}
	twice := sha512.Sum512(abc[:])
	if err := ed25519.VerifyWithOptions(pub.(ed25519.PublicKey), twice[:], sig, ph); err != nil {
		t.Errorf("the standard library on Sign's signature: %v", err)
	}
}

// RFC 4231, test cases 1 and 2, with keys padded by the zeros that HMAC adds anyway.
func TestHMACVectors(t *testing.T) {
	for _, c := range []struct {
		spec      keys.Spec
		alg       keys.Algorithm
		size      int
		jefe, hi_ string
	}{
		{keys.HMAC224, keys.HMACSHA224, 28, "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44", "896fb1128abbdf196832107cd49df33f47b4b1169912ba4f53684b22"},
		{keys.HMAC256, keys.HMACSHA256, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{keys.HMAC384, keys.HMACSHA384, 48, "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649", "afd03944d84895626b0825f4ab46907f15f9dadbe4101ec682aa034c7cebc59cfaea9ea9076ede7f4af152e8b2fa9cb6"},
		{keys.HMAC512, keys.HMACSHA512, 64, "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737", "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cdedaa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854"},
	} {
		for _, v := range []struct{ key, message, mac string }{
			{"Jefe", "what do ya want for nothing?", c.jefe},
			{string(bytes.Repeat([]byte{0x0b}, 20)), "Hi There", c.hi_},
		} {
			key := parse(t, c.spec, append([]byte(v.key), make([]byte, c.size-len(v.key))...))
			if got, err := key.MAC(c.alg, []byte(v.message)); err != nil || hex.EncodeToString(got) != v.mac {
				t.Errorf("MAC %s of %q: %x, %v, want %s", c.alg, v.message, got, err, v.mac)
			}
		}
	}
}

// ecPKCS8 makes PKCS #8 of a 32-byte scalar on a curve whose DER object identifier is given, without the public key.
func ecPKCS8(oid, scalar string) []byte {
	o := unhex(oid)
	alg := append(unhex("06072a8648ce3d0201"), o...)
	inner := append(unhex("302502010104"+"20"), unhex(scalar)...)
	body := append([]byte{2, 1, 0, 0x30, byte(len(alg))}, alg...)
	body = append(append(body, 4, byte(len(inner))), inner...)
	return append([]byte{0x30, byte(len(body))}, body...)
}

const (
	secp256k1OID = "06052b8104000a"
	sm2OID       = "06082a811ccf5501822d"
)

// GM/T 0003.5, annex A, the example on the recommended curve.
func TestSM2Vectors(t *testing.T) {
	key := parse(t, keys.SM2, ecPKCS8(sm2OID, "3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8"))
	const point = "0409f9df311e5421a150dd7d161e4bc5c672179fad1833fc076bb08ff356f35020ccea490ce26775a52dc6ea718cc1aa600aed05fbf35e084a6632f6072da9ad13"
	if !bytes.HasSuffix(key.PublicKeyDER(), unhex(point)) {
		t.Errorf("public key %x does not end in %s", key.PublicKeyDER(), point)
	}
	sig := unhex("3046022100f5a03b0648d2c4630eeac513e1bb81a15944da3827d5b74143ac7eaceee720b3" +
		"022100b1b6aa29df212fd8763182bc0d421ca1bb9038fd1f7f42d4840b69c485bbc1aa")
	if err := key.Verify(keys.SM2DSA, keys.Raw, []byte("message digest"), sig); err != nil {
		t.Errorf("Verify: %v", err)
	}
	if err := key.Verify(keys.SM2DSA, keys.Digest, unhex("f0b43e94ba45accaace692ed534382eb17e6ab5a19ce7b31f4486fdfc0d28640"), sig); err != nil {
		t.Errorf("Verify of the digest: %v", err)
	}
}

// Scalars outside [1, n) are no keys; nor is n-1 for SM2, which cannot sign with it.
func TestScalarRange(t *testing.T) {
	const kN = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
	const sm2N = "fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123"
	minus := func(n string, k int64) string {
		v, _ := new(big.Int).SetString(n, 16)
		return hex.EncodeToString(v.Sub(v, big.NewInt(k)).FillBytes(make([]byte, 32)))
	}
	for _, c := range []struct {
		spec   keys.Spec
		oid    string
		scalar string
		ok     bool
	}{
		{keys.Secp256k1, secp256k1OID, minus(kN, 1), true},
		{keys.Secp256k1, secp256k1OID, kN, false},
		{keys.Secp256k1, secp256k1OID, minus("0", 0), false},
		{keys.Secp256k1, secp256k1OID, minus("1", 0), true},
		{keys.SM2, sm2OID, minus(sm2N, 2), true},
		{keys.SM2, sm2OID, minus(sm2N, 1), false},
		{keys.SM2, sm2OID, sm2N, false},
		{keys.SM2, sm2OID, minus("0", 0), false},
	} {
		if _, err := keys.Parse(c.spec, ecPKCS8(c.oid, c.scalar)); (err == nil) != c.ok {
			t.Errorf("Parse(%s) of scalar %s: %v, want ok: %v", c.spec, c.scalar, err, c.ok)
		}
	}
}

// A private key that carries somebody else's public key is refused.
func TestMismatchedPublicKey(t *testing.T) {
	for _, spec := range []keys.Spec{keys.Secp256k1, keys.SM2} {
		material := keyOf(t, spec).Material()
		material[len(material)-1] ^= 1
		if _, err := keys.Parse(spec, material); err == nil {
			t.Errorf("Parse(%s) with another public key: no error", spec)
		}
	}
}

// The agreed secret is what crypto/ecdh says.
func TestAgreeStandard(t *testing.T) {
	for spec, curve := range map[keys.Spec]ecdh.Curve{keys.NISTP256: ecdh.P256(), keys.NISTP384: ecdh.P384(), keys.NISTP521: ecdh.P521()} {
		key := keyOf(t, spec)
		peer, err := curve.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		peerDER, err := x509.MarshalPKIXPublicKey(peer.PublicKey())
		if err != nil {
			t.Fatal(err)
		}
		got, err := key.Agree(keys.ECDH, peerDER)
		if err != nil {
			t.Fatalf("Agree(%s): %v", spec, err)
		}
		pub, err := x509.ParsePKIXPublicKey(key.PublicKeyDER())
		if err != nil {
			t.Fatal(err)
		}
		ours, err := pub.(*ecdsa.PublicKey).ECDH()
		if err != nil {
			t.Fatal(err)
		}
		if want, err := peer.ECDH(ours); err != nil || !bytes.Equal(got, want) {
			t.Errorf("Agree(%s): %x, want %x, %v", spec, got, want, err)
		}
	}
}

// The agreed secret on SM2's curve is what the school-book formulas say.
func TestAgreeSM2(t *testing.T) {
	number := func(s string) *big.Int {
		v, _ := new(big.Int).SetString(s, 16)
		return v
	}
	p := number("fffffffeffffffffffffffffffffffffffffffff00000000ffffffffffffffff")
	type point struct{ x, y *big.Int }
	// add adds two points of which neither is infinity nor the negative of the other; a is -3.
	add := func(a, b point) point {
		var top, bottom *big.Int
		if a.x.Cmp(b.x) == 0 {
			top = new(big.Int).Mul(big.NewInt(3), new(big.Int).Mul(a.x, a.x))
			top.Sub(top, big.NewInt(3))
			bottom = new(big.Int).Lsh(a.y, 1)
		} else {
			top = new(big.Int).Sub(b.y, a.y)
			bottom = new(big.Int).Sub(b.x, a.x)
		}
		slope := top.Mul(top, new(big.Int).ModInverse(bottom.Mod(bottom, p), p))
		x := new(big.Int).Mul(slope, slope)
		x.Sub(x, a.x).Sub(x, b.x).Mod(x, p)
		y := new(big.Int).Sub(a.x, x)
		y.Mul(y, slope).Sub(y, a.y).Mod(y, p)
		return point{x, y}
	}
	scalar := "3945208f7b2144b13f36e38ac6d39f95889393692860b51a42fb81ef4df7c5b8"
	key := parse(t, keys.SM2, ecPKCS8(sm2OID, scalar))
	peer := keyOf(t, keys.SM2).PublicKeyDER()
	encoded := peer[len(peer)-64:]
	base := point{new(big.Int).SetBytes(encoded[:32]), new(big.Int).SetBytes(encoded[32:])}
	d, sum := number(scalar), base
	for i := d.BitLen() - 2; i >= 0; i-- {
		if sum = add(sum, sum); d.Bit(i) == 1 {
			sum = add(sum, base)
		}
	}
	want := sum.x.FillBytes(make([]byte, 32))
	if got, err := key.Agree(keys.ECDH, peer); err != nil || !bytes.Equal(got, want) {
		t.Errorf("Agree: %x, %v, want %x", got, err, want)
	}
}

// ECDSA signatures that sloppy verifiers have let through.
func TestBadSignatures(t *testing.T) {
	for _, c := range []struct {
		spec keys.Spec
		alg  keys.Algorithm
		n    string
	}{
		{keys.NISTP256, keys.ECDSASHA256, "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"},
		{keys.Secp256k1, keys.ECDSASHA256, "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"},
		{keys.SM2, keys.SM2DSA, "fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123"},
	} {
		key := keyOf(t, c.spec)
		for name, sig := range map[string]string{
			"empty":         "",
			"zeros":         "3006020100020100",
			"r zero":        "3006020100020101",
			"s zero":        "3006020101020100",
			"one one":       "3006020101020101",
			"negative":      "3006020181020181",
			"s is n":        "3026020101022100" + c.n,
			"r is n":        "3026022100" + c.n + "020101",
			"both n":        "3046022100" + c.n + "022100" + c.n,
			"long length":   "308106020101020101",
			"padded":        "300802020001020200" + "01",
			"trailing":      "300602010102010100",
			"three numbers": "3009020101020101020101",
			"indefinite":    "30800201010201010000",
			"huge length":   "3084ffffffff020101020101",
			"no integers":   "3000",
		} {
			for _, mt := range []keys.MessageType{keys.Raw, keys.Digest} {
				if err := key.Verify(c.alg, mt, make([]byte, 32), unhex(sig)); err != keys.ErrInvalidSignature {
					t.Errorf("Verify %s %s of %s signature: %v, want ErrInvalidSignature", c.spec, mt, name, err)
				}
			}
		}
	}
}

// SM2 ciphertexts whose point is not one: decrypting them would tell the private key modulo small numbers.
func TestSM2InvalidPoint(t *testing.T) {
	key := keyOf(t, keys.SM2)
	good, err := key.Encrypt(keys.SM2PKE, []byte("sixteen bytes..."))
	if err != nil {
		t.Fatal(err)
	}
	var c struct {
		X, Y   *big.Int
		C3, C2 []byte
	}
	if _, err := asn1.Unmarshal(good, &c); err != nil {
		t.Fatal(err)
	}
	x, y := c.X, c.Y
	field := new(big.Int).SetBytes(unhex("fffffffeffffffffffffffffffffffffffffffff00000000ffffffffffffffff"))
	for name, p := range map[string][2]*big.Int{
		"zero":       {new(big.Int), new(big.Int)},
		"off curve":  {x, new(big.Int).Add(y, big.NewInt(1))},
		"swapped":    {y, x},
		"unreduced":  {new(big.Int).Add(x, field), y},
		"negative":   {new(big.Int).Neg(x), y},
		"very long":  {new(big.Int).Lsh(x, 2000), y},
		"all at one": {big.NewInt(1), big.NewInt(1)},
	} {
		c.X, c.Y = p[0], p[1]
		bad, err := asn1.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := key.Decrypt(keys.SM2PKE, bad); err != keys.ErrInvalidCiphertext {
			t.Errorf("Decrypt with point %s: %v, want ErrInvalidCiphertext", name, err)
		}
	}
	if _, err := key.Encrypt(keys.SM2PKE, nil); err != keys.ErrEmptyPlaintext {
		t.Errorf("Encrypt of nothing: %v, want ErrEmptyPlaintext", err)
	}
}

// What comes from outside: material, peers' keys, signatures, ciphertexts. None of it may panic.
func FuzzParse(f *testing.F) {
	for i, spec := range keys.Specs() {
		if !spec.SlowToGenerate() {
			f.Add(uint8(i), keyOf(f, spec).Material())
		}
	}
	f.Add(uint8(5), keyOf(f, keys.RSA2048).Material())
	f.Fuzz(func(t *testing.T, spec uint8, material []byte) {
		s := keys.Specs()[int(spec)%len(keys.Specs())]
		key, err := keys.Parse(s, material)
		if err != nil {
			return
		}
		if again, err := keys.Parse(s, key.Material()); err != nil || !key.Equal(again) {
			t.Errorf("Parse(%s) took %x and not what it made of it: %v", s, material, err)
		}
	})
}

func FuzzOutside(f *testing.F) {
	for _, spec := range []keys.Spec{keys.NISTP256, keys.SM2} {
		f.Add(keyOf(f, spec).PublicKeyDER())
	}
	for _, spec := range keys.Specs() {
		if !spec.Supports(keys.SignVerify, keys.MLDSASHAKE256) {
			for _, alg := range spec.Algorithms(keys.SignVerify) {
				if sig, err := keyOf(f, spec).Sign(alg, keys.Raw, nil); err == nil && spec != keys.RSA3072 && spec != keys.RSA4096 {
					f.Add(sig)
				}
			}
		}
	}
	if ct, err := keyOf(f, keys.SM2).Encrypt(keys.SM2PKE, []byte("x")); err == nil {
		f.Add(ct)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, spec := range []keys.Spec{keys.NISTP256, keys.NISTP521, keys.Secp256k1, keys.SM2, keys.Ed25519, keys.RSA2048, keys.MLDSA44} {
			key := keyOf(t, spec)
			for _, alg := range spec.Algorithms(keys.SignVerify) {
				key.Verify(alg, keys.Raw, []byte("other"), in)
			}
			for _, alg := range spec.Algorithms(keys.EncryptDecrypt) {
				if _, err := key.Decrypt(alg, in); err != nil && err != keys.ErrInvalidCiphertext {
					t.Errorf("Decrypt %s: %v", alg, err)
				}
			}
			for _, alg := range spec.Algorithms(keys.KeyAgreement) {
				if _, err := key.Agree(alg, in); err != nil && err != keys.ErrInvalidPublicKey {
					t.Errorf("Agree %s: %v", spec, err)
				}
			}
		}
	})
}

package keys_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/holdfast-cloud/holdfast/engine/keys"
)

// A key of each spec, made once for all tests. The long RSA keys take seconds to make: they lie in testdata, of use to no one.
var made sync.Map

func keyOf(t testing.TB, spec keys.Spec) *keys.Key {
	t.Helper()
	once, _ := made.LoadOrStore(spec, sync.OnceValues(func() (*keys.Key, error) {
		if spec == keys.RSA3072 || spec == keys.RSA4096 {
			material, err := os.ReadFile(filepath.Join("testdata", string(spec)+".der"))
			if err != nil {
				return nil, err
			}
			return keys.Parse(spec, material)
		}
		return keys.Generate(spec, nil)
	}))
	key, err := once.(func() (*keys.Key, error))()
	if err != nil {
		t.Fatalf("making a %s key: %v", spec, err)
	}
	return key
}

// TestEverySpec walks the whole table: each spec, each usage, each algorithm, there and back, with the material
// written and parsed in between.
func TestEverySpec(t *testing.T) {
	for _, spec := range keys.Specs() {
		t.Run(string(spec), func(t *testing.T) {
			t.Parallel()
			testSpec(t, spec)
		})
	}
}

func testSpec(t *testing.T, spec keys.Spec) {
	message := []byte("attack at dawn")
	key := keyOf(t, spec)
	again, err := keys.Parse(spec, key.Material())
	if err != nil {
		t.Fatalf("Parse(%s): %v", spec, err)
	}
	if !key.Equal(again) {
		t.Errorf("%s: the parsed key has other material", spec)
	}
	if !bytes.Equal(key.PublicKeyDER(), again.PublicKeyDER()) {
		t.Errorf("%s: the parsed key has another public key", spec)
	}
	if got := key.PublicKeyDER() != nil; got != spec.Asymmetric() {
		t.Errorf("%s: has a public key: %v", spec, got)
	}
	for _, usage := range spec.Usages() {
		for _, alg := range spec.Algorithms(usage) {
			if !alg.Approved() {
				continue
			}
			t.Run(string(alg), func(t *testing.T) {
				switch usage {
				case keys.EncryptDecrypt:
					testEncryption(t, key, again, alg)
				case keys.SignVerify:
					testSigning(t, key, again, alg, message)
				case keys.GenerateVerifyMAC:
					testMAC(t, key, again, alg, message)
				case keys.KeyAgreement:
					testAgreement(t, key, alg)
				}
			})
		}
	}
}

func testEncryption(t *testing.T, key, again *keys.Key, alg keys.Algorithm) {
	limit := keys.MaxPlaintext(key.Spec(), alg)
	for _, size := range []int{1, 32, limit} {
		plaintext := bytes.Repeat([]byte{0xa5}, size)
		if alg == keys.SymmetricAEAD {
			blob, err := key.EncryptBlob(nil, keys.Header{Key: "k", Material: "m"}, nil, plaintext, nil)
			if err != nil {
				t.Fatalf("EncryptBlob of %d bytes: %v", size, err)
			}
			got, err := again.DecryptBlob(nil, blob, nil)
			if err != nil || !bytes.Equal(got, plaintext) {
				t.Fatalf("DecryptBlob of %d bytes: %x, %v", size, got, err)
			}
			continue
		}
		ciphertext, err := key.Encrypt(alg, plaintext)
		if err != nil {
			t.Fatalf("Encrypt of %d bytes: %v", size, err)
		}
		got, err := again.Decrypt(alg, ciphertext)
		if err != nil || !bytes.Equal(got, plaintext) {
			t.Fatalf("Decrypt of %d bytes: %x, %v", size, got, err)
		}
		ciphertext[len(ciphertext)-1] ^= 1
		if _, err := key.Decrypt(alg, ciphertext); err != keys.ErrInvalidCiphertext {
			t.Errorf("Decrypt of changed ciphertext: %v, want ErrInvalidCiphertext", err)
		}
		if _, err := key.Decrypt(alg, nil); err != keys.ErrInvalidCiphertext {
			t.Errorf("Decrypt of nothing: %v, want ErrInvalidCiphertext", err)
		}
	}
	if alg == keys.SymmetricAEAD {
		return
	}
	_, err := key.Encrypt(alg, make([]byte, limit+1))
	var size *keys.PlaintextSizeError
	if !errors.As(err, &size) || *size != (keys.PlaintextSizeError{Spec: key.Spec(), Algorithm: alg, Max: limit}) {
		t.Errorf("Encrypt of %d bytes: %v, want a PlaintextSizeError", limit+1, err)
	}
}

// messageTypes tells which message types an algorithm takes, and how long the message must then be (0: any).
func messageTypes(alg keys.Algorithm) map[keys.MessageType]int {
	switch alg {
	case keys.MLDSASHAKE256:
		return map[keys.MessageType]int{keys.Raw: 0, keys.ExternalMu: 64}
	case keys.Ed25519SHA512:
		return map[keys.MessageType]int{keys.Raw: 0}
	case keys.Ed25519PHSHA512:
		return map[keys.MessageType]int{keys.Digest: 64}
	case keys.SM2DSA:
		return map[keys.MessageType]int{keys.Raw: 0, keys.Digest: 32}
	}
	return map[keys.MessageType]int{keys.Raw: 0, keys.Digest: alg.Hash().Size()}
}

func testSigning(t *testing.T, key, again *keys.Key, alg keys.Algorithm, message []byte) {
	takes := messageTypes(alg)
	for _, mt := range []keys.MessageType{keys.Raw, keys.Digest, keys.ExternalMu, "NONE"} {
		size, ok := takes[mt]
		if !ok {
			if _, err := key.Sign(alg, mt, make([]byte, 64)); !errors.Is(err, keys.ErrMessageType) {
				t.Errorf("Sign %s: %v, want ErrMessageType", mt, err)
			}
			if err := key.Verify(alg, mt, make([]byte, 64), nil); !errors.Is(err, keys.ErrMessageType) {
				t.Errorf("Verify %s: %v, want ErrMessageType", mt, err)
			}
			continue
		}
		in := message
		if size > 0 {
			in = bytes.Repeat([]byte{7}, size)
			want := keys.DigestLengthError{Algorithm: alg, Got: size - 1, Want: size}
			var length *keys.DigestLengthError
			if _, err := key.Sign(alg, mt, in[1:]); !errors.As(err, &length) || *length != want {
				t.Errorf("Sign %s of %d bytes: %v, want %v", mt, size-1, err, &want)
			}
			if err := key.Verify(alg, mt, in[1:], nil); !errors.As(err, &length) || *length != want {
				t.Errorf("Verify %s of %d bytes: %v, want %v", mt, size-1, err, &want)
			}
		}
		sig, err := key.Sign(alg, mt, in)
		if err != nil {
			t.Fatalf("Sign %s: %v", mt, err)
		}
		if err := again.Verify(alg, mt, in, sig); err != nil {
			t.Errorf("Verify %s: %v", mt, err)
		}
		other := slices.Clone(in)
		other[0] ^= 1
		for name, err := range map[string]error{
			"another message":    key.Verify(alg, mt, other, sig),
			"no signature":       key.Verify(alg, mt, in, nil),
			"a cut signature":    key.Verify(alg, mt, in, sig[:len(sig)-1]),
			"a longer signature": key.Verify(alg, mt, in, append(slices.Clone(sig), 0)),
			"an all zero one":    key.Verify(alg, mt, in, make([]byte, len(sig))),
		} {
			if err != keys.ErrInvalidSignature {
				t.Errorf("Verify %s with %s: %v, want ErrInvalidSignature", mt, name, err)
			}
		}
		for i := 0; i < len(sig); i += 1 + len(sig)/24 {
			bad := slices.Clone(sig)
			bad[i] ^= 0x10
			if err := key.Verify(alg, mt, in, bad); err != keys.ErrInvalidSignature {
				t.Errorf("Verify %s with byte %d of the signature changed: %v, want ErrInvalidSignature", mt, i, err)
			}
		}
	}
}

func testMAC(t *testing.T, key, again *keys.Key, alg keys.Algorithm, message []byte) {
	mac, err := key.MAC(alg, message)
	if err != nil || len(mac) != alg.Hash().Size() {
		t.Fatalf("MAC: %d bytes, %v", len(mac), err)
	}
	if err := again.VerifyMAC(alg, message, mac); err != nil {
		t.Errorf("VerifyMAC: %v", err)
	}
	bad := slices.Clone(mac)
	bad[3] ^= 1
	for _, m := range [][]byte{nil, mac[:len(mac)-1], bad} {
		if err := key.VerifyMAC(alg, message, m); err != keys.ErrInvalidMAC {
			t.Errorf("VerifyMAC(%x): %v, want ErrInvalidMAC", m, err)
		}
	}
}

func testAgreement(t *testing.T, key *keys.Key, alg keys.Algorithm) {
	peer, err := keys.Generate(key.Spec(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := key.Agree(alg, peer.PublicKeyDER())
	if err != nil {
		t.Fatalf("Agree: %v", err)
	}
	theirs, err := peer.Agree(alg, key.PublicKeyDER())
	if err != nil || !bytes.Equal(ours, theirs) {
		t.Errorf("Agree: %x and %x, %v", ours, theirs, err)
	}
	for _, spec := range keys.Specs() {
		if spec == key.Spec() || !spec.Asymmetric() || spec.SlowToGenerate() || !spec.Approved() {
			continue
		}
		if _, err := key.Agree(alg, keyOf(t, spec).PublicKeyDER()); err != keys.ErrInvalidPublicKey {
			t.Errorf("Agree with a key of %s: %v, want ErrInvalidPublicKey", spec, err)
		}
	}
	// Any change to the point leaves the curve.
	der := peer.PublicKeyDER()
	for i := len(der) - 40; i < len(der); i += 7 {
		bad := slices.Clone(der)
		bad[i] ^= 4
		if _, err := key.Agree(alg, bad); err != keys.ErrInvalidPublicKey {
			t.Errorf("Agree with byte %d of the key changed: %v, want ErrInvalidPublicKey", i, err)
		}
	}
}

// TestUnsupported tries every algorithm on every spec whose table does not have it.
func TestUnsupported(t *testing.T) {
	algorithms := map[keys.Algorithm]bool{"": true, "ROT13": true}
	for _, s := range keys.Specs() {
		for _, u := range s.Usages() {
			for _, a := range s.Algorithms(u) {
				algorithms[a] = true
			}
		}
	}
	for _, s := range keys.Specs() {
		if s == keys.RSA3072 || s == keys.RSA4096 {
			continue // as RSA_2048
		}
		key := keyOf(t, s)
		for a := range algorithms {
			check := func(op string, usage keys.Usage, err error) {
				t.Helper()
				want := !s.Supports(usage, a)
				if usage == keys.EncryptDecrypt && a == keys.SymmetricAEAD {
					want = true // blobs only
				}
				if got := errors.Is(err, keys.ErrUnsupportedAlgorithm); got != want {
					t.Errorf("%s with %s on %s: %v, want unsupported: %v", op, a, s, err, want)
				}
			}
			_, err := key.Encrypt(a, []byte("x"))
			check("Encrypt", keys.EncryptDecrypt, err)
			_, err = key.Decrypt(a, []byte("x"))
			check("Decrypt", keys.EncryptDecrypt, err)
			_, err = key.Sign(a, keys.Raw, nil)
			check("Sign", keys.SignVerify, err)
			check("Verify", keys.SignVerify, key.Verify(a, keys.Raw, nil, nil))
			_, err = key.MAC(a, nil)
			check("MAC", keys.GenerateVerifyMAC, err)
			check("VerifyMAC", keys.GenerateVerifyMAC, key.VerifyMAC(a, nil, nil))
			_, err = key.Agree(a, nil)
			check("Agree", keys.KeyAgreement, err)
		}
		if s != keys.SymmetricDefault {
			if _, err := key.EncryptBlob(nil, keys.Header{}, nil, nil, nil); !errors.Is(err, keys.ErrUnsupportedAlgorithm) {
				t.Errorf("EncryptBlob on %s: %v, want ErrUnsupportedAlgorithm", s, err)
			}
			if _, err := key.DecryptBlob(nil, nil, nil); !errors.Is(err, keys.ErrUnsupportedAlgorithm) {
				t.Errorf("DecryptBlob on %s: %v, want ErrUnsupportedAlgorithm", s, err)
			}
		}
	}
}

// TestParse feeds each spec the material of every other, and damaged material of its own.
func TestParse(t *testing.T) {
	specs := keys.Specs()
	for _, s := range specs {
		material := keyOf(t, s).Material()
		for _, other := range specs {
			// Bare keys are told by their length only.
			bare := map[keys.Spec]int{keys.SymmetricDefault: 32, keys.HMAC224: 28, keys.HMAC256: 32, keys.HMAC384: 48, keys.HMAC512: 64}
			same := s == other || len(material) == bare[other]
			if _, err := keys.Parse(other, material); (err == nil) != same || err != nil && !errors.Is(err, keys.ErrInvalidKey) {
				t.Errorf("Parse(%s) of a %s key: %v", other, s, err)
			}
		}
		for _, bad := range [][]byte{nil, material[1:], material[:len(material)-1], append(slices.Clone(material), 0)} {
			if _, err := keys.Parse(s, bad); !errors.Is(err, keys.ErrInvalidKey) {
				t.Errorf("Parse(%s) of %d of %d bytes: %v, want ErrInvalidKey", s, len(bad), len(material), err)
			}
		}
	}
	if _, err := keys.Parse("RSA_1024", nil); !errors.Is(err, keys.ErrUnsupportedSpec) {
		t.Errorf("Parse of an unknown spec: %v, want ErrUnsupportedSpec", err)
	}
	if _, err := keys.Generate("RSA_1024", nil); !errors.Is(err, keys.ErrUnsupportedSpec) {
		t.Errorf("Generate of an unknown spec: %v, want ErrUnsupportedSpec", err)
	}
}

// A key that is printed by mistake tells nothing.
func TestPrint(t *testing.T) {
	key := keyOf(t, keys.SymmetricDefault)
	want := "SYMMETRIC_DEFAULT key"
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if got := fmt.Sprintf(verb, key); got != want {
			t.Errorf("%s prints %q, want %q", verb, got, want)
		}
	}
}

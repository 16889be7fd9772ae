package keys_test

import (
	"testing"

	"github.com/holdfast-cloud/holdfast/engine/keys"
)

const benchKey = "000000000000/1234abcd-12ab-34cd-56ef-1234567890ab"

var (
	benchHeader  = keys.Header{Key: benchKey, Material: "0b1f0c5d8e9fa2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f70819aabb"}
	benchContext = map[string]string{"tenant": "blue", "purpose": "orders"}
	dataKey      = make([]byte, 32)
)

func BenchmarkEncryptBlob(b *testing.B) {
	key := keyOf(b, keys.SymmetricDefault)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := key.EncryptBlob(nil, benchHeader, benchContext, dataKey, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncryptBlobNoContext(b *testing.B) {
	key := keyOf(b, keys.SymmetricDefault)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := key.EncryptBlob(nil, benchHeader, nil, dataKey, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecryptBlob(b *testing.B) {
	key := keyOf(b, keys.SymmetricDefault)
	blob, err := key.EncryptBlob(nil, benchHeader, benchContext, dataKey, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := key.DecryptBlob(nil, blob, benchContext); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseBlob(b *testing.B) {
	key := keyOf(b, keys.SymmetricDefault)
	blob, err := key.EncryptBlob(nil, benchHeader, benchContext, dataKey, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := keys.ParseBlob(blob); err != nil {
			b.Fatal(err)
		}
	}
}

var signing = []struct {
	spec keys.Spec
	alg  keys.Algorithm
}{
	{keys.NISTP256, keys.ECDSASHA256},
	{keys.NISTP384, keys.ECDSASHA384},
	{keys.RSA2048, keys.PSSSHA256},
	{keys.RSA2048, keys.PKCS1SHA256},
	{keys.Ed25519, keys.Ed25519SHA512},
	{keys.Secp256k1, keys.ECDSASHA256},
	{keys.MLDSA44, keys.MLDSASHAKE256},
	{keys.SM2, keys.SM2DSA},
}

func BenchmarkSign(b *testing.B) {
	for _, c := range signing {
		b.Run(string(c.spec)+"/"+string(c.alg), func(b *testing.B) {
			key := keyOf(b, c.spec)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := key.Sign(c.alg, keys.Raw, dataKey); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	for _, c := range signing {
		b.Run(string(c.spec)+"/"+string(c.alg), func(b *testing.B) {
			key := keyOf(b, c.spec)
			sig, err := key.Sign(c.alg, keys.Raw, dataKey)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if err := key.Verify(c.alg, keys.Raw, dataKey, sig); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMAC(b *testing.B) {
	key := keyOf(b, keys.HMAC256)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := key.MAC(keys.HMACSHA256, dataKey); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGenerate(b *testing.B) {
	for _, spec := range []keys.Spec{keys.SymmetricDefault, keys.NISTP256, keys.RSA2048, keys.SM2, keys.MLDSA65} {
		b.Run(string(spec), func(b *testing.B) {
			for b.Loop() {
				if _, err := keys.Generate(spec, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	for _, spec := range []keys.Spec{keys.SymmetricDefault, keys.NISTP256, keys.RSA2048, keys.MLDSA65} {
		b.Run(string(spec), func(b *testing.B) {
			material := keyOf(b, spec).Material()
			for b.Loop() {
				if _, err := keys.Parse(spec, material); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

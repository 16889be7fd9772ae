package mldsamu

import (
	"bytes"
	"crypto/sha3"
	"fmt"
	"math/rand/v2"
	"testing"

	"filippo.io/mldsa"
	"filippo.io/mldsa/mldsacrypto"
)

// mu is FIPS 204, algorithm 7, step 6, for an empty context.
func mu(pub, message []byte) *[Size]byte {
	var out [Size]byte
	tr := sha3.SumSHAKE256(pub, 64)
	h := sha3.NewSHAKE256()
	h.Write(tr)
	h.Write([]byte{0, 0})
	h.Write(message)
	h.Read(out[:])
	return &out
}

func sets() []mldsa.Parameters {
	return []mldsa.Parameters{mldsa.MLDSA44(), mldsa.MLDSA65(), mldsa.MLDSA87()}
}

// TestAgrees compares with the library, which verifies messages: whatever it says of a message, Verify must say of its μ. The
// signatures are good ones, and ones with a byte changed or a stretch zeroed.
func TestAgrees(t *testing.T) {
	for i, p := range sets() {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(1, uint64(i)))
			for round := range 3 {
				priv, err := mldsa.GenerateKey(p)
				if err != nil {
					t.Fatal(err)
				}
				encoding := priv.PublicKey().Bytes()
				pk, err := NewPublicKey(encoding)
				if err != nil {
					t.Fatal(err)
				}
				message := fmt.Appendf(nil, "message %d", round)
				m := mu(encoding, message)
				fromMessage, err := priv.Sign(nil, message, nil)
				if err != nil {
					t.Fatal(err)
				}
				fromMu, err := priv.Sign(nil, m[:], mldsacrypto.MLDSAMu)
				if err != nil {
					t.Fatal(err)
				}
				for _, sig := range [][]byte{fromMessage, fromMu} {
					if !pk.Verify(m, sig) {
						t.Errorf("Verify refuses a signature of the library")
					}
					other := *m
					other[round] ^= 1
					if pk.Verify(&other, sig) {
						t.Errorf("Verify takes the signature of another μ")
					}
					for range 12 {
						bad := bytes.Clone(sig)
						i := random.IntN(len(bad))
						if random.IntN(3) == 0 {
							clear(bad[i:min(len(bad), i+20)])
						} else {
							bad[i] ^= 1 << random.IntN(8)
						}
						want := mldsa.Verify(priv.PublicKey(), message, bad, nil) == nil
						if got := pk.Verify(m, bad); got != want {
							t.Errorf("Verify of a signature changed at %d: %v, the library says %v", i, got, want)
						}
					}
					// The hints are the end of the signature: each of its bytes counts.
					for i := len(sig) - pk.p.omega - pk.p.k; i < len(sig); i += 3 {
						bad := bytes.Clone(sig)
						bad[i]++
						if pk.Verify(m, bad) {
							t.Errorf("Verify takes a signature whose hint byte %d was changed", i)
						}
					}
					for _, bad := range [][]byte{nil, sig[1:], append(bytes.Clone(sig), 0), make([]byte, len(sig)), bytes.Repeat([]byte{0xff}, len(sig))} {
						if pk.Verify(m, bad) {
							t.Errorf("Verify takes a false signature of %d bytes", len(bad))
						}
					}
				}
			}
		})
	}
}

func TestPublicKeyLength(t *testing.T) {
	for _, n := range []int{0, 32, 1311, 1313, 4096} {
		if _, err := NewPublicKey(make([]byte, n)); err == nil {
			t.Errorf("NewPublicKey takes %d bytes", n)
		}
	}
}

func FuzzVerify(f *testing.F) {
	var pks []*PublicKey
	var m [Size]byte
	for _, p := range sets() {
		priv, err := mldsa.NewPrivateKey(p, make([]byte, 32))
		if err != nil {
			f.Fatal(err)
		}
		pk, err := NewPublicKey(priv.PublicKey().Bytes())
		if err != nil {
			f.Fatal(err)
		}
		sig, err := priv.SignDeterministic(m[:], mldsacrypto.MLDSAMu)
		if err != nil {
			f.Fatal(err)
		}
		pks = append(pks, pk)
		f.Add(sig)
	}
	f.Fuzz(func(t *testing.T, sig []byte) {
		for _, pk := range pks {
			other := [Size]byte{1}
			if pk.Verify(&other, sig) {
				t.Error("Verify takes a forgery")
			}
			pk.Verify(&m, sig)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	priv, err := mldsa.GenerateKey(mldsa.MLDSA65())
	if err != nil {
		b.Fatal(err)
	}
	pk, err := NewPublicKey(priv.PublicKey().Bytes())
	if err != nil {
		b.Fatal(err)
	}
	var m [Size]byte
	sig, err := priv.Sign(nil, m[:], mldsacrypto.MLDSAMu)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if !pk.Verify(&m, sig) {
			b.Fatal("not verified")
		}
	}
}

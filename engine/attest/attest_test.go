package attest_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/engine/attest"
	"github.com/holdfast-cloud/holdfast/engine/attest/attesttest"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 8e6, time.UTC)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func setup(t testing.TB) (*attesttest.Authority, *attesttest.Enclave, *attest.Verifier) {
	t.Helper()
	a := must(attesttest.NewAuthority(now))
	e := &attesttest.Enclave{PCRs: map[int][]byte{0: bytes.Repeat([]byte{1}, 48), 12: bytes.Repeat([]byte{0xab}, 48)}, Nonce: []byte("n")}
	return a, e, &attest.Verifier{Roots: a.Roots()}
}

func TestVerify(t *testing.T) {
	a, e, v := setup(t)
	document := must(a.Document(e, now))

	t.Run("OK", func(t *testing.T) {
		d, err := v.Verify(document, now)
		if err != nil {
			t.Fatalf("Verify: %v", err)
		}
		if !d.Timestamp.Equal(now) || string(d.Nonce) != "n" || d.UserData != nil || d.PublicKey != nil || d.ModuleID == "" {
			t.Errorf("Verify returned %+v", d)
		}
		if diff := cmp.Diff(e.PCRs, d.PCRs); diff != "" {
			t.Errorf("PCRs (-want +got):\n%s", diff)
		}
		want := map[string]string{
			"ImageSha384": strings.Repeat("01", 48), "PCR0": strings.Repeat("01", 48), "PCR12": strings.Repeat("ab", 48)}
		if diff := cmp.Diff(want, maps.Collect(d.Conditions())); diff != "" {
			t.Errorf("Conditions (-want +got):\n%s", diff)
		}
	})
	t.Run("OKTagged", func(t *testing.T) {
		if _, err := v.Verify(append([]byte{0xd2}, document...), now); err != nil {
			t.Errorf("Verify: %v", err)
		}
	})
	t.Run("OKNitroTPM", func(t *testing.T) {
		tpm := &attesttest.Enclave{TPMPCRs: map[int][]byte{4: bytes.Repeat([]byte{4}, 48), 7: make([]byte, 48)}}
		d, err := v.Verify(must(a.Document(tpm, now)), now)
		if err != nil {
			t.Fatalf("Verify: %v", err)
		}
		want := map[string]string{"NitroTPMPCR4": strings.Repeat("04", 48), "NitroTPMPCR7": strings.Repeat("00", 48)}
		if diff := cmp.Diff(want, maps.Collect(d.Conditions())); diff != "" {
			t.Errorf("Conditions (-want +got):\n%s", diff)
		}
	})
	t.Run("Untrusted", func(t *testing.T) {
		for name, other := range map[string]*attest.Verifier{
			"the Nitro root":    {},
			"another authority": {Roots: must(attesttest.NewAuthority(now)).Roots()},
			"no root at all":    {Roots: x509.NewCertPool()},
		} {
			if _, err := other.Verify(document, now); !errors.Is(err, attest.ErrUntrusted) {
				t.Errorf("Verify with %s: %v, want ErrUntrusted", name, err)
			}
		}
	})
	t.Run("CertificateExpired", func(t *testing.T) {
		for _, at := range []time.Time{now.Add(25 * time.Hour), now.Add(-2 * time.Hour)} {
			if _, err := v.Verify(must(a.Document(e, at)), at); !errors.Is(err, attest.ErrUntrusted) {
				t.Errorf("Verify at %v: %v, want ErrUntrusted", at, err)
			}
		}
	})
	t.Run("Stale", func(t *testing.T) {
		for age, want := range map[time.Duration]error{
			5 * time.Minute: nil, 5*time.Minute + time.Millisecond: attest.ErrStale,
			-5 * time.Minute: nil, -5*time.Minute - time.Millisecond: attest.ErrStale,
		} {
			if _, err := v.Verify(document, now.Add(age)); !errors.Is(err, want) {
				t.Errorf("Verify at age %v: %v, want %v", age, err, want)
			}
		}
		long := &attest.Verifier{Roots: a.Roots(), MaxAge: time.Hour}
		if _, err := long.Verify(document, now.Add(time.Hour)); err != nil {
			t.Errorf("Verify with a longer MaxAge: %v", err)
		}
	})
	t.Run("SignedByAnother", func(t *testing.T) {
		forged := must(must(attesttest.NewAuthority(now)).Sign(a.Payload(e, now)))
		if _, err := v.Verify(forged, now); !errors.Is(err, attest.ErrSignature) {
			t.Errorf("Verify: %v, want ErrSignature", err)
		}
	})
	t.Run("Tampered", func(t *testing.T) {
		// Every byte of the frame, and some of the payload, all of which is under the one signature.
		for i := 0; i < len(document); i++ {
			if i >= 40 {
				i += 22
			}
			if i >= len(document) {
				break
			}
			bad := slices.Clone(document)
			bad[i] ^= 1
			if d, err := v.Verify(bad, now); err == nil {
				t.Fatalf("Verify with byte %d changed: %+v, want an error", i, d)
			}
		}
	})
	t.Run("Truncated", func(t *testing.T) {
		for i := 0; i < len(document); i += 3 {
			if _, err := v.Verify(document[:i], now); !errors.Is(err, attest.ErrMalformed) {
				t.Fatalf("Verify of %d bytes: %v, want ErrMalformed", i, err)
			}
		}
		if _, err := v.Verify(append(slices.Clone(document), 0), now); !errors.Is(err, attest.ErrMalformed) {
			t.Errorf("Verify with a byte more: %v, want ErrMalformed", err)
		}
	})
}

// A document that an enclave in us-east-1 got on 18 July 2025 and that its owner published, under the Nitro root itself.
func TestVerifyRealDocument(t *testing.T) {
	document := must(os.ReadFile(filepath.Join("testdata", "nitro-2025-07-18.cose")))
	var v attest.Verifier
	at := time.Date(2025, 7, 18, 8, 38, 0, 0, time.UTC)
	d, err := v.Verify(document, at)
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	if d.ModuleID != "i-0a9f2a8b8dd31c7c8-enc019802a541b75725" || len(d.PCRs) != 16 || len(d.PublicKey) != 32 || d.Nonce != nil {
		t.Errorf("Verify returned %+v", d)
	}
	if _, err := d.Seal([]byte("x"), nil); !errors.Is(err, attest.ErrNoKey) {
		t.Errorf("Seal to a key that is not RSA: %v, want ErrNoKey", err)
	}
	if _, err := v.Verify(document, at.Add(24*time.Hour)); !errors.Is(err, attest.ErrUntrusted) {
		t.Errorf("Verify a day later: %v, want ErrUntrusted", err)
	}
	document[len(document)-200] ^= 1
	if _, err := v.Verify(document, at); err == nil {
		t.Error("Verify of the changed document: no error")
	}
}

// What is signed and yet not a document. Each case replaces a piece of a good payload.
func TestMalformed(t *testing.T) {
	a, e, v := setup(t)
	payload := a.Payload(e, now)
	for name, c := range map[string]struct{ old, new string }{
		"RepeatedField":      {"\x65nonce", "\x69user_data"},
		"MissingField":       {"\x66digest", "\x66digesT"},
		"OtherDigest":        {"\x66SHA384", "\x66SHA512"},
		"EmptyModule":        {"\x78\x27i-0123456789abcdef0-enc0123456789abcdef", "\x60"},
		"NoTime":             {"\x69timestamp\x1b", "\x69timestamp\x3b"},
		"NoRegisters":        {"\x64pcrs\xa2", "\x64pcrs\xa0"},
		"ManyRegisters":      {"\x64pcrs\xa2", "\x64pcrs\xb8\x21"},
		"RepeatedRegister":   {"\x0c\x58\x30\xab", "\x00\x58\x30\xab"},
		"RegisterOutOfRange": {"\x0c\x58\x30\xab", "\x18\x20\x58\x30\xab"},
		"NoBundle":           {"\x68cabundle\x82", "\x68cabundle\x80"},
		"LongLength":         {"\x65nonce\x41n", "\x65nonce\x58\x01n"},
		"Indefinite":         {"\x65nonce\x41n", "\x65nonce\x5f\x41n\xff"},
		"NotBytes":           {"\x65nonce\x41n", "\x65nonce\x61n"},
		"Undefined":          {"\x69user_data\xf6", "\x69user_data\xf7"},
		"EndsEarly":          {"\x65nonce\x41n", "\x65nonce\xff"},
		"BreakInKey":         {"\x65nonce\x41n", "\xff\x41n"},
		"ManyOpenRegisters":  {"\x64pcrs\xa2", "\x64pcrs\xbf" + registers(33)},
		"Deep":               {"\x65nonce\x41n", "\x65noncE\x81\x81\x81\x81\x81\x00"},
		"Huge":               {"\x65nonce\x41n", "\x65noncE\x9b\x7f\xff\xff\xff\xff\xff\xff\xff"},
		"BadText":            {"\x65nonce", "\x65nonc\xff"},
	} {
		t.Run(name, func(t *testing.T) {
			bad := bytes.Replace(payload, []byte(c.old), []byte(c.new), 1)
			if bytes.Equal(bad, payload) {
				t.Fatalf("%q is not in the payload", c.old)
			}
			if _, err := v.Verify(must(a.Sign(bad)), now); !errors.Is(err, attest.ErrMalformed) {
				t.Errorf("Verify: %v, want ErrMalformed", err)
			}
		})
	}
	t.Run("OKOpenLengths", func(t *testing.T) {
		open := bytes.Replace(payload, []byte("\xa9\x69module_id"), []byte("\xbf\x69module_id"), 1)
		open = bytes.Replace(open, []byte("\x64pcrs\xa2"), []byte("\x64pcrs\xbf"), 1)
		open = bytes.Replace(open, []byte("\x6bcertificate"), []byte("\xff\x6bcertificate"), 1)
		open = append(open, 0xff)
		if d, err := v.Verify(must(a.Sign(open)), now); err != nil || len(d.PCRs) != 2 {
			t.Errorf("Verify: %+v, %v", d, err)
		}
		if _, err := v.Verify(must(a.Sign(append(open, 0xff))), now); !errors.Is(err, attest.ErrMalformed) {
			t.Errorf("Verify with a second break: %v, want ErrMalformed", err)
		}
	})
	t.Run("OKUnknownField", func(t *testing.T) {
		more := bytes.Replace(payload, []byte("\xa9\x69module_id"), []byte("\xaa\x63new\xa1\x01\x82\x20\xf4\x69module_id"), 1)
		if _, err := v.Verify(must(a.Sign(more)), now); err != nil {
			t.Errorf("Verify: %v", err)
		}
	})
}

// registers returns n registers, the last of which are out of range.
func registers(n int) string {
	var out strings.Builder
	for i := range n {
		if i >= 24 {
			out.WriteByte(0x18)
		}
		out.WriteString(string([]byte{byte(i)}) + "\x54" + strings.Repeat("r", 20))
	}
	return out.String()
}

// The embedded root is the one whose fingerprint AWS publishes.
// https://docs.aws.amazon.com/enclaves/latest/user/verify-root.html
func TestNitroRoot(t *testing.T) {
	block, rest := pem.Decode(must(os.ReadFile("nitro-root-g1.pem")))
	if len(rest) != 0 {
		t.Errorf("%d bytes follow the certificate", len(rest))
	}
	const want = "641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b"
	if got := sha256.Sum256(block.Bytes); hex.EncodeToString(got[:]) != want {
		t.Errorf("fingerprint %x, want %s", got, want)
	}
	pool := x509.NewCertPool()
	pool.AddCert(must(x509.ParseCertificate(block.Bytes)))
	if !attest.NitroRoots().Equal(pool) {
		t.Error("NitroRoots holds something else")
	}
}

func TestSeal(t *testing.T) {
	a, _, v := setup(t)
	e, priv, err := attesttest.NewEnclave()
	if err != nil {
		t.Fatal(err)
	}
	d, err := v.Verify(must(a.Document(e, now)), now)
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	for _, size := range []int{0, 1, 15, 16, 17, 32, 4096} {
		plaintext := bytes.Repeat([]byte{0x5a}, size)
		envelope, err := d.Seal(plaintext, nil)
		if err != nil {
			t.Fatalf("Seal of %d bytes: %v", size, err)
		}
		got, err := attesttest.Open(priv, envelope)
		if err != nil || !bytes.Equal(got, plaintext) {
			t.Errorf("Open of %d sealed bytes: %x, %v", size, got, err)
		}
	}

	t.Run("OpenSSL", func(t *testing.T) {
		if _, err := exec.LookPath("openssl"); err != nil {
			t.Skip("no openssl to compare with")
		}
		dir := t.TempDir()
		key, in := filepath.Join(dir, "key.pem"), filepath.Join(dir, "in.der")
		der := must(x509.MarshalPKCS8PrivateKey(priv))
		if err := os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(in, must(d.Seal([]byte("for the enclave only"), nil)), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("openssl", "cms", "-decrypt", "-inform", "DER", "-in", in, "-inkey", key).CombinedOutput()
		if err != nil || string(out) != "for the enclave only" {
			t.Errorf("openssl cms -decrypt: %q, %v", out, err)
		}
	})
	t.Run("NoKey", func(t *testing.T) {
		for name, key := range map[string][]byte{"none": nil, "empty": {}, "garbage": []byte("key")} {
			e := &attesttest.Enclave{PCRs: e.PCRs, PublicKey: key}
			d, err := v.Verify(must(a.Document(e, now)), now)
			if err != nil {
				t.Fatalf("Verify with %s key: %v", name, err)
			}
			if _, err := d.Seal([]byte("x"), nil); !errors.Is(err, attest.ErrNoKey) {
				t.Errorf("Seal with %s key: %v, want ErrNoKey", name, err)
			}
		}
	})
}

func FuzzVerify(f *testing.F) {
	a, e, v := setup(f)
	document := must(a.Document(e, now))
	f.Add(document)
	f.Add(document[:100])
	f.Add(must(os.ReadFile(filepath.Join("testdata", "nitro-2025-07-18.cose"))))
	f.Add([]byte{0x84, 0x44, 0xa1, 0x01, 0x38, 0x22, 0xa0, 0x41, 0xa0, 0x58, 0x60})
	f.Fuzz(func(t *testing.T, in []byte) {
		d, err := v.Verify(in, now)
		if (d == nil) != (err != nil) {
			t.Errorf("Verify: %v, %v", d, err)
		}
	})
}

// FuzzPayload signs what it is given, so that the parser of the payload is reached.
func FuzzPayload(f *testing.F) {
	a, e, v := setup(f)
	f.Add(a.Payload(e, now))
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, payload []byte) {
		d, err := v.Verify(must(a.Sign(payload)), now)
		if (d == nil) != (err != nil) {
			t.Errorf("Verify: %v, %v", d, err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	a, e, v := setup(b)
	document := must(a.Document(e, now))
	for b.Loop() {
		if _, err := v.Verify(document, now); err != nil {
			b.Fatal(err)
		}
	}
}

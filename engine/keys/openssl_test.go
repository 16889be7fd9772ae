package keys_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/engine/keys"
)

// These tests hold our keys and OpenSSL's tool against each other, in both directions: what a user does outside with the public key
// must fit.

type tool struct {
	t   *testing.T
	dir string
}

func openssl(t *testing.T) *tool {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("no openssl to compare with")
	}
	return &tool{t, t.TempDir()}
}

// file writes a file for the tool and returns its name.
func (o *tool) file(name string, content []byte) string {
	o.t.Helper()
	path := filepath.Join(o.dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		o.t.Fatal(err)
	}
	return path
}

func (o *tool) run(args ...string) []byte {
	o.t.Helper()
	var stderr bytes.Buffer
	cmd := exec.Command("openssl", args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		o.t.Fatalf("openssl %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return out
}

func (o *tool) private(key *keys.Key) string { return o.file("private.der", key.Material()) }
func (o *tool) public(key *keys.Key) string  { return o.file("public.der", key.PublicKeyDER()) }

func TestOpenSSLSignatures(t *testing.T) {
	message := []byte("what OpenSSL and we agree on")
	for _, c := range []struct {
		spec    keys.Spec
		alg     keys.Algorithm
		options []string
	}{
		{keys.RSA2048, keys.PSSSHA256, []string{"-digest", "sha256", "-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", "rsa_pss_saltlen:32"}},
		{keys.RSA3072, keys.PSSSHA384, []string{"-digest", "sha384", "-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", "rsa_pss_saltlen:48"}},
		{keys.RSA2048, keys.PSSSHA512, []string{"-digest", "sha512", "-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", "rsa_pss_saltlen:64"}},
		{keys.RSA2048, keys.PKCS1SHA256, []string{"-digest", "sha256"}},
		{keys.RSA2048, keys.PKCS1SHA512, []string{"-digest", "sha512"}},
		{keys.NISTP256, keys.ECDSASHA256, []string{"-digest", "sha256"}},
		{keys.NISTP384, keys.ECDSASHA384, []string{"-digest", "sha384"}},
		{keys.NISTP521, keys.ECDSASHA512, []string{"-digest", "sha512"}},
		{keys.Secp256k1, keys.ECDSASHA256, []string{"-digest", "sha256"}},
		{keys.Ed25519, keys.Ed25519SHA512, nil},
		{keys.SM2, keys.SM2DSA, []string{"-digest", "sm3", "-pkeyopt", "distid:1234567812345678"}},
	} {
		t.Run(string(c.spec)+"/"+string(c.alg), func(t *testing.T) {
			o := openssl(t)
			key := keyOf(t, c.spec)
			in := o.file("message", message)
			sig, err := key.Sign(c.alg, keys.Raw, message)
			if err != nil {
				t.Fatalf("Sign: %v", err)
			}
			o.run(append([]string{"pkeyutl", "-verify", "-rawin", "-in", in, "-sigfile", o.file("signature", sig),
				"-pubin", "-keyform", "DER", "-inkey", o.public(key)}, c.options...)...)

			theirs := filepath.Join(o.dir, "theirs")
			o.run(append([]string{"pkeyutl", "-sign", "-rawin", "-in", in, "-out", theirs,
				"-keyform", "DER", "-inkey", o.private(key)}, c.options...)...)
			sig, err = os.ReadFile(theirs)
			if err != nil {
				t.Fatal(err)
			}
			if err := key.Verify(c.alg, keys.Raw, message, sig); err != nil {
				t.Errorf("Verify of OpenSSL's signature: %v", err)
			}
		})
	}
}

func TestOpenSSLEncryption(t *testing.T) {
	message := []byte("a data key, say")
	for _, c := range []struct {
		spec    keys.Spec
		alg     keys.Algorithm
		options []string
	}{
		{keys.RSA2048, keys.OAEPSHA1, []string{"-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha1"}},
		{keys.RSA2048, keys.OAEPSHA256, []string{"-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256"}},
		{keys.RSA4096, keys.OAEPSHA256, []string{"-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:sha256"}},
		{keys.SM2, keys.SM2PKE, nil},
	} {
		t.Run(string(c.spec)+"/"+string(c.alg), func(t *testing.T) {
			o := openssl(t)
			key := keyOf(t, c.spec)
			theirs := o.run(append([]string{"pkeyutl", "-encrypt", "-in", o.file("plain", message),
				"-pubin", "-keyform", "DER", "-inkey", o.public(key)}, c.options...)...)
			if got, err := key.Decrypt(c.alg, theirs); err != nil || !bytes.Equal(got, message) {
				t.Errorf("Decrypt of OpenSSL's ciphertext: %q, %v", got, err)
			}
			ours, err := key.Encrypt(c.alg, message)
			if err != nil {
				t.Fatalf("Encrypt: %v", err)
			}
			if got := o.run(append([]string{"pkeyutl", "-decrypt", "-in", o.file("cipher", ours),
				"-keyform", "DER", "-inkey", o.private(key)}, c.options...)...); !bytes.Equal(got, message) {
				t.Errorf("OpenSSL decrypts our ciphertext to %q", got)
			}
		})
	}
}

// OpenSSL 3.0 has no ECDH on SM2's curve; TestAgreeSM2 stands in.
func TestOpenSSLAgreement(t *testing.T) {
	for _, spec := range []keys.Spec{keys.NISTP256, keys.NISTP384, keys.NISTP521} {
		t.Run(string(spec), func(t *testing.T) {
			o := openssl(t)
			key := keyOf(t, spec)
			peer, err := keys.Generate(spec, nil)
			if err != nil {
				t.Fatal(err)
			}
			ours, err := key.Agree(keys.ECDH, peer.PublicKeyDER())
			if err != nil {
				t.Fatalf("Agree: %v", err)
			}
			theirs := o.run("pkeyutl", "-derive", "-keyform", "DER", "-inkey", o.private(peer),
				"-peerform", "DER", "-peerkey", o.public(key))
			if !bytes.Equal(ours, theirs) {
				t.Errorf("Agree: %x, OpenSSL derives %x", ours, theirs)
			}
		})
	}
}

// Material that OpenSSL generates is imported, and OpenSSL makes the same public key of it.
func TestOpenSSLKeys(t *testing.T) {
	for spec, options := range map[keys.Spec][]string{
		keys.RSA2048:   {"-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"},
		keys.NISTP384:  {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"},
		keys.Secp256k1: {"-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"},
		keys.Ed25519:   {"-algorithm", "ED25519"},
		keys.SM2:       {"-algorithm", "SM2"},
	} {
		t.Run(string(spec), func(t *testing.T) {
			o := openssl(t)
			pem := o.file("key.pem", o.run(append([]string{"genpkey"}, options...)...))
			der := o.run("pkcs8", "-topk8", "-nocrypt", "-outform", "DER", "-in", pem)
			key := parse(t, spec, der)
			if want := o.run("pkey", "-in", pem, "-pubout", "-outform", "DER"); !bytes.Equal(key.PublicKeyDER(), want) {
				t.Errorf("PublicKeyDER: %x, OpenSSL says %x", key.PublicKeyDER(), want)
			}
		})
	}
}

// The import of key material as the KMS documentation does it with OpenSSL.
// https://docs.aws.amazon.com/kms/latest/developerguide/importing-keys-encrypt-key-material.html
func TestOpenSSLWrap(t *testing.T) {
	wrapping := keyOf(t, keys.RSA4096)
	for _, spec := range []keys.Spec{keys.SymmetricDefault, keys.HMAC224, keys.RSA3072} {
		t.Run(string(spec), func(t *testing.T) {
			o := openssl(t)
			want := keyOf(t, spec)
			for alg, digest := range map[keys.WrappingAlgorithm]string{keys.WrapAESSHA1: "sha1", keys.WrapAESSHA256: "sha256"} {
				kek := bytes.Repeat([]byte{0x42}, 32)
				encrypted := o.run("pkeyutl", "-encrypt", "-in", o.file("kek", kek), "-pubin", "-keyform", "DER", "-inkey", o.public(wrapping),
					"-pkeyopt", "rsa_padding_mode:oaep", "-pkeyopt", "rsa_oaep_md:"+digest)
				wrapped := o.run("enc", "-id-aes256-wrap-pad", "-iv", "A65959A6", "-K", hex.EncodeToString(kek), "-in", o.file("material", want.Material()))
				all := append(encrypted, wrapped...)
				material, err := wrapping.Unwrap(alg, all)
				if err != nil {
					t.Fatalf("Unwrap %s: %v", alg, err)
				}
				if !want.Equal(parse(t, spec, material)) {
					t.Errorf("Unwrap %s made another key", alg)
				}
				for _, i := range []int{0, 511, 512, len(all) - 1} {
					bad := bytes.Clone(all)
					bad[i] ^= 1
					if _, err := wrapping.Unwrap(alg, bad); err != keys.ErrInvalidCiphertext {
						t.Errorf("Unwrap %s with byte %d changed: %v, want ErrInvalidCiphertext", alg, i, err)
					}
				}
			}
		})
	}
}

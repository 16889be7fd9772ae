// Package attest checks the attestation documents of Nitro enclaves and of instances with a NitroTPM, and encrypts answers so that
// only the attested environment reads them.
//
// A document says which software runs where (platform configuration registers, PCRs) and carries a public key that
// the software made. The hypervisor signs it (COSE_Sign1, ES384) with a certificate that chains to the Nitro root.
// [Verifier.Verify] answers whether to believe it; [Document.Conditions] yields what key policies ask about; and
// [Document.Seal] makes the CiphertextForRecipient of a KMS response.
//
// https://docs.aws.amazon.com/enclaves/latest/user/verify-root.html
package attest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"time"
)

var (
	// ErrMalformed says that a document is not what its specification says.
	ErrMalformed = errors.New("malformed attestation document")
	// ErrUntrusted says that a document's certificate does not chain to a root that is trusted at the time.
	ErrUntrusted = errors.New("attestation document from an untrusted source")
	// ErrSignature says that a document was changed or signed by another key than its certificate's.
	ErrSignature = errors.New("attestation document with an invalid signature")
	// ErrStale says that a document is too old, or from the future.
	ErrStale = errors.New("attestation document is too old")
	// ErrNoKey says that a document has no RSA public key of 2048 to 4096 bits to encrypt to.
	ErrNoKey = errors.New("attestation document without a usable public key")
)

// Document is what an attestation document says. It is true only if a [Verifier] returned it.
type Document struct {
	ModuleID  string
	Timestamp time.Time // when the hypervisor made the document
	// PCRs are an enclave's registers, TPMPCRs those of an instance's NitroTPM, by index; a document has one or the other.
	PCRs, TPMPCRs map[int][]byte
	Certificate   *x509.Certificate
	// PublicKey, UserData and Nonce come from the attested software; each is nil if it gave none.
	PublicKey, UserData, Nonce []byte
}

// Verifier checks documents. Its zero value trusts the Nitro root and documents not older than five minutes. It is
// safe for concurrent use.
type Verifier struct {
	// Roots replaces the Nitro root, for enclaves of one's own and for tests.
	Roots *x509.CertPool
	// MaxAge is how old a document may be, and how far ahead its clock; zero means five minutes. An enclave makes a document for
	// each request, so an old one has been kept by somebody.
	MaxAge time.Duration
}

//go:embed nitro-root-g1.pem
var nitroRootPEM []byte

// NitroRoots returns a new pool with the root certificate of the Nitro attestation PKI, G1, whose published SHA-256 fingerprint is
// 641A0321A3E244EFE456463195D606317ED7CDCC3C1756E09893F3C68F79BB5B.
func NitroRoots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(nitroRootPEM)
	return pool
}

// Verify parses a document and checks that, at now, its certificate chains to a root, that it is signed, and that it is fresh. Whatever
// is wrong is one of the errors above.
func (v *Verifier) Verify(document []byte, now time.Time) (*Document, error) {
	sign1, err := parseSign1(document)
	if err != nil {
		return nil, err
	}
	d, bundle, err := parsePayload(sign1.payload)
	if err != nil {
		return nil, err
	}

	// The chain first: until it stands, everything else was said by no one.
	roots := v.Roots
	if roots == nil {
		roots = NitroRoots()
	}
	intermediates := x509.NewCertPool()
	for _, c := range bundle {
		intermediates.AddCert(c)
	}
	if _, err := d.Certificate.Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: intermediates,
		CurrentTime:   now,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	pub, ok := d.Certificate.PublicKey.(*ecdsa.PublicKey)
	if !ok || pub.Curve != elliptic.P384() || d.Certificate.IsCA {
		return nil, fmt.Errorf("signing certificate is not for ECDSA on P-384: %w", ErrUntrusted)
	}

	digest := sha512.Sum384(sign1.signedBytes())
	r, s := new(big.Int).SetBytes(sign1.signature[:48]), new(big.Int).SetBytes(sign1.signature[48:])
	if !ecdsa.Verify(pub, digest[:], r, s) {
		return nil, ErrSignature
	}

	maxAge := v.MaxAge
	if maxAge == 0 {
		maxAge = 5 * time.Minute
	}
	if age := now.Sub(d.Timestamp); age > maxAge || age < -maxAge {
		return nil, ErrStale
	}
	return d, nil
}

// Conditions yields the condition keys of key policies, without their prefix "kms:RecipientAttestation:", and their values: lower-case
// hexadecimal registers as PCR0, PCR1, ... and NitroTPMPCR4, ..., and an enclave's register 0 once more as ImageSha384. An enclave
// that runs in debug mode has registers of zeros only.
func (d *Document) Conditions() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		if image, ok := d.PCRs[0]; ok && !yield("ImageSha384", hex.EncodeToString(image)) {
			return
		}
		for _, registers := range []struct {
			prefix string
			values map[int][]byte
		}{{"PCR", d.PCRs}, {"NitroTPMPCR", d.TPMPCRs}} {
			for _, i := range slices.Sorted(maps.Keys(registers.values)) {
				if !yield(registers.prefix+strconv.Itoa(i), hex.EncodeToString(registers.values[i])) {
					return
				}
			}
		}
	}
}

// recipient returns the key that answers are encrypted to.
func (d *Document) recipient() (*rsa.PublicKey, error) {
	key, err := x509.ParsePKIXPublicKey(d.PublicKey)
	if err != nil {
		return nil, ErrNoKey
	}
	pub, ok := key.(*rsa.PublicKey)
	if !ok || pub.N.BitLen() < 2048 || pub.N.BitLen() > 4096 {
		return nil, ErrNoKey
	}
	return pub, nil
}

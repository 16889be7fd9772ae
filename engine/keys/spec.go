package keys

import (
	"crypto"
	"fmt"
	"slices"
)

// Spec is a KMS key spec: what kind of key it is and how long.
type Spec string

const (
	SymmetricDefault Spec = "SYMMETRIC_DEFAULT" // AES-256
	RSA2048          Spec = "RSA_2048"
	RSA3072          Spec = "RSA_3072"
	RSA4096          Spec = "RSA_4096"
	NISTP256         Spec = "ECC_NIST_P256"
	NISTP384         Spec = "ECC_NIST_P384"
	NISTP521         Spec = "ECC_NIST_P521"
	Secp256k1        Spec = "ECC_SECG_P256K1"
	Ed25519          Spec = "ECC_NIST_EDWARDS25519"
	HMAC224          Spec = "HMAC_224"
	HMAC256          Spec = "HMAC_256"
	HMAC384          Spec = "HMAC_384"
	HMAC512          Spec = "HMAC_512"
	MLDSA44          Spec = "ML_DSA_44"
	MLDSA65          Spec = "ML_DSA_65"
	MLDSA87          Spec = "ML_DSA_87"
	SM2              Spec = "SM2"
)

// Usage is what a KMS key is used for; a key has one.
type Usage string

const (
	EncryptDecrypt    Usage = "ENCRYPT_DECRYPT"
	SignVerify        Usage = "SIGN_VERIFY"
	GenerateVerifyMAC Usage = "GENERATE_VERIFY_MAC"
	KeyAgreement      Usage = "KEY_AGREEMENT"
)

// Algorithm is an encryption, signing, MAC or key agreement algorithm.
type Algorithm string

const (
	SymmetricAEAD   Algorithm = "SYMMETRIC_DEFAULT" // for tables and records only: see Key.EncryptBlob
	OAEPSHA1        Algorithm = "RSAES_OAEP_SHA_1"
	OAEPSHA256      Algorithm = "RSAES_OAEP_SHA_256"
	SM2PKE          Algorithm = "SM2PKE"
	PSSSHA256       Algorithm = "RSASSA_PSS_SHA_256"
	PSSSHA384       Algorithm = "RSASSA_PSS_SHA_384"
	PSSSHA512       Algorithm = "RSASSA_PSS_SHA_512"
	PKCS1SHA256     Algorithm = "RSASSA_PKCS1_V1_5_SHA_256"
	PKCS1SHA384     Algorithm = "RSASSA_PKCS1_V1_5_SHA_384"
	PKCS1SHA512     Algorithm = "RSASSA_PKCS1_V1_5_SHA_512"
	ECDSASHA256     Algorithm = "ECDSA_SHA_256"
	ECDSASHA384     Algorithm = "ECDSA_SHA_384"
	ECDSASHA512     Algorithm = "ECDSA_SHA_512"
	SM2DSA          Algorithm = "SM2DSA"
	MLDSASHAKE256   Algorithm = "ML_DSA_SHAKE_256"
	Ed25519SHA512   Algorithm = "ED25519_SHA_512"
	Ed25519PHSHA512 Algorithm = "ED25519_PH_SHA_512"
	HMACSHA224      Algorithm = "HMAC_SHA_224"
	HMACSHA256      Algorithm = "HMAC_SHA_256"
	HMACSHA384      Algorithm = "HMAC_SHA_384"
	HMACSHA512      Algorithm = "HMAC_SHA_512"
	ECDH            Algorithm = "ECDH"
)

// MessageType says what a message to sign is.
type MessageType string

const (
	Raw        MessageType = "RAW"         // hashed while signing
	Digest     MessageType = "DIGEST"      // hashed already
	ExternalMu MessageType = "EXTERNAL_MU" // ML-DSA's 64-byte message representative (FIPS 204, section 6.2)
)

var (
	rsaEncryption = []Algorithm{OAEPSHA1, OAEPSHA256}
	rsaSigning    = []Algorithm{PKCS1SHA256, PKCS1SHA384, PKCS1SHA512, PSSSHA256, PSSSHA384, PSSSHA512}
)

// The table of specs, in the order of the KMS documentation. It is read only.
var specs = []struct {
	spec       Spec
	asymmetric bool
	pair       bool // GenerateDataKeyPair makes these
	uses       []use
}{
	{SymmetricDefault, false, false, []use{{EncryptDecrypt, []Algorithm{SymmetricAEAD}}}},
	{HMAC224, false, false, []use{{GenerateVerifyMAC, []Algorithm{HMACSHA224}}}},
	{HMAC256, false, false, []use{{GenerateVerifyMAC, []Algorithm{HMACSHA256}}}},
	{HMAC384, false, false, []use{{GenerateVerifyMAC, []Algorithm{HMACSHA384}}}},
	{HMAC512, false, false, []use{{GenerateVerifyMAC, []Algorithm{HMACSHA512}}}},
	{RSA2048, true, true, []use{{EncryptDecrypt, rsaEncryption}, {SignVerify, rsaSigning}}},
	{RSA3072, true, true, []use{{EncryptDecrypt, rsaEncryption}, {SignVerify, rsaSigning}}},
	{RSA4096, true, true, []use{{EncryptDecrypt, rsaEncryption}, {SignVerify, rsaSigning}}},
	{NISTP256, true, true, []use{{SignVerify, []Algorithm{ECDSASHA256}}, {KeyAgreement, []Algorithm{ECDH}}}},
	{NISTP384, true, true, []use{{SignVerify, []Algorithm{ECDSASHA384}}, {KeyAgreement, []Algorithm{ECDH}}}},
	{NISTP521, true, true, []use{{SignVerify, []Algorithm{ECDSASHA512}}, {KeyAgreement, []Algorithm{ECDH}}}},
	{Ed25519, true, true, []use{{SignVerify, []Algorithm{Ed25519SHA512, Ed25519PHSHA512}}}},
	{Secp256k1, true, true, []use{{SignVerify, []Algorithm{ECDSASHA256}}}},
	{MLDSA44, true, false, []use{{SignVerify, []Algorithm{MLDSASHAKE256}}}},
	{MLDSA65, true, false, []use{{SignVerify, []Algorithm{MLDSASHAKE256}}}},
	{MLDSA87, true, false, []use{{SignVerify, []Algorithm{MLDSASHAKE256}}}},
	{SM2, true, true, []use{
		{EncryptDecrypt, []Algorithm{SM2PKE}}, {SignVerify, []Algorithm{SM2DSA}}, {KeyAgreement, []Algorithm{ECDH}}}},
}

// use is what a spec does under one usage.
type use struct {
	usage      Usage
	algorithms []Algorithm
}

// Specs returns every spec, symmetric ones first.
func Specs() []Spec {
	out := make([]Spec, len(specs))
	for i := range specs {
		out[i] = specs[i].spec
	}
	return out
}

// Valid reports whether s is a known spec.
func (s Spec) Valid() bool { return s.row() >= 0 }

// Asymmetric reports whether keys of the spec have a public key.
func (s Spec) Asymmetric() bool { i := s.row(); return i >= 0 && specs[i].asymmetric }

// DataKeyPair reports whether GenerateDataKeyPair makes pairs of the spec.
func (s Spec) DataKeyPair() bool { i := s.row(); return i >= 0 && specs[i].pair }

// SlowToGenerate reports whether making a key of the spec takes long enough to be bounded (see [Generator]).
func (s Spec) SlowToGenerate() bool { return rsaBits(s) > 0 }

// DefaultUsage returns the usage of a key made without one, or "" where KMS demands that it be given: only symmetric
// encryption keys have a default.
func (s Spec) DefaultUsage() Usage {
	if s == SymmetricDefault {
		return EncryptDecrypt
	}
	return ""
}

// Usages returns the usages a key of the spec may have.
func (s Spec) Usages() []Usage {
	i := s.row()
	if i < 0 {
		return nil
	}
	out := make([]Usage, len(specs[i].uses))
	for j := range specs[i].uses {
		out[j] = specs[i].uses[j].usage
	}
	return out
}

// Allows reports whether a key of the spec may have the usage.
func (s Spec) Allows(usage Usage) bool { return s.Algorithms(usage) != nil }

// Algorithms returns what a key of the spec and usage can do, in the order KMS lists them; nil if the spec does not have the usage.
// The slice is shared: do not change it.
func (s Spec) Algorithms(usage Usage) []Algorithm {
	if i := s.row(); i >= 0 {
		for j := range specs[i].uses {
			if specs[i].uses[j].usage == usage {
				return slices.Clip(specs[i].uses[j].algorithms)
			}
		}
	}
	return nil
}

// Supports reports whether a key of the spec and usage does the algorithm.
func (s Spec) Supports(usage Usage, alg Algorithm) bool {
	return slices.Contains(s.Algorithms(usage), alg)
}

// row returns the index of s in specs, or -1. Seventeen strings of mostly different lengths compare faster than a map looks up.
func (s Spec) row() int {
	for i := range specs {
		if specs[i].spec == s {
			return i
		}
	}
	return -1
}

func familyOf(s Spec) (family, error) {
	if !s.Approved() {
		return family{}, fmt.Errorf("key spec %s: %w", s, ErrNotApproved)
	}
	switch s {
	case SymmetricDefault:
		return symmetricFamily, nil
	case HMAC224, HMAC256, HMAC384, HMAC512:
		return hmacFamily, nil
	case RSA2048, RSA3072, RSA4096:
		return rsaFamily, nil
	case NISTP256, NISTP384, NISTP521:
		return nistFamily, nil
	case Ed25519:
		return ed25519Family, nil
	case Secp256k1:
		return secp256k1Family, nil
	case MLDSA44, MLDSA65, MLDSA87:
		return mldsaFamily, nil
	case SM2:
		return sm2Family, nil
	}
	return family{}, fmt.Errorf("key spec %q: %w", string(s), ErrUnsupportedSpec)
}

// MaxPlaintext returns how many bytes alg encrypts at most with a key of the spec: for RSA-OAEP what RFC 8017, section 7.1.1 leaves
// of the modulus, else the 4096 bytes of a KMS request less what the algorithm adds. It returns 0 for what cannot encrypt.
func MaxPlaintext(s Spec, alg Algorithm) int {
	if !s.Supports(EncryptDecrypt, alg) {
		return 0
	}
	switch alg {
	case SymmetricAEAD:
		return 4096
	case SM2PKE:
		return 1024
	}
	return rsaBits(s)/8 - 2*alg.Hash().Size() - 2
}

// Hash returns the hash that alg is defined with, or 0 if there is none in the standard library (SM3, SHAKE256) or none at all.
func (alg Algorithm) Hash() crypto.Hash {
	switch alg {
	case OAEPSHA1:
		return crypto.SHA1
	case HMACSHA224:
		return crypto.SHA224
	case OAEPSHA256, PSSSHA256, PKCS1SHA256, ECDSASHA256, HMACSHA256:
		return crypto.SHA256
	case PSSSHA384, PKCS1SHA384, ECDSASHA384, HMACSHA384:
		return crypto.SHA384
	case PSSSHA512, PKCS1SHA512, ECDSASHA512, HMACSHA512, Ed25519SHA512, Ed25519PHSHA512:
		return crypto.SHA512
	}
	return 0
}

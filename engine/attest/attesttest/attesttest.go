// Package attesttest makes attestation documents for tests: a root of its own, an enclave with a key pair, and what
// the enclave does with the answer.
package attesttest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"time"
)

// Authority is a throwaway attestation PKI: a root, an intermediate, and a hypervisor that signs.
type Authority struct {
	root, intermediate, leaf *x509.Certificate
	signer                   *ecdsa.PrivateKey
}

// NewAuthority makes an authority whose certificates are valid from an hour before to a day after now.
func NewAuthority(now time.Time) (*Authority, error) {
	a := new(Authority)
	var parent *x509.Certificate
	var parentKey *ecdsa.PrivateKey
	for i, slot := range []**x509.Certificate{&a.root, &a.intermediate, &a.leaf} {
		key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		if err != nil {
			return nil, err
		}
		ca := slot != &a.leaf
		template := &x509.Certificate{
			SerialNumber:          big.NewInt(int64(i + 1)),
			Subject:               pkix.Name{CommonName: fmt.Sprintf("test nitro %d", i)},
			NotBefore:             now.Add(-time.Hour),
			NotAfter:              now.Add(24 * time.Hour),
			BasicConstraintsValid: true,
			IsCA:                  ca,
			KeyUsage:              x509.KeyUsageDigitalSignature,
			SignatureAlgorithm:    x509.ECDSAWithSHA384,
		}
		if ca {
			template.KeyUsage = x509.KeyUsageCertSign
		}
		if parent == nil {
			parent, parentKey = template, key
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
		if err != nil {
			return nil, err
		}
		if *slot, err = x509.ParseCertificate(der); err != nil {
			return nil, err
		}
		parent, parentKey = *slot, key
	}
	a.signer = parentKey
	return a, nil
}

// Roots returns the pool to configure a verifier with.
func (a *Authority) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.root)
	return pool
}

// Enclave is what a document is about. The zero value attests no registers and no key, which is no valid document.
type Enclave struct {
	PCRs      map[int][]byte
	TPMPCRs   map[int][]byte // instead of PCRs: an instance with a NitroTPM
	PublicKey []byte         // SubjectPublicKeyInfo
	UserData  []byte
	Nonce     []byte
}

// NewEnclave returns an enclave whose register i holds 48 bytes of value i+1 for i from 0 to 4, and 8, and the private key that opens what
// is sealed for it.
func NewEnclave() (*Enclave, *rsa.PrivateKey, error) {
	priv, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, nil, err
	}
	pub, err := x509.MarshalPKIXPublicKey(&priv.PublicKey)
	if err != nil {
		return nil, nil, err
	}
	e := &Enclave{PCRs: make(map[int][]byte), PublicKey: pub}
	for _, i := range []int{0, 1, 2, 3, 4, 8} {
		e.PCRs[i] = bytes.Repeat([]byte{byte(i + 1)}, 48)
	}
	return e, priv, nil
}

// Document returns a document about the enclave, made at now and signed.
func (a *Authority) Document(e *Enclave, now time.Time) ([]byte, error) {
	return a.Sign(a.Payload(e, now))
}

// Payload returns the unsigned content of a document.
func (a *Authority) Payload(e *Enclave, now time.Time) []byte {
	name, registers := "pcrs", e.PCRs
	if e.TPMPCRs != nil {
		name, registers = "nitrotpm_pcrs", e.TPMPCRs
	}
	out := head(nil, 5, 9)
	out = text(text(out, "module_id"), "i-0123456789abcdef0-enc0123456789abcdef")
	out = text(text(out, "digest"), "SHA384")
	out = head(text(out, "timestamp"), 0, uint64(now.UnixMilli()))
	out = head(text(out, name), 5, uint64(len(registers)))
	for _, i := range slices.Sorted(maps.Keys(registers)) {
		out = data(head(out, 0, uint64(i)), registers[i])
	}
	out = data(text(out, "certificate"), a.leaf.Raw)
	out = head(text(out, "cabundle"), 4, 2)
	out = data(data(out, a.root.Raw), a.intermediate.Raw)
	for _, field := range []struct {
		name  string
		value []byte
	}{{"public_key", e.PublicKey}, {"user_data", e.UserData}, {"nonce", e.Nonce}} {
		out = text(out, field.name)
		if field.value == nil {
			out = append(out, 0xf6)
		} else {
			out = data(out, field.value)
		}
	}
	return out
}

// Sign signs any payload as the hypervisor.
func (a *Authority) Sign(payload []byte) ([]byte, error) {
	protected := []byte{0xa1, 0x01, 0x38, 0x22} // {1: -35}
	signed := data(data(data(text(head(nil, 4, 4), "Signature1"), protected), nil), payload)
	digest := sha512.Sum384(signed)
	r, s, err := ecdsa.Sign(rand.Reader, a.signer, digest[:])
	if err != nil {
		return nil, err
	}
	signature := make([]byte, 96)
	r.FillBytes(signature[:48])
	s.FillBytes(signature[48:])
	out := data(head(nil, 4, 4), protected)
	out = head(out, 5, 0)
	return data(data(out, payload), signature), nil
}

// Open decrypts a CiphertextForRecipient as the Nitro Enclaves SDK does: it takes the encoding that KMS sends and no other.
func Open(priv *rsa.PrivateKey, envelope []byte) ([]byte, error) {
	var kind, content, algorithm asn1.ObjectIdentifier
	var version int
	var recipients []struct {
		Version int
		KeyID   []byte `asn1:"tag:0"`
		OAEP    asn1.RawValue
		Key     []byte
	}
	var cbc struct {
		Algorithm asn1.ObjectIdentifier
		IV        []byte
	}
	var sealed []byte
	rest, err := envelope, error(nil)
	begin := func(tag byte) {
		if err == nil && (len(rest) < 2 || rest[0] != tag || rest[1] != 0x80) {
			err = errors.New("attesttest: no indefinite length where KMS has one")
		}
		if err == nil {
			rest = rest[2:]
		}
	}
	read := func(into any, params string) {
		if err == nil {
			rest, err = asn1.UnmarshalWithParams(rest, into, params)
		}
	}
	begin(0x30)
	read(&kind, "")
	begin(0xa0)
	begin(0x30)
	read(&version, "")
	read(&recipients, "set")
	begin(0x30)
	read(&content, "")
	read(&cbc, "")
	begin(0xa0)
	read(&sealed, "")
	if err != nil {
		return nil, err
	}
	algorithm = cbc.Algorithm
	if !bytes.Equal(rest, make([]byte, 10)) || len(recipients) != 1 || recipients[0].Version != 2 || version != 2 ||
		kind.String() != "1.2.840.113549.1.7.3" || content.String() != "1.2.840.113549.1.7.1" ||
		algorithm.String() != "2.16.840.1.101.3.4.1.42" || len(cbc.IV) != aes.BlockSize || len(sealed)%aes.BlockSize != 0 || len(sealed) == 0 {
		return nil, errors.New("attesttest: not an envelope as KMS makes it")
	}
	key, err := rsa.DecryptOAEP(sha256.New(), nil, priv, recipients[0].Key, nil)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	plaintext := make([]byte, len(sealed))
	cipher.NewCBCDecrypter(block, cbc.IV).CryptBlocks(plaintext, sealed)
	pad := int(plaintext[len(plaintext)-1])
	if pad == 0 || pad > aes.BlockSize || !bytes.HasSuffix(plaintext, bytes.Repeat([]byte{byte(pad)}, pad)) {
		return nil, errors.New("attesttest: wrong padding")
	}
	return plaintext[:len(plaintext)-pad], nil
}

// CBOR, written apart from the reader under test.

func head(dst []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(dst, major<<5|byte(n))
	case n < 1<<8:
		return append(dst, major<<5|24, byte(n))
	case n < 1<<16:
		return append(dst, major<<5|25, byte(n>>8), byte(n))
	case n < 1<<32:
		return append(dst, major<<5|26, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	dst = append(dst, major<<5|27)
	for shift := 56; shift >= 0; shift -= 8 {
		dst = append(dst, byte(n>>shift))
	}
	return dst
}

func text(dst []byte, s string) []byte { return append(head(dst, 3, uint64(len(s))), s...) }
func data(dst, b []byte) []byte        { return append(head(dst, 2, uint64(len(b))), b...) }

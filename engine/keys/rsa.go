package keys

import (
	"crypto"
	"crypto/fips140"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"io"
)

var rsaFamily = family{
	generate: func(spec Spec, random io.Reader) (any, error) {
		priv, err := rsa.GenerateKey(random, rsaBits(spec))
		if err != nil {
			return nil, err
		}
		return &rsaKey{priv}, nil
	},
	parse: func(spec Spec, material []byte) (any, error) {
		key, err := parsePKCS8(material)
		if err != nil {
			return nil, err
		}
		// Parsing has validated the key and precomputed its CRT values.
		priv, ok := key.(*rsa.PrivateKey)
		if !ok || priv.N.BitLen() != rsaBits(spec) {
			return nil, ErrInvalidKey
		}
		if priv.E <= 1<<16 && fips140.Enabled() { // FIPS 186-5, A.1.1
			return nil, ErrNotApproved
		}
		return &rsaKey{priv}, nil
	},
	encode: func(impl any) ([]byte, []byte, error) {
		priv := impl.(*rsaKey).priv
		return encodeStandard(priv, &priv.PublicKey)
	},
}

func rsaBits(spec Spec) int {
	switch spec {
	case RSA2048:
		return 2048
	case RSA3072:
		return 3072
	case RSA4096:
		return 4096
	}
	return 0
}

// parsePKCS8 is the standard library's parser, except that nothing may follow the key.
func parsePKCS8(material []byte) (any, error) {
	var whole asn1.RawValue
	if rest, err := asn1.Unmarshal(material, &whole); err != nil || len(rest) > 0 {
		return nil, ErrInvalidKey
	}
	return x509.ParsePKCS8PrivateKey(material)
}

// encodeStandard encodes key pairs that the standard library knows.
func encodeStandard(private, public any) ([]byte, []byte, error) {
	material, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(public)
	return material, spki, err
}

type rsaKey struct{ priv *rsa.PrivateKey }

// KMS uses OAEP with an empty label, and the same hash for the label and MGF1.
func (k *rsaKey) encrypt(alg Algorithm, plaintext []byte) ([]byte, error) {
	return rsa.EncryptOAEP(alg.Hash().New(), rand.Reader, &k.priv.PublicKey, plaintext, nil)
}

// The standard library's decryption is constant time and tells nothing of why it fails (Manger's attack on OAEP needs to know).
func (k *rsaKey) decrypt(alg Algorithm, ciphertext []byte) ([]byte, error) {
	plaintext, err := rsa.DecryptOAEP(alg.Hash().New(), nil, k.priv, ciphertext, nil)
	if err != nil {
		return nil, ErrInvalidCiphertext
	}
	return plaintext, nil
}

// The salt is as long as the digest, as the KMS documentation of the RSASSA_PSS algorithms says; verifying demands the same.
var pssOptions = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}

func (k *rsaKey) sign(alg Algorithm, mt MessageType, message []byte) ([]byte, error) {
	digest, err := digestOf(alg, mt, message)
	if err != nil {
		return nil, err
	}
	if isPSS(alg) {
		return rsa.SignPSS(rand.Reader, k.priv, alg.Hash(), digest, pssOptions)
	}
	return rsa.SignPKCS1v15(nil, k.priv, alg.Hash(), digest)
}

func (k *rsaKey) verify(alg Algorithm, mt MessageType, message, signature []byte) error {
	digest, err := digestOf(alg, mt, message)
	if err != nil {
		return err
	}
	if isPSS(alg) {
		err = rsa.VerifyPSS(&k.priv.PublicKey, alg.Hash(), digest, signature, pssOptions)
	} else {
		err = rsa.VerifyPKCS1v15(&k.priv.PublicKey, alg.Hash(), digest, signature)
	}
	if err != nil {
		return ErrInvalidSignature
	}
	return nil
}

func isPSS(alg Algorithm) bool { return alg == PSSSHA256 || alg == PSSSHA384 || alg == PSSSHA512 }

// digestOf returns what a hash-then-sign algorithm signs.
func digestOf(alg Algorithm, mt MessageType, message []byte) ([]byte, error) {
	h := alg.Hash()
	switch mt {
	case Raw:
		return sum(h, message), nil
	case Digest:
		if len(message) != h.Size() {
			return nil, &DigestLengthError{Algorithm: alg, Got: len(message), Want: h.Size()}
		}
		return message, nil
	}
	return nil, messageTypeError(alg, mt)
}

func sum(h crypto.Hash, message []byte) []byte {
	d := h.New()
	d.Write(message)
	return d.Sum(nil)
}

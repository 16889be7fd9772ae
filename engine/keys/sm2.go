package keys

import (
	"bytes"
	"crypto/rand"
	"io"
	"math/big"

	"github.com/emmansun/gmsm/ecdh"
	"github.com/emmansun/gmsm/sm2"
	"github.com/emmansun/gmsm/sm3"
)

var sm2Family = family{
	generate: func(_ Spec, random io.Reader) (any, error) {
		priv, err := sm2.GenerateKey(random)
		if err != nil {
			return nil, err
		}
		return newSM2Key(priv)
	},
	parse: func(_ Spec, material []byte) (any, error) {
		scalar, point, err := decodeECPrivate(oidSM2, material)
		if err != nil {
			return nil, err
		}
		dh, err := ecdh.P256().NewPrivateKey(scalar)
		if err != nil {
			return nil, err
		}
		uncompressed := dh.PublicKey().Bytes()
		if len(point) > 0 && !bytes.Equal(point, uncompressed) {
			return nil, ErrInvalidKey
		}
		priv := new(sm2.PrivateKey)
		priv.Curve = sm2.P256()
		priv.D = new(big.Int).SetBytes(scalar)
		priv.X = new(big.Int).SetBytes(uncompressed[1 : 1+scalarSize])
		priv.Y = new(big.Int).SetBytes(uncompressed[1+scalarSize:])
		return newSM2Key(priv)
	},
	encode: func(impl any) ([]byte, []byte, error) {
		k := impl.(*sm2Key)
		return encodeEC(oidSM2, k.dh.Bytes(), k.dh.PublicKey().Bytes())
	},
}

type sm2Key struct {
	priv *sm2.PrivateKey
	dh   *ecdh.PrivateKey
}

func newSM2Key(priv *sm2.PrivateKey) (*sm2Key, error) {
	// n-1 is a valid ECDH scalar, but SM2 signing divides by 1+d (GB/T 32918.2, section 6.1).
	if new(big.Int).Add(priv.D, big.NewInt(1)).Cmp(priv.Curve.Params().N) >= 0 {
		return nil, ErrInvalidKey
	}
	dh, err := priv.ECDH()
	if err != nil {
		return nil, err
	}
	return &sm2Key{priv, dh}, nil
}

// encrypt writes the ASN.1 form of C1C3C2 (GB/T 32918.4, GM/T 0009), which is what OpenSSL reads and writes.
func (k *sm2Key) encrypt(_ Algorithm, plaintext []byte) ([]byte, error) {
	if len(plaintext) == 0 {
		// SM2 cannot encrypt nothing: the key stream must not be all zero.
		return nil, ErrEmptyPlaintext
	}
	return sm2.EncryptASN1(rand.Reader, &k.priv.PublicKey, plaintext)
}

func (k *sm2Key) decrypt(_ Algorithm, ciphertext []byte) ([]byte, error) {
	plaintext, err := k.priv.Decrypt(nil, ciphertext, sm2.ASN1DecrypterOpts)
	if err != nil {
		return nil, ErrInvalidCiphertext
	}
	return plaintext, nil
}

// digest returns what SM2DSA signs: for RAW SM3 over ZA and the message, where ZA binds the public key and the default
// distinguishing ID 1234567812345678. A DIGEST is taken to be that already.
// https://docs.aws.amazon.com/kms/latest/developerguide/offline-operations.html#key-spec-sm-offline-verification
func (k *sm2Key) digest(alg Algorithm, mt MessageType, message []byte) ([]byte, error) {
	switch mt {
	case Raw:
		za, err := sm2.CalculateZA(&k.priv.PublicKey, []byte("1234567812345678"))
		if err != nil {
			return nil, err
		}
		return sm3Sum(za, message), nil
	case Digest:
		if len(message) != 32 {
			return nil, &DigestLengthError{Algorithm: alg, Got: len(message), Want: 32}
		}
		return message, nil
	}
	return nil, messageTypeError(alg, mt)
}

func (k *sm2Key) sign(alg Algorithm, mt MessageType, message []byte) ([]byte, error) {
	digest, err := k.digest(alg, mt, message)
	if err != nil {
		return nil, err
	}
	return sm2.SignASN1(rand.Reader, k.priv, digest, nil)
}

func (k *sm2Key) verify(alg Algorithm, mt MessageType, message, signature []byte) error {
	digest, err := k.digest(alg, mt, message)
	if err != nil {
		return err
	}
	if !sm2.VerifyASN1(&k.priv.PublicKey, digest, signature) {
		return ErrInvalidSignature
	}
	return nil
}

func (k *sm2Key) agree(peer []byte) ([]byte, error) {
	point, err := decodeECPublic(oidSM2, peer)
	if err != nil {
		return nil, ErrInvalidPublicKey
	}
	// NewPublicKey checks that the point is on the curve and not infinity.
	pub, err := ecdh.P256().NewPublicKey(point)
	if err != nil {
		return nil, ErrInvalidPublicKey
	}
	secret, err := k.dh.ECDH(pub)
	if err != nil {
		return nil, ErrInvalidPublicKey
	}
	return secret, nil
}

func sm3Sum(parts ...[]byte) []byte {
	h := sm3.New()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

package keys

import (
	"bytes"
	"io"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
)

var secp256k1Family = family{
	generate: func(_ Spec, random io.Reader) (any, error) {
		priv, err := secp256k1.GeneratePrivateKeyFromRand(random)
		if err != nil {
			return nil, err
		}
		return newSecp256k1Key(priv), nil
	},
	parse: func(_ Spec, material []byte) (any, error) {
		scalar, point, err := decodeECPrivate(oidSecp256k1, material)
		if err != nil {
			return nil, err
		}
		// The library reduces what is too large; a key must be in [1, n).
		var d secp256k1.ModNScalar
		if d.SetByteSlice(scalar) || d.IsZero() {
			return nil, ErrInvalidKey
		}
		key := newSecp256k1Key(secp256k1.NewPrivateKey(&d))
		if len(point) > 0 && !bytes.Equal(point, key.pub.SerializeUncompressed()) && !bytes.Equal(point, key.pub.SerializeCompressed()) {
			return nil, ErrInvalidKey
		}
		return key, nil
	},
	encode: func(impl any) ([]byte, []byte, error) {
		k := impl.(*secp256k1Key)
		return encodeEC(oidSecp256k1, k.priv.Serialize(), k.pub.SerializeUncompressed())
	},
}

type secp256k1Key struct {
	priv *secp256k1.PrivateKey
	pub  *secp256k1.PublicKey
}

func newSecp256k1Key(priv *secp256k1.PrivateKey) *secp256k1Key {
	return &secp256k1Key{priv, priv.PubKey()}
}

// sign draws the nonce from key and digest (RFC 6979), so no weak random source can give the key away. s is the lower of the two
// valid ones, which chains that use this curve demand; verify takes both.
func (k *secp256k1Key) sign(alg Algorithm, mt MessageType, message []byte) ([]byte, error) {
	digest, err := digestOf(alg, mt, message)
	if err != nil {
		return nil, err
	}
	return ecdsa.Sign(k.priv, digest).Serialize(), nil
}

func (k *secp256k1Key) verify(alg Algorithm, mt MessageType, message, signature []byte) error {
	digest, err := digestOf(alg, mt, message)
	if err != nil {
		return err
	}
	sig, err := ecdsa.ParseDERSignature(signature)
	if err != nil || !sig.Verify(digest, k.pub) {
		return ErrInvalidSignature
	}
	return nil
}

package keys

import (
	"io"

	"filippo.io/mldsa"
	"filippo.io/mldsa/mldsacrypto"
	"filippo.io/mldsa/x509"

	"github.com/holdfast-cloud/holdfast/engine/keys/mldsamu"
)

var mldsaFamily = family{
	generate: func(spec Spec, random io.Reader) (any, error) {
		seed := make([]byte, mldsa.PrivateKeySize)
		if _, err := io.ReadFull(random, seed); err != nil {
			return nil, err
		}
		priv, err := mldsa.NewPrivateKey(mldsaParameters(spec), seed)
		if err != nil {
			return nil, err
		}
		return newMLDSAKey(priv)
	},
	parse: func(spec Spec, material []byte) (any, error) {
		key, err := x509.ParsePKCS8PrivateKey(material)
		if err != nil {
			return nil, err
		}
		priv, ok := key.(*mldsa.PrivateKey)
		if !ok || priv.PublicKey().Parameters() != mldsaParameters(spec) {
			return nil, ErrInvalidKey
		}
		return newMLDSAKey(priv)
	},
	encode: func(impl any) ([]byte, []byte, error) {
		k := impl.(*mldsaKey)
		material, err := x509.MarshalPKCS8PrivateKey(k.priv)
		if err != nil {
			return nil, nil, err
		}
		public, err := x509.MarshalPKIXPublicKey(k.pub)
		return material, public, err
	},
}

func mldsaParameters(spec Spec) mldsa.Parameters {
	switch spec {
	case MLDSA44:
		return mldsa.MLDSA44()
	case MLDSA65:
		return mldsa.MLDSA65()
	}
	return mldsa.MLDSA87()
}

type mldsaKey struct {
	priv *mldsa.PrivateKey
	pub  *mldsa.PublicKey
	mu   *mldsamu.PublicKey // the same key, for verifying what the library cannot
}

func newMLDSAKey(priv *mldsa.PrivateKey) (*mldsaKey, error) {
	pub := priv.PublicKey()
	mu, err := mldsamu.NewPublicKey(pub.Bytes())
	if err != nil {
		return nil, err
	}
	return &mldsaKey{priv, pub, mu}, nil
}

// sign is hedged: randomness goes in, so that faults and side channels see no message signed the same way twice (FIPS 204, section 3.4).
// The context string is empty, as KMS has none.
func (k *mldsaKey) sign(alg Algorithm, mt MessageType, message []byte) ([]byte, error) {
	switch mt {
	case Raw:
		return k.priv.Sign(nil, message, nil)
	case ExternalMu:
		if err := checkMu(alg, message); err != nil {
			return nil, err
		}
		return k.priv.Sign(nil, message, mldsacrypto.MLDSAMu)
	}
	return nil, messageTypeError(alg, mt)
}

func (k *mldsaKey) verify(alg Algorithm, mt MessageType, message, signature []byte) error {
	switch mt {
	case Raw:
		if mldsa.Verify(k.pub, message, signature, nil) != nil {
			return ErrInvalidSignature
		}
		return nil
	case ExternalMu:
		if err := checkMu(alg, message); err != nil {
			return err
		}
		if !k.mu.Verify((*[mldsamu.Size]byte)(message), signature) {
			return ErrInvalidSignature
		}
		return nil
	}
	return messageTypeError(alg, mt)
}

func checkMu(alg Algorithm, message []byte) error {
	if len(message) != mldsamu.Size {
		return &DigestLengthError{Algorithm: alg, Got: len(message), Want: mldsamu.Size}
	}
	return nil
}

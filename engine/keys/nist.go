package keys

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"io"
)

var nistFamily = family{
	generate: func(spec Spec, random io.Reader) (any, error) {
		priv, err := ecdsa.GenerateKey(nistCurve(spec), random)
		if err != nil {
			return nil, err
		}
		return newNISTKey(priv)
	},
	parse: func(spec Spec, material []byte) (any, error) {
		key, err := parsePKCS8(material)
		if err != nil {
			return nil, err
		}
		priv, ok := key.(*ecdsa.PrivateKey)
		if !ok || priv.Curve != nistCurve(spec) {
			return nil, ErrInvalidKey
		}
		return newNISTKey(priv)
	},
	encode: func(impl any) ([]byte, []byte, error) {
		priv := impl.(*nistKey).priv
		return encodeStandard(priv, &priv.PublicKey)
	},
}

func nistCurve(spec Spec) elliptic.Curve {
	switch spec {
	case NISTP256:
		return elliptic.P256()
	case NISTP384:
		return elliptic.P384()
	}
	return elliptic.P521()
}

// nistKey holds a key both as what signs and as what agrees; KMS lets a key do one of them, which is the service's to enforce.
type nistKey struct {
	priv *ecdsa.PrivateKey
	dh   *ecdh.PrivateKey
}

func newNISTKey(priv *ecdsa.PrivateKey) (*nistKey, error) {
	dh, err := priv.ECDH()
	if err != nil {
		return nil, err
	}
	return &nistKey{priv, dh}, nil
}

func (k *nistKey) sign(alg Algorithm, mt MessageType, message []byte) ([]byte, error) {
	digest, err := digestOf(alg, mt, message)
	if err != nil {
		return nil, err
	}
	return ecdsa.SignASN1(rand.Reader, k.priv, digest)
}

func (k *nistKey) verify(alg Algorithm, mt MessageType, message, signature []byte) error {
	digest, err := digestOf(alg, mt, message)
	if err != nil {
		return err
	}
	if !ecdsa.VerifyASN1(&k.priv.PublicKey, digest, signature) {
		return ErrInvalidSignature
	}
	return nil
}

// agree follows SEC 1, section 3.3.1. Parsing the peer's key checks that its point is on the curve, without which the answers would
// give the private key away piece by piece.
func (k *nistKey) agree(peer []byte) ([]byte, error) {
	pub, err := x509.ParsePKIXPublicKey(peer)
	if err != nil {
		return nil, ErrInvalidPublicKey
	}
	ec, ok := pub.(*ecdsa.PublicKey)
	if !ok || ec.Curve != k.priv.Curve {
		return nil, ErrInvalidPublicKey
	}
	point, err := ec.ECDH()
	if err != nil {
		return nil, ErrInvalidPublicKey
	}
	secret, err := k.dh.ECDH(point)
	if err != nil {
		return nil, ErrInvalidPublicKey
	}
	return secret, nil
}

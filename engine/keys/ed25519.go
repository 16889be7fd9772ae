package keys

import (
	"crypto"
	"crypto/ed25519"
	"fmt"
	"io"
)

var ed25519Family = family{
	generate: func(_ Spec, random io.Reader) (any, error) {
		_, priv, err := ed25519.GenerateKey(random)
		if err != nil {
			return nil, err
		}
		return ed25519Key(priv), nil
	},
	parse: func(_ Spec, material []byte) (any, error) {
		key, err := parsePKCS8(material)
		if err != nil {
			return nil, err
		}
		priv, ok := key.(ed25519.PrivateKey)
		if !ok {
			return nil, ErrInvalidKey
		}
		return ed25519Key(priv), nil
	},
	encode: func(impl any) ([]byte, []byte, error) {
		priv := ed25519.PrivateKey(impl.(ed25519Key))
		return encodeStandard(priv, priv.Public())
	},
}

type ed25519Key ed25519.PrivateKey

// input returns what goes into RFC 8032's signing, and which variant. The two algorithms take one message type each. Ed25519ph hashes
// its message itself, and KMS feeds it the caller's digest as that message: the data is hashed twice, by the caller and here.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html#KMS-Sign-request-MessageType
func (k ed25519Key) input(alg Algorithm, mt MessageType, message []byte) ([]byte, *ed25519.Options, error) {
	switch {
	case alg == Ed25519SHA512 && mt == Raw:
		return message, &ed25519.Options{}, nil
	case alg == Ed25519PHSHA512 && mt == Digest:
		if want := crypto.SHA512.Size(); len(message) != want {
			return nil, nil, &DigestLengthError{Algorithm: alg, Got: len(message), Want: want}
		}
		return sum(crypto.SHA512, message), &ed25519.Options{Hash: crypto.SHA512}, nil
	}
	return nil, nil, messageTypeError(alg, mt)
}

func (k ed25519Key) sign(alg Algorithm, mt MessageType, message []byte) ([]byte, error) {
	in, opts, err := k.input(alg, mt, message)
	if err != nil {
		return nil, err
	}
	return ed25519.PrivateKey(k).Sign(nil, in, opts)
}

func (k ed25519Key) verify(alg Algorithm, mt MessageType, message, signature []byte) error {
	in, opts, err := k.input(alg, mt, message)
	if err != nil {
		return err
	}
	pub := ed25519.PrivateKey(k).Public().(ed25519.PublicKey)
	if ed25519.VerifyWithOptions(pub, in, signature, opts) != nil {
		return ErrInvalidSignature
	}
	return nil
}

func messageTypeError(alg Algorithm, mt MessageType) error {
	return fmt.Errorf("%s of message type %q: %w", alg, string(mt), ErrMessageType)
}

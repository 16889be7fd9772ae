package keys

import (
	"encoding/asn1"
	"errors"
)

// The standard library encodes keys on NIST curves only. This is PKCS #8 (RFC 5958) around an ECPrivateKey (RFC 5915), and
// SubjectPublicKeyInfo (RFC 5480), for any named curve of 256 bits.
var (
	oidECPublicKey = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}
	oidSecp256k1   = asn1.ObjectIdentifier{1, 3, 132, 0, 10}
	oidSM2         = asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 301}
)

const scalarSize = 32

type ecAlgorithm struct {
	Algorithm asn1.ObjectIdentifier
	Curve     asn1.ObjectIdentifier
}

type ecPrivateInfo struct {
	Version    int
	Algorithm  ecAlgorithm
	PrivateKey []byte
	Attributes asn1.RawValue `asn1:"optional,tag:0"`
}

type ecPrivateKey struct {
	Version    int
	PrivateKey []byte
	Curve      asn1.ObjectIdentifier `asn1:"optional,explicit,tag:0"`
	PublicKey  asn1.BitString        `asn1:"optional,explicit,tag:1"`
}

type ecPublicInfo struct {
	Algorithm ecAlgorithm
	PublicKey asn1.BitString
}

var errEC = errors.New("malformed elliptic curve key")

// encodeEC encodes a pair from its scalar and its uncompressed point.
func encodeEC(curve asn1.ObjectIdentifier, scalar, point []byte) (material, public []byte, err error) {
	alg := ecAlgorithm{oidECPublicKey, curve}
	bits := asn1.BitString{Bytes: point, BitLength: 8 * len(point)}
	inner, err := asn1.Marshal(ecPrivateKey{Version: 1, PrivateKey: scalar, PublicKey: bits})
	if err != nil {
		return nil, nil, err
	}
	if material, err = asn1.Marshal(ecPrivateInfo{Algorithm: alg, PrivateKey: inner}); err != nil {
		return nil, nil, err
	}
	public, err = asn1.Marshal(ecPublicInfo{alg, bits})
	return material, public, err
}

// decodeECPrivate returns the scalar, as long as the field, and the point if the encoding has one.
func decodeECPrivate(curve asn1.ObjectIdentifier, material []byte) (scalar, point []byte, err error) {
	var outer ecPrivateInfo
	if rest, err := asn1.Unmarshal(material, &outer); err != nil || len(rest) > 0 {
		return nil, nil, errEC
	}
	if outer.Version != 0 || !outer.Algorithm.Algorithm.Equal(oidECPublicKey) || !outer.Algorithm.Curve.Equal(curve) {
		return nil, nil, errEC
	}
	var inner ecPrivateKey
	if rest, err := asn1.Unmarshal(outer.PrivateKey, &inner); err != nil || len(rest) > 0 {
		return nil, nil, errEC
	}
	if inner.Version != 1 || len(inner.PrivateKey) != scalarSize || inner.Curve != nil && !inner.Curve.Equal(curve) {
		return nil, nil, errEC
	}
	return inner.PrivateKey, inner.PublicKey.RightAlign(), nil
}

// decodeECPublic returns the encoded point.
func decodeECPublic(curve asn1.ObjectIdentifier, spki []byte) ([]byte, error) {
	var info ecPublicInfo
	if rest, err := asn1.Unmarshal(spki, &info); err != nil || len(rest) > 0 {
		return nil, errEC
	}
	if !info.Algorithm.Algorithm.Equal(oidECPublicKey) || !info.Algorithm.Curve.Equal(curve) || info.PublicKey.BitLength%8 != 0 {
		return nil, errEC
	}
	return info.PublicKey.Bytes, nil
}

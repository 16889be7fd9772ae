package keys

import "crypto/fips140"

// Approved reports whether this process may make and use keys of the spec. In FIPS mode (crypto/fips140) these are the specs whose
// cryptography is all in Go's FIPS 140-3 module; otherwise all are. [Generate] and [Parse] return [ErrNotApproved] for others.
//
// ML-DSA is approved by FIPS 204, but what is used here is a library of its own: the standard library does not export the module's.
func (s Spec) Approved() bool {
	switch s {
	case Secp256k1, SM2, MLDSA44, MLDSA65, MLDSA87:
		return !fips140.Enabled()
	}
	return true
}

// Approved reports whether this process may use the algorithm, as far as its keys are approved. In FIPS mode RSAES_OAEP_SHA_1 is left out:
// the module has no SHA-1.
func (alg Algorithm) Approved() bool {
	switch alg {
	case OAEPSHA1, SM2PKE, SM2DSA, MLDSASHAKE256:
		return !fips140.Enabled()
	}
	return true
}

// Approved reports whether this process may unwrap key material that was wrapped so.
func (alg WrappingAlgorithm) Approved() bool {
	switch alg {
	case WrapOAEPSHA1, WrapAESSHA1, WrapSM2:
		return !fips140.Enabled()
	}
	return true
}

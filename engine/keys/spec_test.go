package keys_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/engine/keys"
)

// What https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html says of sizes.
func TestMaxPlaintext(t *testing.T) {
	for _, c := range []struct {
		spec keys.Spec
		alg  keys.Algorithm
		want int
	}{
		{keys.SymmetricDefault, keys.SymmetricAEAD, 4096},
		{keys.RSA2048, keys.OAEPSHA1, 214}, {keys.RSA2048, keys.OAEPSHA256, 190},
		{keys.RSA3072, keys.OAEPSHA1, 342}, {keys.RSA3072, keys.OAEPSHA256, 318},
		{keys.RSA4096, keys.OAEPSHA1, 470}, {keys.RSA4096, keys.OAEPSHA256, 446},
		{keys.SM2, keys.SM2PKE, 1024},
		{keys.SM2, keys.OAEPSHA1, 0}, {keys.NISTP256, keys.OAEPSHA1, 0}, {"", keys.OAEPSHA1, 0},
	} {
		if got := keys.MaxPlaintext(c.spec, c.alg); got != c.want {
			t.Errorf("MaxPlaintext(%s, %s) = %d, want %d", c.spec, c.alg, got, c.want)
		}
	}
}

// What https://docs.aws.amazon.com/kms/latest/developerguide/symm-asymm-choose-key-spec.html says of specs.
func TestSpecs(t *testing.T) {
	all := keys.Specs()
	if len(all) != 17 {
		t.Errorf("%d specs, the model has 17", len(all))
	}
	var pairs []keys.Spec
	usages := make(map[keys.Spec][]keys.Usage)
	for _, s := range all {
		usages[s] = s.Usages()
		if s.DataKeyPair() {
			pairs = append(pairs, s)
		}
		if !s.Valid() {
			t.Errorf("%s is not valid", s)
		}
		if got := s.DefaultUsage() != ""; got != (s == keys.SymmetricDefault) {
			t.Errorf("%s has a default usage: %v", s, got)
		}
		for _, u := range s.Usages() {
			if !s.Allows(u) || len(s.Algorithms(u)) == 0 {
				t.Errorf("%s does nothing under %s", s, u)
			}
		}
		if s.Allows("NONE") {
			t.Errorf("%s allows a usage that is none", s)
		}
	}
	encrypt, sign, mac, agree := keys.EncryptDecrypt, keys.SignVerify, keys.GenerateVerifyMAC, keys.KeyAgreement
	want := map[keys.Spec][]keys.Usage{
		keys.SymmetricDefault: {encrypt},
		keys.HMAC224:          {mac}, keys.HMAC256: {mac}, keys.HMAC384: {mac}, keys.HMAC512: {mac},
		keys.RSA2048: {encrypt, sign}, keys.RSA3072: {encrypt, sign}, keys.RSA4096: {encrypt, sign},
		keys.NISTP256: {sign, agree}, keys.NISTP384: {sign, agree}, keys.NISTP521: {sign, agree},
		keys.Ed25519: {sign}, keys.Secp256k1: {sign},
		keys.MLDSA44: {sign}, keys.MLDSA65: {sign}, keys.MLDSA87: {sign},
		keys.SM2: {encrypt, sign, agree},
	}
	if diff := cmp.Diff(want, usages); diff != "" {
		t.Errorf("usages (-want +got):\n%s", diff)
	}
	// DataKeyPairSpec in the model.
	wantPairs := []keys.Spec{keys.NISTP256, keys.NISTP384, keys.NISTP521, keys.Ed25519, keys.Secp256k1, keys.RSA2048, keys.RSA3072, keys.RSA4096, keys.SM2}
	slices.Sort(pairs)
	slices.Sort(wantPairs)
	if diff := cmp.Diff(wantPairs, pairs); diff != "" {
		t.Errorf("data key pairs (-want +got):\n%s", diff)
	}
	unknown := keys.Spec("RSA_1024")
	if unknown.Valid() || unknown.Usages() != nil || unknown.Asymmetric() || unknown.DataKeyPair() {
		t.Errorf("%s is taken for a spec", unknown)
	}
}

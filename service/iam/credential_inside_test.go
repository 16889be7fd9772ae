package iam

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// The modulus does not have to be a product of two primes to be a public key.
var someKey = &rsa.PublicKey{N: new(big.Int).SetBit(new(big.Int).Lsh(big.NewInt(0xc0ffee), 2024), 0, 1), E: 65537}

func FuzzParseSSH(f *testing.F) {
	public, err := ssh.NewPublicKey(someKey)
	if err != nil {
		f.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(someKey)
	if err != nil {
		f.Fatal(err)
	}
	line := string(ssh.MarshalAuthorizedKey(public))
	f.Add(line)
	f.Add("# comment\n" + line)
	f.Add(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	f.Add(string(pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(someKey)})))
	f.Add("ssh-rsa AAAA")
	f.Add("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5mS9XlyWbI0Zy7Cz8s0uZ3m3fS0e3m6bQ7m0mE4m1v")
	f.Add("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
	f.Fuzz(func(t *testing.T, body string) {
		public, key, err := parseSSH(body)
		if err != nil {
			return
		}
		if key.N.BitLen() < minRSA {
			t.Errorf("accepted a key of %d bits", key.N.BitLen())
		}
		// What was accepted can be told in either encoding, and is the same key in both.
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatalf("encoding an accepted key: %v", err)
		}
		for _, text := range []string{string(ssh.MarshalAuthorizedKey(public)), string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))} {
			again, _, err := parseSSH(text)
			if err != nil || ssh.FingerprintLegacyMD5(again) != ssh.FingerprintLegacyMD5(public) {
				t.Errorf("read again from\n%s\nit is %v, %v", text, again, err)
			}
		}
	})
}

func FuzzCheckKeyPair(f *testing.F) {
	f.Add("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
	f.Add("", "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n")
	f.Fuzz(func(t *testing.T, body, key string) {
		parsePrivateKey(key)
		parsed, err := checkKeyPair(body, key)
		if err != nil && len(key) > 20 && strings.Contains(err.Error(), key) {
			t.Errorf("the refusal repeats the key: %v", err)
		}
		if parsed != nil {
			_ = checkChain(parsed, body)
		}
	})
}

package dbtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// certificates are an authority's and a server's, made for a run of the tests.
type certificates struct {
	ca, cert, key []byte // PEM
	err           error
}

var made = sync.OnceValue(func() (out certificates) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return certificates{err: err}
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return certificates{err: err}
	}
	from, until := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2120, 1, 1, 0, 0, 0, 0, time.UTC)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "dbtest"}, NotBefore: from, NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, NotBefore: from, NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return certificates{err: err}
	}
	der, err := x509.CreateCertificate(rand.Reader, server, ca, key.Public(), caKey)
	if err != nil {
		return certificates{err: err}
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	out.ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER})
	out.cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	out.key = pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})
	out.err = err
	return out
})

// Roots is the authority that vouches for the servers, under the name localhost.
func Roots(t testing.TB) *x509.CertPool {
	t.Helper()
	c := made()
	if c.err != nil {
		t.Fatal(c.err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(c.ca)
	return pool
}

// RootsFile is a file with the authority's certificate.
func RootsFile(t testing.TB) string {
	t.Helper()
	c := made()
	if c.err != nil {
		t.Fatal(c.err)
	}
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, c.ca, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// certify puts the certificates into the server's folder.
func (s *Server) certify() error {
	c := made()
	for name, data := range map[string][]byte{"ca.pem": c.ca, "server.pem": c.cert, "server.key": c.key} {
		if c.err == nil {
			c.err = os.WriteFile(s.File(name), data, 0o600)
		}
	}
	return c.err
}

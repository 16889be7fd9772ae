// Package hsmtest gives tests tokens of SoftHSM, a hardware security module in software.
package hsmtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/holdfast-cloud/holdfast/hsm"
)

// SoftHSM is a set of tokens in a directory of the test's own. The variable SOFTHSM2_CONF, which SoftHSM reads whenever it starts, names it until the test ends.
type SoftHSM struct {
	Module string // path of the library
	t      testing.TB
	tokens string
}

// New returns a SoftHSM without tokens. It skips the test where SoftHSM is not installed.
func New(t testing.TB) *SoftHSM {
	t.Helper()
	s := &SoftHSM{t: t}
	for _, dir := range []string{"/usr/lib/softhsm", "/usr/lib64/softhsm", "/usr/local/lib/softhsm", "/opt/homebrew/lib/softhsm"} {
		if path := filepath.Join(dir, "libsofthsm2.so"); s.Module == "" && isFile(path) {
			s.Module = path
		}
	}
	if _, err := exec.LookPath("softhsm2-util"); err != nil || s.Module == "" {
		t.Skip("SoftHSM is not installed: the package is called softhsm2")
	}
	dir := t.TempDir()
	s.tokens = filepath.Join(dir, "tokens")
	conf := filepath.Join(dir, "softhsm2.conf")
	text := fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n", s.tokens)
	if err := os.Mkdir(s.tokens, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", conf)
	return s
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// Init makes a token.
func (s *SoftHSM) Init(label, pin string) {
	s.t.Helper()
	out, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "security officer", "--pin", pin).CombinedOutput()
	if err != nil {
		s.t.Fatalf("softhsm2-util: %v\n%s", err, out)
	}
}

// Text is the URI of a token, to which further attributes of the path may be given.
func (s *SoftHSM) Text(label string, more ...string) string {
	text := "pkcs11:token=" + label
	for _, m := range more {
		text += ";" + m
	}
	return text + "?module-path=" + s.Module
}

// URI is Text, parsed.
func (s *SoftHSM) URI(label string) hsm.URI {
	s.t.Helper()
	u, err := hsm.Parse(s.Text(label))
	if err != nil {
		s.t.Fatal(err)
	}
	return u
}

// Vanish takes all tokens away, as if somebody had pulled them out.
func (s *SoftHSM) Vanish() { s.move(s.tokens, s.tokens+".away") }

// Return brings them back.
func (s *SoftHSM) Return() { s.move(s.tokens+".away", s.tokens) }

func (s *SoftHSM) move(from, to string) {
	s.t.Helper()
	if err := os.Rename(from, to); err != nil {
		s.t.Fatal(err)
	}
}

// Certificate is the certificate of a new authority, in PEM, for where a CloudHSM cluster would have one.
func Certificate(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "customer CA"}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

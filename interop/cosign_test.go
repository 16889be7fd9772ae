package interop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// offline makes cosign sign and verify with nothing but the key: no transparency log, no certificates, no time stamps, and no root of trust from the
// network.
func (f folder) offline(t *testing.T) {
	t.Helper()
	f.write(t, "signing-config.json", `{"mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json", "rekorTlogConfig": {}, "tsaConfig": {}}`)
	f.write(t, "trusted-root.json", `{"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`)
}

// sign signs app.tar.
func (f folder) sign(key string) *exec.Cmd {
	return f.command("sign-blob", "--yes", "--key", key, "--signing-config", "signing-config.json", "--trusted-root", "trusted-root.json",
		"--bundle", "app.sigstore.json", "app.tar")
}

// verify verifies an artifact with the signature of app.tar.
func (f folder) verify(key, artifact string) *exec.Cmd {
	return f.command("verify-blob", "--key", key, "--insecure-ignore-tlog", "--bundle", "app.sigstore.json", artifact)
}

func TestCosign(t *testing.T) {
	s := start(t)
	f := folder{t.TempDir(), tool(t, "cosign"), s.environment()}
	f.offline(t)
	f.write(t, "app.tar", "an artifact")
	output(t, f.command("generate-key-pair", "--kms", "awskms:///alias/release"))
	output(t, f.sign("awskms:///alias/release"))

	t.Run("OK", func(t *testing.T) {
		output(t, f.verify("awskms:///alias/release", "app.tar"))
		// The public key is enough, without Holdfast.
		output(t, f.as(environment()).verify("cosign.pub", "app.tar"))
		if got := output(t, f.command("public-key", "--key", "awskms:///alias/release")); got != f.read(t, "cosign.pub") {
			t.Errorf("cosign public-key: %s, want what generate-key-pair wrote", got)
		}
	})
	t.Run("AlteredArtifact", func(t *testing.T) {
		f.write(t, "altered.tar", "another artifact")
		refusal(t, f.verify("cosign.pub", "altered.tar"), "invalid signature")
	})
	t.Run("AnotherKey", func(t *testing.T) {
		other := folder{t.TempDir(), f.tool, f.env}
		output(t, other.command("generate-key-pair", "--kms", "awskms:///alias/other"))
		refusal(t, f.verify(filepath.Join(other.dir, "cosign.pub"), "app.tar"), "invalid signature")
		refusal(t, f.verify("awskms:///alias/other", "app.tar"), "invalid signature")
	})
	t.Run("KeySpecs", func(t *testing.T) {
		for _, spec := range []types.KeySpec{types.KeySpecRsa3072, types.KeySpecEccNistP384} {
			key := s.key(t, &kms.CreateKeyInput{KeySpec: spec, KeyUsage: types.KeyUsageTypeSignVerify})
			output(t, f.sign("awskms:///"+key))
			output(t, f.verify("awskms:///"+key, "app.tar"))
		}
		key := s.key(t, &kms.CreateKeyInput{})
		refusal(t, f.sign("awskms:///"+key), "UnsupportedOperationException")
	})
	t.Run("SignersOnly", func(t *testing.T) {
		reader := f.as(s.user(t, "reader", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["kms:DescribeKey","kms:GetPublicKey"],"Resource":"*"}}`))
		refusal(t, reader.sign("awskms:///alias/release"), "AccessDeniedException")
	})
	t.Run("Disabled", func(t *testing.T) {
		out, err := s.kms(virginia).DescribeKey(t.Context(), &kms.DescribeKeyInput{KeyId: aws.String("alias/release")})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.kms(virginia).DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: out.KeyMetadata.KeyId}); err != nil {
			t.Fatal(err)
		}
		refusal(t, f.sign("awskms:///alias/release"), "DisabledException")
	})
}

// TestCosignEndpoint names the endpoint in the key's URI, which is always one with TLS.
func TestCosignEndpoint(t *testing.T) {
	dir := t.TempDir()
	cert, key := certificate(t, dir)
	s := start(t, "--tls-cert", cert, "--tls-key", key)
	env := append(environment("AWS_REGION="+virginia, "AWS_ACCESS_KEY_ID="+s.id, "AWS_SECRET_ACCESS_KEY="+s.secret), "SSL_CERT_FILE="+cert)
	f := folder{dir, tool(t, "cosign"), env}
	f.offline(t)
	f.write(t, "app.tar", "an artifact")
	uri := "awskms://" + s.address + "/alias/release"
	output(t, f.command("generate-key-pair", "--kms", uri))
	output(t, f.sign(uri))
	output(t, f.verify("cosign.pub", "app.tar"))
	stranger := f.as(append(env, "SSL_CERT_FILE="+os.DevNull, "SSL_CERT_DIR="+t.TempDir()))
	refusal(t, stranger.command("public-key", "--key", uri), "certificate")
}

// certificate makes one for the loopback address, and returns the files that it and its key are in.
func certificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		var b strings.Builder
		if err := pem.Encode(&b, &pem.Block{Type: kind, Bytes: der}); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", pkcs8)
}

package stories_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// awsCLI is the AWS CLI where AWS's names lead to a cloud. validate-logs makes clients of S3 to which it does not pass --endpoint-url, and the CLI of Debian 12 knows no AWS_ENDPOINT_URL:
// so a proxy takes its connections to AWS, with a certificate for the names.
type awsCLI struct {
	path, url, proxy, authority string
}

func newCLI(t *testing.T, cloud string) *awsCLI {
	t.Helper()
	path := "/usr/bin/aws" // the distribution's, if there is one
	if _, err := os.Stat(path); err != nil {
		if path, err = exec.LookPath("aws"); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal("the AWS CLI is missing: make deps installs it")
			}
			t.Skip("the AWS CLI is missing: make deps installs it, or tells how")
		}
	}
	certificate, authority := awsCertificate(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	done(t)(l, err)
	p := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			http.Error(w, "CONNECT only", http.StatusMethodNotAllowed)
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
			return
		}
		// What is said inside is passed on byte by byte: the CLI wants the names of metadata as they are written.
		relay(tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{certificate}}), strings.TrimPrefix(cloud, "http://"))
	})}
	go func() { _ = p.Serve(l) }()
	t.Cleanup(func() { _ = p.Close() })
	return &awsCLI{path, cloud, "http://" + l.Addr().String(), authority}
}

// relay passes on what two sides say, until one of them ends.
func relay(client net.Conn, address string) {
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	}()
	_, _ = io.Copy(client, server)
	_ = client.Close()
}

// awsCertificate is a certificate for the names of S3, and the file of its authority.
func awsCertificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	done(t)(key, err)
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Story"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "s3.amazonaws.com"}, NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"s3.amazonaws.com", "*.s3.amazonaws.com", "*.amazonaws.com", "s3.us-east-1.amazonaws.com", "*.s3.us-east-1.amazonaws.com", "s3.eu-west-1.amazonaws.com", "*.s3.eu-west-1.amazonaws.com"},
	}
	root, err := x509.CreateCertificate(rand.Reader, authority, authority, key.Public(), key)
	done(t)(root, err)
	der, err := x509.CreateCertificate(rand.Reader, leaf, authority, key.Public(), key)
	done(t)(der, err)
	file := filepath.Join(t.TempDir(), "authority.pem")
	done(t)(nil, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root}), 0o600))
	return tls.Certificate{Certificate: [][]byte{der, root}, PrivateKey: key}, file
}

// validateLogs runs aws cloudtrail validate-logs, and returns all it says. Its error is not nil when it finds anything invalid.
func (c *awsCLI) validateLogs(cfg aws.Config, trail, region string, from, to time.Time) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	credentials, err := cfg.Credentials.Retrieve(ctx)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, c.path, "cloudtrail", "validate-logs", "--trail-arn", trail, "--region", region, "--endpoint-url", c.url,
		"--start-time", from.Format(time.RFC3339), "--end-time", to.Format(time.RFC3339), "--verbose")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.TempDir(), "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_ACCESS_KEY_ID=" + credentials.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + credentials.SecretAccessKey,
		"HTTPS_PROXY=" + c.proxy, "NO_PROXY=127.0.0.1", "AWS_CA_BUNDLE=" + c.authority}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err = cmd.Run()
	return said.String(), errors.Join(err, ctx.Err())
}

package sns_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/holdfast-cloud/holdfast/cloud"
)

// AWS's validator for JavaScript, with its own idea of which hosts certificates come from, takes what is signed here, and nothing else.
func TestAWSValidator(t *testing.T) {
	for _, name := range []string{"node", "npm"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not installed", name)
		}
	}
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "validate.cjs"} {
		b, err := os.ReadFile(filepath.Join("testdata/validator", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	install := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Skipf("the validator cannot be installed: %v\n%s", err, out)
	}

	h, w := start(t, func(c *cloud.Config) { c.SNSURL = "https://sns.{region}.amazonaws.com" }), newWebhook(t)
	port, authority := h.asAWS(t)
	var messages []string
	for _, version := range []string{"1", "2"} {
		topicARN := h.topic("t"+version, "SignatureVersion", version)
		h.subscribe(topicARN, "http", w.URL)
		confirmation := w.next().body
		token := open(t, confirmation).Token
		must(h.ConfirmSubscription(t.Context(), &sns.ConfirmSubscriptionInput{TopicArn: &topicARN, Token: &token}))(t)
		h.publish(topicARN, "öäü <b>&\"\n")
		h.publish(topicARN, "text", func(in *sns.PublishInput) { in.Subject = aws.String("Grüße") })
		messages = append(messages, confirmation, w.next().body, w.next().body)
	}
	good := len(messages)
	altered := open(t, messages[1]).Signature
	messages = append(messages, strings.Replace(messages[2], `"text"`, `"other"`, 1), strings.Replace(messages[2], open(t, messages[2]).Signature, altered, 1),
		strings.Replace(messages[2], "https://sns.us-east-1.amazonaws.com/", "https://sns.us-east-1.example.com/", 1))

	node := exec.Command("node", "validate.cjs", port, base64.StdEncoding.EncodeToString(authority))
	node.Dir = dir
	in, err := node.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var problems strings.Builder
	node.Stderr = &problems
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewScanner(out)
	for i, m := range messages {
		var line json.RawMessage = []byte(m)
		compact, err := json.Marshal(line)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(in, string(compact)+"\n"); err != nil {
			t.Fatal(err)
		}
		if !answers.Scan() {
			break
		}
		if ok := answers.Text() == "ok"; ok != (i < good) {
			t.Errorf("message %d is answered %q: %s", i, answers.Text(), compact)
		}
	}
	in.Close()
	if err := node.Wait(); err != nil || problems.Len() > 0 {
		t.Errorf("node: %v\n%s", err, problems.String())
	}
}

// asAWS serves the cloud by TLS under the names that AWS's endpoints have, and returns the port and who vouches for it.
func (h *house) asAWS(t *testing.T) (port string, authority []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"sns.us-east-1.amazonaws.com"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(h.Cloud.Cloud)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	server.StartTLS()
	t.Cleanup(server.Close)
	_, port, _ = net.SplitHostPort(server.Listener.Addr().String())
	return port, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

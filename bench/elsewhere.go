package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// proxyHost is the name that the external key store proxy has for the server that uses it.
const proxyHost = "xks.example.com"

// elsewhere prints what keys cost that are not of one region alone, or whose material is in another cloud: beside a key of the same server, one call after the other.
func elsewhere(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "holdfast-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	proxy, err := startProxy(ctx, o, dir)
	if err != nil {
		return fmt.Errorf("starting an external key store proxy: %w", err)
	}
	defer proxy.end()
	s, err := startHoldfast(ctx, o.binary, "", "--xks-ca", filepath.Join(dir, "cert.pem"), "--xks-connect", proxyHost+"="+strings.TrimPrefix(proxy.url, "http://"))
	if err != nil {
		return err
	}
	defer s.end()
	local, replica, err := s.regional()
	if err != nil {
		return err
	}
	external, err := s.external(ctx, proxy)
	if err != nil {
		return fmt.Errorf("using an external key store: %w", err)
	}
	plaintext := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", 32)))
	ciphertext := func(key string) (string, error) {
		var out struct{ CiphertextBlob string }
		err := s.call("Encrypt", map[string]any{"KeyId": key, "Plaintext": plaintext}, &out)
		return out.CiphertextBlob, err
	}
	var all []*contender
	for _, c := range []struct{ name, key, operation string }{
		{"Decrypt, key of one region", local, "Decrypt"},
		{"Decrypt, replica of a multi-Region key", replica, "Decrypt"},
		{"Encrypt, key of one region", local, "Encrypt"},
		{"Encrypt, key in an external key store", external, "Encrypt"},
	} {
		in := map[string]any{"KeyId": c.key, "Plaintext": plaintext}
		if c.operation == "Decrypt" {
			blob, err := ciphertext(c.key)
			if err != nil {
				return err
			}
			in = map[string]any{"CiphertextBlob": blob}
		}
		body, err := json.Marshal(in)
		if err != nil {
			return err
		}
		m, err := s.sign(c.operation, body)
		if err != nil {
			return err
		}
		all = append(all, &contender{name: c.name, at: s, m: m})
	}
	if err := contest(ctx, all, 1, o.seconds); err != nil {
		return err
	}
	fmt.Printf("## Keys elsewhere\n\nOne connection that sends one request after the other. The external key store is another Holdfast on this machine, reached over TLS. A replica is to cost what a\nlocal key does, and the store at most 300 µs more.\n\n" +
		"| call | p50 | p99 | more than the row above | of the row above |\n| --- | ---: | ---: | ---: | ---: |\n")
	for i, c := range all {
		p50 := c.sum.quantile(.5)
		if i%2 == 0 {
			fmt.Printf("| %s | %s | %s | | |\n", c.name, short(p50), short(c.sum.quantile(.99)))
			continue
		}
		above := all[i-1].sum.quantile(.5)
		fmt.Printf("| %s | %s | %s | %d µs | %.2f |\n", c.name, short(p50), short(c.sum.quantile(.99)), (p50 - above).Microseconds(), p50.Seconds()/above.Seconds())
	}
	fmt.Println()
	return nil
}

// regional makes a key of this region alone, and a multi-Region one whose primary is in another.
func (s *server) regional() (local, replica string, err error) {
	var key struct {
		KeyMetadata struct{ Arn string }
	}
	if err := s.call("CreateKey", map[string]any{}, &key); err != nil {
		return "", "", err
	}
	local = key.KeyMetadata.Arn
	if err := s.call("CreateKey", map[string]any{"MultiRegion": true}, &key); err != nil {
		return "", "", err
	}
	replica = key.KeyMetadata.Arn
	if err := s.call("ReplicateKey", map[string]any{"KeyId": replica, "ReplicaRegion": "eu-west-1"}, nil); err != nil {
		return "", "", err
	}
	return local, replica, s.call("UpdatePrimaryRegion", map[string]any{"KeyId": replica, "PrimaryRegion": "eu-west-1"}, nil)
}

// proxy is a server that keeps the keys of another one.
type proxy struct {
	*server
	key        string          // its ID
	path       string          // of the proxy's API
	credential json.RawMessage // an XksProxyAuthenticationCredential
}

// startProxy makes a key and a credential, and starts the server again with a certificate, which lies in dir.
func startProxy(ctx context.Context, o options, dir string) (*proxy, error) {
	cert, key, err := certificate(dir)
	if err != nil {
		return nil, err
	}
	plain, err := startHoldfast(ctx, o.binary, "")
	if err != nil {
		return nil, err
	}
	defer plain.kill()
	var made struct{ KeyMetadata struct{ KeyId string } }
	if err := plain.call("CreateKey", map[string]any{}, &made); err != nil {
		return nil, err
	}
	policy := filepath.Join(dir, "policy.json")
	allow := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["kms-xks-proxy:*","kms:DescribeKey","kms:Encrypt","kms:Decrypt"],"Resource":"*"}}`
	if err := os.WriteFile(policy, []byte(allow), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, o.binary, "credentials", "--data", plain.dir, "--xks-proxy", "--user", "kms", "--policy", policy)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var told struct {
		XksProxyUriPath                  string
		XksProxyAuthenticationCredential json.RawMessage
	}
	if err := json.Unmarshal(out, &told); err != nil {
		return nil, err
	}
	plain.kill()
	s, err := startHoldfast(ctx, o.binary, plain.dir, "--tls-cert", cert, "--tls-key", key)
	if err != nil {
		return nil, err
	}
	return &proxy{s, made.KeyMetadata.KeyId, told.XksProxyUriPath, told.XksProxyAuthenticationCredential}, nil
}

// external makes a key in a key store whose material is in the proxy.
func (s *server) external(ctx context.Context, p *proxy) (key string, err error) {
	var store struct{ CustomKeyStoreId string }
	err = s.call("CreateCustomKeyStore", map[string]any{
		"CustomKeyStoreName": "bench", "CustomKeyStoreType": "EXTERNAL_KEY_STORE", "XksProxyConnectivity": "PUBLIC_ENDPOINT",
		"XksProxyUriEndpoint": "https://" + proxyHost, "XksProxyUriPath": p.path, "XksProxyAuthenticationCredential": p.credential,
	}, &store)
	if err != nil {
		return "", err
	}
	if err := s.call("ConnectCustomKeyStore", store, nil); err != nil {
		return "", err
	}
	for state := ""; state != "CONNECTED"; time.Sleep(50 * time.Millisecond) {
		var out struct {
			CustomKeyStores []struct{ ConnectionState, ConnectionErrorCode string }
		}
		if err := s.call("DescribeCustomKeyStores", store, &out); err != nil {
			return "", err
		}
		if state = out.CustomKeyStores[0].ConnectionState; state == "FAILED" || ctx.Err() != nil {
			return "", fmt.Errorf("the store is %s: %s", state, out.CustomKeyStores[0].ConnectionErrorCode)
		}
	}
	var made struct{ KeyMetadata struct{ Arn string } }
	err = s.call("CreateKey", map[string]any{"CustomKeyStoreId": store.CustomKeyStoreId, "Origin": "EXTERNAL_KEY_STORE", "XksKeyId": p.key}, &made)
	return made.KeyMetadata.Arn, err
}

// certificate makes a certificate for the proxy's name.
func certificate(dir string) (cert, key string, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{proxyHost}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return "", "", err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return "", "", err
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		return "", "", err
	}
	return cert, key, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600)
}

package secretsmanager_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/sigv4"
)

// BenchmarkGetSecretValue is to be held against BenchmarkDecrypt: it may take twice as long. Both are requests as they arrive, without the network.
func BenchmarkGetSecretValue(b *testing.B) {
	h := benchCloud(b)
	h.call("secretsmanager.CreateSecret", `{"Name":"prod/db","SecretString":"{\"username\":\"u\",\"password\":\"a password\"}","ClientRequestToken":"11111111-2222-4333-8444-555555555555"}`)
	h.run("secretsmanager.GetSecretValue", `{"SecretId":"prod/db"}`)
}

func BenchmarkDecrypt(b *testing.B) {
	h := benchCloud(b)
	var key struct{ KeyMetadata struct{ Arn string } }
	must(0, json.Unmarshal(h.call("TrentService.CreateKey", `{}`), &key))
	var out struct{ CiphertextBlob string }
	must(0, json.Unmarshal(h.call("TrentService.Encrypt", `{"KeyId":"`+key.KeyMetadata.Arn+`","Plaintext":"eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg=","EncryptionContext":{"a":"b","c":"d"}}`), &out))
	h.run("TrentService.Decrypt", `{"CiphertextBlob":"`+out.CiphertextBlob+`","EncryptionContext":{"a":"b","c":"d"}}`)
}

// benched is a cloud on disk that is measured.
type benched struct {
	b          *testing.B
	c          *cloud.Cloud
	id, secret string
}

func benchCloud(b *testing.B) *benched {
	c, err := cloud.Open(b.Context(), cloud.Config{Dir: b.TempDir(), AuditSync: 100 * time.Millisecond})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	id, secret, _, err := c.RootKey(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return &benched{b, c, id, secret}
}

func (h *benched) request(target, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:4566/", nil)
	r.RemoteAddr = "127.0.0.1:50000"
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", target)
	r.ContentLength = int64(len(body))
	service := "kms"
	if target[:7] == "secrets" {
		service = "secretsmanager"
	}
	sigv4.Sign(r, sigv4.Credentials{AccessKeyID: h.id, Secret: h.secret}, region, service, time.Now(), sigv4.PayloadHash([]byte(body)))
	return r
}

func (h *benched) call(target, body string) []byte {
	r := h.request(target, body)
	r.Body = io.NopCloser(bytes.NewReader([]byte(body)))
	w := httptest.NewRecorder()
	h.c.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		h.b.Fatalf("%s: %s", target, w.Body)
	}
	return w.Body.Bytes()
}

func (h *benched) run(target, body string) {
	r := h.request(target, body)
	h.b.ReportAllocs()
	for h.b.Loop() {
		r.Body = io.NopCloser(bytes.NewReader([]byte(body)))
		w := httptest.NewRecorder()
		h.c.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			h.b.Fatalf("%s: %s", target, w.Body)
		}
	}
}

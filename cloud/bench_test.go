package cloud_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/sigv4"
)

// BenchmarkEncrypt is an Encrypt call from its parsed HTTP request to its written answer: all of Holdfast, and nothing of net/http. The
// allocations are what an Encrypt costs.
func BenchmarkEncrypt(b *testing.B) {
	ctx := context.Background()
	c, err := cloud.Open(ctx, cloud.Config{Dir: b.TempDir(), AuditSync: 100 * time.Millisecond})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	id, secret, _, err := c.RootKey(ctx)
	if err != nil {
		b.Fatal(err)
	}
	request := func(operation, body string) *http.Request {
		r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:4566/", nil)
		r.RemoteAddr = "127.0.0.1:50000"
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", "TrentService."+operation)
		r.Header.Set("User-Agent", "aws-sdk-go-v2/1.48.0 ua/2.1 os/linux lang/go#1.26.8")
		r.ContentLength = int64(len(body))
		sigv4.Sign(r, sigv4.Credentials{AccessKeyID: id, Secret: secret}, "us-east-1", "kms", time.Now(), sigv4.PayloadHash([]byte(body)))
		return r
	}
	create := request("CreateKey", "{}")
	create.Body = io.NopCloser(bytes.NewReader([]byte("{}")))
	w := httptest.NewRecorder()
	c.ServeHTTP(w, create)
	var out struct{ KeyMetadata struct{ Arn string } }
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		b.Fatal(err)
	}
	body := []byte(`{"KeyId":"` + out.KeyMetadata.Arn + `","Plaintext":"eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg=","EncryptionContext":{"purpose":"bench"}}`)
	r := request("Encrypt", string(body))
	reader := bytes.NewReader(body)
	r.Body = io.NopCloser(reader)
	answer := &discard{header: make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(body)
		clear(answer.header)
		c.ServeHTTP(answer, r)
		if answer.status != http.StatusOK {
			b.Fatalf("status %d", answer.status)
		}
	}
}

// discard is a ResponseWriter that keeps the status only.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

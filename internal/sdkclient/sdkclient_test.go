package sdkclient_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/holdfast-cloud/holdfast/internal/sdkclient"
)

// transport is an HTTP client that does with a body what net/http's and the SDK do in the worst order: it sends all, the SDK closes, it asks for the end.
type transport struct {
	sent string
	end  error
}

func (c *transport) Do(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, r.ContentLength))
	if err != nil {
		return nil, err
	}
	c.sent = string(body)
	if err := r.Body.Close(); err != nil {
		return nil, err
	}
	_, c.end = io.Copy(io.Discard, r.Body)
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}}, Body: io.NopCloser(strings.NewReader(`{"KeyId":"k"}`))}, nil
}

func TestKeepConnections(t *testing.T) {
	cfg := sdkclient.Config("http://127.0.0.1:1", "us-east-1", aws.AnonymousCredentials{})
	var c transport
	cfg.HTTPClient = &c
	out, err := kms.NewFromConfig(cfg).Encrypt(t.Context(), &kms.EncryptInput{KeyId: aws.String("k"), Plaintext: []byte("x")})
	if err != nil || *out.KeyId != "k" || c.sent != `{"KeyId":"k","Plaintext":"eA=="}` {
		t.Fatalf("sent %s, got %+v: %v", c.sent, out, err)
	}
	if c.end != nil {
		t.Errorf("the body ends with %v: the connection would be closed", c.end)
	}
}

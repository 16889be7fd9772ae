package wire_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/api/xks"
	"github.com/holdfast-cloud/holdfast/wire"
)

func TestXKSRequest(t *testing.T) {
	p := wire.For(wire.XKS)
	in := &xks.EncryptRequest{
		ExternalKeyId:   new("a.key_1"),
		RequestMetadata: &xks.RequestMetadata{AwsPrincipalArn: new("arn:aws:iam::123456789012:user/Alice"), KmsKeyArn: new("k"), KmsOperation: new("Encrypt"), KmsRequestId: new("r")},
		Plaintext:       []byte("Hello World!"), EncryptionAlgorithm: "AES_GCM",
	}
	endpoint := &url.URL{Scheme: "https", Host: "xks.example.com", Path: "/eu-west-1"}
	req, body, err := p.EncodeRequest(xks.OpEncrypt, in, endpoint)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := req.Method+" "+req.URL.String(), "POST https://xks.example.com/eu-west-1/kms/xks/v1/keys/a.key_1/encrypt"; got != want {
		t.Errorf("the request is %s, want %s", got, want)
	}
	want := `{"requestMetadata":{"awsPrincipalArn":"arn:aws:iam::123456789012:user/Alice","kmsKeyArn":"k","kmsOperation":"Encrypt","kmsRequestId":"r"},` +
		`"plaintext":"SGVsbG8gV29ybGQh","encryptionAlgorithm":"AES_GCM"}`
	if string(body) != want {
		t.Errorf("its body is\n%s, want\n%s", body, want)
	}
	got, err := p.DecodeRequest(xks.OpEncrypt, &wire.Request{Method: "POST", Path: "/kms/xks/v1/keys/a.key_1/encrypt", Header: req.Header, Body: body})
	if diff := cmp.Diff(wire.Shape(in), got); err != nil || diff != "" {
		t.Errorf("read again: %v (-written +read)\n%s", err, diff)
	}
	if _, err := p.DecodeRequest(xks.OpEncrypt, &wire.Request{Method: "POST", Path: "/kms/xks/v1/keys/k/encrypt", Body: []byte(`{"plaintext":1}`)}); err == nil || !strings.HasPrefix(err.Error(), "ValidationException") {
		t.Errorf("a number as plaintext: %v, want a ValidationException", err)
	}
}

// TestXKSErrors has each error go from the server to the client.
func TestXKSErrors(t *testing.T) {
	p := wire.For(wire.XKS)
	long := strings.Repeat("é\n", 300)
	for _, tt := range []struct {
		name   string
		err    error
		status int
		body   string
		want   error
	}{
		{"Modelled", &xks.KeyNotFoundException{Message: "no such key"}, 404, `{"errorName":"KeyNotFoundException","errorMessage":"no such key"}`, &xks.KeyNotFoundException{Message: "no such key"}},
		{"WithoutMessage", &xks.ThrottlingException{}, 429, `{"errorName":"ThrottlingException"}`, &xks.ThrottlingException{}},
		{"OfAnotherOperation", &xks.InvalidCiphertextException{Message: "m"}, 400, `{"errorName":"InvalidCiphertextException","errorMessage":"m"}`,
			&wire.Error{Code: "InvalidCiphertextException", Status: 400, Message: "m"}},
		{"Plain", &wire.Error{Code: "AuthenticationFailedException", Status: 401, Message: "no"}, 401, `{"errorName":"AuthenticationFailedException","errorMessage":"no"}`,
			&xks.AuthenticationFailedException{Message: "no"}},
		{"Unprintable", &xks.InternalException{Message: long}, 500, `{"errorName":"InternalException","errorMessage":"` + strings.Repeat("?", 511) + `"}`,
			&xks.InternalException{Message: strings.Repeat("?", 511)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var resp wire.Response
			p.EncodeError(xks.Service, xks.OpEncrypt, tt.err, "id", &resp)
			if resp.Status != tt.status || string(resp.Body) != tt.body {
				t.Errorf("answered %d %s, want %d %s", resp.Status, resp.Body, tt.status, tt.body)
			}
			_, err := p.DecodeResponse(xks.OpEncrypt, &http.Response{StatusCode: resp.Status, Header: resp.Header, Body: io.NopCloser(bytes.NewReader(resp.Body))})
			if diff := cmp.Diff(tt.want, err); diff != "" {
				t.Errorf("read (-want +got):\n%s", diff)
			}
		})
	}
	for _, body := range []string{"", "<html>", `{"errorName":1}`, `{"errorName":"X"`, `[]`, `{"errorMessage":"m"}`} {
		_, err := p.DecodeResponse(xks.OpEncrypt, &http.Response{StatusCode: 502, Body: io.NopCloser(strings.NewReader(body))})
		if e, ok := errors.AsType[*wire.Error](err); !ok || e.Code != "UnknownError" || e.Status != 502 {
			t.Errorf("%s read as %v, want UnknownError", body, err)
		}
	}
}

func FuzzXKS(f *testing.F) {
	p := wire.For(wire.XKS)
	f.Add([]byte(`{"requestMetadata":{"kmsOperation":"Encrypt"},"plaintext":"SGVsbG8gV29ybGQh","encryptionAlgorithm":"AES_GCM"}`))
	f.Add([]byte(`{"errorName":"KeyNotFoundException","errorMessage":"m"}`))
	f.Add([]byte(`{"errorName":"KeyNotFoundException","errorMessage":1}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, op := range xks.Operations() {
			_, _ = p.DecodeRequest(op, &wire.Request{Method: "POST", Path: "/kms/xks/v1/x", Labels: map[string]string{"externalKeyId": "k"}, Body: body})
			for _, status := range []int{200, 400} {
				_, _ = p.DecodeResponse(op, &http.Response{StatusCode: status, Body: io.NopCloser(bytes.NewReader(body))})
			}
		}
	})
}

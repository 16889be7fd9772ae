package xks_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/holdfast-cloud/holdfast/api/xks"
	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/remote"
	"github.com/holdfast-cloud/holdfast/sigv4"
)

// TestRefusals has requests refused before they reach the service, each in the words of the API.
func TestRefusals(t *testing.T) {
	h := build(t)
	good := h.transport(h.User(h.Account, "proxy", full), "").Credentials
	body := `{"requestMetadata":{"kmsRequestId":"r","kmsOperation":"KmsHealthCheck"}}`
	now := time.Now()
	for _, tt := range []struct {
		name, method, path, body, service string
		credentials                       sigv4.Credentials
		at                                time.Time
		status                            int
		code                              string
	}{
		{"OK", "POST", "/kms/xks/v1/health", body, "kms-xks-proxy", good, now, 200, ""},
		{"OKInARegion", "POST", "/eu-central-1/kms/xks/v1/health", body, "kms-xks-proxy", good, now, 200, ""},
		{"MoreThanIsKnown", "POST", "/kms/xks/v1/health", `{"requestMetadata":{"kmsRequestId":"r","kmsOperation":"New","future":{"a":[1]}},"b":2}`, "kms-xks-proxy", good, now, 200, ""},
		{"Unsigned", "POST", "/kms/xks/v1/health", body, "", good, now, 401, "AuthenticationFailedException"},
		{"OtherService", "POST", "/kms/xks/v1/health", body, "execute-api", good, now, 0, ""},
		{"UnknownKey", "POST", "/kms/xks/v1/health", body, "kms-xks-proxy", sigv4.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", Secret: good.Secret}, now, 401, "AuthenticationFailedException"},
		{"WrongSecret", "POST", "/kms/xks/v1/health", body, "kms-xks-proxy", sigv4.Credentials{AccessKeyID: good.AccessKeyID, Secret: "x"}, now, 401, "AuthenticationFailedException"},
		{"Old", "POST", "/kms/xks/v1/health", body, "kms-xks-proxy", good, now.Add(-6 * time.Minute), 401, "AuthenticationFailedException"},
		{"FromTheFuture", "POST", "/kms/xks/v1/health", body, "kms-xks-proxy", good, now.Add(6 * time.Minute), 401, "AuthenticationFailedException"},
		{"OtherPath", "POST", "/kms/xks/v1/nothing", body, "kms-xks-proxy", good, now, 404, "InvalidUriPathException"},
		{"OtherVersion", "POST", "/kms/xks/v2/health", body, "kms-xks-proxy", good, now, 404, "InvalidUriPathException"},
		{"NoRegion", "POST", "/nowhere/kms/xks/v1/health", body, "kms-xks-proxy", good, now, 404, "InvalidUriPathException"},
		{"OtherPartition", "POST", "/cn-north-1/kms/xks/v1/health", body, "kms-xks-proxy", good, now, 404, "InvalidUriPathException"},
		{"LongPrefix", "POST", "/a/b/kms/xks/v1/health", body, "kms-xks-proxy", good, now, 404, "InvalidUriPathException"},
		{"Dots", "POST", "/kms/xks/v1/x/../health", body, "kms-xks-proxy", good, now, 404, "InvalidUriPathException"},
		{"Get", "GET", "/kms/xks/v1/health", "", "kms-xks-proxy", good, now, 405, "InvalidUriPathException"},
		{"GetUnsigned", "GET", "/kms/xks/v1/keys/x/encrypt", "", "", good, now, 405, "InvalidUriPathException"},
		{"NoJSON", "POST", "/kms/xks/v1/health", "{", "kms-xks-proxy", good, now, 400, "ValidationException"},
		{"WrongType", "POST", "/kms/xks/v1/health", `{"requestMetadata":1}`, "kms-xks-proxy", good, now, 400, "ValidationException"},
		{"NoMetadata", "POST", "/kms/xks/v1/health", "{}", "kms-xks-proxy", good, now, 400, "ValidationException"},
		{"Empty", "POST", "/kms/xks/v1/health", "", "kms-xks-proxy", good, now, 400, "ValidationException"},
		{"NoBase64", "POST", "/kms/xks/v1/keys/x/encrypt", `{"plaintext":"*"}`, "kms-xks-proxy", good, now, 400, "ValidationException"},
		{"TooLarge", "POST", "/kms/xks/v1/health", `{"a":"` + strings.Repeat("x", 64<<10) + `"}`, "kms-xks-proxy", good, now, 501, "UnsupportedOperationException"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), tt.method, h.URL+tt.path, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/json")
			if tt.service != "" {
				sigv4.Sign(r, tt.credentials, "us-east-2", tt.service, tt.at, sigv4.PayloadHash([]byte(tt.body)))
			}
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			text, _ := io.ReadAll(resp.Body)
			switch {
			case tt.status == 0 && resp.StatusCode >= 400 && resp.StatusCode < 600: // of no service that is here
			case resp.StatusCode != tt.status, tt.code != "" && !strings.HasPrefix(string(text), `{"errorName":"`+tt.code+`"`), resp.Header.Get("Content-Type") != "application/json":
				t.Errorf("answered %d %v %s, want %d %s", resp.StatusCode, resp.Header, text, tt.status, tt.code)
			}
		})
	}
}

// The path says which region's keys are meant, and otherwise the signature does.
func TestRegions(t *testing.T) {
	h := build(t)
	cfg := h.Config()
	cfg.Region = "eu-central-1"
	there := kms.NewFromConfig(cfg)
	out, err := there.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	user := h.User(h.Account, "proxy", full)
	for _, tt := range []struct{ path, signed, want string }{
		{"/eu-central-1", "us-east-2", ""}, {"", "eu-central-1", ""}, {"/eu-central-1", "eu-central-1", ""}, {"/eu-central-1", "us-gov-west-1", ""}, {"/eu-central-1", "cn-north-1", ""},
		{"", "cn-north-1", "AuthenticationFailedException"},
		{"", "us-east-1", "KeyNotFoundException"}, {"/us-east-1", "eu-central-1", "KeyNotFoundException"},
	} {
		tr := h.transport(user, tt.path)
		tr.Region = tt.signed
		client := xks.Client{Transport: tr}
		made, err := client.Encrypt(nil, encryption(*out.KeyMetadata.KeyId, "hello", ""))
		if code(err) != tt.want {
			t.Errorf("at %q signed for %s: %v, want %q", tt.path, tt.signed, err, tt.want)
		}
		if err != nil {
			continue
		}
		if again, err := client.Decrypt(nil, decryption(*out.KeyMetadata.KeyId, made, "")); err != nil || string(again.Plaintext) != "hello" {
			t.Errorf("Decrypt = %v, %v", again, err)
		}
	}
}

// A process with some regions has a proxy for the keys of those, whatever region the KMS is in that calls, and for no others.
func TestRegionsElsewhere(t *testing.T) {
	h := build(t, func(c *cloud.Config) {
		c.Peers = &remote.PeersConfig{Secret: []byte("a secret of the cloud, which nobody can guess"), Peers: map[string]*url.URL{"eu-central-1": {Scheme: "http", Host: "127.0.0.1:1"}}}
	})
	user := h.User(h.Account, "proxy", full)
	for _, tt := range []struct{ path, signed, want string }{
		{"/us-east-1", "us-east-1", ""}, {"/us-east-1", "eu-central-1", ""}, {"/us-east-1", "ap-south-1", ""},
		{"/eu-central-1", "us-east-1", "InvalidUriPathException"}, {"/eu-central-1", "eu-central-1", "InvalidUriPathException"}, {"", "eu-central-1", "AuthenticationFailedException"},
	} {
		tr := h.transport(user, tt.path)
		tr.Region = tt.signed
		_, err := xks.Client{Transport: tr}.GetHealthStatus(nil, &xks.GetHealthStatusRequest{RequestMetadata: &xks.HealthRequestMetadata{KmsOperation: new("KmsHealthCheck"), KmsRequestId: new("r")}})
		if code(err) != tt.want {
			t.Errorf("at %q signed for %s: %v, want %q", tt.path, tt.signed, err, tt.want)
		}
	}
}

package xksproxy

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/api/xks"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/remote"
	"github.com/holdfast-cloud/holdfast/sigv4"
)

// late answers when the caller has gone away.
type late struct{}

func (late) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return &http.Response{StatusCode: http.StatusOK, Header: make(http.Header), Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
}

func TestLateAnswer(t *testing.T) {
	tr := &Transport{limit: time.Millisecond, Transport: remote.Transport{
		Endpoint: &url.URL{Scheme: "https", Host: "example.com"}, Credentials: sigv4.Credentials{AccessKeyID: "ABCDEFGHIJKLMNOPQRST", Secret: "secret"},
		Signer: new(sigv4.Signer), HTTP: &http.Client{Transport: late{}},
	}}
	out, err := xks.Client{Transport: tr}.GetHealthStatus(&call.Call{Context: t.Context(), Scope: call.Scope{Region: "us-east-1"}},
		&xks.GetHealthStatusRequest{RequestMetadata: &xks.HealthRequestMetadata{KmsOperation: new("Test"), KmsRequestId: new("id")}})
	if e, ok := errors.AsType[*Error](err); !ok || e.Kind != TimedOut {
		t.Errorf("got %v, %v, want that it timed out", out, err)
	}
}

package sigv4_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/sigv4"
)

// A header is covered once. Each more would be another copy of its value to hash, before anything was verified.
func TestSignedHeadersRepeat(t *testing.T) {
	for names, want := range map[string]sigv4.Kind{
		"host;x-amz-date":                           0,
		"x-amz-date;host":                           0, // nobody sends it, and it does no harm
		"host;host;x-amz-date":                      sigv4.Incomplete,
		"host;x-amz-date;host":                      sigv4.Incomplete,
		"host;x-amz-date" + strings.Repeat(";a", 9): sigv4.Incomplete,
	} {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("X-Amz-Date", "20260102T030405Z")
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/us-east-1/kms/aws4_request, SignedHeaders="+names+", Signature="+strings.Repeat("0", 64))
		if _, err := sigv4.Parse(r); sigv4.KindOf(err) != want {
			t.Errorf("Parse with %s: %v, want kind %d", names, err, want)
		}
	}
}

// Each checksum that is announced costs one pass over the body.
func TestAnnouncedTrailersAreFew(t *testing.T) {
	r := httptest.NewRequest("PUT", "/", strings.NewReader("4\r\nnote\r\n0\r\n\r\n"))
	r.Header.Set("X-Amz-Trailer", strings.Repeat("x-amz-checksum-sha256,", 1000))
	_, err := sigv4.Decode(r, &sigv4.Authorization{Payload: sigv4.PayloadUnsignedTrailer, PayloadHash: sigv4.StreamingUnsigned, DecodedLength: 4})
	if sigv4.KindOf(err) != sigv4.BadTrailer {
		t.Errorf("Decode: %v, want BadTrailer", err)
	}
}

// Some clients presign with Version 2 unless they are told otherwise. They are told, and not taken for nobody.
func TestVersion2(t *testing.T) {
	for query, want := range map[string]sigv4.Kind{
		"AWSAccessKeyId=AKIDEXAMPLE&Signature=c2lnbmF0dXJl&Expires=1795742294": sigv4.UnsupportedScheme,
		"AWSAccessKeyId=AKIDEXAMPLE": sigv4.Anonymous,
		"":                           sigv4.Anonymous,
	} {
		if _, err := sigv4.Parse(httptest.NewRequest("GET", "/bucket/key?"+query, nil)); sigv4.KindOf(err) != want {
			t.Errorf("Parse with %q: %v, want kind %d", query, err, want)
		}
	}
}

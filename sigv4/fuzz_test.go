package sigv4_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/sigv4"
)

// FuzzParse takes signatures from anywhere. Whatever parses must not verify: nobody here has the secret.
func FuzzParse(f *testing.F) {
	const header = "AWS4-HMAC-SHA256 Credential=AKID/20260102/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + seed
	f.Add(header, "/", "", "20260102T030405Z", sigv4.UnsignedPayload)
	f.Add(strings.Replace(header, "s3", "kms", 1), "//a/../%2F/%zz/..", "b=%&a=%41&&=;+", "20260102T030405Z", "")
	f.Add("", "/", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A/20260102/r/s/aws4_request&X-Amz-Date=20260102T030405Z&X-Amz-SignedHeaders=host;;%0A&X-Amz-Signature=0&X-Amz-Expires=1", "", "")
	f.Add("AWS4-HMAC-SHA256 Credential=//// SignedHeaders=host;content-length;transfer-encoding Signature=,", "*", "", "Fri, 02 Jan 2026 03:04:05 GMT", "x")
	var v sigv4.Verifier
	f.Fuzz(func(t *testing.T, authorization, path, query, date, hash string) {
		r := &http.Request{Method: "POST", Host: "h", RequestURI: path, URL: &url.URL{Path: path, RawQuery: query}, Header: http.Header{}}
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		r.Header.Set("X-Amz-Date", date)
		r.Header.Set("X-Amz-Content-Sha256", hash)
		r.Header.Set("X-Amz-Decoded-Content-Length", "1")
		a, err := sigv4.Parse(r)
		if (a == nil) == (err == nil) || err != nil && sigv4.KindOf(err) == 0 {
			t.Fatalf("Parse: got %v, %v", a, err)
		}
		if err != nil {
			return
		}
		if a.Check(sigv4.Expect{Now: a.RequestTime}) != nil {
			return
		}
		if a.Payload.Streaming() {
			_, err = v.VerifyStream(r, a, "secret")
		} else {
			err = v.Verify(r, a, "secret", nil)
		}
		if sigv4.KindOf(err) == 0 {
			t.Fatalf("Verify: got %v", err)
		}
	})
}

// FuzzBody reads framing from anywhere. A body that is accepted has the length it was announced with.
func FuzzBody(f *testing.F) {
	f.Add("9\r\n123456789\r\n0\r\nx-amz-checksum-crc32:y/Q5Jg==\r\n\r\n", int64(9), sigv4.StreamingUnsigned)
	f.Add("4;chunk-signature=ab\r\nabcd\r\n0;chunk-signature=cd\r\n\r\n", int64(4), sigv4.StreamingPayload)
	f.Add("1;chunk-signature=ab\r\na\r\n0;chunk-signature=cd\r\nx-amz-checksum-crc32:6Le+Qw==\r\nx-amz-trailer-signature:ef\r\n", int64(1), sigv4.StreamingSignedTrailer)
	f.Add("0;chunk-signature=\r\n\r\n", int64(0), sigv4.StreamingPayload)
	f.Fuzz(func(t *testing.T, body string, length int64, payload string) {
		r := httptest.NewRequest("PUT", "/", strings.NewReader(body))
		r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32")
		a := &sigv4.Authorization{DecodedLength: length, PayloadHash: payload}
		switch payload {
		case sigv4.StreamingPayload:
			a.Payload = sigv4.PayloadChunks
		case sigv4.StreamingSignedTrailer:
			a.Payload = sigv4.PayloadChunksTrailer
		default:
			a.Payload = sigv4.PayloadUnsignedTrailer
		}
		b, err := sigv4.Decode(r, a)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, b)
		if err == nil && n != length || err != nil && sigv4.KindOf(err) == 0 {
			t.Fatalf("got %d bytes of %d, %v", n, length, err)
		}
	})
}

func TestManyKeysAtOnce(t *testing.T) {
	var v sigv4.Verifier
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 300 {
				secret := strings.Repeat("s", 1+i%150) + string(rune('a'+g%2))
				at := sdkTime.AddDate(0, 0, i)
				r := httptest.NewRequest("GET", "/", nil)
				sigv4.Sign(r, sigv4.Credentials{AccessKeyID: "AKID", Secret: secret}, "us-east-1", "kms", at, sigv4.EmptyPayload)
				if err := verify(&v, r, sigv4.Expect{Now: at}, secret, ""); err != nil {
					t.Error(err)
				}
				if err := verify(&v, r, sigv4.Expect{Now: at}, secret+"x", ""); sigv4.KindOf(err) != sigv4.Mismatch {
					t.Errorf("other secret: got %v", err)
				}
			}
		})
	}
	wg.Wait()
}

func benchmarkRequest() (*http.Request, []byte) {
	body := []byte(`{"KeyId":"alias/example","Plaintext":"aGVsbG8gd29ybGQ=","EncryptionContext":{"purpose":"benchmark"}}`)
	r := httptest.NewRequest("POST", "/", nil)
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "TrentService.Encrypt")
	r.Header.Set("Amz-Sdk-Invocation-Id", "6b3a0c9e-8f0a-4a7e-9f0e-2d5b7d1c3e4f")
	r.Header.Set("Amz-Sdk-Request", "attempt=1; max=3")
	r.ContentLength = int64(len(body))
	sigv4.Sign(r, suiteCredentials, "us-east-1", "kms", sdkTime, sigv4.PayloadHash(body))
	return r, body
}

// BenchmarkVerify is everything a call pays: Parse, Check and Verify of a KMS request as the SDK sends it.
func BenchmarkVerify(b *testing.B) {
	r, body := benchmarkRequest()
	want := sigv4.Expect{Now: sdkTime.Add(time.Second), Region: "us-east-1", Service: "kms"}
	var v sigv4.Verifier
	b.ReportAllocs()
	for b.Loop() {
		a, err := sigv4.Parse(r)
		if err != nil {
			b.Fatal(err)
		}
		if err := a.Check(want); err != nil {
			b.Fatal(err)
		}
		if err := v.Verify(r, a, suiteCredentials.Secret, body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyParallel(b *testing.B) {
	r, body := benchmarkRequest()
	want := sigv4.Expect{Now: sdkTime, Region: "us-east-1", Service: "kms"}
	var v sigv4.Verifier
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			a, _ := sigv4.Parse(r)
			if err := a.Check(want); err != nil {
				b.Fatal(err)
			}
			if err := v.Verify(r, a, suiteCredentials.Secret, body); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	r, _ := benchmarkRequest()
	b.ReportAllocs()
	for b.Loop() {
		sigv4.Parse(r)
	}
}

func BenchmarkSign(b *testing.B) {
	r, body := benchmarkRequest()
	hash := sigv4.PayloadHash(body)
	b.ReportAllocs()
	for b.Loop() {
		sigv4.Sign(r, suiteCredentials, "us-east-1", "kms", sdkTime, hash)
	}
}

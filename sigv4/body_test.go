package sigv4_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/holdfast-cloud/holdfast/sigv4"
)

// The example of "Signature calculation: transferring a payload in multiple chunks" in the S3 API reference,
// without and with trailing headers.
const (
	s3Secret   = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	seed       = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
	seedTrail  = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
	streamTail = "0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
	sumLine    = "x-amz-checksum-crc32c:sOO8/Q==\r\n"
	sumSigned  = "x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n"
)

var (
	stream = "10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" + strings.Repeat("a", 65536) + "\r\n" +
		"400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" + strings.Repeat("a", 1024) + "\r\n"
	streamTrail = "10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n" + strings.Repeat("a", 65536) + "\r\n" +
		"400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n" + strings.Repeat("a", 1024) + "\r\n" +
		"0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n"
)

func s3Example(payload, signature, body string) *http.Request {
	r := httptest.NewRequest("PUT", "https://s3.amazonaws.com/examplebucket/chunkObject.txt", strings.NewReader(body))
	r.Header.Set("X-Amz-Date", "20130524T000000Z")
	r.Header.Set("X-Amz-Storage-Class", "REDUCED_REDUNDANCY")
	r.Header.Set("X-Amz-Content-Sha256", payload)
	r.Header.Set("Content-Encoding", "aws-chunked")
	r.Header.Set("X-Amz-Decoded-Content-Length", "66560")
	signed := "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class"
	if payload != sigv4.StreamingPayload {
		r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32c")
		signed = strings.Replace(signed, "content-length;", "", 1) + ";x-amz-trailer"
	} else {
		r.Header.Set("Content-Length", "66824")
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders="+signed+",Signature="+signature)
	return r
}

func readStream(t *testing.T, r *http.Request, at time.Time, secret string) ([]byte, *sigv4.Body, error) {
	t.Helper()
	a, err := sigv4.Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Check(sigv4.Expect{Now: at, Region: "us-east-1", Service: "s3"}); err != nil {
		t.Fatal(err)
	}
	var v sigv4.Verifier
	if err := v.Verify(r, a, secret, nil); err == nil || sigv4.KindOf(err) != 0 {
		t.Errorf("Verify of a streaming body: got %v, want a plain error", err)
	}
	b, err := v.VerifyStream(r, a, secret)
	if err != nil {
		return nil, nil, err
	}
	data, err := io.ReadAll(b)
	return data, b, err
}

func TestPublishedStream(t *testing.T) {
	for _, c := range []struct {
		outcome, payload, seed, body string
		kind                         sigv4.Kind
	}{
		{"OK", sigv4.StreamingPayload, seed, stream + streamTail, 0},
		{"WrongSeed", sigv4.StreamingPayload, seedTrail, stream + streamTail, sigv4.Mismatch},
		{"AlteredData", sigv4.StreamingPayload, seed, strings.Replace(stream, "aaaa", "aaba", 1) + streamTail, sigv4.Mismatch},
		{"AlteredLastData", sigv4.StreamingPayload, seed, strings.TrimSuffix(stream, "a\r\n") + "b\r\n" + streamTail, sigv4.Mismatch},
		{"AlteredLastSignature", sigv4.StreamingPayload, seed, stream + strings.Replace(streamTail, "b6", "b7", 1), sigv4.Mismatch},
		{"NoSignature", sigv4.StreamingPayload, seed, "10000\r\n" + strings.Repeat("a", 65536), sigv4.BadChunk},
		{"CutInChunk", sigv4.StreamingPayload, seed, stream[:1000], sigv4.BadChunk},
		{"CutBetweenChunks", sigv4.StreamingPayload, seed, stream, sigv4.BadChunk},
		{"CutBeforeEnd", sigv4.StreamingPayload, seed, stream + streamTail[:len(streamTail)-2], sigv4.BadChunk},
		{"DroppedChunk", sigv4.StreamingPayload, seed, stream[:strings.Index(stream, "400;")] + streamTail, sigv4.Mismatch},
		{"More", sigv4.StreamingPayload, seed, stream + streamTail + "x", sigv4.BadChunk},
		{"TooLong", sigv4.StreamingPayload, seed, "10401;chunk-signature=" + seed + "\r\n", sigv4.BadChunk},
		{"NegativeSize", sigv4.StreamingPayload, seed, "-1;chunk-signature=" + seed + "\r\n", sigv4.BadChunk},
		{"HugeSize", sigv4.StreamingPayload, seed, "ffffffffffffffff;chunk-signature=" + seed + "\r\n", sigv4.BadChunk},
		{"EndlessLine", sigv4.StreamingPayload, seed, strings.Repeat("0", 100000), sigv4.BadChunk},
		{"TrailerOK", sigv4.StreamingSignedTrailer, seedTrail, streamTrail + sumLine + sumSigned, 0},
		{"TrailerBreakOK", sigv4.StreamingSignedTrailer, seedTrail, streamTrail + sumLine + sumSigned + "\r\n", 0},
		{"TrailerAltered", sigv4.StreamingSignedTrailer, seedTrail, streamTrail + strings.Replace(sumLine, "/Q", "/R", 1) + sumSigned, sigv4.Mismatch},
		{"TrailerUnsigned", sigv4.StreamingSignedTrailer, seedTrail, streamTrail + sumLine + "\r\n", sigv4.Mismatch},
		{"TrailerMissing", sigv4.StreamingSignedTrailer, seedTrail, streamTrail + "\r\n", sigv4.Mismatch},
	} {
		t.Run(c.outcome, func(t *testing.T) {
			at := time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
			data, b, err := readStream(t, s3Example(c.payload, c.seed, c.body), at, s3Secret)
			if sigv4.KindOf(err) != c.kind {
				t.Fatalf("got %v, want kind %d", err, c.kind)
			}
			if err != nil {
				return
			}
			if string(data) != strings.Repeat("a", 66560) {
				t.Errorf("got %d bytes", len(data))
			}
			if got := b.Trailer().Get("X-Amz-Checksum-Crc32c"); c.payload == sigv4.StreamingSignedTrailer && got != "sOO8/Q==" {
				t.Errorf("trailer: got %q", got)
			}
		})
	}
}

// The check values are those of the CRC catalogue and of FIPS 180, for "123456789".
var checkValues = map[string]string{
	"x-amz-checksum-crc32":     "cbf43926",
	"x-amz-checksum-crc32c":    "e3069283",
	"x-amz-checksum-crc64nvme": "ae8b14860a799888",
	"x-amz-checksum-sha1":      "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
	"x-amz-checksum-sha256":    "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
}

func TestUnsignedTrailer(t *testing.T) {
	for name, value := range checkValues {
		raw, _ := hex.DecodeString(value)
		sum := base64.StdEncoding.EncodeToString(raw)
		wrong := base64.StdEncoding.EncodeToString(make([]byte, len(raw)))
		for _, c := range []struct {
			outcome, announced, body string
			kind                     sigv4.Kind
		}{
			{"OK", name, "4\r\n1234\r\n5\r\n56789\r\n0\r\n" + name + ":" + sum + "\r\n\r\n", 0},
			{"BadChecksum", name, "9\r\n123456789\r\n0\r\n" + name + ":" + wrong + "\r\n\r\n", sigv4.BadChecksum},
			{"AlteredData", name, "9\r\n123456780\r\n0\r\n" + name + ":" + sum + "\r\n\r\n", sigv4.BadChecksum},
			{"NotSent", name, "9\r\n123456789\r\n0\r\n\r\n", sigv4.BadTrailer},
			{"NotAnnounced", "", "9\r\n123456789\r\n0\r\n" + name + ":" + sum + "\r\n\r\n", sigv4.BadTrailer},
			{"Twice", name, "9\r\n123456789\r\n0\r\n" + name + ":" + sum + "\r\n" + name + ":" + sum + "\r\n\r\n", sigv4.BadTrailer},
			{"NoColon", name, "9\r\n123456789\r\n0\r\n" + name + "\r\n\r\n", sigv4.BadTrailer},
			{"ShortBody", name, "8\r\n12345678\r\n0\r\n" + name + ":" + sum + "\r\n\r\n", sigv4.BadChunk},
		} {
			t.Run(name+"/"+c.outcome, func(t *testing.T) {
				r := httptest.NewRequest("PUT", "/bucket/key", iotest.OneByteReader(strings.NewReader(c.body)))
				r.Header.Set("X-Amz-Decoded-Content-Length", "9")
				if c.announced != "" {
					r.Header.Set("X-Amz-Trailer", c.announced)
				}
				sigv4.Sign(r, suiteCredentials, "us-east-1", "s3", sdkTime, sigv4.StreamingUnsigned)
				data, _, err := readStream(t, r, sdkTime, suiteCredentials.Secret)
				if sigv4.KindOf(err) != c.kind || err == nil && string(data) != "123456789" {
					t.Errorf("got %q, %v, want kind %d", data, err, c.kind)
				}
			})
		}
	}
}

// chunked signs data in chunks, for bodies of any shape.
func chunked(seed, date, secret, data string, size int) string {
	key := []byte("AWS4" + secret)
	for _, part := range []string{date[:8], "us-east-1", "s3", "aws4_request"} {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(part))
		key = m.Sum(nil)
	}
	var out strings.Builder
	for previous := seed; ; {
		n := min(size, len(data))
		m := hmac.New(sha256.New, key)
		fmt.Fprintf(m, "AWS4-HMAC-SHA256-PAYLOAD\n%s\n%s/us-east-1/s3/aws4_request\n%s\n%s\n%x", date, date[:8], previous, sigv4.EmptyPayload, sha256.Sum256([]byte(data[:n])))
		previous = hex.EncodeToString(m.Sum(nil))
		fmt.Fprintf(&out, "%x;chunk-signature=%s\r\n%s\r\n", n, previous, data[:n])
		if data = data[n:]; n == 0 {
			return out.String()
		}
	}
}

func TestChunkSizes(t *testing.T) {
	data := strings.Repeat("0123456789abcdef", 1000)
	for _, n := range []int{0, 1, 4095, 4096, 16000} {
		for _, size := range []int{1, 100, 4096, 8192, 20000} {
			if size == 1 && n > 1 {
				continue
			}
			r := httptest.NewRequest("PUT", "/bucket/key", nil)
			r.Header.Set("X-Amz-Decoded-Content-Length", strconv.Itoa(n))
			sigv4.Sign(r, suiteCredentials, "us-east-1", "s3", sdkTime, sigv4.StreamingPayload)
			a, err := sigv4.Parse(r)
			if err != nil {
				t.Fatal(err)
			}
			r.Body = io.NopCloser(iotest.HalfReader(strings.NewReader(chunked(a.Signature, sdkTime.Format(sigv4.TimeFormat), suiteCredentials.Secret, data[:n], size))))
			got, _, err := readStream(t, r, sdkTime, suiteCredentials.Secret)
			if err != nil || string(got) != data[:n] {
				t.Errorf("%d bytes in chunks of %d: got %d bytes, %v", n, size, len(got), err)
			}
		}
	}
}

// Without a secret the framing and the checksums are still looked after.
func TestDecode(t *testing.T) {
	r := s3Example(sigv4.StreamingSignedTrailer, seed, streamTrail+sumLine+sumSigned)
	a, err := sigv4.Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	b, err := sigv4.Decode(r, a)
	if err != nil {
		t.Fatal(err)
	}
	if data, err := io.ReadAll(b); err != nil || len(data) != 66560 {
		t.Errorf("got %d bytes, %v", len(data), err)
	}
}

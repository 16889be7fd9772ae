package s3_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/sigv4"
)

// onDisk is a house whose bytes lie in files.
func onDisk(t *testing.T) (h *house, dir string) {
	t.Helper()
	dir = t.TempDir()
	c := cloudtest.Start(t, func(cfg *cloud.Config) { cfg.Dir = dir })
	h = &house{c, client(c.Config()), t}
	must(h.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(bucketName)}))(t)
	return h, dir
}

// files counts what lies in the blob store, below the prefix of objects.
func files(t *testing.T, dir string) (n int) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(dir, "blob"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(path, string(filepath.Separator)+"s3"+string(filepath.Separator)) {
			n++
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// noise is a long body that is not in memory. It remembers how large the heap was at most while it was read.
type noise struct {
	size, at int64
	heap     uint64
}

func (n *noise) Read(p []byte) (int, error) {
	if n.at == n.size {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), n.size-n.at, 64<<10-n.at%(64<<10))]
	block := rand.NewChaCha8([32]byte{byte(n.at >> 16), byte(n.at >> 24)})
	if n.at%(64<<10) != 0 {
		io.CopyN(io.Discard, block, n.at%(64<<10))
	}
	block.Read(p)
	if n.at += int64(len(p)); n.at%(4<<20) == 0 {
		runtime.GC() // what is garbage does not count
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		n.heap = max(n.heap, m.HeapAlloc)
	}
	return len(p), nil
}

func (n *noise) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
		n.at = offset
	case io.SeekCurrent:
		n.at += offset
	case io.SeekEnd:
		n.at = n.size + offset
	}
	return n.at, nil
}

// A large object goes in and comes out, as the SDK sends it over TLS and without, and is never in memory as a whole.
func TestLargeObject(t *testing.T) {
	h, dir := onDisk(t)
	server := httptest.NewTLSServer(h.Cloud)
	defer server.Close()
	secure := h.Config()
	secure.BaseEndpoint, secure.HTTPClient = &server.URL, server.Client()
	const size = 64 << 20
	for name, c := range map[string]*s3.Client{"TLS": client(secure), "Plain": h.Client} {
		t.Run(name, func(t *testing.T) {
			runtime.GC()
			var before runtime.MemStats
			runtime.ReadMemStats(&before)
			body := &noise{size: size}
			must(c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucketName), Key: aws.String("large"), Body: body}))(t)
			out := must(c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucketName), Key: aws.String("large")}))(t)
			defer out.Body.Close()
			want, got := sha256.New(), sha256.New()
			io.Copy(want, &noise{size: size})
			if n, err := io.Copy(got, out.Body); err != nil || n != size || !bytes.Equal(want.Sum(nil), got.Sum(nil)) {
				t.Errorf("%d bytes came back, %v", n, err)
			}
			if grown := int64(body.heap) - int64(before.HeapAlloc); grown > size/2 {
				t.Errorf("the heap grew by %d MiB", grown>>20)
			}
		})
	}
	if n := files(t, dir); n != 1 {
		t.Errorf("%d files are left of an object that was replaced", n)
	}
}

// raw sends a request that the SDK would not.
func (h *house) raw(method, key, payloadHash string, body io.Reader, set, after func(*http.Request)) (status int, answer string) {
	h.t.Helper()
	r := must(http.NewRequestWithContext(h.t.Context(), method, h.URL+"/"+bucketName+"/"+key, body))(h.t)
	if set != nil {
		set(r)
	}
	cred := must(h.Config().Credentials.Retrieve(context.Background()))(h.t)
	sigv4.Sign(r, sigv4.Credentials{AccessKeyID: cred.AccessKeyID, Secret: cred.SecretAccessKey}, "us-east-1", "s3", time.Now(), payloadHash)
	if after != nil {
		after(r)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	return resp.StatusCode, string(must(io.ReadAll(resp.Body))(h.t))
}

// What does not arrive whole, or is not what was signed, is no object and leaves nothing.
func TestUploadFails(t *testing.T) {
	h, dir := onDisk(t)
	content := strings.Repeat("x", 200<<10)
	hashed := sha256.Sum256([]byte("something else"))
	for _, c := range []struct {
		name, payload string
		body          io.Reader
		set           func(*http.Request)
		status        int
		code          string
	}{
		{"OtherPayload", hex.EncodeToString(hashed[:]), strings.NewReader(content), nil, 400, "XAmzContentSHA256Mismatch"},
		{"NoLength", sigv4.UnsignedPayload, io.MultiReader(strings.NewReader(content)), nil, 411, "MissingContentLength"},
		{"TooLong", sigv4.UnsignedPayload, &noise{size: 5<<30 + 1}, func(r *http.Request) {
			r.ContentLength = 5<<30 + 1
			r.Header.Set("Expect", "100-continue")
		}, 400, "EntityTooLarge"},
		{"Trailer", sigv4.StreamingUnsigned, strings.NewReader("7\r\ncontent\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"), chunked("x-amz-checksum-crc32", 7), 400, "BadDigest"},
		{"NoTrailer", sigv4.StreamingUnsigned, strings.NewReader("7\r\ncontent\r\n0\r\n\r\n"), chunked("x-amz-checksum-crc32", 7), 400, "MalformedTrailerError"},
		{"ChunksEnd", sigv4.StreamingUnsigned, strings.NewReader("7\r\ncont"), chunked("", 7), 400, "IncompleteBody"},
		{"DecodedTooLong", sigv4.StreamingUnsigned, strings.NewReader("7\r\ncont"), chunked("", 5<<30+1), 400, "EntityTooLarge"},
		{"NoDecodedLength", sigv4.StreamingUnsigned, strings.NewReader("0\r\n\r\n"), nil, 411, "MissingContentLength"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if status, answer := h.raw("PUT", "k", c.payload, c.body, c.set, nil); status != c.status || !strings.Contains(answer, "<Code>"+c.code+"</Code>") {
				t.Errorf("answered with %d %s, want %d %s", status, answer, c.status, c.code)
			}
		})
	}
	t.Run("HungUp", func(t *testing.T) {
		broken := io.MultiReader(strings.NewReader(content), failing{})
		h.raw("PUT", "k", sigv4.UnsignedPayload, broken, func(r *http.Request) { r.ContentLength = 2 * int64(len(content)) }, nil)
		// That the server has seen it shows in its record.
		for !strings.Contains(fmt.Sprint(h.Trail(home)), "IncompleteBody") && t.Context().Err() == nil {
			runtime.Gosched()
		}
	})
	if left := h.keys(); len(left) > 0 {
		t.Errorf("%q are there", left)
	}
	if n := files(t, dir); n > 0 {
		t.Errorf("%d files are left", n)
	}
}

// failing is a connection that breaks.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("broken off") }

func chunked(trailer string, length int) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Content-Encoding", "aws-chunked")
		r.Header.Set("X-Amz-Decoded-Content-Length", fmt.Sprint(length))
		if trailer != "" {
			r.Header.Set("X-Amz-Trailer", trailer)
		}
	}
}

// TestSignedChunks sends a body whose chunks are signed one by one, as older SDKs do, and one in which a chunk was changed on the way.
func TestSignedChunks(t *testing.T) {
	h := start(t)
	send := func(key, sent string) (int, string) {
		const content = "chunk"
		length := len(fmt.Sprintf("5;chunk-signature=%064d\r\nchunk\r\n0;chunk-signature=%064d\r\n\r\n", 0, 0))
		return h.raw("PUT", key, sigv4.StreamingPayload, strings.NewReader(strings.Repeat(" ", length)), chunked("", len(content)), func(r *http.Request) {
			_, seed, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
			first := h.chunkSignature(r, seed, content)
			r.Body = io.NopCloser(strings.NewReader(fmt.Sprintf("5;chunk-signature=%s\r\n%s\r\n0;chunk-signature=%s\r\n\r\n", first, sent, h.chunkSignature(r, first, ""))))
		})
	}
	if status, answer := send("k", "chunk"); status != 200 {
		t.Fatalf("answered with %d %s", status, answer)
	}
	if status, answer := send("changed", "chuck"); status != 403 || !strings.Contains(answer, "<Code>SignatureDoesNotMatch</Code>") {
		t.Errorf("a changed chunk is answered with %d %s", status, answer)
	}
	out, got := h.get("k")
	if got != "chunk" || out.ContentEncoding != nil {
		t.Errorf("got %q, encoded as %q", got, aws.ToString(out.ContentEncoding))
	}
	if left := h.keys(); len(left) != 1 {
		t.Errorf("%q are there", left)
	}
}

// chunkSignature signs a chunk of a request: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
func (h *house) chunkSignature(r *http.Request, previous, content string) string {
	cred := must(h.Config().Credentials.Retrieve(context.Background()))(h.t)
	at := r.Header.Get("X-Amz-Date")
	key := []byte("AWS4" + cred.SecretAccessKey)
	for _, part := range []string{at[:8], "us-east-1", "s3", "aws4_request"} {
		key = mac(key, part)
	}
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(mac(key, strings.Join([]string{
		"AWS4-HMAC-SHA256-PAYLOAD", at, at[:8] + "/us-east-1/s3/aws4_request", previous, sigv4.EmptyPayload, hex.EncodeToString(sum[:]),
	}, "\n")))
}

func mac(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// A presigned URL gets an object without further ado, until it expires.
func TestPresigned(t *testing.T) {
	h := start(t)
	h.put("k", "content")
	signed := must(s3.NewPresignClient(h.Client).PresignGetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucketName), Key: aws.String("k")}))(t)
	resp := must(http.Get(signed.URL))(t)
	defer resp.Body.Close()
	if got := must(io.ReadAll(resp.Body))(t); resp.StatusCode != 200 || string(got) != "content" {
		t.Errorf("got %d %s", resp.StatusCode, got)
	}
	other := must(http.Get(strings.Replace(signed.URL, "/k?", "/l?", 1)))(t)
	defer other.Body.Close()
	if other.StatusCode != 403 {
		t.Errorf("another key is answered with %d", other.StatusCode)
	}
	// Who has the URL cannot make it say more than was signed.
	for name, c := range map[string]struct {
		url, header string
		status      int
		code        string
	}{
		"OtherParameter": {signed.URL + "&response-content-type=text%2Fhtml", "", 403, "SignatureDoesNotMatch"},
		"Header":         {signed.URL, "X-Amz-Checksum-Mode", 403, "AccessDenied"},
		"Version2":       {h.URL + "/" + bucketName + "/k?AWSAccessKeyId=AKIDEXAMPLE&Signature=c2lnbmF0dXJl&Expires=9999999999", "", 400, "InvalidRequest"},
	} {
		t.Run(name, func(t *testing.T) {
			r := must(http.NewRequestWithContext(t.Context(), "GET", c.url, nil))(t)
			if c.header != "" {
				r.Header.Set(c.header, "ENABLED")
			}
			resp := must(http.DefaultClient.Do(r))(t)
			defer resp.Body.Close()
			if got := must(io.ReadAll(resp.Body))(t); resp.StatusCode != c.status || !strings.Contains(string(got), "<Code>"+c.code+"</Code>") {
				t.Errorf("answered with %d %s, want %d %s", resp.StatusCode, got, c.status, c.code)
			}
		})
	}
	anonymous := must(http.Get(h.URL + "/" + bucketName + "/k"))(t)
	defer anonymous.Body.Close()
	if anonymous.StatusCode != 403 {
		t.Errorf("nobody is answered with %d", anonymous.StatusCode)
	}
}

// The bucket may stand in the host's name.
func TestVirtualHost(t *testing.T) {
	h := start(t)
	h.put("b/k", "content")
	for _, c := range []struct {
		host, path string
		status     int
	}{
		{bucketName + ".s3.us-east-1.amazonaws.com", "/b/k", 200},
		{bucketName + ".s3.amazonaws.com", "/b/k", 200},
		{bucketName + ".localhost:4566", "/b/k", 200},
		{bucketName + ".s3.localhost", "/b/k", 200},
		{bucketName + ".s3.cloud.example.com", "/b/k", 200},
		{"s3.us-east-1.amazonaws.com", "/" + bucketName + "/b/k", 200},
		{"s3.amazonaws.com", "/" + bucketName + "/b/k", 200},
		{"s3.eu-west-1.amazonaws.com", "/" + bucketName + "/b/k", 400},
		{bucketName + ".s3.amazonaws.com", "/?list-type=2", 200},
		{bucketName + ".s3.amazonaws.com", "/", 200},
		{"no-such-bucket.s3.amazonaws.com", "/", 404},
	} {
		t.Run(c.host+c.path, func(t *testing.T) {
			status, answer := h.raw("GET", "", sigv4.EmptyPayload, nil, func(r *http.Request) {
				r.Host, r.URL = c.host, must(r.URL.Parse(c.path))(t)
			}, nil)
			if status != c.status {
				t.Errorf("answered with %d %s", status, answer)
			}
			switch {
			case status == 400 && !strings.Contains(answer, "<Code>AuthorizationHeaderMalformed</Code>"), status == 200 && strings.HasSuffix(c.path, "k") && answer != "content":
				t.Errorf("answered with %s", answer)
			}
		})
	}
}

// The names of a user's metadata come back in small letters, as S3 has them: there are clients that tell the case of headers apart, the AWS CLI's validate-logs among them.
func TestMetadataKeepsItsCase(t *testing.T) {
	h := start(t)
	h.put("k", "content", func(in *s3.PutObjectInput) { in.Metadata = map[string]string{"Signature-Algorithm": "SHA256withRSA"} })
	r := httptest.NewRequestWithContext(t.Context(), "GET", h.URL+"/"+bucketName+"/k", nil)
	cred := must(h.Config().Credentials.Retrieve(t.Context()))(t)
	sigv4.Sign(r, sigv4.Credentials{AccessKeyID: cred.AccessKeyID, Secret: cred.SecretAccessKey}, "us-east-1", "s3", time.Now(), sigv4.EmptyPayload)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	//lint:ignore SA1008 this is about the case
	if got := w.Header()["x-amz-meta-signature-algorithm"]; len(got) != 1 || got[0] != "SHA256withRSA" {
		t.Errorf("the header is %v", w.Header())
	}
}

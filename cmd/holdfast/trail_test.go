package main

import (
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// trailBucket answers as S3 and CloudTrail do, for one digest and one log file.
type trailBucket struct {
	files map[string][]byte
	meta  map[string]string // of the digest
	keys  string
}

const (
	aDigest = "AWSLogs/111122223333/CloudTrail-Digest/us-east-1/2026/11/26/111122223333_CloudTrail-Digest_us-east-1_t_us-east-1_20261126T100000Z.json.gz"
	aLog    = "AWSLogs/111122223333/CloudTrail/us-east-1/2026/11/26/111122223333_CloudTrail_us-east-1_20261126T0930Z_abc.json.gz"
)

func newTrailBucket(t *testing.T) *trailBucket {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	hash := func(s string) string { sum := sha256.Sum256([]byte(s)); return hex.EncodeToString(sum[:]) }
	log := `{"Records":[{"eventID":"one","eventTime":"2026-11-26T09:29:00Z"}]}`
	digest := fmt.Sprintf(`{"awsAccountId":"111122223333","digestStartTime":"2026-11-26T09:00:00Z","digestEndTime":"2026-11-26T10:00:00Z","digestS3Bucket":"b","digestS3Object":%q,`+
		`"digestPublicKeyFingerprint":"f","digestSignatureAlgorithm":"SHA256withRSA","previousDigestSignature":null,"logFiles":[{"s3Bucket":"b","s3Object":%q,"hashValue":%q}]}`, aDigest, aLog, hash(log))
	sum := sha256.Sum256([]byte("2026-11-26T10:00:00Z\nb/" + aDigest + "\n" + hash(digest) + "\nnull"))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	zip := func(s string) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write([]byte(s))
		_ = w.Close()
		return b.Bytes()
	}
	return &trailBucket{
		files: map[string][]byte{aDigest: zip(digest), aLog: zip(log), "other": nil, "AWSLogs/111122223333/": nil, "AWSLogs/../../x": nil},
		meta:  map[string]string{"signature": hex.EncodeToString(signature), "signature-algorithm": "SHA256withRSA"},
		keys: fmt.Sprintf(`{"PublicKeyList":[{"Value":%q,"ValidityStartTime":1763000000,"ValidityEndTime":1799000000,"Fingerprint":"f"}]}`,
			base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(&key.PublicKey))),
	}
}

func (b *trailBucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch name, object := strings.CutPrefix(r.URL.Path, "/b/"); {
	case !strings.Contains(r.Header.Get("Authorization"), "Credential=AKIDEXAMPLE"):
		w.WriteHeader(http.StatusForbidden)
	case strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".ListPublicKeys"):
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		fmt.Fprint(w, b.keys)
	case object && name != "":
		for k, v := range b.meta {
			w.Header().Set("X-Amz-Meta-"+k, v)
		}
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(b.files[name])
	default: // a page has two keys
		type content struct{ Key string }
		page := struct {
			XMLName               xml.Name `xml:"ListBucketResult"`
			Contents              []content
			IsTruncated           bool
			NextContinuationToken string `xml:",omitempty"`
		}{}
		after := r.URL.Query().Get("continuation-token")
		for _, k := range slices.Sorted(func(yield func(string) bool) {
			for k := range b.files {
				if !yield(k) {
					return
				}
			}
		}) {
			if k > after && len(page.Contents) == 2 {
				page.IsTruncated, page.NextContinuationToken = true, page.Contents[1].Key
				break
			}
			if k > after {
				page.Contents = append(page.Contents, content{k})
			}
		}
		_ = xml.NewEncoder(w).Encode(page)
	}
}

func TestTrail(t *testing.T) {
	bucket := newTrailBucket(t)
	server := httptest.NewServer(bucket)
	defer server.Close()
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	dir := filepath.Join(t.TempDir(), "trail")
	keys := filepath.Join(t.TempDir(), "keys.json")

	said := wantCommand(t, 0, "trail", "export", "--bucket", "b", "--to", dir, "--endpoint", server.URL)
	if !strings.Contains(said, "2 files") || !strings.Contains(said, `"AWSLogs/../../x" is no file of a trail`) {
		t.Errorf("export says %s", said)
	}
	if got, err := os.ReadFile(filepath.Join(dir, aLog)); err != nil || !bytes.Equal(got, bucket.files[aLog]) {
		t.Errorf("the log file is %q, %v", got, err)
	}
	if said := wantCommand(t, 1, "trail", "export", "--bucket", "b", "--to", dir, "--endpoint", server.URL); !strings.Contains(said, "is not empty") {
		t.Errorf("export to the same says %s", said)
	}
	wantCommand(t, 0, "trail", "keys", "--to", keys, "--endpoint", server.URL, "--region", "us-east-1,eu-west-1")
	if got, err := os.ReadFile(keys); err != nil || bytes.Count(got, []byte("\n")) != 2 {
		t.Errorf("the keys are %s, %v", got, err)
	}
	if said := wantCommand(t, 1, "trail", "keys", "--to", keys, "--endpoint", server.URL); !strings.Contains(said, "keys.json exists, and saved keys are not replaced") {
		t.Errorf("keys to the same file says %s", said)
	}

	if said := wantCommand(t, 0, "trail", "verify", dir, "--public-keys", keys); !strings.Contains(said, "1 of 1 digests valid, 1 of 1 log files valid with 1 records") {
		t.Errorf("verify says %s", said)
	}
	wantCommand(t, 0, "trail", "verify", "--start", "2026-11-26T09:00:00Z", "--end", "2026-11-26T10:00:00Z", "--public-keys", keys, dir)
	if said := wantCommand(t, 1, "trail", "verify", dir, "--public-keys", keys, "--end", "2026-11-26T11:00:00Z"); !strings.Contains(said, "REMOVED   digest") {
		t.Errorf("verify until later says %s", said)
	}
	if said := wantCommand(t, 1, "trail", "verify", dir, "--public-keys", keys, "--trail", "u"); !strings.Contains(said, "there are no digests") {
		t.Errorf("verify of another trail says %s", said)
	}

	if err := os.Remove(filepath.Join(dir, aLog)); err != nil {
		t.Fatal(err)
	}
	if said := wantCommand(t, 1, "trail", "verify", dir, "--public-keys", keys); !strings.Contains(said, "REMOVED   log file  "+aLog) || !strings.Contains(said, "not as they were delivered") {
		t.Errorf("verify without the log file says %s", said)
	}
	status, out, _ := runCommand(t, "trail", "verify", dir, "--public-keys", keys, "--json")
	var report struct {
		Valid    bool
		Findings []struct{ Kind, Key string }
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || status != 1 || report.Valid || len(report.Findings) != 1 || report.Findings[0].Key != aLog {
		t.Errorf("verify --json ends with %d, %v, and prints %s", status, err, out)
	}
}

func TestTrailUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"check"}, {"verify"}, {"verify", "dir"}, {"verify", "--public-keys", "f"}, {"verify", "dir", "--public-keys", "f", "--end", "today"},
		{"export", "--bucket", "b"}, {"export", "--to", "d"}, {"export", "--bucket", "b", "--to", "d", "--endpoint", "http://10.0.0.1"}, {"keys"}} {
		wantCommand(t, 2, append([]string{"trail"}, args...)...)
	}
	for _, args := range [][]string{{"-h"}, {"verify", "-h"}, {"export", "-h"}, {"keys", "-h"}} {
		wantCommand(t, 0, append([]string{"trail"}, args...)...)
	}
	wantCommand(t, 1, "trail", "verify", t.TempDir(), "--public-keys", os.DevNull)
	wantCommand(t, 1, "trail", "verify", filepath.Join(t.TempDir(), "none"), "--public-keys", os.DevNull)
}

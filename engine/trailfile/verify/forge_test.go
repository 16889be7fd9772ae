package verify_test

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
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/holdfast-cloud/holdfast/engine/trailfile/verify"
)

// forge writes a bucket as CloudTrail would. It shares nothing with package trailfile: both are written after AWS's documents.
type forge struct {
	t       *testing.T
	key     *rsa.PrivateKey
	tree    fstest.MapFS
	account string
	region  string
	trail   string
	prefix  string
	plain   bool // no hashes of records, as AWS

	at      time.Time // end of the last digest
	last    *said     // the last digest
	logs    []string  // names, oldest first
	digests []string
	n       int
}

type said struct{ object, hash, signature string }

var begin = time.Date(2026, 11, 26, 9, 0, 0, 0, time.UTC)

func newKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

// trailKey is made once: it takes long under the race detector.
var trailKey = sync.OnceValue(newKey)

func newForge(t *testing.T) *forge {
	t.Helper()
	return &forge{t: t, key: trailKey(), tree: fstest.MapFS{}, account: "111122223333", region: "eu-west-1", trail: "all_of-it", at: begin}
}

// keys are as ListPublicKeys answers.
func (f *forge) keys() verify.PublicKeys {
	f.t.Helper()
	keys, err := verify.ReadPublicKeys(strings.NewReader(f.keysJSON()))
	if err != nil {
		f.t.Fatal(err)
	}
	return keys
}

func (f *forge) keysJSON() string {
	return fmt.Sprintf(`{"PublicKeyList":[{"Value":%q,"ValidityStartTime":"2026-11-01T00:00:00+00:00","ValidityEndTime":1798000000.0,"Fingerprint":"aabb"}]}`,
		base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(&f.key.PublicKey)))
}

func (f *forge) place(kind string) string {
	return f.prefix + "AWSLogs/" + f.account + "/" + kind + "/" + f.region + "/2026/11/26/" + f.account + "_" + kind + "_" + f.region + "_"
}

// record is an event of a minute of the hour that is not yet digested.
func (f *forge) record(minute int) string {
	f.n++
	return fmt.Sprintf(`{"eventVersion":"1.11","eventTime":%q,"eventName":"Decrypt","eventID":"event-%d","requestParameters":{"a":"}{\"]"}}`,
		f.at.Add(time.Duration(minute)*time.Minute).Format(time.RFC3339), f.n)
}

// hour delivers log files of so many records each, and a digest of them.
func (f *forge) hour(files ...int) {
	f.t.Helper()
	var entries []map[string]any
	for i, n := range files {
		var records []string
		var sums []byte
		for j := range n {
			records = append(records, f.record(5*i+j%5))
			sum := sha256.Sum256([]byte(records[j]))
			sums = append(sums, sum[:8]...)
		}
		content := `{"Records":[` + strings.Join(records, ",") + "]}"
		oldest := f.at.Add(time.Duration(5*i) * time.Minute)
		name := f.place("CloudTrail") + oldest.Add(5*time.Minute).Format("20060102T1504Z") + fmt.Sprintf("_unique%d.json.gz", len(f.logs))
		f.put(name, content)
		f.logs = append(f.logs, name)
		entry := map[string]any{"s3Bucket": "trails", "s3Object": name, "hashValue": hash(content), "hashAlgorithm": "SHA-256",
			"oldestEventTime": oldest.Format(time.RFC3339), "newestEventTime": oldest.Add(4 * time.Minute).Format(time.RFC3339)}
		if !f.plain {
			entry["holdfastRecordHashes"] = sums
		}
		entries = append(entries, entry)
	}
	f.digest(entries)
}

func (f *forge) digest(entries []map[string]any) {
	f.t.Helper()
	end := f.at.Add(time.Hour)
	d := map[string]any{
		"awsAccountId": f.account, "digestStartTime": f.at.Format(time.RFC3339), "digestEndTime": end.Format(time.RFC3339), "digestS3Bucket": "trails",
		"digestS3Object":             f.place("CloudTrail-Digest") + f.trail + "_us-east-1_" + end.Format("20060102T150405Z") + ".json.gz",
		"digestPublicKeyFingerprint": "aabb", "digestSignatureAlgorithm": "SHA256withRSA", "newestEventTime": nil, "oldestEventTime": nil,
		"previousDigestS3Bucket": nil, "previousDigestS3Object": nil, "previousDigestHashValue": nil, "previousDigestHashAlgorithm": nil, "previousDigestSignature": nil,
		"logFiles": append([]map[string]any{}, entries...),
	}
	previous := "null"
	if f.last != nil {
		d["previousDigestS3Bucket"], d["previousDigestS3Object"], d["previousDigestHashAlgorithm"] = "trails", f.last.object, "SHA-256"
		d["previousDigestHashValue"], d["previousDigestSignature"], previous = f.last.hash, f.last.signature, f.last.signature
	}
	name := d["digestS3Object"].(string)
	content, err := json.Marshal(d)
	if err != nil {
		f.t.Fatal(err)
	}
	toSign := sha256.Sum256([]byte(end.Format(time.RFC3339) + "\ntrails/" + name + "\n" + hash(string(content)) + "\n" + previous))
	signature, err := rsa.SignPKCS1v15(nil, f.key, crypto.SHA256, toSign[:])
	if err != nil {
		f.t.Fatal(err)
	}
	f.last = &said{name, hash(string(content)), hex.EncodeToString(signature)}
	f.put(name, string(content))
	f.tree[name+verify.Metadata] = &fstest.MapFile{Data: fmt.Appendf(nil, `{"signature":%q,"signature-algorithm":"SHA256withRSA"}`, f.last.signature)}
	f.digests = append(f.digests, name)
	f.at = end
}

func (f *forge) put(name, content string) { f.tree[name] = &fstest.MapFile{Data: zipped(content)} }

func (f *forge) content(name string) string {
	f.t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(f.tree[name].Data))
	if err != nil {
		f.t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		f.t.Fatal(err)
	}
	return string(b)
}

// edit replaces something once in a compressed file.
func (f *forge) edit(name, old, new string) {
	f.t.Helper()
	content := f.content(name)
	if !strings.Contains(content, old) {
		f.t.Fatalf("%s has no %q", name, old)
	}
	f.put(name, strings.Replace(content, old, new, 1))
}

func (f *forge) swap(a, b string) { f.tree[a], f.tree[b] = f.tree[b], f.tree[a] }

func zipped(content string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(content))
	_ = w.Close()
	return b.Bytes()
}

func hash(content string) string {
	sum := sha256.Sum256([]byte(content))
	return hex.EncodeToString(sum[:])
}

package trailfile_test

import (
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/engine/trailfile"
)

var at = time.Date(2015, 8, 17, 14, 45, 31, 999, time.UTC)

func TestKeys(t *testing.T) {
	p := trailfile.Place{Account: "111122223333", Region: "us-east-2"}
	org := trailfile.Place{Prefix: "a/b", OrgID: "o-exampleorgid", Account: "111122223333", Region: "us-east-2"}
	for _, tc := range []struct{ got, want string }{
		{p.LogKey(trailfile.Events, at, "9nYN7gp2eWAJHIfT"), "AWSLogs/111122223333/CloudTrail/us-east-2/2015/08/17/111122223333_CloudTrail_us-east-2_20150817T1445Z_9nYN7gp2eWAJHIfT.json.gz"},
		{org.LogKey(trailfile.Insights, at, "9nYN7gp2eWAJHIfT"), "a/b/AWSLogs/o-exampleorgid/111122223333/CloudTrail-Insight/us-east-2/2015/08/17/" +
			"111122223333_CloudTrail-Insight_us-east-2_20150817T1445Z_9nYN7gp2eWAJHIfT.json.gz"},
		{p.DigestKey("your-trail-name", "eu-west-1", at), "AWSLogs/111122223333/CloudTrail-Digest/us-east-2/2015/08/17/" +
			"111122223333_CloudTrail-Digest_us-east-2_your-trail-name_eu-west-1_20150817T144531Z.json.gz"},
	} {
		if tc.got != tc.want {
			t.Errorf("got  %s\nwant %s", tc.got, tc.want)
		}
	}
}

func TestLogFile(t *testing.T) {
	var body bytes.Buffer
	w := trailfile.NewLogWriter(&body)
	if _, err := w.Close("b", "o"); err == nil {
		t.Error("a file without records")
	}
	for i, r := range []string{`{"a":1}`, `{"b":2}`, `{"c":3}`} {
		if err := w.Add(at.Add([]time.Duration{0, -time.Hour, time.Minute}[i]), []byte(r)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := w.Close("b", "o")
	if err != nil {
		t.Fatal(err)
	}
	content := inflate(t, body.Bytes())
	if want := `{"Records":[{"a":1},{"b":2},{"c":3}]}`; string(content) != want {
		t.Errorf("got %s, want %s", content, want)
	}
	hash := sha256.Sum256(content)
	sec := time.Date(2015, 8, 17, 14, 45, 31, 0, time.UTC)
	want := trailfile.LogFile{Bucket: "b", Object: "o", Hash: hex.EncodeToString(hash[:]), HashAlgorithm: "SHA-256", Newest: sec.Add(time.Minute), Oldest: sec.Add(-time.Hour)}
	for _, r := range []string{`{"a":1}`, `{"b":2}`, `{"c":3}`} {
		sum := sha256.Sum256([]byte(r))
		want.RecordHashes = append(want.RecordHashes, sum[:8]...)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestDigests(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	sec := at.Truncate(time.Second)
	first := trailfile.Digest{Account: "111122223333", Start: sec, End: sec.Add(time.Hour), Bucket: "b", Object: "d1"}
	one, err := first.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	second := trailfile.Digest{Account: "111122223333", Start: sec.Add(time.Hour), End: sec.Add(2 * time.Hour), Bucket: "b", Object: "d2", Previous: one.Next, LogFiles: []trailfile.LogFile{
		{Bucket: "b", Object: "l1", Hash: "00", HashAlgorithm: "SHA-256", Newest: sec, Oldest: sec.Add(-time.Minute)},
		{Bucket: "b", Object: "l2", Hash: "11", HashAlgorithm: "SHA-256", Newest: sec.Add(time.Minute), Oldest: sec},
	}}
	two, err := second.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	content := inflate(t, one.Body)
	hash := sha256.Sum256(content)
	print := trailfile.Fingerprint(&key.PublicKey)
	if want := `{"awsAccountId":"111122223333","digestStartTime":"2015-08-17T14:45:31Z","digestEndTime":"2015-08-17T15:45:31Z","digestS3Bucket":"b","digestS3Object":"d1",` +
		`"digestPublicKeyFingerprint":"` + print + `","digestSignatureAlgorithm":"SHA256withRSA","newestEventTime":null,"oldestEventTime":null,"previousDigestS3Bucket":null,` +
		`"previousDigestS3Object":null,"previousDigestHashValue":null,"previousDigestHashAlgorithm":null,"previousDigestSignature":null,"logFiles":[]}`; string(content) != want {
		t.Errorf("the first digest:\n got %s\nwant %s", content, want)
	}
	verify(t, key, one.Signature, "2015-08-17T15:45:31Z\nb/d1\n"+hex.EncodeToString(hash[:])+"\nnull")
	next := inflate(t, two.Body)
	nextHash := sha256.Sum256(next)
	verify(t, key, two.Signature, "2015-08-17T16:45:31Z\nb/d2\n"+hex.EncodeToString(nextHash[:])+"\n"+one.Signature)
	var fields map[string]any
	if err := json.Unmarshal(next, &fields); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"newestEventTime": "2015-08-17T14:46:31Z", "oldestEventTime": "2015-08-17T14:44:31Z", "previousDigestS3Bucket": "b", "previousDigestS3Object": "d1",
		"previousDigestHashValue": hex.EncodeToString(hash[:]), "previousDigestHashAlgorithm": "SHA-256", "previousDigestSignature": one.Signature,
	} {
		if fields[name] != want {
			t.Errorf("%s is %v, want %s", name, fields[name], want)
		}
	}
	if len(print) != 32 || strings.ToLower(print) != print {
		t.Errorf("fingerprint %s", print)
	}
}

func verify(t *testing.T, key *rsa.PrivateKey, signature, signed string) {
	t.Helper()
	raw, err := hex.DecodeString(signature)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256([]byte(signed))
	if err := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, hash[:], raw); err != nil {
		t.Errorf("the signature is not of\n%s", signed)
	}
}

func inflate(t *testing.T, body []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

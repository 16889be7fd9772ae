package verify

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func FuzzRecords(f *testing.F) {
	for _, s := range []string{`{"Records":[]}`, `{"Records":[{"a":"}\""},{}]}`, ` { "Records" : [ { } , { } ] } `, `{"Records":[{}`, `{"Records":[{}]}x`, `{"Records":[1]}`, "", `{"Records":[{}{}]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		n := 0
		err := readRecords(bytes.NewReader(content), func(r []byte) error {
			n++
			if r[0] != '{' || r[len(r)-1] != '}' {
				t.Errorf("a record is %q", r)
			}
			return nil
		})
		if err != nil && !errors.Is(err, errContent) {
			t.Errorf("%q: %v", content, err)
		}
		if err == nil && n != bytes.Count(content, []byte("{"))-1 && !bytes.ContainsAny(content[1:], `"\`) {
			t.Errorf("%q: %d records", content, n)
		}
	})
}

func FuzzDigest(f *testing.F) {
	f.Add([]byte(`{"digestStartTime":"2026-11-26T09:00:00Z","digestEndTime":"2026-11-26T10:00:00Z","logFiles":[{"s3Object":"a","holdfastRecordHashes":"AAAA"}]}`), "a/AWSLogs/1")
	f.Add([]byte(`{}`), "AWSLogs/111122223333/CloudTrail-Digest/r/2026/11/26/111122223333_CloudTrail-Digest_r_t_h_20261126T100000Z.json.gz")
	f.Fuzz(func(t *testing.T, content []byte, name string) {
		if c, end, ok := parseDigestKey(name); ok && (c.Trail == "" || end.IsZero() && !strings.Contains(name, "00010101")) {
			t.Errorf("%q is %+v", name, c)
		}
		_, _, _, _ = parseLogKey(name)
		d, err := parseDigest(content)
		if err != nil {
			if !errors.Is(err, errContent) {
				t.Errorf("%q: %v", content, err)
			}
			return
		}
		_ = d.verifySignature(PublicKeys{d.Fingerprint: nil}, "00")
		for _, l := range d.LogFiles {
			_ = compare(l.Object, l.Records, []seen{{id: "x"}, {}})
		}
	})
}

// Every way to keep, change, remove, add and move records is told without a panic, and untouched ones tell nothing.
func FuzzCompare(f *testing.F) {
	f.Add([]byte("abcdef"), []byte("abxdf"))
	f.Add([]byte("aabbc"), []byte("cbaab"))
	f.Add([]byte(""), []byte("a"))
	f.Fuzz(func(t *testing.T, were, now []byte) {
		var hashes []byte
		for _, b := range were {
			hashes = append(hashes, b, 0, 0, 0, 0, 0, 0, 0)
		}
		var records []seen
		for _, b := range now {
			records = append(records, seen{sum: recordSum{b}})
		}
		told := compare("k", hashes, records)
		if bytes.Equal(were, now) != (len(told) == 0) {
			t.Errorf("compare(%q, %q) = %v", were, now, told)
		}
		added, removed := 0, 0
		for _, x := range told {
			switch x.Kind {
			case Added:
				added++
			case Removed:
				removed++
			}
		}
		if len(were)+added-removed != len(now) {
			t.Errorf("compare(%q, %q) tells of %d added and %d removed", were, now, added, removed)
		}
	})
}

// A few bytes become more than any file: what is read is bounded, and so is what is held.
func TestBombs(t *testing.T) {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(`{"Records":[{"a":"`))
	_, _ = io.CopyN(w, zeros{}, maxRecord+1)
	_ = w.Close()
	v := &verifier{maxDigest: maxRecord, src: Tree{fstest.MapFS{"a": {Data: b.Bytes()}}}}
	if _, err := v.readDigest(t.Context(), "a"); reason(err) != "it is larger than any digest" {
		t.Errorf("readDigest: %v", err)
	}
	if _, _, err := v.content(t.Context(), "a", nil); reason(err) != "its record 1 is larger than any record" {
		t.Errorf("content: %v", err)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = '0'
	}
	return len(b), nil
}

func TestStamp(t *testing.T) {
	for _, text := range []string{`"2026-11-26T10:00:00Z"`, `"2026-11-26T11:00:00+01:00"`, `1795687200`, `1795687200.0`} {
		var s stamp
		if err := s.UnmarshalJSON([]byte(text)); err != nil || !s.Equal(time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)) {
			t.Errorf("%s is %v, %v", text, s, err)
		}
	}
}

package s3

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/holdfast-cloud/holdfast/api/s3"
	"github.com/holdfast-cloud/holdfast/sigv4"
	"github.com/holdfast-cloud/holdfast/wire"
)

// A body that breaks off is the caller's matter, however it does.
func TestBrokenOff(t *testing.T) {
	for want, cause := range map[string]error{
		"IncompleteBody":            errors.New("read tcp: connection reset by peer"),
		"RequestTimeout":            fmt.Errorf("read tcp: %w", os.ErrDeadlineExceeded),
		"XAmzContentSHA256Mismatch": sigv4.Refuse(sigv4.PayloadMismatch),
	} {
		r, err := newIntake(&s3.PutObjectRequest{Body: io.NopCloser(io.MultiReader(strings.NewReader("some"), iotest.ErrReader(cause)))})
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(r)
		code := ""
		if e, ok := errors.AsType[*wire.Error](err); ok {
			code = e.Code
		} else if e, ok := errors.AsType[*sigv4.Error](err); ok {
			_, code, _ = e.Answer(sigv4.S3)
		}
		if code != want || r.failed == nil {
			t.Errorf("after %v: %v, want %s", cause, err, want)
		}
	}
}

// FuzzRange has parseRange read headers of all sorts: what it gives lies in the object.
func FuzzRange(f *testing.F) {
	for _, header := range []string{"bytes=0-0", "bytes=-1", "bytes=5-", "bytes=9-5", "bytes=-", "bytes=0-1,2-3", "bytes=99999999999999999999-", "bytes=+1-2", "chars=1-2", ""} {
		f.Add(header, int64(10))
	}
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		if p, ok, err := parseRange(header, size); ok && (err != nil || p.first < 0 || p.last >= size || p.length() <= 0) {
			t.Errorf("%q of %d bytes is %+v, %v", header, size, p, err)
		}
	})
}

// FuzzListing lists keys with any prefix, delimiter and start: what is rolled up into a prefix begins with it and ends with the delimiter.
func FuzzListing(f *testing.F) {
	f.Add("a/b/c", "a/", "/", "a/b/")
	f.Add("\xff\xff", "", "\xff", "\xff")
	f.Fuzz(func(t *testing.T, key, prefix, delimiter, after string) {
		l := listing{prefix: prefix, delimiter: delimiter, after: after}
		if common, ok := l.rollUp(key); ok {
			if !strings.HasPrefix(key, common) || !strings.HasPrefix(common, prefix) || !strings.HasSuffix(common, delimiter) {
				t.Errorf("%q with %q and %q is rolled up into %q", key, prefix, delimiter, common)
			}
			if next := behind(common); utf8.ValidString(key) && next <= key {
				t.Errorf("%q is not behind %q", next, key)
			}
		}
		if from := l.start(); utf8.ValidString(key) && key <= after && from <= key && strings.HasPrefix(key, prefix) && after != "" && key >= prefix && from != prefix {
			t.Errorf("after %q, %q is listed once more, from %q on", after, key, from)
		}
	})
}

package s3_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/holdfast-cloud/holdfast/sigv4"
)

func TestGetRange(t *testing.T) {
	h := start(t)
	h.put("digits", "0123456789")
	h.put("empty", "")
	for _, c := range []struct{ key, asked, content, told string }{
		{"digits", "bytes=0-0", "0", "bytes 0-0/10"},
		{"digits", "bytes=2-4", "234", "bytes 2-4/10"},
		{"digits", "bytes=7-", "789", "bytes 7-9/10"},
		{"digits", "bytes=7-99", "789", "bytes 7-9/10"},
		{"digits", "bytes=-3", "789", "bytes 7-9/10"},
		{"digits", "bytes=-99", "0123456789", "bytes 0-9/10"},
		{"digits", "bytes=4-2", "0123456789", ""},
		{"digits", "bytes=0-1,3-4", "0123456789", ""},
		{"digits", "chars=0-1", "0123456789", ""},
		{"digits", "bytes=a-b", "0123456789", ""},
	} {
		t.Run(c.asked, func(t *testing.T) {
			out, got := h.get(c.key, func(in *s3.GetObjectInput) { in.Range = &c.asked })
			if got != c.content || aws.ToString(out.ContentRange) != c.told || *out.ContentLength != int64(len(c.content)) {
				t.Errorf("got %q of %q, %d bytes", got, aws.ToString(out.ContentRange), *out.ContentLength)
			}
		})
	}
	for _, c := range []struct{ key, asked string }{{"digits", "bytes=10-"}, {"digits", "bytes=99999999999999999999-"}, {"digits", "bytes=-0"}, {"empty", "bytes=0-"}} {
		t.Run(fmt.Sprintf("Unsatisfiable %s %s", c.key, c.asked), func(t *testing.T) {
			_, err := h.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucketName), Key: &c.key, Range: &c.asked})
			wantCode(t, err, "InvalidRange", 416)
		})
	}
	t.Run("InTheMidst", func(t *testing.T) { // of several chunks as they are sealed
		long := strings.Repeat("0123456789", 30_000)
		h.put("long", long)
		_, got := h.get("long", func(in *s3.GetObjectInput) { in.Range = aws.String("bytes=65530-200001") })
		if got != long[65530:200002] {
			t.Errorf("got %d bytes that differ", len(got))
		}
	})
}

func TestGetConditions(t *testing.T) {
	h := start(t)
	etag := h.put("k", "content").ETag
	stranger := aws.String(`"00000000000000000000000000000000"`)
	before, after := aws.Time(h.Now().Add(-time.Hour)), aws.Time(h.Now().Add(time.Hour))
	for _, c := range []struct {
		name   string
		in     s3.GetObjectInput
		status int
	}{
		{"Match", s3.GetObjectInput{IfMatch: etag}, 200},
		{"NoMatch", s3.GetObjectInput{IfMatch: stranger}, 412},
		{"NoneMatch", s3.GetObjectInput{IfNoneMatch: stranger}, 200},
		{"OneMatches", s3.GetObjectInput{IfNoneMatch: etag}, 304},
		{"Modified", s3.GetObjectInput{IfModifiedSince: before}, 200},
		{"NotModified", s3.GetObjectInput{IfModifiedSince: after}, 304},
		{"Unmodified", s3.GetObjectInput{IfUnmodifiedSince: after}, 200},
		{"ModifiedSince", s3.GetObjectInput{IfUnmodifiedSince: before}, 412},
		{"MatchGoesBeforeDate", s3.GetObjectInput{IfMatch: etag, IfUnmodifiedSince: before}, 200},
		{"NoneMatchGoesBeforeDate", s3.GetObjectInput{IfNoneMatch: stranger, IfModifiedSince: after}, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.in.Bucket, c.in.Key = aws.String(bucketName), aws.String("k")
			_, err := h.GetObject(t.Context(), &c.in)
			switch c.status {
			case 200:
				if err != nil {
					t.Error(err)
				}
			case 304:
				wantCode(t, err, "NotModified", 304)
			case 412:
				wantCode(t, err, "PreconditionFailed", 412)
			}
		})
	}
}

func TestGetMissing(t *testing.T) {
	h := start(t)
	h.put("there", "x")
	get := func(c *s3.Client, bucket, key string) error {
		_, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
		return err
	}
	wantCode(t, get(h.Client, bucketName, "missing"), "NoSuchKey", 404)
	wantCode(t, get(h.Client, "no-such-bucket", "missing"), "NoSuchBucket", 404)
	_, err := h.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucketName), Key: aws.String("missing")})
	wantCode(t, err, "NotFound", 404)

	// Who may not list does not learn that it is missing.
	reader := client(h.User(home, "reader", allow("s3:GetObject", "arn:aws:s3:::"+bucketName+"/*")))
	if err := get(reader, bucketName, "there"); err != nil {
		t.Error(err)
	}
	wantCode(t, get(reader, bucketName, "missing"), "AccessDenied", 403)
	t.Run("VersionId", func(t *testing.T) {
		_, err := h.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucketName), Key: aws.String("there"), VersionId: aws.String("3HL4kqtJvjVBH40Nrjfkd")})
		wantCode(t, err, "InvalidArgument", 400)
	})
	t.Run("ExpectedBucketOwner", func(t *testing.T) {
		_, err := h.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucketName), Key: aws.String("there"), ExpectedBucketOwner: aws.String(other)})
		wantCode(t, err, "AccessDenied", 403)
	})
}

func TestDelete(t *testing.T) {
	h := start(t)
	h.put("k", "content")
	remove := func(match *string) error {
		_, err := h.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucketName), Key: aws.String("k"), IfMatch: match})
		return err
	}
	wantCode(t, remove(aws.String(`"00000000000000000000000000000000"`)), "PreconditionFailed", 412)
	for range 2 { // the second time there is nothing to delete
		if err := remove(nil); err != nil {
			t.Fatal(err)
		}
	}
	if left := h.keys(); len(left) > 0 {
		t.Errorf("%q are left", left)
	}
}

// Errors say what they are about, as XML that takes any key.
func TestErrorDetails(t *testing.T) {
	h := start(t)
	if status, answer := h.raw("GET", "a%3Cb%01", sigv4.EmptyPayload, nil, nil, nil); status != 404 || !strings.Contains(answer, "<Code>NoSuchKey</Code>") || !strings.Contains(answer, "<Key>a&lt;b\uFFFD</Key>") {
		t.Errorf("answered with %d %s", status, answer)
	}
	status, answer := h.raw("GET", "", sigv4.EmptyPayload, nil, func(r *http.Request) { r.URL.Path = "/no-such-bucket/k" }, nil)
	if status != 404 || !strings.Contains(answer, "<Code>NoSuchBucket</Code>") || !strings.Contains(answer, "<BucketName>no-such-bucket</BucketName>") {
		t.Errorf("answered with %d %s", status, answer)
	}
}

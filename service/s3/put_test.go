package s3_test

import (
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"
)

// What PutObject refuses leaves no object, and no bytes.
func TestPutRefused(t *testing.T) {
	h := start(t)
	h.put("there", "before")
	sum := md5.Sum([]byte("something else"))
	for _, c := range []struct {
		name, code string
		status     int
		set        func(*s3.PutObjectInput)
	}{
		{"NoSuchBucket", "NoSuchBucket", 404, func(in *s3.PutObjectInput) { in.Bucket = aws.String("no-such-bucket") }},
		{"OtherACL", "AccessControlListNotSupported", 400, func(in *s3.PutObjectInput) { in.ACL = types.ObjectCannedACLPublicRead }},
		{"Grant", "AccessControlListNotSupported", 400, func(in *s3.PutObjectInput) { in.GrantRead = aws.String("id=1") }},
		{"StorageClass", "NotImplemented", 501, func(in *s3.PutObjectInput) { in.StorageClass = types.StorageClassGlacier }},
		{"NoStorageClass", "InvalidStorageClass", 400, func(in *s3.PutObjectInput) { in.StorageClass = "ATTIC" }},
		{"Tagging", "NotImplemented", 501, func(in *s3.PutObjectInput) { in.Tagging = aws.String("a=b") }},
		{"ObjectLock", "InvalidRequest", 400, func(in *s3.PutObjectInput) { in.ObjectLockLegalHoldStatus = types.ObjectLockLegalHoldStatusOn }},
		{"Encryption", "InvalidArgument", 400, func(in *s3.PutObjectInput) { in.ServerSideEncryption = "rot13" }},
		{"KeyWithoutKMS", "InvalidArgument", 400, func(in *s3.PutObjectInput) { in.SSEKMSKeyId = aws.String("alias/mine") }},
		{"Metadata", "MetadataTooLarge", 400, func(in *s3.PutObjectInput) { in.Metadata = map[string]string{"a": strings.Repeat("x", 2048)} }},
		{"LongKey", "KeyTooLongError", 400, func(in *s3.PutObjectInput) { in.Key = aws.String(strings.Repeat("k", 1025)) }},
		{"ContentMD5", "BadDigest", 400, func(in *s3.PutObjectInput) { in.ContentMD5 = aws.String(base64.StdEncoding.EncodeToString(sum[:])) }},
		{"NoContentMD5", "InvalidDigest", 400, func(in *s3.PutObjectInput) { in.ContentMD5 = aws.String("abc") }},
		{"Checksum", "BadDigest", 400, func(in *s3.PutObjectInput) { in.ChecksumCRC32 = aws.String("AAAAAA==") }},
		{"NoChecksum", "InvalidRequest", 400, func(in *s3.PutObjectInput) { in.ChecksumCRC32 = aws.String("!") }},
		{"IfNoneMatch", "PreconditionFailed", 412, func(in *s3.PutObjectInput) { in.Key, in.IfNoneMatch = aws.String("there"), aws.String("*") }},
		{"IfMatch", "PreconditionFailed", 412, func(in *s3.PutObjectInput) { in.Key, in.IfMatch = aws.String("there"), aws.String(`"x"`) }},
		{"IfMatchNothing", "NoSuchKey", 404, func(in *s3.PutObjectInput) { in.IfMatch = aws.String(`"x"`) }},
		{"ExpectedBucketOwner", "AccessDenied", 403, func(in *s3.PutObjectInput) { in.ExpectedBucketOwner = aws.String(other) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := &s3.PutObjectInput{Bucket: aws.String(bucketName), Key: aws.String("new"), Body: strings.NewReader("content")}
			c.set(in)
			_, err := h.PutObject(t.Context(), in)
			wantCode(t, err, c.code, c.status)
		})
	}
	if d := cmp.Diff([]string{"there"}, h.keys()); d != "" {
		t.Errorf("keys (-want +got):\n%s", d)
	}
	if _, got := h.get("there"); got != "before" {
		t.Errorf("the object is now %q", got)
	}
	h.put("there", "after", func(in *s3.PutObjectInput) { in.IfMatch = aws.String("*") })
	h.put("new", "first", func(in *s3.PutObjectInput) { in.IfNoneMatch = aws.String("*") })
}

// Each checksum that S3 knows is verified, kept and told.
func TestChecksums(t *testing.T) {
	h := start(t)
	for _, c := range []struct {
		algorithm types.ChecksumAlgorithm
		value     string // of "123456789"
		of        func(*s3.GetObjectOutput) *string
	}{
		{types.ChecksumAlgorithmCrc32, "y/Q5Jg==", func(o *s3.GetObjectOutput) *string { return o.ChecksumCRC32 }},
		{types.ChecksumAlgorithmCrc32c, "4waSgw==", func(o *s3.GetObjectOutput) *string { return o.ChecksumCRC32C }},
		{types.ChecksumAlgorithmCrc64nvme, "rosUhgp5mIg=", func(o *s3.GetObjectOutput) *string { return o.ChecksumCRC64NVME }},
		{types.ChecksumAlgorithmSha1, "98O8HYCOBHMq32eZZczDTKeuNEE=", func(o *s3.GetObjectOutput) *string { return o.ChecksumSHA1 }},
		{types.ChecksumAlgorithmSha256, "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=", func(o *s3.GetObjectOutput) *string { return o.ChecksumSHA256 }},
	} {
		t.Run(string(c.algorithm), func(t *testing.T) {
			h.put("k", "123456789", func(in *s3.PutObjectInput) { in.ChecksumAlgorithm = c.algorithm })
			out, _ := h.get("k", func(in *s3.GetObjectInput) { in.ChecksumMode = types.ChecksumModeEnabled })
			if got := aws.ToString(c.of(out)); got != c.value || out.ChecksumType != types.ChecksumTypeFullObject {
				t.Errorf("told %q, want %q", got, c.value)
			}
			out, _ = h.get("k", func(in *s3.GetObjectInput) {
				in.ChecksumMode, in.Range = types.ChecksumModeEnabled, aws.String("bytes=0-3")
			})
			if c.of(out) != nil {
				t.Error("a part is told to have the checksum of the whole")
			}
		})
	}
}

// Of many that put a key on the condition that it is not there, one does, and no bytes of the others stay. A bucket that is deleted meanwhile is empty.
func TestPutRaces(t *testing.T) {
	h, dir := onDisk(t)
	var won, gone atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_, err := h.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucketName), Key: aws.String("k"), Body: strings.NewReader("x"), IfNoneMatch: aws.String("*")})
			if err == nil {
				won.Add(1)
			} else if !strings.Contains(err.Error(), "PreconditionFailed") {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 || files(t, dir) != 1 {
		t.Errorf("%d have put the object, of which there are %d", won.Load(), files(t, dir))
	}
	must(h.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucketName), Key: aws.String("k")}))(t)
	won.Store(0)
	for i := range 8 {
		wg.Go(func() {
			_, err := h.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucketName), Key: aws.String(fmt.Sprint(i)), Body: strings.NewReader("x")})
			if err == nil {
				won.Add(1)
			} else if !strings.Contains(err.Error(), "NoSuchBucket") {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if _, err := h.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: aws.String(bucketName)}); err == nil {
				gone.Add(1)
			}
		})
	}
	wg.Wait()
	if gone.Load() > 0 && won.Load() > 0 || files(t, dir) != int(won.Load()) {
		t.Errorf("%d objects were put, %d are there, and the bucket was deleted %d times", won.Load(), files(t, dir), gone.Load())
	}
}

// Who reads an object has it whole, though it is replaced and deleted meanwhile.
func TestReadWhileReplaced(t *testing.T) {
	h, _ := onDisk(t)
	old := strings.Repeat("old", 1<<20)
	h.put("k", old)
	out := must(h.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucketName), Key: aws.String("k")}))(t)
	defer out.Body.Close()
	h.put("k", "new")
	must(h.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucketName), Key: aws.String("k")}))(t)
	if got, err := io.ReadAll(out.Body); err != nil || string(got) != old {
		t.Errorf("%d bytes came, %v", len(got), err)
	}
}

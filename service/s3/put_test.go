package s3_test

import (
	"crypto/md5"
	"encoding/base64"
	"strings"
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

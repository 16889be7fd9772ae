package s3_test

import (
	"crypto/md5"
	"encoding/hex"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"
)

// An object comes back as it was put, with all that was said of it.
func TestObject(t *testing.T) {
	h := start(t)
	const content = "what the trail says"
	put := h.put("AWSLogs/1.json.gz", content, func(in *s3.PutObjectInput) {
		in.ContentType, in.ContentEncoding, in.CacheControl = aws.String("application/json"), aws.String("gzip"), aws.String("no-cache")
		in.Metadata = map[string]string{"signature": "abc", "signature-algorithm": "SHA256withRSA"}
		in.ACL = types.ObjectCannedACLBucketOwnerFullControl
	})
	sum := md5.Sum([]byte(content))
	etag := `"` + hex.EncodeToString(sum[:]) + `"`
	if *put.ETag != etag || put.ServerSideEncryption != types.ServerSideEncryptionAes256 {
		t.Errorf("PutObject = %s %s, want %s AES256", *put.ETag, put.ServerSideEncryption, etag)
	}
	out, got := h.get("AWSLogs/1.json.gz", func(in *s3.GetObjectInput) { in.ChecksumMode = types.ChecksumModeEnabled })
	if got != content {
		t.Errorf("GetObject gives %q, want %q", got, content)
	}
	type told struct {
		ETag, Type, Encoding, Cache string
		Metadata                    map[string]string
		Checksum                    string
		Length                      int64
	}
	want := told{etag, "application/json", "gzip", "no-cache", map[string]string{"signature": "abc", "signature-algorithm": "SHA256withRSA"}, aws.ToString(put.ChecksumCRC32), int64(len(content))}
	if want.Checksum == "" {
		t.Error("PutObject told no checksum")
	}
	if d := cmp.Diff(want, told{*out.ETag, *out.ContentType, *out.ContentEncoding, *out.CacheControl, out.Metadata, aws.ToString(out.ChecksumCRC32), *out.ContentLength}); d != "" {
		t.Errorf("GetObject (-want +got):\n%s", d)
	}
	head := must(h.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucketName), Key: aws.String("AWSLogs/1.json.gz"), ChecksumMode: types.ChecksumModeEnabled}))(t)
	if d := cmp.Diff(want, told{*head.ETag, *head.ContentType, *head.ContentEncoding, *head.CacheControl, head.Metadata, aws.ToString(head.ChecksumCRC32), *head.ContentLength}); d != "" {
		t.Errorf("HeadObject (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"AWSLogs/1.json.gz"}, h.keys()); d != "" {
		t.Errorf("ListObjectsV2 (-want +got):\n%s", d)
	}
}

package s3

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/holdfast-cloud/holdfast/api/s3"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

const (
	// maxObject is how large an object may be that comes in one PutObject: https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html
	maxObject = 5 << 30
	// maxKey is the length of an object's key in bytes: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
	maxKey = 1024
	// maxMetadata is the size of a user's metadata, names and values together: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
	maxMetadata = 2 << 10
)

// PutObject stores an object in place of the one that has its key, if there is one. A call from outside runs it twice: the first run asks whether the caller may,
// and takes the body in, however long that takes; the second, in a transaction of its own, asks again and makes the object of it.
func (s *Service) PutObject(c *call.Call, in *s3.PutObjectRequest) (*s3.PutObjectOutput, error) {
	out, err := s.putObject(c, in)
	if up, ok := in.Body.(*upload); ok && err != nil && !again(err) {
		// Nobody else knows the bytes. If this fails, they are found later: see Unnamed.
		_ = s.cfg.Blob.Delete(context.WithoutCancel(c.Context), up.blob)
	}
	return out, err
}

func (s *Service) putObject(c *call.Call, in *s3.PutObjectRequest) (*s3.PutObjectOutput, error) {
	b, err := s.find(c, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	key := optional.Value(in.Key)
	if err := checkKey(key); err != nil {
		return nil, err
	}
	b.ofPut(in)
	if err := b.authorizeObject(key); err != nil {
		return nil, err
	}
	if err := checkPut(in); err != nil {
		return nil, err
	}
	e, err := b.encryption(in)
	if err != nil {
		return nil, err
	}
	old, err := b.objects().Get(c.Tx(), b.Name, key)
	if store.IgnoreNotFound(err) != nil {
		return nil, err
	}
	if err := mayReplace(in, old); err != nil {
		return nil, err
	}
	up, ok := in.Body.(*upload)
	if !ok {
		released := c.Release()
		if up, err = s.take(c.Context, in, e != nil); err != nil {
			return nil, err
		}
		in.Body = up
		if released {
			return nil, call.ErrAgain
		}
	}
	if e != nil {
		if err := s.seal(c, b, e, up); err != nil {
			return nil, err
		}
	}
	o := &objectRecord{
		Bucket: b.Name, Key: key, Blob: up.blob, Size: up.size, ETag: up.etag, Modified: c.Time.Truncate(time.Second).UTC(), Sequence: nextSequence(c.Time, old),
		Headers: headersOf(in), Metadata: in.Metadata, Checksum: up.checksum, KMS: e,
	}
	if err := b.objects().Put(c.Tx(), o); err != nil {
		return nil, err
	}
	s.free(c, old)
	b.transferred(up.size, 0, o)
	return o.put(), b.notify(happened{s3.EventS3ObjectCreatedPut, "PutObject", o})
}

// free removes the bytes of an object that is no more, after the commit.
func (s *Service) free(c *call.Call, o *objectRecord) {
	if o == nil {
		return
	}
	ctx := context.WithoutCancel(c.Context)
	c.Tx().OnCommitted(func() { _ = s.cfg.Blob.Delete(ctx, o.Blob) }) // what stays is found later: see Unnamed
}

// checkKey refuses what is no key of an object. One that the store cannot hold is longer than it looks: it has control characters.
func checkKey(key string) error {
	if key == "" {
		return badArgument("key", "", "The key must not be empty.")
	}
	if len(key) > maxKey || len(key)+strings.Count(key, "\x00")+strings.Count(key, "\x01") > store.MaxKeySize-256 {
		return fault("KeyTooLongError", 400, "Your key is too long", detail("MaxSizeAllowed", "1024"))
	}
	if !utf8.ValidString(key) {
		return fault("InvalidURI", 400, "Couldn't parse the specified URI.")
	}
	return nil
}

// ofPut sets the condition keys of a PutObject.
func (b *bucket) ofPut(in *s3.PutObjectRequest) {
	b.with("s3:x-amz-acl", string(in.ACL))
	b.with("s3:x-amz-grant-full-control", optional.Value(in.GrantFullControl))
	b.with("s3:x-amz-grant-read", optional.Value(in.GrantRead))
	b.with("s3:x-amz-grant-read-acp", optional.Value(in.GrantReadACP))
	b.with("s3:x-amz-grant-write-acp", optional.Value(in.GrantWriteACP))
	b.with("s3:x-amz-server-side-encryption", string(in.ServerSideEncryption))
	b.with("s3:x-amz-server-side-encryption-aws-kms-key-id", b.keyName(in))
	b.with("s3:x-amz-server-side-encryption-customer-algorithm", optional.Value(in.SSECustomerAlgorithm))
	b.with("s3:x-amz-storage-class", string(in.StorageClass))
	b.with("s3:x-amz-website-redirect-location", optional.Value(in.WebsiteRedirectLocation))
	b.with("s3:if-match", optional.Value(in.IfMatch))
	b.with("s3:if-none-match", optional.Value(in.IfNoneMatch))
	b.with("s3:ObjectCreationOperation", "true")
}

// checkPut refuses what an object here cannot have.
func checkPut(in *s3.PutObjectRequest) error {
	switch {
	case in.ACL != "" && in.ACL != s3.ObjectCannedACLBucketOwnerFullControl, given(in.GrantFullControl, in.GrantRead, in.GrantReadACP, in.GrantWriteACP):
		return fault("AccessControlListNotSupported", 400, "The bucket does not allow ACLs")
	case given(in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5):
		return notImplemented("x-amz-server-side-encryption-customer-algorithm")
	case in.ObjectLockMode != "" || in.ObjectLockRetainUntilDate != nil || in.ObjectLockLegalHoldStatus != "":
		return badRequest("Bucket is missing Object Lock Configuration")
	case in.StorageClass != "" && in.StorageClass != s3.StorageClassStandard:
		return noStorageClass(in.StorageClass)
	case in.Tagging != nil:
		return notImplemented("x-amz-tagging")
	case in.WriteOffsetBytes != nil:
		return notImplemented("x-amz-write-offset-bytes")
	}
	size := 0
	for name, value := range in.Metadata {
		size += len(name) + len(value)
	}
	if size > maxMetadata {
		return fault("MetadataTooLarge", 400, "Your metadata headers exceed the maximum allowed metadata size", detail("MaxSizeAllowed", "2048"))
	}
	return nil
}

// noStorageClass refuses a storage class: all objects here are kept alike.
func noStorageClass(class s3.StorageClass) error {
	switch class {
	case s3.StorageClassReducedRedundancy, s3.StorageClassStandardIa, s3.StorageClassOnezoneIa, s3.StorageClassIntelligentTiering, s3.StorageClassGlacier,
		s3.StorageClassDeepArchive, s3.StorageClassGlacierIr, s3.StorageClassOutposts, s3.StorageClassSnow, s3.StorageClassExpressOnezone:
		return notImplemented("x-amz-storage-class")
	}
	return fault("InvalidStorageClass", 400, "The storage class you specified is not valid")
}

// headersOf are the headers that an object keeps.
func headersOf(in *s3.PutObjectRequest) headers {
	h := headers{
		ContentType: optional.Value(in.ContentType), CacheControl: optional.Value(in.CacheControl), ContentDisposition: optional.Value(in.ContentDisposition),
		ContentEncoding: withoutChunks(optional.Value(in.ContentEncoding)), ContentLanguage: optional.Value(in.ContentLanguage),
		WebsiteRedirect: optional.Value(in.WebsiteRedirectLocation), Expires: in.Expires,
	}
	if h.ContentType == "" {
		h.ContentType = "binary/octet-stream"
	}
	return h
}

// withoutChunks takes aws-chunked out of a content encoding: it is how the request came, and not what the object is.
func withoutChunks(encoding string) string {
	var kept []string
	for e := range strings.SplitSeq(encoding, ",") {
		if e = strings.TrimSpace(e); e != "" && !strings.EqualFold(e, "aws-chunked") {
			kept = append(kept, e)
		}
	}
	return strings.Join(kept, ",")
}

// put is what PutObject answers.
func (o *objectRecord) put() *s3.PutObjectOutput {
	out := &s3.PutObjectOutput{ETag: new(o.etag()), ServerSideEncryption: s3.ServerSideEncryptionAes256, ChecksumType: s3.ChecksumTypeFullObject}
	if o.KMS != nil {
		out.ServerSideEncryption, out.SSEKMSKeyId, out.BucketKeyEnabled = s3.ServerSideEncryptionAwsKms, &o.KMS.KeyARN, optional.NonZero(o.KMS.BucketKey)
		out.SSEKMSEncryptionContext = optional.NonZero(o.KMS.Given)
	}
	o.Checksum.show(checksumFields{
		&out.ChecksumCRC32, &out.ChecksumCRC32C, &out.ChecksumCRC64NVME, &out.ChecksumSHA1, &out.ChecksumSHA256, &out.ChecksumSHA512, &out.ChecksumMD5,
	})
	return out
}

// etag is the object's entity tag as headers have it.
func (o *objectRecord) etag() string { return `"` + o.ETag + `"` }

package s3

import (
	"errors"
	"io"
	"time"

	"github.com/holdfast-cloud/holdfast/api/s3"
	"github.com/holdfast-cloud/holdfast/blob"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// reading is what GetObject and HeadObject have in common: which object, which part of it, and under which conditions.
type reading struct {
	bucket, key, owner, versionID *string
	part                          *int32
	rangeOf                       *string
	conditions                    conditions
	customerKey                   []*string
}

// found is the object of a reading.
type found struct {
	*objectRecord
	bucket *bucket
	span   span
	ranged bool // only a part is asked for
}

// read finds an object, after asking for permission to get it.
func (s *Service) read(c *call.Call, in reading) (*found, error) {
	b, err := s.find(c, in.bucket, in.owner)
	if err != nil {
		return nil, err
	}
	key := optional.Value(in.key)
	if err := checkKey(key); err != nil {
		return nil, err
	}
	if err := b.authorizeObject(key); err != nil {
		return nil, err
	}
	if given(in.customerKey...) {
		return nil, notImplemented("x-amz-server-side-encryption-customer-algorithm")
	}
	if in.versionID != nil && *in.versionID != "null" {
		return nil, badArgument("versionId", *in.versionID, "Invalid version id specified")
	}
	o, err := b.objects().Get(c.Tx(), b.Name, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, b.missing(key)
	}
	if err != nil {
		return nil, err
	}
	if err := in.conditions.check(o); err != nil {
		return nil, err
	}
	f := &found{objectRecord: o, bucket: b, span: span{0, o.Size - 1}}
	return f, f.narrow(in)
}

// narrow takes the part that is asked for.
func (f *found) narrow(in reading) error {
	switch {
	case in.part != nil && in.rangeOf != nil:
		return badRequest("Cannot specify both Range header and partNumber query parameter")
	case in.part != nil && *in.part != 1:
		return fault("InvalidPartNumber", 416, "The requested partnumber is not satisfiable")
	case in.part != nil:
		f.ranged = f.Size > 0
	case in.rangeOf != nil:
		p, ok, err := parseRange(*in.rangeOf, f.Size)
		if err != nil {
			return err
		}
		if ok {
			f.span, f.ranged = p, true
		}
	}
	return nil
}

// missing is the answer for an object that is not there. Only who may list the bucket learns that.
func (b *bucket) missing(key string) error {
	if b.c.Would(b.c.Caller, s3.OpListObjectsV2.Action, b.resource()) {
		return noKey(key)
	}
	return b.c.Reject(accessDenied())
}

// GetObject returns an object, or a part of it.
func (s *Service) GetObject(c *call.Call, in *s3.GetObjectRequest) (*s3.GetObjectOutput, error) {
	f, err := s.read(c, reading{
		bucket: in.Bucket, key: in.Key, owner: in.ExpectedBucketOwner, versionID: in.VersionId, part: in.PartNumber, rangeOf: in.Range,
		conditions:  conditions{in.IfMatch, in.IfNoneMatch, in.IfModifiedSince, in.IfUnmodifiedSince},
		customerKey: []*string{in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5},
	})
	if err != nil {
		return nil, err
	}
	body, err := s.bytes(c, f)
	if err != nil {
		return nil, err
	}
	f.bucket.transferred(0, f.span.length(), f.objectRecord)
	out := &s3.GetObjectOutput{Body: body}
	f.show(answer{
		lastModified: &out.LastModified, contentLength: &out.ContentLength, etag: &out.ETag, acceptRanges: &out.AcceptRanges, contentRange: &out.ContentRange,
		contentType: &out.ContentType, cacheControl: &out.CacheControl, contentDisposition: &out.ContentDisposition, contentEncoding: &out.ContentEncoding,
		contentLanguage: &out.ContentLanguage, expires: &out.Expires, websiteRedirect: &out.WebsiteRedirectLocation,
		encryption: &out.ServerSideEncryption, kmsKeyID: &out.SSEKMSKeyId, bucketKey: &out.BucketKeyEnabled, metadata: &out.Metadata,
	}, overrides{
		in.ResponseContentType, in.ResponseCacheControl, in.ResponseContentDisposition, in.ResponseContentEncoding, in.ResponseContentLanguage, in.ResponseExpires,
	})
	if in.ChecksumMode == s3.ChecksumModeEnabled && !f.ranged {
		out.ChecksumType = s3.ChecksumTypeFullObject
		f.Checksum.show(checksumFields{
			&out.ChecksumCRC32, &out.ChecksumCRC32C, &out.ChecksumCRC64NVME, &out.ChecksumSHA1, &out.ChecksumSHA256, &out.ChecksumSHA512, &out.ChecksumMD5,
		})
	}
	return out, nil
}

// HeadObject returns what GetObject would say of an object, without its bytes.
func (s *Service) HeadObject(c *call.Call, in *s3.HeadObjectRequest) (*s3.HeadObjectOutput, error) {
	f, err := s.read(c, reading{
		bucket: in.Bucket, key: in.Key, owner: in.ExpectedBucketOwner, versionID: in.VersionId, part: in.PartNumber, rangeOf: in.Range,
		conditions:  conditions{in.IfMatch, in.IfNoneMatch, in.IfModifiedSince, in.IfUnmodifiedSince},
		customerKey: []*string{in.SSECustomerAlgorithm, in.SSECustomerKey, in.SSECustomerKeyMD5},
	})
	if err != nil {
		return nil, err
	}
	out := &s3.HeadObjectOutput{}
	f.show(answer{
		lastModified: &out.LastModified, contentLength: &out.ContentLength, etag: &out.ETag, acceptRanges: &out.AcceptRanges, contentRange: &out.ContentRange,
		contentType: &out.ContentType, cacheControl: &out.CacheControl, contentDisposition: &out.ContentDisposition, contentEncoding: &out.ContentEncoding,
		contentLanguage: &out.ContentLanguage, expires: &out.Expires, websiteRedirect: &out.WebsiteRedirectLocation,
		encryption: &out.ServerSideEncryption, kmsKeyID: &out.SSEKMSKeyId, bucketKey: &out.BucketKeyEnabled, metadata: &out.Metadata,
	}, overrides{
		in.ResponseContentType, in.ResponseCacheControl, in.ResponseContentDisposition, in.ResponseContentEncoding, in.ResponseContentLanguage, in.ResponseExpires,
	})
	if in.ChecksumMode == s3.ChecksumModeEnabled && !f.ranged {
		if f.KMS != nil {
			// The checksum tells of the bytes, so it takes the permission that they take.
			if _, err := s.open(c, f.objectRecord); err != nil {
				return nil, err
			}
		}
		out.ChecksumType = s3.ChecksumTypeFullObject
		f.Checksum.show(checksumFields{
			&out.ChecksumCRC32, &out.ChecksumCRC32C, &out.ChecksumCRC64NVME, &out.ChecksumSHA1, &out.ChecksumSHA256, &out.ChecksumSHA512, &out.ChecksumMD5,
		})
	}
	return out, nil
}

// bytes opens what is asked for of an object.
func (s *Service) bytes(c *call.Call, f *found) (io.ReadCloser, error) {
	bytes := s.cfg.Blob
	if f.KMS != nil {
		key, err := s.open(c, f.objectRecord)
		if err != nil {
			return nil, err
		}
		bytes = blob.Seal(bytes, key)
	}
	body, _, err := bytes.Get(c.Context, f.Blob, f.span.first, f.span.length())
	if errors.Is(err, blob.ErrNotFound) {
		return nil, store.ErrConflict // somebody has replaced the object since it was looked up: look again
	}
	return body, err
}

// answer are the members of the outputs of GetObject and HeadObject, which have no type in common.
type answer struct {
	lastModified, expires                                                           **time.Time
	contentLength                                                                   **int64
	etag, acceptRanges, contentRange                                                **string
	contentType, cacheControl, contentDisposition, contentEncoding, contentLanguage **string
	websiteRedirect, kmsKeyID                                                       **string
	encryption                                                                      *s3.ServerSideEncryption
	bucketKey                                                                       **bool
	metadata                                                                        *map[string]string
}

// overrides are headers that a reader asks for in the place of those of the object.
type overrides struct {
	contentType, cacheControl, contentDisposition, contentEncoding, contentLanguage *string
	expires                                                                         *time.Time
}

// show fills an answer.
func (f *found) show(a answer, o overrides) {
	*a.lastModified, *a.contentLength, *a.etag, *a.acceptRanges = &f.Modified, new(f.span.length()), new(f.etag()), new("bytes")
	if f.ranged {
		*a.contentRange = new(f.span.contentRange(f.Size))
	}
	for _, h := range []struct {
		to    **string
		other *string
		own   string
	}{
		{a.contentType, o.contentType, f.Headers.ContentType}, {a.cacheControl, o.cacheControl, f.Headers.CacheControl},
		{a.contentDisposition, o.contentDisposition, f.Headers.ContentDisposition}, {a.contentEncoding, o.contentEncoding, f.Headers.ContentEncoding},
		{a.contentLanguage, o.contentLanguage, f.Headers.ContentLanguage}, {a.websiteRedirect, nil, f.Headers.WebsiteRedirect},
	} {
		if *h.to = h.other; h.other == nil {
			*h.to = optional.NonZero(h.own)
		}
	}
	if *a.expires = o.expires; o.expires == nil {
		*a.expires = f.Headers.Expires
	}
	*a.encryption, *a.metadata = s3.ServerSideEncryptionAes256, f.Metadata
	if f.KMS != nil {
		*a.encryption, *a.kmsKeyID, *a.bucketKey = s3.ServerSideEncryptionAwsKms, &f.KMS.KeyARN, optional.NonZero(f.KMS.BucketKey)
	}
}

// DeleteObject removes an object; that there is none is no error.
func (s *Service) DeleteObject(c *call.Call, in *s3.DeleteObjectRequest) (*s3.DeleteObjectOutput, error) {
	b, err := s.find(c, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	key := optional.Value(in.Key)
	if err := checkKey(key); err != nil {
		return nil, err
	}
	b.with("s3:if-match", optional.Value(in.IfMatch))
	if err := b.authorizeObject(key); err != nil {
		return nil, err
	}
	switch {
	case in.VersionId != nil && *in.VersionId != "null":
		return nil, badArgument("versionId", *in.VersionId, "Invalid version id specified")
	case in.IfMatchLastModifiedTime != nil:
		return nil, notImplemented("x-amz-if-match-last-modified-time")
	case in.IfMatchSize != nil:
		return nil, notImplemented("x-amz-if-match-size")
	}
	o, err := b.objects().Get(c.Tx(), b.Name, key)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return &s3.DeleteObjectOutput{}, nil
	case err != nil:
		return nil, err
	case in.IfMatch != nil && !o.matches(*in.IfMatch):
		return nil, failedPrecondition("If-Match")
	}
	s.free(c, o)
	if err := b.objects().Delete(c.Tx(), b.Name, key); err != nil {
		return nil, err
	}
	o.Sequence = nextSequence(c.Time, o)
	return &s3.DeleteObjectOutput{}, b.notify(happened{s3.EventS3ObjectRemovedDelete, "DeleteObject", o})
}

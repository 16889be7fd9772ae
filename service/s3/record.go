package s3

import (
	"fmt"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/wire"
)

// recorded names what S3's records name otherwise than those of other services: headers and parameters of the query as they were sent, and the bucket.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/cloudtrail-logging-understanding-s3-entries.html
func recorded(m *wire.Member) string {
	switch {
	case m.Name == "Bucket" && m.Location == wire.InURI:
		return "bucketName"
	case m.Location == wire.InHeader, m.Location == wire.InQuery:
		return m.WireName()
	}
	return ""
}

// transferred puts into the call's record how many bytes of an object came or went, and how they are encrypted.
func (b *bucket) transferred(in, out int64, o *objectRecord) {
	applied := "Default_SSE_S3"
	if o.KMS != nil {
		applied = "SSE_KMS"
	}
	b.c.AdditionalEventData(fmt.Appendf(nil, `{"SignatureVersion":"SigV4","SSEApplied":%q,"bytesTransferredIn":%d,"bytesTransferredOut":%d}`, applied, in, out))
}

// authorizeObject asks for the operation's own action on an object. The bucket stands in the record, too.
func (b *bucket) authorizeObject(key string) error {
	if err := b.c.Authorize(b.object(key)); err != nil {
		return err
	}
	b.c.Touch(audit.Resource{Account: b.Account, Type: bucketType, ARN: b.arn()})
	return nil
}

package s3

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"

	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/store"
)

// What is kept in the store:
//
//	s3/ACCOUNT/REGION/bucket/NAME         the bucket
//	s3///bucket.name/NAME                 which is the one of that name in the partition
//	s3///bucket.account/ACCOUNT/NAME      those of an account in all regions
//	s3/ACCOUNT/REGION/object/BUCKET/KEY   the object, in the account and the region of its bucket
//	s3///object.blob/BLOB                 which object an object of the blob store belongs to
//
// The bytes of an object lie in the blob store, under a random key that begins with BlobPrefix: a new one with each PutObject. They are written before the record that
// names them, and removed after the commit that no longer does. So what a crash leaves is bytes without a record, at most; Unnamed tells them apart.
var (
	bucketTable = store.NewTable("s3", "bucket", func(b *bucketRecord) store.Key { return store.Key{b.Name} },
		store.Index[bucketRecord]{Name: "name", Unique: true, Global: true, Entries: func(b *bucketRecord) []store.Key { return []store.Key{{b.Name}} }},
		store.Index[bucketRecord]{Name: "account", Global: true, Entries: func(b *bucketRecord) []store.Key { return []store.Key{{b.Account, b.Name}} }})

	objectTable = store.NewTable("s3", "object", func(o *objectRecord) store.Key { return store.Key{o.Bucket, o.Key} },
		store.Index[objectRecord]{Name: "blob", Unique: true, Global: true, Entries: func(o *objectRecord) []store.Key { return []store.Key{{o.Blob}} }})
)

// bucketRecord is a bucket.
type bucketRecord struct {
	Name, Account, Region string
	Created               time.Time
	Policy                string        `json:",omitempty"` // as it was put
	Pins                  identity.Pins `json:",omitempty"` // whom Policy names

	Notifications *notifications `json:",omitempty"` // nil where nobody is told
}

// objectRecord is an object.
type objectRecord struct {
	Bucket, Key string
	Blob        string
	Size        int64
	ETag        string // without quotation marks
	Modified    time.Time
	Sequence    int64             `json:",omitempty"` // of the change that made it, see nextSequence
	Headers     headers           `json:",omitzero"`
	Metadata    map[string]string `json:",omitempty"` // user's, without x-amz-meta-
	Checksum    checksum
	KMS         *kmsEncryption `json:",omitempty"` // nil where S3's own key encrypts
}

// headers are the headers of an object that S3 keeps and does not read.
type headers struct {
	ContentType, CacheControl, ContentDisposition, ContentEncoding, ContentLanguage string     `json:",omitempty"`
	WebsiteRedirect                                                                 string     `json:",omitempty"`
	Expires                                                                         *time.Time `json:",omitempty"`
}

// checksum is the checksum of an object's bytes.
type checksum struct {
	Algorithm string // as the API names it, e.g. CRC64NVME
	Value     string // in Base64
}

// kmsEncryption is how an object is encrypted with a key of KMS: under a key of its own, which is wrapped with a data key that KMS made.
type kmsEncryption struct {
	KeyARN    string
	Context   map[string]string `json:",omitempty"` // of the data key
	Given     string            `json:",omitempty"` // the part of Context that the request gave, as it was given
	DataKey   []byte            // encrypted by KMS
	ObjectKey []byte            // wrapped with the data key
	BucketKey bool              `json:",omitempty"` // an S3 Bucket Key was asked for
}

// BlobPrefix is what the keys in the blob store begin with.
const BlobPrefix = "s3/"

// newBlob makes a key in the blob store.
func newBlob() string {
	var b [20]byte
	rand.Read(b[:])
	return BlobPrefix + hex.EncodeToString(b[:])
}

// Unnamed returns those of some objects of the blob store, below BlobPrefix, that no object here is made of.
func (s *Service) Unnamed(ctx context.Context, keys []string) (unnamed []string, err error) {
	err = s.cfg.Store.View(ctx, func(r store.Reader) error {
		unnamed = nil
		for _, key := range keys {
			n, err := objectTable.In("", "").Count(r, store.Query{Index: "blob", Prefix: store.Key{key}, Limit: 1})
			if err != nil {
				return err
			}
			if n == 0 {
				unnamed = append(unnamed, key)
			}
		}
		return nil
	})
	return unnamed, err
}

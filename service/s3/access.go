package s3

import (
	"errors"
	"strings"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

// The types of resources in audit records.
const (
	bucketType = "AWS::S3::Bucket"
	objectType = "AWS::S3::Object"
)

// bucket is a bucket that a call is about.
type bucket struct {
	*bucketRecord
	c      *call.Call
	policy *policy.Policy // nil if there is none
	keys   policy.Values  // condition keys of the request
}

// find gives the bucket that a request names, as far as the call has come to the region that it lies in.
func (s *Service) find(c *call.Call, name, expectedOwner *string) (*bucket, error) {
	r, err := bucketTable.In("", "").Find(c.Tx(), "name", optional.Value(name))
	if errors.Is(err, store.ErrNotFound) {
		return nil, noBucket(optional.Value(name))
	}
	if err != nil {
		return nil, err
	}
	if r.Region != c.Scope.Region {
		if c.Source.Service == "" {
			return nil, elsewhere(c, r)
		}
		// A service knows its way: it calls where the bucket is.
		c.Scope.Region = r.Region
	}
	b := newBucket(c, r)
	if r.Policy != "" {
		if b.policy, err = s.policies.Get(c.Context, r.Policy, r.Pins); err != nil {
			return nil, err
		}
	}
	if expectedOwner != nil && *expectedOwner != r.Account {
		return nil, c.Reject(accessDenied())
	}
	return b, nil
}

// newBucket is a bucket with the condition keys that each call has.
func newBucket(c *call.Call, r *bucketRecord) *bucket {
	b := &bucket{bucketRecord: r, c: c, keys: policy.Values{}}
	b.with("s3:ResourceAccount", r.Account)
	b.with("s3:signatureversion", "AWS4-HMAC-SHA256")
	if t := c.Source.TLS; t != nil {
		b.with("s3:TlsVersion", strings.TrimPrefix(t.Version, "TLSv"))
	}
	return b
}

// elsewhere sends a caller to the region that a bucket is in, as S3's endpoint that serves all regions does. Clients that know S3 read the region and call again.
func elsewhere(c *call.Call, r *bucketRecord) error {
	header := detail("x-amz-bucket-region", r.Region)
	if strings.HasPrefix(c.Op.Name, "Head") {
		return &wire.Error{Code: "PermanentRedirect", Status: 301, Header: []wire.Detail{header}}
	}
	return &wire.Error{
		Code: "AuthorizationHeaderMalformed", Status: 400,
		Message: "The authorization header is malformed; the region '" + c.Scope.Region + "' is wrong; expecting '" + r.Region + "'",
		Details: []wire.Detail{detail("Region", r.Region)}, Header: []wire.Detail{header},
	}
}

func detail(name, value string) wire.Detail { return wire.Detail{Name: name, Value: value} }

func (b *bucket) arn() string { return "arn:" + b.c.Scope.Partition + ":s3:::" + b.Name }

func (b *bucket) objectARN(key string) string { return b.arn() + "/" + key }

// with sets a condition key of the request, unless the value is empty.
func (b *bucket) with(key, value string) {
	if value != "" {
		b.keys.Set(key, value)
	}
}

// resource is the bucket as permission is asked for it.
func (b *bucket) resource() *call.Resource {
	return &call.Resource{ARN: b.arn(), Account: b.Account, Type: bucketType, Policy: b.policy, Conditions: b.keys}
}

// object is an object of the bucket as permission is asked for it.
func (b *bucket) object(key string) *call.Resource {
	return &call.Resource{ARN: b.objectARN(key), Account: b.Account, Type: objectType, Policy: b.policy, Conditions: b.keys}
}

// authorize asks for the operation's own action on the bucket.
func (b *bucket) authorize() error { return b.c.Authorize(b.resource()) }

package s3

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/s3"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/pagetoken"
)

// firstRegion is the region that buckets lie in which name none. The API has no name for it.
const firstRegion = "us-east-1"

// CreateBucket makes a bucket in the region called, or from us-east-1 in another one.
func (s *Service) CreateBucket(c *call.Call, in *s3.CreateBucketRequest) (*s3.CreateBucketOutput, error) {
	name := optional.Value(in.Bucket)
	if err := checkName(name); err != nil {
		return nil, err
	}
	region, err := s.location(c.Scope.Region, in.CreateBucketConfiguration)
	if err != nil {
		return nil, err
	}
	r := &bucketRecord{Name: name, Account: c.Scope.Account, Region: region, Created: c.Time}
	b := newBucket(c, r)
	b.with("s3:x-amz-acl", string(in.ACL))
	b.with("s3:x-amz-object-ownership", string(in.ObjectOwnership))
	b.with("s3:LocationConstraint", constraint(region))
	if err := b.authorize(); err != nil {
		return nil, err
	}
	if err := checkBucketOptions(in); err != nil {
		return nil, err
	}
	out := &s3.CreateBucketOutput{Location: new("/" + name), BucketArn: new(b.arn())}
	switch there, err := bucketTable.In("", "").Find(c.Tx(), "name", name); {
	case err == nil && there.Account != r.Account:
		return nil, &s3.BucketAlreadyExists{Message: "The requested bucket name is not available. The bucket namespace is shared by all users of the system. " +
			"Please select a different name and try again."}
	case err == nil && there.Region == firstRegion && region == firstRegion:
		return out, nil // as S3 has always done there
	case err == nil:
		return nil, &s3.BucketAlreadyOwnedByYou{Message: "Your previous request to create the named bucket succeeded and you already own it."}
	case !errors.Is(err, store.ErrNotFound):
		return nil, err
	}
	return out, bucketTable.In(r.Account, r.Region).Insert(c.Tx(), r)
}

// location is the region that a new bucket is to lie in.
func (s *Service) location(called string, cfg *s3.CreateBucketConfiguration) (string, error) {
	wanted := ""
	if cfg != nil {
		if cfg.Location != nil || cfg.Bucket != nil {
			return "", notImplemented("Directory buckets")
		}
		wanted = string(cfg.LocationConstraint)
	}
	if wanted == string(s3.BucketLocationConstraintEu) {
		wanted = string(s3.BucketLocationConstraintEuWest1)
	}
	switch {
	case wanted == "" && called == firstRegion:
		return called, nil
	case wanted == "":
		return "", fault("IllegalLocationConstraintException", 400,
			"The unspecified location constraint is incompatible for the region specific endpoint this request was sent to.")
	case wanted == firstRegion || !door.ValidRegion(s.cfg.Partition, wanted):
		return "", fault("InvalidLocationConstraint", 400, "The specified location-constraint is not valid", detail("LocationConstraint", wanted))
	case wanted != called && (called != firstRegion || s.cfg.Serves != nil && !s.cfg.Serves(wanted)):
		// Also where another process serves the region, which alone can keep the bucket.
		return "", fault("IllegalLocationConstraintException", 400,
			"The "+wanted+" location constraint is incompatible for the region specific endpoint this request was sent to.")
	}
	return wanted, nil
}

// constraint is a region as the API names it.
func constraint(region string) string {
	if region == firstRegion {
		return ""
	}
	return region
}

// checkBucketOptions refuses what a bucket here cannot be. A bucket's owner owns all that is in it, which is S3's default and makes ACLs needless.
func checkBucketOptions(in *s3.CreateBucketRequest) error {
	switch {
	case in.ACL != "" && in.ACL != s3.BucketCannedACLPrivate, given(in.GrantFullControl, in.GrantRead, in.GrantReadACP, in.GrantWrite, in.GrantWriteACP):
		return fault("InvalidBucketAclWithObjectOwnership", 400, "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting")
	case in.ObjectOwnership != "" && in.ObjectOwnership != s3.ObjectOwnershipBucketOwnerEnforced:
		return notImplemented("x-amz-object-ownership")
	case optional.Value(in.ObjectLockEnabledForBucket):
		return notImplemented("x-amz-bucket-object-lock-enabled")
	case in.BucketNamespace != "" && in.BucketNamespace != s3.BucketNamespaceGlobal:
		return notImplemented("x-amz-bucket-namespace")
	case in.CreateBucketConfiguration != nil && len(in.CreateBucketConfiguration.Tags) > 0:
		return notImplemented("Tags")
	}
	return nil
}

// given reports whether one of some headers is there.
func given(headers ...*string) bool {
	for _, h := range headers {
		if h != nil {
			return true
		}
	}
	return false
}

// DeleteBucket removes an empty bucket.
func (s *Service) DeleteBucket(c *call.Call, in *s3.DeleteBucketRequest) (*s3.DeleteBucketResponse, error) {
	b, err := s.find(c, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	if err := b.authorize(); err != nil {
		return nil, err
	}
	for _, err := range b.objects().Scan(c.Tx(), store.Query{Prefix: store.Key{b.Name}, Limit: 1}) {
		if err != nil {
			return nil, err
		}
		return nil, fault("BucketNotEmpty", 409, "The bucket you tried to delete is not empty", detail("BucketName", b.Name))
	}
	return &s3.DeleteBucketResponse{}, bucketTable.In(b.Account, b.Region).Delete(c.Tx(), b.Name)
}

// objects are the rows of objects among which the bucket's are.
func (b *bucket) objects() store.Rows[objectRecord] { return objectTable.In(b.Account, b.Region) }

// HeadBucket tells where a bucket is to who may list it.
func (s *Service) HeadBucket(c *call.Call, in *s3.HeadBucketRequest) (*s3.HeadBucketOutput, error) {
	b, err := s.find(c, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	if err := b.authorize(); err != nil {
		return nil, err
	}
	return &s3.HeadBucketOutput{BucketRegion: &b.Region, AccessPointAlias: new(false), BucketArn: new(b.arn())}, nil
}

// GetBucketLocation tells where a bucket is.
func (s *Service) GetBucketLocation(c *call.Call, in *s3.GetBucketLocationRequest) (*s3.GetBucketLocationOutput, error) {
	b, err := s.find(c, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	if err := b.authorize(); err != nil {
		return nil, err
	}
	return &s3.GetBucketLocationOutput{LocationConstraint: s3.BucketLocationConstraint(constraint(b.Region))}, nil
}

// maxBuckets is how many buckets a page holds unless less is asked for.
const maxBuckets = 10000

// ListBuckets lists the account's buckets of all regions, by name.
func (s *Service) ListBuckets(c *call.Call, in *s3.ListBucketsRequest) (*s3.ListBucketsOutput, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	limit := maxBuckets
	if in.MaxBuckets != nil {
		limit = int(*in.MaxBuckets)
	}
	if limit < 1 || limit > maxBuckets {
		return nil, badArgument("max-buckets", "", "Argument max-buckets must be an integer between 1 and 10000")
	}
	prefix, region := optional.Value(in.Prefix), optional.Value(in.BucketRegion)
	listing, after := "buckets "+c.Scope.Account+" "+prefix+" "+region, ""
	if in.ContinuationToken != nil {
		position, err := pagetoken.Decode(listing, *in.ContinuationToken)
		if err != nil {
			return nil, badToken()
		}
		after = string(position)
	}
	out := &s3.ListBucketsOutput{Buckets: []s3.Bucket{}, Prefix: in.Prefix, Owner: owner(c.Scope.Account)}
	q := store.Query{Index: "account", Prefix: store.Key{c.Scope.Account, store.Begin(prefix)}}
	if after != "" {
		q = store.Query{Index: "account", Prefix: store.Key{c.Scope.Account}, From: store.Key{after + "\x00"}}
	}
	for r, err := range bucketTable.In("", "").Scan(c.Tx(), q) {
		if err != nil {
			return nil, err
		}
		if !strings.HasPrefix(r.Name, prefix) {
			break
		}
		if region != "" && r.Region != region {
			continue
		}
		if len(out.Buckets) == limit {
			out.ContinuationToken = new(pagetoken.Encode(listing, []byte(*out.Buckets[limit-1].Name)))
			break
		}
		b := s3.Bucket{Name: &r.Name, CreationDate: &r.Created, BucketArn: new(newBucket(c, r).arn())}
		if in.MaxBuckets != nil || region != "" || in.Prefix != nil || in.ContinuationToken != nil {
			b.BucketRegion = &r.Region // S3 tells it in the paged listing alone
		}
		out.Buckets = append(out.Buckets, b)
	}
	return out, nil
}

func badToken() error {
	return badArgument("continuation-token", "", "The continuation token provided is incorrect")
}

// owner is an account as S3 names it: by its canonical user ID, which is derived from the account here.
func owner(account string) *s3.Owner {
	sum := sha256.Sum256([]byte("canonical user of account " + account))
	return &s3.Owner{ID: new(hex.EncodeToString(sum[:]))}
}

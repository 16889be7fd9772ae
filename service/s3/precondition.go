package s3

import (
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/s3"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/wire"
)

// mayReplace holds what a PutObject demands against the object that has the key, or nil:
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
func mayReplace(in *s3.PutObjectRequest, old *objectRecord) error {
	switch {
	case in.IfNoneMatch != nil && *in.IfNoneMatch != "*":
		return notImplemented("If-None-Match")
	case in.IfNoneMatch != nil && old != nil:
		return failedPrecondition("If-None-Match")
	case in.IfMatch != nil && old == nil:
		return noKey(optional.Value(in.Key))
	case in.IfMatch != nil && !old.matches(*in.IfMatch):
		return failedPrecondition("If-Match")
	}
	return nil
}

// conditions are the conditional headers of a read.
type conditions struct {
	match, noneMatch               *string
	modifiedSince, unmodifiedSince *time.Time
}

// check holds them against an object, in the order and with the exceptions of RFC 9110, section 13.2.2.
func (k conditions) check(o *objectRecord) error {
	switch {
	case k.match != nil && !o.matches(*k.match):
		return failedPrecondition("If-Match")
	case k.match == nil && k.unmodifiedSince != nil && o.Modified.After(*k.unmodifiedSince):
		return failedPrecondition("If-Unmodified-Since")
	case k.noneMatch != nil && o.matches(*k.noneMatch), k.noneMatch == nil && k.modifiedSince != nil && !o.Modified.After(*k.modifiedSince):
		return &wire.Error{Code: "NotModified", Status: 304, Header: []wire.Detail{
			{Name: "ETag", Value: o.etag()}, {Name: "Last-Modified", Value: o.Modified.Format(httpDate)},
		}}
	}
	return nil
}

const httpDate = "Mon, 02 Jan 2006 15:04:05 GMT"

// matches reports whether a list of entity tags has the object's, or is "*".
func (o *objectRecord) matches(list string) bool {
	for tag := range strings.SplitSeq(list, ",") {
		tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
		if tag == "*" || strings.Trim(tag, `"`) == o.ETag {
			return true
		}
	}
	return false
}

func failedPrecondition(which string) error {
	return fault("PreconditionFailed", 412, "At least one of the pre-conditions you specified did not hold", detail("Condition", which))
}

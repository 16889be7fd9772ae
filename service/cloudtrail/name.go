package cloudtrail

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
)

// The lengths of a trail's name, of its prefix, and of the name of its bucket.
const (
	minName, maxName     = 3, 128
	maxPrefix            = 200
	minBucket, maxBucket = 3, 63
)

func letterOrDigit(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9'
}

func joint(b byte) bool { return b == '.' || b == '_' || b == '-' }

// nameFault is what is wrong with a trail's name, or "".
func nameFault(name string) string {
	switch {
	case name == "":
		return "Trail name or ARN can not be blank."
	case len(name) < minName:
		return fmt.Sprintf("Trail name too short. Minimum allowed length: %d characters. Specified name length: %d characters.", minName, len(name))
	case len(name) > maxName:
		return fmt.Sprintf("Trail name too long. Maximum allowed length: %d characters. Specified name length: %d characters.", maxName, len(name))
	case !letterOrDigit(name[0]):
		return "Trail name must starts with a letter or number."
	case !letterOrDigit(name[len(name)-1]):
		return "Trail name must ends with a letter or number."
	}
	for i := range len(name) {
		switch {
		case !letterOrDigit(name[i]) && !joint(name[i]):
			return "Trail name or ARN can only contain uppercase letters, lowercase letters, numbers, periods (.), hyphens (-), and underscores (_)."
		case joint(name[i]) && joint(name[i-1]):
			return "Trail name or ARN cannot have adjacent periods (.), hyphens (-), or underscores (_)."
		}
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return "Trail name or ARN cannot be in IP address format."
	}
	return ""
}

func checkName(name string) error {
	if fault := nameFault(name); fault != "" {
		return &cloudtrail.InvalidTrailNameException{Message: fault}
	}
	return nil
}

// named is a trail as a request names it.
type named struct {
	account, region, name string
	byARN                 bool
}

func (n named) arn(partition string) string {
	return call.Scope{Partition: partition, Account: n.account, Region: n.region}.ARN("cloudtrail", "trail/"+n.name)
}

// named reads the name of a trail, which is one of the caller's account and the region called, or its ARN.
func (s *Service) named(c *call.Call, id string) (named, error) {
	if !strings.HasPrefix(id, "arn:") {
		return named{account: c.Scope.Account, region: c.Scope.Region, name: id}, checkName(id)
	}
	a, err := arn.Parse(id)
	name, ok := strings.CutPrefix(a.Resource, "trail/")
	if err != nil || !ok || a.Service != "cloudtrail" || a.Partition != s.cfg.Partition || a.Region == "" || a.Account == "" || nameFault(name) != "" {
		return named{}, badARN(id)
	}
	return named{a.Account, a.Region, name, true}, nil
}

func badARN(id string) error {
	return &cloudtrail.CloudTrailARNInvalidException{Message: "The specified ARN is not valid: " + id}
}

// checkBucket says whether a name can be one of a bucket, as S3 has them.
func checkBucket(name string) error {
	fault := func(words string) error {
		return &cloudtrail.InvalidS3BucketNameException{Message: "The S3 bucket name " + words}
	}
	switch {
	case name == "":
		return fault("can not be blank.")
	case len(name) < minBucket || len(name) > maxBucket:
		return fault(fmt.Sprintf("must be between %d and %d characters long.", minBucket, maxBucket))
	case !letterOrDigit(name[0]) || !letterOrDigit(name[len(name)-1]):
		return fault("must start and end with a letter or number.")
	}
	for i := range len(name) {
		if b := name[i]; !letterOrDigit(b) && !joint(b) || b >= 'A' && b <= 'Z' || b == '_' {
			return fault("can only contain lowercase letters, numbers, periods (.), and hyphens (-).")
		}
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return fault("cannot be in IP address format.")
	}
	return nil
}

func checkPrefix(prefix string) error {
	if len(prefix) > maxPrefix {
		return &cloudtrail.InvalidS3PrefixException{Message: fmt.Sprintf("S3 prefix is longer than maximum length: %d", maxPrefix)}
	}
	return nil
}

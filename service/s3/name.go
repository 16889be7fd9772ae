package s3

import (
	"net/netip"
	"strings"
)

// checkName refuses what is no name for a new bucket: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
func checkName(name string) error {
	if !validName(name) {
		return fault("InvalidBucketName", 400, "The specified bucket is not valid.", detail("BucketName", name))
	}
	return nil
}

func validName(name string) bool {
	if len(name) < 3 || len(name) > 63 {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case c == '-' || c == '.':
			if i == 0 || i == len(name)-1 || c == '.' && name[i-1] == '.' {
				return false
			}
		default:
			return false
		}
	}
	if _, err := netip.ParseAddr(name); err == nil {
		return false
	}
	for _, reserved := range []string{"xn--", "sthree-", "amzn-s3-demo-"} {
		if strings.HasPrefix(name, reserved) {
			return false
		}
	}
	for _, reserved := range []string{"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"} {
		if strings.HasSuffix(name, reserved) {
			return false
		}
	}
	return true
}

package door

import "strings"

// ValidRegion reports whether name has the form of a region and lies in the partition. Which regions exist is AWS's business: a
// cloud of one's own may name its own.
func ValidRegion(partition, name string) bool {
	if len(name) < 4 || len(name) > 32 || PartitionOf(name) != partition {
		return false
	}
	parts := strings.Split(name, "-")
	if len(parts) < 3 {
		return false
	}
	for i, p := range parts {
		if p == "" || i < len(parts)-1 && strings.Trim(p, "abcdefghijklmnopqrstuvwxyz") != "" || i == len(parts)-1 && strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return true
}

// PartitionOf is the partition that a region lies in.
func PartitionOf(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

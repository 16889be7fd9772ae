package door

import (
	"net"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/wire"
)

// A bucketHost is what the host of a request to S3 says: the bucket, of a request in virtual-host style, and the region.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
type bucketHost struct{ bucket, region string }

// parseBucketHost reads a host such as
//
//	BUCKET.s3.REGION.amazonaws.com   BUCKET.s3.amazonaws.com   s3.REGION.amazonaws.com   s3.dualstack.REGION.amazonaws.com
//	BUCKET.s3.cloud.example.com      BUCKET.s3.localhost       BUCKET.localhost
//
// where anything else names neither, and the path has the bucket. The label s3 divides the bucket from the rest: the last one, as buckets may have it in their own names.
func parseBucketHost(host string) bucketHost {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	labels := strings.Split(strings.TrimSuffix(strings.ToLower(host), "."), ".")
	for i, label := range slices.Backward(labels) {
		if label != "s3" || i == len(labels)-1 {
			continue
		}
		h := bucketHost{bucket: strings.Join(labels[:i], ".")}
		rest := labels[i+1:]
		if rest[0] == "dualstack" && len(rest) > 1 {
			rest = rest[1:]
		}
		if len(rest) > 1 && ValidRegion(PartitionOf(rest[0]), rest[0]) {
			h.region = rest[0]
		}
		return h
	}
	if n := len(labels) - 1; n > 0 && labels[n] == "localhost" {
		return bucketHost{bucket: strings.Join(labels[:n], ".")}
	}
	return bucketHost{}
}

// bucketPath is the path of a request to S3 as it is in path style.
func (h bucketHost) bucketPath(path string) string {
	if h.bucket == "" {
		return path
	}
	return "/" + h.bucket + path
}

// lengthMissing is S3's error for a body of which nobody knows how long it will be.
func lengthMissing() *wire.Error {
	return &wire.Error{Code: "MissingContentLength", Status: 411, Message: "You must provide the Content-Length HTTP header."}
}

package s3

import (
	"encoding/base64"
	"hash"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/s3"
	"github.com/holdfast-cloud/holdfast/sigv4"
)

const checksumHeader = "x-amz-checksum-"

// newSum is the hash of an algorithm as the API names it, or nil for one that is not had here.
func newSum(algorithm string) hash.Hash {
	return sigv4.NewChecksum(checksumHeader + strings.ToLower(algorithm))
}

// wantedChecksum is the checksum that the object is to have, and what the request says it is in a header. One that comes in a trailer was checked by who read the trailer.
// S3 computes CRC64NVME where nothing else is asked for: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
func wantedChecksum(in *s3.PutObjectRequest, trailers []string) (algorithm, value string, err error) {
	for _, given := range []struct {
		algorithm s3.ChecksumAlgorithm
		value     *string
	}{
		{s3.ChecksumAlgorithmCrc32, in.ChecksumCRC32}, {s3.ChecksumAlgorithmCrc32c, in.ChecksumCRC32C}, {s3.ChecksumAlgorithmCrc64nvme, in.ChecksumCRC64NVME},
		{s3.ChecksumAlgorithmSha1, in.ChecksumSHA1}, {s3.ChecksumAlgorithmSha256, in.ChecksumSHA256}, {s3.ChecksumAlgorithmSha512, in.ChecksumSHA512},
		{s3.ChecksumAlgorithmMd5, in.ChecksumMD5}, {s3.ChecksumAlgorithmXxhash64, in.ChecksumXXHASH64}, {s3.ChecksumAlgorithmXxhash3, in.ChecksumXXHASH3},
		{s3.ChecksumAlgorithmXxhash128, in.ChecksumXXHASH128},
	} {
		if given.value == nil {
			continue
		}
		if algorithm != "" {
			return "", "", badRequest("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
		}
		algorithm, value = string(given.algorithm), *given.value
	}
	for _, name := range trailers {
		if rest, ok := strings.CutPrefix(name, checksumHeader); ok {
			if algorithm != "" {
				return "", "", badRequest("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
			}
			algorithm = strings.ToUpper(rest)
		}
	}
	if algorithm == "" {
		algorithm = string(in.ChecksumAlgorithm)
	}
	if algorithm == "" {
		algorithm = string(s3.ChecksumAlgorithmCrc64nvme)
	}
	h := newSum(algorithm)
	if h == nil {
		return "", "", notImplemented(checksumHeader + strings.ToLower(algorithm))
	}
	if value != "" {
		if sum, err := base64.StdEncoding.DecodeString(value); err != nil || len(sum) != h.Size() {
			return "", "", badRequest("Value for " + checksumHeader + strings.ToLower(algorithm) + " header is invalid.")
		}
	}
	return algorithm, value, nil
}

// checksumFields are the members of an answer that tell a checksum.
type checksumFields struct{ crc32, crc32c, crc64nvme, sha1, sha256, sha512, md5 **string }

// show puts the checksum into an answer.
func (k *checksum) show(f checksumFields) {
	for algorithm, field := range map[s3.ChecksumAlgorithm]**string{
		s3.ChecksumAlgorithmCrc32: f.crc32, s3.ChecksumAlgorithmCrc32c: f.crc32c, s3.ChecksumAlgorithmCrc64nvme: f.crc64nvme,
		s3.ChecksumAlgorithmSha1: f.sha1, s3.ChecksumAlgorithmSha256: f.sha256, s3.ChecksumAlgorithmSha512: f.sha512, s3.ChecksumAlgorithmMd5: f.md5,
	} {
		if string(algorithm) == k.Algorithm {
			*field = &k.Value
		}
	}
}

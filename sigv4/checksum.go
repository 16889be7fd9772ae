package sigv4

import (
	"crypto/fips140"
	"crypto/sha1"
	"crypto/sha256"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"sync"
)

const checksumPrefix = "x-amz-checksum-"

// crc64NVME is the polynomial of the NVM Express Base Specification, as hash/crc64 writes it: bits reversed. The
// check value is that of Rocksoft's model, CRC-64/NVME.
var crc64NVME = sync.OnceValue(func() *crc64.Table { return crc64.MakeTable(0x9a6c9329ac4bc9b5) })

// NewChecksum returns the hash that a header is the Base64 of: x-amz-checksum-crc32, -crc32c, -crc64nvme, -sha1 or
// -sha256, in lower case. It returns nil for any other header, and in FIPS mode for -sha1.
func NewChecksum(header string) hash.Hash {
	switch header {
	case checksumPrefix + "crc32":
		return crc32.NewIEEE()
	case checksumPrefix + "crc32c":
		return crc32.New(crc32.MakeTable(crc32.Castagnoli))
	case checksumPrefix + "crc64nvme":
		return crc64.New(crc64NVME())
	case checksumPrefix + "sha1":
		if fips140.Enabled() {
			return nil
		}
		return sha1.New()
	case checksumPrefix + "sha256":
		return sha256.New()
	}
	return nil
}

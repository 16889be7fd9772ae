package tpm

import (
	"encoding/binary"

	"github.com/holdfast-cloud/holdfast/seal"
)

// A blob is the sealed root key. It precedes what the root key wraps, and is authenticated with it. None of it is secret: the private part is encrypted by the TPM.
//
//	1     format, 1
//	1     n, the number of PCRs
//	n *   index (1), value (32)
//	2, *  the storage root key's name, after its length, big-endian
//	2, *  the sealed object's public part
//	2, *  the sealed object's private part
type blob struct {
	pcrs                    []pcr
	parent, public, private []byte
}

const blobFormat = 1

func (b *blob) encode() []byte {
	out := []byte{blobFormat, byte(len(b.pcrs))}
	for i := range b.pcrs {
		out = append(out, byte(b.pcrs[i].index))
		out = append(out, b.pcrs[i].value[:]...)
	}
	for _, part := range [][]byte{b.parent, b.public, b.private} {
		out = binary.BigEndian.AppendUint16(out, uint16(len(part)))
		out = append(out, part...)
	}
	return out
}

// decodeBlob returns the blob that wrapped begins with, and its bytes.
func decodeBlob(wrapped []byte) (*blob, []byte, error) {
	if len(wrapped) < 2 || wrapped[0] != blobFormat {
		return nil, nil, seal.ErrDamaged
	}
	b, rest := new(blob), wrapped[2:]
	for range int(wrapped[1]) {
		if len(rest) < 1+len(pcr{}.value) || rest[0] > 23 {
			return nil, nil, seal.ErrDamaged
		}
		p := pcr{index: uint(rest[0])}
		rest = rest[1+copy(p.value[:], rest[1:]):]
		b.pcrs = append(b.pcrs, p)
	}
	for _, part := range []*[]byte{&b.parent, &b.public, &b.private} {
		if len(rest) < 2 || len(rest)-2 < int(binary.BigEndian.Uint16(rest)) {
			return nil, nil, seal.ErrDamaged
		}
		n := int(binary.BigEndian.Uint16(rest))
		*part, rest = rest[2:2+n], rest[2+n:]
	}
	n := len(wrapped) - len(rest)
	return b, wrapped[:n:n], nil
}

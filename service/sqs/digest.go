package sqs

import (
	"crypto/fips140"
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
)

// attribute is a message attribute. Values of type Number are text.
type attribute struct {
	Type   string
	Text   string `json:",omitempty"`
	Binary []byte `json:",omitempty"`
}

func (a attribute) binary() bool { return a.Type == "Binary" || strings.HasPrefix(a.Type, "Binary.") }

// digest is the MD5 that SDKs hold what they sent and received against. It guards against mistakes on the way and no security rests on it, so it is computed in
// FIPS mode as well.
func digest(b []byte) (text string) {
	fips140.WithoutEnforcement(func() {
		sum := md5.Sum(b)
		text = hex.EncodeToString(sum[:])
	})
	return text
}

// digestAttributes is the MD5 of message attributes, or "" if there are none:
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html#sqs-attributes-md5-message-digest-calculation
func digestAttributes(attributes map[string]attribute) string {
	if len(attributes) == 0 {
		return ""
	}
	var b []byte
	field := func(s string) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		a := attributes[name]
		field(name)
		field(a.Type)
		if a.binary() {
			b = append(b, 2)
			field(string(a.Binary))
		} else {
			b = append(b, 1)
			field(a.Text)
		}
	}
	return digest(b)
}

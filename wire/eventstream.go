package wire

import (
	"encoding/binary"
	"hash/crc32"
)

// ContentEventStream is the Content-Type of a body of events.
const ContentEventStream = "application/vnd.amazon.eventstream"

// AppendEvent appends an event of an event stream: of a type, with a payload of a content type.
// https://smithy.io/2.0/aws/amazon-eventstream.html
func AppendEvent(dst []byte, eventType, contentType string, payload []byte) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) // the prelude: both lengths, and its checksum
	for _, h := range [...][2]string{{":event-type", eventType}, {":content-type", contentType}, {":message-type", "event"}} {
		dst = append(dst, byte(len(h[0])))
		dst = append(dst, h[0]...)
		dst = append(dst, headerString)
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(h[1])))
		dst = append(dst, h[1]...)
	}
	headers := len(dst) - start - preludeLength
	dst = append(dst, payload...)
	message := dst[start:]
	binary.BigEndian.PutUint32(message, uint32(len(message)+4))
	binary.BigEndian.PutUint32(message[4:], uint32(headers))
	binary.BigEndian.PutUint32(message[8:], crc32.ChecksumIEEE(message[:8]))
	return binary.BigEndian.AppendUint32(dst, crc32.ChecksumIEEE(message))
}

const (
	preludeLength = 12
	headerString  = 7 // the type of a header whose value is a string
)

package door

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"

	"github.com/holdfast-cloud/holdfast/wire"
)

// unpack inflates a body that the client has compressed, as the SDKs do with what they publish to CloudWatch. The signature covers what was sent, so that stays in body. What is
// unpacked is bounded like any body that is read as a whole.
func (x *exchange) unpack() error {
	if x.stream != nil || len(x.body) == 0 || !strings.EqualFold(x.request.Header.Get("Content-Encoding"), "gzip") || x.unpacked != nil {
		return nil
	}
	broken := &wire.Error{Code: "SerializationException", Status: 400, Message: "The request body is not what gzip makes."}
	z, err := gzip.NewReader(bytes.NewReader(x.body))
	if err != nil {
		return broken
	}
	b, err := io.ReadAll(io.LimitReader(z, defaultBodyLimit+1))
	if err != nil {
		return broken
	}
	if len(b) > defaultBodyLimit {
		return generic(tooLarge, x.style, "The request body is too large.")
	}
	x.unpacked = b
	return nil
}

// plain is the body as the operation reads it.
func (x *exchange) plain() []byte {
	if x.unpacked != nil {
		return x.unpacked
	}
	return x.body
}

// Package sigv4 verifies and makes AWS Signature Version 4 signatures.
//
// A server takes a request through three steps, in the order in which AWS answers with errors:
//
//	auth, err := sigv4.Parse(r)                   // is it signed, and is the signature well formed?
//	err = auth.Check(sigv4.Expect{Now: ...})      // is it current, and meant for this service and region?
//	// look up the secret of auth.AccessKeyID
//	err = verifier.Verify(r, auth, secret, body)  // was it made with the secret?
//
// For a body that is not buffered the last step is [Verifier.VerifyStream], which returns a reader that
// checks what it hands out: the hash of the whole, or the signature of each chunk and of the trailer.
//
// A client calls [Sign] or [Presign].
//
// Every refusal is an [*Error]. What it looks like to a caller depends on the protocol of the service
// that was called; [Error.Answer] is the one table of that.
//
// The algorithm is described at
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html and, for
// S3's streams, at https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html.
package sigv4

import "time"

const (
	// Algorithm is the only signing algorithm spoken here.
	Algorithm = "AWS4-HMAC-SHA256"

	// TimeFormat is the layout of X-Amz-Date.
	TimeFormat = "20060102T150405Z"

	// MaxSkew is how far the time of a header signature may be from the server's, either way.
	MaxSkew = 15 * time.Minute

	// MaxExpires is the longest that a presigned URL may live.
	MaxExpires = 7 * 24 * time.Hour

	// EmptyPayload is the hash of a body with nothing in it, as it appears in x-amz-content-sha256.
	EmptyPayload = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

	// The other values that x-amz-content-sha256 may have.
	UnsignedPayload        = "UNSIGNED-PAYLOAD"
	StreamingPayload       = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	StreamingSignedTrailer = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	StreamingUnsigned      = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

	dateFormat = "20060102"
	terminator = "aws4_request"
)

// Payload says how a signature covers the body.
type Payload uint8

const (
	// PayloadSigned: the signature covers the hash of the body.
	PayloadSigned Payload = iota
	// PayloadUnsigned: the body is not covered.
	PayloadUnsigned
	// PayloadChunks: the body is in chunks, and each carries a signature chained to the one before.
	PayloadChunks
	// PayloadChunksTrailer: as PayloadChunks, followed by signed trailing headers.
	PayloadChunksTrailer
	// PayloadUnsignedTrailer: the body is in unsigned chunks, followed by a checksum as trailing header.
	PayloadUnsignedTrailer
)

// Streaming reports whether the body is in aws-chunked encoding, so that only VerifyStream can read it.
func (p Payload) Streaming() bool { return p >= PayloadChunks }

// signsLikeS3 reports whether service takes the path as it was sent, encoded once, and demands
// x-amz-content-sha256. Every other service normalises the path and encodes it a second time.
func signsLikeS3(service string) bool {
	switch service {
	case "s3", "s3express", "s3-outposts", "s3-object-lambda":
		return true
	}
	return false
}

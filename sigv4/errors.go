package sigv4

import "errors"

// Kind is a reason to refuse a request.
type Kind uint8

const (
	// Anonymous: the request carries no signature at all.
	Anonymous Kind = iota + 1
	// UnsupportedScheme: an Authorization header of another scheme (Basic, Bearer, Signature Version 2), or a query that is signed by Version 2.
	UnsupportedScheme
	// AmbiguousAuthorization: signed in the header and in the query both.
	AmbiguousAuthorization
	// Incomplete: parts of the signature are missing or malformed.
	Incomplete
	// BadDate: the time of the request cannot be read.
	BadDate
	// BadExpires: X-Amz-Expires is not a number from 0 to 604800.
	BadExpires
	// BadScope: the credential is scoped to another date, region, service or terminator.
	BadScope
	// HeaderNotSigned: a header that must be signed is not.
	HeaderNotSigned
	// MissingPayloadHash: S3 demands x-amz-content-sha256.
	MissingPayloadHash
	// BadPayloadHash: x-amz-content-sha256 is none of the values it may have.
	BadPayloadHash
	// Expired: the signature is older than the permitted skew.
	Expired
	// NotYetCurrent: the signature is from further in the future than the permitted skew.
	NotYetCurrent
	// PresignExpired: a presigned URL outlived its X-Amz-Expires.
	PresignExpired
	// UnknownAccessKey: no such access key, or it is not active. Only the caller of this package can tell.
	UnknownAccessKey
	// InvalidToken: the session token does not belong to the access key. Only the caller of this package can tell.
	InvalidToken
	// ExpiredToken: the temporary credentials are past their time. Only the caller of this package can tell.
	ExpiredToken
	// Mismatch: the signature is not the one calculated from the request and the secret.
	Mismatch
	// PayloadMismatch: the body's hash is not the one that was signed.
	PayloadMismatch
	// MissingLength: a streaming body needs x-amz-decoded-content-length.
	MissingLength
	// BadChunk: the aws-chunked encoding of the body is broken off or malformed.
	BadChunk
	// BadTrailer: the trailing headers are missing, malformed or not those announced in x-amz-trailer.
	BadTrailer
	// BadChecksum: a checksum in the trailer is not that of the body.
	BadChecksum
)

// Style is how a service spells its errors.
type Style uint8

const (
	// JSON is awsJson1_0 and awsJson1_1.
	JSON Style = iota
	// RESTJSON is restJson1.
	RESTJSON
	// Query is awsQuery, and restXml other than S3.
	Query
	// EC2 is ec2Query.
	EC2
	// S3 is S3's own.
	S3

	s3Query // S3, of a presigned URL: S3 names the query then, not the header
	styles  // one past the last that answers.go has words for

	// XKS is that of external key store proxies, which have one error for every refused signature.
	XKS = styles
)

// Error is a refused signature.
type Error struct {
	Kind Kind
	// Region is the one that the credential should have been scoped to, with BadScope. S3 adds it to its answer
	// as an element of its own, and its clients try again there.
	Region string

	presigned bool
	text      string // the message in the styles other than S3, where it is not always the same
	s3Text    string // the message in S3's style, where it is not always the same
}

// ErrAnonymous is what Parse returns for a request without a signature.
var ErrAnonymous error = &Error{Kind: Anonymous}

// Refuse returns an Error of a kind that only the caller can find: UnknownAccessKey, InvalidToken or ExpiredToken.
func Refuse(k Kind) error { return &Error{Kind: k} }

// Error is for logs. Answer is for callers: it may repeat what they sent, and a caller who mixed up the two
// halves of a key sent a secret.
func (e *Error) Error() string {
	switch e.Kind {
	case Incomplete, BadDate, BadScope:
		e = &Error{Kind: e.Kind}
	}
	_, code, message := e.Answer(Query)
	return code + ": " + message
}

// Is makes errors.Is compare kinds.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Kind == e.Kind
}

// KindOf returns the kind of the Error in err's chain, or 0.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return 0
}

// Answer returns the status, error code and message with which AWS answers callers of a service of this style.
func (e *Error) Answer(s Style) (status int, code, message string) {
	if s == XKS {
		_, _, message = e.Answer(RESTJSON)
		return 401, "AuthenticationFailedException", message
	}
	if s == S3 && e.presigned {
		s = s3Query
	}
	a := answerTo(e.Kind, s)
	switch {
	case s >= S3 && e.s3Text != "":
		a.message = e.s3Text
	case s < S3 && e.text != "" && a.message != ec2Expired:
		a.message = e.text
	}
	return a.status, a.code, a.message
}

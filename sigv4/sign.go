package sigv4

import (
	"net/http"
	"time"
)

// Credentials are what a request is signed with.
type Credentials struct {
	AccessKeyID, Secret string
	// SessionToken goes with temporary credentials.
	SessionToken string
}

// Sign adds an Authorization header to r, and with it X-Amz-Date, X-Amz-Security-Token where there is one, and
// for S3 X-Amz-Content-Sha256. payloadHash is the body's SHA-256 in hex (PayloadHash) or one of the constants.
func Sign(r *http.Request, c Credentials, region, service string, at time.Time, payloadHash string) {}

// Presign puts the signature into r's query instead, valid for expires from at.
func Presign(r *http.Request, c Credentials, region, service string, at time.Time, expires time.Duration, payloadHash string) {
}

// PayloadHash returns the SHA-256 of body in hex, as signatures use it.
func PayloadHash(body []byte) string { return "" }

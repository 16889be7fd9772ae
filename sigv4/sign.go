package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Credentials are what a request is signed with.
type Credentials struct {
	AccessKeyID, Secret string
	// SessionToken goes with temporary credentials.
	SessionToken string
}

// Sign adds an Authorization header to r, and with it X-Amz-Date, X-Amz-Security-Token where there is one, and
// for S3 X-Amz-Content-Sha256. payloadHash is the body's (see PayloadHash) or one of the constants. What is
// covered is every header that arrives as it was sent, so set them before.
func Sign(r *http.Request, c Credentials, region, service string, at time.Time, payloadHash string) {
	signHeaders(r, c, region, service, at, payloadHash, deriveKey)
}

// Signer signs as Sign does, and remembers signing keys for the next request. Its zero value works; it must not be copied, and may be used by many goroutines at once.
type Signer struct{ keys keyCache }

// Sign is the function of the name.
func (s *Signer) Sign(r *http.Request, c Credentials, region, service string, at time.Time, payloadHash string) {
	signHeaders(r, c, region, service, at, payloadHash, s.keys.get)
}

func signHeaders(r *http.Request, c Credentials, region, service string, at time.Time, payloadHash string, key func(scopedSecret) *signingKey) {
	timestamp := at.UTC().Format(TimeFormat)
	r.Header.Del("Authorization")
	r.Header.Set("X-Amz-Date", timestamp)
	if c.SessionToken != "" {
		r.Header.Set("X-Amz-Security-Token", c.SessionToken)
	}
	if signsLikeS3(service) || !isHash(payloadHash) {
		r.Header.Set("X-Amz-Content-Sha256", payloadHash)
	}
	signedHeaders := headersToSign(r)
	signature := sign(r, key, scopedSecret{c.Secret, timestamp[:len(dateFormat)], region, service}, timestamp, signedHeaders, payloadHash, false)
	credential := c.AccessKeyID + "/" + string(appendScope(nil, timestamp[:len(dateFormat)], region, service))
	r.Header.Set("Authorization", Algorithm+" Credential="+credential+", SignedHeaders="+signedHeaders+", Signature="+signature)
}

// Presign puts a signature into r's query instead, good from at on for the time given, which is counted in
// seconds. r's headers must then be sent with it. For S3, payloadHash is UnsignedPayload as a rule.
func Presign(r *http.Request, c Credentials, region, service string, at time.Time, expires time.Duration, payloadHash string) {
	timestamp := at.UTC().Format(TimeFormat)
	r.Header.Del("Authorization")
	r.Header.Del("X-Amz-Date")
	r.Header.Del("X-Amz-Content-Sha256")
	r.Header.Del("X-Amz-Security-Token")
	signedHeaders := headersToSign(r)
	q := r.URL.Query()
	q.Del("X-Amz-Signature")
	q.Set("X-Amz-Algorithm", Algorithm)
	q.Set("X-Amz-Credential", c.AccessKeyID+"/"+string(appendScope(nil, timestamp[:len(dateFormat)], region, service)))
	q.Set("X-Amz-Date", timestamp)
	q.Set("X-Amz-Expires", strconv.FormatInt(int64(expires/time.Second), 10))
	q.Set("X-Amz-SignedHeaders", signedHeaders)
	if c.SessionToken != "" {
		q.Set("X-Amz-Security-Token", c.SessionToken)
	}
	// Said only where it is not what is taken for granted.
	if isHash(payloadHash) == signsLikeS3(service) {
		q.Set("X-Amz-Content-Sha256", payloadHash)
	}
	r.URL.RawQuery = q.Encode()
	r.URL.RawQuery += "&X-Amz-Signature=" + sign(r, deriveKey, scopedSecret{c.Secret, timestamp[:len(dateFormat)], region, service}, timestamp, signedHeaders, payloadHash, true)
}

// PayloadHash returns the SHA-256 of body in hex, as signatures use it.
func PayloadHash(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

func sign(r *http.Request, key func(scopedSecret) *signingKey, in scopedSecret, timestamp, signedHeaders, payloadHash string, presigned bool) string {
	path, _ := canonicalPaths(r, in.service)
	canonical := appendCanonical(nil, r, path, signedHeaders, presigned, []byte(payloadHash))
	toSign := appendStringToSign(nil, canonical, timestamp, in.date, in.region, in.service)
	return string(key(in).appendSignature(nil, toSign))
}

// headersToSign lists the headers of r that nobody on the way should change.
func headersToSign(r *http.Request) string {
	names := []string{"host"}
	if r.ContentLength > 0 {
		names = append(names, "content-length")
	}
	for name := range r.Header {
		switch name = strings.ToLower(name); name {
		case "host", "content-length", "authorization", "accept-encoding", "connection", "expect", "keep-alive", "te",
			"trailer", "transfer-encoding", "upgrade", "user-agent", "x-amzn-trace-id":
		default:
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ";")
}

package sigv4

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Authorization is the signature of a request, taken apart but not believed.
type Authorization struct {
	AccessKeyID string
	// Date, Region and Service are the credential scope; Date is YYYYMMDD.
	Date, Region, Service string
	// SignedHeaders are the names covered, lower case and separated by semicolons, as sent.
	SignedHeaders string
	// Signature is 64 lower case hex digits in an honest request; here it is what was sent.
	Signature string
	// SessionToken is empty for long-term credentials.
	SessionToken string
	// RequestTime is when the request says it was signed, in UTC.
	RequestTime time.Time
	// Presigned: the signature is in the query.
	Presigned bool
	// Expires is how long a presigned URL lives, from RequestTime. 0 unless Presigned.
	Expires time.Duration
	// Payload is how the body is covered, and PayloadHash the value that says so: the hash in hex or one of
	// the constants. It is empty where the request does not say, which means the hash of the body.
	Payload     Payload
	PayloadHash string
	// DecodedLength is x-amz-decoded-content-length, the size of a streaming body without its framing. -1 if absent.
	DecodedLength int64

	terminator string // the last part of the scope, which should be aws4_request
	timestamp  string // RequestTime in TimeFormat
	checked    bool   // Check has passed
}

// Parse takes apart the signature in r's Authorization header or its query. It returns ErrAnonymous when
// there is none, and an Error of another kind when there is one that nobody could verify.
func Parse(r *http.Request) (*Authorization, error) {
	headers := r.Header["Authorization"]
	var query url.Values
	if strings.Contains(r.URL.RawQuery, "X-Amz-") {
		query = r.URL.Query()
		if !query.Has("X-Amz-Algorithm") && !query.Has("X-Amz-Credential") && !query.Has("X-Amz-Signature") {
			query = nil
		}
	}
	switch {
	case len(headers) > 0 && query != nil, len(headers) > 1:
		return nil, &Error{Kind: AmbiguousAuthorization}
	case query != nil:
		return parseQuery(r, query)
	case len(headers) == 0 && isVersion2(r.URL.RawQuery):
		return nil, &Error{Kind: UnsupportedScheme, presigned: true}
	case len(headers) == 0:
		return nil, ErrAnonymous
	}
	return parseHeader(r, headers[0])
}

// isVersion2 reports whether a query has a signature of Signature Version 2, which some clients still presign with unless they are told otherwise.
func isVersion2(query string) bool {
	return strings.Contains(query, "AWSAccessKeyId=") && strings.Contains(query, "Signature=")
}

func parseHeader(r *http.Request, header string) (*Authorization, error) {
	algorithm, rest, _ := strings.Cut(strings.TrimSpace(header), " ")
	if !strings.HasPrefix(algorithm, "AWS4-") {
		return nil, &Error{Kind: UnsupportedScheme}
	}
	var credential, signedHeaders, signature string
	for rest != "" {
		// Clients separate by comma, by space or by both.
		end := separator(rest)
		pair := rest[:end]
		rest = rest[min(end+1, len(rest)):]
		if pair == "" {
			continue
		}
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, &Error{Kind: Incomplete,
				text: "Invalid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256 and encoded with Base64): '" + hashed(header) + "'."}
		}
		switch key {
		case "Credential":
			credential = value
		case "SignedHeaders":
			signedHeaders = value
		case "Signature":
			signature = value
		}
	}
	date := first(r.Header["X-Amz-Date"])
	if date == "" {
		date = first(r.Header["Date"])
	}
	if credential == "" || signature == "" || signedHeaders == "" || date == "" {
		var text strings.Builder
		for _, p := range []struct{ name, value string }{{"Credential", credential}, {"Signature", signature}, {"SignedHeaders", signedHeaders}} {
			if p.value == "" {
				fmt.Fprintf(&text, "Authorization header requires '%s' parameter. ", p.name)
			}
		}
		if date == "" {
			text.WriteString("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ")
		}
		// The header is hashed, as AWS does: somebody may have sent a secret in it by mistake.
		text.WriteString("(Hashed with SHA-256 and encoded with Base64) Authorization=" + hashed(header))
		return nil, &Error{Kind: Incomplete, text: text.String()}
	}
	a := &Authorization{
		SignedHeaders: signedHeaders,
		Signature:     signature,
		SessionToken:  first(r.Header["X-Amz-Security-Token"]),
		PayloadHash:   first(r.Header["X-Amz-Content-Sha256"]),
	}
	if err := a.setTime(date); err != nil {
		return nil, err
	}
	if err := a.complete(r, algorithm, credential); err != nil {
		return nil, err
	}
	return a, nil
}

func parseQuery(r *http.Request, query url.Values) (*Authorization, error) {
	algorithm, credential := query.Get("X-Amz-Algorithm"), query.Get("X-Amz-Credential")
	a := &Authorization{
		SignedHeaders: query.Get("X-Amz-SignedHeaders"),
		Signature:     query.Get("X-Amz-Signature"),
		SessionToken:  query.Get("X-Amz-Security-Token"),
		PayloadHash:   query.Get("X-Amz-Content-Sha256"),
		Presigned:     true,
		Expires:       MaxSkew,
	}
	date, expires := query.Get("X-Amz-Date"), query.Get("X-Amz-Expires")
	var text strings.Builder
	for _, p := range []struct{ name, value string }{
		{"X-Amz-Algorithm", algorithm}, {"X-Amz-Credential", credential}, {"X-Amz-Signature", a.Signature},
		{"X-Amz-SignedHeaders", a.SignedHeaders}, {"X-Amz-Date", date},
	} {
		if p.value == "" {
			fmt.Fprintf(&text, "AWS query-string parameters must include '%s'. ", p.name)
		}
	}
	if text.Len() > 0 {
		text.WriteString("Re-examine the query-string parameters.")
		return nil, &Error{Kind: Incomplete, presigned: true, text: text.String()}
	}
	if err := a.setTime(date); err != nil {
		return nil, err
	}
	if expires != "" {
		n, err := strconv.ParseInt(expires, 10, 64)
		var text string
		switch {
		case err != nil:
			text = "X-Amz-Expires should be a number"
		case n < 0:
			text = "X-Amz-Expires must be non-negative"
		case n > int64(MaxExpires/time.Second):
			text = "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds"
		}
		if text != "" {
			return nil, &Error{Kind: BadExpires, presigned: true, text: text, s3Text: text}
		}
		a.Expires = time.Duration(n) * time.Second
	}
	if err := a.complete(r, algorithm, credential); err != nil {
		return nil, err
	}
	if expires == "" && signsLikeS3(a.Service) {
		return nil, &Error{Kind: Incomplete, presigned: true}
	}
	return a, nil
}

// separator is where the first comma or space is, or the end. Each is looked for with the machine's own instruction, which takes a fifth of the time of
// strings.IndexAny.
func separator(s string) int {
	end := len(s)
	if comma := strings.IndexByte(s, ','); comma >= 0 {
		end = comma
	}
	if space := strings.IndexByte(s[:end], ' '); space >= 0 {
		end = space
	}
	return end
}

// complete does what header and query have in common.
func (a *Authorization) complete(r *http.Request, algorithm, credential string) error {
	if !a.signs("host") && !a.signs(":authority") {
		return a.refuse(HeaderNotSigned, "", "")
	}
	if repeats(a.SignedHeaders) {
		return a.refuse(Incomplete, "", "")
	}
	if algorithm != Algorithm {
		const s3Text = `X-Amz-Algorithm only supports "AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256"`
		e := a.refuse(Incomplete, "Unsupported AWS 'algorithm': '"+algorithm+"' (only AWS4-HMAC-SHA256 for now). ", "")
		if a.Presigned {
			e.s3Text = s3Text
		}
		return e
	}
	var parts [5]string
	n := 0
	for part := range strings.SplitSeq(strings.TrimRight(credential, "/"), "/") {
		if n < len(parts) {
			parts[n] = part
		}
		n++
	}
	if n != len(parts) || parts[0] == "" {
		return a.refuse(Incomplete,
			"Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '"+credential+"'",
			a.s3Prefix()+`the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".`)
	}
	a.AccessKeyID, a.Date, a.Region, a.Service, a.terminator = parts[0], parts[1], parts[2], parts[3], parts[4]

	s3 := signsLikeS3(a.Service)
	if err := a.requireSigned(r, s3); err != nil {
		return err
	}
	// A header that a presigned URL does not cover was not chosen by who signed it, so it is not asked.
	if a.Presigned && a.signs("x-amz-content-sha256") {
		a.PayloadHash = r.Header.Get("X-Amz-Content-Sha256")
	}
	if s3 && a.PayloadHash == "" {
		if !a.Presigned {
			return &Error{Kind: MissingPayloadHash}
		}
		a.PayloadHash = UnsignedPayload
	}
	return a.setPayload(r)
}

func (a *Authorization) setPayload(r *http.Request) error {
	a.DecodedLength = -1
	switch a.PayloadHash {
	case UnsignedPayload:
		a.Payload = PayloadUnsigned
	case StreamingPayload:
		a.Payload = PayloadChunks
	case StreamingSignedTrailer:
		a.Payload = PayloadChunksTrailer
	case StreamingUnsigned:
		a.Payload = PayloadUnsignedTrailer
	default:
		a.Payload = PayloadSigned
		if a.PayloadHash != "" && !isHash(a.PayloadHash) {
			return a.refuse(BadPayloadHash, "", "")
		}
		return nil
	}
	if !a.Payload.Streaming() {
		return nil
	}
	n, err := strconv.ParseUint(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 63)
	if err != nil {
		return a.refuse(MissingLength, "", "")
	}
	a.DecodedLength = int64(n)
	return nil
}

// requireSigned refuses headers that change what a request means and are not covered: for S3 every x-amz-
// header there is, elsewhere the one that names the operation. Without this, who holds one signed request
// could turn it into another.
func (a *Authorization) requireSigned(r *http.Request, s3 bool) error {
	if !s3 {
		if r.Header["X-Amz-Target"] != nil && !a.signs("x-amz-target") {
			return a.refuse(HeaderNotSigned, "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization.", "")
		}
		return nil
	}
	for name := range r.Header {
		// Whether it is covered or not, the payload hash is a line of its own in what is signed; and a
		// presigned URL that does not cover it does not look at it.
		if !strings.HasPrefix(name, "X-Amz-") || name == "X-Amz-Content-Sha256" {
			continue
		}
		if !a.signs(strings.ToLower(name)) {
			return a.refuse(HeaderNotSigned, "'"+name+"' must be a 'SignedHeader' in the AWS Authorization.", "")
		}
	}
	return nil
}

// setTime reads X-Amz-Date, or the Date header, which may be an HTTP date as well.
func (a *Authorization) setTime(date string) error {
	if t, ok := parseTime(date); ok {
		a.RequestTime, a.timestamp = t, date
		return nil
	}
	if t, err := http.ParseTime(date); err == nil && !a.Presigned {
		a.RequestTime = t.UTC()
		a.timestamp = a.RequestTime.Format(TimeFormat)
		return nil
	}
	return a.refuse(BadDate, "Date must be in ISO-8601 'basic format'. Got '"+date+"'. See http://en.wikipedia.org/wiki/ISO_8601", "")
}

// signs reports whether the lower case name is among SignedHeaders.
func (a *Authorization) signs(name string) bool {
	for s := a.SignedHeaders; ; {
		i := strings.Index(s, name)
		if i < 0 {
			return false
		}
		end := i + len(name)
		if (i == 0 || s[i-1] == ';') && (end == len(s) || s[end] == ';') {
			return true
		}
		s = s[end:]
	}
}

// repeats reports whether a list separated by semicolons has something twice. What is canonical has the value of each header in it as often as it is
// listed: some ten kilobytes of a request could become half a gigabyte to hash.
func repeats(list string) bool {
	last, sorted := "", true
	for rest := list; sorted && rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, ";")
		sorted = name > last
		last = name
	}
	if sorted { // as all clients do
		return false
	}
	names := strings.Split(list, ";")
	slices.Sort(names)
	return len(slices.Compact(names)) < strings.Count(list, ";")+1
}

// appendScope appends the credential scope.
func (a *Authorization) appendScope(b []byte) []byte {
	return appendScope(b, a.Date, a.Region, a.Service)
}

func (a *Authorization) refuse(k Kind, text, s3Text string) *Error {
	return &Error{Kind: k, presigned: a.Presigned, text: text, s3Text: s3Text}
}

// s3Prefix begins S3's complaints about a credential.
func (a *Authorization) s3Prefix() string {
	if a.Presigned {
		return "Error parsing the X-Amz-Credential parameter; "
	}
	return "The authorization header is malformed; "
}

// first is http.Header.Get without the work of spelling the name right.
func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// parseTime reads TimeFormat and nothing else: time.Parse is slower, and would take fractions of a second.
func parseTime(s string) (time.Time, bool) {
	if len(s) != len(TimeFormat) || s[8] != 'T' || s[15] != 'Z' {
		return time.Time{}, false
	}
	ok := true
	number := func(from, to int) (n int) {
		for _, c := range []byte(s[from:to]) {
			if c < '0' || c > '9' {
				ok = false
			}
			n = 10*n + int(c-'0')
		}
		return n
	}
	year, month, day := number(0, 4), time.Month(number(4, 6)), number(6, 8)
	hour, minute, second := number(9, 11), number(11, 13), number(13, 15)
	t := time.Date(year, month, day, hour, minute, second, 0, time.UTC)
	// time.Date turns the 31st of June into the 1st of July.
	y, m, d := t.Date()
	return t, ok && y == year && m == month && d == day && hour < 24 && minute < 60 && second < 60
}

func isHash(s string) bool {
	if len(s) != 2*sha256.Size {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func hashed(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(sum[:])
}

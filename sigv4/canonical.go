package sigv4

import (
	"bytes"
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// appendCanonical appends the canonical request that is hashed and signed: method, path, query, headers,
// their names and the payload hash, a line each.
func appendCanonical(b []byte, r *http.Request, path, signedHeaders string, presigned bool, payloadHash []byte) []byte {
	b = append(b, r.Method...)
	b = append(b, '\n')
	b = append(b, path...)
	b = append(b, '\n')
	b = appendCanonicalQuery(b, r.URL.RawQuery, presigned)
	b = append(b, '\n')
	for rest := signedHeaders; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, ";")
		b = appendCanonicalHeader(b, r, name)
	}
	b = append(b, '\n')
	b = append(b, signedHeaders...)
	b = append(b, '\n')
	return append(b, payloadHash...)
}

// appendCanonicalHeader appends "name:value,value\n". What net/http takes out of the header is put back.
func appendCanonicalHeader(b []byte, r *http.Request, name string) []byte {
	b = append(b, name...)
	b = append(b, ':')
	var key [64]byte
	var values []string
	switch name {
	case "host", ":authority":
		host := r.Host
		if host == "" {
			host = r.URL.Host
		}
		b = appendTrimmed(b, host)
		return append(b, '\n')
	case "transfer-encoding":
		values = r.TransferEncoding
	default:
		if len(name) <= len(key) {
			values = r.Header[string(appendHeaderKey(key[:0], name))] // does not allocate
		} else {
			values = r.Header.Values(name)
		}
	}
	if name == "content-length" && len(values) == 0 && r.ContentLength >= 0 {
		b = strconv.AppendInt(b, r.ContentLength, 10)
	}
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendTrimmed(b, v)
	}
	return append(b, '\n')
}

// appendHeaderKey appends name as http.Header spells it: X-Amz-Date.
func appendHeaderKey(b []byte, name string) []byte {
	upper := true
	for i := range len(name) {
		c := name[i]
		switch {
		case upper && 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		case !upper && 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		upper = c == '-'
		b = append(b, c)
	}
	return b
}

// appendTrimmed appends v without spaces around it, and with runs of spaces inside it as one.
func appendTrimmed(b []byte, v string) []byte {
	if v != "" && (v[0] <= ' ' || v[len(v)-1] <= ' ') {
		v = strings.Trim(v, " \t\r\n")
	}
	if !strings.Contains(v, "  ") {
		return append(b, v...)
	}
	space := false
	for i := range len(v) {
		if v[i] == ' ' && space {
			continue
		}
		space = v[i] == ' '
		b = append(b, v[i])
	}
	return b
}

// appendCanonicalQuery appends the parameters encoded anew and sorted by name and then by value. Without its own
// signature, if presigned.
func appendCanonicalQuery(b []byte, raw string, presigned bool) []byte {
	if raw == "" {
		return b
	}
	type param struct{ key, value []byte }
	var space [16]param
	params := space[:0]
	arena := make([]byte, 0, 2*len(raw))
	for piece := range strings.SplitSeq(raw, "&") {
		if piece == "" {
			continue
		}
		k, v, _ := strings.Cut(piece, "=")
		start := len(arena)
		arena = appendQueryPart(arena, k)
		key := arena[start:len(arena):len(arena)]
		if presigned && string(key) == "X-Amz-Signature" {
			continue
		}
		start = len(arena)
		arena = appendQueryPart(arena, v)
		params = append(params, param{key, arena[start:len(arena):len(arena)]})
	}
	slices.SortStableFunc(params, func(x, y param) int {
		return cmp.Or(bytes.Compare(x.key, y.key), bytes.Compare(x.value, y.value))
	})
	for i, p := range params {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(b, p.key...)
		b = append(b, '=')
		b = append(b, p.value...)
	}
	return b
}

// appendQueryPart decodes a name or value of a query and encodes it AWS's way. An escape that is none stands for itself.
func appendQueryPart(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '+' {
			c = ' '
		} else if d, ok := unescape(s, i); ok {
			c = d
			i += 2
		}
		b = appendEscaped(b, c)
	}
	return b
}

// sentPath is the path in the escaped form in which it travels.
func sentPath(r *http.Request) string {
	if strings.HasPrefix(r.RequestURI, "/") { // a server's request: exactly what the client sent
		path, _, _ := strings.Cut(r.RequestURI, "?")
		return path
	}
	if p := r.URL.Opaque; strings.HasPrefix(p, "//") { // "//host/path" keeps a client from touching the path
		if i := strings.IndexByte(p[2:], '/'); i >= 0 {
			return p[2+i:]
		}
		return "/"
	}
	if p := r.URL.EscapedPath(); p != "" {
		return p
	}
	return "/"
}

// canonicalPaths returns the path that AWS documents for service, and the one that a signer gets who does not touch
// the path: AWS's SDK for Go neither normalises paths nor encodes what net/url leaves as it is. A signature over
// the path as sent binds what we route by even more exactly, so both are good.
func canonicalPaths(r *http.Request, service string) (path, asSent string) {
	sent := sentPath(r)
	if signsLikeS3(service) {
		return canonicalS3Path(sent), sent
	}
	path = canonicalPath(normalizePath(sent))
	if path == sent { // nothing to normalise, nothing to encode
		return path, path
	}
	return path, canonicalPath(sent)
}

// canonicalS3Path encodes a path once, whichever of its characters the client encoded. "%2F" stays apart from "/".
func canonicalS3Path(sent string) string {
	if plain(sent) {
		return sent
	}
	b := make([]byte, 0, len(sent)+16)
	for i := 0; i < len(sent); i++ {
		c := sent[i]
		if d, ok := unescape(sent, i); ok {
			i += 2
			b = appendEscaped(b, d)
		} else if c == '/' {
			b = append(b, '/')
		} else {
			b = appendEscaped(b, c)
		}
	}
	return string(b)
}

// canonicalPath encodes what was sent, so that what was encoded already is encoded twice.
func canonicalPath(sent string) string {
	if plain(sent) {
		return sent
	}
	b := make([]byte, 0, len(sent)+16)
	for i := range len(sent) {
		if c := sent[i]; c == '/' {
			b = append(b, '/')
		} else {
			b = appendEscaped(b, c)
		}
	}
	return string(b)
}

// normalizePath removes empty segments, "." and ".." (RFC 3986 section 5.2.4). A trailing slash remains.
func normalizePath(p string) string {
	if !strings.Contains(p, "//") && !strings.Contains(p, "/.") {
		return p
	}
	var segments []string
	directory := false
	for s := range strings.SplitSeq(p, "/") {
		directory = s == "" || s == "." || s == ".."
		switch {
		case s == ".." && len(segments) > 0:
			segments = segments[:len(segments)-1]
		case !directory:
			segments = append(segments, s)
		}
	}
	if len(segments) == 0 {
		return "/"
	}
	p = "/" + strings.Join(segments, "/")
	if directory {
		p += "/"
	}
	return p
}

func plain(path string) bool {
	for i := range len(path) {
		if c := path[i]; c != '/' && !unreserved(c) {
			return false
		}
	}
	return true
}

// unreserved are the characters that are never encoded (RFC 3986 section 2.3).
func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

func appendEscaped(b []byte, c byte) []byte {
	if unreserved(c) {
		return append(b, c)
	}
	const digits = "0123456789ABCDEF"
	return append(b, '%', digits[c>>4], digits[c&15])
}

// unescape reads the "%XX" at s[i].
func unescape(s string, i int) (byte, bool) {
	if s[i] != '%' || i+2 >= len(s) {
		return 0, false
	}
	high, ok1 := unhex(s[i+1])
	low, ok2 := unhex(s[i+2])
	return high<<4 | low, ok1 && ok2
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

func appendScope(b []byte, date, region, service string) []byte {
	b = append(b, date...)
	b = append(b, '/')
	b = append(b, region...)
	b = append(b, '/')
	b = append(b, service...)
	return append(b, "/"+terminator...)
}

package wire

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// restReader reads a shape out of all parts of an HTTP message: first the members that are bound to a
// header, the query, the path or the status, then those in the body.
type restReader struct {
	schema *Schema
	labels map[string]string
	query  []param
	fixed  []queryLiteral // of the URI template: no parameters of the caller
	header http.Header
	status int // of a response

	raw     []byte
	body    Reader                             // of the structured body, nil when there is none
	bad     func(m *Member, text string) error // the error for an unfit bound value
	payload bool                               // the body is the payload member's
	inBody  bool
	depth   int
	next    int
	err     error

	values []string // of the bound member at hand
	item   int
	pairs  []param  // of the bound map at hand
	after  *[]param // of that map, behind the list in it that is being read
}

type param struct{ key, value string }

// parseParams reads a query string.
func parseParams(raw string) ([]param, bool) {
	var out []param
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		k, v, _ := strings.Cut(pair, "=")
		k, err := url.QueryUnescape(k)
		if err != nil {
			return nil, false
		}
		if v, err = url.QueryUnescape(v); err != nil {
			return nil, false
		}
		out = append(out, param{k, v})
	}
	return out, true
}

func (r *restReader) NextMember() *Member {
	if r.Err() != nil {
		return nil
	}
	if r.inBody {
		return r.nextInBody()
	}
	for r.next < len(r.schema.Members) {
		m := &r.schema.Members[r.next]
		r.next++
		if m.Location != InBody && r.find(m) {
			return m
		}
	}
	r.inBody = true
	if p := r.schema.Payload; p != nil {
		r.payload = true
		if p.Target.Streaming || len(r.raw) == 0 {
			return nil
		}
		switch p.Target.Kind {
		case Blob, String, Enum:
			return p
		}
		if r.body == nil {
			return nil
		}
		return p
	}
	if r.body == nil {
		return nil
	}
	return r.nextInBody()
}

func (r *restReader) nextInBody() *Member {
	if r.payload && r.depth == 0 || r.body == nil {
		return nil
	}
	m := r.body.NextMember()
	if m == nil && r.payload {
		r.depth--
	}
	return m
}

// find looks for a bound member and reports whether it is present.
func (r *restReader) find(m *Member) bool {
	r.values, r.pairs, r.item = nil, nil, -1
	switch m.Location {
	case InURI:
		v, ok := r.labels[m.WireName()]
		if ok {
			r.values = []string{v}
		}
	case InQuery:
		for _, p := range r.query {
			if p.key == m.WireName() {
				r.values = append(r.values, p.value)
			}
		}
		if m.Target.Kind != List && len(r.values) > 0 {
			r.values = r.values[:1]
		}
	case InHeader:
		lines := r.header.Values(m.WireName())
		switch {
		case len(lines) == 0:
		case m.Target.Kind == List:
			r.values = splitHeader(lines, m.Target.Elem)
		default:
			// As signatures cover them: who takes one line apart on the way must not change what it says.
			r.values = []string{headerText(strings.Join(lines, ","))}
		}
	case InStatus:
		if r.status != 0 {
			r.values = []string{strconv.Itoa(r.status)}
		}
	case InHeaders:
		prefix := m.LocationName
		for k, v := range r.header {
			if len(v) > 0 && len(k) > len(prefix) && strings.EqualFold(k[:len(prefix)], prefix) {
				r.pairs = append(r.pairs, param{strings.ToLower(k[len(prefix):]), headerText(strings.Join(v, ","))})
			}
		}
		slices.SortFunc(r.pairs, func(a, b param) int { return strings.Compare(a.key, b.key) })
		return len(r.pairs) > 0
	case InQueryMap:
		for _, p := range r.query {
			if !r.bound(p.key) {
				r.pairs = append(r.pairs, p)
			}
		}
		slices.SortStableFunc(r.pairs, func(a, b param) int { return strings.Compare(a.key, b.key) })
		return len(r.pairs) > 0
	}
	return len(r.values) > 0
}

// bound reports whether a query parameter is another member's, or the template's.
func (r *restReader) bound(key string) bool {
	for i := range r.schema.Members {
		if m := &r.schema.Members[i]; m.Location == InQuery && m.WireName() == key {
			return true
		}
	}
	for _, f := range r.fixed {
		if f.key == key {
			return true
		}
	}
	return false
}

// headerText is a header's value as UTF-8; older clients send Latin-1.
func headerText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	u := make([]rune, len(s))
	for i := range len(s) {
		u[i] = rune(s[i])
	}
	return string(u)
}

// splitHeader takes a list in a header apart. An element may stand in quotes, and dates have a comma of
// their own.
func splitHeader(lines []string, elem *Member) []string {
	dates := elem.Target.Kind == Timestamp && timeFormat(elem, HTTPDate) == HTTPDate
	out := []string{}
	for _, s := range lines {
		s = headerText(s)
		for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
			var v string
			if s[0] == '"' {
				v, s = unquoteHeader(s)
				_, s, _ = strings.Cut(s, ",")
			} else {
				end := strings.IndexByte(s, ',')
				if dates && end >= 0 {
					if n := strings.IndexByte(s[end+1:], ','); n >= 0 {
						end += 1 + n
					} else {
						end = -1
					}
				}
				if end < 0 {
					v, s = s, ""
				} else {
					v, s = s[:end], s[end+1:]
				}
				v = strings.TrimSpace(v)
			}
			out = append(out, v)
		}
	}
	return out
}

// unquoteHeader reads the quoted string that s begins with.
func unquoteHeader(s string) (v, rest string) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:]
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}

// text is the bound value at hand.
func (r *restReader) text() string {
	switch {
	case r.err != nil:
		return ""
	case r.pairs != nil:
		return r.pairs[r.item].value
	case r.item < 0:
		return r.values[0]
	}
	return r.values[r.item]
}

func (r *restReader) unfit(m *Member, text string) {
	if r.err == nil {
		r.err = r.bad(m, text)
	}
}

func (r *restReader) BeginStruct(m *Member) {
	if r.inBody {
		r.depth++
		r.body.BeginStruct(m)
	} else {
		r.unfit(m, "")
	}
}

func (r *restReader) BeginList(m *Member) {
	if r.inBody {
		r.body.BeginList(m)
		return
	}
	if r.pairs == nil {
		r.item = -1
		return
	}
	// The value of a map of lists: all parameters of the key at hand.
	key := r.pairs[r.item].key
	r.values = nil
	for r.item < len(r.pairs) && r.pairs[r.item].key == key {
		r.values = append(r.values, r.pairs[r.item].value)
		r.item++
	}
	rest := r.pairs[r.item:]
	r.pairs = nil
	r.nest(rest)
}

// nest keeps what remains of a map while one of its lists is read.
func (r *restReader) nest(rest []param) {
	r.item = -1
	r.after = &rest
}

func (r *restReader) NextItem() bool {
	if r.inBody {
		return r.body.NextItem()
	}
	if r.err != nil {
		return false
	}
	if r.item++; r.item < len(r.values) {
		return true
	}
	if r.after != nil {
		r.pairs, r.item, r.after = *r.after, -1, nil
		if r.pairs == nil {
			r.pairs = []param{}
		}
	}
	return false
}

func (r *restReader) BeginMap(m *Member) {
	if r.inBody {
		r.body.BeginMap(m)
		return
	}
	r.item = -1
}

func (r *restReader) NextKey() (string, bool) {
	if r.inBody {
		return r.body.NextKey()
	}
	if r.err != nil {
		return "", false
	}
	if r.item++; r.item < len(r.pairs) {
		return r.pairs[r.item].key, true
	}
	return "", false
}

func (r *restReader) Null() bool { return r.inBody && r.body != nil && r.body.Null() }

// isRaw reports whether m is a payload that is the body as it came.
func (r *restReader) isRaw() bool { return r.inBody && r.payload && r.depth == 0 }

func (r *restReader) String(m *Member) string {
	switch {
	case r.isRaw() && (m.Target.Kind == String || m.Target.Kind == Enum):
		return strings.ToValidUTF8(string(r.raw), "\uFFFD")
	case r.inBody:
		return r.body.String(m)
	}
	return r.text()
}

func (r *restReader) Blob(m *Member) []byte {
	switch {
	case r.isRaw():
		return slices.Clone(r.raw)
	case r.inBody:
		return r.body.Blob(m)
	}
	b, err := base64.StdEncoding.DecodeString(r.text())
	if err != nil {
		r.unfit(m, r.text())
		return nil
	}
	return b
}

func (r *restReader) Bool(m *Member) bool {
	if r.inBody {
		return r.body.Bool(m)
	}
	v, ok := parseBoolText(r.text())
	if !ok {
		r.unfit(m, r.text())
	}
	return v
}

func (r *restReader) Int(m *Member) int64 {
	if r.inBody {
		return r.body.Int(m)
	}
	v, ok := parseIntText(r.text(), m.Target.Kind)
	if !ok {
		r.unfit(m, r.text())
		return 0
	}
	return v
}

func (r *restReader) Float(m *Member) float64 {
	if r.inBody {
		return r.body.Float(m)
	}
	v, ok := parseFloatText(r.text(), floatBits(m.Target.Kind))
	if !ok {
		r.unfit(m, r.text())
		return 0
	}
	return v
}

func (r *restReader) Time(m *Member) time.Time {
	if r.inBody {
		return r.body.Time(m)
	}
	def := DateTime
	if m.Location == InHeader {
		def = HTTPDate
	}
	v, ok := parseTime(r.text(), timeFormat(m, def))
	if !ok {
		r.unfit(m, r.text())
	}
	return v
}

func (r *restReader) Document(m *Member) any {
	if r.inBody {
		return r.body.Document(m)
	}
	v, ok := parseDocument([]byte(r.text()))
	if !ok {
		r.unfit(m, r.text())
	}
	return v
}

func (r *restReader) Err() error {
	if r.err == nil && r.body != nil {
		return r.body.Err()
	}
	return r.err
}

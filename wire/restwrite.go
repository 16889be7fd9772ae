package wire

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// restWriter writes a shape into all parts of an HTTP message.
type restWriter struct {
	header  http.Header
	query   []param
	labels  map[string]string
	status  int
	body    Writer
	payload *Member
	raw     []byte // a payload that is the body as it is
	hasRaw  bool

	depth int     // of containers in the body
	bound *Member // the bound list or map at hand
	lists int     // lists open in it
	items []string
	key   string

	asWritten bool // names of headers that a map gives are not made canonical: S3's clients keep the case of a user's metadata
}

// isBound reports whether a value of m travels outside of the body.
func (w *restWriter) isBound(m *Member) bool {
	return w.bound != nil || w.depth == 0 && m.Location != InBody
}

func (w *restWriter) isRaw(m *Member) bool { return w.depth == 0 && m == w.payload }

// put writes the text of a bound value.
func (w *restWriter) put(m *Member, v string) {
	if b := w.bound; b != nil {
		switch {
		case w.lists > 0 && b.Location != InQueryMap:
			w.items = append(w.items, v)
		case b.Location == InHeaders:
			name := http.CanonicalHeaderKey(b.LocationName + w.key)
			if w.asWritten {
				name = b.LocationName + w.key
			}
			w.header[name] = []string{cleanHeader(v)}
		default:
			w.query = append(w.query, param{w.key, v})
		}
		return
	}
	switch m.Location {
	case InHeader:
		w.header[http.CanonicalHeaderKey(m.WireName())] = []string{cleanHeader(v)}
	case InQuery:
		w.query = append(w.query, param{m.WireName(), v})
	case InURI:
		if w.labels == nil {
			w.labels = map[string]string{}
		}
		w.labels[m.WireName()] = v
	case InStatus:
		w.status, _ = strconv.Atoi(v)
	}
}

// cleanHeader takes out of a header's value what would end it.
func cleanHeader(v string) string {
	if !strings.ContainsAny(v, "\r\n\x00") {
		return v
	}
	return strings.NewReplacer("\r", " ", "\n", " ", "\x00", " ").Replace(v)
}

func (w *restWriter) BeginStruct(m *Member) {
	w.depth++
	w.body.BeginStruct(m)
}

func (w *restWriter) EndStruct() {
	w.depth--
	w.body.EndStruct()
}

func (w *restWriter) BeginList(m *Member, n int) {
	if w.isBound(m) {
		if w.bound == nil {
			w.bound, w.items = m, nil
		}
		w.lists++
		return
	}
	w.depth++
	w.body.BeginList(m, n)
}

func (w *restWriter) EndList() {
	m := w.bound
	if m == nil {
		w.depth--
		w.body.EndList()
		return
	}
	w.lists--
	if m.Target.Kind != List {
		return // a list in a map
	}
	w.bound = nil
	switch m.Location {
	case InQuery:
		for _, v := range w.items {
			w.query = append(w.query, param{m.WireName(), v})
		}
	case InHeader:
		if len(w.items) == 0 {
			return
		}
		dates := m.Target.Elem.Target.Kind == Timestamp
		for i, v := range w.items {
			if strings.ContainsAny(v, `",`) && !dates {
				w.items[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v) + `"`
			}
		}
		w.header[http.CanonicalHeaderKey(m.WireName())] = []string{cleanHeader(strings.Join(w.items, ", "))}
	}
}

func (w *restWriter) BeginMap(m *Member, n int) {
	if w.isBound(m) {
		w.bound = m
		return
	}
	w.depth++
	w.body.BeginMap(m, n)
}

func (w *restWriter) MapKey(k string) {
	if w.bound != nil {
		w.key = k
		return
	}
	w.body.MapKey(k)
}

func (w *restWriter) EndMap() {
	if w.bound != nil {
		w.bound = nil
		return
	}
	w.depth--
	w.body.EndMap()
}

func (w *restWriter) String(m *Member, v string) {
	switch {
	case w.isBound(m):
		w.put(m, v)
	case w.isRaw(m):
		w.raw, w.hasRaw = []byte(v), true
	default:
		w.body.String(m, v)
	}
}

func (w *restWriter) Blob(m *Member, v []byte) {
	switch {
	case w.isBound(m):
		w.put(m, base64.StdEncoding.EncodeToString(v))
	case w.isRaw(m):
		w.raw, w.hasRaw = v, true
	default:
		w.body.Blob(m, v)
	}
}

func (w *restWriter) Bool(m *Member, v bool) {
	if w.isBound(m) {
		w.put(m, strconv.FormatBool(v))
		return
	}
	w.body.Bool(m, v)
}

func (w *restWriter) Int(m *Member, v int64) {
	if w.isBound(m) {
		w.put(m, strconv.FormatInt(v, 10))
		return
	}
	w.body.Int(m, v)
}

func (w *restWriter) Float(m *Member, v float64) {
	if w.isBound(m) {
		w.put(m, formatFloat(v, floatBits(m.Target.Kind)))
		return
	}
	w.body.Float(m, v)
}

func (w *restWriter) Time(m *Member, v time.Time) {
	if !w.isBound(m) {
		w.body.Time(m, v)
		return
	}
	def, at := DateTime, m
	if w.bound != nil {
		at = w.bound
	}
	if at.Location == InHeader {
		def = HTTPDate
	}
	w.put(m, string(appendTime(nil, v, timeFormat(m, def))))
}

func (w *restWriter) Document(m *Member, v any) {
	if w.isBound(m) {
		w.put(m, string(appendJSONAny(nil, v)))
		return
	}
	w.body.Document(m, v)
}

func (w *restWriter) Null(m *Member) {
	if !w.isBound(m) {
		w.body.Null(m)
	}
}

// target fills the URI template of an operation: an escaped path, and a query where there is one.
func (w *restWriter) target(op *Operation) (string, error) {
	path, query, _ := strings.Cut(op.URI, "?")
	var b strings.Builder
	for path != "" {
		before, rest, found := strings.Cut(path, "{")
		b.WriteString(before)
		if !found {
			break
		}
		name, after, _ := strings.Cut(rest, "}")
		name, greedy := strings.CutSuffix(name, "+")
		v := w.labels[name]
		if v == "" {
			return "", errEmptyLabel(op, name)
		}
		b.WriteString(escapeURI(v, greedy))
		path = after
	}
	sep := byte('?')
	if query != "" {
		b.WriteByte(sep)
		b.WriteString(query)
		sep = '&'
	}
	for _, p := range w.query {
		b.WriteByte(sep)
		b.WriteString(escapeURI(p.key, false))
		b.WriteByte('=')
		b.WriteString(escapeURI(p.value, false))
		sep = '&'
	}
	return b.String(), nil
}

// escapeURI escapes all that RFC 3986 does not call unreserved, as signatures need it.
func escapeURI(s string, slashes bool) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9',
			c == '-', c == '_', c == '.', c == '~', c == '/' && slashes:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

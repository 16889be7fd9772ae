package wire

import (
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The query protocols' requests: a form whose names are paths, like Tags.member.1.Key=a.

// indexedKids is how many kids a node has before they are found by an index.
const indexedKids = 8

// parseForm adds the parameters of an encoded form to the tree at n. Of two of the same name the last counts.
func (n *node) parseForm(form string) error {
	count := 0 // of parts of names, each of which may become a node
	for form != "" {
		var pair string
		pair, form, _ = strings.Cut(form, "&")
		if pair == "" {
			continue
		}
		k, v, _ := strings.Cut(pair, "=")
		k, err := url.QueryUnescape(k)
		if err != nil {
			return malformedQuery()
		}
		if v, err = url.QueryUnescape(v); err != nil {
			return malformedQuery()
		}
		parts := strings.Count(k, ".") + 1
		if count += parts; parts > 2*maxDepth || count > maxNodes {
			return malformedQuery()
		}
		at := n
		for part := range strings.SplitSeq(k, ".") {
			at = at.make(part)
		}
		at.text = v
	}
	return nil
}

func malformedQuery() error {
	return &Error{Code: "MalformedQueryString", Message: "The query string is malformed", Status: 400}
}

// make gives the kid of that name, new if there is none.
func (n *node) make(name string) *node {
	if k := n.child(name); k != nil {
		return k
	}
	k := &node{name: name}
	n.kids = append(n.kids, k)
	switch {
	case n.index != nil:
		n.index[name] = k
	case len(n.kids) > indexedKids:
		n.index = make(map[string]*node, 2*len(n.kids))
		for _, k := range n.kids {
			n.index[k.name] = k
		}
	}
	return k
}

// queryNaming finds values in a form of the query protocol.
type queryNaming struct{}

func (queryNaming) member(n *node, m *Member) *node {
	if isFlattened(m) {
		return n.child(flatName(m))
	}
	return n.child(m.WireName())
}

func (queryNaming) items(n *node, m *Member) []*node {
	if !isFlattened(m) {
		// The name of the element is the model's, but AWS takes "member" for any.
		in := n.child(listItemName(m.Target))
		if in == nil {
			in = n.child("member")
		}
		if in == nil {
			return nil
		}
		n = in
	}
	return numbered(n)
}

func (queryNaming) entries(n *node, m *Member) ([]*node, string, string) {
	key, value := mapNames(m.Target)
	if !isFlattened(m) {
		if n = n.child("entry"); n == nil {
			return nil, key, value
		}
	}
	return numbered(n), key, value
}

func (queryNaming) unfit(m *Member, text string) error {
	return &Error{Code: "MalformedInput", Status: 400}
}

// ec2Naming finds values in a form of the ec2 protocol, which flattens every list and has no maps.
type ec2Naming struct{}

func ec2Name(m *Member) string {
	if m.QueryName != "" {
		return m.QueryName
	}
	return upperFirst(m.WireName())
}

func upperFirst(s string) string {
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		return s
	}
	return string(s[0]-'a'+'A') + s[1:]
}

func (ec2Naming) member(n *node, m *Member) *node  { return n.child(ec2Name(m)) }
func (ec2Naming) items(n *node, m *Member) []*node { return numbered(n) }

func (ec2Naming) entries(n *node, m *Member) ([]*node, string, string) {
	key, value := mapNames(m.Target)
	return numbered(n), upperFirst(key), upperFirst(value)
}

func (ec2Naming) unfit(m *Member, text string) error {
	if m == nil {
		return &Error{Code: "MalformedInput", Status: 400}
	}
	if m.Sensitive || m.Target.Sensitive {
		text = "****"
	}
	return &Error{Code: "InvalidParameterValue", Status: 400,
		Message: "Value (" + text + ") for parameter " + lowerFirst(m.Name) + " is invalid."}
}

// formWriter appends shapes to a form.
type formWriter struct {
	b      []byte
	ec2    bool
	prefix []byte
	stack  []formFrame
}

type formFrame struct {
	kind   Kind
	prefix int // length of the prefix outside
	n      int // items so far
	schema *Schema
}

// name extends the prefix by the name of m in the container at hand, and gives the former length.
func (w *formWriter) name(m *Member) int {
	was := len(w.prefix)
	var f *formFrame
	if n := len(w.stack); n > 0 {
		f = &w.stack[n-1]
	}
	switch {
	case f != nil && f.kind == List:
		f.n++
		w.dot()
		w.prefix = strconv.AppendInt(w.prefix, int64(f.n), 10)
	case f != nil && f.kind == Map:
		_, value := mapNames(f.schema)
		w.dot()
		w.prefix = strconv.AppendInt(w.prefix, int64(f.n), 10)
		w.dot()
		w.prefix = append(w.prefix, value...)
	case w.ec2:
		w.dot()
		w.prefix = append(w.prefix, ec2Name(m)...)
	case isFlattened(m):
		w.dot()
		w.prefix = append(w.prefix, flatName(m)...)
	default:
		w.dot()
		w.prefix = append(w.prefix, m.WireName()...)
	}
	return was
}

func (w *formWriter) dot() {
	if len(w.prefix) > 0 {
		w.prefix = append(w.prefix, '.')
	}
}

func (w *formWriter) push(kind Kind, was int, s *Schema) {
	w.stack = append(w.stack, formFrame{kind: kind, prefix: was, schema: s})
}

func (w *formWriter) pop() {
	n := len(w.stack) - 1
	w.prefix = w.prefix[:w.stack[n].prefix]
	w.stack = w.stack[:n]
}

// pair writes one parameter.
func (w *formWriter) pair(name []byte, v string) {
	if len(w.b) > 0 {
		w.b = append(w.b, '&')
	}
	w.b = append(w.b, url.QueryEscape(string(name))...)
	w.b = append(w.b, '=')
	w.b = append(w.b, url.QueryEscape(v)...)
}

func (w *formWriter) text(m *Member, v string) {
	was := w.name(m)
	w.pair(w.prefix, v)
	w.prefix = w.prefix[:was]
}

func (w *formWriter) BeginStruct(m *Member) { w.push(Struct, w.name(m), m.Target) }
func (w *formWriter) EndStruct()            { w.pop() }

func (w *formWriter) BeginList(m *Member, n int) {
	was := w.name(m)
	if n == 0 && !w.ec2 {
		w.pair(w.prefix, "")
	}
	if !w.ec2 && !isFlattened(m) {
		w.dot()
		w.prefix = append(w.prefix, listItemName(m.Target)...)
	}
	w.push(List, was, m.Target)
}

func (w *formWriter) EndList() { w.pop() }

func (w *formWriter) BeginMap(m *Member, n int) {
	was := w.name(m)
	if !w.ec2 && !isFlattened(m) {
		w.dot()
		w.prefix = append(w.prefix, "entry"...)
	}
	w.push(Map, was, m.Target)
}

func (w *formWriter) MapKey(k string) {
	f := &w.stack[len(w.stack)-1]
	f.n++
	key, _ := mapNames(f.schema)
	was := len(w.prefix)
	w.dot()
	w.prefix = strconv.AppendInt(w.prefix, int64(f.n), 10)
	w.dot()
	w.prefix = append(w.prefix, key...)
	w.pair(w.prefix, k)
	w.prefix = w.prefix[:was]
}

func (w *formWriter) EndMap() { w.pop() }

func (w *formWriter) String(m *Member, v string) { w.text(m, v) }
func (w *formWriter) Blob(m *Member, v []byte)   { w.text(m, base64.StdEncoding.EncodeToString(v)) }
func (w *formWriter) Bool(m *Member, v bool)     { w.text(m, strconv.FormatBool(v)) }
func (w *formWriter) Int(m *Member, v int64)     { w.text(m, strconv.FormatInt(v, 10)) }

func (w *formWriter) Float(m *Member, v float64) {
	w.text(m, formatFloat(v, floatBits(m.Target.Kind)))
}

func (w *formWriter) Time(m *Member, v time.Time) {
	w.text(m, string(appendTime(nil, v, timeFormat(m, DateTime))))
}

func (w *formWriter) Document(m *Member, v any) { w.text(m, string(appendJSONAny(nil, v))) }
func (w *formWriter) Null(m *Member)            { w.text(m, "") }

package wire

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// node is a value of a body that was read as a whole before a shape is read from it: an element of an XML
// text, or what the parameters of a form have in common up to some point of their names.
type node struct {
	name  string
	text  string
	attrs []attr
	kids  []*node
	index map[string]*node // of kids, when a form has many
}

// maxNodes is how many nodes a body may have: a node takes many times the bytes that it is written with. The largest bodies that AWS takes, of
// s3:CompleteMultipartUpload with 10,000 parts, have some 80,000.
const maxNodes = 150_000

type attr struct{ name, value string }

// child gives the first kid of that name, or nil.
func (n *node) child(name string) *node {
	if n.index != nil {
		return n.index[name]
	}
	for _, k := range n.kids {
		if k.name == name {
			return k
		}
	}
	return nil
}

// naming is where the protocols that are read from nodes differ.
type naming interface {
	// member gives what there is of a member of the structure at n, or nil.
	member(n *node, m *Member) *node
	// items gives the elements of the list that member gave for m.
	items(n *node, m *Member) []*node
	// entries gives the entries of the map that member gave for m; each has the two named kids.
	entries(n *node, m *Member) (entries []*node, key, value string)
	// unfit is the error for a value that is not what m wants.
	unfit(m *Member, text string) error
}

// treeReader reads shapes from nodes. Members come in the order of the schema.
type treeReader struct {
	naming naming
	cur    *node // the value at hand
	stack  []treeFrame
	err    error
}

type treeFrame struct {
	node       *node
	schema     *Schema
	next       int // member, item or entry
	items      []*node
	key, value string
}

// newTreeReader begins with the structure at n.
func newTreeReader(n *node, s *Schema, naming naming) *treeReader {
	r := &treeReader{naming: naming, stack: make([]treeFrame, 0, 8)}
	r.push(treeFrame{node: n, schema: s})
	return r
}

func (r *treeReader) push(f treeFrame) {
	if len(r.stack) > maxDepth {
		r.fail(r.naming.unfit(nil, ""))
		return
	}
	r.stack = append(r.stack, f)
}

func (r *treeReader) pop() { r.stack = r.stack[:len(r.stack)-1] }

func (r *treeReader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *treeReader) BeginStruct(m *Member) {
	if r.err == nil {
		r.push(treeFrame{node: r.cur, schema: m.Target})
	}
}

func (r *treeReader) NextMember() *Member {
	if r.err != nil {
		return nil
	}
	f := &r.stack[len(r.stack)-1]
	for f.next < len(f.schema.Members) {
		m := &f.schema.Members[f.next]
		f.next++
		if m.Location != InBody {
			continue
		}
		if n := r.naming.member(f.node, m); n != nil {
			r.cur = n
			return m
		}
	}
	r.pop()
	return nil
}

func (r *treeReader) BeginList(m *Member) {
	if r.err == nil {
		r.push(treeFrame{items: r.naming.items(r.cur, m)})
	}
}

func (r *treeReader) NextItem() bool {
	if r.err != nil {
		return false
	}
	f := &r.stack[len(r.stack)-1]
	if f.next == len(f.items) {
		r.pop()
		return false
	}
	r.cur = f.items[f.next]
	f.next++
	return true
}

func (r *treeReader) BeginMap(m *Member) {
	if r.err != nil {
		return
	}
	var f treeFrame
	f.items, f.key, f.value = r.naming.entries(r.cur, m)
	r.push(f)
}

func (r *treeReader) NextKey() (string, bool) {
	if r.err != nil {
		return "", false
	}
	f := &r.stack[len(r.stack)-1]
	for f.next < len(f.items) {
		e := f.items[f.next]
		f.next++
		if k, v := e.child(f.key), e.child(f.value); k != nil && v != nil {
			r.cur = v
			return k.text, true
		}
	}
	r.pop()
	return "", false
}

// Null is always false: these protocols have no null.
func (r *treeReader) Null() bool { return false }

func (r *treeReader) String(m *Member) string {
	if r.err != nil {
		return ""
	}
	return r.cur.text
}

// trimmed is the text at hand for what is no string.
func (r *treeReader) trimmed() string { return strings.TrimSpace(r.cur.text) }

func (r *treeReader) unfit(m *Member) { r.fail(r.naming.unfit(m, r.cur.text)) }

func (r *treeReader) Blob(m *Member) []byte {
	if r.err != nil {
		return nil
	}
	b, ok := decodeBase64([]byte(r.trimmed()))
	if !ok {
		r.unfit(m)
	}
	return b
}

func (r *treeReader) Bool(m *Member) bool {
	if r.err != nil {
		return false
	}
	v, ok := parseBoolText(r.trimmed())
	if !ok {
		r.unfit(m)
	}
	return v
}

func (r *treeReader) Int(m *Member) int64 {
	if r.err != nil {
		return 0
	}
	v, ok := parseIntText(r.trimmed(), m.Target.Kind)
	if !ok {
		r.unfit(m)
		return 0
	}
	return v
}

func (r *treeReader) Float(m *Member) float64 {
	if r.err != nil {
		return 0
	}
	v, ok := parseFloatText(r.trimmed(), floatBits(m.Target.Kind))
	if !ok {
		r.unfit(m)
		return 0
	}
	return v
}

func (r *treeReader) Time(m *Member) time.Time {
	if r.err != nil {
		return time.Time{}
	}
	t, ok := parseTime(r.cur.text, timeFormat(m, DateTime))
	if !ok {
		r.unfit(m)
	}
	return t
}

func (r *treeReader) Document(m *Member) any {
	if r.err != nil {
		return nil
	}
	v, ok := parseDocument([]byte(r.cur.text))
	if !ok {
		r.unfit(m)
	}
	return v
}

// parseDocument reads a document that is text in a larger text.
func parseDocument(b []byte) (any, bool) {
	jr := newJSONReader(b)
	defer jr.free()
	v := jr.any(0)
	return v, jr.end() == nil
}

func (r *treeReader) Err() error { return r.err }

// numbered gives the kids whose names are numbers, in the order of these.
func numbered(n *node) []*node {
	type item struct {
		i int
		n *node
	}
	var items []item
	for _, k := range n.kids {
		if i, err := strconv.Atoi(k.name); err == nil && i >= 0 && k.name[0] != '+' {
			items = append(items, item{i, k})
		}
	}
	slices.SortStableFunc(items, func(a, b item) int { return cmp.Compare(a.i, b.i) })
	nodes := make([]*node, len(items))
	for i, it := range items {
		nodes[i] = it.n
	}
	return nodes
}

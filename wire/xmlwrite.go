package wire

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// xmlWriter appends shapes to an XML text.
type xmlWriter struct {
	b     []byte
	outer []xmlFrame
	root  string // namespace of the root, when a payload is it
}

// xmlFrame is a container that has begun.
type xmlFrame struct {
	kind Kind   // Struct, List or Map
	end  string // name of the element to close, or "" where there is none
	item string // List: the name of each element. Map: of each entry, or "" while no value is open
	tag  int    // Struct: where attributes go in the text

	key, value string // Map: names of the elements of an entry
	inner      bool   // at the top of an error
}

func isFlattened(m *Member) bool { return m.Flattened || m.Target.Flattened }

// listItemName is the name of the elements of a list that has an element around them.
func listItemName(s *Schema) string {
	if s.Elem.LocationName != "" {
		return s.Elem.LocationName
	}
	return "member"
}

// flatName is the name of the elements of a list, or the entries of a map, that has none around them.
func flatName(m *Member) string {
	switch {
	case m.Target.Kind == List && m.Target.Elem.LocationName != "":
		return m.Target.Elem.LocationName
	case m.Target.Kind == Map && m.QueryName != "":
		return m.QueryName
	}
	return m.WireName()
}

func mapNames(s *Schema) (key, value string) {
	key, value = "key", "value"
	if s.Key != nil && s.Key.LocationName != "" {
		key = s.Key.LocationName
	}
	if s.Elem.LocationName != "" {
		value = s.Elem.LocationName
	}
	return key, value
}

// name is the name of the element for a value of m in the container at hand.
func (w *xmlWriter) name(m *Member) string {
	if n := len(w.outer); n > 0 {
		switch f := &w.outer[n-1]; {
		case f.kind == List:
			return f.item
		case f.kind == Map:
			return f.value
		case f.inner && strings.EqualFold(m.Name, "message"):
			return "Message"
		}
	}
	return m.WireName()
}

// open writes the start tag for a value of m and gives its name.
func (w *xmlWriter) open(m *Member) string {
	name, namespace := w.name(m), m.XMLNamespace
	if w.root != "" && namespace == "" {
		namespace = w.root
	}
	w.root = ""
	w.start(name, m.XMLPrefix, namespace)
	return name
}

func (w *xmlWriter) start(name, prefix, namespace string) {
	w.b = append(w.b, '<')
	w.b = append(w.b, name...)
	if namespace != "" {
		w.b = append(w.b, " xmlns"...)
		if prefix != "" {
			w.b = append(append(w.b, ':'), prefix...)
		}
		w.b = append(w.b, `="`...)
		w.b = appendXMLText(w.b, namespace)
		w.b = append(w.b, '"')
	}
	w.b = append(w.b, '>')
}

func (w *xmlWriter) close(name string) {
	w.b = append(w.b, '<', '/')
	w.b = append(w.b, name...)
	w.b = append(w.b, '>')
}

// element writes an element that holds text only.
func (w *xmlWriter) element(name, text string) {
	w.start(name, "", "")
	w.b = appendXMLText(w.b, text)
	w.close(name)
}

// closed ends a map's entry when a value that has just ended was in one.
func (w *xmlWriter) closed() {
	if n := len(w.outer); n > 0 && w.outer[n-1].kind == Map {
		w.close(w.outer[n-1].item)
	}
}

func (w *xmlWriter) push(f xmlFrame) { w.outer = append(w.outer, f) }

func (w *xmlWriter) pop() xmlFrame {
	n := len(w.outer) - 1
	f := w.outer[n]
	w.outer = w.outer[:n]
	if f.end != "" {
		w.close(f.end)
	}
	w.closed()
	return f
}

func (w *xmlWriter) BeginStruct(m *Member) {
	name := w.open(m)
	w.push(xmlFrame{kind: Struct, end: name, tag: len(w.b) - 1})
}

func (w *xmlWriter) EndStruct() { w.pop() }

func (w *xmlWriter) BeginList(m *Member, n int) {
	if isFlattened(m) {
		w.push(xmlFrame{kind: List, item: w.flat(m)})
		return
	}
	w.push(xmlFrame{kind: List, end: w.open(m), item: listItemName(m.Target)})
}

func (w *xmlWriter) EndList() { w.pop() }

func (w *xmlWriter) BeginMap(m *Member, n int) {
	f := xmlFrame{kind: Map, item: "entry"}
	f.key, f.value = mapNames(m.Target)
	if isFlattened(m) {
		f.item = w.flat(m)
	} else {
		f.end = w.open(m)
	}
	w.push(f)
}

// flat is flatName for a list or a map in the container at hand, which names it itself unless it is a structure.
func (w *xmlWriter) flat(m *Member) string {
	if n := len(w.outer); n == 0 || w.outer[n-1].kind == Struct {
		return flatName(m)
	}
	return w.name(m)
}

func (w *xmlWriter) MapKey(k string) {
	f := &w.outer[len(w.outer)-1]
	w.start(f.item, "", "")
	w.element(f.key, k)
}

func (w *xmlWriter) EndMap() { w.pop() }

// text writes a scalar, which needs no escapes unless it is a string.
func (w *xmlWriter) text(m *Member, v string) {
	name := w.open(m)
	w.b = append(w.b, v...)
	w.close(name)
	w.closed()
}

func (w *xmlWriter) String(m *Member, v string) {
	if n := len(w.outer); m.XMLAttribute && n > 0 && w.outer[n-1].kind == Struct {
		w.attribute(w.outer[n-1].tag, m, v)
		return
	}
	name := w.open(m)
	w.b = appendXMLText(w.b, v)
	w.close(name)
	w.closed()
}

// attribute puts a member into the start tag of its structure, which ends at that place.
func (w *xmlWriter) attribute(at int, m *Member, v string) {
	var a []byte
	a = append(append(a, ' '), m.WireName()...)
	a = append(a, '=', '"')
	a = append(appendXMLText(a, v), '"')
	w.b = slices.Insert(w.b, at, a...)
}

func (w *xmlWriter) Blob(m *Member, v []byte) { w.text(m, base64.StdEncoding.EncodeToString(v)) }
func (w *xmlWriter) Bool(m *Member, v bool)   { w.text(m, strconv.FormatBool(v)) }
func (w *xmlWriter) Int(m *Member, v int64)   { w.text(m, strconv.FormatInt(v, 10)) }

func (w *xmlWriter) Float(m *Member, v float64) {
	w.text(m, formatFloat(v, floatBits(m.Target.Kind)))
}

func (w *xmlWriter) Time(m *Member, v time.Time) {
	w.text(m, string(appendTime(nil, v, timeFormat(m, DateTime))))
}

// Document is in no XML protocol; as JSON it is at least whole.
func (w *xmlWriter) Document(m *Member, v any) { w.String(m, string(appendJSONAny(nil, v))) }

func (w *xmlWriter) Null(m *Member) { w.text(m, "") }

// appendXMLText appends s as text or as the value of an attribute. What XML 1.0 has no way to write becomes
// U+FFFD.
func appendXMLText(b []byte, s string) []byte {
	from := 0
	for i := 0; i < len(s); {
		u, n := rune(s[i]), 1
		if u >= utf8.RuneSelf {
			u, n = utf8.DecodeRuneInString(s[i:])
		}
		var esc string
		switch {
		case u == '&':
			esc = "&amp;"
		case u == '<':
			esc = "&lt;"
		case u == '>':
			esc = "&gt;"
		case u == '"':
			esc = "&quot;"
		case u == '\r':
			esc = "&#xD;" // a bare one would be read as a line feed
		case u == utf8.RuneError && n == 1, u < ' ' && u != '\t' && u != '\n', u == 0xFFFE, u == 0xFFFF:
			esc = "\uFFFD"
		}
		if esc != "" {
			b = append(append(b, s[from:i]...), esc...)
			from = i + n
		}
		i += n
	}
	return append(b, s[from:]...)
}

package wire

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
)

var errXML = errors.New("not well-formed XML, or not of the kind that is spoken here")

// parseXML reads an XML text into nodes and gives its root. The decoder knows no entities but XML's own five;
// document types are refused altogether, so none can be defined.
func parseXML(b []byte) (*node, error) {
	d := xml.NewDecoder(bytes.NewReader(b))
	var root *node
	stack := make([]*node, 0, 8)
	var text []byte // of the element on top of the stack
	count := 0
	for {
		t, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, errXML
		}
		switch t := t.(type) {
		case xml.StartElement:
			if count++; len(stack) >= maxDepth || count > maxNodes {
				return nil, errXML
			}
			text = text[:0]
			n := &node{name: t.Name.Local}
			for _, a := range t.Attr {
				if a.Name.Space != "xmlns" && a.Name.Local != "xmlns" {
					n.attrs = append(n.attrs, attr{a.Name.Local, a.Value})
				}
			}
			if len(stack) > 0 {
				up := stack[len(stack)-1]
				up.kids = append(up.kids, n)
			} else if root != nil {
				return nil, errXML
			} else {
				root = n
			}
			stack = append(stack, n)
		case xml.EndElement:
			if n := stack[len(stack)-1]; len(n.kids) == 0 {
				n.text = string(text)
			}
			text = text[:0]
			stack = stack[:len(stack)-1]
		case xml.CharData:
			if len(stack) > 0 {
				text = append(text, t...)
			} else if len(bytes.TrimSpace(t)) > 0 && !bytes.Equal(t, []byte("\uFEFF")) {
				return nil, errXML
			}
		case xml.Directive:
			return nil, errXML
		}
	}
	if root == nil || len(stack) > 0 {
		return nil, errXML
	}
	return root, nil
}

// xmlNaming finds values in XML.
type xmlNaming struct{ bad func() error }

func (xmlNaming) member(n *node, m *Member) *node {
	if m.XMLAttribute {
		name := m.WireName()
		if _, local, ok := strings.Cut(name, ":"); ok {
			name = local
		}
		for _, a := range n.attrs {
			if a.name == name {
				return &node{name: name, text: a.value}
			}
		}
		return nil
	}
	if !isFlattened(m) {
		return n.child(m.WireName())
	}
	// What stands side by side is put into a node of its own.
	name, other := flatName(m), m.WireName()
	var all *node
	for _, k := range n.kids {
		if k.name == name || k.name == other {
			if all == nil {
				all = &node{name: name}
			}
			all.kids = append(all.kids, k)
		}
	}
	return all
}

func (xmlNaming) items(n *node, m *Member) []*node { return n.kids }

func (xmlNaming) entries(n *node, m *Member) ([]*node, string, string) {
	key, value := mapNames(m.Target)
	return n.kids, key, value
}

func (x xmlNaming) unfit(*Member, string) error { return x.bad() }

// Package eventinput is what EventBridge makes of an event for a target: the part of it that an input path tells, or the text that an input transformer
// makes of it.
//
// A Path is the part of JSONPath that EventBridge takes. A Transformer fills a template with values that paths tell. Both are compiled, which tells what
// is wrong with them, and then used for many events. The package calls no service and keeps no state.
package eventinput

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// maxPath is how long a path is, in characters.
const maxPath = 256

// Path tells a part of an event. The zero Path tells all of it. It is immutable.
type Path struct{ steps []step }

// step goes from a value to one in it, or with all to each of them.
type step struct {
	name  string
	index int // of an array, or -1
	all   bool
}

// ParsePath compiles a path: a dollar sign, and then names behind dots, and in brackets places in arrays; an asterisk stands for all. The error says what
// is wrong.
func ParsePath(text string) (Path, error) {
	var p Path
	if len(text) > maxPath {
		return p, fmt.Errorf("a path has at most %d characters", maxPath)
	}
	rest, ok := strings.CutPrefix(text, "$")
	if !ok {
		return p, fmt.Errorf("a path begins with $")
	}
	for rest != "" {
		var s step
		var err error
		switch rest[0] {
		case '.':
			s, rest, err = named(rest[1:])
		case '[':
			s, rest, err = indexed(rest[1:])
		default:
			err = fmt.Errorf("%q is not expected there", rest[:1])
		}
		if err != nil {
			return Path{}, err
		}
		p.steps = append(p.steps, s)
	}
	return p, nil
}

func named(rest string) (step, string, error) {
	end := strings.IndexFunc(rest, func(r rune) bool { return !nameRune(r) })
	if end < 0 {
		end = len(rest)
	}
	switch name := rest[:end]; {
	case name == "" && strings.HasPrefix(rest, "*"):
		return step{index: -1, all: true}, rest[1:], nil
	case name == "":
		return step{}, "", fmt.Errorf("a name is missing behind a dot")
	default:
		return step{name: name, index: -1}, rest[end:], nil
	}
}

func nameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_/:@#", r) || r > 127
}

func indexed(rest string) (step, string, error) {
	inside, after, ok := strings.Cut(rest, "]")
	if !ok {
		return step{}, "", fmt.Errorf("a bracket is not closed")
	}
	if inside == "*" {
		return step{index: -1, all: true}, after, nil
	}
	n, err := strconv.ParseUint(inside, 10, 31)
	if err != nil {
		return step{}, "", fmt.Errorf("%q is no place in an array", inside)
	}
	return step{index: int(n)}, after, nil
}

// Find returns the part of an event, as JSON, and whether it is there. What an asterisk stands for comes as an array.
func (p Path) Find(event []byte) (json.RawMessage, bool) { return find(p.steps, event) }

func find(steps []step, value json.RawMessage) (json.RawMessage, bool) {
	for i, s := range steps {
		var ok bool
		switch {
		case s.all:
			return findAll(steps[i+1:], value)
		case s.index >= 0:
			var list []json.RawMessage
			if json.Unmarshal(value, &list) != nil || s.index >= len(list) {
				return nil, false
			}
			value = list[s.index]
		default:
			var object map[string]json.RawMessage
			if json.Unmarshal(value, &object) != nil {
				return nil, false
			}
			if value, ok = object[s.name]; !ok {
				return nil, false
			}
		}
	}
	return bytes.TrimSpace(value), json.Valid(value)
}

// findAll is the array of what the steps lead to from each value in value.
func findAll(steps []step, value json.RawMessage) (json.RawMessage, bool) {
	inner, ok := valuesIn(value)
	if !ok {
		return nil, false
	}
	found := []json.RawMessage{}
	for _, v := range inner {
		if v, ok := find(steps, v); ok {
			found = append(found, v)
		}
	}
	out, err := json.Marshal(found)
	return out, err == nil
}

// valuesIn are the values in an array or an object, in their order.
func valuesIn(value json.RawMessage) (inner []json.RawMessage, ok bool) {
	if json.Unmarshal(value, &inner) == nil && inner != nil {
		return inner, true
	}
	d := json.NewDecoder(bytes.NewReader(value))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, false
	}
	for d.More() {
		var v json.RawMessage
		if _, err := d.Token(); err != nil || d.Decode(&v) != nil {
			return nil, false
		}
		inner = append(inner, v)
	}
	return inner, true
}

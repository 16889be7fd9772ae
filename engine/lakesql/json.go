package lakesql

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
)

var jsonFunctions = map[string]function{
	"json_extract": {"js", typJSON, func(x *execution, a []any) (any, error) {
		raw, err := x.extract(a)
		if raw == nil || err != nil {
			return nil, err
		}
		return string(raw), nil
	}, false},
	"json_extract_scalar": {"js", typVarchar, func(x *execution, a []any) (any, error) {
		raw, err := x.extract(a)
		if err != nil || isNull(raw) || raw[0] == '{' || raw[0] == '[' {
			return nil, err
		}
		return decoded(raw, kindVarchar), nil
	}, false},
	"json_parse": {"s", typJSON, func(_ *execution, a []any) (any, error) {
		if !json.Valid([]byte(a[0].(string))) {
			return nil, fmt.Errorf("Cannot convert value to JSON: '%s'", shortened(a[0].(string)))
		}
		return strings.TrimSpace(a[0].(string)), nil
	}, false},
	"json_format": {"j", typVarchar, func(_ *execution, a []any) (any, error) {
		var out bytes.Buffer
		if err := json.Compact(&out, []byte(a[0].(string))); err != nil {
			return nil, errors.New("Cannot convert value to JSON")
		}
		return out.String(), nil
	}, false},
	"json_array_length": {"j", typBigint, func(_ *execution, a []any) (any, error) {
		n := 0
		if !strings.HasPrefix(strings.TrimSpace(a[0].(string)), "[") {
			return nil, nil
		}
		for range elements(a[0].(string)) {
			n++
		}
		return int64(n), nil
	}, false},
	"json_array_get": {"ji", typJSON, func(_ *execution, a []any) (any, error) {
		n, all := a[1].(int64), []string(nil)
		for _, element := range elements(a[0].(string)) {
			all = append(all, string(element))
		}
		if n < 0 {
			n += int64(len(all))
		}
		if n < 0 || n >= int64(len(all)) {
			return nil, nil
		}
		return all[n], nil
	}, false},
	"json_array_contains": {"jx", typBoolean, func(_ *execution, a []any) (any, error) {
		for _, element := range elements(a[0].(string)) {
			switch v := a[1].(type) {
			case string:
				if element[0] == '"' && decoded(element, kindVarchar) == v {
					return int64(1), nil
				}
			case int64:
				if string(element) == strconv.FormatInt(v, 10) || string(element) == "true" && v == 1 || string(element) == "false" && v == 0 {
					return int64(1), nil
				}
			}
		}
		return int64(0), nil
	}, false},
	"json_size": {"js", typBigint, func(x *execution, a []any) (any, error) {
		raw, err := x.extract(a)
		if raw == nil || err != nil {
			return nil, err
		}
		n := int64(0)
		for range elements(string(raw)) {
			n++
		}
		return n, nil
	}, false},
}

func shortened(text string) string {
	if len(text) > 60 {
		return strings.ToValidUTF8(text[:60], "") + "..."
	}
	return text
}

// elements yields the values of a JSON array or object, with the names of an object's. It yields nothing of other texts, and stops where the text is broken.
func elements(text string) iter.Seq2[string, []byte] {
	b := []byte(text)
	return func(yield func(string, []byte) bool) {
		at := skipSpace(b, 0)
		if at >= len(b) || b[at] != '[' && b[at] != '{' {
			return
		}
		object := b[at] == '{'
		for at = skipSpace(b, at+1); at < len(b) && b[at] != ']' && b[at] != '}'; at = skipSpace(b, at+1) {
			name := ""
			if object {
				end := skipString(b, at)
				if b[at] != '"' || end < 0 {
					return
				}
				name = string(unquote(nil, b[at+1:end-1]))
				if at = skipSpace(b, end); at >= len(b) || b[at] != ':' {
					return
				}
				at = skipSpace(b, at+1)
			}
			end := skipValue(b, at)
			if end < 0 || !yield(name, b[at:end]) {
				return
			}
			if at = skipSpace(b, end); at >= len(b) || b[at] != ',' {
				return
			}
		}
	}
}

// step is a step of a JSON path: a member's name, or an element's index.
type step struct {
	name  string
	index int // -1: a name
}

// extract is the value at a JSON path, or nil.
func (x *execution) extract(a []any) ([]byte, error) {
	path := a[1].(string)
	steps, ok := x.paths[path]
	if !ok {
		var err error
		if steps, err = parsePath(path); err != nil {
			return nil, err
		}
		if len(x.paths) >= 100 {
			clear(x.paths)
		}
		x.paths[path] = steps
	}
	raw := bytes.TrimSpace([]byte(a[0].(string)))
	for _, s := range steps {
		raw = s.find(raw)
	}
	return raw, nil
}

func (s step) find(raw []byte) []byte {
	if len(raw) == 0 {
		return nil
	}
	if s.index < 0 && raw[0] == '{' {
		r := &record{layout: &layout{fields: []layoutField{{name: s.name, column: 0}}}, whole: -1, fields: make([][]byte, 1)}
		r.read(raw)
		return r.fields[0]
	}
	if s.index >= 0 && raw[0] == '[' {
		n := s.index
		for _, element := range elements(string(raw)) {
			if n == 0 {
				return element
			}
			n--
		}
	}
	return nil
}

// parsePath reads $.a.b[0]["c"].
func parsePath(path string) ([]step, error) {
	invalid := fmt.Errorf("Invalid JSON path: '%s'", shortened(path))
	rest, ok := strings.CutPrefix(strings.TrimSpace(path), "$")
	if len(path) > maxPattern {
		return nil, invalid
	}
	if !ok {
		rest = "." + rest
	}
	var steps []step
	for rest != "" {
		switch {
		case strings.HasPrefix(rest, `["`):
			end := strings.Index(rest, `"]`)
			if end < 2 {
				return nil, invalid
			}
			steps = append(steps, step{rest[2:end], -1})
			rest = rest[end+2:]
		case rest[0] == '[':
			end := strings.IndexByte(rest, ']')
			if end < 2 {
				return nil, invalid
			}
			if n, err := strconv.Atoi(rest[1:end]); err == nil && n >= 0 {
				steps = append(steps, step{index: n})
			} else if err != nil {
				steps = append(steps, step{rest[1:end], -1})
			} else {
				return nil, invalid
			}
			rest = rest[end+1:]
		case rest[0] == '.':
			end := strings.IndexAny(rest[1:], ".[")
			if end < 0 {
				end = len(rest) - 1
			}
			if end == 0 {
				return nil, invalid
			}
			steps = append(steps, step{rest[1 : end+1], -1})
			rest = rest[end+1:]
		default:
			return nil, invalid
		}
	}
	return steps, nil
}

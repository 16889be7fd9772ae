package lakesql

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

var collectionFunctions = map[string]function{
	"cardinality": {"x", typBigint, func(_ *execution, a []any) (any, error) {
		n := int64(0)
		for range elements(a[0].(string)) {
			n++
		}
		return n, nil
	}, false},
	"map_keys": {"m", arrayOf(typVarchar), func(_ *execution, a []any) (any, error) {
		var names []string
		for name := range elements(a[0].(string)) {
			names = append(names, name)
		}
		return textArray(names), nil
	}, false},
	"sequence": {"ii?i", arrayOf(typBigint), sequence, false},
}

// collectionInternals are called with the code of the elements' type as their last argument, unless they do not look into elements.
var collectionInternals = map[string]function{
	"contains":       {"xxi", typBoolean, contains, false},
	"array_position": {"xxi", typBigint, arrayPosition, false},
	"array_remove":   {"xxi", nil, arrayRemove, false},
	"array_join":     {"xs?s", typVarchar, arrayJoin, false},
	"array_sort":     {"xi", nil, arraySort, false},
	"array_distinct": {"xi", nil, arrayDistinct, false},
	"array_min":      {"xi", nil, arrayExtreme(-1), false},
	"array_max":      {"xi", nil, arrayExtreme(1), false},
	"array_reverse": {"x", nil, func(_ *execution, a []any) (any, error) {
		all := rawElements(a[0])
		slices.Reverse(all)
		return joinRaw(all)
	}, false},
	"array_concat": {"xx", nil, func(_ *execution, a []any) (any, error) {
		return joinRaw(append(rawElements(a[0]), rawElements(a[1])...))
	}, false},
	"flatten": {"x", nil, func(_ *execution, a []any) (any, error) {
		var all []string
		for _, inner := range rawElements(a[0]) {
			all = append(all, rawElements(inner)...)
		}
		return joinRaw(all)
	}, false},
	"slice":           {"xii", nil, slice, false},
	"array_union":     {"xxi", nil, setOperation(func(inA, inB bool) bool { return true }), false},
	"array_intersect": {"xxi", nil, setOperation(func(inA, inB bool) bool { return inA && inB }), false},
	"array_except":    {"xxi", nil, setOperation(func(inA, inB bool) bool { return inA && !inB }), false},
	"arrays_overlap": {"xxi", typBoolean, func(x *execution, a []any) (any, error) {
		both, err := setOperation(func(inA, inB bool) bool { return inA && inB })(x, a)
		return boolean(both != "[]"), err
	}, false},
	"map_values": {"x", nil, func(_ *execution, a []any) (any, error) {
		var all []string
		for _, raw := range elements(a[0].(string)) {
			all = append(all, string(raw))
		}
		return joinRaw(all)
	}, false},
	"map_entries": {"x", nil, func(_ *execution, a []any) (any, error) {
		var all []string
		for name, raw := range elements(a[0].(string)) {
			all = append(all, `{"key":`+string(appendQuoted(nil, name))+`,"value":`+string(raw)+"}")
		}
		return joinRaw(all)
	}, false},
	"map_of": {"xx", nil, mapOfArrays, false},
	"map_element": {"xsii", nil, func(_ *execution, a []any) (any, error) {
		raw := step{a[1].(string), -1}.find([]byte(a[0].(string)))
		if raw == nil && a[3] != int64(0) {
			return nil, fmt.Errorf("Key not present in map: %s", shortened(a[1].(string)))
		}
		return decoded(raw, kind(a[2].(int64))), nil
	}, false},
	"member": {"xsi", nil, func(_ *execution, a []any) (any, error) {
		return decoded(step{a[1].(string), -1}.find([]byte(a[0].(string))), kind(a[2].(int64))), nil
	}, false},
	"array_element": {"xiii", nil, arrayElement, false},
	"make_array": {"i?x*", nil, func(_ *execution, a []any) (any, error) {
		out := []byte{'['}
		for i, v := range a[1:] {
			if i > 0 {
				out = append(out, ',')
			}
			out = encoded(out, v, kind(a[0].(int64)))
		}
		return string(append(out, ']')), nil
	}, true},
	"make_row": {"s?x*", nil, func(_ *execution, a []any) (any, error) {
		out := []byte{'{'}
		for i := 0; i+2 < len(a); i += 3 {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(appendQuoted(out, a[i].(string)), ':')
			out = encoded(out, a[i+2], kind(a[i+1].(int64)))
		}
		return string(append(out, '}')), nil
	}, true},
}

func rawElements(v any) []string {
	var all []string
	text, _ := v.(string)
	for _, raw := range elements(text) {
		all = append(all, string(raw))
	}
	return all
}

func joinRaw(all []string) (any, error) {
	size := 2
	for _, raw := range all {
		size += len(raw) + 1
	}
	if size > maxText {
		return nil, errTooLong
	}
	return "[" + strings.Join(all, ",") + "]", nil
}

func sequence(_ *execution, a []any) (any, error) {
	from, to, by := a[0].(int64), a[1].(int64), int64(1)
	switch {
	case len(a) == 3:
		by = a[2].(int64)
	case to < from:
		by = -1
	}
	if by == 0 || (to < from) != (by < 0) && to != from {
		return nil, errors.New("sequence stop value should be greater than or equal to start value if step is greater than zero otherwise stop should be less than or equal to start")
	}
	if n := (float64(to) - float64(from)) / float64(by); n > 10000 {
		return nil, errors.New("result of sequence function must not have more than 10000 entries")
	}
	out := []byte{'['}
	for i := range (to-from)/by + 1 {
		if i > 0 {
			out = append(out, ',')
		}
		out = fmt.Append(out, from+i*by)
	}
	return string(append(out, ']')), nil
}

func contains(_ *execution, a []any) (any, error) {
	null := false
	for _, raw := range elements(a[0].(string)) {
		switch v := decoded(raw, kind(a[2].(int64))); {
		case v == nil:
			null = true
		case v == a[1]:
			return int64(1), nil
		}
	}
	if null {
		return nil, nil
	}
	return int64(0), nil
}

func arrayPosition(_ *execution, a []any) (any, error) {
	n := int64(0)
	for _, raw := range elements(a[0].(string)) {
		if n++; decoded(raw, kind(a[2].(int64))) == a[1] {
			return n, nil
		}
	}
	return int64(0), nil
}

func arrayRemove(_ *execution, a []any) (any, error) {
	return joinRaw(slices.DeleteFunc(rawElements(a[0]), func(raw string) bool { return decoded([]byte(raw), kind(a[2].(int64))) == a[1] }))
}

func arrayJoin(_ *execution, a []any) (any, error) {
	var parts []string
	size := 0
	for _, raw := range elements(a[0].(string)) {
		part, ok := decoded(raw, kindVarchar).(string)
		if !ok && len(a) < 3 {
			continue
		} else if !ok {
			part = a[2].(string)
		}
		if size += len(part) + len(a[1].(string)); size > maxText {
			return nil, errTooLong
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, a[1].(string)), nil
}

// compareValues orders values as ORDER BY does: NULL comes last.
func compareValues(a, b any) int {
	switch {
	case a == nil || b == nil:
		return b2i(a == nil) - b2i(b == nil)
	}
	if x, ok := a.(string); ok {
		y, _ := b.(string)
		return strings.Compare(x, y)
	}
	if x, ok := a.(int64); ok {
		if y, ok := b.(int64); ok {
			return cmp.Compare(x, y)
		}
	}
	return cmp.Compare(number(a), number(b))
}

func arraySort(_ *execution, a []any) (any, error) {
	k := kind(a[1].(int64))
	all := rawElements(a[0])
	slices.SortStableFunc(all, func(x, y string) int { return compareValues(decoded([]byte(x), k), decoded([]byte(y), k)) })
	return joinRaw(all)
}

func arrayDistinct(_ *execution, a []any) (any, error) {
	seen := make(map[any]bool)
	return joinRaw(slices.DeleteFunc(rawElements(a[0]), func(raw string) bool {
		v := decoded([]byte(raw), kind(a[1].(int64)))
		had := seen[v]
		seen[v] = true
		return had
	}))
}

func arrayExtreme(sign int) scalar {
	return func(_ *execution, a []any) (any, error) {
		var out any
		for _, raw := range elements(a[0].(string)) {
			v := decoded(raw, kind(a[1].(int64)))
			if v == nil {
				return nil, nil
			}
			if out == nil || sign*compareValues(v, out) > 0 {
				out = v
			}
		}
		return out, nil
	}
}

func slice(_ *execution, a []any) (any, error) {
	all := rawElements(a[0])
	start, n, size := a[1].(int64), a[2].(int64), int64(len(all))
	switch {
	case start == 0:
		return nil, errors.New("SQL array indices start at 1")
	case n < 0:
		return nil, errors.New("length must be greater than or equal to 0")
	case start < 0:
		start += size + 1
	}
	if start < 1 || start > size {
		return "[]", nil
	}
	return joinRaw(all[start-1 : start-1+min(n, size-start+1)])
}

func setOperation(keep func(inA, inB bool) bool) scalar {
	return func(_ *execution, a []any) (any, error) {
		k := kind(a[2].(int64))
		in := [2]map[any]bool{{}, {}}
		var order []string
		for i := range in {
			for _, raw := range rawElements(a[i]) {
				in[i][decoded([]byte(raw), k)] = true
				order = append(order, raw)
			}
		}
		done := make(map[any]bool)
		return joinRaw(slices.DeleteFunc(order, func(raw string) bool {
			v := decoded([]byte(raw), k)
			had := done[v]
			done[v] = true
			return had || !keep(in[0][v], in[1][v])
		}))
	}
}

func arrayElement(_ *execution, a []any) (any, error) {
	n, strict := a[1].(int64), a[3] != int64(0)
	if n == 0 {
		return nil, errors.New("SQL array indices start at 1")
	}
	all := rawElements(a[0])
	if n < 0 {
		if strict {
			return nil, errors.New("Array subscript is negative")
		}
		n += int64(len(all)) + 1
	}
	if n < 1 || n > int64(len(all)) {
		if strict {
			return nil, fmt.Errorf("Array subscript must be less than or equal to array length: %d > %d", n, len(all))
		}
		return nil, nil
	}
	return decoded([]byte(all[n-1]), kind(a[2].(int64))), nil
}

func mapOfArrays(_ *execution, a []any) (any, error) {
	keys, values := rawElements(a[0]), rawElements(a[1])
	if len(keys) != len(values) {
		return nil, errors.New("Key and value arrays must be the same length")
	}
	out := []byte{'{'}
	seen := make(map[string]bool)
	for i, raw := range keys {
		key, ok := decoded([]byte(raw), kindVarchar).(string)
		switch {
		case !ok:
			return nil, errors.New("map key cannot be null")
		case seen[key]:
			return nil, fmt.Errorf("Duplicate map keys (%s) are not allowed", shortened(key))
		}
		seen[key] = true
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(appendQuoted(out, key), ':'), values[i]...)
	}
	return string(append(out, '}')), nil
}

// collectionSpecial are the functions of arrays and maps whose types depend on those of the elements.
func collectionSpecial(name string) func(*translator, *scope, *expr) val {
	switch name {
	case "element_at":
		return func(t *translator, s *scope, e *expr) val {
			t.count(e, 2)
			return t.element(s, e, t.expr(s, e.args[0]), t.expr(s, e.args[1]), true)
		}
	case "contains", "array_position", "array_remove":
		return (*translator).search
	case "array_sort", "array_distinct", "array_min", "array_max", "flatten", "map_values", "map_entries", "array_join", "slice":
		return (*translator).ofCollection
	case "array_union", "array_intersect", "array_except", "arrays_overlap":
		return (*translator).ofArrays
	case "map":
		return (*translator).mapFrom
	case "transform", "filter", "any_match", "all_match", "none_match":
		return (*translator).lambdaOver
	}
	return nil
}

func (t *translator) arrayArgument(e *expr, v val) val {
	if v.typ.kind == kindUnknown {
		v.typ = arrayOf(typUnknown)
	}
	if v.typ.kind != kindArray {
		panic(e.place.errorf("Unexpected parameters (%s) for function %s", v.typ, e.text))
	}
	return v
}

func (t *translator) search(s *scope, e *expr) val {
	t.count(e, 2)
	all := t.exprs(s, e.args)
	if e.text == "contains" && all[0].typ.kind == kindVarchar && all[1].typ.kind == kindVarchar { // contains('10.0.0.0/8', address)
		return t.of(t.function("ip_in", t.sqls(all)...), typBoolean, all...)
	}
	array := t.arrayArgument(e, all[0])
	both := common(array.typ.elem, all[1].typ)
	if both == nil {
		panic(e.place.errorf("Unexpected parameters (%s, %s) for function %s", array.typ, all[1].typ, e.text))
	}
	result := map[string]*typ{"contains": typBoolean, "array_position": typBigint, "array_remove": array.typ}[e.text]
	return t.of(t.function(e.text, t.sql(array), t.sql(t.coerce(all[1], both)), t.param(both.code())), result, all...)
}

func (t *translator) ofCollection(s *scope, e *expr) val {
	all := t.exprs(s, e.args)
	if len(all) == 0 {
		t.count(e, 1)
	}
	v := all[0]
	code := func(result *typ) val {
		t.count(e, 1)
		return t.of(t.function(e.text, t.sql(v), t.param(v.typ.elem.code())), result, v)
	}
	plain := func(result *typ) val {
		t.count(e, 1)
		return t.of(t.function(e.text, t.sql(v)), result, v)
	}
	if v.typ.kind == kindMap {
		switch e.text {
		case "map_values":
			return plain(arrayOf(v.typ.elem))
		case "map_entries":
			return plain(arrayOf(&typ{kind: kindRow, fields: []field{{"key", v.typ.key}, {"value", v.typ.elem}}}))
		}
	}
	v = t.arrayArgument(e, v)
	switch e.text {
	case "array_join":
		return t.apply(e, e.text, function{"as?s", typVarchar, nil, false}, all)
	case "slice":
		return t.apply(e, e.text, function{"aii", v.typ, nil, false}, all)
	case "array_min", "array_max":
		if !v.typ.elem.orderable() {
			break
		}
		return code(v.typ.elem)
	case "array_sort", "array_distinct":
		return code(v.typ)
	case "flatten":
		if v.typ.elem.kind == kindArray {
			return plain(v.typ.elem)
		}
	}
	panic(e.place.errorf("Unexpected parameters (%s) for function %s", v.typ, e.text))
}

func (t *translator) ofArrays(s *scope, e *expr) val {
	t.count(e, 2)
	all, typ := t.unified(e, t.exprs(s, e.args))
	array := t.arrayArgument(e, val{typ: typ})
	result := array.typ
	if e.text == "arrays_overlap" {
		result = typBoolean
	}
	return t.of(t.function(e.text, t.sql(all[0]), t.sql(all[1]), t.param(array.typ.elem.code())), result, all...)
}

func (t *translator) mapFrom(s *scope, e *expr) val {
	if len(e.args) == 0 {
		return t.literal(e.place, mapOf(typVarchar, typUnknown), "{}")
	}
	t.count(e, 2)
	all := t.exprs(s, e.args)
	keys, values := t.arrayArgument(e, all[0]), t.arrayArgument(e, all[1])
	if keys.typ.elem.kind != kindVarchar {
		panic(e.place.errorf("the keys of a map must be varchar, not %s", keys.typ.elem))
	}
	return t.of(t.function("map_of", t.sql(keys), t.sql(values)), mapOf(typVarchar, values.typ.elem), all...)
}

// lambdaOver translates a function with a lambda: a subquery over the array's elements, whose column is the lambda's parameter.
func (t *translator) lambdaOver(s *scope, e *expr) val {
	t.count(e, 2)
	array := t.arrayArgument(e, t.expr(s, e.args[0]))
	lambda := e.args[1]
	if lambda.op != opLambda || len(lambda.params) != 1 {
		panic(lambda.place.errorf("the second parameter of %s must be a lambda of one parameter", e.text))
	}
	r := &rel{name: t.name("l")}
	r.columns = []relColumn{{name: lambda.params[0], sql: r.name + ".v", typ: array.typ.elem}}
	inner := &scope{outer: s, env: s.env, rels: []*rel{r}, noAggregates: "Lambda expression", inAggregate: true, lambda: true}
	body := t.expr(inner, lambda.args[0])
	sql := t.sql(body)
	from := fmt.Sprintf(" FROM each(%s, %s) AS %s", t.sql(array), t.param(array.typ.elem.code()), r.name)
	if e.text != "transform" && body.typ.kind != kindBoolean && body.typ.kind != kindUnknown {
		panic(lambda.place.errorf("the lambda of %s must be a boolean: actual type %s", e.text, body.typ))
	}
	result := typBoolean
	switch e.text {
	case "transform":
		result = arrayOf(body.typ)
		sql = fmt.Sprintf("coalesce(array_agg_%d(%s), '[]')", body.typ.code(), sql) + from
	case "filter":
		result = array.typ
		sql = fmt.Sprintf("coalesce(array_agg_%d(%s.v), '[]')", array.typ.elem.code(), r.name) + from + " WHERE " + sql
	case "any_match":
		sql = fmt.Sprintf("CASE WHEN max(%[1]s) THEN 1 WHEN count(*) > count(%[1]s) THEN NULL ELSE 0 END", sql) + from
	case "all_match":
		sql = fmt.Sprintf("CASE WHEN NOT min(%[1]s) THEN 0 WHEN count(*) > count(%[1]s) THEN NULL ELSE 1 END", sql) + from
	case "none_match":
		sql = fmt.Sprintf("CASE WHEN max(%[1]s) THEN 0 WHEN count(*) > count(%[1]s) THEN NULL ELSE 1 END", sql) + from
	}
	return t.of("CASE WHEN "+t.sql(array)+" IS NULL THEN NULL ELSE (SELECT "+sql+") END", result, array, body)
}

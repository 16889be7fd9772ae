package lakesql

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// expr translates an expression.
func (t *translator) expr(s *scope, e *expr) val {
	if t.steps++; t.steps > maxSteps {
		panic(e.place.errorf("the statement is too complex"))
	}
	v := t.bare(s, e)
	v.place = e.place
	if v.free != nil && s.group != nil && s.isGrouped(v) {
		v.free = nil
	}
	return v
}

func (t *translator) bare(s *scope, e *expr) val {
	switch e.op {
	case opNull:
		return val{sql: "NULL", typ: typUnknown, fixed: true}
	case opBoolean:
		return t.literal(e.place, typBoolean, e.text == "TRUE")
	case opString:
		return t.literal(e.place, typVarchar, e.text)
	case opInteger:
		n, err := strconv.ParseInt(e.text, 10, 64)
		if err != nil {
			panic(e.place.errorf("Invalid numeric literal: %s", e.text))
		}
		return t.literal(e.place, typBigint, n)
	case opDecimal:
		f, err := strconv.ParseFloat(e.text, 64)
		if err != nil {
			panic(e.place.errorf("Invalid numeric literal: %s", e.text))
		}
		return t.literal(e.place, typDouble, f)
	case opTyped:
		return t.timeLiteral(e)
	case opInterval:
		return t.interval(e)
	case opName, opField:
		return t.named(s, e)
	case opSubscript:
		return t.element(s, e, t.expr(s, e.args[0]), t.expr(s, e.args[1]), false)
	case opCall:
		return t.callOf(s, e)
	case opNegate:
		return t.negate(e, t.expr(s, e.args[0]))
	case opNot:
		return t.not(e, t.boolean(s, e.args[0], "NOT"))
	case opBinary:
		return t.binary(e, t.expr(s, e.args[0]), t.expr(s, e.args[1]))
	case opAnd, opOr:
		return t.logic(s, e)
	case opDistinct:
		return t.distinctFrom(e, t.expr(s, e.args[0]), t.expr(s, e.args[1]))
	case opIsNull:
		return t.isNull(e, t.expr(s, e.args[0]))
	case opBetween:
		return t.between(s, e)
	case opIn:
		return t.in(s, e)
	case opInQuery:
		return t.inQuery(s, e)
	case opLike:
		return t.like(s, e)
	case opCase:
		return t.cases(s, e)
	case opMatch:
		return t.match(s, e)
	case opCast:
		return t.cast(e, t.expr(s, e.args[0]), e.typ, e.lenient)
	case opExists:
		out := t.query(e.query, s.env, s, false)
		return val{sql: "EXISTS (" + out.sql + ")", typ: typBoolean}
	case opSubquery:
		return t.scalar(s, e)
	case opArray:
		return t.array(s, e)
	case opRow:
		return t.row(s, e)
	case opLambda:
		panic(e.place.errorf("Lambda expression should always be used inside a function"))
	}
	panic(e.place.errorf("'%s' is not allowed here", "*"))
}

// exprs translates several.
func (t *translator) exprs(s *scope, all []*expr) []val {
	vals := make([]val, len(all))
	for i, e := range all {
		vals[i] = t.expr(s, e)
	}
	return vals
}

// of makes a value of parts: their columns and whether they are all fixed carry over.
func (t *translator) of(sql string, typ *typ, parts ...val) val {
	if len(sql) > maxSQL {
		panic(&Error{Message: "the statement is too complex"})
	}
	v := val{sql: sql, typ: typ, fixed: true}
	for _, part := range parts {
		v.fixed = v.fixed && part.fixed
		if v.free == nil {
			v.free = part.free
		}
	}
	return v
}

// named translates a column, a field of it, or a field of something else.
func (t *translator) named(s *scope, e *expr) val {
	var parts []*expr
	at := e
	for at.op == opField {
		parts = append([]*expr{at}, parts...)
		at = at.args[0]
	}
	var v val
	if at.op == opName {
		parts = append([]*expr{at}, parts...)
		used := 0
		v, used = t.resolve(s, parts)
		parts = parts[used:]
	} else {
		v = t.expr(s, at)
	}
	for _, part := range parts {
		v = t.field(v, part)
		if v.free != nil && s.isGrouped(v) {
			v.free = nil
		}
	}
	return v
}

// field is a field of a row.
func (t *translator) field(v val, e *expr) val {
	f, ok := v.typ.field(e.text)
	switch {
	case v.typ.kind == kindMap:
		panic(e.place.errorf("Expression is not of type ROW: use element_at(..., '%s') for an element of a map", e.text))
	case v.typ.kind != kindRow:
		panic(e.place.errorf("Expression of type %s is not of type ROW", v.typ))
	case !ok:
		panic(e.place.errorf("Column '%s' cannot be resolved", e.text))
	}
	return t.member(v, f.name, f.typ)
}

// member is a field or an element with a known key.
func (t *translator) member(v val, name string, typ *typ) val {
	out := t.of("", typ, v)
	if v.path != nil {
		out.path = &path{scan: v.path.scan, steps: append(append([]string(nil), v.path.steps...), name)}
		if v.free != nil {
			out.free = v.free
		}
		return out
	}
	out.sql = t.function("member", t.sql(v), t.param(name), t.param(typ.code()))
	return out
}

// function is a call of one of the engine's own functions. In TRY it's the variant that makes NULL of an error.
func (t *translator) function(name string, args ...string) string {
	if t.try > 0 {
		name = "try_" + name
	}
	return name + "(" + strings.Join(args, ", ") + ")"
}

// element is an element of an array or a map. A lenient one that isn't there is NULL.
func (t *translator) element(s *scope, e *expr, v, key val, lenient bool) val {
	strict := int64(1)
	if lenient {
		strict = 0
	}
	switch v.typ.kind {
	case kindMap:
		key = t.coerce(key, v.typ.key)
		if text, ok := key.literal.(string); ok && (lenient || t.try > 0) {
			out := t.member(v, text, v.typ.elem)
			return out
		}
		return t.of(t.function("map_element", t.sql(v), t.sql(key), t.param(v.typ.elem.code()), t.param(strict)), v.typ.elem, v, key)
	case kindArray:
		if key.typ.kind != kindBigint {
			panic(e.place.errorf("Cannot use %s for subscript of %s", key.typ, v.typ))
		}
		return t.of(t.function("array_element", t.sql(v), t.sql(key), t.param(v.typ.elem.code()), t.param(strict)), v.typ.elem, v, key)
	case kindRow:
		if n, ok := key.literal.(int64); ok && n >= 1 && n <= int64(len(v.typ.fields)) {
			f := v.typ.fields[n-1]
			return t.member(v, f.name, f.typ)
		}
	case kindUnknown:
		return v
	}
	panic(e.place.errorf("Cannot use %s for subscript of %s", key.typ, v.typ))
}

// cases translates CASE WHEN; the values get one type.
func (t *translator) cases(s *scope, e *expr) val {
	var all []val
	typ := typUnknown
	for i, a := range e.args {
		last := i == len(e.args)-1 && i%2 == 0
		if i%2 == 0 && !last {
			all = append(all, t.boolean(s, a, "CASE WHEN clause"))
			continue
		}
		v := t.expr(s, a)
		c := common(typ, v.typ)
		if c == nil {
			panic(a.place.errorf("All CASE results must be the same type: %s", typ))
		}
		typ = c
		all = append(all, v)
	}
	sql := "CASE"
	for i, v := range all {
		switch {
		case i%2 == 1:
			sql += " THEN " + t.sql(t.coerce(v, typ))
		case i == len(all)-1:
			sql += " ELSE " + t.sql(t.coerce(v, typ))
		default:
			sql += " WHEN " + v.sql
		}
	}
	return t.of("("+sql+" END)", typ, all...)
}

// match translates CASE x WHEN y.
func (t *translator) match(s *scope, e *expr) val {
	cases := &expr{op: opCase, place: e.place}
	rest := e.args[1:]
	for i, a := range rest {
		if i%2 == 0 && i < len(rest)-1 {
			a = &expr{op: opBinary, text: "=", place: a.place, args: []*expr{e.args[0], a}}
		}
		cases.args = append(cases.args, a)
	}
	return t.cases(s, cases)
}

func (t *translator) scalar(s *scope, e *expr) val {
	sub := t.query(e.query, s.env, s, false)
	if len(sub.columns) != 1 {
		panic(e.place.errorf("Multiple columns returned by subquery are not yet supported. Found %d", len(sub.columns)))
	}
	name := t.name("q")
	// The engine would take the first of several rows; Trino refuses them.
	sql := "(SELECT only_row(" + name + ".c0) FROM (" + sub.sql + ") AS " + name + ")"
	return val{sql: sql, typ: sub.columns[0].typ}
}

func (t *translator) array(s *scope, e *expr) val {
	all := t.exprs(s, e.args)
	elem := typUnknown
	for _, v := range all {
		c := common(elem, v.typ)
		if c == nil {
			panic(v.place.errorf("All ARRAY elements must be the same type: %s", elem))
		}
		elem = c
	}
	args := []string{t.param(elem.code())}
	for _, v := range all {
		args = append(args, t.sql(t.coerce(v, elem)))
	}
	t.few(e, args)
	return t.of(t.function("make_array", args...), arrayOf(elem), all...)
}

func (t *translator) row(s *scope, e *expr) val {
	all := t.exprs(s, e.args)
	row := &typ{kind: kindRow}
	var args []string
	for i, v := range all {
		name := "field" + strconv.Itoa(i)
		row.fields = append(row.fields, field{name, v.typ})
		args = append(args, t.param(name), t.param(v.typ.code()), t.sql(v))
	}
	t.few(e, args)
	return t.of(t.function("make_row", args...), row, all...)
}

// few bounds the arguments of a function of the engine.
func (t *translator) few(e *expr, args []string) {
	if len(args) > 120 {
		panic(e.place.errorf("too many elements"))
	}
}

func (t *translator) timeLiteral(e *expr) val {
	ms, ok := parseTime(e.text)
	if !ok {
		panic(e.place.errorf("'%s' is not a valid %s literal", e.text, strings.ToLower(e.params[0])))
	}
	if e.params[0] == "DATE" {
		return t.literal(e.place, typDate, floorDay(ms))
	}
	return t.literal(e.place, typTimestamp, ms)
}

func (t *translator) interval(e *expr) val {
	n, err := strconv.ParseInt(strings.TrimSpace(e.text), 10, 64)
	unit := strings.TrimSuffix(strings.ToLower(e.params[0]), "s")
	if e.negated {
		n = -n
	}
	size, ok := map[string]int64{"second": 1000, "minute": 60_000, "hour": 3_600_000, "day": dayMillis, "week": 7 * dayMillis, "month": 1, "year": 12}[unit]
	if err != nil || !ok || n > math.MaxInt64/size || n < math.MinInt64/size {
		panic(e.place.errorf("'%s' is not a valid interval literal", e.text))
	}
	if unit == "month" || unit == "year" {
		return t.literal(e.place, typMonths, n*size)
	}
	return t.literal(e.place, typDays, n*size)
}

const dayMillis = int64(24 * time.Hour / time.Millisecond)

// coerce gives a value another type, to which it goes by itself.
func (t *translator) coerce(v val, to *typ) val {
	switch {
	case v.typ.kind == to.kind:
		return v
	case v.typ.kind == kindUnknown:
		v.typ = to
		return v
	case v.typ.kind == kindBigint && to.kind == kindDouble:
		if n, ok := v.literal.(int64); ok {
			return t.literal(v.place, typDouble, float64(n))
		}
		return t.of("CAST("+t.sql(v)+" AS REAL)", typDouble, v)
	case v.typ.isTime() && to.isTime():
		v.sql, v.typ = t.sql(v), to
		return v
	case v.typ.kind == kindVarchar && to.isTime():
		if text, ok := v.literal.(string); ok {
			ms, ok := parseTime(text)
			if !ok {
				panic(v.place.errorf("Value cannot be cast to timestamp: %s", text))
			}
			return t.literal(v.place, to, ms)
		}
		return t.cast(&expr{place: v.place}, v, to, false)
	}
	panic(v.place.errorf("Cannot use %s as %s", v.typ, to))
}

// convert is coerce where a common type is known to exist.
func (t *translator) convert(v val, to *typ) val {
	v.sql = t.sql(v)
	if v.typ.kind == to.kind {
		return v
	}
	return t.coerce(v, to)
}

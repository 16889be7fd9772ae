package lakesql

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// expr translates an expression.
func (t *translator) expr(s *scope, e *expr) val {
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

func (t *translator) negate(e *expr, v val) val {
	switch v.typ.kind {
	case kindBigint:
		return t.of(t.function("isub", "0", t.sql(v)), typBigint, v)
	case kindDouble, kindDays, kindMonths:
		return t.of("(-"+t.sql(v)+")", v.typ, v)
	case kindUnknown:
		return v
	}
	panic(e.place.errorf("Cannot negate %s", v.typ))
}

func (t *translator) boolean(s *scope, e *expr, what string) val {
	v := t.expr(s, e)
	if v.typ.kind != kindBoolean && v.typ.kind != kindUnknown {
		panic(e.place.errorf("%s term must evaluate to a boolean: actual type %s", what, v.typ))
	}
	v.sql = t.sql(v)
	return v
}

func (t *translator) not(e *expr, v val) val {
	out := t.of("(NOT "+v.sql+")", typBoolean, v)
	if v.test != nil {
		check := v.test.check
		out.test = &test{v.test.scan, func(r *record) truth { return -check(r) }}
	}
	return out
}

func (t *translator) logic(s *scope, e *expr) val {
	operator, word := " AND ", "Logical expression"
	if e.op == opOr {
		operator = " OR "
	}
	all := make([]string, len(e.args))
	vals := make([]val, len(e.args))
	for i, a := range e.args {
		vals[i] = t.boolean(s, a, word)
		all[i] = vals[i].sql
	}
	out := t.of(joined(all, operator), typBoolean, vals...)
	out.test = combined(vals, e.op == opOr)
	return out
}

// binary translates an arithmetic operator, || or a comparison.
func (t *translator) binary(e *expr, a, b val) val {
	switch e.text {
	case "=", "<>", "<", "<=", ">", ">=":
		return t.compare(e, e.text, a, b)
	case "||":
		return t.concat(e, a, b)
	}
	if a.typ.kind == kindUnknown || b.typ.kind == kindUnknown {
		return t.of("NULL", common(a.typ, b.typ), a, b)
	}
	if out, ok := t.timeArithmetic(e, a, b); ok {
		return out
	}
	typ := common(a.typ, b.typ)
	if typ == nil || !typ.isNumber() {
		panic(e.place.errorf("Cannot apply operator: %s %s %s", a.typ, e.text, b.typ))
	}
	name := map[string]string{"+": "add", "-": "sub", "*": "mul", "/": "div", "%": "mod"}[e.text]
	prefix := "i"
	if typ.kind == kindDouble {
		prefix = "f"
	}
	return t.of(t.function(prefix+name, t.sql(t.coerce(a, typ)), t.sql(t.coerce(b, typ))), typ, a, b)
}

// timeArithmetic translates sums and differences of times and intervals.
func (t *translator) timeArithmetic(e *expr, a, b val) (val, bool) {
	if e.text == "+" && b.typ.isTime() {
		a, b = b, a
	}
	sum := e.text == "+" || e.text == "-"
	switch {
	case sum && a.typ.isTime() && b.typ.kind == kindDays, sum && a.typ.kind == b.typ.kind && (a.typ.kind == kindDays || a.typ.kind == kindMonths):
		name := map[string]string{"+": "iadd", "-": "isub"}[e.text]
		return t.of(t.function(name, t.sql(a), t.sql(b)), a.typ, a, b), true
	case sum && a.typ.isTime() && b.typ.kind == kindMonths:
		months := t.sql(b)
		if e.text == "-" {
			months = "(-" + months + ")"
		}
		return t.of(t.function("date_add", "'month'", months, t.sql(a)), a.typ, a, b), true
	case e.text == "-" && a.typ.isTime() && b.typ.isTime():
		return t.of(t.function("isub", t.sql(a), t.sql(b)), typDays, a, b), true
	case e.text == "*" && (a.typ.kind == kindDays || a.typ.kind == kindMonths) && b.typ.kind == kindBigint:
		return t.of(t.function("imul", t.sql(a), t.sql(b)), a.typ, a, b), true
	case e.text == "*" && (b.typ.kind == kindDays || b.typ.kind == kindMonths) && a.typ.kind == kindBigint:
		return t.of(t.function("imul", t.sql(a), t.sql(b)), b.typ, a, b), true
	}
	return val{}, false
}

func (t *translator) concat(e *expr, a, b val) val {
	typ := common(a.typ, b.typ)
	switch {
	case typ != nil && typ.kind == kindVarchar:
		return t.of(t.function("concat", t.sql(a), t.sql(b)), typVarchar, a, b)
	case typ != nil && typ.kind == kindArray:
		return t.of(t.function("array_concat", t.sql(a), t.sql(b)), typ, a, b)
	case typ != nil && typ.kind == kindUnknown:
		return t.of("NULL", typVarchar, a, b)
	}
	panic(e.place.errorf("Unexpected parameters (%s, %s) for function concat", a.typ, b.typ))
}

// unify gives both values one type. A varchar beside a time becomes a time, as in CloudTrail Lake.
func (t *translator) unify(e *expr, operator string, a, b val) (val, val) {
	if a.typ.isTime() && b.typ.kind == kindVarchar {
		return a, t.coerce(b, a.typ)
	}
	if b.typ.isTime() && a.typ.kind == kindVarchar {
		return t.coerce(a, b.typ), b
	}
	typ := common(a.typ, b.typ)
	if typ == nil {
		panic(e.place.errorf("Cannot apply operator: %s %s %s", a.typ, operator, b.typ))
	}
	return t.coerce(a, typ), t.coerce(b, typ)
}

func (t *translator) compare(e *expr, operator string, a, b val) val {
	a, b = t.unify(e, operator, a, b)
	typ := common(a.typ, b.typ)
	if equality := operator == "=" || operator == "<>"; !equality && !typ.orderable() || equality && typ.kind == kindMap {
		panic(e.place.errorf("Cannot apply operator: %s %s %s", a.typ, operator, b.typ))
	}
	out := t.of("("+t.sql(a)+" "+operator+" "+t.sql(b)+")", typBoolean, a, b)
	out.scan, out.within = timeRange(operator, a, b, t)
	out.test = comparison(operator, a, b)
	return out
}

func (t *translator) distinctFrom(e *expr, a, b val) val {
	a, b = t.unify(e, "IS DISTINCT FROM", a, b)
	operator := " IS NOT "
	if e.negated {
		operator = " IS "
	}
	return t.of("("+t.sql(a)+operator+t.sql(b)+")", typBoolean, a, b)
}

func (t *translator) isNull(e *expr, v val) val {
	operator := " IS NULL)"
	if e.negated {
		operator = " IS NOT NULL)"
	}
	out := t.of("("+t.sql(v)+operator, typBoolean, v)
	out.test = nullTest(v, e.negated)
	return out
}

func (t *translator) between(s *scope, e *expr) val {
	all := t.exprs(s, e.args)
	low, high := t.compare(e, ">=", all[0], all[1]), t.compare(e, "<=", all[0], all[2])
	out := t.of("("+low.sql+" AND "+high.sql+")", typBoolean, all...)
	if out.test = combined([]val{low, high}, false); e.negated {
		return t.not(e, out)
	}
	if low.scan != nil && low.scan == high.scan {
		out.scan, out.within = low.scan, append(low.within, high.within...)
	}
	return out
}

func (t *translator) in(s *scope, e *expr) val {
	all := t.exprs(s, e.args)
	left := all[0]
	typ := left.typ
	for _, v := range all[1:] {
		if typ.isTime() && v.typ.kind == kindVarchar {
			continue
		}
		c := common(typ, v.typ)
		if c == nil {
			panic(v.place.errorf("IN value and list items must be the same type: %s, %s", typ, v.typ))
		}
		typ = c
	}
	list := make([]string, len(all)-1)
	tests := make([]val, len(all)-1)
	left = t.coerce(left, typ)
	for i, v := range all[1:] {
		v = t.coerce(v, typ)
		list[i] = t.sql(v)
		tests[i] = val{test: comparison("=", left, v)}
	}
	out := t.of("("+t.sql(left)+" IN ("+strings.Join(list, ", ")+"))", typBoolean, all...)
	if out.test = combined(tests, true); e.negated {
		return t.not(e, out)
	}
	return out
}

func (t *translator) inQuery(s *scope, e *expr) val {
	left := t.expr(s, e.args[0])
	sub := t.query(e.query, s.env, s, true)
	if len(sub.columns) != 1 {
		panic(e.place.errorf("Multiple columns returned by subquery are not yet supported. Found %d", len(sub.columns)))
	}
	typ := common(left.typ, sub.columns[0].typ)
	if typ == nil {
		panic(e.place.errorf("value and result of subquery must be of the same type for IN expression: %s vs %s", left.typ, sub.columns[0].typ))
	}
	sql := t.converted(sub, []outputColumn{{typ: typ}})
	operator := " IN ("
	if e.negated {
		operator = " NOT IN ("
	}
	out := t.of("("+t.sql(t.coerce(left, typ))+operator+sql+"))", typBoolean, left)
	out.fixed = false
	return out
}

func (t *translator) like(s *scope, e *expr) val {
	all := t.exprs(s, e.args)
	args := make([]string, len(all))
	for i, v := range all {
		if v.typ.kind != kindVarchar && v.typ.kind != kindUnknown {
			panic(v.place.errorf("Left side of LIKE expression must evaluate to a varchar (actual: %s)", v.typ))
		}
		args[i] = t.sql(v)
	}
	out := t.of(t.function("like_pattern", args...), typBoolean, all...)
	if out.test = likeTest(all); e.negated {
		return t.not(e, out)
	}
	return out
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

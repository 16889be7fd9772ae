package lakesql

import "strings"

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

package lakesql

import (
	"slices"
	"strings"
)

func (p *parser) exprs() []*expr {
	all := []*expr{p.expr()}
	for p.accept(",") {
		all = append(all, p.expr())
	}
	return all
}

func (p *parser) expr() *expr {
	defer p.nest()()
	return p.chain(opOr, "OR", func() *expr { return p.chain(opAnd, "AND", p.not) })
}

// chain takes operands with a keyword between them.
func (p *parser) chain(op op, keyword string, operand func() *expr) *expr {
	first := operand()
	if !p.is(keyword) {
		return first
	}
	e := &expr{op: op, place: first.place, args: []*expr{first}}
	for p.accept(keyword) {
		e.args = append(e.args, operand())
	}
	return e
}

func (p *parser) not() *expr {
	t := p.peek()
	if !p.accept("NOT") {
		return p.predicate()
	}
	defer p.nest()()
	return &expr{op: opNot, place: t.place, args: []*expr{p.not()}}
}

func (p *parser) predicate() *expr {
	left := p.sum()
	for {
		t := p.peek()
		switch {
		case t.kind == tokenSymbol && slices.Contains([]string{"=", "<>", "!=", "<", "<=", ">", ">="}, t.text):
			p.next()
			text := t.text
			if text == "!=" {
				text = "<>"
			}
			if p.is("ALL", "ANY", "SOME") && p.ahead(1).is("(") {
				p.fail(t.place, "quantified comparisons are not supported")
			}
			left = &expr{op: opBinary, text: text, place: t.place, args: []*expr{left, p.sum()}}
		case p.accept("IS"):
			e := &expr{place: t.place, negated: p.accept("NOT"), args: []*expr{left}}
			if e.op = opIsNull; !p.accept("NULL") {
				p.expect("DISTINCT", "FROM")
				e.op = opDistinct
				e.args = append(e.args, p.sum())
			}
			left = e
		case p.is("BETWEEN", "IN", "LIKE"), p.is("NOT") && slices.ContainsFunc([]string{"BETWEEN", "IN", "LIKE"}, p.ahead(1).is):
			negated := p.accept("NOT")
			left = p.comparison(left)
			left.negated = negated
		default:
			return left
		}
	}
}

// comparison takes a BETWEEN, IN or LIKE behind its left side.
func (p *parser) comparison(left *expr) *expr {
	t := p.next()
	e := &expr{place: t.place, args: []*expr{left}}
	switch t.upper {
	case "BETWEEN":
		e.op = opBetween
		e.args = append(e.args, p.sum())
		p.expect("AND")
		e.args = append(e.args, p.sum())
	case "IN":
		p.expect("(")
		if p.startsQuery(0) {
			e.op, e.query = opInQuery, p.query()
		} else {
			e.op = opIn
			e.args = append(e.args, p.exprs()...)
		}
		p.expect(")")
	case "LIKE":
		e.op = opLike
		e.args = append(e.args, p.sum())
		if p.accept("ESCAPE") {
			e.args = append(e.args, p.sum())
		}
	}
	return e
}

func (p *parser) sum() *expr     { return p.binary([]string{"+", "-", "||"}, p.product) }
func (p *parser) product() *expr { return p.binary([]string{"*", "/", "%"}, p.sign) }

func (p *parser) binary(symbols []string, operand func() *expr) *expr {
	left := operand()
	for p.is(symbols...) {
		t := p.next()
		left = &expr{op: opBinary, text: t.text, place: t.place, args: []*expr{left, operand()}}
	}
	return left
}

func (p *parser) sign() *expr {
	t := p.peek()
	switch {
	case p.accept("-"):
		defer p.nest()()
		if n := p.peek(); n.kind == tokenInteger || n.kind == tokenDecimal { // so that the smallest integer can be written
			p.next()
			kind := opInteger
			if n.kind == tokenDecimal {
				kind = opDecimal
			}
			return &expr{op: kind, text: "-" + n.text, place: t.place}
		}
		return &expr{op: opNegate, place: t.place, args: []*expr{p.sign()}}
	case p.accept("+"):
		defer p.nest()()
		return p.sign()
	}
	return p.postfix()
}

func (p *parser) postfix() *expr {
	e := p.primary()
	for {
		t := p.peek()
		switch {
		case p.accept("."):
			name := p.next()
			if name.kind != tokenWord && name.kind != tokenQuoted {
				p.fail(name.place, "mismatched input '%s', expecting: <identifier>", name.describe())
			}
			e = &expr{op: opField, text: name.text, place: e.place, args: []*expr{e}}
		case p.accept("["):
			e = &expr{op: opSubscript, place: t.place, args: []*expr{e, p.expr()}}
			p.expect("]")
		case p.accept("AT", "TIME", "ZONE"):
			e = &expr{op: opCall, text: "at_timezone", place: t.place, args: []*expr{e, p.primary()}, call: &call{}}
		default:
			return e
		}
	}
}

func (p *parser) primary() *expr {
	t := p.next()
	e := &expr{place: t.place, text: t.text}
	switch t.kind {
	case tokenString:
		e.op = opString
		return e
	case tokenInteger:
		e.op = opInteger
		return e
	case tokenDecimal:
		e.op = opDecimal
		return e
	case tokenQuoted:
		if p.is("(") {
			return p.call(t)
		}
		e.op, e.quoted = opName, true
		return p.lambda(e)
	case tokenSymbol:
		if t.text == "(" {
			return p.parenthesis(e)
		}
	case tokenWord:
		return p.word(t, e)
	}
	p.fail(t.place, "mismatched input '%s', expecting: <expression>", t.describe())
	return nil
}

// lambda makes a name the parameter of a lambda if an arrow follows.
func (p *parser) lambda(name *expr) *expr {
	if !p.accept("->") {
		return name
	}
	return &expr{op: opLambda, place: name.place, params: []string{name.text}, args: []*expr{p.expr()}}
}

func (p *parser) parenthesis(e *expr) *expr {
	if p.startsQuery(0) {
		e.op, e.query = opSubquery, p.query()
		p.expect(")")
		return e
	}
	all := p.exprs()
	p.expect(")")
	if p.accept("->") {
		e.op = opLambda
		for _, param := range all {
			if param.op != opName {
				p.fail(param.place, "mismatched input, expecting: a lambda's parameter")
			}
			e.params = append(e.params, param.text)
		}
		e.args = []*expr{p.expr()}
		return e
	}
	if len(all) == 1 {
		return all[0]
	}
	e.op, e.args = opRow, all
	return e
}

func (p *parser) word(t token, e *expr) *expr {
	switch t.upper {
	case "NULL":
		e.op = opNull
		return e
	case "TRUE", "FALSE":
		e.op, e.text = opBoolean, t.upper
		return e
	case "CASE":
		return p.cases(e)
	case "CAST", "TRY_CAST":
		p.expect("(")
		e.op, e.lenient = opCast, t.upper == "TRY_CAST"
		e.args = []*expr{p.expr()}
		p.expect("AS")
		e.typ = p.typeName()
		p.expect(")")
		return e
	case "EXISTS":
		p.expect("(")
		e.op, e.query = opExists, p.query()
		p.expect(")")
		return e
	case "EXTRACT":
		p.expect("(")
		field := p.next()
		p.expect("FROM")
		e.op, e.call, e.text = opCall, &call{}, strings.ToLower(field.text)
		e.args = []*expr{p.expr()}
		p.expect(")")
		return e
	case "CURRENT_TIMESTAMP", "CURRENT_DATE", "LOCALTIMESTAMP":
		e.op, e.call, e.text = opCall, &call{}, strings.ToLower(t.text)
		if p.accept("(") {
			p.count()
			p.expect(")")
		}
		return e
	}
	if reserved[t.upper] {
		p.fail(t.place, "mismatched input '%s', expecting: <expression>", t.text)
	}
	next := p.peek()
	switch {
	case next.kind == tokenString && (t.upper == "TIMESTAMP" || t.upper == "DATE"):
		e.op, e.params, e.text = opTyped, []string{t.upper}, p.next().text
		return e
	case t.upper == "INTERVAL" && (next.kind == tokenString || next.is("-") || next.is("+")):
		e.op, e.negated = opInterval, p.accept("-")
		p.accept("+")
		amount := p.next()
		if amount.kind != tokenString {
			p.fail(amount.place, "mismatched input '%s', expecting: <string>", amount.describe())
		}
		e.text, e.params = amount.text, []string{p.identifier().text}
		return e
	case t.upper == "ARRAY" && next.is("["):
		p.next()
		if e.op = opArray; !p.is("]") {
			e.args = p.exprs()
		}
		p.expect("]")
		return e
	case t.upper == "ROW" && next.is("("):
		p.next()
		e.op, e.args = opRow, p.exprs()
		p.expect(")")
		return e
	case next.is("("):
		return p.call(t)
	}
	e.op = opName
	return p.lambda(e)
}

func (p *parser) cases(e *expr) *expr {
	e.op = opCase
	if !p.is("WHEN") {
		e.op, e.args = opMatch, []*expr{p.expr()}
	}
	if !p.is("WHEN") {
		p.expect("WHEN")
	}
	for p.accept("WHEN") {
		e.args = append(e.args, p.expr())
		p.expect("THEN")
		e.args = append(e.args, p.expr())
	}
	if p.accept("ELSE") {
		e.args = append(e.args, p.expr())
	}
	p.expect("END")
	return e
}

func (p *parser) call(name token) *expr {
	defer p.nest()()
	e := &expr{op: opCall, text: strings.ToLower(name.text), place: name.place, call: &call{}}
	p.expect("(")
	star := p.peek()
	switch {
	case p.accept("*"):
		e.args = []*expr{{op: opStar, place: star.place}}
	case !p.is(")"):
		if !p.accept("ALL") {
			e.call.distinct = p.accept("DISTINCT")
		}
		if p.is("SELECT", "WITH") {
			p.fail(p.peek().place, "mismatched input '%s', expecting: <expression>", p.peek().describe())
		}
		e.args = p.arguments()
		if p.accept("ORDER", "BY") {
			e.call.order = p.orderings()
		}
	}
	p.expect(")")
	if p.accept("WITHIN", "GROUP") {
		p.expect("(", "ORDER", "BY")
		e.call.order = p.orderings()
		p.expect(")")
	}
	if p.accept("FILTER") {
		p.expect("(", "WHERE")
		e.call.filter = p.expr()
		p.expect(")")
	}
	if t := p.peek(); p.is("IGNORE", "RESPECT") && p.ahead(1).is("NULLS") {
		p.fail(t.place, "%s NULLS is not supported", t.upper)
	}
	if p.accept("OVER") {
		e.call.over = p.window()
	}
	return e
}

// arguments takes the arguments of a call, among them lambdas without parameters.
func (p *parser) arguments() []*expr {
	var all []*expr
	for {
		if t := p.peek(); p.accept("(", ")", "->") {
			all = append(all, &expr{op: opLambda, place: t.place, args: []*expr{p.expr()}})
		} else {
			all = append(all, p.expr())
		}
		if !p.accept(",") {
			return all
		}
	}
}

func (p *parser) window() *window {
	p.expect("(")
	w := &window{}
	if p.accept("PARTITION", "BY") {
		w.partition = p.exprs()
	}
	if p.accept("ORDER", "BY") {
		w.order = p.orderings()
	}
	if p.is("ROWS", "RANGE", "GROUPS") {
		f := &frame{unit: p.next().upper}
		if p.accept("BETWEEN") {
			f.start = p.bound()
			p.expect("AND")
			f.end = p.bound()
		} else {
			f.start, f.end = p.bound(), bound{kind: "CURRENT ROW"}
		}
		w.frame = f
	}
	p.expect(")")
	return w
}

func (p *parser) bound() bound {
	if p.accept("CURRENT", "ROW") {
		return bound{kind: "CURRENT ROW"}
	}
	var b bound
	if p.accept("UNBOUNDED") {
		b.kind = "UNBOUNDED "
	} else {
		b.offset = p.sum()
	}
	if p.accept("PRECEDING") {
		b.kind += "PRECEDING"
	} else {
		p.expect("FOLLOWING")
		b.kind += "FOLLOWING"
	}
	return b
}

// typeName takes the name of a type.
func (p *parser) typeName() *typ {
	defer p.nest()()
	t := p.next()
	if t.kind != tokenWord && t.kind != tokenQuoted {
		p.fail(t.place, "mismatched input '%s', expecting: <type>", t.describe())
	}
	switch strings.ToUpper(t.text) {
	case "VARCHAR", "CHAR":
		if p.accept("(") {
			p.count()
			p.expect(")")
		}
		return typVarchar
	case "BIGINT", "INTEGER", "INT", "SMALLINT", "TINYINT":
		return typBigint
	case "DOUBLE":
		p.accept("PRECISION")
		return typDouble
	case "REAL":
		return typDouble
	case "DECIMAL":
		if p.accept("(") {
			p.count()
			if p.accept(",") {
				p.count()
			}
			p.expect(")")
		}
		return typDouble
	case "BOOLEAN":
		return typBoolean
	case "DATE":
		return typDate
	case "JSON":
		return typJSON
	case "TIMESTAMP":
		if p.accept("(") {
			p.count()
			p.expect(")")
		}
		if p.accept("WITH", "TIME", "ZONE") {
			return typZoned
		}
		p.accept("WITHOUT", "TIME", "ZONE")
		return typTimestamp
	case "ARRAY":
		p.expectOpen("<", "(")
		elem := p.typeName()
		p.expectOpen(">", ")")
		return arrayOf(elem)
	case "MAP":
		p.expectOpen("<", "(")
		key := p.typeName()
		p.expect(",")
		value := p.typeName()
		p.expectOpen(">", ")")
		return mapOf(key, value)
	case "ROW":
		p.expect("(")
		row := &typ{kind: kindRow}
		for {
			name := p.identifier().text
			row.fields = append(row.fields, field{name, p.typeName()})
			if !p.accept(",") {
				break
			}
		}
		p.expect(")")
		return row
	}
	p.fail(t.place, "Unknown type: %s", t.text)
	return nil
}

func (p *parser) expectOpen(either, or string) {
	if !p.accept(either) {
		p.expect(or)
	}
}

package lakesql

import (
	"slices"
	"strconv"
	"strings"
)

// maxDepth bounds how deep a statement nests, so that no statement exhausts the stack.
const maxDepth = 60

// parser is a recursive descent over the tokens. Its methods panic with *Error; parse recovers.
type parser struct {
	tokens []token
	at     int
	depth  int
}

func parse(statement string) (q *query, err error) {
	tokens, err := lex(statement)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens}
	defer recoverError(&err)
	first := p.peek()
	if first.kind == tokenEnd {
		p.fail(first.place, "the statement is empty")
	}
	if !p.is("SELECT") && !p.is("WITH") && !p.is("(") && !p.is("VALUES") {
		p.fail(first.place, "only SELECT statements are supported: mismatched input '%s', expecting: 'SELECT', 'WITH'", first.describe())
	}
	q = p.query()
	p.accept(";")
	if t := p.peek(); t.kind != tokenEnd {
		p.fail(t.place, "mismatched input '%s', expecting: <EOF>", t.describe())
	}
	return q, nil
}

// recoverError turns a panic with *Error into an error.
func recoverError(err *error) {
	switch p := recover().(type) {
	case nil:
	case *Error:
		*err = p
	default:
		panic(p)
	}
}

func (p *parser) fail(at place, format string, args ...any) { panic(at.errorf(format, args...)) }

// nest counts a level of nesting; its result ends it.
func (p *parser) nest() func() {
	if p.depth++; p.depth > maxDepth {
		p.fail(p.peek().place, "the statement is nested too deeply")
	}
	return func() { p.depth-- }
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) ahead(n int) token { return p.tokens[min(p.at+n, len(p.tokens)-1)] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != tokenEnd {
		p.at++
	}
	return t
}

func (t token) is(text string) bool {
	return t.kind == tokenWord && t.upper == text || t.kind == tokenSymbol && t.text == text
}

// is says whether the next token is one of the keywords or symbols.
func (p *parser) is(texts ...string) bool { return slices.ContainsFunc(texts, p.peek().is) }

// accept takes the keywords or symbols, if they are all next.
func (p *parser) accept(texts ...string) bool {
	for i, text := range texts {
		if !p.ahead(i).is(text) {
			return false
		}
	}
	p.at += len(texts)
	return true
}

func (p *parser) expect(texts ...string) {
	for _, text := range texts {
		if !p.accept(text) {
			t := p.peek()
			p.fail(t.place, "mismatched input '%s', expecting: '%s'", t.describe(), text)
		}
	}
}

// reserved are the words that are no identifiers unless quoted.
var reserved = wordSet(`ALTER AND AS BETWEEN BY CASE CAST CONSTRAINT CREATE CROSS CUBE DEALLOCATE DELETE DESCRIBE DISTINCT DROP ELSE END
	ESCAPE EXCEPT EXECUTE EXISTS EXTRACT FALSE FOR FROM FULL GROUP GROUPING HAVING IN INNER INSERT INTERSECT INTO IS JOIN LEFT LIKE NATURAL
	NORMALIZE NOT NULL ON OR ORDER OUTER PREPARE RECURSIVE RIGHT ROLLUP SELECT TABLE THEN TRUE UESCAPE UNION UNNEST USING VALUES WHEN WHERE WITH`)

func wordSet(words string) map[string]bool {
	set := make(map[string]bool)
	for word := range strings.FieldsSeq(words) {
		set[word] = true
	}
	return set
}

func (p *parser) isIdentifier() bool {
	t := p.peek()
	return t.kind == tokenQuoted || t.kind == tokenWord && !reserved[t.upper]
}

func (p *parser) identifier() token {
	if t := p.peek(); !p.isIdentifier() {
		p.fail(t.place, "mismatched input '%s', expecting: <identifier>", t.describe())
	}
	return p.next()
}

func (p *parser) query() *query {
	defer p.nest()()
	q := &query{place: p.peek().place, limit: -1}
	if p.accept("WITH") {
		if p.is("RECURSIVE") {
			p.fail(p.peek().place, "recursive queries are not supported")
		}
		for {
			name := p.identifier()
			c := cte{name: name.text, place: name.place}
			if p.is("(") {
				c.columns = p.columnNames()
			}
			p.expect("AS", "(")
			c.query = p.query()
			p.expect(")")
			q.with = append(q.with, c)
			if !p.accept(",") {
				break
			}
		}
	}
	q.body = p.union()
	if p.accept("ORDER", "BY") {
		q.order = p.orderings()
	}
	p.limits(q)
	return q
}

func (p *parser) limits(q *query) {
	if p.accept("OFFSET") {
		q.offset = p.count()
		if !p.accept("ROW") {
			p.accept("ROWS")
		}
	}
	switch {
	case p.accept("LIMIT"):
		if !p.accept("ALL") {
			q.limit = p.count()
		}
	case p.accept("FETCH"):
		if !p.accept("FIRST") {
			p.expect("NEXT")
		}
		q.limit = 1
		if p.peek().kind == tokenInteger {
			q.limit = p.count()
		}
		if !p.accept("ROW") {
			p.expect("ROWS")
		}
		p.expect("ONLY")
	}
}

func (p *parser) count() int64 {
	t := p.next()
	n, err := strconv.ParseInt(t.text, 10, 64)
	if t.kind != tokenInteger || err != nil {
		p.fail(t.place, "mismatched input '%s', expecting: <integer>", t.describe())
	}
	return n
}

func (p *parser) columnNames() []string {
	p.expect("(")
	names := []string{p.identifier().text}
	for p.accept(",") {
		names = append(names, p.identifier().text)
	}
	p.expect(")")
	return names
}

func (p *parser) union() *body {
	left := p.intersect()
	for n := 0; p.is("UNION", "EXCEPT"); n++ {
		if n > maxDepth {
			p.fail(p.peek().place, "too many set operations")
		}
		left = p.setOperation(left, p.intersect)
	}
	return left
}

func (p *parser) intersect() *body {
	left := p.term()
	for n := 0; p.is("INTERSECT"); n++ {
		if n > maxDepth {
			p.fail(p.peek().place, "too many set operations")
		}
		left = p.setOperation(left, p.term)
	}
	return left
}

func (p *parser) setOperation(left *body, operand func() *body) *body {
	t := p.next()
	b := &body{place: t.place, operation: t.upper, left: left}
	if p.accept("ALL") {
		if b.all = true; t.upper != "UNION" {
			p.fail(t.place, "%s ALL is not supported", t.upper)
		}
	} else {
		p.accept("DISTINCT")
	}
	b.right = operand()
	return b
}

func (p *parser) term() *body {
	t := p.peek()
	switch {
	case p.accept("("):
		b := &body{place: t.place, nested: p.query()}
		p.expect(")")
		return b
	case p.accept("VALUES"):
		b := &body{place: t.place}
		for {
			var row []*expr
			if p.accept("(") {
				row = p.exprs()
				p.expect(")")
			} else {
				row = []*expr{p.expr()}
			}
			b.rows = append(b.rows, row)
			if !p.accept(",") {
				return b
			}
		}
	}
	return &body{place: t.place, sel: p.selection()}
}

func (p *parser) selection() *selection {
	s := &selection{place: p.peek().place}
	p.expect("SELECT")
	if !p.accept("ALL") {
		s.distinct = p.accept("DISTINCT")
	}
	s.items = append(s.items, p.item())
	for p.accept(",") {
		s.items = append(s.items, p.item())
	}
	if p.accept("FROM") {
		s.from = p.relation()
		for p.is(",") {
			at := p.next().place
			s.from = &relation{place: at, join: "CROSS", left: s.from, right: p.relation()}
		}
	}
	if p.accept("WHERE") {
		s.where = p.expr()
	}
	if p.accept("GROUP", "BY") {
		if t := p.peek(); p.is("ROLLUP", "CUBE", "GROUPING") {
			p.fail(t.place, "%s is not supported", t.upper)
		}
		if !p.accept("DISTINCT") {
			p.accept("ALL")
		}
		s.group = p.exprs()
	}
	if p.accept("HAVING") {
		s.having = p.expr()
	}
	if t := p.peek(); p.is("WINDOW", "QUALIFY") && p.ahead(1).kind == tokenWord {
		p.fail(t.place, "%s is not supported", t.upper)
	}
	return s
}

func (p *parser) item() item {
	t := p.peek()
	if p.accept("*") {
		return item{place: t.place}
	}
	if p.isIdentifier() && p.ahead(1).is(".") && p.ahead(2).is("*") {
		p.at += 3
		return item{place: t.place, qualifier: t.text}
	}
	i := item{place: t.place, expr: p.expr()}
	if p.accept("AS") || p.isIdentifier() {
		i.alias = p.identifier().text
	}
	return i
}

func (p *parser) orderings() []ordering {
	var all []ordering
	for {
		o := ordering{expr: p.expr()}
		if !p.accept("ASC") {
			o.descending = p.accept("DESC")
		}
		if p.accept("NULLS") {
			if o.nullsFirst = p.accept("FIRST"); !o.nullsFirst {
				p.expect("LAST")
			}
		}
		all = append(all, o)
		if !p.accept(",") {
			return all
		}
	}
}

func (p *parser) relation() *relation {
	defer p.nest()()
	left := p.source()
	for n := 0; ; n++ {
		t := p.peek()
		r := &relation{place: t.place, left: left}
		switch {
		case p.accept("CROSS", "JOIN"):
			r.join = "CROSS"
		case p.accept("JOIN"), p.accept("INNER", "JOIN"):
			r.join = "INNER"
		case p.is("LEFT", "RIGHT", "FULL"):
			r.join = p.next().upper
			p.accept("OUTER")
			p.expect("JOIN")
		case p.is("NATURAL"):
			p.fail(t.place, "natural joins are not supported")
		default:
			return left
		}
		if n > maxDepth {
			p.fail(t.place, "too many joins")
		}
		r.right = p.source()
		if r.join != "CROSS" {
			if p.accept("USING") {
				r.using = p.columnNames()
			} else {
				p.expect("ON")
				r.on = p.expr()
			}
		}
		left = r
	}
}

func (p *parser) source() *relation {
	t := p.peek()
	r := &relation{place: t.place}
	p.accept("LATERAL")
	switch {
	case p.accept("UNNEST"):
		p.expect("(")
		r.unnest = p.exprs()
		p.expect(")")
		if p.accept("WITH") {
			p.expect("ORDINALITY")
			r.ordinality = true
		}
	case p.is("(") && p.startsQuery(1):
		p.next()
		r.query = p.query()
		p.expect(")")
	case p.accept("("):
		r = p.relation()
		p.expect(")")
		return r
	default:
		r.name = p.tableName()
	}
	if p.accept("AS") || p.isIdentifier() && !p.endsSource() {
		r.alias = p.identifier().text
		if p.is("(") {
			r.columns = p.columnNames()
		}
	}
	if t := p.peek(); p.is("TABLESAMPLE", "MATCH_RECOGNIZE") {
		p.fail(t.place, "%s is not supported", t.upper)
	}
	return r
}

// endsSource says whether the next word goes on with the query rather than naming the table before it.
func (p *parser) endsSource() bool {
	return p.is("LIMIT", "OFFSET", "FETCH", "TABLESAMPLE", "MATCH_RECOGNIZE", "WINDOW", "QUALIFY")
}

// startsQuery says whether the token n ahead, behind any opening parentheses, begins a query.
func (p *parser) startsQuery(n int) bool {
	for p.ahead(n).is("(") {
		n++
	}
	t := p.ahead(n)
	return t.is("SELECT") || t.is("WITH") || t.is("VALUES")
}

// tableName takes the name of a table: an event data store's ID or ARN, or a name of WITH. The IDs of stores that were federated may stand behind a schema
// ("aws:cloudtrail".x); it does not matter.
func (p *parser) tableName() string {
	if t := p.peek(); t.kind == tokenString {
		return p.next().text
	}
	name := p.identifier().text
	for p.accept(".") {
		name = p.identifier().text
	}
	return name
}

package metricmath

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const (
	maxLength = 2048 // of an expression
	maxDepth  = 100
)

// Expr is an expression that was parsed. It is immutable.
type Expr struct {
	root node
	refs []string
	all  bool
}

// Refs returns the identifiers in the expression, each once.
func (x *Expr) Refs() []string { return x.refs }

// All reports whether the expression asks for all metrics, with METRICS.
func (x *Expr) All() bool { return x.all }

// Parse parses an expression.
func Parse(text string) (*Expr, error) {
	if len(text) > maxLength {
		return nil, fmt.Errorf("the expression is longer than %d characters", maxLength)
	}
	p := &parser{text: text, expr: new(Expr)}
	p.next()
	root, err := p.binary(0, 0)
	if err != nil {
		return nil, err
	}
	if p.token != "" {
		return nil, p.unexpected()
	}
	p.expr.root = root
	return p.expr, nil
}

// parser descends recursively. token is what comes next, "" at the end.
type parser struct {
	text  string
	pos   int // behind token
	token string
	kind  byte // of token: n number, i identifier, s string, o anything else
	expr  *Expr
}

func (p *parser) unexpected() error {
	if p.token == "" {
		return fmt.Errorf("unexpected end of the expression")
	}
	return fmt.Errorf("unexpected token '%s' at position %d", p.token, p.pos-len(p.token))
}

func letter(c byte) bool { return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' }
func digit(c byte) bool  { return c >= '0' && c <= '9' }

func (p *parser) next() {
	for p.pos < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.pos]) >= 0 {
		p.pos++
	}
	start := p.pos
	if start == len(p.text) {
		p.token, p.kind = "", 'o'
		return
	}
	switch c := p.text[start]; {
	case letter(c):
		p.kind = 'i'
		p.skip(func(c byte) bool { return letter(c) || digit(c) })
	case digit(c) || c == '.':
		p.kind = 'n'
		p.skip(func(c byte) bool { return digit(c) || c == '.' })
		p.exponent()
	case c == '"' || c == '\'':
		p.kind = 's'
		if end := strings.IndexByte(p.text[start+1:], c); end >= 0 {
			p.pos += end + 2
		} else {
			p.kind, p.pos = 'o', len(p.text)
		}
	default:
		p.kind = 'o'
		p.pos++
		if slices.Contains([]string{"==", "!=", "<=", ">=", "&&", "||"}, p.text[start:min(start+2, len(p.text))]) {
			p.pos++
		}
	}
	p.token = p.text[start:p.pos]
}

func (p *parser) skip(in func(byte) bool) {
	for p.pos < len(p.text) && in(p.text[p.pos]) {
		p.pos++
	}
}

// exponent takes e5 or E-5 behind a number.
func (p *parser) exponent() {
	rest := p.text[p.pos:]
	if rest == "" || rest[0]|0x20 != 'e' {
		return
	}
	n := 1
	if len(rest) > n && (rest[n] == '+' || rest[n] == '-') {
		n++
	}
	if len(rest) > n && digit(rest[n]) {
		p.pos += n
		p.skip(digit)
	}
}

func (p *parser) binary(level, depth int) (node, error) {
	if level == len(operators) {
		return p.unary(depth)
	}
	left, err := p.binary(level+1, depth)
	if err != nil {
		return nil, err
	}
	for p.kind != 's' && slices.Contains(operators[level], strings.ToUpper(p.token)) {
		op := strings.ToUpper(p.token)
		p.next()
		right, err := p.binary(level+1, depth)
		if err != nil {
			return nil, err
		}
		left = binaryNode{op, left, right}
	}
	return left, nil
}

func (p *parser) unary(depth int) (node, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("the expression is nested too deeply")
	}
	switch {
	case p.token == "-":
		p.next()
		of, err := p.unary(depth + 1)
		return negNode{of}, err
	case p.token == "+":
		p.next()
		return p.unary(depth + 1)
	}
	return p.primary(depth + 1)
}

func (p *parser) primary(depth int) (node, error) {
	token, kind := p.token, p.kind
	switch {
	case kind == 'n':
		v, err := strconv.ParseFloat(token, 64)
		if err != nil {
			return nil, p.unexpected()
		}
		p.next()
		return numberNode(v), nil
	case kind == 's':
		p.next()
		return textNode(token[1 : len(token)-1]), nil
	case token == "(":
		p.next()
		n, err := p.binary(0, depth)
		if err != nil {
			return nil, err
		}
		return n, p.expect(")")
	case token == "[":
		p.next()
		list, err := p.list("]", depth)
		return listNode(list), err
	case kind == 'i':
		p.next()
		if p.token == "(" {
			p.next()
			args, err := p.list(")", depth)
			if err != nil {
				return nil, err
			}
			return p.call(token, args)
		}
		return p.name(token)
	}
	return nil, p.unexpected()
}

// name is an identifier, or one of the words that functions take.
func (p *parser) name(token string) (node, error) {
	if slices.Contains(words, strings.ToUpper(token)) {
		return textNode(strings.ToUpper(token)), nil
	}
	if c := token[0]; c < 'a' || c > 'z' {
		return nil, fmt.Errorf("unexpected identifier '%s'", token)
	}
	if !slices.Contains(p.expr.refs, token) {
		p.expr.refs = append(p.expr.refs, token)
	}
	return nameNode(token), nil
}

// list is what stands between commas up to the closing token.
func (p *parser) list(end string, depth int) (list []node, err error) {
	for p.token != end {
		if len(list) > 0 {
			if err := p.expect(","); err != nil {
				return nil, err
			}
		}
		n, err := p.binary(0, depth)
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, p.expect(end)
}

func (p *parser) expect(token string) error {
	if p.token != token || p.kind == 's' {
		return p.unexpected()
	}
	p.next()
	return nil
}

// call is a call of a function.
func (p *parser) call(name string, args []node) (node, error) {
	name = strings.ToUpper(name)
	f, ok := functions[name]
	switch {
	case slices.Contains(unbuilt, name):
		return nil, fmt.Errorf("%w: %s", ErrNotBuilt, name)
	case !ok:
		return nil, fmt.Errorf("unknown function '%s'", name)
	case len(args) < f.least || len(args) > f.most:
		return nil, fmt.Errorf("wrong number of arguments of function '%s'", name)
	}
	if name == "METRICS" {
		p.expr.all = true
	}
	return callNode{name, f, args}, nil
}

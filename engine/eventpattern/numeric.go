package eventpattern

import "math/big"

// number is a number of a pattern or an event. Those of a size that can be compared are whole millionths; of others only the text can be the same.
type number struct {
	comparable bool
	millionths int64
	text       string
}

// limit is the largest number that can be compared, in millionths; the smallest is its negative.
const limit = 5_000_000_000 * million

const million = 1_000_000

// parseNumber takes a JSON number. Digits behind the sixth after the point do not count.
func parseNumber(text string) number {
	millionths, ok := parseMillionths(text)
	return number{comparable: ok, millionths: millionths, text: text}
}

// parseMillionths is the number in millionths, rounded down, if that is within the limit.
func parseMillionths[T string | []byte](text T) (int64, bool) {
	// The usual case: few digits and no exponent.
	i, negative := 0, false
	if i < len(text) && text[i] == '-' {
		i, negative = 1, true
	}
	var n int64
	rest := false // digits other than 0 behind the sixth
	decimals := -1
	for ; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '.':
			decimals = 0
			continue
		case c < '0' || c > '9':
			return exponential(string(text))
		}
		if decimals >= 6 {
			rest = rest || c != '0'
			continue
		}
		if n > limit {
			return exponential(string(text))
		}
		n = n*10 + int64(c-'0')
		if decimals >= 0 {
			decimals++
		}
	}
	for decimals = max(decimals, 0); decimals < 6; decimals++ {
		if n *= 10; n > limit {
			return 0, false
		}
	}
	if negative {
		n = -n
		if rest {
			n--
		}
	}
	return n, n >= -limit && n <= limit && (!rest || n < limit)
}

// exponential is parseMillionths for what has an exponent or many digits.
func exponential(text string) (int64, bool) {
	if len(text) > 64 {
		return 0, false // nobody's number: and an exponent could make it as long as memory
	}
	f, _, err := big.ParseFloat(text, 10, 256, big.ToNearestEven)
	if err != nil || f.MantExp(nil) > 64 {
		return 0, false
	}
	f.Mul(f, big.NewFloat(million))
	f.Add(f, big.NewFloat(1e-30)) // what binary digits hold as a little less than a whole millionth is whole
	n, accuracy := f.Int64()
	if f.Sign() < 0 && accuracy != big.Exact {
		n-- // down, not to zero
	}
	return n, n >= -limit && n <= limit
}

// numeric reads the list of operators and numbers that follows numeric, and the end of its object.
func (p *parser) numeric() (t test, err error) {
	tok, err := p.next()
	if err != nil {
		return t, err
	}
	if tok != tokenArray {
		return t, p.fail("Value of numeric must be an array.")
	}
	if tok, err = p.next(); err != nil {
		return t, err
	}
	if tok != tokenString {
		return t, p.fail("Invalid member in numeric match: %s", p.raw())
	}
	operator, err := p.string()
	if err != nil {
		return t, err
	}
	if t, err = p.interval(operator); err != nil {
		return t, err
	}
	return t, p.end("Too many elements in numeric expression")
}

// interval reads what follows the first operator of a numeric list, and the end of the list.
func (p *parser) interval(operator string) (t test, err error) {
	tok, err := p.next()
	if err != nil {
		return t, err
	}
	t = test{kind: testRange, low: -limit, high: limit}
	named := operator
	switch operator {
	case "=":
		named = "equals"
	case "<", "<=", ">", ">=":
	default:
		return t, p.fail("Unrecognized numeric range operator: %s", operator)
	}
	if tok != tokenNumber {
		return t, p.fail("Value of %s must be numeric", named)
	}
	n := parseNumber(p.raw())
	if tok, err = p.next(); err != nil {
		return t, err
	}
	lower := operator == ">" || operator == ">="
	if tok != tokenEndArray && !lower {
		return t, p.fail("Too many elements in numeric expression")
	}
	if !n.comparable {
		return t, p.fail(outOfRange)
	}
	switch operator {
	case "=":
		t.low, t.high = n.millionths, n.millionths
	case "<":
		t.high = n.millionths - 1
	case "<=":
		t.high = n.millionths
	case ">":
		t.low = n.millionths + 1
	case ">=":
		t.low = n.millionths
	}
	if tok == tokenEndArray {
		return t, nil
	}
	return p.upper(t, tok, n.millionths)
}

// upper reads the second operator and number of a range.
func (p *parser) upper(t test, tok token, bottom int64) (test, error) {
	if tok != tokenString {
		return t, p.fail("Bad value in numeric range: %s", p.raw())
	}
	operator, err := p.string()
	if err != nil {
		return t, err
	}
	if operator != "<" && operator != "<=" {
		return t, p.fail("Bad numeric range operator: %s", operator)
	}
	if tok, err = p.next(); err != nil {
		return t, err
	}
	if tok != tokenNumber {
		return t, p.fail("Value of %s must be numeric", operator)
	}
	n := parseNumber(p.raw())
	if tok, err = p.next(); err != nil {
		return t, err
	}
	switch {
	case tok != tokenEndArray:
		return t, p.fail("Too many terms in numeric range expression")
	case !n.comparable:
		return t, p.fail(outOfRange)
	case n.millionths <= bottom:
		return t, p.fail("Bottom must be less than top")
	}
	if t.high = n.millionths; operator == "<" {
		t.high--
	}
	return t, nil
}

const outOfRange = "Value must be between -5.0E9 and 5.0E9, inclusive"

package logpattern

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// condition compares a value with what the pattern has.
type condition struct {
	op     string // = != < <= > >=
	number float64
	isNum  bool // number is what the pattern has, not in quotation marks
	regex  *regexp.Regexp

	text             string
	anyHead, anyTail bool // there is an asterisk before text, or behind it
}

// operators, longer ones first.
var operators = [...]string{"!=", "<=", ">=", "=", "<", ">"}

// condition reads an operator and what it compares with. stops are characters that end a text without quotation marks.
func (r *reader) condition(stops string) (c condition, found bool, err error) {
	r.space()
	for _, op := range operators {
		if r.take(op) {
			c.op = op
			break
		}
	}
	if c.op == "" {
		return c, false, nil
	}
	r.space()
	from := r.at
	switch {
	case strings.HasPrefix(r.rest(), "%"):
		c.regex, err = r.regex()
	case strings.HasPrefix(r.rest(), `"`):
		var text string
		text, err = r.quoted()
		c.wildcards(text)
	default:
		text := r.bare(stops)
		if text == "" {
			return c, true, problem("a condition has nothing to compare with")
		}
		if at := strings.IndexFunc(text, func(c rune) bool { return !isName(c) && !strings.ContainsRune(".*-+/:@#", c) }); at >= 0 {
			_, n := utf8.DecodeRuneInString(text[at:])
			return c, true, &SyntaxError{Term: text[at : at+n]}
		}
		if c.number, c.isNum = parseNumber(text); !c.isNum {
			c.wildcards(text)
		} else {
			c.text = text
		}
	}
	if err == nil && c.op != "=" && c.op != "!=" && !c.isNum {
		return c, true, &SyntaxError{Term: r.text[from:r.at]}
	}
	return c, true, err
}

// bare reads up to a space or a character that ends a text.
func (r *reader) bare(stops string) string {
	from := r.at
	for r.rest() != "" {
		c, n := utf8.DecodeRuneInString(r.rest())
		if unicode.IsSpace(c) || strings.ContainsRune(stops, c) || strings.HasPrefix(r.rest(), "&&") || strings.HasPrefix(r.rest(), "||") {
			break
		}
		r.at += n
	}
	return r.text[from:r.at]
}

// wildcards takes the asterisks off the ends of a text. In between they are no wildcards.
func (c *condition) wildcards(text string) {
	text, c.anyHead = strings.CutPrefix(text, "*")
	if text == "" && c.anyHead {
		c.anyTail = true
		return
	}
	c.text, c.anyTail = strings.CutSuffix(text, "*")
}

// holds reports whether a value meets the condition. isNum tells that the value is a number.
func (c *condition) holds(text string, number float64, isNum bool) bool {
	switch c.op {
	case "=":
		return c.equal(text, number, isNum)
	case "!=":
		return !c.equal(text, number, isNum)
	}
	if !isNum {
		return false
	}
	switch c.op {
	case "<":
		return number < c.number
	case "<=":
		return number <= c.number
	case ">":
		return number > c.number
	}
	return number >= c.number
}

func (c *condition) equal(text string, number float64, isNum bool) bool {
	switch {
	case c.regex != nil:
		return c.regex.MatchString(text)
	case c.isNum && isNum:
		return number == c.number
	case c.anyHead && c.anyTail:
		return strings.Contains(text, c.text)
	case c.anyHead:
		return strings.HasSuffix(text, c.text)
	case c.anyTail:
		return strings.HasPrefix(text, c.text)
	}
	return text == c.text
}

// parseNumber reads a number as JSON has it, or with a plus sign before it.
func parseNumber(s string) (float64, bool) {
	digits := strings.TrimPrefix(s, "+")
	if !json.Valid([]byte(digits)) || digits[0] != '-' && (digits[0] < '0' || digits[0] > '9') {
		return 0, false
	}
	v, err := strconv.ParseFloat(digits, 64)
	return v, err == nil
}

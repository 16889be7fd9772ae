package policy

import (
	"encoding/base64"
	"net/netip"
	"strings"
	"time"
)

// condition is one line of a Condition block: an operator, a key, and the values of
// which one has to fit.
type condition struct {
	operator
	set      SetOperator
	ifExists bool
	key      string // in lower case: keys have no case
	values   []operand
	ref      ConditionRef
}

// ConditionRef is one condition of a policy, as written.
type ConditionRef struct {
	Statement int
	Set       SetOperator
	Operator  string // StringEquals, without prefix and suffix
	IfExists  bool
	Key       string
	Values    []string
	Offset    int // of the key in the document
}

// SetOperator says how the several values of a key are held against the policy's.
type SetOperator uint8

const (
	NoSetOperator SetOperator = iota
	ForAllValues
	ForAnyValue
)

type family uint8

const (
	famString family = iota
	famFold
	famLike
	famNumeric
	famDate
	famBool
	famBinary
	famIP
	famARN
	famNull
)

type comparison uint8

const (
	equal comparison = iota
	less
	lessEqual
	greater
	greaterEqual
)

// operator is what a condition operator's name stands for. A negated operator holds
// where its positive twin fails.
type operator struct {
	name    string
	family  family
	negated bool
	compare comparison
}

// operators is every operator. Names are matched in any case, as service
// documentation has spelled some of them in several ways.
var operators = [...]operator{
	{name: "StringEquals", family: famString},
	{name: "StringNotEquals", family: famString, negated: true},
	{name: "StringEqualsIgnoreCase", family: famFold},
	{name: "StringNotEqualsIgnoreCase", family: famFold, negated: true},
	{name: "StringLike", family: famLike},
	{name: "StringNotLike", family: famLike, negated: true},
	{name: "NumericEquals", family: famNumeric},
	{name: "NumericNotEquals", family: famNumeric, negated: true},
	{name: "NumericLessThan", family: famNumeric, compare: less},
	{name: "NumericLessThanEquals", family: famNumeric, compare: lessEqual},
	{name: "NumericGreaterThan", family: famNumeric, compare: greater},
	{name: "NumericGreaterThanEquals", family: famNumeric, compare: greaterEqual},
	{name: "DateEquals", family: famDate},
	{name: "DateNotEquals", family: famDate, negated: true},
	{name: "DateLessThan", family: famDate, compare: less},
	{name: "DateLessThanEquals", family: famDate, compare: lessEqual},
	{name: "DateGreaterThan", family: famDate, compare: greater},
	{name: "DateGreaterThanEquals", family: famDate, compare: greaterEqual},
	{name: "Bool", family: famBool},
	{name: "BinaryEquals", family: famBinary},
	{name: "IpAddress", family: famIP},
	{name: "NotIpAddress", family: famIP, negated: true},
	{name: "ArnEquals", family: famARN},
	{name: "ArnNotEquals", family: famARN, negated: true},
	{name: "ArnLike", family: famARN},
	{name: "ArnNotLike", family: famARN, negated: true},
	{name: "Null", family: famNull},
}

// findOperator takes a condition type apart: ForAnyValue:StringLikeIfExists.
func findOperator(s string) (op operator, set SetOperator, ifExists, ok bool) {
	if before, after, found := strings.Cut(s, ":"); found {
		switch {
		case strings.EqualFold(before, "ForAllValues"):
			set = ForAllValues
		case strings.EqualFold(before, "ForAnyValue"):
			set = ForAnyValue
		default:
			return operator{}, 0, false, false
		}
		s = after
	}
	if n := len(s) - len("IfExists"); n > 0 && strings.EqualFold(s[n:], "IfExists") {
		s, ifExists = s[:n], true
	}
	for _, op := range operators {
		if strings.EqualFold(op.name, s) {
			// Null asks whether the key is there, so neither addition means anything to it.
			return op, set, ifExists, op.family != famNull || set == NoSetOperator && !ifExists
		}
	}
	return operator{}, 0, false, false
}

// operand is a compiled value. The field in use follows from the operator's family.
type operand struct {
	pattern pattern
	arn     arnPattern
	number  number
	date    time.Time
	ip      netip.Prefix
	truth   bool
	text    string // binary, decoded
}

// compileOperand returns the offset in s and the text of what is wrong with it.
func compileOperand(op operator, s string, variables bool) (v operand, at int, problem string) {
	ok := true
	switch op.family {
	case famString, famFold:
		v.pattern, at, problem = compilePattern(s, dialect{variables: variables})
		return v, at, problem
	case famLike:
		v.pattern, at, problem = compilePattern(s, dialect{wildcards: true, variables: variables})
		return v, at, problem
	case famARN:
		v.arn, at, problem = compileARN(s, variables)
		return v, at, problem
	case famNumeric:
		v.number, ok = parseNumber(s)
	case famDate:
		v.date, ok = parseDate(s)
	case famBool, famNull:
		v.truth, ok = parseBool(s)
	case famBinary:
		v.text, ok = parseBinary(s)
	case famIP:
		v.ip, ok = parsePrefix(s)
	}
	if !ok {
		return operand{}, 0, "not a value for " + op.name
	}
	return v, 0, ""
}

// holds evaluates the condition. A key without values is absent.
func (c *condition) holds(e *evaluation) bool {
	values, ok := e.lookup(c.key)
	present := ok && len(values) > 0
	if c.family == famNull {
		for i := range c.values {
			if c.values[i].truth != present {
				return true
			}
		}
		return false
	}
	if !present {
		switch {
		case c.ifExists, c.set == ForAllValues:
			return true
		case c.set == ForAnyValue:
			return false
		}
		return c.negated
	}
	switch c.set {
	case ForAllValues:
		for _, v := range values {
			if c.fits(e, v) == c.negated {
				return false
			}
		}
		return true
	case ForAnyValue:
		for _, v := range values {
			if c.fits(e, v) != c.negated {
				return true
			}
		}
		return false
	}
	for _, v := range values {
		if c.fits(e, v) {
			return !c.negated
		}
	}
	return c.negated
}

// fits reports whether the request's value s fits one of the condition's, by the
// positive reading of the operator. A value that is not of the operator's type fits none.
func (c *condition) fits(e *evaluation, s string) bool {
	switch c.family {
	case famString, famLike:
		for i := range c.values {
			if c.values[i].pattern.match(e, s) {
				return true
			}
		}
	case famFold:
		for i := range c.values {
			if text, ok := c.values[i].pattern.expand(e); ok && strings.EqualFold(text, s) {
				return true
			}
		}
	case famARN:
		for i := range c.values {
			if c.values[i].arn.match(e, s) {
				return true
			}
		}
	case famNumeric:
		n, ok := parseNumber(s)
		for i := range c.values {
			if ok && c.ordered(n.compare(c.values[i].number)) {
				return true
			}
		}
	case famDate:
		d, ok := parseDate(s)
		for i := range c.values {
			if ok && c.ordered(d.Compare(c.values[i].date)) {
				return true
			}
		}
	case famBool:
		b, ok := parseBool(s)
		for i := range c.values {
			if ok && b == c.values[i].truth {
				return true
			}
		}
	case famBinary:
		b, ok := parseBinary(s)
		for i := range c.values {
			if ok && b == c.values[i].text {
				return true
			}
		}
	case famIP:
		a, err := netip.ParseAddr(s)
		a = a.Unmap().WithZone("")
		for i := range c.values {
			if err == nil && c.values[i].ip.Contains(a) {
				return true
			}
		}
	}
	return false
}

// ordered reads the sign of a comparison as the operator does.
func (op operator) ordered(sign int) bool {
	switch op.compare {
	case less:
		return sign < 0
	case lessEqual:
		return sign <= 0
	case greater:
		return sign > 0
	case greaterEqual:
		return sign >= 0
	}
	return sign == 0
}

func parseBool(s string) (value, ok bool) {
	switch {
	case strings.EqualFold(s, "true"):
		return true, true
	case strings.EqualFold(s, "false"):
		return false, true
	}
	return false, false
}

func parseBinary(s string) (string, bool) {
	b, err := base64.StdEncoding.DecodeString(s)
	return string(b), err == nil
}

// parsePrefix takes an address or a range. Bits behind the prefix length are ignored.
func parsePrefix(s string) (netip.Prefix, bool) {
	if p, err := netip.ParsePrefix(s); err == nil {
		if p.Addr().Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
		}
		return p.Masked(), true
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, false
	}
	a = a.Unmap()
	return netip.PrefixFrom(a, a.BitLen()), true
}

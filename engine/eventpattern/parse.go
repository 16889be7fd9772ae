package eventpattern

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// maxBranches is how many alternatives $or may make of a pattern.
const maxBranches = 1000

// reserved are the names that fields cannot have within $or: they are operators, or were kept for some.
var reserved = []string{
	"exactly", "equals-ignore-case", "prefix", "suffix", "anything-but", "exists", "wildcard", "numeric", "cidr", "=", "<", "<=", ">", ">=", "regex",
	"not-wildcard", "not-equals-ignore-case", "date-after", "date-on-or-after", "date-before", "date-on-or-before", "in-date-range",
	"ip-address-in-range", "ip-address-not-in-range",
}

// parser turns a text into branches.
type parser struct{ lexer }

func parse(text string) (*Pattern, error) {
	p := parser{lexer{src: text}}
	tok, err := p.next()
	if err != nil {
		return nil, err
	}
	if tok != tokenObject {
		return nil, p.fail("Filter is not an object")
	}
	branches, err := p.object(nil, "", false)
	if err != nil {
		return nil, err
	}
	if tok, err = p.next(); err != nil {
		return nil, err
	}
	if tok != tokenEnd {
		return nil, p.fail("Filter is more than an object")
	}
	return &Pattern{branches}, nil
}

// object reads the members of an object, and returns the branches with the conditions they add. Its brace was read; path is what its fields' paths begin
// with, and or says that it is within $or.
func (p *parser) object(branches []branch, path string, or bool) ([]branch, error) {
	for some := false; ; some = true {
		tok, err := p.next()
		if err != nil {
			return nil, err
		}
		if tok == tokenEndObject {
			if !some {
				return nil, p.fail("Empty objects are not allowed")
			}
			return branches, nil
		}
		name := p.text
		if name == "$or" {
			if branches, err = p.alternatives(branches, path); err != nil {
				return nil, err
			}
			continue
		}
		if or && slices.Contains(reserved, name) {
			return nil, p.fail("%s is Ruler reserved fieldName which cannot be used inside $or.", name)
		}
		switch tok, err = p.next(); {
		case err != nil:
			return nil, err
		case tok == tokenObject:
			branches, err = p.object(branches, path+name+".", or)
		case tok == tokenArray:
			branches, err = p.field(branches, path+name)
		default:
			err = p.fail(`"%s" must be an object or an array`, name)
		}
		if err != nil {
			return nil, err
		}
	}
}

// alternatives reads the array of $or.
func (p *parser) alternatives(branches []branch, path string) ([]branch, error) {
	tok, err := p.next()
	if err != nil {
		return nil, err
	}
	if tok != tokenArray {
		return nil, p.fail("It must be an Array followed with $or.")
	}
	var out []branch
	for n := 0; ; n++ {
		tok, err := p.next()
		switch {
		case err != nil:
			return nil, err
		case tok == tokenEndArray && n < 2:
			return nil, p.fail("There must have at least 2 Objects in $or relationship.")
		case tok == tokenEndArray:
			return out, nil
		case tok != tokenObject:
			return nil, p.fail("Only JSON object is allowed in array of $or relationship.")
		}
		more, err := p.object(branches, path, true)
		if err != nil {
			return nil, err
		}
		if out = append(out, more...); len(out) > maxBranches {
			return nil, &Error{"Rule is too complex - $or makes more than " + strconv.Itoa(maxBranches) + " combinations of it"}
		}
	}
}

// field reads the list of what a field may be.
func (p *parser) field(branches []branch, path string) ([]branch, error) {
	var tests []test
	for {
		tok, err := p.next()
		if err != nil {
			return nil, err
		}
		switch tok {
		case tokenEndArray:
			if len(tests) == 0 {
				return nil, p.fail("Empty arrays are not allowed")
			}
			c := condition{path, tests}
			if len(branches) == 0 {
				return []branch{{c}}, nil
			}
			out := make([]branch, len(branches))
			for i, b := range branches {
				out[i] = b.with(c)
			}
			return out, nil
		case tokenObject:
			t, err := p.operator()
			if err != nil {
				return nil, err
			}
			tests = append(tests, t)
		case tokenString:
			text, err := p.string()
			if err != nil {
				return nil, err
			}
			tests = append(tests, equals(text))
		case tokenNumber:
			tests = append(tests, test{kind: testNumber, number: parseNumber(p.raw())})
		case tokenTrue, tokenFalse, tokenNull:
			tests = append(tests, test{kind: testLiteral, text: p.raw()})
		default:
			return nil, p.fail("Match value must be String, number, true, false, or null")
		}
	}
}

// operator reads an object that tells an operator and its operand. Its brace was read.
func (p *parser) operator() (t test, err error) {
	tok, err := p.next()
	if err != nil {
		return t, err
	}
	if tok != tokenName {
		return t, p.fail("Match expression name not found")
	}
	switch name := p.text; name {
	case "exactly":
		t, err = p.text1("exact", testString)
		if err == nil {
			t = equals(t.text)
		}
	case "prefix":
		t, err = p.affix("prefix", "Prefix", testPrefix, testPrefixFold)
	case "suffix":
		t, err = p.affix("suffix", "Suffix", testSuffix, testSuffixFold)
	case "equals-ignore-case":
		t, err = p.text1("equals-ignore-case", testFold)
	case "wildcard":
		if t, err = p.text1("wildcard", testWildcard); err == nil {
			t.pieces, err = p.wildcard(t.text)
		}
	case "cidr":
		if t, err = p.text1("prefix", testNetwork); err == nil { // so says AWS
			t.network, err = parseNetwork(t.text)
		}
	case "exists":
		t, err = p.exists()
	case "numeric":
		return p.numeric()
	case "anything-but":
		return p.anythingBut()
	default:
		return t, p.fail("Unrecognized match type %s", name)
	}
	if err != nil {
		return t, err
	}
	return t, p.end("Only one key allowed in match expression")
}

// end expects the end of an object.
func (p *parser) end(complaint string) error {
	tok, err := p.next()
	if err == nil && tok != tokenEndObject {
		err = p.fail("%s", complaint)
	}
	return err
}

// text1 reads an operand that is a string.
func (p *parser) text1(name string, kind testKind) (test, error) {
	tok, err := p.next()
	if err != nil {
		return test{}, err
	}
	return p.text2(tok, name, kind)
}

// text2 takes the current token for an operand that is a string.
func (p *parser) text2(tok token, name string, kind testKind) (test, error) {
	if tok != tokenString {
		return test{}, p.fail("%s match pattern must be a string", name)
	}
	text, err := p.string()
	return newTest(kind, text), err
}

// affix reads the operand of prefix and suffix, a string or an object that says equals-ignore-case.
func (p *parser) affix(name, title string, kind, fold testKind) (t test, err error) {
	tok, err := p.next()
	if err != nil {
		return t, err
	}
	if tok != tokenObject {
		return p.text2(tok, name, kind)
	}
	if tok, err = p.next(); err != nil {
		return t, err
	}
	if tok != tokenName {
		return t, p.fail("%s expression name not found", title)
	}
	if p.text != "equals-ignore-case" {
		return t, p.fail("Unsupported %s pattern: %s", name, p.text)
	}
	if t, err = p.text1("equals-ignore-case", fold); err != nil {
		return t, err
	}
	return t, p.end("Only one key allowed in match expression")
}

func (p *parser) exists() (test, error) {
	switch tok, err := p.next(); {
	case err != nil:
		return test{}, err
	case tok == tokenTrue:
		return test{kind: testExists}, nil
	case tok == tokenFalse:
		return test{kind: testAbsent}, nil
	default:
		return test{}, p.fail("exists match pattern must be either true or false.")
	}
}

// wildcard returns the literal pieces between the asterisks of a wildcard. Positions count a quote in front, as AWS's do.
func (p *parser) wildcard(text string) ([]string, error) {
	var pieces []string
	var piece strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '*':
			if strings.HasPrefix(text[i+1:], "*") {
				return nil, p.fail("Consecutive wildcard characters at pos %d", i+1)
			}
			pieces = append(pieces, piece.String())
			piece.Reset()
		case '\\':
			if i+1 >= len(text) || text[i+1] != '*' && text[i+1] != '\\' {
				return nil, p.fail("Invalid escape character at pos %d", i+1)
			}
			i++
			piece.WriteByte(text[i])
		default:
			piece.WriteByte(c)
		}
	}
	pieces = append(pieces, piece.String())
	if len(pieces)-1 > maxWildcards {
		return nil, &Error{"Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after a wildcard character"}
	}
	return pieces, nil
}

// maxWildcards is how many asterisks a wildcard has. AWS has a measure of its own, unpublished, by which six are too many.
const maxWildcards = 5

// anythingBut reads what follows anything-but, and the end of its object.
func (p *parser) anythingBut() (t test, err error) {
	t.kind = testBut
	kind, inner := testString, ""
	tok, err := p.next()
	if err != nil {
		return t, err
	}
	if tok == tokenObject {
		if tok, err = p.next(); err != nil {
			return t, err
		}
		if tok != tokenName {
			return t, p.fail("Anything-But expression name not found")
		}
		switch inner = p.text; inner {
		case "prefix":
			kind = testPrefix
		case "suffix":
			kind = testSuffix
		case "equals-ignore-case":
			kind = testFold
		case "wildcard":
			kind = testWildcard
		default:
			return t, p.fail("Unsupported anything-but pattern: %s", inner)
		}
		if tok, err = p.next(); err != nil {
			return t, err
		}
	}
	switch tok {
	case tokenArray:
		t.except, err = p.exceptions(inner, kind)
	case tokenString, tokenNumber:
		var one test
		if one, err = p.exception(tok, inner, kind); err == nil {
			t.except = []test{one}
			err = p.compileWildcards(t.except)
		}
	default:
		return t, p.fail("Value of anything-but must be an array or single string/number value.")
	}
	if err == nil {
		err = p.end("Too many elements in numeric expression")
	}
	if err == nil && inner != "" {
		err = p.end("Too many elements in numeric expression")
	}
	return t, err
}

// exceptions reads the list of what is excepted. A complaint from within a list names its place twice, as AWS's does.
func (p *parser) exceptions(inner string, kind testKind) (list []test, err error) {
	mixed := false
	for {
		tok, err := p.next()
		if err == nil && tok == tokenEndArray {
			break
		}
		var one test
		if err == nil {
			one, err = p.exception(tok, inner, kind)
		}
		if e := (*Error)(nil); errors.As(err, &e) {
			return nil, p.fail("%s", e.reason)
		}
		list = append(list, one)
		mixed = mixed || one.kind != list[0].kind
	}
	if inner == "" && (mixed || len(list) == 0) {
		return nil, p.fail("Inside anything but list, either all values are number or string, mixed type is not supported")
	}
	return list, p.compileWildcards(list)
}

// compileWildcards compiles the wildcards among tests.
func (p *parser) compileWildcards(list []test) (err error) {
	for i := range list {
		if t := &list[i]; t.kind == testWildcard && err == nil {
			t.pieces, err = p.wildcard(t.text)
		}
	}
	return err
}

// exception takes the current token for one of what is excepted.
func (p *parser) exception(tok token, inner string, kind testKind) (t test, err error) {
	switch {
	case tok == tokenString:
		text, err := p.string()
		if err != nil {
			return t, err
		}
		if text == "" && (kind == testPrefix || kind == testSuffix) {
			return t, p.fail("Null prefix/suffix not allowed")
		}
		return newTest(kind, text), nil
	case tok == tokenNumber && inner == "":
		n := parseNumber(p.raw())
		if !n.comparable {
			return t, &Error{outOfRange}
		}
		return test{kind: testNumber, number: n}, nil
	case inner == "":
		return t, p.fail("Inside anything but list, start|null|boolean is not supported.")
	case inner == "equals-ignore-case":
		return t, p.fail("Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported.")
	case inner == "wildcard":
		return t, p.fail("wildcard match pattern must be a string")
	default:
		return t, p.fail("prefix/suffix match pattern must be a string")
	}
}

// parseNetwork reads a network in CIDR notation. Its errors name no place, as AWS's do not.
func parseNetwork(text string) (netip.Prefix, error) {
	address, mask, ok := strings.Cut(text, "/")
	if !ok || strings.Contains(mask, "/") || mask == "" {
		return netip.Prefix{}, &Error{"Malformed CIDR, one '/' required"}
	}
	bits, err := strconv.Atoi(mask)
	if err != nil {
		return netip.Prefix{}, &Error{"Malformed CIDR, mask bits must be an integer"}
	}
	if bits < 0 {
		return netip.Prefix{}, &Error{"Malformed CIDR, mask bits must not be negative"}
	}
	ip, ok := parseAddress(address)
	switch {
	case !ok && strings.Trim(address, "0123456789.") == "" && strings.Count(address, ".") == 3:
		return netip.Prefix{}, &Error{"Invalid IP address: " + address}
	case !ok && strings.Trim(address, "0123456789abcdefABCDEF:") == "" && strings.Contains(address, ":"):
		return netip.Prefix{}, &Error{"Invalid IP address: " + address}
	case !ok:
		return netip.Prefix{}, &Error{"Nonstandard IP address: " + address}
	case ip.Is4() && bits > 31:
		return netip.Prefix{}, &Error{"IPv4 mask bits must be < 32"}
	case bits > 127:
		return netip.Prefix{}, &Error{"IPv6 mask bits must be < 128"}
	}
	return netip.PrefixFrom(ip, bits).Masked(), nil
}

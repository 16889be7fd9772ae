package eventpattern

import (
	"bytes"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"
)

// testKind is what a test does.
type testKind uint8

const (
	testString     testKind = iota // the string text
	testLiteral                    // true, false or null
	testNumber                     // the number
	testAddress                    // the IP address of network, however it is written
	testFold                       // text but for case
	testPrefix                     // a string that begins with text
	testPrefixFold                 // but for case
	testSuffix                     // a string that ends with text
	testSuffixFold                 // but for case
	testWildcard                   // a string of the pieces, with anything in between
	testRange                      // a number from low to high
	testNetwork                    // an IP address in network
	testExists                     // any value
	testAbsent                     // none at all
	testBut                        // any value for which no test of except holds
)

// test is one entry of the list of what a field may be.
type test struct {
	kind      testKind
	text      string // of fold tests the folded text
	pieces    []string
	number    number
	low, high int64 // in millionths
	network   netip.Prefix
	except    []test
}

func newTest(kind testKind, text string) test {
	switch kind {
	case testFold, testPrefixFold, testSuffixFold:
		text = fold(text)
	}
	return test{kind: kind, text: text}
}

// equals is the test for a string. An IP address is the same in all its forms.
func equals(text string) test {
	if ip, ok := parseAddress(text); ok {
		return test{kind: testAddress, network: netip.PrefixFrom(ip, ip.BitLen())}
	}
	return test{kind: testString, text: text}
}

// value is the value of a field of an event.
type value struct {
	kind   valueKind
	text   []byte // of a string what it says, else how it is written
	number int64  // millionths
	member int32  // of the array that it is in: see event.go
}

type valueKind uint8

const (
	valueString valueKind = iota
	valueLiteral
	valueNumber    // one that can be compared
	valueBigNumber // one that cannot
)

// holds reports whether the test holds for a value. It is the definition of the operators; an index only finds faster what it says.
func (t *test) holds(v *value) bool {
	switch t.kind {
	case testExists:
		return true
	case testAbsent:
		return false
	case testLiteral:
		return v.kind == valueLiteral && string(v.text) == t.text
	case testNumber:
		if t.number.comparable {
			return v.kind == valueNumber && v.number == t.number.millionths
		}
		return v.kind == valueBigNumber && string(v.text) == t.number.text
	case testRange:
		return v.kind == valueNumber && v.number >= t.low && v.number <= t.high
	case testBut:
		for i := range t.except {
			if t.except[i].holds(v) {
				return false
			}
		}
		return true
	}
	return v.kind == valueString && t.holdsString(v.text)
}

// holdsString is holds for the tests of strings.
func (t *test) holdsString(text []byte) bool {
	switch t.kind {
	case testString:
		return string(text) == t.text
	case testPrefix:
		return len(text) >= len(t.text) && string(text[:len(t.text)]) == t.text
	case testSuffix:
		return len(text) >= len(t.text) && string(text[len(text)-len(t.text):]) == t.text
	case testFold:
		return fold(text) == t.text
	case testPrefixFold:
		return strings.HasPrefix(fold(text), t.text)
	case testSuffixFold:
		return strings.HasSuffix(fold(text), t.text)
	case testWildcard:
		return matchPieces(t.pieces, text)
	default: // testAddress, testNetwork
		ip, ok := parseAddress(text)
		return ok && t.network.Contains(ip)
	}
}

// matchPieces reports whether a text is the pieces in their order, with anything in between.
func matchPieces(pieces []string, text []byte) bool {
	first, last := pieces[0], pieces[len(pieces)-1]
	if len(pieces) == 1 {
		return string(text) == first
	}
	if len(text) < len(first)+len(last) || string(text[:len(first)]) != first || string(text[len(text)-len(last):]) != last {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, piece := range pieces[1 : len(pieces)-1] {
		i := bytes.Index(text, []byte(piece))
		if i < 0 {
			return false
		}
		text = text[i+len(piece):]
	}
	return true
}

// fold makes texts that differ only in case the same.
func fold[T string | []byte](text T) string { return string(appendFold(nil, text)) }

func appendFold[T string | []byte](to []byte, text T) []byte {
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			if c >= 'A' && c <= 'Z' {
				c += 'a' - 'A'
			}
			to = append(to, c)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(string(text[i:min(len(text), i+utf8.UTFMax)]))
		to = utf8.AppendRune(to, unicode.ToLower(unicode.ToUpper(r)))
		i += n
	}
	return to
}

// parseAddress reads an IP address of digits, without a zone: nothing else could be one.
func parseAddress[T string | []byte](text T) (netip.Addr, bool) {
	dots, colons := 0, 0
	if len(text) < 2 || len(text) > 45 {
		return netip.Addr{}, false
	}
	for i := range len(text) {
		switch c := text[i]; {
		case c == '.':
			dots++
		case c == ':':
			colons++
		case c >= '0' && c <= '9':
		case c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F':
			if dots > 0 {
				return netip.Addr{}, false
			}
		default:
			return netip.Addr{}, false
		}
	}
	switch {
	case dots == 3 && colons == 0:
		return parseIPv4(text)
	case dots == 0 && colons >= 2:
		ip, err := netip.ParseAddr(string(text))
		return ip.Unmap(), err == nil
	}
	return netip.Addr{}, false
}

// parseIPv4 reads four decimal numbers, which may begin with zeros.
func parseIPv4[T string | []byte](text T) (netip.Addr, bool) {
	var ip [4]byte
	part, n, digits := 0, 0, 0
	for i := range len(text) {
		c := text[i]
		if c != '.' {
			if c < '0' || c > '9' {
				return netip.Addr{}, false
			}
			n = n*10 + int(c-'0')
			if digits++; n > 255 {
				return netip.Addr{}, false
			}
			continue
		}
		if digits == 0 {
			return netip.Addr{}, false
		}
		ip[part] = byte(n)
		part, n, digits = part+1, 0, 0
	}
	ip[3] = byte(n)
	return netip.AddrFrom4(ip), digits > 0
}

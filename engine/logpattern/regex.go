package logpattern

import (
	"regexp"
	"strings"
)

// Regular expressions have letters and digits of ASCII, these characters, and no others. There are no groups.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/regex-expressions.html
const regexCharacters = ":_#=@/;,-^$?[]{}|\\*+."

// regex reads the expression between the percent signs that begin there.
func (r *reader) regex() (*regexp.Regexp, error) {
	text := r.text[r.at+1:]
	end := 0
	for ; end < len(text) && text[end] != '%'; end++ {
		if text[end] == '\\' {
			end++
		}
	}
	if end >= len(text) {
		return nil, problem("a regular expression is not closed")
	}
	text = text[:end]
	r.at += end + 2
	r.regexes++
	if text == "" {
		return nil, problem("a regular expression is empty")
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		if !isAlphanumeric(c) && !strings.ContainsRune(regexCharacters, rune(c)) {
			return nil, &SyntaxError{Term: string([]rune(text[i:])[0])}
		}
		if c == '\\' {
			if i++; i < len(text) && !escapes(text[i]) {
				return nil, problem("a regular expression has a sequence that is not supported: \\" + string([]rune(text[i:])[0]))
			}
		}
	}
	compiled, err := regexp.Compile(text)
	if err != nil {
		return nil, problem("a regular expression is not valid")
	}
	return compiled, nil
}

// escapes reports whether a backslash may stand before a character: the classes d, s and w, the hexadecimal x, and all that is neither letter nor digit.
func escapes(c byte) bool {
	return strings.IndexByte("dDsSwWx", c) >= 0 || !isAlphanumeric(c) && c < 0x80
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

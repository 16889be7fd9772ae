package agent

import (
	"errors"
	"strconv"
	"strings"
)

var (
	errUnfinished = errors.New("a list is not closed")
	errValue      = errors.New("is no text, number, truth value or list of texts")
)

// readValue reads what stands behind the = of a line, which is all that is left but for a comment.
func readValue(s string) (value, error) {
	s = trimComment(s)
	var v value
	switch {
	case s == "":
		return v, errValue
	case s[0] != '[':
		text, bare, rest, err := readText(s)
		if err != nil {
			return v, err
		}
		if trimComment(rest) != "" {
			return v, errValue
		}
		return value{texts: []string{text}, bare: bare}, nil
	}
	v.isList = true
	s = trimComment(s[1:])
	for {
		switch {
		case s == "":
			return v, errUnfinished
		case s[0] == ']':
			if trimComment(s[1:]) != "" {
				return v, errValue
			}
			return v, nil
		}
		text, bare, rest, err := readText(s)
		if err != nil {
			return v, err
		}
		if bare {
			return v, errValue
		}
		v.texts = append(v.texts, text)
		if s = trimComment(rest); strings.HasPrefix(s, ",") {
			s = trimComment(s[1:])
		} else if s != "" && s[0] != ']' {
			return v, errValue
		}
	}
}

// trimComment removes spaces, ends of lines and whole comments from the front.
func trimComment(s string) string {
	for {
		s = strings.TrimLeft(s, " \t\r\n")
		if !strings.HasPrefix(s, "#") {
			return s
		}
		_, s, _ = strings.Cut(s, "\n")
	}
}

// readText reads a text in either sort of quotes, or a bare word.
func readText(s string) (text string, bare bool, rest string, err error) {
	switch s[0] {
	case '\'':
		text, rest, ok := strings.Cut(s[1:], "'")
		if !ok || strings.Contains(text, "\n") {
			return "", false, "", errors.New("a text is not closed")
		}
		return text, false, rest, nil
	case '"':
		quoted, err := strconv.QuotedPrefix(s)
		if err != nil {
			return "", false, "", errors.New("a text is not closed, or has an escape that is not known")
		}
		text, err := strconv.Unquote(quoted)
		return text, false, s[len(quoted):], err
	}
	end := strings.IndexAny(s, " \t\r\n#,]")
	if end < 0 {
		end = len(s)
	}
	if end == 0 {
		return "", false, "", errValue
	}
	return s[:end], true, s[end:], nil
}

package lakesql

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"unicode/utf8"
)

// stringFunctions count characters, from 1, as Trino's do.
var stringFunctions = map[string]function{
	"lower":  {"s", typVarchar, text1(strings.ToLower), false},
	"upper":  {"s", typVarchar, text1(strings.ToUpper), false},
	"trim":   {"s", typVarchar, text1(strings.TrimSpace), false},
	"ltrim":  {"s", typVarchar, text1(func(s string) string { return strings.TrimLeft(s, " \t\n\r\v\f") }), false},
	"rtrim":  {"s", typVarchar, text1(func(s string) string { return strings.TrimRight(s, " \t\n\r\v\f") }), false},
	"length": {"s", typBigint, func(_ *execution, a []any) (any, error) { return int64(utf8.RuneCountInString(a[0].(string))), nil }, false},
	"substr": {"si?i", typVarchar, substring, false}, "substring": {"si?i", typVarchar, substring, false},
	"replace":    {"ss?s", typVarchar, replace, false},
	"strpos":     {"ss?i", typBigint, position, false},
	"split":      {"ss?i", arrayOf(typVarchar), split, false},
	"split_part": {"ssi", typVarchar, splitPart, false},
	"concat_ws":  {"s?s*", typVarchar, concatWith, true},
	"starts_with": {"ss", typBoolean, func(_ *execution, a []any) (any, error) {
		return boolean(strings.HasPrefix(a[0].(string), a[1].(string))), nil
	}, false},
	"ends_with": {"ss", typBoolean, func(_ *execution, a []any) (any, error) {
		return boolean(strings.HasSuffix(a[0].(string), a[1].(string))), nil
	}, false},
	"lpad":      {"sis", typVarchar, pad(true), false},
	"rpad":      {"sis", typVarchar, pad(false), false},
	"chr":       {"i", typVarchar, func(_ *execution, a []any) (any, error) { return string(rune(a[0].(int64))), nil }, false},
	"codepoint": {"s", typBigint, codepoint, false},
	"translate": {"sss", typVarchar, translate, false},

	"regexp_like":        {"ss", typBoolean, regexpLike, false},
	"regexp_extract":     {"ss?i", typVarchar, regexpExtract, false},
	"regexp_extract_all": {"ss?i", arrayOf(typVarchar), regexpExtractAll, false},
	"regexp_replace":     {"ss?s", typVarchar, regexpReplace, false},
	"regexp_split":       {"ss", arrayOf(typVarchar), regexpSplit, false},
	"regexp_count":       {"ss", typBigint, regexpCount, false},

	"url_extract_host":     {"s", typVarchar, urlPart((*url.URL).Hostname), false},
	"url_extract_path":     {"s", typVarchar, urlPart(func(u *url.URL) string { return u.Path }), false},
	"url_extract_protocol": {"s", typVarchar, urlPart(func(u *url.URL) string { return u.Scheme }), false},
	"url_extract_query":    {"s", typVarchar, urlPart(func(u *url.URL) string { return u.RawQuery }), false},
	"url_decode": {"s", typVarchar, func(_ *execution, a []any) (any, error) {
		text, err := url.QueryUnescape(a[0].(string))
		return text, err
	}, false},
	"url_encode": {"s", typVarchar, text1(url.QueryEscape), false},
	"to_hex":     {"s", typVarchar, text1(func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) }), false},
	"ip_in": {"ss", typBoolean, func(_ *execution, a []any) (any, error) {
		network, err := netip.ParsePrefix(a[0].(string))
		if err != nil {
			return nil, errors.New("Invalid CIDR")
		}
		address, err := netip.ParseAddr(a[1].(string))
		return boolean(err == nil && network.Contains(address.Unmap())), nil
	}, false},
}

func text1(f func(string) string) scalar {
	return func(_ *execution, a []any) (any, error) { return f(a[0].(string)), nil }
}

func boolean(b bool) any {
	if b {
		return int64(1)
	}
	return int64(0)
}

func substring(_ *execution, a []any) (any, error) {
	runes := []rune(a[0].(string))
	size := int64(len(runes))
	start := a[1].(int64)
	switch {
	case start > 0:
		start--
	case start < 0 && -start <= size:
		start += size
	default:
		return "", nil
	}
	if start >= size {
		return "", nil
	}
	end := size
	if len(a) == 3 {
		n := a[2].(int64)
		if n <= 0 {
			return "", nil
		}
		if n < end-start {
			end = start + n
		}
	}
	return string(runes[start:end]), nil
}

func replace(x *execution, a []any) (any, error) {
	text, old, by := a[0].(string), a[1].(string), ""
	if len(a) == 3 {
		by = a[2].(string)
	}
	if grown := int64(len(text)) + int64(strings.Count(text, old))*int64(len(by)); grown > maxText {
		return nil, errTooLong
	}
	return strings.ReplaceAll(text, old, by), nil
}

// position is where a text stands in another for the nth time: 0 if it doesn't. Times below 0 count from the end.
func position(_ *execution, a []any) (any, error) {
	text, part, n := a[0].(string), a[1].(string), int64(1)
	if len(a) == 3 {
		n = a[2].(int64)
	}
	if n == 0 {
		return nil, errors.New("'instance' must not be a positive or negative number.")
	}
	at := 0
	for begin, end := 0, len(text); ; {
		if n > 0 {
			i := strings.Index(text[begin:], part)
			if i < 0 {
				return int64(0), nil
			}
			at = begin + i
			begin = at + max(1, len(part))
			n--
		} else {
			if at = strings.LastIndex(text[:end], part); at < 0 {
				return int64(0), nil
			}
			end = at
			n++
		}
		if n == 0 {
			return int64(utf8.RuneCountInString(text[:at])) + 1, nil
		}
		if begin > len(text) {
			return int64(0), nil
		}
	}
}

func split(_ *execution, a []any) (any, error) {
	limit := -1
	if len(a) == 3 {
		if limit = int(min(a[2].(int64), 1<<30)); limit <= 0 {
			return nil, errors.New("Limit must be positive")
		}
	}
	if a[1] == "" {
		return nil, errors.New("The delimiter may not be the empty string")
	}
	return textArray(strings.SplitN(a[0].(string), a[1].(string), limit)), nil
}

func textArray(all []string) string {
	out := []byte{'['}
	for i, text := range all {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendQuoted(out, text)
	}
	return string(append(out, ']'))
}

func splitPart(_ *execution, a []any) (any, error) {
	n := a[2].(int64)
	if n <= 0 {
		return nil, errors.New("Index must be greater than zero")
	}
	text, delimiter := a[0].(string), a[1].(string)
	for ; n > 1; n-- {
		_, rest, ok := strings.Cut(text, delimiter)
		if !ok || delimiter == "" {
			return nil, nil
		}
		text = rest
	}
	part, _, _ := strings.Cut(text, delimiter)
	return part, nil
}

func concatWith(_ *execution, a []any) (any, error) {
	if a[0] == nil {
		return nil, nil
	}
	var parts []string
	for _, v := range a[1:] {
		if v != nil {
			parts = append(parts, v.(string))
		}
	}
	return strings.Join(parts, a[0].(string)), nil
}

func pad(left bool) scalar {
	return func(_ *execution, a []any) (any, error) {
		text, size, with := []rune(a[0].(string)), a[1].(int64), []rune(a[2].(string))
		if size < 0 || size > maxText/4 {
			return nil, errors.New("Target length is out of range")
		}
		if len(with) == 0 {
			return nil, errors.New("Padding string must not be empty")
		}
		if size <= int64(len(text)) {
			return string(text[:size]), nil
		}
		padding := make([]rune, size-int64(len(text)))
		for i := range padding {
			padding[i] = with[i%len(with)]
		}
		if left {
			return string(padding) + string(text), nil
		}
		return string(text) + string(padding), nil
	}
}

func codepoint(_ *execution, a []any) (any, error) {
	r, size := utf8.DecodeRuneInString(a[0].(string))
	if size == 0 || size != len(a[0].(string)) {
		return nil, errors.New("Input string must be a single character string")
	}
	return int64(r), nil
}

func translate(_ *execution, a []any) (any, error) {
	from, to := []rune(a[1].(string)), []rune(a[2].(string))
	table := make(map[rune]rune, len(from))
	for i, r := range from {
		if _, ok := table[r]; ok {
			continue
		}
		if table[r] = -1; i < len(to) {
			table[r] = to[i]
		}
	}
	return strings.Map(func(r rune) rune {
		if by, ok := table[r]; ok {
			return by
		}
		return r
	}, a[0].(string)), nil
}

func urlPart(part func(*url.URL) string) scalar {
	return func(_ *execution, a []any) (any, error) {
		u, err := url.Parse(a[0].(string))
		if err != nil {
			return nil, nil
		}
		return part(u), nil
	}
}

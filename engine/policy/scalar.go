package policy

import (
	"cmp"
	"strconv"
	"strings"
	"time"
)

// number is a decimal. Whole numbers are kept exactly: byte counts and
// 64-bit IDs do not fit a float.
type number struct {
	whole bool
	i     int64
	f     float64
}

func parseNumber(s string) (number, bool) {
	if s == "" || strings.Trim(s, "+-.0123456789eE") != "" {
		return number{}, false // ParseFloat would take Inf, NaN, hex and underscores
	}
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return number{whole: true, i: i, f: float64(i)}, true
	}
	f, err := strconv.ParseFloat(s, 64)
	return number{f: f}, err == nil
}

func (n number) compare(m number) int {
	if n.whole && m.whole {
		return cmp.Compare(n.i, m.i)
	}
	return cmp.Compare(n.f, m.f)
}

// dateForms are the W3C profile of ISO 8601, and the basic form that request
// signatures carry.
var dateForms = [...]string{
	time.RFC3339Nano, // also takes no fraction
	"2006-01-02T15:04Z07:00",
	"2006-01-02T15:04:05.999999999",
	"2006-01-02",
	"20060102T150405Z",
	"2006-01",
	"2006",
}

// parseDate takes a date or seconds since 1970. Four digits are a year.
func parseDate(s string) (time.Time, bool) {
	if s == "" || len(s) > 64 {
		return time.Time{}, false
	}
	if len(s) != 4 {
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return time.Unix(n, 0).UTC(), n > -1<<40 && n < 1<<40
		}
	}
	for _, form := range dateForms {
		// The forms differ in length or punctuation, so trying in turn is unambiguous; the
		// first byte test spares an error value for text that is no date at all.
		if s[0] < '0' || s[0] > '9' {
			return time.Time{}, false
		}
		if t, err := time.Parse(form, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// IsNumber reports whether a context value is a number to the Numeric operators.
func IsNumber(s string) bool {
	_, ok := parseNumber(s)
	return ok
}

// IsDate reports whether a context value is a date to the Date operators.
func IsDate(s string) bool {
	_, ok := parseDate(s)
	return ok
}

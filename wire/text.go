package wire

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// The values of all protocols that are written as text: numbers, and timestamps in their three formats.

// maxEpoch is the end of the year 9999; no format has room for more.
const maxEpoch = 253402300799

// timeFormat is the format of a timestamp member in a place with that default.
func timeFormat(m *Member, def TimestampFormat) TimestampFormat {
	if m.TimestampFormat != DefaultTime {
		return m.TimestampFormat
	}
	if m.Target.TimestampFormat != DefaultTime {
		return m.Target.TimestampFormat
	}
	return def
}

// appendEpoch appends seconds since 1970, with milliseconds where there are some.
func appendEpoch(b []byte, t time.Time) []byte {
	ms := t.UnixMilli()
	if ms < 0 {
		b = append(b, '-')
		ms = -ms
	}
	b = strconv.AppendInt(b, ms/1000, 10)
	if frac := ms % 1000; frac != 0 {
		b = append(b, '.', byte('0'+frac/100), byte('0'+frac/10%10), byte('0'+frac%10))
		for b[len(b)-1] == '0' {
			b = b[:len(b)-1]
		}
	}
	return b
}

func appendTime(b []byte, t time.Time, format TimestampFormat) []byte {
	t = t.UTC()
	switch format {
	case EpochSeconds:
		return appendEpoch(b, t)
	case HTTPDate:
		if t.Nanosecond() >= 1e6 {
			return t.AppendFormat(b, "Mon, 02 Jan 2006 15:04:05.000 GMT")
		}
		return t.AppendFormat(b, "Mon, 02 Jan 2006 15:04:05 GMT")
	default:
		if t.Nanosecond() >= 1e6 {
			return t.AppendFormat(b, "2006-01-02T15:04:05.000Z")
		}
		return t.AppendFormat(b, "2006-01-02T15:04:05Z")
	}
}

// parseTime reads a timestamp in the format given, or in any other that it can be told to be in.
func parseTime(s string, format TimestampFormat) (time.Time, bool) {
	s = strings.TrimSpace(s)
	if s == "" || len(s) > 64 {
		return time.Time{}, false
	}
	if t, ok := parseEpoch(s); ok {
		return t, true
	}
	for _, layout := range [...]string{
		time.RFC3339Nano,
		"Mon, 2 Jan 2006 15:04:05 GMT", // Parse takes a fraction after the seconds
		"2006-01-02T15:04:05",
		"Monday, 02-Jan-06 15:04:05 GMT",
		"Mon Jan _2 15:04:05 2006",
		"20060102T150405Z",
		"2006-01-02",
	} {
		if format == HTTPDate && layout == "2006-01-02" {
			continue
		}
		if t, err := time.Parse(layout, s); err == nil {
			t = t.UTC()
			if u := t.Unix(); u > maxEpoch || t.Year() < 0 {
				return time.Time{}, false
			}
			return t, true
		}
	}
	return time.Time{}, false
}

// parseEpoch reads seconds since 1970 as a JSON number, to the nanosecond and without the rounding of floats.
func parseEpoch(s string) (time.Time, bool) {
	if s == "" {
		return time.Time{}, false
	}
	if strings.ContainsAny(s, "eE") {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || math.Abs(f) > maxEpoch {
			return time.Time{}, false
		}
		// Written with an exponent it was a double, whose microseconds are the last to mean something.
		return time.UnixMicro(int64(math.Round(f * 1e6))).UTC(), true
	}
	whole, frac, _ := strings.Cut(s, ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || sec > maxEpoch || sec < -maxEpoch || whole[0] == '+' {
		return time.Time{}, false
	}
	var nano int64
	for i := range 9 {
		nano *= 10
		if i < len(frac) {
			if frac[i] < '0' || frac[i] > '9' {
				return time.Time{}, false
			}
			nano += int64(frac[i] - '0')
		}
	}
	if whole[0] == '-' {
		nano = -nano
	}
	return time.Unix(sec, nano).UTC(), true
}

// formatFloat writes a float in the text protocols.
func formatFloat(v float64, bits int) string {
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 1):
		return "Infinity"
	case math.IsInf(v, -1):
		return "-Infinity"
	}
	return strconv.FormatFloat(v, 'g', -1, bits)
}

// parseFloatText reads what formatFloat writes. Go's own words for infinity and hexadecimal are refused.
func parseFloatText(s string, bits int) (float64, bool) {
	switch s {
	case "NaN":
		return math.NaN(), true
	case "Infinity":
		return math.Inf(1), true
	case "-Infinity":
		return math.Inf(-1), true
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9', c == '.', c == '-', c == '+', c == 'e', c == 'E':
		default:
			return 0, false
		}
	}
	v, err := strconv.ParseFloat(s, bits)
	return v, err == nil
}

// parseIntText reads an integer of the kind's size.
func parseIntText(s string, k Kind) (int64, bool) {
	bits := 64
	if k == Integer {
		bits = 32
	}
	v, err := strconv.ParseInt(s, 10, bits)
	return v, err == nil && s[0] != '+'
}

func parseBoolText(s string) (v, ok bool) {
	switch s {
	case "true", "True", "TRUE":
		return true, true
	case "false", "False", "FALSE":
		return false, true
	}
	return false, false
}

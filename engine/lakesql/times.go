package lakesql

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Times are milliseconds since 1970 in UTC. Other time zones are read, but not kept.

var timeFunctions = map[string]function{
	"from_iso8601_timestamp": {"s", typZoned, fromISO, false},
	"from_iso8601_date": {"s", typDate, func(x *execution, a []any) (any, error) {
		ms, err := fromISO(x, a)
		if err != nil {
			return nil, err
		}
		return floorDay(ms.(int64)), nil
	}, false},
	"to_iso8601":    {"t", typVarchar, func(_ *execution, a []any) (any, error) { return instant(a[0]).Format("2006-01-02T15:04:05.000Z"), nil }, false},
	"date":          {"t", typDate, func(_ *execution, a []any) (any, error) { return floorDay(a[0].(int64)), nil }, false},
	"date_diff":     {"stt", typBigint, dateDiff, false},
	"from_unixtime": {"d", typZoned, fromUnix, false},
	"to_unixtime":   {"t", typDouble, func(_ *execution, a []any) (any, error) { return float64(a[0].(int64)) / 1000, nil }, false},
	"at_timezone":   {"ts", typZoned, atTimezone, false},
	"date_format":   {"ts", typVarchar, func(_ *execution, a []any) (any, error) { return formatMySQL(instant(a[0]), a[1].(string)) }, false},
	"date_parse":    {"ss", typTimestamp, func(_ *execution, a []any) (any, error) { return parseMySQL(a[0].(string), a[1].(string)) }, false},
	"format_datetime": {"ts", typVarchar, func(_ *execution, a []any) (any, error) {
		layout, err := jodaLayout(a[1].(string))
		return instant(a[0]).Format(layout), err
	}, false},
	"parse_datetime": {"ss", typZoned, func(_ *execution, a []any) (any, error) {
		layout, err := jodaLayout(a[1].(string))
		if err != nil {
			return nil, err
		}
		at, err := time.Parse(layout, a[0].(string))
		if err != nil {
			return nil, fmt.Errorf("Invalid format: \"%s\"", a[0])
		}
		return at.UnixMilli(), nil
	}, false},
	"year":        {"t", typBigint, part(time.Time.Year), false},
	"quarter":     {"t", typBigint, part(func(t time.Time) int { return (int(t.Month()) + 2) / 3 }), false},
	"month":       {"t", typBigint, part(func(t time.Time) int { return int(t.Month()) }), false},
	"week":        {"t", typBigint, part(isoWeek), false},
	"day":         {"t", typBigint, part(time.Time.Day), false},
	"hour":        {"t", typBigint, part(time.Time.Hour), false},
	"minute":      {"t", typBigint, part(time.Time.Minute), false},
	"second":      {"t", typBigint, part(time.Time.Second), false},
	"millisecond": {"t", typBigint, part(func(t time.Time) int { return t.Nanosecond() / 1e6 }), false},
	"day_of_week": {"t", typBigint, part(isoWeekday), false}, "dow": {"t", typBigint, part(isoWeekday), false},
	"day_of_month": {"t", typBigint, part(time.Time.Day), false},
	"day_of_year":  {"t", typBigint, part(time.Time.YearDay), false}, "doy": {"t", typBigint, part(time.Time.YearDay), false},
	"week_of_year": {"t", typBigint, part(isoWeek), false},
	"last_day_of_month": {"t", typDate, func(_ *execution, a []any) (any, error) {
		t := instant(a[0])
		return time.Date(t.Year(), t.Month()+1, 0, 0, 0, 0, 0, time.UTC).UnixMilli(), nil
	}, false},
}

// timeInternals are those whose result's type depends on their arguments'.
var timeInternals = map[string]function{
	"date_add":   {"sit", typTimestamp, dateAdd, false},
	"date_trunc": {"st", typTimestamp, dateTrunc, false},
}

func instant(v any) time.Time {
	ms, _ := v.(int64)
	return time.UnixMilli(ms).UTC()
}

func part(f func(time.Time) int) scalar {
	return func(_ *execution, a []any) (any, error) { return int64(f(instant(a[0]))), nil }
}

func isoWeek(t time.Time) int {
	_, week := t.ISOWeek()
	return week
}

func isoWeekday(t time.Time) int { return (int(t.Weekday())+6)%7 + 1 }

func floorDay(ms int64) int64 {
	day := ms / dayMillis
	if ms%dayMillis < 0 {
		day--
	}
	return day * dayMillis
}

// parseTime reads a time as SQL or ISO 8601 writes it.
func parseTime(text string) (int64, bool) {
	if len(text) == 20 && text[10] == 'T' && text[19] == 'Z' { // records' own form
		if ms, ok := parseFixed(text); ok {
			return ms, true
		}
	}
	text = strings.TrimSpace(text)
	if at := strings.LastIndexByte(text, ' '); at > 10 { // 2023-01-01 00:00:00 UTC
		location, err := time.LoadLocation(zoneName(text[at+1:]))
		if err != nil {
			return 0, false
		}
		text = text[:at]
		for _, layout := range timeLayouts {
			if t, err := time.ParseInLocation(layout, text, location); err == nil {
				return inRange(t)
			}
		}
		return 0, false
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			return inRange(t)
		}
	}
	return 0, false
}

func inRange(t time.Time) (int64, bool) {
	return t.UnixMilli(), t.Year() >= 0 && t.Year() <= 9999
}

var timeLayouts = []string{"2006-01-02 15:04:05", "2006-01-02T15:04:05Z07:00", "2006-01-02", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02T15:04Z07:00",
	"2006-01-02 15:04:05Z07:00", "2006-01-02T15:04", "2006-01-02T15Z07:00", "2006-01-02T15", "2006-1-2 15:4:5", "2006-1-2", "2006-01"}

// parseFixed reads 2006-01-02T15:04:05Z.
func parseFixed(text string) (int64, bool) {
	number := func(from, to int) int {
		n := 0
		for _, c := range []byte(text[from:to]) {
			if !isDigit(c) {
				return -1
			}
			n = n*10 + int(c-'0')
		}
		return n
	}
	year, month, day := number(0, 4), number(5, 7), number(8, 10)
	hour, minute, second := number(11, 13), number(14, 16), number(17, 19)
	if min(year, month, day, hour, minute, second) < 0 || month < 1 || month > 12 || day < 1 || day > 28 || hour > 23 || minute > 59 || second > 59 {
		return 0, false // time.Parse knows the days of the months
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC).UnixMilli(), true
}

func zoneName(name string) string {
	if name == "Z" || name == "GMT" {
		return "UTC"
	}
	return name
}

func fromISO(_ *execution, a []any) (any, error) {
	text := a[0].(string)
	ms, ok := parseTime(text)
	if !ok || strings.Contains(text, " ") {
		return nil, fmt.Errorf("Invalid format: \"%s\"", text)
	}
	return ms, nil
}

func fromUnix(_ *execution, a []any) (any, error) {
	ms := math.Round(number(a[0]) * 1000)
	if math.IsNaN(ms) || math.Abs(ms) > 253402300799999 {
		return nil, errors.New("timestamp is out of range")
	}
	return int64(ms), nil
}

func atTimezone(_ *execution, a []any) (any, error) {
	if zoneName(a[1].(string)) != "UTC" {
		return nil, fmt.Errorf("time zone %s is not supported: times are in UTC", a[1])
	}
	return a[0], nil
}

// unit is a unit of time: in milliseconds, or in months.
func unit(name string) (ms, months int64, err error) {
	switch strings.ToLower(name) {
	case "millisecond":
		return 1, 0, nil
	case "second":
		return 1000, 0, nil
	case "minute":
		return 60_000, 0, nil
	case "hour":
		return 3_600_000, 0, nil
	case "day":
		return dayMillis, 0, nil
	case "week":
		return 7 * dayMillis, 0, nil
	case "month":
		return 0, 1, nil
	case "quarter":
		return 0, 3, nil
	case "year":
		return 0, 12, nil
	}
	return 0, 0, fmt.Errorf("'%s' is not a valid TIMESTAMP field", name)
}

// addMonths keeps to the month's end: a month after January 31 is February 28.
func addMonths(t time.Time, n int64) time.Time {
	first := time.Date(t.Year(), t.Month()+time.Month(n), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(t.Day(), last)-1)
}

var errTime = errors.New("timestamp is out of range")

func dateAdd(_ *execution, a []any) (any, error) {
	ms, months, err := unit(a[0].(string))
	if err != nil {
		return nil, err
	}
	n, at := a[1].(int64), a[2].(int64)
	if months > 0 {
		if n > 120_000 || n < -120_000 {
			return nil, errTime
		}
		return addMonths(instant(at), n*months).UnixMilli(), nil
	}
	product, ok := multiply(n, ms)
	if sum := at + product; ok && (sum > at) == (product > 0) {
		return sum, nil
	}
	return nil, errTime
}

func dateTrunc(_ *execution, a []any) (any, error) {
	at := a[1].(int64)
	t := instant(at)
	switch strings.ToLower(a[0].(string)) {
	case "second", "minute", "hour", "day", "millisecond":
		size, _, _ := unit(a[0].(string)) // it's one of those
		rest := at % size
		if rest < 0 {
			rest += size
		}
		return at - rest, nil
	case "week":
		return floorDay(at) - int64(isoWeekday(t)-1)*dayMillis, nil
	case "month":
		return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC).UnixMilli(), nil
	case "quarter":
		return time.Date(t.Year(), (t.Month()-1)/3*3+1, 1, 0, 0, 0, 0, time.UTC).UnixMilli(), nil
	case "year":
		return time.Date(t.Year(), 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli(), nil
	}
	return nil, fmt.Errorf("'%s' is not a valid TIMESTAMP field", a[0])
}

// dateDiff is how many whole units lie between two times.
func dateDiff(_ *execution, a []any) (any, error) {
	ms, months, err := unit(a[0].(string))
	if err != nil {
		return nil, err
	}
	from, to := a[1].(int64), a[2].(int64)
	if months == 0 {
		return (to - from) / ms, nil
	}
	sign := int64(1)
	if to < from {
		from, to, sign = to, from, -1
	}
	f, l := instant(from), instant(to)
	n := int64(l.Year()-f.Year())*12 + int64(l.Month()) - int64(f.Month())
	if addMonths(f, n).After(l) {
		n--
	}
	return sign * (n / months), nil
}

// mysqlFields are the fields of date_format and date_parse, as Go writes them.
var mysqlFields = map[byte]string{'Y': "2006", 'y': "06", 'm': "01", 'c': "1", 'd': "02", 'e': "2", 'H': "15", 'k': "15", 'h': "03", 'I': "03", 'l': "3", 'i': "04",
	's': "05", 'S': "05", 'f': "000000", 'p': "PM", 'M': "January", 'b': "Jan", 'W': "Monday", 'a': "Mon", 'T': "15:04:05", 'r': "03:04:05 PM", 'j': "002", '%': "%"}

func formatMySQL(t time.Time, format string) (any, error) {
	var out strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			out.WriteByte(format[i])
			continue
		}
		i++
		switch format[i] {
		case 'f':
			fmt.Fprintf(&out, "%06d", t.Nanosecond()/1000)
		case 'v':
			fmt.Fprintf(&out, "%02d", isoWeek(t))
		case 'x':
			year, _ := t.ISOWeek()
			fmt.Fprintf(&out, "%04d", year)
		default:
			field, ok := mysqlFields[format[i]]
			if !ok {
				return nil, fmt.Errorf("%%%c not supported in date format string", format[i])
			}
			out.WriteString(t.Format(field))
		}
	}
	return out.String(), nil
}

func parseMySQL(text, format string) (any, error) {
	var layout strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			layout.WriteByte(format[i])
			continue
		}
		i++
		field, ok := mysqlFields[format[i]]
		if !ok {
			return nil, fmt.Errorf("%%%c not supported in date format string", format[i])
		}
		layout.WriteString(field)
	}
	t, err := time.Parse(layout.String(), text)
	if err != nil {
		return nil, fmt.Errorf("Invalid format: \"%s\"", text)
	}
	return t.UnixMilli(), nil
}

// jodaLayout is Go's layout of a pattern such as yyyy-MM-dd'T'HH:mm:ss.
func jodaLayout(format string) (string, error) {
	fields := map[string]string{"yyyy": "2006", "YYYY": "2006", "yy": "06", "MM": "01", "M": "1", "MMM": "Jan", "MMMM": "January", "dd": "02", "d": "2", "HH": "15",
		"H": "15", "hh": "03", "h": "3", "mm": "04", "m": "4", "ss": "05", "s": "5", "SSS": "000", "a": "PM", "EEE": "Mon", "EEEE": "Monday", "Z": "-0700", "ZZ": "-07:00"}
	var out strings.Builder
	for i := 0; i < len(format); {
		c := format[i]
		if c == '\'' {
			end := strings.IndexByte(format[i+1:], '\'')
			if end < 0 {
				return "", errors.New("Unterminated quoted text in the format")
			}
			out.WriteString(format[i+1 : i+1+end])
			i += end + 2
			continue
		}
		end := i
		for end < len(format) && format[end] == c {
			end++
		}
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			field, ok := fields[format[i:end]]
			if !ok {
				return "", fmt.Errorf("Illegal pattern component: %s", format[i:end])
			}
			out.WriteString(field)
		} else {
			out.WriteString(format[i:end])
		}
		i = end
	}
	return out.String(), nil
}

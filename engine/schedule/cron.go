package schedule

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// The years of a cron expression.
const (
	firstYear = 1970
	lastYear  = 2199
)

// cron is a cron expression: the values of each field as bits. One of days and weekdays says which days of a month are meant:
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html#eb-cron-expressions
type cron struct {
	minutes, hours, months uint64
	years                  [4]uint64 // bit 0 is firstYear
	day                    dayRule
}

// dayRule says which days of a month are meant. Exactly one of its fields is set, except that weekday goes with last or nth.
type dayRule struct {
	days     uint64       // of the month: bit 1 is the first
	weekdays uint64       // bit 1 is Sunday
	lastDay  bool         // L: the last of the month
	lastWork bool         // LW: its last Monday to Friday
	nearest  int          // 15W: the Monday to Friday next to that day, in the same month
	weekday  time.Weekday // of last and nth
	last     bool         // 6L: the last such weekday of the month
	nth      int          // 6#3: the third
}

// field is what a field of the expression may hold.
type field struct {
	name     string
	min, max int
	names    string // of values, three letters each, from min on
}

var (
	minuteField  = field{"minutes", 0, 59, ""}
	hourField    = field{"hours", 0, 23, ""}
	dayField     = field{"day-of-month", 1, 31, ""}
	monthField   = field{"month", 1, 12, "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"}
	weekdayField = field{"day-of-week", 1, 7, "SUNMONTUEWEDTHUFRISAT"}
	yearField    = field{"year", firstYear, lastYear, ""}
)

// parseCron reads "minutes hours day-of-month month day-of-week year".
func parseCron(inner string) (*cron, error) {
	f := strings.Fields(strings.ToUpper(inner))
	if len(f) != 6 {
		return nil, fmt.Errorf("a cron expression has six fields, and not %d", len(f))
	}
	c := new(cron)
	var err error
	if c.minutes, err = minuteField.parse(f[0]); err != nil {
		return nil, err
	}
	if c.hours, err = hourField.parse(f[1]); err != nil {
		return nil, err
	}
	if c.months, err = monthField.parse(f[3]); err != nil {
		return nil, err
	}
	if err = yearField.each(f[5], func(year int) { c.years[(year-firstYear)/64] |= 1 << ((year - firstYear) % 64) }); err != nil {
		return nil, err
	}
	switch {
	case (f[2] == "?") == (f[4] == "?"):
		err = errors.New("one of day-of-month and day-of-week must be ?, and not both")
	case f[4] == "?":
		err = c.day.parseDay(f[2])
	default:
		err = c.day.parseWeekday(f[4])
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// parseDay reads the day-of-month: a list, L, LW, or 15W.
func (d *dayRule) parseDay(text string) (err error) {
	if day, ok := strings.CutSuffix(text, "W"); ok && day != "L" {
		d.nearest, err = dayField.value(day)
		return err
	}
	switch text {
	case "L":
		d.lastDay = true
	case "LW":
		d.lastWork = true
	default:
		d.days, err = dayField.parse(text)
	}
	return err
}

// parseWeekday reads the day-of-week: a list, L (which is Saturday), 6L, or 6#3.
func (d *dayRule) parseWeekday(text string) (err error) {
	day, nth, ok := strings.Cut(text, "#")
	switch {
	case ok:
		if len(nth) != 1 || nth < "1" || nth > "5" {
			return fmt.Errorf("%s: there is no #%s of a month", weekdayField.name, nth)
		}
		d.nth = int(nth[0] - '0')
	case text == "L":
		d.weekdays = 1 << 7
		return nil
	default:
		if day, d.last = strings.CutSuffix(text, "L"); !d.last {
			d.weekdays, err = weekdayField.parse(text)
			return err
		}
	}
	n, err := weekdayField.value(day)
	d.weekday = time.Weekday(n - 1)
	return err
}

// parse reads a list into bits.
func (f *field) parse(text string) (set uint64, err error) {
	err = f.each(text, func(v int) { set |= 1 << v })
	return set, err
}

// each calls add with each value of a list of values, ranges and steps.
func (f *field) each(text string, add func(int)) error {
	for item := range strings.SplitSeq(text, ",") {
		if err := f.item(item, add); err != nil {
			return err
		}
	}
	return nil
}

// item reads 5, 5-10, 5/10, 5-10/2, * or */2. A range whose end is before its beginning goes around, as FRI-MON does; of years, it is refused.
func (f *field) item(text string, add func(int)) error {
	span, by, stepped := strings.Cut(text, "/")
	step := 1
	if stepped {
		if !digits(by) {
			return fmt.Errorf("%s: a step of %q", f.name, by)
		}
		step, _ = strconv.Atoi(by)
		if step < 1 || step > f.max {
			return fmt.Errorf("%s: a step of %s", f.name, by)
		}
	}
	from, to := f.min, f.max
	if span != "*" {
		var err error
		first, last, ranged := strings.Cut(span, "-")
		if from, err = f.value(first); err != nil {
			return err
		}
		switch {
		case ranged:
			if to, err = f.value(last); err != nil {
				return err
			}
		case !stepped:
			to = from
		}
	}
	if to < from {
		if f.min == firstYear {
			return fmt.Errorf("%s: %s ends before it begins", f.name, span)
		}
		to += f.max - f.min + 1
	}
	for v := from; v <= to; v += step {
		if v > f.max {
			add(v - (f.max - f.min + 1))
		} else {
			add(v)
		}
	}
	return nil
}

// value reads one value, a number or a name.
func (f *field) value(text string) (int, error) {
	if len(text) == 3 && f.names != "" {
		if i := strings.Index(f.names, text); i >= 0 && i%3 == 0 {
			return f.min + i/3, nil
		}
	}
	if digits(text) {
		if n, _ := strconv.Atoi(text); n >= f.min && n <= f.max {
			return n, nil
		}
	}
	return 0, fmt.Errorf("%s: %q is not in %d-%d", f.name, text, f.min, f.max)
}

// next returns the first time after the one given.
func (c *cron) next(after time.Time, zone *time.Location) (time.Time, bool) {
	// What clocks show is counted as if it were in UTC. They show a time that is after the one shown at after, as later times are first shown later.
	local := after.In(zone)
	wall := time.Date(local.Year(), local.Month(), local.Day(), local.Hour(), local.Minute(), 0, 0, time.UTC)
	for {
		var ok bool
		if wall, ok = c.nextWall(wall.Add(time.Minute)); !ok {
			return time.Time{}, false
		}
		// Clocks may go over it, or show it for the second time; it is not many times until they do neither: those of the hours that are changed.
		if t, exists := instant(wall, zone); exists && t.After(after) {
			return t, true
		}
	}
}

// nextWall returns the first time that fits, from the one given on. It goes from field to field, from the year down, and when a field has no value that is left, back to the one above.
func (c *cron) nextWall(from time.Time) (time.Time, bool) {
	year, month, day := from.Date()
	hour, minute := from.Hour(), from.Minute()
	for {
		y, ok := c.nextYear(year)
		if !ok {
			return time.Time{}, false
		}
		if y != year {
			year, month, day, hour, minute = y, 1, 1, 0, 0
		}
		m, ok := nextBit(c.months, int(month))
		if !ok {
			year, month, day, hour, minute = year+1, 1, 1, 0, 0
			continue
		}
		if m != int(month) {
			month, day, hour, minute = time.Month(m), 1, 0, 0
		}
		d, ok := nextBit(c.day.in(year, month), day)
		if !ok {
			month, day, hour, minute = month+1, 1, 0, 0
			continue
		}
		if d != day {
			day, hour, minute = d, 0, 0
		}
		h, ok := nextBit(c.hours, hour)
		if !ok {
			day, hour, minute = day+1, 0, 0
			continue
		}
		if h != hour {
			hour, minute = h, 0
		}
		if minute, ok = nextBit(c.minutes, minute); !ok {
			hour, minute = hour+1, 0
			continue
		}
		return time.Date(year, month, day, hour, minute, 0, 0, time.UTC), true
	}
}

// nextYear returns the first year from the one given on.
func (c *cron) nextYear(year int) (int, bool) {
	for i := max(year-firstYear, 0); i <= lastYear-firstYear; i = (i/64 + 1) * 64 {
		if b, ok := nextBit(c.years[i/64], i%64); ok {
			return firstYear + i/64*64 + b, true
		}
	}
	return 0, false
}

// nextBit returns the first bit of set from the one given on.
func nextBit(set uint64, from int) (int, bool) {
	if from > 63 {
		return 0, false
	}
	n := bits.TrailingZeros64(set >> from)
	return from + n, n < 64
}

// in returns the days of a month that are meant, as bits from 1 on.
func (d *dayRule) in(year int, month time.Month) uint64 {
	end := time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC)
	days := end.Day()
	all := uint64(1)<<(days+1) - 2
	switch {
	case d.days != 0:
		return d.days & all
	case d.lastDay:
		return 1 << days
	case d.lastWork:
		return 1 << nearestWorkday(days, days, end.Weekday())
	case d.nearest > days:
		return 0
	case d.nearest > 0:
		return 1 << nearestWorkday(d.nearest, days, (end.Weekday()+time.Weekday(35+d.nearest-days))%7)
	}
	first := (end.Weekday() + time.Weekday(36-days)) % 7 // the weekday of the first of the month
	if d.weekdays != 0 {
		week := d.weekdays >> (1 + int(first)) << 1 // bit 1 is the weekday of the first
		week |= d.weekdays << (7 - int(first)) & 0xfe
		return (week | week<<7 | week<<14 | week<<21 | week<<28) & all
	}
	day := 1 + int(d.weekday-first+7)%7
	if d.nth > 0 {
		return 1 << (day + 7*(d.nth-1)) & all
	}
	for day+7 <= days {
		day += 7
	}
	return 1 << day
}

// nearestWorkday returns the Monday to Friday that is next to a day of a month with that many days, and in the same month.
func nearestWorkday(day, days int, weekday time.Weekday) int {
	switch {
	case weekday == time.Saturday && day == 1:
		return 3
	case weekday == time.Saturday:
		return day - 1
	case weekday == time.Sunday && day == days:
		return day - 2
	case weekday == time.Sunday:
		return day + 1
	}
	return day
}

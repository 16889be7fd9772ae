// Package schedule tells when something that recurs is due next. It reads the three sorts of expressions that EventBridge's rules and schedules have: rate(5 minutes),
// cron(0 12 ? * MON-FRI *) in AWS's syntax of six fields, and at(2026-11-27T01:30:00).
//
// Rules of an event bus are read with ParseRule, schedules of EventBridge Scheduler with Parse; they differ in what they accept. Both are in UTC unless a time zone is given; see Zone.
//
// Where clocks change, an expression means what EventBridge Scheduler says it does:
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#daylist-savings-time
//   - a time of a cron expression that does not exist, because clocks went forward, is left out;
//   - one that exists twice, because they went back, comes once, the first time;
//   - a rate is a duration: rate(1 day) is 24 hours, however long the day is.
//
// One thing is not said there: at() with a time that does not exist is as much later as the clocks went forward.
package schedule

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // zones must be the same on machines that have no time zone database, or another one
)

// Schedule says when something is due. The zero value is never due. It may be used by several goroutines at once.
type Schedule struct {
	text string
	zone *time.Location

	period time.Duration // of rate(); else 0
	anchor time.Time     // of rate(): see From
	once   time.Time     // of at()
	cron   *cron         // of cron()
}

// Parse reads an expression of EventBridge Scheduler, whose times are those of zone; nil is UTC. A rate may be written rate(1 minutes) or rate(5 minute), too. Its error says
// what is wrong with the expression.
func Parse(expr string, zone *time.Location) (Schedule, error) {
	if zone == nil {
		zone = time.UTC
	}
	s := Schedule{text: expr, zone: zone}
	kind, inner, ok := strings.Cut(expr, "(")
	inner, closed := strings.CutSuffix(inner, ")")
	if !ok || !closed {
		return Schedule{}, errors.New("it is not at(...), rate(...) or cron(...)")
	}
	var err error
	switch kind {
	case "rate":
		s.period, err = parseRate(inner)
	case "cron":
		s.cron, err = parseCron(inner)
	case "at":
		s.once, err = parseAt(inner, zone)
	default:
		err = errors.New("it is not at(...), rate(...) or cron(...)")
	}
	if err != nil {
		return Schedule{}, err
	}
	return s, nil
}

// ParseRule reads the expression of a rule: a rate(), whose unit is singular for one and plural for more, or a cron(), in UTC.
func ParseRule(expr string) (Schedule, error) {
	s, err := Parse(expr, time.UTC)
	switch {
	case err != nil:
		return Schedule{}, err
	case !s.once.IsZero():
		return Schedule{}, errors.New("rules have no at(...)")
	case s.period > 0:
		value, _, _ := strings.Cut(strings.TrimPrefix(expr, "rate("), " ")
		if n, _ := strconv.ParseInt(value, 10, 64); (n == 1) == strings.HasSuffix(expr, "s)") {
			return Schedule{}, errors.New("the unit is singular for 1 and plural for more")
		}
	}
	return s, nil
}

// String returns the expression.
func (s Schedule) String() string { return s.text }

// Recurring reports whether the expression is one for more than one time: a rate() or cron().
func (s Schedule) Recurring() bool { return s.period > 0 || s.cron != nil }

// Rate returns the period of a rate(), or 0.
func (s Schedule) Rate() time.Duration { return s.period }

// From returns the schedule as it begins at start: a rate() is due at start, and then each time its period has passed, which Next keeps to however late it is asked. Others stay as they are.
func (s Schedule) From(start time.Time) Schedule {
	s.anchor = start
	return s
}

// Next returns the first time after the one given at which it is due, in UTC, or false if there is none. A rate() that was given no start with From is due a period after the time given.
func (s Schedule) Next(after time.Time) (time.Time, bool) {
	switch {
	case s.period > 0:
		return s.nextOfRate(after).UTC(), true
	case s.cron != nil:
		return s.cron.next(after, s.zone)
	}
	return s.once.UTC(), s.once.After(after)
}

func (s Schedule) nextOfRate(after time.Time) time.Time {
	switch {
	case s.anchor.IsZero():
		return after.Add(s.period)
	case after.Before(s.anchor):
		return s.anchor
	}
	since := after.Sub(s.anchor)
	if since == math.MaxInt64 { // more than a Duration holds: 292 years
		return after.Add(s.period)
	}
	return after.Add(s.period - since%s.period)
}

// longest is the longest period of a rate(). AWS does not tell its own.
const longest = 100 * 366 * 24 * time.Hour

// parseRate reads "5 minutes".
func parseRate(inner string) (time.Duration, error) {
	value, unit, ok := strings.Cut(inner, " ")
	if !ok || !digits(value) {
		return 0, errors.New("a rate is a whole number and a unit with one space between them")
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("a rate of %s is out of range", value)
	}
	var period time.Duration
	switch strings.TrimSuffix(unit, "s") {
	case "minute":
		period = time.Minute
	case "hour":
		period = time.Hour
	case "day":
		period = 24 * time.Hour
	default:
		return 0, errors.New("the unit of a rate is minutes, hours or days")
	}
	if n > int64(longest/period) {
		return 0, fmt.Errorf("a rate of %d %s is out of range", n, unit)
	}
	return time.Duration(n) * period, nil
}

// digits reports whether s is a number of digits only, and not too long to be read.
func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != "" && len(s) < 19
}

// parseAt reads "2026-11-27T01:30:00".
func parseAt(inner string, zone *time.Location) (time.Time, error) {
	const layout = "2006-01-02T15:04:05"
	if len(inner) != len(layout) { // time.Parse would take fractions of seconds
		return time.Time{}, errors.New("the time of at() is yyyy-mm-ddThh:mm:ss")
	}
	wall, err := time.Parse(layout, inner)
	if err != nil || wall.Year() < firstYear {
		return time.Time{}, errors.New("the time of at() is yyyy-mm-ddThh:mm:ss")
	}
	t, _ := instant(wall, zone)
	return t, nil
}

// Zone returns the time zone of a name in the IANA database, such as Europe/Berlin.
func Zone(name string) (*time.Location, error) {
	if name == "" || name == "Local" { // which LoadLocation takes for UTC and for the machine's zone
		return nil, fmt.Errorf("there is no time zone %q", name)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("there is no time zone %q", name)
	}
	return zone, nil
}

// instant returns when clocks in a zone show what wall shows in UTC: the first time, if they do so twice. It reports false if they never do, because they go forward over it; the time returned is later
// by as much as they go forward then.
func instant(wall time.Time, zone *time.Location) (time.Time, bool) {
	if zone == time.UTC {
		return wall, true
	}
	// The offsets of a zone that are in force a day before and after are those that can apply: no zone changes more than once in so short a time.
	_, before := wall.Add(-36 * time.Hour).In(zone).Zone()
	_, after := wall.Add(36 * time.Hour).In(zone).Zone()
	first := wall.Add(-time.Duration(before) * time.Second)
	if before == after {
		return first, true
	}
	if _, offset := first.In(zone).Zone(); offset == before {
		return first, true
	}
	second := wall.Add(-time.Duration(after) * time.Second)
	if _, offset := second.In(zone).Zone(); offset == after {
		return second, true
	}
	return first, false // by the offset from before: the clocks show it as later by the difference
}

package secretsmanager

import (
	"encoding/binary"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/engine/schedule"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// Rotation windows open on the hour, at midnight in UTC unless a cron expression says another time, and do not extend into the next day or the next window:
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_schedule.html

const (
	minRate = 4 * time.Hour
	maxRate = 999 * day
)

// plan says when a secret is rotated. The zero value is never.
type plan struct {
	days   int64             // after the last change
	hours  time.Duration     // a rate in hours
	cron   schedule.Schedule // where both are 0
	length time.Duration     // of a window; 0 is until the day ends
}

// window is when a rotation may begin.
type window struct{ start, end time.Time }

// planOf reads the rules of a request, which are valid by the model.
func planOf(rules *secretsmanager.RotationRulesType) (p plan, err error) {
	if rules == nil {
		return plan{}, nil
	}
	days, expression := optional.Value(rules.AutomaticallyAfterDays), optional.Value(rules.ScheduleExpression)
	if rules.AutomaticallyAfterDays != nil && expression != "" {
		return plan{}, invalidParameter("You cannot specify both rotation frequency and schedule expression together.")
	}
	return newPlan(days, expression, optional.Value(rules.Duration))
}

// plan is that of a secret, whose rules were valid when they were given.
func (r *rotation) plan() (plan, error) { return newPlan(r.Days, r.Expression, r.Duration) }

func newPlan(days int64, expression, duration string) (p plan, err error) {
	p.days = days
	gap := day
	if expression != "" {
		if p, gap, err = parseExpression(expression); err != nil {
			return plan{}, err
		}
	}
	if p.never() {
		if duration != "" {
			return plan{}, invalidParameter("You must specify a rotation frequency or a schedule expression to set the length of the rotation window.")
		}
		return plan{}, nil
	}
	if gap < day {
		p.length = time.Hour
	}
	if duration != "" {
		n, err := strconv.Atoi(strings.TrimSuffix(duration, "h"))
		if err != nil || n < 1 || n > 24 {
			return plan{}, invalidParameter("The rotation window must be from 1h to 24h long.")
		}
		p.length = time.Duration(n) * time.Hour
	}
	if p.length > gap || p.opens()+p.length > day {
		return plan{}, invalidParameter("The rotation window must not extend into the next rotation window or the next UTC day.")
	}
	return p, nil
}

func (p *plan) never() bool { return p.days == 0 && p.hours == 0 && p.cron.String() == "" }

// opens is the latest time of a day at which a window opens, for expressions of days.
func (p *plan) opens() (latest time.Duration) {
	if p.cron.String() == "" {
		return 0
	}
	for t := range occurrences(p.cron) {
		latest = max(latest, sinceMidnight(t))
	}
	return latest
}

// parseExpression reads a ScheduleExpression, and tells how long it is at least from one window to the next.
func parseExpression(text string) (p plan, gap time.Duration, err error) {
	s, err := schedule.Parse(text, time.UTC)
	if err != nil || !s.Recurring() {
		return plan{}, 0, invalidParameter("Invalid ScheduleExpression: a rotation schedule is rate(Value Unit) or cron(0 Hours Day-of-month Month Day-of-week *).")
	}
	if rate := s.Rate(); rate > 0 {
		switch {
		case strings.Contains(text, "minute"):
			return plan{}, 0, invalidParameter("Invalid ScheduleExpression: the unit of a rate is hours or days.")
		case rate < minRate || rate > maxRate:
			return plan{}, 0, invalidParameter("Invalid ScheduleExpression: a secret is rotated every 4 hours at most, and every 999 days at least.")
		case strings.Contains(text, "hour"):
			return plan{hours: rate}, min(rate, day-1), nil
		}
		return plan{days: int64(rate / day)}, day, nil
	}
	fields := strings.Fields(strings.TrimSuffix(strings.TrimPrefix(text, "cron("), ")"))
	if fields[0] != "0" || fields[5] != "*" {
		return plan{}, 0, invalidParameter("Invalid ScheduleExpression: a cron expression must have 0 in the minutes field and * in the year field.")
	}
	gap = maxRate
	var last time.Time
	for t := range occurrences(s) {
		if !last.IsZero() {
			gap = min(gap, t.Sub(last))
		}
		last = t
	}
	switch {
	case last.IsZero():
		return plan{}, 0, invalidParameter("Invalid ScheduleExpression: there is no such time.")
	case gap < minRate:
		return plan{}, 0, invalidParameter("Invalid ScheduleExpression: a secret is rotated every 4 hours at most, and every 999 days at least.")
	}
	return plan{cron: s}, gap, nil
}

// occurrences iterates over the times of a cron expression whose year is any, until they repeat themselves, or so many that they do.
func occurrences(s schedule.Schedule) func(yield func(time.Time) bool) {
	return func(yield func(time.Time) bool) {
		t := time.Date(2027, 12, 31, 23, 0, 0, 0, time.UTC) // a leap year follows
		end := t.AddDate(9, 0, 0)
		for range 500 {
			var ok bool
			if t, ok = s.Next(t); !ok || t.After(end) || !yield(t) {
				return
			}
		}
	}
}

// next is the first window that opens after now, of a secret whose value was changed last, and whose rates in hours are counted, from the times given. It is false if there is none.
func (p *plan) next(now, changed, anchor time.Time) (w window, ok bool) {
	switch {
	case p.never():
		return window{}, false
	case p.days > 0:
		if w.start = midnight(changed).AddDate(0, 0, int(p.days)); !w.start.After(now) {
			w.start = midnight(now).Add(day) // that one is missed, or nothing came of it
		}
	case p.hours > 0:
		w.start = anchor.Add((now.Sub(anchor)/p.hours + 1) * p.hours)
	default:
		if w.start, ok = p.cron.Next(now); !ok {
			return window{}, false
		}
	}
	w.end = midnight(w.start).Add(day)
	if p.length > 0 && w.start.Add(p.length).Before(w.end) {
		w.end = w.start.Add(p.length)
	}
	return w, true
}

// sometime is a random time in the window, so that the secrets of one schedule are not all rotated at once.
func (w window) sometime(rand io.Reader) (time.Time, error) {
	var b [8]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return time.Time{}, err
	}
	return w.start.Add(time.Duration(binary.BigEndian.Uint64(b[:])%uint64(w.end.Sub(w.start)/time.Second)) * time.Second), nil
}

func midnight(t time.Time) time.Time { return t.UTC().Truncate(day) }

func sinceMidnight(t time.Time) time.Duration { return t.Sub(midnight(t)) }

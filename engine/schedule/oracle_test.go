package schedule_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/engine/schedule"
	"github.com/holdfast-cloud/holdfast/internal/race"
)

// The oracle makes random expressions together with what they mean, as plain as it can be said, and looks at each minute in turn.

// oracle is a cron expression and what it means.
type oracle struct {
	text                      string
	minute, hour, month, year func(v int) bool
	day                       func(t time.Time) bool
}

// matches reports whether the clocks show a time that is meant.
func (o *oracle) matches(wall time.Time) bool {
	return o.minute(wall.Minute()) && o.hour(wall.Hour()) && o.month(int(wall.Month())) && o.year(wall.Year()) && o.day(wall)
}

// next looks at each minute until the end.
func (o *oracle) next(after, end time.Time, zone *time.Location) (time.Time, bool) {
	for t := after.UTC().Truncate(time.Minute).Add(time.Minute); !t.After(end); t = t.Add(time.Minute) {
		wall := t.In(zone)
		if o.matches(wall) && !shownBefore(wall) {
			return t, true
		}
	}
	return time.Time{}, false
}

// shownBefore reports whether clocks have shown the same time before, within the last day.
func shownBefore(t time.Time) bool {
	_, now := t.Zone()
	_, before := t.Add(-25 * time.Hour).Zone()
	if now == before {
		return false
	}
	earlier := t.Add(time.Duration(now-before) * time.Second)
	return earlier.Before(t) && earlier.Format(time.DateTime) == t.Format(time.DateTime)
}

// list makes a random list of values, and says which are in it.
func list(r *rand.Rand, lo, hi int, names []string, wraps, dense bool) (string, func(int) bool) {
	if dense || r.IntN(3) == 0 {
		return "*", func(int) bool { return true }
	}
	name := func(v int) string {
		if names != nil && r.IntN(2) == 0 {
			return names[v-lo]
		}
		return fmt.Sprint(v)
	}
	var items []string
	in := map[int]bool{}
	for range 1 + r.IntN(3) {
		a, b := lo+r.IntN(hi-lo+1), lo+r.IntN(hi-lo+1)
		if b < a && !wraps {
			a, b = b, a
		}
		step := 1 + r.IntN(max((hi-lo)/2, 1))
		around := b
		if b < a {
			around += hi - lo + 1
		}
		switch r.IntN(5) {
		case 0:
			items = append(items, name(a))
			in[a] = true
		case 1:
			items = append(items, name(a)+"-"+name(b))
			for v := a; v <= around; v++ {
				in[(v-lo)%(hi-lo+1)+lo] = true
			}
		case 2:
			items = append(items, fmt.Sprintf("%s-%s/%d", name(a), name(b), step))
			for v := a; v <= around; v += step {
				in[(v-lo)%(hi-lo+1)+lo] = true
			}
		case 3:
			items = append(items, fmt.Sprintf("%s/%d", name(a), step))
			for v := a; v <= hi; v += step {
				in[v] = true
			}
		case 4:
			items = append(items, fmt.Sprintf("*/%d", step))
			for v := lo; v <= hi; v += step {
				in[v] = true
			}
		}
	}
	return strings.Join(items, ","), func(v int) bool { return in[v] }
}

var (
	monthNames   = strings.Fields("JAN FEB mar APR MAY jun JUL AUG SEP OCT NOV DEC")
	weekdayNames = strings.Fields("SUN MON TUE wed THU FRI SAT")
)

// sameMonth returns the days of t's month.
func sameMonth(t time.Time) (days []time.Time) {
	for d := time.Date(t.Year(), t.Month(), 1, 12, 0, 0, 0, time.UTC); d.Month() == t.Month(); d = d.AddDate(0, 0, 1) {
		days = append(days, d)
	}
	return days
}

// nearestWorkday looks for a Monday to Friday, further and further from a day, in its month; the one before is nearer than the one after.
func nearestWorkday(t time.Time, day int) int {
	days := sameMonth(t)
	for distance := range 4 {
		for _, d := range []int{day - distance, day + distance} {
			if day <= len(days) && d >= 1 && d <= len(days) && days[d-1].Weekday() != time.Saturday && days[d-1].Weekday() != time.Sunday {
				return d
			}
		}
	}
	return 0
}

// days makes random fields for the day of the month and of the week.
func days(r *rand.Rand, dense bool) (dom, dow string, match func(time.Time) bool) {
	n := 1 + r.IntN(31)
	w := 1 + r.IntN(7)
	weekday := func(t time.Time) bool { return int(t.Weekday())+1 == w }
	switch kind := r.IntN(10); {
	case dense:
		return "*", "?", func(time.Time) bool { return true }
	case kind == 0:
		return "L", "?", func(t time.Time) bool { return t.AddDate(0, 0, 1).Day() == 1 }
	case kind == 1:
		return "LW", "?", func(t time.Time) bool { return t.Day() == nearestWorkday(t, len(sameMonth(t))) }
	case kind == 2:
		return fmt.Sprintf("%dW", n), "?", func(t time.Time) bool { return t.Day() == nearestWorkday(t, n) }
	case kind == 3:
		return "?", "L", func(t time.Time) bool { return t.Weekday() == time.Saturday }
	case kind == 4:
		return "?", fmt.Sprintf("%dL", w), func(t time.Time) bool { return weekday(t) && t.AddDate(0, 0, 7).Month() != t.Month() }
	case kind == 5:
		nth := 1 + r.IntN(5)
		return "?", fmt.Sprintf("%s#%d", weekdayNames[w-1], nth), func(t time.Time) bool { return weekday(t) && (t.Day()-1)/7 == nth-1 }
	case kind < 8:
		text, in := list(r, 1, 31, nil, true, false)
		return text, "?", func(t time.Time) bool { return in(t.Day()) }
	}
	text, in := list(r, 1, 7, weekdayNames, true, false)
	return "?", text, func(t time.Time) bool { return in(int(t.Weekday()) + 1) }
}

func random(r *rand.Rand, dense bool) *oracle {
	o := new(oracle)
	var f [6]string
	f[0], o.minute = list(r, 0, 59, nil, true, false)
	f[1], o.hour = list(r, 0, 23, nil, true, dense && r.IntN(2) == 0)
	f[3], o.month = list(r, 1, 12, monthNames, true, dense)
	f[5], o.year = list(r, 1990, 2060, nil, false, dense)
	if strings.ContainsAny(f[5], "/") { // whose bounds are others than the oracle's
		f[5], o.year = "*", func(int) bool { return true }
	}
	f[2], f[4], o.day = days(r, dense)
	o.text = "cron(" + strings.Join(f[:], " ") + ")"
	return o
}

// Each minute around changes of clocks in both hemispheres, of half an hour, and of a whole day.
func TestNextAgreesWithEachMinute(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	changes := []struct {
		zone string
		at   string
	}{
		{"UTC", "2026-11-27T00:00:00Z"}, {"UTC", "2024-02-28T20:00:00Z"}, {"Europe/Berlin", "2026-03-29T01:00:00Z"}, {"Europe/Berlin", "2026-10-25T01:00:00Z"},
		{"America/New_York", "2027-03-14T07:00:00Z"}, {"America/New_York", "2026-11-01T06:00:00Z"}, {"Australia/Lord_Howe", "2026-10-03T15:30:00Z"},
		{"Australia/Lord_Howe", "2026-04-04T15:00:00Z"}, {"Asia/Kathmandu", "2026-01-01T00:00:00Z"}, {"Pacific/Apia", "2011-12-30T10:00:00Z"},
		{"America/Santiago", "2026-09-06T04:00:00Z"}, {"Africa/Casablanca", "2026-02-15T02:00:00Z"}, {"Atlantic/Azores", "2026-10-25T01:00:00Z"},
	}
	found := 0
	rounds := 1300
	if race.Enabled {
		rounds = 130
	}
	for i := range rounds {
		change := changes[i%len(changes)]
		zone, err := schedule.Zone(change.zone)
		if err != nil {
			t.Fatal(err)
		}
		at, _ := time.Parse(time.RFC3339, change.at)
		after := at.Add(-time.Duration(r.IntN(30*3600)) * time.Second)
		o := random(r, i%2 == 0)
		s, err := schedule.Parse(o.text, zone)
		if err != nil {
			t.Fatalf("%s: %v", o.text, err)
		}
		// The times of three days, one after the other.
		for end := after.Add(72 * time.Hour); ; {
			want, ok := o.next(after, end, zone)
			got, gotOK := s.Next(after)
			if ok && (!gotOK || !got.Equal(want)) || !ok && gotOK && !got.After(end) {
				t.Fatalf("%s in %s after %s: %s %t, want %s %t", o.text, zone, after, got, gotOK, want, ok)
			}
			if !ok {
				break
			}
			found++
			after = want.Add(time.Duration(r.IntN(3600*5)) * time.Second)
		}
	}
	t.Logf("%d expressions, %d times", rounds, found)
	if found < rounds {
		t.Errorf("only %d times were looked at", found)
	}
}

// Days and years that are far away: each day in turn.
func TestNextAgreesWithEachDay(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	never, found := 0, 0
	const rounds = 3000
	for range rounds {
		o := random(r, false)
		f := strings.Fields(strings.TrimPrefix(o.text, "cron("))
		hour, minute := r.IntN(24), r.IntN(60)
		f[0], f[1] = fmt.Sprint(minute), fmt.Sprint(hour)
		text := "cron(" + strings.Join(f, " ")
		s, err := schedule.Parse(text, nil)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		after := time.Date(1985+r.IntN(80), 1, 1+r.IntN(366), r.IntN(24), r.IntN(60), r.IntN(60), 0, time.UTC)
		end := after.AddDate(12, 0, 0)
		var want time.Time
		for d := time.Date(after.Year(), after.Month(), after.Day(), hour, minute, 0, 0, time.UTC); d.Before(end); d = d.AddDate(0, 0, 1) {
			if d.After(after) && o.month(int(d.Month())) && o.year(d.Year()) && o.day(d) {
				want = d
				break
			}
		}
		got, ok := s.Next(after)
		switch {
		case want.IsZero() && ok && got.Before(end), !want.IsZero() && !got.Equal(want):
			t.Fatalf("%s after %s: %s %t, want %s", text, after, got, ok, want)
		case want.IsZero():
			never++
		default:
			found++
		}
	}
	t.Logf("%d expressions: %d were due, %d not within twelve years", rounds, found, never)
	if found < rounds/2 || never == 0 {
		t.Errorf("%d found, %d never", found, never)
	}
}

// The times of a schedule in each zone ascend, and clocks show one that is meant, once.
func TestEveryZone(t *testing.T) {
	zones := []string{"UTC", "Africa/Cairo", "Africa/Monrovia", "America/Caracas", "America/Godthab", "America/Havana", "America/St_Johns", "Antarctica/Troll", "Asia/Gaza", "Asia/Pyongyang",
		"Asia/Tehran", "Europe/Dublin", "Europe/London", "Europe/Moscow", "Pacific/Chatham", "Pacific/Kiritimati", "Pacific/Kwajalein"}
	if race.Enabled {
		zones = zones[:3]
	}
	for _, name := range zones {
		zone, err := schedule.Zone(name)
		if err != nil {
			t.Fatal(err)
		}
		s, err := schedule.Parse("cron(7/30 * * * ? *)", zone)
		if err != nil {
			t.Fatal(err)
		}
		at, days := time.Date(2005, 8, 1, 0, 0, 0, 0, time.UTC), []string{}
		last := ""
		for at.Year() < 2012 {
			next, ok := s.Next(at)
			if shown := next.In(zone).Format(time.DateTime); !ok || !next.After(at) || shown <= last || next.In(zone).Minute()%30 != 7 {
				t.Fatalf("%s: %s after %s, %t; clocks show %s after %s", name, next, at, ok, shown, last)
			} else {
				last = shown
			}
			if next.Sub(at) > 2*time.Hour {
				days = append(days, last)
			}
			at = next
		}
		if len(days) > 20 || slices.Contains(days, "") {
			t.Errorf("%s: gaps before %v", name, days)
		}
	}
}

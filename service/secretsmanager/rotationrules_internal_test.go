package secretsmanager

import (
	"strings"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

func TestRules(t *testing.T) {
	const (
		both   = "You cannot specify both rotation frequency and schedule expression together."
		window = "The rotation window must not extend into the next rotation window or the next UTC day."
		often  = "a secret is rotated every 4 hours at most"
	)
	// The windows are those after Friday, 2026-11-27T01:30:00Z, of a secret that changed then.
	for _, x := range []struct {
		days                 int64
		expression, duration string
		want                 string // the next two windows, or a part of the error
	}{
		{30, "", "", "2026-12-27T00 24h, 2026-12-28T00 24h"},
		{1, "", "3h", "2026-11-28T00 3h, 2026-11-29T00 3h"},
		{0, "rate(10 days)", "", "2026-12-07T00 24h, 2026-12-08T00 24h"},
		{0, "rate(1 day)", "24h", "2026-11-28T00 24h, 2026-11-29T00 24h"},
		{0, "rate(4 hours)", "", "2026-11-27T04 1h, 2026-11-27T08 1h"},
		{0, "rate(10 hours)", "10h", "2026-11-27T10 10h, 2026-11-27T20 4h"},
		{0, "cron(0 4 1 * ? *)", "", "2026-12-01T04 20h, 2027-01-01T04 20h"},
		{0, "cron(0 16 1,15 * ? *)", "2h", "2026-12-01T16 2h, 2026-12-15T16 2h"},
		{0, "cron(0 0/8 * * ? *)", "", "2026-11-27T08 1h, 2026-11-27T16 1h"},
		{0, "cron(0 8 ? * SUN#1 *)", "4h", "2026-12-06T08 4h, 2027-01-03T08 4h"},
		{0, "cron(0 16 L * ? *)", "", "2026-11-30T16 8h, 2026-12-31T16 8h"},
		{0, "", "", "never"},
		{30, "rate(1 day)", "", both},
		{0, "", "3h", "You must specify a rotation frequency"},
		{30, "", "0h", "from 1h to 24h"},
		{30, "", "25h", "from 1h to 24h"},
		{0, "rate(4 hours)", "5h", window},
		{0, "cron(0 20 * * ? *)", "5h", window},
		{0, "cron(0 0/8 * * ? *)", "9h", window},
		{0, "rate(3 hours)", "", often},
		{0, "rate(1000 days)", "", often},
		{0, "rate(240 minutes)", "", "the unit of a rate is hours or days"},
		{0, "cron(0 0,3 * * ? *)", "", often},
		{0, "cron(0 * * * ? *)", "", often},
		{0, "cron(30 4 * * ? *)", "", "must have 0 in the minutes field"},
		{0, "cron(0 4 * * ? 2030)", "", "and * in the year field"},
		{0, "cron(0 4 31 2 ? *)", "", "there is no such time"},
		{0, "cron(0 4 * * *)", "", "Invalid ScheduleExpression"},
		{0, "at(2027-01-01T00:00:00)", "", "Invalid ScheduleExpression"},
		{0, "every day", "", "Invalid ScheduleExpression"},
	} {
		t.Run(x.expression+"/"+x.duration, func(t *testing.T) {
			rules := &secretsmanager.RotationRulesType{AutomaticallyAfterDays: optional.NonZero(x.days), ScheduleExpression: optional.NonZero(x.expression), Duration: optional.NonZero(x.duration)}
			p, err := planOf(rules)
			if err != nil {
				if !strings.Contains(err.Error(), x.want) {
					t.Errorf("%v, want %s", err, x.want)
				}
				return
			}
			var got []string
			now := testEpoch
			for range 2 {
				w, ok := p.next(now, testEpoch, midnight(testEpoch))
				if !ok {
					break
				}
				got = append(got, w.start.Format("2006-01-02T15")+" "+strings.TrimSuffix(w.end.Sub(w.start).String(), "0m0s"))
				now = w.start
			}
			if text := strings.Join(got, ", "); text != x.want && (text != "" || x.want != "never") {
				t.Errorf("windows %s, want %s", text, x.want)
			}
		})
	}
}

// Expressions come from outside.
func FuzzExpression(f *testing.F) {
	for _, seed := range []string{"rate(4 hours)", "cron(0 4 1 * ? *)", "cron(0 0/8 ? * MON-FRI *)", "cron(0 4 L * ? *)", "rate(999 days)", "cron(0 4 31 2 ? *)"} {
		f.Add(seed, "2h")
	}
	f.Fuzz(func(t *testing.T, expression, duration string) {
		p, err := newPlan(0, expression, duration)
		if err != nil {
			return
		}
		w, ok := p.next(testEpoch, testEpoch, midnight(testEpoch))
		if !ok {
			return
		}
		if !w.start.After(testEpoch) || !w.end.After(w.start) || w.end.After(midnight(w.start).Add(day)) || w.start.Truncate(time.Hour) != w.start {
			t.Errorf("%s with %s: from %s to %s", expression, duration, w.start, w.end)
		}
	})
}

// A rotation begins in its window, at a time that is another one for each secret, and not in one that was missed.
func TestWindows(t *testing.T) {
	w := newWorkshop(t)
	w.app("db", "")
	w.rotate("db", object{"RotationRules": object{"ScheduleExpression": "cron(0 4 ? * MON *)", "Duration": "2h"}})
	w.advance(0)
	seen := make(map[time.Time]bool)
	for range 8 {
		next := w.record("db").Rotation.Next
		w.advance(next.Sub(w.clock.Now()) + time.Minute)
		last := w.record("db").Rotation.Last
		if last.Weekday() != time.Monday || last.Hour() < 4 || last.Hour() > 5 || seen[last] {
			t.Errorf("rotated at %s", last)
		}
		seen[last] = true
	}
	last := w.record("db").Rotation.Last
	w.clock.Set(w.record("db").Rotation.Next.Add(time.Hour)) // and nobody was there
	w.advance(0)
	if r := w.record("db").Rotation; !r.Last.Equal(last) || !r.Next.After(w.clock.Now()) {
		t.Errorf("after a window that was missed: last %s, next %s", r.Last, r.Next)
	}
	if out := w.must("DescribeSecret", object{"SecretId": "db"}); out["RotationRules"].(object)["AutomaticallyAfterDays"] != 7.0 {
		t.Errorf("described as %v", out)
	}
	w.must("CancelRotateSecret", object{"SecretId": "db"})
	w.advance(60 * day)
	if r := w.record("db").Rotation; !r.Last.Equal(last) || !r.Next.IsZero() || r.Enabled {
		t.Errorf("after it was turned off: %+v", r)
	}
}

package schedule_test

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/engine/schedule"
)

// TestExpressions reads testdata/expressions.txt: an expression, "in" a zone, "after" a time, and the times that follow; or what is wrong with it.
func TestExpressions(t *testing.T) {
	f, err := os.Open("testdata/expressions.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	line := 0
	for in := bufio.NewScanner(f); in.Scan(); {
		line++
		if in.Text() == "" || strings.HasPrefix(in.Text(), "//") {
			continue
		}
		left, want, ok := strings.Cut(in.Text(), " => ")
		if !ok {
			t.Fatalf("line %d: no =>", line)
		}
		left, after, _ := strings.Cut(left, " after ")
		expr, zoneName, inZone := strings.Cut(left, " in ")
		zone := time.UTC
		if inZone {
			if zone, err = schedule.Zone(zoneName); err != nil {
				t.Fatal(err)
			}
		}
		s, err := schedule.Parse(expr, zone)
		if err != nil {
			if err.Error() != want {
				t.Errorf("line %d: %s: %v", line, expr, err)
			}
			continue
		}
		at, err := time.ParseInLocation(time.DateTime, after, zone)
		if err != nil {
			t.Fatalf("line %d: %v", line, err)
		}
		var got []string
		for range strings.Split(want, ", ") {
			next, ok := s.Next(at)
			if !ok {
				got = append(got, "never")
				break
			}
			got = append(got, next.In(zone).Format(time.DateTime))
			at = next
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("line %d: %s after %s: %s, want %s", line, expr, after, strings.Join(got, ", "), want)
		}
	}
}

// The expressions that AWS refuses and takes in rules, as LocalStack's tests recorded them in events (test_events_schedule.py).
func TestRules(t *testing.T) {
	for _, expr := range []string{
		"rate(10 seconds)", "rate(10 years)", "rate(1 minutes)", "rate(1 hours)", "rate(1 days)", "rate(10 minute)", "rate(10 hour)", "rate(10 day)", "rate()", "rate(10)",
		"rate(10 minutess)", "rate(foo minutes)", "rate(0 minutes)", "rate(-10 minutes)", "rate(10 MINUTES)", "rate( 10 minutes )", " rate(10 minutes)",
		"cron(0 1 * * * *)", "cron(7 20 * * NOT *)", "cron(INVALID)", "cron(0 dummy ? * MON-FRI *)", "cron(71 8 1 * ? *)", "at(2027-01-01T00:00:00)",
	} {
		if s, err := schedule.ParseRule(expr); err == nil {
			t.Errorf("ParseRule(%q) = %v", expr, s)
		}
	}
	for _, expr := range []string{
		"rate(1 minute)", "rate(10 minutes)", "rate(1 hour)", "rate(2 hours)", "rate(1 day)", "rate(366 days)", "cron(0 2 ? * SAT *)", "cron(0 12 * * ? *)", "cron(5,35 14 * * ? *)",
		"cron(15 10 ? * 6L 2002-2005)", "cron(0 2 ? * SAT#3 *)", "cron(* * ? * SAT#3 *)", "cron(0/5 5 ? JAN 1-5 2022)", "cron(0 10 * * ? *)", "cron(15 12 * * ? *)", "cron(0 18 ? * MON-FRI *)",
		"cron(0 8 1 * ? *)", "cron(0/15 * * * ? *)", "cron(0/10 * ? * MON-FRI *)", "cron(0/5 8-17 ? * MON-FRI *)", "cron(0/30 20-23 ? * MON-FRI *)", "cron(0/30 0-2 ? * MON-FRI *)",
	} {
		if s, err := schedule.ParseRule(expr); err != nil || s.String() != expr || !s.Recurring() {
			t.Errorf("ParseRule(%q) = %v, %v", expr, s, err)
		}
	}
}

// A rate keeps to its start, however late it is asked, and over changes of the clocks.
func TestRate(t *testing.T) {
	zone, _ := schedule.Zone("Europe/Berlin")
	s, err := schedule.Parse("rate(1 days)", zone)
	if err != nil || s.Rate() != 24*time.Hour {
		t.Fatalf("Parse: %v, %s", err, s.Rate())
	}
	start := time.Date(2026, 10, 24, 12, 0, 0, 0, zone)
	if got, _ := s.Next(start); !got.Equal(start.Add(24 * time.Hour)) {
		t.Errorf("without a start: %s", got)
	}
	s = s.From(start)
	for after, want := range map[time.Duration]time.Duration{-time.Hour: 0, 0: 24 * time.Hour, time.Hour: 24 * time.Hour, 24*time.Hour - 1: 24 * time.Hour, 49*time.Hour + 7: 72 * time.Hour} {
		if got, ok := s.Next(start.Add(after)); !ok || !got.Equal(start.Add(want)) {
			t.Errorf("%s after the start: %s, %t", after, got, ok)
		}
	}
	if got, _ := s.Next(start.Add(24 * time.Hour)); got.In(zone).Hour() != 11 {
		t.Errorf("two days later: %s", got.In(zone))
	}
	if got, ok := s.Next(start.AddDate(500, 0, 0)); !ok || !got.After(start.AddDate(500, 0, 0)) {
		t.Errorf("after centuries: %s, %t", got, ok)
	}
}

func TestZone(t *testing.T) {
	for _, name := range []string{"", "Local", "Mars/Olympus", "../etc/passwd", "Europe/Berlin\x00", strings.Repeat("A", 1000)} {
		if z, err := schedule.Zone(name); err == nil {
			t.Errorf("Zone(%q) = %s", name, z)
		}
	}
}

func TestZeroIsNever(t *testing.T) {
	if got, ok := (schedule.Schedule{}).Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)); ok {
		t.Errorf("due at %s", got)
	}
}

// FuzzParse takes any expression: it must not panic, and what is due next must be later and take no time to find.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"rate(5 minutes)", "cron(0 12 ? * MON-FRI *)", "cron(0/5 22-2 LW FEB ? 2199)", "cron(0 0 30 2 ? *)", "cron(1,2 * ? * 6#5 1970/7)", "at(2026-11-27T01:30:00)", "cron(* * 15W * ? *)",
		"rate(99999999999999999999 days)", "cron(0 0 ? * L *)", "at(9999-12-31T23:59:59)"} {
		f.Add(seed, int64(1_795_744_800))
	}
	zone, err := schedule.Zone("America/New_York")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, expr string, unix int64) {
		s, err := schedule.Parse(expr, zone)
		if err != nil {
			return
		}
		after := time.Unix(unix%20_000_000_000, 0)
		for range 3 {
			next, ok := s.Next(after)
			if !ok {
				return
			}
			if !next.After(after) {
				t.Fatalf("%s: %s is not after %s", expr, next, after)
			}
			after = next
		}
	})
}

func ExampleSchedule_Next() {
	zone, _ := schedule.Zone("Europe/Berlin")
	s, _ := schedule.Parse("cron(30 2 ? * SUN *)", zone)
	at := time.Date(2026, 3, 20, 0, 0, 0, 0, zone)
	for range 3 {
		at, _ = s.Next(at)
		fmt.Println(at.In(zone).Format(time.DateTime)) // on March 29, clocks go from 02:00 to 03:00
	}
	// Output:
	// 2026-03-22 02:30:00
	// 2026-04-05 02:30:00
	// 2026-04-12 02:30:00
}

func BenchmarkNext(b *testing.B) {
	zone, _ := schedule.Zone("Europe/Berlin")
	for _, expr := range []string{"rate(5 minutes)", "cron(0/5 * * * ? *)", "cron(0 12 ? * MON-FRI *)", "cron(0 0 29 2 ? *)", "cron(0 0 30 2 ? *)", "cron(0 0 1 1 ? 2199)"} {
		b.Run(strings.ReplaceAll(expr, " ", "_"), func(b *testing.B) {
			s, err := schedule.Parse(expr, zone)
			if err != nil {
				b.Fatal(err)
			}
			at := time.Date(2026, 3, 20, 0, 0, 0, 0, zone)
			for b.Loop() {
				s.Next(at)
			}
		})
	}
}

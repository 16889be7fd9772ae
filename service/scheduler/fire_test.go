package scheduler_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/scheduler/types"
	"github.com/google/go-cmp/cmp"
)

func (h *house) want(calls ...string) {
	h.t.Helper()
	if d := cmp.Diff(calls, h.invoked()); d != "" {
		h.t.Errorf("invoked (-want +got):\n%s", d)
	}
}

const attempt = "-<aws.scheduler.execution-id>"

// strip takes the execution IDs out of names that end with one.
func strip(calls []string) (out []string) {
	for _, c := range calls {
		name, at, _ := strings.Cut(c, "@")
		i := strings.LastIndexByte(name, '-')
		out = append(out, name[:i]+"@"+at)
	}
	return out
}

func TestOneTime(t *testing.T) {
	h := start(t)
	h.create("once", "at(2026-11-27T02:00:00)", users("once"))
	h.create("past", "at(2026-11-27T01:00:00)", users("past"))
	h.create("berlin", "at(2026-11-27T03:15:00)", users("berlin"), func(in *scheduler.CreateScheduleInput) { in.ScheduleExpressionTimezone = aws.String("Europe/Berlin") })
	h.create("off", "at(2026-11-27T02:00:00)", users("off"), func(in *scheduler.CreateScheduleInput) { in.State = types.ScheduleStateDisabled })
	h.create("gone", "at(2026-11-27T02:00:00)", users("gone"))
	must(h.DeleteSchedule(t.Context(), &scheduler.DeleteScheduleInput{Name: aws.String("gone")}))(t)
	h.Advance(29 * time.Minute)
	h.want()
	h.Advance(48 * time.Hour)
	h.want("once@30m0s", "berlin@45m0s")
}

func TestRate(t *testing.T) {
	h := start(t)
	h.create("now", "rate(2 hours)", users("now"+attempt))
	h.create("later", "rate(3 hours)", users("later"+attempt), func(in *scheduler.CreateScheduleInput) {
		in.StartDate, in.EndDate = aws.Time(epoch.Add(90*time.Minute)), aws.Time(epoch.Add(7*time.Hour+30*time.Minute))
	})
	h.Advance(9 * time.Hour)
	want := []string{"now@0s", "later@1h30m0s", "now@2h0m0s", "now@4h0m0s", "later@4h30m0s", "now@6h0m0s", "later@7h30m0s", "now@8h0m0s"}
	if d := cmp.Diff(want, strip(h.invoked())); d != "" {
		t.Errorf("invoked (-want +got):\n%s", d)
	}
}

// An update that leaves the expression as it is keeps the times of a rate; a new one begins anew.
func TestUpdateOfARate(t *testing.T) {
	h := start(t)
	in := input("r", "rate(1 hour)", users("a"+attempt))
	must(h.CreateSchedule(t.Context(), in))(t)
	h.Advance(90 * time.Minute)
	in.Target = users("b" + attempt)
	must(h.UpdateSchedule(t.Context(), update(in)))(t)
	h.Advance(40 * time.Minute) // 2h10
	in.ScheduleExpression = aws.String("rate(2 hours)")
	must(h.UpdateSchedule(t.Context(), update(in)))(t)
	h.Advance(2 * time.Hour) // 4h10
	in.State = types.ScheduleStateDisabled
	must(h.UpdateSchedule(t.Context(), update(in)))(t)
	h.Advance(5 * time.Hour) // 9h10
	in.State = types.ScheduleStateEnabled
	must(h.UpdateSchedule(t.Context(), update(in)))(t)
	h.Advance(time.Hour)
	want := []string{"a@0s", "a@1h0m0s", "b@2h0m0s", "b@2h10m0s", "b@4h10m0s", "b@9h10m0s"}
	if d := cmp.Diff(want, strip(h.invoked())); d != "" {
		t.Errorf("invoked (-want +got):\n%s", d)
	}
}

// Clocks in New York go back on November 1, 2026, and forward on March 14, 2027.
func TestDaylightSaving(t *testing.T) {
	h := start(t)
	h.create("daily", "cron(30 2 ? 3 * *)", users("d"+attempt), func(in *scheduler.CreateScheduleInput) {
		in.ScheduleExpressionTimezone = aws.String("America/New_York")
		in.StartDate, in.EndDate = aws.Time(time.Date(2027, 3, 12, 12, 0, 0, 0, time.UTC)), aws.Time(time.Date(2027, 3, 16, 0, 0, 0, 0, time.UTC))
	})
	h.to(time.Date(2027, 4, 1, 0, 0, 0, 0, time.UTC))
	var got []string
	for _, c := range h.invoked() {
		_, at, _ := strings.Cut(c, "@")
		d, _ := time.ParseDuration(at)
		got = append(got, epoch.Add(d).Format(time.RFC3339))
	}
	if d := cmp.Diff([]string{"2027-03-13T07:30:00Z", "2027-03-15T06:30:00Z"}, got); d != "" {
		t.Errorf("invoked (-want +got):\n%s", d)
	}
}

func TestFlexibleWindow(t *testing.T) {
	h := start(t)
	for i := range 8 {
		h.create(fmt.Sprint("w", i), "at(2026-11-27T02:00:00)", users(fmt.Sprintf("w%d-<aws.scheduler.attempt-number>", i)), func(in *scheduler.CreateScheduleInput) {
			in.FlexibleTimeWindow = &types.FlexibleTimeWindow{Mode: types.FlexibleTimeWindowModeFlexible, MaximumWindowInMinutes: aws.Int32(15)}
		})
	}
	h.Advance(45*time.Minute - 1)
	times := make(map[string]bool)
	for _, c := range h.invoked() {
		_, at, _ := strings.Cut(c, "@")
		d, _ := time.ParseDuration(at)
		if d < 30*time.Minute || d >= 45*time.Minute {
			t.Errorf("invoked at %s", at)
		}
		times[at] = true
	}
	if len(h.invoked()) != 8 || len(times) < 3 {
		t.Errorf("invoked %v", h.invoked())
	}
}

// A window that is longer than the time between two invocations leaves none out, however old they may get.
func TestLongWindow(t *testing.T) {
	h := start(t)
	target := users("w" + attempt)
	target.RetryPolicy = &types.RetryPolicy{MaximumEventAgeInSeconds: aws.Int32(60)}
	h.create("w", "rate(10 minutes)", target, func(in *scheduler.CreateScheduleInput) {
		in.FlexibleTimeWindow = &types.FlexibleTimeWindow{Mode: types.FlexibleTimeWindowModeFlexible, MaximumWindowInMinutes: aws.Int32(120)}
		in.EndDate = aws.Time(epoch.Add(3 * time.Hour))
	})
	h.Advance(6 * time.Hour)
	if n := len(h.invoked()); n != 19 {
		t.Errorf("%d invocations", n)
	}
}

func TestActionAfterCompletion(t *testing.T) {
	h := start(t)
	deletes := func(in *scheduler.CreateScheduleInput) { in.ActionAfterCompletion = types.ActionAfterCompletionDelete }
	h.create("once", "at(2026-11-27T02:00:00)", users("once"), deletes)
	h.create("fails", "at(2026-11-27T02:00:00)", users("once"), deletes) // which of the two comes first makes the user
	h.create("thrice", "cron(0 * * * ? *)", users("thrice"+attempt), deletes, func(in *scheduler.CreateScheduleInput) { in.EndDate = aws.Time(epoch.Add(3 * time.Hour)) })
	h.create("stays", "at(2026-11-27T02:00:00)", users("stays"))
	names := func() (names []string) {
		for _, s := range must(h.ListSchedules(t.Context(), &scheduler.ListSchedulesInput{}))(t).Schedules {
			names = append(names, *s.Name)
		}
		return names
	}
	h.Advance(time.Hour)
	if d := cmp.Diff([]string{"stays", "thrice"}, names()); d != "" {
		t.Errorf("after an hour (-want +got):\n%s", d)
	}
	h.Advance(time.Hour)
	if d := cmp.Diff([]string{"stays", "thrice"}, names()); d != "" {
		t.Errorf("after two hours (-want +got):\n%s", d)
	}
	h.Advance(time.Hour)
	if d := cmp.Diff([]string{"stays"}, names()); d != "" {
		t.Errorf("after three hours (-want +got):\n%s", d)
	}
	if n := len(h.invoked()); n != 6 {
		t.Errorf("invoked %v", h.invoked())
	}
}

func TestContextAttributes(t *testing.T) {
	h := start(t)
	target := users("u-<aws.scheduler.attempt-number>-<aws.scheduler.execution-id>")
	target.Input = aws.String(`{"UserName":"u-<aws.scheduler.attempt-number>-<aws.scheduler.execution-id>","Tags":[{"Key":"arn","Value":"<aws.scheduler.schedule-arn>"},{"Key":"time","Value":"<aws.scheduler.scheduled-time>"}]}`)
	h.create("ctx", "at(2026-11-27T02:00:00)", target, func(in *scheduler.CreateScheduleInput) {
		in.FlexibleTimeWindow = &types.FlexibleTimeWindow{Mode: types.FlexibleTimeWindowModeFlexible, MaximumWindowInMinutes: aws.Int32(60)}
	})
	h.Advance(3 * time.Hour)
	for _, e := range h.Trail(home) {
		if e.EventName != "CreateUser" {
			continue
		}
		raw := string(e.Raw)
		for _, want := range []string{`"userName":"u-1-`, `"value":"` + nameARN + `default/ctx"`, `"value":"2026-11-27T02:00:00Z"`, `"type":"AssumedRole"`, `:assumed-role/runner/`, `"sourceIPAddress":"scheduler.amazonaws.com"`} {
			if !strings.Contains(raw, want) {
				t.Errorf("the record has no %s: %s", want, raw)
			}
		}
		return
	}
	t.Error("nothing was invoked")
}

// Thirty days of hourly schedules: each fires 720 times, in order, and moving the clock twice the same way does the same.
func TestThirtyDays(t *testing.T) {
	const schedules = 2
	run := func() []string {
		h := start(t)
		for i := range schedules {
			h.create(fmt.Sprint("s", i), fmt.Sprintf("cron(%d * * * ? *)", i), users(fmt.Sprintf("s%d", i)))
		}
		began := time.Now()
		h.Advance(30 * 24 * time.Hour)
		t.Logf("%d schedules over thirty days took %s", schedules, time.Since(began))
		return h.invoked()
	}
	calls := run()
	if len(calls) != schedules*720 {
		t.Fatalf("%d invocations", len(calls))
	}
	for i, c := range calls {
		name, at, _ := strings.Cut(c, "@")
		name, _, _ = strings.Cut(name, "(") // each user but the first is there already
		d, _ := time.ParseDuration(at)
		if want := 30*time.Minute + time.Duration(i/schedules)*time.Hour + time.Duration(i%schedules)*time.Minute; d != want || name != fmt.Sprint("s", i%schedules) {
			t.Fatalf("invocation %d is %s, want s%d@%s", i, c, i%schedules, want)
		}
	}
	if d := cmp.Diff(calls, run()); d != "" {
		t.Errorf("another time (-first +second):\n%s", d)
	}
}

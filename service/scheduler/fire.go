package scheduler

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/engine/schedule"
)

// A schedule that is due again has a timer for the next time. When it fires, one transaction puts the invocation into a lane, and sets the timer for the time after: so each time is invoked once, also over a crash.
//
// The times do not drift: the next one is counted from the one before, and not from when the timer fired. Those that came while nobody was there fire as soon as somebody is again, in order. A target with a
// MaximumEventAgeInSeconds of its own says how late an invocation may be: of those that are older, only the first fires. The usual 24 hours bound nothing, for nothing is to be lost where nobody said so.

// times is when the schedule is due, its dates aside. Its error is one for the caller.
func (r *scheduleRecord) times() (schedule.Schedule, error) {
	zone, err := schedule.Zone(r.Zone)
	if err != nil {
		return schedule.Schedule{}, invalid("Invalid Schedule Expression Timezone %s.", r.Zone)
	}
	s, err := schedule.Parse(r.Expression, zone)
	if err != nil {
		return schedule.Schedule{}, invalid("Invalid Schedule Expression %s.", r.Expression)
	}
	return s.From(r.Anchor), nil
}

// begin is when a rate begins: at its StartDate, or now.
func (r *scheduleRecord) begin(now time.Time) time.Time {
	if r.Start != nil {
		return *r.Start
	}
	return now.Truncate(time.Second)
}

// next returns the first time after the one given at which the schedule is due. The dates are those of schedules that recur:
// https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html
func (r *scheduleRecord) next(after time.Time) (time.Time, bool) {
	times, err := r.times()
	if err != nil {
		return time.Time{}, false // it was a schedule when it was made
	}
	if !times.Recurring() {
		return times.Next(after)
	}
	if r.Start != nil && after.Before(*r.Start) {
		after = r.Start.Add(-1)
	}
	due, ok := times.Next(after)
	return due, ok && (r.End == nil || !due.After(*r.End))
}

// dueTimer is the payload of a schedule's timer.
type dueTimer struct {
	Version string
	Due, At time.Time // by the expression, and when the timer was set for: within a flexible window, that is later
}

// subject names a schedule in its account and region.
func (r *scheduleRecord) subject() string { return r.Group + "/" + r.Name }

// arm sets the timer for the first time after the one given, or reports false if there is none.
func arm(c *call.Call, r *scheduleRecord, after time.Time) (bool, error) {
	due, ok := r.next(after)
	if !ok || r.Disabled {
		return false, c.Cancel(c.Scope, fireTimer, r.subject())
	}
	at := due
	if r.Window > 0 { // anywhere in it, to the second
		var b [8]byte
		if _, err := io.ReadFull(c.Rand, b[:]); err != nil {
			return false, err
		}
		at = due.Add(time.Duration(binary.BigEndian.Uint64(b[:])%uint64(60*r.Window)) * time.Second)
	}
	payload, err := json.Marshal(dueTimer{r.Version, due, at})
	if err != nil {
		return false, err
	}
	return true, c.At(at, c.Scope, fireTimer, r.subject(), payload)
}

// fire invokes a schedule that is due.
func (s *Service) fire(c *call.Call, subject string, payload []byte) error {
	var t dueTimer
	if err := json.Unmarshal(payload, &t); err != nil {
		return fmt.Errorf("reading the timer of schedule %s: %w", subject, err)
	}
	group, name := splitSubject(subject)
	r, err := load(c, group, name)
	if err != nil || r == nil || r.Version != t.Version || r.Disabled {
		return err // it was changed meanwhile, and has another timer or none
	}
	age, after := time.Duration(r.Target.Age)*time.Second, t.Due
	if oldest := c.Time.Add(-age - time.Duration(r.Window)*time.Minute - 1); r.Target.Age < defaultAge && after.Before(oldest) {
		after = oldest
	}
	more, err := arm(c, r, after)
	if err != nil {
		return err
	}
	var id [8]byte
	if _, err := io.ReadFull(c.Rand, id[:]); err != nil {
		return err
	}
	i := invocation{
		Group: r.Group, Name: r.Name, Version: r.Version, ID: hex.EncodeToString(id[:]), Due: t.Due, Last: !more && r.Deletes, Target: r.Target, Key: r.Key, DataKey: r.DataKey,
	}
	if payload, err = json.Marshal(i); err != nil {
		return err
	}
	// Each invocation has a lane of its own: it is tried again whatever becomes of the next one.
	return c.Post(&delivery.Parcel{
		Lane:    delivery.Lane{Service: c.Service(), Account: c.Scope.Account, Region: c.Scope.Region, Kind: targetLane, Subject: subject + "/" + i.ID},
		Payload: payload, MaxAttempts: int(r.Target.Retries) + 1, Expires: t.At.Add(age),
	})
}

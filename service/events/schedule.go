package events

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/holdfast-cloud/holdfast/api/events"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/schedule"
	"github.com/holdfast-cloud/holdfast/outbox"
	"github.com/holdfast-cloud/holdfast/store"
)

// scheduleTimer is the kind of the timers of rules with a schedule. Its subject is the rule's name: they are all on the default bus.
const scheduleTimer = "schedule"

// ticks reports whether the rule's schedule runs.
func (r *ruleRecord) ticks() bool {
	return r.Schedule != "" && r.State != "" && r.State != string(events.RuleStateDisabled)
}

// reschedule sets the timer of a rule that is put, if its schedule is another one. What was is empty for a new rule.
func (s *Service) reschedule(c *call.Call, was, now *ruleRecord) error {
	if !now.ticks() {
		return s.unschedule(c, was)
	}
	if was.ticks() && was.Schedule == now.Schedule {
		return nil
	}
	now.Since = c.Time.UTC()
	return s.arm(c, now, c.Time)
}

// unschedule removes the timer of a rule.
func (s *Service) unschedule(c *call.Call, r *ruleRecord) error {
	if !r.ticks() {
		return nil
	}
	return c.Cancel(r.scope(c), scheduleTimer, r.Name)
}

func (r *ruleRecord) scope(c *call.Call) call.Scope {
	return call.Scope{Partition: c.Scope.Partition, Account: r.Account, Region: r.Region}
}

// arm sets the timer for the first time after the one given. A rate counts from when the schedule began.
func (s *Service) arm(c *call.Call, r *ruleRecord, after time.Time) error {
	x, err := schedule.ParseRule(r.Schedule)
	if err != nil {
		return fmt.Errorf("the schedule of rule %s: %w", r.Name, err)
	}
	due, ok := x.From(r.Since.Add(x.Rate())).Next(after)
	if !ok {
		return nil
	}
	payload, err := json.Marshal(due)
	if err != nil {
		return err
	}
	return c.At(due, r.scope(c), scheduleTimer, r.Name, payload)
}

// scheduleDue is what the timer does: the rule's targets get a "Scheduled Event". What was missed while nobody was there is not made up for.
func (s *Service) scheduleDue(c *call.Call, name string, payload []byte) error {
	r, err := ruleTable.In(c.Scope.Account, c.Scope.Region).Get(c.Tx(), defaultBus, name)
	if missing(err) || err == nil && !r.ticks() {
		return nil
	}
	if err != nil {
		return err
	}
	var due time.Time
	if err := json.Unmarshal(payload, &due); err != nil {
		return fmt.Errorf("the schedule of rule %s: %w", r.Name, err)
	}
	h := &heard{Bus: r.bus(), Event: &outbox.Event{
		ID: c.UUID(), DetailType: "Scheduled Event", Source: "aws.events", Account: r.Account, Time: due, Region: r.Region, Resources: []string{r.arn(c.Scope.Partition)},
		Detail: json.RawMessage("{}"),
	}}
	if h.JSON, err = encode(h.Event, ""); err != nil {
		return err
	}
	if h.bus, err = readBus(c.Tx(), h.Bus); err != nil {
		return err
	}
	var to []*targetRecord
	for t, err := range targetTable.In(r.Account, r.Region).Scan(c.Tx(), store.Query{Prefix: store.Key{r.Bus, r.Name}}) {
		if err != nil {
			return err
		}
		to = append(to, t)
	}
	s.count(c, r.bus(), r.Name, "TriggeredRules", 1)
	if err := s.post(c, h, to); err != nil {
		return err
	}
	after := c.Time
	if due.After(after) {
		after = due // the machine's clock was set back
	}
	return s.arm(c, r, after)
}

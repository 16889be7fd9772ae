package scheduler

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/scheduler"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

const (
	scheduleType = "AWS::Scheduler::Schedule"

	// startTolerance is how long a StartDate may be over.
	startTolerance = 5 * time.Minute
)

// named is a schedule as a request names it.
type named struct {
	arn, group, name string
	of               *groupRecord    // nil if there is none
	record           *scheduleRecord // nil if there is none
}

// find finds and authorizes a schedule of the caller's account, which need not be there.
func find(c *call.Call, group *string, name string) (n named, err error) {
	n.group, n.name = defaultGroup, name
	if group != nil {
		n.group = *group
	}
	n.arn = scheduleARN(c.Scope, n.group, n.name)
	if n.of, err = findGroup(c, n.group); err != nil {
		return n, err
	}
	if n.record, err = load(c, n.group, n.name); err != nil {
		return n, err
	}
	r := &call.Resource{ARN: n.arn, Type: scheduleType}
	if n.of != nil {
		r.Tags = n.of.Tags // schedules have none of their own
	}
	return n, c.Authorize(r)
}

// there returns an error for a schedule that is not there.
func (n named) there() error {
	switch {
	case n.of == nil:
		return noGroup(n.group)
	case n.record == nil:
		return notFound("Schedule %s does not exist.", n.name)
	}
	return nil
}

// load returns a schedule, or nil.
func load(c *call.Call, group, name string) (*scheduleRecord, error) {
	r, err := scheduleTable.In(c.Scope.Account, c.Scope.Region).Get(c.Tx(), group, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("loading schedule %s/%s: %w", group, name, err)
	}
	return r, nil
}

// remove deletes a schedule. What it has fired goes on.
func remove(c *call.Call, r *scheduleRecord) error {
	if err := c.Cancel(c.Scope, fireTimer, r.subject()); err != nil {
		return err
	}
	return scheduleTable.In(c.Scope.Account, c.Scope.Region).Delete(c.Tx(), r.Group, r.Name)
}

// CreateSchedule makes a schedule.
func (s *Service) CreateSchedule(c *call.Call, in *scheduler.CreateScheduleInput) (*scheduler.CreateScheduleOutput, error) {
	n, err := find(c, in.GroupName, *in.Name)
	if err != nil {
		return nil, err
	}
	if err := n.takes(); err != nil {
		return nil, err
	}
	// What is asked for is what an update asks for.
	r, err := s.described(c, n, (*scheduler.UpdateScheduleInput)(in))
	if err != nil {
		return nil, err
	}
	out := &scheduler.CreateScheduleOutput{ScheduleArn: &n.arn}
	if n.record != nil {
		if same, err := s.askedBefore(n.record.Asked, n.arn, in.ClientToken, in); err != nil || same {
			return out, err
		}
		return nil, conflict("Schedule %s already exists.", n.name)
	}
	if r.Asked, err = s.asking(n.arn, in.ClientToken, in); err != nil {
		return nil, err
	}
	r.Created, r.Anchor = c.Time, r.begin(c.Time)
	return out, s.put(c, r, optional.Value(in.Target.Input))
}

// takes returns an error if the group takes no schedules.
func (n named) takes() error {
	switch {
	case n.of == nil:
		return noGroup(n.group)
	case n.of.Deleting:
		return beingDeleted(n.group)
	}
	return nil
}

// UpdateSchedule puts a schedule in place of one that is there. What the request leaves out is as in a new one.
func (s *Service) UpdateSchedule(c *call.Call, in *scheduler.UpdateScheduleInput) (*scheduler.UpdateScheduleOutput, error) {
	n, err := find(c, in.GroupName, *in.Name)
	if err != nil {
		return nil, err
	}
	if err := n.there(); err != nil {
		return nil, err
	}
	if err := n.takes(); err != nil {
		return nil, err
	}
	r, err := s.described(c, n, in)
	if err != nil {
		return nil, err
	}
	was := n.record
	r.Created, r.Anchor, r.Asked = was.Created, was.Anchor, was.Asked
	if r.Expression != was.Expression || !same(r.Start, was.Start) || was.Disabled && !r.Disabled {
		r.Anchor = r.begin(c.Time)
	}
	return &scheduler.UpdateScheduleOutput{ScheduleArn: &n.arn}, s.put(c, r, optional.Value(in.Target.Input))
}

func same(a, b *time.Time) bool { return a == b || a != nil && b != nil && a.Equal(*b) }

// put writes a schedule and sets its timer.
func (s *Service) put(c *call.Call, r *scheduleRecord, input string) error {
	if err := s.seal(c, r, input); err != nil {
		return err
	}
	// What is due at this very moment is still to come.
	if _, err := arm(c, r, c.Time.Truncate(time.Second).Add(-1)); err != nil {
		return err
	}
	return scheduleTable.In(c.Scope.Account, c.Scope.Region).Put(c.Tx(), r)
}

// described makes a record of what a request says of a schedule, and asks whether its role may be passed.
func (s *Service) described(c *call.Call, n named, in *scheduler.UpdateScheduleInput) (*scheduleRecord, error) {
	r := &scheduleRecord{
		Group: n.group, Name: n.name, Modified: c.Time, Description: optional.Value(in.Description), Expression: *in.ScheduleExpression, Zone: "UTC",
		Start: in.StartDate, End: in.EndDate, Disabled: in.State == scheduler.ScheduleStateDisabled, Deletes: in.ActionAfterCompletion == scheduler.ActionAfterCompletionDelete,
		Key: optional.Value(in.KmsKeyArn),
	}
	if in.ScheduleExpressionTimezone != nil {
		r.Zone = *in.ScheduleExpressionTimezone
	}
	if w := in.FlexibleTimeWindow; w.Mode == scheduler.FlexibleTimeWindowModeFlexible {
		if w.MaximumWindowInMinutes == nil {
			return nil, invalid("MaximumWindowInMinutes is required for the flexible time window mode FLEXIBLE.")
		}
		r.Window = *w.MaximumWindowInMinutes
	}
	times, err := r.times()
	switch {
	case err != nil:
		return nil, err
	case times.Recurring() && r.Start != nil && r.Start.Before(c.Time.Add(-startTolerance)):
		return nil, invalid("The StartDate you specify cannot be earlier than 5 minutes ago.")
	case times.Recurring() && r.Start != nil && r.End != nil && !r.Start.Before(*r.End):
		return nil, invalid("The StartDate you specify must come before the EndDate you specify.")
	}
	if r.Target, err = s.checkTarget(c, in.Target); err != nil {
		return nil, err
	}
	if err := mayAct(c, r); err != nil {
		return nil, err
	}
	var version [12]byte
	if _, err := io.ReadFull(c.Rand, version[:]); err != nil {
		return nil, err
	}
	r.Version = hex.EncodeToString(version[:])
	return r, nil
}

// mayAct asks whether the caller may pass the schedule's role to Scheduler, and whether the role lets Scheduler act for the group:
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/cross-service-confused-deputy-prevention.html
func mayAct(c *call.Call, r *scheduleRecord) error {
	err := c.PassRole(r.Target.Role, scheduler.Service.EventSource)
	if err == nil {
		_, err = c.AsRole(r.Target.Role, groupARN(c.Scope, r.Group))
	}
	if errors.Is(err, call.ErrRole) {
		return invalid("The execution role you provide must allow AWS EventBridge Scheduler to assume the role.")
	}
	return err
}

// GetSchedule tells of a schedule.
func (s *Service) GetSchedule(c *call.Call, in *scheduler.GetScheduleInput) (*scheduler.GetScheduleOutput, error) {
	n, err := find(c, in.GroupName, *in.Name)
	if err != nil {
		return nil, err
	}
	if err := n.there(); err != nil {
		return nil, err
	}
	r := n.record
	input, err := s.open(c, r.sealed(n.arn))
	if err != nil {
		return nil, ofKMS(err)
	}
	out := &scheduler.GetScheduleOutput{
		ActionAfterCompletion: scheduler.ActionAfterCompletionNone, Arn: &n.arn, CreationDate: &r.Created, LastModificationDate: &r.Modified, Description: optional.NonZero(r.Description),
		StartDate: r.Start, EndDate: r.End, FlexibleTimeWindow: &scheduler.FlexibleTimeWindow{Mode: scheduler.FlexibleTimeWindowModeOff}, GroupName: &r.Group, Name: &r.Name,
		KmsKeyArn: optional.NonZero(r.Key), ScheduleExpression: &r.Expression, ScheduleExpressionTimezone: &r.Zone, State: r.state(), Target: r.Target.shape(input),
	}
	if r.Deletes {
		out.ActionAfterCompletion = scheduler.ActionAfterCompletionDelete
	}
	if r.Window > 0 {
		out.FlexibleTimeWindow = &scheduler.FlexibleTimeWindow{Mode: scheduler.FlexibleTimeWindowModeFlexible, MaximumWindowInMinutes: &r.Window}
	}
	return out, nil
}

func (r *scheduleRecord) state() scheduler.ScheduleState {
	if r.Disabled {
		return scheduler.ScheduleStateDisabled
	}
	return scheduler.ScheduleStateEnabled
}

func (r *scheduleRecord) sealed(arn string) sealed {
	return sealed{name: arn, version: r.Version, key: r.Key, dataKey: r.DataKey, input: r.Target.Input}
}

// shape is the target as the API has it.
func (t *targetRecord) shape(input string) *scheduler.Target {
	out := &scheduler.Target{
		Arn: &t.ARN, RoleArn: &t.Role, Input: optional.NonZero(input), RetryPolicy: &scheduler.RetryPolicy{MaximumEventAgeInSeconds: &t.Age, MaximumRetryAttempts: &t.Retries},
	}
	if t.DeadLetters != "" {
		out.DeadLetterConfig = &scheduler.DeadLetterConfig{Arn: &t.DeadLetters}
	}
	if t.Source != "" {
		out.EventBridgeParameters = &scheduler.EventBridgeParameters{Source: &t.Source, DetailType: &t.DetailType}
	}
	if t.MessageGroup != "" {
		out.SqsParameters = &scheduler.SqsParameters{MessageGroupId: &t.MessageGroup}
	}
	return out
}

// DeleteSchedule deletes a schedule.
func (s *Service) DeleteSchedule(c *call.Call, in *scheduler.DeleteScheduleInput) (*scheduler.DeleteScheduleOutput, error) {
	n, err := find(c, in.GroupName, *in.Name)
	if err != nil {
		return nil, err
	}
	out, id := &scheduler.DeleteScheduleOutput{}, n.group+"/"+n.name
	if err := n.there(); err != nil {
		if before, lookup := deletedBefore(c, "schedule", id, in.ClientToken); lookup != nil || before {
			return out, lookup
		}
		return nil, err
	}
	if err := remove(c, n.record); err != nil {
		return nil, err
	}
	return out, rememberDeleted(c, "schedule", id, in.ClientToken)
}

// ListSchedules lists schedules by their groups and names.
func (s *Service) ListSchedules(c *call.Call, in *scheduler.ListSchedulesInput) (*scheduler.ListSchedulesOutput, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	prefix, q := optional.Value(in.NamePrefix), store.Query{}
	if in.GroupName != nil {
		if g, err := findGroup(c, *in.GroupName); err != nil || g == nil {
			if err == nil {
				err = noGroup(*in.GroupName)
			}
			return nil, err
		}
		q.Prefix = store.Key{*in.GroupName, store.Begin(prefix)}
	}
	records, next, err := page(c, scheduleTable, q, in.NextToken, in.MaxResults, fmt.Sprintf("%q %q", prefix, in.State), func(r *scheduleRecord) bool {
		return strings.HasPrefix(r.Name, prefix) && (in.State == "" || in.State == r.state())
	})
	if err != nil {
		return nil, err
	}
	out := &scheduler.ListSchedulesOutput{Schedules: []scheduler.ScheduleSummary{}, NextToken: next}
	for _, r := range records {
		out.Schedules = append(out.Schedules, scheduler.ScheduleSummary{
			Arn: new(r.arn(c.Scope)), CreationDate: &r.Created, GroupName: &r.Group, LastModificationDate: &r.Modified, Name: &r.Name, State: r.state(),
			Target: &scheduler.TargetSummary{Arn: &r.Target.ARN},
		})
	}
	return out, nil
}

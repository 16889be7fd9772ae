package cloudwatch

import (
	"encoding/json"
	"fmt"

	"github.com/holdfast-cloud/holdfast/api/cloudwatch"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/outbox"
	"github.com/holdfast-cloud/holdfast/store"
)

// turn brings an alarm into another state: with its actions, the events about it, and what it means for the composite alarms above it. depth counts how many alarms have turned
// because of each other.
func (s *Service) turn(c *call.Call, a *alarmRecord, next State, depth int) error {
	if a.State.Value == next.Value {
		a.State = next
		return alarms(c).Put(c.Tx(), a)
	}
	a.Previous, a.State, a.Changed = a.State, next, next.Since
	if err := s.stateHistory(c, a); err != nil {
		return err
	}
	suppressed, err := s.suppress(c, a)
	if err != nil {
		return err
	}
	if err := s.stateEvent(c, a); err != nil {
		return err
	}
	if !suppressed {
		if err := s.act(c, a); err != nil {
			return err
		}
	}
	if err := alarms(c).Put(c.Tx(), a); err != nil {
		return err
	}
	return s.tellParents(c, a, depth)
}

// SetAlarmState brings an alarm into a state until it is evaluated again.
func (s *Service) SetAlarmState(c *call.Call, in *cloudwatch.SetAlarmStateInput) (*cloudwatch.SetAlarmStateResponse, error) {
	a, err := named(c, optional.Value(in.AlarmName))
	if err != nil {
		return nil, err
	}
	if a == nil {
		return nil, new(cloudwatch.ResourceNotFound)
	}
	data := optional.Value(in.StateReasonData)
	if data != "" && !json.Valid([]byte(data)) {
		return nil, &cloudwatch.InvalidFormatFault{Message: "StateReasonData is not valid JSON"}
	}
	if err := s.turn(c, a, State{in.StateValue, optional.Value(in.StateReason), data, c.Time}, 0); err != nil {
		return nil, err
	}
	if a.Watch != nil {
		if err := awaken(c.Tx(), homeOf(c), a, c.Time.Add(a.Watch.interval()), c.Time); err != nil {
			return nil, err
		}
	}
	return &cloudwatch.SetAlarmStateResponse{}, nil
}

// EnableAlarmActions has the actions of alarms carried out.
func (s *Service) EnableAlarmActions(c *call.Call, in *cloudwatch.EnableAlarmActionsInput) (*cloudwatch.EnableAlarmActionsResponse, error) {
	return &cloudwatch.EnableAlarmActionsResponse{}, s.enable(c, in.AlarmNames, true)
}

// DisableAlarmActions has them not carried out.
func (s *Service) DisableAlarmActions(c *call.Call, in *cloudwatch.DisableAlarmActionsInput) (*cloudwatch.DisableAlarmActionsResponse, error) {
	return &cloudwatch.DisableAlarmActionsResponse{}, s.enable(c, in.AlarmNames, false)
}

// enable leaves names that no alarm has alone, as CloudWatch does.
func (s *Service) enable(c *call.Call, names []string, enabled bool) error {
	if len(names) == 0 {
		return c.Authorize(&call.Resource{ARN: alarmARN(c, "*")})
	}
	var found []*alarmRecord
	for _, name := range names {
		a, err := named(c, name)
		if err != nil {
			return err
		}
		if a != nil && a.Disabled == enabled {
			found = append(found, a)
		}
	}
	for _, a := range found {
		old := *a
		a.Disabled, a.Configured = !enabled, c.Time
		if err := s.configured(c, a, &old, "update"); err != nil {
			return err
		}
		if err := alarms(c).Put(c.Tx(), a); err != nil {
			return err
		}
	}
	return nil
}

// maxDeleted is how many alarms one call deletes.
const maxDeleted = 100

// DeleteAlarms deletes alarms. Names that none has are no error.
func (s *Service) DeleteAlarms(c *call.Call, in *cloudwatch.DeleteAlarmsInput) (*cloudwatch.DeleteAlarmsResponse, error) {
	if len(in.AlarmNames) == 0 || len(in.AlarmNames) > maxDeleted {
		if err := c.Authorize(&call.Resource{ARN: alarmARN(c, "*")}); err != nil {
			return nil, err
		}
		return nil, validation("Between 1 and %d alarms can be deleted at once.", maxDeleted)
	}
	var found []*alarmRecord
	composites := 0
	for _, name := range in.AlarmNames {
		a, err := named(c, name)
		if err != nil {
			return nil, err
		}
		if a == nil {
			continue
		}
		if a.Composite != nil {
			composites++
		}
		found = append(found, a)
	}
	if composites > 1 {
		return nil, validation("You can't delete more than one composite alarm in one operation.")
	}
	for _, a := range found {
		if err := s.deleteAlarm(c, a); err != nil {
			return nil, err
		}
	}
	return &cloudwatch.DeleteAlarmsResponse{}, nil
}

func (s *Service) deleteAlarm(c *call.Call, a *alarmRecord) error {
	for _, role := range []string{"child", "suppressor"} {
		n, err := alarms(c).Count(c.Tx(), store.Query{Index: "child", Prefix: store.Key{role, a.Name}, Limit: 1})
		if err != nil {
			return fmt.Errorf("looking for composite alarms: %w", err)
		}
		if n > 0 {
			return validation("Cannot delete %s as there are composite alarms depending on it.", a.Name)
		}
	}
	h := homeOf(c)
	if err := s.configured(c, a, nil, "delete"); err != nil {
		return err
	}
	if err := asleep(c.Tx(), h, a); err != nil {
		return err
	}
	if err := c.Cancel(c.Scope, suppressTimer, a.Name); err != nil {
		return err
	}
	if err := putTags(c.Tx(), h, alarmARN(c, a.Name), nil); err != nil {
		return err
	}
	return store.IgnoreNotFound(alarms(c).Delete(c.Tx(), a.Name))
}

// emit raises an event about an alarm:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html
func emit(c *call.Call, a *alarmRecord, kind string, detail any) error {
	b, err := json.Marshal(detail)
	if err != nil {
		return fmt.Errorf("writing an event: %w", err)
	}
	return c.Emit(outbox.Event{
		DetailType: kind, Source: "aws.cloudwatch", Account: c.Scope.Account, Region: c.Scope.Region, Time: c.Time, Resources: []string{alarmARN(c, a.Name)}, Detail: b,
	})
}

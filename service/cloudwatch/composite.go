package cloudwatch

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/cloudwatch"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// PutCompositeAlarm makes an alarm of other alarms, or changes one.
func (s *Service) PutCompositeAlarm(c *call.Call, in *cloudwatch.PutCompositeAlarmInput) (*cloudwatch.PutCompositeAlarmResponse, error) {
	a := &alarmRecord{
		Name: optional.Value(in.AlarmName), Description: in.AlarmDescription, Disabled: in.ActionsEnabled != nil && !*in.ActionsEnabled,
		OKActions: in.OKActions, AlarmActions: in.AlarmActions, InsufficientDataActions: in.InsufficientDataActions,
		Composite: &composite{Rule: optional.Value(in.AlarmRule), Wait: optional.Value(in.ActionsSuppressorWaitPeriod), Extension: optional.Value(in.ActionsSuppressorExtensionPeriod)},
	}
	old, tags, err := s.puttable(c, a, in.Tags)
	if err != nil {
		return nil, err
	}
	if old != nil && old.Composite == nil {
		return nil, validation("An alarm of another type with the name %s exists already.", a.Name)
	}
	if err := a.checkActions(c); err != nil {
		return nil, err
	}
	if err := a.compose(c, in.ActionsSuppressor); err != nil {
		return nil, err
	}
	verb := "updated"
	if old == nil {
		verb = "created"
	}
	if err := s.putAlarm(c, a, old, tags); err != nil {
		return nil, err
	}
	return &cloudwatch.PutCompositeAlarmResponse{}, s.weigh(c, a, nil, verb, 0)
}

// compose checks the rule and the suppressor of a composite alarm.
func (a *alarmRecord) compose(c *call.Call, suppressor *string) error {
	prefix := alarmARN(c, "")
	r, err := parseRule(a.Composite.Rule, prefix)
	if err != nil {
		return validation("The alarm rule is not valid: %s.", err)
	}
	a.Composite.Children = r.children()
	wanted := a.Composite.Children
	if suppressor != nil {
		a.Composite.Suppressor = strings.TrimPrefix(*suppressor, prefix)
		if strings.HasPrefix(a.Composite.Suppressor, "arn:") {
			return validation("The alarm %s is not one of this account and region.", *suppressor)
		}
		if a.Composite.Wait <= 0 || a.Composite.Extension <= 0 {
			return validation("ActionsSuppressorWaitPeriod and ActionsSuppressorExtensionPeriod must be specified with ActionsSuppressor.")
		}
		wanted = append(slices.Clone(wanted), a.Composite.Suppressor)
	}
	var missing []string
	for _, name := range wanted {
		there, err := findAlarm(c, name)
		if err != nil {
			return err
		}
		if there == nil && name != a.Name {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return validation("Could not save the composite alarm as alarms [%s] in the alarm rule do not exist", strings.Join(missing, ", "))
	}
	return nil
}

// maxTurns is how many composite alarms may turn because of each other. Alarms in a circle stop there.
const maxTurns = 50

// tellParents evaluates the composite alarms that an alarm is a part of.
func (s *Service) tellParents(c *call.Call, child *alarmRecord, depth int) error {
	if depth >= maxTurns {
		return nil
	}
	for _, role := range []string{"child", "suppressor"} {
		var parents []*alarmRecord
		for a, err := range alarms(c).Scan(c.Tx(), store.Query{Index: "child", Prefix: store.Key{role, child.Name}}) {
			if err != nil {
				return fmt.Errorf("looking for composite alarms: %w", err)
			}
			parents = append(parents, a)
		}
		for _, a := range parents {
			// It may have turned already, on the way of another one.
			a, err := findAlarm(c, a.Name)
			if err != nil {
				return err
			}
			if a == nil {
				continue
			}
			if role == "child" {
				err = s.weigh(c, a, child, "", depth+1)
			} else {
				err = s.suppressorTurned(c, a, child)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// weigh evaluates a composite alarm, because an alarm in it has turned, or it was created or updated itself.
func (s *Service) weigh(c *call.Call, a, child *alarmRecord, verb string, depth int) error {
	r, err := parseRule(a.Composite.Rule, alarmARN(c, ""))
	if err != nil {
		return fmt.Errorf("the rule of alarm %s: %w", a.Name, err)
	}
	var failed error
	states := make(map[string]*alarmRecord)
	value := cloudwatch.StateValueOk
	if r.holds(func(name string) cloudwatch.StateValue {
		if states[name] == nil {
			there, err := findAlarm(c, name)
			if err != nil {
				failed = err
			}
			if there == nil {
				there = new(alarmRecord)
			}
			states[name] = there
		}
		return states[name].State.Value
	}) {
		value = cloudwatch.StateValueAlarm
	}
	if failed != nil || value == a.State.Value {
		return failed
	}
	next := State{Value: value, Since: c.Time}
	if child == nil {
		next.Reason = fmt.Sprintf("%s was %s and its alarm rule evaluates to %s", alarmARN(c, a.Name), verb, value)
	} else {
		next.Reason = fmt.Sprintf("%s transitioned to %s at %s", alarmARN(c, child.Name), child.State.Value, child.Changed.Format("Monday 02 January, 2006 15:04:05 UTC"))
		next.Data = triggers(c, child)
	}
	return s.turn(c, a, next, depth)
}

// triggers is the reason of a composite alarm for programs.
func triggers(c *call.Call, child *alarmRecord) string {
	type state struct {
		Value     cloudwatch.StateValue `json:"value"`
		Timestamp string                `json:"timestamp"`
	}
	type trigger struct {
		ARN   string `json:"arn"`
		State state  `json:"state"`
	}
	b, err := json.Marshal(map[string][]trigger{"triggeringAlarms": {{alarmARN(c, child.Name), state{child.State.Value, stamp(child.Changed)}}}})
	if err != nil {
		return ""
	}
	return string(b)
}

const suppressTimer = "suppress"

// suppress reports whether the actions of an alarm that has just turned are not to be carried out now. Those of a composite alarm wait while its suppressor alarms, and for a while
// before, in which that may happen: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Create_Composite_Alarm.html#Composite_Alarm_Suppression
func (s *Service) suppress(c *call.Call, a *alarmRecord) (bool, error) {
	k := a.Composite
	if k == nil || k.Suppressor == "" {
		return false, nil
	}
	over, err := findAlarm(c, k.Suppressor)
	if err != nil {
		return false, err
	}
	switch {
	case over != nil && over.State.Value == cloudwatch.StateValueAlarm:
		k.By, k.Reason, k.Held = cloudwatch.ActionsSuppressedByAlarm, "Actions suppressed by "+alarmARN(c, k.Suppressor), true
		return true, nil
	case k.By == cloudwatch.ActionsSuppressedByExtensionPeriod:
		k.Held = true
		return true, nil
	case a.State.Value == cloudwatch.StateValueAlarm:
		k.By, k.Reason, k.Held = cloudwatch.ActionsSuppressedByWaitPeriod, "Actions suppressed by WaitPeriod", true
		return true, c.At(c.Time.Add(time.Duration(k.Wait)*time.Second), c.Scope, suppressTimer, a.Name, nil)
	}
	k.By, k.Reason, k.Held = "", "", false
	return false, c.Cancel(c.Scope, suppressTimer, a.Name)
}

// suppressorTurned has a composite alarm see that its suppressor has turned.
func (s *Service) suppressorTurned(c *call.Call, a, over *alarmRecord) error {
	k := a.Composite
	switch {
	case over.State.Value == cloudwatch.StateValueAlarm:
		if k.By == "" && a.State.Value != cloudwatch.StateValueAlarm {
			return nil // there is nothing to suppress
		}
		k.By, k.Reason = cloudwatch.ActionsSuppressedByAlarm, "Actions suppressed by "+alarmARN(c, k.Suppressor)
		if err := c.Cancel(c.Scope, suppressTimer, a.Name); err != nil {
			return err
		}
	case k.By == cloudwatch.ActionsSuppressedByAlarm:
		k.By, k.Reason = cloudwatch.ActionsSuppressedByExtensionPeriod, "Actions suppressed by ExtensionPeriod"
		if err := c.At(c.Time.Add(time.Duration(k.Extension)*time.Second), c.Scope, suppressTimer, a.Name, nil); err != nil {
			return err
		}
	default:
		return nil
	}
	return alarms(c).Put(c.Tx(), a)
}

// suppressed ends a wait or an extension: actions that were held are carried out.
func (s *Service) suppressed(c *call.Call, name string, _ []byte) error {
	a, err := findAlarm(c, name)
	if err != nil || a == nil || a.Composite == nil {
		return err
	}
	k := a.Composite
	held := k.Held
	k.By, k.Reason, k.Held = "", "", false
	if held {
		if err := s.act(c, a); err != nil {
			return err
		}
	}
	return alarms(c).Put(c.Tx(), a)
}

package cloudwatch

import (
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-cloud/holdfast/api/cloudwatch"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
)

// alarmType is the type of alarms in audit records.
const alarmType = "AWS::CloudWatch::Alarm"

// alarmRecord is an alarm and its state: one of metrics, or a composite one, which has a rule.
type alarmRecord struct {
	Name                                             string
	Description                                      *string `json:",omitempty"`
	Disabled                                         bool    `json:",omitempty"` // its actions are not carried out
	OKActions, AlarmActions, InsufficientDataActions []string
	Configured                                       time.Time

	Watch     *watch     `json:",omitempty"`
	Composite *composite `json:",omitempty"`

	State
	Previous State // what the state was before, for messages about it
	Changed  time.Time
}

// State is what an alarm is in, and why.
type State struct {
	Value  cloudwatch.StateValue
	Reason string
	Data   string `json:",omitempty"` // JSON
	Since  time.Time
}

// watch is what an alarm of metrics watches, and when it alarms. There is one query for an alarm of one metric.
type watch struct {
	Queries  []query
	Math     bool   `json:",omitempty"` // it was made with a list of queries
	Extended string `json:",omitempty"` // the statistic was asked for as an extended one

	EvaluationPeriods, DatapointsToAlarm int32 // the latter may be 0
	Threshold                            float64
	Comparison                           cloudwatch.ComparisonOperator
	Missing, LowSamples                  string `json:",omitempty"`
	WallClock                            bool   `json:",omitempty"`
	Zone                                 string `json:",omitempty"`
}

// composite is the rule of a composite alarm.
type composite struct {
	Rule     string
	Children []string // the names in Rule

	Suppressor      string `json:",omitempty"`
	Wait, Extension int32  `json:",omitempty"` // in seconds

	// By is why actions are not carried out at the moment, and Held that some are to be, later.
	By     cloudwatch.ActionsSuppressedBy `json:",omitempty"`
	Reason string                         `json:",omitempty"`
	Held   bool                           `json:",omitempty"`
}

// watched is the query whose data the alarm is about.
func (w *watch) watched() *query {
	for i := range w.Queries {
		if w.Queries[i].returns() {
			return &w.Queries[i]
		}
	}
	return &w.Queries[0]
}

// period is how long a datapoint of the alarm is.
func (w *watch) period() time.Duration {
	p := w.watched().period()
	for i := range w.Queries {
		p = max(p, w.Queries[i].period())
	}
	return p
}

// needed is how many datapoints must breach.
func (w *watch) needed() int {
	if w.DatapointsToAlarm > 0 {
		return int(w.DatapointsToAlarm)
	}
	return int(w.EvaluationPeriods)
}

// interval is how often the alarm is evaluated.
func (w *watch) interval() time.Duration {
	switch p := w.period(); {
	case p < time.Minute:
		return 10 * time.Second
	case p*time.Duration(w.EvaluationPeriods) > 24*time.Hour:
		return time.Hour
	}
	return time.Minute
}

func (a *alarmRecord) watchedMetrics() (keys []store.Key) {
	if a.Watch == nil {
		return nil
	}
	seen := make(map[metricID]bool)
	for i := range a.Watch.Queries {
		if q := &a.Watch.Queries[i]; q.Name != "" {
			if id := q.metric().id(); !seen[id] {
				seen[id] = true
				keys = append(keys, store.Key{id.bytes()})
			}
		}
	}
	return keys
}

func (a *alarmRecord) watchedAlarms() (keys []store.Key) {
	if a.Composite == nil {
		return nil
	}
	for _, child := range a.Composite.Children {
		keys = append(keys, store.Key{"child", child})
	}
	if a.Composite.Suppressor != "" {
		keys = append(keys, store.Key{"suppressor", a.Composite.Suppressor})
	}
	return keys
}

func (a *alarmRecord) kind() cloudwatch.AlarmType {
	if a.Composite != nil {
		return cloudwatch.AlarmTypeCompositeAlarm
	}
	return cloudwatch.AlarmTypeMetricAlarm
}

// actions are those of a state.
func (a *alarmRecord) actions(v cloudwatch.StateValue) []string {
	switch v {
	case cloudwatch.StateValueOk:
		return a.OKActions
	case cloudwatch.StateValueAlarm:
		return a.AlarmActions
	}
	return a.InsufficientDataActions
}

func homeOf(c *call.Call) home { return home{c.Scope.Account, c.Scope.Region} }

func alarmARN(c *call.Call, name string) string { return c.Scope.ARN("cloudwatch", "alarm:"+name) }

func alarms(c *call.Call) store.Rows[alarmRecord] {
	return alarmTable.In(c.Scope.Account, c.Scope.Region)
}

// findAlarm returns an alarm, or nil if there is none of the name.
func findAlarm(c *call.Call, name string) (*alarmRecord, error) {
	a, err := alarms(c).Get(c.Tx(), name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("loading alarm %s: %w", name, err)
	}
	return a, nil
}

// alarmResource is an alarm as permission is asked for it.
func alarmResource(c *call.Call, name string) (*call.Resource, error) {
	arn := alarmARN(c, name)
	tags, err := tagsOf(c.Tx(), homeOf(c), arn)
	return &call.Resource{ARN: arn, Type: alarmType, Tags: tags}, err
}

// named asks for the operation's action on an alarm, and returns it, or nil if there is none.
func named(c *call.Call, name string) (*alarmRecord, error) {
	r, err := alarmResource(c, name)
	if err != nil {
		return nil, err
	}
	if err := c.Authorize(r); err != nil {
		return nil, err
	}
	return findAlarm(c, name)
}

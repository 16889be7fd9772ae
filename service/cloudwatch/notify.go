package cloudwatch

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/cloudwatch"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/delivery"
)

// act posts what the alarm does in its state.
func (s *Service) act(c *call.Call, a *alarmRecord) error {
	if a.Disabled {
		return nil
	}
	for _, action := range a.actions(a.State.Value) {
		if err := s.post(c, a, action); err != nil {
			return err
		}
	}
	return nil
}

// actionLane is the kind of the lanes of actions. Each action of an alarm is a lane of its own, so that its messages arrive in order.
const actionLane = "action"

// action is what is on its way to a topic or a function.
type action struct {
	ID      string
	Alarm   string
	Kind    cloudwatch.AlarmType
	Target  string // ARN
	Subject string `json:",omitempty"` // for topics
	Message []byte // sealed
	Since   string // when the alarm turned
}

// post puts an action into its lane.
func (s *Service) post(c *call.Call, a *alarmRecord, target string) error {
	var message any
	subject := ""
	if strings.Contains(target, ":lambda:") {
		message = struct {
			Source    string    `json:"source"`
			AlarmARN  string    `json:"alarmArn"`
			AccountID string    `json:"accountId"`
			Time      string    `json:"time"`
			Region    string    `json:"region"`
			Data      alarmData `json:"alarmData"`
		}{"aws.cloudwatch", alarmARN(c, a.Name), c.Scope.Account, stamp(a.State.Since), c.Scope.Region, a.data(c)}
	} else {
		message = a.notification(c)
		subject = fmt.Sprintf("%s: %q in %s", a.State.Value, a.Name, regionName(c.Scope.Region))
		if len(subject) > 100 {
			subject = strings.ToValidUTF8(subject[:97], "") + "..."
		}
	}
	b, err := json.Marshal(message)
	if err != nil {
		return fmt.Errorf("writing a notification: %w", err)
	}
	act := action{ID: c.UUID(), Alarm: a.Name, Kind: a.kind(), Target: target, Subject: subject, Since: stamp(a.State.Since)}
	if act.Message, err = s.cfg.Seal.Box(sealedFor).Wrap(act.ID, b); err != nil {
		return fmt.Errorf("sealing a notification: %w", err)
	}
	payload, err := json.Marshal(act)
	if err != nil {
		return fmt.Errorf("writing an action: %w", err)
	}
	return c.Post(&delivery.Parcel{
		Lane:    delivery.Lane{Account: c.Scope.Account, Region: c.Scope.Region, Kind: actionLane, Subject: a.Name + " " + target},
		Payload: payload, MaxAttempts: maxAttempts,
	})
}

const (
	sealedFor = "cloudwatch"

	// maxAttempts is how often an action is tried. With the time between attempts that is about an hour.
	maxAttempts = 20
)

// notification is what an alarm publishes to a topic.
type notification struct {
	AlarmName        string
	AlarmDescription *string
	AWSAccountID     string `json:"AWSAccountId"`
	Configured       string `json:"AlarmConfigurationUpdatedTimestamp"`
	NewStateValue    cloudwatch.StateValue
	NewStateReason   string
	StateChangeTime  string
	Region           string
	AlarmARN         string `json:"AlarmArn"`
	OldStateValue    cloudwatch.StateValue
	OKActions        []string
	AlarmActions     []string
	InsufficientData []string `json:"InsufficientDataActions"`

	Trigger   *trigger          `json:",omitempty"`
	AlarmRule string            `json:",omitempty"`
	Children  []triggeringChild `json:"TriggeringChildren,omitempty"`
}

type triggeringChild struct {
	ARN   string `json:"Arn"`
	State struct {
		Value     cloudwatch.StateValue
		Timestamp string
	}
}

// trigger is what an alarm watches, as notifications have it.
type trigger struct {
	*oneMetric
	Period            int64
	EvaluationPeriods int32
	DatapointsToAlarm int32                         `json:",omitempty"`
	Comparison        cloudwatch.ComparisonOperator `json:"ComparisonOperator"`
	Threshold         float
	Missing           string          `json:"TreatMissingData"`
	LowSamples        string          `json:"EvaluateLowSampleCountPercentile"`
	Metrics           []triggerMetric `json:",omitempty"`
}

type oneMetric struct {
	MetricName        string
	Namespace         string
	StatisticType     string
	Statistic         string `json:",omitempty"`
	ExtendedStatistic string `json:",omitempty"`
	Unit              *string
	Dimensions        []triggerDimension
}

type triggerDimension struct {
	Value string `json:"value"`
	Name  string `json:"name"`
}

type triggerMetric struct {
	Expression string       `json:",omitempty"`
	ID         string       `json:"Id"`
	Label      *string      `json:",omitempty"`
	MetricStat *triggerStat `json:",omitempty"`
	ReturnData bool
}

type triggerStat struct {
	Metric struct {
		Dimensions []triggerDimension
		MetricName string
		Namespace  string
	}
	Period int32
	Stat   string
	Unit   string `json:",omitempty"`
}

func (a *alarmRecord) notification(c *call.Call) notification {
	n := notification{
		AlarmName: a.Name, AlarmDescription: a.Description, AWSAccountID: c.Scope.Account, Configured: stamp(a.Configured),
		NewStateValue: a.State.Value, NewStateReason: a.State.Reason, StateChangeTime: stamp(a.State.Since), Region: regionName(c.Scope.Region), AlarmARN: alarmARN(c, a.Name),
		OldStateValue: a.Previous.Value, OKActions: list(a.OKActions), AlarmActions: list(a.AlarmActions), InsufficientData: list(a.InsufficientDataActions),
	}
	if a.Composite != nil {
		n.AlarmRule, n.Children = a.Composite.Rule, a.triggeringChildren()
		return n
	}
	n.Trigger = a.Watch.trigger()
	return n
}

// triggeringChildren reads again what triggers wrote.
func (a *alarmRecord) triggeringChildren() []triggeringChild {
	var data struct {
		TriggeringAlarms []triggeringChild `json:"triggeringAlarms"`
	}
	if json.Unmarshal([]byte(a.State.Data), &data) != nil { // names of members are read in any case
		return nil
	}
	return data.TriggeringAlarms
}

// statisticNames are those of notifications.
var statisticNames = map[string]string{"SampleCount": "SAMPLE_COUNT", "Average": "AVERAGE", "Sum": "SUM", "Minimum": "MINIMUM", "Maximum": "MAXIMUM"}

func (w *watch) trigger() *trigger {
	t := &trigger{
		Period: int64(w.period().Seconds()), EvaluationPeriods: w.EvaluationPeriods, DatapointsToAlarm: w.DatapointsToAlarm, Comparison: w.Comparison, Threshold: float(w.Threshold),
		Missing: w.Missing, LowSamples: w.LowSamples,
	}
	if t.Missing == "" {
		t.Missing = "missing"
	}
	if w.Math {
		for i := range w.Queries {
			t.Metrics = append(t.Metrics, w.Queries[i].trigger())
		}
		return t
	}
	q := w.watched()
	t.oneMetric = &oneMetric{MetricName: q.Name, Namespace: q.Namespace, StatisticType: "Statistic", Statistic: statisticNames[q.Stat], Dimensions: triggerDimensions(q.Dimensions)}
	if w.Extended != "" {
		t.StatisticType, t.ExtendedStatistic = "ExtendedStatistic", w.Extended
	}
	if q.Unit != "" {
		t.Unit = &q.Unit
	}
	return t
}

func (q *query) trigger() triggerMetric {
	m := triggerMetric{Expression: q.Expression, ID: q.ID, Label: q.Label, ReturnData: q.returns()}
	if q.Name != "" {
		m.MetricStat = &triggerStat{Period: q.Period, Stat: q.Stat, Unit: q.Unit}
		m.MetricStat.Metric.Dimensions, m.MetricStat.Metric.MetricName, m.MetricStat.Metric.Namespace = triggerDimensions(q.Dimensions), q.Name, q.Namespace
	}
	return m
}

func triggerDimensions(dimensions []dimension) []triggerDimension {
	out := []triggerDimension{}
	for _, d := range dimensions {
		out = append(out, triggerDimension{d.Value, d.Name})
	}
	return out
}

// regionName is what notifications call a region.
func regionName(region string) string {
	i := slices.IndexFunc(regionNames, func(r [2]string) bool { return r[0] == region })
	if i < 0 {
		return region
	}
	return regionNames[i][1]
}

var regionNames = [][2]string{
	{"us-east-1", "US East (N. Virginia)"}, {"us-east-2", "US East (Ohio)"}, {"us-west-1", "US West (N. California)"}, {"us-west-2", "US West (Oregon)"},
	{"af-south-1", "Africa (Cape Town)"}, {"ap-east-1", "Asia Pacific (Hong Kong)"}, {"ap-south-1", "Asia Pacific (Mumbai)"}, {"ap-south-2", "Asia Pacific (Hyderabad)"},
	{"ap-southeast-1", "Asia Pacific (Singapore)"}, {"ap-southeast-2", "Asia Pacific (Sydney)"}, {"ap-southeast-3", "Asia Pacific (Jakarta)"},
	{"ap-southeast-4", "Asia Pacific (Melbourne)"}, {"ap-northeast-1", "Asia Pacific (Tokyo)"}, {"ap-northeast-2", "Asia Pacific (Seoul)"},
	{"ap-northeast-3", "Asia Pacific (Osaka)"}, {"ca-central-1", "Canada (Central)"}, {"ca-west-1", "Canada West (Calgary)"}, {"eu-central-1", "EU (Frankfurt)"},
	{"eu-central-2", "Europe (Zurich)"}, {"eu-west-1", "EU (Ireland)"}, {"eu-west-2", "EU (London)"}, {"eu-west-3", "EU (Paris)"}, {"eu-north-1", "EU (Stockholm)"},
	{"eu-south-1", "EU (Milan)"}, {"eu-south-2", "Europe (Spain)"}, {"il-central-1", "Israel (Tel Aviv)"}, {"me-central-1", "Middle East (UAE)"}, {"me-south-1", "Middle East (Bahrain)"},
	{"sa-east-1", "South America (Sao Paulo)"}, {"us-gov-east-1", "AWS GovCloud (US-East)"}, {"us-gov-west-1", "AWS GovCloud (US-West)"}, {"cn-north-1", "China (Beijing)"}, {"cn-northwest-1", "China (Ningxia)"},
}

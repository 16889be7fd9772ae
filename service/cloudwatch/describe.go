package cloudwatch

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/cloudwatch"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// DescribeAlarms lists alarms.
func (s *Service) DescribeAlarms(c *call.Call, in *cloudwatch.DescribeAlarmsInput) (*cloudwatch.DescribeAlarmsOutput, error) {
	types := in.AlarmTypes
	if len(types) == 0 {
		types = []cloudwatch.AlarmType{cloudwatch.AlarmTypeMetricAlarm}
	}
	if err := s.mayDescribe(c, in, types); err != nil {
		return nil, err
	}
	limit := maxRecords
	if in.MaxRecords != nil {
		limit = int(*in.MaxRecords)
	}
	q := store.Query{Limit: limit}
	filters := fmt.Sprintf("%q %q %q %q", in.AlarmNames, types, in.StateValue, optional.Value(in.ActionPrefix))
	keep := func(a *alarmRecord) bool { return slices.Contains(types, a.kind()) && matches(a, in) }
	brief := false
	switch {
	case in.ChildrenOfAlarmName != nil || in.ParentsOfAlarmName != nil:
		if given(in) > 1 {
			return nil, validation("ChildrenOfAlarmName and ParentsOfAlarmName cannot be specified together with other parameters but MaxRecords and NextToken.")
		}
		brief = true
		relatives, err := s.relatives(c, in)
		if err != nil {
			return nil, err
		}
		filters = fmt.Sprintf("%q", relatives)
		keep = func(a *alarmRecord) bool { return slices.Contains(relatives, a.Name) }
	case len(in.AlarmNames) > 0 && in.AlarmNamePrefix != nil:
		return nil, validation("AlarmNamePrefix and AlarmNames cannot be specified together.")
	case in.AlarmNamePrefix != nil:
		q.Prefix = store.Key{store.Begin(*in.AlarmNamePrefix)}
	}
	found, next, err := alarms(c).Page(c.Tx(), q, optional.Value(in.NextToken), filters, keep)
	if errors.Is(err, store.ErrBadToken) {
		return nil, badToken()
	}
	if err != nil {
		return nil, err
	}
	out := &cloudwatch.DescribeAlarmsOutput{MetricAlarms: []cloudwatch.MetricAlarm{}, CompositeAlarms: []cloudwatch.CompositeAlarm{}}
	for _, a := range found {
		switch {
		case brief && a.Watch != nil:
			out.MetricAlarms = append(out.MetricAlarms, cloudwatch.MetricAlarm{AlarmName: &a.Name, AlarmArn: new(alarmARN(c, a.Name)), StateValue: a.State.Value, StateUpdatedTimestamp: &a.State.Since})
		case brief:
			out.CompositeAlarms = append(out.CompositeAlarms, cloudwatch.CompositeAlarm{AlarmName: &a.Name, AlarmArn: new(alarmARN(c, a.Name)), StateValue: a.State.Value, StateUpdatedTimestamp: &a.State.Since})
		case a.Watch != nil:
			out.MetricAlarms = append(out.MetricAlarms, showAlarm(c, a))
		default:
			out.CompositeAlarms = append(out.CompositeAlarms, showComposite(c, a))
		}
	}
	if next != "" {
		out.NextToken = &next
	}
	return out, nil
}

// mayDescribe asks for permission: for alarms that are named for each of them, otherwise, and for composite ones, for all.
func (s *Service) mayDescribe(c *call.Call, in *cloudwatch.DescribeAlarmsInput, types []cloudwatch.AlarmType) error {
	if len(in.AlarmNames) == 0 || slices.Contains(types, cloudwatch.AlarmTypeCompositeAlarm) {
		return c.Authorize(&call.Resource{ARN: alarmARN(c, "*")})
	}
	for _, name := range in.AlarmNames {
		r, err := alarmResource(c, name)
		if err != nil {
			return err
		}
		r.Type = ""
		if err := c.Authorize(r); err != nil {
			return err
		}
	}
	return nil
}

func given(in *cloudwatch.DescribeAlarmsInput) (n int) {
	for _, there := range []bool{
		in.ChildrenOfAlarmName != nil, in.ParentsOfAlarmName != nil, len(in.AlarmNames) > 0, in.AlarmNamePrefix != nil, len(in.AlarmTypes) > 0, in.StateValue != "", in.ActionPrefix != nil,
	} {
		if there {
			n++
		}
	}
	return n
}

func matches(a *alarmRecord, in *cloudwatch.DescribeAlarmsInput) bool {
	if len(in.AlarmNames) > 0 && !slices.Contains(in.AlarmNames, a.Name) || in.StateValue != "" && a.State.Value != in.StateValue {
		return false
	}
	return in.ActionPrefix == nil || slices.ContainsFunc(slices.Concat(a.OKActions, a.AlarmActions, a.InsufficientDataActions), func(action string) bool {
		return strings.HasPrefix(action, *in.ActionPrefix)
	})
}

// relatives are the alarms below or above one.
func (s *Service) relatives(c *call.Call, in *cloudwatch.DescribeAlarmsInput) ([]string, error) {
	if in.ChildrenOfAlarmName != nil {
		a, err := findAlarm(c, *in.ChildrenOfAlarmName)
		if err != nil || a == nil || a.Composite == nil {
			return nil, err
		}
		return a.Composite.Children, nil
	}
	var names []string
	for a, err := range alarms(c).Scan(c.Tx(), store.Query{Index: "child", Prefix: store.Key{"child", *in.ParentsOfAlarmName}}) {
		if err != nil {
			return nil, err
		}
		names = append(names, a.Name)
	}
	return names, nil
}

// DescribeAlarmsForMetric lists the alarms of one metric.
func (s *Service) DescribeAlarmsForMetric(c *call.Call, in *cloudwatch.DescribeAlarmsForMetricInput) (*cloudwatch.DescribeAlarmsForMetricOutput, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	id := newMetric(optional.Value(in.Namespace), optional.Value(in.MetricName), in.Dimensions).id()
	out := &cloudwatch.DescribeAlarmsForMetricOutput{MetricAlarms: []cloudwatch.MetricAlarm{}}
	for a, err := range alarms(c).Scan(c.Tx(), store.Query{Index: "metric", Prefix: store.Key{id.bytes()}}) {
		if err != nil {
			return nil, err
		}
		if a.Watch.asked(in) {
			out.MetricAlarms = append(out.MetricAlarms, showAlarm(c, a))
		}
	}
	return out, nil
}

// asked reports whether an alarm has what is asked for beside the metric.
func (w *watch) asked(in *cloudwatch.DescribeAlarmsForMetricInput) bool {
	q := w.watched()
	return (in.Statistic == "" || w.Extended == "" && q.Stat == string(in.Statistic)) && (in.ExtendedStatistic == nil || w.Extended == *in.ExtendedStatistic) &&
		(in.Period == nil || q.Period == *in.Period) && (in.Unit == "" || q.Unit == string(in.Unit))
}

func showAlarm(c *call.Call, a *alarmRecord) cloudwatch.MetricAlarm {
	w := a.Watch
	out := cloudwatch.MetricAlarm{
		AlarmName: &a.Name, AlarmArn: new(alarmARN(c, a.Name)), AlarmDescription: a.Description, AlarmConfigurationUpdatedTimestamp: &a.Configured, ActionsEnabled: new(!a.Disabled),
		OKActions: list(a.OKActions), AlarmActions: list(a.AlarmActions), InsufficientDataActions: list(a.InsufficientDataActions),
		StateValue: a.State.Value, StateReason: &a.State.Reason, StateReasonData: optional.NonZero(a.State.Data), StateUpdatedTimestamp: &a.State.Since, StateTransitionedTimestamp: &a.Changed,
		EvaluationPeriods: &w.EvaluationPeriods, Threshold: &w.Threshold, ComparisonOperator: w.Comparison,
		TreatMissingData: optional.NonZero(w.Missing), EvaluateLowSampleCountPercentile: optional.NonZero(w.LowSamples),
	}
	if w.DatapointsToAlarm > 0 {
		out.DatapointsToAlarm = &w.DatapointsToAlarm
	}
	if w.WallClock {
		out.EvaluationWindow = &cloudwatch.EvaluationWindow{WallClockWindow: &cloudwatch.WallClockWindow{Timezone: optional.NonZero(w.Zone)}}
	}
	if w.Math {
		for i := range w.Queries {
			out.Metrics = append(out.Metrics, w.Queries[i].show())
		}
		return out
	}
	q := w.watched()
	out.Namespace, out.MetricName, out.Dimensions, out.Period, out.Unit = &q.Namespace, &q.Name, showDimensions(q.Dimensions), &q.Period, cloudwatch.StandardUnit(q.Unit)
	if w.Extended != "" {
		out.ExtendedStatistic = &w.Extended
	} else {
		out.Statistic = cloudwatch.Statistic(q.Stat)
	}
	return out
}

func (q *query) show() cloudwatch.MetricDataQuery {
	out := cloudwatch.MetricDataQuery{Id: &q.ID, Label: q.Label, ReturnData: new(q.returns()), AccountId: optional.NonZero(q.Account), Expression: optional.NonZero(q.Expression)}
	if q.Name != "" {
		out.MetricStat = &cloudwatch.MetricStat{Metric: new(showMetric(q.metric())), Period: &q.Period, Stat: &q.Stat, Unit: cloudwatch.StandardUnit(q.Unit)}
	} else if q.Period > 0 {
		out.Period = &q.Period
	}
	return out
}

func showComposite(c *call.Call, a *alarmRecord) cloudwatch.CompositeAlarm {
	k := a.Composite
	out := cloudwatch.CompositeAlarm{
		AlarmName: &a.Name, AlarmArn: new(alarmARN(c, a.Name)), AlarmDescription: a.Description, AlarmConfigurationUpdatedTimestamp: &a.Configured, ActionsEnabled: new(!a.Disabled),
		OKActions: list(a.OKActions), AlarmActions: list(a.AlarmActions), InsufficientDataActions: list(a.InsufficientDataActions),
		StateValue: a.State.Value, StateReason: &a.State.Reason, StateReasonData: optional.NonZero(a.State.Data), StateUpdatedTimestamp: &a.State.Since, StateTransitionedTimestamp: &a.Changed,
		AlarmRule: &k.Rule, ActionsSuppressedBy: k.By, ActionsSuppressedReason: optional.NonZero(k.Reason),
	}
	if k.Suppressor != "" {
		out.ActionsSuppressor, out.ActionsSuppressorWaitPeriod, out.ActionsSuppressorExtensionPeriod = new(alarmARN(c, k.Suppressor)), &k.Wait, &k.Extension
	}
	return out
}

package cloudwatch

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/cloudwatch"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// maxAlarms is how many alarms an account has in a region.
const maxAlarms = 5000

// PutMetricAlarm makes an alarm of metrics, or changes one.
func (s *Service) PutMetricAlarm(c *call.Call, in *cloudwatch.PutMetricAlarmInput) (*cloudwatch.PutMetricAlarmResponse, error) {
	a := &alarmRecord{
		Name: optional.Value(in.AlarmName), Description: in.AlarmDescription, Disabled: in.ActionsEnabled != nil && !*in.ActionsEnabled,
		OKActions: in.OKActions, AlarmActions: in.AlarmActions, InsufficientDataActions: in.InsufficientDataActions,
	}
	old, tags, err := s.puttable(c, a, in.Tags)
	if err != nil {
		return nil, err
	}
	if old != nil && old.Watch == nil {
		return nil, validation("An alarm of another type with the name %s exists already.", a.Name)
	}
	if a.Watch, err = watchOf(in, c.Scope.Account); err != nil {
		return nil, err
	}
	if err := a.checkActions(c); err != nil {
		return nil, err
	}
	if err := s.putAlarm(c, a, old, tags); err != nil {
		return nil, err
	}
	if err := a.Watch.unwoken(c.Tx(), homeOf(c)); err != nil {
		return nil, err
	}
	// It is evaluated at the next tick, whether there is data or not: there may be a word about what is missing.
	return &cloudwatch.PutMetricAlarmResponse{}, awaken(c.Tx(), homeOf(c), a, c.Time.Add(a.Watch.interval()), c.Time)
}

// puttable asks for permission to put an alarm, and returns the one that there is.
func (s *Service) puttable(c *call.Call, a *alarmRecord, add []cloudwatch.Tag) (old *alarmRecord, tags map[string]string, err error) {
	r, err := alarmResource(c, a.Name)
	if err != nil {
		return nil, nil, err
	}
	keys := policy.Values{}
	if all := slices.Concat(a.OKActions, a.AlarmActions, a.InsufficientDataActions); len(all) > 0 {
		keys.Set("cloudwatch:AlarmActions", all...)
	}
	r.Conditions = keys
	if tags, err = tagMap(nil, add); err != nil {
		return nil, nil, err
	}
	r.RequestTags = tags
	if err := c.Authorize(r); err != nil {
		return nil, nil, err
	}
	if len(tags) > 0 {
		if err := c.AuthorizeAction(cloudwatch.OpTagResource.Action, r); err != nil {
			return nil, nil, err
		}
	}
	old, err = findAlarm(c, a.Name)
	return old, tags, err
}

// putAlarm stores a new alarm, or the new configuration of one. Tags are those of a new one; an alarm that is there keeps its own.
func (s *Service) putAlarm(c *call.Call, a, old *alarmRecord, tags map[string]string) error {
	a.Configured = c.Time
	if old != nil {
		a.State, a.Previous, a.Changed = old.State, old.Previous, old.Changed
		if err := s.configured(c, a, old, "update"); err != nil {
			return err
		}
		return alarms(c).Put(c.Tx(), a)
	}
	n, err := alarms(c).Count(c.Tx(), store.Query{Limit: maxAlarms})
	if err != nil {
		return fmt.Errorf("counting alarms: %w", err)
	}
	if n >= maxAlarms {
		return &cloudwatch.LimitExceededFault{Message: fmt.Sprintf("The account has %d alarms already.", maxAlarms)}
	}
	a.State = State{Value: cloudwatch.StateValueInsufficientData, Reason: "Unchecked: Initial alarm creation", Since: c.Time}
	a.Changed = c.Time
	if err := s.configured(c, a, nil, "create"); err != nil {
		return err
	}
	if err := putTags(c.Tx(), homeOf(c), alarmARN(c, a.Name), tags); err != nil {
		return err
	}
	return alarms(c).Put(c.Tx(), a)
}

// checkActions refuses actions that cannot be carried out.
func (a *alarmRecord) checkActions(c *call.Call) error {
	for _, action := range slices.Concat(a.OKActions, a.AlarmActions, a.InsufficientDataActions) {
		name, err := arn.Parse(action)
		if err != nil || name.Partition != c.Scope.Partition {
			return validation("Invalid arn syntax: %s", action)
		}
		switch name.Service {
		case "sns", "lambda":
			if name.Region != c.Scope.Region {
				return validation("Invalid region %s specified. Only %s is supported.", name.Region, c.Scope.Region)
			}
			if name.Service == "lambda" && !strings.HasPrefix(name.Resource, "function:") || name.Account == "" || name.Resource == "" {
				return validation("Invalid arn syntax: %s", action)
			}
		case "automate", "swf", "autoscaling", "ssm", "ssm-incidents", "aiops", "ec2":
			return notBuilt("alarm actions of " + name.Service)
		default:
			return validation("Invalid use of EC2 'Recover' action. The action %s is not supported.", action)
		}
	}
	return nil
}

// watchOf reads what an alarm is to watch.
func watchOf(in *cloudwatch.PutMetricAlarmInput, account string) (*watch, error) {
	if in.EvaluationCriteria != nil || in.EvaluationInterval != nil {
		return nil, notBuilt("alarms with EvaluationCriteria")
	}
	w := &watch{
		EvaluationPeriods: optional.Value(in.EvaluationPeriods), DatapointsToAlarm: optional.Value(in.DatapointsToAlarm), Threshold: optional.Value(in.Threshold), Comparison: in.ComparisonOperator,
		Missing: optional.Value(in.TreatMissingData), LowSamples: optional.Value(in.EvaluateLowSampleCountPercentile),
	}
	if err := w.checkComparison(in); err != nil {
		return nil, err
	}
	if err := w.window(in.EvaluationWindow); err != nil {
		return nil, err
	}
	var err error
	if len(in.Metrics) > 0 {
		err = w.math(in, account)
	} else {
		err = w.single(in)
	}
	if err != nil {
		return nil, err
	}
	return w, w.checkSpan()
}

func (w *watch) checkComparison(in *cloudwatch.PutMetricAlarmInput) error {
	switch w.Comparison {
	case "":
		return validation("The parameter ComparisonOperator is required.")
	case cloudwatch.ComparisonOperatorGreaterThanOrEqualToThreshold, cloudwatch.ComparisonOperatorGreaterThanThreshold,
		cloudwatch.ComparisonOperatorLessThanThreshold, cloudwatch.ComparisonOperatorLessThanOrEqualToThreshold:
	default:
		return notBuilt("alarms of anomaly detection, such as with " + string(w.Comparison))
	}
	switch {
	case in.ThresholdMetricId != nil:
		return notBuilt("alarms of anomaly detection, such as with ThresholdMetricId")
	case in.Threshold == nil:
		return validation("The parameter Threshold is required.")
	case in.EvaluationPeriods == nil:
		return validation("The parameter EvaluationPeriods is required.")
	case in.DatapointsToAlarm != nil && w.DatapointsToAlarm > w.EvaluationPeriods:
		return validation("The parameter DatapointsToAlarm must be less than or equal to EvaluationPeriods.")
	case !slices.Contains([]string{"", "breaching", "notBreaching", "ignore", "missing"}, w.Missing):
		return validation("Option %s for parameter TreatMissingData is not supported. "+
			"Supported options for parameter TreatMissingData are breaching, notBreaching, ignore and missing.", w.Missing)
	case !slices.Contains([]string{"", "evaluate", "ignore"}, w.LowSamples):
		return validation("Option %s for parameter EvaluateLowSampleCountPercentile is not supported. "+
			"Supported options for parameter EvaluateLowSampleCountPercentile are evaluate and ignore.", w.LowSamples)
	}
	return nil
}

// window reads how the time that is looked at moves along.
func (w *watch) window(in *cloudwatch.EvaluationWindow) error {
	if in == nil || in.WallClockWindow == nil {
		return nil
	}
	if in.SlidingWindow != nil {
		return validation("Exactly one of SlidingWindow and WallClockWindow must be specified.")
	}
	w.WallClock, w.Zone = true, optional.Value(in.WallClockWindow.Timezone)
	if _, err := time.LoadLocation(w.Zone); err != nil || w.Zone == "Local" {
		return validation("The value %s for parameter Timezone is not supported.", w.Zone)
	}
	return nil
}

func (w *watch) single(in *cloudwatch.PutMetricAlarmInput) error {
	q := query{
		ID: "m1", Namespace: optional.Value(in.Namespace), Name: optional.Value(in.MetricName), Dimensions: newMetric("", "", in.Dimensions).dimensions,
		Stat: string(in.Statistic), Unit: string(in.Unit), Period: optional.Value(in.Period),
	}
	if in.ExtendedStatistic != nil {
		w.Extended, q.Stat = *in.ExtendedStatistic, *in.ExtendedStatistic
	}
	switch st, ok := parseStatistic(q.Stat); {
	case q.Name == "" || q.Namespace == "":
		return validation("Either MetricName and Namespace, or Metrics must be specified.")
	case in.Period == nil:
		return validation("Period must not be null")
	case in.Statistic != "" && in.ExtendedStatistic != nil:
		return validation("Parameters Statistic and ExtendedStatistic may not be used together.")
	case q.Stat == "":
		return validation("Either Statistic or ExtendedStatistic must be specified.")
	case !ok || in.ExtendedStatistic != nil && !st.percentile:
		return validation("The value %s for parameter ExtendedStatistic is not supported.", q.Stat)
	}
	w.Queries = []query{q}
	return nil
}

// maxAlarmQueries is how many metrics and expressions an alarm has at most.
const maxAlarmQueries = 20

func (w *watch) math(in *cloudwatch.PutMetricAlarmInput, account string) error {
	if in.MetricName != nil || in.Namespace != nil || in.Statistic != "" || in.ExtendedStatistic != nil || in.Period != nil || in.Unit != "" || len(in.Dimensions) > 0 {
		return validation("Metrics list is mutually exclusive with the other metric parameters.")
	}
	if len(in.Metrics) > maxAlarmQueries {
		return validation("The collection Metrics must not have a size greater than %d.", maxAlarmQueries)
	}
	var err error
	w.Math = true
	if w.Queries, err = queriesOf(in.Metrics, "Metrics", account); err != nil {
		return err
	}
	returned, metrics := 0, 0
	period := int32(0)
	for i := range w.Queries {
		q := &w.Queries[i]
		if q.returns() {
			returned++
		}
		if q.Name == "" {
			continue
		}
		if metrics++; metrics > 1 && q.Period != period {
			return validation("All metrics in the list must have the same period.")
		}
		period = q.Period
	}
	switch {
	case returned != 1:
		return validation("Exactly one element of the metrics list should return data.")
	case metrics == 0:
		return validation("Invalid metrics list: it has no metric.")
	}
	return nil
}

// checkSpan refuses periods that cannot be evaluated.
func (w *watch) checkSpan() error {
	p := w.period()
	switch p {
	case 10 * time.Second, 20 * time.Second, 30 * time.Second:
	default:
		if p <= 0 || p%time.Minute != 0 {
			return validation("Period must be 10, 20, 30 or a multiple of 60")
		}
	}
	total := p * time.Duration(w.EvaluationPeriods)
	switch {
	case p < time.Hour && total > 24*time.Hour:
		return validation("Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= 86400).")
	case total > 7*24*time.Hour:
		return validation("Metrics cannot be checked across more than seven days (EvaluationPeriods * Period must be <= 604800).")
	case w.WallClock && !slices.Contains([]time.Duration{time.Minute, 5 * time.Minute, time.Hour, 24 * time.Hour, 7 * 24 * time.Hour}, p):
		return validation("Period must be 60, 300, 3600, 86400 or 604800 with a wall clock window")
	}
	return nil
}

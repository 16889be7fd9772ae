package cloudwatch_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/smithy-go"

	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

const (
	home  = "111122223333"
	other = "444455556666"
)

// noon is when a house begins. Its clock moves by Advance only.
var noon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// house is a cloud, and the client of its account's root user.
type house struct {
	*cloudtest.Cloud
	*cloudwatch.Client
	t testing.TB
}

func start(t testing.TB) *house {
	t.Helper()
	c := cloudtest.Start(t, func(cfg *cloud.Config) { cfg.Clock = clock.NewFrozen(noon) })
	return &house{c, cloudwatch.NewFromConfig(c.Config()), t}
}

func must[T any](out T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatalf("%T: %v", out, err)
		}
		return out
	}
}

// wantError holds the code of an error, and a part of its message, against those given.
func wantError(t testing.TB, err error, code, text string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) || e.ErrorCode() != code || !strings.Contains(e.ErrorMessage(), text) {
		t.Errorf("got %v, want %s with %q", err, code, text)
	}
}

// put publishes values of the metric called name, in the namespace Test, at a time.
func (h *house) put(name string, at time.Time, values ...float64) {
	h.t.Helper()
	must(h.PutMetricData(h.t.Context(), &cloudwatch.PutMetricDataInput{Namespace: aws.String("Test"), MetricData: []types.MetricDatum{
		{MetricName: &name, Timestamp: &at, Values: values},
	}}))(h.t)
}

// statistics asks for statistics of a metric since noon.
func (h *house) statistics(name string, period int32, statistics ...types.Statistic) []types.Datapoint {
	h.t.Helper()
	return must(h.GetMetricStatistics(h.t.Context(), &cloudwatch.GetMetricStatisticsInput{
		Namespace: aws.String("Test"), MetricName: &name, StartTime: aws.Time(noon), EndTime: aws.Time(noon.Add(time.Hour)), Period: &period, Statistics: statistics,
	}))(h.t).Datapoints
}

// watch makes an alarm of the sums of a metric, by minutes, that go beyond 10.
func (h *house) watch(name, metric string, options ...func(*cloudwatch.PutMetricAlarmInput)) {
	h.t.Helper()
	in := &cloudwatch.PutMetricAlarmInput{
		AlarmName: &name, Namespace: aws.String("Test"), MetricName: &metric, Statistic: types.StatisticSum, Period: aws.Int32(60), EvaluationPeriods: aws.Int32(1),
		Threshold: aws.Float64(10), ComparisonOperator: types.ComparisonOperatorGreaterThanThreshold,
	}
	for _, o := range options {
		o(in)
	}
	must(h.PutMetricAlarm(h.t.Context(), in))(h.t)
}

func (h *house) alarm(name string) types.MetricAlarm {
	h.t.Helper()
	out := must(h.DescribeAlarms(h.t.Context(), &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{name}}))(h.t)
	if len(out.MetricAlarms) != 1 {
		h.t.Fatalf("there are %d alarms %s", len(out.MetricAlarms), name)
	}
	return out.MetricAlarms[0]
}

func (h *house) composite(name string) types.CompositeAlarm {
	h.t.Helper()
	out := must(h.DescribeAlarms(h.t.Context(), &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{name}, AlarmTypes: []types.AlarmType{types.AlarmTypeCompositeAlarm}}))(h.t)
	if len(out.CompositeAlarms) != 1 {
		h.t.Fatalf("there are %d composite alarms %s", len(out.CompositeAlarms), name)
	}
	return out.CompositeAlarms[0]
}

// want holds the state of an alarm against the one given, with a part of the reason.
func (h *house) want(name string, state types.StateValue, reason string) {
	h.t.Helper()
	a := h.alarm(name)
	if a.StateValue != state || !strings.Contains(*a.StateReason, reason) {
		h.t.Errorf("%s is in %s: %s; want %s: %s", name, a.StateValue, *a.StateReason, state, reason)
	}
}

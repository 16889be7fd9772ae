package cloudwatch_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/internal/walk"
)

const (
	alarms   = "arn:aws:cloudwatch:us-east-1:111122223333:alarm:"
	alarmARN = alarms + "a"
)

// walked is a request of an operation, and the one permission that it needs.
type walked struct {
	name, on string
	run      func(h *house, c *cloudwatch.Client) error
}

func answer[T any](_ T, err error) error { return err }

var walks = []walked{
	{"PutMetricData", "*", func(h *house, c *cloudwatch.Client) error {
		return answer(c.PutMetricData(h.t.Context(), &cloudwatch.PutMetricDataInput{Namespace: aws.String("Test"), MetricData: []types.MetricDatum{{MetricName: aws.String("m"), Value: aws.Float64(1)}}}))
	}},
	{"GetMetricData", "*", func(h *house, c *cloudwatch.Client) error {
		return answer(c.GetMetricData(h.t.Context(), &cloudwatch.GetMetricDataInput{
			MetricDataQueries: []types.MetricDataQuery{{Id: aws.String("q"), MetricStat: stat("m", "Sum")}}, StartTime: aws.Time(noon), EndTime: aws.Time(noon.AddDate(0, 0, 1)),
		}))
	}},
	{"GetMetricStatistics", "*", func(h *house, c *cloudwatch.Client) error {
		return answer(c.GetMetricStatistics(h.t.Context(), &cloudwatch.GetMetricStatisticsInput{
			Namespace: aws.String("Test"), MetricName: aws.String("m"), StartTime: aws.Time(noon), EndTime: aws.Time(noon.AddDate(0, 0, 1)), Period: aws.Int32(60), Statistics: []types.Statistic{"Sum"},
		}))
	}},
	{"ListMetrics", "*", func(h *house, c *cloudwatch.Client) error {
		return answer(c.ListMetrics(h.t.Context(), &cloudwatch.ListMetricsInput{}))
	}},
	{"PutMetricAlarm", alarmARN, func(h *house, c *cloudwatch.Client) error {
		return answer(c.PutMetricAlarm(h.t.Context(), &cloudwatch.PutMetricAlarmInput{
			AlarmName: aws.String("a"), Namespace: aws.String("Test"), MetricName: aws.String("m"), Statistic: types.StatisticSum, Period: aws.Int32(60), EvaluationPeriods: aws.Int32(1),
			Threshold: aws.Float64(10), ComparisonOperator: types.ComparisonOperatorGreaterThanThreshold,
		}))
	}},
	{"PutCompositeAlarm", alarms + "c", func(h *house, c *cloudwatch.Client) error {
		return answer(c.PutCompositeAlarm(h.t.Context(), &cloudwatch.PutCompositeAlarmInput{AlarmName: aws.String("c"), AlarmRule: aws.String("ALARM(a)")}))
	}},
	{"DescribeAlarms", alarmARN, func(h *house, c *cloudwatch.Client) error {
		return answer(c.DescribeAlarms(h.t.Context(), &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{"a"}}))
	}},
	{"DescribeAlarmsForMetric", "*", func(h *house, c *cloudwatch.Client) error {
		return answer(c.DescribeAlarmsForMetric(h.t.Context(), &cloudwatch.DescribeAlarmsForMetricInput{Namespace: aws.String("Test"), MetricName: aws.String("m")}))
	}},
	{"DescribeAlarmHistory", alarmARN, func(h *house, c *cloudwatch.Client) error {
		return answer(c.DescribeAlarmHistory(h.t.Context(), &cloudwatch.DescribeAlarmHistoryInput{AlarmName: aws.String("a")}))
	}},
	{"SetAlarmState", alarmARN, func(h *house, c *cloudwatch.Client) error {
		return answer(c.SetAlarmState(h.t.Context(), &cloudwatch.SetAlarmStateInput{AlarmName: aws.String("a"), StateValue: types.StateValueOk, StateReason: aws.String("a test")}))
	}},
	{"DisableAlarmActions", alarmARN, func(h *house, c *cloudwatch.Client) error {
		return answer(c.DisableAlarmActions(h.t.Context(), &cloudwatch.DisableAlarmActionsInput{AlarmNames: []string{"a"}}))
	}},
	{"EnableAlarmActions", alarmARN, func(h *house, c *cloudwatch.Client) error {
		return answer(c.EnableAlarmActions(h.t.Context(), &cloudwatch.EnableAlarmActionsInput{AlarmNames: []string{"a"}}))
	}},
	{"TagResource", alarmARN, func(h *house, c *cloudwatch.Client) error {
		return answer(c.TagResource(h.t.Context(), &cloudwatch.TagResourceInput{ResourceARN: aws.String(alarmARN), Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}}))
	}},
	{"ListTagsForResource", alarmARN, func(h *house, c *cloudwatch.Client) error {
		return answer(c.ListTagsForResource(h.t.Context(), &cloudwatch.ListTagsForResourceInput{ResourceARN: aws.String(alarmARN)}))
	}},
	{"UntagResource", alarmARN, func(h *house, c *cloudwatch.Client) error {
		return answer(c.UntagResource(h.t.Context(), &cloudwatch.UntagResourceInput{ResourceARN: aws.String(alarmARN), TagKeys: []string{"k"}}))
	}},
	{"DeleteAlarms", alarms + "c", func(h *house, c *cloudwatch.Client) error {
		return answer(c.DeleteAlarms(h.t.Context(), &cloudwatch.DeleteAlarmsInput{AlarmNames: []string{"c"}}))
	}},
}

func allow(action, resource string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"` + action + `","Resource":"` + resource + `"}]}`
}

// TestWalk carries out every operation with just the permission it needs, sees it refused with all others, and finds both on record.
func TestWalk(t *testing.T) {
	h := start(t)
	data := []string{"PutMetricData", "GetMetricData", "GetMetricStatistics", "ListMetrics"}
	var done []string
	for _, o := range walks {
		t.Run(o.name, func(t *testing.T) {
			who := "walker-" + o.name
			action := "cloudwatch:" + o.name
			others := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotAction":"` + action + `","Resource":"*"},
				{"Effect":"Allow","Action":"` + action + `","Resource":"` + alarms + `elsewhere"}]}`
			err := o.run(h, cloudwatch.NewFromConfig(h.User(home, who, others)))
			wantError(t, err, "AccessDenied", "is not authorized to perform: "+action)
			if err := o.run(h, cloudwatch.NewFromConfig(h.User(home, who, allow(action, o.on)))); err != nil {
				t.Fatal(err)
			}
			for _, failed := range []bool{true, false} {
				e, found := h.recorded(who, o.name, failed)
				if !found {
					t.Errorf("there is no record of %s, refused: %t", o.name, failed)
					continue
				}
				category := `"eventCategory":"Management"`
				if slices.Contains(data, o.name) {
					category = `"eventCategory":"Data"`
				}
				if e.EventSource != "monitoring.amazonaws.com" || !strings.Contains(string(e.Raw), category) {
					t.Errorf("recorded as %s", e.Raw)
				}
			}
		})
		done = append(done, o.name)
	}
	if err := walk.Check(walk.File, done, nil); err != nil {
		t.Error(err)
	}
}

// recorded returns the last audit record of an operation of a user of home that was refused, or was not.
func (h *house) recorded(user, operation string, refused bool) (e cloudtest.Event, found bool) {
	for _, e := range slices.Backward(h.Trail(home)) {
		if e.EventName == operation && strings.HasPrefix(e.ErrorCode, "AccessDenied") == refused && e.UserIdentity.ARN == "arn:aws:iam::"+home+":user/"+user {
			return e, true
		}
	}
	return e, false
}

func TestConditions(t *testing.T) {
	h := start(t)
	policy := `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Action":"cloudwatch:PutMetricData","Resource":"*","Condition":{"StringEquals":{"cloudwatch:namespace":"Mine"}}},
		{"Effect":"Allow","Action":"cloudwatch:PutMetricAlarm","Resource":"*","Condition":{"ForAllValues:StringLike":{"cloudwatch:AlarmActions":"arn:aws:sns:*:*:mine"}}}]}`
	c := cloudwatch.NewFromConfig(h.User(home, "ann", policy))
	put := func(namespace string) error {
		return answer(c.PutMetricData(t.Context(), &cloudwatch.PutMetricDataInput{Namespace: &namespace, MetricData: []types.MetricDatum{{MetricName: aws.String("m"), Value: aws.Float64(1)}}}))
	}
	alarm := func(topic string) error {
		return answer(c.PutMetricAlarm(t.Context(), &cloudwatch.PutMetricAlarmInput{
			AlarmName: aws.String("a"), Namespace: aws.String("Test"), MetricName: aws.String("m"), Statistic: types.StatisticSum, Period: aws.Int32(60), EvaluationPeriods: aws.Int32(1),
			Threshold: aws.Float64(10), ComparisonOperator: types.ComparisonOperatorGreaterThanThreshold, AlarmActions: []string{"arn:aws:sns:us-east-1:111122223333:" + topic},
		}))
	}
	if err := put("Mine"); err != nil {
		t.Error(err)
	}
	wantError(t, put("Yours"), "AccessDenied", "cloudwatch:PutMetricData")
	if err := alarm("mine"); err != nil {
		t.Error(err)
	}
	wantError(t, alarm("yours"), "AccessDenied", "cloudwatch:PutMetricAlarm")
}

// Nobody sees or changes the alarms and metrics of another account.
func TestOtherAccount(t *testing.T) {
	h := start(t)
	h.watch("a", "m")
	h.put("m", noon, 1)
	c := cloudwatch.NewFromConfig(h.Root(other))
	_, err := c.TagResource(t.Context(), &cloudwatch.TagResourceInput{ResourceARN: aws.String(alarmARN), Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}})
	wantError(t, err, "AccessDenied", "cloudwatch:TagResource")
	if out := must(c.DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{}))(t); len(out.MetricAlarms) != 0 {
		t.Errorf("they see %+v", out.MetricAlarms)
	}
	if out := must(c.ListMetrics(t.Context(), &cloudwatch.ListMetricsInput{}))(t); len(out.Metrics) != 0 {
		t.Errorf("they see %+v", out.Metrics)
	}
}

func TestTags(t *testing.T) {
	h := start(t)
	h.watch("a", "m", func(in *cloudwatch.PutMetricAlarmInput) {
		in.Tags = []types.Tag{{Key: aws.String("team"), Value: aws.String("red")}}
	})
	red := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"cloudwatch:DeleteAlarms","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/team":"blue"}}}]}`
	c := cloudwatch.NewFromConfig(h.User(home, "ann", red))
	_, err := c.DeleteAlarms(t.Context(), &cloudwatch.DeleteAlarmsInput{AlarmNames: []string{"a"}})
	wantError(t, err, "AccessDenied", "cloudwatch:DeleteAlarms")
	must(h.TagResource(t.Context(), &cloudwatch.TagResourceInput{ResourceARN: aws.String(alarmARN), Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("blue")}}}))(t)
	must(c.DeleteAlarms(t.Context(), &cloudwatch.DeleteAlarmsInput{AlarmNames: []string{"a"}}))(t)
	_, err = h.ListTagsForResource(t.Context(), &cloudwatch.ListTagsForResourceInput{ResourceARN: aws.String(alarmARN)})
	wantError(t, err, "ResourceNotFoundException", "")
}

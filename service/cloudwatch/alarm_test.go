package cloudwatch_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

func TestAlarm(t *testing.T) {
	h := start(t)
	h.watch("many", "errors", func(in *cloudwatch.PutMetricAlarmInput) { in.AlarmDescription = aws.String("too many errors") })
	h.want("many", types.StateValueInsufficientData, "Unchecked: Initial alarm creation")
	h.put("errors", noon.Add(30*time.Second), 5, 6)
	h.Advance(2 * time.Minute)
	h.want("many", types.StateValueAlarm, "Threshold Crossed: 1 datapoint [11.0 (27/11/26 12:00:00)] was greater than the threshold (10.0).")
	h.put("errors", noon.Add(2*time.Minute), 10)
	h.Advance(2 * time.Minute)
	h.want("many", types.StateValueOk, "Threshold Crossed: 1 datapoint [10.0 (27/11/26 12:02:00)] was not greater than the threshold (10.0).")
	var data struct {
		Version, StartDate, QueryDate, Statistic string
		Period                                   int
		RecentDatapoints                         []float64
		EvaluatedDatapoints                      []struct {
			Timestamp   string
			SampleCount float64
			Value       float64
		}
	}
	if err := json.Unmarshal([]byte(*h.alarm("many").StateReasonData), &data); err != nil || data.Version != "1.0" || data.StartDate != "2026-11-27T12:02:00.000+0000" ||
		data.Statistic != "Sum" || data.Period != 60 || len(data.RecentDatapoints) != 1 || data.EvaluatedDatapoints[0].SampleCount != 1 {
		t.Errorf("%v in %s", err, *h.alarm("many").StateReasonData)
	}
	h.Advance(time.Hour)
	h.want("many", types.StateValueInsufficientData, "Insufficient Data: 1 datapoint was unknown.")
	history := must(h.DescribeAlarmHistory(t.Context(), &cloudwatch.DescribeAlarmHistoryInput{AlarmName: aws.String("many"), ScanBy: types.ScanByTimestampAscending}))(t).AlarmHistoryItems
	var got []string
	for _, i := range history {
		got = append(got, *i.HistorySummary)
	}
	want := `Alarm "many" created; Alarm updated from INSUFFICIENT_DATA to ALARM; Alarm updated from ALARM to OK; Alarm updated from OK to INSUFFICIENT_DATA`
	if strings.Join(got, "; ") != want {
		t.Errorf("the history is %v", got)
	}
	h.Advance(40 * 24 * time.Hour)
	h.put("errors", h.Clock.Now(), 1)
	h.Advance(2 * 24 * time.Hour)
}

// The table of https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html: 0 is a datapoint that does not breach, X one that does, - is missing.
func TestMissingData(t *testing.T) {
	h := start(t)
	kinds := []string{"missing", "ignore", "breaching", "notBreaching"}
	cases := []struct {
		points   string
		m        int32
		outcomes string // for each kind: A alarm, O ok, I insufficient data, R retains its state
	}{
		{"0 - X - X", 3, "O O O O"}, {"- - - - 0", 3, "O O O O"}, {"- - - - -", 3, "I R A O"}, {"0 X X - X", 3, "A A A A"}, {"- - X - -", 3, "A R A O"},
		{"0 - X - X", 2, "A A A A"}, {"0 0 X 0 X", 2, "A A A A"}, {"0 - X - -", 2, "O O A O"}, {"- - - - 0", 2, "O O A O"}, {"- - - - X", 2, "A R A O"},
	}
	name := func(i int, kind string) string { return fmt.Sprintf("%d-%s", i, kind) }
	for i, c := range cases {
		for _, kind := range kinds {
			h.watch(name(i, kind), fmt.Sprint("m", i), func(in *cloudwatch.PutMetricAlarmInput) {
				in.EvaluationPeriods, in.DatapointsToAlarm, in.TreatMissingData, in.Threshold = aws.Int32(3), &c.m, &kind, aws.Float64(0.5)
			})
		}
		for n, p := range strings.Fields(c.points) {
			if p != "-" {
				value := 0.0
				if p == "X" {
					value = 1
				}
				h.put(fmt.Sprint("m", i), noon.Add(time.Duration(n-5)*time.Minute), value)
			}
		}
	}
	h.Advance(15 * time.Second) // the next tick
	states := map[string]types.StateValue{"A": types.StateValueAlarm, "O": types.StateValueOk, "I": types.StateValueInsufficientData, "R": types.StateValueInsufficientData}
	for i, c := range cases {
		for k, outcome := range strings.Fields(c.outcomes) {
			if a := h.alarm(name(i, kinds[k])); a.StateValue != states[outcome] {
				t.Errorf("%s, %d of 3, %s: %s: %s", c.points, c.m, kinds[k], a.StateValue, *a.StateReason)
			}
		}
	}
}

func TestReasons(t *testing.T) {
	h := start(t)
	h.watch("breaching", "nothing", func(in *cloudwatch.PutMetricAlarmInput) {
		in.TreatMissingData, in.EvaluationPeriods = aws.String("breaching"), aws.Int32(2)
	})
	h.watch("some", "m", func(in *cloudwatch.PutMetricAlarmInput) {
		in.EvaluationPeriods, in.DatapointsToAlarm, in.ComparisonOperator = aws.Int32(3), aws.Int32(2), types.ComparisonOperatorLessThanOrEqualToThreshold
	})
	h.watch("partly", "n", func(in *cloudwatch.PutMetricAlarmInput) {
		in.TreatMissingData, in.EvaluationPeriods = aws.String("breaching"), aws.Int32(2)
	})
	for i, v := range []float64{1, 20, 2.5} {
		h.put("m", noon.Add(time.Duration(i-3)*time.Minute), v)
	}
	h.put("n", noon.Add(-time.Minute), 11)
	h.Advance(15 * time.Second)
	h.want("breaching", types.StateValueAlarm, "Threshold Crossed: no datapoints were received for 2 periods and 2 missing datapoints were treated as [Breaching].")
	h.want("some", types.StateValueAlarm, "Threshold Crossed: 2 out of the last 3 datapoints [2.5 (27/11/26 11:59:00), 1.0 (27/11/26 11:57:00)] were less than or equal to the threshold (10.0) "+
		"(minimum 2 datapoints for OK -> ALARM transition).")
	h.want("partly", types.StateValueAlarm, "Threshold Crossed: 1 datapoint [11.0 (27/11/26 11:59:00)] was greater than the threshold (10.0) and 1 missing datapoint was treated as [Breaching].")
}

func TestMathAlarm(t *testing.T) {
	h := start(t)
	must(h.PutMetricAlarm(t.Context(), &cloudwatch.PutMetricAlarmInput{
		AlarmName: aws.String("rate"), EvaluationPeriods: aws.Int32(1), Threshold: aws.Float64(50), ComparisonOperator: types.ComparisonOperatorGreaterThanOrEqualToThreshold,
		Metrics: []types.MetricDataQuery{
			{Id: aws.String("e1"), Expression: aws.String("100 * errors / requests"), Label: aws.String("Error rate")},
			{Id: aws.String("errors"), MetricStat: stat("errors", "Sum"), ReturnData: aws.Bool(false)},
			{Id: aws.String("requests"), MetricStat: stat("requests", "Sum"), ReturnData: aws.Bool(false)},
		},
	}))(t)
	h.put("errors", noon, 1)
	h.put("requests", noon, 2)
	h.Advance(2 * time.Minute)
	h.want("rate", types.StateValueAlarm, "Threshold Crossed: 1 datapoint [50.0 (27/11/26 12:00:00)] was greater than or equal to the threshold (50.0).")
	a := h.alarm("rate")
	if len(a.Metrics) != 3 || *a.Metrics[0].Label != "Error rate" || a.MetricName != nil {
		t.Errorf("got %+v", a)
	}
}

func TestPercentileAlarm(t *testing.T) {
	h := start(t)
	for _, name := range []string{"p90", "cautious"} {
		h.watch(name, "latency", func(in *cloudwatch.PutMetricAlarmInput) {
			in.Statistic, in.ExtendedStatistic = "", aws.String("p90")
			if name == "cautious" {
				in.EvaluateLowSampleCountPercentile = aws.String("ignore")
			}
		})
	}
	h.put("latency", noon, 1, 2, 3, 4, 5, 6, 7, 8, 20, 30)
	h.Advance(2 * time.Minute)
	h.want("p90", types.StateValueAlarm, "[20.0 (27/11/26 12:00:00)]")
	h.want("cautious", types.StateValueInsufficientData, "")
	if a := h.alarm("p90"); *a.ExtendedStatistic != "p90" || a.Statistic != "" {
		t.Errorf("got %+v", a)
	}
}

func TestFineAlarm(t *testing.T) {
	h := start(t)
	h.watch("fine", "m", func(in *cloudwatch.PutMetricAlarmInput) { in.Period = aws.Int32(10) })
	must(h.PutMetricData(t.Context(), &cloudwatch.PutMetricDataInput{Namespace: aws.String("Test"), MetricData: []types.MetricDatum{
		{MetricName: aws.String("m"), Value: aws.Float64(11), StorageResolution: aws.Int32(1), Timestamp: aws.Time(noon.Add(3 * time.Second))},
	}}))(t)
	h.Advance(12 * time.Second)
	h.want("fine", types.StateValueAlarm, "[11.0 (27/11/26 12:00:00)]")
}

func TestWallClock(t *testing.T) {
	h := start(t)
	h.watch("daily", "m", func(in *cloudwatch.PutMetricAlarmInput) {
		in.Period, in.EvaluationWindow = aws.Int32(86400), &types.EvaluationWindowMemberWallClockWindow{Value: types.WallClockWindow{Timezone: aws.String("Asia/Tokyo")}}
	})
	h.put("m", noon, 11)
	h.Advance(2*time.Hour + 30*time.Minute)
	h.want("daily", types.StateValueInsufficientData, "")
	h.Advance(time.Hour) // it is past midnight in Tokyo
	h.want("daily", types.StateValueAlarm, "[11.0 (26/11/26 15:00:00)]")
}

func TestSetAlarmState(t *testing.T) {
	h := start(t)
	h.watch("a", "m")
	set := func(name, data string) error {
		_, err := h.SetAlarmState(t.Context(), &cloudwatch.SetAlarmStateInput{AlarmName: &name, StateValue: types.StateValueAlarm, StateReason: aws.String("a test"), StateReasonData: &data})
		return err
	}
	if err := set("a", `{"a":1}`); err != nil {
		t.Fatal(err)
	}
	h.want("a", types.StateValueAlarm, "a test")
	wantError(t, set("a", "{"), "InvalidFormat", "")
	wantError(t, set("b", "{}"), "ResourceNotFound", "")
	h.Advance(2 * time.Minute)
	h.want("a", types.StateValueInsufficientData, "")
}

func TestPutAlarmRefuses(t *testing.T) {
	h := start(t)
	for name, c := range map[string]struct {
		change     func(*cloudwatch.PutMetricAlarmInput)
		code, text string
	}{
		"Period":      {func(in *cloudwatch.PutMetricAlarmInput) { in.Period = aws.Int32(15) }, "ValidationError", "Period must be 10, 20, 30 or a multiple of 60"},
		"NoPeriod":    {func(in *cloudwatch.PutMetricAlarmInput) { in.Period = nil }, "ValidationError", "Period must not be null"},
		"Missing":     {func(in *cloudwatch.PutMetricAlarmInput) { in.TreatMissingData = aws.String("x") }, "ValidationError", "Option x for parameter TreatMissingData is not supported."},
		"NoStatistic": {func(in *cloudwatch.PutMetricAlarmInput) { in.Statistic = "" }, "ValidationError", "Either Statistic or ExtendedStatistic must be specified."},
		"TooLong": {func(in *cloudwatch.PutMetricAlarmInput) { in.EvaluationPeriods = aws.Int32(1441) }, "ValidationError",
			"Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= 86400)."},
		"Points": {func(in *cloudwatch.PutMetricAlarmInput) { in.DatapointsToAlarm = aws.Int32(2) }, "ValidationError", "DatapointsToAlarm"},
		"Anomaly": {func(in *cloudwatch.PutMetricAlarmInput) {
			in.ComparisonOperator = types.ComparisonOperatorGreaterThanUpperThreshold
		}, "NotImplemented", "anomaly detection"},
		"Action": {func(in *cloudwatch.PutMetricAlarmInput) { in.AlarmActions = []string{"topic"} }, "ValidationError", "Invalid arn syntax: topic"},
		"Region": {func(in *cloudwatch.PutMetricAlarmInput) {
			in.AlarmActions = []string{"arn:aws:sns:eu-west-1:111122223333:t"}
		}, "ValidationError", "Invalid region eu-west-1 specified. Only us-east-1 is supported."},
		"EC2": {func(in *cloudwatch.PutMetricAlarmInput) {
			in.AlarmActions = []string{"arn:aws:automate:us-east-1:ec2:stop"}
		}, "NotImplemented", "alarm actions of automate"},
		"Metrics": {func(in *cloudwatch.PutMetricAlarmInput) {
			in.Metrics = []types.MetricDataQuery{{Id: aws.String("m1"), MetricStat: stat("m", "Sum")}}
		}, "ValidationError", "mutually exclusive"},
	} {
		t.Run(name, func(t *testing.T) {
			in := &cloudwatch.PutMetricAlarmInput{
				AlarmName: aws.String("a"), Namespace: aws.String("Test"), MetricName: aws.String("m"), Statistic: types.StatisticSum, Period: aws.Int32(60), EvaluationPeriods: aws.Int32(1),
				Threshold: aws.Float64(10), ComparisonOperator: types.ComparisonOperatorGreaterThanThreshold,
			}
			c.change(in)
			_, err := h.PutMetricAlarm(t.Context(), in)
			wantError(t, err, c.code, c.text)
		})
	}
}

// Alarms that there is data for at each minute cost some milliseconds a minute, more where they turn each time.
func TestBusyHours(t *testing.T) {
	for name, turns := range map[string]bool{"Steady": false, "Turning": true} {
		t.Run(name, func(t *testing.T) {
			h := start(t)
			for i := range 10 {
				h.watch(fmt.Sprint("a", i), fmt.Sprint("m", i))
				in := &cloudwatch.PutMetricDataInput{Namespace: aws.String("Test")}
				for minute := range 110 {
					value := 11.0
					if turns && minute%2 == 0 {
						value = 0
					}
					in.MetricData = append(in.MetricData, types.MetricDatum{MetricName: aws.String(fmt.Sprint("m", i)), Value: &value, Timestamp: aws.Time(noon.Add(time.Duration(minute) * time.Minute))})
				}
				must(h.PutMetricData(t.Context(), in))(t)
			}
			began := time.Now()
			h.Advance(110 * time.Minute)
			t.Logf("110 minutes with ten alarms took %s", time.Since(began))
			out := must(h.DescribeAlarmHistory(t.Context(), &cloudwatch.DescribeAlarmHistoryInput{AlarmName: aws.String("a3"), HistoryItemType: types.HistoryItemTypeStateUpdate}))(t)
			if n := len(out.AlarmHistoryItems); turns && (n != 100 || out.NextToken == nil) || !turns && n != 1 {
				t.Errorf("the alarm turned %d times", n)
			}
		})
	}
}

// Alarms that nothing happens to cost nothing.
func TestMonth(t *testing.T) {
	h := start(t)
	for i := range 10 {
		h.watch(fmt.Sprint("a", i), fmt.Sprint("m", i))
	}
	h.put("m0", noon, 11)
	began := time.Now()
	h.Advance(30 * 24 * time.Hour)
	took := time.Since(began)
	t.Logf("30 days took %s", took)
	if took > 10*time.Second {
		t.Errorf("30 days took %s", took)
	}
	h.want("a0", types.StateValueInsufficientData, "unknown")
}

// Alarms that are asleep see what is stored, also one that is younger than the metric, and though the others of the metric are awake.
func TestAwake(t *testing.T) {
	h := start(t)
	h.watch("first", "m")
	h.put("m", noon, 11)
	h.Advance(time.Minute)
	h.watch("second", "m")
	h.Advance(7 * time.Minute)
	h.want("second", types.StateValueInsufficientData, "")
	h.put("m", h.Clock.Now(), 11)
	h.Advance(2 * time.Minute)
	h.want("first", types.StateValueAlarm, "")
	h.want("second", types.StateValueAlarm, "")
	h.Advance(365 * 24 * time.Hour)
	h.put("m", h.Clock.Now(), 11)
	h.Advance(2 * time.Minute)
	h.want("first", types.StateValueAlarm, "")
	h.want("second", types.StateValueAlarm, "")
}

// History goes after thirty days, whether anything is published or not.
func TestHistoryEnds(t *testing.T) {
	h := start(t)
	items := func() int {
		return len(must(h.DescribeAlarmHistory(t.Context(), &cloudwatch.DescribeAlarmHistoryInput{}))(t).AlarmHistoryItems)
	}
	h.watch("a", "nothing")
	h.Advance(20 * 24 * time.Hour)
	h.watch("b", "nothing")
	h.Advance(9 * 24 * time.Hour)
	if n := items(); n != 2 {
		t.Errorf("after 29 days there are %d items", n)
	}
	h.Advance(2 * 24 * time.Hour)
	if n := items(); n != 1 {
		t.Errorf("after 31 days there are %d items", n)
	}
	h.Advance(20 * 24 * time.Hour)
	if n := items(); n != 0 {
		t.Errorf("after 51 days there are %d items", n)
	}
	h.watch("c", "nothing")
	h.Advance(31 * 24 * time.Hour)
	if n := items(); n != 0 {
		t.Errorf("31 days later there are %d items", n)
	}
}

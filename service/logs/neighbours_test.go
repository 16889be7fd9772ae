package logs_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	ebtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
)

// What metric filters make of events, and what the service counts itself, are metrics of CloudWatch.
func TestMetrics(t *testing.T) {
	h := start(t)
	filter := func(name, pattern string, m types.MetricTransformation) {
		m.MetricName, m.MetricNamespace = &name, aws.String("App")
		must(h.PutMetricFilter(t.Context(), &cloudwatchlogs.PutMetricFilterInput{
			LogGroupName: aws.String(groupName), FilterName: &name, FilterPattern: &pattern, MetricTransformations: []types.MetricTransformation{m},
		}))(t)
	}
	filter("Errors", "ERROR", types.MetricTransformation{MetricValue: aws.String("1"), DefaultValue: aws.Float64(0)})
	filter("Latency", "{ $.ms = * }", types.MetricTransformation{MetricValue: aws.String("$.ms"), Dimensions: map[string]string{"Path": "$.path"}, Unit: types.StandardUnitMilliseconds})
	h.put(groupName, stream, "ERROR one", "ERROR two", `{"ms":7.5,"path":"/a"}`, `{"ms":2.5,"path":"/a"}`, `{"ms":"slow","path":"/a"}`, `{"ms":9}`, `{"ms":1e200,"path":"/a"}`, `{"ms":1,"path":"`+strings.Repeat("x", 2000)+`"}`)
	h.put(groupName, stream, "fine")
	h.Advance(2 * time.Minute)
	c := cloudwatch.NewFromConfig(h.Config())
	for _, tt := range []struct {
		namespace, name string
		dimensions      []cwtypes.Dimension
		sum, count      float64
	}{
		{"App", "Errors", nil, 2, 3},
		{"App", "Latency", []cwtypes.Dimension{{Name: aws.String("Path"), Value: aws.String("/a")}}, 10, 2},
		{"AWS/Logs", "IncomingLogEvents", []cwtypes.Dimension{{Name: aws.String("LogGroupName"), Value: aws.String(groupName)}}, 9, 2},
	} {
		out := must(c.GetMetricStatistics(t.Context(), &cloudwatch.GetMetricStatisticsInput{
			Namespace: &tt.namespace, MetricName: &tt.name, Dimensions: tt.dimensions, Period: aws.Int32(3600), StartTime: aws.Time(h.Clock.Now().Add(-time.Hour)), EndTime: aws.Time(h.Clock.Now().Add(time.Hour)),
			Statistics: []cwtypes.Statistic{cwtypes.StatisticSum, cwtypes.StatisticSampleCount},
		}))(t)
		sum, count := 0.0, 0.0
		for _, p := range out.Datapoints {
			sum, count = sum+*p.Sum, count+*p.SampleCount
		}
		if sum != tt.sum || count != tt.count {
			t.Errorf("%s/%s: sum %v of %v numbers, want %v of %v", tt.namespace, tt.name, sum, count, tt.sum, tt.count)
		}
	}
	listed := must(c.ListMetrics(t.Context(), &cloudwatch.ListMetricsInput{Namespace: aws.String("App"), MetricName: aws.String("Latency")}))(t).Metrics
	if len(listed) != 1 {
		t.Errorf("there are %d metrics Latency: what CloudWatch does not take was published", len(listed))
	}
	_, err := h.PutMetricFilter(t.Context(), &cloudwatchlogs.PutMetricFilterInput{LogGroupName: aws.String(groupName), FilterName: aws.String("f"), FilterPattern: aws.String("x"),
		MetricTransformations: []types.MetricTransformation{{MetricName: aws.String("m"), MetricNamespace: aws.String("App"), MetricValue: aws.String("Infinity")}}})
	fails(t, err, "InvalidParameterException", "")
}

// A rule of EventBridge writes into a group whose resource policy lets it, and into no other.
func TestEventBridge(t *testing.T) {
	h := start(t)
	e := eventbridge.NewFromConfig(h.Config())
	must(e.PutRule(t.Context(), &eventbridge.PutRuleInput{Name: aws.String("all"), EventPattern: aws.String(`{"source":["my.app"]}`)}))(t)
	must(e.PutTargets(t.Context(), &eventbridge.PutTargetsInput{Rule: aws.String("all"), Targets: []ebtypes.Target{{Id: aws.String("1"), Arn: aws.String(arnOf(groupName))}}}))(t)
	send := func(detail string) []types.FilteredLogEvent {
		must(e.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []ebtypes.PutEventsRequestEntry{{Source: aws.String("my.app"), DetailType: aws.String("d"), Detail: &detail}}}))(t)
		h.Advance(time.Second)
		events, _ := h.filter(nil)
		return events
	}
	if got := send(`{"n":1}`); len(got) != 0 {
		t.Errorf("without a policy it was let in: %v", messages(got))
	}
	must(h.PutResourcePolicy(t.Context(), &cloudwatchlogs.PutResourcePolicyInput{PolicyName: aws.String("events"), PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"Service":["events.amazonaws.com","delivery.logs.amazonaws.com"]},"Action":["logs:CreateLogStream","logs:PutLogEvents"],"Resource":"` + arnOf("/app/*") + `:*"}]}`)}))(t)
	h.Advance(time.Hour) // what was refused is tried again
	if got := send(`{"n":2}`); len(got) == 0 {
		t.Error("nothing arrived")
	}
}

package secretsmanager_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// The number of secrets is published once an hour, with those that wait for their deletion.
func TestResourceCount(t *testing.T) {
	h := start(t)
	metrics := cloudwatch.NewFromConfig(h.Config())
	for _, name := range []string{"a", "b", "c"} {
		h.create(name, "x")
	}
	must(h.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("b")}))(t)
	must(h.DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: aws.String("c"), ForceDeleteWithoutRecovery: aws.Bool(true)}))(t)
	for range 3 {
		h.Advance(time.Hour)
		h.Advance(time.Minute) // in which nothing is counted
	}
	dimensions := []types.Dimension{
		{Name: aws.String("Class"), Value: aws.String("None")}, {Name: aws.String("Resource"), Value: aws.String("SecretCount")},
		{Name: aws.String("Service"), Value: aws.String("Secrets Manager")}, {Name: aws.String("Type"), Value: aws.String("Resource")},
	}
	out := must(metrics.GetMetricStatistics(t.Context(), &cloudwatch.GetMetricStatisticsInput{
		Namespace: aws.String("AWS/SecretsManager"), MetricName: aws.String("ResourceCount"), Dimensions: dimensions, Period: aws.Int32(3600),
		StartTime: aws.Time(epoch.Truncate(time.Hour).Add(time.Hour)), EndTime: aws.Time(epoch.Truncate(time.Hour).Add(3 * time.Hour)), Statistics: []types.Statistic{types.StatisticMaximum, types.StatisticSampleCount},
	}))(t)
	if len(out.Datapoints) != 2 {
		t.Errorf("two hours have the datapoints %+v", out.Datapoints)
	}
	for _, d := range out.Datapoints {
		if *d.Maximum != 2 || *d.SampleCount != 1 {
			t.Errorf("%s: %g secrets, counted %g times, want 2, once", d.Timestamp, *d.Maximum, *d.SampleCount)
		}
	}
}

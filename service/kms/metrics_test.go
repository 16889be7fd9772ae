package kms_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	watched "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
)

// Keys whose material expires say when, until it has; others say nothing.
func TestExpirationMetric(t *testing.T) {
	t.Parallel()
	w := start(t)
	metrics := cloudwatch.NewFromConfig(w.Config())
	ends := make(map[string]time.Time) // by key ID
	for i, days := range []int{3, 30} {
		key := w.key(t, external)
		at := w.Now().Add(time.Duration(days) * day).Truncate(time.Second)
		ok(t)(w.ImportKeyMaterial(ctx, w.usual(t, key).input(material(byte(i+1), 32), expiring(at))))
		ends[key[strings.LastIndexByte(key, '/')+1:]] = at
	}
	w.imported(t, 9)
	w.key(t)
	began := w.Now()
	for range 5 {
		w.Advance(day)
	}
	listed, err := metrics.ListMetrics(ctx, &cloudwatch.ListMetricsInput{Namespace: aws.String("AWS/KMS")})
	ok(t)(listed, err)
	if len(listed.Metrics) != len(ends) {
		t.Errorf("listed %+v", listed.Metrics)
	}
	for id, end := range ends {
		out, err := metrics.GetMetricStatistics(ctx, &cloudwatch.GetMetricStatisticsInput{
			Namespace: aws.String("AWS/KMS"), MetricName: aws.String("SecondsUntilKeyMaterialExpiration"), Dimensions: []watched.Dimension{{Name: aws.String("KeyId"), Value: &id}},
			StartTime: aws.Time(began.Add(-time.Minute)), EndTime: aws.Time(w.Now().Add(time.Minute)), Period: aws.Int32(3600), Statistics: []watched.Statistic{watched.StatisticMinimum, watched.StatisticMaximum},
		})
		ok(t)(out, err)
		if len(out.Datapoints) == 0 {
			t.Errorf("nothing is published of the key that ends at %s", end)
		}
		for _, d := range out.Datapoints {
			first, last := end.Sub(*d.Timestamp).Seconds(), end.Sub(d.Timestamp.Add(time.Hour)).Seconds()
			if d.Unit != watched.StandardUnitSeconds || *d.Maximum > first+60 || *d.Minimum < max(0, last-60) || first < 0 {
				t.Errorf("at %s, the material that ends at %s has from %g to %g %s left", d.Timestamp, end, *d.Minimum, *d.Maximum, d.Unit)
			}
		}
	}
}

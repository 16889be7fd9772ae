package interop_test

import (
	"errors"
	"testing"

	sdkcw "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/holdfast-cloud/holdfast/wire"
	"github.com/holdfast-cloud/holdfast/wire/wiretest"
	"github.com/holdfast-cloud/holdfast/wire/wiretest/cloudwatch"
)

func TestCBOR(t *testing.T) {
	var d double
	url := serve(t, wire.RPCv2CBOR, &d, cloudwatch.OpPutMetricData, cloudwatch.OpGetMetricData, cloudwatch.OpDescribeAlarms, cloudwatch.OpSetAlarmState)
	client := sdkcw.NewFromConfig(wiretest.Client(url), func(o *sdkcw.Options) { o.DisableRequestCompression = true })

	t.Run("PutMetricData", func(t *testing.T) {
		d = double{
			want: &cloudwatch.PutMetricDataInput{Namespace: new("n"), MetricData: []cloudwatch.MetricDatum{{MetricName: new("m"), Timestamp: &when, Unit: "Seconds",
				Values: []float64{1, -2.5, 1e300}, Counts: []float64{1, 2, 3}, StorageResolution: new(int32(60)), Dimensions: []cloudwatch.Dimension{{Name: new("é"), Value: new("😀")}}}}},
			out: cloudwatch.OpPutMetricData.NewOutput(),
		}
		if _, err := client.PutMetricData(t.Context(), &sdkcw.PutMetricDataInput{Namespace: new("n"), MetricData: []cwtypes.MetricDatum{{MetricName: new("m"), Timestamp: &when, Unit: cwtypes.StandardUnitSeconds,
			Values: []float64{1, -2.5, 1e300}, Counts: []float64{1, 2, 3}, StorageResolution: new(int32(60)), Dimensions: []cwtypes.Dimension{{Name: new("é"), Value: new("😀")}}}}}); err != nil {
			t.Fatal(err)
		}
		ours(t, wire.RPCv2CBOR, url, cloudwatch.OpPutMetricData, &d)
	})
	t.Run("GetMetricData", func(t *testing.T) {
		end := when.Add(3600e9)
		d = double{
			want: &cloudwatch.GetMetricDataInput{StartTime: &when, EndTime: &end, MetricDataQueries: []cloudwatch.MetricDataQuery{{Id: new("a"), Expression: new("m*2"), ReturnData: new(true)}}},
			out:  &cloudwatch.GetMetricDataOutput{MetricDataResults: []cloudwatch.MetricDataResult{{Id: new("a"), Values: []float64{1, 2.5}}}, NextToken: new("n")},
		}
		got, err := client.GetMetricData(t.Context(), &sdkcw.GetMetricDataInput{StartTime: &when, EndTime: &end, MetricDataQueries: []cwtypes.MetricDataQuery{{Id: new("a"), Expression: new("m*2"), ReturnData: new(true)}}})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "Values", []float64{1, 2.5}, got.MetricDataResults[0].Values)
		ours(t, wire.RPCv2CBOR, url, cloudwatch.OpGetMetricData, &d)
	})
	t.Run("DescribeAlarms", func(t *testing.T) {
		d = double{
			want: &cloudwatch.DescribeAlarmsInput{},
			out:  &cloudwatch.DescribeAlarmsOutput{MetricAlarms: []cloudwatch.MetricAlarm{{AlarmName: new("a"), StateUpdatedTimestamp: &when, Threshold: new(1.5), ActionsEnabled: new(false)}}},
		}
		got, err := client.DescribeAlarms(t.Context(), &sdkcw.DescribeAlarmsInput{})
		if err != nil {
			t.Fatal(err)
		}
		same(t, "StateUpdatedTimestamp", when, *got.MetricAlarms[0].StateUpdatedTimestamp)
		ours(t, wire.RPCv2CBOR, url, cloudwatch.OpDescribeAlarms, &d)
	})
	t.Run("ModeledError", func(t *testing.T) {
		d = double{want: &cloudwatch.SetAlarmStateInput{AlarmName: new("a"), StateValue: "OK", StateReason: new("r")}, err: &cloudwatch.ResourceNotFound{Message: "no a"}}
		_, err := client.SetAlarmState(t.Context(), &sdkcw.SetAlarmStateInput{AlarmName: new("a"), StateValue: "OK", StateReason: new("r")})
		if e, ok := errors.AsType[*cwtypes.ResourceNotFound](err); !ok || e.ErrorMessage() != "no a" {
			t.Errorf("SetAlarmState: %v, want ResourceNotFound: no a", err)
		}
		ours(t, wire.RPCv2CBOR, url, cloudwatch.OpSetAlarmState, &d)
	})
	t.Run("PlainError", func(t *testing.T) {
		d = double{want: &cloudwatch.DescribeAlarmsInput{}, err: &wire.Error{Code: "AccessDenied", Message: "no", Status: 403}}
		_, err := client.DescribeAlarms(t.Context(), &sdkcw.DescribeAlarmsInput{})
		isError(t, err, "AccessDenied", "no")
		ours(t, wire.RPCv2CBOR, url, cloudwatch.OpDescribeAlarms, &d)
	})
}

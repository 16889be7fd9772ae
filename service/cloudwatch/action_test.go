package cloudwatch_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	ebtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/go-cmp/cmp"
)

// mailbox is a queue that a topic's messages, and events, come to.
type mailbox struct {
	h          *house
	client     *sqs.Client
	url, topic string
}

func (h *house) mailbox() *mailbox {
	h.t.Helper()
	ctx := h.t.Context()
	m := &mailbox{h: h, client: sqs.NewFromConfig(h.Config())}
	m.url = *must(m.client.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("mailbox"), Attributes: map[string]string{
		"Policy": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["sns.amazonaws.com","events.amazonaws.com"]},"Action":"sqs:SendMessage","Resource":"*"}]}`,
	}}))(h.t).QueueUrl
	topics := sns.NewFromConfig(h.Config())
	m.topic = *must(topics.CreateTopic(ctx, &sns.CreateTopicInput{Name: aws.String("alarms")}))(h.t).TopicArn
	must(topics.Subscribe(ctx, &sns.SubscribeInput{
		TopicArn: &m.topic, Protocol: aws.String("sqs"), Endpoint: aws.String("arn:aws:sqs:us-east-1:111122223333:mailbox"), Attributes: map[string]string{"RawMessageDelivery": "true"},
	}))(h.t)
	return m
}

// take waits for the next message, in wall time.
func (m *mailbox) take() map[string]any {
	m.h.t.Helper()
	for range 50 {
		out := must(m.client.ReceiveMessage(m.h.t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &m.url}))(m.h.t)
		for _, msg := range out.Messages {
			must(m.client.DeleteMessage(m.h.t.Context(), &sqs.DeleteMessageInput{QueueUrl: &m.url, ReceiptHandle: msg.ReceiptHandle}))(m.h.t)
			var v map[string]any
			if err := json.Unmarshal([]byte(*msg.Body), &v); err != nil {
				m.h.t.Fatalf("%v in %s", err, *msg.Body)
			}
			return v
		}
		m.h.Advance(0) // which is done when all that is on its way has arrived
	}
	for _, i := range must(m.h.DescribeAlarmHistory(m.h.t.Context(), &cloudwatch.DescribeAlarmHistoryInput{HistoryItemType: types.HistoryItemTypeAction}))(m.h.t).AlarmHistoryItems {
		m.h.t.Log(*i.HistorySummary)
	}
	m.h.t.Fatal("nothing arrives")
	return nil
}

// An alarm publishes to a topic as AWS's do: see the answers that LocalStack's project recorded from AWS,
// https://github.com/localstack/localstack/blob/master/tests/aws/services/cloudwatch/test_cloudwatch.snapshot.json
func TestNotification(t *testing.T) {
	h := start(t)
	m := h.mailbox()
	h.watch("many", "errors", func(in *cloudwatch.PutMetricAlarmInput) {
		in.AlarmActions, in.OKActions, in.AlarmDescription = []string{m.topic}, []string{m.topic}, aws.String("testing cloudwatch alarms")
		in.Dimensions, in.Unit = []types.Dimension{{Name: aws.String("InstanceId"), Value: aws.String("abc")}}, types.StandardUnitSeconds
	})
	h.set("many", types.StateValueAlarm)
	want := map[string]any{
		"AWSAccountId": home, "AlarmActions": []any{m.topic}, "AlarmArn": alarms + "many", "AlarmConfigurationUpdatedTimestamp": "2026-11-27T12:00:00.000+0000",
		"AlarmDescription": "testing cloudwatch alarms", "AlarmName": "many", "InsufficientDataActions": []any{}, "NewStateReason": "a test", "NewStateValue": "ALARM",
		"OKActions": []any{m.topic}, "OldStateValue": "INSUFFICIENT_DATA", "Region": "US East (N. Virginia)", "StateChangeTime": "2026-11-27T12:00:00.000+0000",
		"Trigger": map[string]any{
			"ComparisonOperator": "GreaterThanThreshold", "Dimensions": []any{map[string]any{"name": "InstanceId", "value": "abc"}}, "EvaluateLowSampleCountPercentile": "",
			"EvaluationPeriods": 1.0, "MetricName": "errors", "Namespace": "Test", "Period": 60.0, "Statistic": "SUM", "StatisticType": "Statistic", "Threshold": 10.0,
			"TreatMissingData": "missing", "Unit": "Seconds",
		},
	}
	if d := cmp.Diff(want, m.take()); d != "" {
		t.Errorf("the message (-want +got):\n%s", d)
	}
	history := must(h.DescribeAlarmHistory(t.Context(), &cloudwatch.DescribeAlarmHistoryInput{AlarmName: aws.String("many"), HistoryItemType: types.HistoryItemTypeAction}))(t).AlarmHistoryItems
	if len(history) != 1 || *history[0].HistorySummary != "Successfully executed action "+m.topic {
		t.Errorf("the history is %+v", history)
	}
	t.Run("Disabled", func(t *testing.T) {
		must(h.DisableAlarmActions(t.Context(), &cloudwatch.DisableAlarmActionsInput{AlarmNames: []string{"many"}}))(t)
		h.set("many", types.StateValueOk)
		must(h.EnableAlarmActions(t.Context(), &cloudwatch.EnableAlarmActionsInput{AlarmNames: []string{"many"}}))(t)
		h.set("many", types.StateValueAlarm)
		if got := m.take(); got["NewStateValue"] != "ALARM" {
			t.Errorf("got %v", got)
		}
	})
}

// A topic that is not there, or does not let CloudWatch in, is in the history.
func TestFailedAction(t *testing.T) {
	h := start(t)
	topic := "arn:aws:sns:us-east-1:111122223333:nobody"
	h.watch("a", "m", func(in *cloudwatch.PutMetricAlarmInput) { in.AlarmActions = []string{topic} })
	h.set("a", types.StateValueAlarm)
	h.Advance(time.Second)
	history := must(h.DescribeAlarmHistory(t.Context(), &cloudwatch.DescribeAlarmHistoryInput{AlarmName: aws.String("a"), HistoryItemType: types.HistoryItemTypeAction}))(t).AlarmHistoryItems
	if len(history) != 1 || !strings.HasPrefix(*history[0].HistorySummary, "Failed to execute action "+topic) || !strings.Contains(*history[0].HistoryData, `"actionState":"Failed"`) {
		t.Errorf("the history is %+v", history)
	}
}

// Whoever listens hears of alarms that turn, and that are made.
func TestEvents(t *testing.T) {
	h := start(t)
	m := h.mailbox()
	rules := eventbridge.NewFromConfig(h.Config())
	must(rules.PutRule(t.Context(), &eventbridge.PutRuleInput{Name: aws.String("r"), EventPattern: aws.String(`{"source":["aws.cloudwatch"],"detail":{"alarmName":["many"]}}`)}))(t)
	must(rules.PutTargets(t.Context(), &eventbridge.PutTargetsInput{Rule: aws.String("r"), Targets: []ebtypes.Target{{Id: aws.String("1"), Arn: aws.String("arn:aws:sqs:us-east-1:111122223333:mailbox")}}}))(t)
	h.watch("many", "errors")
	created := m.take()
	detail := created["detail"].(map[string]any)
	if created["detail-type"] != "CloudWatch Alarm Configuration Change" || detail["operation"] != "create" || detail["configuration"].(map[string]any)["threshold"] != 10.0 {
		t.Errorf("got %v", created)
	}
	h.set("many", types.StateValueAlarm)
	turned := m.take()
	detail = turned["detail"].(map[string]any)
	if turned["detail-type"] != "CloudWatch Alarm State Change" || turned["resources"].([]any)[0] != alarms+"many" {
		t.Errorf("got %v", turned)
	}
	if d := cmp.Diff(map[string]any{"value": "ALARM", "reason": "a test", "timestamp": "2026-11-27T12:00:00.000+0000"}, detail["state"]); d != "" {
		t.Errorf("the state (-want +got):\n%s", d)
	}
	metric := detail["configuration"].(map[string]any)["metrics"].([]any)[0].(map[string]any)["metricStat"]
	if d := cmp.Diff(map[string]any{"metric": map[string]any{"namespace": "Test", "name": "errors", "dimensions": map[string]any{}}, "period": 60.0, "stat": "Sum"}, metric); d != "" {
		t.Errorf("the metric (-want +got):\n%s", d)
	}
}

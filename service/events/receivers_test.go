package events_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
)

// A log group gets events in a stream of the target's own, when a resource policy lets EventBridge in.
func TestLogGroup(t *testing.T) {
	h := start(t)
	logs := cloudwatchlogs.NewFromConfig(h.Config())
	group, arn := aws.String("/aws/events/shop"), "arn:aws:logs:us-east-1:"+home+":log-group:/aws/events/shop"
	must(logs.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: group}))(t)
	must(logs.PutResourcePolicy(t.Context(), &cloudwatchlogs.PutResourcePolicyInput{PolicyName: aws.String("events"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":["logs:CreateLogStream","logs:PutLogEvents"],"Resource":"` + arn + `:*"}}`)}))(t)
	dead := h.queue(home, "dead", true)
	h.rule(h.Client, "", "r", shop, types.Target{Arn: &arn, DeadLetterConfig: &types.DeadLetterConfig{Arn: aws.String(dead.arn())}})
	h.put(h.Client, entry(`{"n":1}`), entry(`{"n":2}`))
	for _, m := range dead.take() {
		t.Errorf("buried: %s, %s", *m.MessageAttributes["ERROR_CODE"].StringValue, *m.MessageAttributes["ERROR_MESSAGE"].StringValue)
	}
	out := must(logs.GetLogEvents(t.Context(), &cloudwatchlogs.GetLogEventsInput{LogGroupName: group, LogStreamName: aws.String("r/0"), StartFromHead: aws.Bool(true)}))(t)
	if len(out.Events) != 2 || string(read(t, *out.Events[0].Message).Detail) != `{"n":1}` {
		t.Errorf("logged %v", out.Events)
	}
}

// A topic passes events on to who has subscribed, when its policy lets EventBridge in.
func TestTopic(t *testing.T) {
	h := start(t)
	topics := sns.NewFromConfig(h.Config())
	topic := must(topics.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String("orders")}))(t).TopicArn
	must(topics.SetTopicAttributes(t.Context(), &sns.SetTopicAttributesInput{TopicArn: topic, AttributeName: aws.String("Policy"), AttributeValue: aws.String(
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sns:Publish","Resource":"` + *topic + `"}}`)}))(t)
	q, dead := h.queue(home, "q", true), h.queue(home, "dead", true)
	q.policy(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"` + q.arn() + `"}}`)
	must(topics.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: topic, Protocol: aws.String("sqs"), Endpoint: aws.String(q.arn()), Attributes: map[string]string{"RawMessageDelivery": "true"}}))(t)
	h.rule(h.Client, "", "r", shop, types.Target{Arn: topic, DeadLetterConfig: &types.DeadLetterConfig{Arn: aws.String(dead.arn())}})
	h.put(h.Client, entry(`{"n":1}`))
	for _, m := range dead.take() {
		t.Errorf("buried: %s, %s", *m.MessageAttributes["ERROR_CODE"].StringValue, *m.MessageAttributes["ERROR_MESSAGE"].StringValue)
	}
	if got := q.bodies(); len(got) != 1 || string(read(t, got[0]).Detail) != `{"n":1}` {
		t.Errorf("got %v", got)
	}
}

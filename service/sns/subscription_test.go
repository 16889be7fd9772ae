package sns_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
)

// What AWS answers to what is wrong, as LocalStack recorded it.
func TestSubscribeErrors(t *testing.T) {
	h := start(t)
	topicARN := h.topic("t")
	queueARN := "arn:aws:sqs:us-east-1:" + home + ":q"
	subscribe := func(topicARN, protocol, endpoint string, attributes ...string) error {
		return answer(h.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: &topicARN, Protocol: &protocol, Endpoint: &endpoint, Attributes: pairs(attributes)}))
	}
	wantInvalid(t, subscribe("randomstring", "sqs", queueARN), "TopicArn Reason: An ARN must have at least 6 elements, not 1")
	wantInvalid(t, subscribe("arn:aws:sns:us-east-1:random", "sqs", queueARN), "TopicArn Reason: An ARN must have at least 6 elements, not 5")
	wantError(t, subscribe(topicARN+"x", "sqs", queueARN), "NotFound", 404, "Topic does not exist")
	wantInvalid(t, subscribe(topicARN, "test-protocol", "x"), "Amazon SNS does not support this protocol string: test-protocol")
	wantInvalid(t, subscribe(topicARN, "sqs", "https://sqs.us-east-1.amazonaws.com/111122223333/q"), "SQS endpoint ARN")
	wantError(t, subscribe(topicARN, "sms", "NAA+15551234567"), "InvalidParameter", 400, "Invalid SMS endpoint: NAA+15551234567")
	wantError(t, subscribe(topicARN, "sms", "+15551234567"), "NotImplemented", 501, "protocol sms")
	wantError(t, subscribe(topicARN, "firehose", "x"), "NotImplemented", 501, "protocol firehose")
	wantError(t, subscribe(topicARN, "email", "ann@example.com"), "InvalidParameter", 400, "--smtp-server")
	wantInvalid(t, subscribe(topicARN, "email", "ann"), "Email address")
	wantInvalid(t, subscribe(topicARN, "sqs", queueARN, "RawMessageDelivery", "wrongvalue"), "Attributes Reason: RawMessageDelivery: Invalid value [wrongvalue]. Must be true or false.")
	wantError(t, subscribe(topicARN, "sqs", queueARN, "FilterPolicy", `{"key":[["value"]]}`), "InvalidParameter", 400,
		"Invalid parameter: Attributes Reason: FilterPolicy: Match value must be String, number, true, false, or null")
	wantError(t, subscribe(topicARN, "sqs", queueARN, "SubscriptionRoleArn", "x"), "NotImplemented", 501, "SubscriptionRoleArn")

	sub := h.subscribe(topicARN, "sqs", queueARN, "RawMessageDelivery", "true")
	for _, attributes := range [][]string{{"RawMessageDelivery", "true"}, nil} {
		if err := subscribe(topicARN, "sqs", queueARN, attributes...); err != nil {
			t.Error(err)
		}
	}
	wantInvalid(t, subscribe(topicARN, "sqs", queueARN, "RawMessageDelivery", "false"), "Attributes Reason: Subscription already exists with different attributes")
	wantInvalid(t, h.set(sub, "FakeAttribute", "x"), "AttributeName")
	wantInvalid(t, h.set(sub, "RawMessageDelivery", "test-ValUe"), "RawMessageDelivery: Invalid value [test-ValUe]. Must be true or false.")
	wantInvalid(t, h.set(sub, "RawMessageDelivery", ""), "RawMessageDelivery: Invalid value []. Must be true or false.")
	wantInvalid(t, h.set(sub, "RedrivePolicy", `{"deadLetterTargetArn":"fake-arn"}`), "RedrivePolicy: deadLetterTargetArn is an invalid arn")
	wantInvalid(t, h.set(sub, "RedrivePolicy", `{invalidjson}`), "RedrivePolicy: failed to parse JSON. Unexpected character ('i' (code 105)): was expecting double-quote to start field name\n"+
		" at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: 2]")
	wantError(t, h.set(sub, "FilterPolicy", `{invalidjson}`), "InvalidParameter", 400, "Invalid parameter: FilterPolicy: failed to parse JSON.")

	unsubscribe := func(arn string) error {
		return answer(h.Unsubscribe(t.Context(), &sns.UnsubscribeInput{SubscriptionArn: &arn}))
	}
	wantInvalid(t, unsubscribe("randomstring"), "SubscriptionArn Reason: An ARN must have at least 6 elements, not 1")
	wantInvalid(t, unsubscribe("arn:aws:sns:us-east-1:random"), "SubscriptionArn Reason: An ARN must have at least 6 elements, not 5")
	wantInvalid(t, unsubscribe(topicARN), "SubscriptionId")
	wantInvalid(t, unsubscribe(""), "SubscriptionArn Reason: no value for required parameter")
	for range 2 {
		if err := unsubscribe(sub); err != nil {
			t.Error(err)
		}
	}
	_, err := h.GetSubscriptionAttributes(t.Context(), &sns.GetSubscriptionAttributesInput{SubscriptionArn: &sub})
	wantError(t, err, "NotFound", 404, "Subscription does not exist")

	fifo := h.topic("t.fifo", "FifoTopic", "true")
	sub = h.subscribe(fifo, "sqs", queueARN+".fifo")
	wantInvalid(t, h.set(sub, "RedrivePolicy", `{"deadLetterTargetArn":"`+queueARN+`"}`), "RedrivePolicy: must use a FIFO queue as DLQ for a FIFO Subscription to a FIFO Topic.")
}

// What AWS shows of a subscription, as LocalStack recorded it.
func TestSubscriptionAttributes(t *testing.T) {
	h := start(t)
	topicARN := h.topic("t", "DeliveryPolicy", `{"http":{"defaultRequestPolicy":{"headerContentType":"application/json"}}}`)
	w := newWebhook(t)
	sub := h.subscribe(topicARN, "http", w.URL, "DeliveryPolicy",
		`{"healthyRetryPolicy":{"minDelayTarget":1,"maxDelayTarget":1,"numRetries":0,"numNoDelayRetries":0,"numMinDelayRetries":0,"numMaxDelayRetries":0,"backoffFunction":"linear"},`+
			`"throttlePolicy":{"maxReceivesPerSecond":1000},"guaranteed":false}`)
	const retry = `{"healthyRetryPolicy":{"minDelayTarget":1,"maxDelayTarget":1,"numRetries":0,"numMaxDelayRetries":0,"numNoDelayRetries":0,"numMinDelayRetries":0,"backoffFunction":"linear"},` +
		`"sicklyRetryPolicy":null,"throttlePolicy":{"maxReceivesPerSecond":1000},`
	for name, want := range map[string]string{
		"ConfirmationWasAuthenticated": "false", "Owner": home, "PendingConfirmation": "true", "Protocol": "http", "RawMessageDelivery": "false", "SubscriptionArn": sub, "TopicArn": topicARN,
		"Endpoint": w.URL, "SubscriptionPrincipal": "arn:aws:iam::" + home + ":root",
		"DeliveryPolicy": retry + `"requestPolicy":null,"guaranteed":false}`, "EffectiveDeliveryPolicy": retry + `"requestPolicy":{"headerContentType":"application/json"},"guaranteed":false}`,
	} {
		if got := h.attributes(sub)[name]; got != want {
			t.Errorf("%s is\n%s, want\n%s", name, got, want)
		}
	}
}

// Functions are not there yet: what is meant for one goes to the dead-letter queue.
func TestToFunction(t *testing.T) {
	h := start(t)
	topicARN, dead := h.topic("t"), h.queue("dead")
	h.subscribe(topicARN, "lambda", "arn:aws:lambda:us-east-1:"+home+":function:f", "RedrivePolicy", `{"deadLetterTargetArn":"`+dead+`"}`)
	h.publish(topicARN, "text")
	if e := open(t, h.receiveOne(dead)); e.Message != "text" {
		t.Errorf("the dead letter is %v", e)
	}
	_, err := h.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: &topicARN, Protocol: aws.String("lambda"), Endpoint: aws.String("f")})
	wantInvalid(t, err, "Lambda endpoint ARN")
}

// What is published, and tokens, lie sealed and stand in no record.
func TestSecrecy(t *testing.T) {
	h, w := start(t), newWebhook(t)
	topicARN := h.topic("t")
	w.confirmed(h, topicARN)
	w.answer(500, 500)
	h.publish(topicARN, "the-secret-text", func(in *sns.PublishInput) { in.Subject = aws.String("the-secret-subject") })
	w.next()
	for _, e := range h.Trail(home) {
		for _, secret := range []string{"the-secret-text", "the-secret-subject"} {
			if strings.Contains(string(e.Raw), secret) {
				t.Errorf("a record has %s: %s", secret, e.Raw)
			}
		}
		if e.EventName == "ConfirmSubscription" && !strings.Contains(string(e.Raw), `"token":"HIDDEN_DUE_TO_SECURITY_REASONS"`) {
			t.Errorf("the record is %s", e.Raw)
		}
	}
}

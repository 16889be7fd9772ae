package sns_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

func TestToQueue(t *testing.T) {
	h := start(t)
	topicARN, queueARN := h.topic("orders"), h.queue("in")
	sub := h.subscribe(topicARN, "sqs", queueARN)
	out := h.publish(topicARN, "öäü <b>&\"\n", func(in *sns.PublishInput) {
		in.Subject = aws.String("News & more")
		in.MessageAttributes = map[string]types.MessageAttributeValue{
			"n": {DataType: aws.String("Number"), StringValue: aws.String("1.5")},
			"b": {DataType: aws.String("Binary"), BinaryValue: []byte{2, 3, 4}},
		}
	})
	m := h.receive(queueARN, 1)[0]
	e := open(t, *m.Body)
	if e.Type != "Notification" || e.MessageID != *out.MessageId || e.TopicArn != topicARN || e.Message != "öäü <b>&\"\n" || e.Subject != "News & more" || e.SignatureVersion != "1" ||
		!strings.HasPrefix(e.SigningCertURL, h.URL+"/SimpleNotificationService-") || e.UnsubscribeURL != h.URL+"/?Action=Unsubscribe&SubscriptionArn="+sub {
		t.Errorf("the message is %+v", e)
	}
	if a := e.MessageAttributes; len(a) != 2 || a["n"].Value != "1.5" || a["n"].Type != "Number" || a["b"].Value != "AgME" || a["b"].Type != "Binary" {
		t.Errorf("its attributes are %v", a)
	}
	if out.SequenceNumber != nil || e.SequenceNumber != "" || len(m.MessageAttributes) != 0 {
		t.Errorf("a message of a standard topic has a number, or attributes outside: %v %v", out.SequenceNumber, m.MessageAttributes)
	}

	if err := h.set(sub, "RawMessageDelivery", "true"); err != nil {
		t.Fatal(err)
	}
	h.publish(topicARN, "plain", func(in *sns.PublishInput) {
		in.MessageGroupId = aws.String("fair")
		in.MessageAttributes = map[string]types.MessageAttributeValue{
			"n": {DataType: aws.String("Number"), StringValue: aws.String("1.5")},
			"b": {DataType: aws.String("Binary"), BinaryValue: []byte{2, 3, 4}},
		}
	})
	m = h.receive(queueARN, 1)[0]
	if *m.Body != "plain" || *m.MessageAttributes["n"].StringValue != "1.5" || string(m.MessageAttributes["b"].BinaryValue) != "\x02\x03\x04" || m.Attributes["MessageGroupId"] != "fair" {
		t.Errorf("the raw message is %q with %v and %v", *m.Body, m.MessageAttributes, m.Attributes)
	}
}

// A queue whose policy does not let the topic in gets nothing; what was meant for it goes to the dead-letter queue of the subscription.
func TestQueuePolicy(t *testing.T) {
	h := start(t)
	topicARN := h.topic("orders")
	closed := h.queue("closed", "Policy", "")
	dead := h.queue("dead")
	h.subscribe(topicARN, "sqs", closed, "RedrivePolicy", `{"deadLetterTargetArn":"`+dead+`"}`, "RawMessageDelivery", "true")
	h.publish(topicARN, "text", func(in *sns.PublishInput) {
		in.MessageAttributes = map[string]types.MessageAttributeValue{"a": {DataType: aws.String("String"), StringValue: aws.String("v")}}
	})
	m := h.receive(dead, 1)[0]
	if *m.Body != "text" || *m.MessageAttributes["a"].StringValue != "v" {
		t.Errorf("the dead letter is %q with %v", *m.Body, m.MessageAttributes)
	}
	h.none(closed)

	gone := h.queue("gone")
	sub := h.subscribe(topicARN, "sqs", gone)
	if err := h.set(sub, "RedrivePolicy", `{"deadLetterTargetArn":"`+dead+`"}`); err != nil {
		t.Fatal(err)
	}
	must(h.queues.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: h.queueURL(gone)}))(t)
	h.publish(topicARN, "second")
	found := 0
	for _, m := range h.receive(dead, 2) { // of both subscriptions
		if strings.HasPrefix(*m.Body, "{") && open(t, *m.Body).Message == "second" {
			found++
		}
	}
	if found != 1 {
		t.Errorf("%d dead letters are wrapped, want one", found)
	}
}

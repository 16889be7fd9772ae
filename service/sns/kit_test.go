package sns_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

const (
	home  = "111122223333"
	other = "444455556666"
)

// house is a cloud with the clients of the root user of home.
type house struct {
	*cloudtest.Cloud
	*sns.Client
	queues *sqs.Client
	t      *testing.T
}

func start(t *testing.T, options ...func(*cloud.Config)) *house {
	t.Helper()
	c := cloudtest.Start(t, options...)
	return &house{c, sns.NewFromConfig(c.Config()), sqs.NewFromConfig(c.Config()), t}
}

// must returns the output of a call that has to succeed.
func must[T any](out T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatalf("%T: %v", out, err)
		}
		return out
	}
}

// wantError holds an error against code, status and a part of the message.
func wantError(t *testing.T, err error, code string, status int, text string) {
	t.Helper()
	var e smithy.APIError
	var r *smithyhttp.ResponseError
	if !errors.As(err, &e) || !errors.As(err, &r) || e.ErrorCode() != code || r.HTTPStatusCode() != status || !strings.Contains(e.ErrorMessage(), text) {
		t.Errorf("got %v, want %s with status %d and %q", err, code, status, text)
	}
}

// invalid holds an error against SNS's error of a parameter, with just the message given.
func wantInvalid(t *testing.T, err error, message string) {
	t.Helper()
	wantError(t, err, "InvalidParameter", 400, "")
	var e smithy.APIError
	if errors.As(err, &e) && e.ErrorMessage() != "Invalid parameter: "+message {
		t.Errorf("the message is\n%q, want\n%q", e.ErrorMessage(), "Invalid parameter: "+message)
	}
}

// topic makes a topic.
func (h *house) topic(name string, attributes ...string) (arn string) {
	h.t.Helper()
	return *must(h.CreateTopic(h.t.Context(), &sns.CreateTopicInput{Name: &name, Attributes: pairs(attributes)}))(h.t).TopicArn
}

func pairs(list []string) map[string]string {
	m := make(map[string]string)
	for i := 0; i < len(list); i += 2 {
		m[list[i]] = list[i+1]
	}
	return m
}

// queue makes a queue that lets SNS in for all topics of an account.
func (h *house) queue(name string, attributes ...string) (arn string) {
	h.t.Helper()
	arn = "arn:aws:sqs:us-east-1:" + home + ":" + name
	a := pairs(attributes)
	if _, has := a["Policy"]; !has {
		a["Policy"] = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"` + arn +
			`","Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:` + home + `:*"}}}]}`
	}
	if strings.HasSuffix(name, ".fifo") {
		a["FifoQueue"] = "true"
	}
	must(h.queues.CreateQueue(h.t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: a}))(h.t)
	return arn
}

func (h *house) queueURL(arn string) *string {
	part := strings.Split(arn, ":")
	return aws.String(h.URL + "/" + part[4] + "/" + part[5])
}

// receive takes as many messages as wanted from a queue, and no more may be there.
func (h *house) receive(queueARN string, want int) (out []sqstypes.Message) {
	h.t.Helper()
	for len(out) < want {
		got := must(h.queues.ReceiveMessage(h.t.Context(), &sqs.ReceiveMessageInput{
			QueueUrl: h.queueURL(queueARN), MaxNumberOfMessages: 10, WaitTimeSeconds: 5, MessageAttributeNames: []string{"All"},
			MessageSystemAttributeNames: []sqstypes.MessageSystemAttributeName{"All"},
		}))(h.t)
		if len(got.Messages) == 0 {
			h.t.Fatalf("%d messages came to %s, want %d", len(out), queueARN, want)
		}
		out = append(out, got.Messages...)
		for _, m := range got.Messages {
			must(h.queues.DeleteMessage(h.t.Context(), &sqs.DeleteMessageInput{QueueUrl: h.queueURL(queueARN), ReceiptHandle: m.ReceiptHandle}))(h.t)
		}
	}
	if len(out) > want {
		h.t.Fatalf("%d messages came to %s, want %d", len(out), queueARN, want)
	}
	return out
}

// none finds no message in a queue, once all that is under way has arrived.
func (h *house) none(queueARN string) {
	h.t.Helper()
	h.Advance(time.Second)
	got := must(h.queues.ReceiveMessage(h.t.Context(), &sqs.ReceiveMessageInput{QueueUrl: h.queueURL(queueARN)}))(h.t)
	for _, m := range got.Messages {
		h.t.Errorf("there is a message in %s: %s", queueARN, *m.Body)
	}
}

// subscribe subscribes an endpoint to a topic.
func (h *house) subscribe(topicARN, protocol, endpoint string, attributes ...string) (arn string) {
	h.t.Helper()
	out := must(h.Subscribe(h.t.Context(), &sns.SubscribeInput{
		TopicArn: &topicARN, Protocol: &protocol, Endpoint: &endpoint, Attributes: pairs(attributes), ReturnSubscriptionArn: true,
	}))(h.t)
	return *out.SubscriptionArn
}

func (h *house) publish(topicARN, text string, options ...func(*sns.PublishInput)) *sns.PublishOutput {
	h.t.Helper()
	in := &sns.PublishInput{TopicArn: &topicARN, Message: &text}
	for _, o := range options {
		o(in)
	}
	return must(h.Publish(h.t.Context(), in))(h.t)
}

// envelope is a message as it is delivered.
type envelope struct {
	Type, MessageID, TopicArn, Subject, Message, Timestamp, SignatureVersion, Signature, SigningCertURL, UnsubscribeURL string
	SequenceNumber, Token, SubscribeURL                                                                                 string
	MessageAttributes                                                                                                   map[string]struct{ Type, Value string }
}

func open(t *testing.T, text string) (e envelope) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return e
}

// attributes of a subscription or a topic.
func (h *house) attributes(arn string) map[string]string {
	h.t.Helper()
	if strings.Count(arn, ":") == 5 {
		return must(h.GetTopicAttributes(h.t.Context(), &sns.GetTopicAttributesInput{TopicArn: &arn}))(h.t).Attributes
	}
	return must(h.GetSubscriptionAttributes(h.t.Context(), &sns.GetSubscriptionAttributesInput{SubscriptionArn: &arn}))(h.t).Attributes
}

func (h *house) set(arn, name, value string) error {
	if strings.Count(arn, ":") == 5 {
		_, err := h.SetTopicAttributes(h.t.Context(), &sns.SetTopicAttributesInput{TopicArn: &arn, AttributeName: &name, AttributeValue: &value})
		return err
	}
	_, err := h.SetSubscriptionAttributes(h.t.Context(), &sns.SetSubscriptionAttributesInput{SubscriptionArn: &arn, AttributeName: &name, AttributeValue: &value})
	return err
}

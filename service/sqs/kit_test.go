package sqs_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

const (
	home  = "111122223333"
	other = "444455556666"
)

// house is a cloud with a queue in it, and the client of its account's root user.
type house struct {
	*cloudtest.Cloud
	*sqs.Client
	t   *testing.T
	url string // of the queue jobs
}

func start(t *testing.T) *house {
	t.Helper()
	c := cloudtest.Start(t)
	h := &house{Cloud: c, Client: sqs.NewFromConfig(c.Config()), t: t}
	h.url = h.queue("jobs")
	return h
}

// must returns the output of a call that has to succeed.
func must[T any](out T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatalf("%T: %v", out, err)
		}
		return out
	}
}

// wantError holds an error against a code, and a part of its message.
func wantError(t testing.TB, err error, code, text string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) || e.ErrorCode() != code || !strings.Contains(e.ErrorMessage(), text) {
		t.Errorf("got %v, want %s with %q", err, code, text)
	}
}

// queue makes a queue with attributes, given as names and values.
func (h *house) queue(name string, attributes ...string) (url string) {
	h.t.Helper()
	in := &sqs.CreateQueueInput{QueueName: &name, Attributes: pairs(attributes)}
	if strings.HasSuffix(name, ".fifo") {
		in.Attributes["FifoQueue"] = "true"
	}
	return *must(h.CreateQueue(h.t.Context(), in))(h.t).QueueUrl
}

func pairs(list []string) map[string]string {
	m := make(map[string]string)
	for i := 0; i < len(list); i += 2 {
		m[list[i]] = list[i+1]
	}
	return m
}

func (h *house) set(url string, attributes ...string) error {
	_, err := h.SetQueueAttributes(h.t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: &url, Attributes: pairs(attributes)})
	return err
}

func (h *house) attributes(url string, names ...types.QueueAttributeName) map[string]string {
	h.t.Helper()
	if len(names) == 0 {
		names = []types.QueueAttributeName{types.QueueAttributeNameAll}
	}
	return must(h.GetQueueAttributes(h.t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: names}))(h.t).Attributes
}

// counts are the numbers of messages that are visible, in flight and delayed.
func (h *house) counts(url string) string {
	h.t.Helper()
	a := h.attributes(url, "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed")
	return a["ApproximateNumberOfMessages"] + " " + a["ApproximateNumberOfMessagesNotVisible"] + " " + a["ApproximateNumberOfMessagesDelayed"]
}

func (h *house) send(url, body string, options ...func(*sqs.SendMessageInput)) *sqs.SendMessageOutput {
	h.t.Helper()
	in := &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &body}
	for _, o := range options {
		o(in)
	}
	return must(h.SendMessage(h.t.Context(), in))(h.t)
}

// in puts a message into a group, with a deduplication ID.
func in(group, dedup string) func(*sqs.SendMessageInput) {
	return func(in *sqs.SendMessageInput) {
		in.MessageGroupId = &group
		if dedup != "" {
			in.MessageDeduplicationId = &dedup
		}
	}
}

// receive takes up to ten messages, with all they have.
func (h *house) receive(url string, options ...func(*sqs.ReceiveMessageInput)) []types.Message {
	h.t.Helper()
	in := &sqs.ReceiveMessageInput{
		QueueUrl: &url, MaxNumberOfMessages: 10, MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"}, MessageAttributeNames: []string{"All"},
	}
	for _, o := range options {
		o(in)
	}
	return must(h.ReceiveMessage(h.t.Context(), in))(h.t).Messages
}

func most(n int32) func(*sqs.ReceiveMessageInput) {
	return func(in *sqs.ReceiveMessageInput) { in.MaxNumberOfMessages = n }
}

func hide(seconds int32) func(*sqs.ReceiveMessageInput) {
	return func(in *sqs.ReceiveMessageInput) { in.VisibilityTimeout = seconds }
}

func wait(seconds int32) func(*sqs.ReceiveMessageInput) {
	return func(in *sqs.ReceiveMessageInput) { in.WaitTimeSeconds = seconds }
}

func (h *house) delete(url string, m types.Message) {
	h.t.Helper()
	must(h.DeleteMessage(h.t.Context(), &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: m.ReceiptHandle}))(h.t)
}

// bodies are what messages say, with spaces between.
func bodies(messages []types.Message) string {
	var all []string
	for _, m := range messages {
		all = append(all, aws.ToString(m.Body))
	}
	return strings.Join(all, " ")
}

func (h *house) want(got, want string) {
	h.t.Helper()
	if got != want {
		h.t.Errorf("got %q, want %q", got, want)
	}
}

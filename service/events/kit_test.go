package events_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

const (
	home  = "111122223333"
	other = "444455556666"

	busARN  = "arn:aws:events:us-east-1:" + home + ":event-bus/"
	ruleARN = "arn:aws:events:us-east-1:" + home + ":rule/"
)

// house is a cloud, and the client of its account's root user.
type house struct {
	*cloudtest.Cloud
	*eventbridge.Client
	t *testing.T
}

func start(t *testing.T, options ...func(*cloud.Config)) *house {
	t.Helper()
	c := cloudtest.Start(t, options...)
	return &house{c, eventbridge.NewFromConfig(c.Config()), t}
}

func must[T any](out T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatalf("%T: %v", out, err)
		}
		return out
	}
}

// wantError holds the code and a part of the message of an error against those given.
func wantError(t *testing.T, err error, code, text string) {
	t.Helper()
	var e smithy.APIError
	if !errors.As(err, &e) || e.ErrorCode() != code || !strings.Contains(e.ErrorMessage(), text) {
		t.Errorf("got %v, want %s: %s", err, code, text)
	}
}

func allow(action, resource string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"%s","Resource":"%s"}}`, action, resource)
}

// trusting lets EventBridge assume a role.
const trusting = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sts:AssumeRole"}}`

// queue is a queue of some account.
type queue struct {
	h                  *house
	client             *sqs.Client
	account, name, url string
}

func (q *queue) arn() string { return "arn:aws:sqs:us-east-1:" + q.account + ":" + q.name }

// queue makes a queue of an account. EventBridge may send to it if open is set.
func (h *house) queue(account, name string, open bool) *queue {
	h.t.Helper()
	q := &queue{h: h, client: sqs.NewFromConfig(h.Root(account)), account: account, name: name}
	in := &sqs.CreateQueueInput{QueueName: &name, Attributes: map[string]string{}}
	if open {
		in.Attributes["Policy"] = fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"%s"}}`, q.arn())
	}
	if strings.HasSuffix(name, ".fifo") {
		in.Attributes["FifoQueue"], in.Attributes["ContentBasedDeduplication"] = "true", "true"
	}
	q.url = *must(q.client.CreateQueue(h.t.Context(), in))(h.t).QueueUrl
	return q
}

func (q *queue) policy(document string) {
	q.h.t.Helper()
	must(q.client.SetQueueAttributes(q.h.t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: &q.url, Attributes: map[string]string{"Policy": document}}))(q.h.t)
}

// take receives all that is in a queue once everything is delivered.
func (q *queue) take() (found []sqstypes.Message) {
	q.h.t.Helper()
	q.h.settle()
	for {
		out := must(q.client.ReceiveMessage(q.h.t.Context(), &sqs.ReceiveMessageInput{
			QueueUrl: &q.url, MaxNumberOfMessages: 10, MessageAttributeNames: []string{"All"}, MessageSystemAttributeNames: []sqstypes.MessageSystemAttributeName{"All"},
		}))(q.h.t)
		if len(out.Messages) == 0 {
			return found
		}
		for _, m := range out.Messages {
			must(q.client.DeleteMessage(q.h.t.Context(), &sqs.DeleteMessageInput{QueueUrl: &q.url, ReceiptHandle: m.ReceiptHandle}))(q.h.t)
		}
		found = append(found, out.Messages...)
	}
}

// bodies are the bodies of what take receives.
func (q *queue) bodies() (bodies []string) {
	q.h.t.Helper()
	for _, m := range q.take() {
		bodies = append(bodies, *m.Body)
	}
	return bodies
}

// settle returns when everything that can be is delivered: the clock goes on by a moment.
func (h *house) settle() {
	h.t.Helper()
	h.Advance(time.Millisecond)
}

// rule makes a rule with targets, of IDs "0", "1", ...
func (h *house) rule(c *eventbridge.Client, bus, name, pattern string, targets ...types.Target) {
	h.t.Helper()
	in := &eventbridge.PutRuleInput{Name: &name, EventPattern: &pattern}
	if bus != "" {
		in.EventBusName = &bus
	}
	must(c.PutRule(h.t.Context(), in))(h.t)
	for i := range targets {
		if targets[i].Id == nil {
			targets[i].Id = aws.String(fmt.Sprint(i))
		}
	}
	if len(targets) > 0 {
		must(c.PutTargets(h.t.Context(), &eventbridge.PutTargetsInput{Rule: &name, EventBusName: in.EventBusName, Targets: targets}))(h.t)
	}
}

func to(q *queue) types.Target { return types.Target{Arn: aws.String(q.arn())} }

// entry is an event of the source "shop".
func entry(detail string) types.PutEventsRequestEntry {
	return types.PutEventsRequestEntry{Source: aws.String("shop"), DetailType: aws.String("order"), Detail: &detail}
}

// put puts events, which have to be taken.
func (h *house) put(c *eventbridge.Client, entries ...types.PutEventsRequestEntry) *eventbridge.PutEventsOutput {
	h.t.Helper()
	out := must(c.PutEvents(h.t.Context(), &eventbridge.PutEventsInput{Entries: entries}))(h.t)
	if out.FailedEntryCount != 0 {
		h.t.Fatalf("PutEvents: %+v", out.Entries)
	}
	return out
}

const shop = `{"source":["shop"]}`

// seen is an event as a target gets it.
type seen struct {
	Version, ID, Source, Account, Region, Time string
	DetailType                                 string `json:"detail-type"`
	Resources                                  []string
	Detail                                     json.RawMessage
}

func read(t *testing.T, body string) (e seen) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), &e); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return e
}

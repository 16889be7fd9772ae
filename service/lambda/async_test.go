package lambda_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

const queuesARN = "arn:aws:sqs:us-east-1:" + home + ":"

// queue makes a queue and returns its URL.
func (h *house) queue(name string) string {
	h.t.Helper()
	return *must(sqs.NewFromConfig(h.Config()).CreateQueue(h.t.Context(), &sqs.CreateQueueInput{QueueName: &name}))(h.t).QueueUrl
}

// received takes all messages out of a queue, after all that is to happen now has happened.
func (h *house) received(url string) (all []sqstypes.Message) {
	h.t.Helper()
	h.Advance(time.Second)
	queues := sqs.NewFromConfig(h.Config())
	for {
		out := must(queues.ReceiveMessage(h.t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: 10, MessageAttributeNames: []string{"All"}}))(h.t)
		if len(out.Messages) == 0 {
			return all
		}
		for _, m := range out.Messages {
			must(queues.DeleteMessage(h.t.Context(), &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: m.ReceiptHandle}))(h.t)
		}
		all = append(all, out.Messages...)
	}
}

// report is what a destination is told.
type report struct {
	Version        string
	RequestContext struct {
		RequestID, FunctionARN, Condition string
		Attempts                          int `json:"approximateInvokeCount"`
	}
	RequestPayload  json.RawMessage
	ResponseContext *struct {
		StatusCode                     int
		ExecutedVersion, FunctionError string
	}
	ResponsePayload json.RawMessage
}

// reported are the reports in a queue.
func (h *house) reported(url string) (all []report) {
	h.t.Helper()
	for _, m := range h.received(url) {
		var r report
		if err := json.Unmarshal([]byte(*m.Body), &r); err != nil {
			h.t.Fatalf("%s: %v", *m.Body, err)
		}
		all = append(all, r)
	}
	return all
}

// destined sends what becomes of a function's events to queues.
func (h *house) destined(function string, options ...func(*lambda.PutFunctionEventInvokeConfigInput)) {
	h.t.Helper()
	in := &lambda.PutFunctionEventInvokeConfigInput{FunctionName: &function, DestinationConfig: &types.DestinationConfig{
		OnSuccess: &types.OnSuccess{Destination: aws.String(queuesARN + "good")}, OnFailure: &types.OnFailure{Destination: aws.String(queuesARN + "bad")},
	}}
	for _, o := range options {
		o(in)
	}
	must(h.PutFunctionEventInvokeConfig(h.t.Context(), in))(h.t)
}

// event invokes a function without waiting for it.
func (h *house) event(function, payload string) {
	h.t.Helper()
	out := h.invoke(function, payload, func(in *lambda.InvokeInput) { in.InvocationType = types.InvocationTypeEvent })
	if out.StatusCode != 202 || len(out.Payload) > 0 || out.ExecutedVersion != nil {
		h.t.Errorf("got %+v", out)
	}
}

// A function of the name of one that was deleted is another one, which does not get the events that the first was sent.
func TestEventsOfAnotherFunction(t *testing.T) {
	h := start(t)
	h.queue("good")
	bad := h.queue("bad")
	h.python("f")
	h.event("f", `{"do":"raise"}`)
	h.received(bad) // it has failed once by now, and is to be tried again
	must(h.DeleteFunction(t.Context(), &lambda.DeleteFunctionInput{FunctionName: aws.String("f")}))(t)
	h.python("f")
	h.destined("f")
	h.Advance(time.Hour)
	if got := h.reported(bad); len(got) != 0 {
		t.Errorf("the new function got %+v", got)
	}
	h.event("f", `{"do":"raise"}`)
	h.Advance(time.Hour)
	if got := h.reported(bad); len(got) != 1 {
		t.Errorf("of its own event it reports %+v", got)
	}
}

func TestEvents(t *testing.T) {
	h := start(t)
	good, bad, dead := h.queue("good"), h.queue("bad"), h.queue("dead")
	h.python("f", func(in *lambda.CreateFunctionInput) {
		in.DeadLetterConfig = &types.DeadLetterConfig{TargetArn: aws.String(queuesARN + "dead")}
	})
	h.destined("f")
	t.Run("OK", func(t *testing.T) {
		h.event("f", `{"a":1}`)
		got := h.reported(good)
		if len(got) != 1 {
			t.Fatalf("got %+v", got)
		}
		r := got[0]
		if r.Version != "1.0" || r.RequestContext.Condition != "Success" || r.RequestContext.Attempts != 1 || r.RequestContext.FunctionARN != functionARN+"f:$LATEST" || r.RequestContext.RequestID == "" ||
			string(r.RequestPayload) != `{"a":1}` || r.ResponseContext.StatusCode != 200 || r.ResponseContext.ExecutedVersion != "$LATEST" || r.ResponseContext.FunctionError != "" || string(r.ResponsePayload) != `{"a":1}` {
			t.Errorf("got %+v", r)
		}
	})
	t.Run("RetriesExhausted", func(t *testing.T) {
		h.event("f", `{"do":"raise"}`)
		if got := h.reported(bad); len(got) != 0 {
			t.Fatalf("at once came %+v", got)
		}
		h.Advance(time.Minute)
		if got := h.reported(bad); len(got) != 0 {
			t.Fatalf("after a minute came %+v", got)
		}
		h.Advance(2 * time.Minute)
		got := h.reported(bad)
		if len(got) != 1 || got[0].RequestContext.Condition != "RetriesExhausted" || got[0].RequestContext.Attempts != 3 || got[0].ResponseContext.FunctionError != "Unhandled" {
			t.Fatalf("got %+v", got)
		}
		if said := object(t, got[0].ResponsePayload); said["errorMessage"] != "this is intentional" {
			t.Errorf("got %v", said)
		}
		letters := h.received(dead)
		if len(letters) != 1 || *letters[0].Body != `{"do":"raise"}` {
			t.Fatalf("the dead letters are %+v", letters)
		}
		a := letters[0].MessageAttributes
		if *a["ErrorCode"].StringValue != "200" || *a["ErrorCode"].DataType != "Number" || *a["ErrorMessage"].StringValue != "this is intentional" || *a["RequestID"].StringValue != got[0].RequestContext.RequestID {
			t.Errorf("the attributes are %+v", a)
		}
	})
	t.Run("EventAgeExceeded", func(t *testing.T) {
		h.destined("f", func(in *lambda.PutFunctionEventInvokeConfigInput) { in.MaximumEventAgeInSeconds = aws.Int32(60) })
		h.event("f", `{"do":"raise"}`)
		h.Advance(5 * time.Minute)
		got := h.reported(bad)
		if len(got) != 1 || got[0].RequestContext.Condition != "EventAgeExceeded" || got[0].RequestContext.Attempts < 1 {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("ZeroReservedConcurrency", func(t *testing.T) {
		h.destined("f")
		must(h.PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{FunctionName: f, ReservedConcurrentExecutions: aws.Int32(0)}))(t)
		h.event("f", `{}`)
		got := h.reported(bad)
		if len(got) != 1 || got[0].RequestContext.Condition != "ZeroReservedConcurrency" || got[0].RequestContext.Attempts != 0 || got[0].ResponseContext != nil {
			t.Errorf("got %+v", got)
		}
		must(h.DeleteFunctionConcurrency(t.Context(), &lambda.DeleteFunctionConcurrencyInput{FunctionName: f}))(t)
	})
	t.Run("Denied", func(t *testing.T) {
		h.Role(home, "runner", trust, allow("logs:*", "*"))
		h.event("f", `2`)
		if got := h.reported(good); len(got) != 0 {
			t.Errorf("a role that may not told %+v", got)
		}
		h.Role(home, "runner", trust, allow("*", "*"))
	})
}

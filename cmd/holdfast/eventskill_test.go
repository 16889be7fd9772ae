package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	bustypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// TestKillWithEventsInFlight kills a server as soon as it has taken events for a queue: each that it has acknowledged comes there, once, after the next start.
// HOLDFAST_EVENTS_IN_FLIGHT is how many there are, if not a thousand.
func TestKillWithEventsInFlight(t *testing.T) {
	events := 1000
	if n, err := strconv.Atoi(os.Getenv("HOLDFAST_EVENTS_IN_FLIGHT")); err == nil {
		events = n
	}
	dir := t.TempDir()
	s, cmd := process(t, dir)
	queue := routed(t, s)
	acknowledged := putUntil(t, s, events)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	id, pass := s.id, s.secret
	if s, cmd = process(t, dir); len(acknowledged) < events {
		t.Fatalf("%d of %d events were taken", len(acknowledged), events)
	}
	s.id, s.secret = id, pass
	came := drained(t, s, queue, len(acknowledged))
	for n := range acknowledged {
		if came[n] != 1 {
			t.Errorf("event %d came %d times", n, came[n])
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// routed makes a queue for all events of a source, and returns its URL.
func routed(t *testing.T, s *server) string {
	t.Helper()
	queues, bus := sqs.NewFromConfig(s.config(s.id, s.secret)), eventbridge.NewFromConfig(s.config(s.id, s.secret))
	made, err := queues.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: new("sold"), Attributes: map[string]string{"VisibilityTimeout": "600"}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := queues.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: made.QueueUrl, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameQueueArn}})
	if err != nil {
		t.Fatal(err)
	}
	arn := got.Attributes["QueueArn"]
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sqs:SendMessage","Resource":%q}]}`, arn)
	if _, err := queues.SetQueueAttributes(t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: made.QueueUrl, Attributes: map[string]string{"Policy": policy}}); err != nil {
		t.Fatal(err)
	}
	if _, err := bus.PutRule(t.Context(), &eventbridge.PutRuleInput{Name: new("sold"), EventPattern: new(`{"source":["shop"]}`)}); err != nil {
		t.Fatal(err)
	}
	put, err := bus.PutTargets(t.Context(), &eventbridge.PutTargetsInput{Rule: new("sold"), Targets: []bustypes.Target{{Id: new("queue"), Arn: &arn}}})
	if err != nil || put.FailedEntryCount > 0 {
		t.Fatalf("putting the target: %v, %v", put, err)
	}
	return *made.QueueUrl
}

// putUntil puts numbered events, and returns those that were acknowledged.
func putUntil(t *testing.T, s *server, events int) map[int]bool {
	t.Helper()
	bus := eventbridge.NewFromConfig(s.config(s.id, s.secret))
	const putters, each = 4, 10
	var mu sync.Mutex
	acknowledged := make(map[int]bool)
	var all sync.WaitGroup
	for w := range putters {
		all.Go(func() {
			for from := w * each; from < events; from += putters * each {
				var entries []bustypes.PutEventsRequestEntry
				for n := from; n < min(from+each, events); n++ {
					entries = append(entries, bustypes.PutEventsRequestEntry{Source: new("shop"), DetailType: new("sold"), Detail: new(fmt.Sprintf(`{"n":%d}`, n))})
				}
				out, err := bus.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: entries})
				if err != nil || out.FailedEntryCount > 0 {
					t.Errorf("putting events: %v, %v", out, err)
					return
				}
				mu.Lock()
				for n := range entries {
					acknowledged[from+n] = true
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return acknowledged
}

// drained receives events until so many came and nothing follows, and returns how often each came.
func drained(t *testing.T, s *server, queue string, events int) map[int]int {
	t.Helper()
	queues := sqs.NewFromConfig(s.config(s.id, s.secret))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute+time.Duration(events)*20*time.Millisecond)
	defer cancel()
	came := make(map[int]int)
	for {
		out, err := queues.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &queue, MaxNumberOfMessages: 10, WaitTimeSeconds: 1})
		if err != nil {
			t.Errorf("receiving, after %d of %d events: %v", len(came), events, err)
			return came
		}
		for _, m := range out.Messages {
			var e struct{ Detail struct{ N int } }
			if err := json.Unmarshal([]byte(*m.Body), &e); err != nil {
				t.Fatalf("the message %s: %v", *m.Body, err)
			}
			came[e.Detail.N]++
		}
		if len(out.Messages) == 0 && len(came) >= events {
			return came
		}
	}
}

package sqs

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store/memstore"
)

// A process begins with the clock where the one before began, or before that: what is sent then does not come in place of what is there.
func TestClockSetBack(t *testing.T) {
	kept, ring := memstore.New(), seal.NewFileStorage(filepath.Join(t.TempDir(), "keyring"))
	begun := time.Date(2031, 5, 1, 12, 0, 0, 0, time.UTC)
	process := func(at time.Time) *scene {
		w := newScene(t, kept, ring)
		w.clock = clock.NewFrozen(at)
		w.s.cfg.Clock = w.clock
		return w
	}
	sendTo := func(w *scene, queue, group, body string) {
		in := &sqs.SendMessageRequest{QueueUrl: new("/" + ours + "/" + queue), MessageBody: &body}
		if group != "" {
			in.MessageGroupId, in.MessageDeduplicationId = &group, &body
		}
		do(w, func(c *call.Call) (*sqs.SendMessageResult, error) { return w.s.SendMessage(c, in) })
	}
	receiveAll := func(w *scene, queue string) string {
		var all []string
		for {
			got := do(w, func(c *call.Call) (*sqs.ReceiveMessageResult, error) {
				return w.s.ReceiveMessage(c, &sqs.ReceiveMessageRequest{QueueUrl: new("/" + ours + "/" + queue), MaxNumberOfMessages: new(int32(10))})
			}).Messages
			if len(got) == 0 {
				slices.Sort(all)
				return strings.Join(all, " ")
			}
			for _, m := range got {
				all = append(all, *m.Body)
			}
		}
	}

	first := process(begun)
	first.create()
	do(first, func(c *call.Call) (*sqs.CreateQueueResult, error) {
		return first.s.CreateQueue(c, &sqs.CreateQueueRequest{QueueName: new("line.fifo"), Attributes: map[sqs.QueueAttributeName]string{sqs.QueueAttributeNameFifoQueue: "true"}})
	})
	for _, body := range []string{"1", "2", "3"} {
		sendTo(first, "jobs", "", body)
	}
	for _, body := range []string{"1", "2", "3"} {
		sendTo(first, "line.fifo", "a"+body, "a"+body)
	}
	second := process(begun)
	for _, body := range []string{"4", "5", "6"} {
		sendTo(second, "jobs", "", body)
	}
	third := process(begun.Add(-time.Minute))
	for _, body := range []string{"1", "2", "3"} { // each of which has its place behind the one of its group
		sendTo(third, "line.fifo", "a"+body, "b"+body)
	}
	third.clock.Advance(time.Minute)
	if got := receiveAll(third, "jobs"); got != "1 2 3 4 5 6" {
		t.Errorf("the standard queue has %s", got)
	}
	if got := receiveAll(third, "line.fifo"); got != "a1 a2 a3 b1 b2 b3" {
		t.Errorf("the FIFO queue has %s", got)
	}
}

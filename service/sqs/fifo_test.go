package sqs_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

func TestFIFOOrder(t *testing.T) {
	h := start(t)
	url := h.queue("line.fifo")
	last := ""
	for i := range 5 {
		for _, g := range []string{"a", "b"} {
			out := h.send(url, fmt.Sprintf("%s%d", g, i), in(g, fmt.Sprintf("%s%d", g, i)))
			if *out.SequenceNumber <= last || len(*out.SequenceNumber) != 20 {
				t.Errorf("the sequence number is %s after %s", *out.SequenceNumber, last)
			}
			last = *out.SequenceNumber
		}
	}
	h.want(h.counts(url), "10 0 0")
	first := h.receive(url, most(3))
	h.want(bodies(first), "a0 a1 a2")
	h.want(first[1].Attributes["MessageGroupId"]+" "+first[1].Attributes["MessageDeduplicationId"], "a a1")
	h.want(bodies(h.receive(url, most(2))), "b0 b1")
	h.want(bodies(h.receive(url)), "") // both groups are held up
	h.want(h.counts(url), "5 5 0")
	h.delete(url, first[0])
	h.want(bodies(h.receive(url)), "")
	h.delete(url, first[1])
	h.delete(url, first[2])
	h.want(bodies(h.receive(url)), "a3 a4")
	h.Advance(31 * time.Second) // everything is back, in order
	h.want(h.counts(url), "7 0 0")
	_, err := h.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: first[2].ReceiptHandle})
	if err != nil {
		t.Errorf("deleting a message twice: %v", err)
	}
	all := map[string]bool{}
	for range 2 {
		all[bodies(h.receive(url))] = true
	}
	if !all["a3 a4 b0 b1 b2 b3 b4"] && !all["b0 b1 b2 b3 b4 a3 a4"] {
		t.Errorf("received %v", all)
	}
}

func TestFIFOVisibility(t *testing.T) {
	h := start(t)
	url := h.queue("line.fifo", "ContentBasedDeduplication", "true")
	for _, b := range []string{"one", "two"} {
		h.send(url, b, in("g", ""))
	}
	m := h.receive(url, most(1))[0]
	must(h.ChangeMessageVisibility(t.Context(), &sqs.ChangeMessageVisibilityInput{QueueUrl: &url, ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: 0}))(t)
	h.want(bodies(h.receive(url, hide(5))), "one two")
	h.Advance(6 * time.Second)
	_, err := h.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: m.ReceiptHandle})
	wantError(t, err, "InvalidParameterValue", "Reason: The receipt handle has expired.")
	h.want(bodies(h.receive(url)), "one two")
}

func TestDeduplication(t *testing.T) {
	h := start(t)
	url := h.queue("once.fifo")
	first := h.send(url, "x", in("g", "id"))
	again := h.send(url, "y", in("other", "id"))
	h.want(*again.MessageId, *first.MessageId)
	h.want(*again.SequenceNumber, *first.SequenceNumber)
	m := h.receive(url)
	h.want(bodies(m), "x")
	h.delete(url, m[0])
	h.send(url, "x", in("g", "id"))
	h.want(bodies(h.receive(url)), "") // also after it was deleted
	h.Advance(5*time.Minute + time.Second)
	h.send(url, "x", in("g", "id"))
	h.want(bodies(h.receive(url)), "x")

	_, err := h.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: new("x"), MessageGroupId: new("g")})
	wantError(t, err, "InvalidParameterValue", "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly")
	_, err = h.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: new("x"), MessageDeduplicationId: new("d")})
	wantError(t, err, "MissingParameter", "The request must contain the parameter MessageGroupId.")
	_, err = h.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: new("x"), MessageDeduplicationId: new("d"), MessageGroupId: new("g"), DelaySeconds: 2})
	wantError(t, err, "InvalidParameterValue", "Value 2 for parameter DelaySeconds is invalid. Reason: The request include parameter that is not valid for this queue type.")

	t.Run("PerGroup", func(t *testing.T) {
		url := h.queue("groups.fifo", "DeduplicationScope", "messageGroup", "FifoThroughputLimit", "perMessageGroupId", "ContentBasedDeduplication", "true")
		for _, g := range []string{"a", "b", "a"} {
			h.send(url, "same", in(g, ""))
		}
		h.want(bodies(h.receive(url)), "same same")
	})
}

func TestReceiveAttempt(t *testing.T) {
	h := start(t)
	url := h.queue("line.fifo")
	h.send(url, "one", in("g", "1"))
	h.send(url, "two", in("h", "2"))
	attempt := func(in *sqs.ReceiveMessageInput) {
		in.ReceiveRequestAttemptId, in.MaxNumberOfMessages = new("try"), 1
	}
	first, second := h.receive(url, attempt), h.receive(url, attempt)
	h.want(bodies(second), bodies(first))
	h.want(*second[0].ReceiptHandle, *first[0].ReceiptHandle)
	h.delete(url, first[0])
	h.want(bodies(h.receive(url, attempt)), "two")
	_, err := h.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &h.url, ReceiveRequestAttemptId: new("try")})
	wantError(t, err, "InvalidParameterValue", "not valid for this queue type")
}

func TestFIFODeadLetters(t *testing.T) {
	h := start(t)
	dead := h.queue("dead.fifo")
	url := h.queue("line.fifo", "RedrivePolicy", `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:`+home+`:dead.fifo","maxReceiveCount":1}`)
	h.send(url, "bad", in("g", "1"))
	h.send(url, "good", in("g", "2"))
	h.want(bodies(h.receive(url, most(1), hide(1))), "bad")
	h.Advance(2 * time.Second)
	h.want(bodies(h.receive(url)), "good")
	m := h.receive(dead)
	h.want(bodies(m), "bad")
	h.want(m[0].Attributes["DeadLetterQueueSourceArn"], "arn:aws:sqs:us-east-1:"+home+":line.fifo")
	h.want(h.counts(url)+" / "+h.counts(dead), "0 1 0 / 0 1 0")
	h.Advance(time.Minute)
	must(h.StartMessageMoveTask(t.Context(), &sqs.StartMessageMoveTaskInput{SourceArn: new("arn:aws:sqs:us-east-1:" + home + ":dead.fifo")}))(t)
	h.Advance(time.Second)
	h.want(h.counts(dead), "0 0 0")
	h.want(h.counts(url), "2 0 0")
}

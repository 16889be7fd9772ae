package sqs_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

func TestStandard(t *testing.T) {
	h := start(t)
	h.want(h.url, h.URL+"/"+home+"/jobs")
	h.send(h.url, "one")
	h.want(h.counts(h.url), "1 0 0")
	m := h.receive(h.url)
	h.want(bodies(m), "one")
	h.want(bodies(h.receive(h.url)), "")
	h.want(h.counts(h.url), "0 1 0")
	h.Advance(31 * time.Second)
	h.want(h.counts(h.url), "1 0 0")
	m = h.receive(h.url)
	h.want(bodies(m), "one")
	h.want(m[0].Attributes["ApproximateReceiveCount"], "2")
	h.delete(h.url, m[0])
	h.delete(h.url, m[0])
	h.want(h.counts(h.url), "0 0 0")
	h.Advance(time.Hour)
	h.want(bodies(h.receive(h.url)), "")
}

func TestReceiptHandles(t *testing.T) {
	h := start(t)
	_, err := h.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &h.url, ReceiptHandle: new("garbage")})
	wantError(t, err, "ReceiptHandleIsInvalid", "is not a valid receipt handle")
}

package sqs_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

// Senders and receivers at once: each message comes once, and none is left.
func TestConcurrent(t *testing.T) {
	const senders, receivers, each = 4, 6, 50
	h := start(t)
	var left atomic.Int64
	left.Store(senders * each)
	var work sync.WaitGroup
	for s := range senders {
		work.Go(func() {
			for i := range each {
				h.send(h.url, fmt.Sprintf("%d-%d", s, i))
			}
		})
	}
	var seen sync.Map
	for range receivers {
		work.Go(func() {
			for left.Load() > 0 {
				for _, m := range h.receive(h.url, wait(1), most(3)) {
					if _, twice := seen.LoadOrStore(*m.Body, true); twice {
						t.Errorf("%s came twice", *m.Body)
					}
					h.delete(h.url, m)
					left.Add(-1)
				}
			}
		})
	}
	work.Wait()
	h.want(h.counts(h.url), "0 0 0")
}

// Concurrent senders and receivers of a FIFO queue: each group comes in order.
func TestConcurrentFIFO(t *testing.T) {
	const groups, each = 4, 15
	h := start(t)
	url := h.queue("line.fifo", "DeduplicationScope", "messageGroup", "FifoThroughputLimit", "perMessageGroupId")
	var work sync.WaitGroup
	for g := range groups {
		work.Go(func() {
			for i := range each {
				h.send(url, fmt.Sprint(i), in(fmt.Sprint(g), fmt.Sprint(i)))
			}
		})
	}
	var mu sync.Mutex
	next := make(map[string]int)
	left := groups * each
	for range 3 {
		work.Go(func() {
			for {
				messages := h.receive(url, wait(1), most(4))
				mu.Lock()
				for _, m := range messages {
					g := m.Attributes["MessageGroupId"]
					if *m.Body != fmt.Sprint(next[g]) {
						t.Errorf("%s came in group %s, want %d", *m.Body, g, next[g])
					}
					next[g]++
					left--
				}
				over := left <= 0
				mu.Unlock()
				for _, m := range messages {
					h.delete(url, m)
				}
				if over {
					return
				}
			}
		})
	}
	work.Wait()
	h.want(h.counts(url), "0 0 0")
}

// What was acknowledged is there when the cloud is opened again, and what was deleted is not. The front, and all numbers, are found again.
func TestReopen(t *testing.T) {
	dir := t.TempDir()
	const n = 30
	var url, handle string
	t.Run("Before", func(t *testing.T) {
		h := &house{Cloud: cloudtest.Start(t, func(c *cloud.Config) { c.Dir = dir; c.PublicURL = "http://127.0.0.1:4566" }), t: t}
		h.Client = sqs.NewFromConfig(h.Config())
		url = h.queue("jobs")
		for i := range n {
			h.send(url, fmt.Sprint(i))
		}
		for _, m := range h.receive(url) {
			h.delete(url, m)
		}
		handle = *h.receive(url, most(1), hide(600))[0].ReceiptHandle
		h.want(h.counts(url), "19 1 0")
	})
	t.Run("After", func(t *testing.T) {
		h := &house{Cloud: cloudtest.Start(t, func(c *cloud.Config) { c.Dir = dir }), t: t}
		h.Client = sqs.NewFromConfig(h.Config())
		h.want(h.counts(url), "19 1 0")
		seen := map[string]bool{}
		for range 3 {
			for _, m := range h.receive(url) {
				if seen[*m.Body] {
					t.Errorf("%s came twice", *m.Body)
				}
				seen[*m.Body] = true
			}
		}
		if len(seen) != 19 {
			t.Errorf("%d messages came", len(seen))
		}
		must(h.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: &handle}))(t)
		h.want(h.counts(url), "0 19 0")
	})
}

// A client that goes away ends its poll, which takes nothing then.
func TestClientGone(t *testing.T) {
	h := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := h.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &h.url, WaitTimeSeconds: 20}); err == nil {
		t.Error("the poll was answered")
	}
	h.send(h.url, "x")
	h.want(bodies(h.receive(h.url, wait(5))), "x")
}

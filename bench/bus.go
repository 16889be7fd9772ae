package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	batch       = 10  // what one request to SQS and to EventBridge carries at most
	messageSize = 500 // bytes
)

// queue is a queue of a server that is measured.
type queue struct {
	at  *server
	url string
}

func (s *server) queue(name string) (*queue, error) {
	var out struct{ QueueUrl string }
	err := s.callFor(sqsAPI, "CreateQueue", map[string]any{"QueueName": name}, &out)
	return &queue{s, out.QueueUrl}, err
}

func (q *queue) sendOne() (message, error) {
	body, err := json.Marshal(map[string]any{"QueueUrl": q.url, "MessageBody": strings.Repeat("m", messageSize)})
	if err != nil {
		return nil, err
	}
	return q.at.signFor(sqsAPI, "SendMessage", body)
}

func (q *queue) sendBatch() (message, error) {
	var entries []map[string]string
	for i := range batch {
		entries = append(entries, map[string]string{"Id": strconv.Itoa(i), "MessageBody": strings.Repeat("m", messageSize)})
	}
	body, err := json.Marshal(map[string]any{"QueueUrl": q.url, "Entries": entries})
	if err != nil {
		return nil, err
	}
	return q.at.signFor(sqsAPI, "SendMessageBatch", body)
}

// received is a message as it is received.
type received struct{ Body, ReceiptHandle string }

// take receives up to ten messages and deletes them.
func (q *queue) take(c *conn, wait int) ([]received, error) {
	var out struct{ Messages []received }
	if err := q.at.callOn(c, sqsAPI, "ReceiveMessage", map[string]any{"QueueUrl": q.url, "MaxNumberOfMessages": batch, "WaitTimeSeconds": wait}, &out); err != nil || len(out.Messages) == 0 {
		return nil, err
	}
	var entries []map[string]string
	for i, m := range out.Messages {
		entries = append(entries, map[string]string{"Id": strconv.Itoa(i), "ReceiptHandle": m.ReceiptHandle})
	}
	var deleted struct{ Failed []any }
	err := q.at.callOn(c, sqsAPI, "DeleteMessageBatch", map[string]any{"QueueUrl": q.url, "Entries": entries}, &deleted)
	if err == nil && len(deleted.Failed) > 0 {
		err = fmt.Errorf("%d messages were not deleted", len(deleted.Failed))
	}
	return out.Messages, err
}

// busTable prints what queues take and give, and how events come to them.
func busTable(ctx context.Context, o options) error {
	s, err := startHoldfast(ctx, o.binary, "")
	if err != nil {
		return err
	}
	defer s.end()
	f, err := startFloor(ctx, "answer")
	if err != nil {
		return err
	}
	defer f.end()
	if err := queueTable(ctx, o, s, f); err != nil {
		return err
	}
	return endToEnd(ctx, o, s)
}

// queueTable prints sending and receiving.
func queueTable(ctx context.Context, o options, s, f *server) error {
	q, err := s.queue("bench")
	if err != nil {
		return err
	}
	fmt.Printf("## Queues\n\nStandard queue, messages of %d bytes, %d connections; durable, encrypted at rest, calls recorded as in every mode. The floor answers requests of the size of SendMessage, and does nothing else.\n\n"+
		"| | requests/s | messages/s | p50 | p99 | server CPU µs/request | of the floor |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n", messageSize, o.conns)
	one, err := q.sendOne()
	if err != nil {
		return err
	}
	ten, err := q.sendBatch()
	if err != nil {
		return err
	}
	floorMessage, err := f.signFor(sqsAPI, "SendMessage", []byte(strings.Repeat("m", messageSize+200)))
	if err != nil {
		return err
	}
	var floor *result
	for _, r := range []struct {
		name string
		at   *server
		m    message
		each int
	}{{"floor `answer`", f, floorMessage, 0}, {"SendMessage", s, one, 1}, {"SendMessageBatch of 10", s, ten, batch}} {
		got, err := r.at.burst(ctx, r.m, o.conns, o.seconds)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		if floor == nil {
			floor = got
		}
		printQueueRow(r.name, got, float64(r.each)*got.perSecond(), floor)
	}
	got, messages, err := q.drain(ctx, o.conns, o.seconds)
	if err != nil {
		return err
	}
	printQueueRow("ReceiveMessage of 10 and DeleteMessageBatch", got, float64(messages)/got.elapsed.Seconds(), floor)
	fmt.Println()
	return nil
}

func printQueueRow(name string, r *result, messages float64, floor *result) {
	each := fmt.Sprintf("%.0f", messages)
	if messages == 0 {
		each = ""
	}
	fmt.Printf("| %s | %.0f | %s | %s | %s | %.1f | %.1f |\n", name, r.perSecond(), each, short(r.quantile(.5)), short(r.quantile(.99)), r.cpuMicros(), r.cpuMicros()/floor.cpuMicros())
}

// drain takes messages out of the queue for a time, and counts them. A request of the result is a receive with its delete, which count as two.
func (q *queue) drain(ctx context.Context, conns int, d time.Duration) (*result, int64, error) {
	before, err := q.at.cpu()
	if err != nil {
		return nil, 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var mu sync.Mutex
	var failed error
	var messages atomic.Int64
	total := &result{}
	var wg sync.WaitGroup
	begin := time.Now()
	for range conns {
		wg.Go(func() {
			c, err := q.at.dial()
			var lat []time.Duration
			for err == nil && ctx.Err() == nil {
				from := time.Now()
				var got []received
				if got, err = q.take(c, 0); len(got) == 0 {
					break
				}
				messages.Add(int64(len(got)))
				lat = append(lat, time.Since(from))
			}
			if c != nil {
				c.Close()
			}
			mu.Lock()
			defer mu.Unlock()
			total.latencies = append(total.latencies, lat...)
			if failed == nil {
				failed = err
			}
		})
	}
	wg.Wait()
	total.elapsed, total.requests = time.Since(begin), 2*len(total.latencies)
	after, err := q.at.cpu()
	if err != nil {
		return nil, 0, err
	}
	total.cpu = after - before
	return total, messages.Load(), failed
}

// endToEnd prints how events come from PutEvents through a rule to a queue.
func endToEnd(ctx context.Context, o options, s *server) error {
	q, err := s.routed()
	if err != nil {
		return err
	}
	fmt.Printf("## From PutEvents to a queue\n\nEvents of the account's own, matched by one of 100 rules, delivered to a queue, and received from it with long polls; the time of an event is from before PutEvents to after ReceiveMessage.\n\n" +
		"| | events/s | p50 | p99 | server CPU µs/event |\n| --- | ---: | ---: | ---: | ---: |\n")
	for _, load := range []struct {
		name  string
		rate  int // of requests a second; 0: as fast as they are answered
		conns int
		each  int // events in a request
	}{{"100 events a second, one a request", 100, 8, 1}, {"as many as there may be, ten a request", 0, o.conns, batch}} {
		r, rate, err := q.follow(ctx, o.seconds, load.rate, load.conns, load.each)
		if err != nil {
			return fmt.Errorf("%s: %w", load.name, err)
		}
		fmt.Printf("| %s | %.0f | %s | %s | %.0f |\n", load.name, rate, short(r.quantile(.5)), short(r.quantile(.99)), r.cpuMicros())
	}
	fmt.Println()
	return nil
}

// routed makes a queue that a rule among others sends events to.
func (s *server) routed() (*queue, error) {
	q, err := s.queue("bench-events")
	if err != nil {
		return nil, err
	}
	var got struct{ Attributes struct{ QueueArn string } }
	if err := s.callFor(sqsAPI, "GetQueueAttributes", map[string]any{"QueueUrl": q.url, "AttributeNames": []string{"QueueArn"}}, &got); err != nil {
		return nil, err
	}
	arn := got.Attributes.QueueArn
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sqs:SendMessage","Resource":%q}]}`, arn)
	if err := s.callFor(sqsAPI, "SetQueueAttributes", map[string]any{"QueueUrl": q.url, "Attributes": map[string]string{"Policy": policy}}, nil); err != nil {
		return nil, err
	}
	for i := range 100 {
		if err := s.callFor(eventsAPI, "PutRule", map[string]any{"Name": "r" + strconv.Itoa(i), "EventPattern": fmt.Sprintf(`{"source":["bench"],"detail":{"kind":["k%d"]}}`, i)}, nil); err != nil {
			return nil, err
		}
	}
	return q, s.callFor(eventsAPI, "PutTargets", map[string]any{"Rule": "r0", "Targets": []any{map[string]string{"Id": "q", "Arn": arn}}}, nil)
}

// follow puts events for a time and receives them all, and returns how long each took and how many came a second.
func (q *queue) follow(ctx context.Context, d time.Duration, rate, conns, each int) (*result, float64, error) {
	before, err := q.at.cpu()
	if err != nil {
		return nil, 0, err
	}
	var put, got atomic.Int64
	var mu sync.Mutex
	total := &result{}
	var failed error
	fail := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if failed == nil {
			failed = err
		}
	}
	putting, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var putters, getters sync.WaitGroup
	begin := time.Now()
	for i := range conns {
		putters.Go(func() {
			c, err := q.at.dial()
			if err == nil {
				defer c.Close()
			}
			for n := 0; err == nil && putting.Err() == nil; n++ {
				if rate > 0 {
					time.Sleep(time.Until(begin.Add(time.Duration(n*conns+i) * time.Second / time.Duration(rate))))
				}
				if err = q.put(c, each); err == nil {
					put.Add(int64(each))
				}
			}
			if err != nil {
				fail(err)
			}
		})
	}
	over := make(chan struct{})
	for range conns {
		getters.Go(func() {
			c, err := q.at.dial()
			if err == nil {
				defer c.Close()
			}
			for err == nil {
				var messages []received
				messages, err = q.take(c, 1)
				at := time.Now()
				mu.Lock()
				for _, m := range messages {
					total.latencies = append(total.latencies, at.Sub(sent(m.Body)))
				}
				mu.Unlock()
				got.Add(int64(len(messages)))
				select {
				case <-over:
					if got.Load() >= put.Load() || len(messages) == 0 && at.Sub(begin) > 10*d {
						return
					}
				default:
				}
			}
			fail(err)
		})
	}
	putters.Wait()
	close(over)
	getters.Wait()
	elapsed := time.Since(begin)
	after, err := q.at.cpu()
	if err != nil {
		return nil, 0, err
	}
	total.requests, total.cpu = int(got.Load()), after-before
	if failed == nil && got.Load() < put.Load() {
		failed = fmt.Errorf("%d of %d events came", got.Load(), put.Load())
	}
	return total, float64(got.Load()) / elapsed.Seconds(), failed
}

func (q *queue) put(c *conn, n int) error {
	detail := fmt.Sprintf(`{"kind":"k0","at":"%d","text":"%s"}`, time.Now().UnixNano(), strings.Repeat("e", 200))
	var entries []map[string]string
	for range n {
		entries = append(entries, map[string]string{"Source": "bench", "DetailType": "measured", "Detail": detail})
	}
	var out struct{ FailedEntryCount int }
	err := q.at.callOn(c, eventsAPI, "PutEvents", map[string]any{"Entries": entries}, &out)
	if err == nil && out.FailedEntryCount > 0 {
		err = fmt.Errorf("%d events were not taken", out.FailedEntryCount)
	}
	return err
}

// sent is when an event was put that came as a message.
func sent(body string) time.Time {
	var event struct{ Detail struct{ At string } }
	if json.Unmarshal([]byte(body), &event) != nil {
		return time.Time{}
	}
	nanos, err := strconv.ParseInt(event.Detail.At, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(0, nanos)
}

// depthTable fills a queue and prints at each power of ten how long sending and receiving take.
func depthTable(ctx context.Context, o options) error {
	s, err := startHoldfast(ctx, o.binary, "")
	if err != nil {
		return err
	}
	defer s.end()
	q, err := s.queue("bench-depth")
	if err != nil {
		return err
	}
	fmt.Printf("## A deep queue\n\nMessages of %d bytes, ten a request, %d connections. Then one connection sends, and receives and deletes, as few as do not change the depth.\n\n"+
		"| messages | put/s | resident MiB | SendMessage p50 | p99 | receive and delete of 10, p50 | p99 |\n| ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n", messageSize, o.conns)
	made := 0
	for n := min(1000, o.messages); ; n = min(n*10, o.messages) {
		from, begin := made, time.Now()
		for made < n && ctx.Err() == nil {
			m, err := q.sendBatch()
			if err != nil {
				return err
			}
			// In turns, so that the number is about what is wanted, and the signature new.
			r, err := s.burst(ctx, m, o.conns, min(time.Second, max(time.Duration(n-made)*20*time.Microsecond, 20*time.Millisecond)))
			if err != nil {
				return err
			}
			made += batch * r.requests
		}
		rate := float64(made-from) / time.Since(begin).Seconds()
		if ctx.Err() != nil && made == from {
			break
		}
		if err := q.depthRow(context.WithoutCancel(ctx), made, rate); err != nil {
			return err
		}
		if n == o.messages || ctx.Err() != nil {
			break
		}
	}
	fmt.Println()
	return nil
}

func (q *queue) depthRow(ctx context.Context, made int, rate float64) error {
	one, err := q.sendOne()
	if err != nil {
		return err
	}
	send, err := q.at.burst(ctx, one, 1, time.Second)
	if err != nil {
		return err
	}
	take, _, err := q.drain(ctx, 1, time.Second)
	if err != nil {
		return err
	}
	resident, err := q.at.resident()
	if err != nil {
		return err
	}
	fmt.Printf("| %d | %.0f | %.0f | %s | %s | %s | %s |\n", made, rate, float64(resident)/(1<<20), short(send.quantile(.5)), short(send.quantile(.99)), short(take.quantile(.5)), short(take.quantile(.99)))
	return nil
}

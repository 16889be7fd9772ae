package sqs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/pebblestore"
)

const (
	ours = "111122223333"
	home = "us-east-1"
)

// scene is the service over a store, without a door.
type scene struct {
	t     testing.TB
	store store.Store
	clock *clock.Movable
	s     *Service
	calls atomic.Int64
}

func newScene(t testing.TB, s store.Store, ring seal.Storage) *scene {
	w := &scene{t: t, store: s, clock: clock.NewMovable(0)}
	root, err := seal.NewKey(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	keyring, err := seal.Open(t.Context(), seal.Config{Provider: root, Storage: ring, Clock: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	w.s, err = New(Config{
		Store: s, Clock: w.clock, Seal: keyring, Principals: identity.New(s, keyring, "aws"), KMS: kms.Client{}, Partition: "aws", PublicURL: "http://127.0.0.1:4566",
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// onDisk is a scene over a store on disk.
func onDisk(t testing.TB, dir string) *scene {
	s, err := pebblestore.Open(pebblestore.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return newScene(t, s, seal.NewFileStorage(dir+".keyring"))
}

// try carries out a call, and again when its transaction conflicts.
func try[Out any](w *scene, handle func(*call.Call) (Out, error)) (out Out, err error) {
	id := strconv.FormatInt(w.calls.Add(1), 10)
	for {
		var tx store.Tx
		if tx, err = w.store.Begin(context.Background()); err != nil {
			return out, err
		}
		c := &call.Call{
			Context: context.Background(), Op: sqs.OpSendMessage, Scope: call.Scope{Partition: "aws", Account: ours, Region: home}, Caller: identity.Root("aws", ours, ours),
			Time: w.clock.Now(), RequestID: id, Rand: rand.Reader,
		}
		c.Bind("sqs", nil, func() (store.Tx, error) { return tx, nil })
		if out, err = handle(c); err == nil {
			err = tx.Commit(context.Background())
		}
		tx.Discard()
		if !errors.Is(err, store.ErrConflict) && !errors.Is(err, call.ErrAgain) {
			return out, err
		}
	}
}

func do[Out any](w *scene, handle func(*call.Call) (Out, error)) Out {
	w.t.Helper()
	out, err := try(w, handle)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

const jobs = "/" + ours + "/jobs"

func (w *scene) create() {
	do(w, func(c *call.Call) (*sqs.CreateQueueResult, error) {
		return w.s.CreateQueue(c, &sqs.CreateQueueRequest{QueueName: new("jobs")})
	})
}

func (w *scene) sendOne(body string) {
	do(w, func(c *call.Call) (*sqs.SendMessageResult, error) {
		return w.s.SendMessage(c, &sqs.SendMessageRequest{QueueUrl: new(jobs), MessageBody: &body})
	})
}

func (w *scene) receive(n int32) []sqs.Message {
	return do(w, func(c *call.Call) (*sqs.ReceiveMessageResult, error) {
		return w.s.ReceiveMessage(c, &sqs.ReceiveMessageRequest{QueueUrl: new(jobs), MaxNumberOfMessages: &n})
	}).Messages
}

func (w *scene) deleteOne(m sqs.Message) {
	do(w, func(c *call.Call) (*sqs.DeleteMessageResponse, error) {
		return w.s.DeleteMessage(c, &sqs.DeleteMessageRequest{QueueUrl: new(jobs), ReceiptHandle: m.ReceiptHandle})
	})
}

// fill sends n messages, many in a transaction.
func (w *scene) fill(n int) {
	out, err := newOutgoing(&sqs.SendMessageBatchRequestEntry{MessageBody: new(string(make500()))})
	if err != nil {
		w.t.Fatal(err)
	}
	var work sync.WaitGroup
	for range 2 {
		work.Go(func() {
			for left := n / 2; left > 0; left -= 1000 {
				do(w, func(c *call.Call) (*sent, error) {
					q, err := w.s.find(c, new(jobs))
					if err != nil {
						return nil, err
					}
					for range min(1000, left) {
						if _, err := w.s.send(q, out, &places{n: 1}); err != nil {
							return nil, err
						}
					}
					return nil, nil
				})
			}
		})
	}
	work.Wait()
}

func make500() []byte { return slices.Repeat([]byte("m"), 500) }

// receiveLatency is the median and the 99th percentile of receiving one message and deleting it.
func (w *scene) receiveLatency(n int) (median, p99 time.Duration) {
	times := make([]time.Duration, n)
	for i := range times {
		begun := time.Now()
		m := w.receive(1)
		if len(m) != 1 {
			w.t.Fatalf("%d messages came", len(m))
		}
		times[i] = time.Since(begun)
		w.deleteOne(m[0])
	}
	slices.Sort(times)
	return times[n/2], times[n*99/100]
}

// BenchmarkDepth measures how long receiving takes in a queue of 10,000 messages and of as many as HOLDFAST_QUEUE_DEPTH says, a million without it, before and after the
// store is opened again.
func BenchmarkDepth(b *testing.B) {
	deep := 1_000_000
	if v := os.Getenv("HOLDFAST_QUEUE_DEPTH"); v != "" {
		var err error
		if deep, err = strconv.Atoi(v); err != nil {
			b.Fatal(err)
		}
	}
	for _, depth := range []int{10_000, deep} {
		b.Run(fmt.Sprint(depth), func(b *testing.B) {
			dir := filepath.Join(b.TempDir(), "store")
			w := onDisk(b, dir)
			w.create()
			begun := time.Now()
			w.fill(depth)
			b.ReportMetric(float64(depth)/time.Since(begun).Seconds(), "filled/s")
			w.receiveLatency(50)
			median, p99 := w.receiveLatency(2000)
			b.ReportMetric(float64(median.Microseconds()), "receive-p50-µs")
			b.ReportMetric(float64(p99.Microseconds()), "receive-p99-µs")
			if err := w.store.Close(); err != nil {
				b.Fatal(err)
			}
			begun = time.Now()
			w2 := onDisk(b, dir)
			defer w2.store.Close()
			if len(w2.receive(1)) != 1 {
				b.Fatal("nothing came")
			}
			b.ReportMetric(float64(time.Since(begun).Milliseconds()), "reopen-to-receive-ms")
			median, _ = w2.receiveLatency(1000)
			b.ReportMetric(float64(median.Microseconds()), "reopened-receive-p50-µs")
		})
	}
}

// BenchmarkSend measures sends of 500 bytes by 64 at once, without HTTP and audit records.
func BenchmarkSend(b *testing.B) {
	w := onDisk(b, filepath.Join(b.TempDir(), "store"))
	defer w.store.Close()
	w.create()
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		body := string(make500())
		for pb.Next() {
			w.sendOne(body)
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sends/s")
}

// BenchmarkReceive measures receivers of one message each, with its deletion, 64 at once.
func BenchmarkReceive(b *testing.B) {
	w := onDisk(b, filepath.Join(b.TempDir(), "store"))
	defer w.store.Close()
	w.create()
	w.fill(b.N + 2000)
	b.SetParallelism(32)
	before := w.store.Metrics().Conflicts
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			for _, m := range w.receive(1) {
				w.deleteOne(m)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "received/s")
	b.ReportMetric(float64(w.store.Metrics().Conflicts-before)/float64(b.N), "conflicts/op")
}

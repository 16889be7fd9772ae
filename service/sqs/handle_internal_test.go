package sqs

import (
	"path/filepath"
	"testing"

	"github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
)

// A message that came back from a dead-letter queue is received for the first time once more, under the sequence that it had. A handle from before deletes nothing.
func TestHandleFromBeforeRedrive(t *testing.T) {
	w := newScene(t, memstore.New(), seal.NewFileStorage(filepath.Join(t.TempDir(), "keyring")))
	w.create()
	w.sendOne("one")
	before := w.receive(1)[0]
	there := func(change func(*call.Call, *queue, *message) error) int {
		return do(w, func(c *call.Call) (n int, err error) {
			q, err := w.s.find(c, new(jobs))
			if err != nil {
				return 0, err
			}
			for kv, err := range c.Tx().Scan(q.pile().key("message"), q.pile().key("message", "~"), store.ScanOptions{}) {
				if err != nil {
					return 0, err
				}
				seq, err := lastNumber(kv.Key)
				if err != nil {
					return 0, err
				}
				m, err := q.pile().load(c.Tx(), seq)
				if err != nil {
					return 0, err
				}
				if n++; change != nil {
					if err := change(c, q, m); err != nil {
						return 0, err
					}
				}
			}
			return n, nil
		})
	}
	there(func(c *call.Call, q *queue, m *message) error {
		m.Taken++
		return set(c.Tx(), q.pile().message(m.seq), m)
	})
	w.deleteOne(before)
	if there(nil) != 1 {
		t.Error("a handle from before has deleted the message")
	}
}

// What is received for no time at all is not in flight.
func TestNoVisibilityTimeout(t *testing.T) {
	w := newScene(t, memstore.New(), seal.NewFileStorage(filepath.Join(t.TempDir(), "keyring")))
	w.create()
	w.sendOne("one")
	count := func() number {
		return do(w, func(c *call.Call) (number, error) {
			q, err := w.s.find(c, new(jobs))
			if err != nil {
				return number{}, err
			}
			return w.s.fronts.of(q.pile()).number(c.Context, w.store, false, c.Time)
		})
	}
	count()
	do(w, func(c *call.Call) (*sqs.ReceiveMessageResult, error) {
		return w.s.ReceiveMessage(c, &sqs.ReceiveMessageRequest{QueueUrl: new(jobs), VisibilityTimeout: new(int32(0))})
	})
	if got, want := count(), (number{visible: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

package events_test

import (
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"github.com/holdfast-cloud/holdfast/cloud"
)

// What was put while nobody delivered comes when the cloud is opened again: each event once, in order.
func TestReopen(t *testing.T) {
	dir := t.TempDir()
	const n = 500
	t.Run("Before", func(t *testing.T) {
		h := start(t, func(cfg *cloud.Config) { cfg.Dir, cfg.Idle = dir, true })
		q := h.queue(home, "q.fifo", true)
		target := to(q)
		target.SqsParameters = &types.SqsParameters{MessageGroupId: aws.String("g")}
		h.rule(h.Client, "", "r", shop, target)
		for i := 0; i < n; i += 10 {
			var entries []types.PutEventsRequestEntry
			for k := range 10 {
				entries = append(entries, entry(fmt.Sprintf(`{"n":%d}`, i+k)))
			}
			h.put(h.Client, entries...)
		}
	})
	t.Run("After", func(t *testing.T) {
		h := start(t, func(cfg *cloud.Config) { cfg.Dir = dir })
		got := h.queue(home, "q.fifo", true).bodies()
		if len(got) != n {
			t.Errorf("%d of %d events arrived", len(got), n)
		}
		for i, body := range got {
			if want := fmt.Sprintf(`{"n":%d}`, i); string(read(t, body).Detail) != want {
				t.Fatalf("event %d is %s", i, body)
			}
		}
	})
}

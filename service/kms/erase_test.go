package kms

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
)

// TestDeletionOfAKeyWithManyGrants has more to delete than one transaction does.
func TestDeletionOfAKeyWithManyGrants(t *testing.T) {
	t.Parallel()
	const grants = 2*eraseBatch + 1000 // in steps of 1000
	b := newBench(t)
	arn := b.key("SYMMETRIC_DEFAULT")
	id := arn[strings.LastIndexByte(arn, '/')+1:]
	retirer := "arn:aws:iam::" + ownAccount + ":user/" + strings.Repeat("long/", 20)
	for i := 0; i < grants; i += 1000 {
		err := b.cfg.Store.Update(context.Background(), func(tx store.Tx) error {
			for j := range 1000 {
				g := &grantRecord{ID: fmt.Sprintf("%064d", i+j), KeyID: id, Account: ownAccount, Region: "us-east-1", Retiring: retirer}
				if err := grantTable.In(ownAccount, "us-east-1").Put(tx, g); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	err := b.call(kms.OpScheduleKeyDeletion, func(c *call.Call) error {
		_, err := b.ScheduleKeyDeletion(c, &kms.ScheduleKeyDeletionRequest{KeyId: &arn})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if !strings.Contains(string(b.dump()), id) {
			t.Error("the key is gone before its grants")
		}
		if err := b.call(nil, func(c *call.Call) error { return b.deleteDue(c, id, nil) }); err != nil {
			t.Fatalf("deleteDue: %v", err)
		}
	}
	for kv, err := range scanAll(b) {
		if err != nil {
			t.Fatal(err)
		}
		// The door takes the timer, and the event and nothing else tells of the key.
		if s := string(kv.Key); strings.Contains(s, id) && !strings.HasPrefix(s, "timer") {
			t.Fatalf("%q is left", kv.Key)
		}
	}
}

func scanAll(b *bench) func(func(store.KV, error) bool) {
	return func(yield func(store.KV, error) bool) {
		err := b.cfg.Store.View(context.Background(), func(r store.Reader) error {
			for kv, err := range r.Scan(nil, nil, store.ScanOptions{}) {
				if !yield(kv, err) || err != nil {
					return nil
				}
			}
			return nil
		})
		if err != nil {
			yield(store.KV{}, err)
		}
	}
}

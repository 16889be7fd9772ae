package cloudtrail

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/blob"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/eventselect"
	"github.com/holdfast-cloud/holdfast/store"
)

var errBroken = errors.New("the disk is full")

// brittle is a blob store that fails when its count comes to zero.
type brittle struct {
	blob.Store
	left int
}

func (b *brittle) fails() bool {
	b.left--
	return b.left == 0
}

func (b *brittle) Put(ctx context.Context, key string, r io.Reader) (blob.Info, error) {
	if b.fails() {
		io.CopyN(io.Discard, r, 10) // in the middle of it
		return blob.Info{}, errBroken
	}
	return b.Store.Put(ctx, key, r)
}

func (b *brittle) Delete(ctx context.Context, key string) error {
	if b.fails() {
		return errBroken
	}
	return b.Store.Delete(ctx, key)
}

// Every event is in a store once: passes that end in the middle, that have to begin again because of a conflict, and merges make no difference.
func TestLakeIngestsOnce(t *testing.T) {
	w := newScene(t)
	objects := &brittle{Store: new(blob.Memory)}
	w.s.cfg.Blob = objects
	d := &eventStoreRecord{
		Account: ours, Region: home, ID: "11111111-2222-4333-8444-555555555555", Name: "history", Created: w.clock.Now(), Retention: defaultRetention,
		Status: cloudtrail.EventDataStoreStatusEnabled, Category: eventselect.Management,
		Selectors: []eventselect.Selector{{Fields: []eventselect.Field{{Field: "eventCategory", Equals: []string{eventselect.Management}}}}},
	}
	r := rand.New(rand.NewPCG(7, 7))
	do := func(account string, fn func(*call.Call) error) {
		t.Helper()
		if err := w.do(account, home, fn); err != nil && !errors.Is(err, errBroken) {
			t.Fatal(err)
		}
	}
	do(ours, func(c *call.Call) error {
		return errors.Join(w.s.begin(c, d), eventStoreTable.In(ours, home).Put(c.Tx(), d))
	})
	conflict := func() {
		err := w.store.Update(t.Context(), func(tx store.Tx) error {
			at, err := cursorTable.In(ours, home).Get(tx, d.ID)
			if err != nil {
				return err
			}
			return cursorTable.In(ours, home).Put(tx, at)
		})
		if err != nil {
			t.Error(err)
		}
	}
	read := func(c *call.Call) error { return w.s.readingDue(c, "", nil) }
	for round := range 400 {
		w.did(ours, "CreateKey", "", "deployer", r.IntN(5))
		if r.IntN(3) == 0 {
			objects.left = 1 + r.IntN(6)
		}
		if r.IntN(3) == 0 {
			w.meddle = conflict
		}
		do(call.OwnAccount, read)
		if round%50 == 49 {
			do(ours, func(c *call.Call) error { return w.s.retentionDue(c, d.ID, nil) })
		}
		w.clock.Advance(lakeInterval)
	}
	objects.left, w.meddle = 0, nil
	do(call.OwnAccount, read)

	seen := make(map[string]int)
	src := source{w.s, &job{now: w.clock.Now(), stores: map[string]asked{"it": {d, nil}}}}
	for event, err := range src.Records(t.Context(), "it", time.Time{}, time.Time{}) {
		if err != nil {
			t.Fatal(err)
		}
		var e struct{ EventID string }
		if err := json.NewDecoder(bytes.NewReader(event)).Decode(&e); err != nil {
			t.Fatal(err)
		}
		seen[e.EventID]++
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s is there %d times", id, n)
		}
	}
	if len(seen) != w.id || w.id == 0 {
		t.Errorf("%d of %d events", len(seen), w.id)
	}
}

// A query that was cancelled keeps no place, and the queries of one account do not hold up those of another.
func TestQueriesTakeTurns(t *testing.T) {
	q := newQueries()
	for _, j := range []*job{{id: "a1", owner: "a"}, {id: "a2", owner: "a"}, {id: "a3", owner: "a"}, {id: "b1", owner: "b"}, {id: "c1", owner: "c"}} {
		q.add(j)
	}
	q.cancel("a2")
	q.cancel("c1")
	if n := q.waiting(); n != 3 {
		t.Errorf("%d wait", n)
	}
	var order []string
	for range 3 {
		j, ctx := q.take(t.Context())
		order = append(order, j.id)
		defer func() {
			q.cancel(j.id)
			if ctx.Err() == nil {
				t.Errorf("%s was not cancelled", j.id)
			}
		}()
	}
	if order[0] != "a1" || order[1] != "b1" || order[2] != "a3" {
		t.Errorf("order %v", order)
	}
}

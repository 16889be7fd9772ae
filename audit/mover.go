package audit

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/holdfast-cloud/holdfast/store"
)

// moveBatch is how many records one step moves.
const moveBatch = 1000

// Settle moves every record of a change that is committed into the log.
func (t *Trail) Settle(ctx context.Context) error {
	for {
		n, err := t.move(ctx)
		if err != nil {
			return fmt.Errorf("moving audit records of changes into the log: %w", err)
		}
		if n < moveBatch {
			return nil
		}
	}
}

// move moves the oldest records that are in the store, and returns how many.
func (t *Trail) move(ctx context.Context) (int, error) {
	t.moving.Lock()
	defer t.moving.Unlock()
	var rows []store.KV
	first, last := storeRange(math.MinInt64, math.MaxInt64)
	err := t.cfg.Store.View(ctx, func(r store.Reader) error {
		for kv, err := range r.Scan(first, last, store.ScanOptions{Limit: moveBatch}) {
			if err != nil {
				return err
			}
			rows = append(rows, kv)
		}
		return nil
	})
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	entries := make([]entry, len(rows))
	for i, kv := range rows {
		if entries[i], err = entryOf(kv.Value); err != nil {
			return 0, err
		}
	}
	if t.log == nil {
		t.remember(entries)
	} else if err := t.log.appendSynced(entries...); err != nil {
		return 0, err
	}
	err = t.cfg.Store.Update(ctx, func(tx store.Tx) error {
		for _, kv := range rows {
			tx.Delete(kv.Key)
		}
		return nil
	})
	return len(rows), err
}

// entryOf is a stored record on its way into the log.
func entryOf(stored []byte) (entry, error) {
	f, err := factsOf(stored)
	if err != nil {
		return entry{}, err
	}
	e := entry{at: time.Unix(0, f.at), stored: stored}
	_, e.terms = f.appendTerms(nil)
	return e, nil
}

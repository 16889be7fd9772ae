package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/tuple"
)

// Records of changes stand in the store, in the order of their times, until they were moved into the log:
//
//	("audit", time, event id, recipient account) → the record, as Record.appendStored has it
//	("audit-moved")                              → a Cursor, as JSON: before it, the log holds no record that is in the store as well
//
// A step appends some of them to the log, waits until they are durable there, and deletes them from the store. What ends between leaves records in both; those that
// are behind the cursor in the log are told by their keys, and are in the log for everybody from then on.
const space = "audit"

var movedKey = tuple.Encode("audit-moved")

// A step moves so many records, or so many bytes of them.
const (
	stepRecords = 2000
	stepBytes   = 4 << 20
)

// markStride is how much of the log lies behind the cursor before it is set anew: what is read when a step was cut off.
const markStride = 4 << 20

// mover is what a Trail knows of the records on their way.
type mover struct {
	kick    chan struct{}
	mark    *Cursor             // as the store has it; nil if it is not known
	unsure  bool                // the last step failed: what it appended may be in the log
	doubles map[string]struct{} // keys of records that are in the store and in the log; replaced, never changed; guarded by Trail.moving
}

// Run moves records of changes from the store into the log soon after their commit, and complete segments of the log into the archive, until ctx ends.
func (t *Trail) Run(ctx context.Context) {
	var jobs sync.WaitGroup
	jobs.Go(func() { t.repeat(ctx, t.mover.kick, movePause, t.Settle) })
	if t.log != nil && t.log.archive != nil {
		jobs.Go(func() { t.repeat(ctx, t.log.shipped, 0, t.Ship) })
	}
	jobs.Wait()
}

// repeat calls fn at the start, a little after it is woken, and again after a while when it failed.
func (t *Trail) repeat(ctx context.Context, kick <-chan struct{}, pause time.Duration, fn func(context.Context) error) {
	for ctx.Err() == nil {
		err := fn(ctx)
		if err != nil && ctx.Err() == nil {
			if !errors.Is(err, store.ErrFull) { // of that the store tells
				t.cfg.Failed(err)
			}
			_ = clock.Pause(ctx, retryPause)
			continue
		}
		select {
		case <-ctx.Done():
		case <-kick:
			_ = clock.Pause(ctx, pause)
		}
	}
}

// Records wait a little, so that many of them share the work.
const (
	movePause  = 200 * time.Millisecond
	retryPause = 10 * time.Second
)

// Settle moves every record of a change that is committed into the log.
func (t *Trail) Settle(ctx context.Context) error {
	for more := true; more; {
		var err error
		if more, err = t.step(ctx); err != nil {
			return fmt.Errorf("moving audit records of changes into the log: %w", err)
		}
	}
	return nil
}

// step moves the oldest records that are in the store.
func (t *Trail) step(ctx context.Context) (more bool, err error) {
	t.steps.Lock()
	defer t.steps.Unlock()
	rows, more, err := t.oldestRows(ctx)
	if err != nil || len(rows) == 0 {
		return false, err
	}
	if err := t.movable(ctx); err != nil {
		return false, err
	}
	var entries []entry
	for _, kv := range rows {
		if _, ok := t.mover.doubles[string(kv.Key)]; !ok { // only steps change it
			entries = append(entries, t.rowEntry(kv))
		}
	}
	t.moving.Lock()
	defer t.moving.Unlock()
	ctx = context.WithoutCancel(ctx) // what is begun is ended, or known
	if t.log == nil {
		if err := t.deleteRows(ctx, rows); err != nil {
			return false, err
		}
		t.remember(entries)
		return more, nil
	}
	if len(entries) > 0 {
		if err := t.log.appendSynced(entries...); err != nil {
			t.mover.unsure = true
			return false, errors.Join(err, t.findDoubles(ctx))
		}
	}
	if err := t.deleteRows(ctx, rows); err != nil {
		t.mover.unsure = true
		return false, errors.Join(err, t.findDoubles(ctx))
	}
	return more, nil
}

// oldestRows returns the oldest records in the store.
func (t *Trail) oldestRows(ctx context.Context) (rows []store.KV, more bool, err error) {
	first, last := storeRange(math.MinInt64, math.MaxInt64)
	size := 0
	err = t.cfg.Store.View(ctx, func(r store.Reader) error {
		for kv, err := range r.Scan(first, last, store.ScanOptions{Limit: stepRecords + 1}) {
			if err != nil {
				return err
			}
			if more = len(rows) == stepRecords || size > stepBytes; more {
				return nil
			}
			rows = append(rows, kv)
			size += len(kv.Value)
		}
		return nil
	})
	return rows, more, err
}

// movable sees to it that a step that is cut off can be made good: that the cursor in the store is not far behind, and what an earlier step left is known.
func (t *Trail) movable(ctx context.Context) error {
	if m := t.cfg.Store.Metrics(); m.DiskFree > 0 && m.DiskFree < m.DiskSpare {
		return store.ErrFull
	}
	if t.log == nil {
		return nil
	}
	if t.mover.unsure {
		if err := t.log.mend(); err != nil {
			return err
		}
		t.moving.Lock()
		err := t.findDoubles(ctx)
		t.moving.Unlock()
		if err != nil {
			return err
		}
		t.mover.unsure = false
	}
	mark, err := t.movedTo(ctx)
	if err != nil {
		return err
	}
	end, err := t.End(ctx)
	if err != nil || mark != nil && mark.Segment == end.Segment && end.Offset-mark.Offset < markStride || len(t.mover.doubles) > 0 {
		return err // with doubles, the cursor must stay before them
	}
	return t.cfg.Store.Update(ctx, func(tx store.Tx) error { return t.setMark(tx, end) })
}

// movedTo is the cursor in the store, or nil if there is none: nothing was moved yet.
func (t *Trail) movedTo(ctx context.Context) (*Cursor, error) {
	if t.mover.mark != nil {
		return t.mover.mark, nil
	}
	var mark *Cursor
	err := t.cfg.Store.View(ctx, func(r store.Reader) error {
		b, err := r.Get(movedKey)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return json.Unmarshal(b, &mark)
	})
	t.mover.mark = mark
	return mark, err
}

func (t *Trail) setMark(tx store.Tx, at Cursor) error {
	b, err := json.Marshal(at)
	if err != nil {
		return err
	}
	tx.Set(movedKey, b)
	tx.OnCommitted(func() { t.mover.mark = &at })
	return nil
}

// deleteRows ends a step.
func (t *Trail) deleteRows(ctx context.Context, rows []store.KV) error {
	end, err := t.End(ctx)
	if err != nil {
		return err
	}
	left := make(map[string]struct{})
	for key := range t.mover.doubles {
		left[key] = struct{}{}
	}
	for _, kv := range rows {
		delete(left, string(kv.Key))
	}
	err = t.cfg.Store.Update(ctx, func(tx store.Tx) error {
		for _, kv := range rows {
			tx.Delete(kv.Key)
		}
		if t.log == nil || len(left) > 0 {
			return nil
		}
		return t.setMark(tx, end)
	})
	if err == nil {
		t.mover.doubles = left
		t.moved.Add(uint64(len(rows)))
	}
	return err
}

// findDoubles finds out which records are in the store and in the log.
func (t *Trail) findDoubles(ctx context.Context) error {
	mark, err := t.movedTo(ctx)
	if err != nil || mark == nil || t.log == nil {
		return err
	}
	var keys [][]byte
	f := &feed{ctx: ctx, at: *mark}
	f.stored = func(stored []byte) {
		if x, err := factsOf(stored); err == nil { // or it was never in the store
			keys = append(keys, rowKey(time.Unix(0, x.at), x.event, x.account))
		}
	}
	if err := t.log.feed(f); err != nil { // damage apart: what cannot be read is in the store yet
		return err
	}
	doubles := make(map[string]struct{})
	err = t.cfg.Store.View(ctx, func(r store.Reader) error {
		for _, key := range keys {
			if _, err := r.Get(key); err == nil {
				doubles[string(key)] = struct{}{}
			} else if !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
		return nil
	})
	if err == nil {
		t.mover.doubles = doubles
	}
	return err
}

func rowKey(at time.Time, event, recipient string) []byte {
	return tuple.Encode(space, at, event, recipient)
}

// rowEntry is a record of the store on its way into the log.
func (t *Trail) rowEntry(kv store.KV) entry {
	if terms, ok := t.fresh.take(kv.Key); ok {
		if at, err := timeOf(kv.Value); err == nil {
			return entry{at: at, frame: appendFrame(nil, kv.Value), terms: terms}
		}
	}
	f, err := factsOf(kv.Value)
	if err != nil {
		return entry{at: time.Unix(0, 0), frame: appendFrame(nil, kv.Value)} // nothing finds it, and reading tells of it
	}
	e := entry{at: time.Unix(0, f.at)}
	stored := kv.Value
	if parts, err := tuple.Split(kv.Key); err == nil && len(parts) == 4 {
		if at, err := time.Parse(time.RFC3339Nano, parts[1]); err == nil && !at.Equal(e.at) {
			// Earlier versions kept the nanoseconds in the key alone.
			rec, trace, _ := splitStored(kv.Value)
			stored = append(append(append(append([]byte(nil), rec...), '\n'), trace...), '\n')
			stored, e.at = strconv.AppendInt(stored, int64(at.Nanosecond()), 10), at
		}
	}
	e.frame = appendFrame(nil, stored)
	_, e.terms = f.appendTerms(nil)
	return e
}

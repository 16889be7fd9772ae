package evidence

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/store"
)

// text is a policy document. It is named by a hash of itself, so it never changes.
type text struct {
	ID   string
	Kind policy.Kind
	Text string
	Seen time.Time // when it was last looked for, within a period
}

// set is the policies that bind somebody together, named by a hash of them.
type set struct {
	ID    string
	Parts []part
	Seen  time.Time
}

// part is one policy of a set.
type part struct {
	Kind   policy.Kind
	Group  bool   `json:",omitempty"` // it is attached to a group
	Level  int    `json:",omitempty"` // of the organization, from the root
	Name   string `json:",omitempty"` // its ARN, or the name of an inline policy
	Policy string // text.ID
}

// Stored as (see store.Table), in no account, because the same text is the same evidence wherever it is attached:
//
//	evidence // text / ID    → text
//	evidence // set / ID     → set
var (
	texts = store.NewTable("evidence", "text", func(t *text) store.Key { return store.Key{t.ID} })
	sets  = store.NewTable("evidence", "set", func(s *set) store.Key { return store.Key{s.ID} })
)

// put writes what of the entries is not in the store yet, or was last looked for in an earlier period. lacking reports that something was not
// there at all.
func put(tx store.Tx, now time.Time, entries []*entry) (lacking bool, err error) {
	current := periodOf(now)
	// stale reports whether something has to be written.
	stale := func(seen time.Time, err error) (bool, error) {
		if errors.Is(err, store.ErrNotFound) {
			lacking = true
			return true, nil
		}
		return periodOf(seen) < current, err
	}
	for _, e := range entries {
		for _, p := range e.texts {
			row := text{ID: textID(p), Kind: p.Kind(), Text: p.Text(), Seen: now}
			have, err := texts.In("", "").Get(tx, row.ID)
			if err != nil {
				have = new(text)
			}
			write, err := stale(have.Seen, err)
			if err == nil && write {
				err = texts.In("", "").Put(tx, &row)
			}
			if err != nil {
				return true, err
			}
		}
		if e.single {
			continue
		}
		have, err := sets.In("", "").Get(tx, e.id)
		if err != nil {
			have = new(set)
		}
		write, err := stale(have.Seen, err)
		if err == nil && write {
			err = sets.In("", "").Put(tx, &set{ID: e.id, Parts: e.parts, Seen: now})
		}
		if err != nil {
			return true, err
		}
	}
	return lacking, nil
}

// pruneBatch is how many records one transaction of Prune deletes.
const pruneBatch = 500

// Prune forgets what no call used since the time given. What was used is marked once in a period, so a period more is left.
func (r *Recorder) Prune(ctx context.Context, before time.Time) error {
	before = before.Add(-period)
	err := errors.Join(
		prune(ctx, r.cfg.Store, texts.In("", ""), func(t *text) (string, bool) { return t.ID, t.Seen.Before(before) }),
		prune(ctx, r.cfg.Store, sets.In("", ""), func(s *set) (string, bool) { return s.ID, s.Seen.Before(before) }),
	)
	if err != nil {
		return fmt.Errorf("forgetting policies that no record names: %w", err)
	}
	return nil
}

// prune looks for what is old on a snapshot, and again in the transaction that deletes it: somebody may use it meanwhile.
func prune[R any](ctx context.Context, s store.Store, rows store.Rows[R], old func(*R) (id string, yes bool)) error {
	var ids []string
	err := s.View(ctx, func(rd store.Reader) error {
		for row, err := range rows.Scan(rd, store.Query{}) {
			if err != nil {
				return err
			}
			if id, yes := old(row); yes {
				ids = append(ids, id)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for some := range slices.Chunk(ids, pruneBatch) {
		err := s.Update(ctx, func(tx store.Tx) error {
			for _, id := range some {
				row, err := rows.Get(tx, id)
				if errors.Is(err, store.ErrNotFound) {
					continue
				}
				if err != nil {
					return err
				}
				if _, yes := old(row); yes {
					if err := rows.Delete(tx, id); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// RunRetention forgets once an hour what no record of the last keep names, until ctx ends.
func (r *Recorder) RunRetention(ctx context.Context, c clock.Clock, keep time.Duration, failed func(error)) {
	for {
		if err := r.Prune(ctx, c.Now().Add(-keep)); err != nil && ctx.Err() == nil {
			failed(err)
		}
		if clock.Pause(ctx, time.Hour) != nil {
			return
		}
	}
}

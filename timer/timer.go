// Package timer keeps durable timers: what a call wants to happen at a later time of the domain clock. A timer is
// set and cancelled in the transaction of the call, survives restarts, and is deleted in the transaction of
// what it caused, so that this happens exactly once.
package timer

import (
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/holdfast-cloud/holdfast/store"
)

// ID names a timer: there is one of a kind for a subject, e.g. "delete" for a key.
type ID struct {
	Service string // e.g. "kms"
	Account string
	Region  string
	Kind    string
	Subject string
}

// Timer is a timer that is set.
type Timer struct {
	ID
	Due      time.Time
	Payload  []byte    `json:",omitempty"`
	Attempts int       `json:",omitempty"` // times that firing it failed
	Wanted   time.Time // the time it was set for; Due is later after failures
}

// Stored as (see store.Table): timer / account / region / timer / service / kind / subject → Timer, with a global index by due time.
var timers = store.NewTable("timer", "timer", func(t *Timer) store.Key { return store.Key{t.Service, t.Kind, t.Subject} },
	store.Index[Timer]{Name: "due", Global: true, Entries: func(t *Timer) []store.Key { return []store.Key{{t.Due}} }})

// Set sets a timer, in place of the one with the same ID.
func Set(tx store.Tx, id ID, due time.Time, payload []byte) error {
	return timers.In(id.Account, id.Region).Put(tx, &Timer{ID: id, Due: due, Wanted: due, Payload: payload})
}

// Cancel removes a timer; that there is none is no error.
func Cancel(tx store.Tx, id ID) error {
	err := timers.In(id.Account, id.Region).Delete(tx, id.Service, id.Kind, id.Subject)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// Take removes a timer that is about to be carried out in tx. It reports false if the timer was cancelled, set anew or
// carried out meanwhile.
func Take(tx store.Tx, t *Timer) (bool, error) {
	rows := timers.In(t.Account, t.Region)
	now, err := rows.Get(tx, t.Service, t.Kind, t.Subject)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	case !now.Due.Equal(t.Due):
		return false, nil
	}
	return true, rows.Delete(tx, t.Service, t.Kind, t.Subject)
}

// All iterates over the timers of a kind that a service has set, in all accounts and regions. Other timers cost it nothing.
func All(r store.Reader, service, kind string) iter.Seq2[*Timer, error] {
	return func(yield func(*Timer, error) bool) {
		for h, err := range timers.Homes(r) {
			if err != nil {
				yield(nil, err)
				return
			}
			for t, err := range timers.In(h.Account, h.Region).Scan(r, store.Query{Prefix: store.Key{service, kind}}) {
				if !yield(t, err) || err != nil {
					return
				}
			}
		}
	}
}

// dueTime is when a timer is due; zero if it is not set.
func dueTime(r store.Reader, id ID) (time.Time, error) {
	t, err := timers.In(id.Account, id.Region).Get(r, id.Service, id.Kind, id.Subject)
	if errors.Is(err, store.ErrNotFound) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("reading a timer: %w", err)
	}
	return t.Due, nil
}

// next returns the timer that is due first, of those that are not due before a time, or nil if none is set.
func next(r store.Reader, from time.Time) (*Timer, error) {
	q := store.Query{Index: "due", Limit: 1}
	if !from.IsZero() {
		q.From = store.Key{from}
	}
	for t, err := range timers.In("", "").Scan(r, q) {
		if err != nil {
			return nil, fmt.Errorf("looking for the next timer: %w", err)
		}
		return t, nil
	}
	return nil, nil
}

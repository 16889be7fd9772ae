// Package delivery brings what services send to whom it is for: events to targets, messages to subscribers. What is to be delivered, a parcel, is written in the transaction of
// what causes it, and removed in the one that delivers it, so it survives a crash and is not forgotten. Parcels for one receiver stand in a lane, and are handed over one after
// another, in the order in which they were put there.
package delivery

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/timer"
)

// Lane names a queue of parcels to one receiver.
type Lane struct {
	Service string // whose Carrier hands them over, e.g. "events"
	Account string
	Region  string
	Kind    string // e.g. "target"
	Subject string // e.g. a rule and the ID of its target
}

// Parcel is something to be delivered.
type Parcel struct {
	Lane
	Place   string    // in the lane; set by Put
	Created time.Time // when it was put there, by the domain clock
	Payload []byte    // what the service makes of it; what customers sent is sealed or encrypted in it

	MaxAttempts int       `json:",omitempty"` // after which it is given up; 0 is no limit
	Expires     time.Time `json:",omitzero"`  // after which it is not tried again; zero is never

	Attempts int    `json:",omitempty"` // that failed
	Failure  string `json:",omitempty"` // of the last one
}

// Stored as (see store.Table): delivery / account / region / parcel / service / kind / subject / place → Parcel.
var parcels = store.NewTable("delivery", "parcel", func(p *Parcel) store.Key { return store.Key{p.Service, p.Kind, p.Subject, p.Place} })

// puts counts the parcels of this process, which tells apart, and orders, those of one moment.
var puts atomic.Uint64

const placeTime = "2006-01-02T15:04:05.000000000Z"

// Put puts a parcel at the end of its lane. Created must be set.
func Put(tx store.Tx, p *Parcel) error {
	for {
		p.Place = p.Created.UTC().Format(placeTime) + fmt.Sprintf("-%020d", puts.Add(1))
		err := parcels.In(p.Account, p.Region).Insert(tx, p)
		if errors.Is(err, store.ErrExists) {
			continue // of an earlier process
		}
		if err != nil {
			return fmt.Errorf("putting a parcel into a lane: %w", err)
		}
		return nil
	}
}

// Waiting returns the parcels of a lane, oldest first, at most limit of them.
func Waiting(r store.Reader, l Lane, limit int) ([]*Parcel, error) { return waiting(r, l, "", limit) }

func waiting(r store.Reader, l Lane, from string, limit int) ([]*Parcel, error) {
	q := store.Query{Prefix: store.Key{l.Service, l.Kind, l.Subject}, Limit: limit}
	if from != "" {
		q.From = store.Key{from}
	}
	var out []*Parcel
	size := 0
	for p, err := range parcels.In(l.Account, l.Region).Scan(r, q) {
		if err != nil {
			return nil, fmt.Errorf("reading a lane: %w", err)
		}
		out = append(out, p)
		if size += len(p.Payload); size > maxBatchSize {
			break
		}
	}
	return out, nil
}

// lanes iterates over the lanes that have parcels, skipping from one to the next.
func lanes(r store.Reader) iter.Seq2[Lane, error] {
	return func(yield func(Lane, error) bool) {
		for h, err := range parcels.Homes(r) {
			if err != nil {
				yield(Lane{}, err)
				return
			}
			q := store.Query{Limit: 1}
			for {
				var l *Lane
				for p, err := range parcels.In(h.Account, h.Region).Scan(r, q) {
					if err != nil {
						yield(Lane{}, err)
						return
					}
					l = &p.Lane
				}
				if l == nil {
					break
				}
				if !yield(*l, nil) {
					return
				}
				q.From = store.Key{l.Service, l.Kind, l.Subject, afterPlaces}
			}
		}
	}
}

// afterPlaces orders behind all places.
const afterPlaces = "~"

// Drop removes the parcels of a lane whose receiver is no more, at most limit of them, and returns how many they were. Those that are being handed over at the moment may still arrive.
func Drop(tx store.Tx, l Lane, limit int) (int, error) {
	found, err := Waiting(tx, l, limit)
	if err != nil {
		return 0, err
	}
	for _, p := range found {
		if err := Remove(tx, p); err != nil {
			return 0, err
		}
	}
	return len(found), nil
}

// Look reports whether a parcel is still as it was when it was read: neither delivered nor tried meanwhile.
func Look(r store.Reader, p *Parcel) (bool, error) {
	now, err := parcels.In(p.Account, p.Region).Get(r, p.Service, p.Kind, p.Subject, p.Place)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking for a parcel: %w", err)
	}
	return now.Attempts == p.Attempts, nil
}

// Remove takes a parcel out of its lane, in the transaction in which it was delivered or given up.
func Remove(tx store.Tx, p *Parcel) error {
	return parcels.In(p.Account, p.Region).Delete(tx, p.Service, p.Kind, p.Subject, p.Place)
}

// Timer is the kind of the timers that lanes wait for.
const Timer = "lane"

// Wait has a lane wait until a time, at which a timer fires that wakes it.
func Wait(tx store.Tx, l Lane, until time.Time) error {
	payload, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return timer.Set(tx, timer.ID{Service: l.Service, Account: l.Account, Region: l.Region, Kind: Timer, Subject: l.Kind + "/" + l.Subject}, until, payload)
}

// LaneOf returns the lane that a timer was set for.
func LaneOf(t *timer.Timer) (l Lane, err error) {
	if err := json.Unmarshal(t.Payload, &l); err != nil {
		return l, fmt.Errorf("reading a lane's timer: %w", err)
	}
	return l, nil
}

// Failed writes down that an attempt to deliver a parcel failed.
func Failed(tx store.Tx, p *Parcel, cause error) error {
	failed := *p
	failed.Attempts++
	failed.Failure = cause.Error()
	if len(failed.Failure) > maxFailure {
		failed.Failure = failed.Failure[:maxFailure]
	}
	return parcels.In(p.Account, p.Region).Put(tx, &failed)
}

// maxFailure is how much of an error is kept, in bytes.
const maxFailure = 1000

// ErrExpired is the cause for which a parcel is given up that was not delivered in its time.
var ErrExpired = errors.New("it was not delivered in its time")

// Spent reports whether no attempt is left to a parcel of which one more has failed at now.
func (p *Parcel) Spent(now time.Time) bool {
	return p.MaxAttempts > 0 && p.Attempts+1 >= p.MaxAttempts || p.Expired(now)
}

// Expired reports whether the time to deliver the parcel is over.
func (p *Parcel) Expired(now time.Time) bool { return !p.Expires.IsZero() && now.After(p.Expires) }

// Retry is how long a lane waits after the given number of failed attempts in a row: a second, doubling up to five minutes.
func Retry(attempts int) time.Duration { return min(firstRetry<<min(attempts-1, 20), lastRetry) }

const (
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
)

// Permanent marks an error that no other attempt helps against: the parcel is given up at once.
func Permanent(err error) error { return &permanent{err} }

// IsPermanent reports whether an error was marked by Permanent.
func IsPermanent(err error) bool {
	_, ok := errors.AsType[*permanent](err)
	return ok
}

type permanent struct{ error }

func (p *permanent) Unwrap() error { return p.error }

// After is the error of an attempt with the time after which the next one is due, where the receiver, or who owns it, has said that. Others wait as Retry has it.
func After(wait time.Duration, err error) error { return &after{err, wait} }

// WaitAfter is how long a lane waits for the next attempt after one that failed, of so many in a row.
func WaitAfter(err error, attempts int) time.Duration {
	if a, ok := errors.AsType[*after](err); ok {
		return a.wait
	}
	return Retry(attempts)
}

type after struct {
	error
	wait time.Duration
}

func (a *after) Unwrap() error { return a.error }

// Later is the error of a receiver that takes nothing before a time, e.g. at its rate limit. It does not count as an attempt.
func Later(at time.Time) error { return later{at} }

// IsLater returns the time if an error is one of Later.
func IsLater(err error) (time.Time, bool) {
	l, ok := errors.AsType[later](err)
	return l.at, ok
}

type later struct{ at time.Time }

func (l later) Error() string { return "not before " + l.at.Format(time.RFC3339) }

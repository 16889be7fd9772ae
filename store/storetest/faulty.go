package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/holdfast-cloud/holdfast/store"
)

// Fault is what happens to a commit with writes.
type Fault int

// The faults.
const (
	// Conflict reports store.ErrConflict and writes nothing.
	Conflict Fault = iota + 1
	// LostReply commits and reports store.ErrCommitUnknown.
	LostReply
	// LostRequest writes nothing and reports store.ErrCommitUnknown.
	LostRequest
	// Full reports store.ErrFull and writes nothing.
	Full
)

// Faulty is a store whose commits fail on demand, for tests of what is built on a store.
type Faulty struct {
	store.Store
	mu     sync.Mutex // guards faults
	faults []Fault
}

// NewFaulty returns a store over s, which has no faults yet.
func NewFaulty(s store.Store) *Faulty { return &Faulty{Store: s} }

// Fail has the next commits with writes suffer the faults, one each; 0 is none.
func (f *Faulty) Fail(faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faults = append(f.faults, faults...)
}

func (f *Faulty) next() (fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.faults) > 0 {
		fault, f.faults = f.faults[0], f.faults[1:]
	}
	return fault
}

// Update implements store.Store.
func (f *Faulty) Update(ctx context.Context, fn func(store.Tx) error) error {
	return store.RunUpdate(ctx, f.Begin, fn, func() {})
}

// Begin implements store.Store.
func (f *Faulty) Begin(ctx context.Context) (store.Tx, error) {
	tx, err := f.Store.Begin(ctx)
	if err != nil {
		return nil, err
	}
	return &faultyTx{Tx: tx, f: f}, nil
}

type faultyTx struct {
	store.Tx
	f      *Faulty
	wrote  bool
	unsure bool // whether the outcome is to be reported as unknown, so that no hook may run
}

func (t *faultyTx) Set(key, value []byte) { t.wrote = true; t.Tx.Set(key, value) }
func (t *faultyTx) Delete(key []byte)     { t.wrote = true; t.Tx.Delete(key) }

func (t *faultyTx) OnCommitted(fn func()) {
	t.Tx.OnCommitted(func() {
		if !t.unsure {
			fn()
		}
	})
}

func (t *faultyTx) Commit(ctx context.Context) error {
	if !t.wrote {
		return t.Tx.Commit(ctx)
	}
	switch t.f.next() {
	case Conflict:
		t.Discard()
		return store.ErrConflict
	case LostRequest:
		t.Discard()
		return fmt.Errorf("%w: the request was lost", store.ErrCommitUnknown)
	case LostReply:
		t.unsure = true
		if err := t.Tx.Commit(ctx); err != nil {
			return err
		}
		return fmt.Errorf("%w: the reply was lost", store.ErrCommitUnknown)
	case Full:
		t.Discard()
		return store.ErrFull
	}
	return t.Tx.Commit(ctx)
}

// testCommitUnknown shows the rules for a commit that was reported as failed: the retry loop leaves it alone, and a caller
// that writes a token of its own can find out and go on.
func testCommitUnknown(t *testing.T, s store.Store) {
	f := NewFaulty(s)
	runs := 0
	pay := func(token string) error {
		return f.Update(t.Context(), func(tx store.Tx) error {
			runs++
			switch _, err := tx.Get([]byte("token/" + token)); {
			case err == nil:
				return nil // done before
			case !errors.Is(err, store.ErrNotFound):
				return err
			}
			tx.Set([]byte("token/"+token), nil)
			tx.OnCommitted(func() {})
			return increment(tx, "paid")
		})
	}
	for i, tt := range []struct {
		name   string
		fault  Fault
		err    error
		runs   int
		before string // paid before the caller tries again
	}{
		{"LostReply", LostReply, store.ErrCommitUnknown, 1, "1"},
		{"LostRequest", LostRequest, store.ErrCommitUnknown, 1, "1"},
		{"Conflict", Conflict, nil, 2, "3"},
		{"Full", Full, store.ErrFull, 1, "3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f.Fail(tt.fault)
			runs = 0
			if err := pay(tt.name); !errors.Is(err, tt.err) || runs != tt.runs {
				t.Errorf("Update() = %v after %d runs, want %v after %d", err, runs, tt.err, tt.runs)
			}
			diff(t, "paid before trying again", get(t, begin(t, s), "paid"), tt.before)
			if err := pay(tt.name); err != nil {
				t.Errorf("Update() again = %v", err)
			}
			diff(t, "paid after trying again", get(t, begin(t, s), "paid"), fmt.Sprint(i+1))
		})
	}
}

package storetest

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/store"
)

func testErrors(t *testing.T, s store.Store) {
	ctx := t.Context()
	for name, write := range map[string]func(store.Tx){
		"Key":   func(tx store.Tx) { tx.Set(make([]byte, store.MaxKeySize+1), nil) },
		"Value": func(tx store.Tx) { tx.Set([]byte("k"), make([]byte, store.MaxValueSize+1)) },
		"Tx": func(tx store.Tx) {
			v := make([]byte, store.MaxValueSize)
			for i := range byte(store.MaxTxSize/store.MaxValueSize + 1) {
				tx.Set([]byte{i}, v)
			}
		},
	} {
		t.Run("TooLarge"+name, func(t *testing.T) {
			tx := begin(t, s)
			set(tx, "a=1")
			write(tx)
			if err := tx.Commit(ctx); !errors.Is(err, store.ErrTooLarge) {
				t.Errorf("Commit() = %v, want %v", err, store.ErrTooLarge)
			}
			diff(t, "store", all(t, s), []string{})
		})
	}
	t.Run("LargestAllowed", func(t *testing.T) {
		k := strings.Repeat("k", store.MaxKeySize)
		put(t, s, k+"="+strings.Repeat("v", store.MaxValueSize))
		diff(t, "length", len(get(t, begin(t, s), k)), store.MaxValueSize)
		put(t, s, "-"+k)
	})
	t.Run("Over", func(t *testing.T) {
		tx := begin(t, s)
		if err := tx.Commit(ctx); err != nil {
			t.Errorf("Commit() = %v", err)
		}
		if err := tx.Commit(ctx); !errors.Is(err, store.ErrTxDone) {
			t.Errorf("second Commit() = %v, want %v", err, store.ErrTxDone)
		}
		if _, err := tx.Get([]byte("a")); !errors.Is(err, store.ErrTxDone) {
			t.Errorf("Get() = %v, want %v", err, store.ErrTxDone)
		}
		for _, err := range tx.Scan(nil, nil, store.ScanOptions{}) {
			if !errors.Is(err, store.ErrTxDone) {
				t.Errorf("Scan() = %v, want %v", err, store.ErrTxDone)
			}
		}
	})
	t.Run("OfFunction", func(t *testing.T) {
		mine := errors.New("mine")
		err := s.Update(ctx, func(tx store.Tx) error { set(tx, "a=1"); return mine })
		if err != mine {
			t.Errorf("Update() = %v, want %v", err, mine)
		}
		if err := s.View(ctx, func(store.Reader) error { return mine }); err != mine {
			t.Errorf("View() = %v, want %v", err, mine)
		}
		diff(t, "store", all(t, s), []string{})
	})
	t.Run("Panic", func(t *testing.T) {
		func() {
			defer func() { _ = recover() }()
			_ = s.Update(ctx, func(tx store.Tx) error { get(t, tx, "a"); set(tx, "a=1"); panic("fn") })
		}()
		diff(t, "store", all(t, s), []string{})
		if m := s.Metrics(); m.Active != 0 {
			t.Errorf("%d transactions left open", m.Active)
		}
	})
	t.Run("Canceled", func(t *testing.T) {
		tx := begin(t, s)
		set(tx, "a=1")
		ctx, cancel := context.WithCancel(ctx)
		cancel()
		if err := tx.Commit(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Commit() = %v, want %v", err, context.Canceled)
		}
		if _, err := s.Begin(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Begin() = %v, want %v", err, context.Canceled)
		}
		diff(t, "store", all(t, s), []string{})
	})
}

func testClosed(t *testing.T, s store.Store) {
	put(t, s, "a=1")
	read, written := begin(t, s), begin(t, s)
	get(t, read, "a")
	set(written, "a=2")
	var inLoop error
	for range read.Scan(nil, nil, store.ScanOptions{}) {
		// Close waits for this loop, so it has to go on, and what it starts must fail.
		closed := make(chan struct{})
		go func() {
			if err := s.Close(); err != nil {
				t.Errorf("Close() = %v", err)
			}
			close(closed)
		}()
		for inLoop == nil {
			_, inLoop = read.Get([]byte("a"))
		}
		defer func() { <-closed }()
	}
	_, err := read.Get([]byte("a"))
	for name, err := range map[string]error{
		"Get in a loop": inLoop,
		"Get":           err,
		"Commit":        written.Commit(t.Context()),
		"View":          s.View(t.Context(), func(r store.Reader) error { _, err := r.Get([]byte("a")); return err }),
		"Update":        s.Update(t.Context(), func(tx store.Tx) error { set(tx, "a=1"); return nil }),
	} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s = %v, want %v", name, err, store.ErrClosed)
		}
	}
	s.Metrics()
}

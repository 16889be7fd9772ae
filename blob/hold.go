package blob

import (
	"context"
	"errors"
	"sync"
)

// Holder is a [Store] in which deletions can be held back, so that a backup finds every object that a snapshot of the
// records names. Get it from [HoldDeletions].
type Holder struct {
	Store

	mu      sync.Mutex          // guards the rest
	holds   int                 // that were not released
	waiting map[string]struct{} // keys to delete when there are none
}

// HoldDeletions returns a store that is inner as long as nobody holds anything.
func HoldDeletions(inner Store) *Holder {
	return &Holder{Store: inner, waiting: make(map[string]struct{})}
}

// Hold keeps all objects that are there until release is called, and those of which the deletion began. Release deletes
// what was to be deleted meanwhile; what it cannot delete is left to the [Sweeper].
func (h *Holder) Hold() (release func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.holds++
	return sync.OnceFunc(h.release)
}

func (h *Holder) release() {
	h.mu.Lock()
	h.holds--
	var due map[string]struct{}
	if h.holds == 0 {
		due, h.waiting = h.waiting, make(map[string]struct{})
	}
	h.mu.Unlock()
	for key := range due {
		_ = h.Store.Delete(context.Background(), key)
	}
}

// Delete implements [Store], except that an object stays to be seen while deletions are held back. Its record is gone by
// then, and so is the object after a crash: no record names it.
func (h *Holder) Delete(ctx context.Context, key string) error {
	if err := errors.Join(CheckKey(key), ctx.Err()); err != nil {
		return err
	}
	h.mu.Lock()
	held := h.holds > 0
	if held {
		h.waiting[key] = struct{}{}
	}
	h.mu.Unlock()
	if held {
		return nil
	}
	return h.Store.Delete(ctx, key)
}

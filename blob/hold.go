package blob

import (
	"context"
	"errors"
	"maps"
	"slices"
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

// Hold keeps all objects that are there until release is called. Release deletes what was to be deleted meanwhile; what it cannot delete is left to the
// [Sweeper], and what somebody else holds by then, to them.
func (h *Holder) Hold() (release func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.holds++
	return sync.OnceFunc(h.release)
}

func (h *Holder) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.holds--
	for _, key := range slices.Collect(maps.Keys(h.waiting)) {
		if _, ok := h.waiting[key]; ok && h.holds == 0 {
			delete(h.waiting, key)
			_ = h.Store.Delete(context.Background(), key) // under mu: when it ends the key may be used again
		}
		h.mu.Unlock() // let others in
		h.mu.Lock()
	}
}

// Delete implements [Store], except that an object stays to be seen while deletions are held back. Its record is gone by
// then, and so is the object after a crash: no record names it.
func (h *Holder) Delete(ctx context.Context, key string) error {
	if err := errors.Join(CheckKey(key), ctx.Err()); err != nil {
		return err
	}
	h.mu.Lock()
	if h.holds > 0 {
		h.waiting[key] = struct{}{}
		h.mu.Unlock()
		return nil
	}
	delete(h.waiting, key) // what is put under the key after this deletion is something new
	h.mu.Unlock()
	return h.Store.Delete(ctx, key)
}

package blob_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/blob"
)

// all returns the keys of a store.
func all(t *testing.T, s blob.Store) (keys []string) {
	t.Helper()
	for info, err := range s.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

func put(t *testing.T, s blob.Store, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if _, err := s.Put(t.Context(), key, strings.NewReader(key)); err != nil {
			t.Fatal(err)
		}
	}
}

// records names keys.
type records []string

func (r records) owner(asked *int) blob.Owner {
	return func(_ context.Context, keys []string) ([]string, error) {
		*asked++
		return slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return slices.Contains(r, key) }), nil
	}
}

func TestSweep(t *testing.T) {
	var s blob.Memory
	put(t, &s, "a/1", "a/2", "a/3", "b/1", "b/2", "other/1")
	var asked int
	down := errors.New("the store is closed")
	w := &blob.Sweeper{Store: &s, Owners: map[string]blob.Owner{
		"a/": records{"a/1"}.owner(&asked),
		"b/": func(context.Context, []string) ([]string, error) { return nil, down },
	}}
	suspects, err := w.Look(t.Context())
	if !errors.Is(err, down) {
		t.Errorf("Look = %v, want what b's owner says", err)
	}
	if d := cmp.Diff([]string{"a/2", "a/3"}, suspects); d != "" {
		t.Errorf("Look (-want +got):\n%s", d)
	}
	if got, want := w.Usage(), (blob.Usage{Objects: 6, Bytes: 5*3 + 7}); got != want {
		t.Errorf("Usage = %+v, want %+v", got, want)
	}
	w.Owners["a/"] = records{"a/1", "a/3"}.owner(&asked) // which was waiting for its record
	if err := w.Remove(t.Context(), suspects); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"a/1", "a/3", "b/1", "b/2", "other/1"}, all(t, &s)); d != "" {
		t.Errorf("what is left (-want +got):\n%s", d)
	}
	if got := w.Usage().Removed; got != 1 {
		t.Errorf("%d objects were removed by its count", got)
	}
}

// An owner is asked for many objects at once, and for each once.
func TestSweepOfMany(t *testing.T) {
	var s blob.Memory
	var want []string
	for i := range 1234 {
		want = append(want, fmt.Sprintf("a/%04d", i))
	}
	put(t, &s, want...)
	put(t, &s, "a", "b")
	var asked int
	w := &blob.Sweeper{Store: &s, Owners: map[string]blob.Owner{"a/": records{}.owner(&asked)}}
	suspects, err := w.Look(t.Context())
	if d := cmp.Diff(want, suspects); d != "" || err != nil || asked != 3 {
		t.Errorf("Look = %v, %d questions (-want +got):\n%s", err, asked, d)
	}
	if err := w.Remove(t.Context(), suspects); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"a", "b"}, all(t, &s)); d != "" {
		t.Errorf("what is left (-want +got):\n%s", d)
	}
}

func TestHold(t *testing.T) {
	s := blob.HoldDeletions(new(blob.Memory))
	put(t, s, "a", "b", "c")
	first, second := s.Hold(), s.Hold()
	if err := s.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	first()
	first() // once is enough
	if d := cmp.Diff([]string{"a", "b", "c"}, all(t, s)); d != "" {
		t.Errorf("while it is held (-want +got):\n%s", d)
	}
	second()
	if d := cmp.Diff([]string{"b", "c"}, all(t, s)); d != "" {
		t.Errorf("when it is released (-want +got):\n%s", d)
	}
	if err := s.Delete(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"c"}, all(t, s)); d != "" {
		t.Errorf("after it (-want +got):\n%s", d)
	}
}

// watched is a store that tells of the first deletion before it is carried out.
type watched struct {
	blob.Memory
	first func(key string)
	told  atomic.Bool
}

func (w *watched) Delete(ctx context.Context, key string) error {
	if !w.told.Swap(true) {
		w.first(key)
	}
	return w.Memory.Delete(ctx, key)
}

// An object that was deleted while deletions were held back, and is put again while they are made up for, stays.
func TestHoldAndPutAgain(t *testing.T) {
	inner := new(watched)
	s := blob.HoldDeletions(inner)
	put(t, s, "a", "b")
	release := s.Hold()
	for _, key := range []string{"a", "b"} {
		if err := s.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	other := map[string]string{"a": "b", "b": "a"}
	again := make(chan struct{})
	inner.first = func(key string) {
		go func() {
			defer close(again)
			if err := s.Delete(t.Context(), other[key]); err != nil {
				t.Error(err)
			}
			put(t, s, other[key])
		}()
		select { // it may have to wait for this deletion
		case <-again:
		case <-time.After(50 * time.Millisecond):
		}
	}
	release()
	<-again
	if keys := all(t, s); len(keys) != 1 {
		t.Errorf("there are %q, want the one that was put again", keys)
	}
}

// What waits for its deletion goes on to wait when somebody else begins to hold.
func TestHoldAgain(t *testing.T) {
	inner := new(watched)
	s := blob.HoldDeletions(inner)
	put(t, s, "a", "b")
	release := s.Hold()
	for _, key := range []string{"a", "b"} {
		if err := s.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	held := make(chan func(), 1)
	inner.first = func(string) {
		go func() { held <- s.Hold() }()
		select {
		case again := <-held:
			held <- again
		case <-time.After(50 * time.Millisecond):
		}
	}
	release()
	(<-held)()
	if keys := all(t, s); len(keys) > 0 {
		t.Errorf("%q are left", keys)
	}
}

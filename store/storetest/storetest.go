// Package storetest is the suite that every engine of the store passes, and a store that fails on demand.
package storetest

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/store"
)

// Run runs the suite. open returns a new, empty store; the suite closes it.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	tests := []struct {
		name string
		run  func(*testing.T, store.Store)
	}{
		{"Order", testOrder},
		{"OwnWrites", testOwnWrites},
		{"AgainstModel", testModel},
		{"Isolation", testIsolation},
		{"Snapshot", testSnapshot},
		{"ReadAgain", testReadAgain},
		{"IterationWhileWriting", testIterationWhileWriting},
		{"Retry", testRetry},
		{"MarkReset", testMark},
		{"Hooks", testHooks},
		{"Errors", testErrors},
		{"CommitUnknown", testCommitUnknown},
		{"Transfers", testTransfers},
		{"Linearizable", testLinearizable},
		{"Closed", testClosed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t)
			defer func() {
				if err := s.Close(); err != nil {
					t.Errorf("Close() = %v", err)
				}
			}()
			tt.run(t, s)
		})
	}
}

// testReadAgain reads the same keys several times in one transaction: they are as they were in its snapshot, and whichever of them another one changes, it conflicts.
func testReadAgain(t *testing.T, s store.Store) {
	const keys = 40 // every third of which is missing
	var begin []string
	for i := range keys {
		if i%3 > 0 {
			begin = append(begin, fmt.Sprintf("%d=old", i))
		} else {
			begin = append(begin, fmt.Sprintf("-%d", i))
		}
	}
	for changed := range keys {
		put(t, s, begin...)
		tx, err := s.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		read := func(round int) {
			for i := range keys {
				v, err := tx.Get(fmt.Append(nil, i))
				if want := i%3 > 0; want && (err != nil || string(v) != "old") || !want && !errors.Is(err, store.ErrNotFound) {
					t.Errorf("round %d: key %d is %q, %v", round, i, v, err)
				}
			}
			for _, i := range []int{keys - 2, keys - 1} { // at once again: the one is there, the other is missing
				if v, err := tx.Get(fmt.Append(nil, i)); (i%3 > 0) != (err == nil && string(v) == "old") {
					t.Errorf("round %d: key %d is %q, %v when it is read twice", round, i, v, err)
				}
			}
		}
		read(1)
		put(t, s, fmt.Sprintf("%d=new", changed))
		read(2)
		set(tx, "other=x")
		if err := tx.Commit(t.Context()); !errors.Is(err, store.ErrConflict) {
			t.Errorf("Commit() = %v when key %d has changed, want %v", err, changed, store.ErrConflict)
		}
	}
}

// put commits pairs written as "key=value".
func put(t *testing.T, s store.Store, pairs ...string) {
	t.Helper()
	err := s.Update(t.Context(), func(tx store.Tx) error {
		set(tx, pairs...)
		return nil
	})
	if err != nil {
		t.Fatalf("Update(set %q) = %v", pairs, err)
	}
}

// set writes pairs; "-key" deletes.
func set(tx store.Tx, pairs ...string) {
	for _, p := range pairs {
		if k, ok := strings.CutPrefix(p, "-"); ok {
			tx.Delete([]byte(k))
			continue
		}
		k, v, _ := strings.Cut(p, "=")
		tx.Set([]byte(k), []byte(v))
	}
}

// scan returns a scan's pairs as "key=value". An empty to means to the end.
func scan(t *testing.T, r store.Reader, from, to string, o store.ScanOptions) []string {
	t.Helper()
	got := []string{}
	for kv, err := range r.Scan([]byte(from), end(to), o) {
		if err != nil {
			t.Fatalf("Scan(%q, %q, %+v) = %v", from, to, o, err)
		}
		got = append(got, string(kv.Key)+"="+string(kv.Value))
	}
	return got
}

func end(to string) []byte {
	if to == "" {
		return nil
	}
	return []byte(to)
}

// get returns a key's value, or "none".
func get(t *testing.T, r store.Reader, key string) string {
	t.Helper()
	v, err := r.Get([]byte(key))
	if errors.Is(err, store.ErrNotFound) {
		return "none"
	}
	if err != nil {
		t.Fatalf("Get(%q) = %v", key, err)
	}
	return string(v)
}

func begin(t *testing.T, s store.Store) store.Tx {
	t.Helper()
	tx, err := s.Begin(t.Context())
	if err != nil {
		t.Fatalf("Begin() = %v", err)
	}
	t.Cleanup(tx.Discard)
	return tx
}

func all(t *testing.T, s store.Store) (got []string) {
	t.Helper()
	if err := s.View(t.Context(), func(r store.Reader) error { got = scan(t, r, "", "", store.ScanOptions{}); return nil }); err != nil {
		t.Fatalf("View() = %v", err)
	}
	return got
}

func diff(t *testing.T, what string, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func testOrder(t *testing.T, s store.Store) {
	put(t, s, "b=2", "a=1", "\x00=0", "\xff\xff=z", "a\x00=1.0", "aa=1a", "c=")
	everything := []string{"\x00=0", "a=1", "a\x00=1.0", "aa=1a", "b=2", "c=", "\xff\xff=z"}
	for _, tt := range []struct {
		name, from, to string
		opts           store.ScanOptions
		want           []string
	}{
		{"All", "", "", store.ScanOptions{}, everything},
		{"Bounds", "a", "b", store.ScanOptions{}, everything[1:4]},
		{"BetweenKeys", "a\x00\x00", "bb", store.ScanOptions{}, everything[3:5]},
		{"Limit", "a", "", store.ScanOptions{Limit: 2}, everything[1:3]},
		{"Reverse", "a", "c", store.ScanOptions{Reverse: true}, []string{"b=2", "aa=1a", "a\x00=1.0", "a=1"}},
		{"ReverseLimit", "", "", store.ScanOptions{Reverse: true, Limit: 2}, []string{"\xff\xff=z", "c="}},
		{"Empty", "d", "e", store.ScanOptions{}, []string{}},
		{"Inverted", "c", "a", store.ScanOptions{}, []string{}},
		{"OneKey", "a", "a\x00", store.ScanOptions{Reverse: true}, []string{"a=1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			diff(t, "Scan", scan(t, begin(t, s), tt.from, tt.to, tt.opts), tt.want)
		})
	}
	r := begin(t, s)
	diff(t, "Get of an empty value", get(t, r, "c"), "")
	diff(t, "Get of a missing key", get(t, r, "ab"), "none")
}

func testOwnWrites(t *testing.T, s store.Store) {
	put(t, s, "a=1", "b=2", "c=3", "e=5")
	tx := begin(t, s)
	set(tx, "-a", "b=two", "d=4", "-x", "f=6", "-f")
	diff(t, "Get(a)", get(t, tx, "a"), "none")
	diff(t, "Get(b)", get(t, tx, "b"), "two")
	want := []string{"b=two", "c=3", "d=4", "e=5"}
	diff(t, "Scan", scan(t, tx, "", "", store.ScanOptions{}), want)
	diff(t, "Scan(limit)", scan(t, tx, "", "", store.ScanOptions{Limit: 3}), want[:3])
	slices.Reverse(want)
	diff(t, "Scan(reverse)", scan(t, tx, "", "", store.ScanOptions{Reverse: true}), want)
	diff(t, "others see", all(t, s), []string{"a=1", "b=2", "c=3", "e=5"})

	key, value := []byte("g"), []byte("7")
	tx.Set(key, value)
	key[0], value[0] = 'x', 'x' // the store has its own copies
	diff(t, "Get(g)", get(t, tx, "g"), "7")
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatalf("Commit() = %v", err)
	}
	diff(t, "after commit", all(t, s), []string{"b=two", "c=3", "d=4", "e=5", "g=7"})
}

// testModel runs random transactions one after another and compares with a Go map.
func testModel(t *testing.T, s store.Store) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	key := func() string { return fmt.Sprintf("%02d", rng.IntN(40)) }
	model := map[string]string{}
	for i := range 150 {
		tx := begin(t, s)
		own := maps.Clone(model)
		for range rng.IntN(12) {
			switch k := key(); rng.IntN(5) {
			case 0:
				tx.Delete([]byte(k))
				delete(own, k)
			case 1, 2:
				v := fmt.Sprint(i)
				tx.Set([]byte(k), []byte(v))
				own[k] = v
			case 3:
				want, ok := own[k]
				if !ok {
					want = "none"
				}
				diff(t, "Get("+k+")", get(t, tx, k), want)
			case 4:
				to, o := key(), store.ScanOptions{Reverse: rng.IntN(2) == 0, Limit: rng.IntN(4)}
				want := []string{}
				for _, x := range slices.Sorted(maps.Keys(own)) {
					if x >= k && x < to {
						want = append(want, x+"="+own[x])
					}
				}
				if o.Reverse {
					slices.Reverse(want)
				}
				if o.Limit > 0 && len(want) > o.Limit {
					want = want[:o.Limit]
				}
				diff(t, fmt.Sprintf("Scan(%s, %s, %+v)", k, to, o), scan(t, tx, k, to, o), want)
			}
		}
		if rng.IntN(4) == 0 {
			tx.Discard()
		} else if err := tx.Commit(t.Context()); err != nil {
			t.Fatalf("Commit() = %v", err)
		} else {
			model = own
		}
		if t.Failed() {
			return
		}
	}
}

// testIsolation lets b commit between the reads of a and its commit.
func testIsolation(t *testing.T, s store.Store) {
	partial := func(tx store.Tx, from, to string, o store.ScanOptions, n int) {
		for range tx.Scan([]byte(from), end(to), o) {
			if n--; n == 0 {
				break
			}
		}
	}
	for _, tt := range []struct {
		name     string
		a        func(tx store.Tx)
		b        []string
		conflict bool
	}{
		{"LostUpdate", func(tx store.Tx) { get(t, tx, "b"); set(tx, "b=a's") }, []string{"b=b's"}, true},
		{"WriteSkew", func(tx store.Tx) { get(t, tx, "b"); set(tx, "d=a's") }, []string{"b=b's"}, true},
		{"ReadOfMissing", func(tx store.Tx) { get(t, tx, "c"); set(tx, "x=") }, []string{"c=new"}, true},
		{"DeletedUnderRead", func(tx store.Tx) { get(t, tx, "b"); set(tx, "x=") }, []string{"-b"}, true},
		{"SameValueWritten", func(tx store.Tx) { get(t, tx, "b"); set(tx, "x=") }, []string{"b=2"}, true},
		{"PhantomInserted", func(tx store.Tx) { scan(t, tx, "b", "e", store.ScanOptions{}); set(tx, "x=") }, []string{"c=new"}, true},
		{"PhantomInEmptyRange", func(tx store.Tx) { scan(t, tx, "m", "n", store.ScanOptions{}); set(tx, "x=") }, []string{"mm=new"}, true},
		{"PhantomAtEnd", func(tx store.Tx) { scan(t, tx, "m", "", store.ScanOptions{}); set(tx, "x=") }, []string{"zz=new"}, true},
		{"PhantomDeleted", func(tx store.Tx) { scan(t, tx, "", "", store.ScanOptions{}); set(tx, "x=") }, []string{"-d"}, true},
		{"PhantomReverse", func(tx store.Tx) { scan(t, tx, "b", "e", store.ScanOptions{Reverse: true}); set(tx, "x=") }, []string{"b0=new"}, true},
		{"PhantomBeforeLimit", func(tx store.Tx) { scan(t, tx, "b", "", store.ScanOptions{Limit: 2}); set(tx, "x=") }, []string{"c=new"}, true},
		{"PhantomBeforeLimitReverse", func(tx store.Tx) { scan(t, tx, "", "g", store.ScanOptions{Limit: 1, Reverse: true}); set(tx, "x=") }, []string{"ff=new"}, true},
		{"PhantomBeforeBreak", func(tx store.Tx) { partial(tx, "", "", store.ScanOptions{}, 2); set(tx, "x=") }, []string{"c=new"}, true},
		{"PhantomBelowOwnWrite", func(tx store.Tx) { set(tx, "h="); scan(t, tx, "g", "", store.ScanOptions{Limit: 1}) }, []string{"gg=new"}, true},
		{"RangeStart", func(tx store.Tx) { scan(t, tx, "b", "d", store.ScanOptions{}); set(tx, "x=") }, []string{"b=new"}, true},
		{"AfterReset", func(tx store.Tx) { m := tx.Mark(); get(t, tx, "b"); tx.Reset(m); set(tx, "x=") }, []string{"b=new"}, true},

		{"BlindWrites", func(tx store.Tx) { set(tx, "b=a's") }, []string{"b=b's"}, false},
		{"OtherKey", func(tx store.Tx) { get(t, tx, "b"); set(tx, "x=") }, []string{"b\x00=new", "a=new"}, false},
		{"RangeEnd", func(tx store.Tx) { scan(t, tx, "b", "d", store.ScanOptions{}); set(tx, "x=") }, []string{"d=new", "a=new"}, false},
		{"BeyondLimit", func(tx store.Tx) { scan(t, tx, "b", "", store.ScanOptions{Limit: 2}); set(tx, "x=") }, []string{"d0=new"}, false},
		{"BeyondBreak", func(tx store.Tx) { partial(tx, "", "", store.ScanOptions{}, 1); set(tx, "x=") }, []string{"b0=new", "d=new"}, false},
		{"BeyondBreakReverse", func(tx store.Tx) { partial(tx, "", "", store.ScanOptions{Reverse: true}, 1); set(tx, "x=") }, []string{"b=new"}, false},
		{"ReadOfOwnWrite", func(tx store.Tx) { set(tx, "b=a's"); get(t, tx, "b") }, []string{"b=b's"}, false},
		{"ReadOnly", func(tx store.Tx) { get(t, tx, "b"); scan(t, tx, "", "", store.ScanOptions{}) }, []string{"b=b's"}, false},
		{"ReadAfterCommit", func(tx store.Tx) { set(tx, "x=") }, nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := s.Update(t.Context(), func(tx store.Tx) error {
				for kv := range tx.Scan(nil, nil, store.ScanOptions{}) {
					tx.Delete(kv.Key)
				}
				set(tx, "b=2", "d=4", "f=6")
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			a := begin(t, s)
			tt.a(a)
			if tt.b != nil {
				put(t, s, tt.b...)
			}
			after := all(t, s)
			switch err := a.Commit(t.Context()); {
			case tt.conflict && !errors.Is(err, store.ErrConflict):
				t.Errorf("Commit() = %v, want %v", err, store.ErrConflict)
			case tt.conflict:
				diff(t, "after the conflict", all(t, s), after)
			case err != nil:
				t.Errorf("Commit() = %v", err)
			}
		})
	}
}

func testSnapshot(t *testing.T, s store.Store) {
	put(t, s, "a=1", "b=1")
	tx := begin(t, s)
	put(t, s, "a=2") // Begin costs nothing: the first read takes the snapshot
	diff(t, "Get(a)", get(t, tx, "a"), "2")
	put(t, s, "b=3", "c=3")
	diff(t, "Get(b)", get(t, tx, "b"), "1")
	diff(t, "Scan", scan(t, tx, "", "", store.ScanOptions{}), []string{"a=2", "b=1"})
	diff(t, "a later transaction", get(t, begin(t, s), "b"), "3")
	if err := tx.Commit(t.Context()); err != nil {
		t.Errorf("Commit() without writes = %v", err)
	}
}

func testIterationWhileWriting(t *testing.T, s store.Store) {
	put(t, s, "a=1", "c=1", "e=1")
	for _, reverse := range []bool{false, true} {
		tx := begin(t, s)
		var seen []string
		for kv, err := range tx.Scan(nil, nil, store.ScanOptions{Reverse: reverse}) {
			if err != nil {
				t.Fatal(err)
			}
			seen = append(seen, string(kv.Key)+"="+string(kv.Value))
			set(tx, "-e", "-a", "b=new", "c=new", "d=new") // of our own
			put(t, s, fmt.Sprintf("%sx=other", kv.Key))    // of another
		}
		want := []string{"a=1", "c=1", "e=1"}
		if reverse {
			want = []string{"ex=other", "e=1", "cx=other", "c=1", "ax=other", "a=1"}
		}
		diff(t, "seen", seen, want)
		if err := tx.Commit(t.Context()); !errors.Is(err, store.ErrConflict) {
			t.Errorf("Commit() = %v, want %v", err, store.ErrConflict)
		}
	}
	// Deleting what one passes is the common case.
	err := s.Update(t.Context(), func(tx store.Tx) error {
		for kv, err := range tx.Scan([]byte("a"), []byte("d"), store.ScanOptions{}) {
			if err != nil {
				return err
			}
			tx.Delete(kv.Key)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "left", all(t, s), []string{"e=1", "ex=other", "exx=other"})
}

func testRetry(t *testing.T, s store.Store) {
	const writers, each = 8, 25
	put(t, s, "n=0")
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range each {
				if err := s.Update(t.Context(), func(tx store.Tx) error { return increment(tx, "n") }); err != nil {
					t.Errorf("Update() = %v", err)
				}
			}
		})
	}
	wg.Wait()
	diff(t, "n", all(t, s), []string{fmt.Sprint("n=", writers*each)})

	runs := 0
	err := s.Update(t.Context(), func(tx store.Tx) error {
		get(t, tx, "n")
		tx.Set([]byte("once"), nil)
		if runs++; runs < 3 {
			put(t, s, fmt.Sprint("n=", runs))
		}
		return nil
	})
	if err != nil || runs != 3 {
		t.Errorf("Update() = %v after %d runs, want nil after 3", err, runs)
	}
	if m := s.Metrics(); m.Conflicts < 2 || m.Retries < 2 || m.Commits < writers*each || m.Written == 0 {
		t.Errorf("Metrics() = %+v", m)
	}
}

func increment(tx store.Tx, key string) error {
	v, err := tx.Get([]byte(key))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	n := 0
	_, _ = fmt.Sscan(string(v), &n)
	tx.Set([]byte(key), fmt.Append(nil, n+1))
	return nil
}

func testMark(t *testing.T, s store.Store) {
	put(t, s, "a=1")
	tx := begin(t, s)
	var called []string
	hook := func(name string) { tx.OnCommitted(func() { called = append(called, name) }) }
	set(tx, "b=2")
	hook("kept")
	outer := tx.Mark()
	set(tx, "c=3")
	inner := tx.Mark()
	set(tx, "-a", "b=two", "d=4")
	tx.Set(make([]byte, store.MaxKeySize+1), nil) // forgotten, too
	hook("dropped")
	tx.Reset(inner)
	diff(t, "after the inner Reset", scan(t, tx, "", "", store.ScanOptions{}), []string{"a=1", "b=2", "c=3"})
	tx.Reset(outer)
	hook("later")
	set(tx, "e=5")
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatalf("Commit() = %v", err)
	}
	diff(t, "committed", all(t, s), []string{"a=1", "b=2", "e=5"})
	diff(t, "called", called, []string{"kept", "later"})
}

func testHooks(t *testing.T, s store.Store) {
	var told []string // every hook runs before Commit returns, in its goroutine or with its memory seen
	watch := func(prefix string) {
		s.OnCommit([]byte(prefix), func(keys [][]byte) {
			for _, k := range keys {
				told = append(told, prefix+":"+string(k))
			}
		})
	}
	watch("a/")
	watch("a/2")
	watch("c")
	put(t, s, "b=", "a/2=", "a/1=", "a=", "a0=")
	diff(t, "told", told, []string{"a/:a/1", "a/:a/2", "a/2:a/2"})

	told = nil
	put(t, s, "-a/1")
	diff(t, "told of a deletion", told, []string{"a/:a/1"})

	told = nil
	put(t, s, "b=2")
	tx := begin(t, s)
	get(t, tx, "b")
	set(tx, "a/3=")
	tx.OnCommitted(func() { t.Error("OnCommitted after a conflict") })
	put(t, s, "b=3")
	if err := tx.Commit(t.Context()); !errors.Is(err, store.ErrConflict) {
		t.Errorf("Commit() = %v, want %v", err, store.ErrConflict)
	}
	tx = begin(t, s)
	set(tx, "a/3=")
	tx.Discard()
	diff(t, "told of nothing", told, []string(nil))

	tx = begin(t, s)
	set(tx, "a/3=")
	tx.OnCommitted(func() {
		diff(t, "told before OnCommitted", told, []string{"a/:a/3"})
		diff(t, "seen in OnCommitted", get(t, begin(t, s), "a/3"), "")
	})
	if err := tx.Commit(t.Context()); err != nil {
		t.Errorf("Commit() = %v", err)
	}
}

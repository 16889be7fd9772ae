package store_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
)

// A record is decoded again when it has changed, also within a transaction that is not committed, and only then.
func TestDecoded(t *testing.T) {
	s := memstore.New()
	defer s.Close()
	rows := secrets().In("111122223333", region)
	kept := store.NewDecoded[secret](2)
	read := func(r store.Reader, id, want string) *secret {
		t.Helper()
		got, err := rows.GetShared(r, kept, id)
		if err != nil || got.Name != want {
			t.Fatalf("GetShared(%s) = %+v, %v, want the name %s", id, got, err, want)
		}
		return got
	}
	put := func(tx store.Tx, id, name string) {
		t.Helper()
		if err := rows.Put(tx, &secret{Account: "111122223333", ID: id, Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	var first *secret
	err := update(t, s, func(tx store.Tx) error {
		put(tx, "a", "one")
		first = read(tx, "a", "one")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	abandoned := errors.New("abandoned")
	err = update(t, s, func(tx store.Tx) error {
		put(tx, "a", "two")
		if again := read(tx, "a", "two"); again == first {
			t.Error("a change is not seen")
		}
		return abandoned
	})
	if !errors.Is(err, abandoned) {
		t.Fatal(err)
	}
	view(t, s, func(r store.Reader) {
		one := read(r, "a", "one")
		if d := cmp.Diff(first, one); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		if read(r, "a", "one") != one {
			t.Error("what has not changed is decoded again")
		}
		if _, err := rows.GetShared(r, kept, "b"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("got %v of what is not there", err)
		}
	})
	err = update(t, s, func(tx store.Tx) error {
		for i := range 5 { // more than are kept
			put(tx, fmt.Sprint(i), fmt.Sprint("n", i))
			read(tx, fmt.Sprint(i), fmt.Sprint("n", i))
		}
		read(tx, "a", "one")
		return rows.Delete(tx, "a")
	})
	if err != nil {
		t.Fatal(err)
	}
	view(t, s, func(r store.Reader) {
		if _, err := rows.GetShared(r, kept, "a"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("got %v of what was deleted", err)
		}
	})
}

package store_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
)

// A service describes its records once, in records.go, and works with rows of one account and region.
func ExampleTable() {
	type alias struct{ Name, KeyID string }
	aliases := store.NewTable("kms", "alias", func(a *alias) store.Key { return store.Key{a.Name} },
		store.Index[alias]{Name: "key", Entries: func(a *alias) []store.Key { return []store.Key{{a.KeyID}} }})

	ctx := context.Background()
	s := memstore.New()
	defer s.Close()
	rows := aliases.In("111111111111", "eu-west-1")
	err := s.Update(ctx, func(tx store.Tx) error {
		for _, name := range []string{"alias/b", "alias/a", "alias/c"} {
			if err := rows.Insert(tx, &alias{name, "key-1"}); err != nil {
				return err // store.ErrExists if it is taken
			}
		}
		return rows.Put(tx, &alias{"alias/c", "key-2"})
	})
	if err != nil {
		fmt.Println(err)
	}
	err = s.View(ctx, func(r store.Reader) error {
		for a, err := range rows.Scan(r, store.Query{Index: "key", Prefix: store.Key{"key-1"}}) {
			if err != nil {
				return err
			}
			fmt.Println(a.Name)
		}
		page, next, err := rows.Page(r, store.Query{Limit: 2}, "", "", nil)
		fmt.Println(len(page), next != "", err)
		_, _, err = rows.Page(r, store.Query{Limit: 2}, "made up", "", nil)
		fmt.Println(errors.Is(err, store.ErrBadToken))
		return nil
	})
	fmt.Println(err)
	// Output:
	// alias/a
	// alias/b
	// 2 true <nil>
	// true
	// <nil>
}

// A caller that drives the transaction itself commits and retries itself.
func ExampleStore_begin() {
	ctx := context.Background()
	s := memstore.New()
	defer s.Close()
	for {
		tx, err := s.Begin(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		before := tx.Mark()
		tx.Set([]byte("result"), []byte("of a step that failed"))
		tx.Reset(before)
		tx.Set([]byte("audit"), []byte("it failed"))
		tx.OnCommitted(func() { fmt.Println("committed") })
		if err = tx.Commit(ctx); errors.Is(err, store.ErrConflict) {
			continue
		}
		break
	}
	_ = s.View(ctx, func(r store.Reader) error {
		for kv := range r.Scan(nil, nil, store.ScanOptions{}) {
			fmt.Printf("%s: %s\n", kv.Key, kv.Value)
		}
		return nil
	})
	// Output:
	// committed
	// audit: it failed
}

package memstore_test

import (
	"errors"
	"testing"

	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
)

func TestSmoke(t *testing.T) {
	s := memstore.New()
	ctx := t.Context()
	var told []string
	s.OnCommit([]byte("a"), func(keys [][]byte) {
		for _, k := range keys {
			told = append(told, string(k))
		}
	})
	err := s.Update(ctx, func(tx store.Tx) error {
		tx.Set([]byte("b"), []byte("1"))
		tx.Set([]byte("a"), []byte("2"))
		tx.Set([]byte("a1"), []byte("2"))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	a, _ := s.Begin(ctx)
	for kv, err := range a.Scan(nil, nil, store.ScanOptions{Reverse: true}) {
		t.Log(string(kv.Key), err)
	}
	b, _ := s.Begin(ctx)
	b.Delete([]byte("b"))
	if err := b.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	a.Set([]byte("x"), nil)
	if err := a.Commit(ctx); !errors.Is(err, store.ErrConflict) {
		t.Fatal(err)
	}
	t.Log(told, s.Metrics())
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Get(nil); err == nil {
		t.Fatal("no error")
	}
}

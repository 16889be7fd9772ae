package audit_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
)

func eventID(t *testing.T, record []byte) string {
	t.Helper()
	var e struct{ EventID string }
	if err := json.Unmarshal(record, &e); err != nil {
		t.Fatalf("%v in %s", err, record)
	}
	return e.EventID
}

// next reads at most so many records behind a cursor, which it moves.
func next(t *testing.T, trail *audit.Trail, at *audit.Cursor, n int) (ids []string) {
	t.Helper()
	if n == 0 {
		return nil
	}
	after, err := trail.Read(t.Context(), *at, func(_ audit.Cursor, e audit.Entry) error {
		if ids = append(ids, eventID(t, e.Record)); len(ids) == n {
			return audit.ErrEnough
		}
		return nil
	})
	if err != nil {
		t.Fatalf("Read(%v): %v", *at, err)
	}
	*at = after
	return ids
}

func TestFeed(t *testing.T) {
	for name, dir := range map[string]string{"Memory": "", "Disk": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			s := memstore.New()
			open := func() *audit.Trail {
				trail, err := audit.Open(audit.Config{Store: s, Dir: dir, Sync: time.Hour})
				if err != nil {
					t.Fatal(err)
				}
				return trail
			}
			trail := open()
			defer func() { trail.Close() }()
			var want []string
			add := func(n int) {
				t.Helper()
				for range n {
					r := record(fmt.Sprint("event-", len(want)))
					r.Time = epoch.Add(time.Duration(len(want)) * 7 * time.Millisecond)
					var err error
					if len(want)%3 == 0 {
						err = s.Update(t.Context(), func(tx store.Tx) error { trail.Commit(tx, r); return nil })
						err = errors.Join(err, trail.Settle(t.Context()))
					} else {
						err = trail.Append(r)
					}
					if err != nil {
						t.Fatal(err)
					}
					want = append(want, r.EventID)
				}
			}
			var at audit.Cursor
			if got := next(t, trail, &at, -1); got != nil {
				t.Errorf("of nothing: %v", got)
			}
			add(100)
			got := next(t, trail, &at, 30)
			b, err := json.Marshal(at)
			if err != nil {
				t.Fatal(err)
			}
			add(20)
			if dir != "" { // the segment is compressed
				if err := trail.Close(); err != nil {
					t.Fatal(err)
				}
				trail = open()
			}
			at = audit.Cursor{}
			if err := json.Unmarshal(b, &at); err != nil {
				t.Fatal(err)
			}
			got = append(got, next(t, trail, &at, 50)...)
			add(20)
			got = append(got, next(t, trail, &at, -1)...)
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("read (-want +got):\n%s", d)
			}
			if end, err := trail.End(t.Context()); end != at || err != nil {
				t.Errorf("End = %v, %v, want %v", end, err, at)
			}
			if got := next(t, trail, &at, -1); got != nil {
				t.Errorf("at the end: %v", got)
			}
			if got := ids(t, trail, audit.Filter{}); !cmp.Equal(want, got) {
				t.Errorf("Events has %d records, want %d", len(got), len(want))
			}
			_, err = trail.Read(t.Context(), audit.Cursor{}, func(c audit.Cursor, e audit.Entry) error {
				if !e.Time.Equal(epoch) {
					t.Errorf("the first is of %v", e.Time)
				}
				return context.Canceled
			})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("Read with a function that fails: %v", err)
			}
		})
	}
}

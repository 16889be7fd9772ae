package store_test

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
	"github.com/holdfast-cloud/holdfast/store/tuple"
)

// secret is a record as services have them.
type secret struct {
	Account, ID string
	Name        string    `json:",omitempty"`
	Tags        []string  `json:",omitempty"`
	Rotate      time.Time `json:",omitzero"`
}

func secrets() *store.Table[secret] {
	return store.NewTable("secretsmanager", "secret", func(s *secret) store.Key { return store.Key{s.ID} },
		store.Index[secret]{Name: "name", Unique: true, Entries: func(s *secret) []store.Key {
			if s.Name == "" {
				return nil
			}
			return []store.Key{{s.Name}}
		}},
		store.Index[secret]{Name: "tag", Entries: func(s *secret) (entries []store.Key) {
			for _, t := range s.Tags {
				entries = append(entries, store.Key{t})
			}
			return entries
		}},
		store.Index[secret]{Name: "rotate", Global: true, Entries: func(s *secret) []store.Key {
			if s.Rotate.IsZero() {
				return nil
			}
			return []store.Key{{s.Rotate}}
		}},
	)
}

const region = "eu-west-1"

// update runs fn and returns its error.
func update(t *testing.T, s store.Store, fn func(store.Tx) error) error {
	t.Helper()
	return s.Update(t.Context(), fn)
}

func view(t *testing.T, s store.Store, fn func(store.Reader)) {
	t.Helper()
	if err := s.View(t.Context(), func(r store.Reader) error { fn(r); return nil }); err != nil {
		t.Fatalf("View() = %v", err)
	}
}

func put(t *testing.T, s store.Store, records ...secret) {
	t.Helper()
	err := update(t, s, func(tx store.Tx) error {
		for _, r := range records {
			if err := secrets().In(r.Account, region).Put(tx, &r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("Put() = %v", err)
	}
}

// ids returns the IDs of the records of a scan, separated by spaces.
func ids(t *testing.T, records iter.Seq2[*secret, error]) string {
	t.Helper()
	var got []string
	for r, err := range records {
		if err != nil {
			t.Fatalf("Scan() = %v", err)
		}
		got = append(got, r.ID)
	}
	return strings.Join(got, " ")
}

// dump returns all that is in the store, for people.
func dump(t *testing.T, s store.Store) (lines []string) {
	t.Helper()
	view(t, s, func(r store.Reader) {
		for kv, err := range r.Scan(nil, nil, store.ScanOptions{}) {
			if err != nil {
				t.Fatal(err)
			}
			v := string(kv.Value)
			if !strings.HasPrefix(v, "{") {
				v = tuple.Format(kv.Value)
			}
			lines = append(lines, tuple.Format(kv.Key)+" -> "+v)
		}
	})
	return lines
}

func TestTableLayout(t *testing.T) {
	s := memstore.New()
	defer s.Close()
	put(t, s, secret{"111111111111", "s1", "db/<prod>", []string{"blue", "red"}, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)})
	put(t, s, secret{"111111111111", "s1", "db/test", []string{"red"}, time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC)}) // replaces all
	const own = `secretsmanager/111111111111/eu-west-1/secret/s1`
	want := []string{
		`secretsmanager/""/""/secret.rotate/2028-01-01T00:00:00.000000000Z/111111111111/eu-west-1/s1 -> ` + own,
		own + ` -> {"Account":"111111111111","ID":"s1","Name":"db/test","Tags":["red"],"Rotate":"2028-01-01T00:00:00Z"}`,
		`secretsmanager/111111111111/eu-west-1/secret.name/"db/test" -> ` + own,
		`secretsmanager/111111111111/eu-west-1/secret.tag/red/s1 -> ` + own,
	}
	if d := cmp.Diff(want, dump(t, s)); d != "" {
		t.Errorf("the store holds (-want +got):\n%s", d)
	}
	if err := update(t, s, func(tx store.Tx) error { return secrets().In("111111111111", region).Delete(tx, "s1") }); err != nil {
		t.Errorf("Delete() = %v", err)
	}
	if d := dump(t, s); len(d) != 0 {
		t.Errorf("Delete() left %q", d)
	}
}

func TestTable(t *testing.T) {
	const a, b = "111111111111", "222222222222"
	day := func(n int) time.Time { return time.Date(2027, 1, n, 0, 0, 0, 0, time.UTC) }
	s := memstore.New()
	defer s.Close()
	put(t, s,
		secret{a, "s1", "one", []string{"red"}, day(3)},
		secret{a, "s2", "two", []string{"red", "blue"}, time.Time{}},
		secret{a, "s3", "", nil, day(1)},
		secret{b, "s1", "one", []string{"red"}, day(2)},
	)
	rows := secrets().In(a, region)

	t.Run("Get", func(t *testing.T) {
		view(t, s, func(r store.Reader) {
			got, err := rows.Get(r, "s2")
			if err != nil {
				t.Fatalf("Get() = %v", err)
			}
			if d := cmp.Diff(&secret{a, "s2", "two", []string{"red", "blue"}, time.Time{}}, got); d != "" {
				t.Errorf("Get() (-want +got):\n%s", d)
			}
			if _, err := rows.Get(r, "s9"); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("Get(s9) = %v, want %v", err, store.ErrNotFound)
			}
			if _, err := secrets().In(a, "us-east-1").Get(r, "s2"); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("Get(s2) in another region = %v, want %v", err, store.ErrNotFound)
			}
			if got, err := rows.Find(r, "name", "two"); err != nil || got.ID != "s2" {
				t.Errorf("Find(two) = %v, %v, want s2", got, err)
			}
			if _, err := rows.Find(r, "name", "three"); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("Find(three) = %v, want %v", err, store.ErrNotFound)
			}
		})
	})
	t.Run("Scan", func(t *testing.T) {
		for _, tt := range []struct {
			name string
			q    store.Query
			want string
		}{
			{"All", store.Query{}, "s1 s2 s3"},
			{"Reverse", store.Query{Reverse: true, Limit: 2}, "s3 s2"},
			{"From", store.Query{From: store.Key{"s2"}}, "s2 s3"},
			{"To", store.Query{To: store.Key{"s2"}}, "s1"},
			{"Begin", store.Query{Index: "name", Prefix: store.Key{store.Begin("t")}}, "s2"},
			{"ByTag", store.Query{Index: "tag", Prefix: store.Key{"red"}}, "s1 s2"},
			{"AllTags", store.Query{Index: "tag"}, "s2 s1 s2"},
			{"NoSuchTag", store.Query{Index: "tag", Prefix: store.Key{"re"}}, ""},
			{"GlobalUntil", store.Query{Index: "rotate", To: store.Key{day(2).Add(1)}}, "s3 s1"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				view(t, s, func(r store.Reader) {
					if got := ids(t, rows.Scan(r, tt.q)); got != tt.want {
						t.Errorf("Scan(%+v) = %s, want %s", tt.q, got, tt.want)
					}
				})
			})
		}
	})
	t.Run("All", func(t *testing.T) {
		other := store.NewTable("secretsmanager", "aaa", func(s *secret) store.Key { return store.Key{s.ID} })
		if err := update(t, s, func(tx store.Tx) error { return other.In("0", "").Put(tx, &secret{ID: "other"}) }); err != nil {
			t.Fatal(err)
		}
		view(t, s, func(r store.Reader) {
			var got []string
			for row, err := range secrets().All(r) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, row.Account[:1]+row.Region+row.Record.ID)
			}
			if want := []string{"1eu-west-1s1", "1eu-west-1s2", "1eu-west-1s3", "2eu-west-1s1"}; !slices.Equal(got, want) {
				t.Errorf("All() = %q, want %q", got, want)
			}
		})
	})
	t.Run("UniqueEntryTaken", func(t *testing.T) {
		before := dump(t, s)
		err := update(t, s, func(tx store.Tx) error {
			if err := rows.Put(tx, &secret{Account: a, ID: "s3", Name: "two"}); !errors.Is(err, store.ErrExists) {
				t.Errorf("Put() = %v, want %v", err, store.ErrExists)
			}
			return nil // nothing was written
		})
		if err != nil {
			t.Error(err)
		}
		if d := cmp.Diff(before, dump(t, s)); d != "" {
			t.Errorf("after a refused Put (-before +after):\n%s", d)
		}
	})
	t.Run("UniqueEntryMoves", func(t *testing.T) {
		put(t, s, secret{Account: a, ID: "s2", Name: "old"}, secret{Account: a, ID: "s3", Name: "two"})
		view(t, s, func(r store.Reader) {
			if got, err := rows.Find(r, "name", "two"); err != nil || got.ID != "s3" {
				t.Errorf("Find(two) = %v, %v, want s3", got, err)
			}
		})
	})
	t.Run("InsertExisting", func(t *testing.T) {
		if err := update(t, s, func(tx store.Tx) error { return rows.Insert(tx, &secret{ID: "s1"}) }); !errors.Is(err, store.ErrExists) {
			t.Errorf("Insert() = %v, want %v", err, store.ErrExists)
		}
	})
	t.Run("InsertRaces", func(t *testing.T) {
		first, _ := s.Begin(t.Context())
		second, _ := s.Begin(t.Context())
		for _, tx := range []store.Tx{first, second} {
			if err := rows.Insert(tx, &secret{ID: "s7"}); err != nil {
				t.Fatal(err)
			}
		}
		if err := first.Commit(t.Context()); err != nil {
			t.Errorf("Commit() = %v", err)
		}
		if err := second.Commit(t.Context()); !errors.Is(err, store.ErrConflict) {
			t.Errorf("Commit() = %v, want %v", err, store.ErrConflict)
		}
	})
	t.Run("DeleteMissing", func(t *testing.T) {
		if err := update(t, s, func(tx store.Tx) error { return rows.Delete(tx, "s9") }); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Delete() = %v, want %v", err, store.ErrNotFound)
		}
	})
	t.Run("DeleteWhileScanning", func(t *testing.T) {
		err := update(t, s, func(tx store.Tx) error {
			for r, err := range rows.Scan(tx, store.Query{Index: "tag"}) {
				if err != nil {
					return err
				}
				if err := rows.Delete(tx, r.ID); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Errorf("Update() = %v", err)
		}
		view(t, s, func(r store.Reader) {
			if got := ids(t, rows.Scan(r, store.Query{})); got != "s2 s3 s7" {
				t.Errorf("left: %s, want s2 s3 s7", got)
			}
		})
	})
	t.Run("Watch", func(t *testing.T) {
		var got []string
		secrets().Watch(s, func(account, region string, key []string) { got = append(got, fmt.Sprint(account, region, key)) })
		put(t, s, secret{Account: b, ID: "s5", Name: "five"})
		if want := []string{"222222222222eu-west-1[s5]"}; !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
	})
}

// TestRecordVersions has a newer record type read what an older wrote, and the other way round.
func TestRecordVersions(t *testing.T) {
	type old struct{ ID, Gone string }
	type newer struct{ ID, Added string }
	s := memstore.New()
	defer s.Close()
	olds := store.NewTable("x", "t", func(r *old) store.Key { return store.Key{r.ID} }).In("", "")
	newers := store.NewTable("x", "t", func(r *newer) store.Key { return store.Key{r.ID} }).In("", "")
	err := update(t, s, func(tx store.Tx) error {
		return errors.Join(olds.Put(tx, &old{"1", "x"}), newers.Put(tx, &newer{"2", "y"}))
	})
	if err != nil {
		t.Fatal(err)
	}
	view(t, s, func(r store.Reader) {
		if got, err := newers.Get(r, "1"); err != nil || *got != (newer{ID: "1"}) {
			t.Errorf("Get(1) = %v, %v", got, err)
		}
		if got, err := olds.Get(r, "2"); err != nil || *got != (old{ID: "2"}) {
			t.Errorf("Get(2) = %v, %v", got, err)
		}
	})
	err = update(t, s, func(tx store.Tx) error {
		tx.Set(tuple.Encode("x", "", "", "t", "3"), []byte(`{"ID": 7, "Gone": "do not tell"}`))
		_, err := olds.Get(tx, "3")
		return err
	})
	if err == nil || strings.Contains(err.Error(), "do not tell") {
		t.Errorf("Get() of a damaged record = %v", err)
	}
}

func TestPage(t *testing.T) {
	const a = "111111111111"
	s := memstore.New()
	defer s.Close()
	for i := range 7 {
		put(t, s, secret{Account: a, ID: fmt.Sprint("s", i), Tags: []string{[]string{"even", "odd"}[i%2]}})
	}
	rows := secrets().In(a, region)
	page := func(t *testing.T, q store.Query, token string) (got, next string, err error) {
		t.Helper()
		view(t, s, func(r store.Reader) {
			var records []*secret
			records, next, err = rows.Page(r, q, token, "", nil)
			var out []string
			for _, r := range records {
				out = append(out, r.ID)
			}
			got = strings.Join(out, " ")
		})
		return got, next, err
	}
	for _, tt := range []struct {
		name string
		q    store.Query
		want []string
	}{
		{"Forward", store.Query{Limit: 3}, []string{"s0 s1 s2", "s3 s4 s5", "s6"}},
		{"Reverse", store.Query{Limit: 3, Reverse: true}, []string{"s6 s5 s4", "s3 s2 s1", "s0"}},
		{"Exactly", store.Query{Limit: 7}, []string{"s0 s1 s2 s3 s4 s5 s6"}},
		{"Index", store.Query{Limit: 2, Index: "tag", Prefix: store.Key{"even"}}, []string{"s0 s2", "s4 s6"}},
		{"IndexReverse", store.Query{Limit: 2, Index: "tag", Prefix: store.Key{"odd"}, Reverse: true}, []string{"s5 s3", "s1"}},
		{"Range", store.Query{Limit: 2, From: store.Key{"s2"}, To: store.Key{"s5"}}, []string{"s2 s3", "s4"}},
		{"Nothing", store.Query{Limit: 2, Prefix: store.Key{"x"}}, []string{""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			token := ""
			for i, want := range tt.want {
				got, next, err := page(t, tt.q, token)
				if err != nil || got != want || (next == "") != (i == len(tt.want)-1) {
					t.Fatalf("page %d: %q, next %q, %v, want %q", i, got, next, err, want)
				}
				token = next
			}
		})
	}
	t.Run("Filter", func(t *testing.T) {
		view(t, s, func(r store.Reader) {
			odd := func(r *secret) bool { return r.Tags[0] == "odd" }
			first, next, err := rows.Page(r, store.Query{Limit: 2}, "", "odd", odd)
			if err != nil || len(first) != 2 || next == "" {
				t.Fatalf("Page() = %d records, %q, %v", len(first), next, err)
			}
			second, last, err := rows.Page(r, store.Query{Limit: 2}, next, "odd", odd)
			if err != nil || len(second) != 1 || second[0].ID != "s5" || last != "" {
				t.Errorf("Page(next) = %d records, %q, %v", len(second), last, err)
			}
			if _, _, err := rows.Page(r, store.Query{Limit: 2}, next, "even", nil); !errors.Is(err, store.ErrBadToken) {
				t.Errorf("Page(token of another filter) = %v, want %v", err, store.ErrBadToken)
			}
		})
	})
	t.Run("ChangedBetween", func(t *testing.T) {
		_, next, err := page(t, store.Query{Limit: 2}, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := update(t, s, func(tx store.Tx) error { return rows.Delete(tx, "s1") }); err != nil {
			t.Fatal(err)
		}
		put(t, s, secret{Account: a, ID: "s11", Tags: []string{"odd"}})
		if got, _, err := page(t, store.Query{Limit: 2}, next); err != nil || got != "s11 s2" {
			t.Errorf("Page(next) = %s, %v, want s11 s2", got, err)
		}
	})
	t.Run("BadToken", func(t *testing.T) {
		_, next, _ := page(t, store.Query{Limit: 2}, "")
		for name, q := range map[string]store.Query{
			"OtherOrder":  {Limit: 2, Reverse: true},
			"OtherIndex":  {Limit: 2, Index: "tag"},
			"OtherPrefix": {Limit: 2, Prefix: store.Key{store.Begin("s")}},
		} {
			if _, _, err := page(t, q, next); !errors.Is(err, store.ErrBadToken) {
				t.Errorf("%s: Page() = %v, want %v", name, err, store.ErrBadToken)
			}
		}
		view(t, s, func(r store.Reader) {
			if _, _, err := secrets().In("222222222222", region).Page(r, store.Query{Limit: 2}, next, "", nil); !errors.Is(err, store.ErrBadToken) {
				t.Errorf("another account: Page() = %v, want %v", err, store.ErrBadToken)
			}
		})
		if _, _, err := page(t, store.Query{Limit: 2}, "!"); !errors.Is(err, store.ErrBadToken) {
			t.Errorf("Page(!) = %v, want %v", err, store.ErrBadToken)
		}
	})
	t.Run("NoLimit", func(t *testing.T) {
		if _, _, err := page(t, store.Query{}, ""); err == nil {
			t.Error("Page() without a limit succeeded")
		}
	})
}

func TestPrefixEnd(t *testing.T) {
	for in, want := range map[string]string{"a": "b", "a\xff": "b", "a\x00": "a\x01", "": "", "\xff\xff": ""} {
		if got := store.PrefixEnd([]byte(in)); string(got) != want || (got == nil) != (want == "") {
			t.Errorf("PrefixEnd(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	s := memstore.New()
	put(t, s, secret{Account: "1", ID: "a", Tags: []string{"x", "y"}}, secret{Account: "1", ID: "b", Tags: []string{"x"}}, secret{Account: "2", ID: "c", Tags: []string{"x"}})
	view(t, s, func(r store.Reader) {
		for _, tt := range []struct {
			q    store.Query
			want int
		}{
			{store.Query{}, 2}, {store.Query{Index: "tag", Prefix: store.Key{"x"}}, 2}, {store.Query{Index: "tag"}, 3}, {store.Query{Index: "tag", Limit: 2}, 2},
			{store.Query{Index: "tag", Prefix: store.Key{"z"}}, 0},
		} {
			if n, err := secrets().In("1", region).Count(r, tt.q); n != tt.want || err != nil {
				t.Errorf("Count(%+v) = %d, %v, want %d", tt.q, n, err, tt.want)
			}
		}
	})
}

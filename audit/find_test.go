package audit_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
)

// traced is a record of a request with a trace.
func traced(event, request, shared string) *audit.Record {
	r := record(event)
	r.RequestID, r.SharedEventID, r.Trace = request, shared, []byte(`{"asked":["`+event+`"]}`)
	return r
}

func TestFind(t *testing.T) {
	for name, dir := range map[string]string{"Memory": "", "Disk": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			s := memstore.New()
			trail, err := audit.Open(audit.Config{Store: s, Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			defer trail.Close()
			for i := range 3 {
				in, out, other := traced(fmt.Sprint("inner", i), fmt.Sprint("req", i), ""), traced(fmt.Sprint("outer", i), fmt.Sprint("req", i), fmt.Sprint("both", i)), traced(fmt.Sprint("copy", i), fmt.Sprint("req", i), fmt.Sprint("both", i))
				if i == 1 {
					err = s.Update(t.Context(), func(tx store.Tx) error { trail.Commit(tx, in, out, other); return nil })
				} else {
					err = trail.Append(in, out, other)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			bare := record("bare")
			if err := trail.Append(bare); err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				for _, id := range []string{"inner", "outer", "copy", "both", "req"} {
					found, err := trail.Find(t.Context(), fmt.Sprint(id, i))
					if err != nil {
						t.Fatal(err)
					}
					got := make(map[string]string)
					for _, f := range found {
						var e struct{ EventID string }
						if err := json.Unmarshal(f.Record, &e); err != nil {
							t.Fatal(err)
						}
						got[e.EventID] = string(f.Trace)
					}
					want := make(map[string]string)
					for _, e := range []string{"inner", "outer", "copy"} {
						e = fmt.Sprint(e, i)
						want[e] = `{"asked":["` + e + `"]}`
					}
					if d := cmp.Diff(want, got); d != "" {
						t.Errorf("Find(%s%d) (-want +got):\n%s", id, i, d)
					}
				}
			}
			if found, err := trail.Find(t.Context(), "bare"); err != nil || len(found) != 1 || len(found[0].Trace) != 0 {
				t.Errorf("Find of a record without request and trace: %v, %v", found, err)
			}
			for _, id := range []string{"", "nobody", `"`, "req", "kms"} {
				if found, err := trail.Find(t.Context(), id); err != nil || len(found) != 0 {
					t.Errorf("Find(%q) = %d records, %v", id, len(found), err)
				}
			}
			n, withTrace := 0, 0
			err = trail.Each(t.Context(), audit.Filter{}, func(r audit.Traced) error {
				if n++; len(r.Trace) > 0 {
					withTrace++
				}
				return nil
			})
			if err != nil || n != 10 || withTrace != 9 {
				t.Errorf("Each met %d records, %d with a trace: %v", n, withTrace, err)
			}
			events, err := trail.Events(t.Context(), audit.Filter{})
			if err != nil || len(events) != 10 {
				t.Fatalf("Events: %d, %v", len(events), err)
			}
			for _, e := range events {
				if strings.Contains(string(e), "asked") || !json.Valid(e) {
					t.Errorf("an event shows its trace: %s", e)
				}
			}
		})
	}
}

func TestFindTellsDamage(t *testing.T) {
	dir := t.TempDir()
	trail, err := audit.Open(audit.Config{Store: memstore.New(), Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := trail.Append(traced("a", "ra", "")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(trail.Append(traced("b", "rb", "")), trail.Close()); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "seg-*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)*3/4] ^= 1 // in the second record
	if err := os.WriteFile(files[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	trail, err = audit.Open(audit.Config{Store: memstore.New(), Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer trail.Close()
	if found, err := trail.Find(t.Context(), "a"); err != nil && !errors.Is(err, audit.ErrAltered) || len(found) != 1 {
		t.Errorf("before the damage: %d, %v", len(found), err)
	}
	if found, err := trail.Find(t.Context(), "b"); !errors.Is(err, audit.ErrAltered) || len(found) != 0 {
		t.Errorf("in the damage: %d, %v", len(found), err)
	}
}

// FuzzTrace gives everything of a record that callers have a say in: the record stays what it is, and the trace comes out as it went in.
func FuzzTrace(f *testing.F) {
	f.Add("agent", `{"a":1}`, `{"keyId":"x\n\n{}"}`, `{"asked":[]}`)
	f.Add("a\n{\"asked\":[]}", "{\n \"a\": 1\n}", `{"x":"\n"}`, `{"asked":[{"values":{"k":["\\n"]}}]}`)
	f.Add("\x00\xff", "not\njson", `{}`, "")
	f.Fuzz(func(t *testing.T, agent, details, parameters, trace string) {
		if strings.Contains(parameters, "\n") || strings.Contains(trace, "\n") || len(trace) > 64<<10 {
			t.Skip() // they are written by this program, in one line
		}
		r := traced("event", "request", "")
		r.UserAgent, r.ServiceDetails, r.RequestParameters, r.Trace = agent, []byte(details), []byte(parameters), []byte(trace)
		valid := json.Valid(r.AppendJSON(nil))
		trail, err := audit.Open(audit.Config{Store: memstore.New()})
		if err != nil {
			t.Fatal(err)
		}
		if err := trail.Append(r); err != nil {
			t.Fatal(err)
		}
		found, err := trail.Find(t.Context(), "event")
		if !valid {
			return // there is no record to speak of
		}
		if err != nil || len(found) != 1 || string(found[0].Trace) != trace {
			t.Fatalf("Find: %q, %v; the trace was %q", found, err, trace)
		}
		var want, got any
		if json.Unmarshal(r.AppendJSON(nil), &want) != nil || json.Unmarshal(found[0].Record, &got) != nil || !cmp.Equal(want, got) {
			t.Errorf("the record changed:\n%s\n%s", r.AppendJSON(nil), found[0].Record)
		}
	})
}

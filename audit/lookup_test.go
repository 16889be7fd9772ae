package audit_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
)

// history is a trail with a few thousand records of two accounts and two regions, and what should be found in it.
type history struct {
	t     *testing.T
	trail *audit.Trail
	dir   string
	store store.Store
	all   []*audit.Record
	rand  *rand.Rand
}

func newHistory(t *testing.T, dir string) *history {
	h := &history{t: t, dir: dir, store: memstore.New(), rand: rand.New(rand.NewPCG(1, 2))}
	h.open()
	return h
}

func (h *history) open() {
	h.t.Helper()
	var err error
	if h.trail, err = audit.Open(audit.Config{Store: h.store, Dir: h.dir, Sync: time.Hour}); err != nil {
		h.t.Fatal(err)
	}
}

func (h *history) close() {
	h.t.Helper()
	if err := h.trail.Close(); err != nil {
		h.t.Fatal(err)
	}
}

// add records n calls. Times go up, a little out of order, and changes are in the store.
func (h *history) add(n int) {
	h.t.Helper()
	for range n {
		i := len(h.all)
		r := record(fmt.Sprintf("%08x-%d", h.rand.Uint32(), i))
		r.Time = epoch.Add(time.Duration(i)*100*time.Millisecond + time.Duration(h.rand.IntN(3e8)))
		r.RequestID = fmt.Sprint("request-", i/2)
		r.Recipient, r.Region = fmt.Sprintf("%012d", h.rand.IntN(2)), []string{"us-east-1", "eu-west-1"}[h.rand.IntN(2)]
		r.Name = []string{"Encrypt", "Decrypt", "CreateKey"}[h.rand.IntN(3)]
		r.ReadOnly = r.Name != "CreateKey"
		r.Identity = fmt.Appendf(nil, `{"type":"IAMUser","userName":"user%d","accessKeyId":"AKIA%d"}`, i%7, i%5)
		r.Resources = []audit.Resource{{Account: r.Recipient, Type: "AWS::KMS::Key", ARN: fmt.Sprint("arn:aws:kms:key/", i%11)}}
		r.UserAgent = strings.Repeat("agent", h.rand.IntN(200))
		r.Trace = []byte(`{}`)
		h.all = append(h.all, r)
		var err error
		if r.ReadOnly {
			err = h.trail.Append(r)
		} else {
			err = h.store.Update(h.t.Context(), func(tx store.Tx) error { h.trail.Commit(tx, r); return nil })
		}
		if err != nil {
			h.t.Fatal(err)
		}
	}
}

// want is what a query should find, without its page.
func (h *history) want(q audit.Query, has func(*audit.Record) bool) (ids []string) {
	var found []*audit.Record
	for _, r := range h.all {
		shown := r.Time.Truncate(time.Second)
		if r.Recipient == q.Account && r.Region == q.Region && has(r) && !shown.Before(q.From) && (q.To.IsZero() || !shown.After(q.To)) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b *audit.Record) int {
		if c := b.Time.Compare(a.Time); c != 0 {
			return c
		}
		return strings.Compare(b.EventID, a.EventID)
	})
	for _, r := range found {
		ids = append(ids, r.EventID)
	}
	return ids
}

// got reads all pages.
func (h *history) got(q audit.Query) (ids []string) {
	h.t.Helper()
	for {
		page, err := h.trail.Lookup(h.t.Context(), q)
		if err != nil || page.Damage != nil {
			h.t.Fatal(err, page.Damage)
		}
		for _, e := range page.Events {
			ids = append(ids, e.ID)
			q.After = &e.Position
		}
		if !page.More {
			return ids
		}
		if len(page.Events) != q.Limit {
			h.t.Fatalf("a page of %d events that is not the last", len(page.Events))
		}
	}
}

func (h *history) check() {
	h.t.Helper()
	last := h.all[len(h.all)-1]
	middle := h.all[len(h.all)/2]
	sec := time.Second
	for _, c := range []struct {
		a     audit.Attribute
		value string
		has   func(*audit.Record) bool
	}{
		{"", "", func(*audit.Record) bool { return true }},
		{audit.EventName, "CreateKey", func(r *audit.Record) bool { return r.Name == "CreateKey" }},
		{audit.EventName, "Nothing", func(r *audit.Record) bool { return false }},
		{audit.ReadOnly, "true", func(r *audit.Record) bool { return r.ReadOnly }},
		{audit.ReadOnly, "false", func(r *audit.Record) bool { return !r.ReadOnly }},
		{audit.EventSource, "kms.amazonaws.com", func(*audit.Record) bool { return true }},
		{audit.Username, "user3", func(r *audit.Record) bool { return strings.Contains(string(r.Identity), `"user3"`) }},
		{audit.AccessKeyID, "AKIA3", func(r *audit.Record) bool { return strings.Contains(string(r.Identity), `"AKIA3"`) }},
		{audit.ResourceType, "AWS::KMS::Key", func(*audit.Record) bool { return true }},
		{audit.ResourceName, "arn:aws:kms:key/7", func(r *audit.Record) bool { return r.Resources[0].ARN == "arn:aws:kms:key/7" }},
		{audit.EventID, last.EventID, func(r *audit.Record) bool { return r == last }},
		{audit.EventID, middle.EventID, func(r *audit.Record) bool { return r == middle }},
	} {
		q := audit.Query{Account: middle.Recipient, Region: middle.Region, Attribute: c.a, Value: c.value, Limit: 50}
		for _, between := range [][2]time.Time{{}, {epoch.Add(20 * sec), middle.Time.Truncate(sec)}} {
			q.From, q.To = between[0], between[1]
			if d := cmp.Diff(h.want(q, c.has), h.got(q)); d != "" {
				h.t.Errorf("%s %s, %v (-want +got):\n%.2000s", c.a, c.value, between, d)
			}
		}
	}
	h.checkEvents(audit.Filter{})
	h.checkEvents(audit.Filter{Limit: 17})
	h.checkEvents(audit.Filter{From: epoch.Add(10 * sec), To: middle.Time, Account: "000000000001"})
	h.checkEvents(audit.Filter{From: epoch.Add(10 * sec), To: middle.Time, Limit: 5})
	found, err := h.trail.Find(h.t.Context(), middle.EventID)
	if err != nil || len(found) == 0 || len(found) > 2 {
		h.t.Errorf("Find: %d records, %v", len(found), err)
	}
}

// checkEvents sees that events come in the order of their times.
func (h *history) checkEvents(f audit.Filter) {
	h.t.Helper()
	var chosen []*audit.Record
	for _, r := range h.all {
		shown := r.Time.Truncate(time.Second)
		if !shown.Before(f.From) && (f.To.IsZero() || shown.Before(f.To)) && (f.Account == "" || f.Account == r.Recipient) {
			chosen = append(chosen, r)
		}
	}
	slices.SortStableFunc(chosen, func(a, b *audit.Record) int { return a.Time.Compare(b.Time) })
	if f.Limit > 0 {
		chosen = chosen[len(chosen)-f.Limit:]
	}
	var want []string
	for _, r := range chosen {
		want = append(want, r.EventID)
	}
	if d := cmp.Diff(want, ids(h.t, h.trail, f)); d != "" {
		h.t.Errorf("Events(%+v) (-want +got):\n%.2000s", f, d)
	}
	for rec, err := range h.trail.Stream(h.t.Context(), f) { // and it can be left
		if err != nil || eventID(h.t, rec) != want[0] {
			h.t.Errorf("Stream begins with %s, %v, want %s", rec, err, want[0])
		}
		break
	}
}

func TestLookup(t *testing.T) {
	for name, dir := range map[string]string{"Memory": "", "Disk": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			h := newHistory(t, dir)
			defer func() { h.close() }()
			h.add(500)
			h.check()
			if dir == "" {
				return
			}
			h.close() // what was raw is compressed at the next start
			h.open()
			h.add(200)
			h.check()
			if err := h.trail.Settle(t.Context()); err != nil {
				t.Fatal(err)
			}
			h.check()
			for _, path := range h.files("*.idx") {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			}
			h.check()
			if len(h.files("*.idx")) == 0 {
				t.Error("no index was made again")
			}
			for _, path := range h.files("*.idx") {
				h.alter(path)
			}
			h.check()
		})
	}
}

func (h *history) files(pattern string) []string {
	h.t.Helper()
	files, err := filepath.Glob(filepath.Join(h.dir, pattern))
	if err != nil {
		h.t.Fatal(err)
	}
	return files
}

// alter changes a byte in each 4096.
func (h *history) alter(path string) {
	h.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		h.t.Fatal(err)
	}
	for i := 100; i < len(b); i += 4096 {
		b[i] ^= 0x10
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		h.t.Fatal(err)
	}
}

// An event that a page ends with is not met again, and none is left out, whatever is recorded meanwhile.
func TestLookupWhileRecordsArrive(t *testing.T) {
	h := newHistory(t, t.TempDir())
	defer h.close()
	h.add(150)
	q := audit.Query{Account: "000000000000", Region: "us-east-1", Limit: 7}
	want := h.want(q, func(*audit.Record) bool { return true })
	var got []string
	for {
		page, err := h.trail.Lookup(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			got = append(got, e.ID)
			q.After = &e.Position
		}
		if !page.More {
			break
		}
		h.add(10)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("pages (-want +got):\n%s", d)
	}
}

// A block that was altered is reported, and what is in other blocks is found.
func TestLookupTellsDamage(t *testing.T) {
	h := newHistory(t, t.TempDir())
	defer func() { h.close() }()
	h.add(800)
	h.close()
	h.open()
	if _, err := h.trail.Find(t.Context(), "compress"); err != nil {
		t.Fatal(err)
	}
	path := h.files("*.zst")[0]
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[100] ^= 1 // in the first block
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	q := audit.Query{Account: "000000000000", Region: "us-east-1", Attribute: audit.ReadOnly, Value: "true", Limit: 5000}
	page, err := h.trail.Lookup(t.Context(), q)
	if err != nil || !errors.Is(page.Damage, audit.ErrAltered) {
		t.Errorf("Lookup: %v, damage %v", err, page.Damage)
	}
	if all := len(h.want(q, func(r *audit.Record) bool { return r.ReadOnly })); len(page.Events) == 0 || len(page.Events) >= all {
		t.Errorf("%d of %d events were found", len(page.Events), all)
	}
	if _, err := h.trail.Events(t.Context(), audit.Filter{}); !errors.Is(err, audit.ErrAltered) {
		t.Errorf("Events: %v", err)
	}
	q.Attribute, q.Value = audit.EventID, h.all[len(h.all)-1].EventID
	q.Account, q.Region = h.all[len(h.all)-1].Recipient, h.all[len(h.all)-1].Region
	if page, err := h.trail.Lookup(t.Context(), q); err != nil || len(page.Events) != 1 {
		t.Errorf("the last event: %d, %v, damage %v", len(page.Events), err, page.Damage)
	}
}

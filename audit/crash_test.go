package audit_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/pebblestore"
	"github.com/holdfast-cloud/holdfast/store/tuple"
)

const crashDir = "HOLDFAST_AUDIT_CRASH_DIR"

// TestMain is also the process that TestKill kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		recordForever(dir)
	}
	os.Exit(m.Run())
}

// crashCloud is a store and a trail in a directory, with a consumer that keeps its cursor in the store.
type crashCloud struct {
	store store.Store
	trail *audit.Trail
}

func openCrashCloud(dir string, interval time.Duration) (*crashCloud, error) {
	s, err := pebblestore.Open(pebblestore.Options{Dir: filepath.Join(dir, "store")})
	if err != nil {
		return nil, err
	}
	trail, err := audit.Open(audit.Config{Store: s, Dir: filepath.Join(dir, "audit"), Sync: interval})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &crashCloud{s, trail}, nil
}

func (c *crashCloud) close() error { return errors.Join(c.trail.Close(), c.store.Close()) }

var consumerKey = tuple.Encode("consumer")

// consume takes what is new in the feed: in one transaction, a key for each record, and the cursor.
func (c *crashCloud) consume(ctx context.Context) error {
	return c.store.Update(ctx, func(tx store.Tx) error {
		var at audit.Cursor
		b, err := tx.Get(consumerKey)
		if err == nil {
			err = json.Unmarshal(b, &at)
		} else if errors.Is(err, store.ErrNotFound) {
			err = nil
		}
		if err != nil {
			return err
		}
		n := 0
		at, err = c.trail.Read(ctx, at, func(_ audit.Cursor, e audit.Entry) error {
			var got struct{ EventID string }
			if err := json.Unmarshal(e.Record, &got); err != nil {
				return fmt.Errorf("torn record %s", e.Record)
			}
			key := tuple.Encode("consumed", got.EventID)
			if _, err := tx.Get(key); !errors.Is(err, store.ErrNotFound) {
				return fmt.Errorf("record %s came twice: %v", got.EventID, err)
			}
			tx.Set(key, []byte("once"))
			if n++; n == 1000 {
				return audit.ErrEnough
			}
			return nil
		})
		if err != nil {
			return err
		}
		b, err = json.Marshal(at)
		tx.Set(consumerKey, b)
		return err
	})
}

// recordForever records calls from several goroutines, changes and others, and prints the ID of each that was acknowledged.
func recordForever(dir string) {
	interval, _ := strconv.Atoi(os.Getenv("HOLDFAST_AUDIT_CRASH_SYNC"))
	c, err := openCrashCloud(dir, time.Duration(interval))
	if err != nil {
		panic(err)
	}
	var mu sync.Mutex
	worker := func(w int) {
		var err error
		for i := 0; ; i++ {
			r := record(fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i))
			r.Time = time.Now()
			r.UserAgent = strings.Repeat("u", i%900)
			if w%2 == 0 {
				err = c.trail.Append(r)
			} else {
				err = c.store.Update(context.Background(), func(tx store.Tx) error { c.trail.Commit(tx, r); return nil })
			}
			if err != nil {
				panic(err)
			}
			mu.Lock()
			fmt.Println(r.EventID)
			mu.Unlock()
		}
	}
	for w := range 6 {
		go worker(w)
	}
	go func() {
		for {
			if err := c.trail.Settle(context.Background()); err != nil {
				panic(err)
			}
		}
	}()
	for {
		if err := c.consume(context.Background()); err != nil {
			panic(err)
		}
	}
}

func TestKill(t *testing.T) {
	dir := t.TempDir()
	acknowledged := make(map[string]bool)
	rounds := 12
	if n, err := strconv.Atoi(os.Getenv("HOLDFAST_AUDIT_CRASH_ROUNDS")); err == nil {
		rounds = n
	}
	for round := range rounds {
		kill(t, dir, time.Duration(round%2)*time.Millisecond, acknowledged)
		if round%3 == 0 { // or a crash follows on a crash
			wantOnce(t, dir, acknowledged)
		}
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
	wantOnce(t, dir, acknowledged)
	t.Logf("%d records acknowledged, all there", len(acknowledged))
}

// wantOnce sees that each record that was acknowledged is there once, before the records of changes are in the log and after, and for the consumer.
func wantOnce(t *testing.T, dir string, acknowledged map[string]bool) {
	t.Helper()
	c, err := openCrashCloud(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
	}()
	count := func() map[string]int {
		there := make(map[string]int)
		for _, id := range ids(t, c.trail, audit.Filter{}) {
			there[id]++
		}
		return there
	}
	once := func(there map[string]int) {
		t.Helper()
		for id, n := range there {
			if n > 1 {
				t.Errorf("record %s is there %d times", id, n)
			}
		}
		for id := range acknowledged {
			if there[id] == 0 {
				t.Errorf("record %s was acknowledged and is lost", id)
			}
		}
	}
	before := count()
	once(before)
	wantHistory(t, c.trail, acknowledged)
	if err := c.trail.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := count(); !maps.Equal(before, after) {
		t.Errorf("%d records were there, and %d when they were moved", len(before), len(after))
	}
	consumed := make(map[string]int)
	for n := -1; n != len(consumed); {
		n = len(consumed)
		if err := c.consume(t.Context()); err != nil {
			t.Fatal(err)
		}
		clear(consumed)
		err := c.store.View(t.Context(), func(r store.Reader) error {
			prefix := tuple.Encode("consumed")
			for kv, err := range r.Scan(prefix, store.PrefixEnd(prefix), store.ScanOptions{}) {
				if err != nil {
					return err
				}
				parts, _ := tuple.Split(kv.Key)
				consumed[parts[1]]++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if !maps.Equal(before, consumed) {
		t.Errorf("%d records are there, and the consumer had %d", len(before), len(consumed))
	}
}

// wantHistory looks up all that was acknowledged.
func wantHistory(t *testing.T, trail *audit.Trail, acknowledged map[string]bool) {
	t.Helper()
	found := make(map[string]bool)
	q := audit.Query{Account: "111122223333", Region: "us-east-1", Attribute: audit.EventName, Value: "Encrypt", Limit: 1000}
	for more := true; more; {
		page, err := trail.Lookup(t.Context(), q)
		if err != nil || page.Damage != nil {
			t.Fatal(err, page.Damage)
		}
		for _, e := range page.Events {
			found[e.ID] = true
			q.After = &e.Position
		}
		more = page.More
	}
	for id := range acknowledged {
		if !found[id] {
			t.Errorf("record %s was acknowledged and cannot be looked up", id)
		}
	}
}

// kill runs a process that appends to dir, kills it at a random moment, and adds what it acknowledged.
func kill(t *testing.T, dir string, interval time.Duration, acknowledged map[string]bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashDir+"="+dir, fmt.Sprintf("HOLDFAST_AUDIT_CRASH_SYNC=%d", interval))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for after := 50 + rand.IntN(500); lines.Scan(); after-- {
		if strings.Count(lines.Text(), "-") == 2 {
			acknowledged[lines.Text()] = true
		}
		if after == 0 {
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Wait()
}

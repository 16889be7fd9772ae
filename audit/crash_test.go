package audit_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/store/memstore"
)

const crashDir = "HOLDFAST_AUDIT_CRASH_DIR"

// TestMain is also the process that TestKill kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		appendForever(dir)
	}
	os.Exit(m.Run())
}

// appendForever appends records from several goroutines, and prints the ID of each that was acknowledged.
func appendForever(dir string) {
	sync0, _ := strconv.Atoi(os.Getenv("HOLDFAST_AUDIT_CRASH_SYNC"))
	trail, err := audit.Open(audit.Config{Store: memstore.New(), Dir: dir, Sync: time.Duration(sync0)})
	if err != nil {
		panic(err)
	}
	var mu sync.Mutex
	for w := range 4 {
		go func() {
			for i := 0; ; i++ {
				r := record(fmt.Sprintf("%d-%d-%d", os.Getpid(), w, i))
				r.UserAgent = strings.Repeat("u", i%900)
				if err := trail.Append(r); err != nil {
					panic(err)
				}
				mu.Lock()
				fmt.Println(r.EventID)
				mu.Unlock()
			}
		}()
	}
	select {}
}

func TestKill(t *testing.T) {
	dir := t.TempDir()
	acknowledged := make(map[string]bool)
	for round := range 6 {
		kill(t, dir, time.Duration(round%2)*time.Millisecond, acknowledged)
		trail, err := audit.Open(audit.Config{Store: memstore.New(), Dir: dir})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		events, err := trail.Events(t.Context(), audit.Filter{})
		if err != nil {
			t.Fatalf("round %d: reading: %v", round, err)
		}
		there := make(map[string]bool)
		for _, e := range events {
			var got struct{ EventID string }
			if err := json.Unmarshal(e, &got); err != nil {
				t.Fatalf("round %d: torn record %s", round, e)
			}
			there[got.EventID] = true
		}
		for id := range acknowledged {
			if !there[id] {
				t.Errorf("round %d: record %s was acknowledged and is lost", round, id)
			}
		}
		wantHistory(t, trail, acknowledged)
		if err := trail.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d records acknowledged, all there", len(acknowledged))
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

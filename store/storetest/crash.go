package storetest

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	"github.com/holdfast-cloud/holdfast/store"
)

// crashDir names the environment variable that makes a test binary the process to be killed.
const crashDir = "HOLDFAST_STORETEST_CRASH_DIR"

// Crash kills a process that commits as fast as it can, several times, and checks that what it acknowledged is
// there, and that no transaction is there in part. The process is the test binary itself, running the test that
// called Crash, so that one must do nothing before it.
func Crash(t *testing.T, open func(t *testing.T, dir string) store.Store) {
	if dir := os.Getenv(crashDir); dir != "" {
		commitForever(t, open(t, dir))
		return
	}
	const rounds = 3
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	acked := make([]int, crashWriters)
	for range rounds {
		before := acked[0]
		killAfter(t, dir, 100+rng.IntN(600), acked)
		if t.Failed() {
			return
		}
		s := open(t, dir)
		found := checkCrashed(t, s, acked)
		if err := s.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
		t.Logf("writer 0 committed from %d to %d, of which %d were found", before, acked[0], found[0])
		copy(acked, found) // what is there goes on from there
	}
}

const crashWriters = 8

// crashValue is long enough for the log to be rotated and tables to be written.
const crashValue = 2000

// killAfter starts the process, kills it after n acknowledged commits, and notes in acked the last of each writer.
func killAfter(t *testing.T, dir string, n int, acked []int) {
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v=false")
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := 0
	// After the kill the pipe still holds what was acknowledged before it: read to its end.
	for in := bufio.NewScanner(out); in.Scan(); {
		var w, i int
		if _, err := fmt.Sscanf(in.Text(), "ack %d %d", &w, &i); err != nil || w >= len(acked) {
			t.Errorf("the process said %q", in.Text())
			continue
		}
		acked[w] = i
		if lines++; lines == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	_ = cmd.Wait() // killed, as the checks below presume:
	if lines < n {
		t.Fatalf("the process ended after %d of %d commits", lines, n)
	}
}

// commitForever commits until it is killed. A transaction of a writer raises its counter and writes two rows.
func commitForever(t *testing.T, s store.Store) {
	var out sync.Mutex
	var wg sync.WaitGroup
	value := make([]byte, crashValue)
	for w := range crashWriters {
		wg.Go(func() {
			for {
				var n int
				err := s.Update(t.Context(), func(tx store.Tx) error {
					var err error
					if n, err = count(tx, w); err != nil {
						return err
					}
					n++
					tx.Set(crashKey(w, "left", n), value)
					tx.Set(crashKey(w, "count", 0), strconv.AppendInt(nil, int64(n), 10))
					tx.Set(crashKey(w, "right", n), value)
					tx.Delete(crashKey(w, "left", n-100))
					tx.Delete(crashKey(w, "right", n-100))
					return nil
				})
				if err != nil {
					t.Errorf("Update() = %v", err)
					return
				}
				out.Lock()
				// One write of a short line to a pipe is not torn, and not buffered here.
				fmt.Fprintf(os.Stdout, "ack %d %d\n", w, n)
				out.Unlock()
			}
		})
	}
	wg.Wait()
}

func crashKey(w int, side string, n int) []byte { return fmt.Appendf(nil, "%d/%s/%09d", w, side, n) }

func count(r store.Reader, w int) (int, error) {
	v, err := r.Get(crashKey(w, "count", 0))
	if errors.Is(err, store.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(v))
}

// checkCrashed returns the last transaction that is there, of each writer.
func checkCrashed(t *testing.T, s store.Store, acked []int) []int {
	found := make([]int, len(acked))
	err := s.View(t.Context(), func(r store.Reader) error {
		for w := range acked {
			n, err := count(r, w)
			if err != nil {
				return err
			}
			found[w] = n
			// At most the one transaction that was under way may be there without its acknowledgement.
			if n < acked[w] || n > acked[w]+1 {
				t.Errorf("writer %d: %d transactions are there, %d were acknowledged", w, n, acked[w])
			}
			for _, side := range []string{"left", "right"} {
				want := max(n-99, 1) // older ones were deleted in the same transactions
				for kv, err := range r.Scan(crashKey(w, side, 0), crashKey(w, side, 999999999), store.ScanOptions{}) {
					if err != nil {
						return err
					}
					if string(kv.Key) != string(crashKey(w, side, want)) || len(kv.Value) != crashValue {
						t.Errorf("writer %d: found %s, want row %d", w, kv.Key, want)
						return nil
					}
					want++
				}
				if want != n+1 {
					t.Errorf("writer %d: the last row is %d, want %d", w, want-1, n)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Errorf("View() = %v", err)
	}
	return found
}

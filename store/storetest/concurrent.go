package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/holdfast-cloud/holdfast/store"
)

// testTransfers moves money between accounts from many goroutines, while others check that there is always
// the same sum, by reading all and by a rule that only a serializable store keeps.
func testTransfers(t *testing.T, s store.Store) {
	const accounts, workers, each = 6, 6, 60
	account := func(i int) []byte { return fmt.Appendf(nil, "account/%d", i) }
	err := s.Update(t.Context(), func(tx store.Tx) error {
		for i := range accounts {
			tx.Set(account(i), []byte("100"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	sum := func(r store.Reader) (sum int, err error) {
		for kv, err := range r.Scan([]byte("account/"), []byte("account0"), store.ScanOptions{}) {
			if err != nil {
				return 0, err
			}
			n, err := strconv.Atoi(string(kv.Value))
			if err != nil {
				return 0, err
			}
			sum += n
		}
		return sum, nil
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			for range each {
				from, to, amount := rng.IntN(accounts), rng.IntN(accounts), rng.IntN(50)
				var err error
				switch rng.IntN(3) {
				case 0:
					err = s.View(t.Context(), func(r store.Reader) error {
						got, err := sum(r)
						if err == nil && got != accounts*100 {
							err = fmt.Errorf("a view sums to %d", got)
						}
						return err
					})
				case 1: // an overdraft is allowed while the whole holds: needs a range read to be validated
					err = s.Update(t.Context(), func(tx store.Tx) error {
						total, err := sum(tx)
						if err != nil {
							return err
						}
						if total != accounts*100 {
							return fmt.Errorf("a transaction sums to %d", total)
						}
						return move(tx, account(from), account(to), amount)
					})
				case 2:
					err = s.Update(t.Context(), func(tx store.Tx) error { return move(tx, account(from), account(to), amount) })
				}
				// A starved transaction may give up; what it must not do is see a wrong sum.
				if err != nil && !errors.Is(err, store.ErrConflict) {
					t.Errorf("worker %d: %v", w, err)
				}
			}
		})
	}
	wg.Wait()
	err = s.View(t.Context(), func(r store.Reader) error {
		got, err := sum(r)
		diff(t, "sum", got, accounts*100)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if m := s.Metrics(); m.Active != 0 {
		t.Errorf("%d transactions left open", m.Active)
	}
}

func move(tx store.Tx, from, to []byte, amount int) error {
	for key, delta := range map[string]int{string(from): -amount, string(to): amount} {
		if string(from) == string(to) {
			return nil
		}
		v, err := tx.Get([]byte(key))
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(string(v))
		if err != nil {
			return err
		}
		tx.Set([]byte(key), strconv.AppendInt(nil, int64(n+delta), 10))
	}
	return nil
}

// registers is how many keys the linearizability test works on; few, so that the checker ends soon.
const registers = 3

// operation is one transaction: it reads some registers, by key or by a scan of all, and writes some.
type operation struct {
	scan   bool
	reads  []int
	writes map[int]int
}

// outcome is what it read: the values, 0 where there was none, for each of reads, or of all registers in a scan.
type outcome struct {
	committed bool
	read      []int
}

// model is a sequential store of registers.
var model = porcupine.Model{
	Init: func() any { return [registers]int{} },
	Step: func(state, input, output any) (bool, any) {
		s, op, out := state.([registers]int), input.(operation), output.(outcome)
		if !out.committed {
			return true, s // it did nothing, and what it read was not relied on
		}
		reads := op.reads
		if op.scan {
			reads = []int{0, 1, 2}
		}
		for i, r := range reads {
			if s[r] != out.read[i] {
				return false, s
			}
		}
		for r, v := range op.writes {
			s[r] = v
		}
		return true, s
	},
}

// testLinearizable records what concurrent transactions saw and has porcupine look for an order of them, in
// agreement with real time, in which a store that runs them one at a time would have answered the same.
func testLinearizable(t *testing.T, s store.Store) {
	const workers, each = 5, 40
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var clock atomic.Int64 // orders the beginnings and ends of operations
	histories := make([][]porcupine.Operation, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(w)))
			for i := range each {
				op := operation{scan: rng.IntN(4) == 0, writes: map[int]int{}}
				if !op.scan {
					op.reads = rng.Perm(registers)[:rng.IntN(registers+1)]
				}
				for _, r := range rng.Perm(registers)[:rng.IntN(registers)] {
					op.writes[r] = 1 + w*each + i // unique, except 0 which is deletion
					if rng.IntN(6) == 0 {
						op.writes[r] = 0
					}
				}
				call := clock.Add(1)
				out, err := perform(t, s, op)
				if err != nil {
					t.Errorf("worker %d: %v", w, err)
					return
				}
				histories[w] = append(histories[w], porcupine.Operation{
					ClientId: w, Input: op, Call: call, Output: out, Return: clock.Add(1),
				})
			}
		})
	}
	wg.Wait()
	var history []porcupine.Operation
	committed := 0
	for _, h := range histories {
		for _, op := range h {
			if op.Output.(outcome).committed {
				committed++
			}
		}
		history = append(history, h...)
	}
	if !porcupine.CheckOperations(model, history) {
		t.Errorf("the history of %d transactions is not linearizable", len(history))
	}
	if committed < len(history)/4 {
		t.Errorf("%d of %d transactions committed, too few to show anything", committed, len(history))
	}
}

func perform(t *testing.T, s store.Store, op operation) (outcome, error) {
	tx, err := s.Begin(t.Context())
	if err != nil {
		return outcome{}, err
	}
	defer tx.Discard()
	key := func(r int) []byte { return fmt.Appendf(nil, "r%d", r) }
	var out outcome
	if op.scan {
		out.read = make([]int, registers)
		for kv, err := range tx.Scan([]byte("r"), []byte("s"), store.ScanOptions{}) {
			if err != nil {
				return outcome{}, err
			}
			if out.read[kv.Key[1]-'0'], err = strconv.Atoi(string(kv.Value)); err != nil {
				return outcome{}, err
			}
		}
	}
	for _, r := range op.reads {
		v, err := tx.Get(key(r))
		n := 0
		switch {
		case err == nil:
			n, err = strconv.Atoi(string(v))
		case errors.Is(err, store.ErrNotFound):
			err = nil
		}
		if err != nil {
			return outcome{}, err
		}
		out.read = append(out.read, n)
	}
	for r, v := range op.writes {
		if v == 0 {
			tx.Delete(key(r))
		} else {
			tx.Set(key(r), strconv.AppendInt(nil, int64(v), 10))
		}
	}
	err = tx.Commit(t.Context())
	if errors.Is(err, store.ErrConflict) {
		return outcome{}, nil
	}
	out.committed = err == nil
	return out, err
}

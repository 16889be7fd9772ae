package sqs

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
)

func testPile(id string) pile { return pile{ours, home, id} }

// Fronts that nobody uses go when there are many; one at which somebody waits stays, and who holds one that is gone looks again.
func TestIdleFronts(t *testing.T) {
	var fs fronts
	used, waited := fs.of(testPile("idle")), fs.of(testPile("waited"))
	w := waited.wait()
	fs.mu.Lock()
	fs.dropLocked(0)
	fs.mu.Unlock()
	if fs.known("idle") != nil || !used.closed {
		t.Error("an idle front is kept")
	}
	if fs.known("waited") != waited {
		t.Error("a front at which somebody waits is dropped")
	}
	waited.leave(w, true)
	for i := range 2 * maxFronts {
		fs.of(testPile(fmt.Sprint(i)))
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.dropLocked(time.Hour); len(fs.piles) != 2*maxFronts+1 || fs.full != 2*len(fs.piles) {
		t.Errorf("%d fronts in use, %d before idle ones are looked for", len(fs.piles), fs.full)
	}
}

// onView runs something while the store is read.
type onView struct {
	store.Store
	do func()
}

func (s onView) View(ctx context.Context, fn func(store.Reader) error) error {
	return s.Store.View(ctx, func(r store.Reader) error {
		s.do()
		return fn(r)
	})
}

// So many entries come late that the front begins anew, while it is being filled: none of them is lost.
func TestBeginAnewWhileFilling(t *testing.T) {
	s, p := memstore.New(), testPile("p")
	f := &front{pile: p}
	at := time.Date(2031, 5, 1, 12, 0, 0, 0, time.UTC)
	entryOf := func(i int) entry { return entryAt(at.UnixNano()+int64(i), i) }
	if err := s.Update(t.Context(), func(tx store.Tx) error {
		for i := range maxLate + 1 {
			tx.Set(p.due(entryOf(i)), nil)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	before := until(at.Add(time.Second))
	f.from, f.next = until(at.Add(time.Millisecond)), until(at.Add(time.Millisecond))
	f.claims, f.owners = make(map[entry]claim), make(map[string][]entry)
	for i := range maxLate + 1 { // a receiver has them all
		f.claims[entryOf(i)] = claim{"receiver", clock.Start()}
		f.owners["receiver"] = append(f.owners["receiver"], entryOf(i))
	}
	if err := f.fill(t.Context(), onView{s, func() { f.giveBack("receiver") }}, before); err != nil {
		t.Fatal(err)
	}
	taken, err := f.take(t.Context(), s, before, "other", maxLate+1)
	if err != nil || len(taken) != maxLate+1 {
		t.Errorf("%d of %d entries are there: %v", len(taken), maxLate+1, err)
	}
}

// Two look for the oldest message at once. What comes meanwhile is not passed over by the one that has not seen it.
func TestSeek(t *testing.T) {
	f := &front{pile: testPile("p")}
	_, first := f.seek()
	f.noteMessage([]byte("5\x00"))
	_, second := f.seek()
	second(5)
	first(10)
	if from, _ := f.seek(); from != 5 {
		t.Errorf("the oldest message is looked for from %d, want 5", from)
	}
}

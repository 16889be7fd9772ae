package sqs

import (
	"bytes"
	"context"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/tuple"
)

// A front is what this process knows of the pile of a queue without looking: where its due keys begin, and which of them come next. An ordered store passes slowly over what
// was deleted lately, which is each message that was received, so nobody may look for the next message from the beginning; and receivers that all took the first one would
// conflict with each other. The invariant is: a due key below from is in ready or late, or claimed, or there is none.
//
// It is only a hint. Who takes an entry looks in a transaction whether it is true, so that nothing depends on it but speed: it begins empty after a start, and
// another process may have one of its own over the same store.
type front struct {
	pile pile

	fillMu sync.Mutex // held while the store is read, by one receiver for all

	mu      sync.Mutex // guards what follows; nothing is waited for under it
	from    entry
	ready   []entry // in order
	late    []entry // that came below from
	next    entry   // no due key at or above from is below it
	claims  map[entry]claim
	owners  map[string][]entry // what each owner has claimed, and maybe some that it has no claim on any more
	looked  clock.Stopwatch    // when claims were last looked through
	filling bool
	noted   []entry   // while filling
	waiters []*waiter // long polls, in the order in which they came
	closed  bool      // the pile is no queue's any more
	oldest  uint64    // there is no message with a lower sequence
	lowest  uint64    // sequence that was written since somebody began to look for the oldest
	seeks   int       // times that somebody did
	used    clock.Stopwatch

	counts counts // has locks of its own
}

// claim is an entry that a receiver has taken and not yet committed.
type claim struct {
	owner string // its request
	since clock.Stopwatch
}

const (
	window   = 256             // entries that are read at once
	maxLate  = 4096            // entries in late
	claimFor = 5 * time.Second // of real time: a receiver that failed tells nobody
	never    = entry("\xff")   // above all entries
)

// take gives up to n entries that are due before an entry. They belong to owner until it has done or gives them back.
func (f *front) take(ctx context.Context, s store.Store, before entry, owner string, n int) (taken []entry, err error) {
	for {
		f.mu.Lock()
		f.expireLocked()
		taken = f.pickLocked(taken, before, owner, n)
		hungry := len(taken) < n && f.next < before
		f.mu.Unlock()
		if !hungry {
			return taken, nil
		}
		if err := f.fill(ctx, s, before); err != nil {
			return taken, err
		}
	}
}

func (f *front) pickLocked(taken []entry, before entry, owner string, n int) []entry {
	pick := func(e entry) {
		if _, claimed := f.claims[e]; claimed {
			return // by another; it comes back if that one fails
		}
		if f.claims == nil {
			f.claims, f.owners = make(map[entry]claim), make(map[string][]entry)
		}
		f.claims[e] = claim{owner, clock.Start()}
		f.owners[owner] = append(f.owners[owner], e)
		taken = append(taken, e)
	}
	if len(f.late) > 0 {
		kept := f.late[:0]
		for _, e := range f.late {
			if len(taken) < n && e < before {
				pick(e)
			} else {
				kept = append(kept, e)
			}
		}
		f.late = kept
	}
	i := 0
	for ; i < len(f.ready) && len(taken) < n && f.ready[i] < before; i++ {
		pick(f.ready[i])
	}
	if f.ready = f.ready[i:]; len(f.ready) == 0 {
		f.ready = nil
	}
	return taken
}

// fill reads the next entries. Receivers that come meanwhile wait, and find what was read.
func (f *front) fill(ctx context.Context, s store.Store, before entry) error {
	f.fillMu.Lock()
	defer f.fillMu.Unlock()
	f.mu.Lock()
	if len(f.ready) > 0 || f.next >= before {
		f.mu.Unlock()
		return nil
	}
	from := f.from
	f.filling, f.noted = true, nil
	f.mu.Unlock()

	var found []entry
	next := never
	prefix := f.pile.key("due")
	err := s.View(ctx, func(r store.Reader) error {
		for kv, err := range r.Scan(f.pile.due(from), store.PrefixEnd(prefix), store.ScanOptions{}) {
			if err != nil {
				return err
			}
			e := entry(kv.Key[len(prefix):])
			if e >= before || len(found) == window {
				next = e
				return nil
			}
			found = append(found, e)
		}
		return nil
	})

	f.mu.Lock()
	defer f.mu.Unlock()
	f.filling = false
	noted := f.noted
	f.noted = nil
	if err != nil {
		for _, e := range noted {
			f.noteLocked(e)
		}
		return err
	}
	if f.from == from { // else it began anew meanwhile, below what was read
		f.ready, f.next = found, next
		f.from = max(from, min(before, next))
	}
	for _, e := range noted { // which may be in what was read, or not
		f.noteLocked(e)
	}
	return nil
}

// note hears that a due key was written or deleted.
func (f *front) note(e entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.filling {
		f.noted = append(f.noted, e)
	} else {
		f.noteLocked(e)
	}
	f.wakeLocked()
}

func (f *front) noteLocked(e entry) {
	if e >= f.from {
		f.next = min(f.next, e)
		return
	}
	if _, claimed := f.claims[e]; claimed {
		return
	}
	if f.late = append(f.late, e); len(f.late) > maxLate {
		f.from = min(f.from, slices.Min(f.late))
		if len(f.ready) > 0 {
			f.from = min(f.from, f.ready[0])
		}
		f.ready, f.late, f.next = nil, nil, f.from
	}
}

// noteMessage hears that a message was written or deleted: that of rest, the last part of its key. Dead letters are older than what is in their queue.
func (f *front) noteMessage(rest []byte) {
	seq, err := strconv.ParseUint(string(bytes.TrimSuffix(rest, []byte{0})), 10, 64)
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.oldest, f.lowest = min(f.oldest, seq), min(f.lowest, seq)
}

// seek begins to look for the oldest message, from the sequence given. Who has found it calls found, which counts if nobody else has begun since.
func (f *front) seek() (from uint64, found func(seq uint64)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lowest = math.MaxUint64
	f.seeks++
	mine := f.seeks
	return f.oldest, func(seq uint64) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.seeks == mine {
			f.oldest = min(seq, f.lowest)
		}
	}
}

// done ends claims on entries that are no more.
func (f *front) done(entries []entry) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range entries {
		delete(f.claims, e)
	}
}

// giveBack ends the claims of an owner on entries that others may have.
func (f *front) giveBack(owner string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range f.owners[owner] {
		if c, ok := f.claims[e]; ok && c.owner == owner {
			delete(f.claims, e)
			f.noteLocked(e)
		}
	}
	delete(f.owners, owner)
}

// expireLocked gives back what receivers have claimed that are not there any more. A claim is no lock: should one be late, the store has one of the two receivers try again.
func (f *front) expireLocked() {
	if len(f.claims) == 0 {
		clear(f.owners)
		return
	}
	if f.looked.Elapsed() < claimFor/5 {
		return
	}
	f.looked = clock.Start()
	for e, c := range f.claims {
		if c.since.Elapsed() > claimFor {
			delete(f.claims, e)
			delete(f.owners, c.owner) // what else it has is as late, or nearly
			f.noteLocked(e)
		}
	}
}

// available reports whether there is an entry below before, or the queue has to be looked up again, as it has another pile. If not, it says when there is one, as far as is known now.
func (f *front) available(ctx context.Context, s store.Store, before entry) (bool, entry, error) {
	if err := f.fill(ctx, s, before); err != nil {
		return false, never, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.expireLocked()
	free := func(e entry) bool {
		_, claimed := f.claims[e]
		return !claimed && e < before
	}
	next := f.next
	for _, e := range f.late {
		next = min(next, e)
	}
	return f.closed || slices.ContainsFunc(f.late, free) || slices.ContainsFunc(f.ready, free), next, nil
}

// waiter is a long poll.
type waiter struct{ wake chan struct{} }

func (f *front) wait() *waiter {
	w := &waiter{make(chan struct{}, 1)}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiters = append(f.waiters, w)
	return w
}

// leave ends a wait. Who was woken for nothing wakes the next.
func (f *front) leave(w *waiter, served bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := slices.Index(f.waiters, w); i >= 0 {
		f.waiters = slices.Delete(f.waiters, i, i+1)
	} else if !served {
		f.wakeLocked()
	}
}

// wake has the next waiter look again, because there is more.
func (f *front) wake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wakeLocked()
}

func (f *front) wakeLocked() {
	if len(f.waiters) > 0 {
		f.waiters[0].wake <- struct{}{} // it has room: who is in the list was not woken
		f.waiters = slices.Delete(f.waiters, 0, 1)
	}
}

// fronts are those of the piles that were asked for lately.
type fronts struct {
	mu    sync.RWMutex // guards piles and full
	piles map[string]*front
	full  int // how many there may be before idle ones are looked for; none is maxFronts
}

const (
	maxFronts = 10_000 // beyond, those are dropped that nobody uses
	idleFor   = time.Minute
)

// of is the front of a pile.
func (fs *fronts) of(p pile) *front {
	f := fs.known(p.id)
	if f == nil {
		f = fs.make(p)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.used = clock.Start()
	return f
}

func (fs *fronts) make(p pile) *front {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f := fs.piles[p.id]; f != nil {
		return f
	}
	if len(fs.piles) >= max(fs.full, maxFronts) {
		fs.dropLocked(idleFor)
	}
	if fs.piles == nil {
		fs.piles = make(map[string]*front)
	}
	f := &front{pile: p, used: clock.Start()}
	fs.piles[p.id] = f
	return f
}

// dropLocked drops the fronts that nobody has used for a while. So that this is not done for each new one where all are in use, there may be twice as many then.
func (fs *fronts) dropLocked(idle time.Duration) {
	for id, f := range fs.piles {
		f.mu.Lock()
		if f.used.Elapsed() >= idle && len(f.waiters) == 0 && !f.filling {
			f.closed = true // whoever comes to wait at it all the same looks the queue up again
			delete(fs.piles, id)
		}
		f.mu.Unlock()
	}
	fs.full = 2 * len(fs.piles)
}

// known is the front of a pile, or nil if nobody has asked for it.
func (fs *fronts) known(id string) *front {
	fs.mu.RLock()
	defer fs.mu.RUnlock()
	return fs.piles[id]
}

// forget drops the front of a pile that is no queue's any more. Who waits at it is woken.
func (fs *fronts) forget(id string) {
	fs.mu.Lock()
	f := fs.piles[id]
	delete(fs.piles, id)
	fs.mu.Unlock()
	if f == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for len(f.waiters) > 0 {
		f.wakeLocked()
	}
}

// watch has the fronts follow what is committed.
func (fs *fronts) watch(s store.Store) {
	s.OnCommit(tuple.Encode("sqs"), func(keys [][]byte) {
		for _, k := range keys {
			table, id, rest, ok := parsePileKey(k)
			if !ok {
				continue
			}
			switch f := fs.known(string(id)); {
			case f == nil:
			case string(table) == "due":
				f.note(entry(rest))
			case string(table) == "message":
				f.counts.seen.Add(1)
				f.noteMessage(rest)
			}
		}
	})
}

// parsePileKey takes sqs/ACCOUNT/REGION/TABLE/PILE/REST apart. Neither of them needs an escape in a key of ours.
func parsePileKey(k []byte) (table, id, rest []byte, ok bool) {
	rest = k
	for i := range 5 {
		part, after, found := bytes.Cut(rest, []byte{0})
		if !found {
			return nil, nil, nil, false
		}
		switch rest = after; i {
		case 3:
			table = part
		case 4:
			id = part
		}
	}
	return table, id, rest, true
}

package logs

import (
	"cmp"
	"container/heap"
	"iter"
	"math"

	"github.com/holdfast-cloud/holdfast/store"
)

// window is the part of a group's events that a listing is about: those of From <= time < To, behind After if it is set.
type window struct {
	From, To int64
	After    *position
	Reverse  bool
}

// has reports whether an event belongs to the listing.
func (w *window) has(p position) bool {
	if p.Time < w.From || p.Time >= w.To {
		return false
	}
	if w.After == nil {
		return true
	}
	if w.Reverse {
		return p.compare(*w.After) < 0
	}
	return p.compare(*w.After) > 0
}

// narrow moves the bounds of the times to where After lets anything through.
func (w *window) narrow() {
	switch {
	case w.After == nil:
	case w.Reverse:
		w.To = min(w.To, w.After.Time+1)
	default:
		w.From = max(w.From, w.After.Time)
	}
}

// batchOfChunks is how many descriptions of chunks are read at once.
const batchOfChunks = 32

// order compares chunks by the event that comes first in a listing.
func (ch *chunkRecord) order(o *chunkRecord, reverse bool) int {
	if reverse {
		return cmp.Or(cmp.Compare(o.To, ch.To), cmp.Compare(o.First, ch.First))
	}
	return cmp.Or(cmp.Compare(ch.From, o.From), cmp.Compare(ch.First, o.First))
}

// chunks yields the chunks of a stream that may have events in the window, in their order in the listing. It holds no cursor of the store open.
func (g *group) chunks(st *streamRecord, w *window) iter.Seq2[*chunkRecord, error] {
	return func(yield func(*chunkRecord, error) bool) {
		// Chunks that were read, and may have to wait for others that come before them: loose ones, and in reverse, where they are in the order of their last events, all.
		waiting := &chunkHeap{reverse: w.Reverse}
		flush := func(until func(*chunkRecord) bool) bool {
			for waiting.Len() > 0 && until(waiting.all[0]) {
				if !yield(heap.Pop(waiting).(*chunkRecord), nil) {
					return false
				}
			}
			return true
		}
		for ch, err := range looseTable.In(g.scope.Account, g.scope.Region).Scan(g.c.Tx(), store.Query{Prefix: store.Key{g.ID, st.ID}}) {
			if err != nil {
				yield(nil, err)
				return
			}
			if ch.To >= w.From && ch.From < w.To {
				heap.Push(waiting, ch)
			}
		}
		for ch, err := range g.merged(st, w) {
			if err != nil {
				yield(nil, err)
				return
			}
			ready := func(first *chunkRecord) bool { return first.order(ch, false) <= 0 }
			if w.Reverse {
				ready = func(first *chunkRecord) bool { return first.To > ch.From+st.Span } // as far as this one and those to come can reach
			}
			if ch.To >= w.From {
				heap.Push(waiting, ch)
			}
			if !flush(ready) {
				return
			}
		}
		flush(func(*chunkRecord) bool { return true })
	}
}

// merged yields the chunks of a stream that are not loose, and begin where they may reach into the window, by their first events.
func (g *group) merged(st *streamRecord, w *window) iter.Seq2[*chunkRecord, error] {
	return func(yield func(*chunkRecord, error) bool) {
		q := store.Query{Prefix: store.Key{g.ID, st.ID}, Reverse: w.Reverse, Limit: batchOfChunks, From: store.Key{max(0, w.From-st.Span)}}
		if w.To < math.MaxInt64 {
			q.To = store.Key{w.To}
		}
		for {
			n := 0
			var last *chunkRecord
			for ch, err := range chunkTable.In(g.scope.Account, g.scope.Region).Scan(g.c.Tx(), q) {
				if !yield(ch, err) || err != nil {
					return
				}
				last = ch
				n++
			}
			if n < batchOfChunks {
				return
			}
			if w.Reverse {
				q.To = store.Key{last.From, last.First}
			} else {
				q.From = store.Key{last.From, last.First + 1}
			}
		}
	}
}

// chunkHeap orders chunks. It implements heap.Interface.
type chunkHeap struct {
	all     []*chunkRecord
	reverse bool
}

func (h *chunkHeap) Len() int           { return len(h.all) }
func (h *chunkHeap) Less(i, j int) bool { return h.all[i].order(h.all[j], h.reverse) < 0 }
func (h *chunkHeap) Swap(i, j int)      { h.all[i], h.all[j] = h.all[j], h.all[i] }
func (h *chunkHeap) Push(x any)         { h.all = append(h.all, x.(*chunkRecord)) }
func (h *chunkHeap) Pop() any {
	last := h.all[len(h.all)-1]
	h.all = h.all[:len(h.all)-1]
	return last
}

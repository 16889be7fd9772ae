package logs

import (
	"container/heap"
	"iter"
)

// maxSearched is how many bytes of events a call looks at for those it keeps, about, before it answers with what it has and a token.
const maxSearched = 32 << 20

// source is a stream that is searched, at its next chunk. Before it is opened, that is one as long as the stream: a group may have many streams, of which a page needs few.
type source struct {
	st    *streamRecord
	chunk *chunkRecord
	next  func() (*chunkRecord, error, bool)
	stop  func()
}

func (src *source) close() {
	if src.stop != nil {
		src.stop()
	}
}

// search offers the events of streams to a page: those of the window that keep, if it is not nil, lets through. It looks at chunks in the order of the events that come first in the
// listing, and no more once those behind cannot change the page. Without keep it does not stop before that: an empty page without a new token would be the end of the stream.
func (s *Service) search(g *group, streams []*streamRecord, w *window, p *page, keep func(string) bool) error {
	q := &sources{reverse: w.Reverse}
	defer func() {
		for _, src := range q.all {
			src.close()
		}
	}()
	for _, st := range streams {
		heap.Push(q, &source{st: st, chunk: &chunkRecord{From: st.First, To: st.Last}})
	}
	searched := int64(0)
	for len(q.all) > 0 {
		src := heap.Pop(q).(*source)
		ch := src.chunk
		if p.over(ch) || keep != nil && searched > s.searchLimit && p.stopAt(ch, w) {
			src.close()
			return nil
		}
		if src.next == nil {
			src.next, src.stop = iter.Pull2(g.chunks(src.st, w))
			if err := q.advance(src); err != nil {
				return err
			}
			continue
		}
		searched += ch.Bytes
		err := s.read(g, ch, func(e event) bool {
			f := found{e, src.st}
			if w.has(f.position()) && (keep == nil || keep(e.Message)) {
				p.offer(f)
			}
			return true
		})
		if err != nil {
			src.close()
			return err
		}
		if err := q.advance(src); err != nil {
			return err
		}
	}
	return nil
}

// over reports whether neither a chunk nor those behind it have anything for the page.
func (p *page) over(ch *chunkRecord) bool {
	if p.bound == nil {
		return false
	}
	if p.reverse {
		return ch.To < p.bound.Time
	}
	return ch.From > p.bound.Time
}

// stopAt ends the page before a chunk, which was not searched, if the next one then begins further on than this one did.
func (p *page) stopAt(ch *chunkRecord, w *window) bool {
	if w.Reverse {
		if ch.To+2 >= w.To {
			return false
		}
		p.end(position{Time: ch.To + 1})
		return true
	}
	if ch.From <= w.From+1 {
		return false
	}
	p.end(position{Time: ch.From})
	return true
}

// sources orders streams by their next chunks. It implements heap.Interface.
type sources struct {
	all     []*source
	reverse bool
}

// advance moves a source to its next chunk, or lets go of it.
func (q *sources) advance(src *source) error {
	ch, err, ok := src.next()
	if err != nil || !ok {
		src.close()
		return err
	}
	src.chunk = ch
	heap.Push(q, src)
	return nil
}

func (q *sources) Len() int      { return len(q.all) }
func (q *sources) Swap(i, j int) { q.all[i], q.all[j] = q.all[j], q.all[i] }
func (q *sources) Push(x any)    { q.all = append(q.all, x.(*source)) }
func (q *sources) Less(i, j int) bool {
	return q.all[i].chunk.order(q.all[j].chunk, q.reverse) < 0
}
func (q *sources) Pop() any {
	last := q.all[len(q.all)-1]
	q.all = q.all[:len(q.all)-1]
	return last
}

package logs

import (
	"cmp"
	"container/heap"
	"slices"
)

// position is where an event stands among those of its group: by its time, then by when it came, then by its stream and its number there. Within a stream the number alone settles
// what the time leaves open, as events never come earlier than those before them.
type position struct {
	Time, Ingested int64
	Stream         string
	Seq            uint64
}

func (p position) compare(o position) int {
	if n := cmp.Compare(p.Time, o.Time); n != 0 {
		return n
	}
	if p.Stream == o.Stream {
		return cmp.Compare(p.Seq, o.Seq)
	}
	if n := cmp.Compare(p.Ingested, o.Ingested); n != 0 {
		return n
	}
	return cmp.Compare(p.Stream, o.Stream)
}

// found is an event and where it is from.
type found struct {
	event
	stream *streamRecord
}

func (f *found) position() position {
	return position{f.Time, f.Ingested, f.stream.ID, f.Seq}
}

const (
	maxPage     = 10_000  // events
	maxPageSize = 1 << 20 // bytes of them
)

// page gathers the first events of a listing, in whatever order they are offered: at most limit of them and about a megabyte. Reverse makes the last event of the group the listing's first.
type page struct {
	limit   int
	reverse bool

	held  []found // a heap: the last of the listing on top
	size  int64
	bound *position // nothing from here on belongs to the page
	ended bool      // bound is where the search ended
}

// before reports whether a comes before b in the listing.
func (p *page) before(a, b position) bool {
	if p.reverse {
		return a.compare(b) > 0
	}
	return a.compare(b) < 0
}

// offer puts an event into the page if it is among the first.
func (p *page) offer(f found) {
	if p.bound != nil && !p.before(f.position(), *p.bound) {
		return
	}
	heap.Push(p, f)
	p.size += f.size()
	for len(p.held) > p.limit || p.size > maxPageSize && len(p.held) > 1 {
		p.dropLast()
	}
}

// dropLast ends the page before its last event: once something was left out, nothing that comes after it may be in.
func (p *page) dropLast() {
	last := heap.Pop(p).(found)
	p.size -= last.size()
	p.bound = new(last.position())
}

// end ends the page before a position.
func (p *page) end(at position) {
	for len(p.held) > 0 && !p.before(p.held[0].position(), at) {
		p.dropLast()
	}
	if p.bound == nil || p.before(at, *p.bound) {
		p.bound, p.ended = &at, true
	}
}

// events returns what the page has, in the order of the listing.
func (p *page) events() []found {
	slices.SortFunc(p.held, func(a, b found) int {
		if p.reverse {
			a, b = b, a
		}
		return a.position().compare(b.position())
	})
	return p.held
}

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (p *page) Len() int { return len(p.held) }
func (p *page) Less(i, j int) bool {
	return p.before(p.held[j].position(), p.held[i].position())
}
func (p *page) Swap(i, j int) { p.held[i], p.held[j] = p.held[j], p.held[i] }
func (p *page) Push(x any)    { p.held = append(p.held, x.(found)) }
func (p *page) Pop() any {
	last := p.held[len(p.held)-1]
	p.held = p.held[:len(p.held)-1]
	return last
}

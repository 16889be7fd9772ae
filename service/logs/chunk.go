package logs

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unsafe"

	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/tuple"
)

// Events lie in chunks, which are compressed and encrypted. A batch becomes a chunk of its own in the transaction that takes it in. A small one is loose, and when a stream has enough of those,
// the next batch merges them: so an event is written twice at most, a stream has a bounded number of small chunks, and there is no work that waits.

const (
	eventOverhead = 26 // bytes that AWS counts for each event

	chunkSize  = 256 << 10 // bytes of events in a merged chunk, about
	looseSize  = 64 << 10  // bytes of events from which on a batch is not loose
	maxLoose   = 64        // loose chunks of a stream
	maxSpan    = 24 * 60 * 60 * 1000
	partSize   = 512 << 10 // bytes in one value of the store
	maxDecoded = 8 << 20

	zipConcurrency = 4
)

// event is a log event.
type event struct {
	Time     int64 // milliseconds since 1970
	Ingested int64 // when it came
	Seq      uint64
	Message  string
}

func (e *event) size() int64 { return int64(len(e.Message)) + eventOverhead }

// sortEvents puts the events of a stream in their order.
func sortEvents(events []event) {
	slices.SortFunc(events, func(a, b event) int {
		if n := cmp.Compare(a.Time, b.Time); n != 0 {
			return n
		}
		return cmp.Compare(a.Seq, b.Seq)
	})
}

// newChunk describes events, which are in their order.
func newChunk(st *streamRecord, events []event) *chunkRecord {
	ch := &chunkRecord{Group: st.Group, Stream: st.ID, From: events[0].Time, To: events[len(events)-1].Time, First: events[0].Seq, Count: len(events)}
	for i := range events {
		ch.First = min(ch.First, events[i].Seq)
		ch.Bytes += events[i].size()
	}
	return ch
}

// appendEvents encodes events: for each, how far its time is from the one before, its number and the time it came from those of the chunk, and its message. The numbers are varints.
func appendEvents(dst []byte, first uint64, events []event) []byte {
	var at int64
	var base int64
	for i := range events {
		base = max(base, events[i].Ingested)
	}
	dst = binary.AppendUvarint(dst, uint64(base))
	for i := range events {
		e := &events[i]
		dst = binary.AppendUvarint(dst, uint64(e.Time-at))
		dst = binary.AppendUvarint(dst, e.Seq-first)
		dst = binary.AppendUvarint(dst, uint64(base-e.Ingested))
		dst = binary.AppendUvarint(dst, uint64(len(e.Message)))
		dst = append(dst, e.Message...)
		at = e.Time
	}
	return dst
}

var errChunk = errors.New("a chunk of log events is damaged")

// eachEvent decodes what appendEvents made, until fn returns false. Messages share the memory of b, which must not change any more.
func eachEvent(b []byte, first uint64, fn func(event) bool) error {
	number := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			b = nil
			return 0
		}
		b = b[n:]
		return v
	}
	base := int64(number())
	var at int64
	for len(b) > 0 {
		at += int64(number())
		seq, before, n := number(), number(), number()
		if b == nil || n > uint64(len(b)) {
			return errChunk
		}
		e := event{Time: at, Ingested: base - int64(before), Seq: first + seq}
		if n > 0 {
			e.Message = unsafe.String(&b[0], int(n)) // b is not written to again
		}
		b = b[n:]
		if !fn(e) {
			return nil
		}
	}
	return nil
}

// place is what a chunk's bytes are bound to.
func (g *group) place(ch *chunkRecord) string {
	return g.scope.Account + "/" + g.scope.Region + "/" + ch.Group + "/" + ch.Stream + "/" + strconv.FormatUint(ch.First, 10)
}

// dataPart is the key of a part of a chunk's bytes.
func (g *group) dataPart(ch *chunkRecord, part int) []byte {
	return tuple.Encode("logs", g.scope.Account, g.scope.Region, "data", ch.Group, ch.Stream, ch.First, part)
}

// write makes a chunk's bytes of its events.
func (s *Service) write(g *group, ch *chunkRecord, events []event) error {
	raw := appendEvents(make([]byte, 0, ch.Bytes), ch.First, events)
	packed := s.zip.EncodeAll(raw, make([]byte, 0, len(raw)/2+64))
	var err error
	if ch.Key = g.DataKey; ch.Key == "" {
		packed, err = s.box.Wrap(g.place(ch), packed)
	} else {
		var key dataKey
		if key, err = s.dataKey(g, ch.Key); err == nil {
			packed, err = key.seal(g.place(ch), packed)
		}
	}
	if err != nil {
		return err
	}
	ch.Parts = 0
	for part := range slices.Chunk(packed, partSize) {
		g.c.Tx().Set(g.dataPart(ch, ch.Parts), part)
		ch.Parts++
	}
	return nil
}

// read decodes a chunk's events, until fn returns false.
func (s *Service) read(g *group, ch *chunkRecord, fn func(event) bool) error {
	var packed []byte
	for part := range ch.Parts {
		b, err := g.c.Tx().Get(g.dataPart(ch, part))
		if err != nil {
			return fmt.Errorf("reading a chunk of log events: %w", err)
		}
		if ch.Parts == 1 {
			packed = b
		} else {
			packed = append(packed, b...)
		}
	}
	var err error
	if ch.Key == "" {
		packed, err = s.box.Unwrap(g.place(ch), packed)
	} else {
		var key dataKey
		if key, err = s.dataKey(g, ch.Key); err == nil {
			packed, err = key.open(g.place(ch), packed)
		}
	}
	if err != nil {
		return err
	}
	raw, err := s.unzip.DecodeAll(packed, make([]byte, 0, ch.Bytes))
	if err != nil {
		return fmt.Errorf("%w: %w", errChunk, err)
	}
	return eachEvent(raw, ch.First, fn)
}

// erase removes a chunk's bytes.
func (g *group) erase(ch *chunkRecord) {
	for part := range ch.Parts {
		g.c.Tx().Delete(g.dataPart(ch, part))
	}
}

// add writes the events of a batch, and what waits to be merged if there is enough of it.
func (s *Service) add(g *group, st *streamRecord, events []event) error {
	ch := newChunk(st, events)
	if ch.Bytes >= looseSize {
		return s.addChunk(g, st, ch, events)
	}
	if st.Loose+1 < maxLoose && st.LooseBytes+ch.Bytes < 4*chunkSize {
		st.Loose++
		st.LooseBytes += ch.Bytes
		if err := s.write(g, ch, events); err != nil {
			return err
		}
		return looseTable.In(g.scope.Account, g.scope.Region).Insert(g.c.Tx(), ch)
	}
	return s.merge(g, st, events)
}

func (s *Service) addChunk(g *group, st *streamRecord, ch *chunkRecord, events []event) error {
	if err := s.write(g, ch, events); err != nil {
		return err
	}
	st.Span = max(st.Span, ch.To-ch.From)
	return chunkTable.In(g.scope.Account, g.scope.Region).Insert(g.c.Tx(), ch)
}

// merge makes chunks of a stream's loose ones and of the events of a batch.
func (s *Service) merge(g *group, st *streamRecord, events []event) error {
	loose := looseTable.In(g.scope.Account, g.scope.Region)
	for ch, err := range loose.Scan(g.c.Tx(), store.Query{Prefix: store.Key{st.Group, st.ID}}) {
		if err != nil {
			return err
		}
		if err := loose.Delete(g.c.Tx(), ch.Group, ch.Stream, ch.First); err != nil {
			return err
		}
		if ch.Key != g.DataKey {
			// Its key may not be there any more. It stays as it is.
			st.Span = max(st.Span, ch.To-ch.From)
			if err := chunkTable.In(g.scope.Account, g.scope.Region).Insert(g.c.Tx(), ch); err != nil {
				return err
			}
			continue
		}
		if err := s.read(g, ch, func(e event) bool { events = append(events, e); return true }); err != nil {
			return err
		}
		g.erase(ch)
	}
	st.Loose, st.LooseBytes = 0, 0
	sortEvents(events)
	for len(events) > 0 {
		n, size := 0, int64(0)
		for n < len(events) && (n == 0 || size < chunkSize) && events[n].Time-events[0].Time <= maxSpan {
			size += events[n].size()
			n++
		}
		if err := s.addChunk(g, st, newChunk(st, events[:n]), events[:n]); err != nil {
			return err
		}
		events = events[n:]
	}
	return nil
}

// sizeParts is how many records count what a group holds.
const sizeParts = 64

// grow counts bytes that come to a group's stream, or go.
func (g *group) grow(stream string, by int64) error {
	rows := sizeTable.In(g.scope.Account, g.scope.Region)
	part := 0
	for i := range len(stream) {
		part = (part*31 + int(stream[i])) % sizeParts
	}
	r, err := rows.Get(g.c.Tx(), g.ID, part)
	if errors.Is(err, store.ErrNotFound) {
		r, err = &sizeRecord{Group: g.ID, Part: part}, nil
	}
	if err != nil {
		return err
	}
	r.Bytes += by
	return rows.Put(g.c.Tx(), r)
}

// size is what a group holds, in bytes as AWS counts them.
func (g *group) size() (sum int64, err error) {
	for r, err := range sizeTable.In(g.scope.Account, g.scope.Region).Scan(g.c.Tx(), store.Query{Prefix: store.Key{g.ID}}) {
		if err != nil {
			return 0, err
		}
		sum += r.Bytes
	}
	return sum, nil
}

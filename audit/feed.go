package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"
)

// Cursor is a place in the log, behind what was read. Its zero value is the beginning. It is kept as JSON, and stays good when the log is pruned: reading then goes
// on with the oldest that is there.
type Cursor struct {
	Segment int   `json:"segment"`
	Offset  int64 `json:"offset"` // in the frames of the segment, before they were compressed
}

// Entry is a record in the log.
type Entry struct {
	Time   time.Time // with the nanoseconds, which the record does not tell
	Record []byte    // JSON; valid during the call only
}

// ErrEnough ends Read. The record that it was returned for has been taken.
var ErrEnough = errors.New("enough audit records were read")

// Read calls fn with the records behind a cursor, in the order of the log, with the cursor behind each; it ends at the log's end, or when fn returns ErrEnough. It
// returns the cursor behind the last record that fn took. What it gives is durable. Damage is passed over, and told by an error that wraps ErrAltered when all else was
// read; the cursor is behind it. Records of changes come when they are in the log: see Settle.
func (t *Trail) Read(ctx context.Context, after Cursor, fn func(Cursor, Entry) error) (Cursor, error) {
	f := &feed{ctx: ctx, at: after, fn: fn}
	if t.log == nil {
		return t.readRemembered(f)
	}
	err := t.log.feed(f)
	if errors.Is(err, ErrEnough) {
		err = nil
	}
	if err = errors.Join(err, errors.Join(f.damage...)); err != nil {
		err = fmt.Errorf("reading the audit log: %w", err)
	}
	return f.at, err
}

// End is the cursor behind all records that are there.
func (t *Trail) End(context.Context) (Cursor, error) {
	if t.log == nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		return Cursor{memorySegment, t.forgotten + int64(len(t.memory))}, nil
	}
	t.log.mu.Lock()
	defer t.log.mu.Unlock()
	return t.log.endLocked(), nil
}

// feed is one Read.
type feed struct {
	ctx    context.Context
	at     Cursor
	fn     func(Cursor, Entry) error
	stored func([]byte) // in place of fn: is given the records as they are kept
	damage []error
}

// take hands over a record, with the cursor behind it.
func (f *feed) take(next Cursor, stored []byte) error {
	if err := f.ctx.Err(); err != nil {
		return err
	}
	if f.stored != nil {
		f.stored(stored)
		return nil
	}
	rec, _, _ := splitStored(stored)
	at, err := timeOf(stored)
	if err != nil {
		f.damage = append(f.damage, fmt.Errorf("%w: %w", ErrAltered, err))
		return nil
	}
	err = f.fn(next, Entry{at, rec})
	if err == nil || errors.Is(err, ErrEnough) {
		f.at = next
	}
	return err
}

// timeOf is the time of a stored record. What comes before it in a record was written by this program, so it is found without reading all of it.
func timeOf(stored []byte) (time.Time, error) {
	rec, _, nanos := splitStored(stored)
	name := []byte(`,"eventTime":"`)
	if n := bytes.Index(rec, name); n >= 0 {
		text := rec[n+len(name):]
		if end := bytes.IndexByte(text, '"'); end > 0 {
			if at, err := time.Parse(timeFormat, string(text[:end])); err == nil {
				return at.Add(time.Duration(nanos)), nil
			}
		}
	}
	f, err := factsOf(stored)
	return time.Unix(0, f.at).UTC(), err
}

// memorySegment is the only segment of a log in memory, in which a record is one long.
const memorySegment = 1

func (t *Trail) readRemembered(f *feed) (Cursor, error) {
	t.mu.Lock()
	first, records := t.forgotten, slices.Clone(t.memory)
	t.mu.Unlock()
	begin := min(max(f.at.Offset, first), first+int64(len(records)))
	f.at = Cursor{memorySegment, begin}
	for i, stored := range records[begin-first:] {
		if err := f.take(Cursor{memorySegment, begin + int64(i) + 1}, stored); errors.Is(err, ErrEnough) {
			break
		} else if err != nil {
			return f.at, err
		}
	}
	return f.at, errors.Join(f.damage...)
}

// endLocked is behind all records.
func (l *segmentLog) endLocked() Cursor {
	if l.file == nil {
		return Cursor{l.number + 1, 0} // where the next one goes
	}
	return Cursor{l.number, l.size}
}

// settled returns the end of the log when everything before it is durable.
func (l *segmentLog) settled() (Cursor, error) {
	l.mu.Lock()
	end, dirty := l.endLocked(), l.written != l.synced
	l.mu.Unlock()
	var err error
	if dirty {
		l.syncNow()
		l.mu.Lock()
		err = errors.Join(l.flush, l.sync)
		l.mu.Unlock()
	}
	return end, errors.Join(err, l.mend())
}

func (l *segmentLog) feed(f *feed) error {
	l.mu.Lock()
	nothing := f.at == l.endLocked()
	l.mu.Unlock()
	if nothing {
		return nil
	}
	end, err := l.settled()
	if f.stored != nil {
		err = nil // whoever asks wants what is there
	}
	if err != nil || f.at == end {
		return err
	}
	s := l.snapshot(f.ctx)
	first := sort.Search(len(s.segments), func(i int) bool { return s.segments[i].number >= f.at.Segment })
	for i := first; i < len(s.segments); i++ {
		seg := s.segments[i]
		if seg.number > end.Segment {
			break
		}
		var missing error
		if seg.number > f.at.Segment {
			f.at = Cursor{seg.number, 0}
			if i > first {
				missing = s.gapBefore(i)
			}
		}
		if err := tolerate(&f.damage, seg, missing, f.read(s, seg, end)); err != nil {
			return err
		}
	}
	f.at = end
	return nil
}

// read reads a segment from the cursor on, up to the end of the log.
func (f *feed) read(s *logSnapshot, seg *segment, end Cursor) error {
	if end == (Cursor{seg.number, f.at.Offset}) {
		return nil
	}
	begin, errEnd := f.at.Offset, errors.New("the end")
	err := s.walk(seg, func(b block) bool { return int64(b.raw)+int64(b.rawLen) > begin }, func(at int64, stored []byte) error {
		if seg.number == end.Segment && at > end.Offset {
			return errEnd
		}
		if at <= begin {
			return nil
		}
		return f.take(Cursor{seg.number, at}, stored)
	})
	if err == errEnd {
		return nil
	}
	return err
}

package audit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sort"
)

// logSnapshot is the log as it was at one moment, for reading. Segments that are pruned meanwhile have no records any more.
type logSnapshot struct {
	ctx      context.Context
	l        *segmentLog
	segments []*segment        // the oldest first
	live     map[string]*index // of raw segments, by stem
	// The segment that was being written, of which size bytes count, and its frames that could not be written from the spool.
	current *segment
	size    int64
	tail    []byte
	tailAt  int64

	remembered [][]byte // in place of all that, when the log is in memory and l is nil
}

// remembered is the snapshot of a log in memory.
func (t *Trail) remembered() *logSnapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	return &logSnapshot{remembered: slices.Clone(t.memory)}
}

func (s *logSnapshot) eachRemembered(fn func(stored []byte) error) error {
	for _, rec := range s.remembered {
		if err := fn(rec); err != nil {
			return err
		}
	}
	return nil
}

func (l *segmentLog) snapshot(ctx context.Context) *logSnapshot {
	s := &logSnapshot{ctx: ctx, l: l, live: make(map[string]*index)}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.segments = l.segments
	for stem, x := range l.indexes {
		s.live[stem] = x.snapshot()
	}
	if l.file != nil {
		s.current, s.size = l.current, l.size
		if l.file.Flush() != nil { // a disk that is full is told of elsewhere
			if f, ok := l.file.(*spooled); ok {
				s.tail, s.tailAt = f.unflushed()
			}
		}
	}
	return s
}

// having returns the blocks of a segment in which a term is; ok is false where only reading all of it can tell.
func (s *logSnapshot) having(seg *segment, t term) (found []block, ok bool, err error) {
	if x := s.live[seg.stem]; x != nil {
		return x.having(t), true, nil
	}
	err = s.indexed(seg, func(x *indexFile) (err error) {
		found, err = x.having(t)
		return err
	})
	return found, err == nil, none(err)
}

// blocks returns the blocks of a segment; ok is false where nobody knows them.
func (s *logSnapshot) blocks(seg *segment) (all []block, ok bool, err error) {
	if x := s.live[seg.stem]; x != nil {
		return x.blocks, true, nil
	}
	err = s.indexed(seg, func(x *indexFile) (err error) {
		all, err = x.table()
		return err
	})
	return all, err == nil, none(err)
}

// indexed calls fn with the index of a complete segment. One that is missing or damaged is made anew.
func (s *logSnapshot) indexed(seg *segment, fn func(*indexFile) error) error {
	for made := false; ; made = true {
		x, err := s.openIndex(seg)
		if err == nil {
			err = fn(x)
			x.close()
		}
		if err == nil || made || !errors.Is(err, errIndex) {
			return err
		}
		if err := s.l.complete(s.ctx, seg); err != nil {
			return errors.Join(errIndex, err)
		}
	}
}

// none drops what only says that there is no index: reading tells what is wrong.
func none(err error) error {
	if errors.Is(err, errIndex) {
		return nil
	}
	return err
}

// readBlock returns the frames of one block of a segment, which may have been compressed since the block was looked up.
func (s *logSnapshot) readBlock(seg *segment, b block) ([]byte, error) {
	if b.unreadable() {
		return nil, fmt.Errorf("%w: what is behind offset %d could not be read when it was compressed", ErrAltered, b.raw)
	}
	f, raw, err := s.openData(seg)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if raw {
		frames := make([]byte, b.rawLen)
		if _, err := f.ReadAt(frames, int64(b.raw)); err == io.EOF {
			return nil, fmt.Errorf("%w: it is shorter than what was written", ErrAltered)
		} else if err != nil {
			return nil, err
		}
		return frames, nil
	}
	want := b
	if b.len == 0 {
		var blocks []block
		err := s.indexed(seg, func(x *indexFile) (err error) {
			blocks, err = x.table()
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrAltered, err)
		}
		n := sort.Search(len(blocks), func(i int) bool { return blocks[i].raw >= b.raw })
		if n == len(blocks) || blocks[n].raw != b.raw || blocks[n].rawLen < b.rawLen {
			return nil, fmt.Errorf("%w: a block is missing", ErrAltered)
		}
		want = blocks[n]
	}
	frames, err := unpack(s.l.unzip, f, want, nil)
	if err != nil {
		return nil, err
	}
	return frames[:b.rawLen], nil // it may have grown since
}

// walk calls fn with the records of the blocks of a segment that keep lets through, and with the offset behind each. fn must not keep them. Damage is passed over,
// and reported in the end by an error that wraps ErrAltered.
func (s *logSnapshot) walk(seg *segment, keep func(block) bool, fn func(end int64, stored []byte) error) error {
	blocks, ok, err := s.blocks(seg)
	if err == nil && !ok {
		err = s.walkFrames(seg, fn)
	}
	if errors.Is(err, errPruned) {
		return nil
	}
	if err != nil || !ok {
		return err
	}
	err = s.walkBlocks(seg, slices.DeleteFunc(slices.Clone(blocks), func(b block) bool { return !keep(b) }), fn)
	if err != nil && !errors.Is(err, ErrAltered) {
		return err
	}
	return errors.Join(err, s.checkEnd(seg, blocks))
}

// checkEnd sees that nothing was added behind the last block of a compressed segment.
func (s *logSnapshot) checkEnd(seg *segment, blocks []block) error {
	if len(blocks) == 0 || blocks[len(blocks)-1].len == 0 {
		return nil
	}
	f, raw, err := s.openData(seg)
	if errors.Is(err, errPruned) || raw {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	last := blocks[len(blocks)-1]
	if size, err := f.size(); err != nil {
		return err
	} else if size != int64(last.off)+int64(last.len) {
		return fmt.Errorf("%w: it is %d bytes long", ErrAltered, size)
	}
	return nil
}

func (s *logSnapshot) walkBlocks(seg *segment, blocks []block, fn func(end int64, stored []byte) error) error {
	var damage []error
	for _, b := range blocks {
		raw, err := s.readBlock(seg, b)
		switch {
		case errors.Is(err, errPruned):
			return nil
		case errors.Is(err, ErrAltered):
			damage = append(damage, err)
		case err != nil:
			return err
		}
		at := int64(b.raw)
		for rec, err := range frames(raw) {
			at += frameHeader + int64(len(rec))
			if err != nil {
				damage = append(damage, err)
				continue
			}
			if err := fn(at, rec); err != nil {
				return err
			}
		}
	}
	return errors.Join(damage...)
}

// walkFrames reads a segment of which the blocks are not known.
func (s *logSnapshot) walkFrames(seg *segment, fn func(end int64, stored []byte) error) error {
	f, raw, err := s.openData(seg)
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.size()
	if err != nil {
		return err
	}
	at := int64(0)
	read := readCompressed
	if raw {
		read = readFrames
	}
	return read(bufio.NewReaderSize(io.NewSectionReader(f, 0, size), 1<<16), func(rec []byte) error {
		at += frameHeader + int64(len(rec))
		return fn(at, rec)
	})
}

// eachHaving calls fn with the records of the blocks of a segment in which a term is.
func (s *logSnapshot) eachHaving(seg *segment, t term, fn func(stored []byte) error) error {
	blocks, ok, err := s.having(seg, t)
	each := func(_ int64, stored []byte) error { return fn(stored) }
	switch {
	case errors.Is(err, errPruned):
		return nil
	case err != nil:
		return err
	case !ok:
		return s.walk(seg, func(block) bool { return true }, each)
	}
	return s.walkBlocks(seg, blocks, each)
}

// each calls fn with each record that may be of those times, in the order in which they were written. fn must not keep them. Damage is passed over, and reported in the
// end by an error that wraps ErrAltered.
func (s *logSnapshot) each(from, to int64, fn func(stored []byte) error) error {
	var damage []error
	for i, seg := range s.segments {
		if i+1 < len(s.segments) && s.segments[i+1].at.UnixNano() < from {
			continue // it is named after a time that no record before it exceeds
		}
		in := func(b block) bool { return b.oldest <= to && b.young >= from }
		err := s.walk(seg, in, func(_ int64, stored []byte) error { return fn(stored) })
		if err := tolerate(&damage, seg, s.gapBefore(i), err); err != nil {
			return err
		}
	}
	return errors.Join(damage...)
}

// bounds are times that no record of a segment is outside of.
func (s *logSnapshot) bounds(seg *segment) (oldest, young int64, err error) {
	if x := s.live[seg.stem]; x != nil {
		oldest, young = span(x.blocks)
		return oldest, young, nil
	}
	oldest, young = math.MinInt64, math.MaxInt64
	err = s.indexed(seg, func(x *indexFile) error {
		oldest, young = x.oldest, x.young
		return nil
	})
	return oldest, young, none(err)
}

// gapBefore tells of segments that are missing before one.
func (s *logSnapshot) gapBefore(i int) error {
	if i == 0 {
		return nil
	}
	return gap(s.segments[i-1], s.segments[i])
}

// tolerate remembers damage, and returns the first other error.
func tolerate(damage *[]error, seg *segment, errs ...error) error {
	for _, err := range errs {
		if err == nil {
			continue
		}
		err = fmt.Errorf("reading %s: %w", seg.stem, err)
		if !errors.Is(err, ErrAltered) {
			return err
		}
		*damage = append(*damage, err)
	}
	return nil
}

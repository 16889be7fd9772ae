package cloudtrail

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/holdfast-cloud/holdfast/blob"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
)

// Segments become fewer as they age: mergeCount of the lowest level make one of the next, and what a day left becomes one, up to maxSegment bytes of records
// each. So a year of batches every five minutes is some hundred objects, and a record is written three times.
const (
	mergeCount = 12
	maxSegment = 64 << 20
	dayLevel   = 2 // of what is merged no more

	maxLine = 16 << 20 // no record is longer

	lakePrefix = "lake/" // of all keys in blob
)

// batch is a segment that is being put together.
type batch struct {
	segmentRecord
	out bytes.Buffer
	z   *zstd.Encoder
}

func newBatch(id string) (*batch, error) {
	b := &batch{segmentRecord: segmentRecord{Store: id}}
	z, err := zstd.NewWriter(&b.out, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault))
	if err != nil {
		return nil, err
	}
	b.z = z
	return b, nil
}

// add appends an event, which is JSON without line breaks.
func (b *batch) add(at time.Time, event []byte) error {
	if b.Count == 0 || at.Before(b.From) {
		b.From = at.UTC().Truncate(time.Second) // as events tell it
	}
	if b.Count == 0 || at.After(b.To) {
		b.To = at.UTC()
	}
	b.Count++
	b.Bytes += int64(len(event)) + 1
	if _, err := b.z.Write(event); err != nil {
		return err
	}
	_, err := b.z.Write([]byte{'\n'})
	return err
}

// objectKey draws the key of a new object.
func objectKey(random io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", err
	}
	return lakePrefix + hex.EncodeToString(b[:]), nil
}

// write makes a segment of the batch: first the object, then its record.
func (s *Service) write(c *call.Call, d *eventStoreRecord, k storeKey, b *batch) error {
	if err := b.z.Close(); err != nil {
		return err
	}
	return s.put(c, d, k, &b.segmentRecord, &b.out)
}

func (s *Service) put(c *call.Call, d *eventStoreRecord, k storeKey, seg *segmentRecord, content io.Reader) (err error) {
	if seg.Blob, err = objectKey(c.Rand); err != nil {
		return err
	}
	if _, err := k.objects(s.cfg.Blob).Put(c.Context, seg.Blob, content); err != nil {
		return fmt.Errorf("writing a segment of event data store %s: %w", d.ID, err)
	}
	seg.Keyed = k != nil
	if seg.End = seg.To; seg.End.After(c.Time) {
		seg.End = c.Time
	}
	return segmentTable.In(d.Account, d.Region).Insert(c.Tx(), seg)
}

// events yields the events of a segment. One is valid until the next is asked for.
func (s *Service) events(ctx context.Context, k storeKey, seg *segmentRecord) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		r, err := s.open(ctx, k, seg)
		if err != nil {
			yield(nil, err)
			return
		}
		defer r.Close()
		lines := bufio.NewScanner(r)
		lines.Buffer(make([]byte, 0, 64<<10), maxLine)
		for lines.Scan() {
			if !yield(lines.Bytes(), nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(nil, fmt.Errorf("reading segment %s: %w", seg.Blob, err))
		}
	}
}

// open opens what a segment holds.
func (s *Service) open(ctx context.Context, k storeKey, seg *segmentRecord) (io.ReadCloser, error) {
	if !seg.Keyed {
		k = nil
	}
	object, _, err := k.objects(s.cfg.Blob).Get(ctx, seg.Blob, 0, -1)
	if err != nil {
		return nil, fmt.Errorf("opening segment %s: %w", seg.Blob, err)
	}
	z, err := zstd.NewReader(object, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, errors.Join(err, object.Close())
	}
	return opened{z, object}, nil
}

// opened is an object and what decompresses it.
type opened struct {
	*zstd.Decoder
	object io.Closer
}

// Close ends both.
func (o opened) Close() error {
	o.Decoder.Close()
	return o.object.Close()
}

// merge makes one segment of several, and deletes them.
func (s *Service) merge(c *call.Call, d *eventStoreRecord, k storeKey, segments []*segmentRecord, level int) error {
	whole := *segments[0]
	whole.Count, whole.Bytes, whole.Level = 0, 0, level
	for _, seg := range segments {
		if seg.From.Before(whole.From) {
			whole.From = seg.From
		}
		if seg.To.After(whole.To) {
			whole.To = seg.To
		}
		whole.Count, whole.Bytes = whole.Count+seg.Count, whole.Bytes+seg.Bytes
	}
	content, w := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.CloseWithError(s.copyAll(c.Context, w, k, segments))
	}()
	err := s.put(c, d, k, &whole, content)
	content.CloseWithError(err) // so that the copying ends
	<-done
	if err != nil {
		return err
	}
	for _, seg := range segments {
		if err := s.deleteSegment(c, d, seg); err != nil {
			return err
		}
	}
	return nil
}

// errUnread is wrapped by errors of segments that cannot be read.
var errUnread = errors.New("it cannot be read")

func (s *Service) copyAll(ctx context.Context, w io.Writer, k storeKey, segments []*segmentRecord) error {
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault))
	if err != nil {
		return err
	}
	for _, seg := range segments {
		r, err := s.open(ctx, k, seg)
		if err != nil {
			return fmt.Errorf("%w: %w", errUnread, err)
		}
		_, err = io.Copy(z, r)
		if err := errors.Join(err, r.Close()); err != nil {
			return fmt.Errorf("segment %s: %w: %w", seg.Blob, errUnread, err)
		}
	}
	return z.Close()
}

// mergeYoung merges segments of the lowest level once there are enough.
func (s *Service) mergeYoung(c *call.Call, d *eventStoreRecord, k storeKey) error {
	var young []*segmentRecord
	for seg, err := range segmentTable.In(d.Account, d.Region).Scan(c.Tx(), store.Query{Prefix: store.Key{d.ID}, From: store.Key{c.Time.Add(-day)}}) {
		if err != nil {
			return err
		}
		if seg.Level == 0 && seg.Bytes < maxSegment {
			young = append(young, seg)
		}
	}
	if len(young) < mergeCount {
		return nil
	}
	return s.mergeUpTo(c, d, k, young, 1)
}

// mergeDay makes what a day left one segment, of the oldest day before today that has something to merge. It reports whether there may be another.
func (s *Service) mergeDay(c *call.Call, d *eventStoreRecord) (more bool, err error) {
	var of time.Time
	var found []*segmentRecord
	for seg, err := range segmentTable.In(d.Account, d.Region).Scan(c.Tx(), store.Query{Prefix: store.Key{d.ID}, To: store.Key{c.Time.Truncate(day)}}) {
		if err != nil {
			return false, err
		}
		if seg.Level >= dayLevel {
			continue
		}
		if at := seg.End.Truncate(day); !at.Equal(of) {
			if len(found) > 0 {
				more = true
				break
			}
			of = at
		}
		found = append(found, seg)
	}
	if len(found) == 0 {
		return false, nil
	}
	k, err := s.dataKey(c, d)
	if err != nil {
		s.cfg.Report(fmt.Errorf("merging segments of event data store %s: %w", d.ID, err))
		return false, nil
	}
	return more, s.mergeUpTo(c, d, k, found, dayLevel)
}

// mergeUpTo merges neighbours, as many as maxSegment lets. What stays alone gets its level by its record only. What cannot be read is left as it is, and
// told: a store has to take its events, and forget the old ones, also when one of its segments is damaged.
func (s *Service) mergeUpTo(c *call.Call, d *eventStoreRecord, k storeKey, segments []*segmentRecord, level int) error {
	for len(segments) > 0 {
		n, size := 1, segments[0].Bytes
		for n < len(segments) && size+segments[n].Bytes <= maxSegment {
			size += segments[n].Bytes
			n++
		}
		alone := n == 1
		if !alone {
			err := s.merge(c, d, k, segments[:n], level)
			if alone = errors.Is(err, errUnread) && c.Context.Err() == nil; alone {
				s.cfg.Report(fmt.Errorf("merging segments of event data store %s: %w", d.ID, err))
			} else if err != nil {
				return err
			}
		}
		if alone {
			if err := keepSegments(c, d, segments[:n], level); err != nil {
				return err
			}
		}
		segments = segments[n:]
	}
	return nil
}

// keepSegments gives segments the level that they would have if they had been merged.
func keepSegments(c *call.Call, d *eventStoreRecord, segments []*segmentRecord, level int) error {
	for _, seg := range segments {
		seg.Level = level
		if err := segmentTable.In(d.Account, d.Region).Put(c.Tx(), seg); err != nil {
			return err
		}
	}
	return nil
}

// Unnamed returns those of the keys of blob that no segment and no query names: it is the blob.Owner of LakeObjects.
func (s *Service) Unnamed(ctx context.Context, keys []string) (unnamed []string, err error) {
	err = s.cfg.Store.View(ctx, func(r store.Reader) error {
		unnamed = nil
		for _, key := range keys {
			q := store.Query{Index: "blob", Prefix: store.Key{key}, Limit: 1}
			segments, err := segmentTable.In("", "").Count(r, q)
			if err != nil {
				return err
			}
			queries, err := queryTable.In("", "").Count(r, q)
			if err != nil {
				return err
			}
			if segments+queries == 0 {
				unnamed = append(unnamed, key)
			}
		}
		return nil
	})
	return unnamed, err
}

// LakeObjects is what the keys of CloudTrail's objects in blob begin with.
const LakeObjects = lakePrefix

var _ blob.Owner = (*Service)(nil).Unnamed

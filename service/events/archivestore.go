package events

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
)

// What an archive holds. An event is archived in the transaction that matches it, as a row of its own, encrypted. Within an hour or so rows are packed: a segment is an object
// in the blob store with the events of one hour, by their own time, one after another, compressed and encrypted, and a row that names it. Stored as (see store.Table):
//
//	events / account / region / archived / archive ID / event time / sequence   → archivedRow
//	events / account / region / segment / archive ID / hour / first / blob       → segmentRow
//
// Events are replayed by their own time, and those of one moment in the order in which they were archived.
var (
	archivedTable = store.NewTable("events", "archived", func(e *archivedRow) store.Key { return store.Key{e.Archive, e.Time, e.Sequence} })
	segmentTable  = store.NewTable("events", "segment", func(g *segmentRow) store.Key { return store.Key{g.Archive, g.Hour, g.First, g.Blob} },
		store.Index[segmentRow]{Name: "archived", Entries: func(g *segmentRow) []store.Key { return []store.Key{{g.Archive, g.Archived}} }},
		store.Index[segmentRow]{Name: "blob", Unique: true, Global: true, Entries: func(g *segmentRow) []store.Key { return []store.Key{{g.Blob}} }})
)

// archivedRow is an event that is not in a segment yet.
type archivedRow struct {
	Archive  string // its ID
	Time     time.Time
	Sequence string
	Archived time.Time
	Size     int64
	Key      int `json:",omitempty"` // number of the archive's data key
	Sealed   []byte
}

// segmentRow names a segment.
type segmentRow struct {
	Archive     string
	Hour        time.Time
	First, Last time.Time // of the events' times
	Archived    time.Time // when the last of them was archived
	Count, Size int64
	Key         int `json:",omitempty"`
	Blob        string
}

// archived is an event as it was archived.
type archived struct {
	Time     time.Time
	Sequence string
	Archived time.Time
	Event    json.RawMessage
}

// position is where an event stands in the order of an archive.
type position struct {
	Time     time.Time
	Sequence string
}

func (e *archived) position() position { return position{e.Time, e.Sequence} }

func (p position) compare(q position) int {
	return cmp.Or(p.Time.Compare(q.Time), cmp.Compare(p.Sequence, q.Sequence))
}

const (
	// BlobPrefix is what the keys of segments in the blob store begin with.
	BlobPrefix = "events/"
	// A pass packs no more than so many events, and bytes of them.
	maxPacked     = 4096
	maxPackedSize = 4 << 20
	// packAfter is how long events wait for others to be packed with.
	packAfter = time.Hour
	// packEarly is how many events of an archive are not to wait any longer.
	packEarly = maxPacked

	timerArchivePack   = "archive-pack"
	timerArchiveExpire = "archive-expire"
	timerArchiveErase  = "archive-erase"
)

// archiving is what the service keeps ready for archives.
type archiving struct {
	kept     atomic.Uint64 // events, which tells apart, and orders, those of one moment
	unpacked sync.Map      // by the ID of an archive, a *waiting
}

// waiting counts what an archive has not packed yet, as far as this process knows. That it is wrong after a crash, or on another node, only makes packing late or early.
type waiting struct {
	events atomic.Int64
	armed  atomic.Bool
}

// keep archives an event of the time given.
func (s *Service) keep(c *call.Call, a *archiveRecord, at time.Time, event []byte) error {
	keys, err := s.keysOf(c, a, a.Key)
	if errors.Is(err, store.ErrConflict) {
		return err
	}
	if err != nil {
		// Its KMS key does not open: the bus, and those who listen on it, must not suffer for it.
		s.cfg.Report(fmt.Errorf("archive %s of account %s in %s misses an event: %w", a.Name, a.Account, a.Region, err))
		return nil
	}
	row := &archivedRow{
		Archive: a.ID, Time: at.UTC(), Archived: c.Time.UTC(), Size: int64(len(event)), Key: a.Key,
		Sequence: fmt.Sprintf("%s-%016x", c.Time.UTC().Format("20060102150405.000000000"), s.archiving.kept.Add(1)),
	}
	if row.Sealed, err = keys.Wrap(row.place(), event); err != nil {
		return err
	}
	if err := archivedTable.In(a.Account, a.Region).Insert(c.Tx(), row); err != nil {
		return err
	}
	return s.packLater(c, a)
}

// place is what a sealed row is bound to.
func (e *archivedRow) place() string { return "archive/" + e.Archive + "/" + e.Sequence }

// packLater sees to it that the archive's events are packed some time.
func (s *Service) packLater(c *call.Call, a *archiveRecord) error {
	v, _ := s.archiving.unpacked.LoadOrStore(a.ID, new(waiting))
	w := v.(*waiting)
	due := c.Time.Add(packAfter)
	switch {
	case w.events.Add(1) >= packEarly:
		w.events.Store(0)
		due = c.Time
	case w.armed.Load():
		return nil
	}
	c.Tx().OnCommitted(func() { w.armed.Store(true) })
	return c.At(due, a.scope(c), timerArchivePack, a.ID, []byte(a.Name))
}

// findArchive is the archive that a timer is about, or nil if it is no more.
func findArchive(c *call.Call, id string, name []byte) (*archiveRecord, error) {
	a, err := archiveTable.In(c.Scope.Account, c.Scope.Region).Get(c.Tx(), string(name))
	if errors.Is(err, store.ErrNotFound) || err == nil && a.ID != id {
		return nil, nil
	}
	return a, err
}

// packArchive packs what an archive has in rows. It looks for them outside of its transaction, so that what is archived meanwhile does not come between.
func (s *Service) packArchive(c *call.Call, id string, name []byte) error {
	a, err := findArchive(c, id, name)
	if a == nil || err != nil {
		return err
	}
	var rows []*archivedRow
	more := false
	err = s.cfg.Store.View(c.Context, func(r store.Reader) error {
		rows, more = nil, false
		size := int64(0)
		for e, err := range archivedTable.In(a.Account, a.Region).Scan(r, store.Query{Prefix: store.Key{a.ID}, Limit: maxPacked + 1}) {
			if err != nil {
				return err
			}
			if more = len(rows) == maxPacked || size > maxPackedSize; more {
				break
			}
			rows, size = append(rows, e), size+e.Size
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		if v, ok := s.archiving.unpacked.Load(a.ID); ok {
			c.Tx().OnCommitted(func() { v.(*waiting).armed.Store(false) })
		}
		return nil
	}
	for len(rows) > 0 {
		hour := rows[0].Time.Truncate(time.Hour)
		n := slices.IndexFunc(rows, func(e *archivedRow) bool { return !e.Time.Truncate(time.Hour).Equal(hour) || e.Key != rows[0].Key })
		if n < 0 {
			n = len(rows)
		}
		if err := s.pack(c, a, rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	if err := s.expireLater(c, a); err != nil {
		return err
	}
	due := c.Time.Add(packAfter)
	if more {
		due = c.Time
	}
	return c.At(due, a.scope(c), timerArchivePack, a.ID, name)
}

// pack makes a segment of rows of one hour and one key.
func (s *Service) pack(c *call.Call, a *archiveRecord, rows []*archivedRow) error {
	keys, err := s.keysOf(c, a, rows[0].Key)
	if err != nil {
		return err
	}
	g := &segmentRow{
		Archive: a.ID, Hour: rows[0].Time.Truncate(time.Hour), First: rows[0].Time, Last: rows[len(rows)-1].Time, Count: int64(len(rows)), Key: rows[0].Key, Blob: BlobPrefix + c.UUID(),
	}
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	lines := json.NewEncoder(zip)
	lines.SetEscapeHTML(false)
	for _, e := range rows {
		event, err := keys.Unwrap(e.place(), e.Sealed)
		if err != nil {
			return err
		}
		if err := lines.Encode(archived{e.Time, e.Sequence, e.Archived, event}); err != nil {
			return err
		}
		if err := archivedTable.In(a.Account, a.Region).Delete(c.Tx(), e.Archive, e.Time, e.Sequence); err != nil {
			return fmt.Errorf("packing an event of archive %s: %w", a.Name, err) // another node did; this pass is for nothing
		}
		g.Size += e.Size
		if e.Archived.After(g.Archived) {
			g.Archived = e.Archived
		}
	}
	if err := zip.Close(); err != nil {
		return err
	}
	if _, err := s.segments(g.Key, keys).Put(c.Context, g.Blob, &packed); err != nil {
		return err
	}
	return segmentTable.In(a.Account, a.Region).Put(c.Tx(), g)
}

// readArchive returns the next events of an archive after a position and before a time, at most limit of them.
func (s *Service) readArchive(c *call.Call, a *archiveRecord, after position, before time.Time, limit int) ([]archived, error) {
	var found []archived
	take := func(e archived) {
		if e.position().compare(after) > 0 && e.Time.Before(before) && a.retains(e.Archived, c.Time) {
			found = append(found, e)
		}
	}
	rows := archivedTable.In(a.Account, a.Region)
	for e, err := range rows.Scan(c.Tx(), store.Query{Prefix: store.Key{a.ID}, From: store.Key{after.Time, after.Sequence}, To: store.Key{before}, Limit: limit + 1}) {
		if err != nil {
			return nil, err
		}
		keys, err := s.keysOf(c, a, e.Key)
		if err != nil {
			return nil, err
		}
		event, err := keys.Unwrap(e.place(), e.Sealed)
		if err != nil {
			return nil, err
		}
		take(archived{e.Time, e.Sequence, e.Archived, event})
	}
	order := func() {
		slices.SortFunc(found, func(x, y archived) int { return x.position().compare(y.position()) })
		found = found[:min(len(found), limit)]
	}
	order()
	for g, err := range segmentTable.In(a.Account, a.Region).Scan(c.Tx(), store.Query{Prefix: store.Key{a.ID}, From: store.Key{after.Time.Truncate(time.Hour)}, To: store.Key{before}}) {
		if err != nil {
			return nil, err
		}
		if len(found) == limit && g.First.After(found[limit-1].Time) {
			break // all that follows is later
		}
		if g.Last.Before(after.Time) || !g.First.Before(before) || !a.retains(g.Archived, c.Time) {
			continue
		}
		if err := s.unpack(c, a, g, take); err != nil {
			return nil, err
		}
		order()
	}
	return found, nil
}

// unpack gives out the events of a segment.
func (s *Service) unpack(c *call.Call, a *archiveRecord, g *segmentRow, take func(archived)) error {
	keys, err := s.keysOf(c, a, g.Key)
	if err != nil {
		return err
	}
	r, _, err := s.segments(g.Key, keys).Get(c.Context, g.Blob, 0, -1)
	if err != nil {
		return fmt.Errorf("reading archive %s: %w", a.Name, err)
	}
	defer r.Close()
	zip, err := gzip.NewReader(r)
	if err != nil {
		return fmt.Errorf("reading archive %s: %w", a.Name, err)
	}
	lines := json.NewDecoder(zip)
	for {
		var e archived
		if err := lines.Decode(&e); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("archive %s: a segment does not decode: %w", a.Name, err)
		}
		take(e)
	}
}

// holds is how many events an archive has, and of how many bytes together.
func (a *archiveRecord) holds(r store.Reader) (count, size int64, err error) {
	for g, err := range segmentTable.In(a.Account, a.Region).Scan(r, store.Query{Prefix: store.Key{a.ID}}) {
		if err != nil {
			return 0, 0, err
		}
		count, size = count+g.Count, size+g.Size
	}
	for e, err := range archivedTable.In(a.Account, a.Region).Scan(r, store.Query{Prefix: store.Key{a.ID}}) {
		if err != nil {
			return 0, 0, err
		}
		count, size = count+1, size+e.Size
	}
	return count, size, nil
}

// expireLater sets the timer that removes the archive's oldest segment when its time is over.
func (s *Service) expireLater(c *call.Call, a *archiveRecord) error {
	if a.Retention == 0 {
		return c.Cancel(a.scope(c), timerArchiveExpire, a.ID)
	}
	for g, err := range segmentTable.In(a.Account, a.Region).Scan(c.Tx(), store.Query{Index: "archived", Prefix: store.Key{a.ID}, Limit: 1}) {
		if err != nil {
			return err
		}
		due := g.Archived.Add(a.retention())
		if due.Before(c.Time) {
			due = c.Time
		}
		return c.At(due, a.scope(c), timerArchiveExpire, a.ID, []byte(a.Name))
	}
	return c.Cancel(a.scope(c), timerArchiveExpire, a.ID)
}

// maxErased is how many segments, or rows, are removed at a time.
const maxErased = 500

// expireArchive removes the segments whose time is over.
func (s *Service) expireArchive(c *call.Call, id string, name []byte) error {
	a, err := findArchive(c, id, name)
	if a == nil || err != nil {
		return err
	}
	var over []*segmentRow
	for g, err := range segmentTable.In(a.Account, a.Region).Scan(c.Tx(), store.Query{Index: "archived", Prefix: store.Key{a.ID}, Limit: maxErased}) {
		if err != nil {
			return err
		}
		if a.retains(g.Archived, c.Time) {
			break
		}
		over = append(over, g)
	}
	if err := s.eraseSegments(c, over); err != nil {
		return err
	}
	return s.expireLater(c, a)
}

// eraseSegments removes segments of an archive of the call's account and region.
func (s *Service) eraseSegments(c *call.Call, all []*segmentRow) error {
	for _, g := range all {
		if err := segmentTable.In(c.Scope.Account, c.Scope.Region).Delete(c.Tx(), g.Archive, g.Hour, g.First, g.Blob); err != nil {
			return err
		}
	}
	ctx := context.WithoutCancel(c.Context)
	c.Tx().OnCommitted(func() {
		for _, g := range all {
			_ = s.cfg.Blob.Delete(ctx, g.Blob) // what stays is found later: see Unnamed
		}
	})
	return nil
}

// eraseArchive removes what an archive held that is no more.
func (s *Service) eraseArchive(c *call.Call, id string, _ []byte) error {
	var gone []*segmentRow
	for g, err := range segmentTable.In(c.Scope.Account, c.Scope.Region).Scan(c.Tx(), store.Query{Prefix: store.Key{id}, Limit: maxErased}) {
		if err != nil {
			return err
		}
		gone = append(gone, g)
	}
	if err := s.eraseSegments(c, gone); err != nil {
		return err
	}
	rows := archivedTable.In(c.Scope.Account, c.Scope.Region)
	var left []*archivedRow
	for e, err := range rows.Scan(c.Tx(), store.Query{Prefix: store.Key{id}, Limit: maxErased}) {
		if err != nil {
			return err
		}
		left = append(left, e)
	}
	for _, e := range left {
		if err := rows.Delete(c.Tx(), e.Archive, e.Time, e.Sequence); err != nil {
			return err
		}
	}
	s.archiving.unpacked.Delete(id)
	if len(gone) == maxErased || len(left) == maxErased {
		return c.At(c.Time, c.Scope, timerArchiveErase, id, nil)
	}
	return nil
}

// Unnamed returns those of some objects of the blob store, below BlobPrefix, that are no segment of an archive.
func (s *Service) Unnamed(ctx context.Context, keys []string) (unnamed []string, err error) {
	err = s.cfg.Store.View(ctx, func(r store.Reader) error {
		unnamed = nil
		for _, key := range keys {
			n, err := segmentTable.In("", "").Count(r, store.Query{Index: "blob", Prefix: store.Key{key}, Limit: 1})
			if err != nil {
				return err
			}
			if n == 0 {
				unnamed = append(unnamed, key)
			}
		}
		return nil
	})
	return unnamed, err
}

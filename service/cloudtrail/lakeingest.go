package cloudtrail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/eventselect"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/timer"
)

// Timers of the way events take.
const (
	readingTimer = "lakereading" // has the event data stores of a region read the trail; in the services' own account
	pendingTimer = "lakepending" // makes a segment of a store's pending events
)

const (
	lakeInterval = 5 * time.Minute
	passBytes    = 16 << 20         // of records that one transaction reads for stores with one cursor
	late         = 10 * time.Minute // a record comes into the log so long after its time, at most
	ownWait      = time.Hour        // how long CloudTrail's own calls wait for others
	settled      = 10 * time.Second // pending events that are younger are left alone, so that those that arrive do not keep the older ones from being moved
)

// ownCalls is how records of calls begin that CloudTrail itself makes, to encrypt and to deliver.
const ownCalls = `{"eventVersion":"1.11","userIdentity":{"type":"AWSService","invokedBy":"cloudtrail.amazonaws.com"`

// wantReading has the event data stores of the region read the trail soon, if they do not already.
func (s *Service) wantReading(c *call.Call) error {
	rows := readingTable.In(call.OwnAccount, c.Scope.Region)
	if _, err := rows.Get(c.Tx()); !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return s.nextReading(c, c.Time.Add(lakeInterval))
}

func (s *Service) nextReading(c *call.Call, due time.Time) error {
	if err := readingTable.In(call.OwnAccount, c.Scope.Region).Put(c.Tx(), &readingRecord{Due: due}); err != nil {
		return err
	}
	return c.At(due, own(c, c.Scope.Region), readingTimer, "", nil)
}

// readingDue has the event data stores read what the trail has got. Those that have read equally far read together.
func (s *Service) readingDue(c *call.Call, _ string, _ []byte) error {
	if err := s.cfg.Feed.Settle(c.Context); err != nil {
		return err
	}
	end, err := s.cfg.Feed.End(c.Context)
	if err != nil {
		return err
	}
	groups, err := s.readers(c)
	if err != nil {
		return err
	}
	if len(groups) == 0 {
		return readingTable.In(call.OwnAccount, c.Scope.Region).Delete(c.Tx())
	}
	more := false
	for from, readers := range groups {
		p := reading{s: s, c: c, readers: readers}
		if from != end {
			if err := p.read(from); err != nil {
				return err
			}
		}
		for _, r := range readers {
			switch {
			case from != end && !r.moved: // it has still to read what is there
			case p.full:
				more = true
			default:
				if err := s.endWindows(c, r.d); err != nil {
					return err
				}
			}
		}
	}
	due := c.Time.Add(lakeInterval)
	if more {
		due = c.Time
	}
	return s.nextReading(c, due)
}

// readers are the event data stores that take events, or took some that they have not read, by how far they have read.
func (s *Service) readers(c *call.Call) (map[audit.Cursor][]*reader, error) {
	groups := make(map[audit.Cursor][]*reader)
	for d, err := range eventStoreTable.In("", "").Scan(c.Tx(), store.Query{Index: "reading", Prefix: store.Key{c.Scope.Region}}) {
		if err != nil {
			return nil, err
		}
		at, err := cursorTable.In(d.Account, d.Region).Get(c.Tx(), d.ID)
		if err != nil {
			return nil, fmt.Errorf("how far event data store %s has read: %w", d.ID, err)
		}
		m, err := d.matcher()
		if err != nil {
			return nil, fmt.Errorf("the selectors of event data store %s: %w", d.ID, err)
		}
		groups[at.Cursor] = append(groups[at.Cursor], &reader{d: d, matcher: m})
	}
	return groups, nil
}

// reader is an event data store that reads.
type reader struct {
	d       *eventStoreRecord
	matcher *eventselect.Matcher
	taken   []audit.Entry // whose records are copies, which all readers share
	moved   bool          // it is behind what was read
}

// batch is a segment of what the reader took. It is made when it is written: what compresses it needs more memory than the records of a pass.
func (r *reader) batch() (*batch, error) {
	b, err := newBatch(r.d.ID)
	if err != nil {
		return nil, err
	}
	for _, e := range r.taken {
		if err := b.add(e.Time, e.Record); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// reading has some event data stores read on from where they are.
type reading struct {
	s       *Service
	c       *call.Call
	readers []*reader

	size   int
	first  time.Time // of the first record
	others bool      // some record is not of CloudTrail's own calls
	full   bool      // there may be more
}

func (p *reading) read(from audit.Cursor) error {
	to, err := p.s.cfg.Feed.Read(p.c.Context, from, func(_ audit.Cursor, e audit.Entry) error {
		if p.size == 0 {
			p.first = e.Time
		}
		p.size += len(e.Record)
		p.others = p.others || !bytes.HasPrefix(e.Record, []byte(ownCalls))
		if err := p.take(e); err != nil {
			return err
		}
		if p.full = p.size >= passBytes; p.full {
			return audit.ErrEnough
		}
		return nil
	})
	if errors.Is(err, audit.ErrAltered) {
		p.s.cfg.Report(fmt.Errorf("reading the trail for event data stores: %w", err))
		err = nil
	}
	if err != nil || p.size > 0 && p.waits() {
		return err
	}
	for _, r := range p.readers {
		if err := p.finish(r, to); err != nil {
			return err
		}
	}
	return nil
}

// waits reports whether what was read is better left for later. Writing a segment under a KMS key leaves a record of its own: if that alone were worth another
// segment, there would be no end.
func (p *reading) waits() bool { return !p.others && !p.full && p.c.Time.Sub(p.first) < ownWait }

// take hands a record to the stores that want it.
func (p *reading) take(e audit.Entry) error {
	ev, err := eventselect.EventOf(e.Record)
	if err != nil {
		return nil // no selector can say anything about it
	}
	org, asked := "", false
	var kept audit.Entry
	for _, r := range p.readers {
		if r.d.Organization != "" && !asked {
			if org, err = p.s.organizationOf(p.c.Context, ev.Account); err != nil {
				return err
			}
			asked = true
		}
		if !r.d.covers(ev.Account, org, ev.Region) || !r.d.took(e.Time) || !r.matcher.Match(&ev) {
			continue
		}
		if kept.Record == nil {
			kept = audit.Entry{Time: e.Time, Record: bytes.Clone(e.Record)}
		}
		r.taken = append(r.taken, kept)
	}
	return nil
}

func (s *Service) organizationOf(ctx context.Context, account string) (string, error) {
	m, err := s.cfg.Organizations.Member(ctx, account)
	if err != nil || m == nil {
		return "", err
	}
	return m.OrgID, nil
}

// finish writes what a store has got, and how far it has read. A store whose key cannot be used stays where it is, and tries again.
func (p *reading) finish(r *reader, to audit.Cursor) error {
	if len(r.taken) > 0 {
		k, err := p.s.dataKey(p.c, r.d)
		if errors.Is(err, store.ErrConflict) {
			return err
		}
		if err != nil {
			p.s.cfg.Report(fmt.Errorf("event data store %s: %w", r.d.ID, err))
			return nil
		}
		b, err := r.batch()
		if err != nil {
			return err
		}
		if err := p.s.write(p.c, r.d, k, b); err != nil {
			return err
		}
		if err := p.s.mergeYoung(p.c, r.d, k); err != nil {
			return err
		}
	}
	r.moved = true
	return cursorTable.In(r.d.Account, r.d.Region).Put(p.c.Tx(), &cursorRecord{r.d.ID, to})
}

// endWindows forgets the windows that ended of a store that has read all there is, once no record of theirs can come any more. A store without any reads no more.
func (s *Service) endWindows(c *call.Call, d *eventStoreRecord) error {
	n := 0
	for n < len(d.Windows) && !d.Windows[n].To.IsZero() && c.Time.Sub(d.Windows[n].To) > late {
		n++
	}
	if n == 0 {
		return nil
	}
	if d.Windows = d.Windows[n:]; len(d.Windows) == 0 {
		if err := s.stopReading(c, d); err != nil {
			return err
		}
	}
	return eventStoreTable.In(d.Account, d.Region).Put(c.Tx(), d)
}

// begin has the store take events of the trail from now on.
func (s *Service) begin(c *call.Call, d *eventStoreRecord) error {
	if !d.fromTrail() {
		return nil
	}
	if len(d.Windows) == 0 {
		end, err := s.cfg.Feed.End(c.Context)
		if err != nil {
			return err
		}
		if err := cursorTable.In(d.Account, d.Region).Put(c.Tx(), &cursorRecord{d.ID, end}); err != nil {
			return err
		}
	}
	d.open(c.Time)
	return s.wantReading(c)
}

// stopReading forgets how far a store has read.
func (s *Service) stopReading(c *call.Call, d *eventStoreRecord) error {
	err := cursorTable.In(d.Account, d.Region).Delete(c.Tx(), d.ID)
	return store.IgnoreNotFound(err)
}

// pend keeps events for a store until they go into a segment. They are there for queries at once.
func (s *Service) pend(c *call.Call, d *eventStoreRecord, events ...*pendingRecord) error {
	rows := pendingTable.In(d.Account, d.Region)
	for _, e := range events {
		mine := *e
		mine.Store = d.ID
		if d.Key != "" {
			sealed, err := s.cfg.Seal.Box(pendingPurpose).Wrap(d.ID+"/"+e.ID, e.Event)
			if err != nil {
				return err
			}
			mine.Event, mine.Sealed = nil, sealed
		}
		if err := rows.Insert(c.Tx(), &mine); err != nil {
			return err
		}
	}
	if _, err := markTable.In(d.Account, d.Region).Get(c.Tx(), d.ID); !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return s.nextPending(c, d, c.Time.Add(lakeInterval))
}

const pendingPurpose = "lake" // of what the keyring wraps

// event is the pending event's JSON.
func (s *Service) event(e *pendingRecord) ([]byte, error) {
	if e.Sealed == nil {
		return e.Event, nil
	}
	return s.cfg.Seal.Box(pendingPurpose).Unwrap(e.Store+"/"+e.ID, e.Sealed)
}

func (s *Service) nextPending(c *call.Call, d *eventStoreRecord, due time.Time) error {
	if err := markTable.In(d.Account, d.Region).Put(c.Tx(), &pendingMark{d.ID, due}); err != nil {
		return err
	}
	// It is CloudTrail's timer, also when the service that takes events from outside sets it.
	return timer.Set(c.Tx(), timer.ID{Service: cloudtrail.Service.Package, Account: d.Account, Region: d.Region, Kind: pendingTimer, Subject: d.ID}, due, nil)
}

// pendingDue makes a segment of a store's pending events.
func (s *Service) pendingDue(c *call.Call, id string, _ []byte) error {
	d, err := eventStoreTable.In(c.Scope.Account, c.Scope.Region).Get(c.Tx(), id)
	if err != nil {
		return store.IgnoreNotFound(err)
	}
	k, err := s.dataKey(c, d)
	if errors.Is(err, store.ErrConflict) {
		return err
	}
	if err != nil {
		s.cfg.Report(fmt.Errorf("event data store %s: %w", d.ID, err))
		return s.nextPending(c, d, c.Time.Add(lakeInterval))
	}
	b, err := newBatch(id)
	if err != nil {
		return err
	}
	rows := pendingTable.In(d.Account, d.Region)
	more := false
	for e, err := range rows.Scan(c.Tx(), store.Query{Prefix: store.Key{id}, To: store.Key{c.Time.Add(-settled)}, Limit: deleteBatch}) {
		if err != nil {
			return err
		}
		event, err := s.event(e)
		if err != nil {
			return err
		}
		if err := b.add(e.Time, event); err != nil {
			return err
		}
		if err := rows.Delete(c.Tx(), e.Store, e.Received, e.ID); err != nil {
			return err
		}
		if more = b.Bytes >= passBytes || b.Count == deleteBatch; more {
			break
		}
	}
	if b.Count > 0 {
		if err := s.write(c, d, k, b); err != nil {
			return err
		}
		if err := s.mergeYoung(c, d, k); err != nil {
			return err
		}
	}
	if more {
		return s.nextPending(c, d, c.Time)
	}
	if n, err := rows.Count(c.Tx(), store.Query{Prefix: store.Key{id}, Limit: 1}); err != nil || n > 0 {
		return errors.Join(err, s.nextPending(c, d, c.Time.Add(lakeInterval)))
	}
	return markTable.In(d.Account, d.Region).Delete(c.Tx(), id)
}

package cloudtrail

import (
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/trailfile"
	"github.com/holdfast-cloud/holdfast/store"
)

// A trail that logs has a delivery: what of the log was delivered to its bucket. A timer of the region that is the trail's home looks at all deliveries there every few minutes, and
// another one at each hour makes the digests. Each does all it does in one transaction with the objects in S3, so nothing is delivered twice and nothing left out.

// deliveryRecord is the delivery of a trail's events. It ends some time after the trail has stopped, when all is delivered that it logged; if it begins again before, it
// goes on with the same one.
type deliveryRecord struct {
	ID            string       // random
	Account, Name string       // the trail's
	Gone          *trailRecord `json:",omitempty"` // what the trail was, if it was deleted

	Spans  []span       `json:",omitempty"` // when the trail logged, as far as it may not all be delivered, oldest first
	Cursor audit.Cursor // everything before it is delivered, or not the trail's

	// Ahead has the cursors of places where more was delivered, before the delivery failed elsewhere or the pass had done enough. In that case the next pass reads up to Until again,
	// for the other places.
	Ahead map[string]audit.Cursor `json:",omitempty"`
	Until audit.Cursor            `json:",omitzero"`

	Failures int       `json:",omitempty"` // in a row
	Failing  time.Time `json:",omitzero"`  // since when
	Retry    time.Time `json:",omitzero"`  // not before
}

// span is a time in which a trail logs; To is zero while it does.
type span struct {
	From time.Time
	To   time.Time `json:",omitzero"`
}

func (s *span) has(t time.Time) bool { return !t.Before(s.From) && (s.To.IsZero() || !t.After(s.To)) }

// over reports whether all that happened in the span is in the log.
func (s *span) over(now time.Time) bool { return !s.To.IsZero() && now.Sub(s.To) >= deliverEvery }

// deliveredRecord is a log file that no digest names yet.
type deliveredRecord struct {
	Delivery, Account, Region string
	File                      trailfile.LogFile
}

// heldRecord has events that CloudTrail's own deliveries caused. They are delivered with the next others: otherwise a trail that has the events of its own bucket or key would deliver for
// ever what its last delivery caused.
type heldRecord struct {
	Delivery, Account, Region string
	Events                    []heldEvent
	Size                      int
}

type heldEvent struct {
	Time   time.Time
	Record []byte
}

// insightRecord is an Insights event that is to be delivered.
type insightRecord struct {
	Delivery, Account, Region, EventID string
	Time                               time.Time
	Event                              []byte
}

// chainRecord is the chain of digests of an account and region that a trail has delivered files of.
type chainRecord struct {
	Delivery, Account, Region string
	End                       time.Time // of the last digest; before the first, where that begins
	Tried                     time.Time `json:",omitzero"` // the hour for which a digest could not be delivered
	Last                      trailfile.Previous
}

// Stored as (see store.Table), all under the account aws and the home region of the trail:
//
//	cloudtrail / aws / region / delivery  / account / name / ID              → deliveryRecord
//	cloudtrail / aws / region / delivered / ID / account / region / object   → deliveredRecord
//	cloudtrail / aws / region / held      / ID / account / region            → heldRecord
//	cloudtrail / aws / region / insight   / ID / account / region / event ID → insightRecord
//	cloudtrail / aws / region / chain     / ID / account / region            → chainRecord
var (
	deliveryTable  = store.NewTable("cloudtrail", "delivery", func(d *deliveryRecord) store.Key { return store.Key{d.Account, d.Name, d.ID} })
	deliveredTable = store.NewTable("cloudtrail", "delivered", func(f *deliveredRecord) store.Key {
		return store.Key{f.Delivery, f.Account, f.Region, f.File.Object}
	})
	heldTable    = store.NewTable("cloudtrail", "held", func(h *heldRecord) store.Key { return store.Key{h.Delivery, h.Account, h.Region} })
	insightTable = store.NewTable("cloudtrail", "insight", func(i *insightRecord) store.Key { return store.Key{i.Delivery, i.Account, i.Region, i.EventID} })
	chainTable   = store.NewTable("cloudtrail", "chain", func(h *chainRecord) store.Key { return store.Key{h.Delivery, h.Account, h.Region} })
)

// The timers, one of each for a home region.
const (
	deliverTimer = "deliver"
	digestTimer  = "digest"

	// again is the subject of a timer for what a pass has left. It is one of its own, so that nobody who has the passes begin at their next time puts it off.
	again = "again"

	deliverEvery = 5 * time.Minute
	digestEvery  = time.Hour
)

// own is where what belongs to the trails of a home region lies.
func own(c *call.Call, home string) call.Scope {
	return call.Scope{Partition: c.Scope.Partition, Account: call.OwnAccount, Region: home}
}

// liveDelivery returns the delivery of a trail, or nil if it has none. Those of trails that had its name before do not count.
func liveDelivery(r store.Reader, t *trailRecord) (*deliveryRecord, error) {
	for d, err := range deliveryTable.In(call.OwnAccount, t.Region).Scan(r, store.Query{Prefix: store.Key{t.Account, t.Name}}) {
		if err != nil || d.Gone == nil {
			return d, err
		}
	}
	return nil, nil
}

// startDelivery begins to deliver what a trail logs from now on.
func (s *Service) startDelivery(c *call.Call, t *trailRecord) error {
	d, err := liveDelivery(c.Tx(), t)
	if err != nil {
		return err
	}
	if d == nil {
		id, err := randomName(c.Rand)
		if err != nil {
			return err
		}
		d = &deliveryRecord{ID: id, Account: t.Account, Name: t.Name}
	}
	if len(d.Spans) == 0 {
		if d.Cursor, err = s.cfg.Feed.End(c.Context); err != nil {
			return fmt.Errorf("finding the end of the log: %w", err)
		}
	}
	d.Spans, d.Retry = append(d.Spans, span{From: c.Time}), time.Time{}
	if err := deliveryTable.In(call.OwnAccount, t.Region).Put(c.Tx(), d); err != nil {
		return err
	}
	return c.At(nextMark(c.Time, deliverEvery), own(c, t.Region), deliverTimer, "", nil)
}

// stopDelivery ends it with what the trail has logged until now.
func (s *Service) stopDelivery(c *call.Call, t *trailRecord) error {
	d, err := liveDelivery(c.Tx(), t)
	if err != nil || d == nil {
		return err
	}
	d.stop(c.Time)
	return deliveryTable.In(call.OwnAccount, t.Region).Put(c.Tx(), d)
}

// endDelivery does so for a trail that is being deleted.
func (s *Service) endDelivery(c *call.Call, t *trailRecord) error {
	d, err := liveDelivery(c.Tx(), t)
	if err != nil || d == nil {
		return err
	}
	d.stop(c.Time)
	d.Gone = t
	return deliveryTable.In(call.OwnAccount, t.Region).Put(c.Tx(), d)
}

// retryDelivery has the next pass try again what has failed: somebody sees to the trail.
func (s *Service) retryDelivery(c *call.Call, t *trailRecord) error {
	d, err := liveDelivery(c.Tx(), t)
	if err != nil || d == nil || d.Retry.IsZero() {
		return err
	}
	d.Retry = time.Time{}
	return deliveryTable.In(call.OwnAccount, t.Region).Put(c.Tx(), d)
}

func (d *deliveryRecord) stop(now time.Time) {
	if n := len(d.Spans); n > 0 && d.Spans[n-1].To.IsZero() {
		d.Spans[n-1].To = now
	}
}

// deliverInsight has an Insights event, which is a record of its own form, delivered to a trail's bucket with the next pass.
func (s *Service) deliverInsight(c *call.Call, t *trailRecord, account, region, eventID string, at time.Time, event []byte) error {
	d, err := liveDelivery(c.Tx(), t)
	if err != nil || d == nil {
		return err
	}
	return insightTable.In(call.OwnAccount, t.Region).Put(c.Tx(), &insightRecord{d.ID, account, region, eventID, at, event})
}

// nextMark is the next time that is a multiple of a duration.
func nextMark(now time.Time, every time.Duration) time.Time {
	return now.UTC().Truncate(every).Add(every)
}

func randomName(random io.Reader) (string, error) {
	var b [8]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", err
	}
	return hex.EncodeToString(b[:]), nil
}

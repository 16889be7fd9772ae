package events

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/events"
	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/engine/eventselect"
	"github.com/holdfast-cloud/holdfast/outbox"
	"github.com/holdfast-cloud/holdfast/store"
)

// API calls come to default buses from the audit trail: a pass reads on in its log, and publishes what some rule wants, in one transaction with how far it came. So each
// call comes once, also across crashes. While no rule listens on a default bus there is no place in the log, and nothing is read.

// feedRecord is how far the trail has been read: everything before Cursor is published, or nobody wanted it. There is one, once a rule listens that API calls can come to.
type feedRecord struct {
	Name   string // feedName
	Cursor audit.Cursor
}

// Stored as (see store.Table): events / aws // feed / trail → feedRecord.
var feedTable = store.NewTable("events", "feed", func(f *feedRecord) store.Key { return store.Key{f.Name} })

const (
	feedName = "trail"

	// maxFeed is how many bytes of events a pass puts into its transaction, about, and maxRead how many records it reads at once.
	maxFeed = 2 << 20
	maxRead = 10_000

	// feedEvery is how often the trail is looked at, by the wall: it need not be kept by a clock that stands still.
	feedEvery = 250 * time.Millisecond
)

// Trails tells which API calls are recorded: CloudTrail's.
type Trails interface {
	// Logs reports whether a trail that logs has an event of an account in a region.
	Logs(ctx context.Context, r store.Reader, e *eventselect.Event) (bool, error)
}

// listen makes sure that API calls come to default buses from now on, for who is going to listen there.
func (s *Service) listen(c *call.Call) error {
	_, err := feedTable.In(call.OwnAccount, "").Get(c.Tx(), feedName)
	if !missing(err) {
		return err
	}
	end, err := s.cfg.Feed.End(c.Context)
	if err != nil {
		return err
	}
	return feedTable.In(call.OwnAccount, "").Put(c.Tx(), &feedRecord{feedName, end})
}

// Run follows the audit trail until ctx ends.
func (s *Service) Run(ctx context.Context) {
	for range clock.Tick(ctx, feedEvery) {
		for more := true; more && ctx.Err() == nil; {
			var err error
			if more, err = s.passTrail(ctx); err != nil && ctx.Err() == nil {
				s.cfg.Report(fmt.Errorf("following the audit trail: %w", err))
			}
		}
	}
}

// FollowTrail publishes the API calls that were recorded up to now, and reports whether there were any that somebody wants.
func (s *Service) FollowTrail(ctx context.Context) (worked bool, err error) {
	if on, err := s.following(ctx); err != nil || !on {
		return false, err
	}
	if err := s.cfg.Feed.Settle(ctx); err != nil {
		return false, err
	}
	for more := true; more; {
		if more, err = s.passTrail(ctx); err != nil {
			return false, err
		}
		worked = worked || more
	}
	return worked, nil
}

// following reports whether anybody listens. When nobody does any more, the place in the log is forgotten.
func (s *Service) following(ctx context.Context) (on bool, err error) {
	left := false
	err = s.cfg.Store.View(ctx, func(r store.Reader) error {
		if _, err := feedTable.In(call.OwnAccount, "").Get(r, feedName); err != nil {
			return store.IgnoreNotFound(err)
		}
		on, err = s.heardBySomebody(r)
		left = err == nil && !on
		return err
	})
	if err != nil || !left {
		return on, err
	}
	return false, s.cfg.Perform(ctx, events.Service.Package, call.OwnAccount, "", func(c *call.Call) error {
		if on, err := s.heardBySomebody(c.Tx()); err != nil || on {
			return err
		}
		return store.IgnoreNotFound(feedTable.In(call.OwnAccount, "").Delete(c.Tx(), feedName))
	})
}

// heardBySomebody reports whether there is a rule or an archive that API calls can come to.
func (s *Service) heardBySomebody(r store.Reader) (bool, error) {
	n, err := ruleTable.In("", "").Count(r, store.Query{Index: "api", Limit: 1})
	if err == nil && n == 0 {
		n, err = archiveTable.In("", "").Count(r, store.Query{Index: "api", Limit: 1})
	}
	return n > 0, err
}

// passTrail is one pass. It reports whether it published something, so that there may be more.
func (s *Service) passTrail(ctx context.Context) (worked bool, err error) {
	s.feed.Lock()
	defer s.feed.Unlock()
	if on, err := s.following(ctx); err != nil || !on {
		return false, err
	}
	end, err := s.cfg.Feed.End(ctx)
	if err != nil || end == s.read {
		return false, err
	}
	var read audit.Cursor
	err = s.cfg.Perform(ctx, events.Service.Package, call.OwnAccount, "", func(c *call.Call) error {
		p := &feedPass{s: s, c: c, room: newRoom()}
		if err := p.run(); err != nil {
			return err
		}
		worked, read = p.published > 0 || p.full, p.at
		return nil
	})
	if err == nil {
		s.read = read
	}
	return worked, err
}

// feedPass is one pass over the trail.
type feedPass struct {
	s         *Service
	c         *call.Call
	at        audit.Cursor
	read      int // records
	published int // bytes
	full      bool
	room      *room
}

func (p *feedPass) run() error {
	rows := feedTable.In(call.OwnAccount, "")
	f, err := rows.Get(p.c.Tx(), feedName)
	if err != nil {
		return err
	}
	begin := f.Cursor
	if compareCursors(p.s.read, begin) > 0 {
		begin = p.s.read // what is between nobody wanted
	}
	p.at, err = p.s.cfg.Feed.Read(p.c.Context, begin, p.take)
	if errors.Is(err, audit.ErrAltered) {
		p.s.cfg.Report(fmt.Errorf("following the audit trail: %w", err))
		err = nil
	}
	if err != nil {
		return err
	}
	if p.published == 0 && p.read < maxRead {
		return nil // it is read again after a crash, and wanted by nobody again
	}
	f.Cursor = p.at
	return rows.Put(p.c.Tx(), f)
}

func compareCursors(a, b audit.Cursor) int {
	switch {
	case a == b:
		return 0
	case a.Segment < b.Segment || a.Segment == b.Segment && a.Offset < b.Offset:
		return -1
	}
	return 1
}

// take publishes a record, if somebody wants it.
func (p *feedPass) take(_ audit.Cursor, e audit.Entry) error {
	p.read++
	if err := p.publish(e); err != nil {
		return err
	}
	if p.published >= maxFeed || p.read >= maxRead {
		p.full = true
		return audit.ErrEnough
	}
	return nil
}

func (p *feedPass) publish(e audit.Entry) error {
	event, err := eventselect.EventOf(e.Record)
	if err != nil {
		p.s.cfg.Report(fmt.Errorf("reading an audit record: %w", err))
		return nil
	}
	bus := busKey{event.Account, event.Region, defaultBus}
	a, err := p.s.audiences.Get(p.c.Context, bus)
	if err != nil {
		return err
	}
	readOnly := event.ReadOnly && event.Category == "Management"
	if len(a.listeners) == 0 || readOnly && !a.allReads || p.caused(e.Record, event.Account) {
		return nil
	}
	h := &heard{Bus: bus, ReadOnly: readOnly, room: p.room, Event: &outbox.Event{
		ID: p.c.UUID(), DetailType: detailType(event.Type), Source: sourceOf(event.Source), Account: event.Account, Time: e.Time, Region: event.Region, Detail: json.RawMessage(bytes.Clone(e.Record)),
	}}
	if h.JSON, err = encode(h.Event, ""); err != nil {
		return err
	}
	if len(a.match(h.JSON)) == 0 {
		return nil
	}
	if logged, err := p.s.cfg.Trails.Logs(p.c.Context, p.c.Tx(), &event); err != nil || !logged {
		return err
	}
	p.published += len(h.JSON)
	return p.s.publish(p.c, h)
}

// caused reports whether a record tells of what EventBridge itself did, or another service for its service-linked role, as KMS for Secrets Manager. Events of that would cause others, for ever.
func (p *feedPass) caused(record []byte, account string) bool {
	before, rest, ok := bytes.Cut(record, []byte(`,"sourceIPAddress":`))
	return ok && (bytes.HasPrefix(rest, []byte(`"`+events.Service.EventSource+`"`)) || bytes.Contains(before, []byte(`"arn":"`+linkedRoleARN(p.s.cfg.Partition, account)+`"`)))
}

// detailType is the detail-type of events of CloudTrail, by the eventType of a record.
func detailType(eventType string) string {
	switch eventType {
	case "AwsServiceEvent":
		return "AWS Service Event via CloudTrail"
	case "AwsConsoleSignIn":
		return "AWS Console Sign In via CloudTrail"
	case "AwsConsoleAction":
		return "AWS Console Action via CloudTrail"
	case "AwsCloudTrailInsight":
		return "AWS Insight via CloudTrail"
	}
	return "AWS API Call via CloudTrail"
}

// sourceOf is the source of events of a service, e.g. aws.kms of kms.amazonaws.com.
func sourceOf(eventSource string) string {
	name, _, _ := strings.Cut(eventSource, ".")
	return "aws." + name
}

package cloudtrail

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/holdfast-cloud/holdfast/api/catalog"
	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/eventselect"
	"github.com/holdfast-cloud/holdfast/engine/trailfile"
	"github.com/holdfast-cloud/holdfast/store"
)

const (
	// passSize is how many bytes of records a pass reads for deliveries that have come equally far. It bounds the memory of a pass, and the size of a file.
	passSize = 8 << 20

	// maxWritten is how many bytes a pass writes into its transaction, about, before it leaves the rest to the next one. A file costs fileCost: its object's record, and the audit
	// records of how it was put there and encrypted.
	maxWritten = store.MaxTxSize / 2
	fileCost   = 8 << 10
)

// pass is one look at the deliveries of a home region.
type pass struct {
	s      *Service
	c      *call.Call
	home   string
	global map[string]bool // sources of events that belong to global services
	orgs   map[string]string

	written  int       // bytes, see maxWritten
	more     bool      // there is more to do now
	waiting  bool      // there are deliveries for the next pass
	failing  time.Time // since when the delivery fails that does so longest
	measured Stats
}

// delivering is a delivery in a pass.
type delivering struct {
	*deliveryRecord
	trail   *trailRecord
	arn     string
	matcher *eventselect.Matcher
	files   map[place]*content
}

// place is where records belong: a file each.
type place struct {
	kind            trailfile.Kind
	account, region string
}

func (p place) String() string { return p.account + "/" + p.region }

// content is what goes into a file.
type content struct {
	events []heldEvent
	others bool // not all are events that CloudTrail's deliveries caused
}

// deliverDue is what the timer does: a pass over the deliveries of a region.
func (s *Service) deliverDue(c *call.Call, _ string, _ []byte) error {
	if err := s.cfg.Feed.Settle(c.Context); err != nil {
		return err
	}
	p := &pass{s: s, c: c, home: c.Scope.Region, orgs: make(map[string]string)}
	groups, err := p.due()
	if err != nil {
		return err
	}
	for _, group := range groups {
		if err := p.carry(group); err != nil {
			return err
		}
	}
	c.Tx().OnCommitted(func() {
		s.count(p.measured)
		s.fails(p.home, p.failing)
	})
	switch {
	case p.more:
		return c.At(c.Time, c.Scope, deliverTimer, again, nil)
	case p.waiting:
		return c.At(nextMark(c.Time, deliverEvery), c.Scope, deliverTimer, "", nil)
	}
	return nil
}

// due returns the deliveries that can be tried, those together that have come equally far in the log: it is read once for them.
func (p *pass) due() (groups [][]*delivering, err error) {
	at := make(map[[2]audit.Cursor]int)
	for d, err := range deliveryTable.In(call.OwnAccount, p.home).Scan(p.c.Tx(), store.Query{}) {
		if err != nil {
			return nil, err
		}
		if len(d.Spans) == 0 {
			continue // only its last digests are missing
		}
		if d.Retry.After(p.c.Time) {
			p.late(d)
			continue
		}
		x, err := p.open(d)
		if err != nil {
			// The others go on.
			p.waiting = true
			p.s.cfg.Report(err)
			continue
		}
		stretch := [2]audit.Cursor{d.Cursor, d.Until}
		i, ok := at[stretch]
		if !ok {
			i = len(groups)
			at[stretch], groups = i, append(groups, nil)
		}
		groups[i] = append(groups[i], x)
	}
	// Those that are furthest behind come first, so that each gets its turn when a pass does not come to all of them.
	slices.SortStableFunc(groups, func(a, b []*delivering) int { return compare(a[0].Cursor, b[0].Cursor) })
	return groups, nil
}

// late notes that a delivery has to be tried again.
func (p *pass) late(d *deliveryRecord) {
	p.waiting = true
	if !d.Failing.IsZero() && (p.failing.IsZero() || d.Failing.Before(p.failing)) {
		p.failing = d.Failing
	}
}

func (p *pass) open(d *deliveryRecord) (x *delivering, err error) {
	x = &delivering{deliveryRecord: d, trail: d.Gone, files: make(map[place]*content)}
	if x.trail == nil {
		if x.trail, err = trailTable.In(d.Account, p.home).Get(p.c.Tx(), d.Name); err != nil {
			return nil, fmt.Errorf("delivering the events of trail %s of account %s: %w", d.Name, d.Account, err)
		}
	}
	x.arn = x.trail.arn(p.c.Scope.Partition)
	if x.matcher, err = x.trail.matcher(); err != nil {
		return nil, fmt.Errorf("the selectors of %s: %w", x.arn, err)
	}
	return x, nil
}

// carry reads on in the log for a group, and delivers what was found.
func (p *pass) carry(group []*delivering) error {
	end, full, err := p.read(group)
	if err != nil {
		return err
	}
	for _, d := range group {
		finishing := !full && !slices.ContainsFunc(d.Spans, func(s span) bool { return !s.over(p.c.Time) })
		if err := p.gather(d, finishing); err != nil {
			return err
		}
		if err := p.deliver(d, end, full, finishing); err != nil {
			return err
		}
		d.files = nil // the other groups of the pass need the memory
	}
	return nil
}

// read finds what belongs to each of a group, up to the pass's size or where the last pass ended: full reports that there is more.
func (p *pass) read(group []*delivering) (end audit.Cursor, full bool, err error) {
	begin, until, size := group[0].Cursor, group[0].Until, 0
	end, err = p.s.cfg.Feed.Read(p.c.Context, begin, func(at audit.Cursor, e audit.Entry) error {
		if until != (audit.Cursor{}) && !before(at, until) {
			full = true
			return errLater
		}
		if size += len(e.Record); size >= passSize {
			full = true
		}
		if err := p.sort(at, e, group); err != nil {
			return err
		}
		if full {
			return audit.ErrEnough
		}
		return nil
	})
	if errors.Is(err, audit.ErrAltered) {
		p.s.cfg.Report(fmt.Errorf("delivering events: %w", err))
		err = nil
	}
	if errors.Is(err, errLater) {
		err = nil
	}
	return end, full, err
}

// sort gives a record to all of a group that it belongs to.
func (p *pass) sort(at audit.Cursor, e audit.Entry, group []*delivering) error {
	event, err := eventselect.EventOf(e.Record)
	if err != nil {
		p.s.cfg.Report(fmt.Errorf("delivering an event: %w", err))
		return nil
	}
	to := place{trailfile.Events, event.Account, event.Region}
	var kept []byte
	for _, d := range group {
		if ok, err := p.wants(d, at, e.Time, &event); err != nil {
			return err
		} else if !ok || before(at, d.Ahead[to.String()]) {
			continue
		}
		if kept == nil {
			kept = bytes.Clone(e.Record)
		}
		d.add(to, heldEvent{e.Time, kept}, !p.caused(kept))
	}
	return nil
}

func (d *delivering) add(to place, e heldEvent, other bool) {
	f := d.files[to]
	if f == nil {
		f = new(content)
		d.files[to] = f
	}
	f.events, f.others = append(f.events, e), f.others || other
}

// before reports whether a cursor behind a record is no further than another one.
func before(at, done audit.Cursor) bool { return compare(at, done) <= 0 }

func compare(a, b audit.Cursor) int {
	return cmp.Or(cmp.Compare(a.Segment, b.Segment), cmp.Compare(a.Offset, b.Offset))
}

// caused reports whether a record tells of what CloudTrail itself did, such as delivering. It asks only for how records begin, which no caller has a say in.
func (p *pass) caused(record []byte) bool {
	_, identity, ok := bytes.Cut(record, []byte(`,"userIdentity":`))
	return ok && bytes.HasPrefix(identity, []byte(`{"type":"AWSService","invokedBy":"`+p.c.Caller.ServiceName+`"}`))
}

// wants reports whether an event is the trail's to keep.
func (p *pass) wants(d *delivering, at audit.Cursor, t time.Time, e *eventselect.Event) (bool, error) {
	if !slices.ContainsFunc(d.Spans, func(s span) bool { return s.has(t) }) {
		return false, nil
	}
	org := ""
	if e.Account != d.Account && d.trail.Organization != "" {
		var err error
		if org, err = p.organization(e.Account); err != nil {
			return false, err
		}
	}
	return d.trail.covers(e.Account, org, e.Region, p.isGlobal(e.Source)) && d.matcher.Match(e), nil
}

// organization is the ID of the organization that an account is in, or empty.
func (p *pass) organization(account string) (string, error) {
	id, ok := p.orgs[account]
	if ok {
		return id, nil
	}
	m, err := p.s.cfg.Organizations.Member(p.c.Context, account)
	if err != nil {
		return "", err
	}
	if m != nil {
		id = m.OrgID
	}
	p.orgs[account] = id
	return id, nil
}

func (p *pass) isGlobal(source string) bool {
	if p.global == nil {
		p.global = make(map[string]bool)
		for _, svc := range catalog.Services() {
			p.global[svc.EventSource] = svc.Global
		}
	}
	return p.global[source]
}

// gather adds Insights events that wait, and, when the delivery ends, what was held back in places where nothing came any more.
func (p *pass) gather(d *delivering, finishing bool) error {
	for i, err := range insightTable.In(call.OwnAccount, p.home).Scan(p.c.Tx(), store.Query{Prefix: store.Key{d.ID}}) {
		if err != nil {
			return err
		}
		d.add(place{trailfile.Insights, i.Account, i.Region}, heldEvent{i.Time, i.Event}, true)
	}
	if !finishing {
		return nil
	}
	for h, err := range heldTable.In(call.OwnAccount, p.home).Scan(p.c.Tx(), store.Query{Prefix: store.Key{d.ID}}) {
		if err != nil {
			return err
		}
		if to := (place{trailfile.Events, h.Account, h.Region}); d.files[to] == nil {
			d.files[to] = &content{others: true}
		} else {
			d.files[to].others = true
		}
	}
	for to, f := range d.files {
		if to.kind == trailfile.Events {
			f.others = true
		}
	}
	return nil
}

// places are where there is something to deliver, in order.
func (d *delivering) places() []place {
	return slices.SortedFunc(maps.Keys(d.files), func(a, b place) int { return bytes.Compare([]byte(a.key()), []byte(b.key())) })
}

func (p place) key() string { return string(p.kind) + "/" + p.String() }

package events

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-cloud/holdfast/api/events"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/engine/eventpattern"
	"github.com/holdfast-cloud/holdfast/outbox"
	"github.com/holdfast-cloud/holdfast/store"
)

// audience is who listens on a bus, compiled: it is kept ready until something about it changes, so that an event costs no read of the store, and one that nobody
// listens to next to nothing.
type audience struct {
	bus       *busRecord // nil if it is not there
	listeners []listening
	all       []int // listeners that want all events
	matcher   *eventpattern.Matcher[int]
	weight    int
	allReads  bool // some rule wants read-only API calls, too
}

// maxAudience is how much memory all audiences may take, about, in bytes. There is room for the rules of some hundred busy buses, and ten thousands of usual ones.
const maxAudience = 256 << 20

// loadAudience compiles who listens on a bus.
func (s *Service) loadAudience(ctx context.Context, k busKey) (*audience, error) {
	a := new(audience)
	err := s.cfg.Store.View(ctx, func(r store.Reader) error {
		b, err := readBus(r, k)
		if missing(err) {
			return nil
		}
		if err != nil {
			return err
		}
		a.bus = b
		for rule, err := range ruleTable.In(k.Account, k.Region).Scan(r, store.Query{Prefix: store.Key{k.Name}}) {
			if err != nil {
				return err
			}
			if rule.Pattern == "" || rule.State == string(events.RuleStateDisabled) {
				continue
			}
			l := &ruleListener{ruleRecord: rule}
			for t, err := range rule.targets(r) {
				if err != nil {
					return err
				}
				l.to = append(l.to, t)
				a.weight += 512 + len(t.Input)
			}
			a.listeners = append(a.listeners, listening{rule.Pattern, l})
			a.weight += 1024 + 20*len(rule.Pattern)
			a.allReads = a.allReads || l.reads()
		}
		archives, err := s.archives(r, k)
		a.listeners = append(a.listeners, archives...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("who listens on event bus %s of account %s in %s: %w", k.Name, k.Account, k.Region, err)
	}
	set := eventpattern.NewSet[int]()
	for i, l := range a.listeners {
		if l.pattern == "" {
			a.all = append(a.all, i)
			continue
		}
		p, err := eventpattern.Compile(l.pattern)
		if err != nil {
			return nil, fmt.Errorf("a pattern on event bus %s of account %s in %s: %w", k.Name, k.Account, k.Region, err)
		}
		set.Add(i, p)
	}
	if set.Len() > 0 {
		a.matcher = set.Matcher()
	}
	return a, nil
}

// watch forgets who listens on buses when that changes.
func (s *Service) watch() {
	busTable.Watch(s.cfg.Store, func(account, region string, key []string) { s.audiences.Forget(busKey{account, region, key[0]}) })
	ruleTable.Watch(s.cfg.Store, func(account, region string, key []string) { s.audiences.Forget(busKey{account, region, key[0]}) })
	s.watchArchives()
	targetTable.Watch(s.cfg.Store, func(account, region string, key []string) { s.audiences.Forget(busKey{account, region, key[0]}) })
}

// match finds the listeners that want an event.
func (a *audience) match(event []byte) []int {
	if a.matcher == nil {
		return a.all
	}
	found := a.matcher.Match(event)
	if len(a.all) == 0 {
		return found
	}
	return append(slices.Clone(a.all), found...)
}

// publish puts an event on a bus: everybody who listens gets it, in the transaction of the call.
func (s *Service) publish(c *call.Call, h *heard) error {
	a, err := s.audiences.Get(c.Context, h.Bus)
	if err != nil {
		return err
	}
	if len(a.listeners) == 0 && !s.tail.any.Load() || a.bus == nil {
		return nil
	}
	if h.JSON == nil {
		if h.JSON, err = encode(h.Event, ""); err != nil {
			return err
		}
	}
	s.follow(c, h)
	found := a.match(h.JSON)
	if len(found) == 0 {
		return nil
	}
	h.bus = a.bus
	if h.room == nil {
		h.room = newRoom()
	}
	if err := s.note(c, h.Bus, step{Type: "EVENT_RECEIPT", Event: h}); err != nil {
		return err
	}
	s.count(c, h.Bus, "", "MatchedEvents", 1)
	for _, i := range found {
		if err := a.listeners[i].hear(s, c, h); err != nil {
			return err
		}
	}
	return s.spread(c, h)
}

// ruleListener is a rule with its targets.
type ruleListener struct {
	*ruleRecord
	to []*targetRecord
}

// reads reports whether the rule wants read-only API calls.
func (l *ruleListener) reads() bool {
	return l.State == string(events.RuleStateEnabledWithAllCloudtrailManagementEvents)
}

// hear posts a parcel for each target.
func (l *ruleListener) hear(s *Service, c *call.Call, h *heard) error {
	partition := c.Scope.Partition
	if h.ReadOnly && !l.reads() || h.Rules != nil && !slices.Contains(h.Rules, l.arn(partition)) {
		return nil
	}
	if err := s.note(c, h.Bus, step{Type: "RULE_MATCH_START", Event: h, Rule: l.arn(partition)}); err != nil {
		return err
	}
	s.count(c, h.Bus, l.Name, "TriggeredRules", 1)
	if !h.room.takes(len(l.to), len(h.JSON)) {
		h.rest = append(h.rest, l.Name)
		return nil
	}
	return s.post(c, h, l.to)
}

// The retry policy of a target that has none: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html
const (
	defaultRetries = 185
	defaultAge     = 24 * time.Hour
)

// targetLane is the kind of the lanes of targets.
const targetLane = "target"

// lane is where parcels for the target wait.
func (t *targetRecord) lane() delivery.Lane {
	return delivery.Lane{Service: events.Service.Package, Account: t.Account, Region: t.Region, Kind: targetLane, Subject: t.Bus + "/" + t.Rule + "/" + t.ID + "/" + t.Lane}
}

// post posts an event to targets.
func (s *Service) post(c *call.Call, h *heard, to []*targetRecord) error {
	for _, t := range to {
		payload, err := s.wrap(c, h)
		if err != nil || payload == nil {
			return err
		}
		p := &delivery.Parcel{Lane: t.lane(), Created: c.Time, Payload: payload, MaxAttempts: defaultRetries + 1, Expires: c.Time.Add(defaultAge)}
		if t.MaxRetries != nil {
			p.MaxAttempts = int(*t.MaxRetries) + 1
		}
		if t.MaxAge != nil {
			p.Expires = c.Time.Add(time.Duration(*t.MaxAge) * time.Second)
		}
		if err := delivery.Put(c.Tx(), p); err != nil {
			return err
		}
	}
	return nil
}

// taker takes the events that other services have put into the outbox: it implements door.Carrier.
type taker struct{ s *Service }

// Deliver puts an event on its bus.
func (t taker) Deliver(c *call.Call, p *delivery.Parcel) (outside func(context.Context) error, err error) {
	e, err := outbox.Open(p)
	if err != nil {
		return nil, delivery.Permanent(err)
	}
	k := busKey{e.Account, e.Region, e.Bus}
	if k.Name == "" {
		k.Name = defaultBus
	}
	return nil, t.s.publish(c, &heard{Event: e, Bus: k})
}

// GiveUp reports an event that was not one.
func (t taker) GiveUp(_ *call.Call, p *delivery.Parcel, cause error) error {
	t.s.cfg.Report(fmt.Errorf("an event of account %s in %s: %w", p.Account, p.Region, cause))
	return nil
}

package cloudtrail

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/anomaly"
	"github.com/holdfast-cloud/holdfast/store"
)

// Insights count, for the accounts and regions of trails that want them, how often each operation was called and with which error, minute by minute. A timer of the trails' home region
// reads the log every few minutes with a cursor of its own, and holds each window of five minutes against the week before.

const (
	insightsTimer  = "insights"
	insightsWindow = 5 * time.Minute
	baselineLength = 7 * 24 * time.Hour
	learning       = 24 * time.Hour // nothing is unusual before so much was seen
	longest        = 24 * time.Hour // of what is unusual: it is usual then
	countsKept     = 15 * 24 * time.Hour
	maxValues      = 50 // different users, or user agents, of an operation in a day, or in a window
	shownValues    = 5
	dayFormat      = time.DateOnly
)

// unusual is what Insights look for in a window.
var unusual = anomaly.Detector{Least: 5, Start: 1e-6, End: 1e-3}

// series is something that is counted: the calls of an operation, or those that ended with an error.
type series struct {
	Account, Region string
	Source, Name    string
	Type            cloudtrail.InsightType
	Error           string `json:",omitempty"`
}

func (x series) key() store.Key {
	return store.Key{x.Account, x.Region, x.Source, x.Name, string(x.Type), x.Error}
}

// values count who did it, by attribute and value.
type values map[string]map[string]int

func (v values) add(attribute, value string, n int) {
	if v[attribute] == nil {
		v[attribute] = make(map[string]int)
	}
	if _, ok := v[attribute][value]; ok || len(v[attribute]) < maxValues {
		v[attribute][value] += n
	}
}

func (v values) merge(from values) {
	for attribute, counts := range from {
		for _, value := range slices.Sorted(maps.Keys(counts)) { // in order, so that what there is no room for is the same each time
			v.add(attribute, value, counts[value])
		}
	}
}

// insightDay is a day of a series.
type insightDay struct {
	series
	Day     string
	Minutes []byte // of those in which something happened: the distance from the one before in the day, and the number; uvarints
	Values  values
}

// minutes are the counts of a day, by minute of the day.
type minutes map[int]int

func (d *insightDay) counts() minutes {
	m := make(minutes)
	at := 0
	for b := d.Minutes; len(b) > 0; {
		step, n := binary.Uvarint(b)
		count, k := binary.Uvarint(b[max(n, 0):])
		if n <= 0 || k <= 0 {
			break
		}
		at += int(step)
		m[at] = int(count)
		b = b[n+k:]
	}
	return m
}

func (d *insightDay) set(m minutes) {
	d.Minutes = d.Minutes[:0]
	last := 0
	for _, at := range slices.Sorted(maps.Keys(m)) {
		d.Minutes = binary.AppendUvarint(d.Minutes, uint64(at-last))
		d.Minutes = binary.AppendUvarint(d.Minutes, uint64(m[at]))
		last = at
	}
}

// insightsState is how far the Insights of a home region have come.
type insightsState struct {
	Cursor audit.Cursor
	Until  time.Time // windows before it are judged
	Pruned string    `json:",omitempty"` // the day
	Since  []watched `json:",omitempty"`
}

// watched says since when all is counted that a trail asks for.
type watched struct {
	Account, Name string
	Since         time.Time
}

// insightOngoing is something unusual that has not ended.
type insightOngoing struct {
	series
	Shared   string // sharedEventID
	Began    time.Time
	Count    int // in it
	Values   values
	Baseline anomaly.Baseline
	Usual    values // in the baseline
}

// insightEvent is an Insights event as the event history has it.
type insightEvent struct {
	series
	Time    time.Time
	EventID string
	Event   []byte
}

// Stored as (see store.Table), all under the account aws and the home region of the trails:
//
//	cloudtrail / aws / region / insightstate   / "state"                                                       → insightsState
//	cloudtrail / aws / region / insightday     / account / region / source / name / type / error / day         → insightDay
//	cloudtrail / aws / region / insightongoing / account / region / source / name / type / error               → insightOngoing
//	cloudtrail / aws / region / insightevent   / account / region / time / event ID                            → insightEvent (index account, global: the same)
var (
	insightStates   = store.NewTable("cloudtrail", "insightstate", func(*insightsState) store.Key { return store.Key{"state"} })
	insightDays     = store.NewTable("cloudtrail", "insightday", func(d *insightDay) store.Key { return append(d.key(), d.Day) })
	insightOngoings = store.NewTable("cloudtrail", "insightongoing", func(o *insightOngoing) store.Key { return o.key() })
	insightEvents   = store.NewTable("cloudtrail", "insightevent", func(e *insightEvent) store.Key { return e.key() },
		store.Index[insightEvent]{Name: "account", Global: true, Entries: func(e *insightEvent) []store.Key { return []store.Key{e.key()} }})
)

func (e *insightEvent) key() store.Key { return store.Key{e.Account, e.Region, e.Time, e.EventID} }

// watch has the Insights of a trail begin, if it logs and wants any. The timer finds out by itself what trails want, and ends when none wants any.
func (s *Service) watch(c *call.Call, t *trailRecord) error {
	if len(t.Insights) == 0 || !t.Logging {
		return nil
	}
	rows := insightStates.In(call.OwnAccount, t.Region)
	state, err := rows.Get(c.Tx(), "state")
	if store.IgnoreNotFound(err) != nil {
		return err
	}
	if state == nil {
		state = &insightsState{Until: nextMark(c.Time, insightsWindow)}
		if state.Cursor, err = s.cfg.Feed.End(c.Context); err != nil {
			return err
		}
		if err := rows.Put(c.Tx(), state); err != nil {
			return err
		}
	}
	return c.At(nextMark(c.Time, insightsWindow), own(c, t.Region), insightsTimer, "", nil)
}

// count adds to a day.
func count(tx store.Tx, home string, x series, at time.Time, counted minutes, who values) error {
	rows := insightDays.In(call.OwnAccount, home)
	day := at.UTC().Format(dayFormat)
	d, err := rows.Get(tx, append(x.key(), day)...)
	if store.IgnoreNotFound(err) != nil {
		return err
	}
	if d == nil {
		d = &insightDay{series: x, Day: day}
	}
	if d.Values == nil {
		d.Values = make(values)
	}
	m := d.counts()
	for minute, n := range counted {
		m[minute] += n
	}
	d.set(m)
	d.Values.merge(who)
	return rows.Put(tx, d)
}

// usual is what a series was in the week before a window, as far as it was counted: since is when that began.
func usual(r store.Reader, home string, x series, window, since time.Time) (b anomaly.Baseline, who values, err error) {
	from := window.Add(-baselineLength)
	if begin := nextMark(since, insightsWindow); begin.After(from) {
		from = begin
	}
	b.Windows, who = max(0, int(window.Sub(from)/insightsWindow)), make(values)
	q := store.Query{Prefix: x.key(), From: store.Key{from.UTC().Format(dayFormat)}}
	for d, err := range insightDays.In(call.OwnAccount, home).Scan(r, q) {
		if err != nil {
			return b, nil, err
		}
		day, err := time.Parse(dayFormat, d.Day)
		if err != nil {
			return b, nil, err
		}
		windows := make(map[int]int)
		for minute, n := range d.counts() {
			if at := day.Add(time.Duration(minute) * time.Minute); !at.Before(from) && at.Before(window) {
				windows[minute/int(insightsWindow/time.Minute)] += n
			}
		}
		for _, n := range windows {
			b.Add(float64(n))
		}
		if len(windows) > 0 {
			who.merge(d.Values)
		}
	}
	return b, who, nil
}

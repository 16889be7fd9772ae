package cloudtrail

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/eventselect"
	"github.com/holdfast-cloud/holdfast/store"
)

// insightsPass is one look at what was called since the last one.
type insightsPass struct {
	pass
	state   *insightsState
	trails  []*trailRecord
	windows map[time.Time]map[series]*tally
}

// tally is a series in a window.
type tally struct {
	minutes minutes // of the day
	values  values
}

func (t *tally) sum() (n int) {
	for _, m := range t.minutes {
		n += m
	}
	return n
}

// insightsDue is what the timer does.
func (s *Service) insightsDue(c *call.Call, _ string, _ []byte) error {
	if err := s.cfg.Feed.Settle(c.Context); err != nil {
		return err
	}
	p := &insightsPass{pass: pass{s: s, c: c, home: c.Scope.Region, orgs: make(map[string]string)}, windows: make(map[time.Time]map[series]*tally)}
	states := insightStates.In(call.OwnAccount, p.home)
	var err error
	if p.state, err = states.Get(c.Tx(), "state"); err != nil {
		return store.IgnoreNotFound(err)
	}
	if err := p.watchers(); err != nil {
		return err
	}
	if len(p.trails) == 0 {
		return errors.Join(p.forget(), states.Delete(c.Tx(), "state"))
	}
	end := c.Time.UTC().Truncate(insightsWindow)
	if end, err = p.read(end); err != nil {
		return err
	}
	if err := p.judge(end); err != nil {
		return err
	}
	if err := p.prune(); err != nil {
		return err
	}
	if end.After(p.state.Until) {
		p.state.Until = end
	}
	if err := states.Put(c.Tx(), p.state); err != nil {
		return err
	}
	if p.more {
		return c.At(c.Time, c.Scope, insightsTimer, again, nil)
	}
	return c.At(nextMark(c.Time, insightsWindow), c.Scope, insightsTimer, "", nil)
}

// watchers finds the trails that want Insights, and notes since when each does.
func (p *insightsPass) watchers() error {
	all, err := logging(p.c.Tx())
	if err != nil {
		return err
	}
	before := p.state.Since
	p.state.Since = nil
	for _, t := range all {
		if t.Region != p.home || len(t.Insights) == 0 {
			continue
		}
		w := watched{t.Account, t.Name, p.state.Until}
		for _, b := range before {
			if b.Account == t.Account && b.Name == t.Name && !t.Started.After(b.Since) {
				w.Since = b.Since
			}
		}
		p.trails, p.state.Since = append(p.trails, t), append(p.state.Since, w)
	}
	return nil
}

// wanting returns the trails that want what was found in a series, and since when the first of them does. With an empty type it is any.
func (p *insightsPass) wanting(account, region, source string, kind cloudtrail.InsightType) (found []*trailRecord, since time.Time, err error) {
	for i, t := range p.trails {
		org := ""
		if account != t.Account && t.Organization != "" {
			if org, err = p.organization(account); err != nil {
				return nil, since, err
			}
		}
		if !t.covers(account, org, region, p.isGlobal(source)) || !t.hasInsights(kind) {
			continue
		}
		found = append(found, t)
		if from := p.state.Since[i].Since; since.IsZero() || from.Before(since) {
			since = from
		}
	}
	return found, since, nil
}

// errLater is for a record that belongs to a later pass.
var errLater = errors.New("later")

// read counts the records of the windows before end, or of fewer if those are many. It returns where those that were read end.
func (p *insightsPass) read(end time.Time) (time.Time, error) {
	size, last := 0, time.Time{}
	cursor, err := p.s.cfg.Feed.Read(p.c.Context, p.state.Cursor, func(_ audit.Cursor, e audit.Entry) error {
		w := e.Time.UTC().Truncate(insightsWindow)
		if !w.Before(end) {
			return errLater
		}
		if w.After(last) {
			if size >= passSize {
				p.more, end = true, last.Add(insightsWindow)
				return errLater
			}
			last = w
		}
		size += len(e.Record)
		return p.add(w, e)
	})
	if errors.Is(err, audit.ErrAltered) {
		p.s.cfg.Report(fmt.Errorf("counting events: %w", err))
		err = nil
	}
	if err != nil && !errors.Is(err, errLater) {
		return end, err
	}
	p.state.Cursor = cursor
	return end, nil
}

// told is what an Insights event tells of the records that it is about.
type told struct {
	UserAgent    string `json:"userAgent"`
	UserIdentity struct {
		ARN  string `json:"arn"`
		Type string `json:"type"`
	} `json:"userIdentity"`
}

// add counts a record: a call that may change something, and one that ended with an error.
func (p *insightsPass) add(window time.Time, e audit.Entry) error {
	event, err := eventselect.EventOf(e.Record)
	if err != nil {
		p.s.cfg.Report(fmt.Errorf("counting an event: %w", err))
		return nil
	}
	if event.Type != audit.APICall || event.Category != eventselect.Management || event.ReadOnly && event.ErrorCode == "" {
		return nil
	}
	var t told
	read := false
	for _, x := range []series{
		{event.Account, event.Region, event.Source, event.Name, cloudtrail.InsightTypeApiCallRateInsight, ""},
		{event.Account, event.Region, event.Source, event.Name, cloudtrail.InsightTypeApiErrorRateInsight, event.ErrorCode},
	} {
		if x.Type == cloudtrail.InsightTypeApiCallRateInsight && event.ReadOnly || x.Type == cloudtrail.InsightTypeApiErrorRateInsight && x.Error == "" {
			continue
		}
		found, _, err := p.wanting(x.Account, x.Region, x.Source, x.Type)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			continue
		}
		if !read {
			_ = json.Unmarshal(e.Record, &t) // a record that was read above
			read = true
		}
		p.tally(window, x).count(e.Time, &t, event.ErrorCode)
	}
	return nil
}

func (p *insightsPass) tally(window time.Time, x series) *tally {
	all := p.windows[window]
	if all == nil {
		all = make(map[series]*tally)
		p.windows[window] = all
	}
	if all[x] == nil {
		all[x] = &tally{make(minutes), make(values)}
	}
	return all[x]
}

func (y *tally) count(at time.Time, t *told, code string) {
	at = at.UTC()
	y.minutes[at.Hour()*60+at.Minute()]++
	if who := t.UserIdentity.ARN; who != "" {
		if t.UserIdentity.Type == "AssumedRole" {
			who = who[:max(0, strings.LastIndexByte(who, '/'))] // all sessions of a role are one
		}
		y.values.add("userIdentityArn", who, 1)
	}
	if t.UserAgent != "" {
		y.values.add("userAgent", t.UserAgent, 1)
	}
	if code == "" {
		code = "null"
	}
	y.values.add("errorCode", code, 1)
}

// judge holds the windows up to end against the time before them, and then counts them as a part of it.
func (p *insightsPass) judge(end time.Time) error {
	ongoing := make(map[series]*insightOngoing)
	for o, err := range insightOngoings.In(call.OwnAccount, p.home).Scan(p.c.Tx(), store.Query{}) {
		if err != nil {
			return err
		}
		ongoing[o.series] = o
	}
	for _, window := range p.toJudge(end, len(ongoing) > 0) {
		tallies := p.windows[window]
		if !window.Before(p.state.Until) { // what comes late is counted only
			if err := p.judgeWindow(window, tallies, ongoing); err != nil {
				return err
			}
		}
		for x, y := range tallies {
			if err := count(p.c.Tx(), p.home, x, window, y.minutes, y.values); err != nil {
				return err
			}
		}
	}
	return nil
}

// toJudge are the windows in which something was counted, in order, and all since the last pass if something unusual may end in them.
func (p *insightsPass) toJudge(end time.Time, all bool) (windows []time.Time) {
	for w := range p.windows {
		windows = append(windows, w)
	}
	if all {
		// What is quiet for longer than anything lasts has ended in the first of these.
		for w := p.state.Until; w.Before(end) && w.Before(p.state.Until.Add(longest+insightsWindow)); w = w.Add(insightsWindow) {
			if p.windows[w] == nil {
				windows = append(windows, w)
			}
		}
	} else {
		for w := range p.windows { // what begins in one may end in the next
			if next := w.Add(insightsWindow); p.windows[next] == nil && next.Before(end) {
				windows = append(windows, next)
			}
		}
	}
	slices.SortFunc(windows, time.Time.Compare)
	return windows
}

func (p *insightsPass) judgeWindow(window time.Time, tallies map[series]*tally, ongoing map[series]*insightOngoing) error {
	rows := insightOngoings.In(call.OwnAccount, p.home)
	for x, o := range ongoing {
		y := tallies[x]
		n := 0
		if y != nil {
			n = y.sum()
		}
		if !unusual.Ends(o.Baseline, float64(n)) && window.Sub(o.Began) < longest {
			o.Count += n
			o.Values.merge(y.values)
			if err := rows.Put(p.c.Tx(), o); err != nil {
				return err
			}
			continue
		}
		if err := p.emit("End", o, window); err != nil {
			return err
		}
		delete(ongoing, x)
		if err := rows.Delete(p.c.Tx(), x.key()...); err != nil {
			return err
		}
	}
	for x, y := range tallies {
		n := y.sum()
		if float64(n) < unusual.Least || ongoing[x] != nil {
			continue
		}
		_, since, err := p.wanting(x.Account, x.Region, x.Source, x.Type)
		if err != nil {
			return err
		}
		if window.Sub(since) < learning {
			continue
		}
		b, who, err := usual(p.c.Tx(), p.home, x, window, since)
		if err != nil {
			return err
		}
		if !unusual.Begins(b, float64(n)) {
			continue
		}
		o := &insightOngoing{series: x, Shared: p.uuid(x, window, "shared"), Began: window, Count: n, Values: y.values, Baseline: b, Usual: who}
		ongoing[x] = o
		if err := errors.Join(p.emit("Start", o, window.Add(insightsWindow)), rows.Put(p.c.Tx(), o)); err != nil {
			return err
		}
	}
	return nil
}

// forget drops what has not ended when nobody wants to know any more.
func (p *insightsPass) forget() error {
	rows := insightOngoings.In(call.OwnAccount, p.home)
	for o, err := range rows.Scan(p.c.Tx(), store.Query{}) {
		if err == nil {
			err = rows.Delete(p.c.Tx(), o.key()...)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// prune removes, once a day, what is too old to be asked for.
func (p *insightsPass) prune() error {
	today := p.c.Time.UTC().Format(dayFormat)
	if p.state.Pruned == today {
		return nil
	}
	p.state.Pruned = today
	days, oldest := insightDays.In(call.OwnAccount, p.home), p.c.Time.UTC().Add(-countsKept).Format(dayFormat)
	for d, err := range days.Scan(p.c.Tx(), store.Query{}) {
		if err == nil && d.Day < oldest {
			err = days.Delete(p.c.Tx(), append(d.key(), d.Day)...)
		}
		if err != nil {
			return err
		}
	}
	events := insightEvents.In(call.OwnAccount, p.home)
	for e, err := range events.Scan(p.c.Tx(), store.Query{}) {
		if err == nil && e.Time.Before(p.c.Time.Add(-kept)) {
			err = events.Delete(p.c.Tx(), e.key()...)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

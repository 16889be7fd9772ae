package cloudwatch

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-cloud/holdfast/api/cloudwatch"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
)

// An alarm is evaluated while there is something that can change its state, and sleeps otherwise: what watches a metric that nobody publishes costs nothing. What is published
// wakes the alarms that watch it.
//
// There is one timer for all that are awake with an interval, which evaluates them in their order, some in a transaction.

const (
	evaluateTimer = "evaluate"

	// evaluatedAtOnce is how many alarms one transaction evaluates.
	evaluatedAtOnce = 50

	// maxDecoded is how many alarms are kept decoded. One takes some kilobytes.
	maxDecoded = 1000

	// awakeFor is how long alarms are awake beyond what was stored of their metric, so that they need not be woken each time that something is.
	awakeFor = 10 * time.Minute
)

// pass is a round of evaluation.
type pass struct {
	At    time.Time // the end of the time that is looked at
	After string    `json:",omitempty"` // the name of the last alarm that was evaluated
}

// delay is how long after the end of a period its data is looked at: it has to arrive first.
func delay(interval time.Duration) time.Duration {
	if interval < time.Minute {
		return 2 * time.Second
	}
	return 10 * time.Second
}

// nextTick is when alarms with an interval are evaluated next.
func nextTick(interval time.Duration, now time.Time) time.Time {
	d := delay(interval)
	return now.Add(-d).Truncate(interval).Add(interval + d)
}

// awaken has an alarm evaluated from the next tick on, until it has seen what there is up to a time.
func awaken(tx store.Tx, h home, a *alarmRecord, until, now time.Time) error {
	interval := a.Watch.interval()
	seconds := int64(interval / time.Second)
	rows := awakeTable.In(h.account, h.region)
	there, err := rows.Get(tx, seconds, a.Name)
	switch {
	case err == nil:
		if !until.After(there.Until) {
			return nil
		}
	case !errors.Is(err, store.ErrNotFound):
		return fmt.Errorf("looking whether an alarm is awake: %w", err)
	default:
		others, err := rows.Count(tx, store.Query{Prefix: store.Key{seconds}, Limit: 1})
		if err != nil {
			return fmt.Errorf("looking for alarms that are awake: %w", err)
		}
		if others == 0 {
			if err := set(tx, h, evaluateTimer, formatInt(seconds), nextTick(interval, now), nil); err != nil {
				return err
			}
		}
	}
	return rows.Put(tx, &awakeRecord{seconds, a.Name, until})
}

// asleep has an alarm not evaluated any more.
func asleep(tx store.Tx, h home, a *alarmRecord) error {
	if a.Watch == nil {
		return nil
	}
	return store.IgnoreNotFound(awakeTable.In(h.account, h.region).Delete(tx, int64(a.Watch.interval()/time.Second), a.Name))
}

// wake has the alarms evaluated that watch a metric of which something was stored, up to a time.
func wake(tx store.Tx, h home, id metricID, until, now time.Time) error {
	for a, err := range alarmTable.In(h.account, h.region).Scan(tx, store.Query{Index: "metric", Prefix: store.Key{id.bytes()}}) {
		if err != nil {
			return fmt.Errorf("looking for the alarms of a metric: %w", err)
		}
		if err := awaken(tx, h, a, a.Watch.seen(until), now); err != nil {
			return err
		}
	}
	return nil
}

// unwoken has what is stored of an alarm's metrics wake it, as it may watch them since now.
func (w *watch) unwoken(tx store.Tx, h home) error {
	for i := range w.Queries {
		q := &w.Queries[i]
		if q.Name == "" {
			continue
		}
		m, err := lookup(tx, h, q.metric())
		if err != nil {
			return err
		}
		if m == nil || m.Woken.IsZero() {
			continue
		}
		m.Woken = time.Time{}
		if err := metricTable.In(h.account, h.region).Put(tx, m); err != nil {
			return err
		}
	}
	return nil
}

// seen is when an alarm has seen what there is up to a time: at once, or when a period of a wall clock has ended.
func (w *watch) seen(until time.Time) time.Time {
	if !w.WallClock {
		return until
	}
	return until.Add(w.period() + time.Hour) // clocks are put back
}

// evaluate carries a pass out.
func (s *Service) evaluate(c *call.Call, subject string, payload []byte) error {
	var seconds int64
	if _, err := fmt.Sscan(subject, &seconds); err != nil || seconds <= 0 {
		return fmt.Errorf("an interval of %q", subject)
	}
	interval := time.Duration(seconds) * time.Second
	p := pass{At: c.Time.Add(-delay(interval)).Truncate(interval)}
	if len(payload) > 0 {
		if err := json.Unmarshal(payload, &p); err != nil {
			return fmt.Errorf("reading a pass: %w", err)
		}
	}
	h := homeOf(c)
	rows := awakeTable.In(h.account, h.region)
	q := store.Query{Prefix: store.Key{seconds}, Limit: evaluatedAtOnce}
	if p.After != "" {
		q.From = store.Key{p.After + "\x00"}
	}
	var found []*awakeRecord
	for w, err := range rows.Scan(c.Tx(), q) {
		if err != nil {
			return fmt.Errorf("looking for alarms that are awake: %w", err)
		}
		found = append(found, w)
	}
	read := newReadings()
	for _, w := range found {
		stays, err := s.evaluateAlarm(c, w, p.At, read)
		if err != nil {
			return err
		}
		if !stays {
			if err := store.IgnoreNotFound(rows.Delete(c.Tx(), seconds, w.Name)); err != nil {
				return err
			}
		}
	}
	if len(found) == evaluatedAtOnce {
		p.After = found[len(found)-1].Name
		payload, err := json.Marshal(p)
		if err != nil {
			return fmt.Errorf("writing a pass: %w", err)
		}
		return set(c.Tx(), h, evaluateTimer, subject, c.Time, payload)
	}
	left, err := rows.Count(c.Tx(), store.Query{Prefix: store.Key{seconds}, Limit: 1})
	if err != nil || left == 0 {
		return err
	}
	return set(c.Tx(), h, evaluateTimer, subject, nextTick(interval, c.Time), nil)
}

// evaluateAlarm evaluates an alarm, and reports whether it has to be evaluated again.
func (s *Service) evaluateAlarm(c *call.Call, w *awakeRecord, at time.Time, read *readings) (stays bool, err error) {
	a, err := alarms(c).GetShared(c.Tx(), s.alarms, w.Name)
	if err != nil {
		return false, store.IgnoreNotFound(fmt.Errorf("loading alarm %s: %w", w.Name, err))
	}
	if a.Watch == nil || int64(a.Watch.interval()/time.Second) != w.Interval {
		return false, nil
	}
	seen, err := a.Watch.look(c.Tx(), homeOf(c), c.Time, at, read)
	if err != nil {
		return false, fmt.Errorf("evaluating alarm %s: %w", a.Name, err)
	}
	j := a.Watch.judge(seen)
	changed := j.value != "" && j.value != a.State.Value
	if changed {
		next := State{Value: j.value, Reason: a.Watch.reason(seen, j), Data: a.Watch.reasonData(seen, j, c.Time), Since: c.Time}
		turned := *a // which is shared
		if err := s.turn(c, &turned, next, 0); err != nil {
			return false, err
		}
	}
	return changed || seen.any() || w.Until.After(at), nil
}

// view is what an alarm sees: its datapoints, the latest first, in all of the range that is looked at.
type view struct {
	at     []time.Time
	values []*float64 // nil where there is none
	counts []float64
}

func (v *view) any() bool {
	for _, x := range v.values {
		if x != nil {
			return true
		}
	}
	return false
}

// moreLooked is how many datapoints an alarm looks at beyond those that it evaluates: where some are missing, older ones stand in.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html#alarms-evaluating-missing-data
const moreLooked = 2

// look reads the datapoints of an alarm in the periods that end with at.
func (w *watch) look(r store.Reader, h home, now, at time.Time, read *readings) (*view, error) {
	period := w.period()
	end := w.end(at, period)
	n := int(w.EvaluationPeriods) + moreLooked
	from := end.Add(-time.Duration(n) * period)
	e := &evaluation{r: r, h: h, now: now, from: from, to: end, queries: w.Queries, answers: make(map[string]*answer), readings: read}
	a, err := e.answer(w.watched())
	v := &view{at: make([]time.Time, n), values: make([]*float64, n), counts: make([]float64, n)}
	for i := range n {
		v.at[i] = end.Add(-time.Duration(i+1) * period)
	}
	if err != nil {
		if errors.Is(err, errPoints) || w.Math {
			return v, nil // an expression that cannot be computed has no data
		}
		return nil, err
	}
	if len(a.value.Series) != 1 {
		return v, nil
	}
	for _, p := range a.value.Series[0].Points {
		i := int(end.Sub(time.Unix(p.Time, 0))/period) - 1
		if i >= 0 && i < n {
			v.values[i], v.counts[i] = new(p.Value), a.counts[p.Time]
		}
	}
	if w.LowSamples == "ignore" {
		w.leaveOutFew(v)
	}
	return v, nil
}

// leaveOutFew takes percentiles away that come of too few numbers to mean anything: p90 needs ten, say.
func (w *watch) leaveOutFew(v *view) {
	var p float64
	if n, err := fmt.Sscanf(w.Extended, "p%g", &p); err != nil || n != 1 || p >= 100 {
		return
	}
	needed := 10 / (1 - p/100)
	if p < 50 {
		needed = 10 / max(p/100, 0.001)
	}
	for i := range v.values {
		if v.counts[i] < needed {
			v.values[i] = nil
		}
	}
}

// end is the end of the last period that has ended at a time.
func (w *watch) end(at time.Time, period time.Duration) time.Time {
	if !w.WallClock {
		return at
	}
	zone, err := time.LoadLocation(w.Zone)
	if err != nil || period <= time.Minute {
		return at.Truncate(period)
	}
	local := at.In(zone)
	switch period {
	case 24 * time.Hour:
		return time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, zone).UTC()
	case 7 * 24 * time.Hour:
		back := int(local.Weekday()+6) % 7 // to Monday
		return time.Date(local.Year(), local.Month(), local.Day()-back, 0, 0, 0, 0, zone).UTC()
	}
	_, offset := local.Zone()
	shift := time.Duration(offset) * time.Second
	return at.Add(shift).Truncate(period).Add(-shift)
}

// breaches reports whether a datapoint is one to alarm for.
func (w *watch) breaches(v float64) bool {
	switch w.Comparison {
	case cloudwatch.ComparisonOperatorGreaterThanOrEqualToThreshold:
		return v >= w.Threshold
	case cloudwatch.ComparisonOperatorGreaterThanThreshold:
		return v > w.Threshold
	case cloudwatch.ComparisonOperatorLessThanThreshold:
		return v < w.Threshold
	}
	return v <= w.Threshold
}

// judgement is what becomes of an alarm. value is empty where it stays what it is.
type judgement struct {
	value     cloudwatch.StateValue
	used      []int // which datapoints were looked at, the latest first
	breaching []int // of those
	missing   int   // how many are filled in
}

// judge decides by the datapoints there are, as AWS documents it: by the latest ones, as many as the alarm evaluates; where there are fewer in all of the range, missing ones
// count as the alarm says. https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
func (w *watch) judge(v *view) judgement {
	var j judgement
	n := int(w.EvaluationPeriods)
	for i := range v.values {
		if v.values[i] == nil || len(j.used) == n {
			continue
		}
		j.used = append(j.used, i)
		if w.breaches(*v.values[i]) {
			j.breaching = append(j.breaching, i)
		}
	}
	j.missing = n - len(j.used)
	bad, fine := len(j.breaching), len(j.used)-len(j.breaching)
	switch {
	case bad >= w.needed():
		j.value = cloudwatch.StateValueAlarm
	case w.Missing == "breaching":
		j.value = cloudwatch.StateValueOk
		if bad+j.missing >= w.needed() {
			j.value = cloudwatch.StateValueAlarm
		}
	case w.Missing == "notBreaching" || fine > 0:
		j.value = cloudwatch.StateValueOk
	case w.Missing == "ignore":
	case bad > 0:
		j.value = cloudwatch.StateValueAlarm // all there is breaches
	default:
		j.value = cloudwatch.StateValueInsufficientData
	}
	return j
}

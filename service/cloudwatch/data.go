package cloudwatch

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/holdfast-cloud/holdfast/engine/histogram"
	"github.com/holdfast-cloud/holdfast/store"
)

// tier is a resolution that numbers are kept in, and for how long:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html#Resolution_definition
type tier struct {
	resolution time.Duration
	span       time.Duration // of a row
	keep       time.Duration // after which the next tier has them
}

var tiers = []tier{
	{time.Second, time.Minute, 3 * time.Hour},
	{time.Minute, time.Hour, 15 * 24 * time.Hour},
	{5 * time.Minute, 6 * time.Hour, 63 * 24 * time.Hour},
	{time.Hour, 5 * 24 * time.Hour, keepFor},
}

const (
	keepFor = 455 * 24 * time.Hour

	// seenWithin is how exactly a metric's record says when something was published last.
	seenWithin = 10 * time.Minute
)

// point is the numbers of a metric in a period.
type point struct {
	at time.Time
	histogram.Histogram
}

// batch gathers what is about to be stored, so that each row is written once.
type batch struct {
	metrics map[metricID]*pending
}

// pending is what is about to be stored of a metric.
type pending struct {
	metric
	units map[string]bool
	fine  bool
	last  time.Time // the end of the last point
	woken time.Time // until when the alarms of the metric are to be awake; zero if they are
	rows  map[row]map[int64]*histogram.Histogram
}

// row is a place of one metric. slots are counted from start, in the tier's resolution.
type row struct {
	unit  string
	tier  int
	start int64 // in seconds since 1970
}

func newBatch() *batch { return &batch{make(map[metricID]*pending)} }

// add adds numbers of a metric at a time, to be kept in the first tier or the second.
func (b *batch) add(m metric, unit string, fine bool, at time.Time, h *histogram.Histogram) {
	id := m.id()
	p := b.metrics[id]
	if p == nil {
		p = &pending{metric: m, units: make(map[string]bool), rows: make(map[row]map[int64]*histogram.Histogram)}
		b.metrics[id] = p
	}
	p.units[unit] = true
	t := 1
	if fine {
		p.fine, t = true, 0
	}
	p.put(t, unit, at, h)
}

func (p *pending) put(t int, unit string, at time.Time, h *histogram.Histogram) {
	start := at.Truncate(tiers[t].span)
	slot := int64(at.Sub(start) / tiers[t].resolution)
	if end := start.Add(time.Duration(slot+1) * tiers[t].resolution); end.After(p.last) {
		p.last = end
	}
	r := row{unit, t, start.Unix()}
	if p.rows[r] == nil {
		p.rows[r] = make(map[int64]*histogram.Histogram)
	}
	if there := p.rows[r][slot]; there != nil {
		there.Merge(h)
	} else {
		p.rows[r][slot] = h.Clone()
	}
}

// store writes a batch, and wakes the alarms that watch its metrics.
func (b *batch) store(tx store.Tx, h home, now time.Time) error {
	ids := slices.SortedFunc(maps.Keys(b.metrics), func(a, b metricID) int { return bytes.Compare(a[:], b[:]) })
	for _, id := range ids {
		p := b.metrics[id]
		if err := p.register(tx, h, now); err != nil {
			return err
		}
		if err := p.store(tx, h, id); err != nil {
			return err
		}
		if p.woken.IsZero() {
			continue
		}
		if err := wake(tx, h, id, p.woken, now); err != nil {
			return err
		}
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// register remembers that there is the metric.
func (p *pending) register(tx store.Tx, h home, now time.Time) error {
	rows := metricTable.In(h.account, h.region)
	m, err := rows.Get(tx, p.namespace, p.name, p.id().bytes())
	if errors.Is(err, store.ErrNotFound) {
		m, err = &metricRecord{Namespace: p.namespace, Name: p.name, Dimensions: p.dimensions}, nil
	}
	if err != nil {
		return fmt.Errorf("loading a metric: %w", err)
	}
	changed := now.Sub(m.Last) >= seenWithin
	for unit := range p.units {
		if !slices.Contains(m.Units, unit) {
			m.Units, changed = append(m.Units, unit), true
		}
	}
	if p.fine && !m.Fine {
		m.Fine, changed = true, true
	}
	// Alarms that are awake stay so until they have seen all up to Woken: what belongs to a time before needs to wake none of them again.
	if p.last.After(m.Woken) || !now.Before(m.Woken) {
		p.woken, changed = later(p.last, now).Add(awakeFor), true
		m.Woken = p.woken
	}
	if !changed {
		return nil
	}
	slices.Sort(m.Units)
	m.Last = now
	return rows.Put(tx, m)
}

// store merges what is pending into the rows there are.
func (p *pending) store(tx store.Tx, h home, id metricID) error {
	for _, r := range slices.SortedFunc(maps.Keys(p.rows), compareRows) {
		at := place{id.bytes(), r.unit, int64(tiers[r.tier].resolution / time.Second), time.Unix(r.start, 0).UTC()}
		d, err := dataTable.In(h.account, h.region).Get(tx, at.key()...)
		switch {
		case errors.Is(err, store.ErrNotFound):
			d = &dataRecord{place: at}
			if err := schedule(tx, h, r.tier, at); err != nil {
				return err
			}
		case err != nil:
			return fmt.Errorf("loading metric data: %w", err)
		}
		if d.Points, err = mergePoints(d.Points, p.rows[r]); err != nil {
			return err
		}
		if err := dataTable.In(h.account, h.region).Put(tx, d); err != nil {
			return err
		}
	}
	return nil
}

func compareRows(a, b row) int {
	return cmp.Or(cmp.Compare(a.unit, b.unit), cmp.Compare(a.tier, b.tier), cmp.Compare(a.start, b.start))
}

// mergePoints adds numbers to those of a row, by slots. What is not touched is copied as it is.
func mergePoints(encoded []byte, add map[int64]*histogram.Histogram) ([]byte, error) {
	out := make([]byte, 0, len(encoded)+32*len(add))
	slots := slices.Sorted(maps.Keys(add))
	for len(encoded) > 0 {
		slot, h, rest, err := cutPoint(encoded)
		if err != nil {
			return nil, err
		}
		for len(slots) > 0 && slots[0] < slot {
			out = appendPoint(out, slots[0], add[slots[0]])
			slots = slots[1:]
		}
		if len(slots) > 0 && slots[0] == slot {
			h.Merge(add[slot])
			out = appendPoint(out, slot, &h)
			slots = slots[1:]
		} else {
			out = append(out, encoded[:len(encoded)-len(rest)]...)
		}
		encoded = rest
	}
	for _, slot := range slots {
		out = appendPoint(out, slot, add[slot])
	}
	return out, nil
}

func appendPoint(b []byte, slot int64, h *histogram.Histogram) []byte {
	return h.AppendBinary(binary.AppendUvarint(b, uint64(slot)))
}

func cutPoint(b []byte) (slot int64, h histogram.Histogram, rest []byte, err error) {
	v, n := binary.Uvarint(b)
	if n <= 0 || v > 1<<20 {
		return 0, h, nil, fmt.Errorf("metric data: %w", histogram.ErrMalformed)
	}
	if h, rest, err = histogram.Cut(b[n:]); err != nil {
		return 0, h, nil, fmt.Errorf("metric data: %w", err)
	}
	return int64(v), h, rest, nil
}

// read calls fn with the numbers of a metric in a unit, from one time to before another. Tiers come one after another, and each in the order of time.
func read(r store.Reader, h home, id metricID, unit string, fine bool, from, to, now time.Time, fn func(at time.Time, h *histogram.Histogram)) error {
	for i, t := range tiers {
		// Numbers become coarser a little later than they could. A tier that cannot have any of the time is not looked at.
		if i == 0 && (!fine || to.Before(now.Add(-t.keep-2*rollEvery))) || i > 1 && from.After(now.Add(-tiers[i-1].keep)) {
			continue
		}
		q := store.Query{
			Prefix: store.Key{id.bytes(), unit, int64(t.resolution / time.Second)}, From: store.Key{from.Truncate(t.span)}, To: store.Key{to},
		}
		for d, err := range dataTable.In(h.account, h.region).Scan(r, q) {
			if err != nil {
				return fmt.Errorf("reading metric data: %w", err)
			}
			if err := d.each(t, from, to, fn); err != nil {
				return err
			}
		}
	}
	return nil
}

// each calls fn with the points of a row, from one time to before another.
func (d *dataRecord) each(t tier, from, to time.Time, fn func(at time.Time, h *histogram.Histogram)) error {
	for b := d.Points; len(b) > 0; {
		slot, h, rest, err := cutPoint(b)
		if err != nil {
			return err
		}
		if at := d.Start.Add(time.Duration(slot) * t.resolution); !at.Before(from) && at.Before(to) {
			fn(at, &h)
		}
		b = rest
	}
	return nil
}

// periods sums the numbers of a metric up by periods, which follow each other from one time to before another. Those without numbers are left out.
func periods(r store.Reader, h home, id metricID, unit string, fine bool, from, to, now time.Time, period time.Duration) ([]point, error) {
	if oldest := now.Add(-keepFor - 24*time.Hour); from.Before(oldest) {
		from = from.Add(oldest.Sub(from).Truncate(period))
	}
	found := make(map[int64]*histogram.Histogram)
	err := read(r, h, id, unit, fine, from, to, now, func(at time.Time, h *histogram.Histogram) {
		n := int64(at.Sub(from) / period)
		if there := found[n]; there != nil {
			there.Merge(h)
		} else {
			found[n] = h.Clone()
		}
	})
	out := make([]point, 0, len(found))
	for _, n := range slices.Sorted(maps.Keys(found)) {
		out = append(out, point{from.Add(time.Duration(n) * period), *found[n]})
	}
	return out, err
}

package cloudwatch

import (
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/histogram"
	"github.com/holdfast-cloud/holdfast/store"
)

const (
	rollTimer = "roll"

	// rollEvery is how often rows of the first tier are rolled up; others are once a day.
	rollEvery = time.Hour

	// rollRows is how many rows one pass rolls up.
	rollRows = 100
)

// schedule has a new row rolled up when its tier does not keep it any more.
func schedule(tx store.Tx, h home, t int, at place) error {
	every := 24 * time.Hour
	if t == 0 {
		every = rollEvery
	}
	due := at.Start.Add(tiers[t].span + tiers[t].keep + every).Truncate(every)
	rolls := rollTable.In(h.account, h.region)
	if err := rolls.Put(tx, &rollRecord{due, at}); err != nil {
		return err
	}
	// The timer is that of the first roll.
	for first, err := range rolls.Scan(tx, store.Query{Limit: 1}) {
		if err != nil {
			return fmt.Errorf("looking for the next roll: %w", err)
		}
		if !first.Due.Before(due) {
			return set(tx, h, rollTimer, "", due, nil)
		}
	}
	return nil
}

// roll carries a pass of rolling up out.
func (s *Service) roll(c *call.Call, _ string, _ []byte) error {
	h := home{c.Scope.Account, c.Scope.Region}
	var due []*rollRecord
	next := time.Time{}
	for r, err := range rollTable.In(h.account, h.region).Scan(c.Tx(), store.Query{Limit: rollRows + 1}) {
		if err != nil {
			return fmt.Errorf("looking for what is to be rolled up: %w", err)
		}
		if r.Due.After(c.Time) || len(due) == rollRows {
			next = r.Due
			break
		}
		due = append(due, r)
	}
	for _, r := range due {
		if err := rollUp(c.Tx(), h, r); err != nil {
			return err
		}
	}
	// Rolling up may have written rows that are due as well: what is first is looked for again.
	for r, err := range rollTable.In(h.account, h.region).Scan(c.Tx(), store.Query{Limit: 1}) {
		if err != nil {
			return fmt.Errorf("looking for the next roll: %w", err)
		}
		next = r.Due
	}
	if next.IsZero() {
		return nil
	}
	if next.Before(c.Time) {
		next = c.Time
	}
	return set(c.Tx(), h, rollTimer, "", next, nil)
}

// rollUp moves the numbers of a row into the next tier, or forgets them.
func rollUp(tx store.Tx, h home, r *rollRecord) error {
	if err := rollTable.In(h.account, h.region).Delete(tx, append(store.Key{r.Due}, r.place.key()...)...); err != nil {
		return err
	}
	d, err := dataTable.In(h.account, h.region).Get(tx, r.place.key()...)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("loading metric data: %w", err)
	}
	t := 0
	for tiers[t].resolution != time.Duration(d.Resolution)*time.Second {
		if t++; t == len(tiers) {
			return fmt.Errorf("metric data with a resolution of %d s", d.Resolution)
		}
	}
	if err := dataTable.In(h.account, h.region).Delete(tx, r.place.key()...); err != nil {
		return err
	}
	if t+1 < len(tiers) {
		up := &pending{rows: make(map[row]map[int64]*histogram.Histogram)}
		err := d.each(tiers[t], time.Time{}, d.Start.Add(tiers[t].span), func(at time.Time, h *histogram.Histogram) {
			up.put(t+1, d.Unit, at.Truncate(tiers[t+1].resolution), h)
		})
		if err != nil {
			return err
		}
		return up.store(tx, h, metricID(d.Metric))
	}
	return forgetMetric(tx, h, d.Metric)
}

// forgetMetric forgets a metric of which nothing is left.
func forgetMetric(tx store.Tx, h home, id []byte) error {
	n, err := dataTable.In(h.account, h.region).Count(tx, store.Query{Prefix: store.Key{id}, Limit: 1})
	if err != nil || n > 0 {
		return err
	}
	for m, err := range metricTable.In(h.account, h.region).Scan(tx, store.Query{Index: "id", Prefix: store.Key{id}, Limit: 1}) {
		if err != nil {
			return err
		}
		return metricTable.In(h.account, h.region).Delete(tx, m.Namespace, m.Name, id)
	}
	return nil
}

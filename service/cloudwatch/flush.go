package cloudwatch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/meter"
	"github.com/holdfast-cloud/holdfast/store"
)

const (
	// flushEvery is how often, in wall time, what services have counted is stored. A crash loses no more of it than this.
	flushEvery = 5 * time.Second

	// flushedAtOnce is how many series and minutes one transaction stores.
	flushedAtOnce = 200

	// maxLeft is how many series and minutes are kept that could not be stored. More are forgotten.
	maxLeft = 50_000
)

// Run stores what services count until ctx ends, and then once more.
func (s *Service) Run(ctx context.Context) {
	for range clock.Tick(ctx, flushEvery) {
		if _, err := s.Flush(ctx); err != nil && ctx.Err() == nil {
			s.cfg.Report(err)
		}
	}
	last, stop := context.WithTimeout(context.WithoutCancel(ctx), flushEvery)
	defer stop()
	if _, err := s.Flush(last); err != nil {
		s.cfg.Report(err)
	}
}

// Flush stores what services have counted so far, and reports whether there was anything. Before the clock is moved on it is called, too, so that what has happened is there when
// alarms are evaluated.
func (s *Service) Flush(ctx context.Context) (stored bool, err error) {
	if s.cfg.Meter == nil {
		return false, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Clock.Now()
	if minute := now.Truncate(time.Minute); minute != s.read {
		s.read = minute
		s.cfg.Meter.Read(ctx, now)
	}
	points := append(s.left, s.cfg.Meter.Take()...)
	s.left = nil
	if len(points) == 0 {
		return false, nil
	}
	// Series by series, and those of an account and region together.
	slices.SortFunc(points, func(a, b meter.Point) int {
		return cmp.Or(cmp.Compare(a.Series.Account, b.Series.Account), cmp.Compare(a.Series.Region, b.Series.Region),
			cmp.Compare(a.Series.Namespace, b.Series.Namespace), cmp.Compare(a.Series.Name, b.Series.Name), a.Minute.Compare(b.Minute))
	})
	var failed []error
	for len(points) > 0 {
		h := home{points[0].Series.Account, points[0].Series.Region}
		n := 1
		for n < len(points) && n < flushedAtOnce && points[n].Series.Account == h.account && points[n].Series.Region == h.region {
			n++
		}
		if err := s.flush(ctx, h, points[:n], now); err != nil {
			// Those of other accounts do not wait for it.
			s.left = append(s.left, points[:min(n, max(0, maxLeft-len(s.left)))]...)
			failed = append(failed, fmt.Errorf("storing the metrics of services: %w", err))
		} else {
			stored = true
		}
		points = points[n:]
	}
	return stored, errors.Join(failed...)
}

func (s *Service) flush(ctx context.Context, h home, points []meter.Point, now time.Time) error {
	return s.cfg.Store.Update(ctx, func(tx store.Tx) error {
		b := newBatch()
		for i := range points {
			p := &points[i]
			m := metric{namespace: p.Series.Namespace, name: p.Series.Name}
			for _, d := range p.Series.Dimensions {
				m.dimensions = append(m.dimensions, dimension{d.Name, d.Value})
			}
			m.sort()
			unit := p.Series.Unit
			if unit == "" {
				unit = meter.None
			}
			b.add(m, unit, false, p.Minute, &p.Histogram)
		}
		return b.store(tx, h, now)
	})
}

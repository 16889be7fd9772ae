package sqs

import (
	"context"
	"time"

	"github.com/holdfast-cloud/holdfast/meter"
	"github.com/holdfast-cloud/holdfast/store"
)

// metrics are what the service publishes:
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
type metrics struct{ meter *meter.Meter }

func series(q *queueRecord, name, unit string) meter.Series {
	return meter.Series{
		Account: q.Account, Region: q.Region, Namespace: "AWS/SQS", Name: name, Unit: unit, Dimensions: []meter.Dimension{{Name: "QueueName", Value: q.Name}},
	}
}

func (m metrics) add(q *queueRecord, name, unit string, at time.Time, value float64) {
	m.meter.Add(series(q, name, unit), at, value)
}

func (m metrics) sent(q *queueRecord, at time.Time, bytes int) {
	m.add(q, "NumberOfMessagesSent", meter.Count, at, 1)
	m.add(q, "SentMessageSize", meter.Bytes, at, float64(bytes))
}

func (m metrics) received(q *queueRecord, at time.Time, n int) {
	if n == 0 {
		m.add(q, "NumberOfEmptyReceives", meter.Count, at, 1)
		return
	}
	m.add(q, "NumberOfMessagesReceived", meter.Count, at, float64(n))
}

func (m metrics) deleted(q *queueRecord, at time.Time) {
	m.add(q, "NumberOfMessagesDeleted", meter.Count, at, 1)
}

// gauge publishes how many messages each queue holds that this process has counted, as GetQueueAttributes and all who send and receive have it do. Counting every queue of the cloud for
// its own sake, each minute, would cost more than it tells.
func (s *Service) gauge(ctx context.Context, at time.Time, add meter.Adder) {
	_ = s.cfg.Store.View(ctx, func(r store.Reader) error { // what is not published now is in a minute
		for row, err := range queueTable.All(r) {
			if err != nil {
				return err
			}
			f := s.fronts.known(row.Record.Pile)
			if f == nil {
				continue
			}
			n, err := f.number(ctx, s.cfg.Store, row.Record.FIFO, at)
			if err != nil {
				return err
			}
			add(series(row.Record, "ApproximateNumberOfMessagesVisible", meter.Count), float64(n.visible))
			add(series(row.Record, "ApproximateNumberOfMessagesNotVisible", meter.Count), float64(n.flying))
			add(series(row.Record, "ApproximateNumberOfMessagesDelayed", meter.Count), float64(n.delayed))
			age, err := f.age(r, at)
			if err != nil {
				return err
			}
			add(series(row.Record, "ApproximateAgeOfOldestMessage", meter.Seconds), age.Seconds())
		}
		return nil
	})
}

// age is how long ago the oldest message was sent.
func (f *front) age(r store.Reader, at time.Time) (time.Duration, error) {
	from, found := f.seek()
	for kv, err := range r.Scan(f.pile.message(from), store.PrefixEnd(f.pile.key("message")), store.ScanOptions{Limit: 1}) {
		if err != nil {
			return 0, err
		}
		seq, err := lastNumber(kv.Key)
		if err != nil {
			return 0, err
		}
		found(seq)
		return max(0, at.Sub(unix(int64(seq)))), nil
	}
	return 0, nil
}

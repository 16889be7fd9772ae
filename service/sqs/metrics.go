package sqs

import (
	"time"

	"github.com/holdfast-cloud/holdfast/meter"
)

// metrics are what the service publishes:
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
type metrics struct{ meter *meter.Meter }

func (m metrics) add(q *queueRecord, name, unit string, at time.Time, value float64) {
	m.meter.Add(meter.Series{
		Account: q.Account, Region: q.Region, Namespace: "AWS/SQS", Name: name, Unit: unit, Dimensions: []meter.Dimension{{Name: "QueueName", Value: q.Name}},
	}, at, value)
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

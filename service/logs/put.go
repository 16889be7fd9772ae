package logs

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/logs"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/meter"
)

// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
const (
	maxBatch = 1 << 20 // bytes, with those that AWS counts for each event
	maxAge   = 14 * day
	maxAhead = 2 * time.Hour
)

// PutLogEvents takes in a batch of events.
func (s *Service) PutLogEvents(c *call.Call, in *logs.PutLogEventsRequest) (*logs.PutLogEventsResponse, error) {
	g, err := look(c, optional.Value(in.LogGroupName))
	g, st, err := s.findStream(g, err, optional.Value(in.LogStreamName))
	if err != nil {
		return nil, err
	}
	if err := checkBatch(in.LogEvents); err != nil {
		return nil, err
	}
	from, to, rejected := g.timely(in.LogEvents)
	out := &logs.PutLogEventsResponse{RejectedLogEventsInfo: rejected}
	if from < to {
		if *in.LogEvents[to-1].Timestamp-*in.LogEvents[from].Timestamp > maxSpan {
			return nil, invalid("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
		}
		if err := s.take(g, st, in.LogEvents[from:to]); err != nil {
			return nil, err
		}
	}
	out.NextSequenceToken = new(st.token())
	return out, nil
}

// checkBatch refuses a batch that is too large or out of order.
func checkBatch(events []logs.InputLogEvent) error {
	size := 0
	for i, e := range events {
		n := len(*e.Message) + eventOverhead
		if size += n; n > maxBatch {
			return invalid(fmt.Sprintf("Log event too large: %d bytes exceeds limit of %d", n, maxBatch))
		}
		if i > 0 && *e.Timestamp < *events[i-1].Timestamp {
			return invalid("Log events in a single PutLogEvents request must be in chronological order.")
		}
	}
	if size > maxBatch {
		return invalid(fmt.Sprintf("Upload too large: %d bytes exceeds limit of %d", size, maxBatch))
	}
	return nil
}

// timely tells which events of a batch are neither too old nor too new.
func (g *group) timely(events []logs.InputLogEvent) (from, to int, rejected *logs.RejectedLogEventsInfo) {
	oldest, expired, newest := g.c.Time.Add(-maxAge).UnixMilli(), g.oldest(), g.c.Time.Add(maxAhead).UnixMilli()
	r := new(logs.RejectedLogEventsInfo)
	for to = len(events); to > 0 && *events[to-1].Timestamp > newest; to-- {
		r.TooNewLogEventStartIndex, rejected = new(int32(to-1)), r
	}
	for ; from < to && *events[from].Timestamp < oldest; from++ {
		r.TooOldLogEventEndIndex, rejected = new(int32(from+1)), r
	}
	for ; from < to && *events[from].Timestamp < expired; from++ {
		r.ExpiredLogEventEndIndex, rejected = new(int32(from+1)), r
	}
	return from, to, rejected
}

// take writes events to a stream, and tells those who want to know of them.
func (s *Service) take(g *group, st *streamRecord, batch []logs.InputLogEvent) error {
	// The time at which events came never goes back in a stream, so that their order by it and their order by number are one.
	st.Ingested = max(st.Ingested, g.c.Time.UnixMilli())
	events := make([]event, len(batch))
	size := int64(0)
	for i, e := range batch {
		events[i] = event{Time: *e.Timestamp, Ingested: st.Ingested, Seq: st.Next, Message: *e.Message}
		size += events[i].size()
		st.Next++
	}
	first, last := events[0].Time, events[len(events)-1].Time
	if st.Last == 0 || first < st.First {
		st.First = first
	}
	st.Last = max(st.Last, last)
	st.Held += size
	if err := s.add(g, st, events); err != nil {
		return err
	}
	if err := g.streams().Put(g.c.Tx(), st); err != nil {
		return err
	}
	if err := g.grow(st.ID, size); err != nil {
		return err
	}
	s.count(g, "IncomingBytes", meter.Bytes, float64(size))
	s.count(g, "IncomingLogEvents", meter.Count, float64(len(events)))
	return s.filtered(g, st, events)
}

// count publishes a metric of the service's own for a group, once the call has committed.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CloudWatch-Logs-Monitoring-CloudWatch-Metrics.html
func (s *Service) count(g *group, name, unit string, value float64, dimensions ...meter.Dimension) {
	if s.cfg.Meter == nil {
		return
	}
	at := g.c.Time
	series := meter.Series{
		Account: g.scope.Account, Region: g.scope.Region, Namespace: "AWS/Logs", Name: name, Unit: unit,
		Dimensions: append([]meter.Dimension{{Name: "LogGroupName", Value: g.Name}}, dimensions...),
	}
	g.c.Tx().OnCommitted(func() { s.cfg.Meter.Add(series, at, value) })
}

// token is what the stream's next batch was to name once. Nothing asks for it any more.
func (st *streamRecord) token() string { return fmt.Sprintf("49%054d", st.Next) }

// list is numbers as messages have them.
func list(numbers ...int) string {
	words := make([]string, len(numbers))
	for i, n := range numbers {
		words[i] = strconv.Itoa(n)
	}
	return strings.Join(words, ", ")
}

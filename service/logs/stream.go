package logs

import (
	"errors"

	"github.com/holdfast-cloud/holdfast/api/logs"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// CreateLogStream makes a log stream.
func (s *Service) CreateLogStream(c *call.Call, in *logs.CreateLogStreamRequest) (*logs.CreateLogStreamResponse, error) {
	name := optional.Value(in.LogStreamName)
	g, err := look(c, optional.Value(in.LogGroupName))
	g, st, err := s.askStream(g, err, name)
	if err != nil {
		return nil, err
	}
	if st != nil {
		return nil, &logs.ResourceAlreadyExistsException{Message: "The specified log stream already exists"}
	}
	st = &streamRecord{Group: g.ID, Name: name, Created: c.Time, Next: 1}
	if st.ID, err = randomID(c.Rand); err != nil {
		return nil, err
	}
	return &logs.CreateLogStreamResponse{}, g.streams().Insert(c.Tx(), st)
}

// DeleteLogStream deletes a stream. What was in it is removed bit by bit, and shows no more.
func (s *Service) DeleteLogStream(c *call.Call, in *logs.DeleteLogStreamRequest) (*logs.DeleteLogStreamResponse, error) {
	g, err := look(c, optional.Value(in.LogGroupName))
	g, st, err := s.findStream(g, err, optional.Value(in.LogStreamName))
	if err != nil {
		return nil, err
	}
	if g.Protected {
		return nil, &logs.ValidationException{Message: "Log stream cannot be deleted because deletion protection is enabled on its log group."}
	}
	err = errors.Join(g.streams().Delete(c.Tx(), g.ID, st.Name), g.grow(st.ID, -st.Held), g.purge(st.ID))
	return &logs.DeleteLogStreamResponse{}, err
}

// DescribeLogStreams lists the streams of a group, by name or by their last event.
func (s *Service) DescribeLogStreams(c *call.Call, in *logs.DescribeLogStreamsRequest) (*logs.DescribeLogStreamsResponse, error) {
	g, err := identified(c, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, c.Reject(err)
	}
	if g, err = s.find(g, nil); err != nil {
		return nil, err
	}
	q := store.Query{Prefix: store.Key{g.ID}, Reverse: optional.Value(in.Descending), Limit: limitOf(in.Limit, maxListed)}
	switch {
	case in.OrderBy == logs.OrderByLastEventTime && in.LogStreamNamePrefix != nil:
		return nil, invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
	case in.OrderBy == logs.OrderByLastEventTime:
		q.Index = "recent"
	case in.LogStreamNamePrefix != nil:
		q.Prefix = append(q.Prefix, store.Begin(*in.LogStreamNamePrefix))
	}
	records, next, err := g.streams().Page(c.Tx(), q, optional.Value(in.NextToken), "", nil)
	if err != nil {
		return nil, badToken(err)
	}
	out := &logs.DescribeLogStreamsResponse{LogStreams: make([]logs.LogStream, len(records)), NextToken: optional.NonZero(next)}
	for i, st := range records {
		out.LogStreams[i] = logs.LogStream{
			LogStreamName: &st.Name, CreationTime: new(st.Created.UnixMilli()), Arn: new(streamARN(g.scope, g.Name, st.Name)),
			StoredBytes: new(int64(0)), // as of 2019, of all streams
		}
		if st.Last > 0 {
			l := &out.LogStreams[i]
			l.FirstEventTimestamp, l.LastEventTimestamp, l.LastIngestionTime, l.UploadSequenceToken = &st.First, &st.Last, &st.Ingested, new(st.token())
		}
	}
	return out, nil
}

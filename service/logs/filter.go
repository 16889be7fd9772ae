package logs

import (
	"encoding/json"
	"errors"
	"math"
	"slices"

	"github.com/holdfast-cloud/holdfast/api/logs"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/logpattern"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/pagetoken"
	"github.com/holdfast-cloud/holdfast/wire"
)

// FilterLogEvents lists the events of a group that match a pattern, of all its streams or of some.
func (s *Service) FilterLogEvents(c *call.Call, in *logs.FilterLogEventsRequest) (*logs.FilterLogEventsResponse, error) {
	g, err := identified(c, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, c.Reject(err)
	}
	if g, err = s.find(g, nil); err != nil {
		return nil, err
	}
	switch {
	case in.LogStreamNames != nil && in.LogStreamNamePrefix != nil:
		return nil, invalid("LogStream names and LogStream name prefix are mutually exclusive parameters.")
	case optional.Value(in.Unmask):
		return nil, wire.NotImplemented(logs.Service.Package, c.Op.Name+" with unmask")
	}
	pattern, err := s.pattern(c, optional.Value(in.FilterPattern), "Invalid filter pattern")
	if err != nil {
		return nil, err
	}
	w := &window{From: max(optional.Value(in.StartTime), g.oldest()), To: math.MaxInt64, Reverse: in.StartFromHead != nil && !*in.StartFromHead}
	if in.EndTime != nil && *in.EndTime < math.MaxInt64 {
		w.To = *in.EndTime + 1
	}
	listing, err := listingOf(g, in)
	if err != nil {
		return nil, err
	}
	if in.NextToken != nil {
		if err := w.resume(listing, *in.NextToken); err != nil {
			return nil, err
		}
	}
	w.narrow()
	p := &page{limit: limitOf(in.Limit, maxPage), reverse: w.Reverse}
	if w.From < w.To {
		streams, err := g.searched(in, w)
		if err != nil {
			return nil, err
		}
		if err := s.search(g, streams, w, p, pattern.Match); err != nil {
			return nil, err
		}
	}
	events := p.events()
	out := &logs.FilterLogEventsResponse{Events: make([]logs.FilteredLogEvent, len(events)), SearchedLogStreams: []logs.SearchedLogStream{}}
	for i, e := range events {
		out.Events[i] = logs.FilteredLogEvent{
			LogStreamName: &e.stream.Name, Timestamp: new(e.Time), Message: new(e.Message), IngestionTime: new(e.Ingested), EventId: new(e.stream.eventID(e.Time, e.Seq)),
		}
	}
	if p.bound != nil {
		if out.NextToken, err = p.token(listing); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// pattern compiles a pattern, or answers with the words of an operation that it is none.
func (s *Service) pattern(c *call.Call, text, words string) (*logpattern.Pattern, error) {
	p, err := s.patterns.Get(c.Context, text)
	if syntax, ok := errors.AsType[*logpattern.SyntaxError](err); ok {
		if syntax.Term != "" {
			words = syntax.Error()
		}
		return nil, invalid(words)
	}
	return p, err
}

// searched are the streams of a request that may have events in the window.
func (g *group) searched(in *logs.FilterLogEventsRequest, w *window) (streams []*streamRecord, err error) {
	add := func(st *streamRecord) {
		if st.Last >= w.From && st.First < w.To && st.Last > 0 {
			streams = append(streams, st)
		}
	}
	if in.LogStreamNames != nil {
		for _, name := range slices.Compact(slices.Sorted(slices.Values(in.LogStreamNames))) {
			st, err := g.streams().Get(g.c.Tx(), g.ID, name)
			if errors.Is(err, store.ErrNotFound) {
				return nil, noStream()
			}
			if err != nil {
				return nil, err
			}
			add(st)
		}
		return streams, nil
	}
	q := store.Query{Prefix: store.Key{g.ID}}
	switch {
	case in.LogStreamNamePrefix != nil:
		q.Prefix = append(q.Prefix, store.Begin(*in.LogStreamNamePrefix))
	case w.Reverse:
		q.Index = "oldest"
		if w.To < math.MaxInt64 {
			q.To = store.Key{w.To}
		}
	default:
		q.Index, q.From = "recent", store.Key{w.From} // the further a listing has come, the fewer streams are left
	}
	for st, err := range g.streams().Scan(g.c.Tx(), q) {
		if err != nil {
			return nil, err
		}
		add(st)
	}
	return streams, nil
}

// listingOf describes what a request lists, to which a token is bound.
func listingOf(g *group, in *logs.FilterLogEventsRequest) (string, error) {
	b, err := json.Marshal([]any{g.ID, in.LogStreamNames, in.LogStreamNamePrefix, in.StartTime, in.EndTime, in.FilterPattern})
	return "events " + string(b), err
}

// resumption is where a listing goes on: behind a position.
type resumption struct {
	At      position
	Reverse bool
}

// token is for what is behind the page.
func (p *page) token(listing string) (*string, error) {
	r := resumption{At: *p.bound, Reverse: p.reverse}
	switch {
	case !p.ended:
		r.At = p.held[len(p.held)-1].position()
	case !p.reverse:
		r.At = position{Time: p.bound.Time - 1, Ingested: math.MaxInt64} // all before the bound was searched
	}
	b, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return new(pagetoken.Encode(listing, b)), nil
}

// resume moves the window to where a token says.
func (w *window) resume(listing, token string) error {
	b, err := pagetoken.Decode(listing, token)
	var r resumption
	if err != nil || json.Unmarshal(b, &r) != nil {
		return invalid("The specified nextToken is invalid.")
	}
	w.After, w.Reverse = &r.At, r.Reverse
	return nil
}

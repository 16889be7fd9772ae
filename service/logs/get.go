package logs

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/logs"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/wire"
)

// GetLogEvents lists the events of a stream.
func (s *Service) GetLogEvents(c *call.Call, in *logs.GetLogEventsRequest) (*logs.GetLogEventsResponse, error) {
	g, err := identified(c, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, c.Reject(err)
	}
	g, st, err := s.findStream(g, nil, optional.Value(in.LogStreamName))
	if err != nil {
		return nil, err
	}
	if optional.Value(in.Unmask) {
		return nil, wire.NotImplemented(logs.Service.Package, c.Op.Name+" with unmask")
	}
	w := &window{From: max(optional.Value(in.StartTime), g.oldest()), To: math.MaxInt64, Reverse: !optional.Value(in.StartFromHead)}
	if in.EndTime != nil {
		w.To = *in.EndTime
	}
	if in.NextToken != nil {
		if w.After, w.Reverse, err = st.parseToken(*in.NextToken); err != nil {
			return nil, err
		}
	}
	w.narrow()
	p := &page{limit: limitOf(in.Limit, maxPage), reverse: w.Reverse}
	if w.From < w.To {
		if err := s.search(g, []*streamRecord{st}, w, p, nil); err != nil {
			return nil, err
		}
	}
	events := p.events()
	if w.Reverse {
		slices.Reverse(events)
	}
	out := &logs.GetLogEventsResponse{Events: make([]logs.OutputLogEvent, len(events))}
	for i, e := range events {
		out.Events[i] = logs.OutputLogEvent{Timestamp: new(e.Time), Message: new(e.Message), IngestionTime: new(e.Ingested)}
	}
	first, last := position{Time: max(0, optional.Value(in.StartTime))}, position{Time: max(0, optional.Value(in.StartTime))}
	switch {
	case len(events) > 0:
		first, last = events[0].position(), events[len(events)-1].position()
	case w.After != nil:
		first, last = *w.After, *w.After
	}
	out.NextBackwardToken, out.NextForwardToken = new(st.toToken("b", first)), new(st.toToken("f", last))
	return out, nil
}

// An event's ID is a number of 56 digits that orders events by their time: that, 64 bits of the stream's name, and the event's number.
const (
	seqBits    = 80
	streamBits = 64
	idDigits   = 56
)

// mark tells streams apart in the IDs of their events.
func (st *streamRecord) mark() *big.Int {
	sum := sha256.Sum256([]byte(st.ID))
	return new(big.Int).SetUint64(binary.BigEndian.Uint64(sum[:8]))
}

// eventID names an event.
func (st *streamRecord) eventID(time int64, seq uint64) string {
	n := new(big.Int).Lsh(big.NewInt(time), streamBits)
	n.Or(n, st.mark()).Lsh(n, seqBits)
	return fmt.Sprintf("%0*d", idDigits, n.Or(n, new(big.Int).SetUint64(seq)))
}

// toToken makes the token for what comes after an event, or before it.
func (st *streamRecord) toToken(direction string, p position) string {
	return direction + "/" + st.eventID(p.Time, p.Seq) + "/s"
}

// parseToken reads such a token.
func (st *streamRecord) parseToken(token string) (at *position, backward bool, err error) {
	bad := invalid("The specified nextToken is invalid.")
	direction, rest, _ := strings.Cut(token, "/")
	digits, isToken := strings.CutSuffix(rest, "/s")
	if !isToken || direction != "f" && direction != "b" || len(digits) < idDigits || len(digits) > 2*idDigits || strings.Trim(digits, "0123456789") != "" {
		return nil, false, bad
	}
	n, ok := new(big.Int).SetString(digits, 10)
	if !ok {
		return nil, false, bad
	}
	seq := new(big.Int).And(n, big.NewInt(0).SetUint64(math.MaxUint64))
	time := new(big.Int).Rsh(n, streamBits+seqBits)
	if !time.IsInt64() || st.toToken(direction, position{Time: time.Int64(), Seq: seq.Uint64()}) != token {
		return nil, false, bad // of another stream, or made up
	}
	return &position{Time: time.Int64(), Stream: st.ID, Seq: seq.Uint64()}, direction == "b", nil
}

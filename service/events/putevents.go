package events

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/events"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/eventpattern"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/outbox"
)

// maxPut is the size of the entries of a request together:
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html#eb-putevent-size
const maxPut = 256 << 10

// PutEvents puts events on buses. An entry that is refused does not keep the others from it. Events for a bus that is not there vanish, as AWS has it.
func (s *Service) PutEvents(c *call.Call, in *events.PutEventsRequest) (*events.PutEventsResponse, error) {
	if in.EndpointId != nil {
		return nil, notDelivered("global endpoints")
	}
	size := 0
	for i := range in.Entries {
		size += entrySize(&in.Entries[i])
	}
	buses, err := s.admit(c, in.Entries)
	if err != nil {
		return nil, err
	}
	if size > maxPut {
		return nil, invalid("Total size of the entries in the request is over the limit.")
	}
	out := &events.PutEventsResponse{Entries: make([]events.PutEventsResultEntry, len(in.Entries))}
	failed, room := int32(0), newRoom()
	for i := range in.Entries {
		entry := &in.Entries[i]
		if code, message := refused(entry); code != "" {
			out.Entries[i] = events.PutEventsResultEntry{ErrorCode: &code, ErrorMessage: &message}
			failed++
			continue
		}
		b := buses[i]
		e := &outbox.Event{
			ID: c.UUID(), DetailType: *entry.DetailType, Source: *entry.Source, Account: c.Scope.Account, Time: c.Time, Region: b.Region, Resources: entry.Resources,
			Detail: json.RawMessage(*entry.Detail),
		}
		if entry.Time != nil {
			e.Time = *entry.Time
		}
		out.Entries[i] = events.PutEventsResultEntry{EventId: &e.ID}
		if !b.there {
			continue
		}
		h := &heard{Event: e, Bus: b.key(), Trace: optional.Value(entry.TraceHeader), room: room}
		if err := s.publish(c, h); err != nil {
			return nil, err
		}
	}
	out.FailedEntryCount = &failed
	s.countPut(c, len(in.Entries), int(failed), size)
	return out, nil
}

// entrySize is the size of an entry as AWS counts it.
func entrySize(e *events.PutEventsRequestEntry) int {
	n := len(optional.Value(e.Source)) + len(optional.Value(e.DetailType)) + len(optional.Value(e.Detail))
	if e.Time != nil {
		n += 14
	}
	for _, r := range e.Resources {
		n += len(r)
	}
	return n
}

// admit asks for events:PutEvents on the bus of each entry, with what is put there, and returns these buses.
func (s *Service) admit(c *call.Call, entries []events.PutEventsRequestEntry) ([]*bus, error) {
	type question struct{ bus, source, detailType string }
	asked := make(map[question]*bus, 1)
	buses := make([]*bus, len(entries))
	for i := range entries {
		e := &entries[i]
		q := question{optional.Value(e.EventBusName), optional.Value(e.Source), optional.Value(e.DetailType)}
		if b := asked[q]; b != nil {
			buses[i] = b
			continue
		}
		b, err := s.named(c, e.EventBusName)
		if err != nil {
			return nil, err
		}
		r := b.resource(c.Scope.Partition)
		r.Conditions = putConditions(q.source, q.detailType, false)
		if err := c.Authorize(r); err != nil {
			return nil, err
		}
		if b.Region != c.Scope.Region || b.EventSource != "" {
			b.there = false // events come to other regions by rules, and to the bus of a partner from the partner alone
		}
		asked[q], buses[i] = b, b
	}
	return buses, nil
}

// putConditions are the condition keys of events that are put on a bus: by a caller, or by a rule of another bus.
func putConditions(source, detailType string, byBus bool) policy.Values {
	v := policy.Values{}
	if source != "" {
		v.Set("events:source", source)
	}
	if detailType != "" {
		v.Set("events:detail-type", detailType)
	}
	v.Set("events:eventBusInvocation", map[bool]string{false: "false", true: "true"}[byBus])
	return v
}

// refused is what an entry is refused with, if it is: https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html
func refused(e *events.PutEventsRequestEntry) (code, message string) {
	required := func(name string) (string, string) {
		return "InvalidArgument", "Parameter " + name + " is not valid. Reason: " + name + " is a required argument."
	}
	switch {
	case optional.Value(e.Source) == "":
		return required("Source")
	case optional.Value(e.DetailType) == "":
		return required("DetailType")
	case optional.Value(e.Detail) == "":
		return required("Detail")
	case e.Time != nil && e.Time.Year() < 1: // which no JSON has
		return "InvalidArgument", "Parameter Time is not valid. Reason: Time is out of range."
	case strings.HasPrefix(*e.Source, "aws."):
		return "NotAuthorizedForSourceException", "Not authorized for the source."
	}
	detail := []byte(*e.Detail)
	if trimmed := bytes.TrimLeft(detail, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' || !json.Valid(detail) || eventpattern.Check(detail) != nil {
		return "MalformedDetail", "Detail is malformed."
	}
	return "", ""
}

// envelope is an event as targets get it.
type envelope struct {
	Version    string          `json:"version"`
	ID         string          `json:"id"`
	DetailType string          `json:"detail-type"`
	Source     string          `json:"source"`
	Account    string          `json:"account"`
	Time       string          `json:"time"`
	Region     string          `json:"region"`
	Resources  []string        `json:"resources"`
	Replay     string          `json:"replay-name,omitempty"`
	Detail     json.RawMessage `json:"detail"`
}

// encode makes the JSON of an event.
func encode(e *outbox.Event, replay string) ([]byte, error) {
	x := envelope{
		Version: "0", ID: e.ID, DetailType: e.DetailType, Source: e.Source, Account: e.Account, Time: e.Time.UTC().Format(time.RFC3339), Region: e.Region,
		Resources: e.Resources, Replay: replay, Detail: e.Detail,
	}
	if x.Resources == nil {
		x.Resources = []string{}
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(&x); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

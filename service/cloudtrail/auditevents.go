package cloudtrail

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	data "github.com/holdfast-cloud/holdfast/api/cloudtraildata"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

// The codes of events that PutAuditEvents does not take.
const (
	fieldTooLong     = "FieldTooLong"
	fieldNotFound    = "FieldNotFound"
	invalidChecksum  = "InvalidChecksum"
	invalidData      = "InvalidData"
	invalidRecipient = "InvalidRecipient"
	notSubscribed    = "AccountNotSubscribed"
)

// maxAuditEvent is how large an event may be, as any event of CloudTrail.
const maxAuditEvent = 256 << 10

// auditEvent is what an event from outside looks like:
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/query-integration-event-schema.html
type auditEvent struct {
	Version      *string         `json:"version"`
	UserIdentity *outsideUser    `json:"userIdentity"`
	UserAgent    *string         `json:"userAgent"`
	EventSource  *string         `json:"eventSource"`
	EventName    *string         `json:"eventName"`
	EventTime    *string         `json:"eventTime"`
	UID          *string         `json:"UID"`
	Parameters   json.RawMessage `json:"requestParameters"`
	Response     json.RawMessage `json:"responseElements"`
	ErrorCode    *string         `json:"errorCode"`
	ErrorMessage *string         `json:"errorMessage"`
	SourceIP     *string         `json:"sourceIPAddress"`
	Recipient    *string         `json:"recipientAccountId"`
	Additional   json.RawMessage `json:"additionalEventData"`
}

type outsideUser struct {
	Type        *string         `json:"type"`
	PrincipalID *string         `json:"principalId"`
	Details     json.RawMessage `json:"details"`
}

// fault is why an event is not taken.
type fault struct{ code, message string }

func (f *fault) Error() string { return f.code + ": " + f.message }

// PutAuditEvents takes events from outside through a channel. Those that it says were taken are durable, and queries find them at once.
func (s *Service) PutAuditEvents(c *call.Call, in *data.PutAuditEventsRequest) (*data.PutAuditEventsResponse, error) {
	ch, err := s.channelToPut(c, in)
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool, len(in.AuditEvents))
	for i := range in.AuditEvents {
		if id := *in.AuditEvents[i].Id; seen[id] {
			return nil, &data.DuplicatedAuditEventId{Message: "Two or more entries in the request have the same event ID: " + id}
		} else {
			seen[id] = true
		}
	}
	stores, err := s.destinations(c, ch)
	if err != nil {
		return nil, err
	}
	out := &data.PutAuditEventsResponse{Failed: []data.ResultErrorEntry{}, Successful: []data.AuditEventResultEntry{}}
	var taken []*pendingRecord
	var last channelStatusRecord
	for i := range in.AuditEvents {
		e := &in.AuditEvents[i]
		record, err := s.takeEvent(c, ch, e)
		if err == nil && len(stores) == 0 {
			err = &fault{notSubscribed, "The channel has no event data store that takes events."}
		}
		if f, ok := errors.AsType[*fault](err); ok {
			out.Failed = append(out.Failed, data.ResultErrorEntry{Id: e.Id, ErrorCode: &f.code, ErrorMessage: &f.message})
			last = channelStatusRecord{At: c.Time, EventID: *e.Id, Error: f.code}
			continue
		}
		if err != nil {
			return nil, err
		}
		taken = append(taken, record)
		out.Successful = append(out.Successful, data.AuditEventResultEntry{Id: e.Id, EventID: &record.ID})
		last = channelStatusRecord{At: c.Time, EventID: record.ID}
	}
	if err := putChannelStatus(c, ch, lastAttempt, &last); err != nil {
		return nil, err
	}
	if len(taken) == 0 {
		return out, nil
	}
	for _, d := range stores {
		if err := s.pend(c, d, taken...); err != nil {
			return nil, err
		}
	}
	return out, putChannelStatus(c, ch, lastSuccess, &channelStatusRecord{At: c.Time, EventID: taken[len(taken)-1].ID})
}

// channelToPut finds the channel of a request and asks for permission. Another account needs the channel's resource policy.
func (s *Service) channelToPut(c *call.Call, in *data.PutAuditEventsRequest) (*channelRecord, error) {
	account, id, ok := channelID(c, *in.ChannelArn)
	if !ok {
		c.Open("there is no such name")
		return nil, &data.InvalidChannelARN{Message: "The channel ARN " + *in.ChannelArn + " is not valid."}
	}
	scope := c.Scope
	scope.Account = account
	r, err := s.resource(c, account, scope.ARN("cloudtrail", channelPrefix+id), aChannel)
	if err != nil {
		return nil, err
	}
	if in.ExternalId != nil {
		r.Conditions = policy.Values{"cloudtrail:externalid": {*in.ExternalId}}
	}
	if err := c.Authorize(r); err != nil {
		if _, ok := errors.AsType[*call.Denied](err); ok && account != c.Scope.Account {
			return nil, c.Reject(&data.ChannelInsufficientPermission{Message: "The caller has no permission to put events into the channel."})
		}
		return nil, err
	}
	ch, err := channelOf(c, account, id)
	if err != nil {
		return nil, err
	}
	if ch == nil {
		return nil, &data.ChannelNotFound{Message: "The channel could not be found."}
	}
	return ch, nil
}

// destinations are the event data stores of a channel that take events.
func (s *Service) destinations(c *call.Call, ch *channelRecord) (stores []*eventStoreRecord, err error) {
	for _, name := range ch.Stores {
		_, id, err := eventStoreID(c, name)
		if err != nil {
			return nil, err
		}
		d, err := eventStoreTable.In(ch.Account, ch.Region).Get(c.Tx(), id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if d.takesOutside() == nil {
			stores = append(stores, d)
		}
	}
	return stores, nil
}

// takeEvent checks an event and makes the record of it. Its error is a *fault where the event is to blame.
func (s *Service) takeEvent(c *call.Call, ch *channelRecord, e *data.AuditEvent) (*pendingRecord, error) {
	if e.EventDataChecksum != nil {
		sum := sha256.Sum256([]byte(*e.EventData))
		if base64.StdEncoding.EncodeToString(sum[:]) != *e.EventDataChecksum {
			return nil, &fault{invalidChecksum, "The checksum is not that of the event data."}
		}
	}
	at, content, err := checkAuditEvent([]byte(*e.EventData), ch.Account, c.Time)
	if err != nil {
		return nil, err
	}
	id := c.UUID()
	b := fmt.Appendf(nil, `{"eventVersion":"1.11","eventCategory":"ActivityAuditLog","eventType":"ActivityLog","eventID":"%s","eventTime":"%s","awsRegion":"%s","recipientAccountId":"%s"`,
		id, at.Format(time.RFC3339), ch.Region, ch.Account)
	b = fmt.Appendf(b, `,"metadata":{"ingestionTime":"%s","channelARN":`, c.Time.UTC().Format(time.RFC3339))
	b = wire.AppendJSONString(b, ch.arn(c.Scope.Partition))
	b = append(b, `},"eventData":`...)
	b = append(append(b, content...), '}')
	return &pendingRecord{Received: c.Time, ID: id, Time: at, Event: b}, nil
}

// checkAuditEvent returns when an event was, and the event in one line.
func checkAuditEvent(eventData []byte, owner string, now time.Time) (at time.Time, content []byte, err error) {
	if len(eventData) > maxAuditEvent {
		return at, nil, &fault{fieldTooLong, "The event data is longer than 256 KB."}
	}
	var e auditEvent
	if err := json.Unmarshal(eventData, &e); err != nil {
		return at, nil, &fault{invalidData, "The event data is not JSON of the schema of integration events."}
	}
	if e.UserIdentity == nil {
		return at, nil, missing("userIdentity")
	}
	for _, f := range []struct {
		name     string
		value    *string
		longest  int
		required bool
	}{
		{"version", e.Version, 256, true}, {"userIdentity.type", e.UserIdentity.Type, 128, true}, {"userIdentity.principalId", e.UserIdentity.PrincipalID, 1024, true},
		{"userAgent", e.UserAgent, 1024, false}, {"eventSource", e.EventSource, 1024, true}, {"eventName", e.EventName, 1024, true}, {"eventTime", e.EventTime, 64, true},
		{"UID", e.UID, 1024, true}, {"errorCode", e.ErrorCode, 256, false}, {"errorMessage", e.ErrorMessage, 256, false}, {"sourceIPAddress", e.SourceIP, 256, false},
		{"recipientAccountId", e.Recipient, 12, true},
	} {
		if f.required && (f.value == nil || *f.value == "") {
			return at, nil, missing(f.name)
		}
		if f.value != nil && len(*f.value) > f.longest {
			return at, nil, &fault{fieldTooLong, "The field " + f.name + " is too long."}
		}
	}
	for _, f := range []struct {
		name    string
		value   json.RawMessage
		longest int
	}{
		{"userIdentity.details", e.UserIdentity.Details, maxAuditEvent}, {"requestParameters", e.Parameters, 100 << 10}, {"responseElements", e.Response, 100 << 10},
		{"additionalEventData", e.Additional, 28 << 10},
	} {
		if f.value != nil && f.value[0] != '{' && string(f.value) != "null" {
			return at, nil, &fault{invalidData, "The field " + f.name + " is not a JSON object."}
		}
		if len(f.value) > f.longest {
			return at, nil, &fault{fieldTooLong, "The field " + f.name + " is too long."}
		}
	}
	if *e.Recipient != owner {
		return at, nil, &fault{invalidRecipient, "The field recipientAccountId is not the account that owns the channel."}
	}
	if at, err = eventTime(*e.EventTime); err != nil || at.After(now.Add(day)) {
		return at, nil, &fault{invalidData, "The field eventTime is not a time in the past, as yyyy-MM-ddTHH:mm:ssZ."}
	}
	var line bytes.Buffer
	if err := json.Compact(&line, eventData); err != nil {
		return at, nil, &fault{invalidData, "The event data is not JSON."}
	}
	return at, line.Bytes(), nil
}

func missing(name string) error { return &fault{fieldNotFound, "The field " + name + " is missing."} }

// eventTime reads a time in UTC, with its Z or without.
func eventTime(text string) (time.Time, error) {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		at, err = time.Parse("2006-01-02T15:04:05", text)
	}
	if err == nil && (at.Year() < 1970 || at.Year() > 9999) {
		err = errors.New("out of range")
	}
	return at.UTC().Truncate(time.Second), err // as the event will tell it
}

// outsideBreach is what the service that takes events from outside says of an input that breaks a constraint of its model, where it has an error for that.
func outsideBreach(e *wire.Error) wire.ModeledError {
	if strings.Contains(e.Message, "'channelArn'") {
		return &data.InvalidChannelARN{Message: e.Message}
	}
	return nil
}

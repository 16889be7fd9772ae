package events

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/holdfast-cloud/holdfast/api/events"
	"github.com/holdfast-cloud/holdfast/api/logs"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/delivery"
)

// A bus with a log level writes what becomes of its events into a log group of its owner, which AWS proposes, too:
// /aws/vendedlogs/events/event-bus/NAME. There, deliveries of CloudWatch Logs bring it to any group; here, it is the group alone, if it is there and its resource policy lets
// EventBridge in. Each record has a lane to go through.

const (
	// logLane is the kind of the lanes to log groups, one a bus.
	logLane = "log"
	// logGroups is what the names of the groups begin with.
	logGroups = "/aws/vendedlogs/events/event-bus/"
	// logStream is the stream in them.
	logStream = "events"
	// keepLog is how long a log group may be out of reach.
	keepLog = time.Hour
)

// levels says from which level on a step is logged: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-bus-logs.html#eb-event-logs-level
var levels = map[string]events.Level{
	"EVENT_INGEST_FAILURE":                 events.LevelError,
	"EVENT_INGEST_SUCCESS":                 events.LevelTrace,
	"EVENT_RECEIPT":                        events.LevelInfo,
	"INVOCATION_ATTEMPT_PERMANENT_FAILURE": events.LevelError,
	"INVOCATION_ATTEMPT_RETRYABLE_FAILURE": events.LevelError,
	"INVOCATION_ATTEMPT_START":             events.LevelTrace,
	"INVOCATION_ATTEMPT_SUCCESS":           events.LevelTrace,
	"INVOCATION_ATTEMPT_THROTTLE":          events.LevelError,
	"INVOCATION_DLQ":                       events.LevelError,
	"INVOCATION_FAILURE":                   events.LevelError,
	"INVOCATION_START":                     events.LevelTrace,
	"INVOCATION_SUCCESS":                   events.LevelInfo,
	"INVOCATION_THROTTLE_START":            events.LevelError,
	"NO_STANDARD_RULES_MATCHED":            events.LevelTrace,
	"RULE_MATCH":                           events.LevelInfo,
	"RULE_MATCH_START":                     events.LevelTrace,
}

// rank orders the levels: a bus logs what has at most the rank of its own.
func rank(l events.Level) int {
	switch l {
	case events.LevelError:
		return 1
	case events.LevelInfo:
		return 2
	case events.LevelTrace:
		return 3
	}
	return 0
}

// logRecord is a line of a bus's log: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-logs-schema.html
type logRecord struct {
	Resource  string       `json:"resource_arn"`
	Bus       string       `json:"event_bus_name"`
	RequestID string       `json:"request_id,omitempty"`
	EventID   string       `json:"event_id,omitempty"`
	Time      int64        `json:"message_timestamp_ms"`
	Type      string       `json:"message_type"`
	Level     events.Level `json:"log_level"`
	Details   logDetails   `json:"details"`
	Error     *logError    `json:"error,omitempty"`
}

type logDetails struct {
	Account    string          `json:"caller_account_id,omitempty"`
	SourceTime int64           `json:"source_time_ms,omitempty"`
	Source     string          `json:"source,omitempty"`
	DetailType string          `json:"detail_type,omitempty"`
	Resources  []string        `json:"resources,omitempty"`
	Detail     json.RawMessage `json:"event_detail,omitempty"`
	Rule       string          `json:"rule_arn,omitempty"`
	Role       string          `json:"role_arn,omitempty"`
	Target     string          `json:"target_arn,omitempty"`
	DeadLetter string          `json:"dlq_arn,omitempty"`
}

type logError struct {
	Message string `json:"error_message"`
}

// step is something that happened to an event on a bus, for the bus's log:
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-logs-execution-steps.html
type step struct {
	Type   string // EVENT_RECEIPT, RULE_MATCH_START, INVOCATION_SUCCESS, ...
	Failed bool   // it belongs to level ERROR
	Event  *heard
	Rule   string // ARN
	Target *targetRecord
	Err    error
}

// note writes a step into the logs of a bus that has some.
func (s *Service) note(c *call.Call, bus busKey, st step) error {
	a, err := s.audiences.Get(c.Context, bus)
	if err != nil || a.bus == nil || rank(levels[st.Type]) == 0 || rank(levels[st.Type]) > rank(events.Level(a.bus.LogLevel)) {
		return err
	}
	text, err := json.Marshal(st.record(c, bus, a.bus.LogDetail == string(events.IncludeDetailFull)))
	if err != nil {
		return err
	}
	sealed, err := s.box.Wrap(logPlace(bus), text)
	if err != nil {
		return err
	}
	return c.Post(&delivery.Parcel{
		Lane: delivery.Lane{Account: bus.Account, Region: bus.Region, Kind: logLane, Subject: bus.Name}, Payload: sealed, Expires: c.Time.Add(keepLog),
	})
}

// logPlace is what a record on its way is bound to.
func logPlace(bus busKey) string { return "log/" + bus.Account + "/" + bus.Region + "/" + bus.Name }

// record is the step as a line of the log.
func (st step) record(c *call.Call, bus busKey, full bool) *logRecord {
	r := &logRecord{
		Resource: bus.arn(c.Scope.Partition), Bus: bus.Name, RequestID: c.RequestID, Time: c.Time.UnixMilli(), Type: st.Type, Level: levels[st.Type], Details: logDetails{Rule: st.Rule},
	}
	if st.Event != nil && st.Event.Event != nil {
		e := st.Event.Event
		r.EventID = e.ID
		r.Details.Account, r.Details.SourceTime, r.Details.Source, r.Details.DetailType, r.Details.Resources = e.Account, e.Time.UnixMilli(), e.Source, e.DetailType, e.Resources
		if full {
			r.Details.Detail = e.Detail
		}
	}
	if t := st.Target; t != nil {
		r.Details.Target, r.Details.Role, r.Details.DeadLetter = t.ARN, t.Role, t.DeadLetter
	}
	if st.Err != nil {
		r.Error = &logError{st.Err.Error()}
	}
	return r
}

// logger is the Carrier of the lanes to log groups.
type logger struct{ s *Service }

// Deliver implements door.Carrier. The stream is made with the first record; the group is the owner's to make.
func (l logger) Deliver(c *call.Call, p *delivery.Parcel) (func(context.Context) error, error) {
	bus := busKey{p.Account, p.Region, p.Subject}
	text, err := l.s.box.Unwrap(logPlace(bus), p.Payload)
	if err != nil {
		return nil, delivery.Permanent(err)
	}
	own := c.AsServiceFor(bus.arn(c.Scope.Partition))
	own.Scope.Region = bus.Region
	group := logGroups + bus.Name
	put := func() error {
		_, err := l.s.cfg.Logs.PutLogEvents(own, &logs.PutLogEventsRequest{
			LogGroupName: &group, LogStreamName: new(logStream),
			LogEvents: []logs.InputLogEvent{{Timestamp: new(p.Created.UnixMilli()), Message: new(string(text))}},
		})
		return err
	}
	err = put()
	if isA[*logs.ResourceNotFoundException](err) {
		if _, err := l.s.cfg.Logs.CreateLogStream(own, &logs.CreateLogStreamRequest{LogGroupName: &group, LogStreamName: new(logStream)}); err != nil {
			return nil, unwanted(err)
		}
		err = put()
	}
	return nil, unwanted(err)
}

// unwanted marks what says that there is no log group, or that it is not for EventBridge: nobody wants the records.
func unwanted(err error) error {
	if isA[*call.Denied](err) || isA[*logs.ResourceNotFoundException](err) || isA[*logs.AccessDeniedException](err) {
		return delivery.Permanent(err)
	}
	return err
}

// GiveUp implements door.Carrier: the record is lost.
func (l logger) GiveUp(*call.Call, *delivery.Parcel, error) error { return nil }

func isA[E error](err error) bool { _, ok := errors.AsType[E](err); return ok }

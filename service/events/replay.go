package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/events"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/outbox"
	"github.com/holdfast-cloud/holdfast/store"
)

// Stored as (see store.Table): events / account / region / replay / name → replayRecord.
var replayTable = store.NewTable("events", "replay", func(r *replayRecord) store.Key { return store.Key{r.Name} },
	store.Index[replayRecord]{Name: "active", Entries: func(r *replayRecord) []store.Key {
		if r.over() {
			return nil
		}
		return []store.Key{{r.Name}}
	}})

// replayRecord is a replay: an archive's events of some time, put on their bus again.
type replayRecord struct {
	Name, Account, Region string
	Description           string `json:",omitempty"`
	Archive, ArchiveID    string
	Bus                   string
	Rules                 []string  `json:",omitempty"` // ARNs of those that alone get the events
	From, To              time.Time // From <= event < To
	Started               time.Time
	Ended                 time.Time `json:",omitzero"`
	State                 events.ReplayState
	Reason                string   `json:",omitempty"` // of the state
	Last                  position `json:",omitzero"`  // of the event that was replayed last
}

const (
	replayType = "AWS::Events::Replay"
	// maxReplays is how many replays an account may have going on in a region: https://docs.aws.amazon.com/general/latest/gr/ev.html
	maxReplays = 10
	// A replay goes on in steps of so many events, or bytes of them, each in a transaction.
	replayStep     = 64
	replayStepSize = 1 << 20
	// keepReplay is for how long a replay that is over can be looked at.
	keepReplay = 90 * 24 * time.Hour

	timerReplay       = "replay"
	timerReplayForget = "replay-forget"
)

func replayARN(s call.Scope, name string) string { return s.ARN("events", "replay/"+name) }

func (r *replayRecord) over() bool {
	return r.State == events.ReplayStateCompleted || r.State == events.ReplayStateCancelled || r.State == events.ReplayStateFailed
}

// last is the time of the event that was replayed last, or nil.
func (r *replayRecord) last() *time.Time {
	if r.Last == (position{}) {
		return nil
	}
	return &r.Last.Time
}

func (r *replayRecord) ended() *time.Time {
	if r.Ended.IsZero() {
		return nil
	}
	return &r.Ended
}

// StartReplay begins a replay.
func (s *Service) StartReplay(c *call.Call, in *events.StartReplayRequest) (*events.StartReplayResponse, error) {
	r := &replayRecord{
		Name: *in.ReplayName, Account: c.Scope.Account, Region: c.Scope.Region, Description: optional.Value(in.Description), Rules: in.Destination.FilterArns,
		From: in.EventStartTime.UTC(), To: in.EventEndTime.UTC(), Started: c.Time.UTC(), State: events.ReplayStateStarting,
	}
	if err := c.Authorize(&call.Resource{ARN: replayARN(c.Scope, r.Name), Type: replayType}); err != nil {
		return nil, err
	}
	if !strings.Contains(*in.Destination.Arn, ":event-bus/") {
		return nil, badParameter("Destination.Arn", "Must contain an event bus ARN.")
	}
	bus, err := s.heardBus(c, *in.Destination.Arn)
	if err != nil {
		return nil, err
	}
	a, err := s.replayed(c, *in.EventSourceArn)
	if err != nil {
		return nil, err
	}
	r.Archive, r.ArchiveID, r.Bus = a.Name, a.ID, a.Bus
	if bus.Name != a.Bus {
		return nil, badParameter("Destination.Arn", "Cross event bus replay is not permitted.")
	}
	if !r.From.Before(r.To) {
		return nil, badParameter("EventEndTime", "EventStartTime must be before EventEndTime.")
	}
	for _, rule := range r.Rules {
		if !strings.HasPrefix(rule, ruleARN(c.Scope, bus.Name, "")) || bus.Name == defaultBus && strings.Count(rule, "/") > 1 {
			return nil, badParameter("Destination.FilterArns", "Must contain rules of the event bus.")
		}
	}
	replays := replayTable.In(r.Account, r.Region)
	active, err := replays.Count(c.Tx(), store.Query{Index: "active", Limit: maxReplays})
	if err != nil {
		return nil, err
	}
	if active == maxReplays {
		return nil, limitExceeded()
	}
	err = replays.Insert(c.Tx(), r)
	if errors.Is(err, store.ErrExists) {
		return nil, &events.ResourceAlreadyExistsException{Message: "Replay " + r.Name + " already exists."}
	}
	if err != nil {
		return nil, err
	}
	return &events.StartReplayResponse{ReplayArn: new(replayARN(c.Scope, r.Name)), ReplayStartTime: &r.Started, State: r.State}, c.At(c.Time, c.Scope, timerReplay, r.Name, nil)
}

func badParameter(name, why string) error {
	return invalid("Parameter " + name + " is not valid. Reason: " + why)
}

// replayed is the archive that a replay names.
func (s *Service) replayed(c *call.Call, archive string) (*archiveRecord, error) {
	parsed, err := arn.Parse(archive)
	name, ok := strings.CutPrefix(parsed.Resource, "archive/")
	if err != nil || !ok {
		return nil, badParameter("EventSourceArn", "Must contain an archive ARN.")
	}
	if err := c.Authorize(&call.Resource{ARN: archive, Account: parsed.Account, Type: archiveType}); err != nil {
		return nil, err
	}
	a, err := archiveTable.In(c.Scope.Account, c.Scope.Region).Get(c.Tx(), name)
	if missing(err) || err == nil && a.arn(c.Scope.Partition) != archive {
		return nil, badParameter("EventSourceArn", "Archive "+name+" does not exist.")
	}
	return a, err
}

// replay asks for the operation's own action on a replay, and finds it.
func (s *Service) replay(c *call.Call, name string) (*replayRecord, error) {
	if err := c.Authorize(&call.Resource{ARN: replayARN(c.Scope, name), Type: replayType}); err != nil {
		return nil, err
	}
	r, err := replayTable.In(c.Scope.Account, c.Scope.Region).Get(c.Tx(), name)
	if missing(err) {
		return nil, &events.ResourceNotFoundException{Message: "Replay " + name + " does not exist."}
	}
	return r, err
}

// CancelReplay ends a replay before its time. What is on its way arrives.
func (s *Service) CancelReplay(c *call.Call, in *events.CancelReplayRequest) (*events.CancelReplayResponse, error) {
	r, err := s.replay(c, *in.ReplayName)
	if err != nil {
		return nil, err
	}
	if r.State != events.ReplayStateStarting && r.State != events.ReplayStateRunning {
		return nil, &events.IllegalStatusException{Message: "Replay " + r.Name + " is not in a valid state for this operation."}
	}
	r.State = events.ReplayStateCancelling
	return &events.CancelReplayResponse{ReplayArn: new(replayARN(c.Scope, r.Name)), State: r.State}, replayTable.In(r.Account, r.Region).Put(c.Tx(), r)
}

// DescribeReplay tells of a replay.
func (s *Service) DescribeReplay(c *call.Call, in *events.DescribeReplayRequest) (*events.DescribeReplayResponse, error) {
	r, err := s.replay(c, *in.ReplayName)
	if err != nil {
		return nil, err
	}
	return &events.DescribeReplayResponse{
		ReplayName: &r.Name, ReplayArn: new(replayARN(c.Scope, r.Name)), Description: optional.NonZero(r.Description), State: r.State, StateReason: optional.NonZero(r.Reason),
		EventSourceArn: new(archiveARN(c.Scope, r.Archive)), Destination: &events.ReplayDestination{Arn: new(busARN(c.Scope, r.Bus)), FilterArns: r.Rules},
		EventStartTime: &r.From, EventEndTime: &r.To, EventLastReplayedTime: r.last(), ReplayStartTime: &r.Started, ReplayEndTime: r.ended(),
	}, nil
}

// ListReplays lists the replays of the account and region by name.
func (s *Service) ListReplays(c *call.Call, in *events.ListReplaysRequest) (*events.ListReplaysResponse, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	if err := oneFilter("ListReplays", in.NamePrefix != nil, in.EventSourceArn != nil, in.State != ""); err != nil {
		return nil, err
	}
	archive := optional.Value(in.EventSourceArn)
	keep := func(r *replayRecord) bool {
		return (archive == "" || archiveARN(c.Scope, r.Archive) == archive) && (in.State == "" || in.State == r.State)
	}
	page, next, err := replayTable.In(c.Scope.Account, c.Scope.Region).Page(c.Tx(), byName(in.NamePrefix, in.Limit), optional.Value(in.NextToken), archive+string(in.State), keep)
	if err != nil {
		return nil, badToken(err)
	}
	out := &events.ListReplaysResponse{Replays: []events.Replay{}, NextToken: optional.NonZero(next)}
	for _, r := range page {
		out.Replays = append(out.Replays, events.Replay{
			ReplayName: &r.Name, EventSourceArn: new(archiveARN(c.Scope, r.Archive)), State: r.State, StateReason: optional.NonZero(r.Reason), EventStartTime: &r.From, EventEndTime: &r.To,
			EventLastReplayedTime: r.last(), ReplayStartTime: &r.Started, ReplayEndTime: r.ended(),
		})
	}
	return out, nil
}

// goOnReplay is a step of a replay: in one transaction some events come to the bus, and the replay's position moves behind them. So a crash repeats none and loses none.
func (s *Service) goOnReplay(c *call.Call, name string, _ []byte) error {
	r, err := replayTable.In(c.Scope.Account, c.Scope.Region).Get(c.Tx(), name)
	if missing(err) || err == nil && r.over() {
		return nil
	}
	if err != nil {
		return err
	}
	if r.State == events.ReplayStateCancelling {
		return s.endReplay(c, r, events.ReplayStateCancelled, "")
	}
	a, err := findArchive(c, r.ArchiveID, []byte(r.Archive))
	if err != nil {
		return err
	}
	if a == nil {
		return s.endReplay(c, r, events.ReplayStateFailed, "Archive "+r.Archive+" does not exist.")
	}
	after := r.Last
	if after == (position{}) {
		after.Time = r.From
	}
	next, err := s.readArchive(c, a, after, r.To, replayStep)
	if err != nil {
		return err
	}
	if len(next) == 0 {
		return s.endReplay(c, r, events.ReplayStateCompleted, "")
	}
	size, room := 0, newRoom()
	for i := range next {
		if err := s.replayEvent(c, r, next[i].Event, room); err != nil {
			return err
		}
		r.Last = next[i].position()
		if size += len(next[i].Event); size > replayStepSize || room.left < maxRoom/2 {
			break // what has no room would come after what has
		}
	}
	r.State = events.ReplayStateRunning
	if err := replayTable.In(r.Account, r.Region).Put(c.Tx(), r); err != nil {
		return err
	}
	return c.At(c.Time, c.Scope, timerReplay, r.Name, nil)
}

// endReplay ends a replay.
func (s *Service) endReplay(c *call.Call, r *replayRecord, state events.ReplayState, reason string) error {
	r.State, r.Reason, r.Ended = state, reason, c.Time.UTC()
	if err := replayTable.In(r.Account, r.Region).Put(c.Tx(), r); err != nil {
		return err
	}
	return c.At(c.Time.Add(keepReplay), c.Scope, timerReplayForget, r.Name, nil)
}

// forgetReplay removes a replay that was over long ago.
func (s *Service) forgetReplay(c *call.Call, name string, _ []byte) error {
	err := replayTable.In(c.Scope.Account, c.Scope.Region).Delete(c.Tx(), name)
	if missing(err) {
		return nil
	}
	return err
}

// replayEvent puts an archived event on its bus again.
func (s *Service) replayEvent(c *call.Call, r *replayRecord, event []byte, room *room) error {
	e := new(outbox.Event)
	if err := json.Unmarshal(event, e); err != nil {
		return fmt.Errorf("an archived event does not decode: %w", err)
	}
	text, err := encode(e, r.Name)
	if err != nil {
		return err
	}
	return s.publish(c, &heard{Event: e, Bus: busKey{r.Account, r.Region, r.Bus}, JSON: text, Rules: r.Rules, Replayed: true, room: room})
}

package cloudtrail

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/api/logs"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/store"
)

const (
	// maxSent is how many bytes of events go to a log group at once, about, and maxSentEvent how long one of them is at most: longer ones are left out.
	// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudwatch-limits.html
	maxSent      = 512 << 10
	maxSentEvent = 256 << 10
	maxSentSpan  = 24 * time.Hour
)

// logGroup reads the ARN of a trail's log group, which has ":*" behind it.
func (t *trailRecord) logGroup() (name string, ok bool) {
	a, err := arn.Parse(t.LogGroup)
	name, isGroup := strings.CutPrefix(a.Resource, "log-group:")
	name, whole := strings.CutSuffix(name, ":*")
	return name, err == nil && isGroup && whole && a.Service == "logs" && a.Region == t.Region && a.Account == t.Account && name != "" && !strings.ContainsAny(name, ":*")
}

// reachLogs refuses a trail whose role cannot send events to its log group. It makes the stream of the trail's own account and region there.
func (s *Service) reachLogs(c *call.Call, t *trailRecord) error {
	switch {
	case t.LogGroup == "" && t.LogRole == "":
		return nil
	case t.LogGroup == "" || t.LogRole == "":
		return &cloudtrail.InvalidParameterCombinationException{Message: "You must specify both a CloudWatch Logs log group ARN and a role ARN."}
	}
	if _, ok := t.logGroup(); !ok {
		return &cloudtrail.InvalidCloudWatchLogsLogGroupArnException{Message: "CloudTrail cannot validate the specified log group ARN."}
	}
	if err := c.PassRole(t.LogRole, cloudtrail.Service.EventSource); err != nil {
		return badLogRole(err)
	}
	role, err := s.logRole(c, t)
	if err != nil {
		return badLogRole(err)
	}
	err = s.makeStream(role, t, t.stream(place{account: t.Account, region: t.Region}))
	if _, ok := errors.AsType[*logs.ResourceNotFoundException](err); ok {
		return &cloudtrail.InvalidCloudWatchLogsLogGroupArnException{Message: "CloudTrail cannot validate the specified log group ARN."}
	}
	if _, ok := errors.AsType[*call.Denied](err); ok {
		return &cloudtrail.InvalidCloudWatchLogsLogGroupArnException{Message: "Access denied. Verify in IAM that the role has adequate permissions."}
	}
	return err
}

func badLogRole(err error) error {
	if errors.Is(err, call.ErrRole) {
		return &cloudtrail.InvalidCloudWatchLogsRoleArnException{Message: "Access denied. Check the trust relationships for your role."}
	}
	return err
}

// logRole is the call as the trail's role makes it, in the trail's region.
func (s *Service) logRole(c *call.Call, t *trailRecord) (*call.Call, error) {
	role, err := c.AsRole(t.LogRole, t.arn(c.Scope.Partition))
	if err != nil {
		return nil, err
	}
	role.Scope.Region = t.Region
	return role, nil
}

// stream is the log stream for the events of a place.
func (t *trailRecord) stream(from place) string {
	name := from.account + "_CloudTrail_" + from.region
	if t.Organization != "" {
		name = t.Organization + "_" + name
	}
	return name
}

// makeStream makes a log stream unless it is there.
func (s *Service) makeStream(role *call.Call, t *trailRecord, stream string) error {
	name, _ := t.logGroup()
	_, err := s.cfg.Logs.CreateLogStream(role, &logs.CreateLogStreamRequest{LogGroupName: &name, LogStreamName: &stream})
	if _, ok := errors.AsType[*logs.ResourceAlreadyExistsException](err); ok {
		return nil
	}
	return err
}

// sending is a parcel of events. They are sealed, as everything that is kept of them.
type sending struct {
	Stream string
	Sealed []byte
}

// sealSent packs and seals the events of a parcel.
func (s *Service) sealSent(t *trailRecord, events []heldEvent) ([]byte, error) {
	text, err := json.Marshal(events)
	if err != nil {
		return nil, err
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return s.cfg.Seal.Box("cloudtrail/logs").Wrap(t.Account+"/"+t.Region+"/"+t.Name, packed.Bytes())
}

func (s *Service) openSent(t *trailRecord, sealed []byte) (events []heldEvent, err error) {
	packed, err := s.cfg.Seal.Box("cloudtrail/logs").Unwrap(t.Account+"/"+t.Region+"/"+t.Name, sealed)
	if err != nil {
		return nil, err
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return events, json.Unmarshal(text, &events)
}

// send has the events of a log file sent to the trail's log group.
func (p *pass) send(d *delivering, from place, events []heldEvent) error {
	t := d.trail
	if t.LogGroup == "" || d.Gone != nil {
		return nil
	}
	events = slices.DeleteFunc(slices.Clone(events), func(e heldEvent) bool { return len(e.Record) > maxSentEvent })
	slices.SortStableFunc(events, func(a, b heldEvent) int { return a.Time.Compare(b.Time) })
	for len(events) > 0 {
		n, size := 0, 0
		for n < len(events) && (n == 0 || size+len(events[n].Record) <= maxSent) && events[n].Time.Sub(events[0].Time) < maxSentSpan && n < 10_000 {
			size += len(events[n].Record)
			n++
		}
		sealed, err := p.s.sealSent(t, events[:n])
		if err != nil {
			return err
		}
		payload, err := json.Marshal(sending{t.stream(from), sealed})
		if err != nil {
			return err
		}
		p.written += len(payload) * 4 / 3 // as Base64
		if err := p.c.Post(&delivery.Parcel{Lane: t.lane(logsLane), Payload: payload, Expires: p.c.Time.Add(toldFor)}); err != nil {
			return err
		}
		events = events[n:]
	}
	return nil
}

// sender delivers to trails' log groups.
type sender struct{ *Service }

// Deliver implements door.Carrier.
func (s sender) Deliver(c *call.Call, p *delivery.Parcel) (func(context.Context) error, error) {
	t, err := trailTable.In(p.Account, p.Region).Get(c.Tx(), p.Subject)
	if err != nil || t.LogGroup == "" {
		return nil, store.IgnoreNotFound(err)
	}
	var parcel sending
	if err := json.Unmarshal(p.Payload, &parcel); err != nil {
		return nil, delivery.Permanent(err)
	}
	events, err := s.openSent(t, parcel.Sealed)
	if err != nil {
		return nil, delivery.Permanent(fmt.Errorf("opening events: %w", err))
	}
	role, err := s.logRole(c, t)
	if errors.Is(err, call.ErrRole) {
		return nil, coded{"AccessDenied", err}
	}
	if err != nil {
		return nil, err
	}
	name, _ := t.logGroup()
	in := &logs.PutLogEventsRequest{LogGroupName: &name, LogStreamName: &parcel.Stream, LogEvents: make([]logs.InputLogEvent, len(events))}
	for i, e := range events {
		in.LogEvents[i] = logs.InputLogEvent{Timestamp: new(e.Time.UnixMilli()), Message: new(string(e.Record))}
	}
	_, err = s.cfg.Logs.PutLogEvents(role, in)
	if _, ok := errors.AsType[*logs.ResourceNotFoundException](err); ok {
		if err = s.makeStream(role, t, parcel.Stream); err == nil {
			_, err = s.cfg.Logs.PutLogEvents(role, in)
		}
	}
	if err != nil {
		return nil, codeOf(err)
	}
	return nil, s.tellOf(c, t, func(st *statusRecord) { st.Logged, st.LogError = c.Time, "" })
}

// GiveUp implements door.Carrier.
func (s sender) GiveUp(c *call.Call, p *delivery.Parcel, cause error) error {
	t, err := trailTable.In(p.Account, p.Region).Get(c.Tx(), p.Subject)
	if err != nil {
		return store.IgnoreNotFound(err)
	}
	return s.tellOf(c, t, func(st *statusRecord) { st.LogError = failureOf(p, cause) })
}

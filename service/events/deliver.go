package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/events"
	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/api/logs"
	"github.com/holdfast-cloud/holdfast/api/sns"
	"github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/engine/eventinput"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/outbox"
	"github.com/holdfast-cloud/holdfast/store"
)

// carrier brings events to targets: it implements door.Carrier.
type carrier struct{ s *Service }

// Deliver sends an event to a target. One that is gone gets nothing.
func (x carrier) Deliver(c *call.Call, p *delivery.Parcel) (outside func(context.Context) error, err error) {
	t, err := targetOf(c, p)
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s := x.s
	s.count(c, t.bus(), t.Rule, "InvocationAttempts", 1)
	if p.Attempts == 0 {
		s.count(c, t.bus(), t.Rule, "Invocations", 1)
		s.countLatency(c, t, p)
	} else {
		s.count(c, t.bus(), t.Rule, "RetryInvocationAttempts", 1)
	}
	head, event, err := s.unwrap(c, p.Payload)
	if err != nil {
		return nil, s.failed(c, t, nil, undecrypted(err))
	}
	h := &heard{Event: &outbox.Event{ID: head.ID}, Bus: head.Bus, JSON: event, Crossed: head.Crossed, Trace: head.Trace}
	if outside, err = s.send(c, t, h, head); err != nil {
		return nil, s.failed(c, t, h, err)
	}
	done := func() { s.countNow(c, t.bus(), t.Rule, "SuccessfulInvocationAttempts", 1) }
	if outside == nil {
		c.Tx().OnCommitted(done)
		return nil, s.note(c, t.bus(), step{Type: "INVOCATION_SUCCESS", Event: h, Rule: t.ruleARN(c.Scope.Partition), Target: t})
	}
	send := outside // which the function returned takes the name of
	return func(ctx context.Context) error {
		err := send(ctx)
		if err == nil {
			done()
			return nil
		}
		return s.failed(nil, t, h, err)
	}, nil
}

// targetOf is the target of a parcel. One that has come in its place since, with the same ID, is not it.
func targetOf(c *call.Call, p *delivery.Parcel) (*targetRecord, error) {
	// The name of a bus may have slashes in it, what follows has none.
	rest, lane, _ := cutLast(p.Subject)
	rest, id, _ := cutLast(rest)
	bus, rule, _ := cutLast(rest)
	t, err := targetTable.In(p.Account, p.Region).Get(c.Tx(), bus, rule, id)
	if err == nil && t.Lane != lane {
		return nil, store.ErrNotFound
	}
	return t, err
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+1:], true
}

// input is what a target gets of an event.
func (t *targetRecord) input(h *heard, head *parcelHead, partition string) ([]byte, error) {
	switch {
	case t.Input != "":
		return []byte(t.Input), nil
	case t.InputPath != "":
		path, err := eventinput.ParsePath(t.InputPath)
		if err != nil {
			return nil, err
		}
		if part, ok := path.Find(h.JSON); ok {
			return part, nil
		}
		return []byte("null"), nil
	case t.Transformer != nil:
		x, err := eventinput.NewTransformer(t.ID, t.Transformer.Paths, t.Transformer.Template)
		if err != nil {
			return nil, err
		}
		return x.Render(h.JSON, eventinput.Variables{RuleARN: t.ruleARN(partition), RuleName: t.Rule, Ingested: head.Ingested}), nil
	}
	return h.JSON, nil
}

// send sends an event to a target, within this cloud in the call's transaction.
func (s *Service) send(c *call.Call, t *targetRecord, h *heard, head *parcelHead) (outside func(context.Context) error, err error) {
	a, err := arn.Parse(t.ARN)
	if err != nil {
		return nil, err
	}
	kind, _, _ := strings.Cut(a.Resource, "/")
	if a.Service == "events" && kind == "event-bus" {
		return nil, s.toBus(c, t, h, a)
	}
	body, err := t.input(h, head, c.Scope.Partition)
	if err != nil {
		return nil, &failure{code: "INVALID_PARAMETER", message: err.Error(), permanent: true}
	}
	if a.Service == "events" && kind == "api-destination" {
		return s.callDestination(c, t, body)
	}
	own, err := s.acting(c, t)
	if err != nil {
		return nil, err
	}
	switch a.Service {
	case "sqs":
		return nil, s.toQueue(own, t.ARN, t.MessageGroup, body, h.Trace, nil)
	case "sns":
		_, err = s.cfg.SNS.Publish(own, &sns.PublishInput{TopicArn: &t.ARN, Message: new(string(body)), MessageGroupId: optional.NonZero(t.MessageGroup)})
	case "lambda":
		_, err = s.cfg.Lambda.Invoke(own, &lambda.InvocationRequest{FunctionName: &t.ARN, InvocationType: lambda.InvocationTypeEvent, Payload: body})
	case "logs":
		err = s.toLogs(own, t, a, body)
	default:
		err = notDelivered("targets of " + a.Service)
	}
	return nil, err
}

// acting is the call as the target's role makes it, or EventBridge itself for the rule: then the target's own policy has to let it in.
func (s *Service) acting(c *call.Call, t *targetRecord) (*call.Call, error) {
	rule := t.ruleARN(c.Scope.Partition)
	if t.Role == "" {
		return c.AsServiceFor(rule), nil
	}
	own, err := c.AsRole(t.Role, rule)
	if err != nil {
		return nil, err
	}
	own.Scope.Region = t.Region
	return own, nil
}

// toQueue sends a message to a queue.
func (s *Service) toQueue(own *call.Call, queueARN, group string, body []byte, trace string, attributes map[string]string) error {
	a, err := arn.Parse(queueARN)
	if err != nil {
		return err
	}
	own.Scope.Region = a.Region
	in := &sqs.SendMessageRequest{
		QueueUrl: new("https://sqs." + a.Region + ".amazonaws.com/" + a.Account + "/" + a.Resource), MessageBody: new(string(body)), MessageGroupId: optional.NonZero(group),
	}
	if trace != "" {
		in.MessageSystemAttributes = map[sqs.MessageSystemAttributeNameForSends]sqs.MessageSystemAttributeValue{
			sqs.MessageSystemAttributeNameForSendsAWSTraceHeader: {DataType: new("String"), StringValue: &trace},
		}
	}
	for name, value := range attributes {
		if in.MessageAttributes == nil {
			in.MessageAttributes = make(map[string]sqs.MessageAttributeValue, len(attributes))
		}
		in.MessageAttributes[name] = sqs.MessageAttributeValue{DataType: new("String"), StringValue: &value}
	}
	_, err = s.cfg.SQS.SendMessage(own, in)
	return err
}

// toLogs writes an event into a log group, in a stream of the target's own, which is made when it is first needed. What a transformer makes may say time and
// message itself: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-targets.html#targets-specifics-cwl
func (s *Service) toLogs(own *call.Call, t *targetRecord, a arn.ARN, body []byte) error {
	own.Scope.Region = a.Region
	name, _, _ := strings.Cut(strings.TrimPrefix(a.Resource, "log-group:"), ":")
	stream := t.Rule + "/" + t.ID
	line := logs.InputLogEvent{Timestamp: new(own.Time.UnixMilli()), Message: new(string(body))}
	if t.Transformer != nil {
		var said struct {
			Timestamp *int64
			Message   *string
		}
		if json.Unmarshal(body, &said) == nil && said.Timestamp != nil && said.Message != nil {
			line = logs.InputLogEvent{Timestamp: said.Timestamp, Message: said.Message}
		}
	}
	put := func() error {
		_, err := s.cfg.Logs.PutLogEvents(own, &logs.PutLogEventsRequest{LogGroupName: &name, LogStreamName: &stream, LogEvents: []logs.InputLogEvent{line}})
		return err
	}
	err := put()
	if _, gone := errors.AsType[*logs.ResourceNotFoundException](err); gone {
		if _, err = s.cfg.Logs.CreateLogStream(own, &logs.CreateLogStreamRequest{LogGroupName: &name, LogStreamName: &stream}); err == nil {
			err = put()
		}
	}
	return err
}

// actionPut is what a rule does to another bus.
var actionPut = events.OpPutEvents.Action

// toBus puts an event on another bus, as it is. An event crosses from one bus to another once:
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cross-account.html
func (s *Service) toBus(c *call.Call, t *targetRecord, h *heard, a arn.ARN) error {
	k := busKey{a.Account, a.Region, strings.TrimPrefix(a.Resource, "event-bus/")}
	switch {
	case h.Crossed && a.Region != t.Region:
		return &failure{code: "THIRD_REGION_HOP_DETECTED", message: "The event has come from another event bus.", permanent: true}
	case h.Crossed:
		return &failure{code: "THIRD_ACCOUNT_HOP_DETECTED", message: "The event has come from another event bus.", permanent: true}
	case !s.cfg.Serves(a.Region):
		return notDelivered("event buses in regions that another process serves")
	}
	own, err := s.acting(c, t)
	if t.Role == "" {
		// Without a role the rule's account sends it: the other bus's policy has to name that, and knows the rule by aws:SourceArn.
		own = c.As(identity.Root(c.Scope.Partition, t.Account, ""))
		own.Source.ARN = t.ruleARN(c.Scope.Partition)
	}
	if err != nil {
		return err
	}
	own.Scope.Region = k.Region
	b, err := s.load(own, k)
	if err != nil {
		return err
	}
	e, err := decode(h.JSON)
	if err != nil {
		return delivery.Permanent(err)
	}
	r := b.resource(c.Scope.Partition)
	r.Conditions = putConditions(e.Source, e.DetailType, true)
	if err := own.AuthorizeAction(actionPut, r); err != nil {
		return err
	}
	if !b.there {
		return noBus(k.Name)
	}
	return s.publish(c, &heard{Event: e, Bus: k, JSON: h.JSON, Crossed: true, Trace: h.Trace})
}

// decode reads an event as targets get it.
func decode(event []byte) (*outbox.Event, error) {
	e := new(outbox.Event)
	if err := json.Unmarshal(event, e); err != nil {
		return nil, fmt.Errorf("reading an event: %w", err)
	}
	return e, nil
}

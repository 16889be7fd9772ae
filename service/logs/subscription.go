package logs

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/api/logs"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/meter"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

const (
	maxSubscriptions = 2 // of a group

	// subscriptionLane is the kind of the lanes of subscription filters, one for each.
	subscriptionLane = "subscription"

	// forwardedFor is how long a delivery is tried: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/Subscriptions.html
	forwardedFor = 24 * time.Hour

	// maxForwarded is how many bytes of events go to a function at once, about.
	maxForwarded = 128 << 10
)

// PutSubscriptionFilter sets a subscription filter of a group, and sees whether its destination takes events.
func (s *Service) PutSubscriptionFilter(c *call.Call, in *logs.PutSubscriptionFilterRequest) (*logs.PutSubscriptionFilterResponse, error) {
	g, err := look(c, optional.Value(in.LogGroupName))
	if err != nil {
		return nil, err
	}
	if err := s.ask(g); err != nil {
		return nil, err
	}
	if err := g.checkDestination(*in.DestinationArn, in.RoleArn); err != nil {
		return nil, err
	}
	switch {
	case in.FieldSelectionCriteria != nil || in.EmitSystemFields != nil:
		return nil, wire.NotImplemented(logs.Service.Package, c.Op.Name+" with fieldSelectionCriteria or emitSystemFields")
	case !g.there:
		return nil, noGroup()
	}
	if err := g.filterable(); err != nil {
		return nil, err
	}
	p, err := s.pattern(c, optional.Value(in.FilterPattern), "Invalid subscription filter pattern")
	if err != nil {
		return nil, err
	}
	if err := s.checkRegexes(g, p, "", *in.FilterName); err != nil {
		return nil, err
	}
	rows := subscriptionTable.In(g.scope.Account, g.scope.Region)
	sub, err := rows.Get(c.Tx(), g.ID, *in.FilterName)
	if errors.Is(err, store.ErrNotFound) {
		if g.Subscriptions >= maxSubscriptions {
			return nil, limitExceeded()
		}
		g.Subscriptions++
		sub = &subscriptionRecord{Group: g.ID, Name: *in.FilterName, LogGroup: g.Name, Created: c.Time}
		sub.ID, err = randomID(c.Rand)
	}
	if err != nil {
		return nil, err
	}
	sub.Pattern, sub.Destination, sub.OnTransformed, sub.Distribution = *in.FilterPattern, *in.DestinationArn, optional.Value(in.ApplyOnTransformedLogs), in.Distribution
	if sub.Distribution == "" {
		sub.Distribution = logs.DistributionByLogStream
	}
	if err := s.probe(g, sub); err != nil {
		return nil, err
	}
	return &logs.PutSubscriptionFilterResponse{}, errors.Join(rows.Put(c.Tx(), sub), g.save())
}

// checkDestination refuses what a filter cannot send events to.
func (g *group) checkDestination(destination string, role *string) error {
	a, err := arn.Parse(destination)
	if err != nil {
		return invalid("Invalid destinationArn: " + destination)
	}
	switch a.Service {
	case "lambda":
		switch {
		case a.Account != g.scope.Account:
			return &logs.AccessDeniedException{
				Message: "Cross-account lambda invocation passing is not allowed. You must use DestinationPolicies to create cross account lambda triggers.",
			}
		case role != nil:
			return invalid("destinationArn for vendor lambda cannot be used with roleArn")
		case a.Region != g.scope.Region || !strings.HasPrefix(a.Resource, "function:"):
			return invalid("Invalid destinationArn: " + destination)
		}
		return nil
	case "kinesis", "firehose":
		if role == nil {
			return invalid("destinationArn for vendor " + a.Service + " cannot be used without roleArn")
		}
		return wire.NotImplemented(logs.Service.Package, g.c.Op.Name+" to "+a.Service)
	case "logs":
		return wire.NotImplemented(logs.Service.Package, g.c.Op.Name+" to a destination of CloudWatch Logs")
	}
	return invalid("Invalid destinationArn: " + destination)
}

// DeleteSubscriptionFilter removes a subscription filter. What it has not delivered, it will not.
func (s *Service) DeleteSubscriptionFilter(c *call.Call, in *logs.DeleteSubscriptionFilterRequest) (*logs.DeleteSubscriptionFilterResponse, error) {
	g, err := s.find(look(c, optional.Value(in.LogGroupName)))
	if err != nil {
		return nil, err
	}
	err = subscriptionTable.In(g.scope.Account, g.scope.Region).Delete(c.Tx(), g.ID, optional.Value(in.FilterName))
	if errors.Is(err, store.ErrNotFound) {
		return nil, &logs.ResourceNotFoundException{Message: "The specified subscription filter does not exist."}
	}
	if err != nil {
		return nil, err
	}
	g.Subscriptions--
	return &logs.DeleteSubscriptionFilterResponse{}, g.save()
}

// DescribeSubscriptionFilters lists the subscription filters of a group by name.
func (s *Service) DescribeSubscriptionFilters(c *call.Call, in *logs.DescribeSubscriptionFiltersRequest) (*logs.DescribeSubscriptionFiltersResponse, error) {
	g, err := s.find(look(c, optional.Value(in.LogGroupName)))
	if err != nil {
		return nil, err
	}
	records, next, err := subscriptionTable.In(g.scope.Account, g.scope.Region).Page(c.Tx(),
		store.Query{Prefix: store.Key{g.ID, store.Begin(optional.Value(in.FilterNamePrefix))}, Limit: limitOf(in.Limit, maxListed)}, optional.Value(in.NextToken), "", nil)
	if err != nil {
		return nil, badToken(err)
	}
	out := &logs.DescribeSubscriptionFiltersResponse{SubscriptionFilters: make([]logs.SubscriptionFilter, len(records)), NextToken: optional.NonZero(next)}
	for i, sub := range records {
		out.SubscriptionFilters[i] = logs.SubscriptionFilter{
			FilterName: &sub.Name, LogGroupName: &sub.LogGroup, FilterPattern: &sub.Pattern, DestinationArn: &sub.Destination, RoleArn: optional.NonZero(sub.Role),
			Distribution: sub.Distribution, ApplyOnTransformedLogs: &sub.OnTransformed, CreationTime: new(sub.Created.UnixMilli()),
		}
	}
	return out, nil
}

// message is what a destination gets.
type message struct {
	MessageType         string           `json:"messageType"`
	Owner               string           `json:"owner"`
	LogGroup            string           `json:"logGroup"`
	LogStream           string           `json:"logStream"`
	SubscriptionFilters []string         `json:"subscriptionFilters"`
	LogEvents           []forwardedEvent `json:"logEvents"`
}

type forwardedEvent struct {
	ID        string `json:"id"`
	Timestamp int64  `json:"timestamp"`
	Message   string `json:"message"`
}

// send hands a message to a filter's function, which gets it compressed.
// https://docs.aws.amazon.com/lambda/latest/dg/services-cloudwatchlogs.html
func (s *Service) send(g *group, sub *subscriptionRecord, m message) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(text); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	payload, err := json.Marshal(map[string]any{"awslogs": map[string][]byte{"data": packed.Bytes()}})
	if err != nil {
		return err
	}
	_, err = s.cfg.Lambda.Invoke(g.own(g.arn()+":*"), &lambda.InvocationRequest{FunctionName: &sub.Destination, InvocationType: lambda.InvocationTypeEvent, Payload: payload})
	return err
}

// probe sends a filter's function a message that holds no event.
func (s *Service) probe(g *group, sub *subscriptionRecord) error {
	err := s.send(g, sub, message{
		MessageType: "CONTROL_MESSAGE", Owner: "CloudwatchLogs", SubscriptionFilters: []string{},
		LogEvents: []forwardedEvent{{Timestamp: g.c.Time.UnixMilli(), Message: "CWL CONTROL MESSAGE: Checking health of destination Lambda."}},
	})
	if err == nil {
		return nil
	}
	_, denied := errors.AsType[*call.Denied](err)
	m, modeled := errors.AsType[wire.ModeledError](err)
	if denied || modeled && !m.Schema().Error.Fault {
		return invalid("Could not execute the lambda function. Make sure you have given CloudWatch Logs permission to execute your function.")
	}
	return err
}

// forwarding is a parcel: which events of a stream a filter is to look at. They are read again when it is delivered, so nothing of them lies anywhere else.
type forwarding struct {
	LogGroup, Group string // name and ID
	Name, Stream    string // of the stream
	Filter          string
	From, To        int64
	First, Last     uint64
}

// forward has the subscription filters of a group deliver events.
func (s *Service) forward(g *group, st *streamRecord, events []event) error {
	for sub, err := range subscriptionTable.In(g.scope.Account, g.scope.Region).Scan(g.c.Tx(), store.Query{Prefix: store.Key{g.ID}}) {
		if err != nil {
			return err
		}
		p, err := s.patterns.Get(g.c.Context, sub.Pattern)
		if err != nil {
			return err
		}
		for from := 0; from < len(events); {
			to, size, matches := from, int64(0), false
			for ; to < len(events) && (to == from || size+events[to].size() <= maxForwarded); to++ {
				size += events[to].size()
				matches = matches || p.Match(events[to].Message)
			}
			part := events[from:to]
			if from = to; !matches {
				continue
			}
			payload, err := json.Marshal(forwarding{
				LogGroup: g.Name, Group: g.ID, Name: st.Name, Stream: st.ID, Filter: sub.Name, From: part[0].Time, To: part[len(part)-1].Time, First: part[0].Seq, Last: part[len(part)-1].Seq,
			})
			if err != nil {
				return err
			}
			err = g.c.Post(&delivery.Parcel{
				Lane:    delivery.Lane{Account: g.scope.Account, Region: g.scope.Region, Kind: subscriptionLane, Subject: sub.ID},
				Payload: payload, Expires: g.c.Time.Add(forwardedFor),
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// subscriber delivers to the destinations of subscription filters.
type subscriber struct{ *Service }

// read finds what a parcel is about: nil if the filter, or the group, is no more.
func (s subscriber) read(c *call.Call, p *delivery.Parcel) (*group, *subscriptionRecord, *forwarding, error) {
	f := new(forwarding)
	if err := json.Unmarshal(p.Payload, f); err != nil {
		return nil, nil, nil, delivery.Permanent(err)
	}
	g, err := look(c, f.LogGroup)
	if err != nil || !g.there || g.ID != f.Group {
		return nil, nil, nil, err
	}
	sub, err := subscriptionTable.In(g.scope.Account, g.scope.Region).Get(c.Tx(), g.ID, f.Filter)
	if err != nil || sub.ID != p.Subject {
		return nil, nil, nil, store.IgnoreNotFound(err)
	}
	return g, sub, f, nil
}

// Deliver implements door.Carrier.
func (s subscriber) Deliver(c *call.Call, p *delivery.Parcel) (func(context.Context) error, error) {
	g, sub, f, err := s.read(c, p)
	if err != nil || sub == nil {
		return nil, err
	}
	st, err := g.streams().Get(c.Tx(), g.ID, f.Name)
	if err != nil || st.ID != f.Stream {
		return nil, store.IgnoreNotFound(err)
	}
	pattern, err := s.patterns.Get(c.Context, sub.Pattern)
	if err != nil {
		return nil, err
	}
	out := message{MessageType: "DATA_MESSAGE", Owner: g.scope.Account, LogGroup: g.Name, LogStream: st.Name, SubscriptionFilters: []string{sub.Name}}
	size := int64(0)
	for ch, err := range g.chunks(st, &window{From: f.From, To: f.To + 1}) {
		if err == nil {
			err = s.Service.read(g, ch, func(e event) bool {
				if e.Seq >= f.First && e.Seq <= f.Last && pattern.Match(e.Message) {
					out.LogEvents = append(out.LogEvents, forwardedEvent{st.eventID(e.Time, e.Seq), e.Time, e.Message})
					size += e.size()
				}
				return true
			})
		}
		if err != nil {
			return nil, err
		}
	}
	if len(out.LogEvents) == 0 {
		return nil, nil // meanwhile they expired
	}
	if err := s.send(g, sub, out); err != nil {
		return nil, fmt.Errorf("invoking %s: %w", sub.Destination, err)
	}
	s.counted(g, sub, "ForwardedBytes", meter.Bytes, float64(size))
	s.counted(g, sub, "ForwardedLogEvents", meter.Count, float64(len(out.LogEvents)))
	return nil, nil
}

// GiveUp implements door.Carrier. Events stay in their group; nothing else keeps what was not delivered.
func (s subscriber) GiveUp(c *call.Call, p *delivery.Parcel, _ error) error {
	g, sub, _, err := s.read(c, p)
	if err != nil || sub == nil {
		return nil
	}
	s.counted(g, sub, "DeliveryErrors", meter.Count, 1)
	return nil
}

func (s subscriber) counted(g *group, sub *subscriptionRecord, name, unit string, value float64) {
	s.count(g, name, unit, value, meter.Dimension{Name: "DestinationType", Value: "Lambda"}, meter.Dimension{Name: "FilterName", Value: sub.Name})
}

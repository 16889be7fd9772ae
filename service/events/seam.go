package events

import (
	"context"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/outbox"
	"github.com/holdfast-cloud/holdfast/store"
)

// heard is an event on a bus.
type heard struct {
	Event *outbox.Event
	Bus   busKey
	JSON  []byte // the event as it is matched and delivered; made of Event where it is nil

	// Crossed is set for an event that came from another bus: it goes to no other one any more.
	Crossed bool
	// ReadOnly is set for a management event that changed nothing: only rules that say so get it.
	ReadOnly bool
	// Rules are the ARNs of the rules that alone get the event of a replay; nil is all.
	Rules []string
	// Trace is the X-Ray trace header.
	Trace string

	bus     *busRecord
	payload []byte // of its parcels, once it was made
}

// listener is who gets the events of a bus that match a pattern: a rule, or an archive.
type listener interface {
	// hear takes an event, in the transaction that puts it on the bus.
	hear(s *Service, c *call.Call, e *heard) error
}

// listening is a listener with its pattern, which was checked when it was put; an empty one is that it wants all events.
type listening struct {
	pattern string
	listener
}

// archives returns who keeps the events of a bus. What it is made of has to be watched, see Service.watch.
func (s *Service) archives(r store.Reader, bus busKey) ([]listening, error) { return nil, nil }

// checkDestination refuses the ARN of an API destination that is not there, when a target is put.
func (s *Service) checkDestination(c *call.Call, arn string) error {
	return notDelivered("API destinations")
}

// callDestination sends input to an API destination.
func (s *Service) callDestination(c *call.Call, t *targetRecord, input []byte) (outside func(context.Context) error, err error) {
	return nil, notDelivered("API destinations")
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
func (s *Service) note(c *call.Call, bus busKey, st step) error { return nil }

// takeEventSource has a partner event source send its events to the bus of its name.
func (s *Service) takeEventSource(c *call.Call, name string) error {
	return notDelivered("partner event buses")
}

// dropEventSource is the end of takeEventSource: the bus is deleted.
func (s *Service) dropEventSource(c *call.Call, name string) error { return nil }

// removeArchives removes the archives of a bus that is deleted.
func (s *Service) removeArchives(c *call.Call, account, region, bus string) error { return nil }

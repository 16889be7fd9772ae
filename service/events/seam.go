package events

import (
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/outbox"
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
	// Replayed is set for an event of a replay. Rules are the ARNs of the rules that alone get it; nil is all.
	Replayed bool
	Rules    []string
	// Trace is the X-Ray trace header.
	Trace string

	bus     *busRecord
	payload []byte // of its parcels, once it was made
	spoiled bool   // it could not be encrypted

	room *room    // shared by what is put in one transaction; nil is one of its own
	rest []string // names of the rules whose targets get it later
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

package events

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/holdfast-cloud/holdfast/api/events"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/outbox"
	"github.com/holdfast-cloud/holdfast/store"
)

// An event that many rules want makes more parcels than a transaction takes. Those that have no room stay together in one parcel in a lane of the bus, and are posted from there, piece by
// piece.

// room is how many bytes of parcels may still go into a transaction.
type room struct{ left int }

const (
	// maxRoom leaves the most of store.MaxTxSize to what else is in the transaction. A payload is written as text, which is a third longer.
	maxRoom = store.MaxTxSize / 4
	// parcelSize is about what a parcel takes beside its payload: the names of its lane stand in it, and in its key.
	parcelSize = 1 << 10
)

func newRoom() *room { return &room{maxRoom} }

// takes reports whether there is room for so many parcels with a payload of size bytes, and takes it.
func (r *room) takes(parcels, size int) bool {
	n := parcels * (size + parcelSize)
	if n > r.left {
		return false
	}
	r.left -= n
	return true
}

// spreadLane is the kind of the lanes of what had no room. Their subject is the bus.
const spreadLane = "spread"

// spread posts what had no room, for later.
func (s *Service) spread(c *call.Call, h *heard) error {
	if len(h.rest) == 0 {
		return nil
	}
	payload, err := s.wrap(c, h)
	if err != nil || payload == nil {
		return err
	}
	return postRest(c, h.Bus, h.rest, payload)
}

// postRest posts the payload of an event with the names of rules whose targets get it.
func postRest(c *call.Call, bus busKey, rules []string, payload []byte) error {
	line, err := json.Marshal(rules)
	if err != nil {
		return err
	}
	return delivery.Put(c.Tx(), &delivery.Parcel{
		Lane:    delivery.Lane{Service: events.Service.Package, Account: bus.Account, Region: bus.Region, Kind: spreadLane, Subject: bus.Name},
		Created: c.Time, Payload: append(append(line, '\n'), payload...),
	})
}

// spreader posts what had no room: it implements door.Carrier.
type spreader struct{ s *Service }

// Deliver posts the next piece, and what still has no room again.
func (x spreader) Deliver(c *call.Call, p *delivery.Parcel) (outside func(context.Context) error, err error) {
	line, payload, _ := bytes.Cut(p.Payload, []byte("\n"))
	var rules []string
	if err := json.Unmarshal(line, &rules); err != nil {
		return nil, delivery.Permanent(err)
	}
	bus := busKey{p.Account, p.Region, p.Subject}
	h, left := &heard{Bus: bus, Event: new(outbox.Event), payload: payload}, newRoom()
	for i, name := range rules {
		var to []*targetRecord
		for t, err := range targetTable.In(bus.Account, bus.Region).Scan(c.Tx(), store.Query{Prefix: store.Key{bus.Name, name}}) {
			if err != nil {
				return nil, err
			}
			to = append(to, t)
		}
		if i > 0 && !left.takes(len(to), len(payload)) {
			return nil, postRest(c, bus, rules[i:], payload)
		}
		if err := x.s.post(c, h, to); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// GiveUp reports what was no such parcel.
func (x spreader) GiveUp(_ *call.Call, p *delivery.Parcel, cause error) error {
	x.s.cfg.Report(fmt.Errorf("an event of event bus %s of account %s in %s: %w", p.Subject, p.Account, p.Region, cause))
	return nil
}

// Package outbox holds the events that calls raise until they are delivered. An event is written in the transaction of
// the change that it tells of, so there is no event without its change and no change without its event.
package outbox

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/store"
)

// Event is an event as EventBridge has it:
// https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html
type Event struct {
	ID         string          `json:"id"`
	DetailType string          `json:"detail-type"`
	Source     string          `json:"source"` // e.g. aws.kms
	Account    string          `json:"account"`
	Time       time.Time       `json:"time"`
	Region     string          `json:"region"`
	Resources  []string        `json:"resources"`
	Detail     json.RawMessage `json:"detail"`

	// Bus is the name of the bus, if it is not the default one of account and region. It is no part of the event as it is delivered.
	Bus string `json:"bus,omitempty"`
}

// Lane is where the events of an account and region wait until EventBridge takes them.
func Lane(account, region string) delivery.Lane {
	return delivery.Lane{Service: "events", Account: account, Region: region, Kind: Kind}
}

// Kind is the kind of the lanes of events.
const Kind = "event"

// Put adds an event that is raised at now.
func Put(tx store.Tx, e *Event, now time.Time) error {
	payload, err := json.Marshal(e)
	if err == nil {
		err = delivery.Put(tx, &delivery.Parcel{Lane: Lane(e.Account, e.Region), Created: now, Payload: payload})
	}
	if err != nil {
		return fmt.Errorf("putting an event into the outbox: %w", err)
	}
	return nil
}

// Open returns the event in a parcel of such a lane.
func Open(p *delivery.Parcel) (*Event, error) {
	var e Event
	if err := json.Unmarshal(p.Payload, &e); err != nil {
		return nil, fmt.Errorf("reading an event in the outbox: %w", err)
	}
	return &e, nil
}

// Pending returns the events of an account and region that wait for delivery, oldest first, at most limit of them.
func Pending(r store.Reader, account, region string, limit int) ([]Event, error) {
	parcels, err := delivery.Waiting(r, Lane(account, region), limit)
	if err != nil {
		return nil, err
	}
	var out []Event
	for _, p := range parcels {
		e, err := Open(p)
		if err != nil {
			return nil, err
		}
		out = append(out, *e)
	}
	return out, nil
}

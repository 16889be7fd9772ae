// Package outbox holds the events that calls raise until they are delivered. An event is written in the transaction of
// the change that it tells of, so there is no event without its change and no change without its event.
package outbox

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

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
}

// Stored as (see store.Table): outbox / account / region / event / time / id → Event.
var events = store.NewTable("outbox", "event", func(e *Event) store.Key { return store.Key{e.Time, e.ID} })

// Put adds an event, and gives it an ID if it has none.
func Put(tx store.Tx, e *Event) error {
	if e.ID == "" {
		e.ID = uuid.NewString()
	}
	if err := events.In(e.Account, e.Region).Put(tx, e); err != nil {
		return fmt.Errorf("putting an event into the outbox: %w", err)
	}
	return nil
}

// Pending returns the events of an account and region that wait for delivery, oldest first, at most limit of them.
func Pending(r store.Reader, account, region string, limit int) ([]Event, error) {
	var out []Event
	for e, err := range events.In(account, region).Scan(r, store.Query{Limit: limit}) {
		if err != nil {
			return nil, fmt.Errorf("reading the outbox: %w", err)
		}
		out = append(out, *e)
	}
	return out, nil
}

package s3

import (
	"context"
	"encoding/json"
	"time"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/delivery"
)

const (
	// notificationLane is the kind of the lanes to queues, topics and functions, one a configuration of a bucket.
	notificationLane = "notification"
	// keepNotification is how long S3 goes on trying to tell somebody.
	keepNotification = 24 * time.Hour
)

// posted is what a parcel holds: no content of objects, and of them no more than the store has in the clear anyway.
type posted struct {
	Bucket, ARN string
	Message     json.RawMessage
}

// post puts a message into the lane to a destination.
func (b *bucket) post(d *destination, message any) error {
	text, err := plainJSON(message)
	if err != nil {
		return err
	}
	payload, err := plainJSON(posted{b.Name, d.ARN, text})
	if err != nil {
		return err
	}
	return delivery.Put(b.c.Tx(), &delivery.Parcel{
		Lane:    delivery.Lane{Service: "s3", Account: b.Account, Region: b.Region, Kind: notificationLane, Subject: b.Name + "/" + d.ID},
		Created: b.c.Time, Expires: b.c.Time.Add(keepNotification), Payload: payload,
	})
}

// notifier hands messages over to queues, topics and functions.
type notifier struct{ s *Service }

// Deliver implements door.Carrier.
func (n notifier) Deliver(c *call.Call, p *delivery.Parcel) (func(context.Context) error, error) {
	var m posted
	if err := json.Unmarshal(p.Payload, &m); err != nil {
		return nil, delivery.Permanent(err)
	}
	return nil, n.s.send(c, &bucketRecord{Name: m.Bucket, Account: p.Account, Region: p.Region}, m.ARN, string(m.Message), false)
}

// GiveUp implements door.Carrier: there is nobody else to tell.
func (n notifier) GiveUp(*call.Call, *delivery.Parcel, error) error { return nil }

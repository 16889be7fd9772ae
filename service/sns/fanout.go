package sns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/engine/eventpattern"
	"github.com/holdfast-cloud/holdfast/store"
)

// A message becomes a parcel for each subscription that it is for. With few subscriptions Publish posts them itself. With more it posts sixteen parcels that hold the message, one for
// the subscriptions whose IDs begin with each hexadecimal digit, and these post the others, so that no transaction grows with the number of subscribers. All messages of a group take
// the same way to a subscription, in their order.

const (
	// subscriptionLane is the kind of the lanes to subscriptions: TOPICID/ID, and /GROUP for messages of FIFO topics.
	subscriptionLane = "subscription"
	// fanOutLane is the kind of the lanes to parts of a topic's subscriptions: TOPICID/DIGIT, and /GROUP.
	fanOutLane = "fanout"

	// few is how many subscriptions a topic has at most whose messages Publish posts to all of them.
	few = 20
	// piece is how many subscriptions are gone through in one transaction, of a message that leaves room for them.
	piece = 200
	// room is how much is posted in one transaction, in bytes of messages.
	room = 4 << 20

	digits = "0123456789abcdef" // that IDs begin with
)

// How messages are tried again that could not be delivered: https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html#delivery-policies-for-protocols
const (
	attemptsInside = 100_015
	timeInside     = 23 * 24 * time.Hour
	attemptsMail   = 50
	timeMail       = 6 * time.Hour
)

// A parcel's payload is the length of a subscription's ID, that ID, which only parcels of fanOutLane have that go on behind it, and the sealed message.

// put seals a message into a parcel's payload.
func (s *Service) put(m *message, topicID string) ([]byte, error) {
	plain, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	sealed, err := s.box.Wrap("message/"+topicID, plain)
	return behind("", sealed), err
}

func behind(id string, sealed []byte) []byte {
	return slices.Concat([]byte{byte(len(id))}, []byte(id), sealed)
}

// take opens a parcel's payload.
func (s *Service) take(payload []byte, topicID string) (m *message, after string, sealed []byte, err error) {
	if len(payload) == 0 || len(payload) < 1+int(payload[0]) {
		return nil, "", nil, errors.New("a message to deliver is cut off")
	}
	after, sealed = string(payload[1:1+payload[0]]), payload[1+payload[0]:]
	plain, err := s.box.Unwrap("message/"+topicID, sealed)
	if err != nil {
		return nil, "", nil, fmt.Errorf("opening a message to deliver: %w", err)
	}
	defer clear(plain)
	if err := json.Unmarshal(plain, &m); err != nil {
		return nil, "", nil, errors.New("a message to deliver does not decode") // without what is in it
	}
	return m, after, sealed, nil
}

// lane is the queue of a subscription's messages, or of those of a group.
func (s *Service) lane(t *topic, r *subscriptionRecord, group string) delivery.Lane {
	return delivery.Lane{Account: t.account, Region: t.region, Service: "sns", Kind: subscriptionLane, Subject: subject(t, r.ID, group)}
}

func subject(t *topic, of, group string) string {
	if t.fifo() && group != "" {
		return t.ID + "/" + of + "/" + group
	}
	return t.ID + "/" + of
}

// distribute posts a message to the subscriptions of its topic.
func (s *Service) distribute(t *topic, m *message) error {
	var found []*subscriptionRecord
	for r, err := range subscriptionTable.In(t.account, t.region).Scan(t.c.Tx(), store.Query{Prefix: store.Key{t.ID}, Limit: few + 1}) {
		if err != nil {
			return err
		}
		found = append(found, r)
	}
	if len(found) <= few {
		waits, err := s.fanningOut(t, m)
		if err != nil {
			return err
		}
		if !waits {
			return s.postAll(t, m, found)
		}
	}
	payload, err := s.put(m, t.ID)
	if err != nil {
		return err
	}
	for _, digit := range digits {
		p := &delivery.Parcel{Lane: delivery.Lane{Account: t.account, Region: t.region, Kind: fanOutLane, Subject: subject(t, string(digit), m.Group)}, Payload: payload}
		if err := t.c.Post(p); err != nil {
			return err
		}
	}
	return nil
}

// fanningOut reports whether messages of the same group are on their way to parts of a FIFO topic's subscriptions, behind which this one has to stay.
func (s *Service) fanningOut(t *topic, m *message) (bool, error) {
	if !t.fifo() {
		return false, nil
	}
	for _, digit := range digits {
		waiting, err := delivery.Waiting(t.c.Tx(), delivery.Lane{
			Service: "sns", Account: t.account, Region: t.region, Kind: fanOutLane, Subject: subject(t, string(digit), m.Group),
		}, 1)
		if err != nil || len(waiting) > 0 {
			return len(waiting) > 0, err
		}
	}
	return false, nil
}

// postAll posts a message to those of some subscriptions that it is for.
func (s *Service) postAll(t *topic, m *message, found []*subscriptionRecord) error {
	var to []*subscriptionRecord
	for _, r := range found {
		passes, err := s.passes(t, m, r)
		if err != nil {
			return err
		}
		if passes {
			to = append(to, r)
		}
	}
	return s.post(t, m, to...)
}

// passes reports whether a message is for a subscription.
func (s *Service) passes(t *topic, m *message, r *subscriptionRecord) (bool, error) {
	if r.State != confirmed {
		return false, nil
	}
	key, has := r.filterKey()
	if !has {
		return true, nil
	}
	f, err := s.filters.Get(t.c.Context, key)
	if err != nil {
		return false, err
	}
	passes := false
	if key.scope == eventpattern.MessageBody {
		passes = f.MatchBody([]byte(m.body(r.Protocol)))
	} else {
		passes = f.MatchAttributes(m.filterAttributes())
	}
	if !passes {
		s.countFiltered(t, m, key.scope)
	}
	return passes, nil
}

// post posts a message to subscriptions, signed for those of them that get it signed.
func (s *Service) post(t *topic, m *message, to ...*subscriptionRecord) error {
	if len(to) == 0 {
		return nil
	}
	for _, r := range to {
		if m.Kind != notification || !r.raw() {
			if err := s.sign(t, m, r.Protocol); err != nil {
				return err
			}
		}
	}
	payload, err := s.put(m, t.ID)
	if err != nil {
		return err
	}
	for _, r := range to {
		p := &delivery.Parcel{Lane: s.lane(t, r, m.Group), Payload: payload}
		switch {
		case r.http():
			p.MaxAttempts = *r.deliveryPolicy(t.deliveryPolicy()).HealthyRetryPolicy.filled().NumRetries + 1
		case r.Protocol == toEmail || r.Protocol == toEmailRaw:
			p.MaxAttempts, p.Expires = attemptsMail, t.c.Time.Add(timeMail)
		default:
			p.MaxAttempts, p.Expires = attemptsInside, t.c.Time.Add(timeInside)
		}
		if err := t.c.Post(p); err != nil {
			return err
		}
	}
	return nil
}

// fanOut carries messages to parts of a topic's subscriptions.
type fanOut struct{ *Service }

// Deliver implements door.Carrier. A part that is too large for one transaction goes on with a parcel of its own, at the end of the lane: FIFO topics have no such.
func (f fanOut) Deliver(c *call.Call, p *delivery.Parcel) (func(context.Context) error, error) {
	topicID, rest, _ := strings.Cut(p.Subject, "/")
	digit, _, _ := strings.Cut(rest, "/")
	m, after, sealed, err := f.take(p.Payload, topicID)
	if err != nil {
		return nil, delivery.Permanent(err)
	}
	limit := max(few, min(piece, room/(len(sealed)+1)))
	q := store.Query{Prefix: store.Key{topicID, store.Begin(digit)}, Limit: limit}
	if after != "" {
		q = store.Query{Prefix: store.Key{topicID}, From: store.Key{after + "+"}, To: store.Key{digit + "~"}, Limit: limit} // behind it
	}
	var found []*subscriptionRecord
	for r, err := range subscriptionTable.In(c.Scope.Account, c.Scope.Region).Scan(c.Tx(), q) {
		if err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	if len(found) == 0 {
		return nil, nil
	}
	t, err := f.topicOf(c, found[0])
	if err != nil || t == nil {
		return nil, err
	}
	if err := f.postAll(t, m, found); err != nil {
		return nil, err
	}
	if len(found) < limit {
		return nil, nil
	}
	return nil, c.Post(&delivery.Parcel{Lane: p.Lane, Payload: behind(found[len(found)-1].ID, sealed)})
}

// GiveUp implements door.Carrier.
func (f fanOut) GiveUp(*call.Call, *delivery.Parcel, error) error { return nil }

// topicOf loads the topic of a subscription, on a call of the service's own. It is nil if it is no more.
func (s *Service) topicOf(c *call.Call, r *subscriptionRecord) (*topic, error) {
	record, err := topicTable.In(r.Account, r.Region).Get(c.Tx(), r.Topic)
	if missing(err) || err == nil && record.ID != r.TopicID {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &topic{topicRecord: record, c: c, account: r.Account, region: r.Region, arn: call.Scope{Partition: s.cfg.Partition, Account: r.Account, Region: r.Region}.ARN("sns", r.Topic)}, nil
}

package sqs

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
)

const (
	maxBatch    = 10
	maxReceived = 1024 * kib // bytes in one answer
	maxHandled  = 100        // messages that one call looks at, those included that have expired or become dead letters
)

// receipt is a call that receives.
type receipt struct {
	*queue
	s          *Service
	f          *front
	p          pile
	now        time.Time
	max        int           // messages
	visibility time.Duration // for which others do not see them
	dead       *queueRecord  // where messages go that were received too often, or nil
	attributes []string      // system attributes that are asked for
	names      []string      // message attributes that are asked for

	out     []sqs.Message
	handles []string
	bytes   int
	handled int
	full    bool
	settled []entry // entries that the transaction removes, or that are none
	wrote   bool
}

// ReceiveMessage takes messages that wait in a queue, and hides them from others for a while.
func (s *Service) ReceiveMessage(c *call.Call, in *sqs.ReceiveMessageRequest) (out *sqs.ReceiveMessageResult, err error) {
	defer func() {
		if !errors.Is(err, call.ErrAgain) {
			s.polls.over(c.RequestID)
		}
	}()
	q, err := s.find(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	r, wait, err := s.newReceipt(q, in)
	if err != nil {
		return nil, err
	}
	// What an earlier run of this call has claimed, whose transaction has conflicted.
	r.f.giveBack(c.RequestID)
	defer func() {
		if err != nil {
			r.f.giveBack(c.RequestID)
		}
	}()
	if in.ReceiveRequestAttemptId != nil && q.FIFO {
		if repeated, err := r.repeat(*in.ReceiveRequestAttemptId); repeated || err != nil {
			return r.answer(), err
		}
	}
	if r.f.flying(r.now) >= inFlightLimit {
		if q.FIFO || wait > 0 {
			return r.answer(), nil
		}
		return nil, &sqs.OverLimit{Message: "The specified action violates a limit. For example, ReceiveMessage returns this error if the maximum number of in flight messages is reached."}
	}
	if err := r.receive(); err != nil {
		return nil, err
	}
	if len(r.out) == 0 && !r.wrote {
		r.f.giveBack(c.RequestID)
		if wait > 0 && s.wait(c, r.f, wait) {
			return nil, call.ErrAgain
		}
		s.metrics.received(q.queueRecord, c.Time, 0)
		return r.answer(), nil
	}
	if in.ReceiveRequestAttemptId != nil && q.FIFO {
		if err := q.remember(&recentRecord{Key: "receive " + *in.ReceiveRequestAttemptId, Handles: r.handles}); err != nil {
			return nil, err
		}
	}
	c.Tx().OnCommitted(func() {
		r.f.done(r.settled)
		r.f.giveBack(c.RequestID)
		r.f.wake() // there may be more, for which another one waits
		s.metrics.received(q.queueRecord, c.Time, len(r.out))
	})
	return r.answer(), nil
}

// newReceipt reads what a request asks for, and how many seconds it waits.
func (s *Service) newReceipt(q *queue, in *sqs.ReceiveMessageRequest) (*receipt, int, error) {
	r := &receipt{queue: q, s: s, p: q.pile(), now: q.c.Time, max: 1, visibility: time.Duration(q.Settings.VisibilityTimeout) * time.Second, names: in.MessageAttributeNames}
	r.f = s.fronts.of(r.p)
	if n := in.MaxNumberOfMessages; n != nil {
		if *n < 1 || *n > maxBatch {
			return nil, 0, invalidValue(*n, "MaxNumberOfMessages", "Must be between 1 and 10, if provided.")
		}
		r.max = int(*n)
	}
	if v := in.VisibilityTimeout; v != nil {
		if *v < 0 || *v > maxVisibility {
			return nil, 0, invalidValue(*v, "VisibilityTimeout", "VisibilityTimeout must be an integer between 0 and 43200.")
		}
		r.visibility = time.Duration(*v) * time.Second
	}
	wait := q.Settings.ReceiveMessageWaitTimeSeconds
	if w := in.WaitTimeSeconds; w != nil {
		if *w < 0 || *w > maxWait {
			return nil, 0, invalidValue(*w, "WaitTimeSeconds", "Must be >= 0 and <= 20, if provided.")
		}
		wait = int(*w)
	}
	if id := in.ReceiveRequestAttemptId; id != nil {
		switch {
		case !q.FIFO:
			return nil, 0, invalidValue(*id, "ReceiveRequestAttemptId", "The request include parameter that is not valid for this queue type.")
		case *id == "" || !validToken(*id):
			return nil, 0, invalidValue(*id, "ReceiveRequestAttemptId", "ReceiveRequestAttemptId can only include alphanumeric and punctuation characters. 1 to 128 in length.")
		}
	}
	for _, n := range in.AttributeNames {
		r.attributes = append(r.attributes, string(n))
	}
	for _, n := range in.MessageSystemAttributeNames {
		r.attributes = append(r.attributes, string(n))
	}
	for _, n := range r.attributes {
		if !systemAttributes[n] {
			return nil, 0, unknownAttribute(sqs.QueueAttributeName(n))
		}
	}
	var err error
	r.dead, err = s.deadLetters(q)
	return r, wait, err
}

// systemAttributes are those that a receiver can ask for.
var systemAttributes = map[string]bool{
	string(sqs.MessageSystemAttributeNameAll): true, string(sqs.MessageSystemAttributeNameSenderId): true, string(sqs.MessageSystemAttributeNameSentTimestamp): true,
	string(sqs.MessageSystemAttributeNameApproximateReceiveCount): true, string(sqs.MessageSystemAttributeNameApproximateFirstReceiveTimestamp): true,
	string(sqs.MessageSystemAttributeNameSequenceNumber): true, string(sqs.MessageSystemAttributeNameMessageDeduplicationId): true,
	string(sqs.MessageSystemAttributeNameMessageGroupId): true, string(sqs.MessageSystemAttributeNameAWSTraceHeader): true,
	string(sqs.MessageSystemAttributeNameDeadLetterQueueSourceArn): true,
}

func (r *receipt) answer() *sqs.ReceiveMessageResult {
	return &sqs.ReceiveMessageResult{Messages: r.out}
}

// receive takes what is due until there is enough.
func (r *receipt) receive() error {
	ctx, before := r.c.Context, until(r.now)
	for len(r.out) < r.max && r.handled < maxHandled && !r.full {
		entries, err := r.f.take(ctx, r.s.cfg.Store, before, r.c.RequestID, r.max-len(r.out))
		if err != nil || len(entries) == 0 {
			return err
		}
		for _, e := range entries {
			if r.full || len(r.out) == r.max {
				break // what is not settled is given back
			}
			var taken bool
			if r.FIFO {
				taken, err = r.receiveGroup(e)
			} else {
				taken, err = r.receiveOne(e)
			}
			if err != nil {
				return err
			}
			if taken {
				continue
			}
			if there, err := r.exists(ctx, e); err != nil {
				return err
			} else if !there {
				r.f.done([]entry{e})
			} // else it is newer than the transaction, and for another one
		}
	}
	return nil
}

// exists reports whether an entry is there now, which the transaction does not have.
func (r *receipt) exists(ctx context.Context, e entry) (there bool, err error) {
	err = r.s.cfg.Store.View(ctx, func(rd store.Reader) error {
		_, err := rd.Get(r.p.due(e))
		if there = err == nil; errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	return there, err
}

// receiveOne takes the message of an entry. It reports false if the entry is none, as far as the transaction knows.
func (r *receipt) receiveOne(e entry) (bool, error) {
	seq, err := strconv.ParseUint(e.id(), 10, 64)
	if err != nil {
		return false, nil
	}
	m, err := r.p.load(r.tx(), seq)
	if errors.Is(err, store.ErrNotFound) || err == nil && entryAt(m.Visible, seq) != e {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	r.handled++
	if gone, err := r.pass(m); gone || err != nil {
		if err == nil {
			r.tx().Delete(r.p.due(e))
			r.settled = append(r.settled, e)
		}
		return true, err
	}
	if r.tooMuch(m) {
		return true, nil
	}
	if err := r.deliver(m); err != nil {
		return false, err
	}
	r.tx().Delete(r.p.due(e))
	r.tx().Set(r.p.due(entryAt(m.Visible, m.seq)), []byte(inFlight))
	if to := entryAt(m.Visible, m.seq); to != e {
		r.settled = append(r.settled, e)
	}
	return true, nil
}

// receiveGroup takes what can be taken of a message group.
func (r *receipt) receiveGroup(e entry) (bool, error) {
	g, err := r.p.loadGroup(r.tx(), e.id())
	if err != nil || g == nil || entryAt(g.Visible, g.name) != e {
		return false, err
	}
	g.Flight = nil
	first := uint64(0)
	for seq, err := range r.p.inGroup(r.tx(), g.name, g.First) {
		if err != nil {
			return false, err
		}
		m, err := r.p.load(r.tx(), seq)
		if err != nil {
			return false, err
		}
		if m.Received == 0 && m.Visible > r.now.UnixNano() || len(r.out) == r.max || r.handled == maxHandled {
			break
		}
		r.handled++
		gone, err := r.pass(m)
		if err != nil {
			return false, err
		}
		if gone {
			continue
		}
		if r.tooMuch(m) {
			break
		}
		if err := r.deliver(m); err != nil {
			return false, err
		}
		if first == 0 {
			first = seq
		}
		g.Flight = append(g.Flight, flight{seq, m.Visible})
	}
	if first != 0 {
		g.First = first
	}
	r.wrote = true
	was := g.Visible
	if err := r.p.moveGroup(r.tx(), g, was, r.now); err != nil {
		return false, err
	}
	if g.Visible != was {
		r.settled = append(r.settled, e)
	}
	return true, nil
}

// tooMuch reports whether a message does not fit into the answer with those that are in it.
func (r *receipt) tooMuch(m *message) bool {
	r.full = len(r.out) > 0 && r.bytes+m.Bytes > maxReceived
	return r.full
}

// pass takes a message away that nobody receives any more: it has expired, or is a dead letter now.
func (r *receipt) pass(m *message) (gone bool, err error) {
	if r.expired(m) {
		r.wrote = true
		r.s.erase(r.queue, r.p, m)
		return true, nil
	}
	if r.dead == nil || m.Received < r.Redrive.Max {
		return false, nil
	}
	r.wrote = true
	return true, r.s.transfer(r.queue, r.p, m, r.dead, r.arn())
}

func (q *queue) expired(m *message) bool {
	return !q.c.Time.Before(time.UnixMilli(m.Sent).Add(q.retention()))
}

// deliver hides a message and puts it into the answer.
func (r *receipt) deliver(m *message) error {
	landed := int64(0)
	if m.Visible > r.now.UnixNano() {
		landed = m.Visible
	}
	m.Received++
	m.Taken, m.Visible = r.now.UnixNano(), r.now.Add(r.visibility).UnixNano()
	if m.First == 0 {
		m.First = r.now.UnixMilli()
	}
	h, err := r.s.newHandle(r.queue, m)
	if err != nil {
		return err
	}
	if err := r.tell(m, h); err != nil {
		return err
	}
	r.wrote = true
	r.s.count(r.queue, r.p, change{landed: landed, flying: r.visibility > 0, until: m.Visible})
	r.p.put(r.tx(), m)
	return nil
}

// tell puts a message into the answer.
func (r *receipt) tell(m *message, h string) error {
	b, err := r.p.getBody(r.tx(), m)
	if err != nil {
		return err
	}
	content, err := r.s.decrypt(r.queue, m.ID, b)
	if err != nil {
		return err
	}
	chosen := content.chosen(r.names)
	r.out = append(r.out, sqs.Message{
		MessageId: &m.ID, ReceiptHandle: &h, Body: &content.body, MD5OfBody: new(digest([]byte(content.body))),
		Attributes: r.system(m, content), MessageAttributes: told(chosen), MD5OfMessageAttributes: some(digestAttributes(chosen)),
	})
	r.handles = append(r.handles, h)
	r.bytes += m.Bytes
	return nil
}

// system are the system attributes of a message that are asked for.
func (r *receipt) system(m *message, c *content) map[sqs.MessageSystemAttributeName]string {
	if len(r.attributes) == 0 {
		return nil
	}
	all := map[sqs.MessageSystemAttributeName]string{
		sqs.MessageSystemAttributeNameSenderId:                         m.Sender,
		sqs.MessageSystemAttributeNameSentTimestamp:                    strconv.FormatInt(m.Sent, 10),
		sqs.MessageSystemAttributeNameApproximateReceiveCount:          strconv.Itoa(m.Received),
		sqs.MessageSystemAttributeNameApproximateFirstReceiveTimestamp: strconv.FormatInt(m.First, 10),
		sqs.MessageSystemAttributeNameMessageGroupId:                   m.Group,
		sqs.MessageSystemAttributeNameMessageDeduplicationId:           m.Dedup,
		sqs.MessageSystemAttributeNameAWSTraceHeader:                   c.Trace,
		sqs.MessageSystemAttributeNameDeadLetterQueueSourceArn:         m.Source,
	}
	if r.FIFO {
		all[sqs.MessageSystemAttributeNameSequenceNumber] = sequenceNumber(m.seq)
	}
	chosen := make(map[sqs.MessageSystemAttributeName]string)
	for _, n := range r.attributes {
		for name, v := range all {
			if v != "" && (n == string(name) || n == string(sqs.MessageSystemAttributeNameAll)) {
				chosen[name] = v
			}
		}
	}
	return chosen
}

// repeat answers a receive attempt to a FIFO queue with what it was answered before, of which it may not have heard, and hides that anew. It reports false where
// there was none, or one of its messages is not what it was.
func (r *receipt) repeat(attempt string) (bool, error) {
	before, err := r.recall("receive " + attempt)
	if err != nil || before == nil || len(before.Handles) == 0 {
		return false, err
	}
	var messages []*message
	for _, text := range before.Handles {
		h, err := r.s.openHandle(r.queue, text)
		if err != nil || h.pile != r.Pile {
			return false, nil
		}
		m, err := r.p.load(r.tx(), h.seq)
		if errors.Is(err, store.ErrNotFound) || err == nil && (!h.latest(m) || m.Visible <= r.now.UnixNano()) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		messages = append(messages, m)
	}
	for i, m := range messages {
		if err := r.tell(m, before.Handles[i]); err != nil {
			return false, err
		}
		if err := r.s.hide(r.queue, r.p, m, r.now.Add(r.visibility).UnixNano()); err != nil {
			return false, err
		}
	}
	return true, nil
}

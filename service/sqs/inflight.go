package sqs

import (
	"errors"
	"strconv"

	"github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
)

// DeleteMessage removes a message that was received.
func (s *Service) DeleteMessage(c *call.Call, in *sqs.DeleteMessageRequest) (*sqs.DeleteMessageResponse, error) {
	q, err := s.find(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	return &sqs.DeleteMessageResponse{}, s.deleteMessage(q, in.ReceiptHandle)
}

// held is the message of a receipt handle, or nil if it is not there any more.
func (s *Service) held(q *queue, text *string) (*message, handle, error) {
	if text == nil {
		return nil, handle{}, missing("ReceiptHandle")
	}
	h, err := s.openHandle(q, *text)
	if err != nil || h.pile != q.Pile {
		return nil, h, err
	}
	m, err := q.pile().load(q.tx(), h.seq)
	if errors.Is(err, store.ErrNotFound) {
		return nil, h, nil
	}
	if err != nil {
		return nil, h, err
	}
	if q.FIFO && (!h.latest(m) || m.Visible <= q.c.Time.UnixNano()) {
		return nil, h, invalidValue(*text, "ReceiptHandle", "The receipt handle has expired.")
	}
	return m, h, nil
}

// deleteMessage removes the message of a receipt handle. With a handle of an earlier time that it was received it stays, and nothing tells: so it is documented.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessage.html
func (s *Service) deleteMessage(q *queue, text *string) error {
	m, h, err := s.held(q, text)
	if err != nil || m == nil || !h.latest(m) {
		return err
	}
	q.tx().OnCommitted(func() { s.metrics.deleted(q.queueRecord, q.c.Time) })
	return s.take(q, q.pile(), m)
}

// erase removes all of a message but its due key, or what its group knows of it.
func (s *Service) erase(q *queue, p pile, m *message) {
	tx := q.tx()
	tx.Delete(p.message(m.seq))
	p.deleteBody(tx, m)
	if q.FIFO {
		tx.Delete(p.order(m.Group, m.seq))
	}
	ch := change{total: -1}
	if m.Received > 0 && m.Visible > q.c.Time.UnixNano() {
		ch.landed = m.Visible
	}
	s.count(q, p, ch)
}

// ChangeMessageVisibility changes for how long a message in flight is hidden, from now.
func (s *Service) ChangeMessageVisibility(c *call.Call, in *sqs.ChangeMessageVisibilityRequest) (*sqs.ChangeMessageVisibilityResponse, error) {
	q, err := s.find(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	return &sqs.ChangeMessageVisibilityResponse{}, s.changeVisibility(q, in.ReceiptHandle, in.VisibilityTimeout)
}

func (s *Service) changeVisibility(q *queue, text *string, seconds *int32) error {
	if seconds == nil {
		return missing("VisibilityTimeout")
	}
	if *seconds < 0 || *seconds > maxVisibility {
		return invalidValue(*seconds, "VisibilityTimeout", "VisibilityTimeout must be an integer between 0 and 43200.")
	}
	m, h, err := s.held(q, text)
	if err != nil {
		return err
	}
	if m == nil || !h.latest(m) {
		return invalidValue(*text, "ReceiptHandle", "Message does not exist or is not available for visibility timeout change.")
	}
	if m.Visible <= q.c.Time.UnixNano() {
		return &sqs.MessageNotInflight{Message: "The specified message isn't in flight."}
	}
	until := q.c.Time.UnixNano() + int64(*seconds)*1e9
	if until-m.Taken > maxVisibility*1e9 && *seconds > 0 {
		return invalidValue(strconv.Itoa(int(*seconds)), "VisibilityTimeout", "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]")
	}
	return s.hide(q, q.pile(), m, until)
}

// hide has a message that was received come back at another time.
func (s *Service) hide(q *queue, p pile, m *message, until int64) error {
	tx, was := q.tx(), m.Visible
	ch := change{flying: until > q.c.Time.UnixNano(), until: until}
	if was > q.c.Time.UnixNano() {
		ch.landed = was
	}
	m.Visible = until
	p.put(tx, m)
	s.count(q, p, ch)
	if !q.FIFO {
		tx.Delete(p.due(entryAt(was, m.seq)))
		tx.Set(p.due(entryAt(until, m.seq)), []byte(inFlight))
		return nil
	}
	g, err := p.loadGroup(tx, m.Group)
	if err != nil || g == nil {
		return err
	}
	for i := range g.Flight {
		if g.Flight[i].Sequence == m.seq {
			g.Flight[i].Until = until
		}
	}
	return p.moveGroup(tx, g, g.Visible, q.c.Time)
}

// transfer moves a message from a pile to another queue of the same kind, but for its due key in the pile, or what its group knows of it there. It is as new, but for its ID, its age in a
// standard queue, and source, the queue whose dead letter it is.
func (s *Service) transfer(q *queue, p pile, m *message, to *queueRecord, source string) error {
	tx := q.tx()
	b, err := p.getBody(tx, m)
	if err != nil {
		return err
	}
	s.erase(q, p, m)
	moved := *m
	moved.Source = source
	moved.Received, moved.First, moved.Taken, moved.Visible = 0, 0, 0, q.c.Time.UnixNano()
	if to.FIFO {
		moved.Sent = q.c.Time.UnixMilli()
		if err := s.join(q, to, &moved); err != nil {
			return err
		}
		return s.add(q, to, &moved, b)
	}
	// The order of sequences is that of ages, which a dead letter keeps.
	if moved.seq, err = to.pile().free(tx, m.seq); err != nil {
		return err
	}
	return s.add(q, to, &moved, b)
}

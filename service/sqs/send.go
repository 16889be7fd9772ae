package sqs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// outgoing is a message as it is sent, alone or in a batch.
type outgoing struct {
	content
	delay        *int32
	group, dedup string
	bytes        int // that it is charged for
}

// sent is what the sender is told.
type sent struct {
	id, body, attributes, system string
	sequence                     *string
}

// SendMessage puts a message into a queue.
func (s *Service) SendMessage(c *call.Call, in *sqs.SendMessageRequest) (*sqs.SendMessageResult, error) {
	q, err := s.find(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	m, err := newOutgoing(&sqs.SendMessageBatchRequestEntry{
		MessageBody: in.MessageBody, DelaySeconds: in.DelaySeconds, MessageAttributes: in.MessageAttributes, MessageSystemAttributes: in.MessageSystemAttributes,
		MessageDeduplicationId: in.MessageDeduplicationId, MessageGroupId: in.MessageGroupId,
	})
	if err != nil {
		return nil, err
	}
	if q.FIFO && in.MessageGroupId == nil {
		return nil, missing("MessageGroupId")
	}
	told, err := s.send(q, m, &places{n: 1})
	if err != nil {
		return nil, err
	}
	return &sqs.SendMessageResult{
		MessageId: &told.id, MD5OfMessageBody: &told.body, MD5OfMessageAttributes: some(told.attributes), MD5OfMessageSystemAttributes: some(told.system),
		SequenceNumber: told.sequence,
	}, nil
}

// some is a pointer to a text that is not empty.
func some(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// newOutgoing reads what a request sends.
func newOutgoing(in *sqs.SendMessageBatchRequestEntry) (*outgoing, error) {
	if in.MessageBody == nil {
		return nil, missing("MessageBody")
	}
	m := &outgoing{delay: in.DelaySeconds, group: optional.Value(in.MessageGroupId), dedup: optional.Value(in.MessageDeduplicationId)}
	m.body = *in.MessageBody
	m.bytes = len(m.body)
	if m.body == "" {
		return nil, &sqs.InvalidMessageContents{Message: "Invalid message contents. Reason: Message body must not be empty."}
	}
	if !allowedText(m.body) {
		return nil, &sqs.InvalidMessageContents{Message: "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF"}
	}
	if err := m.setAttributes(in.MessageAttributes); err != nil {
		return nil, err
	}
	return m, m.setSystemAttributes(in.MessageSystemAttributes)
}

// allowedText reports whether a text is of the characters that SQS takes: those of XML 1.0, http://www.w3.org/TR/REC-xml/#charsets.
func allowedText(s string) bool {
	for i, r := range s {
		switch {
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r == 0xFFFE, r == 0xFFFF:
			return false
		case r == utf8.RuneError:
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
				return false
			}
		}
	}
	return true
}

// places are sequences for the messages of a call, of which the first send looks whether they are free.
type places struct {
	n    int    // how many
	next uint64 // 0 before the first send
}

// place takes the next sequence that is free in a standard queue.
func (s *Service) place(q *queue, p *places) (seq uint64, err error) {
	if p.next == 0 {
		if p.next, err = q.pile().freeOf(q.tx(), s.ticket.nextOf(q.c.Time, p.n), p.n); err != nil {
			return 0, err
		}
	}
	seq = p.next
	p.next++
	return seq, nil
}

// send puts a message into the queue. Who sends one again to a FIFO queue within five minutes is told of the first.
func (s *Service) send(q *queue, out *outgoing, p *places) (*sent, error) {
	if out.bytes > q.Settings.MaximumMessageSize {
		return nil, invalid("One or more parameters are invalid. Reason: Message must be shorter than %d bytes.", q.Settings.MaximumMessageSize)
	}
	delay, err := q.delayOf(out)
	if err != nil {
		return nil, err
	}
	if err := q.checkGroup(out); err != nil {
		return nil, err
	}
	c := q.c
	told := &sent{body: digest([]byte(out.body)), attributes: digestAttributes(out.Attributes), system: digestAttributes(out.system())}
	m := &message{
		Sender: c.Caller.UserID(), Sent: c.Time.UnixMilli(), Visible: c.Time.Add(delay).UnixNano(), Group: out.group, Dedup: out.dedup, Bytes: out.bytes, ID: c.UUID(),
	}
	if c.Caller.UserID() == "" {
		m.Sender = c.Caller.ServiceName
	}
	if q.FIFO {
		first, err := s.deduplicate(q, m)
		if err != nil {
			return nil, err
		}
		if first != nil {
			told.id, told.sequence = first.ID, new(sequenceNumber(first.Sequence))
			return told, nil
		}
	} else if m.seq, err = s.place(q, p); err != nil {
		return nil, err
	}
	b, err := s.encrypt(q, m.ID, &out.content)
	if err != nil {
		return nil, err
	}
	told.id = m.ID
	if q.FIFO {
		told.sequence = new(sequenceNumber(m.seq))
	}
	c.Tx().OnCommitted(func() { s.metrics.sent(q.queueRecord, c.Time, m.Bytes) })
	return told, s.add(q, q.queueRecord, m, b)
}

// add puts a message with a sequence into a queue, which may be another one than the call is about.
func (s *Service) add(q *queue, to *queueRecord, m *message, body []byte) error {
	p, tx := to.pile(), q.tx()
	m.Pieces = p.putBody(tx, m.seq, body)
	p.put(tx, m)
	if to.FIFO {
		tx.Set(p.order(m.Group, m.seq), nil)
	} else {
		tx.Set(p.due(entryAt(m.Visible, m.seq)), []byte(why(m)))
	}
	s.count(q, p, change{total: 1, delayed: m.Visible > q.c.Time.UnixNano(), until: m.Visible})
	return nil
}

// why says what keeps a message from being received until it is due.
func why(m *message) string {
	if m.Received > 0 {
		return inFlight
	}
	return delayed
}

// delayOf is how long a message is delayed.
func (q *queue) delayOf(out *outgoing) (time.Duration, error) {
	seconds := int32(q.Settings.DelaySeconds)
	if d := out.delay; d != nil {
		switch {
		case *d < 0 || *d > maxDelay:
			return 0, invalidValue(*d, "DelaySeconds", fmt.Sprintf("DelaySeconds must be >= 0 and <= %d.", maxDelay))
		case q.FIFO && *d != 0:
			return 0, invalidValue(*d, "DelaySeconds", "The request include parameter that is not valid for this queue type.")
		case !q.FIFO:
			seconds = *d
		}
	}
	return time.Duration(seconds) * time.Second, nil
}

// checkGroup holds a message's group and deduplication ID against the kind of the queue, and makes a deduplication ID of its content where the queue has that.
func (q *queue) checkGroup(out *outgoing) error {
	if out.group != "" && !validToken(out.group) {
		return invalidValue(out.group, "MessageGroupId", "MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length.")
	}
	if out.dedup != "" && !validToken(out.dedup) {
		return invalidValue(out.dedup, "MessageDeduplicationId", "MessageDeduplicationId can only include alphanumeric and punctuation characters. 1 to 128 in length.")
	}
	switch {
	case !q.FIFO && out.dedup != "":
		return invalidValue(out.dedup, "MessageDeduplicationId", "The request include parameter that is not valid for this queue type.")
	case !q.FIFO:
		return nil // a group is taken: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html
	case out.group == "":
		return invalid("The request must contain the parameter MessageGroupId.")
	case out.dedup != "":
		return nil
	case !q.Settings.ContentBasedDeduplication:
		return invalid("The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly")
	}
	sum := sha256.Sum256([]byte(out.body))
	out.dedup = hex.EncodeToString(sum[:])
	return nil
}

// validToken reports whether a text can be a group or an ID: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
func validToken(s string) bool {
	return len(s) <= 128 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// sequenceNumber is a sequence as SQS tells it, with twenty digits.
func sequenceNumber(seq uint64) string { return fmt.Sprintf("1%019d", seq) }

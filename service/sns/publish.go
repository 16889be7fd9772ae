package sns

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	kmsapi "github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/sns"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

const (
	maxBatch = 10 // messages
	// deduplication is for how long a FIFO topic takes a message only once: https://docs.aws.amazon.com/sns/latest/dg/fifo-message-dedup.html
	deduplication = 5 * time.Minute
	// swept is how many things a FIFO topic forgets, whose time is over, with each message that it takes.
	swept = 8
)

var (
	entryID     = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)
	phoneToSend = regexp.MustCompile(`^\+?[0-9]{2,15}$`)
)

// Publish sends a message to the subscribers of a topic.
func (s *Service) Publish(c *call.Call, in *sns.PublishInput) (*sns.PublishResponse, error) {
	if in.PhoneNumber != nil {
		c.Open("nothing is sent to a phone")
		if !phoneToSend.MatchString(*in.PhoneNumber) {
			return nil, invalid("PhoneNumber Reason: %s is not valid to publish to", *in.PhoneNumber)
		}
		return nil, notBuilt("Publish to a phone number")
	}
	parameter, target := "TopicArn", optional.Value(in.TopicArn)
	if target == "" && in.TargetArn != nil {
		parameter, target = "TargetArn", *in.TargetArn
	}
	if a, err := arn.Parse(target); err == nil && a.Service == "sns" && a.ResourceType() == "endpoint" {
		if err := c.Authorize(&call.Resource{ARN: target, Account: a.Account}); err != nil {
			return nil, err
		}
		return nil, invalid("TargetArn Reason: No endpoint found for the target arn specified")
	}
	t, err := s.find(c, parameter, target)
	if err != nil {
		return nil, err
	}
	d := &draft{
		text: in.Message, structure: in.MessageStructure, subject: in.Subject, group: in.MessageGroupId, deduplication: in.MessageDeduplicationId, attributes: in.MessageAttributes,
	}
	m, err := d.message(t)
	if err != nil {
		return nil, err
	}
	if m.size(optional.Value(in.Message)) > maxMessage {
		return nil, invalid("Message too long")
	}
	if err := s.useKey(t); err != nil {
		return nil, err
	}
	if err := s.send(t, m); err != nil {
		return nil, err
	}
	return &sns.PublishResponse{MessageId: &m.ID, SequenceNumber: optional.NonZero(m.Sequence)}, nil
}

// PublishBatch sends messages to the subscribers of a topic. What is wrong with one of them is wrong with the request, as with AWS; messages fail alone where KMS or this cloud fails.
func (s *Service) PublishBatch(c *call.Call, in *sns.PublishBatchInput) (*sns.PublishBatchResponse, error) {
	t, err := s.find(c, "TopicArn", optional.Value(in.TopicArn))
	if err != nil {
		return nil, err
	}
	entries := in.PublishBatchRequestEntries
	if err := checkEntries(entries); err != nil {
		return nil, err
	}
	messages, size := make([]*message, len(entries)), 0
	for i := range entries {
		e := &entries[i]
		d := &draft{
			text: e.Message, structure: e.MessageStructure, subject: e.Subject, group: e.MessageGroupId, deduplication: e.MessageDeduplicationId, attributes: e.MessageAttributes,
		}
		if messages[i], err = d.message(t); err != nil {
			return nil, err
		}
		size += messages[i].size(optional.Value(e.Message))
	}
	if size > maxMessage {
		return nil, &sns.BatchRequestTooLongException{Message: "The length of all the messages put together is more than the limit."}
	}
	if err := s.useKey(t); err != nil {
		return nil, err
	}
	out := &sns.PublishBatchResponse{Successful: []sns.PublishBatchResultEntry{}, Failed: []sns.BatchResultErrorEntry{}}
	for i, m := range messages {
		mark := c.Tx().Mark()
		err := s.send(t, m)
		if errors.Is(err, store.ErrConflict) {
			return nil, err
		}
		if err != nil {
			c.Tx().Reset(mark)
			out.Failed = append(out.Failed, sns.BatchResultErrorEntry{
				Id: entries[i].Id, Code: new("InternalError"), Message: new("An internal error occurred."), SenderFault: new(false),
			})
			continue
		}
		out.Successful = append(out.Successful, sns.PublishBatchResultEntry{Id: entries[i].Id, MessageId: &m.ID, SequenceNumber: optional.NonZero(m.Sequence)})
	}
	return out, nil
}

func checkEntries(entries []sns.PublishBatchRequestEntry) error {
	switch {
	case len(entries) == 0:
		return &sns.EmptyBatchRequestException{Message: "The batch request doesn't contain any entries."}
	case len(entries) > maxBatch:
		return &sns.TooManyEntriesInBatchRequestException{Message: "The batch request contains more entries than permissible."}
	}
	seen := make(map[string]bool, len(entries))
	for _, e := range entries {
		id := optional.Value(e.Id)
		if !entryID.MatchString(id) {
			return &sns.InvalidBatchEntryIdException{Message: "The Id of a batch entry in a batch request doesn't abide by the specification."}
		}
		if seen[id] {
			return &sns.BatchEntryIdsNotDistinctException{Message: "Two or more batch entries in the request have the same Id."}
		}
		seen[id] = true
	}
	return nil
}

// useKey has KMS say that the caller may use the key that the topic is encrypted with. Messages are sealed whatever key that is, see README.md.
// https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
func (s *Service) useKey(t *topic) error {
	name := t.Attributes["KmsMasterKeyId"]
	if name == "" {
		return nil
	}
	if !arn.Is(name) {
		resource := name
		if len(name) < 6 || name[:6] != "alias/" {
			resource = "key/" + name
		}
		name = call.Scope{Partition: t.c.Scope.Partition, Account: t.account, Region: t.region}.ARN("kms", resource)
	}
	out, err := s.cfg.KMS.GenerateDataKey(t.c, &kmsapi.GenerateDataKeyRequest{
		KeyId: &name, KeySpec: kmsapi.DataKeySpecAes256, EncryptionContext: map[string]string{"aws:sns:topicArn": t.arn},
	})
	if err != nil {
		return ofKMS(err)
	}
	clear(out.Plaintext)
	return nil
}

// send gives a message its ID, and posts it to the subscribers of its topic. Of a message that a FIFO topic took before it tells ID and number of that.
func (s *Service) send(t *topic, m *message) error {
	m.ID, m.Time = t.c.UUID(), t.c.Time
	if t.fifo() {
		twice, err := s.order(t, m)
		if err != nil || twice {
			return err
		}
	}
	s.count(t, "NumberOfMessagesPublished", 1)
	s.measureSize(t, m.size(string(m.Body)))
	return s.distribute(t, m)
}

// order gives a message its number among those of its group, or that of the message that it is a copy of, which it reports. Numbers grow with time, so a group that was forgotten
// goes on with greater ones.
func (s *Service) order(t *topic, m *message) (twice bool, err error) {
	rows, tx, now := recentTable.In(t.account, t.region), t.c.Tx(), t.c.Time
	scope := ""
	if t.Attributes["FifoThroughputScope"] == "MessageGroup" {
		scope = m.Group
	}
	id := &recentRecord{TopicID: t.ID, Kind: aDeduplicationID, ID: hash(scope + " " + m.Deduplication), Expires: now.Add(deduplication), MessageID: m.ID}
	before, err := rows.Get(tx, t.ID, string(id.Kind), id.ID)
	switch {
	case err == nil && now.Before(before.Expires):
		m.ID, m.Sequence = before.MessageID, sequence(before.Sequence)
		return true, nil
	case err != nil && !missing(err):
		return false, err
	}
	group := &recentRecord{TopicID: t.ID, Kind: aGroup, ID: hash(m.Group), Expires: now.Add(deduplication), Sequence: now.UnixNano()}
	last, err := rows.Get(tx, t.ID, string(group.Kind), group.ID)
	switch {
	case err == nil:
		group.Sequence = max(group.Sequence, last.Sequence+1)
	case !missing(err):
		return false, err
	}
	id.Sequence = group.Sequence
	m.Sequence = sequence(group.Sequence)
	if err := s.sweep(t); err != nil {
		return false, err
	}
	if err := rows.Put(tx, id); err != nil {
		return false, err
	}
	return false, rows.Put(tx, group)
}

// sequence is a number as SNS tells it: 20 digits.
func sequence(n int64) string { return fmt.Sprintf("1%019d", n) }

// sweep forgets some of what the topic does not have to remember anymore.
func (s *Service) sweep(t *topic) error {
	rows := recentTable.In(t.account, t.region)
	q := store.Query{Index: "expires", Prefix: store.Key{t.ID}, To: store.Key{t.c.Time}, Limit: swept}
	for r, err := range rows.Scan(t.c.Tx(), q) {
		if err == nil {
			err = rows.Delete(t.c.Tx(), t.ID, string(r.Kind), r.ID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

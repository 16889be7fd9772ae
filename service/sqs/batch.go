package sqs

import (
	"errors"
	"fmt"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

// maxBatchBytes is what the messages of a batch may have together:
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
const maxBatchBytes = 1024 * kib

func tooMany(n int) string {
	return fmt.Sprintf("Maximum number of entries per request are %d. You have sent %d.", maxBatch, n)
}

func tooLong(n int) string {
	return fmt.Sprintf("Batch requests cannot be longer than %d bytes. You have sent %d bytes.", maxBatchBytes, n)
}

// checkBatch holds the entries of a batch against what all batches have in common.
func checkBatch(ids []*string, kind string) error {
	if len(ids) == 0 {
		return &sqs.EmptyBatchRequest{Message: "There should be at least one " + kind + " in the request."}
	}
	if len(ids) > maxBatch {
		return &sqs.TooManyEntriesInBatchRequest{Message: tooMany(len(ids))}
	}
	seen := make(map[string]bool, len(ids))
	for _, id := range ids {
		switch {
		case id == nil:
			return missing(kind + ".1.Id")
		case !validEntryID(*id):
			return &sqs.InvalidBatchEntryId{Message: "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long."}
		case seen[*id]:
			return &sqs.BatchEntryIdsNotDistinct{Message: "Id " + *id + " repeated."}
		}
		seen[*id] = true
	}
	return nil
}

func validEntryID(s string) bool {
	return s != "" && len(s) <= 80 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}

// each runs an entry of a batch. One that fails leaves nothing behind, and the others go on; only an error that is nobody's but the cloud's ends the batch.
func (q *queue) each(id *string, failed *[]sqs.BatchResultErrorEntry, do func() error) (bool, error) {
	mark := q.tx().Mark()
	err := do()
	if err == nil {
		return true, nil
	}
	code, message, ok := ofSender(err)
	if !ok || errors.Is(err, store.ErrConflict) {
		return false, err
	}
	q.tx().Reset(mark)
	*failed = append(*failed, sqs.BatchResultErrorEntry{Id: id, SenderFault: new(true), Code: &code, Message: &message})
	return false, nil
}

// ofSender tells an error that the sender of a request has made, in the code of the query protocol, as the entries of batches have it in both.
func ofSender(err error) (code, message string, ok bool) {
	if m, isModeled := errors.AsType[wire.ModeledError](err); isModeled {
		t := m.Schema().Error
		if code = t.QueryCode; code == "" {
			code = t.Code
		}
		return code, wire.Message(m), !t.Fault
	}
	if e, isError := errors.AsType[*wire.Error](err); isError {
		if code = e.QueryCode; code == "" {
			code = e.Code
		}
		return code, e.Message, e.Status < 500
	}
	return "", "", false
}

// SendMessageBatch sends up to ten messages.
func (s *Service) SendMessageBatch(c *call.Call, in *sqs.SendMessageBatchRequest) (*sqs.SendMessageBatchResult, error) {
	q, err := s.find(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	ids := make([]*string, len(in.Entries))
	for i := range in.Entries {
		ids[i] = in.Entries[i].Id
	}
	if err := checkBatch(ids, "SendMessageBatchRequestEntry"); err != nil {
		return nil, err
	}
	out := &sqs.SendMessageBatchResult{Successful: []sqs.SendMessageBatchResultEntry{}, Failed: []sqs.BatchResultErrorEntry{}}
	total := 0
	messages := make([]*outgoing, len(in.Entries))
	for i := range in.Entries {
		if _, err := q.each(ids[i], &out.Failed, func() (err error) {
			messages[i], err = newOutgoing(&in.Entries[i])
			return err
		}); err != nil {
			return nil, err
		}
		if messages[i] != nil {
			total += messages[i].bytes
		}
	}
	if total > maxBatchBytes {
		return nil, &sqs.BatchRequestTooLong{Message: tooLong(total)}
	}
	free := &places{n: len(messages)}
	for i, m := range messages {
		if m == nil {
			continue
		}
		var told *sent
		ok, err := q.each(ids[i], &out.Failed, func() (err error) {
			told, err = s.send(q, m, free)
			return err
		})
		if err != nil {
			return nil, err
		}
		if ok {
			out.Successful = append(out.Successful, sqs.SendMessageBatchResultEntry{
				Id: ids[i], MessageId: &told.id, MD5OfMessageBody: &told.body, MD5OfMessageAttributes: some(told.attributes),
				MD5OfMessageSystemAttributes: some(told.system), SequenceNumber: told.sequence,
			})
		}
	}
	return out, nil
}

// DeleteMessageBatch removes up to ten messages.
func (s *Service) DeleteMessageBatch(c *call.Call, in *sqs.DeleteMessageBatchRequest) (*sqs.DeleteMessageBatchResult, error) {
	q, err := s.find(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	ids := make([]*string, len(in.Entries))
	for i := range in.Entries {
		ids[i] = in.Entries[i].Id
	}
	if err := checkBatch(ids, "DeleteMessageBatchRequestEntry"); err != nil {
		return nil, err
	}
	out := &sqs.DeleteMessageBatchResult{Successful: []sqs.DeleteMessageBatchResultEntry{}, Failed: []sqs.BatchResultErrorEntry{}}
	for i := range in.Entries {
		ok, err := q.each(ids[i], &out.Failed, func() error { return s.deleteMessage(q, in.Entries[i].ReceiptHandle) })
		if err != nil {
			return nil, err
		}
		if ok {
			out.Successful = append(out.Successful, sqs.DeleteMessageBatchResultEntry{Id: ids[i]})
		}
	}
	return out, nil
}

// ChangeMessageVisibilityBatch changes for how long up to ten messages in flight are hidden.
func (s *Service) ChangeMessageVisibilityBatch(c *call.Call, in *sqs.ChangeMessageVisibilityBatchRequest) (*sqs.ChangeMessageVisibilityBatchResult, error) {
	q, err := s.find(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	ids := make([]*string, len(in.Entries))
	for i := range in.Entries {
		ids[i] = in.Entries[i].Id
	}
	if err := checkBatch(ids, "ChangeMessageVisibilityBatchRequestEntry"); err != nil {
		return nil, err
	}
	out := &sqs.ChangeMessageVisibilityBatchResult{Successful: []sqs.ChangeMessageVisibilityBatchResultEntry{}, Failed: []sqs.BatchResultErrorEntry{}}
	for i := range in.Entries {
		e := &in.Entries[i]
		ok, err := q.each(ids[i], &out.Failed, func() error { return s.changeVisibility(q, e.ReceiptHandle, e.VisibilityTimeout) })
		if err != nil {
			return nil, err
		}
		if ok {
			out.Successful = append(out.Successful, sqs.ChangeMessageVisibilityBatchResultEntry{Id: ids[i]})
		}
	}
	return out, nil
}

package sqs

import (
	"net/url"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/wire"
)

// url is where a queue is: PUBLIC/ACCOUNT/NAME.
func (s *Service) url(q *queueRecord) string { return s.cfg.PublicURL + "/" + q.Account + "/" + q.Name }

// parseURL finds the account and the name in the URL of a queue. The host does not matter: a cloud may be reached under many.
func parseURL(text string) (account, name string, ok bool) {
	path := text
	if _, rest, absolute := strings.Cut(text, "://"); absolute {
		if _, path, ok = strings.Cut(rest, "/"); !ok {
			return "", "", false
		}
	}
	path, _, _ = strings.Cut(path, "?")
	path = strings.TrimSuffix(path, "/")
	head, name, ok := cutLast(path, '/')
	if !ok {
		return "", "", false
	}
	_, account, _ = cutLast(head, '/')
	if account == "" {
		account = head
	}
	return account, name, identity.IsAccount(account) && validName(name)
}

func cutLast(s string, sep byte) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

// validName reports whether a queue can have a name.
func validName(name string) bool {
	stem, _ := strings.CutSuffix(name, fifoSuffix)
	return stem != "" && len(name) <= 80 && !strings.ContainsFunc(stem, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}

// addressed completes a request that was sent to the URL of a queue and does not name it in its body: clients of the query protocol do that.
func addressed(in wire.Shape, path string) {
	unescaped, err := url.PathUnescape(path)
	if err != nil {
		return
	}
	if _, _, ok := parseURL(unescaped); !ok {
		return
	}
	if q := queueURL(in); q != nil && *q == nil {
		*q = &unescaped
	}
}

// queueURL is the member of an input that names the queue, or nil if it has none.
func queueURL(in wire.Shape) **string {
	switch in := in.(type) {
	case *sqs.AddPermissionRequest:
		return &in.QueueUrl
	case *sqs.ChangeMessageVisibilityRequest:
		return &in.QueueUrl
	case *sqs.ChangeMessageVisibilityBatchRequest:
		return &in.QueueUrl
	case *sqs.DeleteMessageRequest:
		return &in.QueueUrl
	case *sqs.DeleteMessageBatchRequest:
		return &in.QueueUrl
	case *sqs.DeleteQueueRequest:
		return &in.QueueUrl
	case *sqs.GetQueueAttributesRequest:
		return &in.QueueUrl
	case *sqs.ListDeadLetterSourceQueuesRequest:
		return &in.QueueUrl
	case *sqs.ListQueueTagsRequest:
		return &in.QueueUrl
	case *sqs.PurgeQueueRequest:
		return &in.QueueUrl
	case *sqs.ReceiveMessageRequest:
		return &in.QueueUrl
	case *sqs.RemovePermissionRequest:
		return &in.QueueUrl
	case *sqs.SendMessageRequest:
		return &in.QueueUrl
	case *sqs.SendMessageBatchRequest:
		return &in.QueueUrl
	case *sqs.SetQueueAttributesRequest:
		return &in.QueueUrl
	case *sqs.TagQueueRequest:
		return &in.QueueUrl
	case *sqs.UntagQueueRequest:
		return &in.QueueUrl
	}
	return nil
}

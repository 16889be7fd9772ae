package sqs

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// redrivePolicy says where messages go that were received too often.
type redrivePolicy struct {
	Text   string // as AWS tells it
	Target string // ARN
	Max    int    // times that a message is received
}

// redriveAllowPolicy says which queues may have a queue as their dead-letter queue.
type redriveAllowPolicy struct {
	Text       string
	Permission string
	Sources    []string `json:",omitempty"`
}

const (
	allowAll, denyAll, byQueue = "allowAll", "denyAll", "byQueue"
	maxReceiveCount            = 1000
	maxSources                 = 10
)

// setRedrive sets the queue's redrive policies.
func (s *Service) setRedrive(q *queue, attributes map[sqs.QueueAttributeName]string) error {
	if text, ok := attributes[sqs.QueueAttributeNameRedriveAllowPolicy]; ok {
		p, err := parseAllow(text)
		if err != nil {
			return err
		}
		q.Allow = p
	}
	text, ok := attributes[sqs.QueueAttributeNameRedrivePolicy]
	if !ok {
		return nil
	}
	if text == "" {
		q.Redrive = nil
		return nil
	}
	bad := func(reason string) error { return invalidValue(text, "RedrivePolicy", reason) }
	p, reason := parseRedrive(text)
	if reason != "" {
		return bad(reason)
	}
	target, err := s.byARN(q, p.Target)
	switch {
	case errors.Is(err, arn.ErrInvalid):
		return bad("Invalid value for deadLetterTargetArn.")
	case errors.Is(err, store.ErrNotFound):
		return bad("Dead letter target does not exist.")
	case err != nil:
		return err
	case target.FIFO != q.FIFO:
		return bad("Dead-letter queue must be same type of queue as the source.")
	case !target.Allow.allows(q.arn()):
		return bad("Dead-letter queue does not allow the source queue to use it.")
	}
	q.Redrive = p
	return nil
}

// byARN is a queue of q's own account and region, or arn.ErrInvalid, or store.ErrNotFound.
func (s *Service) byARN(q *queue, text string) (*queueRecord, error) {
	a, err := arn.Parse(text)
	if err != nil {
		return nil, err
	}
	if a.Service != "sqs" || a.Account != q.Account || a.Region != q.Region {
		return nil, arn.ErrInvalid
	}
	if a.Resource == q.Name {
		return q.queueRecord, nil // which may not be there yet
	}
	return queueTable.In(a.Account, a.Region).Get(q.tx(), a.Resource)
}

// parseRedrive reads a redrive policy, or says what is wrong with it.
func parseRedrive(text string) (p *redrivePolicy, reason string) {
	var doc struct {
		Target *string         `json:"deadLetterTargetArn"`
		Max    json.RawMessage `json:"maxReceiveCount"`
	}
	if json.Unmarshal([]byte(text), &doc) != nil {
		return nil, "Redrive policy is not a valid JSON map."
	}
	if doc.Target == nil || doc.Max == nil {
		return nil, "Redrive policy does not contain mandatory attribute: " + map[bool]string{true: "deadLetterTargetArn", false: "maxReceiveCount"}[doc.Target == nil] + "."
	}
	n, err := strconv.Atoi(strings.Trim(string(doc.Max), `"`))
	if err != nil || n < 1 || n > maxReceiveCount {
		return nil, "Invalid value for maxReceiveCount: " + strings.Trim(string(doc.Max), `"`) + ", valid values are from 1 to 1000 both inclusive."
	}
	told, err := json.Marshal(struct {
		Target string `json:"deadLetterTargetArn"`
		Max    int    `json:"maxReceiveCount"`
	}{*doc.Target, n})
	if err != nil {
		return nil, "Redrive policy is not a valid JSON map."
	}
	return &redrivePolicy{Text: string(told), Target: *doc.Target, Max: n}, ""
}

// parseAllow reads a redrive allow policy; nil is that there is none.
func parseAllow(text string) (*redriveAllowPolicy, error) {
	if text == "" {
		return nil, nil
	}
	bad := func(reason string) error { return invalidValue(text, "RedriveAllowPolicy", reason) }
	var doc struct {
		Permission string   `json:"redrivePermission"`
		Sources    []string `json:"sourceQueueArns"`
	}
	if json.Unmarshal([]byte(text), &doc) != nil {
		return nil, bad("Amazon SQS can't create the redrive allow policy, as it’s in an unsupported format.")
	}
	switch doc.Permission {
	case allowAll, denyAll:
		if len(doc.Sources) > 0 {
			return nil, bad("Amazon SQS can't create the redrive allow policy. If you specify sourceQueueArns, redrivePermission must be byQueue.")
		}
	case byQueue:
		if len(doc.Sources) == 0 || len(doc.Sources) > maxSources {
			return nil, bad("Amazon SQS can't create the redrive allow policy. sourceQueueArns must name 1 to 10 queues.")
		}
		for _, a := range doc.Sources {
			if !arn.Is(a) {
				return nil, bad("Amazon SQS can't create the redrive allow policy. sourceQueueArns must be ARNs of queues.")
			}
		}
	default:
		return nil, bad("Amazon SQS can't create the redrive allow policy, as it’s in an unsupported format.")
	}
	return &redriveAllowPolicy{Text: text, Permission: doc.Permission, Sources: doc.Sources}, nil
}

func (p *redriveAllowPolicy) allows(source string) bool {
	return p == nil || p.Permission == allowAll || p.Permission == byQueue && slices.Contains(p.Sources, source)
}

// ListDeadLetterSourceQueues lists the queues whose dead-letter queue a queue is.
func (s *Service) ListDeadLetterSourceQueues(c *call.Call, in *sqs.ListDeadLetterSourceQueuesRequest) (*sqs.ListDeadLetterSourceQueuesResult, error) {
	q, err := s.find(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	limit, err := pageSize(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	found, next, err := queueTable.In(q.Account, q.Region).Page(c.Tx(), store.Query{Index: "dead", Prefix: store.Key{q.arn()}, Limit: limit}, optional.Value(in.NextToken), "", nil)
	if err != nil {
		return nil, badToken(err)
	}
	out := &sqs.ListDeadLetterSourceQueuesResult{QueueUrls: []string{}}
	for _, r := range found {
		out.QueueUrls = append(out.QueueUrls, s.url(r))
	}
	if next != "" && in.MaxResults != nil {
		out.NextToken = &next
	}
	return out, nil
}

// deadLetters is the queue's dead-letter queue, or nil if it has none that is there and takes its messages.
func (s *Service) deadLetters(q *queue) (*queueRecord, error) {
	if q.Redrive == nil {
		return nil, nil
	}
	target, err := s.byARN(q, q.Redrive.Target)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, arn.ErrInvalid) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if target.ID == q.ID || target.FIFO != q.FIFO || !target.Allow.allows(q.arn()) {
		return nil, nil
	}
	return target, nil
}

package sqs

import (
	"errors"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

const (
	queueType  = "AWS::SQS::Queue" // in audit records
	fifoSuffix = ".fifo"

	// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteQueue.html and API_PurgeQueue.html
	reuseAfter = time.Minute
	purgeAfter = time.Minute
)

// queue is a queue that a call is about.
type queue struct {
	*queueRecord
	c *call.Call
}

func (q *queueRecord) arn(partition string) string {
	return "arn:" + partition + ":sqs:" + q.Region + ":" + q.Account + ":" + q.Name
}

func (q *queue) arn() string { return q.queueRecord.arn(q.c.Scope.Partition) }

func (q *queue) tx() store.Tx { return q.c.Tx() }

func (q *queue) save() error {
	q.Modified = q.c.Time
	return q.put()
}

// put is save for what changes no attribute.
func (q *queue) put() error { return queueTable.In(q.Account, q.Region).Put(q.tx(), q.queueRecord) }

// scope is where the queue's timers are.
func (q *queueRecord) scope() call.Scope { return call.Scope{Account: q.Account, Region: q.Region} }

// find gives the queue that a request names, once the operation's own action is allowed on it.
func (s *Service) find(c *call.Call, address *string) (*queue, error) {
	return s.findFor(c, address, nil)
}

// findFor is find for an operation that sets tags, or only names their keys.
func (s *Service) findFor(c *call.Call, address *string, tags map[string]string, keys ...string) (*queue, error) {
	if optional.Value(address) == "" {
		return nil, missing("QueueUrl")
	}
	account, name, ok := parseURL(*address)
	if !ok {
		return nil, &sqs.InvalidAddress{Message: "The address " + *address + " is not valid for this endpoint."}
	}
	shared, err := queueTable.In(account, c.Scope.Region).GetShared(c.Tx(), s.queues, name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, noQueue()
	}
	if err != nil {
		return nil, err
	}
	r := *shared // whose fields are replaced, and never changed within
	q := &queue{&r, c}
	resource, err := s.resource(q)
	if err != nil {
		return nil, err
	}
	resource.RequestTags, resource.RequestTagKeys = tags, keys
	if account != c.Scope.Account && ownersOnly[c.Op.Name] {
		return nil, c.Refuse(c.Op.Action, "on resource: "+q.arn()+" because only the queue's account can do this")
	}
	return q, c.Authorize(resource)
}

// ownersOnly are the operations that no policy gives another account:
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-overview-of-managing-access.html
var ownersOnly = map[string]bool{
	sqs.OpAddPermission.Name: true, sqs.OpCancelMessageMoveTask.Name: true, sqs.OpCreateQueue.Name: true, sqs.OpDeleteQueue.Name: true,
	sqs.OpListMessageMoveTasks.Name: true, sqs.OpListQueues.Name: true, sqs.OpListQueueTags.Name: true, sqs.OpRemovePermission.Name: true,
	sqs.OpSetQueueAttributes.Name: true, sqs.OpStartMessageMoveTask.Name: true, sqs.OpTagQueue.Name: true, sqs.OpUntagQueue.Name: true,
}

// resource is the queue as permission is asked for it.
func (s *Service) resource(q *queue) (*call.Resource, error) {
	var p *policy.Policy
	if q.Policy != "" {
		var err error
		if p, err = s.policies.Get(q.c.Context, q.Policy, q.Pins); err != nil {
			return nil, err
		}
	}
	return &call.Resource{ARN: q.arn(), Account: q.Account, Type: queueType, Policy: p, Tags: q.Tags}, nil
}

// CreateQueue makes a queue. One that is there already with the same attributes is as good.
func (s *Service) CreateQueue(c *call.Call, in *sqs.CreateQueueRequest) (*sqs.CreateQueueResult, error) {
	name := optional.Value(in.QueueName)
	if name == "" {
		return nil, missing("QueueName")
	}
	r := &queueRecord{
		Name: name, Account: c.Scope.Account, Region: c.Scope.Region, ID: c.UUID(), Pile: c.UUID(), Created: c.Time, Modified: c.Time,
		FIFO: strings.HasSuffix(name, fifoSuffix), Tags: in.Tags,
	}
	q := &queue{r, c}
	if err := c.Authorize(&call.Resource{ARN: q.arn(), Account: r.Account, Type: queueType, RequestTags: in.Tags}); err != nil {
		return nil, err
	}
	if len(in.Tags) > 0 {
		if err := c.AuthorizeAction(sqs.OpTagQueue.Action, &call.Resource{ARN: q.arn(), Account: r.Account, RequestTags: in.Tags}); err != nil {
			return nil, err
		}
	}
	if !validName(name) {
		return nil, invalid("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	}
	if r.FIFO != (in.Attributes[sqs.QueueAttributeNameFifoQueue] == "true") {
		if r.FIFO {
			return nil, invalid("The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length.")
		}
		return nil, invalid("The queue name must end with the .fifo suffix for a FIFO queue, and only for one.")
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	r.Settings = defaults(r.FIFO)
	there, err := queueTable.In(r.Account, r.Region).Get(c.Tx(), name)
	switch {
	case err == nil:
		return s.same(&queue{there, c}, in)
	case !errors.Is(err, store.ErrNotFound):
		return nil, err
	}
	if err := s.setAttributes(q, in.Attributes); err != nil {
		return nil, err
	}
	if err := q.notRecentlyDeleted(); err != nil {
		return nil, err
	}
	if err := s.setSweep(q, c.Time.Add(r.retention())); err != nil {
		return nil, err
	}
	return &sqs.CreateQueueResult{QueueUrl: new(s.url(r))}, queueTable.In(r.Account, r.Region).Insert(c.Tx(), r)
}

// same answers a request for a queue that is there.
func (s *Service) same(q *queue, in *sqs.CreateQueueRequest) (*sqs.CreateQueueResult, error) {
	have, err := s.attributes(q)
	if err != nil {
		return nil, err
	}
	for name, value := range in.Attributes {
		if have[name] != value && !(value == "" && have[name] == "") && !sameJSON(have[name], value) {
			return nil, &sqs.QueueNameExists{Message: "A queue already exists with the same name and a different value for attribute " + string(name)}
		}
	}
	return &sqs.CreateQueueResult{QueueUrl: new(s.url(q.queueRecord))}, nil
}

// notRecentlyDeleted refuses a name until it can be used again.
func (q *queue) notRecentlyDeleted() error {
	rows := goneTable.In(q.Account, q.Region)
	g, err := rows.Get(q.tx(), q.Name)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if q.c.Time.Before(g.Deleted.Add(reuseAfter)) {
		return &sqs.QueueDeletedRecently{Message: "You must wait 60 seconds after deleting a queue before you can create another with the same name."}
	}
	return rows.Delete(q.tx(), q.Name)
}

// GetQueueUrl tells the URL of a queue.
func (s *Service) GetQueueUrl(c *call.Call, in *sqs.GetQueueUrlRequest) (*sqs.GetQueueUrlResult, error) {
	name, account := optional.Value(in.QueueName), optional.Value(in.QueueOwnerAWSAccountId)
	if name == "" {
		return nil, missing("QueueName")
	}
	if account == "" {
		account = c.Scope.Account
	}
	if !identity.IsAccount(account) {
		return nil, invalidValue(account, "QueueOwnerAWSAccountId", "Must be an AWS account ID.")
	}
	if !validName(name) {
		return nil, noQueue()
	}
	q, err := s.find(c, new("/"+account+"/"+name))
	if err != nil {
		return nil, err
	}
	return &sqs.GetQueueUrlResult{QueueUrl: new(s.url(q.queueRecord))}, nil
}

// ListQueues lists the queues of the account in the region.
func (s *Service) ListQueues(c *call.Call, in *sqs.ListQueuesRequest) (*sqs.ListQueuesResult, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	limit, err := pageSize(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	q := store.Query{Limit: limit}
	if p := optional.Value(in.QueueNamePrefix); p != "" {
		q.Prefix = store.Key{store.Begin(p)}
	}
	found, next, err := queueTable.In(c.Scope.Account, c.Scope.Region).Page(c.Tx(), q, optional.Value(in.NextToken), "", nil)
	if err != nil {
		return nil, badToken(err)
	}
	out := new(sqs.ListQueuesResult)
	for _, r := range found {
		out.QueueUrls = append(out.QueueUrls, s.url(r))
	}
	if next != "" && in.MaxResults != nil {
		out.NextToken = &next
	}
	return out, nil
}

// pageSize is how many queues a listing tells at once: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ListQueues.html
func pageSize(max *int32, token *string) (int, error) {
	if max == nil {
		if token != nil {
			return 0, missing("MaxResults")
		}
		return 1000, nil
	}
	if *max < 1 || *max > 1000 {
		return 0, invalidValue(*max, "MaxResults", "Must be an integer from 1 to 1000.")
	}
	return int(*max), nil
}

func badToken(err error) error {
	if errors.Is(err, store.ErrBadToken) {
		return invalid("Invalid or expired next token.")
	}
	return err
}

// DeleteQueue removes a queue. Its messages go later, in pieces.
func (s *Service) DeleteQueue(c *call.Call, in *sqs.DeleteQueueRequest) (*sqs.DeleteQueueResponse, error) {
	q, err := s.find(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	if err := queueTable.In(q.Account, q.Region).Delete(c.Tx(), q.Name); err != nil {
		return nil, err
	}
	if err := goneTable.In(q.Account, q.Region).Put(c.Tx(), &goneRecord{q.Name, c.Time}); err != nil {
		return nil, err
	}
	if err := c.Cancel(q.scope(), sweepTimer, q.ID); err != nil {
		return nil, err
	}
	if err := s.endTasks(q); err != nil {
		return nil, err
	}
	return &sqs.DeleteQueueResponse{}, s.abandon(q, q.ID)
}

// PurgeQueue removes all messages of a queue: it gets a new pile, and the old one goes in pieces.
func (s *Service) PurgeQueue(c *call.Call, in *sqs.PurgeQueueRequest) (*sqs.PurgeQueueResponse, error) {
	q, err := s.find(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	if !q.Purged.IsZero() && c.Time.Before(q.Purged.Add(purgeAfter)) {
		return nil, &sqs.PurgeQueueInProgress{Message: "Only one PurgeQueue operation on " + q.Name + " is allowed every 60 seconds."}
	}
	if err := s.abandon(q, ""); err != nil {
		return nil, err
	}
	q.Pile, q.Purged = c.UUID(), c.Time
	return &sqs.PurgeQueueResponse{}, q.put()
}

package sqs

import (
	"encoding/json"
	"reflect"
	"strconv"
	"time"

	"github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/call"
)

const kib = 1 << 10

// defaults are the settings of a queue that is made without attributes:
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_CreateQueue.html
func defaults(fifo bool) settings {
	d := settings{MaximumMessageSize: 1024 * kib, MessageRetentionPeriod: 4 * 24 * 3600, VisibilityTimeout: 30, KmsDataKeyReusePeriodSeconds: 300}
	if fifo {
		d.DeduplicationScope, d.FifoThroughputLimit = scopeQueue, limitPerQueue
	}
	return d
}

const (
	scopeQueue, scopeGroup       = "queue", "messageGroup"
	limitPerQueue, limitPerGroup = "perQueue", "perMessageGroupId"
	maxVisibility                = 12 * 3600
	maxDelay                     = 900
	maxWait                      = 20
	maxRetention                 = 14 * 24 * 3600
	inFlightLimit                = 120_000
)

func (q *queueRecord) retention() time.Duration {
	return time.Duration(q.Settings.MessageRetentionPeriod) * time.Second
}

func invalidAttribute(name sqs.QueueAttributeName) error {
	return &sqs.InvalidAttributeValue{Message: "Invalid value for the parameter " + string(name) + "."}
}

func unknownAttribute(name sqs.QueueAttributeName) error {
	return &sqs.InvalidAttributeName{Message: "Unknown Attribute " + string(name) + "."}
}

// setAttributes gives the queue attributes that its caller wants.
func (s *Service) setAttributes(q *queue, attributes map[sqs.QueueAttributeName]string) error {
	st := &q.Settings
	number := func(name sqs.QueueAttributeName, to *int, min, max int) error {
		v, ok := attributes[name]
		if !ok {
			return nil
		}
		n, err := strconv.Atoi(v)
		if err != nil || n < min || n > max {
			return invalidAttribute(name)
		}
		*to = n
		return nil
	}
	choice := func(name sqs.QueueAttributeName, to *string, values ...string) error {
		v, ok := attributes[name]
		if !ok {
			return nil
		}
		if !q.FIFO {
			return unknownAttribute(name)
		}
		for _, allowed := range values {
			if v == allowed {
				*to = v
				return nil
			}
		}
		return invalidAttribute(name)
	}
	for name := range attributes {
		switch name {
		case sqs.QueueAttributeNameDelaySeconds, sqs.QueueAttributeNameMaximumMessageSize, sqs.QueueAttributeNameMessageRetentionPeriod,
			sqs.QueueAttributeNameReceiveMessageWaitTimeSeconds, sqs.QueueAttributeNameVisibilityTimeout, sqs.QueueAttributeNamePolicy,
			sqs.QueueAttributeNameRedrivePolicy, sqs.QueueAttributeNameRedriveAllowPolicy, sqs.QueueAttributeNameKmsMasterKeyId,
			sqs.QueueAttributeNameKmsDataKeyReusePeriodSeconds, sqs.QueueAttributeNameSqsManagedSseEnabled, sqs.QueueAttributeNameFifoQueue,
			sqs.QueueAttributeNameContentBasedDeduplication, sqs.QueueAttributeNameDeduplicationScope, sqs.QueueAttributeNameFifoThroughputLimit:
		default:
			return unknownAttribute(name)
		}
	}
	for _, err := range []error{
		number(sqs.QueueAttributeNameDelaySeconds, &st.DelaySeconds, 0, maxDelay),
		number(sqs.QueueAttributeNameMaximumMessageSize, &st.MaximumMessageSize, kib, 1024*kib),
		number(sqs.QueueAttributeNameMessageRetentionPeriod, &st.MessageRetentionPeriod, 60, maxRetention),
		number(sqs.QueueAttributeNameReceiveMessageWaitTimeSeconds, &st.ReceiveMessageWaitTimeSeconds, 0, maxWait),
		number(sqs.QueueAttributeNameVisibilityTimeout, &st.VisibilityTimeout, 0, maxVisibility),
		number(sqs.QueueAttributeNameKmsDataKeyReusePeriodSeconds, &st.KmsDataKeyReusePeriodSeconds, 60, 86400),
		choice(sqs.QueueAttributeNameDeduplicationScope, &st.DeduplicationScope, scopeQueue, scopeGroup),
		choice(sqs.QueueAttributeNameFifoThroughputLimit, &st.FifoThroughputLimit, limitPerQueue, limitPerGroup),
		q.setFIFO(attributes),
		q.setEncryption(attributes),
	} {
		if err != nil {
			return err
		}
	}
	if st.FifoThroughputLimit == limitPerGroup && st.DeduplicationScope != scopeGroup {
		return &sqs.InvalidAttributeValue{Message: "Invalid value for the parameter FifoThroughputLimit. Reason: The perMessageGroupId value is allowed only when the value for DeduplicationScope is messageGroup."}
	}
	if text, ok := attributes[sqs.QueueAttributeNamePolicy]; ok {
		if err := s.setPolicy(q, text); err != nil {
			return err
		}
	}
	return s.setRedrive(q, attributes)
}

// setFIFO sets what only FIFO queues have.
func (q *queue) setFIFO(attributes map[sqs.QueueAttributeName]string) error {
	if v, ok := attributes[sqs.QueueAttributeNameFifoQueue]; ok {
		switch {
		case !q.FIFO:
			return unknownAttribute(sqs.QueueAttributeNameFifoQueue)
		case v != "true":
			return &sqs.InvalidAttributeValue{Message: "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported."}
		}
	}
	if v, ok := attributes[sqs.QueueAttributeNameContentBasedDeduplication]; ok {
		if !q.FIFO {
			return unknownAttribute(sqs.QueueAttributeNameContentBasedDeduplication)
		}
		if v != "true" && v != "false" {
			return invalidAttribute(sqs.QueueAttributeNameContentBasedDeduplication)
		}
		q.Settings.ContentBasedDeduplication = v == "true"
	}
	return nil
}

// setEncryption sets what the queue's messages are encrypted with.
func (q *queue) setEncryption(attributes map[sqs.QueueAttributeName]string) error {
	key, named := attributes[sqs.QueueAttributeNameKmsMasterKeyId]
	managed, given := attributes[sqs.QueueAttributeNameSqsManagedSseEnabled]
	if given && managed != "true" && managed != "false" {
		return invalidAttribute(sqs.QueueAttributeNameSqsManagedSseEnabled)
	}
	if managed == "true" && key != "" || managed == "true" && !named && q.Settings.KmsMasterKeyID != "" {
		return &sqs.InvalidAttributeName{Message: "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE."}
	}
	if named {
		q.Settings.KmsMasterKeyID = key
	}
	if given {
		q.Settings.NoManagedSSE = managed == "false"
	}
	return nil
}

// SetQueueAttributes changes attributes of a queue.
func (s *Service) SetQueueAttributes(c *call.Call, in *sqs.SetQueueAttributesRequest) (*sqs.SetQueueAttributesResponse, error) {
	q, err := s.find(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	if len(in.Attributes) == 0 {
		return nil, missing("Attribute.Name")
	}
	retention := q.retention()
	if err := s.setAttributes(q, in.Attributes); err != nil {
		return nil, err
	}
	if q.retention() < retention {
		if err := s.setSweep(q, c.Time); err != nil {
			return nil, err
		}
	}
	return &sqs.SetQueueAttributesResponse{}, q.save()
}

// GetQueueAttributes tells attributes of a queue.
func (s *Service) GetQueueAttributes(c *call.Call, in *sqs.GetQueueAttributesRequest) (*sqs.GetQueueAttributesResult, error) {
	q, err := s.find(c, in.QueueUrl)
	if err != nil {
		return nil, err
	}
	have, err := s.attributes(q)
	if err != nil {
		return nil, err
	}
	out := &sqs.GetQueueAttributesResult{Attributes: make(map[sqs.QueueAttributeName]string)}
	counted := false
	for _, name := range in.AttributeNames {
		if (name == sqs.QueueAttributeNameAll || isCount(name)) && !counted {
			if err := s.countAttributes(q, have); err != nil {
				return nil, err
			}
			counted = true
		}
		if name == sqs.QueueAttributeNameAll {
			out.Attributes = have
			continue
		}
		if !known[name] {
			return nil, unknownAttribute(name)
		}
		if v, ok := have[name]; ok {
			out.Attributes[name] = v
		}
	}
	return out, nil
}

func isCount(name sqs.QueueAttributeName) bool {
	switch name {
	case sqs.QueueAttributeNameApproximateNumberOfMessages, sqs.QueueAttributeNameApproximateNumberOfMessagesDelayed,
		sqs.QueueAttributeNameApproximateNumberOfMessagesNotVisible:
		return true
	}
	return false
}

// known are the attributes that can be asked for.
var known = map[sqs.QueueAttributeName]bool{
	sqs.QueueAttributeNamePolicy: true, sqs.QueueAttributeNameVisibilityTimeout: true, sqs.QueueAttributeNameMaximumMessageSize: true,
	sqs.QueueAttributeNameMessageRetentionPeriod: true, sqs.QueueAttributeNameApproximateNumberOfMessages: true,
	sqs.QueueAttributeNameApproximateNumberOfMessagesNotVisible: true, sqs.QueueAttributeNameCreatedTimestamp: true,
	sqs.QueueAttributeNameLastModifiedTimestamp: true, sqs.QueueAttributeNameQueueArn: true,
	sqs.QueueAttributeNameApproximateNumberOfMessagesDelayed: true, sqs.QueueAttributeNameDelaySeconds: true,
	sqs.QueueAttributeNameReceiveMessageWaitTimeSeconds: true, sqs.QueueAttributeNameRedrivePolicy: true, sqs.QueueAttributeNameFifoQueue: true,
	sqs.QueueAttributeNameContentBasedDeduplication: true, sqs.QueueAttributeNameKmsMasterKeyId: true,
	sqs.QueueAttributeNameKmsDataKeyReusePeriodSeconds: true, sqs.QueueAttributeNameDeduplicationScope: true,
	sqs.QueueAttributeNameFifoThroughputLimit: true, sqs.QueueAttributeNameRedriveAllowPolicy: true, sqs.QueueAttributeNameSqsManagedSseEnabled: true,
}

// attributes are all attributes of a queue but the numbers of messages.
func (s *Service) attributes(q *queue) (map[sqs.QueueAttributeName]string, error) {
	st := &q.Settings
	a := map[sqs.QueueAttributeName]string{
		sqs.QueueAttributeNameQueueArn:                      q.arn(),
		sqs.QueueAttributeNameCreatedTimestamp:              strconv.FormatInt(q.Created.Unix(), 10),
		sqs.QueueAttributeNameLastModifiedTimestamp:         strconv.FormatInt(q.Modified.Unix(), 10),
		sqs.QueueAttributeNameDelaySeconds:                  strconv.Itoa(st.DelaySeconds),
		sqs.QueueAttributeNameMaximumMessageSize:            strconv.Itoa(st.MaximumMessageSize),
		sqs.QueueAttributeNameMessageRetentionPeriod:        strconv.Itoa(st.MessageRetentionPeriod),
		sqs.QueueAttributeNameReceiveMessageWaitTimeSeconds: strconv.Itoa(st.ReceiveMessageWaitTimeSeconds),
		sqs.QueueAttributeNameVisibilityTimeout:             strconv.Itoa(st.VisibilityTimeout),
		sqs.QueueAttributeNameSqsManagedSseEnabled:          strconv.FormatBool(!st.NoManagedSSE && st.KmsMasterKeyID == ""),
	}
	if st.KmsMasterKeyID != "" {
		a[sqs.QueueAttributeNameKmsMasterKeyId] = st.KmsMasterKeyID
		a[sqs.QueueAttributeNameKmsDataKeyReusePeriodSeconds] = strconv.Itoa(st.KmsDataKeyReusePeriodSeconds)
	}
	if q.FIFO {
		a[sqs.QueueAttributeNameFifoQueue] = "true"
		a[sqs.QueueAttributeNameContentBasedDeduplication] = strconv.FormatBool(st.ContentBasedDeduplication)
		a[sqs.QueueAttributeNameDeduplicationScope] = st.DeduplicationScope
		a[sqs.QueueAttributeNameFifoThroughputLimit] = st.FifoThroughputLimit
	}
	if q.Policy != "" {
		a[sqs.QueueAttributeNamePolicy] = q.Policy
	}
	if q.Redrive != nil {
		a[sqs.QueueAttributeNameRedrivePolicy] = q.Redrive.Text
	}
	if q.Allow != nil {
		a[sqs.QueueAttributeNameRedriveAllowPolicy] = q.Allow.Text
	}
	return a, nil
}

// sameJSON reports whether two texts are the same JSON.
func sameJSON(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}

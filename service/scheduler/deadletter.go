package scheduler

import (
	"errors"
	"strconv"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/meter"
	"github.com/holdfast-cloud/holdfast/store"
)

// GiveUp implements door.Carrier: an invocation that is not tried again goes to the schedule's dead-letter queue, if it has one.
func (s carrier) GiveUp(c *call.Call, p *delivery.Parcel, cause error) error {
	i, err := read(p)
	if err != nil {
		return nil // nobody can read it
	}
	counts := []string{dropped}
	if i.Target.DeadLetters != "" {
		counts = append(counts, deadLetters)
		if err := s.bury(c, p, i, cause); err != nil {
			if errors.Is(err, store.ErrConflict) {
				return err
			}
			counts[1] = deadLettersFailed
		}
	}
	c.Tx().OnCommitted(func() { s.count(c, i, counts...) })
	return s.complete(c, i)
}

// bury sends an invocation to the dead-letter queue, as the target's role:
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/configuring-schedule-dlq.html
func (s *Service) bury(c *call.Call, p *delivery.Parcel, i *invocation, cause error) error {
	as, err := c.AsRole(i.Target.Role, groupARN(c.Scope, i.Group))
	if err != nil {
		return err
	}
	queue, err := arn.Parse(i.Target.DeadLetters)
	if err != nil {
		return err
	}
	attempts, f := p.Attempts+1, failed(cause)
	if errors.Is(cause, delivery.ErrExpired) { // there was no attempt any more
		attempts, f = p.Attempts, new(failure)
		f.code, f.message, _ = strings.Cut(p.Failure, ": ")
	}
	body := "{}"
	if a, err := s.aim(c.Scope, i.Target.ARN); err == nil {
		if text, err := s.text(as, i, &a, attempts); err == nil {
			body = text
		}
	}
	attributes := map[string]sqs.MessageAttributeValue{}
	for name, value := range map[string]string{
		"ERROR_CODE": f.code, "ERROR_MESSAGE": f.message, "EXECUTION_ID": i.execution(attempts), "EXHAUSTED_RETRY_CONDITION": exhausted(c, p, cause), "IS_PAYLOAD_TRUNCATED": "false",
		"RETRY_ATTEMPTS": strconv.Itoa(attempts - 1), "SCHEDULED_TIME": i.scheduled(), "SCHEDULE_ARN": i.arn(c.Scope), "TARGET_ARN": i.Target.ARN,
	} {
		if value != "" {
			attributes[name] = sqs.MessageAttributeValue{DataType: new("String"), StringValue: new(value)}
		}
	}
	as.Scope.Region = queue.Region
	_, err = s.cfg.Transport.Invoke(as, sqs.OpSendMessage, &sqs.SendMessageRequest{QueueUrl: new(queueURL(queue)), MessageBody: &body, MessageAttributes: attributes})
	return err
}

// exhausted is which condition of the retry policy ended an invocation; none, if no other attempt would have helped.
func exhausted(c *call.Call, p *delivery.Parcel, cause error) string {
	switch {
	case delivery.IsPermanent(cause):
		return ""
	case errors.Is(cause, delivery.ErrExpired) || p.Expired(c.Time):
		return "MaximumEventAgeInSeconds"
	}
	return "MaximumRetryAttempts"
}

// The metrics: https://docs.aws.amazon.com/scheduler/latest/UserGuide/monitoring-cloudwatch.html
const (
	attempts          = "InvocationAttemptCount"
	targetErrors      = "TargetErrorCount"
	throttled         = "TargetErrorThrottledCount"
	dropped           = "InvocationDroppedCount"
	deadLetters       = "InvocationsSentToDeadLetterCount"
	deadLettersFailed = "InvocationsFailedToBeSentToDeadLetterCount"
)

// count adds one to metrics, of all schedules and of the group's.
func (s *Service) count(c *call.Call, i *invocation, names ...string) {
	for _, name := range names {
		series := meter.Series{Account: c.Scope.Account, Region: c.Scope.Region, Namespace: "AWS/Scheduler", Name: name, Unit: meter.Count}
		s.cfg.Meter.Add(series, c.Time, 1)
		series.Dimensions = []meter.Dimension{{Name: "ScheduleGroup", Value: i.Group}}
		s.cfg.Meter.Add(series, c.Time, 1)
	}
}

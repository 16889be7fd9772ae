package sns

import (
	"crypto/fips140"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/holdfast-cloud/holdfast/api/sns"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// feedbackRole are the attributes that have SNS write to CloudWatch Logs what became of deliveries. Without such a role a feedbackRate changes nothing.
var (
	feedbackRole = regexp.MustCompile(`^(HTTP|SQS|Lambda|Firehose|Application)(Success|Failure)FeedbackRoleArn$`)
	feedbackRate = regexp.MustCompile(`^(HTTP|SQS|Lambda|Firehose|Application)SuccessFeedbackSampleRate$`)
)

// setAttribute gives a topic an attribute. Some can only be given at its creation.
func (s *Service) setAttribute(t *topic, name, value string, creating bool) error {
	reason := func(format string, args ...any) error {
		if creating {
			format = "Attributes Reason: " + format
		}
		return invalid(format, args...)
	}
	switch name {
	case "Policy":
		return s.setPolicy(t, value)
	case "DeliveryPolicy":
		text, err := parseTopicPolicy(value)
		if err != nil {
			return err
		}
		value = text
	case "DisplayName":
		if utf8.RuneCountInString(value) > 100 || hasControls(value) {
			return reason("DisplayName")
		}
	case "KmsMasterKeyId":
	case "SignatureVersion":
		if value != "1" && value != "2" {
			return reason("SignatureVersion: Invalid value [%s]. Must be 1 or 2.", value)
		}
		if value == "1" && fips140.Enabled() {
			return reason("SignatureVersion: 1 is SHA-1, which is not there in FIPS mode")
		}
	case "TracingConfig":
		if value == "Active" {
			return notBuilt("TracingConfig Active")
		}
		if value != "PassThrough" {
			return reason("TracingConfig: Invalid value [%s]. Must be PassThrough or Active.", value)
		}
	case "FifoTopic":
		if !creating {
			return reason("AttributeName")
		}
		if value != "true" && value != "false" {
			return reason("FifoTopic: Invalid value [%s]. Must be true or false.", value)
		}
		if value == "false" {
			return nil // as if it had not been given
		}
	case "ContentBasedDeduplication":
		if value != "true" && value != "false" {
			return reason("ContentBasedDeduplication: Invalid value [%s]. Must be true or false.", value)
		}
		if !t.fifo() {
			return reason("Content-based deduplication can only be set for FIFO topics")
		}
	case "FifoThroughputScope":
		if value != "Topic" && value != "MessageGroup" {
			return reason("FifoThroughputScope: Invalid value [%s]. Must be Topic or MessageGroup.", value)
		}
		if !t.fifo() {
			return reason("FifoThroughputScope can only be set for FIFO topics")
		}
	case "ArchivePolicy":
		return notBuilt("ArchivePolicy")
	default:
		switch {
		case feedbackRole.MatchString(name):
			if value != "" {
				return notBuilt(name)
			}
		case feedbackRate.MatchString(name):
			if rate, err := strconv.Atoi(value); value != "" && (err != nil || rate < 0 || rate > 100) {
				return reason("%s: Invalid value [%s]. Must be from 0 to 100.", name, value)
			}
		case creating:
			return invalid("Attributes Reason: Unknown attribute %s", name)
		default:
			return invalid("AttributeName")
		}
	}
	t.Attributes = own(t.Attributes)
	if t.Attributes[name] = value; value == "" {
		delete(t.Attributes, name)
	}
	return nil
}

func hasControls(text string) bool {
	return !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// SetTopicAttributes gives a topic an attribute.
func (s *Service) SetTopicAttributes(c *call.Call, in *sns.SetTopicAttributesInput) (*sns.SetTopicAttributesResponse, error) {
	t, err := s.find(c, "TopicArn", optional.Value(in.TopicArn))
	if err != nil {
		return nil, err
	}
	if err := s.setAttribute(t, optional.Value(in.AttributeName), optional.Value(in.AttributeValue), false); err != nil {
		return nil, err
	}
	return &sns.SetTopicAttributesResponse{}, t.save()
}

// GetTopicAttributes returns the attributes of a topic.
func (s *Service) GetTopicAttributes(c *call.Call, in *sns.GetTopicAttributesInput) (*sns.GetTopicAttributesResponse, error) {
	t, err := s.find(c, "TopicArn", optional.Value(in.TopicArn))
	if err != nil {
		return nil, err
	}
	policy, err := s.showPolicy(t)
	if err != nil {
		return nil, err
	}
	effective, err := encode(t.deliveryPolicy())
	if err != nil {
		return nil, err
	}
	out := map[string]string{
		"TopicArn": t.arn, "Owner": t.account, "Policy": policy, "DisplayName": "", "EffectiveDeliveryPolicy": string(effective),
	}
	if t.fifo() {
		out["ContentBasedDeduplication"] = "false"
	}
	for name, value := range t.Attributes {
		out[name] = value
	}
	for name, st := range map[string]state{"SubscriptionsConfirmed": confirmed, "SubscriptionsPending": pending, "SubscriptionsDeleted": deleted} {
		n, err := subscriptionTable.In(t.account, t.region).Count(c.Tx(), store.Query{Index: "state", Prefix: store.Key{t.ID, string(st)}})
		if err != nil {
			return nil, err
		}
		out[name] = strconv.Itoa(n)
	}
	return &sns.GetTopicAttributesResponse{Attributes: out}, nil
}

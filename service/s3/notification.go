package s3

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/s3"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// notifications are whom a bucket tells of what happens in it.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventNotifications.html
type notifications struct {
	EventBridge  bool          `json:",omitempty"`
	Destinations []destination `json:",omitempty"`
}

// destination is a queue, a topic or a function that is told of some events.
type destination struct {
	ID     string
	ARN    string
	Events []s3.Event
	Rules  []filterRule `json:",omitempty"`
}

// filterRule says how keys begin or end that a destination is told of.
type filterRule struct{ Name, Value string }

// The names of filter rules, as S3 answers with them.
const (
	prefixRule = "Prefix"
	suffixRule = "Suffix"
)

// rule is the value of the rule of a name, or "".
func (d *destination) rule(name string) string {
	for _, r := range d.Rules {
		if r.Name == name {
			return r.Value
		}
	}
	return ""
}

// wants reports whether the destination is told of an event, e.g. s3:ObjectCreated:Put, of an object.
func (d *destination) wants(event s3.Event, key string) bool {
	return slices.ContainsFunc(d.Events, func(e s3.Event) bool { return covers(e, event) }) &&
		strings.HasPrefix(key, d.rule(prefixRule)) && strings.HasSuffix(key, d.rule(suffixRule))
}

// covers reports whether a configured event stands for an event.
func covers(configured, event s3.Event) bool {
	if family, ok := strings.CutSuffix(string(configured), "*"); ok {
		return strings.HasPrefix(string(event), family)
	}
	return configured == event
}

// kind is what the destination is.
func (d *destination) kind() string {
	switch {
	case strings.Contains(d.ARN, ":sqs:"):
		return "queue"
	case strings.Contains(d.ARN, ":lambda:"):
		return "function"
	}
	return "topic"
}

// PutBucketNotificationConfiguration replaces whom the bucket tells. Each destination gets a test message first, which shows that it is there and lets S3 in.
func (s *Service) PutBucketNotificationConfiguration(c *call.Call, in *s3.PutBucketNotificationConfigurationRequest) (*s3.PutBucketNotificationConfigurationResponse, error) {
	b, err := s.find(c, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	if err := b.authorize(); err != nil {
		return nil, err
	}
	n, err := b.notificationsOf(in.NotificationConfiguration)
	if err != nil {
		return nil, err
	}
	if !optional.Value(in.SkipDestinationValidation) {
		if err := s.tryDestinations(b, n); err != nil {
			return nil, err
		}
	}
	b.Notifications = n
	return &s3.PutBucketNotificationConfigurationResponse{}, b.save()
}

// GetBucketNotificationConfiguration tells whom the bucket tells.
func (s *Service) GetBucketNotificationConfiguration(c *call.Call, in *s3.GetBucketNotificationConfigurationRequest) (*s3.NotificationConfiguration, error) {
	b, err := s.find(c, in.Bucket, in.ExpectedBucketOwner)
	if err != nil {
		return nil, err
	}
	if err := b.authorize(); err != nil {
		return nil, err
	}
	out := &s3.NotificationConfiguration{}
	if b.Notifications == nil {
		return out, nil
	}
	if b.Notifications.EventBridge {
		out.EventBridgeConfiguration = &s3.EventBridgeConfiguration{}
	}
	for i := range b.Notifications.Destinations {
		d := &b.Notifications.Destinations[i]
		switch d.kind() {
		case "queue":
			out.QueueConfigurations = append(out.QueueConfigurations, s3.QueueConfiguration{Id: &d.ID, QueueArn: &d.ARN, Events: d.Events, Filter: d.filter()})
		case "function":
			out.LambdaFunctionConfigurations = append(out.LambdaFunctionConfigurations, s3.LambdaFunctionConfiguration{Id: &d.ID, LambdaFunctionArn: &d.ARN, Events: d.Events, Filter: d.filter()})
		default:
			out.TopicConfigurations = append(out.TopicConfigurations, s3.TopicConfiguration{Id: &d.ID, TopicArn: &d.ARN, Events: d.Events, Filter: d.filter()})
		}
	}
	return out, nil
}

// filter is the destination's rules as the API has them.
func (d *destination) filter() *s3.NotificationConfigurationFilter {
	if len(d.Rules) == 0 {
		return nil
	}
	key := &s3.S3KeyFilter{}
	for _, r := range d.Rules {
		key.FilterRules = append(key.FilterRules, s3.FilterRule{Name: s3.FilterRuleName(r.Name), Value: new(r.Value)})
	}
	return &s3.NotificationConfigurationFilter{Key: key}
}

// newConfigurationID makes a name for a configuration that was given none.
func newConfigurationID() string {
	var b [18]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

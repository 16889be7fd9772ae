package sns

import (
	"errors"
	"maps"
	"regexp"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/sns"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

const (
	topicType  = "AWS::SNS::Topic" // in audit records
	fifoSuffix = ".fifo"
	pageSize   = 100 // of all listings: https://docs.aws.amazon.com/sns/latest/api/API_ListTopics.html
)

// purgeTimer is the kind of the timers that remove what topics leave.
const purgeTimer = "purge"

var topicName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`)

// topic is a topic that a call is about.
type topic struct {
	*topicRecord    // nil if it is not there
	c               *call.Call
	account, region string
	arn             string
	policy          *policy.Policy
	keys            policy.Values // condition keys of the request
}

// parseTopic reads the ARN of a topic, which the parameter of the given name holds.
func parseTopic(c *call.Call, parameter, text string) (a arn.ARN, err error) {
	if n := strings.Count(text, ":") + 1; n < 6 {
		return a, invalid("%s Reason: An ARN must have at least 6 elements, not %d", parameter, n)
	}
	a, err = arn.Parse(text)
	if err != nil || a.Service != "sns" || a.Partition != c.Scope.Partition || a.Region != c.Scope.Region || a.Account == "" || strings.Contains(a.Resource, ":") {
		return a, invalid("%s", parameter)
	}
	return a, nil
}

// load reads the topic of an ARN. It may not be there: who may not ask for it must not learn that.
func (s *Service) load(c *call.Call, a arn.ARN) (*topic, error) {
	t := &topic{c: c, account: a.Account, region: a.Region, arn: a.String(), keys: policy.Values{}}
	r, err := topicTable.In(a.Account, a.Region).Get(c.Tx(), a.Resource)
	if missing(err) {
		return t, nil
	}
	if err != nil {
		return nil, err
	}
	t.topicRecord = r
	t.policy, err = s.policies.Get(c.Context, t.policyText(), t.Pins)
	return t, err
}

// find loads the topic that a parameter names, asks for the operation's own action on it, and returns it if it is there.
func (s *Service) find(c *call.Call, parameter, text string) (*topic, error) {
	a, err := parseTopic(c, parameter, text)
	if err != nil {
		return nil, err
	}
	t, err := s.load(c, a)
	if err != nil {
		return nil, err
	}
	return t, t.authorize(t.resource())
}

// resource is the topic as permission is asked for it.
func (t *topic) resource() *call.Resource {
	r := &call.Resource{ARN: t.arn, Account: t.account, Type: topicType, Policy: t.policy, Conditions: t.keys}
	if t.topicRecord != nil {
		r.Tags = t.Tags
	}
	return r
}

// authorize asks for the operation's own action, and then reports a topic that is not there.
func (t *topic) authorize(r *call.Resource) error {
	if err := t.c.Authorize(r); err != nil {
		return tagPolicy(err)
	}
	if t.topicRecord == nil {
		return noTopic()
	}
	return nil
}

// scope is where the topic is.
func (t *topic) scope() call.Scope {
	return call.Scope{Partition: t.c.Scope.Partition, Account: t.account, Region: t.region}
}

func (t *topic) save() error { return topicTable.In(t.account, t.region).Put(t.c.Tx(), t.topicRecord) }

func (t *topic) fifo() bool { return isFIFO(t.Name) }

func isFIFO(name string) bool { return strings.HasSuffix(name, fifoSuffix) }

// CreateTopic makes a topic. To ask for one that is there already, with nothing that differs, is no error.
func (s *Service) CreateTopic(c *call.Call, in *sns.CreateTopicInput) (*sns.CreateTopicResponse, error) {
	name := optional.Value(in.Name)
	tags, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	t := &topic{c: c, account: c.Scope.Account, region: c.Scope.Region, arn: c.ARN(name), keys: policy.Values{}}
	r := t.resource()
	r.RequestTags = tags
	if err := c.Authorize(r); err != nil {
		return nil, tagPolicy(err)
	}
	if err := checkTopicName(name, in.Attributes["FifoTopic"]); err != nil {
		return nil, err
	}
	if in.DataProtectionPolicy != nil {
		return nil, notBuilt("CreateTopic with DataProtectionPolicy")
	}
	t.topicRecord = &topicRecord{Name: name, ID: c.UUID(), Created: c.Time, Tags: tags}
	for attribute, value := range in.Attributes {
		if err := s.setAttribute(t, attribute, value, true); err != nil {
			return nil, err
		}
	}
	there, err := topicTable.In(t.account, t.region).Get(c.Tx(), name)
	switch {
	case err == nil:
		return &sns.CreateTopicResponse{TopicArn: &t.arn}, t.same(there, in)
	case !missing(err):
		return nil, err
	}
	return &sns.CreateTopicResponse{TopicArn: &t.arn}, t.save()
}

func checkTopicName(name, fifo string) error {
	stem, ends := strings.CutSuffix(name, fifoSuffix)
	switch {
	case fifo == "true" && (!ends || !topicName.MatchString(stem) || len(name) > 256):
		return invalid("Fifo Topic names must end with .fifo and must be made up of only uppercase and lowercase ASCII letters, numbers, underscores, and hyphens, " +
			"and must be between 1 and 256 characters long.")
	case fifo != "true" && !topicName.MatchString(name):
		return invalid("Topic Name")
	}
	return nil
}

// same returns an error unless what was asked for does not differ from the topic that is there.
func (t *topic) same(there *topicRecord, in *sns.CreateTopicInput) error {
	for name := range in.Attributes {
		if name == "Policy" && t.Policy != there.Policy || t.Attributes[name] != there.Attributes[name] {
			return invalid("Attributes Reason: Topic already exists with different attributes")
		}
	}
	for k, v := range t.Tags {
		if have, ok := there.Tags[k]; !ok || have != v {
			return invalid("Tags Reason: Topic already exists with different tags")
		}
	}
	return nil
}

// DeleteTopic removes a topic with its subscriptions; that there is none is no error. What was published before is not delivered anymore.
func (s *Service) DeleteTopic(c *call.Call, in *sns.DeleteTopicInput) (*sns.DeleteTopicResponse, error) {
	t, err := s.find(c, "TopicArn", optional.Value(in.TopicArn))
	if err != nil {
		if t != nil && t.topicRecord == nil && c.Outcome().Denied == nil {
			return &sns.DeleteTopicResponse{}, nil
		}
		return nil, err
	}
	if err := topicTable.In(t.account, t.region).Delete(c.Tx(), t.Name); err != nil {
		return nil, err
	}
	// What belonged to it goes in pieces, by a timer that is due at once: it may be very much.
	return &sns.DeleteTopicResponse{}, c.At(c.Time, t.scope(), purgeTimer, t.ID, nil)
}

// ListTopics lists the topics of the caller's account and region.
func (s *Service) ListTopics(c *call.Call, in *sns.ListTopicsInput) (*sns.ListTopicsResponse, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	topics, next, err := topicTable.In(c.Scope.Account, c.Scope.Region).Page(c.Tx(), store.Query{Limit: pageSize}, optional.Value(in.NextToken), "", nil)
	if err != nil {
		return nil, pageError(err)
	}
	out := &sns.ListTopicsResponse{Topics: []sns.Topic{}, NextToken: optional.NonZero(next)}
	for _, t := range topics {
		out.Topics = append(out.Topics, sns.Topic{TopicArn: new(c.ARN(t.Name))})
	}
	return out, nil
}

// pageError is what is said of a token that is not from the listing.
func pageError(err error) error {
	if errors.Is(err, store.ErrBadToken) {
		return invalid("NextToken")
	}
	return err
}

// purge removes what belonged to a topic that is gone, a piece of it, and comes back for more.
func (s *Service) purge(c *call.Call, topicID string, _ []byte) error {
	const piece = 500
	subscriptions, recent := subscriptionTable.In(c.Scope.Account, c.Scope.Region), recentTable.In(c.Scope.Account, c.Scope.Region)
	n := 0
	for r, err := range subscriptions.Scan(c.Tx(), store.Query{Prefix: store.Key{topicID}, Limit: piece}) {
		if err == nil {
			err = subscriptions.Delete(c.Tx(), topicID, r.ID)
		}
		if err != nil {
			return err
		}
		n++
	}
	for r, err := range recent.Scan(c.Tx(), store.Query{Prefix: store.Key{topicID}, Limit: piece}) {
		if err == nil {
			err = recent.Delete(c.Tx(), topicID, string(r.Kind), r.ID)
		}
		if err != nil {
			return err
		}
		n++
	}
	if n < piece {
		return nil
	}
	return c.At(c.Time, c.Scope, purgeTimer, topicID, nil)
}

// own is a copy of attributes that may be changed.
func own(attributes map[string]string) map[string]string {
	if attributes == nil {
		return make(map[string]string)
	}
	return maps.Clone(attributes)
}

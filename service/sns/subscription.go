package sns

import (
	"errors"
	"net/mail"
	"regexp"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/sns"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/outbound"
	"github.com/holdfast-cloud/holdfast/store"
)

// The protocols of subscriptions that are built.
const (
	overHTTP   = "http"
	overHTTPS  = "https"
	toEmail    = "email"
	toEmailRaw = "email-json"
	toSQS      = "sqs"
	toLambda   = "lambda"
)

// What is shown in place of the ARN of a subscription that is not confirmed: by Subscribe, and by lists.
const (
	notConfirmed   = "pending confirmation"
	notConfirmedIn = "PendingConfirmation"
)

// maxFIFOSubscriptions is how many subscriptions a FIFO topic can have: https://docs.aws.amazon.com/general/latest/gr/sns.html
const maxFIFOSubscriptions = 100

var phoneNumber = regexp.MustCompile(`^\+?[0-9][0-9 ()./-]{1,28}$`)

// arn is the ARN of the subscription.
func (r *subscriptionRecord) arn(partition string) string {
	return call.Scope{Partition: partition, Account: r.Account, Region: r.Region}.ARN("sns", r.Topic+":"+r.ID)
}

// http reports whether the subscription is one of an HTTP server.
func (r *subscriptionRecord) http() bool { return r.Protocol == overHTTP || r.Protocol == overHTTPS }

// shown is the subscription in a list.
func (r *subscriptionRecord) shown(partition string) sns.Subscription {
	id := notConfirmedIn
	if r.State == confirmed {
		id = r.arn(partition)
	}
	topicARN := call.Scope{Partition: partition, Account: r.Account, Region: r.Region}.ARN("sns", r.Topic)
	return sns.Subscription{SubscriptionArn: &id, Owner: &r.Owner, Protocol: &r.Protocol, Endpoint: &r.Endpoint, TopicArn: &topicARN}
}

// Subscribe makes a subscription of an endpoint. To ask for one that is there already, with nothing that differs, is no error.
func (s *Service) Subscribe(c *call.Call, in *sns.SubscribeInput) (*sns.SubscribeResponse, error) {
	a, err := parseTopic(c, "TopicArn", optional.Value(in.TopicArn))
	if err != nil {
		return nil, err
	}
	t, err := s.load(c, a)
	if err != nil {
		return nil, err
	}
	protocol, endpoint := optional.Value(in.Protocol), optional.Value(in.Endpoint)
	t.keys.Set("sns:Protocol", protocol)
	if endpoint != "" {
		t.keys.Set("sns:Endpoint", endpoint)
	}
	if err := t.authorize(t.resource()); err != nil {
		return nil, err
	}
	if err := s.checkEndpoint(t, protocol, endpoint); err != nil {
		return nil, err
	}
	r := &subscriptionRecord{
		TopicID: t.ID, ID: c.UUID(), Topic: t.Name, Account: t.account, Region: t.region, Owner: c.Scope.Account, Principal: c.Caller.ARN, Protocol: protocol, Endpoint: endpoint,
		Created: c.Time,
	}
	if err := s.hidePassword(r); err != nil {
		return nil, err
	}
	for name, value := range in.Attributes {
		if err := s.setSubscriptionAttribute(t, r, name, value, in.Attributes); err != nil {
			return nil, withReason(err)
		}
	}
	there, err := s.subscribed(t, r)
	switch {
	case err != nil:
		return nil, err
	case there != nil:
		for name := range in.Attributes {
			if r.Attributes[name] != there.Attributes[name] {
				return nil, invalid("Attributes Reason: Subscription already exists with different attributes")
			}
		}
		r = there
	default:
		if err := s.begin(t, r); err != nil {
			return nil, err
		}
	}
	if there != nil && there.State == pending {
		if err := s.askEndpoint(t, r); err != nil { // once more: the first request may be lost
			return nil, err
		}
	}
	shown := r.arn(s.cfg.Partition)
	if r.State == pending && !optional.Value(in.ReturnSubscriptionArn) {
		shown = notConfirmed
	}
	return &sns.SubscribeResponse{SubscriptionArn: &shown}, nil
}

// withReason is an error about an attribute in the words for one that comes with a new subscription.
func withReason(err error) error {
	if e, ok := errors.AsType[*sns.InvalidParameterException](err); ok {
		text := strings.TrimPrefix(e.Message, "Invalid parameter: ")
		if !strings.HasPrefix(text, "Attributes Reason: ") {
			return invalid("Attributes Reason: %s", text)
		}
	}
	return err
}

// subscribed is the subscription of the topic that r's endpoint has already, or nil.
func (s *Service) subscribed(t *topic, r *subscriptionRecord) (*subscriptionRecord, error) {
	there, err := subscriptionTable.In(t.account, t.region).Find(t.c.Tx(), "endpoint", t.ID, endpointHash(r.Protocol, r.Endpoint))
	if missing(err) {
		return nil, nil
	}
	return there, err
}

// begin makes a subscription, and asks the endpoint whether it wants it unless that is known.
func (s *Service) begin(t *topic, r *subscriptionRecord) error {
	rows := subscriptionTable.In(t.account, t.region)
	if t.fifo() {
		n, err := rows.Count(t.c.Tx(), store.Query{Prefix: store.Key{t.ID}, Limit: maxFIFOSubscriptions})
		if err != nil {
			return err
		}
		if n == maxFIFOSubscriptions {
			return &sns.SubscriptionLimitExceededException{Message: "Subscription limit exceeded: a FIFO topic can have 100 subscriptions"}
		}
	}
	if r.State = confirmed; !r.known() {
		r.State = pending
		return s.askEndpoint(t, r)
	}
	r.Authenticated = true
	return rows.Put(t.c.Tx(), r)
}

// known reports whether the endpoint belongs to the account that subscribes it, so that nobody has to be asked. Of functions AWS asks nobody either: their own policies decide.
func (r *subscriptionRecord) known() bool {
	switch r.Protocol {
	case toLambda:
		return true
	case toSQS:
		a, err := arn.Parse(r.Endpoint)
		return err == nil && a.Account == r.Owner
	}
	return false
}

// checkEndpoint returns an error unless an endpoint can be subscribed to the topic.
func (s *Service) checkEndpoint(t *topic, protocol, endpoint string) error {
	if t.fifo() && protocol != toSQS {
		switch protocol {
		case overHTTP, overHTTPS, toEmail, toEmailRaw, toLambda, "sms", "application", "firehose":
			return invalid("Invalid parameter: Protocol Reason: %s protocol type is not supported for FIFO topics", protocol)
		}
	}
	switch protocol {
	case overHTTP, overHTTPS:
		if outbound.CheckURL(endpoint) != nil || !strings.HasPrefix(endpoint, protocol+"://") || len(endpoint) > 2048 {
			return invalid("Endpoint must match the specified protocol")
		}
	case toEmail, toEmailRaw:
		if a, err := mail.ParseAddress(endpoint); err != nil || a.Address != endpoint || len(endpoint) > 320 {
			return invalid("Email address")
		}
		if s.cfg.Mail == nil {
			return invalid("Endpoint Reason: this cloud sends no e-mail: it was started without --smtp-server")
		}
	case toSQS:
		a, err := arn.Parse(endpoint)
		if err != nil || a.Service != "sqs" || a.Region == "" || !identity.IsAccount(a.Account) || a.Partition != s.cfg.Partition {
			return invalid("SQS endpoint ARN")
		}
		if isFIFO(a.Resource) && !t.fifo() {
			return invalid("Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics")
		}
	case toLambda:
		a, err := arn.Parse(endpoint)
		if err != nil || a.Service != "lambda" || !strings.HasPrefix(a.Resource, "function:") {
			return invalid("Lambda endpoint ARN")
		}
	case "sms":
		if !phoneNumber.MatchString(endpoint) {
			return invalidSMS(endpoint)
		}
		return notBuilt("Subscribe with protocol sms")
	case "application", "firehose":
		return notBuilt("Subscribe with protocol " + protocol)
	default:
		return invalid("Amazon SNS does not support this protocol string: %s", protocol)
	}
	return nil
}

func invalidSMS(endpoint string) error {
	return &sns.InvalidParameterException{Message: "Invalid SMS endpoint: " + endpoint}
}

// findSubscription finds the subscription of an ARN with its topic, after asking for the operation's own action on that. The subscription is nil if it is not there.
func (s *Service) findSubscription(c *call.Call, text string, ask func(*topic, *subscriptionRecord) error) (*topic, *subscriptionRecord, error) {
	a, id, err := parseSubscription(c, text)
	if err != nil {
		return nil, nil, err
	}
	t, err := s.load(c, a)
	if err != nil {
		return nil, nil, err
	}
	var r *subscriptionRecord
	if t.topicRecord != nil {
		r, err = subscriptionTable.In(t.account, t.region).Get(c.Tx(), t.ID, id)
		if missing(err) || err == nil && r.State == deleted {
			r, err = nil, nil
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return t, r, ask(t, r)
}

// parseSubscription reads the ARN of a subscription: that of its topic, and its ID.
func parseSubscription(c *call.Call, text string) (topicARN arn.ARN, id string, err error) {
	const parameter = "SubscriptionArn"
	if text == "" {
		return arn.ARN{}, "", invalid("%s Reason: no value for required parameter", parameter)
	}
	if n := strings.Count(text, ":") + 1; n < 6 {
		return arn.ARN{}, "", invalid("%s Reason: An ARN must have at least 6 elements, not %d", parameter, n)
	}
	i := strings.LastIndexByte(text, ':')
	if strings.Count(text, ":") < 6 {
		return arn.ARN{}, "", invalid("SubscriptionId")
	}
	topicARN, err = parseTopic(c, parameter, text[:i])
	return topicARN, text[i+1:], err
}

// theirs lets the owner of a subscription ask about it as about a resource of their own, whosever the topic is: https://docs.aws.amazon.com/sns/latest/dg/sns-using-identity-based-policies.html
func (s *Service) theirs(c *call.Call) func(*topic, *subscriptionRecord) error {
	return func(t *topic, r *subscriptionRecord) error {
		res := t.resource()
		if r != nil && r.Owner == c.Scope.Account {
			res.Account = r.Owner
		}
		if err := c.Authorize(res); err != nil {
			return err
		}
		if r == nil {
			return noSubscription()
		}
		return nil
	}
}

// ListSubscriptions lists the subscriptions of the caller's account in the region called.
func (s *Service) ListSubscriptions(c *call.Call, in *sns.ListSubscriptionsInput) (*sns.ListSubscriptionsResponse, error) {
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	q := store.Query{Index: "owner", Prefix: store.Key{c.Scope.Account, c.Scope.Region}, Limit: pageSize}
	found, next, err := subscriptionTable.In("", "").Page(c.Tx(), q, optional.Value(in.NextToken), "", nil)
	if err != nil {
		return nil, pageError(err)
	}
	return &sns.ListSubscriptionsResponse{Subscriptions: s.list(found), NextToken: optional.NonZero(next)}, nil
}

// ListSubscriptionsByTopic lists the subscriptions of a topic.
func (s *Service) ListSubscriptionsByTopic(c *call.Call, in *sns.ListSubscriptionsByTopicInput) (*sns.ListSubscriptionsByTopicResponse, error) {
	t, err := s.find(c, "TopicArn", optional.Value(in.TopicArn))
	if err != nil {
		return nil, err
	}
	q := store.Query{Prefix: store.Key{t.ID}, Limit: pageSize}
	found, next, err := subscriptionTable.In(t.account, t.region).Page(c.Tx(), q, optional.Value(in.NextToken), "", func(r *subscriptionRecord) bool { return r.State != deleted })
	if err != nil {
		return nil, pageError(err)
	}
	return &sns.ListSubscriptionsByTopicResponse{Subscriptions: s.list(found), NextToken: optional.NonZero(next)}, nil
}

func (s *Service) list(found []*subscriptionRecord) []sns.Subscription {
	out := make([]sns.Subscription, 0, len(found))
	for _, r := range found {
		out = append(out, r.shown(s.cfg.Partition))
	}
	return out
}

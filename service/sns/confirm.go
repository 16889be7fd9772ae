package sns

import (
	"crypto/subtle"
	"encoding/hex"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/sns"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// An endpoint that does not belong to who subscribes it is asked first: it is sent a token, and who sends that back has read it there. The token is a link, too, which anybody can
// follow without a signature. Only its hash is kept.

const (
	// tokenLife is how long a token is valid, and a subscription waits for it: https://docs.aws.amazon.com/sns/latest/api/API_ConfirmSubscription.html
	tokenLife = 3 * 24 * time.Hour
	// expireTimer is the kind of the timers that end subscriptions which nobody confirmed or restored.
	expireTimer = "expire"
	tokenBytes  = 64
)

var tokenForm = regexp.MustCompile(`^[0-9a-f]{64,512}$`)

// askEndpoint gives a subscription that is pending or deleted a new token and sends it to the endpoint.
func (s *Service) askEndpoint(t *topic, r *subscriptionRecord) error {
	secret := make([]byte, tokenBytes)
	if _, err := io.ReadFull(t.c.Rand, secret); err != nil {
		return err
	}
	token := hex.EncodeToString(secret)
	r.TokenHash, r.TokenExpires = hash(token), t.c.Time.Add(tokenLife)
	if err := subscriptionTable.In(t.account, t.region).Put(t.c.Tx(), r); err != nil {
		return err
	}
	if err := t.c.At(r.TokenExpires, t.scope(), expireTimer, r.TopicID+"/"+r.ID, nil); err != nil {
		return err
	}
	m := &message{Kind: subscriptionConfirmation, Time: t.c.Time, Token: token, Body: []byte("You have chosen to subscribe to the topic " + t.arn + ".\n" +
		"To confirm the subscription, visit the SubscribeURL included in this message.")}
	if r.State == deleted {
		m.Kind = unsubscribeConfirmation
		m.Body = []byte("You have chosen to deactivate subscription " + r.arn(s.cfg.Partition) + ".\n" +
			"To cancel this operation and restore the subscription, visit the SubscribeURL included in this message.")
	}
	m.ID = t.c.UUID()
	return s.post(t, m, r)
}

// subscribeURL is the link that confirms or restores a subscription.
func (s *Service) subscribeURL(topicARN, region, token string) string {
	return s.cfg.URL(region) + "/?Action=ConfirmSubscription&TopicArn=" + topicARN + "&Token=" + token
}

// unsubscribeURL is the link that ends a subscription.
func (s *Service) unsubscribeURL(subscriptionARN, region string) string {
	return s.cfg.URL(region) + "/?Action=Unsubscribe&SubscriptionArn=" + subscriptionARN
}

// expire ends a subscription that nobody confirmed or restored in time.
func (s *Service) expire(c *call.Call, subject string, _ []byte) error {
	topicID, id, _ := strings.Cut(subject, "/")
	rows := subscriptionTable.In(c.Scope.Account, c.Scope.Region)
	r, err := rows.Get(c.Tx(), topicID, id)
	if missing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if r.State == confirmed {
		r.TokenHash, r.TokenExpires = "", time.Time{} // the token that confirmed it answers no more
		return rows.Put(c.Tx(), r)
	}
	return rows.Delete(c.Tx(), topicID, id)
}

// anonymous reports whether a call has no signature: that of a link. It goes to the region that the resource is in, whichever it was sent to.
func anonymous(c *call.Call, resource string) bool {
	if c.Caller.Kind != policy.Anonymous {
		return false
	}
	if a, err := arn.Parse(resource); err == nil && door.ValidRegion(c.Scope.Partition, a.Region) {
		c.Scope.Region = a.Region
	}
	return true
}

// ConfirmSubscription confirms a subscription, or restores one that was ended, with the token that its endpoint was sent.
func (s *Service) ConfirmSubscription(c *call.Call, in *sns.ConfirmSubscriptionInput) (*sns.ConfirmSubscriptionResponse, error) {
	topicARN, token := optional.Value(in.TopicArn), optional.Value(in.Token)
	unknown := anonymous(c, topicARN)
	a, err := parseTopic(c, "Topic", topicARN)
	if err != nil {
		return nil, invalid("Topic")
	}
	t, err := s.load(c, a)
	if err != nil {
		return nil, err
	}
	authenticate := optional.Value(in.AuthenticateOnUnsubscribe) == "true"
	switch {
	case unknown && authenticate:
		return nil, c.Reject(&sns.AuthorizationErrorException{Message: "AuthenticateOnUnsubscribe requires a signed request"})
	case unknown:
		c.Open("the token was sent to the endpoint, whose owner decides")
	default:
		if err := c.Authorize(t.resource()); err != nil {
			return nil, err
		}
	}
	if !tokenForm.MatchString(token) {
		return nil, &sns.InvalidParameterException{Message: "Invalid token"}
	}
	if t.topicRecord == nil {
		return nil, invalid("Token")
	}
	rows := subscriptionTable.In(t.account, t.region)
	r, err := rows.Find(c.Tx(), "token", t.ID, hash(token))
	if missing(err) || err == nil && (subtle.ConstantTimeCompare([]byte(r.TokenHash), []byte(hash(token))) != 1 || c.Time.After(r.TokenExpires)) {
		return nil, invalid("Token")
	}
	if err != nil {
		return nil, err
	}
	if unknown {
		c.Scope.Account = t.account // whose record it is
	}
	out := &sns.ConfirmSubscriptionResponse{SubscriptionArn: new(r.arn(s.cfg.Partition))}
	if r.State == confirmed {
		return out, nil // by the same token before
	}
	there, err := s.subscribed(t, r)
	switch {
	case err != nil:
		return nil, err
	case there != nil && there.ID != r.ID: // it was subscribed anew meanwhile
		return &sns.ConfirmSubscriptionResponse{SubscriptionArn: new(there.arn(s.cfg.Partition))}, nil
	}
	r.State, r.Authenticated, r.AuthUnsubscribe = confirmed, !unknown, authenticate
	return out, rows.Put(c.Tx(), r)
}

// Unsubscribe ends a subscription; that there is none is no error. Where the endpoint may not have wanted that, it is told, and can take it back.
func (s *Service) Unsubscribe(c *call.Call, in *sns.UnsubscribeInput) (*sns.UnsubscribeResponse, error) {
	text := optional.Value(in.SubscriptionArn)
	unknown := anonymous(c, text)
	t, r, err := s.findSubscription(c, text, func(t *topic, r *subscriptionRecord) error {
		if !unknown {
			res := t.resource()
			if r != nil && r.Owner == c.Scope.Account {
				res.Account = r.Owner
			}
			return c.Authorize(res)
		}
		if r != nil && (r.AuthUnsubscribe || !r.asked()) {
			return c.Reject(&sns.AuthorizationErrorException{Message: "Unauthenticated unsubscription is disabled for this subscription"})
		}
		c.Open("who has the link has it from a message to the endpoint")
		if r != nil {
			c.Scope.Account = t.account // whose record it is
		}
		return nil
	})
	if err != nil || r == nil {
		return &sns.UnsubscribeResponse{}, err
	}
	if r.State == pending {
		if unknown {
			return &sns.UnsubscribeResponse{}, nil // the link is in no message yet
		}
		return nil, invalid("SubscriptionArn Reason: the subscription is pending confirmation")
	}
	if r.asked() && (unknown || c.Scope.Account != r.Owner) {
		r.State, r.AuthUnsubscribe = deleted, false
		return &sns.UnsubscribeResponse{}, s.askEndpoint(t, r)
	}
	return &sns.UnsubscribeResponse{}, s.end(t, r)
}

// asked reports whether the endpoint is one that is asked with a token.
func (r *subscriptionRecord) asked() bool {
	return r.http() || r.Protocol == toEmail || r.Protocol == toEmailRaw
}

// end removes a subscription and what waits for it.
func (s *Service) end(t *topic, r *subscriptionRecord) error {
	if _, err := delivery.Drop(t.c.Tx(), s.lane(t, r, ""), dropped); err != nil {
		return err
	}
	return subscriptionTable.In(t.account, t.region).Delete(t.c.Tx(), r.TopicID, r.ID)
}

// dropped is how many messages are removed with a subscription. Others are when their turn comes.
const dropped = 100

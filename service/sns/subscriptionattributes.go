package sns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"

	"github.com/holdfast-cloud/holdfast/api/sns"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/eventpattern"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// filterKey is what a compiled filter policy is made of.
type filterKey struct {
	text  string
	scope eventpattern.Scope
}

type filter = eventpattern.FilterPolicy

// compileFilter makes the filter of a key. It does not change, so nothing has to be forgotten.
func compileFilter(_ context.Context, k filterKey) (*filter, error) {
	return eventpattern.CompileFilterPolicy(k.text, k.scope)
}

// filterKey is the filter policy of the subscription. It reports false if there is none.
func (r *subscriptionRecord) filterKey() (filterKey, bool) {
	text := r.Attributes["FilterPolicy"]
	return filterKey{text, eventpattern.Scope(r.Attributes["FilterPolicyScope"])}, text != ""
}

// raw reports whether messages are delivered as they were published, with nothing around them.
func (r *subscriptionRecord) raw() bool { return r.Attributes["RawMessageDelivery"] == "true" }

// deadLetters is the ARN of the queue for what cannot be delivered, or "".
func (r *subscriptionRecord) deadLetters() string {
	p, _ := parseRedrivePolicy(r.Attributes["RedrivePolicy"]) // it was checked, or is not there
	return p
}

// setSubscriptionAttribute gives a subscription an attribute, of those that come with it.
func (s *Service) setSubscriptionAttribute(t *topic, r *subscriptionRecord, name, value string, others map[string]string) error {
	switch name {
	case "RawMessageDelivery":
		if value != "true" && value != "false" {
			return invalid("RawMessageDelivery: Invalid value [%s]. Must be true or false.", value)
		}
		if value == "true" && (r.Protocol == toEmail || r.Protocol == toEmailRaw || r.Protocol == toLambda) {
			return invalid("Delivery protocol [%s] does not support raw message delivery.", r.Protocol)
		}
	case "FilterPolicyScope":
		if value != string(eventpattern.MessageAttributes) && value != string(eventpattern.MessageBody) {
			return invalid("FilterPolicyScope: Invalid value [%s]. Please use either MessageBody or MessageAttributes", value)
		}
		if _, comes := others["FilterPolicy"]; !comes {
			if err := checkFilter(r.Attributes["FilterPolicy"], value); err != nil {
				return err
			}
		}
	case "FilterPolicy":
		scope := others["FilterPolicyScope"]
		if scope == "" {
			scope = r.Attributes["FilterPolicyScope"]
		}
		if scope == "" {
			scope = string(eventpattern.MessageAttributes)
		}
		if err := checkFilter(value, scope); err != nil {
			return err
		}
		r.Attributes = own(r.Attributes)
		if value == "" || value == "{}" {
			value = ""
			delete(r.Attributes, "FilterPolicyScope")
		} else {
			r.Attributes["FilterPolicyScope"] = scope
		}
	case "RedrivePolicy":
		target, err := parseRedrivePolicy(value)
		if err != nil {
			return err
		}
		if err := s.checkDeadLetters(t, r, target); err != nil {
			return err
		}
	case "DeliveryPolicy":
		if !r.http() {
			return invalid("DeliveryPolicy: only HTTP(S) subscriptions have one")
		}
		text, err := parseSubscriptionPolicy(value)
		if err != nil {
			return err
		}
		value = text
	case "SubscriptionRoleArn", "ReplayPolicy":
		return notBuilt(name)
	default:
		return invalid("AttributeName")
	}
	r.Attributes = own(r.Attributes)
	if r.Attributes[name] = value; value == "" {
		delete(r.Attributes, name)
	}
	return nil
}

func checkFilter(text, scope string) error {
	if text == "" {
		return nil
	}
	_, err := eventpattern.CompileFilterPolicy(text, eventpattern.Scope(scope))
	if e, ok := errors.AsType[*eventpattern.FilterPolicyError](err); ok {
		return invalid("%s", e.Error())
	}
	return err
}

// parseRedrivePolicy returns the queue that a redrive policy names; "" is none.
func parseRedrivePolicy(text string) (queueARN string, err error) {
	if text == "" || text == "{}" {
		return "", nil
	}
	var p struct {
		DeadLetterTargetArn *string `json:"deadLetterTargetArn"`
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return "", invalid("RedrivePolicy: failed to parse JSON. %s", jsonError(text, err))
	}
	a, err := arn.Parse(optional.Value(p.DeadLetterTargetArn))
	if err != nil || a.Service != "sqs" || a.Account == "" || a.Region == "" {
		return "", invalid("RedrivePolicy: deadLetterTargetArn is an invalid arn")
	}
	return *p.DeadLetterTargetArn, nil
}

// jsonError tells where something is no JSON.
func jsonError(text string, err error) string {
	syntax, ok := errors.AsType[*json.SyntaxError](err)
	if !ok || syntax.Offset < 1 || syntax.Offset > int64(len(text)) {
		return "Unexpected end-of-input"
	}
	char := text[syntax.Offset-1]
	told := "Unexpected character ('" + string(rune(char)) + "' (code " + strconv.Itoa(int(char)) + "))"
	if syntax.Offset > 1 && text[syntax.Offset-2] == '{' {
		told += ": was expecting double-quote to start field name"
	}
	return fmt.Sprintf("%s\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 1, column: %d]", told, syntax.Offset)
}

// checkDeadLetters returns an error unless what cannot be delivered to the subscription can go to a queue.
func (s *Service) checkDeadLetters(t *topic, r *subscriptionRecord, queueARN string) error {
	if queueARN == "" {
		return nil
	}
	a, err := arn.Parse(queueARN)
	switch {
	case err != nil || a.Region != t.region || a.Account != r.Owner:
		return invalid("RedrivePolicy: deadLetterTargetArn is an invalid arn")
	case isFIFO(a.Resource) && !t.fifo():
		return invalid("RedrivePolicy: must use a standard queue as DLQ for a subscription to a standard topic.")
	case !isFIFO(a.Resource) && t.fifo() && isFIFO(r.Endpoint):
		return invalid("RedrivePolicy: must use a FIFO queue as DLQ for a FIFO Subscription to a FIFO Topic.")
	}
	return nil
}

// SetSubscriptionAttributes gives a subscription an attribute.
func (s *Service) SetSubscriptionAttributes(c *call.Call, in *sns.SetSubscriptionAttributesInput) (*sns.SetSubscriptionAttributesResponse, error) {
	t, r, err := s.findSubscription(c, optional.Value(in.SubscriptionArn), s.theirs(c))
	if err != nil {
		return nil, err
	}
	if err := s.setSubscriptionAttribute(t, r, optional.Value(in.AttributeName), optional.Value(in.AttributeValue), nil); err != nil {
		return nil, err
	}
	return &sns.SetSubscriptionAttributesResponse{}, subscriptionTable.In(t.account, t.region).Put(c.Tx(), r)
}

// GetSubscriptionAttributes returns the attributes of a subscription.
func (s *Service) GetSubscriptionAttributes(c *call.Call, in *sns.GetSubscriptionAttributesInput) (*sns.GetSubscriptionAttributesResponse, error) {
	t, r, err := s.findSubscription(c, optional.Value(in.SubscriptionArn), s.theirs(c))
	if err != nil {
		return nil, err
	}
	out := map[string]string{
		"SubscriptionArn": r.arn(s.cfg.Partition), "TopicArn": t.arn, "Owner": r.Owner, "Protocol": r.Protocol, "Endpoint": r.Endpoint,
		"RawMessageDelivery": "false", "PendingConfirmation": strconv.FormatBool(r.State == pending), "ConfirmationWasAuthenticated": strconv.FormatBool(r.Authenticated),
	}
	if r.Principal != "" {
		out["SubscriptionPrincipal"] = r.Principal
	}
	maps.Copy(out, r.Attributes)
	if r.http() {
		effective, err := encode(r.deliveryPolicy(t.deliveryPolicy()))
		if err != nil {
			return nil, err
		}
		out["EffectiveDeliveryPolicy"] = string(effective)
	}
	return &sns.GetSubscriptionAttributesResponse{Attributes: out}, nil
}

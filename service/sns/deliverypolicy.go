package sns

import (
	"encoding/json"
	"math"
	"strings"
	"time"
)

// Delivery policies say how often, and after which time, a message is tried again that an HTTP server did not take:
// https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html#creating-delivery-policy

// retryPolicy is how a message is tried again. There are four phases: retries at once, with the least delay, with delays that grow from the least to the greatest, and with the
// greatest.
type retryPolicy struct {
	MinDelayTarget     *int   `json:"minDelayTarget,omitempty"` // in seconds
	MaxDelayTarget     *int   `json:"maxDelayTarget,omitempty"`
	NumRetries         *int   `json:"numRetries,omitempty"` // in all phases
	NumMaxDelayRetries *int   `json:"numMaxDelayRetries,omitempty"`
	NumNoDelayRetries  *int   `json:"numNoDelayRetries,omitempty"`
	NumMinDelayRetries *int   `json:"numMinDelayRetries,omitempty"`
	BackoffFunction    string `json:"backoffFunction,omitempty"`
}

type throttlePolicy struct {
	MaxReceivesPerSecond *int `json:"maxReceivesPerSecond,omitempty"`
}

type requestPolicy struct {
	HeaderContentType string `json:"headerContentType,omitempty"`
}

// topicPolicy is the DeliveryPolicy of a topic.
type topicPolicy struct {
	HTTP *struct {
		DefaultHealthyRetryPolicy    *retryPolicy    `json:"defaultHealthyRetryPolicy,omitempty"`
		DisableSubscriptionOverrides bool            `json:"disableSubscriptionOverrides"`
		DefaultThrottlePolicy        *throttlePolicy `json:"defaultThrottlePolicy,omitempty"`
		DefaultRequestPolicy         *requestPolicy  `json:"defaultRequestPolicy,omitempty"`
	} `json:"http"`
}

// subscriptionPolicy is the DeliveryPolicy of a subscription, as SNS shows it.
type subscriptionPolicy struct {
	HealthyRetryPolicy *retryPolicy    `json:"healthyRetryPolicy"`
	SicklyRetryPolicy  *retryPolicy    `json:"sicklyRetryPolicy"`
	ThrottlePolicy     *throttlePolicy `json:"throttlePolicy"`
	RequestPolicy      *requestPolicy  `json:"requestPolicy"`
	Guaranteed         bool            `json:"guaranteed"`
}

const (
	maxRetries     = 100
	maxDelay       = 3600 // seconds
	textPlain      = "text/plain; charset=UTF-8"
	defaultDelay   = 20
	defaultRetries = 3
)

// contentTypes are those that a server can ask for: https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html#creating-delivery-policy
var contentTypes = strings.Fields(`text/css text/csv text/html text/plain text/xml application/atom+xml application/json application/octet-stream application/soap+xml
	application/x-www-form-urlencoded application/xhtml+xml application/xml`)

// filled is the policy with what it leaves open; nil is the default one.
func (p *retryPolicy) filled() *retryPolicy {
	var out retryPolicy
	if p != nil {
		out = *p
	}
	fill := func(to **int, otherwise int) {
		if *to == nil {
			*to = &otherwise
		}
	}
	fill(&out.MinDelayTarget, defaultDelay)
	fill(&out.MaxDelayTarget, max(defaultDelay, *out.MinDelayTarget))
	fill(&out.NumRetries, defaultRetries)
	fill(&out.NumMaxDelayRetries, 0)
	fill(&out.NumNoDelayRetries, 0)
	fill(&out.NumMinDelayRetries, 0)
	if out.BackoffFunction == "" {
		out.BackoffFunction = "linear"
	}
	return &out
}

// check holds the policy against SNS's limits.
func (p *retryPolicy) check() error {
	if p == nil {
		return nil
	}
	bad := func(what string) error { return invalid("DeliveryPolicy: %s", what) }
	f := p.filled()
	if *f.MinDelayTarget < 1 || *f.MinDelayTarget > maxDelay {
		return bad("minDelayTarget must be between 1 and 3600 inclusive")
	}
	if *f.MaxDelayTarget < *f.MinDelayTarget || *f.MaxDelayTarget > maxDelay {
		return bad("maxDelayTarget must be between minDelayTarget and 3600 inclusive")
	}
	if *f.NumRetries < 0 || *f.NumRetries > maxRetries {
		return bad("numRetries must be between 0 and 100 inclusive")
	}
	for _, n := range []int{*f.NumNoDelayRetries, *f.NumMinDelayRetries, *f.NumMaxDelayRetries} {
		if n < 0 {
			return bad("the numbers of retries must not be negative")
		}
	}
	if *f.NumNoDelayRetries+*f.NumMinDelayRetries+*f.NumMaxDelayRetries > *f.NumRetries {
		return bad("numRetries must be greater than or equal to the sum of numMinDelayRetries, numNoDelayRetries and numMaxDelayRetries")
	}
	switch f.BackoffFunction {
	case "linear", "arithmetic", "geometric", "exponential":
		return nil
	}
	return bad("backoffFunction must be one of linear, arithmetic, geometric, exponential")
}

// delay is how long to wait before a retry, the first of which is 1. The policy is filled.
func (p *retryPolicy) delay(retry int) time.Duration {
	least, most := float64(*p.MinDelayTarget), float64(*p.MaxDelayTarget)
	growing := *p.NumRetries - *p.NumNoDelayRetries - *p.NumMinDelayRetries - *p.NumMaxDelayRetries
	n := retry - *p.NumNoDelayRetries - *p.NumMinDelayRetries // in the growing phase
	seconds := most
	switch {
	case retry <= *p.NumNoDelayRetries:
		return 0
	case n <= 0:
		seconds = least
	case n <= growing && growing > 1:
		seconds = backoff(p.BackoffFunction, least, most, float64(n-1)/float64(growing-1))
	case n <= growing:
		seconds = least
	}
	return time.Duration(seconds * float64(time.Second))
}

// backoff is a delay on the way from the least to the most, of which the part x lies behind: the functions differ in how soon they grow.
func backoff(function string, least, most, x float64) float64 {
	switch function {
	case "arithmetic":
		return least + (most-least)*x*x
	case "geometric":
		return least * math.Pow(most/least, x)
	case "exponential":
		return least + (most-least)*(math.Exp2(10*x)-1)/1023
	}
	return least + (most-least)*x
}

func (p *requestPolicy) check() error {
	if p == nil || p.HeaderContentType == "" {
		return nil
	}
	mime, _, _ := strings.Cut(p.HeaderContentType, ";")
	for _, t := range contentTypes {
		if strings.EqualFold(strings.TrimSpace(mime), t) && !strings.ContainsFunc(p.HeaderContentType, func(r rune) bool { return r < ' ' || r > '~' }) {
			return nil
		}
	}
	return invalid("DeliveryPolicy: headerContentType is not one of the supported content types")
}

func (p *throttlePolicy) check() error {
	if p != nil && p.MaxReceivesPerSecond != nil && *p.MaxReceivesPerSecond < 1 {
		return invalid("DeliveryPolicy: maxReceivesPerSecond must be 1 or more")
	}
	return nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// parseTopicPolicy reads and checks the DeliveryPolicy of a topic, and returns it as SNS shows it, or "" if it says nothing.
func parseTopicPolicy(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	var p topicPolicy
	if err := json.Unmarshal([]byte(text), &p); err != nil || p.HTTP == nil {
		return "", invalid("DeliveryPolicy: failed to parse JSON")
	}
	if err := firstError(p.HTTP.DefaultHealthyRetryPolicy.check(), p.HTTP.DefaultThrottlePolicy.check(), p.HTTP.DefaultRequestPolicy.check()); err != nil {
		return "", err
	}
	out, err := encode(p)
	return string(out), err
}

// parseSubscriptionPolicy reads and checks the DeliveryPolicy of a subscription, and returns it as SNS shows it, or "" if it says nothing.
func parseSubscriptionPolicy(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	var p subscriptionPolicy
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return "", invalid("DeliveryPolicy: failed to parse JSON")
	}
	if p.SicklyRetryPolicy != nil {
		return "", invalid("DeliveryPolicy: sicklyRetryPolicy is not supported")
	}
	if err := firstError(p.HealthyRetryPolicy.check(), p.ThrottlePolicy.check(), p.RequestPolicy.check()); err != nil {
		return "", err
	}
	if p.HealthyRetryPolicy != nil {
		p.HealthyRetryPolicy = p.HealthyRetryPolicy.filled()
	}
	out, err := encode(p)
	return string(out), err
}

// deliveryPolicy is the DeliveryPolicy of the topic with what it leaves open.
func (t *topic) deliveryPolicy() (p topicPolicy) {
	_ = json.Unmarshal([]byte(t.Attributes["DeliveryPolicy"]), &p) // it was checked, or is not there
	if p.HTTP == nil {
		_ = json.Unmarshal([]byte(`{"http":{}}`), &p)
	}
	p.HTTP.DefaultHealthyRetryPolicy = p.HTTP.DefaultHealthyRetryPolicy.filled()
	if p.HTTP.DefaultRequestPolicy == nil {
		p.HTTP.DefaultRequestPolicy = &requestPolicy{textPlain}
	}
	return p
}

// deliveryPolicy is how messages of a topic are delivered to the subscription: by what it says itself, and by what its topic says where that lets it say nothing, or it does not.
func (r *subscriptionRecord) deliveryPolicy(of topicPolicy) (p subscriptionPolicy) {
	if !of.HTTP.DisableSubscriptionOverrides {
		_ = json.Unmarshal([]byte(r.Attributes["DeliveryPolicy"]), &p) // it was checked, or is not there
	}
	if p.HealthyRetryPolicy == nil {
		p.HealthyRetryPolicy = of.HTTP.DefaultHealthyRetryPolicy
	}
	if p.ThrottlePolicy == nil {
		p.ThrottlePolicy = of.HTTP.DefaultThrottlePolicy
	}
	if p.RequestPolicy == nil {
		p.RequestPolicy = of.HTTP.DefaultRequestPolicy
	}
	return p
}

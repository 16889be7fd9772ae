package sns

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/mail"
	"github.com/holdfast-cloud/holdfast/outbound"
	"github.com/holdfast-cloud/holdfast/wire"
)

// carrier carries messages to subscriptions.
type carrier struct{ *Service }

// parcel is a parcel with what it is about.
type parcel struct {
	c *call.Call
	t *topic
	r *subscriptionRecord
	m *message
}

// open reads what a parcel is about. It is nil for a subscription, or a topic, that is no more, and for one that was not confirmed: then nobody waits for the message.
func (k carrier) open(c *call.Call, p *delivery.Parcel) (*parcel, error) {
	part := strings.SplitN(p.Subject, "/", 3)
	if len(part) < 2 {
		return nil, delivery.Permanent(fmt.Errorf("%q is no lane to a subscription", p.Subject))
	}
	r, err := subscriptionTable.In(c.Scope.Account, c.Scope.Region).Get(c.Tx(), part[0], part[1])
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	t, err := k.topicOf(c, r)
	if err != nil || t == nil {
		return nil, err
	}
	m, _, _, err := k.take(p.Payload, t.ID)
	if err != nil {
		return nil, delivery.Permanent(err)
	}
	if wanted := map[kind]state{notification: confirmed, subscriptionConfirmation: pending, unsubscribeConfirmation: deleted}; r.State != wanted[m.Kind] {
		return nil, nil
	}
	return &parcel{c, t, r, m}, nil
}

// Deliver implements door.Carrier.
func (k carrier) Deliver(c *call.Call, p *delivery.Parcel) (func(context.Context) error, error) {
	d, err := k.open(c, p)
	if err != nil || d == nil {
		return nil, err
	}
	switch d.r.Protocol {
	case toSQS:
		err = k.toQueue(d)
	case toLambda:
		err = k.toFunction(d)
	case overHTTP, overHTTPS:
		return k.toServer(d, p)
	case toEmail, toEmailRaw:
		return k.toMailbox(d)
	default:
		return nil, delivery.Permanent(fmt.Errorf("protocol %s is not built", d.r.Protocol))
	}
	if err != nil {
		return nil, inside(err)
	}
	if d.m.Kind == notification {
		k.count(d.t, delivered, 1)
	}
	return nil, nil
}

// inside is an error of a receiver in this cloud: what it says about the request, it would say again, and AWS does not try again either.
func inside(err error) error {
	if m, ok := errors.AsType[wire.ModeledError](err); ok && !m.Schema().Error.Fault {
		return delivery.Permanent(err)
	}
	if e, ok := errors.AsType[*wire.Error](err); ok && (e.Status < 500 || e.Status == 501) {
		return delivery.Permanent(err)
	}
	if _, ok := errors.AsType[*call.Denied](err); ok {
		return delivery.Permanent(err)
	}
	return err
}

// as is the call of the service to others on the topic's behalf, where a resource of a name is.
func (d *parcel) as(a arn.ARN) *call.Call {
	own := d.c.AsServiceFor(d.t.arn)
	own.Scope.Region = a.Region
	return own
}

// toQueue sends the message to the subscription's queue.
func (k carrier) toQueue(d *parcel) error {
	return k.enqueue(d, d.r.Endpoint, nil)
}

// enqueue sends the message to a queue, in the form that the subscription has it, with further attributes.
func (k carrier) enqueue(d *parcel, queueARN string, more []attribute) error {
	a, err := arn.Parse(queueARN)
	if err != nil {
		return delivery.Permanent(err)
	}
	in := &sqs.SendMessageRequest{QueueUrl: new(a.Account + "/" + a.Resource)}
	if d.r.raw() && d.m.Kind == notification {
		in.MessageBody = new(d.m.body(d.r.Protocol))
		in.MessageAttributes = d.m.queueAttributes(more)
	} else {
		text, err := k.wrapped(d.m, d.t.arn, d.r)
		if err != nil {
			return err
		}
		in.MessageBody, in.MessageAttributes = new(string(text)), (&message{}).queueAttributes(more)
	}
	if d.m.Kind == notification && (isFIFO(a.Resource) || !d.t.fifo()) {
		in.MessageGroupId = optional.NonZero(d.m.Group)
		in.MessageDeduplicationId = optional.NonZero(d.m.Deduplication)
	}
	_, err = k.cfg.SQS.SendMessage(d.as(a), in)
	return err
}

// queueAttributes are the attributes of the message as those of a message in a queue, with as many others as that can have beside them.
func (m *message) queueAttributes(more []attribute) map[string]sqs.MessageAttributeValue {
	out := make(map[string]sqs.MessageAttributeValue, len(m.Attributes)+len(more))
	for _, a := range m.Attributes {
		out[a.Name] = a.inQueue()
	}
	for _, a := range more {
		if _, own := out[a.Name]; !own && len(out) < maxInQueue {
			out[a.Name] = a.inQueue()
		}
	}
	return out
}

// maxInQueue is how many attributes a message in a queue has at most.
const maxInQueue = 10

func (a *attribute) inQueue() sqs.MessageAttributeValue {
	v := sqs.MessageAttributeValue{DataType: new(a.Type)}
	if a.binary() {
		v.BinaryValue = a.Value
	} else {
		v.StringValue = new(string(a.Value))
	}
	return v
}

// toFunction has the subscription's function invoked with the message.
func (k carrier) toFunction(d *parcel) error {
	a, err := arn.Parse(d.r.Endpoint)
	if err != nil {
		return delivery.Permanent(err)
	}
	payload, err := k.event(d.m, d.t.arn, d.r)
	if err != nil {
		return err
	}
	_, err = k.cfg.Lambda.Invoke(d.as(a), &lambda.InvocationRequest{FunctionName: &d.r.Endpoint, InvocationType: lambda.InvocationTypeEvent, Payload: payload})
	return err
}

// toServer prepares the request to the subscription's server.
func (k carrier) toServer(d *parcel, p *delivery.Parcel) (func(context.Context) error, error) {
	policy := d.r.deliveryPolicy(d.t.deliveryPolicy())
	text := []byte(d.m.body(d.r.Protocol))
	raw := d.r.raw() && d.m.Kind == notification
	if !raw {
		var err error
		if text, err = k.wrapped(d.m, d.t.arn, d.r); err != nil {
			return nil, err
		}
	}
	header := map[string]string{
		"x-amz-sns-message-type": string(d.m.Kind), "x-amz-sns-message-id": d.m.ID, "x-amz-sns-topic-arn": d.t.arn,
		"Content-Type": textPlain, "User-Agent": "Amazon Simple Notification Service Agent", // what servers look for
	}
	if d.m.Kind != subscriptionConfirmation {
		header["x-amz-sns-subscription-arn"] = d.r.arn(k.cfg.Partition)
	}
	if raw {
		header["x-amz-sns-rawdelivery"] = "true"
	}
	if d.m.Kind == notification && policy.RequestPolicy != nil && policy.RequestPolicy.HeaderContentType != "" {
		header["Content-Type"] = policy.RequestPolicy.HeaderContentType
	}
	url, err := k.address(d.r)
	if err != nil {
		return nil, delivery.Permanent(err)
	}
	request := &outbound.Request{Method: "POST", URL: url, Header: header, Body: text}
	wait := policy.HealthyRetryPolicy.filled().delay(p.Attempts + 1)
	return func(ctx context.Context) error {
		response, err := k.cfg.HTTP.Do(ctx, request)
		if err := answered(response, err); err != nil {
			return delivery.After(wait, err)
		}
		k.countArrived(d)
		return nil
	}, nil
}

// answered is what SNS makes of a server's answer: https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html
func answered(r *outbound.Response, err error) error {
	switch {
	case errors.Is(err, outbound.ErrAddress), errors.Is(err, outbound.ErrRedirect), errors.Is(err, outbound.ErrURL):
		return delivery.Permanent(err)
	case err != nil:
		return err
	case r.Status >= 200 && r.Status < 300:
		return nil
	case r.Status >= 500 || r.Status == 429:
		return statusError(r.Status)
	}
	return delivery.Permanent(statusError(r.Status))
}

// statusError is an answer of a server that is no success.
type statusError int

func (s statusError) Error() string { return fmt.Sprintf("the server answered with status %d", int(s)) }

// toMailbox prepares the e-mail to the subscription's address.
func (k carrier) toMailbox(d *parcel) (func(context.Context) error, error) {
	if k.cfg.Mail == nil {
		return nil, errors.New("there is no server for e-mail")
	}
	e := &mail.Message{To: d.r.Endpoint, From: d.t.Attributes["DisplayName"], Subject: d.m.Subject}
	switch d.m.Kind {
	case notification:
		if e.Subject == "" {
			e.Subject = "AWS Notification Message"
		}
	case subscriptionConfirmation:
		e.Subject = "AWS Notification - Subscription Confirmation"
	default:
		e.Subject = "AWS Notification - Unsubscribe Confirmation"
	}
	text, err := k.mailText(d)
	if err != nil {
		return nil, err
	}
	e.Text = text
	return func(ctx context.Context) error {
		err := k.cfg.Mail.Send(ctx, e)
		if errors.Is(err, mail.ErrRefused) {
			return delivery.Permanent(err)
		}
		if err == nil {
			k.countArrived(d)
		}
		return err
	}, nil
}

func (k carrier) mailText(d *parcel) (string, error) {
	if d.r.Protocol == toEmailRaw {
		text, err := k.wrapped(d.m, d.t.arn, d.r)
		return string(text), err
	}
	switch d.m.Kind {
	case subscriptionConfirmation:
		return "You have chosen to subscribe to the topic:\n" + d.t.arn + "\n\nTo confirm this subscription, open this link. If you did not ask for it, do nothing.\n" +
			k.subscribeURL(d.t.arn, d.t.region, d.m.Token) + "\n", nil
	case unsubscribeConfirmation:
		return "Your subscription to this topic has ended:\n" + d.t.arn + "\n\nIf that was a mistake, open this link to subscribe again:\n" +
			k.subscribeURL(d.t.arn, d.t.region, d.m.Token) + "\n", nil
	}
	return d.m.body(d.r.Protocol) + "\n\n--\nTo stop receiving notifications from this topic, open this link:\n" +
		k.unsubscribeURL(d.r.arn(k.cfg.Partition), d.t.region) + "\n", nil
}

package sns

import (
	"errors"
	"strconv"
	"strings"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/mail"
	"github.com/holdfast-cloud/holdfast/outbound"
	"github.com/holdfast-cloud/holdfast/wire"
)

// GiveUp implements door.Carrier: what could not be delivered goes to the subscription's dead-letter queue, in the form that the subscription would have had it, with the
// reason. Of confirmations nobody wants to know.
func (k carrier) GiveUp(c *call.Call, p *delivery.Parcel, cause error) error {
	d, err := k.open(c, p)
	if delivery.IsPermanent(err) {
		return nil // nobody can read it
	}
	if err != nil || d == nil || d.m.Kind != notification {
		return err
	}
	k.count(d.t, "NumberOfNotificationsFailed", 1)
	queueARN := d.r.deadLetters()
	if queueARN == "" {
		return nil
	}
	mark := c.Tx().Mark()
	if err := k.enqueue(d, queueARN, reason(c, p, cause)); err != nil {
		err = inside(err)
		if !delivery.IsPermanent(err) {
			return err
		}
		c.Tx().Reset(mark)
		k.count(d.t, "NumberOfNotificationsFailedToRedriveToDlq", 1)
		return nil
	}
	k.count(d.t, "NumberOfNotificationsRedrivenToDlq", 1)
	return nil
}

// reason is why a message was not delivered, as attributes of a dead letter: those that Lambda gives its own.
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html#invocation-dlq
func reason(c *call.Call, p *delivery.Parcel, cause error) []attribute {
	code, text := explain(cause)
	if errors.Is(cause, delivery.ErrExpired) && p.Failure != "" {
		text += ": " + p.Failure
	}
	return []attribute{
		{"ErrorMessage", "String", []byte(printable(text))}, {"ErrorCode", "String", []byte(printable(code))}, {"RequestID", "String", []byte(c.RequestID)},
	}
}

// explain is the code and the message of an error of a delivery. It does not tell what a name leads to inside.
func explain(cause error) (code, text string) {
	if status, ok := errors.AsType[statusError](cause); ok {
		return strconv.Itoa(int(status)), status.Error()
	}
	if d, ok := errors.AsType[*call.Denied](cause); ok {
		return "AccessDenied", d.Message
	}
	if m, ok := errors.AsType[wire.ModeledError](cause); ok {
		return m.Schema().Error.Code, wire.Message(m)
	}
	if e, ok := errors.AsType[*wire.Error](cause); ok {
		return e.Code, e.Message
	}
	for _, known := range []struct {
		err  error
		code string
	}{
		{outbound.ErrAddress, "AddressRefused"}, {outbound.ErrURL, "AddressRefused"}, {outbound.ErrRedirect, "Redirected"}, {mail.ErrRefused, "MailRefused"},
		{delivery.ErrExpired, "Expired"},
	} {
		if errors.Is(cause, known.err) {
			return known.code, known.err.Error()
		}
	}
	return "DeliveryFailed", cause.Error()
}

// maxReason is how much of a reason a dead letter tells, in bytes.
const maxReason = 1000

// printable is a text as an attribute can have it: of some length, and with no control characters.
func printable(text string) string {
	if text == "" {
		return "unknown"
	}
	if len(text) > maxReason {
		text = text[:maxReason]
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
}

package cloudwatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/cloudwatch"
	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/api/sns"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/wire"
)

// The principals that alarms act as: policies of topics and functions let them in.
const (
	snsPrincipal    = "cloudwatch.amazonaws.com"
	lambdaPrincipal = "lambda.alarms.cloudwatch.amazonaws.com"
)

// carrier carries actions out.
type carrier struct{ *Service }

// Deliver implements door.Carrier.
func (s carrier) Deliver(c *call.Call, p *delivery.Parcel) (func(context.Context) error, error) {
	act, message, err := s.open(p)
	if err != nil {
		return nil, delivery.Permanent(err)
	}
	if err := s.send(c, act, message); err != nil {
		return nil, hopeless(err)
	}
	return nil, s.acted(c, act, message, nil)
}

// GiveUp implements door.Carrier.
func (s carrier) GiveUp(c *call.Call, p *delivery.Parcel, cause error) error {
	act, message, err := s.open(p)
	if err != nil {
		return nil // there is nobody to tell
	}
	return s.acted(c, act, message, cause)
}

func (s carrier) open(p *delivery.Parcel) (*action, []byte, error) {
	act := new(action)
	if err := json.Unmarshal(p.Payload, act); err != nil {
		return nil, nil, fmt.Errorf("reading an action: %w", err)
	}
	message, err := s.cfg.Seal.Box(sealedFor).Unwrap(act.ID, act.Message)
	if err != nil {
		return nil, nil, fmt.Errorf("opening a notification: %w", err)
	}
	return act, message, nil
}

func (s carrier) send(c *call.Call, act *action, message []byte) error {
	as := func(principal string) *call.Call {
		own := c.AsServiceFor(alarmARN(c, act.Alarm))
		own.Caller, own.Source.Service = identity.Service(principal), principal
		return own
	}
	if strings.Contains(act.Target, ":lambda:") {
		_, err := s.cfg.Lambda.Invoke(as(lambdaPrincipal), &lambda.InvocationRequest{FunctionName: &act.Target, InvocationType: lambda.InvocationTypeEvent, Payload: message})
		return err
	}
	_, err := s.cfg.SNS.Publish(as(snsPrincipal), &sns.PublishInput{TopicArn: &act.Target, Subject: &act.Subject, Message: new(string(message))})
	return err
}

// hopeless says of errors that trying again does not help: of those that tell of the request and not of a fault.
func hopeless(err error) error {
	if _, ok := errors.AsType[*call.Denied](err); ok {
		return delivery.Permanent(err)
	}
	if e, ok := errors.AsType[wire.ModeledError](err); ok && e.Schema().Error != nil && !e.Schema().Error.Fault {
		return delivery.Permanent(err)
	}
	if e, ok := errors.AsType[*wire.Error](err); ok && (!e.Fault || e.Status == 501) {
		return delivery.Permanent(err)
	}
	return err
}

// acted puts into the alarm's history how an action went.
func (s carrier) acted(c *call.Call, act *action, message []byte, cause error) error {
	data := struct {
		State     string `json:"actionState"`
		Since     string `json:"stateUpdateTimestamp"`
		Resource  string `json:"notificationResource"`
		Published string `json:"publishedMessage,omitempty"`
		Error     string `json:"error,omitempty"`
	}{State: "Succeeded", Since: act.Since, Resource: act.Target}
	summary := "Successfully executed action " + act.Target
	if cause != nil {
		data.State, data.Error = "Failed", cause.Error()
		summary = fmt.Sprintf("Failed to execute action %s. Received error: %q", act.Target, cause.Error())
	} else {
		published, err := json.Marshal(struct {
			Default string `json:"default"`
		}{string(message)})
		if err != nil {
			return fmt.Errorf("writing history: %w", err)
		}
		data.Published = string(published)
	}
	return remember(c, act.Alarm, act.Kind, cloudwatch.HistoryItemTypeAction, summary, data)
}

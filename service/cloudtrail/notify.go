package cloudtrail

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/cloudtrail"
	"github.com/holdfast-cloud/holdfast/api/sns"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

// The kinds of lanes, one of each for a trail.
const (
	topicLane = "topic" // tells an SNS topic of log files
	logsLane  = "logs"  // sends events to a log group of CloudWatch Logs
)

// toldFor is how long what a topic or a log group does not take is tried.
const toldFor = 14 * 24 * time.Hour

func (t *trailRecord) lane(kind string) delivery.Lane {
	return delivery.Lane{Service: cloudtrail.Service.Package, Account: t.Account, Region: t.Region, Kind: kind, Subject: t.Name}
}

// topicARN is the topic that a request names, by its ARN or by its name in the trail's account and region. It is empty for none.
func topicARN(c *call.Call, t *trailRecord, name string) (string, error) {
	if name == "" || !strings.HasPrefix(name, "arn:") {
		if strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") != "" || len(name) > 256 {
			return "", badTopic(name)
		}
		if name != "" {
			name = call.Scope{Partition: c.Scope.Partition, Account: t.Account, Region: t.Region}.ARN("sns", name)
		}
		return name, nil
	}
	if a, err := arn.Parse(name); err != nil || a.Service != "sns" || a.Partition != c.Scope.Partition || a.Region == "" || strings.Contains(a.Resource, ":") {
		return "", badTopic(name)
	}
	return name, nil
}

func badTopic(name string) error {
	return &cloudtrail.InvalidSnsTopicNameException{Message: "The SNS topic name " + name + " is not valid."}
}

// topicName is the topic as a request names it.
func (t *trailRecord) topicName() *string {
	return some(t.Topic[strings.LastIndexByte(t.Topic, ':')+1:])
}

// publish sends a message to the trail's topic.
func (s *Service) publish(c *call.Call, t *trailRecord, message string) error {
	a, err := arn.Parse(t.Topic)
	if err != nil {
		return err
	}
	own := c.AsServiceFor(t.arn(c.Scope.Partition))
	own.Scope.Region = a.Region
	_, err = s.cfg.SNS.Publish(own, &sns.PublishInput{TopicArn: &t.Topic, Message: &message})
	return err
}

// reachTopic refuses a trail whose topic does not take what CloudTrail sends it, by sending it something.
func (s *Service) reachTopic(c *call.Call, t *trailRecord) error {
	if t.Topic == "" {
		return nil
	}
	err := s.publish(c, t, "CloudTrail validation message.")
	_, denied := errors.AsType[*call.Denied](err)
	m, modeled := errors.AsType[wire.ModeledError](err)
	if denied || modeled && !m.Schema().Error.Fault {
		return &cloudtrail.InsufficientSnsTopicPolicyException{Message: "SNS Topic does not exist or the topic policy is incorrect!"}
	}
	return err
}

// notify has the trail's topic told of a log file.
func (p *pass) notify(d *delivering, object string) error {
	t := d.trail
	if t.Topic == "" || d.Gone != nil {
		return nil
	}
	payload, err := json.Marshal(struct {
		Bucket string   `json:"s3Bucket"`
		Object []string `json:"s3ObjectKey"`
	}{t.Bucket, []string{object}})
	if err != nil {
		return err
	}
	return p.c.Post(&delivery.Parcel{Lane: t.lane(topicLane), Payload: payload, Expires: p.c.Time.Add(toldFor)})
}

// teller delivers to trails' topics.
type teller struct{ *Service }

// Deliver implements door.Carrier.
func (s teller) Deliver(c *call.Call, p *delivery.Parcel) (func(context.Context) error, error) {
	t, err := trailTable.In(p.Account, p.Region).Get(c.Tx(), p.Subject)
	if err != nil || t.Topic == "" {
		return nil, store.IgnoreNotFound(err)
	}
	if err := s.publish(c, t, string(p.Payload)); err != nil {
		return nil, codeOf(err)
	}
	return nil, s.tellOf(c, t, func(st *statusRecord) { st.Notified, st.NotifyError = c.Time, "" })
}

// GiveUp implements door.Carrier.
func (s teller) GiveUp(c *call.Call, p *delivery.Parcel, cause error) error {
	t, err := trailTable.In(p.Account, p.Region).Get(c.Tx(), p.Subject)
	if err != nil {
		return store.IgnoreNotFound(err)
	}
	return s.tellOf(c, t, func(st *statusRecord) { st.NotifyError = failureOf(p, cause) })
}

// tellOf changes the status of a trail.
func (s *Service) tellOf(c *call.Call, t *trailRecord, change func(*statusRecord)) error {
	return s.status(c, t, new(deliveryRecord), change)
}

// coded is an error that shows as its code, as GetTrailStatus tells it.
type coded struct {
	code string
	error
}

func (e coded) Error() string { return e.code }
func (e coded) Unwrap() error { return e.error }

// codeOf gives the error of a receiver its code.
func codeOf(err error) error {
	if _, ok := errors.AsType[*call.Denied](err); ok {
		return coded{"AccessDenied", err}
	}
	if m, ok := errors.AsType[wire.ModeledError](err); ok {
		return coded{m.Schema().Error.Code, err}
	}
	if e, ok := errors.AsType[*wire.Error](err); ok {
		return coded{e.Code, err}
	}
	return err
}

// failureOf is why a parcel was given up.
func failureOf(p *delivery.Parcel, cause error) string {
	if p.Failure != "" {
		return p.Failure
	}
	return cause.Error()
}

// waitsFor is what keeps a lane of the trail, or empty.
func waitsFor(c *call.Call, t *trailRecord, kind string) (string, error) {
	first, err := delivery.Waiting(c.Tx(), t.lane(kind), 1)
	if err != nil || len(first) == 0 {
		return "", err
	}
	return first[0].Failure, nil
}

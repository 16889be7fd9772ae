package s3

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/api/s3"
	"github.com/holdfast-cloud/holdfast/api/sns"
	"github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/outbox"
)

// Queues is what S3 asks of SQS; sqs.Client has it.
type Queues interface {
	SendMessage(*call.Call, *sqs.SendMessageRequest) (*sqs.SendMessageResult, error)
}

// Topics is what S3 asks of SNS; sns.Client has it.
type Topics interface {
	Publish(*call.Call, *sns.PublishInput) (*sns.PublishResponse, error)
}

// Functions is what S3 asks of Lambda; lambda.Client has it.
type Functions interface {
	Invoke(*call.Call, *lambda.InvocationRequest) (*lambda.InvocationResponse, error)
}

// happened is what became of an object.
type happened struct {
	event  s3.Event
	reason string // the operation
	object *objectRecord
}

const (
	// eventTimes is how messages write times.
	eventTimes = "2006-01-02T15:04:05.000Z"
	// subject is that of the messages to topics.
	subject = "Amazon S3 Notification"
)

// message is the message that queues and topics get of an event, see
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
type message struct {
	EventVersion      string            `json:"eventVersion"`
	EventSource       string            `json:"eventSource"`
	AWSRegion         string            `json:"awsRegion"`
	EventTime         string            `json:"eventTime"`
	EventName         string            `json:"eventName"`
	UserIdentity      messageIdentity   `json:"userIdentity"`
	RequestParameters messageParameters `json:"requestParameters"`
	ResponseElements  messageResponse   `json:"responseElements"`
	S3                messageS3         `json:"s3"`
}

type messageIdentity struct {
	PrincipalID string `json:"principalId"`
}

type messageParameters struct {
	SourceIPAddress string `json:"sourceIPAddress"`
}

type messageResponse struct {
	RequestID string `json:"x-amz-request-id"`
	ID2       string `json:"x-amz-id-2"`
}

type messageS3 struct {
	SchemaVersion   string        `json:"s3SchemaVersion"`
	ConfigurationID string        `json:"configurationId"`
	Bucket          messageBucket `json:"bucket"`
	Object          messageObject `json:"object"`
}

type messageBucket struct {
	Name          string          `json:"name"`
	OwnerIdentity messageIdentity `json:"ownerIdentity"`
	ARN           string          `json:"arn"`
}

type messageObject struct {
	Key       string `json:"key"` // as a form encodes it, but for slashes
	Size      *int64 `json:"size,omitempty"`
	ETag      string `json:"eTag,omitempty"`
	Sequencer string `json:"sequencer"`
}

// eventDetail is the detail of an event on EventBridge, see https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
type eventDetail struct {
	Version      string       `json:"version"`
	Bucket       detailBucket `json:"bucket"`
	Object       detailObject `json:"object"`
	RequestID    string       `json:"request-id"`
	Requester    string       `json:"requester"`
	SourceIP     string       `json:"source-ip-address,omitempty"`
	Reason       string       `json:"reason"`
	DeletionType string       `json:"deletion-type,omitempty"`
}

type detailBucket struct {
	Name string `json:"name"`
}

type detailObject struct {
	Key       string `json:"key"`
	Size      *int64 `json:"size,omitempty"`
	ETag      string `json:"etag,omitempty"`
	Sequencer string `json:"sequencer"`
}

// sequencer tells the events of one key apart: the later one has the greater, as strings.
func sequencer(o *objectRecord) string { return fmt.Sprintf("%018X", o.Sequence) }

// nextSequence is the sequence number of a change at a time of an object whose last change had one.
func nextSequence(at time.Time, last *objectRecord) int64 {
	n := at.UnixNano()
	if last != nil {
		n = max(n, last.Sequence+1)
	}
	return n
}

// notify tells those of an event who want to know: in the transaction of the call, so that none is told of what did not happen.
func (b *bucket) notify(h happened) error {
	n := b.Notifications
	if n == nil {
		return nil
	}
	if n.EventBridge {
		if err := b.emit(h); err != nil {
			return err
		}
	}
	for i := range n.Destinations {
		d := &n.Destinations[i]
		if !d.wants(h.event, h.object.Key) {
			continue
		}
		if err := b.post(d, b.message(d, h)); err != nil {
			return err
		}
	}
	return nil
}

func (h happened) created() bool { return strings.HasPrefix(string(h.event), "s3:ObjectCreated:") }

// emit puts the event on the default bus of the bucket's owner.
func (b *bucket) emit(h happened) error {
	o := h.object
	d := eventDetail{
		Version: "0", Bucket: detailBucket{b.Name}, Object: detailObject{Key: o.Key, Sequencer: sequencer(o)},
		RequestID: b.c.RequestID, Requester: b.requester(), SourceIP: b.sourceIP(), Reason: h.reason,
	}
	kind := "Object Deleted"
	if h.created() {
		kind, d.Object.Size, d.Object.ETag = "Object Created", &o.Size, o.ETag
	} else {
		d.DeletionType = "Permanently Deleted"
	}
	text, err := plainJSON(d)
	if err != nil {
		return err
	}
	return b.c.Emit(outbox.Event{
		DetailType: kind, Source: "aws.s3", Account: b.Account, Region: b.Region, Time: b.c.Time, Resources: []string{b.arn()}, Detail: text,
	})
}

// message is what a destination is told.
func (b *bucket) message(d *destination, h happened) any {
	o := h.object
	m := message{
		EventVersion: "2.1", EventSource: "aws:s3", AWSRegion: b.Region, EventTime: b.c.Time.UTC().Format(eventTimes), EventName: strings.TrimPrefix(string(h.event), "s3:"),
		UserIdentity: messageIdentity{b.principal()}, RequestParameters: messageParameters{b.sourceIP()},
		ResponseElements: messageResponse{b.c.RequestID, b.c.EventID},
		S3: messageS3{
			SchemaVersion: "1.0", ConfigurationID: d.ID,
			Bucket: messageBucket{b.Name, messageIdentity{optional.Value(owner(b.Account).ID)}, b.arn()},
			Object: messageObject{Key: strings.ReplaceAll(url.QueryEscape(o.Key), "%2F", "/"), Sequencer: sequencer(o)},
		},
	}
	if h.created() {
		m.S3.Object.Size, m.S3.Object.ETag = &o.Size, o.ETag
	}
	return struct{ Records []message }{[]message{m}}
}

// plainJSON is v as JSON that escapes nothing for the sake of web pages.
func plainJSON(v any) ([]byte, error) {
	var w bytes.Buffer
	e := json.NewEncoder(&w)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(w.Bytes(), []byte("\n")), nil
}

// principal is who did it, as messages name them.
func (b *bucket) principal() string {
	if b.c.Caller.ServiceName != "" {
		return b.c.Caller.ServiceName
	}
	return "AWS:" + b.c.Caller.UserID()
}

// requester is who did it, as EventBridge names them.
func (b *bucket) requester() string {
	if b.c.Caller.ServiceName != "" {
		return b.c.Caller.ServiceName
	}
	return b.c.Caller.Account
}

// sourceIP is where the request came from.
func (b *bucket) sourceIP() string {
	switch {
	case b.c.Source.Service != "":
		return b.c.Source.Service
	case b.c.Source.IP.IsValid():
		return b.c.Source.IP.String()
	}
	return ""
}

// testMessage is what a new destination gets.
type testMessage struct {
	Service   string
	Event     string
	Time      string
	Bucket    string
	RequestID string `json:"RequestId"`
	HostID    string `json:"HostId"`
}

// tryDestinations sends each destination a test message. It refuses the configuration if some cannot be reached.
func (s *Service) tryDestinations(b *bucket, n *notifications) error {
	if n == nil {
		return nil
	}
	text, err := plainJSON(testMessage{"Amazon S3", "s3:TestEvent", b.c.Time.UTC().Format(eventTimes), b.Name, b.c.RequestID, b.c.EventID})
	if err != nil {
		return err
	}
	var bad []refused
	for i := range n.Destinations {
		d := &n.Destinations[i]
		if err := s.send(b.c, b.bucketRecord, d.ARN, string(text), true); err != nil {
			why := refusal(err, d)
			if why == "" {
				return err
			}
			bad = append(bad, refused{d.ARN, why})
		}
	}
	if len(bad) > 0 {
		return unreachable(bad)
	}
	return nil
}

// refusal is why a destination did not take the test message, in S3's words, or "" if that says nothing about the destination.
func refusal(err error, d *destination) string {
	kind := d.kind()
	if isA[*call.Denied](err) || isA[*sqs.KmsAccessDenied](err) || isA[*sns.KMSAccessDeniedException](err) || isA[*sns.AuthorizationErrorException](err) {
		return "Permissions on the destination " + kind + " do not allow S3 to publish notifications from this bucket"
	}
	if isA[*sqs.QueueDoesNotExist](err) || isA[*sns.NotFoundException](err) || isA[*lambda.ResourceNotFoundException](err) {
		return "The destination " + kind + " does not exist"
	}
	return ""
}

func isA[E error](err error) bool { _, ok := errors.AsType[E](err); return ok }

// send gives a queue, a topic or a function a message, as S3 on behalf of a bucket: the destination's policy must let it in. A message that is a test does not reach functions.
func (s *Service) send(c *call.Call, b *bucketRecord, destinationARN, text string, test bool) error {
	own := c.AsServiceFor("arn:" + c.Scope.Partition + ":s3:::" + b.Name)
	own.Source.Account, own.Scope.Region = b.Account, b.Region
	a, err := arn.Parse(destinationARN)
	if err != nil {
		return err
	}
	switch a.Service {
	case "sqs":
		_, err = s.cfg.Queues.SendMessage(own, &sqs.SendMessageRequest{QueueUrl: new("https://sqs." + a.Region + ".amazonaws.com/" + a.Account + "/" + a.Resource), MessageBody: &text})
	case "lambda":
		how := lambda.InvocationTypeEvent
		if test {
			how = lambda.InvocationTypeDryRun
		}
		_, err = s.cfg.Functions.Invoke(own, &lambda.InvocationRequest{FunctionName: &destinationARN, InvocationType: how, Payload: []byte(text)})
	default:
		_, err = s.cfg.Topics.Publish(own, &sns.PublishInput{TopicArn: &destinationARN, Message: &text, Subject: new(subject)})
	}
	return err
}

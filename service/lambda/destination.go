package lambda

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/holdfast-cloud/holdfast/api/events"
	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/api/s3"
	"github.com/holdfast-cloud/holdfast/api/sns"
	"github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// outcome is what became of an event.
type outcome struct {
	condition string
	attempts  int
	result    *result // of the last attempt; nil if there was none
	version   string  // that ran
}

// invocationReport is what a destination is told.
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
type invocationReport struct {
	Version         string           `json:"version"`
	Timestamp       string           `json:"timestamp"`
	RequestContext  reportedRequest  `json:"requestContext"`
	RequestPayload  json.RawMessage  `json:"requestPayload"`
	ResponseContext *reportedOutcome `json:"responseContext,omitempty"`
	ResponsePayload json.RawMessage  `json:"responsePayload,omitempty"`
}

type reportedRequest struct {
	RequestID   string `json:"requestId"`
	FunctionARN string `json:"functionArn"`
	Condition   string `json:"condition"`
	Attempts    int    `json:"approximateInvokeCount"`
}

type reportedOutcome struct {
	StatusCode      int    `json:"statusCode"`
	ExecutedVersion string `json:"executedVersion"`
	FunctionError   string `json:"functionError,omitempty"`
}

func (o *order) report(c *call.Call, x *outcome) ([]byte, error) {
	r := invocationReport{
		Version: "1.0", Timestamp: c.Time.UTC().Format("2006-01-02T15:04:05.000Z"), RequestPayload: jsonOf(o.payload),
		RequestContext: reportedRequest{o.id, o.qualifiedARN(c.Scope), x.condition, x.attempts},
	}
	if x.result != nil {
		r.ResponseContext = &reportedOutcome{200, x.version, x.result.Failure}
		r.ResponsePayload = jsonOf(x.result.Payload)
	}
	return plainJSON(r)
}

// qualifiedARN is the ARN of the function with the qualifier that it was asked for by.
func (t *target) qualifiedARN(s call.Scope) string {
	s.Account, s.Region = t.account, t.region
	if t.qualifier == "" {
		return functionARN(s, t.function.Name, latest)
	}
	return functionARN(s, t.function.Name, t.qualifier)
}

// jsonOf is text as a JSON value: as it is, or else as a string.
func jsonOf(text []byte) json.RawMessage {
	if json.Valid(text) {
		return text
	}
	quoted, err := json.Marshal(string(text))
	if err != nil {
		return json.RawMessage("null")
	}
	return quoted
}

// plainJSON is JSON as it is, and not as HTML wants it.
func plainJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// tell sends a report of an event to a destination, as the function's role. One that does not take it is not told again.
func (s *Service) tell(c *call.Call, o *order, destination string, x *outcome) error {
	report, err := o.report(c, x)
	if err != nil {
		return err
	}
	mark := c.Tx().Mark()
	if err = s.send(c, o, destination, report, x.condition == success, nil); err == nil || errors.Is(err, store.ErrConflict) {
		return err
	}
	c.Tx().Reset(mark)
	c.Tx().OnCommitted(func() { s.measure(o, "DestinationDeliveryFailures", 1) })
	return nil
}

// bury sends an event to the function's dead-letter queue, as its role, and reports whether it could.
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html#invocation-dlq
func (s *Service) bury(c *call.Call, o *order, f *failure) (bool, error) {
	attributes := map[string][2]string{"RequestID": {"String", o.id}, "ErrorCode": {"Number", "200"}}
	var said struct {
		ErrorMessage string `json:"errorMessage"`
	}
	if f.result != nil {
		_ = json.Unmarshal(f.result.Payload, &said) // which a function may have written as it likes
	} else {
		attributes["ErrorCode"] = [2]string{"Number", "429"}
		said.ErrorMessage = "Rate Exceeded."
	}
	if said.ErrorMessage != "" {
		attributes["ErrorMessage"] = [2]string{"String", cut(said.ErrorMessage, maxDeadMessage)}
	}
	mark := c.Tx().Mark()
	err := s.send(c, o, o.version.DeadLetters, o.payload, false, attributes)
	if err == nil || errors.Is(err, store.ErrConflict) {
		return err == nil, err
	}
	c.Tx().Reset(mark)
	c.Tx().OnCommitted(func() { s.measure(o, "DeadLetterErrors", 1) })
	return false, nil
}

// maxDeadMessage is how much of an error a dead letter has, in bytes.
const maxDeadMessage = 1024

// cut is the beginning of a text, of whole characters.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}

var errNoDestination = errors.New("nothing is sent there")

// send sends a text to what an ARN names, as the function's role.
func (s *Service) send(c *call.Call, o *order, to string, text []byte, succeeded bool, attributes map[string][2]string) error {
	a, err := arn.Parse(to)
	if err != nil {
		return err
	}
	function := o.qualifiedARN(c.Scope)
	as, err := c.AsRole(o.version.Role, functionARN(o.scope(c), o.function.Name, ""))
	if err != nil {
		return err
	}
	if a.Region != "" {
		as.Scope.Region = a.Region
	}
	switch a.Service {
	case "sqs":
		in := &sqs.SendMessageRequest{QueueUrl: new("https://sqs." + a.Region + ".amazonaws.com/" + a.Account + "/" + a.Resource), MessageBody: new(string(text))}
		for name, v := range attributes {
			if in.MessageAttributes == nil {
				in.MessageAttributes = make(map[string]sqs.MessageAttributeValue)
			}
			in.MessageAttributes[name] = sqs.MessageAttributeValue{DataType: new(v[0]), StringValue: new(v[1])}
		}
		_, err = s.cfg.SQS.SendMessage(as, in)
	case "sns":
		in := &sns.PublishInput{TopicArn: &to, Message: new(string(text))}
		for name, v := range attributes {
			if in.MessageAttributes == nil {
				in.MessageAttributes = make(map[string]sns.MessageAttributeValue)
			}
			in.MessageAttributes[name] = sns.MessageAttributeValue{DataType: new(v[0]), StringValue: new(v[1])}
		}
		_, err = s.cfg.SNS.Publish(as, in)
	case "lambda":
		_, err = s.cfg.Lambda.Invoke(as, &lambda.InvocationRequest{FunctionName: &to, InvocationType: lambda.InvocationTypeEvent, Payload: text})
	case "events":
		err = s.toBus(as, to, function, text, succeeded)
	case "s3":
		key := "aws/lambda/async/" + o.function.Name + "/" + c.Time.UTC().Format("2006/01/02/2006-01-02T15.04.05") + "-" + o.id
		_, err = s.cfg.S3.PutObject(as, &s3.PutObjectRequest{
			Bucket: &a.Resource, Key: &key, Body: io.NopCloser(bytes.NewReader(text)), ContentLength: new(int64(len(text))), ContentType: new("application/json"),
		})
	default:
		err = errNoDestination
	}
	return err
}

// toBus puts a report on an event bus.
func (s *Service) toBus(as *call.Call, bus, function string, report []byte, succeeded bool) error {
	kind := "Lambda Function Invocation Result - Failure"
	if succeeded {
		kind = "Lambda Function Invocation Result - Success"
	}
	out, err := s.cfg.Events.PutEvents(as, &events.PutEventsRequest{Entries: []events.PutEventsRequestEntry{{
		Source: new("lambda"), DetailType: &kind, Detail: new(string(report)), EventBusName: &bus, Resources: []string{function, bus}, Time: new(as.Time.Truncate(time.Second)),
	}}})
	if err == nil && optional.Value(out.FailedEntryCount) > 0 {
		err = errors.New("the bus took no report: " + strconv.Itoa(int(optional.Value(out.FailedEntryCount))))
	}
	return err
}

package scheduler

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/scheduler"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/wire"
)

// What a target is, and what it is sent. A templated target is named by the ARN of a resource, and one operation is carried out on it; a universal one is named by the operation:
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets.html

const (
	defaultRetries = 185
	defaultAge     = 86400 // seconds

	// maxInput is how long a target's input may be, in bytes: https://docs.aws.amazon.com/scheduler/latest/UserGuide/scheduler-quotas.html
	maxInput = 256 << 10
)

// universal is what the ARN of a universal target begins with, behind the partition.
const universal = "aws-sdk:"

// readOnly is what the names of operations begin with that are no targets: https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets-universal.html#unsupported-api-actions
var readOnly = strings.Fields("get describe list poll receive search scan query select read lookup discover validate batchget batchdescribe batchread transactget adminget adminlist " +
	"testmigration retrieve testconnection translatedocument isauthorized invokemodel")

// template is a templated target: the operation that is carried out on a resource.
type template struct {
	service, operation string // as Config.Operation has them

	resource string // what the resource's part of the ARN begins with
	json     bool   // the input must be JSON
}

// templates are the templated targets by the service in their ARN. Which of them there are says Config.Operation.
var templates = map[string]template{
	"sqs":          {service: "sqs", operation: "sendmessage"},
	"sns":          {service: "sns", operation: "publish"},
	"events":       {service: "eventbridge", operation: "putevents", resource: "event-bus/", json: true},
	"lambda":       {service: "lambda", operation: "invoke", resource: "function:", json: true},
	"codebuild":    {service: "codebuild", operation: "startbuild"},
	"codepipeline": {service: "codepipeline", operation: "startpipelineexecution"},
	"ecs":          {service: "ecs", operation: "runtask"},
	"firehose":     {service: "firehose", operation: "putrecord"},
	"inspector":    {service: "inspector", operation: "startassessmentrun"},
	"kinesis":      {service: "kinesis", operation: "putrecord"},
	"sagemaker":    {service: "sagemaker", operation: "startpipelineexecution"},
	"states":       {service: "sfn", operation: "startexecution", json: true},
}

// aim is a target's ARN, understood.
type aim struct {
	arn.ARN
	op        *wire.Operation
	universal bool
	json      bool // the input must be JSON
}

// aim reads the ARN of a target. Its error is one for the caller.
func (s *Service) aim(scope call.Scope, target string) (aim, error) {
	a, err := arn.Parse(target)
	if err != nil || a.Partition != scope.Partition {
		return aim{}, badTarget()
	}
	if a.Service == "scheduler" {
		return s.aimUniversal(a)
	}
	t, ok := templates[a.Service]
	if !ok || !strings.HasPrefix(a.Resource, t.resource) || a.Region == "" || a.Account == "" {
		return aim{}, badTarget()
	}
	op := s.cfg.Operation(t.service, t.operation)
	if op == nil {
		return aim{}, wire.NotImplemented("scheduler", "CreateSchedule with the target "+a.Service+":"+t.operation)
	}
	return aim{ARN: a, op: op, json: t.json}, nil
}

func (s *Service) aimUniversal(a arn.ARN) (aim, error) {
	service, action, ok := strings.Cut(strings.TrimPrefix(a.Resource, universal), ":")
	if !ok || !strings.HasPrefix(a.Resource, universal) || a.Region != "" || a.Account != "" || service == "" || action == "" {
		return aim{}, badTarget()
	}
	name := strings.ToLower(action)
	for _, prefix := range readOnly {
		if strings.HasPrefix(name, prefix) {
			return aim{}, invalid("%s is not a supported api action for %s.", action, service)
		}
	}
	op := s.cfg.Operation(strings.ToLower(service), name)
	if op == nil {
		return aim{}, wire.NotImplemented("scheduler", "CreateSchedule with the target aws-sdk:"+service+":"+action)
	}
	return aim{ARN: a, op: op, universal: true, json: true}, nil
}

func badTarget() error { return invalid("Provided Arn is not in correct format.") }

// checkTarget holds a target against what can be known of it before it is invoked, and returns what is kept of it but its input.
func (s *Service) checkTarget(c *call.Call, t *scheduler.Target) (r targetRecord, err error) {
	a, err := s.aim(c.Scope, *t.Arn)
	if err != nil {
		return r, err
	}
	r = targetRecord{ARN: *t.Arn, Role: *t.RoleArn, Retries: defaultRetries, Age: defaultAge}
	if p := t.RetryPolicy; p != nil {
		r.Retries, r.Age = or(p.MaximumRetryAttempts, defaultRetries), or(p.MaximumEventAgeInSeconds, defaultAge)
	}
	if t.DeadLetterConfig != nil && t.DeadLetterConfig.Arn != nil {
		r.DeadLetters = *t.DeadLetterConfig.Arn
	}
	if p := t.EventBridgeParameters; p != nil {
		r.Source, r.DetailType = *p.Source, *p.DetailType
	}
	if p := t.SqsParameters; p != nil {
		r.MessageGroup = optional.Value(p.MessageGroupId)
	}
	switch {
	case len(optional.Value(t.Input)) > maxInput:
		return r, invalid("The input of the target is longer than %d bytes.", maxInput)
	case t.EcsParameters != nil || t.KinesisParameters != nil || t.SageMakerPipelineParameters != nil,
		r.Source != "" && a.Service != "events", r.MessageGroup != "" && a.Service != "sqs":
		return r, invalid("The parameters of the target do not fit its Arn.")
	case r.Source == "" && a.Service == "events":
		return r, invalid("EventBridgeParameters is required for the target.")
	case strings.HasPrefix(r.Source, "aws."):
		return r, invalid("The source of an event must not begin with aws.")
	case r.MessageGroup == "" && a.Service == "sqs" && strings.HasSuffix(a.Resource, ".fifo"):
		return r, invalid("SqsParameters with a MessageGroupId is required for a FIFO queue.")
	case a.universal:
		_, err = decodeInput(a.op, []byte(orObject(optional.Value(t.Input))))
	case a.json && t.Input != nil && !json.Valid([]byte(*t.Input)):
		return r, invalid("The input of the target must be well-formed JSON.")
	}
	return r, err
}

func or(p *int32, usual int32) int32 {
	if p == nil {
		return usual
	}
	return *p
}

// orObject is an input, or an empty object in place of none.
func orObject(input string) string {
	if input == "" {
		return "{}"
	}
	return input
}

// request is what a target is sent: the input of its operation as JSON, whose members are named as in that of a universal target.
func (a *aim) request(scope call.Scope, i *invocation, input string) (string, error) {
	var members any
	switch {
	case a.universal:
		return orObject(input), nil
	case input == "":
		text, err := notification(scope, i)
		if err != nil {
			return "", err
		}
		input = text
	}
	switch a.Service {
	case "sqs":
		members = struct {
			MessageBody, QueueUrl string
			MessageGroupId        string `json:",omitempty"`
		}{input, queueURL(a.ARN), i.Target.MessageGroup}
	case "sns":
		members = struct{ Message, TopicArn string }{input, i.Target.ARN}
	case "events":
		type entry struct {
			Detail, DetailType, EventBusName string
			Resources                        []string
			Source                           string
		}
		members = struct{ Entries []entry }{[]entry{{input, i.Target.DetailType, i.Target.ARN, []string{i.arn(scope)}, i.Target.Source}}}
	case "lambda":
		members = struct{ FunctionName, InvocationType, Payload string }{i.Target.ARN, "Event", input}
	}
	return marshal(members)
}

// queueURL is the address of a queue, as the client sends it to SQS, which finds account and name in it.
func queueURL(a arn.ARN) string {
	return "https://sqs." + a.Region + ".amazonaws.com/" + a.Account + "/" + a.Resource
}

// notification is what a target is given by a schedule that has no input for it.
func notification(scope call.Scope, i *invocation) (string, error) {
	return marshal(struct {
		Version    string   `json:"version"`
		ID         string   `json:"id"`
		DetailType string   `json:"detail-type"`
		Source     string   `json:"source"`
		Account    string   `json:"account"`
		Time       string   `json:"time"`
		Region     string   `json:"region"`
		Resources  []string `json:"resources"`
		Detail     string   `json:"detail"`
	}{"0", i.ID, "Scheduled Event", "aws.scheduler", scope.Account, i.scheduled(), scope.Region, []string{i.arn(scope)}, "{}"})
}

// marshal writes JSON as it is and not as HTML wants it.
func marshal(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

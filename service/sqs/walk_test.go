package sqs_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/internal/walk"
)

const jobsARN = "arn:aws:sqs:us-east-1:" + home + ":jobs"

// walked is a request of an operation, and the permissions that it needs, of which the first is its own.
type walked struct {
	name    string
	actions []string
	on      string
	run     func(h *house, c *sqs.Client) error
}

func answer[T any](_ T, err error) error { return err }

func needs(actions ...string) []string { return actions }

var walks = []walked{
	{"CreateQueue", needs("sqs:CreateQueue"), strings.Replace(jobsARN, "jobs", "more", 1), func(h *house, c *sqs.Client) error {
		return answer(c.CreateQueue(h.t.Context(), &sqs.CreateQueueInput{QueueName: new("more")}))
	}},
	{"GetQueueUrl", needs("sqs:GetQueueUrl"), jobsARN, func(h *house, c *sqs.Client) error {
		return answer(c.GetQueueUrl(h.t.Context(), &sqs.GetQueueUrlInput{QueueName: new("jobs")}))
	}},
	{"ListQueues", needs("sqs:ListQueues"), "*", func(h *house, c *sqs.Client) error {
		return answer(c.ListQueues(h.t.Context(), &sqs.ListQueuesInput{}))
	}},
	{"SetQueueAttributes", needs("sqs:SetQueueAttributes"), jobsARN, func(h *house, c *sqs.Client) error {
		return answer(c.SetQueueAttributes(h.t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: &h.url, Attributes: map[string]string{"VisibilityTimeout": "60"}}))
	}},
	{"GetQueueAttributes", needs("sqs:GetQueueAttributes"), jobsARN, func(h *house, c *sqs.Client) error {
		return answer(c.GetQueueAttributes(h.t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &h.url, AttributeNames: []types.QueueAttributeName{"All"}}))
	}},
	{"TagQueue", needs("sqs:TagQueue"), jobsARN, func(h *house, c *sqs.Client) error {
		return answer(c.TagQueue(h.t.Context(), &sqs.TagQueueInput{QueueUrl: &h.url, Tags: map[string]string{"team": "red"}}))
	}},
	{"ListQueueTags", needs("sqs:ListQueueTags"), jobsARN, func(h *house, c *sqs.Client) error {
		return answer(c.ListQueueTags(h.t.Context(), &sqs.ListQueueTagsInput{QueueUrl: &h.url}))
	}},
	{"UntagQueue", needs("sqs:UntagQueue"), jobsARN, func(h *house, c *sqs.Client) error {
		return answer(c.UntagQueue(h.t.Context(), &sqs.UntagQueueInput{QueueUrl: &h.url, TagKeys: []string{"team"}}))
	}},
	{"AddPermission", needs("sqs:AddPermission"), jobsARN, func(h *house, c *sqs.Client) error {
		return answer(c.AddPermission(h.t.Context(), &sqs.AddPermissionInput{QueueUrl: &h.url, Label: new("l"), AWSAccountIds: []string{other}, Actions: []string{"SendMessage"}}))
	}},
	{"RemovePermission", needs("sqs:RemovePermission"), jobsARN, func(h *house, c *sqs.Client) error {
		return answer(c.RemovePermission(h.t.Context(), &sqs.RemovePermissionInput{QueueUrl: &h.url, Label: new("l")}))
	}},
	{"SendMessage", needs("sqs:SendMessage"), jobsARN, func(h *house, c *sqs.Client) error {
		return answer(c.SendMessage(h.t.Context(), &sqs.SendMessageInput{QueueUrl: &h.url, MessageBody: new("secret text")}))
	}},
	{"SendMessageBatch", needs("sqs:SendMessage"), jobsARN, func(h *house, c *sqs.Client) error {
		return answer(c.SendMessageBatch(h.t.Context(), &sqs.SendMessageBatchInput{QueueUrl: &h.url, Entries: []types.SendMessageBatchRequestEntry{{Id: new("a"), MessageBody: new("secret text")}}}))
	}},
	{"ReceiveMessage", needs("sqs:ReceiveMessage"), jobsARN, func(h *house, c *sqs.Client) error {
		return answer(c.ReceiveMessage(h.t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &h.url, VisibilityTimeout: 0}))
	}},
	{"ChangeMessageVisibility", needs("sqs:ChangeMessageVisibility"), jobsARN, func(h *house, c *sqs.Client) error {
		return answer(c.ChangeMessageVisibility(h.t.Context(), &sqs.ChangeMessageVisibilityInput{QueueUrl: &h.url, ReceiptHandle: h.handle(), VisibilityTimeout: 5}))
	}},
	{"ChangeMessageVisibilityBatch", needs("sqs:ChangeMessageVisibility"), jobsARN, func(h *house, c *sqs.Client) error {
		return answer(c.ChangeMessageVisibilityBatch(h.t.Context(), &sqs.ChangeMessageVisibilityBatchInput{
			QueueUrl: &h.url, Entries: []types.ChangeMessageVisibilityBatchRequestEntry{{Id: new("a"), ReceiptHandle: h.handle(), VisibilityTimeout: 5}},
		}))
	}},
	{"DeleteMessage", needs("sqs:DeleteMessage"), jobsARN, func(h *house, c *sqs.Client) error {
		return answer(c.DeleteMessage(h.t.Context(), &sqs.DeleteMessageInput{QueueUrl: &h.url, ReceiptHandle: h.handle()}))
	}},
	{"DeleteMessageBatch", needs("sqs:DeleteMessage"), jobsARN, func(h *house, c *sqs.Client) error {
		return answer(c.DeleteMessageBatch(h.t.Context(), &sqs.DeleteMessageBatchInput{QueueUrl: &h.url, Entries: []types.DeleteMessageBatchRequestEntry{{Id: new("a"), ReceiptHandle: h.handle()}}}))
	}},
	{"ListDeadLetterSourceQueues", needs("sqs:ListDeadLetterSourceQueues"), jobsARN, func(h *house, c *sqs.Client) error {
		return answer(c.ListDeadLetterSourceQueues(h.t.Context(), &sqs.ListDeadLetterSourceQueuesInput{QueueUrl: &h.url}))
	}},
	{"StartMessageMoveTask", needs("sqs:StartMessageMoveTask", "sqs:ReceiveMessage", "sqs:DeleteMessage"), jobsARN, func(h *house, c *sqs.Client) error {
		h.queue("source", "RedrivePolicy", `{"deadLetterTargetArn":"`+jobsARN+`","maxReceiveCount":1}`)
		for range 3 {
			h.send(h.url, "slow") // of which the task moves one a second
		}
		return answer(c.StartMessageMoveTask(h.t.Context(), &sqs.StartMessageMoveTaskInput{SourceArn: new(jobsARN), DestinationArn: new(strings.Replace(jobsARN, "jobs", "source", 1)), MaxNumberOfMessagesPerSecond: new(int32(1))}))
	}},
	{"ListMessageMoveTasks", needs("sqs:ListMessageMoveTasks"), jobsARN, func(h *house, c *sqs.Client) error {
		return answer(c.ListMessageMoveTasks(h.t.Context(), &sqs.ListMessageMoveTasksInput{SourceArn: new(jobsARN)}))
	}},
	{"CancelMessageMoveTask", needs("sqs:CancelMessageMoveTask"), jobsARN, func(h *house, c *sqs.Client) error {
		tasks := must(h.ListMessageMoveTasks(h.t.Context(), &sqs.ListMessageMoveTasksInput{SourceArn: new(jobsARN)}))(h.t).Results
		return answer(c.CancelMessageMoveTask(h.t.Context(), &sqs.CancelMessageMoveTaskInput{TaskHandle: tasks[0].TaskHandle}))
	}},
	{"PurgeQueue", needs("sqs:PurgeQueue"), jobsARN, func(h *house, c *sqs.Client) error {
		return answer(c.PurgeQueue(h.t.Context(), &sqs.PurgeQueueInput{QueueUrl: &h.url}))
	}},
	{"DeleteQueue", needs("sqs:DeleteQueue"), jobsARN, func(h *house, c *sqs.Client) error {
		return answer(c.DeleteQueue(h.t.Context(), &sqs.DeleteQueueInput{QueueUrl: &h.url}))
	}},
}

// handle is that of a message in flight.
func (h *house) handle() *string {
	h.send(h.url, "in flight")
	h.Advance(time.Minute)
	return h.receive(h.url, most(1))[0].ReceiptHandle
}

// TestWalk carries out every operation with just the permissions it needs, sees it refused without one of them, and finds both on record.
func TestWalk(t *testing.T) {
	h := start(t)
	var done []string
	for _, o := range walks {
		t.Run(o.name, func(t *testing.T) {
			who := "walker-" + o.name
			for _, action := range o.actions {
				others := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotAction":"` + action + `","Resource":"*"},
					{"Effect":"Allow","Action":"` + action + `","Resource":"arn:aws:sqs:us-east-1:` + home + `:elsewhere"}]}`
				wantError(t, o.run(h, sqs.NewFromConfig(h.User(home, who, others))), "AccessDenied", "is not authorized to perform: "+action)
			}
			var statements []string
			for _, action := range o.actions {
				statements = append(statements, `{"Effect":"Allow","Action":"`+action+`","Resource":"`+o.on+`"}`)
			}
			if o.name == "StartMessageMoveTask" {
				statements = append(statements, `{"Effect":"Allow","Action":"sqs:SendMessage","Resource":"*"}`)
			}
			if err := o.run(h, sqs.NewFromConfig(h.User(home, who, `{"Version":"2012-10-17","Statement":[`+strings.Join(statements, ",")+`]}`))); err != nil {
				t.Fatal(err)
			}
			for _, code := range []string{"AccessDenied", ""} {
				e, found := h.recorded(who, o.name, code)
				if !found {
					t.Errorf("there is no record of %s ending with %q", o.name, code)
					continue
				}
				if e.EventSource != "sqs.amazonaws.com" || strings.Contains(string(e.Raw), "secret text") {
					t.Errorf("recorded as %s", e.Raw)
				}
				if o.on != "*" && (len(e.Resources) == 0 || e.Resources[0].ARN != o.on || e.Resources[0].AccountID != home || e.Resources[0].Type != "AWS::SQS::Queue") {
					t.Errorf("the record has the resources %v", e.Resources)
				}
			}
		})
		done = append(done, o.name)
	}
	if err := walk.Check(walk.File, done, nil); err != nil {
		t.Error(err)
	}
}

// recorded returns the last audit record of an operation of a user of home that ended with the error code, or with success if that is "".
func (h *house) recorded(user, operation, code string) (e cloudtest.Event, found bool) {
	for _, e := range slices.Backward(h.Trail(home)) {
		if e.EventName == operation && e.ErrorCode == code && e.UserIdentity.ARN == "arn:aws:iam::"+home+":user/"+user {
			return e, true
		}
	}
	return e, false
}

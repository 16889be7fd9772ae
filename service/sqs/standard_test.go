package sqs_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

func TestStandard(t *testing.T) {
	h := start(t)
	h.want(h.url, h.URL+"/"+home+"/jobs")
	h.send(h.url, "one")
	h.want(h.counts(h.url), "1 0 0")
	h.want(bodies(h.receive(h.url)), "one")
	h.want(bodies(h.receive(h.url)), "")
	h.want(h.counts(h.url), "0 1 0")
	h.Advance(31 * time.Second)
	h.want(h.counts(h.url), "1 0 0")
	m := h.receive(h.url)
	h.want(bodies(m), "one")
	h.want(m[0].Attributes["ApproximateReceiveCount"], "2")
	h.delete(h.url, m[0])
	h.delete(h.url, m[0])
	h.want(h.counts(h.url), "0 0 0")
	h.Advance(time.Hour)
	h.want(bodies(h.receive(h.url)), "")
}

func TestReceiptHandles(t *testing.T) {
	h := start(t)
	elsewhere := h.queue("elsewhere")
	h.send(h.url, "one")
	m := h.receive(h.url, hide(1))[0]
	del := func(url string, handle *string) error {
		_, err := h.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: handle})
		return err
	}
	change := func(handle *string, seconds int32) error {
		_, err := h.ChangeMessageVisibility(t.Context(), &sqs.ChangeMessageVisibilityInput{QueueUrl: &h.url, ReceiptHandle: handle, VisibilityTimeout: seconds})
		return err
	}
	wantError(t, del(h.url, new("garbage")), "ReceiptHandleIsInvalid", `The input receipt handle "garbage" is not a valid receipt handle.`)
	wantError(t, del(elsewhere, m.ReceiptHandle), "ReceiptHandleIsInvalid", "is not a valid receipt handle.")
	altered := []byte(*m.ReceiptHandle)
	if altered[20]++; altered[20] > 'y' {
		altered[20] = 'A'
	}
	wantError(t, del(h.url, new(string(altered))), "ReceiptHandleIsInvalid", "is not a valid receipt handle.")
	wantError(t, change(m.ReceiptHandle, 43201), "InvalidParameterValue", "Value 43201 for parameter VisibilityTimeout is invalid.")

	if err := change(m.ReceiptHandle, 10); err != nil {
		t.Error(err)
	}
	h.Advance(2 * time.Second)
	h.want(bodies(h.receive(h.url)), "")
	wantError(t, change(m.ReceiptHandle, 43200), "InvalidParameterValue", "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]")
	h.Advance(time.Hour)
	wantError(t, change(m.ReceiptHandle, 10), "AWS.SimpleQueueService.MessageNotInflight", "") // the SDK reads no message of it
	again := h.receive(h.url)[0]
	if err := del(h.url, m.ReceiptHandle); err != nil {
		t.Error(err)
	}
	h.want(h.counts(h.url), "0 1 0") // it stays, as that handle is of an earlier time
	h.delete(h.url, again)
	h.want(h.counts(h.url), "0 0 0")
	wantError(t, change(again.ReceiptHandle, 10), "InvalidParameterValue", "Reason: Message does not exist or is not available for visibility timeout change.")
}

func TestDelayAndRetention(t *testing.T) {
	h := start(t)
	url := h.queue("later", "DelaySeconds", "60", "MessageRetentionPeriod", "3600")
	h.send(url, "one")
	h.want(h.counts(url), "0 0 1")
	h.want(bodies(h.receive(url)), "")
	h.Advance(61 * time.Second)
	h.want(h.counts(url), "1 0 0")
	h.Advance(58 * time.Minute)
	h.send(url, "two", func(in *sqs.SendMessageInput) { in.DelaySeconds = 5 })
	h.Advance(2 * time.Minute)
	h.want(h.counts(url), "1 0 0") // the first has expired
	h.want(bodies(h.receive(url)), "two")
	if err := h.set(url, "MessageRetentionPeriod", "60"); err != nil {
		t.Fatal(err)
	}
	h.Advance(time.Second)
	h.want(h.counts(url), "0 0 0")
}

func TestLongPolling(t *testing.T) {
	h := start(t)
	got := make(chan string)
	go func() { got <- bodies(h.receive(h.url, wait(20), most(1))) }()
	h.send(h.url, "now")
	h.want(<-got, "now")

	// What is in flight comes back by the clock of the cloud.
	go func() { got <- bodies(h.receive(h.url, wait(20), most(1))) }()
	h.Advance(time.Minute)
	h.want(<-got, "now")

	empty := h.queue("empty")
	begun := time.Now()
	h.want(bodies(h.receive(empty, wait(1))), "")
	if d := time.Since(begun); d < time.Second || d > 5*time.Second {
		t.Errorf("a poll of a second took %s", d)
	}
}

func TestDeadLetters(t *testing.T) {
	h := start(t)
	dead := h.queue("dead")
	const deadARN = "arn:aws:sqs:us-east-1:" + home + ":dead"
	if err := h.set(h.url, "RedrivePolicy", `{"deadLetterTargetArn":"`+deadARN+`","maxReceiveCount":"2"}`); err != nil {
		t.Fatal(err)
	}
	h.want(h.attributes(h.url)["RedrivePolicy"], `{"deadLetterTargetArn":"`+deadARN+`","maxReceiveCount":2}`)
	id := *h.send(h.url, "poison").MessageId
	for range 2 {
		h.want(bodies(h.receive(h.url, hide(1))), "poison")
		h.Advance(2 * time.Second)
	}
	h.want(bodies(h.receive(h.url)), "")
	h.want(h.counts(h.url)+" / "+h.counts(dead), "0 0 0 / 1 0 0")
	m := h.receive(dead)
	h.want(*m[0].MessageId+m[0].Attributes["DeadLetterQueueSourceArn"], id+jobsARN)
	h.want(strings.Join(must(h.ListDeadLetterSourceQueues(t.Context(), &sqs.ListDeadLetterSourceQueuesInput{QueueUrl: &dead}))(t).QueueUrls, " "), h.url)

	h.Advance(time.Minute)
	start := must(h.StartMessageMoveTask(t.Context(), &sqs.StartMessageMoveTaskInput{SourceArn: new(deadARN)}))(t)
	if *start.TaskHandle == "" {
		t.Error("there is no handle")
	}
	h.Advance(time.Second)
	tasks := must(h.ListMessageMoveTasks(t.Context(), &sqs.ListMessageMoveTasksInput{SourceArn: new(deadARN)}))(t).Results
	if len(tasks) != 1 || *tasks[0].Status != "COMPLETED" || tasks[0].ApproximateNumberOfMessagesMoved != 1 || *tasks[0].ApproximateNumberOfMessagesToMove != 1 || tasks[0].TaskHandle != nil {
		t.Errorf("the task is %+v", tasks)
	}
	h.want(bodies(h.receive(h.url)), "poison")

	wantError(t, h.set(h.url, "RedrivePolicy", `{"deadLetterTargetArn":"dummy","maxReceiveCount":42}`), "InvalidParameterValue",
		`Value {"deadLetterTargetArn":"dummy","maxReceiveCount":42} for parameter RedrivePolicy is invalid. Reason: Invalid value for deadLetterTargetArn.`)
	_, err := h.StartMessageMoveTask(t.Context(), &sqs.StartMessageMoveTaskInput{SourceArn: new(jobsARN)})
	wantError(t, err, "InvalidParameterValue", "Source queue must be configured as a Dead Letter Queue.")
	_, err = h.StartMessageMoveTask(t.Context(), &sqs.StartMessageMoveTaskInput{SourceArn: new(deadARN), DestinationArn: new(deadARN + "2")})
	wantError(t, err, "ResourceNotFoundException", "The resource that you specified for the DestinationArn parameter doesn't exist.")
	_, err = h.CancelMessageMoveTask(t.Context(), &sqs.CancelMessageMoveTaskInput{TaskHandle: new("foobared")})
	wantError(t, err, "InvalidParameterValue", "Value for parameter TaskHandle is invalid.")

	t.Run("RedriveAllowPolicy", func(t *testing.T) {
		if err := h.set(dead, "RedriveAllowPolicy", `{"redrivePermission":"denyAll"}`); err != nil {
			t.Fatal(err)
		}
		wantError(t, h.set(h.url, "RedrivePolicy", `{"deadLetterTargetArn":"`+deadARN+`","maxReceiveCount":2}`), "InvalidParameterValue", "RedrivePolicy")
	})
}

func TestMoveRateAndFailure(t *testing.T) {
	h := start(t)
	const deadARN = "arn:aws:sqs:us-east-1:" + home + ":dead"
	dead := h.queue("dead")
	if err := h.set(h.url, "RedrivePolicy", `{"deadLetterTargetArn":"`+deadARN+`","maxReceiveCount":1}`); err != nil {
		t.Fatal(err)
	}
	to := h.queue("to")
	for range 10 {
		h.send(dead, "x")
	}
	in := &sqs.StartMessageMoveTaskInput{SourceArn: new(deadARN), DestinationArn: new("arn:aws:sqs:us-east-1:" + home + ":to"), MaxNumberOfMessagesPerSecond: new(int32(2))}
	task := must(h.StartMessageMoveTask(t.Context(), in))(t)
	_, err := h.StartMessageMoveTask(t.Context(), in)
	wantError(t, err, "InvalidParameterValue", "There is already a task running. Only one active task is allowed for a source queue arn at a given time.")
	h.Advance(1500 * time.Millisecond)
	h.want(h.counts(to), "4 0 0")
	moved := must(h.CancelMessageMoveTask(t.Context(), &sqs.CancelMessageMoveTaskInput{TaskHandle: task.TaskHandle}))(t)
	if moved.ApproximateNumberOfMessagesMoved != 4 {
		t.Errorf("%d were moved", moved.ApproximateNumberOfMessagesMoved)
	}
	h.Advance(time.Minute)
	h.want(h.counts(dead), "6 0 0")
	must(h.StartMessageMoveTask(t.Context(), in))(t)
	h.Advance(500 * time.Millisecond)
	must(h.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: &to}))(t)
	h.Advance(time.Minute)
	last := must(h.ListMessageMoveTasks(t.Context(), &sqs.ListMessageMoveTasksInput{SourceArn: new(deadARN)}))(t).Results[0]
	h.want(*last.Status+" "+*last.FailureReason, "FAILED AWS.SimpleQueueService.NonExistentQueue")
	if n := len(must(h.ListMessageMoveTasks(t.Context(), &sqs.ListMessageMoveTasksInput{SourceArn: new(deadARN), MaxResults: new(int32(10))}))(t).Results); n != 2 {
		t.Errorf("there are %d tasks", n)
	}
}

func TestBatches(t *testing.T) {
	h := start(t)
	entry := func(id, body string) types.SendMessageBatchRequestEntry {
		return types.SendMessageBatchRequestEntry{Id: &id, MessageBody: &body}
	}
	send := func(entries ...types.SendMessageBatchRequestEntry) (*sqs.SendMessageBatchOutput, error) {
		return h.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{QueueUrl: &h.url, Entries: entries})
	}
	out := must(send(entry("a", "one"), entry("b", "\x01"), entry("c", "three")))(t)
	if len(out.Successful) != 2 || len(out.Failed) != 1 || *out.Failed[0].Id != "b" || *out.Failed[0].Code != "InvalidMessageContents" || !out.Failed[0].SenderFault {
		t.Errorf("got %+v", out)
	}
	h.want(h.counts(h.url), "2 0 0")
	_, err := send(entry("a", "x"), entry("a", "y"))
	wantError(t, err, "AWS.SimpleQueueService.BatchEntryIdsNotDistinct", "Id a repeated.")
	_, err = send(entry("a:b", "x"))
	wantError(t, err, "AWS.SimpleQueueService.InvalidBatchEntryId", "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.")
	_, err = send(make([]types.SendMessageBatchRequestEntry, 20)...)
	if err == nil {
		t.Error("twenty entries were taken")
	}
	_, err = send(entry("a", strings.Repeat("x", 600<<10)), entry("b", strings.Repeat("x", 600<<10)))
	wantError(t, err, "AWS.SimpleQueueService.BatchRequestTooLong", "Batch requests cannot be longer than 1048576 bytes. You have sent 1228800 bytes.")

	var remove []types.DeleteMessageBatchRequestEntry
	for i, m := range h.receive(h.url) {
		remove = append(remove, types.DeleteMessageBatchRequestEntry{Id: new(string(rune('a' + i))), ReceiptHandle: m.ReceiptHandle})
	}
	remove = append(remove, types.DeleteMessageBatchRequestEntry{Id: new("bad"), ReceiptHandle: new("bad")})
	gone := must(h.DeleteMessageBatch(t.Context(), &sqs.DeleteMessageBatchInput{QueueUrl: &h.url, Entries: remove}))(t)
	if len(gone.Successful) != 2 || len(gone.Failed) != 1 || *gone.Failed[0].Code != "ReceiptHandleIsInvalid" {
		t.Errorf("got %+v", gone)
	}
	h.want(h.counts(h.url), "0 0 0")
}

func TestPurgeAndDelete(t *testing.T) {
	h := start(t)
	for range 5 {
		h.send(h.url, "x")
	}
	m := h.receive(h.url, most(1))[0]
	must(h.PurgeQueue(t.Context(), &sqs.PurgeQueueInput{QueueUrl: &h.url}))(t)
	h.want(h.counts(h.url), "0 0 0")
	h.want(bodies(h.receive(h.url)), "")
	h.delete(h.url, m)
	_, err := h.PurgeQueue(t.Context(), &sqs.PurgeQueueInput{QueueUrl: &h.url})
	wantError(t, err, "AWS.SimpleQueueService.PurgeQueueInProgress", "Only one PurgeQueue operation on jobs is allowed every 60 seconds.")
	got := make(chan string)
	go func() { got <- bodies(h.receive(h.url, wait(20))) }()
	h.send(h.url, "after")
	h.want(<-got, "after")

	// A poll that has begun before goes on with what comes after.
	h.Advance(time.Minute)
	h.delete(h.url, h.receive(h.url)[0])
	go func() { got <- bodies(h.receive(h.url, wait(20))) }()
	must(h.PurgeQueue(t.Context(), &sqs.PurgeQueueInput{QueueUrl: &h.url}))(t)
	h.send(h.url, "later")
	h.want(<-got, "later")

	must(h.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: &h.url}))(t)
	_, err = h.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &h.url, MessageBody: new("x")})
	wantError(t, err, "AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")
	_, err = h.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: new("jobs")})
	wantError(t, err, "AWS.SimpleQueueService.QueueDeletedRecently", "You must wait 60 seconds after deleting a queue before you can create another with the same name.")
	h.Advance(time.Minute)
	h.queue("jobs")
	h.want(bodies(h.receive(h.url)), "")
}

// Long polls end when the cloud is about to, and when their client has gone.
func TestEndPolls(t *testing.T) {
	h := start(t)
	got := make(chan string)
	go func() { got <- bodies(h.receive(h.url, wait(20))) }()
	h.send(h.url, "x") // by which the poll may or may not have begun
	<-got
	begun := time.Now()
	go func() { got <- bodies(h.receive(h.url, wait(20))) }()
	h.EndPolls()
	h.want(<-got, "")
	if d := time.Since(begun); d > 10*time.Second {
		t.Errorf("a poll went on for %s", d)
	}
}

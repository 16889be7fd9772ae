package sqs_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

func TestQueueAttributes(t *testing.T) {
	h := start(t)
	a := h.attributes(h.url)
	for name, want := range map[string]string{
		"QueueArn": jobsARN, "VisibilityTimeout": "30", "MaximumMessageSize": "1048576", "MessageRetentionPeriod": "345600", "DelaySeconds": "0",
		"ReceiveMessageWaitTimeSeconds": "0", "SqsManagedSseEnabled": "true", "ApproximateNumberOfMessages": "0",
	} {
		if a[name] != want {
			t.Errorf("%s is %q, want %q", name, a[name], want)
		}
	}
	create := func(name string, attributes ...string) error {
		_, err := h.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: pairs(attributes)})
		return err
	}
	if err := create("jobs", "VisibilityTimeout", "30"); err != nil {
		t.Error(err)
	}
	wantError(t, create("jobs", "DelaySeconds", "1"), "QueueAlreadyExists", "A queue already exists with the same name and a different value for attribute DelaySeconds")
	wantError(t, create("a b"), "InvalidParameterValue", "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	wantError(t, create("x.fifo"), "InvalidParameterValue", "")
	wantError(t, create("x", "FifoQueue", "true"), "InvalidParameterValue", "")
	wantError(t, create("x", "VisibilityTimeout", "43201"), "InvalidAttributeValue", "Invalid value for the parameter VisibilityTimeout.")
	wantError(t, create("x", "Nonsense", "1"), "InvalidAttributeName", "Unknown Attribute Nonsense.")
	wantError(t, h.set(h.url, "FifoQueue", "true"), "InvalidAttributeName", "Unknown Attribute FifoQueue.")
	fifo := h.queue("x.fifo")
	wantError(t, h.set(fifo, "FifoQueue", "false"), "InvalidAttributeValue", "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.")
	wantError(t, h.set(h.url, "Policy", "nonsense"), "InvalidAttributeValue", "Invalid value for the parameter Policy.")
	if err := h.set(h.url, "KmsMasterKeyId", "testKeyId", "KmsDataKeyReusePeriodSeconds", "6000", "SqsManagedSseEnabled", "false"); err != nil {
		t.Error(err)
	}
	a = h.attributes(h.url)
	h.want(a["KmsMasterKeyId"]+a["KmsDataKeyReusePeriodSeconds"]+a["SqsManagedSseEnabled"], "testKeyId6000false")
	wantError(t, h.set(h.url, "SqsManagedSseEnabled", "true"), "InvalidAttributeName",
		"You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE.")
	_, err := h.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: new("none")})
	wantError(t, err, "AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")

	page := must(h.ListQueues(t.Context(), &sqs.ListQueuesInput{MaxResults: new(int32(1))}))(t)
	rest := must(h.ListQueues(t.Context(), &sqs.ListQueuesInput{MaxResults: new(int32(1)), NextToken: page.NextToken}))(t)
	h.want(strings.Join(append(page.QueueUrls, rest.QueueUrls...), " "), h.url+" "+fifo)
	h.want(strings.Join(must(h.ListQueues(t.Context(), &sqs.ListQueuesInput{QueueNamePrefix: new("x")}))(t).QueueUrls, " "), fifo)
}

func TestMessageAttributes(t *testing.T) {
	h := start(t)
	with := func(attributes map[string]types.MessageAttributeValue) func(*sqs.SendMessageInput) {
		return func(in *sqs.SendMessageInput) { in.MessageAttributes = attributes }
	}
	text := func(v string) types.MessageAttributeValue {
		return types.MessageAttributeValue{DataType: new("String"), StringValue: &v}
	}
	// As AWS computed it.
	out := h.send(h.url, "msg", with(map[string]types.MessageAttributeValue{"Help.Me": text("Me"), "Hello": text("There"), "General": text("Kenobi")}))
	h.want(*out.MD5OfMessageAttributes+*out.MD5OfMessageBody, "4c360f3fdafd970e05fae2f149d997f5"+"6e2baaf3b97dbeef01c0043275f9a0e7")
	named := func(names ...string) string {
		m := h.receive(h.url, func(in *sqs.ReceiveMessageInput) { in.MessageAttributeNames = names })
		_, err := h.ChangeMessageVisibility(t.Context(), &sqs.ChangeMessageVisibilityInput{QueueUrl: &h.url, ReceiptHandle: m[0].ReceiptHandle})
		if err != nil {
			t.Fatal(err)
		}
		return aws.ToString(m[0].MD5OfMessageAttributes)
	}
	h.want(named(), "")
	h.want(named("All"), "4c360f3fdafd970e05fae2f149d997f5")
	h.want(named("*"), "4c360f3fdafd970e05fae2f149d997f5")
	h.want(named(".*"), "4c360f3fdafd970e05fae2f149d997f5")
	h.want(named("Foo", "Help"), "")
	h.want(named("Hello", "General"), "fca026605781cb4126a1e9044df24232")
	h.want(named("Hello", "Nope"), "a311262e065454b75da111d535b8dacd")
	h.want(named("Hel.*"), "83fee93c1bcd8b9a5a923ffacdc636c7")

	binary := h.send(h.queue("binary"), "test", with(map[string]types.MessageAttributeValue{
		"attr1": {DataType: new("Binary"), BinaryValue: []byte("traceparent\x1e00-774062d6c37081a5a0b9b5b88e30627c-2d2482211f6489da-01")},
	}))
	h.want(*binary.MD5OfMessageAttributes, "8cbe4db156db8a94db8b801b7addb984")

	refused := func(name string, v types.MessageAttributeValue) error {
		_, err := h.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &h.url, MessageBody: new("x"), MessageAttributes: map[string]types.MessageAttributeValue{name: v}})
		return err
	}
	wantError(t, refused("ErrorDetails", text("")), "InvalidParameterValue", "Message (user) attribute 'ErrorDetails' must contain a non-empty value of type 'String'.")
	wantError(t, refused("AWS.x", text("x")), "InvalidParameterValue", "reserved")
	wantError(t, refused("n", types.MessageAttributeValue{DataType: new("Number"), StringValue: new("x")}), "InvalidParameterValue", "Can't cast the value")
	wantError(t, refused("n", types.MessageAttributeValue{DataType: new("Sound"), StringValue: new("x")}), "InvalidParameterValue", "has an invalid message attribute type")
	_, err := h.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &h.url, MessageBody: new("a\x00")})
	wantError(t, err, "InvalidMessageContents", "Invalid characters found.")
	_, err = h.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &h.url, MessageBody: new(strings.Repeat("x", 1<<20+1))})
	wantError(t, err, "InvalidParameterValue", "One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes.")

	url := h.queue("traced")
	sent := h.send(url, strings.Repeat("x", 1<<20), func(in *sqs.SendMessageInput) {
		in.MessageSystemAttributes = map[string]types.MessageSystemAttributeValue{"AWSTraceHeader": {DataType: new("String"), StringValue: new("Root=1")}}
	})
	m := h.receive(url)[0]
	h.want(m.Attributes["AWSTraceHeader"], "Root=1")
	if sent.MD5OfMessageSystemAttributes == nil || len(*m.Body) != 1<<20 {
		t.Errorf("got %d bytes", len(*m.Body))
	}
}

func TestPermissions(t *testing.T) {
	h := start(t)
	add := func(label string, accounts ...string) error {
		_, err := h.AddPermission(t.Context(), &sqs.AddPermissionInput{QueueUrl: &h.url, Label: &label, AWSAccountIds: accounts, Actions: []string{"SendMessage"}})
		return err
	}
	remove := func(label string) error {
		_, err := h.RemovePermission(t.Context(), &sqs.RemovePermissionInput{QueueUrl: &h.url, Label: &label})
		return err
	}
	guest := sqs.NewFromConfig(h.Root(other))
	send := func() error {
		_, err := guest.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &h.url, MessageBody: new("x")})
		return err
	}
	wantError(t, send(), "AccessDenied", "is not authorized to perform: sqs:SendMessage")
	if err := add("guest", other); err != nil {
		t.Fatal(err)
	}
	h.want(h.attributes(h.url)["Policy"], `{"Version":"2008-10-17","Id":"`+jobsARN+`/SQSDefaultPolicy","Statement":[{"Sid":"guest","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::`+other+
		`:root"},"Action":"SQS:SendMessage","Resource":"`+jobsARN+`"}]}`)
	if err := send(); err != nil {
		t.Error(err)
	}
	m := h.receive(h.url)
	h.want(m[0].Attributes["SenderId"], other)
	_, err := guest.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &h.url})
	wantError(t, err, "AccessDenied", "sqs:ReceiveMessage")
	wantError(t, add("guest", other), "InvalidParameterValue", "Value guest for parameter Label is invalid. Reason: Already exists.")
	if err := remove("guest"); err != nil {
		t.Error(err)
	}
	if _, there := h.attributes(h.url)["Policy"]; there {
		t.Error("there is still a policy")
	}
	wantError(t, remove("guest"), "InvalidParameterValue", "Value guest for parameter Label is invalid. Reason: can't find label.")
	wantError(t, send(), "AccessDenied", "")

	// Nobody else deletes a queue, whatever its policy says.
	if err := h.set(h.url, "Policy", `{"Statement":{"Effect":"Allow","Principal":"*","Action":"sqs:*","Resource":"*"}}`); err != nil {
		t.Fatal(err)
	}
	_, err = guest.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: &h.url})
	wantError(t, err, "AccessDenied", "")
}

func TestKMS(t *testing.T) {
	h := start(t)
	keys := kms.NewFromConfig(h.Config())
	key := *must(keys.CreateKey(t.Context(), &kms.CreateKeyInput{}))(t).KeyMetadata.KeyId
	url := h.queue("sealed", "KmsMasterKeyId", key, "KmsDataKeyReusePeriodSeconds", "60")
	user := sqs.NewFromConfig(h.User(home, "bob", `{"Statement":{"Effect":"Allow","Action":"sqs:*","Resource":"*"}}`))
	_, err := user.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: new("x")})
	wantError(t, err, "KMS.AccessDeniedException", "kms:GenerateDataKey")
	for range 3 {
		h.send(url, "secret")
	}
	made := 0
	for _, e := range h.Trail(home) {
		if e.EventName == "GenerateDataKey" && e.ErrorCode == "" {
			made++
			if !strings.Contains(string(e.Raw), `"aws:sqs:arn":"arn:aws:sqs:us-east-1:`+home+`:sealed"`) {
				t.Errorf("recorded as %s", e.Raw)
			}
		}
	}
	if made != 1 {
		t.Errorf("%d data keys were made", made)
	}
	_, err = user.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url})
	wantError(t, err, "KMS.AccessDeniedException", "kms:Decrypt")
	h.want(bodies(h.receive(url)), "secret secret secret")
	must(keys.DisableKey(t.Context(), &kms.DisableKeyInput{KeyId: &key}))(t)
	h.send(url, "still") // for as long as the data key may be used
	h.Advance(61e9)
	_, err = h.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: new("x")})
	wantError(t, err, "KMS.DisabledException", "")
}

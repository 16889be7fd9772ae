package sns_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"
)

// What AWS answers to what is wrong, as LocalStack recorded it.
func TestPublishErrors(t *testing.T) {
	h := start(t)
	topicARN, fifo := h.topic("t"), h.topic("t.fifo", "FifoTopic", "true")
	text := func(v string) map[string]types.MessageAttributeValue {
		return map[string]types.MessageAttributeValue{"attr1": {DataType: aws.String("String"), StringValue: &v}}
	}
	typed := func(kind string, v types.MessageAttributeValue) map[string]types.MessageAttributeValue {
		v.DataType = &kind
		return map[string]types.MessageAttributeValue{"attr1": v}
	}
	named := func(name string) map[string]types.MessageAttributeValue {
		return map[string]types.MessageAttributeValue{name: {DataType: aws.String("String"), StringValue: aws.String("v")}}
	}
	str, bin := types.MessageAttributeValue{StringValue: aws.String("v")}, types.MessageAttributeValue{BinaryValue: []byte("v")}
	for _, tt := range []struct {
		in            sns.PublishInput
		code, message string
		status        int
	}{
		{sns.PublishInput{TopicArn: aws.String("randomstring"), Message: aws.String("x")}, "InvalidParameter", "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 1", 400},
		{sns.PublishInput{TopicArn: aws.String("random:string"), Message: aws.String("x")}, "InvalidParameter", "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 2", 400},
		{sns.PublishInput{TopicArn: aws.String(""), Message: aws.String("x")}, "InvalidParameter", "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 1", 400},
		{sns.PublishInput{TopicArn: aws.String(strings.Replace(topicARN, "us-east-1", "eu-west-1", 1)), Message: aws.String("x")}, "InvalidParameter", "Invalid parameter: TopicArn", 400},
		{sns.PublishInput{TopicArn: aws.String(topicARN + "x"), Message: aws.String("x")}, "NotFound", "Topic does not exist", 404},
		{sns.PublishInput{TargetArn: aws.String("arn:aws:sns:us-east-1:" + home + ":endpoint/APNS/a/b"), Message: aws.String("x")}, "InvalidParameter",
			"Invalid parameter: TargetArn Reason: No endpoint found for the target arn specified", 400},
		{sns.PublishInput{PhoneNumber: aws.String("+1a234"), Message: aws.String("x")}, "InvalidParameter", "Invalid parameter: PhoneNumber Reason: +1a234 is not valid to publish to", 400},
		{sns.PublishInput{PhoneNumber: aws.String("+15551234567"), Message: aws.String("x")}, "NotImplemented", "Holdfast does not implement sns:Publish to a phone number.", 501},
		{sns.PublishInput{TopicArn: &topicARN, Message: aws.String("x"), Subject: aws.String("")}, "InvalidParameter", "Invalid parameter: Subject", 400},
		{sns.PublishInput{TopicArn: &topicARN, Message: aws.String("x"), Subject: aws.String("a\nBcc: b")}, "InvalidParameter", "Invalid parameter: Subject", 400},
		{sns.PublishInput{TopicArn: &topicARN, Message: aws.String("x"), Subject: aws.String(strings.Repeat("x", 101))}, "InvalidParameter", "Invalid parameter: Subject", 400},
		{sns.PublishInput{TopicArn: &topicARN, Message: aws.String("")}, "InvalidParameter", "Invalid parameter: Empty message", 400},
		{sns.PublishInput{TopicArn: &topicARN, Message: aws.String(strings.Repeat("x", 256<<10+1))}, "InvalidParameter", "Invalid parameter: Message too long", 400},
		{sns.PublishInput{TopicArn: &topicARN, Message: aws.String(strings.Repeat("x", 256<<10)), MessageAttributes: text("v")}, "InvalidParameter", "Invalid parameter: Message too long", 400},
		{sns.PublishInput{TopicArn: &topicARN, Message: aws.String(`{"message":"x"}`), MessageStructure: aws.String("json")}, "InvalidParameter",
			"Invalid parameter: Message Structure - No default entry in JSON message body", 400},
		{sns.PublishInput{TopicArn: &topicARN, Message: aws.String(`{"default": {"object": "test"}}`), MessageStructure: aws.String("json")}, "InvalidParameter",
			"Invalid parameter: Message Structure - No default entry in JSON message body", 400},
		{sns.PublishInput{TopicArn: &topicARN, Message: aws.String(`{"default": `), MessageStructure: aws.String("json")}, "InvalidParameter",
			"Invalid parameter: Message Structure - JSON message body failed to parse", 400},
		{sns.PublishInput{TopicArn: &fifo, Message: aws.String("x")}, "InvalidParameter", "Invalid parameter: The MessageGroupId parameter is required for FIFO topics", 400},
		{sns.PublishInput{TopicArn: &fifo, Message: aws.String("x"), MessageGroupId: aws.String("g")}, "InvalidParameter",
			"Invalid parameter: The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly", 400},
		{sns.PublishInput{TopicArn: &topicARN, Message: aws.String("x"), MessageDeduplicationId: aws.String("g")}, "InvalidParameter",
			"Invalid parameter: MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not valid for this topic type", 400},
		{sns.PublishInput{TopicArn: &topicARN, Message: aws.String("x"), MessageAttributes: text("")}, "ParameterValueInvalid",
			"The message attribute 'attr1' must contain non-empty message attribute value for message attribute type 'String'.", 400},
		{sns.PublishInput{TopicArn: &topicARN, Message: aws.String("x"), MessageAttributes: typed("String", bin)}, "ParameterValueInvalid",
			"The message attribute 'attr1' with type 'String' must use field 'String'.", 400},
		{sns.PublishInput{TopicArn: &topicARN, Message: aws.String("x"), MessageAttributes: typed("Number", bin)}, "ParameterValueInvalid",
			"The message attribute 'attr1' with type 'Number' must use field 'String'.", 400},
		{sns.PublishInput{TopicArn: &topicARN, Message: aws.String("x"), MessageAttributes: typed("Binary", str)}, "ParameterValueInvalid",
			"The message attribute 'attr1' with type 'Binary' must use field 'Binary'.", 400},
		{sns.PublishInput{TopicArn: &topicARN, Message: aws.String("x"), MessageAttributes: typed("Stringprefixed", str)}, "ParameterValueInvalid",
			"The message attribute 'attr1' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.", 400},
		{sns.PublishInput{TopicArn: &topicARN, Message: aws.String("x"), MessageAttributes: typed("Number", str)}, "ParameterValueInvalid",
			"Could not cast message attribute 'attr1' value to number.", 400},
		{sns.PublishInput{TopicArn: &topicARN, Message: aws.String("x"), MessageAttributes: named(strings.Repeat("t", 257))}, "ParameterValueInvalid",
			"Length of message attribute name must be less than 256 bytes.", 400},
		{sns.PublishInput{TopicArn: &topicARN, Message: aws.String("x"), MessageAttributes: named("^attr")}, "ParameterValueInvalid",
			"Invalid non-alphanumeric character '#x5E' was found in the message attribute name. Can only include alphanumeric characters, hyphens, underscores, or dots.", 400},
		{sns.PublishInput{TopicArn: &topicARN, Message: aws.String("x"), MessageAttributes: named(".attr")}, "ParameterValueInvalid",
			"Invalid message attribute name starting with character '.' was found.", 400},
		{sns.PublishInput{TopicArn: &topicARN, Message: aws.String("x"), MessageAttributes: named("attr.")}, "ParameterValueInvalid",
			"Invalid message attribute name ending with character '.' was found.", 400},
		{sns.PublishInput{TopicArn: &topicARN, Message: aws.String("x"), MessageAttributes: named("a..b")}, "ParameterValueInvalid",
			"Message attribute name can not have successive '.' character.", 400},
	} {
		_, err := h.Publish(t.Context(), &tt.in)
		wantError(t, err, tt.code, tt.status, tt.message)
	}
}

func TestBatch(t *testing.T) {
	h := start(t)
	topicARN, queueARN := h.topic("t"), h.queue("q")
	h.subscribe(topicARN, "sqs", queueARN, "RawMessageDelivery", "true")
	batch := func(texts ...string) (*sns.PublishBatchOutput, error) {
		in := &sns.PublishBatchInput{TopicArn: &topicARN, PublishBatchRequestEntries: []types.PublishBatchRequestEntry{}}
		for i, text := range texts {
			in.PublishBatchRequestEntries = append(in.PublishBatchRequestEntries, types.PublishBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), Message: &text})
		}
		return h.PublishBatch(t.Context(), in)
	}
	out := must(batch("a", "b", "c"))(t)
	if len(out.Successful) != 3 || len(out.Failed) != 0 || *out.Successful[1].Id != "1" || *out.Successful[1].MessageId == "" {
		t.Errorf("the answer is %v", out)
	}
	got := ""
	for _, m := range h.receive(queueARN, 3) {
		got += *m.Body
	}
	if got != "abc" {
		t.Errorf("the queue got %q", got)
	}
	_, err := batch()
	wantError(t, err, "EmptyBatchRequest", 400, "The batch request doesn't contain any entries.")
	_, err = batch(strings.Split(strings.Repeat("x", 11), "")...)
	wantError(t, err, "TooManyEntriesInBatchRequest", 400, "The batch request contains more entries than permissible.")
	_, err = batch(strings.Repeat("x", 128<<10), strings.Repeat("x", 128<<10), "x")
	wantError(t, err, "BatchRequestTooLong", 400, "The length of all the messages put together is more than the limit.")
	_, err = batch("x", "")
	wantInvalid(t, err, "Empty message")
	entry := func(id string) types.PublishBatchRequestEntry {
		return types.PublishBatchRequestEntry{Id: &id, Message: aws.String("x")}
	}
	_, err = h.PublishBatch(t.Context(), &sns.PublishBatchInput{TopicArn: &topicARN, PublishBatchRequestEntries: []types.PublishBatchRequestEntry{entry("a"), entry("a")}})
	wantError(t, err, "BatchEntryIdsNotDistinct", 400, "Two or more batch entries in the request have the same Id.")
	_, err = h.PublishBatch(t.Context(), &sns.PublishBatchInput{TopicArn: &topicARN, PublishBatchRequestEntries: []types.PublishBatchRequestEntry{entry("a b")}})
	wantError(t, err, "InvalidBatchEntryId", 400, "")
	h.none(queueARN)
}

func TestStructure(t *testing.T) {
	h, w := start(t), newWebhook(t)
	topicARN, queueARN := h.topic("t"), h.queue("q")
	h.subscribe(topicARN, "sqs", queueARN)
	w.confirmed(h, topicARN)
	h.publish(topicARN, `{"default":"for all","sqs":"{\"field\": \"value\"}","http":17,"nonsense":"x"}`, func(in *sns.PublishInput) { in.MessageStructure = aws.String("json") })
	e := open(t, *h.receive(queueARN, 1)[0].Body)
	if e.Message != `{"field": "value"}` {
		t.Errorf("the queue got %q", e.Message)
	}
	verify(t, e)
	e = open(t, w.next().body)
	if e.Message != "for all" {
		t.Errorf("the server got %q", e.Message)
	}
	verify(t, e)
}

func TestFIFO(t *testing.T) {
	h := start(t)
	topicARN, queueARN, plain := h.topic("t.fifo", "FifoTopic", "true", "ContentBasedDeduplication", "true"), h.queue("q.fifo"), h.queue("q")
	h.subscribe(topicARN, "sqs", queueARN)
	h.subscribe(topicARN, "sqs", plain, "RawMessageDelivery", "true")
	in := func(group string) func(*sns.PublishInput) {
		return func(in *sns.PublishInput) { in.MessageGroupId = &group }
	}
	first := h.publish(topicARN, "Test", in("g1"))
	again := h.publish(topicARN, "Test", in("g1"))
	if len(*first.SequenceNumber) != 20 || *again.MessageId != *first.MessageId || *again.SequenceNumber != *first.SequenceNumber {
		t.Errorf("the answers are %v and %v", first, again)
	}
	m := h.receive(queueARN, 1)[0]
	e := open(t, *m.Body)
	// As AWS does, FIFO topics do not sign.
	if e.Message != "Test" || e.SequenceNumber != *first.SequenceNumber || e.Signature != "" || e.SignatureVersion != "" || e.SigningCertURL != "" || e.UnsubscribeURL == "" {
		t.Errorf("the message is %s", *m.Body)
	}
	if m.Attributes["MessageGroupId"] != "g1" || m.Attributes["MessageDeduplicationId"] != "532eaabd9574880dbf76b9b8cc00832c20a6ec113d682299550d7a6e0f345e25" {
		t.Errorf("its attributes are %v", m.Attributes)
	}
	if m := h.receive(plain, 1)[0]; *m.Body != "Test" || m.Attributes["MessageGroupId"] != "" {
		t.Errorf("the standard queue got %q with %v", *m.Body, m.Attributes)
	}
	last := *first.SequenceNumber
	for i := range 20 {
		out := h.publish(topicARN, fmt.Sprint(i), in("g1"))
		if *out.SequenceNumber <= last {
			t.Errorf("number %s comes after %s", *out.SequenceNumber, last)
		}
		last = *out.SequenceNumber
	}
	for i, m := range h.receive(queueARN, 20) {
		if open(t, *m.Body).Message != fmt.Sprint(i) {
			t.Errorf("message %d is %s", i, *m.Body)
		}
	}
	h.Advance(6 * time.Minute)
	if later := h.publish(topicARN, "Test", in("g1")); *later.MessageId == *first.MessageId || *later.SequenceNumber <= last {
		t.Errorf("after the interval: %v", later)
	}

	t.Run("PartsOfOtherProtocols", func(t *testing.T) {
		structured := func(in *sns.PublishInput) {
			in.MessageGroupId, in.MessageStructure = aws.String("g1"), aws.String("json")
		}
		one := h.publish(topicARN, `{"default":"d","sqs":"one"}`, structured)
		if two := h.publish(topicARN, `{"default":"d","sqs":"two"}`, structured); *one.MessageId == *two.MessageId {
			t.Error("a message is lost that differs in a protocol's part")
		}
	})
	t.Run("ScopeOfGroups", func(t *testing.T) {
		if err := h.set(topicARN, "FifoThroughputScope", "MessageGroup"); err != nil {
			t.Fatal(err)
		}
		a, b := h.publish(topicARN, "same", in("a")), h.publish(topicARN, "same", in("b"))
		if *a.MessageId == *b.MessageId {
			t.Error("a message of one group is taken for one of another")
		}
	})
	_, err := h.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: aws.String(h.topic("std")), Protocol: aws.String("sqs"), Endpoint: &queueARN})
	wantInvalid(t, err, "Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics")
	_, err = h.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: &topicARN, Protocol: aws.String("http"), Endpoint: aws.String("http://example.com")})
	wantError(t, err, "InvalidParameter", 400, "not supported for FIFO topics")
}

// receiveOne takes one message from a queue.
func (h *house) receiveOne(queueARN string) string {
	h.t.Helper()
	return *h.receive(queueARN, 1)[0].Body
}

func TestFilters(t *testing.T) {
	h := start(t)
	topicARN := h.topic("t")
	attributes, body := h.queue("attributes"), h.queue("body")
	byAttributes := h.subscribe(topicARN, "sqs", attributes, "RawMessageDelivery", "true", "FilterPolicy", `{"attr1":[{"numeric":[">",0,"<=",100]}]}`)
	h.subscribe(topicARN, "sqs", body, "RawMessageDelivery", "true", "FilterPolicyScope", "MessageBody", "FilterPolicy", `{"a":{"b":["x"]}}`)
	if a := h.attributes(byAttributes); a["FilterPolicyScope"] != "MessageAttributes" || a["FilterPolicy"] == "" {
		t.Errorf("the subscription is %v", a)
	}
	number := func(n string) func(*sns.PublishInput) {
		return func(in *sns.PublishInput) {
			in.MessageAttributes = map[string]types.MessageAttributeValue{"attr1": {DataType: aws.String("Number"), StringValue: &n}}
		}
	}
	h.publish(topicARN, "1", number("99.12"))
	h.publish(topicARN, "2", number("101"))
	h.publish(topicARN, "3")
	h.publish(topicARN, `{"a":{"b":"x"}}`)
	h.publish(topicARN, `{"a":{"b":"y"}}`)
	if m := h.receive(attributes, 1)[0]; *m.Body != "1" {
		t.Errorf("by attributes comes %q", *m.Body)
	}
	if m := h.receive(body, 1)[0]; *m.Body != `{"a":{"b":"x"}}` {
		t.Errorf("by the body comes %q", *m.Body)
	}
	h.none(attributes)
	h.none(body)
	if err := h.set(byAttributes, "FilterPolicy", "{}"); err != nil {
		t.Fatal(err)
	}
	if _, has := h.attributes(byAttributes)["FilterPolicyScope"]; has {
		t.Error("without a filter policy there is a scope")
	}
	h.publish(topicARN, "4")
	if m := h.receive(attributes, 1)[0]; *m.Body != "4" {
		t.Errorf("without a filter comes %q", *m.Body)
	}
}

// With more subscriptions than are served at once, messages fan out in pieces, and reach each of them once.
func TestManySubscriptions(t *testing.T) {
	h := start(t)
	topicARN := h.topic("t")
	var queues []string
	for i := range 40 {
		queueARN := h.queue(fmt.Sprint("q", i))
		queues = append(queues, queueARN)
		h.subscribe(topicARN, "sqs", queueARN, "RawMessageDelivery", "true")
	}
	h.publish(topicARN, "one")
	h.publish(topicARN, "two")
	h.Advance(time.Second)
	for _, queueARN := range queues {
		got := h.receive(queueARN, 2)
		if *got[0].Body+*got[1].Body != "onetwo" && *got[0].Body+*got[1].Body != "twoone" {
			t.Errorf("%s got %q and %q", queueARN, *got[0].Body, *got[1].Body)
		}
	}
	var listed int
	var token *string
	for page := 0; page == 0 || token != nil; page++ {
		out := must(h.ListSubscriptionsByTopic(t.Context(), &sns.ListSubscriptionsByTopicInput{TopicArn: &topicARN, NextToken: token}))(t)
		listed, token = listed+len(out.Subscriptions), out.NextToken
	}
	if listed != 40 {
		t.Errorf("%d subscriptions are listed", listed)
	}
	_, err := h.ListSubscriptions(t.Context(), &sns.ListSubscriptionsInput{NextToken: aws.String("nonsense")})
	wantInvalid(t, err, "NextToken")
}

package sqs_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// post sends a form to a path, as clients of the query protocol do.
func (h *house) post(path string, form ...string) (status int, body string) {
	h.t.Helper()
	values := url.Values{"Version": {"2012-11-05"}}
	for i := 0; i < len(form); i += 2 {
		values.Set(form[i], form[i+1])
	}
	return h.sign(path, "application/x-www-form-urlencoded; charset=utf-8", "", values.Encode())
}

func (h *house) sign(path, contentType, target, body string) (status int, answer string) {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), "POST", h.URL+path, bytes.NewReader([]byte(body)))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	if target != "" {
		req.Header.Set("X-Amz-Target", target)
	}
	cfg := h.Config()
	creds := must(cfg.Credentials.Retrieve(h.t.Context()))(h.t)
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(h.t.Context(), creds, req, hex.EncodeToString(sum[:]), "sqs", "us-east-1", time.Now()); err != nil {
		h.t.Fatal(err)
	}
	resp := must(http.DefaultClient.Do(req))(h.t)
	defer resp.Body.Close()
	b := must(io.ReadAll(resp.Body))(h.t)
	if q := resp.Header.Get("X-Amzn-Query-Error"); q != "" {
		answer = "[" + q + "] "
	}
	return resp.StatusCode, answer + string(b)
}

func TestQueryProtocol(t *testing.T) {
	h := start(t)
	want := func(what string, status int, body string, wantStatus int, parts ...string) {
		t.Helper()
		for _, p := range parts {
			if status != wantStatus || !strings.Contains(body, p) {
				t.Errorf("%s answered %d %s, want %d with %s", what, status, body, wantStatus, p)
			}
		}
	}
	status, body := h.post("/", "Action", "CreateQueue", "QueueName", "old", "Attribute.1.Name", "VisibilityTimeout", "Attribute.1.Value", "7", "Tag.1.Key", "team", "Tag.1.Value", "red")
	want("CreateQueue", status, body, 200, `<CreateQueueResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/"><CreateQueueResult><QueueUrl>`+h.URL+"/"+home+"/old</QueueUrl></CreateQueueResult><ResponseMetadata><RequestId>")
	path := "/" + home + "/old"
	status, body = h.post(path, "Action", "GetQueueAttributes", "AttributeName.1", "VisibilityTimeout")
	want("GetQueueAttributes", status, body, 200, "<GetQueueAttributesResult><Attribute><Name>VisibilityTimeout</Name><Value>7</Value></Attribute></GetQueueAttributesResult>")
	status, body = h.post("/", "Action", "ListQueueTags", "QueueUrl", h.URL+path)
	want("ListQueueTags", status, body, 200, "<ListQueueTagsResult><Tag><Key>team</Key><Value>red</Value></Tag></ListQueueTagsResult>")
	status, body = h.post(path, "Action", "SendMessage", "MessageBody", "a<b", "MessageAttribute.1.Name", "n", "MessageAttribute.1.Value.DataType", "Binary", "MessageAttribute.1.Value.BinaryValue", "AQI=")
	want("SendMessage", status, body, 200, "<SendMessageResponse", "<MessageId>", "<MD5OfMessageBody>", "<MD5OfMessageAttributes>")
	status, body = h.post(path, "Action", "SendMessageBatch", "SendMessageBatchRequestEntry.1.Id", "one", "SendMessageBatchRequestEntry.1.MessageBody", "x", "SendMessageBatchRequestEntry.2.Id", "two",
		"SendMessageBatchRequestEntry.2.MessageBody", "\x01")
	want("SendMessageBatch", status, body, 200, "<SendMessageBatchResultEntry><Id>one</Id>", "<BatchResultErrorEntry><Id>two</Id><SenderFault>true</SenderFault><Code>InvalidMessageContents</Code>")
	status, body = h.post(path, "Action", "ReceiveMessage", "MaxNumberOfMessages", "1", "AttributeName.1", "All", "MessageAttributeName.1", "All")
	want("ReceiveMessage", status, body, 200, "<ReceiveMessageResult><Message><MessageId>", "<Body>a&lt;b</Body>", "<Attribute><Name>ApproximateFirstReceiveTimestamp</Name><Value>",
		"<MessageAttribute><Name>n</Name><Value><BinaryValue>AQI=</BinaryValue><DataType>Binary</DataType></Value></MessageAttribute>")
	status, body = h.post("/", "Action", "ListQueues")
	want("ListQueues", status, body, 200, "<ListQueuesResult><QueueUrl>"+h.url+"</QueueUrl><QueueUrl>"+h.URL+path+"</QueueUrl></ListQueuesResult>")
	status, body = h.post(path, "Action", "PurgeQueue")
	want("PurgeQueue", status, body, 200, "<PurgeQueueResponse", "<ResponseMetadata>")
	status, body = h.post(path, "Action", "PurgeQueue")
	want("PurgeQueue", status, body, 403, "<Type>Sender</Type><Code>AWS.SimpleQueueService.PurgeQueueInProgress</Code>")
	status, body = h.post("/"+home+"/none", "Action", "SendMessage", "MessageBody", "x")
	want("SendMessage", status, body, 400, "<Code>AWS.SimpleQueueService.NonExistentQueue</Code>")
	status, body = h.post(path, "Action", "SendMessage")
	want("SendMessage", status, body, 400, "<Code>MissingParameter</Code><Message>The request must contain the parameter MessageBody.</Message>")
	status, body = h.post(path, "Action", "DeleteMessage", "ReceiptHandle", "junk")
	want("DeleteMessage", status, body, 404, "<Code>ReceiptHandleIsInvalid</Code>")

	const json = "application/x-amz-json-1.0"
	status, body = h.sign(path, json, "AmazonSQS.SendMessage", `{"QueueUrl":"`+h.URL+path+`","MessageBody":"x"}`)
	want("SendMessage", status, body, 200, `"MD5OfMessageBody":"9dd4e461268c8034f5c8564e155c67a6"`)
	status, body = h.sign("/", json, "AmazonSQS.SendMessage", `{"QueueUrl":"`+h.URL+"/"+home+`/none","MessageBody":"x"}`)
	want("SendMessage", status, body, 400, "[AWS.SimpleQueueService.NonExistentQueue;Sender] ", `"QueueDoesNotExist"`)
	status, body = h.sign("/", json, "AmazonSQS.ReceiveMessage", `{"QueueUrl":"`+h.URL+path+`","MaxNumberOfMessages":11}`)
	want("ReceiveMessage", status, body, 400, "[InvalidParameterValue;Sender] ", "Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.")
}

package sqs

import (
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store/memstore"
	"github.com/holdfast-cloud/holdfast/wire"
)

// No text is a receipt handle but those that the queue has given.
func FuzzReceiptHandle(f *testing.F) {
	w := newScene(f, memstore.New(), new(seal.Memory))
	q := &queue{queueRecord: &queueRecord{ID: "queue", Pile: "pile"}}
	given, err := w.s.newHandle(q, &message{seq: 1, Received: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(given)
	f.Add("garbage")
	f.Add("AQAAAAE" + strings.Repeat("A", 60))
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := w.s.openHandle(q, text); err == nil && text != given {
			t.Errorf("%q was opened", text)
		}
		if _, err := w.s.openHandle(&queue{queueRecord: &queueRecord{ID: "another"}}, text); err == nil {
			t.Errorf("%q was opened for another queue", text)
		}
		parseTaskHandle(text)
		parseURL(text)
	})
}

// What is read from a form is what a form says of it, for whatever operation it is meant.
func FuzzQuery(f *testing.F) {
	f.Add("QueueUrl=x&MessageBody=a%00&MessageAttribute.1.Name=n&MessageAttribute.1.Value.DataType=Binary&MessageAttribute.1.Value.BinaryValue=AQI=")
	f.Add("SendMessageBatchRequestEntry.1.Id=a&SendMessageBatchRequestEntry.1.MessageAttribute.2.Value.StringListValue.1=x")
	f.Add("Attribute.1.Name=Policy&Attribute.1.Value=%7B&Tag.1.Key=a&Tag.1.Value=b&AWSAccountId.1=1&ActionName.1=*")
	f.Fuzz(func(t *testing.T, form string) {
		for _, op := range sqs.Operations() {
			in, err := wire.For(wire.Query).DecodeRequest(op, &wire.Request{
				Method: "POST", Path: "/111122223333/jobs", Body: []byte(form), Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
			})
			if err != nil {
				continue
			}
			addressed(in, "/111122223333/jobs")
			if u := queueURL(in); u != nil && *u == nil {
				t.Errorf("%s of %q has no queue", op.Name, form)
			}
			switch in := in.(type) {
			case *sqs.SendMessageBatchRequest:
				for i := range in.Entries {
					newOutgoing(&in.Entries[i])
				}
			case *sqs.CreateQueueRequest:
				parseRedrive(in.Attributes[sqs.QueueAttributeNameRedrivePolicy])
				parseAllow(in.Attributes[sqs.QueueAttributeNameRedriveAllowPolicy])
			}
		}
	})
}

// What was stored is read as it was, and what is damaged is no body.
func FuzzContent(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, '{', '}', 'x'})
	f.Add([]byte{255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeContent(b)
		if err != nil {
			return
		}
		again, err := c.encode()
		if err != nil {
			t.Fatal(err)
		}
		if d, err := decodeContent(again); err != nil || d.body != c.body {
			t.Errorf("%q became %v", c.body, err)
		}
	})
}

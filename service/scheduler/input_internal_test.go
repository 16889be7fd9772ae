package scheduler

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/api/events"
	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/api/logs"
	"github.com/holdfast-cloud/holdfast/api/s3"
	"github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/wire"
)

// Members are named with a capital letter first, wherever they stand in the service's API, and however it spells them.
func TestDecodeInput(t *testing.T) {
	for name, c := range map[string]struct {
		op   *wire.Operation
		text string
		want wire.Shape
	}{
		"Map": {sqs.OpSendMessage, `{"QueueUrl":"u","MessageBody":"b","DelaySeconds":5,"MessageAttributes":{"a":{"DataType":"Binary","BinaryValue":"raw"}},"More":[{}]}`, &sqs.SendMessageRequest{
			QueueUrl: new("u"), MessageBody: new("b"), DelaySeconds: new(int32(5)), MessageAttributes: map[string]sqs.MessageAttributeValue{"a": {DataType: new("Binary"), BinaryValue: []byte("raw")}}}},
		"LowerCase": {logs.OpPutRetentionPolicy, `{"LogGroupName":"g","RetentionInDays":7}`, &logs.PutRetentionPolicyRequest{LogGroupName: new("g"), RetentionInDays: new(int32(7))}},
		"URIAndHeaders": {lambda.OpInvoke, `{"FunctionName":"f","InvocationType":"Event","Payload":"{\"a\":1}"}`, &lambda.InvocationRequest{
			FunctionName: new("f"), InvocationType: "Event", Payload: []byte(`{"a":1}`)}},
		"Times": {events.OpPutEvents, `{"Entries":[{"Time":1795742400.5,"Source":"a"},{"Time":"2026-11-27T01:30:00Z","Detail":null}]}`, &events.PutEventsRequest{Entries: []events.PutEventsRequestEntry{
			{Time: new(time.Unix(1795742400, 5e8).UTC()), Source: new("a")}, {Time: &epoch}}}},
		"Bool": {kms.OpCreateKey, `{"MultiRegion":true,"Tags":[{"TagKey":"k","TagValue":"v"}]}`, &kms.CreateKeyRequest{MultiRegion: new(true), Tags: []kms.Tag{{TagKey: new("k"), TagValue: new("v")}}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := decodeInput(c.op, []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("read (-want +got):\n%s", d)
			}
		})
	}
	t.Run("Stream", func(t *testing.T) {
		got, err := decodeInput(s3.OpPutObject, []byte(`{"Bucket":"b","Key":"k","Body":"content"}`))
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(got.(wire.Streamer).Stream()); err != nil || string(body) != "content" {
			t.Errorf("the body is %q, %v", body, err)
		}
	})
}

func TestBadInput(t *testing.T) {
	for text, want := range map[string]string{
		`{"Entries":{}}`: "The field Entries must be a list.", `{"Entries":[7]}`: "must be an object.", `{"Entries":[{"Time":"now"}]}`: "The field Time must be a time.",
		`{"Entries":[{"Source":[]}]}`: "The field Source must be a string.", `{"entries":[]}`: "missing the following field(s): Entries.", `{"Entries":null}`: "missing the following field(s): Entries.",
		`null`: "not a JSON object", ``: "not well-formed JSON", `{"Entries":[]} x`: "not well-formed JSON", `{"Entries":[]}}`: "not well-formed JSON",
	} {
		if in, err := decodeInput(events.OpPutEvents, []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v, want %s", text, in, err, want)
		}
	}
	for _, text := range []string{`{"QueueUrl":"u","MessageBody":"b","DelaySeconds":5.5}`, `{"QueueUrl":"u","MessageBody":"b","DelaySeconds":3000000000}`, `{"QueueUrl":"u","MessageBody":"b","DelaySeconds":"5"}`} {
		if _, err := decodeInput(sqs.OpSendMessage, []byte(text)); err == nil || !strings.Contains(err.Error(), "DelaySeconds must be a whole number") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzDecodeInput(f *testing.F) {
	ops := []*wire.Operation{sqs.OpSendMessage, events.OpPutRule, events.OpPutEvents, iam.OpCreateUser, kms.OpCreateKey, s3.OpPutObject, logs.OpPutLogEvents, lambda.OpInvoke}
	for i, text := range []string{`{"QueueUrl":"u","MessageBody":"b","MessageAttributes":{"a":{"DataType":"x"}}}`, `{"Name":"n"}`, `{"Entries":[{"Time":1e400}]}`, `{"UserName":null}`, `{"Tags":[null,{}]}`,
		`{"Bucket":"b","Key":"k","Body":{}}`, `{"LogGroupName":"g","LogStreamName":"s","LogEvents":[{"Timestamp":9e99}]}`, `{"FunctionName":"f","Payload":""}`} {
		f.Add(uint8(i), text)
	}
	f.Fuzz(func(t *testing.T, op uint8, text string) {
		in, err := decodeInput(ops[int(op)%len(ops)], []byte(text))
		if err == nil {
			_ = wire.Validate(in)
		}
	})
}

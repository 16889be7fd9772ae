package wire_test

import (
	"bytes"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"

	"github.com/holdfast-cloud/holdfast/wire"
)

// The SDK reads what is written here.
func TestAppendEvent(t *testing.T) {
	b := wire.AppendEvent([]byte("before"), "PayloadChunk", "application/octet-stream", []byte("payload"))
	b = wire.AppendEvent(b, "InvokeComplete", "application/json", nil)
	r := bytes.NewReader(b[len("before"):])
	d := eventstream.NewDecoder()
	for _, want := range [][3]string{{"PayloadChunk", "application/octet-stream", "payload"}, {"InvokeComplete", "application/json", ""}} {
		m, err := d.Decode(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		got := [3]string{m.Headers.Get(":event-type").String(), m.Headers.Get(":content-type").String(), string(m.Payload)}
		if got != want || m.Headers.Get(":message-type").String() != "event" {
			t.Errorf("got %v with %v, want %v", got, m.Headers, want)
		}
	}
	if r.Len() > 0 {
		t.Errorf("%d bytes are left", r.Len())
	}
}

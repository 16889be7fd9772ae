package logs

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	kmsapi "github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/api/logs"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
	"github.com/holdfast-cloud/holdfast/wire"
)

// functions stand in for Lambda.
type functions struct {
	t     *testing.T
	fails error
	got   []message
}

func (f *functions) Invoke(c *call.Call, in *lambda.InvocationRequest) (*lambda.InvocationResponse, error) {
	f.t.Helper()
	if c.Caller.ServiceName != "logs.amazonaws.com" || c.Caller.RegionalName != "logs.us-east-1.amazonaws.com" || c.Source.ARN != "arn:aws:logs:us-east-1:111122223333:log-group:g:*" {
		f.t.Errorf("invoked by %+v for %s", c.Caller.Principal, c.Source.ARN)
	}
	if f.fails != nil {
		return nil, f.fails
	}
	var event struct{ AWSLogs struct{ Data []byte } }
	if err := json.Unmarshal(in.Payload, &event); err != nil {
		f.t.Fatal(err)
	}
	r, err := gzip.NewReader(bytes.NewReader(event.AWSLogs.Data))
	if err != nil {
		f.t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		f.t.Fatal(err)
	}
	var m message
	if err := json.Unmarshal(text, &m); err != nil {
		f.t.Fatal(err)
	}
	f.got = append(f.got, m)
	return &lambda.InvocationResponse{StatusCode: new(int32(202))}, nil
}

// noKMS refuses everything.
type noKMS struct{}

func (noKMS) GenerateDataKey(*call.Call, *kmsapi.GenerateDataKeyRequest) (*kmsapi.GenerateDataKeyResponse, error) {
	return nil, errors.New("no KMS")
}

func (noKMS) Decrypt(*call.Call, *kmsapi.DecryptRequest) (*kmsapi.DecryptResponse, error) {
	return nil, errors.New("no KMS")
}

// scene is the service with a store, and no door.
type scene struct {
	*Service
	t   testing.TB
	s   store.Store
	now time.Time
}

type nowhere struct{}

func (nowhere) Load(context.Context) ([]byte, error)       { return nil, seal.ErrEmpty }
func (nowhere) Swap(context.Context, []byte, []byte) error { return nil }

func newScene(t testing.TB, f Lambda) *scene {
	t.Helper()
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	provider, err := seal.NewKey(key)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := seal.Open(t.Context(), seal.Config{Provider: provider, Storage: nowhere{}, Clock: new(clock.Real)})
	if err != nil {
		t.Fatal(err)
	}
	st := memstore.New()
	svc, err := New(Config{Seal: ring, Principals: identity.New(st, ring, "aws"), KMS: noKMS{}, Lambda: f, Partition: "aws"})
	if err != nil {
		t.Fatal(err)
	}
	return &scene{svc, t, st, time.Date(2026, 11, 27, 2, 0, 0, 0, time.UTC)}
}

// do carries out a part of a call as the root user, or as the service itself while it delivers.
func (s *scene) do(op *wire.Operation, own bool, fn func(c *call.Call) error) error {
	s.t.Helper()
	return s.s.Update(s.t.Context(), func(tx store.Tx) error {
		c := &call.Call{
			Context: s.t.Context(), Op: op, Time: s.now, Rand: rand.Reader, Caller: identity.Root("aws", "111122223333", ""),
			Scope: call.Scope{Partition: "aws", Account: "111122223333", Region: "us-east-1"},
		}
		if own {
			c.Op, c.Caller = nil, identity.Service("logs.amazonaws.com")
		}
		c.Bind("logs", nil, func() (store.Tx, error) { return tx, nil })
		return fn(c)
	})
}

func (s *scene) must(op *wire.Operation, fn func(c *call.Call) error) {
	s.t.Helper()
	if err := s.do(op, false, fn); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) put(from, n int) {
	s.must(logs.OpPutLogEvents, func(c *call.Call) error {
		in := &logs.PutLogEventsRequest{LogGroupName: new("g"), LogStreamName: new("s")}
		for i := range n {
			in.LogEvents = append(in.LogEvents, logs.InputLogEvent{Timestamp: new(s.now.UnixMilli()), Message: new(fmt.Sprintf("n%d of %s", from+i, strings.Repeat("x", 1000)))})
		}
		_, err := s.PutLogEvents(c, in)
		return err
	})
}

// carry delivers what waits, as long as it can be delivered.
func (s *scene) carry() (err error) {
	s.t.Helper()
	var parcels []*delivery.Parcel
	_ = s.s.View(s.t.Context(), func(r store.Reader) error {
		subs, err := delivered(r)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, sub := range subs {
			waiting, err := delivery.Waiting(r, delivery.Lane{Service: "logs", Account: "111122223333", Region: "us-east-1", Kind: subscriptionLane, Subject: sub}, 1000)
			if err != nil {
				s.t.Fatal(err)
			}
			parcels = append(parcels, waiting...)
		}
		return nil
	})
	for _, p := range parcels {
		err := s.do(nil, true, func(c *call.Call) error {
			if _, err := (subscriber{s.Service}).Deliver(c, p); err != nil {
				return err
			}
			return delivery.Remove(c.Tx(), p)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func delivered(r store.Reader) (ids []string, err error) {
	for sub, err := range subscriptionTable.In("111122223333", "us-east-1").Scan(r, store.Query{}) {
		if err != nil {
			return nil, err
		}
		ids = append(ids, sub.ID)
	}
	return ids, nil
}

func TestSubscription(t *testing.T) {
	f := &functions{t: t}
	s := newScene(t, f)
	s.must(logs.OpCreateLogGroup, func(c *call.Call) error {
		_, err := s.CreateLogGroup(c, &logs.CreateLogGroupRequest{LogGroupName: new("g")})
		return err
	})
	s.must(logs.OpCreateLogStream, func(c *call.Call) error {
		_, err := s.CreateLogStream(c, &logs.CreateLogStreamRequest{LogGroupName: new("g"), LogStreamName: new("s")})
		return err
	})
	subscribe := func(name, pattern string) error {
		return s.do(logs.OpPutSubscriptionFilter, false, func(c *call.Call) error {
			_, err := s.PutSubscriptionFilter(c, &logs.PutSubscriptionFilterRequest{
				LogGroupName: new("g"), FilterName: &name, FilterPattern: &pattern, DestinationArn: new("arn:aws:lambda:us-east-1:111122223333:function:f"),
			})
			return err
		})
	}
	f.fails = &call.Denied{Message: "no"}
	if err := subscribe("odd", "?n1 ?n3"); err == nil || !strings.Contains(err.Error(), "Make sure you have given CloudWatch Logs permission to execute your function.") {
		t.Errorf("PutSubscriptionFilter() = %v", err)
	}
	f.fails = nil
	if err := subscribe("odd", "?n1 ?n3"); err != nil {
		t.Fatal(err)
	}
	if len(f.got) != 1 || f.got[0].MessageType != "CONTROL_MESSAGE" || f.got[0].Owner != "CloudwatchLogs" {
		t.Errorf("the function got %+v", f.got)
	}
	if err := subscribe("all", ""); err != nil {
		t.Fatal(err)
	}
	if _, ok := errors.AsType[*logs.LimitExceededException](subscribe("third", "")); !ok {
		t.Error("a third filter was taken")
	}
	f.got = nil
	// What a function does not take waits, and comes in order when it does, also where batches were merged meanwhile.
	f.fails = errors.New("down")
	for i := range 80 {
		s.put(i, 1)
	}
	s.put(80, 300) // too much for one message
	if err := s.carry(); err == nil {
		t.Error("it was delivered to a function that is down")
	}
	f.fails = nil
	if err := s.carry(); err != nil {
		t.Fatal(err)
	}
	got := make(map[string][]string)
	for _, m := range f.got {
		if m.MessageType != "DATA_MESSAGE" || m.Owner != "111122223333" || m.LogGroup != "g" || m.LogStream != "s" {
			t.Errorf("the function got %+v", m)
		}
		size := 0
		for _, e := range m.LogEvents {
			number, _, _ := strings.Cut(e.Message, " ")
			got[m.SubscriptionFilters[0]] = append(got[m.SubscriptionFilters[0]], number)
			size += len(e.Message)
			if len(e.ID) != 56 || e.Timestamp != s.now.UnixMilli() {
				t.Errorf("the event %+v", e)
			}
		}
		if size > maxForwarded {
			t.Errorf("a message of %d bytes", size)
		}
	}
	want := make(map[string][]string)
	for i := range 380 {
		n := fmt.Sprintf("n%d", i)
		want["all"] = append(want["all"], n)
		if n[1] == '1' || n[1] == '3' {
			want["odd"] = append(want["odd"], n)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("delivered (-want +got):\n%.2000s", d)
	}
	f.got = nil
	if err := s.carry(); err != nil || len(f.got) != 0 {
		t.Errorf("%d messages came twice: %v", len(f.got), err)
	}
	// Nothing of the events lies in a parcel, and a filter that is no more delivers nothing.
	s.put(1000, 1)
	s.must(logs.OpDeleteSubscriptionFilter, func(c *call.Call) error {
		_, err := s.DeleteSubscriptionFilter(c, &logs.DeleteSubscriptionFilterRequest{LogGroupName: new("g"), FilterName: new("all")})
		return err
	})
	err := s.s.View(t.Context(), func(r store.Reader) error {
		for kv, err := range r.Scan(nil, nil, store.ScanOptions{}) {
			if err != nil {
				return err
			}
			if bytes.Contains(kv.Value, []byte("n1000")) {
				t.Errorf("an event lies in the clear under %q", kv.Key)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A page has the first events of a listing in whatever order they are offered, and no gap.
func TestPage(t *testing.T) {
	st := &streamRecord{ID: "s"}
	for _, reverse := range []bool{false, true} {
		p := &page{limit: 3, reverse: reverse}
		for _, i := range []int{5, 1, 9, 7, 3, 8, 2, 6, 4} {
			p.offer(found{event{Time: int64(i), Seq: uint64(i)}, st})
		}
		var got []int64
		for _, f := range p.events() {
			got = append(got, f.Time)
		}
		want := []int64{1, 2, 3}
		if reverse {
			want = []int64{9, 8, 7}
		}
		if d := cmp.Diff(want, got); d != "" || p.bound == nil {
			t.Errorf("reverse %v (-want +got):\n%s", reverse, d)
		}
	}
	big := &page{limit: 100}
	for i := 9; i > 0; i-- {
		big.offer(found{event{Time: int64(i), Message: strings.Repeat("x", 300<<10)}, st})
	}
	if len(big.events()) != 3 || big.held[2].Time != 3 {
		t.Errorf("%d events of 300 KiB", len(big.held))
	}
}

func FuzzEvents(f *testing.F) {
	f.Add(appendEvents(nil, 3, []event{{5, 9, 3, "a"}, {5, 9, 4, ""}, {7, 8, 9, "long"}}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = eachEvent(b, 3, func(e event) bool { return len(e.Message) < 1<<20 })
	})
}

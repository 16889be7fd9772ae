package scheduler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/api/events"
	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/scheduler"
	"github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/meter"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
	"github.com/holdfast-cloud/holdfast/timer"
	"github.com/holdfast-cloud/holdfast/wire"
)

const home = "111122223333"

var epoch = time.Date(2026, 11, 27, 1, 30, 0, 0, time.UTC)

// workshop is a door with nothing but Scheduler behind it, and targets that do as the test says.
type workshop struct {
	*timer.Scheduler
	t     *testing.T
	clock *clock.Movable
	store store.Store
	meter *meter.Meter
	s     *Service

	perform func(ctx context.Context, service, account, region string, do func(*call.Call) error) error

	target func(attempt int, in wire.Shape) (wire.Shape, error)
	sent   []string // attempts with the time since epoch
	dead   []*sqs.SendMessageRequest
}

// Invoke is the way to targets.
func (w *workshop) Invoke(c *call.Call, op *wire.Operation, in wire.Shape) (wire.Shape, error) {
	if m, ok := in.(*sqs.SendMessageRequest); ok && strings.HasSuffix(*m.QueueUrl, "/dead") {
		w.dead = append(w.dead, m)
		return &sqs.SendMessageResult{}, nil
	}
	w.sent = append(w.sent, fmt.Sprintf("%s@%s", op.Name, w.clock.Now().Sub(epoch)))
	return w.target(len(w.sent), in)
}

func (w *workshop) operation(service, name string) *wire.Operation {
	return map[string]*wire.Operation{"iam:createuser": iam.OpCreateUser, "eventbridge:putevents": events.OpPutEvents}[service+":"+name]
}

func newWorkshop(t *testing.T) *workshop {
	t.Helper()
	w := &workshop{t: t, clock: clock.NewFrozen(epoch), store: memstore.New(), meter: meter.New()}
	trail, err := audit.Open(audit.Config{Store: w.store})
	if err != nil {
		t.Fatal(err)
	}
	ring := seal.Ephemeral()
	directory := identity.New(w.store, ring, "aws")
	role := identity.Role{Account: home, Name: "runner", Trust: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"scheduler.amazonaws.com"},"Action":"sts:AssumeRole"}]}`}
	if err := directory.PutRole(t.Context(), role, epoch); err != nil {
		t.Fatal(err)
	}
	if w.s, err = New(Config{Seal: ring, KMS: kms.Client{}, Transport: w, Meter: w.meter, Operation: w.operation}); err != nil {
		t.Fatal(err)
	}
	var d *door.Door
	post := delivery.NewDispatcher(w.store, func(ctx context.Context, batch []*delivery.Parcel) (delivery.Outcome, error) {
		return d.Carry(ctx, batch)
	})
	d, err = door.New(door.Config{
		Store: w.store, Clock: w.clock, Trail: trail, Directory: directory, Log: slog.New(slog.DiscardHandler), Partition: "aws", Account: home, Region: "us-east-1", Deliveries: post,
	}, w.s.Room())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	post.Start(ctx, func(err error) { t.Errorf("the dispatcher: %v", err) })
	t.Cleanup(func() { cancel(); post.Wait() })
	w.Scheduler = timer.NewScheduler(w.store, w.clock, d.Fire)
	w.BeforeStep(post.Settle)
	w.perform = d.Perform
	return w
}

// put makes a schedule that is due in half an hour.
func (w *workshop) put(name, arn string, change func(*targetRecord)) {
	w.t.Helper()
	r := &scheduleRecord{
		Group: "default", Name: name, Version: "1", Created: epoch, Expression: "at(2026-11-27T02:00:00)", Zone: "UTC",
		Target: targetRecord{ARN: arn, Role: "arn:aws:iam::" + home + ":role/runner", DeadLetters: "arn:aws:sqs:us-east-1:" + home + ":dead", Retries: defaultRetries, Age: defaultAge},
	}
	change(&r.Target)
	err := w.perform(w.t.Context(), "scheduler", home, "us-east-1", func(c *call.Call) error { return w.s.put(c, r, `{"UserName":"u-<aws.scheduler.attempt-number>"}`) })
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *workshop) advance(d time.Duration) {
	w.t.Helper()
	if err := w.MoveTo(w.t.Context(), w.clock, w.clock.Now().Add(d)); err != nil {
		w.t.Fatal(err)
	}
}

// counted is what the meter has of a group, by name.
func (w *workshop) counted() map[string]int {
	out := make(map[string]int)
	for _, p := range w.meter.Take() {
		if len(p.Series.Dimensions) == 1 && p.Series.Dimensions[0] == (meter.Dimension{Name: "ScheduleGroup", Value: "default"}) && p.Series.Namespace == "AWS/Scheduler" {
			out[p.Series.Name] += int(p.Sum)
		}
	}
	return out
}

const createUser = "arn:aws:scheduler:::aws-sdk:iam:createUser"

var busy = &wire.Error{Code: "ThrottlingException", Message: "Rate exceeded", Status: 400}

// attributes of the only dead letter.
func (w *workshop) letter() map[string]string {
	w.t.Helper()
	if len(w.dead) != 1 {
		w.t.Fatalf("%d dead letters", len(w.dead))
	}
	out := map[string]string{"": *w.dead[0].MessageBody}
	for k, v := range w.dead[0].MessageAttributes {
		out[k] = *v.StringValue
	}
	return out
}

// A target that is busy is asked again, as its retry policy says; each attempt has its number.
func TestRetries(t *testing.T) {
	w := newWorkshop(t)
	var names []string
	w.target = func(n int, in wire.Shape) (wire.Shape, error) {
		names = append(names, *in.(*iam.CreateUserRequest).UserName)
		if n < 4 {
			return nil, busy
		}
		return &iam.CreateUserResponse{}, nil
	}
	w.put("s", createUser, func(*targetRecord) {})
	w.advance(time.Hour)
	if d := cmp.Diff([]string{"CreateUser@30m0s", "CreateUser@30m1s", "CreateUser@30m3s", "CreateUser@30m7s"}, w.sent); d != "" {
		t.Errorf("attempts (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"u-1", "u-2", "u-3", "u-4"}, names); d != "" {
		t.Errorf("inputs (-want +got):\n%s", d)
	}
	if d := cmp.Diff(map[string]int{attempts: 4, targetErrors: 3, throttled: 3}, w.counted()); d != "" {
		t.Errorf("metrics (-want +got):\n%s", d)
	}
	if len(w.dead) != 0 {
		t.Errorf("dead letters %v", w.dead)
	}
}

func TestAttemptsExhausted(t *testing.T) {
	w := newWorkshop(t)
	w.target = func(int, wire.Shape) (wire.Shape, error) { return nil, errors.New("a bug") }
	w.put("s", createUser, func(r *targetRecord) { r.Retries = 2 })
	w.advance(time.Hour)
	if len(w.sent) != 3 {
		t.Errorf("attempts %v", w.sent)
	}
	got := w.letter()
	if len(got["EXECUTION_ID"]) != 16 {
		t.Errorf("execution %s", got["EXECUTION_ID"])
	}
	delete(got, "EXECUTION_ID")
	want := map[string]string{
		"": `{"UserName":"u-3"}`, "ERROR_CODE": "InternalFailure", "ERROR_MESSAGE": "An internal error occurred.", "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts", "IS_PAYLOAD_TRUNCATED": "false",
		"RETRY_ATTEMPTS": "2", "SCHEDULED_TIME": "2026-11-27T02:00:00Z", "SCHEDULE_ARN": "arn:aws:scheduler:us-east-1:" + home + ":schedule/default/s", "TARGET_ARN": createUser,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("the dead letter (-want +got):\n%s", d)
	}
	if d := cmp.Diff(map[string]int{attempts: 3, targetErrors: 3, dropped: 1, deadLetters: 1}, w.counted()); d != "" {
		t.Errorf("metrics (-want +got):\n%s", d)
	}
}

func TestAgeExceeded(t *testing.T) {
	w := newWorkshop(t)
	w.target = func(int, wire.Shape) (wire.Shape, error) { return nil, busy }
	w.put("s", createUser, func(r *targetRecord) { r.Age = 60 })
	w.advance(time.Hour)
	got := w.letter()
	if got["EXHAUSTED_RETRY_CONDITION"] != "MaximumEventAgeInSeconds" || got["ERROR_CODE"] != "ThrottlingException" || got["ERROR_MESSAGE"] != "Rate exceeded" || got["RETRY_ATTEMPTS"] != fmt.Sprint(len(w.sent)-1) {
		t.Errorf("after %v: the dead letter %v", w.sent, got)
	}
}

// An event that the bus does not take is one that failed.
func TestEventThatFails(t *testing.T) {
	w := newWorkshop(t)
	var entry events.PutEventsRequestEntry
	w.target = func(_ int, in wire.Shape) (wire.Shape, error) {
		entry = in.(*events.PutEventsRequest).Entries[0]
		return &events.PutEventsResponse{FailedEntryCount: new(int32(1)), Entries: []events.PutEventsResultEntry{{ErrorCode: new("MalformedDetail"), ErrorMessage: new("Detail is malformed.")}}}, nil
	}
	bus := "arn:aws:events:us-east-1:" + home + ":event-bus/default"
	w.put("s", bus, func(r *targetRecord) { r.Source, r.DetailType = "my.app", "Tick" })
	w.advance(time.Hour)
	want := events.PutEventsRequestEntry{Source: new("my.app"), DetailType: new("Tick"), Detail: new(`{"UserName":"u-1"}`), EventBusName: &bus, Resources: []string{"arn:aws:scheduler:us-east-1:" + home + ":schedule/default/s"}}
	if d := cmp.Diff(want, entry); d != "" {
		t.Errorf("the event (-want +got):\n%s", d)
	}
	if got := w.letter(); got["ERROR_CODE"] != "MalformedDetail" || got["EXHAUSTED_RETRY_CONDITION"] != "" || len(w.sent) != 1 {
		t.Errorf("after %v: the dead letter %v", w.sent, got)
	}
}

func TestClassesOfErrors(t *testing.T) {
	for name, c := range map[string]struct {
		err              error
		code             string
		retry, throttled bool
	}{
		"Modeled":        {&sqs.QueueDoesNotExist{}, "QueueDoesNotExist", false, false},
		"ModeledFault":   {&scheduler.InternalServerException{}, "InternalServerException", true, false},
		"Throttled":      {&scheduler.ThrottlingException{}, "ThrottlingException", true, true},
		"NotImplemented": {wire.NotImplemented("kms", "Fly"), "NotImplemented", false, false},
		"Unavailable":    {&wire.Error{Code: "ServiceUnavailable", Status: 503, Fault: true}, "ServiceUnavailable", true, false},
		"Denied":         {&call.Denied{Message: "no"}, "AccessDeniedException", false, false},
		"Role":           {fmt.Errorf("%w: r", call.ErrRole), "AccessDeniedException", false, false},
		"Bug":            {errors.New("x"), "InternalFailure", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			if f := failed(c.err); !strings.HasSuffix(f.code, c.code) || f.retry != c.retry || f.throttled != c.throttled {
				t.Errorf("failed(%v) = %+v", c.err, f)
			}
		})
	}
}

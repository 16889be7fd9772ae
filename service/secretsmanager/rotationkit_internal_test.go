package secretsmanager

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/database"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/sigv4"
	"github.com/holdfast-cloud/holdfast/store/memstore"
	"github.com/holdfast-cloud/holdfast/store/storetest"
	"github.com/holdfast-cloud/holdfast/timer"
	"github.com/holdfast-cloud/holdfast/wire"
)

const (
	testAccount = "111122223333"
	testRegion  = "us-east-1"
)

var testEpoch = time.Date(2026, 11, 27, 1, 30, 0, 0, time.UTC)

// workshop is a door with nothing but Secrets Manager behind it, and with a database and a function that do as the test says.
type workshop struct {
	t     testing.TB
	clock *clock.Movable
	store *storetest.Faulty
	ring  *seal.Keyring
	db    *testDatabase
	trail *audit.Trail
	grace time.Duration

	// function is what a step of the rotation function does.
	function func(ctx context.Context, r stepRequest) (*lambda.InvocationResponse, error)
	// reachable is what Lambda answers to whether a function may be invoked.
	reachable func(c *call.Call, function string) error

	s           *Service
	door        *door.Door
	scheduler   *timer.Scheduler
	stop        func()
	key, secret string
}

func newWorkshop(t testing.TB) *workshop {
	t.Helper()
	w := &workshop{
		t: t, clock: clock.NewFrozen(testEpoch), store: storetest.NewFaulty(memstore.New()), ring: seal.Ephemeral(), db: &testDatabase{users: make(map[string][]string)},
		grace: time.Millisecond, reachable: func(*call.Call, string) error { return nil },
	}
	w.open()
	t.Cleanup(func() { w.stop() })
	var err error
	w.key, w.secret, err = identity.New(w.store, w.ring, "aws").CreateKey(t.Context(), testAccount, "", testEpoch)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// open starts the process, over what the store has.
func (w *workshop) open() {
	w.t.Helper()
	var err error
	if w.trail, err = audit.Open(audit.Config{Store: w.store}); err != nil {
		w.t.Fatal(err)
	}
	directory := identity.New(w.store, w.ring, "aws")
	var d *door.Door
	post := delivery.NewDispatcher(w.store, func(ctx context.Context, batch []*delivery.Parcel) (delivery.Outcome, error) {
		return d.Carry(ctx, batch)
	})
	w.s, err = New(Config{
		Store: w.store, Clock: w.clock, Seal: w.ring, Principals: directory, KMS: testKMS{}, Partition: "aws", Self: secretsmanager.Client{}, Lambda: w, Databases: w.db, Grace: w.grace,
		Perform: func(ctx context.Context, account, region string, do func(*call.Call) error) error {
			return d.Perform(ctx, "secretsmanager", account, region, do)
		},
		Ask: w.ask,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	d, err = door.New(door.Config{
		Store: w.store, Clock: w.clock, Trail: w.trail, Directory: directory, Log: slog.New(slog.DiscardHandler), Partition: "aws", Account: testAccount, Region: testRegion, Deliveries: post,
	}, w.s.Room())
	if err != nil {
		w.t.Fatal(err)
	}
	w.door = d
	ctx, cancel := context.WithCancel(context.Background())
	post.Start(ctx, func(error) {})
	w.scheduler = timer.NewScheduler(w.store, w.clock, d.Fire)
	w.scheduler.BeforeStep(post.Settle)
	w.stop = func() { cancel(); post.Wait() }
}

// restart ends the process as a crash does, and starts another one.
func (w *workshop) restart() {
	w.t.Helper()
	w.stop()
	w.open()
}

// advance moves the clock, and waits until what is due is done.
func (w *workshop) advance(d time.Duration) {
	w.t.Helper()
	if err := w.scheduler.MoveTo(context.Background(), w.clock, w.clock.Now().Add(d)); err != nil {
		w.t.Fatal(err)
	}
}

// do makes a call of the root user. The error is CODE: MESSAGE.
func (w *workshop) do(operation string, in map[string]any) (map[string]any, error) {
	body, err := json.Marshal(in)
	if err != nil {
		w.t.Fatal(err)
	}
	r := httptest.NewRequest("POST", "http://127.0.0.1:4566/", bytes.NewReader(body))
	r.Header.Set("X-Amz-Target", "secretsmanager."+operation)
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	sigv4.Sign(r, sigv4.Credentials{AccessKeyID: w.key, Secret: w.secret}, testRegion, "secretsmanager", w.clock.Now(), sigv4.PayloadHash(body))
	answer := httptest.NewRecorder()
	w.door.ServeHTTP(answer, r)
	var out map[string]any
	if err := json.Unmarshal(answer.Body.Bytes(), &out); err != nil {
		return nil, fmt.Errorf("answered %d with %q", answer.Code, answer.Body)
	}
	if answer.Code != 200 {
		message, _ := out["message"].(string)
		if message == "" {
			message, _ = out["Message"].(string)
		}
		return nil, fmt.Errorf("%v: %s", out["__type"], message)
	}
	return out, nil
}

func (w *workshop) must(operation string, in map[string]any) map[string]any {
	w.t.Helper()
	out, err := w.do(operation, in)
	if err != nil {
		w.t.Fatalf("%s: %v", operation, err)
	}
	return out
}

type object = map[string]any

// token is a fresh ClientRequestToken.
func token() string { return uuid.NewString() }

// create makes a secret.
func (w *workshop) create(name, value string) {
	w.t.Helper()
	w.must("CreateSecret", object{"Name": name, "ClientRequestToken": token(), "SecretString": value})
}

// rotate asks for a rotation, with what is said beside, and returns the version.
func (w *workshop) rotate(name string, more object) string {
	w.t.Helper()
	in := object{"SecretId": name, "ClientRequestToken": token()}
	for k, v := range more {
		in[k] = v
	}
	return w.must("RotateSecret", in)["VersionId"].(string)
}

// value is what GetSecretValue answers.
func (w *workshop) value(name string) string {
	w.t.Helper()
	text, _ := w.must("GetSecretValue", object{"SecretId": name})["SecretString"].(string)
	return text
}

// record is the secret as the store has it.
func (w *workshop) record(name string) *secretRecord {
	w.t.Helper()
	tx, err := w.store.Begin(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	defer tx.Discard()
	r, err := secretTable.In(testAccount, testRegion).Get(tx, name)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// logsIn reports whether AWSCURRENT does.
func (w *workshop) logsIn(name string) bool {
	w.t.Helper()
	c, err := database.Parse(w.value(name))
	if err != nil {
		w.t.Fatal(err)
	}
	return w.db.takes(c)
}

// events are those of rotations, as NAME or NAME(MESSAGE). Of those of one moment, the beginning comes first.
func (w *workshop) events() (out []string) {
	w.t.Helper()
	type event struct {
		EventTime                          time.Time
		EventName, ErrorMessage, EventType string
		RequestID                          string `json:"requestID"`
		AdditionalEventData                struct{ SecretId string }
	}
	var found []event
	if err := w.trail.Settle(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	_, err := w.trail.Read(context.Background(), audit.Cursor{}, func(_ audit.Cursor, entry audit.Entry) error {
		var e event
		if err := json.Unmarshal(entry.Record, &e); err != nil {
			return err
		}
		if e.EventType != "AwsServiceEvent" || !strings.Contains(e.EventName, "Rotation") {
			return nil
		}
		if !strings.HasPrefix(e.RequestID, "Rotation-"+e.AdditionalEventData.SecretId+"-") {
			w.t.Errorf("event %s", entry.Record)
		}
		found = append(found, e)
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	started := func(e event) int { return strings.Index(e.EventName+"Started", "Started") }
	slices.SortStableFunc(found, func(a, b event) int {
		return cmp.Or(a.EventTime.Compare(b.EventTime), cmp.Compare(started(a), started(b)))
	})
	for _, e := range found {
		if e.ErrorMessage != "" {
			e.EventName += "(" + e.ErrorMessage + ")"
		}
		out = append(out, e.EventName)
	}
	return out
}

// Invoke implements Lambda.
func (w *workshop) Invoke(c *call.Call, in *lambda.InvocationRequest) (*lambda.InvocationResponse, error) {
	if in.InvocationType != lambda.InvocationTypeDryRun {
		return nil, errors.New("a function is not invoked within a call")
	}
	return &lambda.InvocationResponse{StatusCode: new(int32(204))}, w.reachable(c, *in.FunctionName)
}

func (w *workshop) ask(ctx context.Context, region, _ string, op *wire.Operation, in wire.Shape) (wire.Shape, error) {
	x, ok := in.(*lambda.InvocationRequest)
	if !ok || op != lambda.OpInvoke || region != testRegion || x.InvocationType != lambda.InvocationTypeRequestResponse {
		return nil, fmt.Errorf("asked for %s in %s", op.Name, region)
	}
	var r stepRequest
	if err := json.Unmarshal(x.Payload, &r); err != nil {
		return nil, err
	}
	out, err := w.function(ctx, r)
	if err != nil {
		return nil, err
	}
	return out, nil
}

// testKMS keeps data keys by writing them into their ciphertext, with the context that they are for.
type testKMS struct{}

func (testKMS) GenerateDataKey(_ *call.Call, in *kms.GenerateDataKeyRequest) (*kms.GenerateDataKeyResponse, error) {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	return &kms.GenerateDataKeyResponse{KeyId: in.KeyId, Plaintext: slices.Clone(key), CiphertextBlob: append(key, fmt.Sprint(in.EncryptionContext)...)}, nil
}

func (testKMS) Decrypt(_ *call.Call, in *kms.DecryptRequest) (*kms.DecryptResponse, error) {
	if string(in.CiphertextBlob[32:]) != fmt.Sprint(in.EncryptionContext) {
		return nil, &kms.InvalidCiphertextException{}
	}
	return &kms.DecryptResponse{Plaintext: slices.Clone(in.CiphertextBlob[:32])}, nil
}

// testDatabase is a database server whose users have passwords, and which fails on demand.
type testDatabase struct {
	mu       sync.Mutex
	users    map[string][]string // the passwords that are taken, the newest first
	overlaps bool
	events   []string // what happened, in order

	// before and after are called around everything that is done, by its name; an error of theirs is that of what is done, which had no effect or had it.
	before, after func(ctx context.Context, what string) error
}

func (d *testDatabase) takes(c *database.Credentials) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Contains(d.users[c.Username], c.Password)
}

// act does something, unless a hook has it fail.
func (d *testDatabase) act(ctx context.Context, what string, as *database.Credentials, do func() error) error {
	d.mu.Lock()
	d.events = append(d.events, what)
	before, after := d.before, d.after
	d.mu.Unlock()
	if before != nil {
		if err := before(ctx, what); err != nil {
			return err
		}
	}
	if as != nil && !d.takes(as) {
		return database.ErrRefused
	}
	d.mu.Lock()
	err := do()
	d.mu.Unlock()
	if err == nil && after != nil {
		err = after(ctx, what)
	}
	return err
}

func (d *testDatabase) Login(ctx context.Context, as *database.Credentials) error {
	return d.act(ctx, "login "+as.Username, as, func() error { return nil })
}

func (d *testDatabase) Change(ctx context.Context, as *database.Credentials, user, password string) (Change, error) {
	err := d.act(ctx, "prepare", as, func() error {
		if d.users[user] == nil {
			return database.ErrUser
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &testChange{d, as, user, password}, nil
}

func (d *testDatabase) Turn(context.Context, *database.Credentials) (func(), error) {
	return func() {}, nil
}

func (d *testDatabase) Settle(ctx context.Context, as *database.Credentials, user, password string) error {
	return d.act(ctx, "settle", as, func() error {
		d.users[user] = []string{password}
		return nil
	})
}

func (d *testDatabase) Clone(ctx context.Context, as *database.Credentials, from, to, password string) error {
	return d.act(ctx, "clone", as, func() error {
		d.users[to] = []string{password}
		return nil
	})
}

type testChange struct {
	d              *testDatabase
	as             *database.Credentials
	user, password string
}

func (ch *testChange) Overlaps() bool { return ch.d.overlaps }
func (ch *testChange) Close()         {}

func (ch *testChange) Commit(ctx context.Context) error {
	return ch.d.act(ctx, "commit", nil, func() error {
		now := []string{ch.password}
		if ch.d.overlaps { // the one before stays, as the second of two
			now = append(now, ch.d.users[ch.user][0])
		}
		ch.d.users[ch.user] = now
		return nil
	})
}

// app is the secret of a user that the database has.
func (w *workshop) app(name string, more string) {
	w.t.Helper()
	w.db.users["app"] = []string{"first"}
	w.create(name, `{"engine":"postgres","host":"db.example.com","port":5432,"username":"app","password":"first"`+more+`}`)
}

// super is the secret of the superuser, and returns its ARN.
func (w *workshop) super() string {
	w.t.Helper()
	w.db.users["root"] = []string{"super"}
	out := w.must("CreateSecret", object{
		"Name": "super", "ClientRequestToken": token(), "SecretString": `{"engine":"postgres","host":"db.example.com","username":"root","password":"super"}`,
	})
	return out["ARN"].(string)
}

package door_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/holdfast-cloud/holdfast/api/catalog"
	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/almanac"
	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/beacon"
	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/depot"
	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/ferry"
	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/orchard"
	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/quarry"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/sigv4"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
	"github.com/holdfast-cloud/holdfast/store/storetest"
	"github.com/holdfast-cloud/holdfast/timer"
)

var update = flag.Bool("update", false, "rewrite the files under testdata")

const account, region = "111122223333", "us-east-1"

// house is a door with invented rooms behind it.
type house struct {
	*door.Door
	cfg       door.Config // of the door
	t         testing.TB
	store     *storetest.Faulty
	trail     *audit.Trail
	clock     *clock.Movable
	scheduler *timer.Scheduler
	directory *identity.Directory
	log       logged

	orchard, almanac room
	depot            wagons
	open             atomic.Int64 // streams of answers
	timers           map[string]door.TimerHandler
	carriers         map[string]door.Carrier
	post             *delivery.Dispatcher

	key, secret string // of the root user
}

// room answers with what the test gives it.
type room struct {
	orchard.Unimplemented
	describe func(c *call.Call, in *orchard.DescribeTreeRequest) (*orchard.Tree, error)
	plant    func(c *call.Call, in *orchard.PlantTreeRequest) (*orchard.PlantTreeResponse, error)
	getDay   func(c *call.Call, in *almanac.GetDayRequest) (*almanac.GetDayResult, error)
	setDay   func(c *call.Call, in *almanac.GetDayResult) (*almanac.SetDayResponse, error)
}

func (r *room) DescribeTree(c *call.Call, in *orchard.DescribeTreeRequest) (*orchard.Tree, error) {
	if r.describe == nil {
		c.Open("a test")
		return &orchard.Tree{TreeId: in.TreeId}, nil
	}
	return r.describe(c, in)
}

func (r *room) Ping(c *call.Call, _ *orchard.PingRequest) (*orchard.PingResponse, error) {
	c.Open("a test")
	return &orchard.PingResponse{}, nil
}

func (r *room) PlantTree(c *call.Call, in *orchard.PlantTreeRequest) (*orchard.PlantTreeResponse, error) {
	return r.plant(c, in)
}

func (r *room) GetDay(c *call.Call, in *almanac.GetDayRequest) (*almanac.GetDayResult, error) {
	if r.getDay == nil {
		c.Open("a test")
		return &almanac.GetDayResult{}, nil
	}
	return r.getDay(c, in)
}

func (r *room) SetDay(c *call.Call, in *almanac.GetDayResult) (*almanac.SetDayResponse, error) {
	return r.setDay(c, in)
}

// shore is the room of the services that only have to be there.
type shore struct {
	ferry.Unimplemented
	open *atomic.Int64 // manifests that were not closed
}

type freight struct {
	io.Reader
	open *atomic.Int64
}

func (f freight) Close() error {
	f.open.Add(-1)
	return nil
}

func (shore) PutNote(c *call.Call, in *ferry.PutNoteRequest) (*ferry.PutNoteResponse, error) {
	c.Open("a test")
	return &ferry.PutNoteResponse{}, nil
}

func (shore) PutManifest(c *call.Call, in *ferry.PutManifestRequest) (*ferry.PutManifestResponse, error) {
	c.Open("a test")
	_, err := io.Copy(io.Discard, in.Manifest)
	return &ferry.PutManifestResponse{}, err
}

// GetManifest streams, and breaks off where that is asked for.
func (s shore) GetManifest(c *call.Call, in *ferry.GetManifestRequest) (*ferry.GetManifestResponse, error) {
	c.Open("a test")
	var r io.Reader = strings.NewReader("freight")
	if in.MaxResults != nil && *in.MaxResults == 13 {
		r = io.MultiReader(r, iotest.ErrReader(errors.New("the disk failed")))
	}
	s.open.Add(1)
	return &ferry.GetManifestResponse{Manifest: freight{r, s.open}}, nil
}

// wagons is the depot's room.
type wagons struct {
	depot.Unimplemented
	describe func(c *call.Call) error
}

func (w *wagons) DescribeWagons(c *call.Call, in *depot.DescribeWagonsRequest) (*depot.DescribeWagonsResult, error) {
	if w.describe == nil {
		return w.Unimplemented.DescribeWagons(c, in)
	}
	return &depot.DescribeWagonsResult{}, w.describe(c)
}

type option func(*door.Config)

func newHouse(t testing.TB, options ...option) *house {
	t.Helper()
	h := &house{t: t, store: storetest.NewFaulty(memstore.New()), clock: clock.NewFrozen(epoch), timers: make(map[string]door.TimerHandler), carriers: make(map[string]door.Carrier)}
	var err error
	if h.trail, err = audit.Open(audit.Config{Store: h.store}); err != nil {
		t.Fatal(err)
	}
	h.directory = identity.New(h.store, seal.Ephemeral(), "aws")
	cfg := door.Config{
		Store: h.store, Clock: h.clock, Trail: h.trail, Directory: h.directory, Log: slog.New(slog.NewJSONHandler(&h.log, nil)),
		Partition: "aws", Account: account, Region: region, Catalog: catalog.Services(),
	}
	h.post = delivery.NewDispatcher(h.store, func(ctx context.Context, batch []*delivery.Parcel) (delivery.Outcome, error) {
		return h.Carry(ctx, batch)
	})
	cfg.Deliveries = h.post
	for _, o := range options {
		o(&cfg)
	}
	h.trail, h.cfg = cfg.Trail, cfg
	h.Door, err = door.New(cfg,
		door.Room{Service: orchard.Service, Endpoints: orchard.Endpoints(&h.orchard), Timers: h.timers, Carriers: h.carriers},
		door.Room{Service: almanac.Service, Endpoints: almanac.Endpoints(&h.almanac)},
		door.Room{Service: ferry.Service, Endpoints: ferry.Endpoints(shore{open: &h.open})},
		door.Room{Service: beacon.Service, Endpoints: beacon.Endpoints(beacon.Unimplemented{})},
		door.Room{Service: depot.Service, Endpoints: depot.Endpoints(&h.depot)},
		door.Room{Service: quarry.Service, Endpoints: quarry.Endpoints(quarry.Unimplemented{})},
	)
	if err != nil {
		t.Fatal(err)
	}
	h.scheduler = timer.NewScheduler(h.store, h.clock, h.Fire)
	h.scheduler.BeforeStep(h.post.Settle)
	if h.key, h.secret, err = h.directory.CreateKey(t.Context(), account, "", h.clock.Now()); err != nil {
		t.Fatal(err)
	}
	return h
}

// logged is what was logged, as JSON objects.
type logged struct {
	mu    sync.Mutex
	lines []map[string]any
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var line map[string]any
	if err := json.Unmarshal(b, &line); err != nil {
		return 0, err
	}
	l.lines = append(l.lines, line)
	return len(b), nil
}

// errors returns the lines of level error.
func (l *logged) errors() (out []map[string]any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if line["level"] == "ERROR" {
			out = append(out, line)
		}
	}
	return out
}

// do signs a request as the root user, and sends it through the door.
func (h *house) do(r *http.Request, service string) *http.Response {
	h.sign(r, service)
	return h.send(r)
}

func (h *house) sign(r *http.Request, service string) {
	sigv4.Sign(r, sigv4.Credentials{AccessKeyID: h.key, Secret: h.secret}, region, service, h.clock.Now(), sigv4.PayloadHash(bodyOf(r)))
}

func (h *house) send(r *http.Request) *http.Response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// bodyOf returns a request's body and leaves it to be read.
func bodyOf(r *http.Request) []byte {
	b, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(b))
	return b
}

func request(method, target, body string, header ...string) *http.Request {
	r := httptest.NewRequest(method, "http://127.0.0.1:4566"+target, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// toOrchard is a request in awsJson.
func toOrchard(operation, body string) *http.Request {
	return request("POST", "/", body, "X-Amz-Target", "Orchard_20200102."+operation, "Content-Type", "application/x-amz-json-1.0")
}

func (h *house) plantTree() *http.Response {
	return h.do(toOrchard("PlantTree", `{"Fruit":"APPLE","Age":1}`), "orchard")
}

func (h *house) describeTree() *http.Response {
	return h.do(toOrchard("DescribeTree", `{"TreeId":"oak"}`), "orchard")
}

func wantStatus(t *testing.T, resp *http.Response, status int) string {
	t.Helper()
	b, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != status {
		t.Errorf("answered %d %s, want %d", resp.StatusCode, b, status)
	}
	return string(b)
}

// events are the audit records, oldest first.
func (h *house) events() (out []event) {
	h.t.Helper()
	raw, err := h.trail.Events(context.Background(), audit.Filter{})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, r := range raw {
		var e event
		if err := json.Unmarshal(r, &e); err != nil {
			h.t.Fatalf("reading %s: %v", r, err)
		}
		out = append(out, e)
	}
	return out
}

type event struct {
	EventName, EventType, ErrorCode, ErrorMessage, SourceIPAddress string
	AWSRegion                                                      string `json:"awsRegion"`
	EventID                                                        string `json:"eventID"`
	SharedEventID                                                  string `json:"sharedEventID"`
	RecipientAccountID                                             string `json:"recipientAccountId"`
	UserIdentity                                                   struct{ Type, InvokedBy, ARN string }
	RequestParameters, ResponseElements                            map[string]any
	ServiceEventDetails, AdditionalEventData                       map[string]any
	RequestID                                                      string `json:"requestID"`
	ReadOnly                                                       bool
}

// names lists the events as "name" or "name!code".
func (h *house) names() (out []string) {
	for _, e := range h.events() {
		name := e.EventName
		if e.ErrorCode != "" {
			name += "!" + e.ErrorCode
		}
		out = append(out, name)
	}
	return out
}

// put and get are what handlers of these tests do to the store.
func put(tx store.Tx, key, value string) { tx.Set([]byte("test/"+key), []byte(value)) }

func (h *house) get(key string) string {
	var v []byte
	_ = h.store.View(context.Background(), func(r store.Reader) (err error) {
		v, err = r.Get([]byte("test/" + key))
		return err
	})
	return string(v)
}

var epoch = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

var anything = &call.Resource{ARN: "*"}

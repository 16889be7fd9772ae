package door_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/orchard"
	"github.com/holdfast-cloud/holdfast/sigv4"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
	"github.com/holdfast-cloud/holdfast/store/storetest"
)

// plants is a handler that does what a good one does.
func plants(c *call.Call, in *orchard.PlantTreeRequest) (*orchard.PlantTreeResponse, error) {
	if err := c.Authorize(anything); err != nil {
		return nil, err
	}
	put(c.Tx(), "tree", "planted")
	return &orchard.PlantTreeResponse{TreeId: new("oak")}, nil
}

func TestSuccess(t *testing.T) {
	h := newHouse(t)
	h.orchard.plant = plants
	body := wantStatus(t, h.plantTree(), 200)
	if body != `{"TreeId":"oak"}` || h.get("tree") != "planted" {
		t.Errorf("answered %s, stored %q", body, h.get("tree"))
	}
	h.clock.Advance(time.Second) // records of one instant have no order
	wantStatus(t, h.describeTree(), 200)
	events := h.events()
	if len(events) != 2 {
		t.Fatalf("recorded %v", h.names())
	}
	e := events[0]
	want := event{EventName: "PlantTree", EventType: "AwsApiCall", AWSRegion: region, EventID: e.EventID, RequestID: e.RequestID, RecipientAccountID: account, SourceIPAddress: "192.0.2.1",
		RequestParameters: map[string]any{"fruit": "APPLE", "age": 1.0}, ResponseElements: map[string]any{"treeId": "oak"}}
	want.UserIdentity.Type, want.UserIdentity.ARN = "Root", "arn:aws:iam::"+account+":root"
	if d := cmp.Diff(want, e); d != "" {
		t.Errorf("record (-want +got):\n%s", d)
	}
	if e := events[1]; e.EventName != "DescribeTree" || !e.ReadOnly || e.ResponseElements != nil {
		t.Errorf("record of a read: %+v", e)
	}
}

// Within its time a request can be sent again: AWS keeps no list of signatures that it has seen.
func TestReplay(t *testing.T) {
	h := newHouse(t)
	r := toOrchard("DescribeTree", `{"TreeId":"oak"}`)
	h.sign(r, "orchard")
	for range 2 {
		bodyOf(r)
		again := r.Clone(t.Context())
		again.Body = io.NopCloser(bytes.NewReader([]byte(`{"TreeId":"oak"}`)))
		wantStatus(t, h.send(again), 200)
	}
	h.clock.Advance(16 * time.Minute)
	wantStatus(t, h.send(toSend(r)), 400)
}

func toSend(r *http.Request) *http.Request {
	r.Body = io.NopCloser(strings.NewReader(`{"TreeId":"oak"}`))
	return r
}

// TestFailures is about how a handler can end: nothing is changed, and it is on record.
func TestFailures(t *testing.T) {
	denied := func(c *call.Call) error {
		return c.Authorize(&call.Resource{ARN: "*", Policy: mustParse(t, `{"Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}}`)})
	}
	for _, tt := range []struct {
		name    string
		handle  func(c *call.Call) error
		status  int
		code    string
		logged  string // in an error line, or "" for none
		visible string // must stand in the answer
	}{
		{"Modelled", func(c *call.Call) error {
			c.Open("a test")
			return &orchard.TreeNotFoundException{Message: "no oak"}
		}, 404, "TreeNotFoundException", "", "no oak"},
		{"ModelledFault", func(c *call.Call) error { return &orchard.OrchardFault{Message: "storm"} }, 500, "OrchardFault", "storm", "storm"},
		{"Plain", func(c *call.Call) error { return errors.New("the secret reason") }, 500, "InternalFailure", "the secret reason", ""},
		{"Denied", denied, 400, "AccessDenied", "", "is not authorized to perform: orchard:PlantTree"},
		{"SwallowedDenial", func(c *call.Call) error { _ = denied(c); return nil }, 400, "AccessDenied", "", "is not authorized"},
		{"WrappedDenial", func(c *call.Call) error { return fmt.Errorf("wrapped: %w", denied(c)) }, 400, "AccessDenied", "", "is not authorized"},
		{"NeverAsked", func(c *call.Call) error { return nil }, 500, "InternalFailure", "without asking", ""},
		{"Panic", func(c *call.Call) error { c.Open("a test"); panic("the secret reason") }, 500, "InternalFailure", "the secret reason", ""},
		{"StoreFull", func(c *call.Call) error { c.Open("a test"); return nil }, 500, "InternalFailure", "full", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHouse(t)
			h.orchard.plant = func(c *call.Call, _ *orchard.PlantTreeRequest) (*orchard.PlantTreeResponse, error) {
				put(c.Tx(), "tree", "planted")
				return &orchard.PlantTreeResponse{}, tt.handle(c)
			}
			if tt.name == "StoreFull" {
				h.store.Fail(storetest.Full)
			}
			body := wantStatus(t, h.plantTree(), tt.status)
			if !strings.Contains(body, tt.visible) || strings.Contains(body, "secret reason") {
				t.Errorf("answered %s", body)
			}
			if h.get("tree") != "" {
				t.Error("it was written")
			}
			events := h.events()
			if len(events) != 1 || events[0].ErrorCode != tt.code || events[0].ResponseElements != nil || events[0].RequestParameters == nil {
				t.Errorf("recorded %+v, want one with code %s", events, tt.code)
			}
			logged := h.log.errors()
			switch {
			case tt.logged == "" && len(logged) != 0, tt.logged != "" && (len(logged) != 1 || !strings.Contains(fmt.Sprint(logged[0]["cause"]), tt.logged)):
				t.Errorf("logged %v, want %q", logged, tt.logged)
			}
			if open := h.store.Metrics().Active; open != 0 {
				t.Errorf("%d transactions were left open", open)
			}
			h.orchard.plant = plants
			wantStatus(t, h.plantTree(), 200) // it lives
		})
	}
}

func mustParse(t *testing.T, doc string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse([]byte(doc), policy.Resource)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestInvalidInputIsRecorded(t *testing.T) {
	h := newHouse(t)
	body := wantStatus(t, h.do(toOrchard("PlantTree", `{"Fruit":"STONE"}`), "orchard"), 400)
	if !strings.Contains(body, "ValidationException") || !strings.Contains(body, "2 validation errors detected") {
		t.Errorf("answered %s", body)
	}
	wantStatus(t, h.do(toOrchard("PlantTree", `{`), "orchard"), 400)
	if d := cmp.Diff([]string{"PlantTree!ValidationException", "PlantTree!SerializationException"}, h.names()); d != "" {
		t.Errorf("recorded (-want +got):\n%s", d)
	}
}

func TestConflictRunsTheHandlerAgain(t *testing.T) {
	h := newHouse(t)
	runs := 0
	h.orchard.plant = func(c *call.Call, in *orchard.PlantTreeRequest) (*orchard.PlantTreeResponse, error) {
		runs++
		return plants(c, in)
	}
	h.store.Fail(storetest.Conflict, storetest.Conflict)
	wantStatus(t, h.plantTree(), 200)
	if d := cmp.Diff([]string{"PlantTree"}, h.names()); d != "" || runs != 3 {
		t.Errorf("ran %d times, recorded (-want +got):\n%s", runs, d)
	}

	// A handler may meet the conflict itself, too.
	h.orchard.plant = func(c *call.Call, in *orchard.PlantTreeRequest) (*orchard.PlantTreeResponse, error) {
		if runs++; runs == 4 {
			return nil, fmt.Errorf("reading: %w", store.ErrConflict)
		}
		return plants(c, in)
	}
	wantStatus(t, h.plantTree(), 200)
}

// Calls that change the same thing at the same time happen one after the other.
func TestConcurrentChanges(t *testing.T) {
	h := newHouse(t)
	h.orchard.plant = func(c *call.Call, _ *orchard.PlantTreeRequest) (*orchard.PlantTreeResponse, error) {
		c.Open("a test")
		n := 0
		v, err := c.Tx().Get([]byte("test/trees"))
		if err == nil {
			n, err = strconv.Atoi(string(v))
		} else if errors.Is(err, store.ErrNotFound) {
			err = nil
		}
		put(c.Tx(), "trees", strconv.Itoa(n+1))
		return &orchard.PlantTreeResponse{}, err
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				wantStatus(t, h.plantTree(), 200)
			}
		})
	}
	wg.Wait()
	if h.get("trees") != "80" || len(h.events()) != 80 {
		t.Errorf("%s trees and %d records, want 80", h.get("trees"), len(h.events()))
	}
}

// The reply of a commit was lost: the caller hears of a failure, and the trail tells of both.
func TestCommitOfUnknownOutcome(t *testing.T) {
	h := newHouse(t)
	h.orchard.plant = plants
	h.store.Fail(storetest.LostReply)
	wantStatus(t, h.plantTree(), 500)
	names := h.names()
	slices.Sort(names) // both are of one instant
	if d := cmp.Diff([]string{"PlantTree", "PlantTree!InternalFailure"}, names); d != "" || h.get("tree") != "planted" {
		t.Errorf("stored %q, recorded (-want +got):\n%s", h.get("tree"), d)
	}
}

// What a call changes is recorded in its transaction, also where the operation is a read.
func TestReadThatWrites(t *testing.T) {
	h := newHouse(t)
	h.orchard.describe = func(c *call.Call, in *orchard.DescribeTreeRequest) (*orchard.Tree, error) {
		c.Open("a test")
		put(c.Tx(), "tree", "found")
		return &orchard.Tree{}, nil
	}
	h.store.Fail(storetest.Full)
	wantStatus(t, h.describeTree(), 500)
	wantStatus(t, h.describeTree(), 200)
	if d := cmp.Diff([]string{"DescribeTree", "DescribeTree!InternalFailure"}, sorted(h.names())); d != "" || h.get("tree") != "found" {
		t.Errorf("stored %q, recorded (-want +got):\n%s", h.get("tree"), d)
	}
}

func sorted(s []string) []string { slices.Sort(s); return s }

// A cloud that cannot record does not answer, unless it was told to.
func TestUnrecorded(t *testing.T) {
	for _, keepOn := range []bool{false, true} {
		t.Run(fmt.Sprintf("KeepOn=%v", keepOn), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "audit")
			trail, err := audit.Open(audit.Config{Store: memstore.New(), Dir: dir, KeepOn: keepOn})
			if err != nil {
				t.Fatal(err)
			}
			defer trail.Close()
			h := newHouse(t, func(c *door.Config) { c.Trail = trail })
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			status := http.StatusInternalServerError
			if keepOn {
				status = http.StatusOK
			}
			wantStatus(t, h.describeTree(), status)
			body := wantStatus(t, h.do(toOrchard("DescribeTree", `{`), "orchard"), map[bool]int{true: 400, false: 500}[keepOn])
			if !keepOn && (strings.Contains(body, "Serialization") || len(h.log.errors()) != 2) {
				t.Errorf("answered %s, logged %v", body, h.log.errors())
			}
			wantStatus(t, h.do(request("GET", "/2021-03-04/manifest", ""), "ferry"), status)
			if n := h.open.Load(); n != 0 {
				t.Errorf("%d streams are left open", n)
			}
		})
	}
}

func TestAnonymous(t *testing.T) {
	h := newHouse(t)
	wantStatus(t, h.send(toOrchard("Ping", "{}")), 200)
	wantStatus(t, h.send(toOrchard("DescribeTree", `{"TreeId":"oak"}`)), 400)
	if d := cmp.Diff([]string{"Ping"}, h.names()); d != "" {
		t.Errorf("recorded (-want +got):\n%s", d)
	}
}

func TestDev(t *testing.T) {
	h := newHouse(t, func(c *door.Config) { c.Dev = true })
	var caller *identity.Principal
	h.orchard.describe = func(c *call.Call, in *orchard.DescribeTreeRequest) (*orchard.Tree, error) {
		caller = c.Caller
		return &orchard.Tree{}, c.Authorize(anything)
	}
	for _, tt := range []struct {
		key, secret string
		status      int
		want        string
	}{
		{"test", "x", 200, "arn:aws:iam::" + account + ":user/dev"},
		{"999988887777", "x", 200, "arn:aws:iam::999988887777:root"},
		{h.key, "x", 400, ""}, // known keys are checked as ever
		{h.key, h.secret, 200, "arn:aws:iam::" + account + ":root"},
	} {
		caller = nil
		r := toOrchard("DescribeTree", `{"TreeId":"oak"}`)
		sigv4.Sign(r, sigv4.Credentials{AccessKeyID: tt.key, Secret: tt.secret}, region, "orchard", h.clock.Now(), sigv4.PayloadHash(bodyOf(r)))
		wantStatus(t, h.send(r), tt.status)
		if caller != nil && caller.ARN != tt.want || caller == nil && tt.want != "" {
			t.Errorf("%s is %v, want %s", tt.key, caller, tt.want)
		}
	}
}

func TestStreams(t *testing.T) {
	h := newHouse(t, func(c *door.Config) { c.Dev = true })
	put := func(body, hash string) *http.Request {
		r := request("PUT", "/2021-03-04/manifest", body)
		r.Header.Set("X-Amz-Content-Sha256", hash)
		sigv4.Sign(r, sigv4.Credentials{AccessKeyID: h.key, Secret: h.secret}, region, "ferry", h.clock.Now(), hash)
		return r
	}
	wantStatus(t, h.send(put("freight", sigv4.PayloadHash([]byte("freight")))), 200)
	wantStatus(t, h.send(put("freight", sigv4.UnsignedPayload)), 200)
	wantStatus(t, h.send(put("freight!", sigv4.PayloadHash([]byte("freight")))), 403)

	// A chunked body of an operation that does not stream is read as a whole, without its framing.
	chunked := func(key, chunks string) *http.Request {
		r := request("POST", "/2021-03-04/note", chunks, "X-Amz-Content-Sha256", sigv4.StreamingUnsigned, "X-Amz-Decoded-Content-Length", "4", "Content-Encoding", "aws-chunked")
		sigv4.Sign(r, sigv4.Credentials{AccessKeyID: key, Secret: h.secret}, region, "ferry", h.clock.Now(), sigv4.StreamingUnsigned)
		return r
	}
	for _, key := range []string{h.key, "stranger"} {
		wantStatus(t, h.send(chunked(key, "4\r\nnote\r\n0\r\n\r\n")), 200)
		wantStatus(t, h.send(chunked(key, "9\r\nnote\r\n0\r\n\r\n")), 400)
	}
	for _, e := range h.events() {
		if e.EventName == "PutNote" && e.RequestParameters["note"] != "note" {
			t.Errorf("recorded %v", e.RequestParameters)
		}
	}
}

// Buffers are used again: no call may see another's bytes.
func TestManyCallsAtOnce(t *testing.T) {
	h := newHouse(t)
	h.orchard.describe = func(c *call.Call, in *orchard.DescribeTreeRequest) (*orchard.Tree, error) {
		return &orchard.Tree{TreeId: in.TreeId}, c.Authorize(anything)
	}
	server := httptest.NewServer(h)
	defer server.Close()
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 30 {
				id := strings.Repeat(fmt.Sprintf("%d-%d.", w, i), 1+i*7)
				body := fmt.Sprintf(`{"TreeId":%q}`, id)
				r, _ := http.NewRequestWithContext(t.Context(), "POST", server.URL, strings.NewReader(body))
				r.Header.Set("X-Amz-Target", "Orchard_20200102.DescribeTree")
				r.Header.Set("Content-Type", "application/x-amz-json-1.0")
				sigv4.Sign(r, sigv4.Credentials{AccessKeyID: h.key, Secret: h.secret}, region, "orchard", h.clock.Now(), sigv4.PayloadHash([]byte(body)))
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				var got struct{ TreeIdentifier string }
				err = json.NewDecoder(resp.Body).Decode(&got)
				resp.Body.Close()
				if err != nil || got.TreeIdentifier != id && got.TreeIdentifier != "" {
					t.Errorf("asked for %.40s, answered %.40s, %v", id, got.TreeIdentifier, err)
				}
			}
		})
	}
	wg.Wait()
	if n := len(h.events()); n != 240 {
		t.Errorf("%d records, want 240", n)
	}
}

// A caller who hangs up does not undo what was decided.
func TestCallerHangsUp(t *testing.T) {
	h := newHouse(t)
	ctx, cancel := context.WithCancel(t.Context())
	h.orchard.plant = func(c *call.Call, in *orchard.PlantTreeRequest) (*orchard.PlantTreeResponse, error) {
		out, err := plants(c, in)
		cancel()
		return out, err
	}
	r := toOrchard("PlantTree", `{"Fruit":"APPLE","Age":1}`)
	h.sign(r, "orchard")
	wantStatus(t, h.send(r.WithContext(ctx)), 200)
	if h.get("tree") != "planted" || len(h.events()) != 1 {
		t.Errorf("stored %q, recorded %v", h.get("tree"), h.names())
	}
}

func TestUnbuiltOperationsAreAnsweredByName(t *testing.T) {
	h := newHouse(t)
	json := func(target string) *http.Request {
		return request("POST", "/", "{}", "X-Amz-Target", target, "Content-Type", "application/x-amz-json-1.1")
	}
	form := func(body string) *http.Request { return request("POST", "/", body, "Content-Type", formType) }
	for _, tt := range []struct {
		service, want string
		request       *http.Request
	}{
		{"dynamodb", "dynamodb:ListTables", json("DynamoDB_20120810.ListTables")},
		{"secretsmanager", "secretsmanager:ListSecrets", json("secretsmanager.ListSecrets")},
		{"iam", "iam:ListUsers", form("Action=ListUsers&Version=2010-05-08")},
		{"ec2", "ec2:DescribeInstances", form("Action=DescribeInstances&Version=2016-11-15")},
		{"lambda", "lambda:ListFunctions", request("GET", "/2015-03-31/functions/", "")},
		{"lambda", "lambda:Invoke", request("POST", "/2015-03-31/functions/f/invocations", "{}")},
		{"s3", "s3:CopyObject", request("PUT", "/bucket/key?x-id=CopyObject", "")},
		{"s3", "s3:PutObject", request("PUT", "/bucket/key", "bytes")},
		{"s3", "s3:ListBuckets", request("GET", "/?x-id=ListBuckets", "")},
		{"s3", "s3:PutObject", request("PUT", "/bucket/a%20key/below?x-id=PutObject", "bytes")},
		{"s3", "s3:GetBucketAcl", request("GET", "/bucket?acl", "")},
		{"monitoring", "cloudwatch:ListMetrics", request("POST", "/service/GraniteServiceVersion20100801/operation/ListMetrics", "\xa0", "Smithy-Protocol", "rpc-v2-cbor", "Content-Type", "application/cbor")},
		{"orchard", "orchard:FellTree", toOrchard("FellTree", "{}")},
		{"nothingknown", "nothingknown:GET /x", request("GET", "/x", "")},
	} {
		body := wantStatus(t, h.do(tt.request, tt.service), 501)
		// CBOR's answer is not text, but the message stands in it as it is.
		if want := "Holdfast does not implement " + tt.want; !strings.Contains(body, want) {
			t.Errorf("%s answered %q, want %q", tt.want, body, want)
		}
	}
}

// A stream that breaks off in the middle must not look whole to the caller.
func TestStreamThatBreaksOff(t *testing.T) {
	h := newHouse(t)
	server := httptest.NewServer(h)
	defer server.Close()
	get := func(results string) (string, error) {
		r, _ := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/2021-03-04/manifest?maxResults="+results, nil)
		sigv4.Sign(r, sigv4.Credentials{AccessKeyID: h.key, Secret: h.secret}, region, "ferry", h.clock.Now(), sigv4.EmptyPayload)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return string(b), err
	}
	if body, err := get("1"); err != nil || body != "freight" {
		t.Errorf("a whole stream: %q, %v", body, err)
	}
	if body, err := get("13"); err == nil {
		t.Errorf("a stream that broke off came as %q", body)
	}
}

// FuzzServe sends all sorts of requests, signed and not: none may panic, and none that is not signed may come to a handler.
func FuzzServe(f *testing.F) {
	f.Add("POST", "/", "X-Amz-Target", "Orchard_20200102.DescribeTree", `{"TreeId":"oak"}`, "application/x-amz-json-1.0")
	f.Add("POST", "/", "Authorization", "AWS4-HMAC-SHA256 Credential=x/20261126/us-east-1/orchard/aws4_request, SignedHeaders=host, Signature=x", "Action=GetDay&Version=2010-07-08", formType)
	f.Add("POST", "/service/Beacon_20231112/operation/PutSignal", "Smithy-Protocol", "rpc-v2-cbor", "\xa0", "application/cbor")
	f.Add("PUT", "/2021-03-04/lines/a/berths/b/c?book&deck=1", "X-Ferry-Weight", "1.5", "{}", "application/json")
	f.Add("GET", "/?Action=GetDay&Version=2010-07-08", "X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "", "")
	h := newHouse(f, func(c *door.Config) { c.Dev = true })
	asked := false
	h.orchard.describe = func(c *call.Call, in *orchard.DescribeTreeRequest) (*orchard.Tree, error) {
		asked = true
		return &orchard.Tree{TreeId: in.TreeId}, c.Authorize(anything)
	}
	f.Fuzz(func(t *testing.T, method, target, key, value, body, contentType string) {
		r, err := http.NewRequest(method, "http://127.0.0.1"+target, strings.NewReader(body))
		if err != nil {
			t.Skip()
		}
		r.Header[http.CanonicalHeaderKey(key)] = []string{value}
		r.Header.Set("Content-Type", contentType)
		asked = false
		if resp := h.send(r); resp.StatusCode < 400 && asked && r.Header.Get("Authorization") == "" && !strings.Contains(target, "X-Amz") {
			t.Errorf("an unsigned request was answered %d", resp.StatusCode)
		}
		r.Header.Del("Authorization")
		r.Body = io.NopCloser(strings.NewReader(body))
		sigv4.Sign(r, sigv4.Credentials{AccessKeyID: h.key, Secret: h.secret}, region, "orchard", h.clock.Now(), sigv4.PayloadHash([]byte(body)))
		h.send(r)
		for _, line := range h.log.errors() {
			if strings.Contains(fmt.Sprint(line["cause"]), "panic") {
				t.Fatalf("%v", line)
			}
		}
	})
}

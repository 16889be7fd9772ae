package door_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/almanac"
	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/orchard"
	"github.com/holdfast-cloud/holdfast/store/storetest"
	"github.com/holdfast-cloud/holdfast/wire"
)

// asks is a house where planting a tree sets a day in the almanac; then decides what becomes of the call.
func asks(t *testing.T, then func(c *call.Call, err error) error) *house {
	h := newHouse(t)
	client := almanac.Client{Transport: h}
	h.orchard.plant = func(c *call.Call, in *orchard.PlantTreeRequest) (*orchard.PlantTreeResponse, error) {
		c.Open("a test")
		put(c.Tx(), "tree", "planted")
		_, err := client.SetDay(c, &almanac.GetDayResult{})
		return &orchard.PlantTreeResponse{}, then(c, err)
	}
	return h
}

func setsDay(c *call.Call, _ *almanac.GetDayResult) (*almanac.SetDayResponse, error) {
	if err := c.Authorize(anything); err != nil {
		return nil, err
	}
	put(c.Tx(), "day", "set")
	return &almanac.SetDayResponse{}, nil
}

func pass(_ *call.Call, err error) error { return err }

func TestInvoke(t *testing.T) {
	h := asks(t, pass)
	h.almanac.setDay = func(c *call.Call, in *almanac.GetDayResult) (*almanac.SetDayResponse, error) {
		if via, ok := c.ViaService(); !ok || via != "orchard.us-east-1.amazonaws.com" {
			t.Errorf("ViaService() = %s, %v", via, ok)
		}
		if v, err := c.Tx().Get([]byte("test/tree")); err != nil || string(v) != "planted" {
			t.Errorf("the inner call does not see what the outer wrote: %q, %v", v, err)
		}
		if c.Service() != "almanac" || c.Op != almanac.OpSetDay || c.Caller.Account != account {
			t.Errorf("the inner call is of %s, %s, %s", c.Service(), c.Op.Name, c.Caller.Account)
		}
		return setsDay(c, in)
	}
	wantStatus(t, h.plantTree(), 200)
	if h.get("tree") != "planted" || h.get("day") != "set" {
		t.Errorf("stored %q and %q", h.get("tree"), h.get("day"))
	}
	events := h.events()
	if d := cmp.Diff([]string{"SetDay", "PlantTree"}, sorted2(h.names())); d != "" {
		t.Fatalf("recorded (-want +got):\n%s", d)
	}
	for _, e := range events {
		inner := e.EventName == "SetDay"
		if inner != (e.SourceIPAddress == "orchard.amazonaws.com") || inner != (e.UserIdentity.InvokedBy == "orchard.amazonaws.com") {
			t.Errorf("record %+v", e)
		}
	}
}

func sorted2(s []string) []string {
	s = sorted(s)
	for i, j := 0, len(s)-1; i < j; i, j = i+1, j-1 {
		s[i], s[j] = s[j], s[i]
	}
	return s
}

func TestInvokeThatFails(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fail  func(c *call.Call) error
		inner string // the record's code
	}{
		{"Modelled", func(c *call.Call) error { return &wire.Error{Code: "Storm", Status: 400} }, "Storm"},
		{"Plain", func(c *call.Call) error { return errors.New("the inner reason") }, "InternalFailure"},
		{"Panic", func(c *call.Call) error { panic("the inner reason") }, "InternalFailure"},
		{"Denied", func(c *call.Call) error {
			return c.Authorize(&call.Resource{ARN: "*", Policy: mustParse(t, `{"Statement":{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}}`)})
		}, "AccessDenied"},
		{"NeverAsked", func(c *call.Call) error { return nil }, "InternalFailure"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// What it wrote is taken back, what the outer call wrote stays.
			h := asks(t, func(c *call.Call, err error) error {
				if err == nil {
					t.Error("the inner call succeeded")
				}
				return nil
			})
			h.almanac.setDay = func(c *call.Call, _ *almanac.GetDayResult) (*almanac.SetDayResponse, error) {
				put(c.Tx(), "day", "set")
				put(c.Tx(), "tree", "felled")
				return &almanac.SetDayResponse{}, tt.fail(c)
			}
			wantStatus(t, h.plantTree(), 200)
			if h.get("tree") != "planted" || h.get("day") != "" {
				t.Errorf("stored %q and %q", h.get("tree"), h.get("day"))
			}
			if d := cmp.Diff([]string{"SetDay!" + tt.inner, "PlantTree"}, sorted2(h.names())); d != "" {
				t.Errorf("recorded (-want +got):\n%s", d)
			}
		})
		t.Run(tt.name+"Passed", func(t *testing.T) {
			h := asks(t, pass)
			h.almanac.setDay = func(c *call.Call, _ *almanac.GetDayResult) (*almanac.SetDayResponse, error) {
				return &almanac.SetDayResponse{}, tt.fail(c)
			}
			if body := wantStatus(t, h.plantTree(), map[bool]int{true: 500, false: 400}[tt.inner == "InternalFailure"]); strings.Contains(body, "inner reason") {
				t.Errorf("answered %s", body)
			}
			if h.get("tree") != "" {
				t.Errorf("stored %q", h.get("tree"))
			}
		})
	}
}

// When the outer call fails, the inner one's change is taken back, and its record says so.
func TestInvokeTakenBack(t *testing.T) {
	h := asks(t, func(*call.Call, error) error { return errors.New("the outer reason") })
	h.almanac.setDay = setsDay
	wantStatus(t, h.plantTree(), 500)
	if h.get("tree") != "" || h.get("day") != "" {
		t.Errorf("stored %q and %q", h.get("tree"), h.get("day"))
	}
	if d := cmp.Diff([]string{"SetDay!TransactionCanceled", "PlantTree!InternalFailure"}, sorted2(h.names())); d != "" {
		t.Errorf("recorded (-want +got):\n%s", d)
	}
}

func TestInvokeMeetsAConflict(t *testing.T) {
	h := asks(t, pass)
	h.almanac.setDay = setsDay
	h.store.Fail(storetest.Conflict)
	wantStatus(t, h.plantTree(), 200)
	if d := cmp.Diff([]string{"SetDay", "PlantTree"}, sorted2(h.names())); d != "" {
		t.Errorf("recorded (-want +got):\n%s", d)
	}
}

// A call that goes on in another region is on record there if it succeeds; a refusal there is one of the call.
func TestElsewhere(t *testing.T) {
	h := newHouse(t)
	oak := &call.Resource{ARN: "arn:aws:orchard:eu-west-1:" + account + ":tree/oak", Type: "AWS::Orchard::Tree"}
	var ask func(there *call.Call) error
	h.orchard.plant = func(c *call.Call, _ *orchard.PlantTreeRequest) (*orchard.PlantTreeResponse, error) {
		c.Open("a test")
		there := c.In("eu-west-1", orchard.OpPing)
		put(there.Tx(), "tree", there.Scope.Region)
		err := ask(there)
		c.ServiceEvent("First", nil)
		c.ServiceEvent("Second", nil)
		return &orchard.PlantTreeResponse{}, err
	}
	ask = func(there *call.Call) error { return there.Authorize(oak) }
	wantStatus(t, h.plantTree(), 200)
	if d := cmp.Diff([]string{"First in us-east-1", "Ping in eu-west-1", "PlantTree in us-east-1", "Second in us-east-1"}, h.places()); d != "" || h.get("tree") != "eu-west-1" {
		t.Errorf("stored %q, recorded (-want +got):\n%s", h.get("tree"), d)
	}
	ask = func(there *call.Call) error { _ = there.Refuse("orchard:Ping", "there"); return nil } // the handler goes on all the same
	wantStatus(t, h.plantTree(), 400)
	if got := h.places(); len(got) != 5 || !slices.Contains(got, "PlantTree!AccessDenied in us-east-1") {
		t.Errorf("recorded %v", got)
	}
}

// places lists the events with the regions that they are recorded in, sorted.
func (h *house) places() (out []string) {
	for i, e := range h.events() {
		out = append(out, h.names()[i]+" in "+e.AWSRegion)
	}
	slices.Sort(out)
	return out
}

func TestInvokeValidates(t *testing.T) {
	h := newHouse(t)
	h.orchard.describe = func(c *call.Call, _ *orchard.DescribeTreeRequest) (*orchard.Tree, error) {
		c.Open("a test")
		_, err := orchard.Client{Transport: h}.PlantTree(c, &orchard.PlantTreeRequest{})
		return nil, err
	}
	wantStatus(t, h.describeTree(), 400)
}

// A service calls for itself, with its own rights and in its own account.
func TestInvokeAsService(t *testing.T) {
	h := newHouse(t)
	h.orchard.plant = func(c *call.Call, _ *orchard.PlantTreeRequest) (*orchard.PlantTreeResponse, error) {
		c.Open("a test")
		_, err := almanac.Client{Transport: h}.SetDay(c.AsService(), &almanac.GetDayResult{})
		return &orchard.PlantTreeResponse{}, err
	}
	var caller *identity.Principal
	h.almanac.setDay = func(c *call.Call, in *almanac.GetDayResult) (*almanac.SetDayResponse, error) {
		caller = c.Caller
		c.Open("a test")
		put(c.Tx(), "day", c.Scope.Account)
		if len(c.Via) > 0 {
			t.Errorf("Via = %v", c.Via)
		}
		return &almanac.SetDayResponse{}, nil
	}
	wantStatus(t, h.plantTree(), 200)
	if caller == nil || caller.ServiceName != "orchard.amazonaws.com" || h.get("day") != call.OwnAccount {
		t.Errorf("called by %+v in account %s", caller, h.get("day"))
	}
}

// Services call each other from inside: what a VPC endpoint lets through is not asked of what follows from it, and its name opens nothing there. A session
// that a service has is no caller whose call it passes on. Each call is on record with the service that made it.
func TestInvokeFromInside(t *testing.T) {
	h := newHouse(t)
	endpoint, err := policy.Parse([]byte(`{"Statement":{"Effect":"Allow","Principal":"*","Action":"orchard:*","Resource":"*"}}`), policy.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	session := identity.Root("aws", account, "")
	var as func(*call.Call) *call.Call
	h.orchard.plant = func(c *call.Call, _ *orchard.PlantTreeRequest) (*orchard.PlantTreeResponse, error) {
		if err := c.Authorize(anything); err != nil {
			return nil, err
		}
		if c.Source.VPCEndpoint != "vpce-1" {
			t.Errorf("came from %+v", c.Source)
		}
		_, err := almanac.Client{Transport: h}.SetDay(as(c), &almanac.GetDayResult{})
		return &orchard.PlantTreeResponse{}, err
	}
	var via []string
	h.almanac.setDay = func(c *call.Call, _ *almanac.GetDayResult) (*almanac.SetDayResponse, error) {
		via = c.Via
		if s := c.Source; s.VPCEndpoint != "" || s.VPC != "" || s.Endpoint != nil {
			t.Errorf("the inner call came from %+v", s)
		}
		c.Open("a test")
		return &almanac.SetDayResponse{}, nil
	}
	for _, tt := range []struct {
		name string
		as   func(*call.Call) *call.Call
		via  []string
	}{
		{"PassedOn", func(c *call.Call) *call.Call { return c }, []string{"orchard.amazonaws.com"}},
		{"BySession", func(c *call.Call) *call.Call { return c.As(session) }, nil},
		{"AsService", func(c *call.Call) *call.Call { return c.AsService() }, nil},
	} {
		as, via = tt.as, []string{"nobody"}
		r := toOrchard("PlantTree", `{"Fruit":"APPLE","Age":1}`)
		r = r.WithContext(door.Through(r.Context(), &door.VPCEndpoint{ID: "vpce-1", VPC: "vpc-1", Policy: endpoint}))
		wantStatus(t, h.do(r, "orchard"), 200)
		if d := cmp.Diff(tt.via, via); d != "" {
			t.Errorf("%s: Via (-want +got):\n%s", tt.name, d)
		}
	}
	for _, e := range h.events() {
		if e.EventName == "SetDay" && (e.UserIdentity.InvokedBy != "orchard.amazonaws.com" || e.SourceIPAddress != "orchard.amazonaws.com") {
			t.Errorf("record %+v", e)
		}
	}
}

package door_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/evidence"
	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/almanac"
	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/orchard"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store/storetest"
)

const denyAll = `{"Statement":{"Sid":"Nobody","Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}}`

// witness is a house that keeps evidence, and what it keeps it with.
func witness(t *testing.T) (*house, *seal.Keyring) {
	keys := seal.Ephemeral()
	return newHouse(t, func(cfg *door.Config) { cfg.Evidence = evidence.New(evidence.Config{Store: cfg.Store, Seal: keys}) }), keys
}

// found are the records of the request that an ID leads to: the names of the calls, with the traces as they are read again.
func (h *house) found(id string) (names []string, traces []*evidence.Asked) {
	h.t.Helper()
	found, err := h.trail.Find(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, f := range found {
		var e event
		if err := json.Unmarshal(f.Record, &e); err != nil {
			h.t.Fatal(err)
		}
		a, err := evidence.Parse(f.Trace)
		if err != nil {
			h.t.Fatal(err)
		}
		names, traces = append(names, e.RecipientAccountID+" "+e.EventName), append(traces, a)
	}
	return names, traces
}

func TestDeniedCallerIsToldWhy(t *testing.T) {
	h, keys := witness(t)
	deny := func(c *call.Call) error {
		return c.Authorize(&call.Resource{ARN: "arn:aws:orchard:us-east-1:111122223333:tree/oak", Policy: mustParse(t, denyAll)})
	}
	h.orchard.describe = func(c *call.Call, _ *orchard.DescribeTreeRequest) (*orchard.Tree, error) { return nil, deny(c) }
	h.depot.describe = deny

	resp := h.describeTree()
	wantStatus(t, resp, 400)
	id, message := resp.Header.Get("X-Holdfast-Why"), resp.Header.Get("X-Holdfast-Authorization-Message")
	names, traces := h.found(id)
	if len(names) != 1 || names[0] != account+" DescribeTree" || len(traces[0].Asked) != 1 || traces[0].Asked[0].Outcome != "explicitDeny" {
		t.Errorf("%s leads to %v %+v", id, names, traces)
	}
	document, err := evidence.Decode(keys, account, message)
	// The statement is the resource's: it is not for the caller's policies to tell.
	if err != nil || !strings.Contains(document, `"explicitDeny":true`) || !strings.Contains(document, "tree/oak") || strings.Contains(document, "Nobody") {
		t.Errorf("the message says %s, %v", document, err)
	}

	resp = h.do(request("POST", "/", "Action=DescribeWagons&Version=2016-09-10", "Content-Type", formType), "depot")
	body := wantStatus(t, resp, 403)
	if m := resp.Header.Get("X-Holdfast-Authorization-Message"); m == "" || !strings.Contains(body, ". Encoded authorization failure message: "+m+"<") {
		t.Errorf("EC2's words are missing in %s", body)
	}
	for _, e := range h.events() {
		if strings.Contains(e.ErrorMessage, "Encoded") {
			t.Error("the record has the message, too")
		}
	}
}

func TestOthersAreToldNothing(t *testing.T) {
	h, _ := witness(t)
	for name, describe := range map[string]func(c *call.Call) error{
		"Allowed": func(c *call.Call) error { return c.Authorize(anything) },
		"Failed":  func(c *call.Call) error { return errors.Join(c.Authorize(anything), errors.New("something else")) },
	} {
		h.orchard.describe = func(c *call.Call, _ *orchard.DescribeTreeRequest) (*orchard.Tree, error) {
			return &orchard.Tree{}, describe(c)
		}
		resp := h.describeTree()
		if resp.Header.Get("X-Holdfast-Why")+resp.Header.Get("X-Holdfast-Authorization-Message") != "" {
			t.Errorf("%s: %v", name, resp.Header)
		}
	}
}

// What services ask in a call leads to the same place, and a copy for another account does.
func TestTraceOfInnerCallsAndCopies(t *testing.T) {
	h, _ := witness(t)
	const other = "444455556666"
	h.orchard.plant = func(c *call.Call, _ *orchard.PlantTreeRequest) (*orchard.PlantTreeResponse, error) {
		if err := c.AuthorizeAction("orchard:Dig", anything); err != nil {
			return nil, err
		}
		if _, err := (almanac.Client{Transport: h}).SetDay(c, &almanac.GetDayResult{}); err != nil {
			return nil, err
		}
		own := c.AsService()
		if err := own.AuthorizeAction("orchard:Water", &call.Resource{ARN: "*", Policy: mustParse(t, `{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}`)}); err != nil {
			return nil, err
		}
		put(c.Tx(), "tree", "planted")
		return &orchard.PlantTreeResponse{}, nil
	}
	h.almanac.setDay = func(c *call.Call, _ *almanac.GetDayResult) (*almanac.SetDayResponse, error) {
		return &almanac.SetDayResponse{}, c.Authorize(&call.Resource{
			ARN: "arn:aws:almanac::" + other + ":day/1", Account: other, Type: "AWS::Almanac::Day", Policy: mustParse(t, `{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}`),
		})
	}
	wantStatus(t, h.plantTree(), 200)
	events := h.events()
	if len(events) != 3 {
		t.Fatalf("recorded %v", h.names())
	}
	ids := make(map[string]bool)
	for _, e := range events {
		ids[e.EventID] = true
		if e.SharedEventID != "" {
			ids[e.SharedEventID] = true
		}
	}
	if len(ids) != 4 {
		t.Errorf("%d IDs", len(ids))
	}
	for id := range ids {
		names, traces := h.found(id)
		if len(names) != 3 {
			t.Fatalf("%s leads to %v", id, names)
		}
		for i, a := range traces {
			switch names[i] {
			case account + " PlantTree":
				if len(a.Asked) != 2 || a.Asked[0].Action != "orchard:Dig" || a.Asked[1].As == nil || a.Asked[1].As.ServiceName != "orchard.amazonaws.com" {
					t.Errorf("PlantTree asked %+v", a.Asked)
				}
			case account + " SetDay", other + " SetDay":
				if len(a.Asked) != 1 || a.Asked[0].Action != "almanac:SetDay" || a.Asked[0].ResourcePolicy == "" || a.Asked[0].Owner != other {
					t.Errorf("%s asked %+v", names[i], a.Asked)
				}
			default:
				t.Errorf("a record of %s", names[i])
			}
		}
	}
}

// A call whose policies cannot be kept is not answered, unless that is wanted.
func TestEvidenceThatIsLost(t *testing.T) {
	for _, keepOn := range []bool{false, true} {
		faulty := func(cfg *door.Config) {
			s := storetest.NewFaulty(cfg.Store)
			for range 10 {
				s.Fail(storetest.Full)
			}
			cfg.Evidence = evidence.New(evidence.Config{Store: s, KeepOn: keepOn})
		}
		h := newHouse(t, faulty)
		h.orchard.describe = func(c *call.Call, _ *orchard.DescribeTreeRequest) (*orchard.Tree, error) {
			return &orchard.Tree{}, c.Authorize(&call.Resource{ARN: "*", Policy: mustParse(t, `{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}`)})
		}
		status := 500
		if keepOn {
			status = 200
		}
		wantStatus(t, h.describeTree(), status)
	}
}

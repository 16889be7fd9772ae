package door_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/orchard"
	"github.com/holdfast-cloud/holdfast/sigv4"
)

// remodel opens the house's door again, with the orchard made another room.
func (h *house) remodel(change func(*door.Room), options ...option) {
	h.t.Helper()
	service := *orchard.Service
	room := door.Room{Service: &service, Endpoints: orchard.Endpoints(&h.orchard), Timers: h.timers}
	change(&room)
	cfg := h.cfg
	for _, o := range options {
		o(&cfg)
	}
	d, err := door.New(cfg, room)
	if err != nil {
		h.t.Fatal(err)
	}
	h.Door = d
}

func (h *house) plantFrom(region string) {
	h.t.Helper()
	r := toOrchard("PlantTree", `{"Fruit":"APPLE","Age":1}`)
	sigv4.Sign(r, sigv4.Credentials{AccessKeyID: h.key, Secret: h.secret}, region, "orchard", h.clock.Now(), sigv4.PayloadHash(bodyOf(r)))
	if resp := h.send(r); resp.StatusCode != 200 {
		h.t.Errorf("planting from %s was answered %d", region, resp.StatusCode)
	}
}

// records are the audit records as they are, oldest first.
func (h *house) records() (out []map[string]any) {
	h.t.Helper()
	raw, err := h.trail.Events(context.Background(), audit.Filter{})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, r := range raw {
		var m map[string]any
		if err := json.Unmarshal(r, &m); err != nil {
			h.t.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}

func TestDataEvents(t *testing.T) {
	h := newHouse(t)
	h.orchard.plant = func(c *call.Call, _ *orchard.PlantTreeRequest) (*orchard.PlantTreeResponse, error) {
		return &orchard.PlantTreeResponse{}, c.Authorize(anything)
	}
	h.remodel(func(r *door.Room) { r.DataEvents = map[string]bool{"PlantTree": true} })
	h.plantFrom(region)
	wantStatus(t, h.describeTree(), 200)
	for _, r := range h.records() {
		want := []any{true, "Management"}
		if r["eventName"] == "PlantTree" {
			want = []any{false, "Data"}
		}
		if got := []any{r["managementEvent"], r["eventCategory"]}; !slices.Equal(got, want) {
			t.Errorf("%s is on record as %v, want %v", r["eventName"], got, want)
		}
	}
	found, err := h.trail.Lookup(t.Context(), audit.Query{Account: account, Region: region, From: epoch.Add(-1), To: epoch.Add(1), Limit: 10})
	if err != nil || len(found.Events) != 1 || !strings.Contains(string(found.Events[0].Record), "DescribeTree") {
		t.Errorf("the event history has %d events, %v, want DescribeTree alone", len(found.Events), err)
	}
}

// Global services have their events in the partition's first region, whichever region is called, and where that is served.
func TestGlobalServicesRecordInOneRegion(t *testing.T) {
	h := newHouse(t)
	h.orchard.plant = func(c *call.Call, _ *orchard.PlantTreeRequest) (*orchard.PlantTreeResponse, error) {
		c.ServiceEvent("TreePlanted", nil)
		return &orchard.PlantTreeResponse{}, c.Authorize(anything)
	}
	global := func(r *door.Room) { r.Service.Global = true }
	h.remodel(global)
	h.plantFrom("eu-west-1")
	h.remodel(func(*door.Room) {})
	h.plantFrom("eu-west-1")
	h.remodel(global, func(cfg *door.Config) { cfg.Peers = onlyHere("eu-west-1"); cfg.Region = "eu-west-1" })
	h.plantFrom("eu-west-1")
	var got []string
	for _, e := range h.events() {
		got = append(got, e.EventName+" "+e.AWSRegion)
	}
	want := []string{
		"PlantTree us-east-1", "TreePlanted us-east-1", "PlantTree eu-west-1", "TreePlanted eu-west-1", "PlantTree eu-west-1", "TreePlanted eu-west-1",
	}
	if d := cmp.Diff(slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got))); d != "" {
		t.Errorf("recorded (-want +got):\n%s", d)
	}
}

// In the records of the account that owns what was used, the caller is an account and an identifier.
func TestCallersOfOtherAccounts(t *testing.T) {
	h := newHouse(t)
	const other = "444455556666"
	h.orchard.plant = func(c *call.Call, _ *orchard.PlantTreeRequest) (*orchard.PlantTreeResponse, error) {
		c.AdditionalEventData([]byte(`{"soil":"sand"}`))
		c.ServiceEvent("TreePlanted", nil)
		return &orchard.PlantTreeResponse{}, c.Authorize(&call.Resource{
			ARN: "arn:aws:orchard::" + other + ":tree/oak", Account: other, Type: "AWS::Orchard::Tree", Policy: mustParse(t, `{"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}}`),
		})
	}
	r := toOrchard("PlantTree", `{"Fruit":"APPLE","Age":1}`)
	h.do(r.WithContext(door.Through(r.Context(), &door.VPCEndpoint{ID: "vpce-1", VPC: "vpc-1"})), "orchard")
	root := map[string]any{"type": "Root", "principalId": account, "arn": "arn:aws:iam::" + account + ":root", "accountId": account, "accessKeyId": h.key}
	service := map[string]any{"type": "AWSService", "invokedBy": "orchard.amazonaws.com"}
	want := map[string]map[string]any{
		account + " PlantTree":   root,
		other + " PlantTree":     {"type": "AWSAccount", "principalId": account, "accountId": account},
		account + " TreePlanted": service,
		other + " TreePlanted":   service,
	}
	got := make(map[string]map[string]any)
	for _, r := range h.records() {
		got[r["recipientAccountId"].(string)+" "+r["eventName"].(string)] = r["userIdentity"].(map[string]any)
		planted := r["eventName"] == "PlantTree"
		if (r["vpcEndpointId"] == "vpce-1" && r["vpcEndpointAccountId"] == account) != planted {
			t.Errorf("%s came through %v of %v", r["eventName"], r["vpcEndpointId"], r["vpcEndpointAccountId"])
		}
		if _, ok := r["additionalEventData"].(map[string]any); ok != planted {
			t.Errorf("%s has additional data %v", r["eventName"], r["additionalEventData"])
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("userIdentity (-want +got):\n%s", d)
	}
}

// onlyHere are peers of a process that serves one region.
type onlyHere string

func (o onlyHere) Serves(region string) bool                    { return region == string(o) }
func (onlyHere) Credential(string) (*identity.Credential, bool) { return nil, false }

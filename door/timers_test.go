package door_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/almanac"
	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/orchard"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/storetest"
	"github.com/holdfast-cloud/holdfast/timer"
)

// sets has the handler of PlantTree set a timer.
func (h *house) sets(kind string, after time.Duration) {
	h.orchard.plant = func(c *call.Call, _ *orchard.PlantTreeRequest) (*orchard.PlantTreeResponse, error) {
		c.Open("a test")
		return &orchard.PlantTreeResponse{}, c.At(c.Time.Add(after), c.Scope, kind, "oak", []byte("acorn"))
	}
	h.t.Helper()
	if resp := h.plantTree(); resp.StatusCode != 200 {
		h.t.Fatalf("setting a timer answered %d", resp.StatusCode)
	}
}

func (h *house) advance(d time.Duration) {
	h.t.Helper()
	if err := h.scheduler.MoveTo(h.t.Context(), h.clock, h.clock.Now().Add(d)); err != nil {
		h.t.Fatal(err)
	}
}

func TestTimerFiresOnce(t *testing.T) {
	h := newHouse(t)
	fired := 0
	h.timers["grow"] = func(c *call.Call, subject string, payload []byte) error {
		fired++
		if subject != "oak" || string(payload) != "acorn" || !c.Time.Equal(epoch.Add(time.Hour)) || c.Scope.Account != account || c.Scope.Region != region ||
			c.Caller.Kind != policy.Service || c.Caller.ServiceName != "orchard.amazonaws.com" {
			t.Errorf("fired for %s with %q at %s in %+v as %+v", subject, payload, c.Time, c.Scope, c.Caller)
		}
		put(c.Tx(), "tree", "grown")
		c.Raise(call.Event{Name: "TreeFell", Additional: []byte(`{"tree":"elm"}`), ErrorMessage: "storm", RequestID: "winter"})
		c.ServiceEvent("TreeGrown", []byte(`{"tree":"oak"}`))
		return nil
	}
	h.sets("grow", time.Hour)
	h.advance(time.Hour - 1)
	if fired != 0 {
		t.Error("it fired too early")
	}
	h.advance(48 * time.Hour)
	if fired != 1 || h.get("tree") != "grown" {
		t.Errorf("fired %d times, stored %q", fired, h.get("tree"))
	}
	events := h.events()
	fell, grown := events[len(events)-2], events[len(events)-1]
	if fell.EventName == "TreeGrown" { // they are of one instant, and in no order
		fell, grown = grown, fell
	}
	if fell.EventName != "TreeFell" || fell.EventType != "AwsServiceEvent" || fell.AdditionalEventData["tree"] != "elm" || fell.ErrorMessage != "storm" ||
		fell.RequestID != "winter" || fell.ServiceEventDetails != nil {
		t.Errorf("recorded %+v", fell)
	}
	if grown.EventName != "TreeGrown" || grown.EventType != "AwsServiceEvent" || grown.UserIdentity.InvokedBy != "orchard.amazonaws.com" || grown.RecipientAccountID != account ||
		grown.ServiceEventDetails["tree"] != "oak" {
		t.Errorf("recorded %+v", grown)
	}
}

func TestTimerIsTriedAgain(t *testing.T) {
	h := newHouse(t)
	var at []time.Duration
	h.timers["grow"] = func(c *call.Call, _ string, _ []byte) error {
		put(c.Tx(), "tree", "half grown")
		at = append(at, c.Time.Sub(epoch))
		switch len(at) {
		case 1:
			return errors.New("no rain")
		case 2:
			panic("no sun")
		}
		put(c.Tx(), "tree", "grown")
		return nil
	}
	h.sets("grow", time.Hour)
	h.advance(time.Hour)
	if h.get("tree") != "" {
		t.Errorf("a timer that failed wrote %q", h.get("tree"))
	}
	h.advance(time.Hour)
	if want := []time.Duration{time.Hour, time.Hour + time.Second, time.Hour + 3*time.Second}; !slices.Equal(at, want) || h.get("tree") != "grown" {
		t.Errorf("fired at %v, want %v; stored %q", at, want, h.get("tree"))
	}
	if n := len(h.log.errors()); n != 2 {
		t.Errorf("logged %d errors, want 2", n)
	}
}

func TestTimerWithoutAHandlerIsKept(t *testing.T) {
	h := newHouse(t)
	h.sets("grow", time.Hour)
	h.advance(24 * time.Hour)
	if len(h.log.errors()) == 0 {
		t.Error("nothing was logged")
	}
	fired := 0
	h.timers["grow"] = func(*call.Call, string, []byte) error { fired++; return nil } // a newer release has it again
	h.advance(2 * time.Hour)
	if fired != 1 {
		t.Errorf("fired %d times", fired)
	}
}

func TestTimerIsSetAnewOrCancelled(t *testing.T) {
	h := newHouse(t)
	var at []time.Duration
	h.timers["grow"] = func(c *call.Call, _ string, _ []byte) error { at = append(at, c.Time.Sub(epoch)); return nil }
	h.sets("grow", time.Hour)
	h.sets("grow", 3*time.Hour)
	h.advance(4 * time.Hour)
	if d := cmp.Diff([]time.Duration{3 * time.Hour}, at); d != "" {
		t.Errorf("fired (-want +got):\n%s", d)
	}
	h.sets("grow", time.Hour)
	h.orchard.plant = func(c *call.Call, _ *orchard.PlantTreeRequest) (*orchard.PlantTreeResponse, error) {
		c.Open("a test")
		return &orchard.PlantTreeResponse{}, errors.Join(c.Cancel(c.Scope, "grow", "oak"), c.Cancel(c.Scope, "grow", "ash"))
	}
	wantStatus(t, h.plantTree(), 200)
	h.advance(24 * time.Hour)
	if len(at) != 1 {
		t.Errorf("fired at %v", at)
	}
}

// A timer of a call that failed was never set.
func TestTimerBelongsToItsTransaction(t *testing.T) {
	h := newHouse(t)
	h.orchard.plant = func(c *call.Call, _ *orchard.PlantTreeRequest) (*orchard.PlantTreeResponse, error) {
		return nil, errors.Join(c.At(c.Time, c.Scope, "grow", "oak", nil), errors.New("no"))
	}
	wantStatus(t, h.plantTree(), 500)
	h.timers["grow"] = func(*call.Call, string, []byte) error { t.Error("it fired"); return nil }
	h.advance(time.Hour)
}

func TestTimerMeetsTheStoresFaults(t *testing.T) {
	h := newHouse(t)
	fired := 0
	h.timers["grow"] = func(c *call.Call, _ string, _ []byte) error { fired++; put(c.Tx(), "tree", "grown"); return nil }
	h.sets("grow", time.Hour)
	// A conflict; then a commit that took effect and was reported as failed: that must not fire it again.
	h.store.Fail(storetest.Conflict, storetest.LostReply)
	h.advance(24 * time.Hour)
	if fired != 2 || h.get("tree") != "grown" {
		t.Errorf("fired %d times, want 2; stored %q", fired, h.get("tree"))
	}
}

// Two nodes see the same timer; one of them carries it out.
func TestTimerIsTakenOnce(t *testing.T) {
	h := newHouse(t)
	fired := 0
	h.timers["grow"] = func(*call.Call, string, []byte) error { fired++; return nil }
	seen := timer.Timer{ID: timer.ID{Service: "orchard", Account: account, Region: region, Kind: "grow", Subject: "oak"}, Due: epoch, Wanted: epoch}
	if err := h.store.Update(t.Context(), func(tx store.Tx) error { return timer.Set(tx, seen.ID, epoch, nil) }); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := h.Fire(t.Context(), &seen); err != nil {
			t.Errorf("Fire: %v", err)
		}
	}
	if fired != 1 {
		t.Errorf("fired %d times", fired)
	}
}

func TestTimerCallsAnotherService(t *testing.T) {
	h := newHouse(t)
	h.almanac.setDay = setsDay
	h.timers["grow"] = func(c *call.Call, _ string, _ []byte) error {
		_, err := almanac.Client{Transport: h}.SetDay(c, &almanac.GetDayResult{})
		if err == nil {
			t.Error("a service without rights was let in")
		}
		h.almanac.setDay = func(c *call.Call, _ *almanac.GetDayResult) (*almanac.SetDayResponse, error) {
			c.Open("a test")
			put(c.Tx(), "day", "set")
			return &almanac.SetDayResponse{}, nil
		}
		_, err = almanac.Client{Transport: h}.SetDay(c, &almanac.GetDayResult{})
		return err
	}
	h.sets("grow", time.Hour)
	h.advance(time.Hour)
	if d := cmp.Diff([]string{"PlantTree", "SetDay", "SetDay!AccessDenied"}, sorted(h.names())); d != "" || h.get("day") != "set" {
		t.Errorf("stored %q, recorded (-want +got):\n%s", h.get("day"), d)
	}
}

package door_test

import (
	"errors"
	"testing"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/almanac"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

const tree = "arn:aws:orchard:us-east-1:" + account + ":tree/oak"

func TestAsk(t *testing.T) {
	h := newHouse(t)
	ask := func() error {
		_, err := h.Ask(t.Context(), "orchard", "eu-west-1", tree, almanac.OpSetDay, &almanac.GetDayResult{})
		return err
	}

	t.Run("OK", func(t *testing.T) {
		runs := 0
		h.almanac.setDay = func(c *call.Call, in *almanac.GetDayResult) (*almanac.SetDayResponse, error) {
			if runs++; runs == 1 {
				if _, err := c.Tx().Get([]byte("test/day")); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("reading what is not there: %v", err)
				}
				if !c.Release() || c.Begun() != nil {
					t.Error("the transaction was not released")
				}
				return nil, call.ErrAgain
			}
			if c.Caller.Kind != policy.Service || c.Source.ARN != tree || c.Scope.Region != "eu-west-1" || c.Scope.Account != call.OwnAccount {
				t.Errorf("asked as %v for %s in %v", c.Caller, c.Source.ARN, c.Scope)
			}
			c.Open("a test")
			put(c.Tx(), "day", "set")
			return &almanac.SetDayResponse{}, nil
		}
		if err := ask(); err != nil || runs != 2 || h.get("day") != "set" {
			t.Errorf("%v after %d runs, stored %q", err, runs, h.get("day"))
		}
		if r := h.events(); len(r) != 1 || r[0].EventName != "SetDay" || r[0].SourceIPAddress != "orchard.amazonaws.com" {
			t.Errorf("on record: %+v", r)
		}
	})

	t.Run("Denied", func(t *testing.T) {
		h.almanac.setDay = setsDay
		var denied *wire.Error
		if err := ask(); !errors.As(err, &denied) || denied.Code != "AccessDeniedException" && denied.Code != "AccessDenied" {
			t.Errorf("without a policy that lets the service in: %v", err)
		}
	})

	t.Run("Panic", func(t *testing.T) {
		h.almanac.setDay = func(*call.Call, *almanac.GetDayResult) (*almanac.SetDayResponse, error) { panic("a mistake") }
		if err := ask(); err == nil {
			t.Error("a panic is no error")
		}
	})
}

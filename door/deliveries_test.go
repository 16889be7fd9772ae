package door_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/orchard"
	"github.com/holdfast-cloud/holdfast/store"
)

// carrier writes down what it was given, and ends as its test says.
type carrier struct {
	h       *house
	answer  func(p *delivery.Parcel) error
	outside bool
	much    int // MiB that it writes for each parcel
	keep    int // how often giving up fails

	handed  []string // "payload at seconds since the epoch"
	givenUp []string // "payload: cause"
}

func (c *carrier) Deliver(k *call.Call, p *delivery.Parcel) (func(context.Context) error, error) {
	put(k.Tx(), "last", string(p.Payload))
	for i := range c.much {
		put(k.Tx(), string(p.Payload)+strconv.Itoa(i), strings.Repeat("x", store.MaxValueSize-100))
	}
	act := func(context.Context) error {
		c.handed = append(c.handed, string(p.Payload)+" at "+c.h.clock.Now().Sub(epoch).String())
		if c.answer == nil {
			return nil
		}
		return c.answer(p)
	}
	if c.outside {
		return act, nil
	}
	return nil, act(k.Context)
}

func (c *carrier) GiveUp(k *call.Call, p *delivery.Parcel, cause error) error {
	c.givenUp = append(c.givenUp, string(p.Payload)+": "+cause.Error())
	put(k.Tx(), "dead", string(p.Payload))
	if c.keep--; c.keep >= 0 {
		return errors.New("the cellar is full")
	}
	return nil
}

// posts has PlantTree post parcels, each in a call of its own, and begins to deliver.
func (h *house) posts(c *carrier, shape delivery.Parcel, payloads ...string) {
	h.t.Helper()
	c.h = h
	h.carriers["basket"] = c
	shape.Lane = delivery.Lane{Account: account, Region: region, Kind: "basket", Subject: "kitchen"}
	for _, payload := range payloads {
		h.orchard.plant = func(k *call.Call, _ *orchard.PlantTreeRequest) (*orchard.PlantTreeResponse, error) {
			k.Open("a test")
			p := shape
			p.Payload = []byte(payload)
			return &orchard.PlantTreeResponse{}, k.Post(&p)
		}
		if resp := h.plantTree(); resp.StatusCode != 200 {
			h.t.Fatalf("posting a parcel answered %d", resp.StatusCode)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	h.post.Start(ctx, func(err error) { h.t.Error(err) })
	h.t.Cleanup(func() { stop(); h.post.Wait() })
	h.advance(0)
}

func (h *house) waiting() int {
	h.t.Helper()
	var n int
	err := h.store.View(h.t.Context(), func(r store.Reader) error {
		left, err := delivery.Waiting(r, delivery.Lane{Service: "orchard", Account: account, Region: region, Kind: "basket", Subject: "kitchen"}, 100)
		n = len(left)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

func TestDelivery(t *testing.T) {
	for _, outside := range []bool{false, true} {
		name := map[bool]string{false: "Inside/", true: "Outside/"}[outside]
		t.Run(name+"InOrder", func(t *testing.T) {
			h := newHouse(t)
			c := &carrier{outside: outside}
			h.posts(c, delivery.Parcel{}, "apples", "pears", "plums")
			if d := cmp.Diff([]string{"apples at 0s", "pears at 0s", "plums at 0s"}, c.handed); d != "" {
				t.Errorf("handed over (-want +got):\n%s", d)
			}
			if h.waiting() != 0 || h.get("last") != "plums" {
				t.Errorf("%d are left, the last was %s", h.waiting(), h.get("last"))
			}
		})
		t.Run(name+"TriesAgainInOrder", func(t *testing.T) {
			h := newHouse(t)
			c := &carrier{outside: outside}
			c.answer = func(p *delivery.Parcel) error {
				if string(p.Payload) == "pears" && p.Attempts < 3 {
					return errors.New("the kitchen is closed")
				}
				return nil
			}
			h.posts(c, delivery.Parcel{}, "apples", "pears", "plums")
			if h.waiting() != 2 {
				t.Errorf("%d wait, want 2", h.waiting())
			}
			if !outside && h.get("last") != "apples" {
				t.Errorf("what wrote %s had failed", h.get("last"))
			}
			h.advance(time.Hour)
			want := []string{"apples at 0s", "pears at 0s", "pears at 1s", "pears at 3s", "pears at 7s", "plums at 7s"}
			if d := cmp.Diff(want, c.handed); d != "" {
				t.Errorf("handed over (-want +got):\n%s", d)
			}
		})
		t.Run(name+"GivesUp", func(t *testing.T) {
			h := newHouse(t)
			c := &carrier{outside: outside, answer: func(p *delivery.Parcel) error {
				if string(p.Payload) == "stones" {
					return delivery.Permanent(errors.New("not to be eaten"))
				}
				return errors.New("the kitchen is closed")
			}}
			h.posts(c, delivery.Parcel{MaxAttempts: 2}, "stones", "apples", "pears")
			h.advance(time.Hour)
			want := []string{"stones: not to be eaten", "apples: the kitchen is closed", "pears: the kitchen is closed"}
			if d := cmp.Diff(want, c.givenUp); d != "" {
				t.Errorf("given up (-want +got):\n%s", d)
			}
			if len(c.handed) != 5 || h.waiting() != 0 || h.get("dead") != "pears" {
				t.Errorf("handed over %v, %d are left, the last given up is %s", c.handed, h.waiting(), h.get("dead"))
			}
			n := h.post.Stats()[delivery.Kind{Service: "orchard", Kind: "basket"}]
			if n.GivenUp != 3 || n.Failed != 5 || n.Delivered != 0 {
				t.Errorf("counted %+v", n)
			}
		})
		t.Run(name+"Expires", func(t *testing.T) {
			h := newHouse(t)
			c := &carrier{outside: outside, answer: func(*delivery.Parcel) error { return errors.New("the kitchen is closed") }}
			h.posts(c, delivery.Parcel{Expires: epoch.Add(10 * time.Second)}, "apples")
			h.advance(time.Hour)
			if d := cmp.Diff([]string{"apples: it was not delivered in its time"}, c.givenUp); d != "" {
				t.Errorf("given up (-want +got):\n%s", d)
			}
			if len(c.handed) != 4 { // at 0, 1, 3 and 7 seconds
				t.Errorf("handed over %v", c.handed)
			}
		})
		t.Run(name+"Later", func(t *testing.T) {
			h := newHouse(t)
			c := &carrier{outside: outside}
			c.answer = func(*delivery.Parcel) error {
				if at := epoch.Add(time.Minute); h.clock.Now().Before(at) {
					return delivery.Later(at)
				}
				return nil
			}
			h.posts(c, delivery.Parcel{MaxAttempts: 1}, "apples")
			h.advance(time.Hour)
			if d := cmp.Diff([]string{"apples at 0s", "apples at 1m0s"}, c.handed); d != "" || len(c.givenUp) != 0 {
				t.Errorf("handed over (-want +got):\n%s\ngiven up: %v", d, c.givenUp)
			}
		})
		t.Run(name+"Panics", func(t *testing.T) {
			h := newHouse(t)
			c := &carrier{outside: outside}
			c.answer = func(p *delivery.Parcel) error {
				if p.Attempts == 0 {
					panic("wasps")
				}
				return nil
			}
			h.posts(c, delivery.Parcel{}, "apples")
			h.advance(time.Hour)
			if len(c.handed) != 2 || h.waiting() != 0 {
				t.Errorf("handed over %v, %d are left", c.handed, h.waiting())
			}
		})
	}
	t.Run("NotTogether", func(t *testing.T) {
		h := newHouse(t)
		c := &carrier{much: 9} // of which one fits into a transaction, and two do not
		h.posts(c, delivery.Parcel{}, "apples", "pears")
		if h.waiting() != 0 || h.get("last") != "pears" || len(c.givenUp) != 0 {
			t.Errorf("%d are left, given up: %v", h.waiting(), c.givenUp)
		}
	})
	t.Run("TooLarge", func(t *testing.T) {
		h := newHouse(t)
		c := &carrier{much: 17}
		h.posts(c, delivery.Parcel{}, "apples", "pears")
		if h.waiting() != 0 || len(c.givenUp) != 2 || h.get("last") != "" {
			t.Errorf("%d are left, given up: %v", h.waiting(), c.givenUp)
		}
	})
	t.Run("GivingUpFails", func(t *testing.T) {
		h := newHouse(t)
		c := &carrier{answer: func(*delivery.Parcel) error { return delivery.Permanent(errors.New("not to be eaten")) }}
		c.keep = 2
		h.posts(c, delivery.Parcel{}, "stones")
		h.advance(time.Hour)
		if len(c.givenUp) != 3 || h.waiting() != 0 {
			t.Errorf("given up %d times, %d are left", len(c.givenUp), h.waiting())
		}
	})
}

package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
)

var start = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)

func lane(subject string) delivery.Lane {
	return delivery.Lane{Service: "orchard", Account: "111122223333", Region: "eu-central-1", Kind: "basket", Subject: subject}
}

func put(t *testing.T, s store.Store, l delivery.Lane, payloads ...string) {
	t.Helper()
	err := s.Update(t.Context(), func(tx store.Tx) error {
		for _, p := range payloads {
			if err := delivery.Put(tx, &delivery.Parcel{Lane: l, Created: start, Payload: []byte(p)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// receiver takes parcels, and fails as its test says.
type receiver struct {
	store store.Store
	fail  func(p *delivery.Parcel) bool // may be nil

	mu  sync.Mutex
	got map[string][]string // by subject
}

// carry delivers what it can in one transaction, as the door does.
func (r *receiver) carry(ctx context.Context, batch []*delivery.Parcel) (o delivery.Outcome, err error) {
	var got []string
	err = r.store.Update(ctx, func(tx store.Tx) error {
		o, got = delivery.Outcome{}, nil
		for _, p := range batch {
			there, err := delivery.Look(tx, p)
			if err != nil {
				return err
			}
			if !there {
				return fmt.Errorf("%s is not there", p.Payload)
			}
			if r.fail != nil && r.fail(p) {
				o.Failed, o.Waits = 1, true
				if err := delivery.Failed(tx, p, errors.New("not today")); err != nil {
					return err
				}
				return delivery.Wait(tx, p.Lane, start.Add(time.Minute))
			}
			if err := delivery.Remove(tx, p); err != nil {
				return err
			}
			o.Delivered++
			got = append(got, string(p.Payload))
		}
		return nil
	})
	if err == nil && len(got) > 0 {
		r.mu.Lock()
		r.got[batch[0].Subject] = append(r.got[batch[0].Subject], got...)
		r.mu.Unlock()
	}
	return o, err
}

func run(t *testing.T, s store.Store, fail func(*delivery.Parcel) bool) (*delivery.Dispatcher, *receiver) {
	t.Helper()
	r := &receiver{store: s, fail: fail, got: make(map[string][]string)}
	d := delivery.NewDispatcher(s, r.carry)
	ctx, stop := context.WithCancel(context.Background())
	d.Start(ctx, func(err error) { t.Error(err) })
	t.Cleanup(func() { stop(); d.Wait() })
	return d, r
}

// settled waits until all is delivered that can be.
func settled(t *testing.T, s store.Store, d *delivery.Dispatcher, subjects ...string) {
	t.Helper()
	for left := true; left; {
		if _, err := d.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		left = false
		for _, subject := range subjects {
			err := s.View(t.Context(), func(r store.Reader) error {
				p, err := delivery.Waiting(r, lane(subject), 1)
				left = left || len(p) > 0
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestInOrder(t *testing.T) {
	s := memstore.New()
	defer s.Close()
	var subjects []string
	want := make(map[string][]string)
	for lane := range 40 {
		subjects = append(subjects, "lane "+strconv.Itoa(lane))
	}
	// Some were there before the dispatcher began.
	for _, subject := range subjects[:5] {
		put(t, s, lane(subject), "early", "bird")
		want[subject] = []string{"early", "bird"}
	}
	d, r := run(t, s, nil)
	var mu sync.Mutex
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := range 200 {
				subject := subjects[w*10+rand.IntN(10)] // of its own, so that the order is known
				p := strconv.Itoa(i)
				put(t, s, lane(subject), p+"a", p+"b")
				mu.Lock()
				want[subject] = append(want[subject], p+"a", p+"b")
				mu.Unlock()
			}
		})
	}
	writers.Wait()
	settled(t, s, d, subjects...)
	for _, subject := range subjects {
		if !slices.Equal(r.got[subject], want[subject]) {
			t.Errorf("%s got %v, want %v", subject, r.got[subject], want[subject])
		}
	}
	n := d.Stats()[delivery.Kind{Service: "orchard", Kind: "basket"}]
	if n.Delivered != 1610 || n.Failed != 0 || n.Waiting != 0 {
		t.Errorf("the counts are %+v", n)
	}
}

func TestManyWritersOfOneLane(t *testing.T) {
	s := memstore.New()
	defer s.Close()
	d, r := run(t, s, nil)
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := range 300 {
				put(t, s, lane("one"), fmt.Sprintf("%d/%d", w, i))
			}
		})
	}
	writers.Wait()
	settled(t, s, d, "one")
	seen := make(map[string]bool)
	for _, p := range r.got["one"] {
		if seen[p] {
			t.Errorf("%s came twice", p)
		}
		seen[p] = true
	}
	if len(seen) != 2400 {
		t.Errorf("%d arrived, want 2400", len(seen))
	}
}

func TestWaits(t *testing.T) {
	s := memstore.New()
	defer s.Close()
	open := make(chan bool, 1)
	open <- false
	d, r := run(t, s, func(p *delivery.Parcel) bool {
		is := <-open
		open <- is
		return string(p.Payload) == "sour" && !is
	})
	put(t, s, lane("a"), "sweet", "sour", "ripe")
	put(t, s, lane("b"), "green")
	if _, err := d.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	settled(t, s, d, "b")
	put(t, s, lane("a"), "more") // does not wake it
	if _, err := d.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.got["a"], []string{"sweet"}) || len(r.got["b"]) != 1 {
		t.Errorf("got %v", r.got)
	}
	n := d.Stats()[delivery.Kind{Service: "orchard", Kind: "basket"}]
	if n.Waiting != 1 || n.Failed != 1 || !n.Oldest.Equal(start) {
		t.Errorf("the counts are %+v", n)
	}
	<-open
	open <- true
	d.Wake(lane("a"))
	settled(t, s, d, "a")
	if !slices.Equal(r.got["a"], []string{"sweet", "sour", "ripe", "more"}) {
		t.Errorf("got %v", r.got["a"])
	}
}

// While the dispatcher is held, Settle works alone, on the lanes in the order in which they came to have parcels.
func TestHold(t *testing.T) {
	s := memstore.New()
	defer s.Close()
	var mu sync.Mutex
	var got []string
	d, _ := run(t, s, func(p *delivery.Parcel) bool {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, string(p.Payload))
		return false
	})
	release := d.Hold()
	var want []string
	for i := range 200 {
		payload := strconv.Itoa(i)
		put(t, s, lane("lane "+strconv.Itoa(rand.IntN(1e9))), payload)
		want = append(want, payload)
	}
	if len(got) != 0 {
		t.Errorf("%v were delivered, and nobody settled", got)
	}
	if worked, err := d.Settle(t.Context()); !worked || err != nil {
		t.Errorf("Settle() = %t, %v", worked, err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	if worked, err := d.Settle(t.Context()); worked || err != nil {
		t.Errorf("Settle() = %t, %v when all is delivered", worked, err)
	}
	put(t, s, lane("a"), "after")
	release()
	settled(t, s, d, "a")
	if got[len(got)-1] != "after" {
		t.Errorf("got %v after the release", got[len(got)-1])
	}
}

// Receivers outside that are slow, however many, keep no others waiting, neither within nor of another kind outside.
func TestOutside(t *testing.T) {
	s := memstore.New()
	defer s.Close()
	r := &receiver{store: s, got: make(map[string][]string)}
	slow := make(chan struct{})
	d := delivery.NewDispatcher(s, func(ctx context.Context, batch []*delivery.Parcel) (delivery.Outcome, error) {
		if batch[0].Subject == "near" {
			return r.carry(ctx, batch)
		}
		return delivery.Outcome{Outside: func(ctx context.Context) (delivery.Outcome, error) {
			if batch[0].Kind != "other" {
				<-slow
			}
			return r.carry(ctx, batch[:1])
		}}, nil
	})
	ctx, stop := context.WithCancel(context.Background())
	d.Start(ctx, func(err error) { t.Error(err) })
	defer func() { stop(); d.Wait() }()
	var far []string
	for i := range delivery.Outside + 10 {
		far = append(far, "far "+strconv.Itoa(i))
		put(t, s, lane(far[i]), "1", "2")
	}
	other := lane("far")
	other.Kind = "other"
	put(t, s, lane("near"), "parcel")
	put(t, s, other, "parcel")
	for _, l := range []delivery.Lane{lane("near"), other} {
		for near := 1; near > 0; {
			err := s.View(t.Context(), func(rd store.Reader) error {
				left, err := delivery.Waiting(rd, l, 1)
				near = len(left)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	close(slow)
	settled(t, s, d, far...)
	for _, subject := range far {
		if !slices.Equal(r.got[subject], []string{"1", "2"}) {
			t.Errorf("%s got %v", subject, r.got[subject])
		}
	}
}

func TestNobody(t *testing.T) {
	s := memstore.New()
	defer s.Close()
	told := make(chan error, 10)
	d := delivery.NewDispatcher(s, func(context.Context, []*delivery.Parcel) (delivery.Outcome, error) {
		return delivery.Outcome{}, delivery.ErrNobody
	})
	ctx, stop := context.WithCancel(context.Background())
	d.Start(ctx, func(err error) { told <- err })
	put(t, s, lane("a"), "windfall")
	if err := <-told; !errors.Is(err, delivery.ErrNobody) {
		t.Errorf("told %v", err)
	}
	if _, err := d.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop()
	d.Wait()
	if n := len(told); n != 0 {
		t.Errorf("told %d times more", n)
	}
}

func TestDrop(t *testing.T) {
	s := memstore.New()
	defer s.Close()
	put(t, s, lane("a"), "1", "2", "3")
	put(t, s, lane("b"), "4")
	err := s.Update(t.Context(), func(tx store.Tx) error {
		if n, err := delivery.Drop(tx, lane("a"), 2); n != 2 || err != nil {
			t.Errorf("Drop() = %d, %v", n, err)
		}
		if n, err := delivery.Drop(tx, lane("a"), 2); n != 1 || err != nil {
			t.Errorf("Drop() = %d, %v", n, err)
		}
		if left, err := delivery.Waiting(tx, lane("b"), 9); len(left) != 1 || err != nil {
			t.Errorf("Waiting() = %v, %v", left, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRetry(t *testing.T) {
	for attempts, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 9: 256 * time.Second, 10: 5 * time.Minute, 4000: 5 * time.Minute} {
		if got := delivery.Retry(attempts); got != want {
			t.Errorf("Retry(%d) = %v, want %v", attempts, got, want)
		}
	}
	p := delivery.Parcel{MaxAttempts: 3, Attempts: 1, Expires: start}
	if p.Spent(start) || !p.Spent(start.Add(1)) {
		t.Error("Expires is not what decides")
	}
	if p.Attempts = 2; !p.Spent(start) {
		t.Error("MaxAttempts is not what decides")
	}
}

package events

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/engine/eventpattern"
)

func TestFollow(t *testing.T) {
	pattern, err := eventpattern.Compile(`{"n":[{"anything-but":2}]}`)
	if err != nil {
		t.Fatal(err)
	}
	bus := busKey{"111122223333", "eu-west-1", "orders"}
	told := []busKey{bus, bus, {"444455556666", "eu-west-1", "orders"}, {"111122223333", "us-east-1", "orders"}, {"111122223333", "eu-west-1", "default"}}
	for _, c := range []struct {
		name string
		f    Following
		want []string
	}{
		{"All", Following{}, []string{"1", "2", "3", "4", "5"}},
		{"Account", Following{Account: "111122223333"}, []string{"1", "2", "4", "5"}},
		{"Region", Following{Region: "us-east-1"}, []string{"4"}},
		{"Bus", Following{Bus: "default"}, []string{"5"}},
		{"Pattern", Following{Bus: "orders", Pattern: pattern}, []string{"1", "3", "4"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := new(Service)
			s.cfg.Partition = "aws"
			var got []string
			done := errors.New("all came")
			err := s.Follow(t.Context(), c.f, func() {
				for i, k := range told {
					s.tail.tell(k, Followed{Bus: k.arn("aws"), Event: fmt.Appendf(nil, `{"n":%d}`, i+1)})
				}
			}, func(e Followed) error {
				if got = append(got, string(e.Event[5:len(e.Event)-1])); len(got) == len(c.want) {
					return done
				}
				return nil
			})
			if diff := cmp.Diff(c.want, got); diff != "" || !errors.Is(err, done) {
				t.Errorf("following %+v: %v (-want +got):\n%s", c.f, err, diff)
			}
			if s.tail.any.Load() {
				t.Error("a follower stays when it has gone")
			}
		})
	}
	t.Run("Missed", func(t *testing.T) {
		s := new(Service)
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		err := s.Follow(ctx, Following{}, func() {
			for range maxBehind + 7 {
				s.tail.tell(bus, Followed{Event: []byte(`{}`)})
			}
		}, func(e Followed) error {
			switch n++; {
			case n == maxBehind:
				s.tail.tell(bus, Followed{Event: []byte(`{}`)})
			case n > maxBehind:
				if e.Missed != 7 {
					t.Errorf("%d are missed, want 7", e.Missed)
				}
				cancel()
			case e.Missed != 0:
				t.Errorf("%d are missed at the %dth", e.Missed, n)
			}
			return nil
		})
		if err != nil || n != maxBehind+1 {
			t.Errorf("%d came: %v", n, err)
		}
	})
	t.Run("Over", func(t *testing.T) {
		s := new(Service)
		if err := s.Follow(t.Context(), Following{}, s.EndFollowing, nil); !errors.Is(err, ErrOver) {
			t.Errorf("following ends with %v", err)
		}
		if err := s.Follow(t.Context(), Following{}, nil, nil); !errors.Is(err, ErrOver) {
			t.Errorf("following begins, with %v", err)
		}
		s.tail.tell(bus, Followed{})
	})
}

package logs

import (
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/api/logs"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/store"
)

func (s *scene) make(group string, streams ...string) {
	s.t.Helper()
	s.must(logs.OpCreateLogGroup, func(c *call.Call) error {
		_, err := s.CreateLogGroup(c, &logs.CreateLogGroupRequest{LogGroupName: &group})
		return err
	})
	for _, name := range streams {
		s.must(logs.OpCreateLogStream, func(c *call.Call) error {
			_, err := s.CreateLogStream(c, &logs.CreateLogStreamRequest{LogGroupName: &group, LogStreamName: &name})
			return err
		})
	}
}

// A search that has looked at enough answers with what it has, perhaps nothing, and goes on behind that: everything is found once, in order, both ways.
func TestSearchLimit(t *testing.T) {
	s := newScene(t, &functions{t: t})
	s.searchLimit = 200 << 10
	s.make("g", "a", "b", "c")
	r := mathrand.New(mathrand.NewPCG(5, 6))
	at := s.now.UnixMilli() - 20_000_000
	type logged struct {
		at      int64
		message string
	}
	var want []logged
	for i := range 600 {
		when, m := at+r.Int64N(15_000_000), fmt.Sprintf("n%d %s", i, strings.Repeat("x", 5000))
		if i%50 == 0 {
			m = "needle " + m
			want = append(want, logged{when, m})
		}
		s.must(logs.OpPutLogEvents, func(c *call.Call) error {
			_, err := s.PutLogEvents(c, &logs.PutLogEventsRequest{
				LogGroupName: new("g"), LogStreamName: new(string("abc"[i%3])), LogEvents: []logs.InputLogEvent{{Timestamp: &when, Message: &m}},
			})
			return err
		})
	}
	slices.SortFunc(want, func(a, b logged) int { return int(a.at - b.at) })
	for _, fromHead := range []bool{true, false} {
		var messages, got []string
		for _, l := range want {
			messages = append(messages, l.message)
		}
		if !fromHead {
			slices.Reverse(messages)
		}
		var token *string
		pages, empty := 0, 0
		for {
			var out *logs.FilterLogEventsResponse
			s.must(logs.OpFilterLogEvents, func(c *call.Call) (err error) {
				out, err = s.FilterLogEvents(c, &logs.FilterLogEventsRequest{LogGroupName: new("g"), FilterPattern: new("needle"), StartFromHead: &fromHead, NextToken: token})
				return err
			})
			pages++
			if len(out.Events) == 0 {
				empty++
			}
			for _, e := range out.Events {
				got = append(got, *e.Message)
			}
			if token = out.NextToken; token == nil || pages > 200 {
				break
			}
		}
		if d := cmp.Diff(messages, got); d != "" {
			t.Errorf("from the head %v, in %d pages (-want +got):\n%.2000s", fromHead, pages, d)
		}
		if pages < 4 || pages > 60 {
			t.Errorf("from the head %v: %d pages, %d of them empty", fromHead, pages, empty)
		}
	}
}

// Listing a stream does not end before events that lie behind many others that do not belong to the listing.
func TestGetBehindOthers(t *testing.T) {
	s := newScene(t, &functions{t: t})
	s.searchLimit = 100 << 10
	s.make("g", "s")
	at := s.now.UnixMilli() - 48*60*60*1000
	const hour = 60 * 60 * 1000
	put := func(times ...int64) {
		s.must(logs.OpPutLogEvents, func(c *call.Call) error {
			in := &logs.PutLogEventsRequest{LogGroupName: new("g"), LogStreamName: new("s")}
			for _, when := range times {
				in.LogEvents = append(in.LogEvents, logs.InputLogEvent{Timestamp: new(at + when), Message: new(strings.Repeat("x", looseSize))})
			}
			_, err := s.PutLogEvents(c, in)
			return err
		})
	}
	for range 5 {
		put(-hour, 20*hour)
	}
	put(hour)
	s.must(logs.OpGetLogEvents, func(c *call.Call) error {
		out, err := s.GetLogEvents(c, &logs.GetLogEventsRequest{
			LogGroupName: new("g"), LogStreamName: new("s"), StartTime: &at, EndTime: new(at + 12*hour), StartFromHead: new(true),
		})
		if err == nil && len(out.Events) != 1 {
			t.Errorf("there are %d events", len(out.Events))
		}
		return err
	})
}

// Batches that come at the same time, for one stream or for several, are all there, and so is what they count.
func TestParallelPuts(t *testing.T) {
	s := newScene(t, &functions{t: t})
	s.make("g", "a", "b")
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 40 {
				m := fmt.Sprintf("%d-%d", worker, i)
				err := s.do(logs.OpPutLogEvents, false, func(c *call.Call) error {
					_, err := s.PutLogEvents(c, &logs.PutLogEventsRequest{
						LogGroupName: new("g"), LogStreamName: new(string("ab"[worker%2])), LogEvents: []logs.InputLogEvent{{Timestamp: new(s.now.UnixMilli()), Message: &m}},
					})
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	var events []logs.FilteredLogEvent
	var groups *logs.DescribeLogGroupsResponse
	s.must(logs.OpFilterLogEvents, func(c *call.Call) error {
		out, err := s.FilterLogEvents(c, &logs.FilterLogEventsRequest{LogGroupName: new("g")})
		if err == nil {
			events = out.Events
		}
		return err
	})
	s.must(logs.OpDescribeLogGroups, func(c *call.Call) (err error) {
		groups, err = s.DescribeLogGroups(c, &logs.DescribeLogGroupsRequest{})
		return err
	})
	seen, size := make(map[string]bool), int64(0)
	for _, e := range events {
		seen[*e.Message] = true
		size += int64(len(*e.Message)) + eventOverhead
	}
	if len(events) != 320 || len(seen) != 320 || *groups.LogGroups[0].StoredBytes != size {
		t.Errorf("%d events, %d of them different, %d bytes counted of %d", len(events), len(seen), *groups.LogGroups[0].StoredBytes, size)
	}
}

func BenchmarkPut(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprintf("%dEvents", n), func(b *testing.B) {
			s := newScene(b, &functions{})
			s.make("g", "s")
			in := &logs.PutLogEventsRequest{LogGroupName: new("g"), LogStreamName: new("s")}
			for i := range n {
				in.LogEvents = append(in.LogEvents, logs.InputLogEvent{
					Timestamp: new(s.now.UnixMilli()), Message: new(fmt.Sprintf("2026-11-27T02:00:00Z INFO request %d of user %d served in %d ms", i, i*7, i%90)),
				})
			}
			caller := identity.Root("aws", "111122223333", "")
			b.ReportAllocs()
			for b.Loop() {
				err := s.s.Update(b.Context(), func(tx store.Tx) error {
					c := &call.Call{
						Context: b.Context(), Op: logs.OpPutLogEvents, Time: s.now, Rand: rand.Reader, Caller: caller,
						Scope: call.Scope{Partition: "aws", Account: "111122223333", Region: "us-east-1"},
					}
					c.Bind("logs", nil, func() (store.Tx, error) { return tx, nil })
					_, err := s.PutLogEvents(c, in)
					return err
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

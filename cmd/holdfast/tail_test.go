package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"github.com/holdfast-cloud/holdfast/internal/syncbuffer"
)

// follow runs holdfast events tail until it is stopped.
func follow(t *testing.T, args ...string) (out *syncbuffer.Buffer, stop func() int) {
	e, out, _ := environment()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, e, append([]string{"events", "tail"}, args...)) }()
	return out, func() int {
		cancel()
		return <-ended
	}
}

func TestEventsTail(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir)
	bus := eventbridge.NewFromConfig(s.config(s.id, s.secret))
	out, stop := follow(t, "--data", dir, "--bus", "default", "--pattern", `{"detail":{"kind":["seen"]}}`)
	other, stopOther := follow(t, "--data", dir, "--account", "111122223333")
	put := func(kind string, n int) {
		t.Helper()
		answer, err := bus.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{{
			Source: new("shop"), DetailType: new("sold"), Detail: new(fmt.Sprintf(`{"kind":%q,"n":%d}`, kind, n)),
		}}})
		if err != nil || answer.FailedEntryCount != 0 {
			t.Fatalf("putting an event: %v, %v", answer, err)
		}
	}
	// It takes a moment until the command follows; from then on it misses nothing.
	last := 0
	for begin := time.Now(); !strings.Contains(out.String(), "\n"); last++ {
		if time.Since(begin) > time.Minute {
			t.Fatalf("nothing came: %s", out)
		}
		put("seen", last)
	}
	put("other", last)
	for end := last + 3; last < end; last++ {
		put("seen", last)
	}
	for begin := time.Now(); !strings.Contains(out.String(), fmt.Sprintf(`"n":%d}`, last-1)); {
		if time.Since(begin) > time.Minute {
			t.Fatalf("event %d did not come: %s", last-1, out)
		}
		time.Sleep(time.Millisecond)
	}
	if status := stop(); status != 0 {
		t.Errorf("the command ended with %d when it was interrupted", status)
	}
	next := -1
	for line := range strings.Lines(out.String()) {
		var e struct {
			Source string
			Detail struct {
				Kind string
				N    int
			}
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("the line %s: %v", line, err)
		}
		if e.Source != "shop" || e.Detail.Kind != "seen" || next >= 0 && e.Detail.N != next {
			t.Errorf("the line %s, want event %d", line, next)
		}
		next = e.Detail.N + 1
	}
	if other.String() != "" {
		t.Errorf("an event of another account: %s", other)
	}
	// The server does not wait for who follows.
	begin := time.Now()
	s.end(t, 0)
	if took := time.Since(begin); took > drain/2 {
		t.Errorf("the server took %s to end", took)
	}
	stopOther()
}

func TestEventsTailRefused(t *testing.T) {
	dir := t.TempDir()
	if got := wantCommand(t, 2, "events", "tail", "--data", dir, "--pattern", `{"a":1}`); !strings.Contains(got, `Event pattern is not valid. Reason: "a" must be an object or an array`) {
		t.Errorf("a wrong pattern: %s", got)
	}
	if got := wantCommand(t, 1, "events", "tail", "--data", dir); !strings.Contains(got, "no server runs") {
		t.Errorf("without a server: %s", got)
	}
}

package sqs

import (
	"context"
	"sync"
	"time"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
)

// maxRuns bounds how often a long poll looks again, well below what the door lets a call be run.
const maxRuns = 50

// polls are the long polls that wait, by request: the handler of one is run again each time that there is something to receive.
type polls struct {
	mu      sync.Mutex // guards waiting
	waiting map[string]*poll
}

// poll is a long poll.
type poll struct {
	end  <-chan time.Time
	runs int
	over bool // it has waited in vain
}

// wait waits for messages, with no transaction and no lock, after which the call is to be run again. It reports false, and has not waited, when the call is to be answered with
// nothing: at the end of its time, or where it belongs to a transaction that cannot wait.
//
// The time is that of the world: the client waits at the other end of a connection, and for as long as it does a clock that somebody moves, or that stands still, must not hold
// it. What it waits for comes by the domain clock, which has messages in flight become visible.
func (s *Service) wait(c *call.Call, f *front, seconds int) bool {
	p := s.polls.begin(c.RequestID, seconds)
	if p == nil || p.over || !c.Release() {
		return false
	}
	p.over = !s.await(c.Context, f, p.end)
	return true
}

// await returns true when there is something to receive, and false when there will not be.
func (s *Service) await(ctx context.Context, f *front, end <-chan time.Time) bool {
	for {
		w := f.wait()
		there, next, err := f.available(ctx, s.cfg.Store, until(s.cfg.Clock.Now()))
		if err != nil || there {
			f.leave(w, there)
			return there
		}
		due, stop := s.dueAt(ctx, next)
		over := false
		select {
		case <-w.wake:
		case <-due:
			f.leave(w, true) // it looks itself
		case <-end:
			over = true
		case <-ctx.Done():
			over = true
		case <-s.stopped:
			over = true
		}
		stop()
		if over {
			f.leave(w, false)
			return false
		}
	}
}

// dueAt gives a channel that is closed when the domain clock has come to an entry.
func (s *Service) dueAt(ctx context.Context, e entry) (<-chan struct{}, context.CancelFunc) {
	if e == never {
		return nil, func() {}
	}
	ctx, stop := context.WithCancel(ctx)
	due := make(chan struct{})
	go func() {
		if s.cfg.Clock.Wait(ctx, e.time()) == nil {
			close(due)
		}
	}()
	return due, stop
}

// begin gives the poll of a request, or nil if it has looked often enough.
func (p *polls) begin(request string, seconds int) *poll {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.waiting[request]
	if w == nil {
		if p.waiting == nil {
			p.waiting = make(map[string]*poll)
		}
		w = &poll{end: clock.After(time.Duration(seconds) * time.Second)}
		p.waiting[request] = w
	}
	if w.runs++; w.runs > maxRuns {
		return nil
	}
	return w
}

// over forgets a request.
func (p *polls) over(request string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, request)
}

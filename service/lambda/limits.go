package lambda

import (
	"context"
	"sync"

	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// What an account may run at once in a region, and how much of it must stay free of reservations: https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
const (
	accountConcurrency = 1000
	leastUnreserved    = 100
)

// place is where concurrency is counted: an account in a region.
type place struct{ account, region string }

// limits counts what runs at the moment, in this process. With several nodes over one store, each counts its own.
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html
type limits struct {
	mu     sync.Mutex // guards places; nothing else is done under it
	places map[place]*usage
}

// usage is what runs in a place.
type usage struct {
	all, unreserved int
	functions       map[string]int
}

// counts are how many run with one that has begun: of its function, in its place, and there without reserved concurrency.
type counts struct{ function, all, unreserved int }

func newLimits() *limits { return &limits{places: make(map[place]*usage)} }

func throttled(reason lambda.ThrottleReason) *lambda.TooManyRequestsException {
	return &lambda.TooManyRequestsException{Type: new("User"), Message: "Rate Exceeded.", Reason: reason}
}

// begin takes a place for an invocation, until end is called. reserved is the concurrency that the function has for itself, nil if it has none; room tells how many may run in its
// place that have none.
func (l *limits) begin(at place, function string, reserved *int32, room func() (int, error)) (now counts, end func(), err error) {
	free := leastUnreserved // that nobody can reserve
	l.mu.Lock()
	u := l.places[at]
	ask := reserved == nil && u != nil && u.unreserved >= free
	l.mu.Unlock()
	if ask {
		if free, err = room(); err != nil {
			return counts{}, nil, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if u = l.places[at]; u == nil {
		u = &usage{functions: make(map[string]int)}
	}
	switch {
	case reserved != nil && u.functions[function] >= int(*reserved):
		return counts{}, nil, throttled(lambda.ThrottleReasonReservedFunctionConcurrentInvocationLimitExceeded)
	case reserved == nil && u.unreserved >= free:
		return counts{}, nil, throttled(lambda.ThrottleReasonConcurrentInvocationLimitExceeded)
	}
	l.places[at] = u
	u.all++
	u.functions[function]++
	if reserved == nil {
		u.unreserved++
	}
	return counts{u.functions[function], u.all, u.unreserved}, sync.OnceFunc(func() { l.end(at, u, function, reserved == nil) }), nil
}

func (l *limits) end(at place, u *usage, function string, unreserved bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if unreserved {
		u.unreserved--
	}
	if u.functions[function]--; u.functions[function] == 0 {
		delete(u.functions, function)
	}
	if u.all--; u.all == 0 {
		delete(l.places, at)
	}
}

// unreserved is how much of a place's concurrency no function has reserved.
func (s *Service) unreserved(ctx context.Context, at place) (n int, err error) {
	err = s.cfg.Store.View(ctx, func(r store.Reader) error {
		n = accountConcurrency
		for f, err := range functionTable.In(at.account, at.region).Scan(r, store.Query{}) {
			if err != nil {
				return err
			}
			n -= int(optional.Value(f.Reserved))
		}
		return nil
	})
	return n, err
}

package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-cloud/holdfast/clock"
)

const (
	maxInit   = 10 * time.Second       // https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-ib
	restless  = 100 * time.Millisecond // that an instance runs on after it has answered, before it is stopped until the next invocation
	watchBusy = 25 * time.Millisecond
	watchIdle = time.Second
)

// instance is one process tree of a function. It does one invocation at a time.
type instance struct {
	f       *Function
	stream  string
	box     *sandbox
	logs    *logs
	expires time.Time // of its credentials, by the cloud's clock; zero is never
	servers []*http.Server
	release func() // its code

	ready chan struct{} // closed when the runtime asks for its first event
	next  chan *work    // received by a request for the next event
	woken chan struct{} // has room for one: tells the watch to look closer
	over  atomic.Bool   // it has been ended for taking too much memory
	peak  atomic.Int64  // bytes
	done  context.Context
	stop  context.CancelFunc // ends it

	mu       sync.Mutex // guards the rest
	current  *work      // what the runtime has and has not answered
	initBody []byte     // of init/error
	initType string
	frozen   bool
	asking   int    // requests for the next event that wait
	uses     uint64 // tells the freezer that it was used in between

	idle clock.Stopwatch // since it was last used; guarded by the runner's mutex
}

// work is an invocation on its way through an instance.
type work struct {
	in       *Invocation
	deadline time.Time   // on the world's clock
	chunks   chan []byte // of a response that is streamed; the first one tells that it begins
	answer   chan *Result
	gone     chan struct{} // closed when nobody waits any more
	kind     string        // content type
}

// errGone is the error of an instance that ended before it took an event.
var errGone = errors.New("the instance has ended")

// entryPointError is the error of a program that cannot be started.
type entryPointError struct{ text string }

func (e *entryPointError) Error() string { return e.text }

// failure is a result that describes one, as AWS does.
func failure(errorType, format string, args ...any) *Result {
	text := fmt.Sprintf(format, args...)
	body, err := json.Marshal(map[string]string{"errorType": errorType, "errorMessage": text})
	if err != nil {
		panic(err) // strings always are
	}
	return &Result{Payload: body, Failure: "Unhandled", ErrorType: errorType}
}

// initialize waits until the runtime asks for its first event. If it does not it returns what to tell of that, and the instance is of no more use.
func (i *instance) initialize(ctx context.Context, request string) (*Result, error) {
	select {
	case <-i.ready:
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-clock.After(maxInit):
		i.logs.platform("INIT_REPORT Init Duration: %.2f ms\tPhase: init\tStatus: timeout", ms(maxInit))
		return failure("Sandbox.Timedout", "RequestId: %s Error: Task timed out after %.2f seconds", request, maxInit.Seconds()), nil
	case <-i.box.exited:
	}
	i.logs.drain(i.box.log)
	return i.ended(request), nil
}

// ended is the result for a request whose instance has ended.
func (i *instance) ended(request string) *Result {
	i.mu.Lock()
	body, kind := i.initBody, i.initType
	i.mu.Unlock()
	switch {
	case body != nil:
		return &Result{Payload: body, Failure: "Unhandled", ErrorType: kind}
	case i.over.Load() || i.box.oom:
		return failure("Runtime.OutOfMemory", "RequestId: %s Error: Runtime exited with error: signal: killed", request)
	case i.box.status() == "exit status 0":
		return failure("Runtime.ExitError", "RequestId: %s Error: Runtime exited without providing a reason", request)
	}
	return failure("Runtime.ExitError", "RequestId: %s Error: Runtime exited with error: %s", request, i.box.status())
}

// invoke gives an event to the runtime and waits for what comes of it. If alive is false the instance is of no more use.
func (i *instance) invoke(ctx context.Context, in *Invocation) (r *Result, alive bool, err error) {
	w := &work{
		in: in, deadline: new(clock.Real).Now().Add(i.f.Timeout), chunks: make(chan []byte), answer: make(chan *Result, 1), gone: make(chan struct{}),
	}
	defer close(w.gone)
	watch := clock.Start()
	timeout := clock.After(i.f.Timeout)
	select {
	case i.next <- w:
	case <-i.box.exited:
		return nil, false, errGone
	case <-timeout:
		return i.timedOut(in.RequestID), false, nil
	case <-ctx.Done():
		return nil, false, ctx.Err()
	}
	begun := false
	for {
		select {
		case chunk := <-w.chunks:
			if !begun && in.Start != nil {
				in.Start(w.kind)
			}
			begun = true
			if _, err := in.Stream.Write(chunk); err != nil {
				return nil, false, fmt.Errorf("passing a response on: %w", err)
			}
		case r := <-w.answer:
			r.Duration = watch.Elapsed()
			return r, true, nil
		case <-timeout:
			r := i.timedOut(in.RequestID)
			r.Duration = watch.Elapsed()
			return r, false, nil
		case <-i.box.exited:
			select {
			case r := <-w.answer: // it ended right after
				r.Duration = watch.Elapsed()
				return r, false, nil
			default:
			}
			i.logs.drain(i.box.log)
			r := i.ended(in.RequestID)
			r.Duration = watch.Elapsed()
			return r, false, nil
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	}
}

func (i *instance) timedOut(request string) *Result {
	i.logs.drain(i.box.log)
	i.logs.platform("%s %s Task timed out after %.2f seconds", i.logs.now().UTC().Format("2006-01-02T15:04:05.000Z"), request, i.f.Timeout.Seconds())
	return failure("Sandbox.Timedout", "RequestId: %s Error: Task timed out after %.2f seconds", request, i.f.Timeout.Seconds())
}

// wake makes an instance ready for an invocation.
func (i *instance) wake() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.uses++
	if i.frozen {
		i.frozen = false
		i.box.thaw()
		select {
		case i.woken <- struct{}{}:
		default:
		}
	}
}

// rest lets an instance be until it is woken, and stops it if that takes longer. A runtime that does not ask for its next event in the time of an invocation is ended.
func (i *instance) rest() {
	i.mu.Lock()
	uses := i.uses
	i.mu.Unlock()
	watch := clock.Start()
	go func() {
		for {
			select {
			case <-i.done.Done():
				return
			case <-clock.After(restless):
			}
			i.mu.Lock()
			switch {
			case i.uses != uses:
				i.mu.Unlock()
				return
			case i.asking > 0:
				i.frozen = true
				i.box.freeze()
				i.mu.Unlock()
				return
			case watch.Elapsed() > i.f.Timeout:
				i.mu.Unlock()
				i.stop()
				return
			}
			i.mu.Unlock()
		}
	}()
}

// watch holds an instance to its memory until it has ended. A cgroup holds memory and /tmp together; memory alone is looked at again and again.
func (i *instance) watch() {
	limit := int64(i.f.Memory) << 20
	for {
		select {
		case <-i.box.exited:
			return
		case <-i.woken:
		case <-clock.After(i.pace()):
		}
		if i.measure() > limit && i.over.CompareAndSwap(false, true) {
			i.box.kill()
		}
	}
}

// tell delivers the log of an instance while it works. Not where its memory is watched: whoever takes the log may take long.
func (i *instance) tell() {
	for {
		select {
		case <-i.box.exited:
			return
		case <-clock.After(i.pace()):
			i.logs.deliver()
		}
	}
}

// pace is how often to look after an instance.
func (i *instance) pace() time.Duration {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.frozen {
		return watchIdle
	}
	return watchBusy
}

func (i *instance) measure() int64 {
	n := i.box.memory()
	for {
		old := i.peak.Load()
		if n <= old || i.peak.CompareAndSwap(old, n) {
			return n
		}
	}
}

// end ends an instance, waits until nothing is left of it, and lets go of its code.
func (i *instance) end() {
	i.stop()
	<-i.box.exited
	for _, s := range i.servers {
		s.Close()
	}
	i.box.close()
	i.logs.deliver()
	i.release()
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

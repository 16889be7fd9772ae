package runner

import (
	"context"
	"errors"
)

// Runner runs functions. All methods may be called concurrently.
type Runner struct{ cfg Config }

// New makes a runner. It starts nothing; ask Available whether it can.
func New(cfg Config) (*Runner, error) { return &Runner{cfg}, nil }

// Available is nil, or says why this host cannot isolate functions. The first call finds out by trying.
func (r *Runner) Available() error { return errors.New("the function runner is being built") }

// Invoke runs a function with an event and returns when it has answered, failed, or run out of time. An error means that the function was not run to an end: ErrThrottled, ErrClosed,
// ctx's (the instance is ended then), or that of the host.
func (r *Runner) Invoke(ctx context.Context, f *Function, in *Invocation) (*Result, error) {
	return nil, r.Available()
}

// Forget ends the instances of a function that are idle, and those that are at work when they have done it.
func (r *Runner) Forget(id string) {}

// Close ends all instances, whatever they do, and empties the directory.
func (r *Runner) Close(ctx context.Context) error { return nil }

// Init must be the first thing that main does.
func Init() {}

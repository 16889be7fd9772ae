package runner

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/holdfast-cloud/holdfast/clock"
)

// Invoke runs a function with an event and returns when it has answered, failed, or run out of time. An error means that the function was not run to an end: ErrThrottled, ErrClosed,
// ctx's (the instance is ended then), an ArchiveError, an UnsupportedError, or that of the host.
func (r *Runner) Invoke(ctx context.Context, f *Function, in *Invocation) (*Result, error) {
	if err := r.Available(); err != nil {
		return nil, err
	}
	if len(in.Payload) > MaxPayload {
		return nil, fmt.Errorf("an event of %d bytes is longer than %d", len(in.Payload), MaxPayload)
	}
	f = complete(f)
	for {
		i, err := r.take(ctx, f)
		if err != nil {
			return nil, err
		}
		result, err := r.run(ctx, f, i, in)
		if err == errGone {
			continue // a kept one had ended; there are only so many
		}
		return result, err
	}
}

// complete fills in what may be left out.
func complete(f *Function) *Function {
	c := *f
	if c.Memory <= 0 {
		c.Memory = 128
	}
	if c.Ephemeral <= 0 {
		c.Ephemeral = 512
	}
	if c.Timeout <= 0 {
		c.Timeout = 3 * time.Second
	}
	return &c
}

// run does one invocation with a kept instance, or, if it is nil, with a new one for which there is room.
func (r *Runner) run(ctx context.Context, f *Function, i *instance, in *Invocation) (*Result, error) {
	var started time.Duration
	fresh := i == nil
	if fresh {
		watch := clock.Start()
		var result *Result
		var err error
		if i, result, err = r.start(ctx, f, in.RequestID); i == nil {
			return result, err
		}
		started = watch.Elapsed()
		i.wake()
	} else {
		i.wake()
		i.logs.drain(i.box.log) // what was written since the last one belongs to none
	}
	i.logs.begin(in.RequestID)
	i.logs.platform("START RequestId: %s Version: %s", in.RequestID, f.Version)
	result, alive, err := i.invoke(ctx, in)
	if err == errGone && fresh {
		result, err = i.ended(in.RequestID), nil
	}
	if err != nil {
		i.logs.end()
		r.give(i, false)
		return nil, err
	}
	r.report(f, i, in.RequestID, result, started)
	r.give(i, alive)
	return result, nil
}

// report ends an invocation's log as AWS does.
func (r *Runner) report(f *Function, i *instance, request string, result *Result, started time.Duration) {
	if i.peak.Load() == 0 {
		i.measure()
	}
	result.Init, result.Stream = started, i.stream
	result.Billed = max(time.Millisecond, (result.Duration + started + time.Millisecond - 1).Truncate(time.Millisecond))
	result.Memory = min(int(i.peak.Load()>>20)+1, f.Memory)
	if i.over.Load() {
		result.Memory = f.Memory
	}
	line := fmt.Sprintf("REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %d ms\tMemory Size: %d MB\tMax Memory Used: %d MB\t",
		request, ms(result.Duration), result.Billed.Milliseconds(), f.Memory, result.Memory)
	if started > 0 {
		line += fmt.Sprintf("Init Duration: %.2f ms\t", ms(started))
	}
	switch {
	case result.ErrorType == "Sandbox.Timedout":
		line += "Status: timeout"
	case result.Failure != "":
		line += "Status: error\tError Type: " + result.ErrorType
	}
	i.logs.platform("END RequestId: %s", request)
	i.logs.platform("%s", line)
	result.Tail = i.logs.end()
	i.logs.deliver()
}

// start starts an instance. Without one it returns what to tell of the failure, if that is the function's. The room for it is given back then.
func (r *Runner) start(ctx context.Context, f *Function, request string) (_ *instance, _ *Result, err error) {
	i := &instance{f: f, ready: make(chan struct{}), next: make(chan *work), woken: make(chan struct{}, 1), release: func() {}}
	i.stream = r.now().UTC().Format("2006/01/02") + "/[" + f.Version + "]" + hex.EncodeToString(random())
	i.logs = newLogs(i.stream, r.now, f.Log)
	failed := func(result *Result, err error) (*instance, *Result, error) {
		if i.box != nil {
			r.give(i, false)
		} else {
			i.release()
			r.room(f.ID, false)
		}
		return nil, result, err
	}
	l, err := languageOf(f.Runtime, f.Architecture, f.Memory)
	if err != nil {
		return failed(nil, err)
	}
	i.logs.platform("INIT_START Runtime Version: %s", l.version)
	var c *Credentials
	if f.Credentials != nil {
		got, err := f.Credentials(ctx)
		if err != nil {
			return failed(nil, fmt.Errorf("getting a function's credentials: %w", err))
		}
		c, i.expires = &got, got.Expires
	}
	s := &spec{
		Programs: l.programs, Args: l.args, Env: environment(f, l, c, i.stream, r.cfg.Endpoint != nil), Runtime: l.files, Tmp: f.Ephemeral,
		Loopback: []uint16{apiPort}, Ports: r.reach.ports, Local: r.reach.local,
	}
	if r.cfg.Endpoint != nil {
		s.Loopback = append(s.Loopback, cloudPort)
	}
	task, releaseTask, err := r.trees.hold(ctx, []Archive{f.Code})
	if err != nil {
		return failed(nil, err)
	}
	i.release = releaseTask
	opt, releaseOpt, err := r.trees.hold(ctx, f.Layers)
	if err != nil {
		return failed(nil, err)
	}
	i.release = func() { releaseTask(); releaseOpt() }
	s.Task, s.Opt = task, opt
	limit, cancel := context.WithTimeout(ctx, maxInit)
	defer cancel()
	box, err := r.host.start(limit, s, f.Memory)
	var entry *entryPointError
	if errors.As(err, &entry) {
		defer i.logs.deliver()
		return failed(failure("Runtime.InvalidEntrypoint", "RequestId: %s Error: %s", request, entry.text), nil)
	} else if err != nil {
		return failed(nil, fmt.Errorf("starting an instance: %w", err))
	}
	i.box = box
	i.done, i.stop = context.WithCancel(context.Background())
	context.AfterFunc(i.done, box.kill)
	i.serve(r)
	if !r.adopt(i) {
		return failed(nil, ErrClosed)
	}
	if result, err := i.initialize(ctx, request); result != nil || err != nil {
		if result != nil {
			i.logs.begin(request)
			i.logs.platform("START RequestId: %s Version: %s", request, f.Version)
			r.report(f, i, request, result, 0)
		}
		return failed(result, err)
	}
	return i, nil, nil
}

func random() []byte {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return b
}

// serve answers inside of the sandbox.
func (i *instance) serve(r *Runner) {
	handlers := []http.Handler{i.api()}
	if r.cfg.Endpoint != nil {
		handlers = append(handlers, r.cfg.Endpoint)
	}
	for n, h := range handlers {
		s := &http.Server{Handler: h, MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0), ReadHeaderTimeout: maxInit}
		i.servers = append(i.servers, s)
		go s.Serve(limited(i.box.listeners[n])) // ends with the instance
	}
	for _, l := range i.box.listeners[len(handlers):] {
		go r.reach.forward(i.done, limited(l))
	}
	go r.reach.answerNames(i.done, i.box.dns)
	go i.logs.pump(i.box.log)
	go i.watch()
	go i.tell()
}

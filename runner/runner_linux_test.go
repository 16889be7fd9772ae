package runner_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/runner"
)

// answer is the response of an invocation, as JSON of type T.
func answer[T any](t testing.TB, r *runner.Runner, f *runner.Function, event any) T {
	t.Helper()
	b, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	result := invoke(t, r, f, string(b))
	var got T
	if err := json.Unmarshal(result.Payload, &got); err != nil || result.Failure != "" {
		t.Fatalf("%s answered %s (failure %q): %v", f.Name, result.Payload, result.Failure, err)
	}
	return got
}

func TestInvoke(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	t.Run("OK", func(t *testing.T) {
		f, l := function("echo")
		first := invoke(t, r, f, `{"a":1}`)
		if string(first.Payload) != `{"a":1}` || first.Failure != "" || first.Init == 0 || first.Billed < first.Init || first.Memory < 1 {
			t.Errorf("first: %+v", first)
		}
		second := invoke(t, r, f, `[2]`)
		if string(second.Payload) != `[2]` || second.Init != 0 || second.Stream != first.Stream || second.Billed%time.Millisecond != 0 {
			t.Errorf("second: %+v", second)
		}
		if !regexp.MustCompile(`^\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}$`).MatchString(first.Stream) {
			t.Errorf("stream %q", first.Stream)
		}
		want := regexp.MustCompile(`^\|INIT_START Runtime Version: provided:al2023
request-1\|START RequestId: request-1 Version: \$LATEST
request-1\|END RequestId: request-1
request-1\|REPORT RequestId: request-1	Duration: [0-9.]+ ms	Billed Duration: \d+ ms	Memory Size: 512 MB	Max Memory Used: \d+ MB	Init Duration: [0-9.]+ ms	
request-1\|START RequestId: request-1 Version: \$LATEST
request-1\|END RequestId: request-1
request-1\|REPORT RequestId: request-1	Duration: [0-9.]+ ms	Billed Duration: \d+ ms	Memory Size: 512 MB	Max Memory Used: \d+ MB	
$`)
		if got := l.String(); !want.MatchString(got) {
			t.Errorf("the log is\n%s", got)
		}
	})
	t.Run("Failed", func(t *testing.T) {
		f, _ := function("fail")
		for range 2 {
			got := invoke(t, r, f, `{}`)
			if got.Failure != "Unhandled" || got.ErrorType != "Mine" || string(got.Payload) != `{"errorType":"Mine","errorMessage":"it failed"}` {
				t.Errorf("got %s %+v", got.Payload, got)
			}
		}
	})
	t.Run("Tail", func(t *testing.T) {
		f, l := function("log")
		for range 2 {
			got := string(invoke(t, r, f, `{}`).Tail)
			if !strings.HasPrefix(got, "START RequestId: request-1 Version: $LATEST\nto standard output\nto standard error, with no end\nEND RequestId: request-1\nREPORT ") {
				t.Errorf("the tail is %q", got)
			}
		}
		if got := l.String(); strings.Count(got, "request-1|to standard error, with no end\n") != 2 {
			t.Errorf("the log is %s", got)
		}
	})
	for handler, want := range map[string]string{
		"exit":      `{"errorMessage":"RequestId: request-1 Error: Runtime exited with error: exit status 7","errorType":"Runtime.ExitError"}`,
		"quit":      `{"errorMessage":"RequestId: request-1 Error: Runtime exited without providing a reason","errorType":"Runtime.ExitError"}`,
		"initexit":  `{"errorMessage":"RequestId: request-1 Error: Runtime exited with error: exit status 5","errorType":"Runtime.ExitError"}`,
		"initerror": `{"errorType":"Init","errorMessage":"no"}`,
	} {
		t.Run(handler, func(t *testing.T) {
			f, l := function(handler)
			for range 2 {
				if got := invoke(t, r, f, `{}`); string(got.Payload) != want || got.Failure != "Unhandled" {
					t.Errorf("got %s, failure %q, want %s", got.Payload, got.Failure, want)
				}
			}
			if got := l.String(); strings.Count(got, "REPORT") != 2 || handler == "initexit" && !strings.Contains(got, "|cannot start\n") {
				t.Errorf("the log is %s", got)
			}
		})
	}
	t.Run("EndedWhileIdle", func(t *testing.T) {
		f, _ := function("diesidle")
		for range 3 {
			if got := invoke(t, r, f, `{}`); string(got.Payload) != `"last words"` {
				t.Errorf("got %s", got.Payload)
			}
		}
	})
	t.Run("TooLongEvent", func(t *testing.T) {
		f, _ := function("echo")
		if _, err := r.Invoke(t.Context(), f, &runner.Invocation{RequestID: "x", Payload: make([]byte, runner.MaxPayload+1)}); err == nil {
			t.Error("there is no error")
		}
	})
	t.Run("CallerGone", func(t *testing.T) {
		f, l := function("hang")
		ctx, cancel := context.WithCancel(t.Context())
		go func() { l.wait(t, "hanging"); cancel() }()
		if _, err := r.Invoke(ctx, f, &runner.Invocation{RequestID: "x", Payload: []byte("{}")}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestStream(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	for name, c := range map[string]struct{ handler, event, stream, payload, failure, kind string }{
		"OK":       {"streams", `{}`, "chunk 0\nchunk 1\nchunk 2\n", "", "", "text/x"},
		"Late":     {"streams", `"fail"`, "chunk 0\nchunk 1\nchunk 2\n", `{"errorType":"Late"}`, "Unhandled", "text/x"},
		"Buffered": {"echo", `{"a":1}`, `{"a":1}`, "", "", "application/json"},
		"Failed":   {"fail", `{}`, "", `{"errorType":"Mine","errorMessage":"it failed"}`, "Unhandled", ""},
	} {
		t.Run(name, func(t *testing.T) {
			f, _ := function(c.handler)
			var b bytes.Buffer
			kind := ""
			got, err := r.Invoke(t.Context(), f, &runner.Invocation{RequestID: "x", Payload: []byte(c.event), Stream: &b, Start: func(k string) { kind = k }})
			if err != nil {
				t.Fatal(err)
			}
			if b.String() != c.stream || string(got.Payload) != c.payload || got.Failure != c.failure || kind != c.kind {
				t.Errorf("streamed %q of %q, payload %s, failure %q", b.String(), kind, got.Payload, got.Failure)
			}
		})
	}
	t.Run("AllAtOnce", func(t *testing.T) {
		f, _ := function("streams")
		if got := invoke(t, r, f, `{}`); string(got.Payload) != "chunk 0\nchunk 1\nchunk 2\n" {
			t.Errorf("got %s", got.Payload)
		}
		if got := invoke(t, r, f, `"fail"`); string(got.Payload) != `{"errorType":"Late"}` || got.Failure != "Unhandled" {
			t.Errorf("got %s", got.Payload)
		}
	})
	t.Run("ReaderGone", func(t *testing.T) {
		f, _ := function("streams")
		if _, err := r.Invoke(t.Context(), f, &runner.Invocation{RequestID: "x", Payload: []byte(`{}`), Stream: broken{}}); err == nil {
			t.Error("there is no error")
		}
	})
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("nobody reads") }

// told is what the handler tell answers.
type told struct {
	Env    []string
	Head   map[string][]string
	Status string
	Dir    string
	Host   string
	UID    int
	Args   []string
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	r := newRunner(t, func(c *runner.Config) { c.Endpoint = http404{} })
	f, _ := function("tell", func(f *runner.Function) {
		f.Environment = map[string]string{"MINE": "é=1\n2", "TZ": "Europe/Berlin", "AWS_REGION": "stolen"}
		f.Credentials = func(context.Context) (runner.Credentials, error) {
			return runner.Credentials{AccessKeyID: "AKID", SecretAccessKey: "SECRET", SessionToken: "TOKEN"}, nil
		}
	})
	begun := time.Now()
	result, err := r.Invoke(t.Context(), f, &runner.Invocation{RequestID: "id-1", ARN: f.ARN + ":alias", Payload: []byte("{}"), TraceID: "Root=1", ClientContext: []byte(`{"custom":{}}`)})
	if err != nil {
		t.Fatal(err)
	}
	var got told
	if err := json.Unmarshal(result.Payload, &got); err != nil {
		t.Fatalf("%v: %s", err, result.Payload)
	}
	env := map[string]string{}
	for _, e := range got.Env {
		k, v, _ := strings.Cut(e, "=")
		env[k] = v
	}
	want := map[string]string{
		"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "SECRET", "AWS_SESSION_TOKEN": "TOKEN", "AWS_DEFAULT_REGION": "us-east-1", "AWS_REGION": "us-east-1",
		"AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512", "AWS_LAMBDA_FUNCTION_NAME": "tell", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
		"AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand", "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/tell", "AWS_LAMBDA_LOG_STREAM_NAME": result.Stream, "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
		"LAMBDA_RUNTIME_DIR": "/var/runtime", "LAMBDA_TASK_ROOT": "/var/task", "LANG": "en_US.UTF-8", "MINE": "é=1\n2", "TZ": "Europe/Berlin", "_HANDLER": "tell",
		"LD_LIBRARY_PATH": "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib", "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
	}
	if d := cmp.Diff(want, env); d != "" {
		t.Errorf("environment (-want +got):\n%s", d)
	}
	head := map[string]string{}
	for k, v := range got.Head {
		if strings.HasPrefix(k, "Lambda-") {
			head[k] = v[0]
		}
	}
	deadline := head["Lambda-Runtime-Deadline-Ms"]
	delete(head, "Lambda-Runtime-Deadline-Ms")
	if d := cmp.Diff(map[string]string{"Lambda-Runtime-Aws-Request-Id": "id-1", "Lambda-Runtime-Invoked-Function-Arn": f.ARN + ":alias", "Lambda-Runtime-Trace-Id": "Root=1", "Lambda-Runtime-Client-Context": `{"custom":{}}`}, head); d != "" {
		t.Errorf("headers (-want +got):\n%s", d)
	}
	var at int64
	fmt.Sscan(deadline, &at)
	if left := time.Until(time.UnixMilli(at)); left > f.Timeout || at < begun.Add(f.Timeout).UnixMilli() {
		t.Errorf("the deadline is in %v", left)
	}
	if got.Dir != "/var/task" || got.UID != 1000 || got.Host != "function" || !slices.Equal(got.Args, []string{"/var/task/bootstrap"}) {
		t.Errorf("directory %q, user %d, host %q, arguments %q", got.Dir, got.UID, got.Host, got.Args)
	}
	for _, line := range []string{"CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2", "NSpid:\t1\n"} {
		if !strings.Contains(got.Status, line) {
			t.Errorf("/proc/self/status has no %q:\n%s", line, got.Status)
		}
	}
}

func TestInstances(t *testing.T) {
	t.Parallel()
	t.Run("OneAtATime", func(t *testing.T) {
		r := newRunner(t)
		f, _ := function("count")
		var wg sync.WaitGroup
		var mu sync.Mutex
		streams := map[string]int{}
		for range 12 {
			wg.Go(func() {
				got, err := r.Invoke(t.Context(), f, &runner.Invocation{RequestID: "x", Payload: []byte("{}")})
				if err != nil {
					t.Errorf("Invoke: %v", err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				if streams[got.Stream]++; fmt.Sprint(streams[got.Stream]) > string(got.Payload) && len(got.Payload) == 1 {
					t.Errorf("%s did %s of %d", got.Stream, got.Payload, streams[got.Stream])
				}
			})
		}
		wg.Wait()
	})
	t.Run("Throttled", func(t *testing.T) {
		r := newRunner(t)
		f, l := function("hang", func(f *runner.Function) { f.Concurrency, f.Timeout = 1, time.Hour })
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan error)
		go func() {
			_, err := r.Invoke(ctx, f, &runner.Invocation{RequestID: "1", Payload: []byte("{}")})
			first <- err
		}()
		l.wait(t, "hanging")
		if _, err := r.Invoke(t.Context(), f, &runner.Invocation{RequestID: "2", Payload: []byte("{}")}); !errors.Is(err, runner.ErrThrottled) {
			t.Errorf("the second: %v", err)
		}
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("the first: %v", err)
		}
		// While it ends there is nothing to throttle.
		f.Timeout = time.Second
		if got := invoke(t, r, f, "{}"); got.ErrorType != "Sandbox.Timedout" {
			t.Errorf("got %s", got.Payload)
		}
	})
	t.Run("MakesRoom", func(t *testing.T) {
		r := newRunner(t, func(c *runner.Config) { c.Instances = 2 })
		for i := range 5 {
			f, _ := function("count", func(f *runner.Function) { f.ID = fmt.Sprint(i) })
			invoke(t, r, f, "{}")
		}
		f, _ := function("count", func(f *runner.Function) { f.ID = "4" })
		if got := invoke(t, r, f, "{}"); string(got.Payload) != "2" {
			t.Errorf("the newest instance was ended: %s", got.Payload)
		}
	})
	t.Run("Forgotten", func(t *testing.T) {
		r := newRunner(t)
		f, _ := function("count")
		invoke(t, r, f, "{}")
		r.Forget(f.ID)
		if got := invoke(t, r, f, "{}"); string(got.Payload) != "1" {
			t.Errorf("got %s", got.Payload)
		}
	})
	t.Run("IdleTooLong", func(t *testing.T) {
		r := newRunner(t, func(c *runner.Config) { c.Idle = 20 * time.Millisecond })
		f, l := function("count")
		invoke(t, r, f, "{}")
		for range 500 {
			time.Sleep(10 * time.Millisecond)
			if got := invoke(t, r, f, "{}"); string(got.Payload) == "1" {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Errorf("it lives on:\n%s", l)
	})
	t.Run("CredentialsExpire", func(t *testing.T) {
		c := clock.NewMovable(0)
		r := newRunner(t, func(cfg *runner.Config) { cfg.Clock = c })
		f, _ := function("count", func(f *runner.Function) {
			f.Credentials = func(context.Context) (runner.Credentials, error) {
				return runner.Credentials{AccessKeyID: "x", Expires: c.Now().Add(time.Hour)}, nil
			}
		})
		invoke(t, r, f, "{}")
		c.Advance(50 * time.Minute)
		if got := invoke(t, r, f, "{}"); string(got.Payload) != "2" {
			t.Errorf("before: got %s", got.Payload)
		}
		c.Advance(20 * time.Minute)
		if got := invoke(t, r, f, "{}"); string(got.Payload) != "1" {
			t.Errorf("after: got %s", got.Payload)
		}
	})
	t.Run("Stopped", func(t *testing.T) {
		r := newRunner(t)
		f, _ := function("ticks")
		var ticks int
		for range 10 { // a busy machine may stop it late, and be late to ask
			before := answer[int](t, r, f, 0)
			time.Sleep(1500 * time.Millisecond) // it would tick 300 times
			if ticks = answer[int](t, r, f, 0) - before; ticks <= 150 {
				return
			}
		}
		t.Errorf("it ticked %d times between invocations", ticks)
	})
	t.Run("Closed", func(t *testing.T) {
		r := newRunner(t)
		f, l := function("hang")
		done := make(chan error)
		go func() {
			_, err := r.Invoke(context.Background(), f, &runner.Invocation{RequestID: "1", Payload: []byte("{}")})
			done <- err
		}()
		l.wait(t, "hanging")
		if err := r.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
		<-done
		if _, err := r.Invoke(t.Context(), f, &runner.Invocation{RequestID: "1"}); !errors.Is(err, runner.ErrClosed) {
			t.Errorf("Invoke: %v", err)
		}
	})
}

func TestUnsupported(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	other := map[string]string{"amd64": "arm64", "arm64": "x86_64"}[runtime.GOARCH]
	for name, f := range map[string]*runner.Function{
		"Runtime": {Runtime: "java21"}, "Container": {Runtime: ""}, "Architecture": {Runtime: "provided.al2023", Architecture: other},
	} {
		t.Run(name, func(t *testing.T) {
			var want *runner.UnsupportedError
			if _, err := r.Invoke(t.Context(), f, &runner.Invocation{}); !errors.As(err, &want) {
				t.Errorf("Invoke: %v", err)
			}
			if err := r.Supports(f.Runtime, f.Architecture); !errors.As(err, &want) {
				t.Errorf("Supports: %v", err)
			}
		})
	}
	if err := r.Supports("provided.al2", ""); err != nil {
		t.Errorf("Supports: %v", err)
	}
}

func TestCode(t *testing.T) {
	t.Parallel()
	r := newRunner(t)
	script := "#!/bin/sh\nA=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime\necho $0 in $PWD\nls -l /var/task /opt\nexit 9\n"
	for name, c := range map[string]struct {
		code   runner.Archive
		layers []runner.Archive
		want   string
	}{
		"NoBootstrap":   {code: archive(t, file{"x", "y", 0o644}), want: "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]"},
		"NotExecutable": {code: archive(t, file{"bootstrap", script, 0o644}), want: "fork/exec /var/task/bootstrap: permission denied"},
		"NoProgram":     {code: archive(t, file{"bootstrap", "hello", 0o755}), want: "fork/exec /var/task/bootstrap: exec format error"},
		"NoInterpreter": {code: archive(t, file{"bootstrap", "#!/nowhere/sh", 0o755}), want: "fork/exec /var/task/bootstrap: no such file or directory"},
		"LinkOut":       {code: archive(t, file{"bootstrap", "/etc/shadow", 0o755 | 1<<27}), want: "fork/exec"},
		"Script":        {code: archive(t, file{"bootstrap", script, 0o711}), want: "Runtime exited with error: exit status 9"},
		"InALayer":      {code: archive(t, file{"x", "y", 0o644}), layers: []runner.Archive{archive(t, file{"bootstrap", script, 0o755})}, want: "Runtime exited with error: exit status 9"},
	} {
		t.Run(name, func(t *testing.T) {
			f, l := function("x", func(f *runner.Function) { f.ID, f.Code, f.Layers = name, c.code, c.layers })
			if got := invoke(t, r, f, "{}"); !strings.Contains(string(got.Payload), c.want) || got.Failure != "Unhandled" {
				t.Errorf("got %s, want %q; log:\n%s", got.Payload, c.want, l)
			}
		})
	}
	t.Run("NotAZip", func(t *testing.T) {
		f, _ := function("x", func(f *runner.Function) {
			f.ID = "NotAZip"
			f.Code = runner.Archive{Digest: "z", Open: reading("PK nonsense")}
		})
		var want *runner.ArchiveError
		if _, err := r.Invoke(t.Context(), f, &runner.Invocation{}); !errors.As(err, &want) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("CannotBeOpened", func(t *testing.T) {
		broken := errors.New("no such blob")
		f, _ := function("x", func(f *runner.Function) {
			f.ID = "CannotBeOpened"
			f.Code = runner.Archive{Digest: "y", Open: func(context.Context) (io.ReadCloser, error) { return nil, broken }}
		})
		for range 2 {
			if _, err := r.Invoke(t.Context(), f, &runner.Invocation{}); !errors.Is(err, broken) {
				t.Errorf("got %v", err)
			}
		}
	})
	t.Run("NoCredentials", func(t *testing.T) {
		denied := errors.New("the role cannot be assumed")
		f, _ := function("echo", func(f *runner.Function) {
			f.ID = "NoCredentials"
			f.Credentials = func(context.Context) (runner.Credentials, error) { return runner.Credentials{}, denied }
		})
		if _, err := r.Invoke(t.Context(), f, &runner.Invocation{}); !errors.Is(err, denied) {
			t.Errorf("got %v", err)
		}
	})
}

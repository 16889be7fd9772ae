// Package runner runs functions: programs that speak the AWS Lambda Runtime API, each in a process tree of its own that sees nothing of the host but what it needs to start.
//
// A [Runner] keeps instances. An instance is one process with everything that it starts, in user, mount, PID, network, IPC, UTS and cgroup namespaces of its own: see
// docs/function-isolation.md for what that keeps out, and what it does not. It is started when it is needed, is used for one invocation at a time, and is kept for the next.
//
//	r, err := runner.New(runner.Config{Dir: scratch, Endpoint: cloud})
//	result, err := r.Invoke(ctx, &function, &runner.Invocation{RequestID: id, ARN: arn, Payload: event})
//
// Processes start from the program's own binary, so each program calls [Init] first in main, and each test binary that runs functions does in TestMain:
//
//	func TestMain(m *testing.M) {
//		runner.Init()
//		os.Exit(m.Run())
//	}
//
// Where the host cannot isolate (anything but Linux, and Linux that allows no namespaces) [Runner.Available] says why, and nothing is ever run.
//
// Limits are the world's, not the cloud's: a function that may take three seconds takes three seconds of wall time, however a test moves the [clock.Clock]. Only what a user can read or what
// expires, the times of log lines and credentials, comes from the cloud's clock.
package runner

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/holdfast-cloud/holdfast/clock"
)

// Config is what a runner needs. Dir is required.
type Config struct {
	// Dir is a directory of the runner's own, which it makes. Code is unpacked there, readable, while it is in use; it is emptied by New and by Close.
	Dir string
	// Hide are directories of the host that functions must not see, although they may be inside of /usr: the data directory. Dir is always hidden.
	Hide []string
	// Endpoint answers what functions ask at AWS_ENDPOINT_URL, which is http://127.0.0.1:4566 inside: the cloud. It must not offer what is for the operator only.
	// Without it nothing listens there.
	Endpoint http.Handler
	// Reach is what functions may connect to beside the cloud, with TCP.
	Reach []Reach
	// Clock tells the times of log lines and whether credentials have expired. Nil is the wall clock.
	Clock clock.Clock
	// Instances is how many there may be at once, of all functions together. 0 is 64.
	Instances int
	// Idle is how long an instance is kept that is not used. 0 is five minutes.
	Idle time.Duration
	// Log is where the runner tells what the operator should know. Nil is nowhere. What functions write goes to Function.Log.
	Log *slog.Logger
}

// Archive is a zip file.
type Archive struct {
	// Digest names the content: equal digests mean equal bytes. It is required.
	Digest string
	// Open opens the bytes.
	Open func(context.Context) (io.ReadCloser, error)
}

// Credentials are what a function signs its calls with.
type Credentials struct {
	AccessKeyID, SecretAccessKey, SessionToken string
	// Expires is by the cloud's clock; an instance is not used beyond it. Zero is never.
	Expires time.Time
}

// Function is what is to be run, as it is at one time.
type Function struct {
	// ID names code and configuration. Instances are kept and reused by it, so whatever changes in the other members changes ID.
	// An instance keeps the Credentials and the Log that it was started with.
	ID string
	// ARN, Name and Version are what the function is told of itself, as are Account and Region.
	ARN, Name, Version, Account, Region string
	// Runtime is provided.al2023, provided.al2, python3.N or nodejsN.x; Handler is what of the code is called.
	Runtime, Handler string
	// Code is unpacked into /var/task, Layers one over the other into /opt.
	Code   Archive
	Layers []Archive
	// Environment is the customer's. It wins over AWS_ENDPOINT_URL, TZ, LANG, PATH and the like, not over what is reserved.
	Environment map[string]string
	// Memory and Ephemeral, the size of /tmp, are MiB; 0 is 128 and 512.
	Memory, Ephemeral int
	// Timeout bounds one invocation; 0 is three seconds.
	Timeout time.Duration
	// Architecture is x86_64 or arm64; empty is the host's.
	Architecture string
	// Concurrency is how many instances there may be of ID at once. 0 is as many as the runner has.
	Concurrency int
	// Credentials are asked for once by each instance, when it starts. Nil: the function gets none.
	Credentials func(context.Context) (Credentials, error)
	// Log gets what the function writes and what the platform says of it, in order, from one goroutine at a time for each instance. What it takes delays the function. Nil: lost.
	Log func([]LogLine)
}

// LogLine is one line of a function's log, without its line feed.
type LogLine struct {
	Time time.Time // by the cloud's clock
	// Stream names the instance as AWS names log streams: 2026/03/01/[$LATEST]0123456789abcdef0123456789abcdef.
	Stream string
	// RequestID is the invocation during which the line was written; empty while the instance started and between invocations.
	RequestID string
	Text      string
}

// Invocation is one event for a function.
type Invocation struct {
	RequestID string
	// ARN is the one that the caller used, with its qualifier.
	ARN     string
	Payload []byte // JSON
	// ClientContext is JSON, or empty.
	ClientContext []byte
	TraceID       string
	// Stream takes the response while the function writes it. Nil: it comes as Result.Payload, all at once.
	Stream io.Writer
	// Start is called with the Content-Type that the function gave its response, before Stream gets the first byte. It may be nil.
	Start func(contentType string)
}

// Result is what came of an invocation. A function that fails has a result too.
type Result struct {
	// Payload is the response, or JSON that describes the failure. It is empty if the response went to Stream.
	Payload []byte
	// Failure is empty for success, else Unhandled: what AWS calls FunctionError.
	Failure string
	// ErrorType says what failed: that of the function's error, or Sandbox.Timedout, Runtime.ExitError, ...
	ErrorType string
	// ContentType is what the function said of its response.
	ContentType string
	// Tail is the end of the invocation's log, up to 4 KiB.
	Tail []byte
	// Stream is the log stream of the instance that did it.
	Stream string
	// Duration is what the invocation took, Init what starting the instance did, if it was started for this one. Billed is both, in whole milliseconds.
	Duration, Billed, Init time.Duration
	// Memory is the most that the instance has used, in MiB.
	Memory int
}

// MaxPayload is how long an event and a response may be that is not streamed, in bytes.
const MaxPayload = 6<<20 + 100

// ErrThrottled is the error of an invocation for which there is no instance and none may be started.
var ErrThrottled = errors.New("no instance is free and no more may be started")

// ErrClosed is the error of a runner that was closed.
var ErrClosed = errors.New("the function runner is closed")

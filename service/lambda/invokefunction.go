package lambda

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-cloud/holdfast/api/events"
	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/api/logs"
	"github.com/holdfast-cloud/holdfast/api/sns"
	"github.com/holdfast-cloud/holdfast/api/sqs"
	"github.com/holdfast-cloud/holdfast/api/sts"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/meter"
	"github.com/holdfast-cloud/holdfast/runner"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/wire"
)

// Runner runs functions: a *runner.Runner.
type Runner interface {
	Invoke(context.Context, *runner.Function, *runner.Invocation) (*runner.Result, error)
	Forget(id string)
}

// Running is what the service needs to invoke functions. All of it is needed but Meter and Report.
type Running struct {
	Runner Runner
	Clock  clock.Clock
	Seal   *seal.Keyring // seals events that wait

	STS    sts.Client    // gives functions the credentials of their roles
	Logs   logs.Client   // takes what they write
	SQS    sqs.Client    // dead letters and destinations, as the others below
	SNS    sns.Client    //
	Lambda lambda.Client //
	Events events.Client //

	// Perform has the service do something of its own accord, in an account and a region: door.Door has it.
	Perform func(ctx context.Context, service, account, region string, do func(*call.Call) error) error

	Meter  *meter.Meter
	Report func(error) // takes what went wrong in the background
}

func (r *Running) complete() bool {
	if r.Report == nil {
		r.Report = func(error) {}
	}
	for _, t := range []call.Transport{r.STS.Transport, r.Logs.Transport, r.SQS.Transport, r.SNS.Transport, r.Lambda.Transport, r.Events.Transport} {
		if t == nil {
			return false
		}
	}
	return r.Runner != nil && r.Clock != nil && r.Seal != nil && r.Perform != nil
}

// result is what came of an invocation that ran to its end.
type result = runner.Result

// prepare makes of a version what the runner runs.
func (s *Service) prepare(ctx context.Context, o *order) (*runner.Function, error) {
	v, scope := o.version, call.Scope{Account: o.account, Region: o.region, Partition: s.cfg.Partition}
	code, layers := s.code(o.target)
	f := &runner.Function{
		ID: functionARN(scope, o.function.Name, v.qualifier()) + "#" + v.Change, ARN: functionARN(scope, o.function.Name, v.qualifier()), Name: o.function.Name, Version: v.qualifier(),
		Account: o.account, Region: o.region, Runtime: v.Runtime, Handler: v.Handler, Architecture: v.Architecture,
		Memory: int(v.Memory), Ephemeral: int(v.Ephemeral), Timeout: time.Duration(v.Timeout) * time.Second,
		Code:        runner.Archive{Digest: v.Code.Sum, Open: code},
		Credentials: func(ctx context.Context) (runner.Credentials, error) { return s.session(ctx, o) },
		Log:         s.logbook.taker(o),
	}
	for i, l := range v.Layers {
		f.Layers = append(f.Layers, runner.Archive{Digest: l.Blob, Open: layers[i]})
	}
	var err error
	f.Environment, err = s.variables.get(f.ID, s.cfg.Clock.Now(), func() (map[string]string, error) { return s.decrypted(ctx, o) })
	return f, err
}

// perform runs a function that was prepared, and counts what came of it.
func (s *Service) perform(ctx context.Context, o *order, f *runner.Function) (*result, error) {
	r, err := s.cfg.Runner.Invoke(ctx, f, &runner.Invocation{
		RequestID: o.id, ARN: o.asked, Payload: o.payload, ClientContext: o.clientContext, TraceID: o.trace(s.cfg.Clock.Now()), Stream: o.stream, Start: o.start,
	})
	if errors.Is(err, runner.ErrThrottled) {
		s.measure(o, "Throttles", 1)
		return nil, throttled(lambda.ThrottleReasonConcurrentInvocationLimitExceeded)
	}
	if err != nil {
		return nil, err
	}
	failed := 0.0
	if r.Failure != "" {
		failed = 1
	}
	s.measure(o, "Invocations", 1)
	s.measure(o, "Errors", failed)
	s.measureUnit(o, "Duration", meter.Milliseconds, milliseconds(r.Duration))
	return r, nil
}

// sessionTime is how long the credentials last that an instance of a function is given; it is not used beyond that.
const sessionTime = time.Hour

// session opens a session of the function's role, as Lambda does for each instance: https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html
func (s *Service) session(ctx context.Context, o *order) (out runner.Credentials, err error) {
	name := o.function.Name
	if len(name) == 1 {
		name += "@lambda_function" // sessions have longer names
	}
	arn := functionARN(call.Scope{Account: o.account, Region: o.region, Partition: s.cfg.Partition}, o.function.Name, "")
	err = s.cfg.Perform(ctx, lambda.Service.Package, o.account, o.region, func(c *call.Call) error {
		got, err := s.cfg.STS.AssumeRole(c.AsServiceFor(arn), &sts.AssumeRoleRequest{RoleArn: &o.version.Role, RoleSessionName: &name, DurationSeconds: new(int32(sessionTime / time.Second))})
		if err != nil {
			return err
		}
		k := got.Credentials
		out = runner.Credentials{AccessKeyID: *k.AccessKeyId, SecretAccessKey: *k.SecretAccessKey, SessionToken: *k.SessionToken, Expires: *k.Expiration}
		return nil
	})
	if _, denied := errors.AsType[*call.Denied](err); denied {
		err = errNotAssumed()
	}
	return out, err
}

// variables keeps the environment of functions that are in use, so that not every invocation asks KMS, as an instance that runs does not.
type variables struct {
	mu   sync.Mutex // guards held; nothing is decrypted under it
	held map[string]heldVariables
}

type heldVariables struct {
	values map[string]string
	until  time.Time
}

const (
	variablesTime = 5 * time.Minute
	maxVariables  = 1000
)

func (v *variables) get(id string, now time.Time, decrypt func() (map[string]string, error)) (map[string]string, error) {
	v.mu.Lock()
	h, ok := v.held[id]
	v.mu.Unlock()
	if ok && now.Before(h.until) {
		return h.values, nil
	}
	values, err := decrypt()
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.held) >= maxVariables || v.held == nil {
		v.held = make(map[string]heldVariables)
	}
	v.held[id] = heldVariables{values, now.Add(variablesTime)}
	return values, nil
}

// decrypted are the environment variables of a version, as its role reads them.
func (s *Service) decrypted(ctx context.Context, o *order) (values map[string]string, err error) {
	if o.version.Environment == nil {
		return nil, nil
	}
	err = s.cfg.Perform(ctx, lambda.Service.Package, o.account, o.region, func(c *call.Call) error {
		as, err := c.AsRole(o.version.Role, functionARN(c.Scope, o.function.Name, ""))
		if err != nil {
			return err
		}
		values, err = s.environment(as, o.function, o.version)
		return err
	})
	return values, undecrypted(err)
}

// undecrypted is what the caller is told of variables that could not be decrypted.
func undecrypted(err error) error {
	const text = "Lambda was unable to decrypt the environment variables because %s. Please check the function's KMS key settings. KMS Exception: %s KMS Message: %s"
	if errors.Is(err, call.ErrRole) {
		return errNotAssumed()
	}
	if d, ok := errors.AsType[*call.Denied](err); ok {
		return &lambda.KMSAccessDeniedException{Type: new("User"), Message: fmt.Sprintf(text, "KMS access was denied", "AccessDeniedException", d.Message)}
	}
	e, ok := errors.AsType[wire.ModeledError](err)
	if !ok || e.Schema().Error.Fault {
		return err
	}
	code, message := e.Schema().Error.Code, wire.Message(e)
	switch code {
	case "DisabledException":
		return &lambda.KMSDisabledException{Type: new("User"), Message: fmt.Sprintf(text, "the KMS key used is disabled", code, message)}
	case "KMSInvalidStateException":
		return &lambda.KMSInvalidStateException{Type: new("User"), Message: fmt.Sprintf(text, "the state of the KMS key used is not valid for Decrypt", code, message)}
	case "NotFoundException":
		return &lambda.KMSNotFoundException{Type: new("User"), Message: fmt.Sprintf(text, "the KMS key was not found", code, message)}
	}
	return &lambda.KMSAccessDeniedException{Type: new("User"), Message: fmt.Sprintf(text, "KMS access was denied", code, message)}
}

func errNotAssumed() error {
	return &wire.Error{Code: "AccessDeniedException", Status: 403, Message: "The role defined for the function cannot be assumed by Lambda."}
}

// trace is the header by which an invocation is traced: https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
func (o *order) trace(now time.Time) string {
	id := strings.ReplaceAll(o.id, "-", "")
	if len(id) != 32 {
		return ""
	}
	return "Root=1-" + hex32(now) + "-" + id[8:] + ";Parent=" + id[:16] + ";Sampled=0"
}

func hex32(t time.Time) string {
	const digits = "0123456789abcdef"
	var b [8]byte
	for i, n := len(b)-1, uint32(t.Unix()); i >= 0; i, n = i-1, n>>4 {
		b[i] = digits[n&15]
	}
	return string(b[:])
}

// measure adds to a metric of the function that counts: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
func (s *Service) measure(o *order, name string, value float64) {
	s.measureUnit(o, name, meter.Count, value)
}

func (s *Service) measureUnit(o *order, name, unit string, value float64) {
	now, m := s.cfg.Clock.Now(), meter.Series{Account: o.account, Region: o.region, Namespace: "AWS/Lambda", Name: name, Unit: unit}
	resource := o.function.Name
	if o.qualifier != "" {
		resource += ":" + o.qualifier
	}
	all := []meter.Dimension{{Name: "FunctionName", Value: o.function.Name}, {Name: "Resource", Value: resource}, {Name: "ExecutedVersion", Value: o.version.qualifier()}}
	of := 2
	if o.alias != nil {
		of = 3
	}
	for n := range of + 1 {
		m.Dimensions = all[:n]
		s.cfg.Meter.Add(m, now, value)
	}
}

// measureRunning tells how many run at once.
func (s *Service) measureRunning(o *order, n counts) {
	now, m := s.cfg.Clock.Now(), meter.Series{Account: o.account, Region: o.region, Namespace: "AWS/Lambda", Name: "ConcurrentExecutions", Unit: meter.Count}
	s.cfg.Meter.Add(m, now, float64(n.all))
	m.Dimensions = []meter.Dimension{{Name: "FunctionName", Value: o.function.Name}}
	s.cfg.Meter.Add(m, now, float64(n.function))
	if o.function.Reserved == nil {
		m.Name, m.Dimensions = "UnreservedConcurrentExecutions", nil
		s.cfg.Meter.Add(m, now, float64(n.unreserved))
	}
}

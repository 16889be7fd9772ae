package secretsmanager

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/wire"
)

const functionARN = "arn:aws:lambda:us-east-1:111122223333:function:rotator"

// byFunction is the request that has the function rotate a secret.
var byFunction = object{"RotationLambdaARN": functionARN, "RotationRules": object{"AutomaticallyAfterDays": 30}}

// template is a rotation function as AWS's template has it, which goes through the steps that it is called with.
func (w *workshop) template(t *testing.T, steps *[]string) func(context.Context, stepRequest) (*lambda.InvocationResponse, error) {
	return func(_ context.Context, r stepRequest) (*lambda.InvocationResponse, error) {
		*steps = append(*steps, r.Step)
		told := w.must("DescribeSecret", object{"SecretId": r.SecretId})
		labels, _ := told["VersionIdsToStages"].(object)[r.ClientRequestToken].([]any)
		if told["RotationEnabled"] != true || len(labels) != 1 || labels[0] != pendingLabel {
			t.Errorf("in %s the function finds %v", r.Step, told)
		}
		switch r.Step {
		case createStep:
			_, err := w.do("GetSecretValue", object{"SecretId": r.SecretId, "VersionId": r.ClientRequestToken, "VersionStage": pendingLabel})
			if err == nil {
				break // of an attempt before
			}
			if !strings.HasPrefix(err.Error(), "ResourceNotFoundException") {
				t.Errorf("the version without a value: %v", err)
			}
			w.must("PutSecretValue", object{
				"SecretId": r.SecretId, "ClientRequestToken": r.ClientRequestToken, "SecretString": "made by " + r.ClientRequestToken, "VersionStages": []string{pendingLabel},
				"RotationToken": r.RotationToken,
			})
		case finishStep:
			w.must("UpdateSecretVersionStage", object{
				"SecretId": r.SecretId, "VersionStage": currentLabel, "MoveToVersionId": r.ClientRequestToken, "RemoveFromVersionId": w.record("s").Labels[currentLabel],
			})
		}
		return &lambda.InvocationResponse{StatusCode: new(int32(200))}, nil
	}
}

// A function is called for four steps, and moves AWSCURRENT itself.
func TestRotationByFunction(t *testing.T) {
	w := newWorkshop(t)
	w.create("s", "first")
	var steps []string
	w.function = w.template(t, &steps)
	version := w.rotate("s", byFunction)
	w.advance(0)
	if d := cmp.Diff([]string{createStep, setStep, testStep, finishStep}, steps); d != "" {
		t.Errorf("steps (-want +got):\n%s", d)
	}
	if r := w.record("s"); r.Labels[currentLabel] != version || r.hanging() != "" || r.Rotation.Run != nil || w.value("s") != "made by "+version {
		t.Errorf("labels %v, %+v", r.Labels, r.Rotation)
	}
	w.advance(31 * day)
	if len(steps) != 8 {
		t.Errorf("a month later: %v", steps)
	}
	if d := cmp.Diff([]string{"RotationStarted", "RotationSucceeded", "RotationStarted", "RotationSucceeded"}, w.events()); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
}

// Whatever a function does wrong, and in whichever step, the secret stays as it is, the event says what failed, and the rotation is tried again.
func TestFunctionFails(t *testing.T) {
	broken := map[string]func(ctx context.Context) (*lambda.InvocationResponse, error){
		"Fails": func(context.Context) (*lambda.InvocationResponse, error) {
			return &lambda.InvocationResponse{FunctionError: new("Unhandled"), Payload: []byte(`{"errorMessage":"password first"}`)}, nil
		},
		"Garbage": func(context.Context) (*lambda.InvocationResponse, error) { return nil, nil },
		"Throttled": func(context.Context) (*lambda.InvocationResponse, error) {
			return nil, &lambda.TooManyRequestsException{}
		},
		"Bug": func(context.Context) (*lambda.InvocationResponse, error) { return nil, errors.New("a bug") },
		"Off": func(context.Context) (*lambda.InvocationResponse, error) {
			return nil, wire.NotImplemented("lambda", "Invoke")
		},
	}
	for name, fail := range broken {
		for _, step := range []string{createStep, setStep, testStep, finishStep} {
			t.Run(name+"/"+step, func(t *testing.T) {
				t.Parallel()
				w := newWorkshop(t)
				w.create("s", "first")
				var steps []string
				good := w.template(t, &steps)
				failed := false
				w.function = func(ctx context.Context, r stepRequest) (*lambda.InvocationResponse, error) {
					if r.Step == step && !failed {
						failed = true
						return fail(ctx)
					}
					return good(ctx, r)
				}
				version := w.rotate("s", byFunction)
				w.advance(0)
				want := "RotationFailed(Error when executing lambda " + functionARN + " during " + step + " step)"
				if d := cmp.Diff([]string{"RotationStarted", want}, w.events()); d != "" {
					t.Errorf("events (-want +got):\n%s", d)
				}
				if w.value("s") != "first" || w.record("s").hanging() != version {
					t.Errorf("after the failure: %v", w.record("s").Labels)
				}
				w.advance(retries[0])
				if w.value("s") != "made by "+version || w.record("s").Rotation.Run != nil {
					t.Errorf("after the next attempt: %v, %v", w.record("s").Labels, steps)
				}
			})
		}
	}
}

// A function that fails for good is tried several times in each window, and never takes the value that there is.
func TestFunctionFailsForGood(t *testing.T) {
	w := newWorkshop(t)
	w.create("s", "first")
	calls := 0
	w.function = func(context.Context, stepRequest) (*lambda.InvocationResponse, error) {
		calls++
		return &lambda.InvocationResponse{FunctionError: new("Unhandled")}, nil
	}
	version := w.rotate("s", byFunction)
	w.advance(day)
	first := calls
	if r := w.record("s").Rotation; first < 5 || first > 40 || !r.Run.Idle || r.Run.Token != version || !r.Next.After(w.clock.Now()) {
		t.Errorf("%d calls, %+v", first, r.Run)
	}
	_, err := w.do("RotateSecret", object{"SecretId": "s", "ClientRequestToken": token()})
	if err == nil || err.Error() != "InvalidRequestException: A previous rotation isn't complete. That rotation will be reattempted." {
		t.Errorf("RotateSecret: %v", err)
	}
	w.advance(3 * day)
	if calls < first+2 || w.value("s") != "first" || w.record("s").hanging() != version {
		t.Errorf("%d calls, %v", calls, w.record("s").Labels)
	}
	var steps []string
	w.function = w.template(t, &steps)
	w.advance(2 * day)
	if w.value("s") != "made by "+version {
		t.Errorf("when it works again: %v", w.record("s").Labels)
	}
}

// A function that ends well without having moved AWSCURRENT has not rotated the secret.
func TestFunctionDoesNothing(t *testing.T) {
	w := newWorkshop(t)
	w.create("s", "first")
	w.function = func(context.Context, stepRequest) (*lambda.InvocationResponse, error) {
		return &lambda.InvocationResponse{}, nil
	}
	version := w.rotate("s", byFunction)
	w.advance(0)
	want := []string{"RotationStarted", "RotationFailed(The lambda " + functionARN + " has not moved AWSCURRENT to version " + version + ")"}
	if d := cmp.Diff(want, w.events()); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
}

// RotateImmediately of false tries the function's testSecret with what AWSCURRENT says, and leaves nothing behind.
func TestTestRotation(t *testing.T) {
	for _, works := range []bool{true, false} {
		w := newWorkshop(t)
		w.create("s", "first")
		before := w.record("s")
		var steps []string
		w.function = func(_ context.Context, r stepRequest) (*lambda.InvocationResponse, error) {
			steps = append(steps, r.Step+" "+w.must("GetSecretValue", object{"SecretId": "s", "VersionStage": pendingLabel})["SecretString"].(string))
			if works {
				return &lambda.InvocationResponse{}, nil
			}
			return &lambda.InvocationResponse{FunctionError: new("Unhandled")}, nil
		}
		w.rotate("s", object{"RotationLambdaARN": functionARN, "RotateImmediately": false, "RotationRules": object{"ScheduleExpression": "cron(0 4 1 * ? *)", "Duration": "2h"}})
		w.advance(day)
		want := []string{"TestRotationStarted", "TestRotationSucceeded"}
		if !works {
			want[1] = "TestRotationFailed(Error when executing lambda " + functionARN + " during testSecret step)"
		}
		if d := cmp.Diff(want, w.events()); d != "" {
			t.Errorf("events (-want +got):\n%s", d)
		}
		r := w.record("s")
		if d := cmp.Diff([]string{"testSecret first"}, steps); d != "" || !cmp.Equal(before.Labels, r.Labels) || r.Versions != before.Versions || r.Deprecated != before.Deprecated {
			t.Errorf("steps %v, labels %v, %d versions", steps, r.Labels, r.Versions)
		}
		if !r.Rotation.Next.Equal(time.Date(2026, 12, 1, 5, 59, 59, 0, time.UTC)) {
			t.Errorf("the next rotation is before %s", r.Rotation.Next)
		}
	}
}

// Functions that cannot be invoked are refused, and those that cannot be any more are told of.
func TestFunctionNotInvoked(t *testing.T) {
	w := newWorkshop(t)
	w.create("s", "first")
	denied := func(byCaller bool) func(*call.Call, string) error {
		return func(c *call.Call, _ string) error {
			if (c.Caller.ServiceName == "") == byCaller {
				return &call.Denied{Action: "lambda:InvokeFunction", Message: "no"}
			}
			return nil
		}
	}
	for name, answer := range map[string]func(*call.Call, string) error{"Gone": missingFunction, "Caller": denied(true), "Service": denied(false)} {
		w.reachable = answer
		in := object{"SecretId": "s", "ClientRequestToken": token(), "RotationLambdaARN": functionARN}
		if _, err := w.do("RotateSecret", in); err == nil || err.Error() != "AccessDeniedException: "+notInvokedMessage {
			t.Errorf("%s: %v", name, err)
		}
	}
	if r := w.record("s").Rotation; r != nil {
		t.Errorf("the secret has %+v", r)
	}
	w.reachable = func(*call.Call, string) error { return nil }
	failures := []error{&lambda.ResourceNotFoundException{}, &wire.Error{Code: "AccessDeniedException", Status: 403}}
	w.function = func(context.Context, stepRequest) (*lambda.InvocationResponse, error) {
		err := failures[0]
		failures = failures[1:]
		return nil, err
	}
	w.rotate("s", byFunction)
	w.advance(retries[0])
	want := []string{"RotationStarted", "RotationFailed(" + notInvokedMessage + ")", "RotationStarted", "RotationFailed(" + notInvokedMessage + ")"}
	if d := cmp.Diff(want, w.events()); d != "" {
		t.Errorf("events (-want +got):\n%s", d)
	}
}

func missingFunction(*call.Call, string) error { return &lambda.ResourceNotFoundException{} }

// What goes on in between ends a rotation, or does not.
func TestRotationInterrupted(t *testing.T) {
	between := map[string]struct {
		do   func(w *workshop, version string)
		want string // AWSCURRENT in the end
		last string // event
	}{
		"NewValue": {func(w *workshop, _ string) {
			w.must("PutSecretValue", object{"SecretId": "s", "ClientRequestToken": token(), "SecretString": "by hand"})
		}, "by hand", "RotationAbandoned"},
		"Cancelled": {func(w *workshop, _ string) { w.must("CancelRotateSecret", object{"SecretId": "s"}) }, "first", "RotationStarted"},
		"LabelRemoved": {func(w *workshop, version string) {
			w.must("UpdateSecretVersionStage", object{"SecretId": "s", "VersionStage": pendingLabel, "RemoveFromVersionId": version})
		}, "first", "RotationStarted"},
		"Deleted": {nil, "made by ", "RotationSucceeded"},
		"Described": {func(w *workshop, _ string) {
			w.must("UpdateSecret", object{"SecretId": "s", "Description": "changed"})
		}, "made by ", "RotationSucceeded"},
		"Restarted": {func(w *workshop, _ string) { w.restart() }, "made by ", "RotationSucceeded"},
	}
	for name, x := range between {
		t.Run(name, func(t *testing.T) {
			w := newWorkshop(t)
			w.create("s", "first")
			var steps []string
			good := w.template(t, &steps)
			reached, goOn := make(chan struct{}), make(chan struct{})
			once := false
			w.function = func(ctx context.Context, r stepRequest) (*lambda.InvocationResponse, error) {
				if r.Step == setStep && !once {
					once = true
					close(reached)
					select {
					case <-goOn:
					case <-ctx.Done():
						return nil, ctx.Err()
					}
					return &lambda.InvocationResponse{}, nil
				}
				return good(ctx, r)
			}
			version := w.rotate("s", object{"RotationLambdaARN": functionARN})
			<-reached
			if name == "Deleted" {
				w.must("DeleteSecret", object{"SecretId": "s"})
				close(goOn)
				w.advance(time.Hour)
				w.must("RestoreSecret", object{"SecretId": "s"})
			} else {
				x.do(w, version)
				close(goOn)
			}
			w.advance(time.Minute)
			if got := w.value("s"); got != x.want && (x.want != "made by " || got != x.want+version) {
				t.Errorf("AWSCURRENT says %s", got)
			}
			if events := w.events(); events[len(events)-1] != x.last {
				t.Errorf("events %v", events)
			}
		})
	}
}

// The RotationToken that a function is shown is that of its rotation, for as long as that takes.
func TestRotationToken(t *testing.T) {
	w := newWorkshop(t)
	w.create("s", "first")
	var steps []string
	good, shown := w.template(t, &steps), ""
	w.function = func(ctx context.Context, r stepRequest) (*lambda.InvocationResponse, error) {
		if shown = r.RotationToken; r.Step == createStep {
			_, err := w.do("PutSecretValue", object{
				"SecretId": "s", "ClientRequestToken": r.ClientRequestToken, "SecretString": "forged", "VersionStages": []string{pendingLabel}, "RotationToken": token(),
			})
			if err == nil || !strings.HasPrefix(err.Error(), "InvalidRequestException") {
				t.Errorf("with another token: %v", err)
			}
		}
		return good(ctx, r)
	}
	w.rotate("s", byFunction)
	w.advance(0)
	if _, err := w.do("PutSecretValue", object{"SecretId": "s", "ClientRequestToken": token(), "SecretString": "late", "RotationToken": shown}); err == nil {
		t.Error("the token is taken when the rotation is over")
	}
}

// A rotation that is over is not begun again by its own token, and one with a token that has made the version in another way is refused, and not taken for over.
func TestTokenOfAnotherRequest(t *testing.T) {
	w := newWorkshop(t)
	w.create("s", "first")
	var steps []string
	w.function = w.template(t, &steps)
	first := w.record("s").Labels[currentLabel]
	rotate := object{"SecretId": "s", "ClientRequestToken": first, "RotationLambdaARN": functionARN}
	if _, err := w.do("RotateSecret", rotate); err == nil || !strings.HasPrefix(err.Error(), "InvalidRequestException") || w.record("s").Rotation != nil {
		t.Errorf("with the token of CreateSecret: %v", err)
	}
	version := w.rotate("s", byFunction)
	w.advance(0)
	rotate["ClientRequestToken"] = version
	w.must("RotateSecret", rotate)
	w.advance(0)
	if len(steps) != 4 || w.record("s").Labels[currentLabel] != version {
		t.Errorf("the same request again: %v", steps)
	}
}

// SDKs draw a ClientRequestToken; who speaks the protocol has to, wherever a version is made.
func TestTokenIsNeeded(t *testing.T) {
	w := newWorkshop(t)
	w.create("s", "first")
	for op, in := range map[string]object{
		"CreateSecret": {"Name": "t", "SecretString": "x"}, "PutSecretValue": {"SecretId": "s", "SecretString": "x"}, "UpdateSecret": {"SecretId": "s", "SecretString": "x"}, "RotateSecret": {"SecretId": "s"},
	} {
		const want = "InvalidRequestException: You must provide a ClientRequestToken value. We recommend a UUID-type value."
		if _, err := w.do(op, in); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", op, err, want)
		}
	}
	w.must("CreateSecret", object{"Name": "u"})
	w.must("UpdateSecret", object{"SecretId": "s", "Description": "no version"})
}

// A secret that was deleted when its function had just moved the labels can be restored, and is rotated.
func TestDeletedInTheLastStep(t *testing.T) {
	w := newWorkshop(t)
	w.create("s", "first")
	var steps []string
	template := w.template(t, &steps)
	w.function = func(ctx context.Context, r stepRequest) (*lambda.InvocationResponse, error) {
		out, err := template(ctx, r)
		if r.Step == finishStep {
			w.must("UpdateSecretVersionStage", object{"SecretId": "s", "VersionStage": pendingLabel, "RemoveFromVersionId": r.ClientRequestToken})
			w.must("DeleteSecret", object{"SecretId": "s"})
		}
		return out, err
	}
	version := w.rotate("s", byFunction)
	w.advance(0)
	w.must("RestoreSecret", object{"SecretId": "s"})
	w.advance(0)
	if r := w.record("s"); r.Labels[currentLabel] != version || r.Rotation.Run != nil || r.Rotation.Last.IsZero() {
		t.Errorf("labels %v, %+v", r.Labels, r.Rotation)
	}
}

// AWSCURRENT does not move to a version that nothing was put into.
func TestNothingIsNotCurrent(t *testing.T) {
	w := newWorkshop(t)
	w.create("s", "first")
	first := w.record("s").Labels[currentLabel]
	w.function = func(_ context.Context, r stepRequest) (*lambda.InvocationResponse, error) {
		if r.Step == createStep {
			_, err := w.do("UpdateSecretVersionStage", object{"SecretId": "s", "VersionStage": currentLabel, "MoveToVersionId": r.ClientRequestToken, "RemoveFromVersionId": first})
			if err == nil || !strings.Contains(err.Error(), "because it has no value") {
				t.Errorf("moving AWSCURRENT to nothing: %v", err)
			}
		}
		return &lambda.InvocationResponse{StatusCode: new(int32(200))}, nil
	}
	w.rotate("s", byFunction)
	w.advance(0)
	if got := w.value("s"); got != "first" {
		t.Errorf("the value is %q", got)
	}
}

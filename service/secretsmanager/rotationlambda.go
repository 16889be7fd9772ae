package secretsmanager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/wire"
)

// functionTime is how long a call of a function may take: what Lambda gives it at most, and a while to start.
const functionTime = 16 * time.Minute

// stepRequest is what a rotation function is called with:
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda.html
type stepRequest struct {
	ClientRequestToken, SecretId, Step, RotationToken string
}

// call has the function go through the four steps.
func (a *attempt) call(ctx context.Context) error {
	for _, step := range []string{createStep, setStep, testStep, finishStep} {
		if err := a.perform(ctx, func(*call.Call, *secret) error { return nil }); err != nil {
			return err
		}
		if err := a.invoke(ctx, step); err != nil {
			return err
		}
	}
	err := a.perform(ctx, func(_ *call.Call, sec *secret) error {
		if sec.hanging() == a.errand.Token {
			return failure(fmt.Sprintf("The lambda %s has not moved AWSCURRENT to version %s", a.lambda, a.errand.Token))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return a.finish(ctx)
}

// invoke calls the function for a step, and waits for it. What it says when it fails may be anything, and is for its own log.
func (a *attempt) invoke(ctx context.Context, step string) error {
	payload, err := json.Marshal(stepRequest{a.errand.Token, a.arn, step, a.pass})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, functionTime)
	defer cancel()
	out, err := a.s.cfg.Ask(ctx, a.region, a.arn, lambda.OpInvoke, &lambda.InvocationRequest{
		FunctionName: &a.lambda, InvocationType: lambda.InvocationTypeRequestResponse, Payload: payload,
	})
	answer, _ := out.(*lambda.InvocationResponse)
	switch {
	case err == nil && answer != nil && answer.FunctionError == nil:
		return nil
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case unreachable(err):
		return failure(notInvokedMessage)
	}
	failed := failure(fmt.Sprintf("Error when executing lambda %s during %s step", a.lambda, step))
	if err != nil {
		a.s.cfg.Report(fmt.Errorf("rotating %s: %w: %w", a.arn, failed, err))
	}
	return failed
}

// failure is why a rotation failed, in the words that its event has.
type failure string

func (f failure) Error() string { return string(f) }

// unreachable reports whether Lambda has no such function, or does not let Secrets Manager invoke it.
func unreachable(err error) bool {
	if _, ok := errors.AsType[*lambda.ResourceNotFoundException](err); ok {
		return true
	}
	e, ok := errors.AsType[*wire.Error](err)
	return ok && e.Code == "AccessDeniedException"
}

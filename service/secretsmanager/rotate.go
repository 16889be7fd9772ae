package secretsmanager

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/wire"
)

// RotateSecret says how a secret is rotated, and begins to, or tries whether it can be.
func (s *Service) RotateSecret(c *call.Call, in *secretsmanager.RotateSecretRequest) (*secretsmanager.RotateSecretResponse, error) {
	token := optional.Value(in.ClientRequestToken)
	if token == "" {
		return nil, invalidRequest(tokenNeeded)
	}
	if _, err := planOf(in.RotationRules); err != nil {
		return nil, err
	}
	if in.ExternalSecretRotationMetadata != nil || in.ExternalSecretRotationRoleArn != nil {
		return nil, wire.NotImplemented(secretsmanager.Service.Package, "RotateSecret for secrets of partners")
	}
	immediately := in.RotateImmediately == nil || *in.RotateImmediately
	if err := s.calm(c, in.SecretId); err != nil {
		return nil, err
	}
	a := new(access).with("secretsmanager:rotationlambdaarn", optional.Value(in.RotationLambdaARN)).
		with("secretsmanager:rotateimmediately", strconv.FormatBool(immediately)).with("secretsmanager:modifyrotationrules", strconv.FormatBool(in.RotationRules != nil))
	sec, err := s.live(c, in.SecretId, a)
	if err != nil {
		return nil, err
	}
	if err := sec.primary(); err != nil {
		return nil, err
	}
	if err := sec.editable(c); err != nil {
		return nil, err
	}
	answer := &secretsmanager.RotateSecretResponse{ARN: &sec.arn, Name: &sec.Name, VersionId: &token}
	if begun, err := s.begun(c, sec, token); begun || err != nil {
		return answer, err
	}
	if err := s.configure(c, sec, in); err != nil {
		return nil, err
	}
	if err := s.arm(c, sec); err != nil {
		return nil, err
	}
	until := c.Time.Add(untimely)
	if !immediately {
		return answer, s.begin(c, sec, &run{Token: token, Test: true, Until: until})
	}
	return answer, s.begin(c, sec, &run{Token: token, Until: until})
}

// untimely is how long a rotation is tried that was asked for, and does not wait for a window.
const untimely = day

// begun reports whether this request was made before. It refuses one that comes while a rotation is under way, or has failed and goes on in its next window.
func (s *Service) begun(c *call.Call, sec *secret, token string) (bool, error) {
	if sec.running(token) != nil {
		return true, nil
	}
	if sec.hanging() != "" {
		return false, invalidRequest("A previous rotation isn't complete. That rotation will be reattempted.")
	}
	_, err := s.version(c, sec, token)
	switch {
	case missing(err):
		return false, nil
	case err != nil:
		return false, err
	case sec.Rotation != nil && sec.Rotation.Done == token:
		return true, nil // and it is over
	}
	return false, invalidRequest("You can't use ClientRequestToken %s because that value is already in use for a version of secret %s.", token, sec.arn)
}

// configure gives the secret the rotation that a request asks for. What the request leaves out stays as it is.
func (s *Service) configure(c *call.Call, sec *secret, in *secretsmanager.RotateSecretRequest) error {
	r := sec.rotating()
	if rules := in.RotationRules; rules != nil {
		r.Days, r.Duration, r.Expression, r.Every = optional.Value(rules.AutomaticallyAfterDays), optional.Value(rules.Duration), optional.Value(rules.ScheduleExpression), 0
		r.Anchor = midnight(c.Time)
	}
	r.Enabled = true
	if r.Changed.IsZero() {
		r.Changed = c.Time
	}
	function := optional.Value(in.RotationLambdaARN)
	if function == "" && (r.Lambda == "" || r.Managed != nil) {
		return s.manage(c, sec, r.Lambda)
	}
	if function == "" {
		function = r.Lambda
	}
	err := s.reach(c, sec, function)
	if errors.Is(err, errNoFunction) {
		if _, ok := strategyOf(function); ok {
			return s.manage(c, sec, function)
		}
		return notInvoked(c)
	}
	if err != nil {
		return err
	}
	r.Lambda, r.Managed = function, nil
	return nil
}

var errNoFunction = errors.New("there is no such function")

// reach asks whether the caller, and Secrets Manager on behalf of the secret, may invoke a function that is there: Lambda answers as it would, and does not invoke it.
func (s *Service) reach(c *call.Call, sec *secret, function string) error {
	in := &lambda.InvocationRequest{FunctionName: &function, InvocationType: lambda.InvocationTypeDryRun}
	if _, err := s.cfg.Lambda.Invoke(c, in); err != nil {
		if _, gone := errors.AsType[*lambda.ResourceNotFoundException](err); gone {
			return errNoFunction
		}
		return ofLambda(c, err)
	}
	_, err := s.cfg.Lambda.Invoke(c.AsServiceFor(sec.arn), in)
	return ofLambda(c, err)
}

// ofLambda is what the caller is told of Lambda's refusal.
func ofLambda(c *call.Call, err error) error {
	if err == nil {
		return nil
	}
	if refused(err) {
		return notInvoked(c)
	}
	return fmt.Errorf("asking Lambda for a rotation function: %w", err)
}

const notInvokedMessage = "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to the principal secretsmanager.amazonaws.com."

func notInvoked(c *call.Call) error {
	return c.Reject(&wire.Error{Code: "AccessDeniedException", Status: 400, Message: notInvokedMessage})
}

// CancelRotateSecret turns rotation off. One that is under way is left where it is, but for a password that is just changing in its database.
func (s *Service) CancelRotateSecret(c *call.Call, in *secretsmanager.CancelRotateSecretRequest) (*secretsmanager.CancelRotateSecretResponse, error) {
	if err := s.calm(c, in.SecretId); err != nil {
		return nil, err
	}
	sec, err := s.live(c, in.SecretId, new(access))
	if err != nil {
		return nil, err
	}
	if err := sec.primary(); err != nil {
		return nil, err
	}
	answer := &secretsmanager.CancelRotateSecretResponse{ARN: &sec.arn, Name: &sec.Name, VersionId: optional.NonZero(sec.hanging())}
	if sec.Rotation == nil {
		return answer, nil
	}
	r := sec.rotating()
	r.Enabled, r.Next = false, time.Time{}
	if r.Run != nil && !r.Run.Switching {
		r.Run = nil
	}
	if err := c.Cancel(sec.scope(c), rotateTimer, sec.subject()); err != nil {
		return nil, err
	}
	return answer, s.changed(c, sec)
}

// subject names a secret where another one may get its name.
func (r *secretRecord) subject() string { return r.Name + "-" + r.Suffix }

// scope is where the secret is.
func (r *secretRecord) scope(c *call.Call) call.Scope {
	return call.Scope{Partition: c.Scope.Partition, Account: r.Account, Region: r.Region}
}

// errand is what a parcel, or a timer, of a rotation says.
type errand struct {
	Name, Suffix string
	Token        string    `json:",omitempty"` // the version that is rotated to
	Overlap      bool      `json:",omitempty"` // it has become AWSCURRENT, and the database is to forget the password before
	End          time.Time `json:",omitzero"`  // of the window that a timer is for
}

// post has the errand done, after those of the secret that are being done.
func (s *Service) post(c *call.Call, sec *secret, e errand, attempts int) error {
	payload, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return c.Post(&delivery.Parcel{Lane: sec.lane(), Payload: payload, MaxAttempts: attempts})
}

func (r *secretRecord) lane() delivery.Lane {
	return delivery.Lane{Service: secretsmanager.Service.Package, Account: r.Account, Region: r.Region, Kind: rotationLane, Subject: r.subject()}
}

// begin begins a rotation, or goes on with one that had been given up: the version may be there. It saves the secret.
func (s *Service) begin(c *call.Call, sec *secret, run *run) error {
	sec.rotating().Run = run
	if c.Op == nil {
		c = sec.forAccount(c) // a timer's
	}
	if len(sec.labels(run.Token)) == 0 {
		if err := s.await(c, sec, run.Token, pendingLabel); err != nil {
			return err
		}
	}
	// What waits in the lane is of a rotation that is over, and not waited for.
	lane := sec.lane()
	dropped, err := delivery.Drop(c.Tx(), lane, maxDropped)
	if err != nil {
		return err
	}
	if err := s.post(c, sec, errand{Name: sec.Name, Suffix: sec.Suffix, Token: run.Token}, 0); err != nil {
		return err
	}
	if dropped > 0 {
		if err := delivery.Wait(c.Tx(), lane, c.Time); err != nil {
			return err
		}
	}
	return s.changed(c, sec)
}

// maxDropped is more than a lane has.
const maxDropped = 16

// arm has the secret rotated in its next window, if it has any. The secret has to be saved.
func (s *Service) arm(c *call.Call, sec *secret) error {
	return s.armFrom(c, sec, sec.rotating().Changed)
}

// armFrom is arm for a secret whose days count from a time; from the beginning of time, it is overdue.
func (s *Service) armFrom(c *call.Call, sec *secret, changed time.Time) error {
	r := sec.rotating()
	p, err := r.plan()
	if err != nil {
		return err
	}
	w, ok := p.next(c.Time, changed, r.Anchor)
	if !ok || !r.Enabled || sec.Primary != "" {
		r.Next = time.Time{}
		return c.Cancel(sec.scope(c), rotateTimer, sec.subject())
	}
	r.Next = w.end.Add(-time.Second)
	at, err := w.sometime(c.Rand)
	if err != nil {
		return err
	}
	payload, err := json.Marshal(errand{Name: sec.Name, Suffix: sec.Suffix, End: w.end})
	if err != nil {
		return err
	}
	return c.At(at, sec.scope(c), rotateTimer, sec.subject(), payload)
}

// rotationDue begins the rotation of a secret whose time in a window has come, or goes on with one that failed in the window before.
func (s *Service) rotationDue(c *call.Call, subject string, payload []byte) error {
	var e errand
	if err := json.Unmarshal(payload, &e); err != nil {
		return fmt.Errorf("reading the timer of secret %s: %w", subject, err)
	}
	sec, err := s.errandOf(c, &e)
	if err != nil || sec == nil || sec.alive() != nil || sec.Primary != "" || sec.Rotation == nil || !sec.Rotation.Enabled {
		return err
	}
	if !c.Time.Before(e.End) { // nobody was there in its window
		if err := s.arm(c, sec); err != nil {
			return err
		}
		return sec.save(c)
	}
	next := &run{Token: sec.hanging(), Until: e.End}
	if r := sec.Rotation.Run; r != nil && r.Token == next.Token {
		if !r.Idle { // its attempts go on in this window, too, and it sees to the next one when it ends
			if r = sec.rotating().Run; r.Until.Before(e.End) {
				r.Until = e.End
			}
			return sec.save(c)
		}
		next.Switching = r.Switching
	}
	if next.Token == "" {
		next.Token = c.UUID()
	}
	return s.begin(c, sec, next)
}

// errandOf is the secret that a parcel or a timer was made for; nil is that it is gone.
func (s *Service) errandOf(c *call.Call, e *errand) (*secret, error) {
	return s.read(c, target{place: place{c.Scope.Account, c.Scope.Region, e.Name}, suffix: e.Suffix})
}

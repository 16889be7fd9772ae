package secretsmanager

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/database"
	"github.com/holdfast-cloud/holdfast/delivery"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/wire"
)

// A rotation is a parcel in a lane of its secret's. Each attempt goes through all four steps, as each of them is made to be repeated; what was done is known by the labels, by the
// values of the versions, and by which of them the database lets in, so that an attempt which was cut off at any place is taken up by the next one.

// The kinds of lanes and timers of rotations.
const (
	rotationLane = "rotation"
	rotateTimer  = "rotate"  // a time in a secret's window
	overlapTimer = "overlap" // a database is to forget the password before
)

// The steps.
const (
	createStep = "createSecret"
	setStep    = "setSecret"
	testStep   = "testSecret"
	finishStep = "finishSecret"
)

// rotator carries out rotations: it implements door.Patient.
type rotator struct{ *Service }

// Patience is as long as the four calls of a function may take.
func (rotator) Patience() time.Duration { return 4*functionTime + time.Minute }

// attempt is one attempt of a rotation.
type attempt struct {
	s            *Service
	account      string
	region       string
	errand       errand
	arn          string
	number       int // from 0
	test         bool
	lambda, pass string // the function, and the RotationToken that it is shown
	managed      *managed
	switching    bool // it was cut off while the password changed
	done         bool // AWSCURRENT has moved
	overlapped   bool // the database takes the password before, too
}

// errOver is what an attempt ends with whose rotation was given up, or whose secret is gone.
var errOver = errors.New("the rotation is over")

// Deliver implements door.Carrier.
func (k rotator) Deliver(c *call.Call, p *delivery.Parcel) (outside func(context.Context) error, err error) {
	a := &attempt{s: k.Service, account: p.Account, region: p.Region, number: p.Attempts}
	if err := json.Unmarshal(p.Payload, &a.errand); err != nil {
		return nil, delivery.Permanent(fmt.Errorf("reading a rotation: %w", err))
	}
	if a.errand.Overlap {
		return a.forget(c)
	}
	sec, err := a.secret(c)
	if errors.Is(err, errOver) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r := sec.rotating()
	a.arn, a.test, a.lambda, a.managed, a.switching = sec.arn, r.Run.Test, r.Lambda, r.Managed, r.Run.Switching
	a.done = sec.Labels[currentLabel] == a.errand.Token
	a.pass = c.UUID()
	sum := sha256.Sum256([]byte(a.pass))
	r.Run.Pass = sum[:]
	raise(c, sec, a.event(eventStarted), a.errand.Token, "")
	return a.run, sec.save(c)
}

// GiveUp implements door.Carrier: what it comes to has been written down with the last attempt.
func (rotator) GiveUp(*call.Call, *delivery.Parcel, error) error { return nil }

// secret is the secret of the attempt in a transaction, or errOver.
func (a *attempt) secret(c *call.Call) (*secret, error) {
	sec, err := a.s.errandOf(c, &a.errand)
	if err != nil {
		return nil, err
	}
	if sec == nil || sec.running(a.errand.Token) == nil {
		return nil, errOver
	}
	labelled := sec.Labels[pendingLabel] == a.errand.Token || sec.Labels[currentLabel] == a.errand.Token
	if (sec.alive() != nil || !labelled) && !sec.switching() {
		return nil, errOver // and goes on should the secret be restored
	}
	return sec, nil
}

// perform does something with the secret in a transaction, which saves what it changes.
func (a *attempt) perform(ctx context.Context, do func(c *call.Call, sec *secret) error) error {
	return a.s.cfg.Perform(ctx, a.account, a.region, func(c *call.Call) error {
		sec, err := a.secret(c)
		if err != nil {
			return err
		}
		return do(c, sec)
	})
}

// forAccount is the call as the secret's account makes it through Secrets Manager: its keys let everybody in it use them so. Whoever set the rotation up was allowed to.
func (sec *secret) forAccount(c *call.Call) *call.Call {
	own := c.As(identity.Root(c.Scope.Partition, sec.Account, ""))
	own.Via = []string{own.Source.Service}
	own.Scope.Region = sec.Region
	return own
}

// run makes the attempt, and writes down what came of it.
func (a *attempt) run(ctx context.Context) error {
	err := a.steps(ctx)
	switch {
	case errors.Is(err, errOver):
		return nil
	case err == nil, errors.Is(ctx.Err(), context.Canceled):
		return err // cancelled: this process ends, and another takes it up
	}
	return a.failed(context.WithoutCancel(ctx), err)
}

func (a *attempt) steps(ctx context.Context) error {
	switch {
	case a.test:
		return a.tryOut(ctx)
	case a.done:
		return a.finish(ctx)
	case a.managed != nil:
		return a.change(ctx)
	}
	return a.call(ctx)
}

// failed writes down that the attempt failed, and says when the next one is: as long as the window is open, some more. While a password may have changed in its database, readers
// wait for the next attempt, so it comes soon.
func (a *attempt) failed(ctx context.Context, cause error) error {
	text := told(cause)
	var next error
	err := a.perform(ctx, func(c *call.Call, sec *secret) error {
		r := sec.rotating()
		if !r.Run.Switching || r.Run.Failure != text {
			raise(c, sec, a.event(eventFailed), a.errand.Token, text)
		}
		r.Run.Failure = text
		wait := retries[min(a.number, len(retries)-1)]
		switch {
		case a.test:
			next = delivery.Permanent(cause)
			return a.s.dropTest(c, sec)
		case r.Run.Switching:
			next = delivery.After(haste[min(a.number, len(haste)-1)], cause)
		case c.Time.Add(wait).Before(r.Run.Until):
			next = delivery.After(wait, cause)
		default:
			next = delivery.Permanent(cause)
			r.Run.Idle = true
			if err := a.s.armFrom(c, sec, time.Time{}); err != nil {
				return err
			}
		}
		return sec.save(c)
	})
	switch {
	case errors.Is(err, errOver):
		return nil
	case err != nil:
		return errors.Join(cause, err)
	}
	return next
}

// retries are the times between attempts in a window, of which AWS says no more than that there are several, and haste those while readers wait.
var (
	retries = [...]time.Duration{10 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}
	haste   = [...]time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second}
)

// told is what the secret's account is told of an error: those of databases, and what services answer. Others are nobody's business.
func told(err error) string {
	if f, ok := errors.AsType[failure](err); ok {
		return string(f)
	}
	for _, known := range []error{
		errNoValue, errNoMaster, errMismatch, errMoved, errLockedOut, database.ErrCredentials, database.ErrRefused, database.ErrUnreachable, database.ErrDenied, database.ErrUser,
		database.ErrPassword, database.ErrClone,
	} {
		if errors.Is(err, known) {
			return err.Error()
		}
	}
	if m, ok := errors.AsType[wire.ModeledError](err); ok {
		return wire.Message(m)
	}
	if e, ok := errors.AsType[*wire.Error](err); ok {
		return e.Message
	}
	return "An internal error occurred."
}

// finish ends the rotation: AWSCURRENT is the new version now, if the function has not seen to that, and the next rotation counts from here.
func (a *attempt) finish(ctx context.Context) error {
	return a.perform(ctx, func(c *call.Call, sec *secret) error {
		r := sec.rotating()
		if a.managed != nil {
			if err := a.s.moveLabel(c, sec, currentLabel, a.errand.Token); err != nil {
				return err
			}
			if err := a.s.moveLabel(c, sec, pendingLabel, ""); err != nil {
				return err
			}
			if err := a.s.overlap(c, sec, a.overlapped); err != nil {
				return err
			}
		}
		r.Run, r.Done, r.Last, r.Changed = nil, a.errand.Token, c.Time, c.Time
		if err := a.s.arm(c, sec); err != nil {
			return err
		}
		if r := sec.Rotation; r.Expression != "" && !r.Next.IsZero() {
			r.Every = max(1, int64(midnight(r.Next).Sub(midnight(c.Time))/day))
		}
		raise(c, sec, eventSucceeded, a.errand.Token, "")
		return a.s.changed(sec.forAccount(c), sec)
	})
}

package secretsmanager

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/database"
)

// shift is what a managed rotation works with: credentials in the clear, which are kept no longer than it takes.
type shift struct {
	current, pending *database.Credentials
	master           *database.Credentials // or nil
	resumed          bool                  // pending was there before: the database may know it
}

// change changes a password in a database.
func (a *attempt) change(ctx context.Context) error {
	f, err := a.prepare(ctx)
	if err != nil {
		return during(createStep, err)
	}
	done, err := a.s.cfg.Databases.Turn(ctx, f.current)
	if err != nil {
		return during(setStep, err)
	}
	defer done()
	if a.managed.Alternating {
		err = a.alternate(ctx, f)
	} else {
		err = a.replace(ctx, f)
	}
	if err != nil {
		return err
	}
	return a.finish(ctx)
}

// during is an error of a step, as the rotation's event has it.
func during(step string, err error) error {
	if err == nil || errors.Is(err, errOver) {
		return err
	}
	return fmt.Errorf("error during %s step: %w", step, err)
}

// prepare is createSecret: AWSPENDING becomes credentials with a new password, unless it is already.
func (a *attempt) prepare(ctx context.Context) (f *shift, err error) {
	err = a.perform(ctx, func(c *call.Call, sec *secret) error {
		f = new(shift)
		if f.current, err = a.s.credentials(c, sec, currentLabel); err != nil {
			return err
		}
		if a.managed.Master != "" {
			if f.master, err = a.s.masterOf(c, sec, a.managed, f.current); err != nil {
				return err
			}
		}
		// By its ID: whoever has taken the label away meanwhile has not taken the password out of the database.
		f.pending, err = a.s.credentialsOf(c, sec, a.errand.Token)
		if err == nil {
			f.resumed = true
			return nil
		}
		if !errors.Is(err, errNoValue) {
			return err
		}
		user := f.current.Username
		if a.managed.Alternating {
			user = other(user)
		}
		password, err := database.NewPassword(c.Rand, string(f.current.Engine))
		if err != nil {
			return err
		}
		f.pending = f.current.With(user, password)
		// The version is there, and waits for its value.
		v, err := a.s.version(c, sec, a.errand.Token)
		if err != nil {
			return err
		}
		if err := a.s.fill(sec.forAccount(c), sec, v, &value{bytes: []byte(f.pending.JSON())}); err != nil {
			return err
		}
		if err := versionTable.In(sec.Account, sec.Region).Put(c.Tx(), v); err != nil {
			return err
		}
		return a.s.changed(sec.forAccount(c), sec)
	})
	if err != nil {
		return nil, err
	}
	user := f.current.Username
	if a.managed.Alternating {
		user = other(user)
	}
	if !sameServer(f.pending, f.current) || f.pending.Username != user {
		return nil, errMoved // somebody has put that there
	}
	return f, nil
}

var errMoved = errors.New("AWSPENDING is of another database or another user than AWSCURRENT has it")

// cloneSuffix is what the name of the second of two alternating users ends with:
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotation-strategy.html#rotating-secrets-two-users
const cloneSuffix = "_clone"

// other is the other one of two alternating users.
func other(user string) string {
	if n := len(user) - len(cloneSuffix); n > 0 && user[n:] == cloneSuffix {
		return user[:n]
	}
	return user + cloneSuffix
}

// masterOf is a superuser's credentials. They are given to no other server than the one that they are for.
func (s *Service) masterOf(c *call.Call, sec *secret, m *managed, of *database.Credentials) (*database.Credentials, error) {
	t, err := parse(c, m.Master)
	if err != nil {
		return nil, err
	}
	if t.account != sec.Account {
		return nil, notFound()
	}
	master, err := s.read(c, t)
	if err != nil {
		return nil, err
	}
	if master == nil || master.alive() != nil {
		return nil, errNoMaster
	}
	found, err := s.credentials(c, master, currentLabel)
	if err != nil {
		return nil, fmt.Errorf("reading the superuser's secret: %w", err)
	}
	if !sameServer(found, of) {
		return nil, errMismatch
	}
	return found, nil
}

var errNoMaster = errors.New("the superuser's secret is not there")

// alternate is setSecret and testSecret with two users: the one that AWSCURRENT names stays as it is.
func (a *attempt) alternate(ctx context.Context, f *shift) error {
	db := a.s.cfg.Databases
	if f.resumed && db.Login(ctx, f.pending) == nil {
		return nil
	}
	// Whoever may write the secret must not have the superuser do something for a user whose password they do not know.
	if err := db.Login(ctx, f.current); err != nil {
		if errors.Is(err, database.ErrRefused) {
			err = errLockedOut
		}
		return during(setStep, err)
	}
	// Who got the other user's password before the last rotation has had time to log in, even if the cloud's clock was moved since.
	if err := clock.Pause(ctx, a.s.cfg.Grace); err != nil {
		return err
	}
	if err := db.Clone(ctx, f.master, f.current.Username, f.pending.Username, f.pending.Password); err != nil {
		return during(setStep, err)
	}
	return during(testStep, db.Login(ctx, f.pending))
}

// replace is setSecret and testSecret with one user. See rotationhold.go for what readers are kept from meanwhile.
func (a *attempt) replace(ctx context.Context, f *shift) error {
	db := a.s.cfg.Databases
	if f.resumed {
		err := db.Login(ctx, f.pending)
		if err == nil {
			a.overlapped = true // which is not known, and no harm where it is not so
			return nil
		}
		if !errors.Is(err, database.ErrRefused) {
			return during(setStep, err)
		}
	}
	ch, err := db.Change(ctx, f.current, f.current.Username, f.pending.Password)
	switch {
	case errors.Is(err, database.ErrRefused):
		return a.rescue(ctx, f)
	case err != nil:
		return during(setStep, err)
	case a.switching: // and what the attempt before did to the database is over, as this one is prepared
		return a.commit(ctx, f, ch)
	}
	// It can be done. It is prepared again when nobody is about to log in any more, so that its connection is free for others meanwhile.
	ch.Close()
	// A database that may have taken the new password already, would take that for the one before.
	if a.overlapped = ch.Overlaps() && !f.resumed; !a.overlapped {
		if err := a.mark(ctx, true); err != nil {
			return during(setStep, err)
		}
	}
	if err := clock.Pause(ctx, a.s.cfg.Grace); err != nil {
		return err
	}
	if ch, err = db.Change(ctx, f.current, f.current.Username, f.pending.Password); err != nil {
		return during(setStep, a.unmark(ctx, err))
	}
	return a.commit(ctx, f, ch)
}

// mark writes down that the password is about to change in the database, or that it has not.
func (a *attempt) mark(ctx context.Context, switching bool) error {
	err := a.perform(ctx, func(c *call.Call, sec *secret) error {
		sec.rotating().Run.Switching = switching
		return a.s.changed(sec.forAccount(c), sec) // the readers of replicas wait, too
	})
	if err == nil {
		a.switching = switching
	}
	return err
}

// commit makes a change that is prepared, and tests what came of it. Where that is unknown the mark stays.
func (a *attempt) commit(ctx context.Context, f *shift, ch Change) error {
	db := a.s.cfg.Databases
	failed := ch.Commit(ctx)
	ch.Close()
	if errors.Is(failed, database.ErrDenied) || errors.Is(failed, database.ErrPassword) {
		return during(setStep, a.unmark(ctx, failed)) // nothing was changed
	}
	err := db.Login(ctx, f.pending)
	if err == nil {
		return nil // whatever it has answered
	}
	step := testStep
	if failed != nil {
		step = setStep
	}
	if errors.Is(err, database.ErrRefused) {
		switch now := db.Login(ctx, f.current); {
		case errors.Is(now, database.ErrRefused):
			return during(step, a.unmark(ctx, errLockedOut)) // there is nothing left to keep from readers
		case now == nil && failed != nil && !errors.Is(failed, database.ErrUnreachable):
			return during(step, a.unmark(ctx, failed)) // the database has said no, as one does that is read-only, and may say it for days
		}
	}
	return during(step, errors.Join(failed, err))
}

// unmark takes the mark back, as the password has not changed, for a reason that it returns.
func (a *attempt) unmark(ctx context.Context, why error) error {
	if !a.switching {
		return why
	}
	return errors.Join(why, a.mark(ctx, false))
}

var errLockedOut = errors.New("the database refuses all values of the secret")

// rescue changes a password that somebody else has changed: the database refuses AWSCURRENT, and AWSPENDING if there was one. It may take AWSPREVIOUS. The superuser does not help, whom
// whoever may write the secret could otherwise have change the password of anybody.
func (a *attempt) rescue(ctx context.Context, f *shift) error {
	previous, err := a.previous(ctx)
	if err != nil {
		return during(setStep, err)
	}
	if previous == nil || !sameServer(previous, f.current) || previous.Username != f.current.Username {
		return during(setStep, a.unmark(ctx, errLockedOut))
	}
	ch, err := a.s.cfg.Databases.Change(ctx, previous, f.current.Username, f.pending.Password)
	if errors.Is(err, database.ErrRefused) {
		return during(setStep, a.unmark(ctx, errLockedOut))
	}
	if err != nil {
		return during(setStep, err)
	}
	return a.commit(ctx, f, ch)
}

// previous is what AWSPREVIOUS says, or nil.
func (a *attempt) previous(ctx context.Context) (found *database.Credentials, err error) {
	err = a.perform(ctx, func(c *call.Call, sec *secret) error {
		found, err = a.s.credentials(c, sec, previousLabel)
		if errors.Is(err, errNoValue) || errors.Is(err, database.ErrCredentials) {
			return nil
		}
		return err
	})
	return found, err
}

// sameServer reports whether credentials are for one database server.
func sameServer(a, b *database.Credentials) bool {
	x, y := *a, *b
	if sameFamily(x.Engine) && sameFamily(y.Engine) {
		x.Engine = y.Engine
	}
	return strings.EqualFold(x.String(), y.String()) // which tells engine, host and port
}

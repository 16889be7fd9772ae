package secretsmanager

import (
	"context"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/database"
)

// tryOut tries whether the secret can be rotated, without rotating it: with testSecret of a function, for which AWSPENDING says what AWSCURRENT says, or with what logs in to the database.
func (a *attempt) tryOut(ctx context.Context) error {
	var err error
	if a.managed != nil {
		err = a.tryLogin(ctx)
	} else {
		err = a.tryFunction(ctx)
	}
	if err != nil {
		return err
	}
	return a.perform(ctx, func(c *call.Call, sec *secret) error {
		raise(c, sec, a.event(eventSucceeded), a.errand.Token, "")
		return a.s.dropTest(c, sec)
	})
}

func (a *attempt) tryLogin(ctx context.Context) error {
	var current, master *database.Credentials
	err := a.perform(ctx, func(c *call.Call, sec *secret) (err error) {
		if current, err = a.s.credentials(c, sec, currentLabel); err != nil || a.managed.Master == "" {
			return err
		}
		master, err = a.s.masterOf(c, sec, a.managed, current)
		return err
	})
	if err == nil {
		err = a.s.cfg.Databases.Login(ctx, current)
	}
	if err == nil && master != nil {
		err = a.s.cfg.Databases.Login(ctx, master)
	}
	return during(testStep, err)
}

func (a *attempt) tryFunction(ctx context.Context) error {
	err := a.perform(ctx, func(c *call.Call, sec *secret) error {
		said, err := a.s.saidBy(c, sec, sec.Labels[currentLabel])
		if err != nil {
			return err
		}
		v, err := a.s.version(c, sec, a.errand.Token)
		if err != nil || v.Sum != nil {
			return err
		}
		if err := a.s.fill(sec.forAccount(c), sec, v, said); err != nil {
			return err
		}
		return versionTable.In(sec.Account, sec.Region).Put(c.Tx(), v)
	})
	if err != nil {
		return err
	}
	return a.invoke(ctx, testStep)
}

// dropTest takes away the version that a test was made with, and saves the secret.
func (s *Service) dropTest(c *call.Call, sec *secret) error {
	r := sec.rotating()
	token := r.Run.Token
	r.Run = nil
	if sec.Labels[pendingLabel] == token {
		if err := s.moveLabel(c, sec, pendingLabel, ""); err != nil {
			return err
		}
	}
	if len(sec.labels(token)) == 0 {
		if err := versionTable.In(sec.Account, sec.Region).Delete(c.Tx(), sec.Name, token); err != nil {
			return err
		}
		sec.Versions--
		sec.Deprecated--
	}
	if err := s.arm(c, sec); err != nil { // its time may have come meanwhile, and gone
		return err
	}
	return s.changed(sec.forAccount(c), sec)
}

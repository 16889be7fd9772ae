package kms

import (
	"errors"
	"fmt"
	"slices"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/keys"
)

// What comes from related keys in other processes. Messages may come several times, late and in any order. Each has the whole of what is shared, and a revision, which grows with every
// change that a primary key makes and goes on growing when another key becomes the primary one. What is not newer than what is known changes nothing.

// follow is what a key does with the word of its primary key.
func (s *Service) follow(c *call.Call, from string, at place, m *message) (*reply, error) {
	told := m.Key
	if told == nil || told.ID != at.id || told.Primary != from && told.Primary != at.region {
		return nil, notBetween("The message contradicts itself.")
	}
	k, err := s.read(c.Tx(), at)
	if missing(err) {
		return s.appear(c, from, at, m)
	}
	if err != nil {
		return nil, err
	}
	if k.Spec != told.Spec || k.Usage != told.Usage || k.Origin != told.Origin || !k.multiRegion() {
		return nil, notBetween(fmt.Sprintf("%s is another key than the one in %s. Nothing was changed.", k.arn, from))
	}
	if m.Create && !told.Created.Equal(k.Created) {
		return nil, notBetween(fmt.Sprintf("%s is there already, and is not the replica that is to be made. Delete it first. Nothing was changed.", k.arn))
	}
	if told.Primary == at.region {
		return s.succeed(c, from, k, told)
	}
	if told.Revision < k.Revision || told.Revision == k.Revision && (k.State != kms.KeyStateCreating || m.Create) {
		return &reply{Outcome: done, Revision: k.Revision}, k.descends(told)
	}
	if k.kind() == kms.MultiRegionKeyTypePrimary {
		if k.Successor != from {
			return nil, notBetween(fmt.Sprintf("%s is a primary key, and so is that in %s. Nothing was changed.", k.arn, from))
		}
		if err := s.resign(c, k); err != nil {
			return nil, err
		}
	}
	if err := s.synchronize(told, k, s.received(from, k)); err != nil {
		return nil, err
	}
	if k.State == kms.KeyStateCreating && !m.Create {
		k.State = kms.KeyStateEnabled // the primary key knows that it is there
	}
	if k.Origin == kms.OriginTypeExternal && k.State == kms.KeyStateEnabled && !k.complete() {
		k.State = kms.KeyStatePendingImport
	}
	return &reply{Outcome: done}, k.save(c.Tx())
}

// received opens material that has come from a region. Nothing is kept that is not material of the key's spec.
func (s *Service) received(from string, k *key) func(material) ([]byte, error) {
	return func(m material) ([]byte, error) {
		bare, err := s.cfg.Peers.Unwrap(from, k.region, k.transit(k.keyRecord, m.ID), m.Wrapped)
		if err != nil {
			return nil, err
		}
		if _, err := keys.Parse(k.spec(), bare); err != nil {
			clear(bare)
			return nil, err
		}
		return bare, nil
	}
}

// appear makes a replica key, unless it has been there before: a message that comes again makes no key anew that was deleted.
func (s *Service) appear(c *call.Call, from string, at place, m *message) (*reply, error) {
	told := m.Key
	left, err := goneTable.In(at.account, at.region).Get(c.Tx(), at.id)
	if err != nil && !missing(err) {
		return nil, fmt.Errorf("reading what is left of key %s: %w", at.id, err)
	}
	switch been := err == nil; {
	case been && (!m.Create || told.Since[at.region] <= left.Revision):
		return &reply{Outcome: gone}, nil
	case !m.Create:
		return &reply{Outcome: absent}, nil
	case told.Primary != from:
		return nil, notBetween("The message contradicts itself.")
	case been && !left.Told: // that it is made again says that the primary key knows of the end of the one before
		left.Told = true
		if err := goneTable.In(at.account, at.region).Put(c.Tx(), left); err != nil {
			return nil, err
		}
	}
	compiled, err := parsePolicy(told.Policy)
	if err != nil {
		return nil, err
	}
	pins, err := s.cfg.Principals.Adopt(c.Tx(), told.Pins)
	if err != nil {
		return nil, fmt.Errorf("finding whom the policy of key %s names: %w", at.id, err)
	}
	k := &key{place: at, arn: s.arn(at), name: at.account + "/" + at.id, policy: pins.Bind(compiled), keyRecord: &keyRecord{
		ID: told.ID, Created: told.Created, Description: told.Description, Spec: told.Spec, Usage: told.Usage, State: kms.KeyStateCreating,
		Origin: told.Origin, Manager: kms.KeyManagerTypeCustomer, Policy: told.Policy, Pins: pins, Tags: told.Tags,
	}}
	if err := s.synchronize(told, k, s.received(from, k)); err != nil {
		return nil, err
	}
	if err := k.save(c.Tx()); err != nil {
		return nil, err
	}
	return &reply{Outcome: done}, serviceEvent(c, k, kms.OpCreateKey.EventName)
}

// succeed makes a replica key the primary one. This commit is the moment of change: until then the old one was it, which since it sent the message changes nothing that is
// shared. A refusal holds for every copy of the message, however late it comes: the old one goes on as primary key once it has heard of it.
func (s *Service) succeed(c *call.Call, from string, k *key, told *keyRecord) (*reply, error) {
	switch {
	case k.Primary == k.region:
		return &reply{Outcome: done}, nil
	case told.Revision <= k.Revision:
		return &reply{Outcome: refused}, nil
	case k.State != kms.KeyStateEnabled:
		k.Revision = told.Revision
		return &reply{Outcome: refused}, k.save(c.Tx())
	}
	if err := s.synchronize(told, k, s.received(from, k)); err != nil {
		return nil, err
	}
	k.State, k.Predecessor = kms.KeyStateUpdating, from
	if k.Rotating {
		if err := s.scheduleRotation(c, k); err != nil {
			return nil, err
		}
	}
	return &reply{Outcome: done}, s.share(c, k)
}

// resign is what a primary key does that another one has succeeded. What it had still to tell its replicas, the other one tells them.
func (s *Service) resign(c *call.Call, k *key) error {
	for _, region := range k.Replicas {
		if err := s.untell(c, k, region); err != nil {
			return err
		}
	}
	k.Successor = ""
	if k.State == kms.KeyStateUpdating {
		k.State = kms.KeyStateEnabled
	}
	return nil
}

// release is what a primary key does when a replica was deleted.
func (s *Service) release(c *call.Call, from string, at place, m *message) (*reply, error) {
	k, err := s.read(c.Tx(), at)
	switch {
	case missing(err):
		// It may have been a replica itself at its end.
		if left, err := goneTable.In(at.account, at.region).Get(c.Tx(), at.id); err == nil {
			return &reply{Outcome: moved, Primary: left.To}, nil
		}
		return &reply{Outcome: absent}, nil
	case err != nil:
		return nil, err
	case k.kind() != kms.MultiRegionKeyTypePrimary:
		return &reply{Outcome: moved, Primary: k.Primary}, nil
	case k.Successor != "":
		return &reply{Outcome: busy}, nil
	case m.Revision < k.Since[from] || !slices.Contains(k.Replicas, from):
		return &reply{Outcome: done}, nil // it speaks of one before, or is repeated
	}
	return &reply{Outcome: done}, s.without(c, k, from)
}

var errBusy = errors.New("the primary key is about to be in another region")

// bury sees to it that the primary key learns of a replica's end, at once if it is here.
func (s *Service) bury(c *call.Call, g *goneRecord) error {
	if !s.away(g.To) {
		at := place{g.Account, g.To, g.KeyID}
		k, err := s.read(c.Tx(), at)
		if err != nil {
			return fmt.Errorf("reading the primary of key %s in %s: %w", g.KeyID, g.To, err)
		}
		switch {
		case k.kind() != kms.MultiRegionKeyTypePrimary && k.Primary != g.Region:
			g.To = k.Primary
			return s.bury(c, g)
		case k.Successor != "":
			return errBusy
		}
		g.Told = true
		if err := s.without(c, k, g.Region); err != nil {
			return err
		}
	}
	if s.cfg.Peers == nil {
		return nil // nobody repeats what is told in one transaction
	}
	return goneTable.In(g.Account, g.Region).Put(c.Tx(), g)
}

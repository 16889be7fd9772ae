package kms

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/timer"
)

// A key that is made in a token is not part of the transaction that makes the KMS key. If the process is killed in between, or the call fails after all, or runs a second
// time and makes another key, then nobody would know of it. So before it is made, a timer is set, in a transaction of its own, which looks whether there is the KMS key.
//
// If there is none, that does not say that nobody needs the key in the token: the state may be an old one, of a backup that was taken between the timer and the KMS
// key, and a newer state has the KMS key. Only the process that made the key in the token knows that no state has it. So it alone destroys one, and after its end a key is
// left in the token, and reported: one too many does no harm, and one too few cannot be made up for.
const unmadeTimer = "unmade"

// unmadeDelay is how long the timer waits for the KMS key, by the domain clock. A clock that is moved must not destroy what is about to be committed, so for makingLimit, by
// the real clock, a key counts as being made.
const (
	unmadeDelay = time.Hour
	makingLimit = time.Minute
)

// making are the keys that this process made in tokens, until their timers have seen their KMS keys.
type making struct {
	mu   sync.Mutex
	keys map[string]clock.Stopwatch // since when, by ID
}

func (m *making) begin(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.keys == nil {
		m.keys = make(map[string]clock.Stopwatch)
	}
	m.keys[id] = clock.Start()
}

func (m *making) end(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.keys, id)
}

// began reports whether this process made the key, and whether the call that did may still be under way: calls do not tell when they have ended.
func (m *making) began(id string) (mine, underWay bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	since, mine := m.keys[id]
	return mine, mine && since.Elapsed() <= makingLimit
}

// beforeMaking writes down that what a key is to stand for is about to be made.
func (s *Service) beforeMaking(c *call.Call, k *key) error {
	payload, err := json.Marshal(orphan{k.Store, k.Outside})
	if err != nil {
		return err
	}
	s.making.begin(k.id)
	id := timer.ID{Service: c.Service(), Account: k.account, Region: k.region, Kind: unmadeTimer, Subject: k.id}
	err = s.cfg.Store.Update(c.Context, func(tx store.Tx) error { return timer.Set(tx, id, c.Time.Add(unmadeDelay), payload) })
	if err != nil {
		return fmt.Errorf("writing down that key %s is being made: %w", k.id, err)
	}
	return nil
}

// unmadeDue is what the timer does.
func (s *Service) unmadeDue(c *call.Call, id string, payload []byte) error {
	_, err := keyTable.In(c.Scope.Account, c.Scope.Region).Get(c.Tx(), id)
	switch mine, underWay := s.making.began(id); {
	case err == nil:
		s.making.end(id)
		return nil // it was made
	case !missing(err):
		return err
	case underWay:
		return c.At(c.Time.Add(unmadeDelay), s.scope(c.Scope.Account, c.Scope.Region), unmadeTimer, id, payload)
	case mine:
		return s.destroyDue(c, id, payload)
	}
	var o orphan
	if err := json.Unmarshal(payload, &o); err != nil {
		return fmt.Errorf("reading what was being made in a custom key store: %w", err)
	}
	s.cfg.Report(fmt.Errorf("custom key store %s of account %s in %s: a process that has ended may have made the key %s in the token for a KMS key that is not here; it is left there, since another backup may need it",
		o.Store, c.Scope.Account, c.Scope.Region, o.Outside))
	return nil
}

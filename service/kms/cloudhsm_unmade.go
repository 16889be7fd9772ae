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
// time and makes another key, then nobody would know of it. So before it is made, a timer is set, in a transaction of its own, which destroys it unless there is the KMS
// key by then.
const unmadeTimer = "unmade"

// unmadeDelay is how long the timer waits for the KMS key, by the domain clock. A clock that is moved must not destroy what is about to be committed, so for makingLimit, by
// the real clock, a key counts as being made; with the process, calls end, too.
const (
	unmadeDelay = time.Hour
	makingLimit = time.Minute
)

// making are the keys that calls of this process are making. Calls do not tell when they have ended, so a key is forgotten after makingLimit.
type making struct {
	mu   sync.Mutex
	keys map[string]clock.Stopwatch // since when, by ID
}

func (m *making) begin(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for old, since := range m.keys {
		if since.Elapsed() > makingLimit {
			delete(m.keys, old)
		}
	}
	if m.keys == nil {
		m.keys = make(map[string]clock.Stopwatch)
	}
	m.keys[id] = clock.Start()
}

func (m *making) has(id string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	since, ok := m.keys[id]
	return ok && since.Elapsed() <= makingLimit
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
	switch {
	case err == nil:
		return nil // it was made
	case !missing(err):
		return err
	case s.making.has(id):
		return c.At(c.Time.Add(unmadeDelay), s.scope(c.Scope.Account, c.Scope.Region), unmadeTimer, id, payload)
	}
	return s.destroyDue(c, id, payload)
}

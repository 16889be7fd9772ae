package scheduler

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
)

// A client that has got no answer asks again with the same token. What it asked to make is told by what was made, what it asked to delete by a record that is kept for a while.

// asking is what is kept of a request that makes something called name.
func (s *Service) asking(name string, token *string, request any) (a asked, err error) {
	if token == nil {
		return asked{}, nil
	}
	sum, err := sum(request)
	if err != nil {
		return asked{}, err
	}
	// A sum tells short inputs to whoever tries them all.
	if sum, err = s.box.Wrap(name, sum); err != nil {
		return asked{}, err
	}
	return asked{*token, sum}, nil
}

// askedBefore reports whether a request is the one that made something.
func (s *Service) askedBefore(a asked, name string, token *string, request any) (bool, error) {
	if token == nil || a.Token != *token {
		return false, nil
	}
	before, err := s.box.Unwrap(name, a.Sum)
	if err != nil {
		return false, fmt.Errorf("opening the request that made %s: %w", name, err)
	}
	now, err := sum(request)
	return bytes.Equal(before, now), err
}

func sum(request any) ([]byte, error) {
	text, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("writing a request: %w", err)
	}
	h := sha256.Sum256(text)
	return h[:], nil
}

// rememberDeleted keeps the token of a request that deletes something, and forgets some that are old.
func rememberDeleted(c *call.Call, kind, name string, token *string) error {
	if token == nil {
		return nil
	}
	rows := goneTable.In(c.Scope.Account, c.Scope.Region)
	for g, err := range rows.Scan(c.Tx(), store.Query{Index: "until", To: store.Key{c.Time}, Limit: 10}) {
		if err != nil {
			return fmt.Errorf("forgetting tokens: %w", err)
		}
		if err := rows.Delete(c.Tx(), g.Kind, g.Name, g.Token); err != nil {
			return err
		}
	}
	return rows.Put(c.Tx(), &goneRecord{Kind: kind, Name: name, Token: *token, Until: c.Time.Add(keptTokens)})
}

// deletedBefore reports whether a request with the same token has deleted something.
func deletedBefore(c *call.Call, kind, name string, token *string) (bool, error) {
	if token == nil {
		return false, nil
	}
	g, err := goneTable.In(c.Scope.Account, c.Scope.Region).Get(c.Tx(), kind, name, *token)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return err == nil && c.Time.Before(g.Until), err
}

// keptTokens is how long the token of a request that deleted something is remembered.
const keptTokens = time.Hour

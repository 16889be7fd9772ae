package sts

import (
	"time"

	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
)

// tokenKey signs the web identity tokens of an account.
type tokenKey struct {
	Account   string
	Algorithm string // RS256, ES384
	ID        string // the kid of tokens
	Private   []byte // PKCS #8, wrapped
	Public    []byte // PKIX
	Created   time.Time
}

// Stored as (see store.Table), in the account and no region:
//
//	sts / account // tokenkey / algorithm / id → tokenKey
//
// Of an algorithm the youngest key signs. Older ones are published as long as tokens of theirs may be about.
var tokenKeys = store.NewTable("sts", "tokenkey", func(k *tokenKey) store.Key { return store.Key{k.Algorithm, k.ID} })

func keyPlace(k *tokenKey) seal.Place { return seal.At("sts token key", k.Account, k.Algorithm, k.ID) }

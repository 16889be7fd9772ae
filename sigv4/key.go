package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// scopedSecret names a signing key: a secret is good for one day, region and service at a time.
type scopedSecret struct{ secret, date, region, service string }

// signingKey makes signatures with the key derived from one scopedSecret.
type signingKey struct {
	key  []byte
	macs sync.Pool // of *keyedMAC: an HMAC that was reset need not hash its key again
}

type keyedMAC struct {
	hash.Hash
	sum [sha256.Size]byte
}

func deriveKey(s scopedSecret) *signingKey {
	k := mac([]byte("AWS4"+s.secret), s.date)
	k = mac(k, s.region)
	k = mac(k, s.service)
	return &signingKey{key: mac(k, terminator)}
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// appendSignature appends the signature of text, in hex.
func (k *signingKey) appendSignature(b, text []byte) []byte {
	m, ok := k.macs.Get().(*keyedMAC)
	if !ok {
		m = &keyedMAC{Hash: hmac.New(sha256.New, k.key)}
	}
	m.Reset()
	m.Write(text)
	b = hex.AppendEncode(b, m.Sum(m.sum[:0]))
	k.macs.Put(m)
	return b
}

const (
	keyShards   = 64
	keysInShard = 64
)

// keyCache remembers signing keys, 4096 at the most. Deriving one costs four HMACs, more than all else in a
// verification.
//
// Readers never wait: each shard is a map that is never changed, only replaced by a copy with one more key. A
// shard that is full starts anew; what fills it is mostly the keys of days gone by.
type keyCache struct {
	shards [keyShards]struct {
		keys    atomic.Pointer[map[scopedSecret]*signingKey]
		replace sync.Mutex // held while a copy takes the place of keys; nothing is derived under it
	}
	seed     maphash.Seed
	seedOnce sync.Once
}

func (c *keyCache) get(s scopedSecret) *signingKey {
	c.seedOnce.Do(func() { c.seed = maphash.MakeSeed() })
	shard := &c.shards[maphash.Comparable(c.seed, s)%keyShards]
	if keys := shard.keys.Load(); keys != nil {
		if k := (*keys)[s]; k != nil {
			return k
		}
	}
	k := deriveKey(s)
	shard.replace.Lock()
	defer shard.replace.Unlock()
	next := map[scopedSecret]*signingKey{s: k}
	if keys := shard.keys.Load(); keys != nil && len(*keys) < keysInShard {
		for s, k := range *keys {
			next[s] = k
		}
	}
	shard.keys.Store(&next)
	return k
}

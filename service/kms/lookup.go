package kms

import (
	"fmt"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// target is what a KeyId parameter names: a key, or an alias if alias is not empty.
type target struct {
	place
	alias string
}

// parse reads a KeyId parameter: a key ID, a key ARN, an alias name or an alias ARN.
func parse(c *call.Call, given string) (target, error) {
	t := target{place: place{account: c.Scope.Account, region: c.Scope.Region}}
	resource := given
	if strings.HasPrefix(given, "arn:") {
		a, err := arn.Parse(given)
		if err != nil || a.Service != "kms" || a.Partition != c.Scope.Partition {
			return t, &kms.NotFoundException{Message: "Invalid arn " + given}
		}
		if a.Region != c.Scope.Region {
			return t, &kms.NotFoundException{Message: "Invalid arn " + a.Region}
		}
		t.account = a.Account
		var isKey bool
		if resource, isKey = strings.CutPrefix(a.Resource, "key/"); !isKey && !strings.HasPrefix(resource, "alias/") {
			return t, &kms.NotFoundException{Message: "Invalid arn " + given}
		}
	}
	if strings.HasPrefix(resource, "alias/") {
		t.alias = resource
		return t, nil
	}
	if !wellFormed(resource) {
		return t, &kms.NotFoundException{Message: fmt.Sprintf("Invalid keyId '%s'", resource)}
	}
	t.id = resource
	return t, nil
}

// wellFormed reports whether id is a UUID, or mrk- and 32 hexadecimal digits.
func wellFormed(id string) bool {
	if rest, ok := strings.CutPrefix(id, "mrk-"); ok {
		return len(rest) == 32 && hexadecimal(rest)
	}
	if len(id) != 36 {
		return false
	}
	for i := range len(id) {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if id[i] != '-' {
				return false
			}
		} else if !hexadecimal(id[i : i+1]) {
			return false
		}
	}
	return true
}

func hexadecimal(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// forUse finds a key, by ID, ARN or alias, for a cryptographic operation. It comes out of the cache: no transaction is begun. alias is the
// alias that the caller used, or "".
func (s *Service) forUse(c *call.Call, keyID *string) (k *key, alias string, err error) {
	t, err := parse(c, optional.Value(keyID))
	if err != nil {
		return nil, "", err
	}
	if t.alias != "" {
		t.id, err = s.aliases.Get(c.Context, aliasPlace{t.account, t.region, t.alias})
		if missing(err) {
			// It may have been made by a call in the same transaction.
			var a *aliasRecord
			if a, err = aliasTable.In(t.account, t.region).Get(c.Tx(), t.alias); err == nil {
				t.id = a.KeyID
			}
		}
		if missing(err) {
			if k, err := s.managedKey(c, t); k != nil || err != nil {
				return k, t.alias, err
			}
			return nil, "", s.absent(c, t)
		}
		if err != nil {
			return nil, "", err
		}
	}
	k, err = s.get(c, t)
	return k, t.alias, err
}

// get returns a key from the cache.
func (s *Service) get(c *call.Call, t target) (*key, error) {
	k, err := s.find(c, t.place)
	if missing(err) {
		return nil, s.absent(c, t)
	}
	return k, err
}

// find returns a key that is ready for use, or store.ErrNotFound. One that is not there yet may have been made by a call in the
// same transaction.
func (s *Service) find(c *call.Call, p place) (*key, error) {
	k, err := s.cache.Get(c.Context, p)
	if err == nil {
		return s.held(c.Context, k.at(c.Time))
	}
	if !missing(err) {
		return nil, err
	}
	if k, err = s.read(c.Tx(), p); err != nil {
		return nil, err
	}
	if err := s.unlock(k); err != nil {
		return nil, err
	}
	return s.held(c.Context, k.at(c.Time))
}

// forChange finds a key, by ID or ARN, in the call's transaction, for management. In another account than the caller's
// there is none, except for the operations that say otherwise.
func (s *Service) forChange(c *call.Call, keyID *string, crossAccount bool) (*key, error) {
	t, err := parse(c, optional.Value(keyID))
	if err != nil {
		return nil, err
	}
	if t.alias != "" {
		return nil, &kms.NotFoundException{Message: fmt.Sprintf("Invalid keyId '%s'", t.alias)}
	}
	if !crossAccount && t.account != c.Scope.Account {
		return nil, foreign(c)
	}
	k, err := s.read(c.Tx(), t.place)
	if missing(err) {
		return nil, s.absent(c, t)
	}
	if err != nil {
		return nil, err
	}
	return s.held(c.Context, k)
}

// absent is the error for a key or alias that is not there. Another account's are not told apart from those that the caller may not use.
func (s *Service) absent(c *call.Call, t target) error {
	if t.account != c.Scope.Account {
		return foreign(c)
	}
	if t.alias != "" {
		return &kms.NotFoundException{Message: fmt.Sprintf("Alias %s is not found.", s.scope(t.account, t.region).ARN("kms", t.alias))}
	}
	return &kms.NotFoundException{Message: fmt.Sprintf("Key '%s' does not exist", s.arn(t.place))}
}

// foreign refuses the use of something in another account without telling whether it is there.
func foreign(c *call.Call) error { return refuse(c, c.Op.Action, onThis) }

// How a refusal that tells nothing calls the key: one that the caller named, and one that stood in a ciphertext.
const (
	onThis       = "on this resource"
	inCiphertext = "on the resource associated with this ciphertext"
)

func refuse(c *call.Call, action, on string) error {
	return c.Refuse(action, on+" because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access")
}

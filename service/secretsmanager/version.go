package secretsmanager

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"

	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/wire"
)

// value is what a version says.
type value struct {
	bytes  []byte
	binary bool // it was given as SecretBinary
}

// maxValue is how many bytes a value has at most. The model counts the characters of a text: https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
const maxValue = 65536

// given is the value of a request, or nil if it has none.
func given(text *string, binary []byte) (*value, error) {
	switch {
	case text != nil && binary != nil:
		return nil, invalidParameter("You can't specify both a binary secret value and a string secret value in the same secret.")
	case text != nil && len(*text) > maxValue:
		return nil, &wire.Error{
			Code: "ValidationException", Status: 400,
			Message: fmt.Sprintf("1 validation error detected: Value at 'secretString' failed to satisfy constraint: Member must have length less than or equal to %d", maxValue),
		}
	case text != nil:
		return &value{bytes: []byte(*text)}, nil
	case binary != nil:
		return &value{binary, true}, nil
	}
	return nil, nil
}

// sum tells values apart. It is kept sealed.
func (v *value) sum(versionID string) []byte {
	h := sha256.New()
	fmt.Fprintf(h, "%s %t ", versionID, v.binary)
	h.Write(v.bytes)
	return h.Sum(nil)
}

// version returns a version of a secret in the call's transaction, or store.ErrNotFound.
func (s *Service) version(c *call.Call, sec *secret, id string) (*versionRecord, error) {
	return versionTable.In(sec.Account, sec.Region).Get(c.Tx(), sec.Name, id)
}

// putVersion makes a version of the secret, which says v, and attaches labels to it; the first one that a secret has gets AWSCURRENT, too. The same version with the same value is
// there already: that is no error, and made is false. The secret has to be saved.
func (s *Service) putVersion(c *call.Call, sec *secret, id string, v *value, labels []string) (made bool, err error) {
	rows := versionTable.In(sec.Account, sec.Region)
	r, err := rows.Get(c.Tx(), sec.Name, id)
	switch {
	case missing(err):
		r = &versionRecord{Secret: sec.Name, ID: id, Created: c.Time, Deprecated: true}
		sec.Versions++
		sec.Deprecated++
	case err != nil:
		return false, err
	case r.Sum != nil:
		return false, s.same(sec, r, v)
	}
	if err := s.fill(c, sec, r, v); err != nil {
		return false, ofKMS(c, err, &secretsmanager.EncryptionFailure{Message: cannot("encrypt")})
	}
	if err := rows.Put(c.Tx(), r); err != nil {
		return false, err
	}
	if sec.Labels[currentLabel] == "" {
		labels = append([]string{currentLabel}, labels...)
	}
	for _, l := range labels {
		if err := s.moveLabel(c, sec, l, id); err != nil {
			return false, err
		}
	}
	return true, s.prune(c, sec)
}

// await makes a version that says nothing yet, with a label: a rotation that begins has one.
func (s *Service) await(c *call.Call, sec *secret, id, label string) error {
	r := &versionRecord{Secret: sec.Name, ID: id, Created: c.Time, Deprecated: true}
	if err := versionTable.In(sec.Account, sec.Region).Insert(c.Tx(), r); err != nil {
		return err
	}
	sec.Versions++
	sec.Deprecated++
	if err := s.moveLabel(c, sec, label, id); err != nil {
		return err
	}
	return s.prune(c, sec)
}

// fill puts a value into a version.
func (s *Service) fill(c *call.Call, sec *secret, r *versionRecord, v *value) (err error) {
	r.Binary = v.binary
	if r.Sum, err = s.box.Wrap(sec.arn+"#"+r.ID, v.sum(r.ID)); err != nil {
		return err
	}
	copy, err := s.encrypted(c, sec, r.ID, v.bytes)
	if err != nil {
		return err
	}
	r.Copies = []copied{*copy}
	return nil
}

// same refuses a version that is there and says something else than v.
func (s *Service) same(sec *secret, r *versionRecord, v *value) error {
	sum, err := s.box.Unwrap(sec.arn+"#"+r.ID, r.Sum)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(sum, v.sum(r.ID)) == 1 {
		return nil
	}
	return inUse(sec, r.ID)
}

func inUse(sec *secret, versionID string) error {
	return &secretsmanager.ResourceExistsException{
		Message: fmt.Sprintf("You can't use ClientRequestToken %s because that value is already in use for a version of secret %s.", versionID, sec.arn),
	}
}

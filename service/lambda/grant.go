package lambda

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/lambda"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

// The role of a function decrypts the function's variables by a grant. A key has only so many grants, so the service retires each with the last version that needs it: when versions are
// deleted, and when $LATEST gets another key or role, or loses its variables. The grant names the service for that, as no policy of a key has to let it in.

// grantDecrypt lets a role decrypt the variables of the function with this unqualified ARN, and returns the ID of the grant. It is the same grant while key, function and role are.
func (s *Service) grantDecrypt(c *call.Call, keyARN, arn, role string) (grantID string, err error) {
	out, err := s.cfg.KMS.CreateGrant(c, &kms.CreateGrantRequest{
		Name: new(grantName(arn, role)), KeyId: &keyARN, GranteePrincipal: &role, RetiringServicePrincipal: new(lambda.Service.EventSource),
		Operations:  []kms.GrantOperation{kms.GrantOperationDecrypt},
		Constraints: &kms.GrantConstraints{EncryptionContextEquals: encryptionContext(arn)},
	})
	if err != nil {
		return "", ofKMS(err)
	}
	return *out.GrantId, nil
}

// grantName is the same for the same function and role, so that KMS makes no further grant when the variables change.
func grantName(arn, role string) string {
	sum := sha256.Sum256([]byte(arn + "\n" + role))
	return "lambda-" + hex.EncodeToString(sum[:16])
}

// keyGrant is a grant of a key.
type keyGrant struct{ key, id string }

func (v *versionRecord) grant() (g keyGrant, ok bool) {
	if v.Environment == nil || v.Environment.Grant == "" {
		return g, false
	}
	return keyGrant{v.Environment.KeyARN, v.Environment.Grant}, true
}

// retire retires the grants of versions of a function as they were, which have been deleted or changed, but those that a version still has.
func (s *Service) retire(c *call.Call, t *target, were ...*versionRecord) error {
	var idle []keyGrant
	for _, v := range were {
		if g, ok := v.grant(); ok && !slices.Contains(idle, g) {
			idle = append(idle, g)
		}
	}
	for v, err := range versionTable.In(t.account, t.region).Scan(c.Tx(), store.Query{Prefix: store.Key{t.function.Name}}) {
		if err != nil {
			return err
		}
		if g, ok := v.grant(); ok {
			idle = slices.DeleteFunc(idle, func(i keyGrant) bool { return i == g })
		}
		if len(idle) == 0 {
			return nil
		}
	}
	own := c.AsServiceFor(functionARN(t.scope(c), t.function.Name, ""))
	for _, g := range idle {
		_, err := s.cfg.KMS.RetireGrant(own, &kms.RetireGrantRequest{KeyId: &g.key, GrantId: &g.id})
		if err != nil && !isRefusal(err) {
			return err
		}
	}
	return nil
}

// isRefusal reports whether KMS has answered that it does not do what it was asked, as for a grant or a key that is gone, which trying again does not change.
func isRefusal(err error) bool {
	if _, ok := errors.AsType[*call.Denied](err); ok {
		return true
	}
	e, ok := errors.AsType[wire.ModeledError](err)
	return ok && !e.Schema().Error.Fault
}

package kms_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
)

// acrossAccounts are the operations that can be done to another account's key: "Cross-account use: Yes" in
// https://docs.aws.amazon.com/kms/latest/APIReference/API_Operations.html
var acrossAccounts = []string{
	"CreateGrant", "Decrypt", "DeriveSharedSecret", "DescribeKey", "Encrypt", "GenerateDataKey", "GenerateDataKeyPair", "GenerateDataKeyPairWithoutPlaintext",
	"GenerateDataKeyWithoutPlaintext", "GenerateMac", "GetKeyRotationStatus", "GetPublicKey", "ListGrants", "ReEncrypt", "RetireGrant", "RevokeGrant", "Sign",
	"Verify", "VerifyMac",
}

// TestCrossAccountWalk does every operation to a key and an alias of another account: the key policy and the caller's own policy must both allow it, nothing of it works
// where AWS has no cross-account use, and what was done is on record in both accounts, as one event.
func TestCrossAccountWalk(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, o := range walk {
		if o.on == nothing {
			continue
		}
		t.Run(o.name, func(t *testing.T) {
			s := o.subject(t, w, o.name)
			open := keyPolicy(fmt.Sprintf(`"Principal":{"AWS":"arn:aws:iam::%s:root"},"Action":"kms:*","Resource":"*"`, other))
			put := func(policy string) {
				w.put(t, s.key, policy)
				w.put(t, s.second, policy)
			}
			put(open)
			allowed := w.user(other, o.name, anything)
			if o.name == "RetireGrant" { // by who may: here the issuing account
				out, err := allowed.CreateGrant(ctx, &kms.CreateGrantInput{
					KeyId: &s.key, GranteePrincipal: aws.String(userARN(other, o.name)), Operations: []types.GrantOperation{types.GrantOperationEncrypt},
				})
				ok(t)(out, err)
				s.grant = *out.GrantId
			}
			if o.before != nil {
				o.before(t, s)
			}
			neither, onlyKey, onlyIAM := w.user(other, "neither"), w.user(other, "only-key"), allowed
			if _, err := o.run(onlyKey, s); code(err) == "" {
				t.Error("done although the caller's own account does not let them")
			}
			put(keyPolicy())
			if _, err := o.run(neither, s); code(err) == "" {
				t.Error("done although nothing lets them")
			}
			if _, err := o.run(onlyIAM, s); code(err) == "" && o.name != "RetireGrant" { // which the issuing account may always
				t.Error("done although the key policy does not let the other account in")
			} else if o.name == "RetireGrant" {
				ok(t)(nil, err)
				return
			}
			if w.anyRecord(t, other, o.name, s.key) {
				t.Error("the caller's account has the name of a key on record that the caller must not know of")
			}
			put(open)
			_, err := o.run(allowed, s)
			if !slices.Contains(acrossAccounts, o.name) {
				if code(err) == "" {
					t.Errorf("%s was done to another account's key", o.name)
				}
				return
			}
			ok(t)(nil, err)
			mine, theirs := w.recorded(t, other, o.name, ""), w.recorded(t, account, o.name, "")
			switch {
			case mine.SharedEventID == "" || mine.SharedEventID != theirs.SharedEventID:
				t.Errorf("shared event IDs are %q in the caller's account and %q in the owner's", mine.SharedEventID, theirs.SharedEventID)
			case mine.RecipientAccountID != other || theirs.RecipientAccountID != account:
				t.Errorf("the recipients are %s and %s", mine.RecipientAccountID, theirs.RecipientAccountID)
			case mine.UserIdentity.ARN != userARN(other, o.name) || theirs.UserIdentity.Type != "AWSAccount" || theirs.UserIdentity.ARN != "" || theirs.UserIdentity.AccountID != other:
				t.Errorf("the owner's record says that %+v called", theirs.UserIdentity)
			case !names(mine, s.key) || !names(theirs, s.key):
				t.Errorf("the key is not in both records:\n%s\n%s", mine.Raw, theirs.Raw)
			}
		})
	}
}

// names reports whether a record names a key of the first account among its resources.
func names(e cloudtest.Event, key string) bool {
	return slices.ContainsFunc(e.Resources, func(r struct{ AccountID, Type, ARN string }) bool { return r.ARN == key && r.AccountID == account })
}

// anyRecord reports whether some record of an operation names a key among its resources.
func (w *world) anyRecord(t *testing.T, account, operation, key string) bool {
	t.Helper()
	return slices.ContainsFunc(w.Trail(account), func(e cloudtest.Event) bool { return e.EventName == operation && names(e, key) })
}

// TestCrossAccountGrant lets another account in by a grant alone, on the key's side; the caller's own side must still allow, for all but the grantee itself.
func TestCrossAccountGrant(t *testing.T) {
	t.Parallel()
	w := start(t)
	key := w.key(t)
	bob := w.user(other, "bob")
	grant := func(to string) {
		t.Helper()
		ok(t)(w.CreateGrant(ctx, &kms.CreateGrantInput{KeyId: &key, GranteePrincipal: aws.String(to), Operations: []types.GrantOperation{types.GrantOperationEncrypt}}))
	}
	encrypt := func(c *kms.Client) (any, error) {
		return c.Encrypt(ctx, &kms.EncryptInput{KeyId: &key, Plaintext: message})
	}
	denied(t)(encrypt(bob))
	grant("arn:aws:iam::" + other + ":root")
	denied(t)(encrypt(bob))
	bob = w.user(other, "bob", fmt.Sprintf(`"Action":"kms:Encrypt","Resource":%q`, key))
	ok(t)(encrypt(bob))
	eve := w.user(other, "eve")
	denied(t)(encrypt(eve))
}

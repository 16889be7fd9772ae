package kms

import (
	"errors"
	"fmt"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// policyName is the only name a key policy has.
const policyName = "default"

// maxPolicy is the size of a key policy in bytes: https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html
const maxPolicy = 32 << 10

// defaultPolicy delegates a key to its account, so that the account's IAM policies decide:
// https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html
func defaultPolicy(partition, account string) string {
	return `{
  "Version" : "2012-10-17",
  "Id" : "key-default-1",
  "Statement" : [ {
    "Sid" : "Enable IAM User Permissions",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "` + rootARN(partition, account) + `"
    },
    "Action" : "kms:*",
    "Resource" : "*"
  } ]
}`
}

func malformed(format string, args ...any) error {
	return &kms.MalformedPolicyDocumentException{Message: fmt.Sprintf(format, args...)}
}

// parsePolicy compiles a key policy.
func parsePolicy(document string) (*policy.Policy, error) {
	if len(document) > maxPolicy {
		return nil, &kms.LimitExceededException{Message: fmt.Sprintf("The key policy is longer than %d bytes.", maxPolicy)}
	}
	p, err := policy.Parse([]byte(document), policy.Resource)
	if syntax, ok := errors.AsType[*policy.SyntaxError](err); ok {
		if syntax.Fault == policy.InvalidPrincipal {
			return nil, malformed("Policy contains a statement with one or more invalid principals.")
		}
		return nil, malformed("%s", syntax)
	}
	return p, err
}

// checkPolicy pins the policy, which the key has already, to those it names. It refuses one that names nobody, that is wider than it looks, or that locks the caller out.
func (s *Service) checkPolicy(c *call.Call, k *key, bypass bool) error {
	pins, unknown, err := s.cfg.Principals.Pin(c.Tx(), k.policy)
	if err != nil {
		return err
	}
	if unknown != "" {
		return malformed("Policy contains a statement with one or more invalid principals.")
	}
	k.Pins = pins
	k.policy = pins.Bind(k.policy)
	for cond := range k.policy.Conditions() {
		if cond.Set == policy.ForAllValues && overlyPermissive(strings.ToLower(cond.Key)) {
			return malformed("Policy contains an OverlyPermissiveCondition: ForAllValues matches requests without %s.", cond.Key)
		}
	}
	if bypass {
		return nil
	}
	r := &call.Resource{ARN: k.arn, Account: k.account, Policy: k.policy, PolicyRequired: true, Tags: k.Tags, Conditions: &use{c: c, key: k}}
	root := identity.Root(c.Scope.Partition, k.account, "")
	caller := !s.away(k.region) && c.Would(c.Caller, kms.OpPutKeyPolicy.Action, r) // whom another process may not know
	if !caller && !c.Would(root, kms.OpPutKeyPolicy.Action, r) {
		return malformed("The new key policy will not allow you to update the key policy in the future.")
	}
	return nil
}

// overlyPermissive reports whether ForAllValues on the key, in lower case, matches the requests that have no such value at all, which is
// never what was meant: https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html
func overlyPermissive(key string) bool {
	return strings.HasPrefix(key, "kms:encryptioncontext:") || strings.HasPrefix(key, "aws:requesttag/")
}

// GetKeyPolicy returns the key policy as it was put. Users and roles that are gone are shown by their unique IDs.
func (s *Service) GetKeyPolicy(c *call.Call, in *kms.GetKeyPolicyRequest) (*kms.GetKeyPolicyResponse, error) {
	k, err := s.forChange(c, in.KeyId, false)
	if err != nil {
		return nil, err
	}
	if err := s.authorize(&use{c: c, key: k}); err != nil {
		return nil, err
	}
	if err := namedPolicy(in.PolicyName); err != nil {
		return nil, err
	}
	text, err := s.cfg.Principals.Show(c.Tx(), k.policy, k.Pins)
	if err != nil {
		return nil, err
	}
	return &kms.GetKeyPolicyResponse{Policy: &text, PolicyName: new(policyName)}, nil
}

func namedPolicy(name *string) error {
	if name != nil && *name != policyName {
		return &kms.NotFoundException{Message: "No such policy exists"}
	}
	return nil
}

// PutKeyPolicy replaces the key policy.
func (s *Service) PutKeyPolicy(c *call.Call, in *kms.PutKeyPolicyRequest) (*kms.PutKeyPolicyResponse, error) {
	k, err := s.forChange(c, in.KeyId, false)
	if err != nil {
		return nil, err
	}
	u := &use{c: c, key: k}
	u.with("kms:bypasspolicylockoutsafetycheck", boolean(in.BypassPolicyLockoutSafetyCheck))
	if err := s.authorize(u); err != nil {
		return nil, err
	}
	if err := namedPolicy(in.PolicyName); err != nil {
		return nil, err
	}
	compiled, err := parsePolicy(optional.Value(in.Policy))
	if err != nil {
		return nil, err
	}
	k.Policy, k.policy = *in.Policy, compiled
	if err := s.checkPolicy(c, k, optional.Value(in.BypassPolicyLockoutSafetyCheck)); err != nil {
		return nil, err
	}
	return &kms.PutKeyPolicyResponse{}, k.save(c.Tx())
}

// ListKeyPolicies lists the names of a key's policies: there is one.
func (s *Service) ListKeyPolicies(c *call.Call, in *kms.ListKeyPoliciesRequest) (*kms.ListKeyPoliciesResponse, error) {
	k, err := s.forChange(c, in.KeyId, false)
	if err != nil {
		return nil, err
	}
	if err := s.authorize(&use{c: c, key: k}); err != nil {
		return nil, err
	}
	if in.Marker != nil {
		return nil, &kms.InvalidMarkerException{Message: "Could not deserialize marker"}
	}
	return &kms.ListKeyPoliciesResponse{PolicyNames: []string{policyName}, Truncated: new(false)}, nil
}

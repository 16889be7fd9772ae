package ssm

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/ssm"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// A parameter is shared with other accounts by a resource policy: https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-shared-parameters.html

// maxPolicy is how many bytes a resource policy has at most.
const maxPolicy = 1024

// sharedActions are what other accounts can be allowed: what AWS's managed permissions for shared parameters are made of.
var sharedActions = []string{"ssm:describeparameters", "ssm:getparameter", "ssm:getparameters", "ssm:getparameterhistory"}

func wrongParameter(format string, args ...any) error {
	return &ssm.ResourcePolicyInvalidParameterException{ParameterNames: []string{"ResourceArn"}, Message: fmt.Sprintf(format, args...)}
}

// shared finds and authorizes the parameter of an ARN whose resource policy is asked for. Nobody but its owner's account gets to it.
func (s *Service) shared(c *call.Call, resourceARN string) (*parameterRecord, error) {
	account, text, err := nameInARN(c, resourceARN)
	if err != nil || account == "" {
		return nil, wrongParameter("The resource ARN must be that of a parameter.")
	}
	n, err := parseName(text)
	if err != nil {
		return nil, wrongParameter("The resource ARN must be that of a parameter.")
	}
	if account != c.Scope.Account {
		return nil, c.Refuse(c.Op.Action, "on resource: "+resourceARN+" because no resource-based policy allows the "+c.Op.Action+" action")
	}
	p, err := s.change(c, n, nil)
	if err == nil && p == nil {
		err = &ssm.ResourceNotFoundException{Message: "The specified parameter to be shared could not be found."}
	}
	return p, err
}

// PutResourcePolicy gives a parameter its policy, or replaces it.
func (s *Service) PutResourcePolicy(c *call.Call, in *ssm.PutResourcePolicyRequest) (*ssm.PutResourcePolicyResponse, error) {
	p, err := s.shared(c, *in.ResourceArn)
	if err != nil {
		return nil, err
	}
	if err := shareable(p); err != nil {
		return nil, err
	}
	switch {
	case in.PolicyId == nil && p.Sharing != nil:
		return nil, policyLimit("PolicyCount", 1, "A parameter can have one resource policy. Give its PolicyId and its PolicyHash to update it.")
	case in.PolicyId != nil:
		if err := p.samePolicy(*in.PolicyId, optional.Value(in.PolicyHash)); err != nil {
			return nil, err
		}
	}
	sharing, err := s.newSharing(c, p, *in.Policy)
	if err != nil {
		return nil, err
	}
	if p.Sharing != nil {
		sharing.ID = p.Sharing.ID
	}
	p.Sharing = sharing
	return &ssm.PutResourcePolicyResponse{PolicyId: &sharing.ID, PolicyHash: &sharing.Hash}, parameterTable.In(c.Scope.Account, c.Scope.Region).Put(c.Tx(), p)
}

// shareable refuses parameters that cannot be shared.
func shareable(p *parameterRecord) error {
	switch v := &p.Current; {
	case v.Tier != advanced:
		return wrongParameter("To share a parameter, it must be in the advanced parameter tier.")
	case v.Type == string(ssm.ParameterTypeSecureString) && strings.Contains(v.KeyID, "alias/aws/"):
		return wrongParameter("To share a SecureString parameter, it must be encrypted with a customer managed key.")
	}
	return nil
}

func policyLimit(kind string, limit int32, message string) error {
	return &ssm.ResourcePolicyLimitExceededException{Limit: &limit, LimitType: &kind, Message: message}
}

// samePolicy holds the ID and the hash that a caller has against the policy that is there.
func (p *parameterRecord) samePolicy(id, hash string) error {
	switch {
	case p.Sharing == nil || p.Sharing.ID != id:
		return &ssm.ResourcePolicyNotFoundException{Message: "No policies with the specified policy ID and hash could be found."}
	case p.Sharing.Hash != hash:
		return &ssm.ResourcePolicyConflictException{Message: "The hash provided in the call doesn't match the stored hash."}
	}
	return nil
}

// newSharing reads a policy for a parameter.
func (s *Service) newSharing(c *call.Call, p *parameterRecord, text string) (*sharing, error) {
	if len(text) > maxPolicy {
		return nil, policyLimit("PolicySize", maxPolicy, fmt.Sprintf("A policy can't be greater than %d bytes in size.", maxPolicy))
	}
	parsed, err := policy.Parse([]byte(text), policy.Resource)
	if err != nil {
		return nil, malformed("%s", err)
	}
	accounts, err := shares(parsed, p.name().in(c.Scope))
	if err != nil {
		return nil, err
	}
	pins, unknown, err := s.cfg.Principals.Pin(c.Tx(), parsed)
	if err != nil {
		return nil, err
	}
	if unknown != "" {
		return nil, malformed("there is no principal %s", unknown)
	}
	sum := sha256.Sum256([]byte(c.EventID + text))
	return &sharing{
		ID: c.UUID(), Hash: hex.EncodeToString(sum[:]), Text: text, Pins: pins, Owner: c.Scope.Account, Region: c.Scope.Region,
		Accounts: slices.DeleteFunc(accounts, func(a string) bool { return a == c.Scope.Account }),
	}, nil
}

func malformed(format string, args ...any) error {
	return &ssm.MalformedResourcePolicyDocumentException{Message: "The specified policy document is malformed or invalid: " + fmt.Sprintf(format, args...)}
}

// shares returns the accounts that a policy names, or an error if it says something else than what they may read of the parameter.
func shares(p *policy.Policy, resource string) (accounts []string, err error) {
	for st := range p.Statements() {
		switch {
		case st.Effect != "Allow" || st.NotAction || st.NotResource || st.NotPrincipal:
			return nil, malformed("it can only allow actions, on the parameter, to principals")
		case slices.ContainsFunc(st.Resources, func(r string) bool { return r != resource }):
			return nil, malformed("its Resource must be %s", resource)
		}
		for _, a := range st.Actions {
			if !slices.Contains(sharedActions, strings.ToLower(a)) {
				return nil, malformed("the action %s cannot be shared", a)
			}
		}
		for _, r := range st.Principals {
			account := accountOf(r)
			if account == "" {
				return nil, malformed("its principals must be accounts, or users and roles of accounts")
			}
			accounts = append(accounts, account)
		}
	}
	slices.Sort(accounts)
	return slices.Compact(accounts), nil
}

// accountOf is the account that a principal belongs to, or "".
func accountOf(r policy.PrincipalRef) string {
	if r.Type != "AWS" {
		return ""
	}
	if identity.IsAccount(r.Value) {
		return r.Value
	}
	a, err := arn.Parse(r.Value)
	if err != nil || !identity.IsAccount(a.Account) {
		return ""
	}
	return a.Account
}

// GetResourcePolicies returns the policy of a parameter, if it has one.
func (s *Service) GetResourcePolicies(c *call.Call, in *ssm.GetResourcePoliciesRequest) (*ssm.GetResourcePoliciesResponse, error) {
	p, err := s.shared(c, *in.ResourceArn)
	if err != nil {
		return nil, err
	}
	out := &ssm.GetResourcePoliciesResponse{Policies: []ssm.GetResourcePoliciesResponseEntry{}}
	if p.Sharing == nil || optional.Value(in.NextToken) != "" {
		return out, nil
	}
	compiled, err := policy.Parse([]byte(p.Sharing.Text), policy.Resource)
	if err != nil {
		return nil, fmt.Errorf("reading the policy of parameter %s: %w", p.Name, err)
	}
	text, err := s.cfg.Principals.Show(c.Tx(), compiled, p.Sharing.Pins)
	if err != nil {
		return nil, err
	}
	out.Policies = append(out.Policies, ssm.GetResourcePoliciesResponseEntry{PolicyId: &p.Sharing.ID, PolicyHash: &p.Sharing.Hash, Policy: &text})
	return out, nil
}

// DeleteResourcePolicy ends the sharing of a parameter.
func (s *Service) DeleteResourcePolicy(c *call.Call, in *ssm.DeleteResourcePolicyRequest) (*ssm.DeleteResourcePolicyResponse, error) {
	p, err := s.shared(c, *in.ResourceArn)
	if err != nil {
		return nil, err
	}
	if err := p.samePolicy(*in.PolicyId, *in.PolicyHash); err != nil {
		return nil, err
	}
	p.Sharing = nil
	return &ssm.DeleteResourcePolicyResponse{}, parameterTable.In(c.Scope.Account, c.Scope.Region).Put(c.Tx(), p)
}

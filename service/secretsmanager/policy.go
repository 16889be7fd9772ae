package secretsmanager

import (
	"errors"

	"github.com/holdfast-cloud/holdfast/api/secretsmanager"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// GetResourcePolicy returns the policy of a secret as it was put. Users and roles that are gone are shown by their unique IDs.
func (s *Service) GetResourcePolicy(c *call.Call, in *secretsmanager.GetResourcePolicyRequest) (*secretsmanager.GetResourcePolicyResponse, error) {
	sec, err := s.live(c, in.SecretId, &access{})
	if err != nil {
		return nil, err
	}
	out := &secretsmanager.GetResourcePolicyResponse{ARN: &sec.arn, Name: &sec.Name}
	if sec.policy != nil {
		text, err := s.cfg.Principals.Show(c.Tx(), sec.policy, sec.Pins)
		if err != nil {
			return nil, err
		}
		out.ResourcePolicy = &text
	}
	return out, nil
}

// PutResourcePolicy gives a secret a policy.
func (s *Service) PutResourcePolicy(c *call.Call, in *secretsmanager.PutResourcePolicyRequest) (*secretsmanager.PutResourcePolicyResponse, error) {
	a := (&access{}).with("secretsmanager:blockpublicpolicy", boolean(in.BlockPublicPolicy))
	sec, err := s.live(c, in.SecretId, a)
	if err != nil {
		return nil, err
	}
	if err := sec.primary(); err != nil {
		return nil, err
	}
	p, pins, err := s.compile(c, *in.ResourcePolicy)
	if err != nil {
		return nil, err
	}
	if optional.Value(in.BlockPublicPolicy) && p.Public() {
		return nil, &secretsmanager.PublicPolicyException{Message: "The BlockPublicPolicy parameter is set to true, and the resource policy did not prevent broad access to the secret."}
	}
	sec.Policy, sec.Pins = *in.ResourcePolicy, pins
	return &secretsmanager.PutResourcePolicyResponse{ARN: &sec.arn, Name: &sec.Name}, s.changed(c, sec)
}

// compile reads a policy, and finds whom it names.
func (s *Service) compile(c *call.Call, text string) (*policy.Policy, identity.Pins, error) {
	p, err := policy.Parse([]byte(text), policy.Resource)
	if syntax, ok := errors.AsType[*policy.SyntaxError](err); ok {
		if syntax.Fault == policy.InvalidPrincipal {
			return nil, nil, malformed("This resource policy contains an unsupported principal.")
		}
		return nil, nil, malformed("This resource policy contains a syntax error: " + syntax.AWS())
	}
	if err != nil {
		return nil, nil, err
	}
	pins, unknown, err := s.cfg.Principals.Pin(c.Tx(), p)
	if err != nil {
		return nil, nil, err
	}
	if unknown != "" {
		return nil, nil, malformed("This resource policy contains an unsupported principal.")
	}
	return p, pins, nil
}

func malformed(message string) error {
	return &secretsmanager.MalformedPolicyDocumentException{Message: message}
}

// DeleteResourcePolicy takes a secret's policy away.
func (s *Service) DeleteResourcePolicy(c *call.Call, in *secretsmanager.DeleteResourcePolicyRequest) (*secretsmanager.DeleteResourcePolicyResponse, error) {
	sec, err := s.live(c, in.SecretId, &access{})
	if err != nil {
		return nil, err
	}
	if err := sec.primary(); err != nil {
		return nil, err
	}
	sec.Policy, sec.Pins = "", nil
	return &secretsmanager.DeleteResourcePolicyResponse{ARN: &sec.arn, Name: &sec.Name}, s.changed(c, sec)
}

// The checks of ValidateResourcePolicy.
const (
	syntaxCheck  = "PolicySyntax"
	publicCheck  = "PublicAccess"
	lockoutCheck = "CallerLockout"
)

// ValidateResourcePolicy tells what is wrong with a policy: its syntax, that it lets in anybody at all, or that it locks its caller out. Without a secret it is about none in particular.
func (s *Service) ValidateResourcePolicy(c *call.Call, in *secretsmanager.ValidateResourcePolicyRequest) (*secretsmanager.ValidateResourcePolicyResponse, error) {
	var sec *secret
	var err error
	if in.SecretId != nil {
		sec, err = s.secret(c, in.SecretId)
	} else {
		err = c.Authorize(&call.Resource{ARN: "*", Conditions: &access{}})
	}
	if err != nil {
		return nil, err
	}
	out := &secretsmanager.ValidateResourcePolicyResponse{ValidationErrors: []secretsmanager.ValidationErrorsEntry{}}
	wrong := func(check, message string) {
		out.ValidationErrors = append(out.ValidationErrors, secretsmanager.ValidationErrorsEntry{CheckName: &check, ErrorMessage: &message})
	}
	p, pins, err := s.compile(c, *in.ResourcePolicy)
	if e, ok := errors.AsType[*secretsmanager.MalformedPolicyDocumentException](err); ok {
		wrong(syntaxCheck, e.Message)
	} else if err != nil {
		return nil, err
	} else {
		if p.Public() {
			wrong(publicCheck, "The resource policy grants a wide range of principals access to the secret.")
		}
		if sec != nil && s.locksOut(c, sec, pins.Bind(p)) {
			wrong(lockoutCheck, "The resource policy denies you the permission to change it.")
		}
	}
	out.PolicyValidationPassed = new(len(out.ValidationErrors) == 0)
	return out, nil
}

// locksOut reports whether a policy takes the right to put another one away from the caller, who has it now.
func (s *Service) locksOut(c *call.Call, sec *secret, p *policy.Policy) bool {
	r := &call.Resource{ARN: sec.arn, Account: sec.Account, Policy: sec.policy, Tags: sec.Tags, Conditions: &access{sec: sec, id: sec.arn}}
	before := c.Would(c.Caller, secretsmanager.OpPutResourcePolicy.Action, r)
	r.Policy = p
	return before && !c.Would(c.Caller, secretsmanager.OpPutResourcePolicy.Action, r)
}

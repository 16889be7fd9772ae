package sts

import (
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/sts"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/wire"
)

// Beside the operation's own, what making a session may need.
const (
	actionTag            = "sts:TagSession"
	actionSourceIdentity = "sts:SetSourceIdentity"
)

// maxChained is how long a session lasts at most that was made with credentials of another role session.
const maxChained = time.Hour

// AssumeRole gives credentials of a role to whom its trust policy lets in.
func (s *Service) AssumeRole(c *call.Call, in *sts.AssumeRoleRequest) (*sts.AssumeRoleResponse, error) {
	if c.Caller.Kind == policy.Root {
		return nil, deny(c, "Roles may not be assumed by root accounts.")
	}
	if err := s.admit(c); err != nil {
		return nil, err
	}
	if len(in.ProvidedContexts) > 0 {
		return nil, wire.NotImplemented(sts.Service.Package, "SetContext, which ProvidedContexts need")
	}
	target, err := s.target(*in.RoleArn)
	if err != nil {
		return nil, err
	}
	tags, err := tagSet(in.Tags)
	if err != nil {
		return nil, err
	}
	e := &entrance{roleARN: *in.RoleArn}
	e.session = identity.Session{
		Kind: identity.RoleSession, Account: target.account, Name: target.name, SessionName: *in.RoleSessionName, SourceIdentity: optional.Value(in.SourceIdentity),
	}
	caller := c.Caller.Temporary
	if caller != nil && caller.Kind == identity.RoleSession {
		e.session.Chained = true
		if caller.SourceIdentity != "" {
			if in.SourceIdentity != nil && *in.SourceIdentity != caller.SourceIdentity {
				// Who it was in the beginning stays said: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_monitor.html
				return nil, c.Refuse(actionSourceIdentity, "on resource: "+*in.RoleArn)
			}
			e.session.SourceIdentity = caller.SourceIdentity
		}
	}
	if err := inherit(&e.session, caller, tags, in.TransitiveTagKeys); err != nil {
		return nil, err
	}
	proven, err := s.proveMFA(c, in.SerialNumber, in.TokenCode)
	if err != nil {
		return nil, err
	}
	if proven {
		// The call is one of somebody with a device, as though made with credentials of GetSessionToken.
		with := *c.Caller
		with.Temporary = &identity.Session{Kind: identity.UserSession, Issued: c.Time, MFA: c.Time}
		c.Caller = &with
	}
	e.conditions = policy.Values{"sts:rolesessionname": {*in.RoleSessionName}}
	if in.ExternalId != nil {
		e.conditions["sts:externalid"] = []string{*in.ExternalId}
	}
	role, err := s.enter(c, e)
	if err != nil {
		return nil, err
	}
	credentials, size, err := s.open(c, e, role, in.DurationSeconds, in.Policy, in.PolicyArns)
	if err != nil {
		return nil, err
	}
	return &sts.AssumeRoleResponse{
		Credentials: credentials, AssumedRoleUser: s.assumed(role, &e.session), PackedPolicySize: size, SourceIdentity: some(e.session.SourceIdentity),
	}, nil
}

// roleName is a role as its ARN names it.
type roleName struct{ account, name string }

// target takes the ARN of a role apart.
func (s *Service) target(name string) (roleName, error) {
	a, err := arn.Parse(name)
	path, isRole := strings.CutPrefix(a.Resource, "role/")
	if err != nil || a.Partition != s.cfg.Partition || a.Service != "iam" || a.Region != "" || !identity.IsAccount(a.Account) || !isRole || path == "" {
		return roleName{}, invalid("%s is invalid", name)
	}
	return roleName{a.Account, path[strings.LastIndexByte(path, '/')+1:]}, nil
}

// entrance is a session that somebody asks for.
type entrance struct {
	roleARN    string
	session    identity.Session
	conditions policy.Values // of the operation
	// ends is when the session has to be over, whatever the caller asks for; zero: no such time.
	ends time.Time
	// refusal replaces what is said to who is not let in; nil is the sentence that names the caller.
	refusal func() error
}

// enter asks the trust policy and the caller's own for permission, and returns the role. A role that is not there refuses as one that may not be assumed.
func (s *Service) enter(c *call.Call, e *entrance) (*identity.Role, error) {
	role, err := c.Role(e.roleARN)
	if err != nil {
		return nil, err
	}
	values := e.conditions
	if e.session.SourceIdentity != "" {
		values["sts:sourceidentity"] = []string{e.session.SourceIdentity}
	}
	if len(e.session.Transitive) > 0 {
		values["sts:transitivetagkeys"] = e.session.Transitive
	}
	r := call.RoleResource(e.roleARN, role, values)
	r.PolicyRequired, r.RequestTags = true, e.session.Tags
	if role != nil {
		if r.Policy, err = s.cfg.Directory.Trust(role); err != nil {
			return nil, err
		}
	}
	if role == nil && e.session.Account != c.Scope.Account {
		r.Type = ""
	}
	actions := []string{c.Op.Action}
	if len(e.session.Tags) > 0 {
		actions = append(actions, actionTag)
	}
	if e.session.SourceIdentity != "" {
		actions = append(actions, actionSourceIdentity)
	}
	for _, action := range actions {
		err := c.AuthorizeAction(action, r)
		if err == nil {
			continue
		}
		if e.refusal != nil {
			return nil, e.refusal()
		}
		return nil, hideRole(c, err, action, e.roleARN)
	}
	e.session.Name, e.session.ID = role.Name, role.ID // nobody is let in without a trust policy
	return role, nil
}

// open makes the credentials of who was let in.
func (s *Service) open(c *call.Call, e *entrance, role *identity.Role, seconds *int32, document *string, arns []sts.PolicyDescriptorType) (*sts.Credentials, *int32, error) {
	lasts := time.Hour
	if seconds != nil {
		lasts = time.Duration(*seconds) * time.Second
	}
	switch {
	case e.session.Chained && lasts > maxChained:
		return nil, nil, invalid("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
	case lasts > max(role.MaxSession, time.Hour):
		return nil, nil, invalid("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	if err := s.restrict(c, &e.session, document, arns); err != nil {
		return nil, nil, err
	}
	if !e.ends.IsZero() {
		lasts = min(lasts, e.ends.Sub(c.Time))
	}
	return s.issue(c, &e.session, lasts)
}

// assumed is how a role session is called.
func (s *Service) assumed(role *identity.Role, session *identity.Session) *sts.AssumedRoleUser {
	return &sts.AssumedRoleUser{
		AssumedRoleId: new(role.ID + ":" + session.SessionName),
		Arn:           new("arn:" + s.cfg.Partition + ":sts::" + role.Account + ":assumed-role/" + role.Name + "/" + session.SessionName),
	}
}

func some(v string) *string {
	if v == "" {
		return nil
	}
	return &v
}

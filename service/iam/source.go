package iam

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/identity/managed"
)

// subject is a user, a group or a role that an operation asks about by its ARN.
type subject struct {
	kind          iam.PolicyOwnerEntityType
	of, auditType string // as messages and as audit records call the kind
	account       string
	arn, name, id string
	path          string
	tags          map[string]string // groups have none
	groups        []string          // of a user
	linked        string            // the service of a service-linked role
	held          *identity.Permissions
}

// subject finds a user, a group or a role of the caller's account and asks for permission. Only who may ask is told whether it is there.
func (s *Service) subject(c *call.Call, name string) (*subject, error) {
	sub, wrong := s.parseSubject(name)
	if wrong != nil || sub.account != c.Scope.Account {
		if err := s.authorize(c, &call.Resource{ARN: name}); err != nil {
			return nil, err
		}
		if wrong != nil {
			return nil, wrong
		}
		return nil, invalid("Invalid Policy Source Arn: caller's account %s does not have access to policies in account %s", c.Scope.Account, sub.account)
	}
	there, err := s.load(c, sub)
	if err != nil {
		return nil, err
	}
	r := &call.Resource{ARN: name, Type: sub.auditType}
	if there && sub.kind != iam.PolicyOwnerEntityTypeGroup {
		r.Tags, r.Conditions = sub.tags, own(sub.tags, sub.held.Boundary, nil)
	}
	if err := s.authorize(c, r); err != nil {
		return nil, err
	}
	if !there {
		return nil, noSuch(sub.of, sub.name)
	}
	return sub, nil
}

// parseSubject takes the ARN of a user, a group or a role apart.
func (s *Service) parseSubject(name string) (*subject, error) {
	a, err := arn.Parse(name)
	kind, rest, _ := strings.Cut(a.Resource, "/")
	last := rest[strings.LastIndexByte(rest, '/')+1:]
	sub := &subject{arn: name, name: last, of: kind, account: a.Account}
	switch kind {
	case "user":
		sub.kind, sub.auditType = iam.PolicyOwnerEntityTypeUser, "AWS::IAM::User"
	case "group":
		sub.kind, sub.auditType = iam.PolicyOwnerEntityTypeGroup, "AWS::IAM::Group"
	case "role":
		sub.kind, sub.auditType = iam.PolicyOwnerEntityTypeRole, "AWS::IAM::Role"
	}
	if err != nil || a.Partition != s.cfg.Partition || a.Service != "iam" || a.Region != "" || !identity.IsAccount(a.Account) || sub.kind == "" || last == "" {
		return nil, invalid("Invalid Entity Arn: %s does not clearly define entity type and name.", name)
	}
	return sub, nil
}

// load completes a subject from its record. It is not there if the record has another path.
func (s *Service) load(c *call.Call, sub *subject) (there bool, err error) {
	name := ""
	switch sub.kind {
	case iam.PolicyOwnerEntityTypeUser:
		var u *identity.User
		if u, err = identity.Users.In(c.Scope.Account, "").Get(c.Tx(), sub.name); err == nil {
			name, sub.id, sub.path, sub.tags, sub.groups, sub.held = u.ARN(s.cfg.Partition), u.ID, u.Path, u.Tags, u.Groups, &u.Permissions
		}
	case iam.PolicyOwnerEntityTypeGroup:
		var g *identity.Group
		if g, err = identity.Groups.In(c.Scope.Account, "").Get(c.Tx(), sub.name); err == nil {
			name, sub.id, sub.path, sub.held = g.ARN(s.cfg.Partition), g.ID, g.Path, &g.Permissions
		}
	case iam.PolicyOwnerEntityTypeRole:
		var r *identity.Role
		if r, err = identity.Roles.In(c.Scope.Account, "").Get(c.Tx(), sub.name); err == nil {
			name, sub.id, sub.path, sub.tags, sub.linked, sub.held = r.ARN(s.cfg.Partition), r.ID, r.Path, r.Tags, r.LinkedService, &r.Permissions
		}
	}
	if missing(err) {
		return false, nil
	}
	return name == sub.arn, err
}

// source is a policy and where a principal has it from.
type source struct {
	origin iam.PolicySourceType
	id     string // SourcePolicyId of simulations
	name   string
	arn    string // of a managed policy; empty for an inline one

	holderKind iam.PolicyOwnerEntityType // who has it: the principal, or one of its groups
	holder     string

	policy *policy.Policy
}

// sources are the permissions policies of a user with its groups, of a group or of a role: those of its own first, inline ones before managed ones.
func (s *Service) sources(c *call.Call, sub *subject) ([]*source, error) {
	all, err := s.held(c, nil, sub.kind, sub.name, sub.held)
	if err != nil {
		return nil, err
	}
	for _, name := range sub.groups {
		g, err := identity.Groups.In(c.Scope.Account, "").Get(c.Tx(), name)
		if err != nil {
			return nil, fmt.Errorf("group %s of user %s: %w", name, sub.name, err)
		}
		if all, err = s.held(c, all, iam.PolicyOwnerEntityTypeGroup, g.Name, &g.Permissions); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// held adds the policies of a holder.
func (s *Service) held(c *call.Call, all []*source, kind iam.PolicyOwnerEntityType, holder string, p *identity.Permissions) ([]*source, error) {
	for _, name := range slices.Sorted(maps.Keys(p.Inline)) {
		compiled, err := policy.Parse([]byte(p.Inline[name]), policy.Identity)
		if err != nil {
			return nil, unevaluated(name, err)
		}
		origin := iam.PolicySourceType(strings.ToLower(string(kind)))
		all = append(all, &source{origin: origin, id: string(origin) + "_" + holder + "_" + name, name: name, holderKind: kind, holder: holder, policy: compiled})
	}
	for _, name := range p.Attached {
		src, err := s.managedSource(c, name, policy.Identity)
		if err != nil {
			return nil, err
		}
		src.holderKind, src.holder = kind, holder
		all = append(all, src)
	}
	return all, nil
}

// managedSource compiles a managed policy.
func (s *Service) managedSource(c *call.Call, name string, kind policy.Kind) (*source, error) {
	src := &source{origin: iam.PolicySourceTypeUserManaged, id: arnName(name), name: arnName(name), arn: name}
	if aws, ok := managed.Find(name); ok {
		src.origin = iam.PolicySourceTypeAwsManaged
		if kind == policy.Identity {
			src.policy = aws.Compiled().Named(name) // a copy: who has it is found by it
			return src, nil
		}
	}
	text, err := s.cfg.Directory.Document(c.Tx(), name)
	if err != nil {
		return nil, fmt.Errorf("managed policy %s: %w", name, err)
	}
	if src.policy, err = policy.Parse([]byte(text), kind); err != nil {
		return nil, unevaluated(name, err)
	}
	return src, nil
}

// unevaluated is the error of a policy that is there and cannot be read, such as one of an older release.
func unevaluated(name string, err error) error {
	message := "Policy " + name + " could not be evaluated."
	if syntax, ok := errors.AsType[*policy.SyntaxError](err); ok {
		message += " " + syntax.AWS()
	}
	return &iam.PolicyEvaluationException{Message: message}
}

package call

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/organization"
	"github.com/holdfast-cloud/holdfast/store"
)

// Roles knows what roles are allowed, and whom they let in: an *identity.Directory.
type Roles interface {
	// Trust returns a role's trust policy.
	Trust(*identity.Role) (*policy.Policy, error)
	// Acting returns who acts in a session, with the policies of the moment, or identity.ErrGone.
	Acting(store.Reader, *identity.Session) (*identity.Principal, error)
}

// WithRoles gives the call what PassRole and AsRole need. Only the door does this.
func (c *Call) WithRoles(r Roles) *Call {
	c.roles = r
	return c
}

// ErrRole is the error of a role that is not there, or whose trust policy does not let the service in: which of the two is nobody's business. Services have their own
// words for it.
var ErrRole = errors.New("the role cannot be assumed")

const (
	passRole   = "iam:PassRole"
	assumeRole = "sts:AssumeRole"

	roleType = "AWS::IAM::Role"

	// roleSession is how long a session of AsRole lasts. Each call makes its own.
	roleSession = time.Hour
)

// Role finds a role by its ARN. It is nil where there is none, or where its account is closed, in which nobody acts.
func (c *Call) Role(roleARN string) (*identity.Role, error) {
	a, err := arn.Parse(roleARN)
	path, isRole := strings.CutPrefix(a.Resource, "role/")
	if err != nil || a.Service != "iam" || a.Partition != c.Scope.Partition || !identity.IsAccount(a.Account) || !isRole {
		return nil, nil
	}
	role, err := identity.Roles.In(a.Account, "").Get(c.Tx(), path[strings.LastIndexByte(path, '/')+1:])
	if errors.Is(err, store.ErrNotFound) || err == nil && role.ARN(c.Scope.Partition) != roleARN {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("loading role %s: %w", roleARN, err)
	}
	owner, err := c.member(role.Account)
	if err != nil || owner != nil && owner.Status != organization.Active {
		return nil, err
	}
	return role, nil
}

// RoleResource is a role as permission is asked for it; role is nil where none is there. The condition keys of the request are added to, with iam:ResourceTag.
func RoleResource(roleARN string, role *identity.Role, conditions policy.Values) *Resource {
	r := &Resource{ARN: roleARN, Type: roleType, Conditions: conditions}
	if a, err := arn.Parse(roleARN); err == nil {
		r.Account = a.Account
	}
	if role != nil {
		r.Tags = role.Tags
		for k, v := range role.Tags {
			conditions["iam:resourcetag/"+strings.ToLower(k)] = []string{v}
		}
	}
	return r
}

// PassRole asks whether the caller may pass a role to a service, e.g. events.amazonaws.com, which will act by it: iam:PassRole on the role. Then the role has to be
// there, else it is ErrRole; whether it lets the service in, AsRole tells, which knows for which resource. Roles of other accounts cannot be passed.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
func (c *Call) PassRole(roleARN, service string) error {
	role, err := c.Role(roleARN)
	if err != nil {
		return err
	}
	r := RoleResource(roleARN, role, policy.Values{"iam:passedtoservice": {service}})
	if err := c.AuthorizeAction(passRole, r); err != nil {
		return err
	}
	if r.Account != c.Scope.Account {
		return c.Reject(&Denied{Action: passRole, Message: "Cross-account pass role is not allowed."})
	}
	if role == nil {
		return fmt.Errorf("%w: %s", ErrRole, roleARN)
	}
	return nil
}

// AsRole is the call as the service makes it by a role that it was passed, for a resource of its own: the role's trust policy has to let the service's principal in,
// with the resource's ARN as aws:SourceArn and its account as aws:SourceAccount, else it is ErrRole. What the calls made with it do belongs to the transaction and the
// audit records of c.
func (c *Call) AsRole(roleARN, sourceARN string) (*Call, error) {
	role, err := c.Role(roleARN)
	if err != nil {
		return nil, err
	}
	if role == nil || c.roles == nil {
		return nil, fmt.Errorf("%w: %s", ErrRole, roleARN)
	}
	sum := sha256.Sum256([]byte(sourceARN))
	s := &identity.Session{
		Kind: identity.RoleSession, Account: role.Account, Name: role.Name, ID: role.ID, SessionName: hex.EncodeToString(sum[:16]),
		Issued: c.Time, Expires: c.Time.Add(roleSession),
	}
	r := RoleResource(roleARN, role, policy.Values{"sts:rolesessionname": {s.SessionName}})
	r.PolicyRequired = true
	if r.Policy, err = c.roles.Trust(role); err != nil {
		return nil, err
	}
	service := c.AsServiceFor(sourceARN)
	if strings.HasSuffix(role.LinkedService, "."+c.host()) { // the role of a part of the service, as apidestinations.events.amazonaws.com is
		service.Caller = identity.Service(role.LinkedService)
	}
	if !service.Would(service.Caller, assumeRole, r) {
		return nil, fmt.Errorf("%w: %s", ErrRole, roleARN)
	}
	p, err := c.roles.Acting(c.Tx(), s)
	if errors.Is(err, identity.ErrGone) {
		return nil, fmt.Errorf("%w: %s", ErrRole, roleARN)
	}
	if err != nil {
		return nil, fmt.Errorf("opening a session of role %s: %w", roleARN, err)
	}
	return c.As(p), nil
}

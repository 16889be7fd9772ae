package call

import (
	"strings"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/organization"
	"github.com/holdfast-cloud/holdfast/wire"
)

// Resource is what a handler asks permission for.
type Resource struct {
	ARN     string // "*" for actions that have no resource
	Account string // the owner; empty for the caller's own account
	Type    string // in audit records, e.g. "AWS::KMS::Key"; empty keeps the resource out of them

	// Policy is the resource's own policy, nil if it has none. PolicyRequired is set for resources whose policy must
	// agree even to what the owner's account allows, such as KMS keys.
	Policy         *policy.Policy
	PolicyRequired bool

	// Grant is a KMS grant that covers this use, or nil.
	Grant *policy.Grant

	// Tags of the resource, and of the request where it sets some: aws:ResourceTag, aws:RequestTag and aws:TagKeys. RequestTagKeys is
	// for requests that only name keys.
	Tags, RequestTags map[string]string
	RequestTagKeys    []string

	// ServiceOwned is set for what belongs to a service although it lies in a customer's account, such as AWS managed keys: no resource control policy binds
	// its use.
	ServiceOwned bool

	// Conditions are the service's own condition keys; nil if it has none.
	Conditions policy.Context
}

// Denied is the refusal of Authorize. The door makes the protocol's error of it.
type Denied struct {
	Action  string
	Message string // AWS's sentence

	// Explicit is set where a statement denied, of a policy of the kind By; a Refuse tells of none.
	Explicit bool
	By       policy.Kind

	// Encoded is the message of sts:DecodeAuthorizationMessage, for callers who may know; set by the door.
	Encoded string

	failure *failure // nil where policies are not told of
}

func (d *Denied) Error() string { return "access denied: " + d.Message }

// Authorize asks for permission to do the operation's own action on r. A handler asks once for each resource it touches, before
// it acts. The error is a *Denied, which the handler returns as it is.
func (c *Call) Authorize(r *Resource) error { return c.AuthorizeAction(c.Op.Action, r) }

// AuthorizeAction is Authorize for operations that need several actions, such as kms:ReEncryptFrom and kms:ReEncryptTo.
func (c *Call) AuthorizeAction(action string, r *Resource) error {
	if r.Type != "" {
		c.Touch(audit.Resource{Account: c.owner(r), Type: r.Type, ARN: r.ARN})
	}
	c.asked = true
	d, err := c.decideTraced(action, r)
	if err != nil {
		c.denied = err
		return err
	}
	if d.Allowed {
		c.decided(d, "")
		if err := c.taggable(action, r); err != nil {
			c.denied = err
			return err
		}
		return nil
	}
	denied := &Denied{Action: action, Message: d.Message(), Explicit: d.Outcome == policy.ExplicitDeny, By: d.Kind}
	if c.context.ambiguous {
		denied.Message += ": there are tags whose keys differ in case alone, and whose values differ"
	}
	denied.failure = c.decided(d, denied.Message)
	c.denied = denied
	return denied
}

// TagPolicyViolation is the code of the error that Authorize returns, a *wire.Error, for tags that the tag policies of the resource's owner do not
// let anybody set. A service that has an error of its own for it translates.
const TagPolicyViolation = "TagPolicyViolation"

// taggable returns an error if the request sets tags on r that its owner's tag policies forbid. They bind administrators, too: they are about
// tags and not about who may set them.
func (c *Call) taggable(action string, r *Resource) error {
	if len(r.RequestTags) == 0 {
		return nil
	}
	prefix, _, _ := strings.Cut(action, ":")
	key, found := c.context.owner.TagViolation(prefix, r.ARN, r.RequestTags)
	if !found {
		return nil
	}
	return &wire.Error{Code: TagPolicyViolation, Status: 400, Message: "The tag policy does not allow the specified value for the following tag key: '" + key + "'."}
}

// Refuse is a refusal that names no policy, in the words given after "is not authorized to perform: ACTION". A handler uses it where
// telling more would tell whether something exists.
func (c *Call) Refuse(action, words string) error {
	c.asked = true
	who := c.Caller.ARN
	if who == "" {
		who = c.Caller.ServiceName
	}
	d := &Denied{Action: action, Message: "User: " + who + " is not authorized to perform: " + action + " " + words}
	c.tracer().Refused(action, d.Message)
	c.denied = d
	return d
}

// Reject is a refusal with an error of the service's own, e.g. of credentials that it does not take.
func (c *Call) Reject(err error) error {
	c.asked, c.denied = true, err
	return err
}

// Open says that the operation needs no permission, and why; it stands for asking.
func (c *Call) Open(why string) {
	c.asked = true
	c.tracer().Opened(why)
}

func (c *Call) owner(r *Resource) string {
	if r.Account != "" {
		return r.Account
	}
	return c.Scope.Account
}

// Would reports whether somebody would be allowed to do something, e.g. under a policy that is about to be put. It is not recorded, and is
// no asking.
func (c *Call) Would(p *identity.Principal, action string, r *Resource) bool {
	d, err := c.decide(p, action, r)
	return err == nil && d.Allowed
}

// decide asks the engine. Its error is one of loading what an organization says.
func (c *Call) decide(p *identity.Principal, action string, r *Resource) (policy.Decision, error) {
	c.context = callContext{c: c, p: p, r: r}
	// The request is a part of the call so that asking does not allocate. A decision is read before the next is made.
	c.request = policy.Request{
		Principal:              p.Principal,
		Action:                 action,
		Resource:               r.ARN,
		ResourceAccount:        c.owner(r),
		Context:                &c.context,
		Identity:               p.Identity,
		Groups:                 p.Groups,
		Boundary:               p.Boundary,
		Session:                p.Session,
		Endpoint:               c.Source.Endpoint,
		ResourcePolicy:         r.Policy,
		ResourcePolicyRequired: r.PolicyRequired,
		Grant:                  r.Grant,
	}
	var err error
	if c.context.caller, err = c.member(p.Account); err != nil {
		return policy.Decision{}, err
	}
	if c.context.owner = c.context.caller; c.request.ResourceAccount != p.Account {
		if c.context.owner, err = c.member(c.request.ResourceAccount); err != nil {
			return policy.Decision{}, err
		}
	}
	if p.LinkedService == "" { // what service-linked roles do, no organization's policy keeps them from
		if m := c.context.caller; m != nil {
			c.request.SCP = m.SCP
		}
		if !r.ServiceOwned {
			c.request.RCP = c.context.owner.RCPFor(action)
		}
	}
	d := policy.Decide(&c.request)
	if c.context.failed != nil {
		return policy.Decision{}, c.context.failed
	}
	if d.Allowed && c.context.ambiguous {
		// What the policies say depends on which of the tags is meant. Whoever sends such a request must not have the choice.
		d.Allowed, d.Outcome, d.Policy, d.Grant = false, policy.ImplicitDeny, nil, nil
	}
	return d, nil
}

// member is the membership of an account, or nil if it is in no organization.
func (c *Call) member(account string) (*organization.Member, error) {
	if c.members == nil || account == "" {
		return nil, nil
	}
	return c.members.Member(c.Context, account)
}

// ViaService is the value of kms:ViaService and its like: the last service that passed the call on, with the region
// called, e.g. secretsmanager.eu-central-1.amazonaws.com.
func (c *Call) ViaService() (string, bool) {
	if len(c.Via) == 0 {
		return "", false
	}
	host := c.Via[len(c.Via)-1]
	name, domain, ok := strings.Cut(host, ".")
	if !ok {
		return "", false
	}
	return name + "." + c.Scope.Region + "." + domain, true
}

package call

import (
	"strconv"
	"strings"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
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

	// Conditions are the service's own condition keys; nil if it has none.
	Conditions policy.Context
}

// Denied is the refusal of Authorize. The door makes the protocol's error of it.
type Denied struct {
	Action  string
	Message string // AWS's sentence
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
	d := c.decide(c.Caller, action, r)
	c.asked = true
	if d.Allowed {
		return nil
	}
	denied := &Denied{Action: action, Message: d.Message()}
	if c.context.ambiguous {
		denied.Message += ": there are tags whose keys differ in case alone, and whose values differ"
	}
	c.denied = denied
	return denied
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
	c.denied = d
	return d
}

// Open says that the operation needs no permission, and why; it stands for asking.
func (c *Call) Open(_ string) { c.asked = true }

func (c *Call) owner(r *Resource) string {
	if r.Account != "" {
		return r.Account
	}
	return c.Scope.Account
}

// Would reports whether somebody would be allowed to do something, e.g. under a policy that is about to be put. It is not recorded, and is
// no asking.
func (c *Call) Would(p *identity.Principal, action string, r *Resource) bool {
	return c.decide(p, action, r).Allowed
}

func (c *Call) decide(p *identity.Principal, action string, r *Resource) policy.Decision {
	c.context = callContext{c: c, p: p, r: r}
	// The request is a part of the call so that asking does not allocate. A decision is read before the next is made.
	c.request = policy.Request{
		Principal:              p.Principal,
		Action:                 action,
		Resource:               r.ARN,
		ResourceAccount:        c.owner(r),
		Context:                &c.context,
		Identity:               p.Identity,
		Boundary:               p.Boundary,
		Session:                p.Session,
		ResourcePolicy:         r.Policy,
		ResourcePolicyRequired: r.PolicyRequired,
		Grant:                  r.Grant,
	}
	d := policy.Decide(&c.request)
	if d.Allowed && c.context.ambiguous {
		// What the policies say depends on which of the tags is meant. Whoever sends such a request must not have the choice.
		d.Allowed, d.Outcome, d.Policy, d.Grant = false, policy.ImplicitDeny, nil, nil
	}
	return d
}

// callContext gives the global condition keys that follow from the call, and the service's own:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
type callContext struct {
	c *Call
	p *identity.Principal
	r *Resource

	// ambiguous is set when a policy asks for a tag of which there are several that differ in case, with different values.
	ambiguous bool
}

// Lookup implements policy.Context.
func (x *callContext) Lookup(key string) ([]string, bool) {
	if !strings.HasPrefix(key, "aws:") {
		if x.r.Conditions == nil {
			return nil, false
		}
		return x.r.Conditions.Lookup(key)
	}
	c, r := x.c, x.r
	switch key {
	case "aws:currenttime":
		return one(c.Time.UTC().Format("2006-01-02T15:04:05Z"))
	case "aws:epochtime":
		return one(strconv.FormatInt(c.Time.Unix(), 10))
	case "aws:sourceip":
		if !c.Source.IP.IsValid() || len(c.Via) > 0 {
			return nil, false // absent when a service calls for the principal
		}
		return one(c.Source.IP.String())
	case "aws:securetransport":
		// A call from inside goes over no network.
		return one(strconv.FormatBool(c.Source.TLS != nil || c.Source.Service != ""))
	case "aws:useragent":
		if c.Source.UserAgent == "" {
			return nil, false
		}
		return one(c.Source.UserAgent)
	case "aws:requestedregion":
		return one(c.Scope.Region)
	case "aws:viaawsservice":
		return one(strconv.FormatBool(len(c.Via) > 0))
	case "aws:calledvia":
		return c.Via, len(c.Via) > 0
	case "aws:calledviafirst":
		if len(c.Via) == 0 {
			return nil, false
		}
		return one(c.Via[0])
	case "aws:calledvialast":
		if len(c.Via) == 0 {
			return nil, false
		}
		return one(c.Via[len(c.Via)-1])
	case "aws:tagkeys":
		var keys []string
		for k := range r.RequestTags {
			keys = append(keys, k)
		}
		keys = append(keys, r.RequestTagKeys...)
		return keys, len(keys) > 0
	}
	if tag, ok := strings.CutPrefix(key, "aws:principaltag/"); ok {
		return x.tag(x.p.Tags, tag)
	}
	if tag, ok := strings.CutPrefix(key, "aws:resourcetag/"); ok {
		return x.tag(r.Tags, tag)
	}
	if tag, ok := strings.CutPrefix(key, "aws:requesttag/"); ok {
		return x.tag(r.RequestTags, tag)
	}
	return nil, false
}

func one(v string) ([]string, bool) { return []string{v}, true }

// tag finds a tag whose key, in lower case, is given: condition keys do not distinguish case, while the tags of most services do.
func (x *callContext) tag(tags map[string]string, lower string) (value []string, ok bool) {
	for k, v := range tags {
		if !strings.EqualFold(k, lower) {
			continue
		}
		if ok && value[0] != v {
			x.ambiguous = true
		}
		value, ok = []string{v}, true
	}
	return value, ok
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

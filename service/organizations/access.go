package organizations

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/organizations"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/organization"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

// org is the organization that a call is about: that of the caller's account.
type org struct {
	s *Service
	c *call.Call
	*organization.Organization
	caller *organization.Account
}

// access says who may use an operation besides the management account.
type access uint8

const (
	// management: nobody else.
	management access = iota
	// delegable: also whom the organization's resource policy lets.
	delegable
	// readable: also those, and all delegated administrators.
	readable
	// member: every account of the organization.
	member
)

// enter finds the organization of the caller's account. An account without one is told so if its principal may ask at all.
func (s *Service) enter(c *call.Call) (*org, error) {
	a, err := organization.Of(c.Tx(), c.Scope.Account)
	if missing(err) {
		if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
			return nil, err
		}
		return nil, &organizations.AWSOrganizationsNotInUseException{Message: "Your account is not a member of an organization."}
	}
	if err != nil {
		return nil, err
	}
	o, err := a.Organization(c.Tx())
	if err != nil {
		return nil, fmt.Errorf("reading organization %s: %w", a.OrgID, err)
	}
	return &org{s, c, o, a}, nil
}

// open is enter and ask for operations that have no resource.
func (s *Service) open(c *call.Call, who access, conditions policy.Context) (*org, error) {
	o, err := s.enter(c)
	if err != nil {
		return nil, err
	}
	return o, o.ask(who, &call.Resource{ARN: "*", Conditions: conditions})
}

// ask asks for permission to do the call's operation on resources of the organization.
//
// The management account's principals need their own policies' leave. Those of a member need it too, and besides: a delegated administrator may read what the
// organization's resource policy does not deny; for all else that policy has to allow it, as between any two accounts.
func (o *org) ask(who access, resources ...*call.Resource) error {
	var delegated bool
	var shared, denies *policy.Policy
	if o.caller.ID != o.Management && who != member {
		var err error
		if delegated, err = o.isDelegated(o.caller.ID); err != nil {
			return err
		}
		if shared, denies, err = o.resourcePolicy(); err != nil {
			return err
		}
	}
	for _, r := range resources {
		own := *r
		own.Account = o.caller.ID
		own.Policy = denies
		if err := o.c.Authorize(&own); err != nil {
			return untaggable(err)
		}
		switch {
		case o.caller.ID == o.Management, who == member, who == readable && delegated:
			continue
		case who != management && shared != nil:
			theirs := *r
			theirs.Account, theirs.Policy = o.Management, shared
			if o.c.Would(o.c.Caller, o.c.Op.Action, &theirs) {
				continue
			}
		}
		return notAllowed()
	}
	return nil
}

// untaggable is what Organizations says of tags that its own tag policies forbid.
func untaggable(err error) error {
	if e, ok := errors.AsType[*wire.Error](err); ok && e.Code == call.TagPolicyViolation {
		return constraint(organizations.ConstraintViolationExceptionReasonTagPolicyViolation, e.Message)
	}
	return err
}

// isDelegated reports whether an account is a delegated administrator for some service.
func (o *org) isDelegated(account string) (is bool, err error) {
	for _, err := range organization.Delegations.In(o.Management, "").Scan(o.c.Tx(), store.Query{Prefix: store.Key{account}, Limit: 1}) {
		if err != nil {
			return false, err
		}
		is = true
	}
	return is, nil
}

// resourcePolicy compiles the organization's own policy: all of it, and those of its statements that deny. Either is nil if there is none.
func (o *org) resourcePolicy() (all, denies *policy.Policy, err error) {
	r, err := o.resourcePolicyRecord()
	if missing(err) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if all, err = policy.Parse([]byte(r.Content), policy.Resource); err != nil {
		return nil, nil, fmt.Errorf("compiling resource policy %s: %w", r.ID, err)
	}
	doc := struct {
		Version   string
		Statement []json.RawMessage
	}{Version: all.Version()}
	for st := range all.Statements() {
		if st.Effect == "Deny" {
			doc.Statement = append(doc.Statement, json.RawMessage(r.Content[st.Start:st.End]))
		}
	}
	if len(doc.Statement) == 0 {
		return all, nil, nil
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return nil, nil, fmt.Errorf("taking resource policy %s apart: %w", r.ID, err)
	}
	denies, err = policy.Parse(text, policy.Resource)
	return all, denies, err
}

// The resources that handlers ask about. An ID that nobody has is asked about like any other, so that who may not ask does not learn what exists.

func (o *org) ofRoot() *call.Resource {
	return &call.Resource{ARN: o.RootARN(o.s.cfg.Partition), Tags: o.RootTags}
}

// ofTarget is a root, a unit or an account.
func (o *org) ofTarget(id string) (*call.Resource, error) {
	p := o.s.cfg.Partition
	switch {
	case strings.HasPrefix(id, "r-"):
		r := o.ofRoot()
		if id != o.Root {
			r = &call.Resource{ARN: strings.TrimSuffix(r.ARN, o.Root) + id}
		}
		return r, nil
	case strings.HasPrefix(id, "ou-"):
		r := &call.Resource{ARN: o.UnitARN(p, id)}
		u, err := o.unit(id)
		if err == nil {
			r.Tags = u.Tags
		}
		return r, store.IgnoreNotFound(err)
	}
	r := &call.Resource{ARN: o.AccountARN(p, id)}
	a, err := o.account(id)
	if err == nil {
		r.Tags = a.Tags
	}
	return r, store.IgnoreNotFound(err)
}

// ofPolicy is a policy, with the condition key of its type.
func (o *org) ofPolicy(id string) (*call.Resource, error) {
	p, err := organization.Find(o.c.Tx(), o.Organization, id)
	if missing(err) {
		// Its type, which is a part of its ARN, is nobody's business either.
		return &call.Resource{ARN: o.PolicyARN(o.s.cfg.Partition, &organization.Policy{ID: id, Type: organization.ServiceControl})}, nil
	}
	if err != nil {
		return nil, err
	}
	return &call.Resource{ARN: o.PolicyARN(o.s.cfg.Partition, p), Tags: p.Tags, Conditions: policyType(p.Type)}, nil
}

// policyType is the condition key organizations:PolicyType.
func policyType(t string) policy.Context {
	return policy.Values{"organizations:policytype": {t}}
}

// servicePrincipal is the condition key organizations:ServicePrincipal.
func servicePrincipal(name string) policy.Context {
	return policy.Values{"organizations:serviceprincipal": {name}}
}

// missing reports whether err says that a record is not there; present is any other error.
func missing(err error) bool { return errors.Is(err, store.ErrNotFound) }

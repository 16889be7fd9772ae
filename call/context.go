package call

import (
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/organization"
)

// callContext gives the global condition keys that follow from the call, and the service's own:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
type callContext struct {
	c             *Call
	p             *identity.Principal
	r             *Resource
	caller, owner *organization.Member // of the principal's and of the resource's account; nil in no organization

	// ambiguous is set when a policy asks for a tag of which there are several that differ in case, with different values.
	ambiguous bool
	failed    error // of loading an organization
}

func (x *callContext) lookup(key string) ([]string, bool) {
	name, global := strings.CutPrefix(key, "aws:")
	if !global {
		return x.service(key)
	}
	if name, tag, ok := strings.Cut(name, "/"); ok {
		switch name {
		case "principaltag":
			return x.tag(x.p.Tags, tag)
		case "resourcetag":
			return x.tag(x.r.Tags, tag)
		case "requesttag":
			return x.tag(x.r.RequestTags, tag)
		}
		return nil, false
	}
	switch name {
	case "currenttime":
		return one(x.c.Time.UTC().Format("2006-01-02T15:04:05Z"))
	case "epochtime":
		return one(strconv.FormatInt(x.c.Time.Unix(), 10))
	case "requestedregion":
		return one(x.region())
	case "tagkeys":
		return x.tagKeys()
	}
	if v, ok := x.ofPrincipal(name); ok {
		return v, true
	}
	if v, ok := x.ofSource(name); ok {
		return v, true
	}
	return x.ofResource(name)
}

// service gives the keys of services: of the one that is called, and those that an identity provider gave to the session.
func (x *callContext) service(key string) ([]string, bool) {
	if x.r.Conditions != nil {
		if v, ok := x.r.Conditions.Lookup(key); ok {
			return v, true
		}
	}
	// Providers have names that whoever registers one may choose: what they say must not fill a key of the service that is called, which has left it empty.
	if t := x.p.Temporary; t != nil && !x.ofCalled(key) {
		if v, ok := t.Claims[key]; ok {
			return v, true
		}
		if v, ok := t.Context[key]; ok {
			return v, true
		}
	}
	return nil, false
}

// ofCalled reports whether a key is one of the service whose permission is asked.
func (x *callContext) ofCalled(key string) bool {
	prefix, _, ok := strings.Cut(x.c.request.Action, ":")
	return ok && len(key) > len(prefix) && key[len(prefix)] == ':' && strings.EqualFold(key[:len(prefix)], prefix)
}

// region is the region called. That of a global service is the partition's first.
func (x *callContext) region() string {
	if x.c.Op == nil || !x.c.Op.Service.Global {
		return x.c.Scope.Region
	}
	return GlobalRegion(x.c.Scope.Partition)
}

// GlobalRegion is the region of a partition that global services are called in, and record their events in.
func GlobalRegion(partition string) string {
	switch partition {
	case "aws-cn":
		return "cn-north-1"
	case "aws-us-gov":
		return "us-gov-west-1"
	}
	return "us-east-1"
}

// ofPrincipal gives the properties of the principal and of its session. Those that follow from policy.Principal, the engine knows.
func (x *callContext) ofPrincipal(name string) ([]string, bool) {
	switch name {
	case "principalorgid":
		return orgID(x.caller)
	case "principalorgpaths":
		return orgPaths(x.caller)
	case "principalorgmasteraccountid":
		if x.caller != nil {
			return some(x.caller.ManagementAccount)
		}
		return nil, false
	case "principalservicenameslist":
		return some(x.p.ServiceName)
	}
	t := x.p.Temporary
	if t == nil {
		return nil, false // long-term credentials have none of the following
	}
	switch name {
	case "tokenissuetime":
		return one(t.Issued.UTC().Format(time.RFC3339))
	case "multifactorauthpresent":
		return one(strconv.FormatBool(!t.MFA.IsZero()))
	case "multifactorauthage":
		if t.MFA.IsZero() {
			return nil, false
		}
		return one(strconv.FormatInt(int64(x.c.Time.Sub(t.MFA)/time.Second), 10))
	case "sourceidentity":
		return some(t.SourceIdentity)
	case "assumedroot":
		if t.Kind == identity.RootSession {
			return one("true")
		}
	}
	return nil, false
}

// ofSource gives the properties of the network and of the services that the call came through.
func (x *callContext) ofSource(name string) ([]string, bool) {
	s, via := &x.c.Source, x.c.Via
	switch name {
	case "sourceip", "vpcsourceip":
		// Absent when a service calls for the principal. Addresses behind a VPC endpoint are private ones, and have a key of their own.
		if !s.IP.IsValid() || len(via) > 0 || (s.VPCEndpoint != "") != (name == "vpcsourceip") {
			return nil, false
		}
		return one(s.IP.String())
	case "sourcevpce":
		return some(s.VPCEndpoint)
	case "sourcevpc":
		return some(s.VPC)
	case "securetransport":
		// A call from inside goes over no network.
		return one(strconv.FormatBool(s.TLS != nil || s.Service != ""))
	case "useragent":
		return some(s.UserAgent)
	case "referer":
		return some(s.Referer)
	case "viaawsservice":
		return one(strconv.FormatBool(len(via) > 0))
	case "calledvia":
		return via, len(via) > 0
	case "calledviafirst":
		if len(via) == 0 {
			return nil, false
		}
		return one(via[0])
	case "calledvialast":
		if len(via) == 0 {
			return nil, false
		}
		return one(via[len(via)-1])
	case "sourcearn":
		return some(s.ARN)
	}
	if s.ARN == "" {
		return nil, false
	}
	// For which resource a service calls.
	account := s.Account
	if a, err := arn.Parse(s.ARN); err == nil && a.Account != "" {
		account = a.Account
	}
	if account == "" {
		return nil, false
	}
	if name == "sourceaccount" || name == "sourceowner" && s.Service == ownersService {
		return one(account)
	}
	if name != "sourceorgid" && name != "sourceorgpaths" {
		return nil, false
	}
	m, err := x.c.member(account)
	if err != nil {
		x.failed = err
		return nil, false
	}
	if name == "sourceorgid" {
		return orgID(m)
	}
	return orgPaths(m)
}

// ownersService is CloudWatch, which says for whose alarm it calls in a key that the policies of SNS topics have had ever since: every topic lets in who calls for its owner. Other
// services are let in by name.
const ownersService = "monitoring.amazonaws.com"

func (x *callContext) ofResource(name string) ([]string, bool) {
	switch name {
	case "resourceorgid":
		return orgID(x.owner)
	case "resourceorgpaths":
		return orgPaths(x.owner)
	}
	return nil, false
}

func orgID(m *organization.Member) ([]string, bool) {
	if m == nil {
		return nil, false
	}
	return some(m.OrgID)
}

func orgPaths(m *organization.Member) ([]string, bool) {
	if m == nil {
		return nil, false
	}
	return m.Paths, len(m.Paths) > 0
}

func (x *callContext) tagKeys() ([]string, bool) {
	var keys []string
	for k := range x.r.RequestTags {
		keys = append(keys, k)
	}
	keys = append(keys, x.r.RequestTagKeys...)
	return keys, len(keys) > 0
}

func one(v string) ([]string, bool) { return []string{v}, true }

// some is the value of a key that is absent where it is empty.
func some(v string) ([]string, bool) {
	if v == "" {
		return nil, false
	}
	return one(v)
}

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

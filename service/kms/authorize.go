package kms

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// keyType is the type of KMS keys in audit records.
const keyType = "AWS::KMS::Key"

// use is a use of a key that is to be authorized: what key policies and grants look at. It is the policy.Context of the KMS condition
// keys: https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html
type use struct {
	c       *call.Call
	key     *key
	alias   string             // by which the caller named the key to use it, or ""
	action  string             // the operation's own if empty
	on      string             // how a refusal calls another account's key; onThis if empty
	grantOp kms.GrantOperation // the grant operation that covers the use; empty for what grants do not give

	context map[string]string // the encryption context
	hasEC   bool              // the use takes an encryption context, so grant constraints apply
	values  []condition       // condition keys of this operation alone
	room    [4]condition      // for values, so that a few cost no allocation
	tags    map[string]string // that the request sets
	tagKeys []string          // that the request removes
	tokens  []string          // grant tokens
	passing *grantRecord      // the grant that CreateGrant is to make

	// ambiguous is set when a policy asks for a pair of the encryption context of which there are several that differ in case, with
	// different values.
	ambiguous bool

	resource call.Resource // what authorize asks for, kept here so that it costs no allocation of its own
}

// condition is a condition key, in lower case, and its value; one that has several stands there several times.
type condition struct{ key, value string }

// authorize asks whether the caller may use the key so. All policies of KMS's own are decided here and nowhere else.
func (s *Service) authorize(u *use) error {
	action := u.action
	if action == "" {
		action = u.c.Op.Action
	}
	err := u.c.AuthorizeAction(action, s.resourceOf(u))
	if err != nil && u.key.account != u.c.Scope.Account {
		// Which policy of another account says no is as little the caller's business as whether the key is there.
		return refuse(u.c, action, cmp.Or(u.on, onThis))
	}
	if err != nil {
		return err
	}
	if u.ambiguous {
		// One of the values satisfied the policies, and the caller must not choose which one they see.
		return u.c.Refuse(action, "on resource: "+u.key.arn+" with an encryption context whose keys differ in case alone")
	}
	for _, token := range u.tokens {
		// A grant is in force at once, so a token adds nothing; one that is not ours is refused all the same. Not before the caller was let
		// in: nobody asks about tokens of a key that is not there.
		if _, err := s.readToken(token); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) resourceOf(u *use) *call.Resource {
	u.resource = call.Resource{
		ARN: u.key.arn, Account: u.key.account, Type: keyType,
		Policy: u.key.policy, PolicyRequired: true,
		Grant: s.grantFor(u),
		Tags:  u.key.Tags, RequestTags: u.tags, RequestTagKeys: u.tagKeys,
		ServiceOwned: u.key.Manager == kms.KeyManagerTypeAws,
		Conditions:   u,
	}
	return &u.resource
}

// maxResourceAliases is how many aliases a key may have for kms:ResourceAliases to work:
// https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html
const maxResourceAliases = 50

// Lookup implements policy.Context.
func (u *use) Lookup(name string) ([]string, bool) {
	k := u.key
	switch name {
	case "kms:calleraccount":
		if u.c.Caller.Account == "" { // a service for itself
			return nil, false
		}
		return one(u.c.Caller.Account)
	case "kms:viaservice":
		if via, ok := u.c.ViaService(); ok {
			return one(via)
		}
		return nil, false
	case "kms:encryptioncontextkeys":
		if len(u.context) == 0 {
			return nil, false
		}
		return slices.Collect(maps.Keys(u.context)), true
	case "kms:requestalias":
		if u.alias == "" {
			return nil, false
		}
		return one(u.alias)
	}
	if values := u.valuesOf(name); values != nil {
		return values, true
	}
	if k == nil { // CreateKey has none yet; what it will be stands in values
		return nil, false
	}
	switch name {
	case "kms:keyspec", "kms:customermasterkeyspec":
		return one(string(k.Spec))
	case "kms:keyusage", "kms:customermasterkeyusage":
		return one(string(k.Usage))
	case "kms:keyorigin":
		return one(string(k.Origin))
	case "kms:multiregion":
		return one(strconv.FormatBool(k.multiRegion()))
	case "kms:multiregionkeytype":
		if !k.multiRegion() {
			return nil, false
		}
		return one(string(k.kind()))
	case "kms:resourcealiases":
		if len(k.aliases) == 0 || len(k.aliases) > maxResourceAliases {
			return nil, false
		}
		return k.aliases, true
	}
	if pair, ok := strings.CutPrefix(name, "kms:encryptioncontext:"); ok {
		// Condition keys have no case, while the keys of an encryption context do: several may fit.
		var values []string
		for ck, v := range u.context {
			if strings.EqualFold(ck, pair) && !slices.Contains(values, v) {
				values = append(values, v)
			}
		}
		u.ambiguous = u.ambiguous || len(values) > 1
		return values, len(values) > 0
	}
	return nil, false
}

func one(v string) ([]string, bool) { return []string{v}, true }

// with adds a value of a condition key of the operation's own, in lower case.
func (u *use) with(key, value string) *use {
	if u.values == nil {
		u.values = u.room[:0]
	}
	u.values = append(u.values, condition{key, value})
	return u
}

// valuesOf returns the values of a condition key of the operation's own, or nil.
func (u *use) valuesOf(key string) (values []string) {
	for _, v := range u.values {
		if v.key == key {
			values = append(values, v.value)
		}
	}
	return values
}

func boolean(p *bool) string { return strconv.FormatBool(optional.Value(p)) }

// grantFor finds a grant that covers the use, or nil.
func (s *Service) grantFor(u *use) *policy.Grant {
	if u.grantOp == "" {
		return nil
	}
	var found *grantRecord
	for _, g := range u.key.grants {
		if slices.Contains(g.Operations, u.grantOp) && g.covers(u) && g.isGrantee(u.c) && (u.passing == nil || g.passes(u.passing)) {
			// A grant to just the caller needs no more than itself; one to its account leaves something to IAM policies.
			if found == nil || g.Grantee == u.c.Caller.ARN {
				found = g
			}
		}
	}
	if found == nil {
		return nil
	}
	return &policy.Grant{ID: found.ID, Grantee: found.grantee()}
}

// isGrantee reports whether the grant may be the caller's; the policy engine decides what naming its role or account is worth.
func (g *grantRecord) isGrantee(c *call.Call) bool {
	p := &c.Caller.Principal
	if g.GranteeID != "" && g.GranteeID != p.ID {
		return false // somebody else of the same name
	}
	if g.GranteeService != "" {
		return p.Kind == policy.Service && p.ServiceName == g.GranteeService
	}
	return g.Grantee == p.ARN || p.Issuer != "" && g.Grantee == p.Issuer ||
		p.Account != "" && (g.Grantee == p.Account || g.Grantee == rootARN(c.Scope.Partition, p.Account))
}

func (g *grantRecord) grantee() string {
	if g.GranteeService != "" {
		return g.GranteeService
	}
	return g.Grantee
}

func (g *grantRecord) retirer() string {
	if g.RetiringService != "" {
		return g.RetiringService
	}
	return g.Retiring
}

// covers reports whether the constraints of the grant are met. They bind only uses that have an encryption context; others, such as DescribeKey, they
// leave alone: https://docs.aws.amazon.com/kms/latest/APIReference/API_GrantConstraints.html
func (g *grantRecord) covers(u *use) bool {
	if g.SourceARN != "" && g.SourceARN != u.c.Source.ARN {
		return false
	}
	if !u.hasEC {
		return true
	}
	if g.Equals != nil && !maps.Equal(g.Equals, u.context) {
		return false
	}
	for k, v := range g.Subset {
		if got, ok := u.context[k]; !ok || got != v {
			return false
		}
	}
	return true
}

func rootARN(partition, account string) string {
	return "arn:" + partition + ":iam::" + account + ":root"
}

// ready is the part of the key state table that cryptographic operations have in common:
// https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html
func (k *key) ready() error {
	switch k.state() {
	case kms.KeyStateEnabled, kms.KeyStateUpdating:
		return k.approved()
	case kms.KeyStateDisabled:
		return &kms.DisabledException{Message: k.arn + " is disabled."}
	case kms.KeyStateUnavailable:
		return &kms.KMSInvalidStateException{Message: k.custody.notConnected()}
	}
	return k.invalidState()
}

// in refuses a key whose state is not among those given.
func (k *key) in(states ...kms.KeyState) error {
	if slices.Contains(states, k.state()) {
		return nil
	}
	return k.invalidState()
}

// stateNames is how messages call the states.
var stateNames = map[kms.KeyState]string{
	kms.KeyStateEnabled:                "enabled",
	kms.KeyStateDisabled:               "disabled",
	kms.KeyStatePendingDeletion:        "pending deletion",
	kms.KeyStatePendingImport:          "pending import",
	kms.KeyStatePendingReplicaDeletion: "pending replica deletion",
	kms.KeyStateCreating:               "creating",
	kms.KeyStateUpdating:               "updating",
	kms.KeyStateUnavailable:            "unavailable",
}

func (k *key) invalidState() error {
	return &kms.KMSInvalidStateException{Message: fmt.Sprintf("%s is %s.", k.arn, stateNames[k.state()])}
}

// usable refuses a key whose usage is not the one that the operation needs.
func (k *key) usable(c *call.Call, usage kms.KeyUsageType) error {
	if k.Usage == usage {
		return nil
	}
	return &kms.InvalidKeyUsageException{Message: fmt.Sprintf("%s key usage is %s which is not valid for %s.", k.arn, k.Usage, c.Op.Name)}
}

// dryRun is the error that ends a dry run which would have succeeded.
func dryRun(asked *bool) error {
	if optional.Value(asked) {
		return &kms.DryRunOperationException{Message: "The request would have succeeded, but the DryRun option is set."}
	}
	return nil
}

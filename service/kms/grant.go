package kms

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/keys"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
)

// maxGrants is how many grants a key may have: https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html
const maxGrants = 50_000

// grantable are the operations that grants on a key can permit, by its usage; those of administration go with every key.
var grantable = map[kms.KeyUsageType][]kms.GrantOperation{
	kms.KeyUsageTypeEncryptDecrypt: {
		kms.GrantOperationEncrypt, kms.GrantOperationDecrypt, kms.GrantOperationReEncryptFrom, kms.GrantOperationReEncryptTo,
	},
	kms.KeyUsageTypeSignVerify:        {kms.GrantOperationSign, kms.GrantOperationVerify},
	kms.KeyUsageTypeGenerateVerifyMac: {kms.GrantOperationGenerateMac, kms.GrantOperationVerifyMac},
	kms.KeyUsageTypeKeyAgreement:      {kms.GrantOperationDeriveSharedSecret},
}

var (
	administration = []kms.GrantOperation{kms.GrantOperationCreateGrant, kms.GrantOperationRetireGrant, kms.GrantOperationDescribeKey}
	dataKeys       = []kms.GrantOperation{
		kms.GrantOperationGenerateDataKey, kms.GrantOperationGenerateDataKeyWithoutPlaintext,
		kms.GrantOperationGenerateDataKeyPair, kms.GrantOperationGenerateDataKeyPairWithoutPlaintext,
	}
)

// grants reports whether an operation can be granted on the key.
func (k *key) grantable(op kms.GrantOperation) bool {
	return slices.Contains(administration, op) || slices.Contains(grantable[k.Usage], op) ||
		k.Spec == kms.KeySpecSymmetricDefault && slices.Contains(dataKeys, op) ||
		k.spec().Asymmetric() && op == kms.GrantOperationGetPublicKey
}

// CreateGrant lets a principal use a key without a change of its policy.
func (s *Service) CreateGrant(c *call.Call, in *kms.CreateGrantRequest) (*kms.CreateGrantResponse, error) {
	if err := sensible(in); err != nil {
		return nil, err
	}
	k, err := s.forChange(c, in.KeyId, true)
	if err != nil {
		return nil, err
	}
	g, err := s.planGrant(c, k, in)
	if err != nil {
		return nil, err
	}
	if err := s.authorizeGrant(c, k, g, in.GrantTokens); err != nil {
		return nil, err
	}
	if g.GranteeID, err = s.known(c, g.Grantee); err != nil {
		return nil, err
	}
	if g.RetiringID, err = s.known(c, g.Retiring); err != nil {
		return nil, err
	}
	if err := g.fits(k); err != nil {
		return nil, err
	}
	if k.state() != kms.KeyStateUnavailable {
		if err := k.ready(); err != nil {
			return nil, err
		}
	}
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	if same := k.sameGrant(g); same != nil {
		g = same
	} else {
		if len(k.grants) >= maxGrants {
			return nil, &kms.LimitExceededException{Message: fmt.Sprintf("A key may not have more than %d grants.", maxGrants)}
		}
		if err := grantTable.In(k.account, k.region).Put(c.Tx(), g); err != nil {
			return nil, err
		}
	}
	token, err := s.newToken(k, g)
	if err != nil {
		return nil, err
	}
	return &kms.CreateGrantResponse{GrantId: &g.ID, GrantToken: &token}, nil
}

// sensible refuses a request that makes no sense for any key.
func sensible(in *kms.CreateGrantRequest) error {
	switch {
	case (in.GranteePrincipal == nil) == (in.GranteeServicePrincipal == nil):
		return invalid("You must specify either GranteePrincipal or GranteeServicePrincipal, and not both.")
	case in.RetiringPrincipal != nil && in.RetiringServicePrincipal != nil:
		return invalid("You cannot specify RetiringPrincipal and RetiringServicePrincipal in the same request.")
	case len(in.Operations) == 0:
		return invalid("You must specify at least one operation.")
	}
	return nil
}

// known refuses the name of a principal that does not exist, and returns the unique ID of one that has one. Who may not make the grant learns nothing
// of this.
func (s *Service) known(c *call.Call, name string) (id string, err error) {
	if name == "" {
		return "", nil
	}
	there, id, err := s.cfg.Principals.Find(c.Tx(), name)
	if err == nil && !there {
		err = &kms.InvalidArnException{Message: "ARN does not refer to a valid principal: " + name}
	}
	return id, err
}

// principalName is a principal as grants name it. An account goes by its ARN, also where its digits were given, so that conditions on
// kms:GranteePrincipal see one name.
func (s *Service) principalName(given *string) string {
	if name := optional.Value(given); !identity.IsAccount(name) {
		return name
	}
	return rootARN(s.cfg.Partition, *given)
}

// planGrant makes the grant that was asked for.
func (s *Service) planGrant(c *call.Call, k *key, in *kms.CreateGrantRequest) (*grantRecord, error) {
	var id [32]byte
	if _, err := io.ReadFull(c.Rand, id[:]); err != nil {
		return nil, fmt.Errorf("drawing a grant ID: %w", err)
	}
	ops := slices.Clone(in.Operations)
	slices.Sort(ops)
	g := &grantRecord{
		ID: hex.EncodeToString(id[:]), KeyID: k.ID, Account: k.account, Region: k.region, Name: optional.Value(in.Name),
		Grantee: s.principalName(in.GranteePrincipal), GranteeService: optional.Value(in.GranteeServicePrincipal),
		Retiring: s.principalName(in.RetiringPrincipal), RetiringService: optional.Value(in.RetiringServicePrincipal),
		Operations: slices.Compact(ops), Issuer: c.Scope.Account, Created: c.Time,
	}
	if t := in.Constraints; t != nil {
		g.Equals, g.Subset, g.SourceARN = t.EncryptionContextEquals, t.EncryptionContextSubset, optional.Value(t.SourceArn)
	}
	return g, nil
}

// fits refuses a grant that makes no sense for the key. Who may not make one learns nothing of this.
func (g *grantRecord) fits(k *key) error {
	for _, op := range g.Operations {
		if !k.grantable(op) {
			return invalid("Operation %s is not valid for a grant on a key with key spec %s and key usage %s.", op, k.Spec, k.Usage)
		}
	}
	if (g.Equals != nil || g.Subset != nil) && k.spec() != keys.SymmetricDefault {
		return invalid("Encryption context constraints are only valid for symmetric encryption keys.")
	}
	return nil
}

// authorizeGrant asks whether the caller may make the grant: by key policy, or by a grant of their own that gives at least as much.
func (s *Service) authorizeGrant(c *call.Call, k *key, g *grantRecord, tokens []string) error {
	u := &use{c: c, key: k, tokens: tokens, grantOp: kms.GrantOperationCreateGrant, passing: g}
	for _, op := range g.Operations {
		u.with("kms:grantoperations", string(op))
	}
	u.with("kms:grantisforawsresource", forAWS(c))
	u.constrained(g)
	for name, v := range map[string]string{
		"kms:granteeprincipal": g.Grantee, "kms:granteeserviceprincipal": g.GranteeService, "kms:retiringprincipal": g.Retiring,
		"kms:retiringserviceprincipal": g.RetiringService, "kms:grantconstraintsourcearn": g.SourceARN,
	} {
		if v != "" {
			u.with(name, v)
		}
	}
	return s.authorize(u)
}

// constrained adds what the constraints of a grant say: kms:GrantConstraintType, and the encryption context that may be used by it.
func (u *use) constrained(g *grantRecord) {
	switch {
	case g.Equals != nil:
		u.with("kms:grantconstrainttype", "EncryptionContextEquals")
		u.context = g.Equals
	case g.Subset != nil:
		u.with("kms:grantconstrainttype", "EncryptionContextSubset")
		u.context = g.Subset
	}
}

// passes reports whether a holder of grant g may pass on what is asked for: https://docs.aws.amazon.com/kms/latest/developerguide/grants.html
func (g *grantRecord) passes(asked *grantRecord) bool {
	for _, op := range asked.Operations {
		if !slices.Contains(g.Operations, op) {
			return false
		}
	}
	if g.Equals != nil && !(asked.Equals != nil && maps.Equal(g.Equals, asked.Equals)) {
		return false
	}
	limits := asked.Equals
	if limits == nil {
		limits = asked.Subset
	}
	for k, v := range g.Subset {
		if got, ok := limits[k]; !ok || got != v {
			return false
		}
	}
	return g.SourceARN == "" || g.SourceARN == asked.SourceARN
}

// sameGrant finds a named grant that says the same, so that a repeated request makes no second one.
func (k *key) sameGrant(g *grantRecord) *grantRecord {
	if g.Name == "" {
		return nil
	}
	for _, have := range k.grants {
		same := *g
		same.ID, same.Created = have.ID, have.Created
		if have.says(&same) {
			return have
		}
	}
	return nil
}

func (g *grantRecord) says(o *grantRecord) bool {
	return g.Name == o.Name && g.grantee() == o.grantee() && g.GranteeID == o.GranteeID && g.retirer() == o.retirer() && g.RetiringID == o.RetiringID &&
		g.Issuer == o.Issuer && g.SourceARN == o.SourceARN &&
		slices.Equal(g.Operations, o.Operations) && maps.Equal(g.Equals, o.Equals) && maps.Equal(g.Subset, o.Subset)
}

// A grant token is the name of a grant, sealed so that nobody else can make one. It is not secret, and gives nothing that the grant does not.
type grantToken struct{ Account, Region, KeyID, GrantID string }

var tokenPlace = seal.At("kms grant token")

func (s *Service) newToken(k *key, g *grantRecord) (string, error) {
	b, err := json.Marshal(grantToken{k.account, k.region, k.ID, g.ID})
	if err != nil {
		return "", err
	}
	sealed, err := s.cfg.Seal.Wrap(tokenPlace, b)
	if err != nil {
		return "", fmt.Errorf("making a grant token: %w", err)
	}
	return base64.URLEncoding.EncodeToString(sealed), nil
}

func (s *Service) readToken(token string) (t grantToken, err error) {
	sealed, err := base64.URLEncoding.DecodeString(token)
	if err == nil {
		sealed, err = s.cfg.Seal.Unwrap(tokenPlace, sealed)
	}
	if err == nil {
		err = json.Unmarshal(sealed, &t)
	}
	if err != nil {
		return t, &kms.InvalidGrantTokenException{Message: "Invalid grant token."}
	}
	return t, nil
}

// entry is the grant as the lists show it. Users and roles that are gone are shown by their unique IDs.
func (s *Service) entry(c *call.Call, g *grantRecord) (kms.GrantListEntry, error) {
	grantee, err := s.shown(c, g.grantee(), g.GranteeID)
	if err != nil {
		return kms.GrantListEntry{}, err
	}
	retirer, err := s.shown(c, g.retirer(), g.RetiringID)
	if err != nil {
		return kms.GrantListEntry{}, err
	}
	e := kms.GrantListEntry{
		KeyId: new(s.arn(place{g.Account, g.Region, g.KeyID})), GrantId: &g.ID, Name: &g.Name, CreationDate: &g.Created,
		IssuingAccount: new(rootARN(s.cfg.Partition, g.Issuer)), Operations: g.Operations,
	}
	if grantee != "" { // a service is shown as its service principal
		e.GranteePrincipal = &grantee
	}
	if g.GranteeService != "" {
		e.GranteeServicePrincipal = &g.GranteeService
	}
	if retirer != "" {
		e.RetiringPrincipal = &retirer
	}
	if g.RetiringService != "" {
		e.RetiringServicePrincipal = &g.RetiringService
	}
	if g.Equals != nil || g.Subset != nil || g.SourceARN != "" {
		e.Constraints = &kms.GrantConstraints{EncryptionContextEquals: g.Equals, EncryptionContextSubset: g.Subset}
		if g.SourceARN != "" {
			e.Constraints.SourceArn = &g.SourceARN
		}
	}
	return e, nil
}

// shown is the name of a principal, or its unique ID where the one of that ID is gone.
func (s *Service) shown(c *call.Call, name, id string) (string, error) {
	if id == "" {
		return name, nil
	}
	_, now, err := s.cfg.Principals.Find(c.Tx(), name)
	if err != nil || now == id {
		return name, err
	}
	return id, nil
}

// ListGrants lists the grants of a key.
func (s *Service) ListGrants(c *call.Call, in *kms.ListGrantsRequest) (*kms.ListGrantsResponse, error) {
	k, err := s.forChange(c, in.KeyId, true)
	if err != nil {
		return nil, err
	}
	u := &use{c: c, key: k}
	u.with("kms:grantisforawsresource", forAWS(c))
	if err := s.authorize(u); err != nil {
		return nil, err
	}
	keep := func(g *grantRecord) bool {
		return (in.GrantId == nil || g.ID == *in.GrantId) &&
			(in.GranteePrincipal == nil || g.Grantee == s.principalName(in.GranteePrincipal)) &&
			(in.GranteeServicePrincipal == nil || g.GranteeService == *in.GranteeServicePrincipal)
	}
	filters := fmt.Sprintf("%q %q %q", optional.Value(in.GrantId), optional.Value(in.GranteePrincipal), optional.Value(in.GranteeServicePrincipal))
	q := store.Query{Prefix: store.Key{k.ID}, Limit: limit(in.Limit, 50)}
	found, next, err := grantTable.In(k.account, k.region).Page(c.Tx(), q, optional.Value(in.Marker), filters, keep)
	if err != nil {
		return nil, marker(err)
	}
	out := &kms.ListGrantsResponse{Grants: make([]kms.GrantListEntry, 0, len(found))}
	for _, g := range found {
		e, err := s.entry(c, g)
		if err != nil {
			return nil, err
		}
		out.Grants = append(out.Grants, e)
	}
	out.NextMarker, out.Truncated = truncated(next)
	return out, nil
}

// ListRetirableGrants lists the grants in the region, of whatever account's keys, that a principal of the caller's account can retire.
func (s *Service) ListRetirableGrants(c *call.Call, in *kms.ListRetirableGrantsRequest) (*kms.ListGrantsResponse, error) {
	if (in.RetiringPrincipal == nil) == (in.RetiringServicePrincipal == nil) {
		return nil, invalid("You must specify either RetiringPrincipal or RetiringServicePrincipal, and not both.")
	}
	name, err := retirerAsked(c, in)
	if err != nil {
		return nil, err
	}
	q := store.Query{Index: "retiring", Prefix: store.Key{name}, Limit: limit(in.Limit, 50)}
	found, next, err := grantTable.In("", "").Page(c.Tx(), q, optional.Value(in.Marker), c.Scope.Region, func(g *grantRecord) bool {
		return g.Region == c.Scope.Region
	})
	if err != nil {
		return nil, marker(err)
	}
	out := &kms.ListGrantsResponse{Grants: make([]kms.GrantListEntry, 0, len(found))}
	for _, g := range found {
		e, err := s.entry(c, g)
		if err != nil {
			return nil, err
		}
		out.Grants = append(out.Grants, e)
	}
	out.NextMarker, out.Truncated = truncated(next)
	return out, nil
}

// retirerAsked is who a list of retirable grants is asked about, if the caller may have it. It is not taken from the keys' accounts, so who asks must be of the retirer's:
// the same account, or the service itself. The retirer is the resource that IAM policies name:
// https://docs.aws.amazon.com/kms/latest/APIReference/API_ListRetirableGrants.html
func retirerAsked(c *call.Call, in *kms.ListRetirableGrantsRequest) (string, error) {
	if in.RetiringServicePrincipal != nil {
		name := *in.RetiringServicePrincipal
		if p := &c.Caller.Principal; p.Kind != policy.Service || p.ServiceName != name {
			return "", c.Refuse(c.Op.Action, "because RetiringServicePrincipal is for the service that it names")
		}
		c.Open("a service may know what it can retire")
		return name, nil
	}
	name := *in.RetiringPrincipal
	if err := c.Authorize(&call.Resource{ARN: name, Conditions: &use{c: c}}); err != nil {
		return "", err
	}
	if a, err := arn.Parse(name); err != nil || a.Account != c.Scope.Account {
		return "", &kms.InvalidArnException{Message: "ARN does not refer to a valid principal: " + name}
	}
	return name, nil
}

// forAWS is the value of kms:GrantIsForAWSResource: a service makes the call, for itself or for its caller.
func forAWS(c *call.Call) string {
	return strconv.FormatBool(len(c.Via) > 0 || c.Caller.Kind == policy.Service)
}

// RetireGrant ends a grant for those who were given the right to with it: the retiring principal, the grantee if the grant permits RetireGrant, and the account that
// made it. A key policy has no say: https://docs.aws.amazon.com/kms/latest/developerguide/grant-delete.html
func (s *Service) RetireGrant(c *call.Call, in *kms.RetireGrantRequest) (*kms.RetireGrantResponse, error) {
	var t grantToken
	var err error
	switch byID := in.KeyId != nil && in.GrantId != nil; {
	case in.GrantToken != nil && in.KeyId == nil && in.GrantId == nil:
		if t, err = s.readToken(*in.GrantToken); err != nil {
			return nil, err
		}
		if t.Region != c.Scope.Region {
			return nil, &kms.InvalidGrantTokenException{Message: "Invalid grant token."}
		}
	case in.GrantToken == nil && byID:
		if !strings.HasPrefix(*in.KeyId, "arn:") {
			return nil, &kms.InvalidArnException{Message: "KeyId must be a key ARN."}
		}
		target, err := parse(c, *in.KeyId)
		if err != nil {
			return nil, err
		}
		t = grantToken{target.account, target.region, target.id, *in.GrantId}
	default:
		return nil, invalid("You must specify either GrantToken, or KeyId and GrantId.")
	}
	k, g, err := s.findGrant(c, place{t.Account, t.Region, t.KeyID}, t.GrantID)
	if err != nil {
		return nil, err
	}
	if err := s.authorizeRetire(c, k, g); err != nil {
		return nil, err
	}
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	return &kms.RetireGrantResponse{}, grantTable.In(k.account, k.region).Delete(c.Tx(), g.KeyID, g.ID)
}

func (s *Service) authorizeRetire(c *call.Call, k *key, g *grantRecord) error {
	c.Touch(audit.Resource{Account: k.account, Type: keyType, ARN: k.arn})
	u := &use{c: c, key: k}
	u.constrained(g)
	r := &call.Resource{ARN: k.arn, Account: k.account, PolicyRequired: true, Tags: k.Tags, Conditions: u}
	byRetirer := grantRecord{Grantee: g.Retiring, GranteeService: g.RetiringService, GranteeID: g.RetiringID}
	switch {
	case g.retirer() != "" && byRetirer.isGrantee(c):
		r.Grant = &policy.Grant{ID: g.ID, Grantee: g.retirer()}
	case slices.Contains(g.Operations, kms.GrantOperationRetireGrant) && g.isGrantee(c):
		r.Grant = &policy.Grant{ID: g.ID, Grantee: g.grantee()}
	case g.Issuer == c.Scope.Account:
		// The account that made the grant decides by IAM policies who in it may end it.
		r.Account, r.PolicyRequired = g.Issuer, false
	}
	if err := c.Authorize(r); err != nil {
		if k.account != c.Scope.Account {
			return foreign(c)
		}
		return err
	}
	return nil
}

// RevokeGrant ends a grant for those whom the key policy lets.
func (s *Service) RevokeGrant(c *call.Call, in *kms.RevokeGrantRequest) (*kms.RevokeGrantResponse, error) {
	k, err := s.forChange(c, in.KeyId, true)
	if err != nil {
		return nil, err
	}
	u := &use{c: c, key: k}
	u.with("kms:grantisforawsresource", forAWS(c))
	if err := s.authorize(u); err != nil {
		return nil, err
	}
	_, g, err := s.findGrant(c, k.place, optional.Value(in.GrantId))
	if err != nil {
		return nil, err
	}
	if err := dryRun(in.DryRun); err != nil {
		return nil, err
	}
	return &kms.RevokeGrantResponse{}, grantTable.In(k.account, k.region).Delete(c.Tx(), g.KeyID, g.ID)
}

// findGrant finds a grant with its key.
func (s *Service) findGrant(c *call.Call, p place, id string) (*key, *grantRecord, error) {
	k, err := s.read(c.Tx(), p)
	if missing(err) {
		return nil, nil, s.absent(c, target{place: p})
	}
	if err != nil {
		return nil, nil, err
	}
	for _, g := range k.grants {
		if g.ID == id {
			return k, g, nil
		}
	}
	if c.Op == kms.OpRetireGrant && p.account != c.Scope.Account {
		return nil, nil, foreign(c) // nobody was asked yet
	}
	return nil, nil, &kms.NotFoundException{Message: fmt.Sprintf("Grant ID '%s' not found", id)}
}

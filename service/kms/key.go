package kms

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/keys"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// offers refuses a key spec, which the message calls what, whose keys cannot be made here: SM2 belongs to the China Regions, and FIPS mode leaves some out.
func (s *Service) offers(what string, spec keys.Spec) error {
	switch {
	case !spec.Valid(), spec == keys.SM2 && s.cfg.Partition != "aws-cn":
		return unsupported("%s is not supported in this Region.", what)
	case !spec.Approved():
		return unsupported("%s is not supported in FIPS mode.", what)
	}
	return nil
}

// approved refuses a key that was made outside FIPS mode and that FIPS mode has no use for. It can be looked at, and deleted.
func (k *key) approved() error {
	if !k.spec().Approved() {
		return unsupported("%s key spec is %s which is not supported in FIPS mode.", k.arn, k.Spec)
	}
	if k.foreign { // an imported RSA key
		return unsupported("%s has a public exponent which is not supported in FIPS mode.", k.arn)
	}
	return nil
}

// plan is what CreateKey was asked to make.
type plan struct {
	spec        kms.KeySpec
	usage       kms.KeyUsageType
	origin      kms.OriginType
	multiRegion kms.MultiRegionKeyType // empty for a single-Region key
	store       string                 // ID of the custom key store, or ""
}

func (s *Service) plan(in *kms.CreateKeyRequest) (p plan, err error) {
	p.spec, p.usage, p.origin = in.KeySpec, in.KeyUsage, cmp.Or(in.Origin, kms.OriginTypeAwsKms)
	if optional.Value(in.MultiRegion) {
		p.multiRegion = kms.MultiRegionKeyTypePrimary
	}
	switch {
	case in.CustomerMasterKeySpec != "" && in.KeySpec != "":
		return p, invalid("You cannot specify KeySpec and CustomerMasterKeySpec in the same request. CustomerMasterKeySpec is deprecated.")
	case in.CustomerMasterKeySpec != "":
		p.spec = kms.KeySpec(in.CustomerMasterKeySpec)
	case in.KeySpec == "":
		p.spec = kms.KeySpecSymmetricDefault
	}
	if err := p.outside(in); err != nil {
		return p, err
	}
	spec := keys.Spec(p.spec)
	if err := s.offers("KeySpec "+string(spec), spec); err != nil {
		return p, err
	}
	if p.usage == "" {
		if p.usage = kms.KeyUsageType(spec.DefaultUsage()); p.usage == "" {
			return p, invalid("You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.")
		}
	}
	if !spec.Allows(keys.Usage(p.usage)) {
		return p, invalid("KeyUsage %s is not compatible with KeySpec %s", p.usage, p.spec)
	}
	if p.store != "" && (p.spec != kms.KeySpecSymmetricDefault || p.multiRegion != "") {
		return p, unsupported("A custom key store holds symmetric encryption keys of a single Region only.")
	}
	return p, nil
}

// outside refuses an origin that does not go together with where the key is to be: https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateKey.html
func (p *plan) outside(in *kms.CreateKeyRequest) error {
	p.store = optional.Value(in.CustomKeyStoreId)
	custom := p.origin == kms.OriginTypeAwsCloudhsm || p.origin == kms.OriginTypeExternalKeyStore
	switch {
	case custom && in.CustomKeyStoreId == nil:
		return invalid("CustomKeyStoreId is required for Origin %s.", p.origin)
	case !custom && in.CustomKeyStoreId != nil:
		return invalid("CustomKeyStoreId is not valid for Origin %s.", p.origin)
	case p.origin == kms.OriginTypeExternalKeyStore && in.XksKeyId == nil:
		return invalid("XksKeyId is required for Origin %s.", p.origin)
	case p.origin != kms.OriginTypeExternalKeyStore && in.XksKeyId != nil:
		return invalid("XksKeyId is not valid for Origin %s.", p.origin)
	}
	return nil
}

// CreateKey makes a key.
func (s *Service) CreateKey(c *call.Call, in *kms.CreateKeyRequest) (*kms.CreateKeyResponse, error) {
	p, err := s.plan(in)
	if err != nil {
		return nil, err
	}
	tags, err := tagMap(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	if err := s.creation(c, p, tags, in.BypassPolicyLockoutSafetyCheck); err != nil {
		return nil, err
	}
	document := defaultPolicy(c.Scope.Partition, c.Scope.Account)
	if in.Policy != nil {
		document = *in.Policy
	}
	k, err := s.newKey(c, place{account: c.Scope.Account, region: c.Scope.Region}, p, kms.KeyManagerTypeCustomer, document)
	if err != nil {
		return nil, err
	}
	k.Description, k.Tags = optional.Value(in.Description), tags
	if in.Policy != nil {
		if err := s.checkPolicy(c, k, optional.Value(in.BypassPolicyLockoutSafetyCheck)); err != nil {
			return nil, err
		}
	}
	if p.store != "" {
		if k.custody, err = s.custodian(c, p.store, p.origin); err != nil {
			return nil, err
		}
		if err := k.custody.link.create(c, k, in); err != nil {
			return nil, err
		}
	}
	if err := k.save(c.Tx()); err != nil {
		return nil, err
	}
	c.Touch(audit.Resource{Account: k.account, Type: keyType, ARN: k.arn})
	return &kms.CreateKeyResponse{KeyMetadata: k.metadata()}, nil
}

// creation asks whether the caller may create such a key in the region called.
func (s *Service) creation(c *call.Call, p plan, tags map[string]string, bypass *bool) error {
	u := &use{c: c}
	u.with("kms:keyspec", string(p.spec)).with("kms:customermasterkeyspec", string(p.spec)).
		with("kms:keyusage", string(p.usage)).with("kms:customermasterkeyusage", string(p.usage)).
		with("kms:keyorigin", string(p.origin)).with("kms:multiregion", strconv.FormatBool(p.multiRegion != "")).
		with("kms:bypasspolicylockoutsafetycheck", boolean(bypass))
	if p.multiRegion != "" {
		u.with("kms:multiregionkeytype", string(p.multiRegion))
	}
	r := &call.Resource{ARN: "*", RequestTags: tags, Conditions: u}
	if err := c.Authorize(r); err != nil || len(tags) == 0 {
		return err
	}
	return c.AuthorizeAction(kms.OpTagResource.Action, r)
}

// newKey makes a key with its first material, or without if that is to be imported. It is not saved.
func (s *Service) newKey(c *call.Call, at place, p plan, manager kms.KeyManagerType, document string) (*key, error) {
	at.id = c.UUID()
	if p.multiRegion != "" {
		at.id = "mrk-" + strings.ReplaceAll(at.id, "-", "")
	}
	compiled, err := parsePolicy(document)
	if err != nil {
		return nil, err
	}
	k := &key{
		place: at, arn: s.arn(at), name: at.account + "/" + at.id, policy: compiled,
		keyRecord: &keyRecord{
			ID: at.id, Created: c.Time, Spec: p.spec, Usage: p.usage, State: kms.KeyStateEnabled,
			Origin: p.origin, Manager: manager, Policy: document, Store: p.store,
		},
	}
	if p.multiRegion != "" {
		k.Primary = at.region
	}
	switch {
	case p.origin == kms.OriginTypeExternal:
		k.State = kms.KeyStatePendingImport
		return k, nil
	case p.store != "":
		return k, nil // the store says what it has
	}
	return k, s.addMaterial(c, k, "")
}

// addMaterial makes new material for a key, which becomes the current one.
func (s *Service) addMaterial(c *call.Call, k *key, rotation kms.RotationType) error {
	made, err := s.generator.Generate(c.Context, k.spec(), c.Rand)
	if err != nil {
		return fmt.Errorf("making key material: %w", err)
	}
	m := material{ID: newMaterialID(c.Rand), Created: c.Time, Rotation: rotation}
	if err := s.wrapMaterial(k, &m, made); err != nil {
		return err
	}
	k.Materials = append(slices.Clip(k.Materials), m)
	if k.materials == nil {
		k.materials = make(map[string]*keys.Key)
	}
	k.materials[m.ID] = made
	return nil
}

// wrapMaterial puts a key's material into m, wrapped for its place.
func (s *Service) wrapMaterial(k *key, m *material, made *keys.Key) (err error) {
	bare := made.Material()
	defer clear(bare)
	if m.Wrapped, err = s.cfg.Seal.Wrap(k.sealed(k.keyRecord, m.ID), bare); err != nil {
		return fmt.Errorf("wrapping key material: %w", err)
	}
	return nil
}

// newMaterialID returns 64 hexadecimal digits, as key material IDs are long. They are random: nothing about the material follows from them.
func newMaterialID(random io.Reader) string {
	var b [32]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		rand.Read(b[:])
	}
	return hex.EncodeToString(b[:])
}

// algorithms are what a key can do, by kind.
func (k *key) algorithms() (encryption []kms.EncryptionAlgorithmSpec, signing []kms.SigningAlgorithmSpec, agreement []kms.KeyAgreementAlgorithmSpec, mac []kms.MacAlgorithmSpec) {
	for _, a := range k.spec().Algorithms(k.usage()) {
		if !a.Approved() {
			continue
		}
		switch k.Usage {
		case kms.KeyUsageTypeEncryptDecrypt:
			encryption = append(encryption, kms.EncryptionAlgorithmSpec(a))
		case kms.KeyUsageTypeSignVerify:
			signing = append(signing, kms.SigningAlgorithmSpec(a))
		case kms.KeyUsageTypeKeyAgreement:
			agreement = append(agreement, kms.KeyAgreementAlgorithmSpec(a))
		case kms.KeyUsageTypeGenerateVerifyMac:
			mac = append(mac, kms.MacAlgorithmSpec(a))
		}
	}
	return encryption, signing, agreement, mac
}

// metadata is the key as DescribeKey shows it.
func (k *key) metadata() *kms.KeyMetadata {
	m := &kms.KeyMetadata{
		AWSAccountId: &k.account, KeyId: &k.ID, Arn: &k.arn, CreationDate: &k.Created,
		Enabled: new(k.state() == kms.KeyStateEnabled), Description: &k.Description,
		KeyUsage: k.Usage, KeyState: k.state(), Origin: k.Origin, KeyManager: k.Manager,
		KeySpec: k.Spec, CustomerMasterKeySpec: kms.CustomerMasterKeySpec(k.Spec), MultiRegion: new(k.multiRegion()), MultiRegionConfiguration: k.relatives(),
	}
	switch k.State {
	case kms.KeyStatePendingDeletion:
		m.DeletionDate = &k.Deletion
	case kms.KeyStatePendingReplicaDeletion:
		m.PendingDeletionWindowInDays = new(int32(k.Window))
	}
	m.EncryptionAlgorithms, m.SigningAlgorithms, m.KeyAgreementAlgorithms, m.MacAlgorithms = k.algorithms()
	if n := len(k.Materials); n > 0 && k.Spec == kms.KeySpecSymmetricDefault && k.Store == "" {
		m.CurrentKeyMaterialId = &k.Materials[n-1].ID
	}
	m.ExpirationModel, m.ValidTo = k.expiration()
	if k.custody == nil {
		return m
	}
	m.CustomKeyStoreId = &k.Store
	if k.Origin == kms.OriginTypeExternalKeyStore {
		m.XksKeyConfiguration = &kms.XksKeyConfigurationType{Id: &k.Outside}
	} else {
		m.CloudHsmClusterId = &k.custody.Cluster
	}
	return m
}

// DescribeKey tells what a key is.
func (s *Service) DescribeKey(c *call.Call, in *kms.DescribeKeyRequest) (*kms.DescribeKeyResponse, error) {
	k, alias, err := s.forUse(c, in.KeyId)
	if err != nil {
		return nil, err
	}
	if err := s.authorize(&use{c: c, key: k, alias: alias, grantOp: kms.GrantOperationDescribeKey, tokens: in.GrantTokens}); err != nil {
		return nil, err
	}
	return &kms.DescribeKeyResponse{KeyMetadata: k.metadata()}, nil
}

// ListKeys lists the keys of the caller's account in the region.
func (s *Service) ListKeys(c *call.Call, in *kms.ListKeysRequest) (*kms.ListKeysResponse, error) {
	if err := c.Authorize(&call.Resource{ARN: "*", Conditions: &use{c: c}}); err != nil {
		return nil, err
	}
	q := store.Query{Limit: limit(in.Limit, 100)}
	found, next, err := keyTable.In(c.Scope.Account, c.Scope.Region).Page(c.Tx(), q, optional.Value(in.Marker), "", nil)
	if err != nil {
		return nil, marker(err)
	}
	out := &kms.ListKeysResponse{Keys: make([]kms.KeyListEntry, 0, len(found))}
	for _, r := range found {
		out.Keys = append(out.Keys, kms.KeyListEntry{KeyId: &r.ID, KeyArn: new(s.arn(place{c.Scope.Account, c.Scope.Region, r.ID}))})
	}
	out.NextMarker, out.Truncated = truncated(next)
	return out, nil
}

// change finds a customer managed key for a change, asks for permission, and checks its state.
func (s *Service) change(c *call.Call, keyID *string, ask func(*use) error, states ...kms.KeyState) (*key, error) {
	k, err := s.forChange(c, keyID, false)
	if err != nil {
		return nil, err
	}
	u := &use{c: c, key: k}
	if ask != nil {
		if err := ask(u); err != nil {
			return nil, err
		}
	}
	if err := s.authorize(u); err != nil {
		return nil, err
	}
	return k, k.in(states...)
}

// EnableKey lets a disabled key be used again.
func (s *Service) EnableKey(c *call.Call, in *kms.EnableKeyRequest) (*kms.EnableKeyResponse, error) {
	k, err := s.change(c, in.KeyId, nil, kms.KeyStateEnabled, kms.KeyStateDisabled, kms.KeyStateUnavailable)
	if err != nil {
		return nil, err
	}
	k.State = kms.KeyStateEnabled
	if k.Rotating && !k.replica() {
		if err := s.scheduleRotation(c, k); err != nil {
			return nil, err
		}
	}
	return &kms.EnableKeyResponse{}, k.save(c.Tx())
}

// DisableKey keeps a key from being used.
func (s *Service) DisableKey(c *call.Call, in *kms.DisableKeyRequest) (*kms.DisableKeyResponse, error) {
	k, err := s.change(c, in.KeyId, s.withIdleDays, kms.KeyStateEnabled, kms.KeyStateDisabled, kms.KeyStateUnavailable)
	if err != nil {
		return nil, err
	}
	k.State = kms.KeyStateDisabled
	return &kms.DisableKeyResponse{}, k.save(c.Tx())
}

// UpdateKeyDescription describes a key anew.
func (s *Service) UpdateKeyDescription(c *call.Call, in *kms.UpdateKeyDescriptionRequest) (*kms.UpdateKeyDescriptionResponse, error) {
	k, err := s.change(c, in.KeyId, nil, notPendingDeletion...)
	if err != nil {
		return nil, err
	}
	k.Description = optional.Value(in.Description)
	return &kms.UpdateKeyDescriptionResponse{}, k.save(c.Tx())
}

// notPendingDeletion are the states in which a key may be named, tagged and described.
var notPendingDeletion = []kms.KeyState{
	kms.KeyStateEnabled, kms.KeyStateDisabled, kms.KeyStatePendingImport, kms.KeyStateUnavailable, kms.KeyStateCreating, kms.KeyStateUpdating,
}

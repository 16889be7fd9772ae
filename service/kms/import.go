package kms

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/keys"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/seal"
)

const (
	expiryTimer = "expire"

	importTokenLife = 24 * time.Hour
	maxValidity     = 365 * day // of imported material
)

// importToken is what the import token of GetParametersForImport holds: the private half of the wrapping key, so that nothing has to be kept for imports that never come.
// It is wrapped under the root key for just the key that it was asked for, as the imported material will be itself: who can open the token can open the material.
type importToken struct {
	Algorithm keys.WrappingAlgorithm
	Spec      keys.Spec
	Private   []byte // PKCS #8
	ValidTo   time.Time
}

// importing is where an import token belongs: ("kms import token", account, region, key). One of another key does not open.
func (p place) importing() seal.Place {
	return seal.At("kms import token", p.account, p.region, p.id)
}

// external finds a key whose material is imported, asks for permission, and checks its state.
func (s *Service) external(c *call.Call, keyID *string, conditions []condition, states ...kms.KeyState) (*key, error) {
	k, err := s.forChange(c, keyID, false)
	if err != nil {
		return nil, err
	}
	if err := s.authorize(&use{c: c, key: k, values: conditions}); err != nil {
		return nil, err
	}
	if k.Origin != kms.OriginTypeExternal {
		return nil, k.wrongOrigin()
	}
	return k, k.in(states...)
}

func (k *key) wrongOrigin() error {
	return unsupported("%s origin is %s which is not valid for this operation.", k.arn, k.Origin)
}

// importable are the states in which material may be imported.
var importable = []kms.KeyState{kms.KeyStateEnabled, kms.KeyStateDisabled, kms.KeyStatePendingImport}

// wrappedBy refuses ways of wrapping that do not go together with each other or with the key:
// https://docs.aws.amazon.com/kms/latest/developerguide/importing-keys-get-public-key-and-token.html
func (s *Service) wrappedBy(k *key, alg kms.AlgorithmSpec, with kms.WrappingKeySpec) error {
	hybrid := alg == kms.AlgorithmSpecRsaAesKeyWrapSha1 || alg == kms.AlgorithmSpecRsaAesKeyWrapSha256
	if err := k.approved(); err != nil {
		return err
	}
	if err := s.offers("WrappingKeySpec "+string(with), keys.Spec(with)); err != nil {
		return err
	}
	switch {
	case alg == kms.AlgorithmSpecRsaesPkcs1V15:
		return unsupported("WrappingAlgorithm %s is not supported.", alg)
	case !keys.WrappingAlgorithm(alg).Approved():
		return unsupported("WrappingAlgorithm %s is not supported in FIPS mode.", alg)
	case (alg == kms.AlgorithmSpecSm2pke) != (with == kms.WrappingKeySpecSm2):
		return unsupported("WrappingAlgorithm %s is not compatible with WrappingKeySpec %s.", alg, with)
	case strings.HasPrefix(string(k.Spec), "RSA_") && !hybrid,
		k.Spec == kms.KeySpecEccNistP521 && with == kms.WrappingKeySpecRsa2048 && !hybrid: // longer than what the wrapping key encrypts
		return unsupported("WrappingAlgorithm %s with WrappingKeySpec %s cannot wrap key material of key spec %s.", alg, with, k.Spec)
	}
	return nil
}

// GetParametersForImport makes a key pair to wrap key material with on its way here. The private half is in the import token.
func (s *Service) GetParametersForImport(c *call.Call, in *kms.GetParametersForImportRequest) (*kms.GetParametersForImportResponse, error) {
	k, err := s.external(c, in.KeyId, []condition{
		{"kms:wrappingalgorithm", string(in.WrappingAlgorithm)}, {"kms:wrappingkeyspec", string(in.WrappingKeySpec)},
	}, importable...)
	if err != nil {
		return nil, err
	}
	if err := s.wrappedBy(k, in.WrappingAlgorithm, in.WrappingKeySpec); err != nil {
		return nil, err
	}
	pair, err := s.generator.Generate(c.Context, keys.Spec(in.WrappingKeySpec), c.Rand)
	if err != nil {
		return nil, fmt.Errorf("making a wrapping key: %w", err)
	}
	t := importToken{Algorithm: keys.WrappingAlgorithm(in.WrappingAlgorithm), Spec: pair.Spec(), Private: pair.Material(), ValidTo: c.Time.Add(importTokenLife)}
	defer clear(t.Private)
	bare, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	defer clear(bare)
	sealed, err := s.cfg.Seal.Wrap(k.importing(), bare)
	if err != nil {
		return nil, fmt.Errorf("wrapping an import token: %w", err)
	}
	return &kms.GetParametersForImportResponse{KeyId: &k.arn, ImportToken: sealed, PublicKey: pair.PublicKeyDER(), ParametersValidTo: &t.ValidTo}, nil
}

// unwrapImport opens the import token of a key, and with it what was wrapped with the token's public key. The caller clears it.
func (s *Service) unwrapImport(k *key, now time.Time, sealed, wrapped []byte) ([]byte, error) {
	if err := k.approved(); err != nil {
		return nil, err
	}
	bare, err := s.cfg.Seal.Unwrap(k.importing(), sealed)
	if errors.Is(err, seal.ErrDamaged) {
		return nil, &kms.InvalidImportTokenException{Message: "The import token is not valid for this KMS key."}
	}
	if err != nil {
		return nil, fmt.Errorf("opening an import token: %w", err)
	}
	defer clear(bare)
	var t importToken
	if err := json.Unmarshal(bare, &t); err != nil {
		return nil, errors.New("reading an import token: malformed") // what the parser says would quote it
	}
	defer clear(t.Private)
	if !now.Before(t.ValidTo) {
		return nil, &kms.ExpiredImportTokenException{Message: "The import token has expired."}
	}
	private, err := keys.Parse(t.Spec, t.Private)
	if err != nil {
		return nil, fmt.Errorf("reading an import token: %w", err)
	}
	material, err := private.Unwrap(t.Algorithm, wrapped)
	if errors.Is(err, keys.ErrInvalidCiphertext) {
		return nil, &kms.InvalidCiphertextException{}
	}
	return material, err
}

// validity refuses an expiration that is not one.
func validity(now time.Time, model kms.ExpirationModelType, validTo *time.Time) error {
	switch {
	case model == kms.ExpirationModelTypeKeyMaterialDoesNotExpire && validTo != nil:
		return invalid("A validTo date must not be set if the ExpirationModel is %s", model)
	case model == kms.ExpirationModelTypeKeyMaterialDoesNotExpire:
		return nil
	case validTo == nil:
		return invalid("A validTo date must be set if the ExpirationModel is %s", model)
	case !validTo.After(now):
		return invalid("The validTo date must be in the future")
	case validTo.Sub(now) > maxValidity:
		return invalid("The validTo date must not be more than %d days from now", maxValidity/day)
	}
	return nil
}

// ImportKeyMaterial gives a key material from outside: its first, one that it had before, or, if it encrypts symmetrically, one that the next rotation takes.
func (s *Service) ImportKeyMaterial(c *call.Call, in *kms.ImportKeyMaterialRequest) (*kms.ImportKeyMaterialResponse, error) {
	model := cmp.Or(in.ExpirationModel, kms.ExpirationModelTypeKeyMaterialExpires)
	conditions := []condition{{"kms:expirationmodel", string(model)}}
	if in.ValidTo != nil {
		conditions = append(conditions, condition{"kms:validto", in.ValidTo.UTC().Format(time.RFC3339)})
	}
	k, err := s.external(c, in.KeyId, conditions, importable...)
	if err != nil {
		return nil, err
	}
	if err := validity(c.Time, model, in.ValidTo); err != nil {
		return nil, err
	}
	symmetric := k.Spec == kms.KeySpecSymmetricDefault
	if !symmetric && (in.ImportType != "" || in.KeyMaterialDescription != nil || in.KeyMaterialId != nil) {
		return nil, unsupported("ImportType, KeyMaterialDescription and KeyMaterialId are not valid for key spec %s.", k.Spec)
	}
	bare, err := s.unwrapImport(k, c.Time, in.ImportToken, in.EncryptedKeyMaterial)
	if err != nil {
		return nil, err
	}
	defer clear(bare)
	given, err := keys.Parse(k.spec(), bare)
	if err != nil {
		return nil, incorrectMaterial("The key material is not valid for key spec %s.", k.Spec)
	}
	m, err := k.room(c.Time, k.fingerprint(given), in.ImportType, in.KeyMaterialId)
	if err != nil {
		return nil, err
	}
	if err := s.wrapMaterial(k, m, given); err != nil {
		return nil, err
	}
	m.ValidTo = optional.Value(in.ValidTo)
	if in.KeyMaterialDescription != nil {
		m.Description = *in.KeyMaterialDescription
	}
	// A disabled key stays so: whoever may import may not therefore enable.
	if k.State == kms.KeyStatePendingImport && k.complete() {
		k.State = kms.KeyStateEnabled
	}
	if err := s.scheduleExpiry(c, k); err != nil {
		return nil, err
	}
	out := &kms.ImportKeyMaterialResponse{KeyId: &k.arn}
	if symmetric {
		out.KeyMaterialId = &m.ID
	}
	return out, s.share(c, k)
}

func incorrectMaterial(format string, args ...any) error {
	return &kms.IncorrectKeyMaterialException{Message: fmt.Sprintf(format, args...)}
}

// fingerprint is the ID of imported material, by which the same material is known when it comes again. It is the same in all Regions of a multi-Region key, and tells no more of
// the material than what the key encrypts does: both let somebody who guesses it see that he was right.
func (k *key) fingerprint(m *keys.Key) string {
	bare := m.Material()
	defer clear(bare)
	h := sha256.New()
	for _, part := range []string{"kms key material", k.ID, string(k.Spec)} {
		io.WriteString(h, part)
		h.Write([]byte{0})
	}
	h.Write(bare)
	return hex.EncodeToString(h.Sum(nil))
}

// room is where material with the ID given goes that is imported as how says.
func (k *key) room(now time.Time, id string, how kms.ImportType, named *string) (*material, error) {
	if how == "" {
		how = kms.ImportTypeExistingKeyMaterial
		if len(k.Materials) == 0 {
			how = kms.ImportTypeNewKeyMaterial
		}
	}
	known := k.imported(id)
	switch {
	case how == kms.ImportTypeNewKeyMaterial && named != nil:
		return nil, invalid("KeyMaterialId must not be set if the ImportType is %s", how)
	case how == kms.ImportTypeNewKeyMaterial && k.replica():
		return nil, k.primary() // which gets new material first
	case how == kms.ImportTypeNewKeyMaterial && known != nil:
		return nil, incorrectMaterial("The key material is already associated with the KMS key %s.", k.arn)
	case how == kms.ImportTypeExistingKeyMaterial && known == nil:
		return nil, incorrectMaterial("The key material is not the same key material that was previously imported into the KMS key %s.", k.arn)
	case named != nil && *named != id:
		return nil, incorrectMaterial("The key material does not match the key material ID %s.", *named)
	case known != nil:
		return known, nil
	case len(k.Materials) == 0:
		k.Materials = []material{{ID: id, Created: now}}
		return &k.Materials[0], nil
	case k.Pending != nil:
		return nil, &kms.KMSInvalidStateException{Message: fmt.Sprintf(
			"New key material (id: %s) cannot be imported into KMS key %s, because another key material (id: %s) is pending rotation.", id, k.arn, k.Pending.ID)}
	}
	k.Pending = &material{ID: id, Created: now}
	return k.Pending, nil
}

// imported returns the key's material with the ID, whether it is there or has to be imported again, or nil.
func (k *key) imported(id string) *material {
	if k.Pending != nil && k.Pending.ID == id {
		return k.Pending
	}
	if i := slices.IndexFunc(k.Materials, func(m material) bool { return m.ID == id }); i >= 0 {
		return &k.Materials[i]
	}
	return nil
}

// complete reports whether all material that belongs to the key is there.
func (k *key) complete() bool {
	return len(k.Materials) > 0 && !slices.ContainsFunc(k.Materials, func(m material) bool { return m.Wrapped == nil })
}

// expiration is how the material that belongs to the key expires, and when the first of it does. It is nothing for a key without imported material.
func (k *key) expiration() (model kms.ExpirationModelType, first *time.Time) {
	if k.Origin != kms.OriginTypeExternal {
		return "", nil
	}
	for i := range k.Materials {
		m := &k.Materials[i]
		if m.Wrapped == nil {
			continue
		}
		switch {
		case m.ValidTo.IsZero():
			model = cmp.Or(model, kms.ExpirationModelTypeKeyMaterialDoesNotExpire)
		case first == nil || m.ValidTo.Before(*first):
			model, first = kms.ExpirationModelTypeKeyMaterialExpires, &m.ValidTo
		}
	}
	return model, first
}

// at is the key as it is at a time: when material has expired, it is of no use, whether or not the timer that deletes the material has come.
func (k *key) at(now time.Time) *key {
	if k.Origin != kms.OriginTypeExternal || k.State != kms.KeyStateEnabled && k.State != kms.KeyStateDisabled {
		return k
	}
	if _, first := k.expiration(); first == nil || now.Before(*first) {
		return k
	}
	expired, r := *k, *k.keyRecord
	r.State = kms.KeyStatePendingImport
	expired.keyRecord = &r
	return &expired
}

// next is the material that expires first, that which waits for a rotation included, or nil.
func (k *key) next() (m *material) {
	look := func(x *material) {
		if x != nil && x.Wrapped != nil && !x.ValidTo.IsZero() && (m == nil || x.ValidTo.Before(m.ValidTo)) {
			m = x
		}
	}
	for i := range k.Materials {
		look(&k.Materials[i])
	}
	look(k.Pending)
	return m
}

// scheduleExpiry sets the timer for the material that expires first.
func (s *Service) scheduleExpiry(c *call.Call, k *key) error {
	if m := k.next(); m != nil {
		return c.At(m.ValidTo, s.scope(k.account, k.region), expiryTimer, k.ID, nil)
	}
	return c.Cancel(s.scope(k.account, k.region), expiryTimer, k.ID)
}

// forget deletes material. What waits for a rotation never was the key's, and leaves nothing; the key cannot be used without the other.
func (k *key) forget(m *material) {
	if m == k.Pending && !k.replica() {
		k.Pending = nil
		return
	}
	m.Wrapped, m.ValidTo = nil, time.Time{}
	if m == k.Pending {
		return // the primary says how long it is waited for
	}
	if k.State == kms.KeyStateEnabled || k.State == kms.KeyStateDisabled {
		k.State = kms.KeyStatePendingImport
	}
}

// expireDue is what the expiry timer does, for one piece of material after the other, so that each is on record.
func (s *Service) expireDue(c *call.Call, id string, _ []byte) error {
	k, err := s.read(c.Tx(), place{c.Scope.Account, c.Scope.Region, id})
	if missing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	m := k.next()
	if m == nil || c.Time.Before(m.ValidTo) {
		return s.scheduleExpiry(c, k)
	}
	details := map[string]string{"keyId": k.ID}
	if k.Spec == kms.KeySpecSymmetricDefault {
		details["keyMaterialId"] = m.ID
	}
	k.forget(m)
	if err := s.scheduleExpiry(c, k); err != nil {
		return err
	}
	if err := s.emit(c, k, "KMS Imported Key Material Expiration"); err != nil {
		return err
	}
	if err := serviceEventWith(c, k, "DeleteExpiredKeyMaterial", details); err != nil {
		return err
	}
	return s.share(c, k)
}

// DeleteImportedKeyMaterial deletes imported material at once, the current one unless the caller says which. The key cannot be used until the same is imported again.
func (s *Service) DeleteImportedKeyMaterial(c *call.Call, in *kms.DeleteImportedKeyMaterialRequest) (*kms.DeleteImportedKeyMaterialResponse, error) {
	k, err := s.external(c, in.KeyId, nil, kms.KeyStateEnabled, kms.KeyStateDisabled, kms.KeyStatePendingImport, kms.KeyStatePendingDeletion, kms.KeyStatePendingReplicaDeletion)
	if err != nil {
		return nil, err
	}
	out := &kms.DeleteImportedKeyMaterialResponse{KeyId: &k.arn}
	var m *material
	switch n := len(k.Materials); {
	case in.KeyMaterialId != nil && k.Spec != kms.KeySpecSymmetricDefault:
		return nil, unsupported("KeyMaterialId is not valid for key spec %s.", k.Spec)
	case in.KeyMaterialId != nil:
		if m = k.imported(*in.KeyMaterialId); m == nil {
			return nil, &kms.NotFoundException{Message: fmt.Sprintf("Key material '%s' is not associated with KMS key %s", *in.KeyMaterialId, k.arn)}
		}
	case n == 0:
		return out, nil // nothing was ever imported
	default:
		m = &k.Materials[n-1]
	}
	if k.Spec == kms.KeySpecSymmetricDefault {
		out.KeyMaterialId = new(m.ID)
	}
	k.forget(m)
	if err := s.scheduleExpiry(c, k); err != nil {
		return nil, err
	}
	return out, s.share(c, k)
}

package kms

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/keys"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// A ciphertext names its key as account/key ID, and the material by its ID. The region is not named: it is the one called, so that replicas of a
// multi-Region key will decrypt each other's.
func blobHeader(k *key, materialID string) keys.Header {
	return keys.Header{Key: k.name, Material: materialID}
}

// Encrypt encrypts up to 4,096 bytes under a key.
func (s *Service) Encrypt(c *call.Call, in *kms.EncryptRequest) (*kms.EncryptResponse, error) {
	k, alias, err := s.forUse(c, in.KeyId)
	if err != nil {
		return nil, err
	}
	alg := algorithm(in.EncryptionAlgorithm)
	u := &use{c: c, key: k, alias: alias, grantOp: kms.GrantOperationEncrypt, context: in.EncryptionContext, hasEC: true, tokens: in.GrantTokens}
	u.with("kms:encryptionalgorithm", string(alg))
	if err := s.authorize(u); err != nil {
		return nil, err
	}
	blob, err := s.encrypt(c, k, alg, in.EncryptionContext, in.Plaintext, in.DryRun)
	if err != nil {
		return nil, err
	}
	s.used(c, k, kms.KeyLastUsageTrackingOperationEncrypt)
	return &kms.EncryptResponse{CiphertextBlob: blob, KeyId: &k.arn, EncryptionAlgorithm: alg}, nil
}

// algorithm is the encryption algorithm given, or the default.
func algorithm(given kms.EncryptionAlgorithmSpec) kms.EncryptionAlgorithmSpec {
	if given == "" {
		return kms.EncryptionAlgorithmSpecSymmetricDefault
	}
	return given
}

// encrypt checks that the key can encrypt so, and does, unless it is a dry run.
func (s *Service) encrypt(c *call.Call, k *key, alg kms.EncryptionAlgorithmSpec, context map[string]string, plaintext []byte, dry *bool) ([]byte, error) {
	if err := k.encrypts(c, alg, context); err != nil {
		return nil, err
	}
	if err := dryRun(dry); err != nil {
		return nil, err
	}
	if alg == kms.EncryptionAlgorithmSpecSymmetricDefault {
		return s.encryptUnder(c, k, context, plaintext)
	}
	m, _ := k.current()
	blob, err := m.Encrypt(keys.Algorithm(alg), plaintext)
	if size, ok := errors.AsType[*keys.PlaintextSizeError](err); ok {
		return nil, invalid("Algorithm %s and key spec %s cannot encrypt data larger than %d bytes.", alg, k.Spec, size.Max)
	}
	if errors.Is(err, keys.ErrEmptyPlaintext) {
		return nil, invalid("Algorithm %s and key spec %s cannot encrypt empty data.", alg, k.Spec)
	}
	return blob, err
}

// encrypts refuses a key, an algorithm and a context that do not go together.
func (k *key) encrypts(c *call.Call, alg kms.EncryptionAlgorithmSpec, context map[string]string) error {
	if err := k.ready(); err != nil {
		return err
	}
	if err := k.usable(c, kms.KeyUsageTypeEncryptDecrypt); err != nil {
		return err
	}
	if !k.spec().Supports(k.usage(), keys.Algorithm(alg)) {
		return &kms.InvalidKeyUsageException{Message: fmt.Sprintf("Algorithm %s is incompatible with key spec %s.", alg, k.Spec)}
	}
	if !keys.Algorithm(alg).Approved() {
		return unsupported("Algorithm %s is not supported in FIPS mode.", alg)
	}
	if len(context) > 0 && alg != kms.EncryptionAlgorithmSpecSymmetricDefault {
		return invalid("EncryptionContext is not supported for algorithm %s", alg)
	}
	return nil
}

// Decrypt decrypts what Encrypt and the data key operations made, and what was encrypted outside with a public key.
func (s *Service) Decrypt(c *call.Call, in *kms.DecryptRequest) (*kms.DecryptResponse, error) {
	d := decryption{
		c: c, keyID: in.KeyId, alg: algorithm(in.EncryptionAlgorithm), context: in.EncryptionContext, blob: in.CiphertextBlob,
		tokens: in.GrantTokens, grantOp: kms.GrantOperationDecrypt, dry: in.DryRun, modifiers: in.DryRunModifiers,
	}
	var err error
	if d.recipient, err = s.attested(c, in.Recipient); err != nil {
		return nil, err
	}
	k, materialID, plaintext, err := s.decrypt(&d)
	if err != nil {
		return nil, err
	}
	s.used(c, k, kms.KeyLastUsageTrackingOperationDecrypt)
	out := &kms.DecryptResponse{KeyId: &k.arn, EncryptionAlgorithm: d.alg, KeyMaterialId: k.materialID(materialID)}
	out.Plaintext, out.CiphertextForRecipient, err = d.recipient.seal(c, plaintext)
	return out, err
}

// decryption is one ciphertext that is to be decrypted.
type decryption struct {
	c         *call.Call
	keyID     *string
	alg       kms.EncryptionAlgorithmSpec
	context   map[string]string
	blob      []byte
	tokens    []string
	action    string
	grantOp   kms.GrantOperation
	dry       *bool
	modifiers []kms.DryRunModifierType
	recipient *recipient
	extra     func(u *use)          // adds condition keys
	also      func(from *key) error // asks what else has to be asked
}

// incorrectKey is what a key other than the ciphertext's is answered with.
func incorrectKey() error {
	return &kms.IncorrectKeyException{Message: "The key ID in the request does not identify a CMK that can perform this operation."}
}

// decrypt finds the key of a ciphertext, asks whether the caller may decrypt with it, and does. A key that the caller names is the one that is asked about, and must
// be that of a symmetric ciphertext. What is wrong with the ciphertext is told to those alone who may use the key: others would learn that it is there. materialID is
// empty for asymmetric keys.
func (s *Service) decrypt(d *decryption) (k *key, materialID string, plaintext []byte, err error) {
	c := d.c
	symmetric := d.alg == kms.EncryptionAlgorithmSpecSymmetricDefault
	blind := ignoresCiphertext(d)
	if d.keyID == nil && (!symmetric || blind) {
		return nil, "", nil, invalid("KeyId must be provided for this operation.")
	}
	var header keys.Header
	var malformed error
	if symmetric && !blind {
		header, malformed = keys.ParseBlob(d.blob)
	}
	alias, on := "", onThis
	switch {
	case d.keyID != nil:
		k, alias, err = s.forUse(c, d.keyID)
	case malformed != nil:
		err = &kms.InvalidCiphertextException{}
	default:
		on = inCiphertext
		k, err = s.keyOf(c, header)
	}
	if err != nil {
		return nil, "", nil, err
	}
	u := &use{c: c, key: k, alias: alias, action: d.action, on: on, grantOp: d.grantOp, context: d.context, hasEC: true, tokens: d.tokens}
	u.with("kms:encryptionalgorithm", string(d.alg))
	d.recipient.conditions(u)
	if d.extra != nil {
		d.extra(u)
	}
	if err := s.authorize(u); err != nil {
		return nil, "", nil, err
	}
	if d.also != nil {
		if err := d.also(k); err != nil {
			return nil, "", nil, err
		}
	}
	if symmetric && !blind {
		switch {
		case malformed != nil && k.Spec == kms.KeySpecSymmetricDefault:
			return nil, "", nil, &kms.InvalidCiphertextException{}
		case malformed != nil, header.Key != k.name:
			return nil, "", nil, incorrectKey()
		}
	}
	if err := k.ready(); err != nil {
		return nil, "", nil, err
	}
	if k.Usage != kms.KeyUsageTypeEncryptDecrypt || !k.spec().Supports(k.usage(), keys.Algorithm(d.alg)) {
		return nil, "", nil, incorrectKey()
	}
	if err := k.encrypts(c, d.alg, d.context); err != nil {
		return nil, "", nil, err
	}
	if blind {
		return k, "", nil, dryRun(d.dry)
	}
	if symmetric {
		plaintext, err = s.decryptUnder(c, k, header, d.context, d.blob)
	} else {
		m, _ := k.current()
		plaintext, err = m.Decrypt(keys.Algorithm(d.alg), d.blob)
	}
	if errors.Is(err, keys.ErrInvalidCiphertext) {
		err = &kms.InvalidCiphertextException{}
	}
	if err == nil {
		err = dryRun(d.dry)
	}
	return k, header.Material, plaintext, err
}

// ignoresCiphertext reports whether a dry run asks about the key alone.
func ignoresCiphertext(d *decryption) bool {
	for _, m := range d.modifiers {
		if m == kms.DryRunModifierTypeIgnoreCiphertext {
			return optional.Value(d.dry)
		}
	}
	return false
}

// keyOf finds the key that a ciphertext claims to be encrypted under. If there is none, the caller is told no more than one who may not use it.
func (s *Service) keyOf(c *call.Call, h keys.Header) (*key, error) {
	account, id, _ := strings.Cut(h.Key, "/")
	k, err := s.find(c, place{account, c.Scope.Region, id})
	if missing(err) {
		return nil, refuse(c, c.Op.Action, inCiphertext)
	}
	return k, err
}

// ReEncrypt decrypts under one key and encrypts under another, without the plaintext leaving.
func (s *Service) ReEncrypt(c *call.Call, in *kms.ReEncryptRequest) (*kms.ReEncryptResponse, error) {
	const toAction = "kms:ReEncryptTo"
	// That there is no such destination is told after the source was asked about, and before anything else: as a destination is refused that is there.
	to, alias, absent := s.forUse(c, in.DestinationKeyId)
	if _, hidden := errors.AsType[*call.Denied](absent); hidden {
		absent = refuse(c, toAction, onThis)
	}
	onSameKey := func(from *key) string { return strconv.FormatBool(to != nil && from.place == to.place) }
	alg := algorithm(in.DestinationEncryptionAlgorithm)
	d := decryption{
		c: c, keyID: in.SourceKeyId, alg: algorithm(in.SourceEncryptionAlgorithm), context: in.SourceEncryptionContext, blob: in.CiphertextBlob,
		tokens: in.GrantTokens, action: "kms:ReEncryptFrom", grantOp: kms.GrantOperationReEncryptFrom, modifiers: in.DryRunModifiers,
		extra: func(u *use) { u.with("kms:reencryptonsamekey", onSameKey(u.key)) },
		also: func(from *key) error {
			if absent != nil {
				return absent
			}
			u := &use{c: c, key: to, alias: alias, action: toAction, grantOp: kms.GrantOperationReEncryptTo,
				context: in.DestinationEncryptionContext, hasEC: true, tokens: in.GrantTokens}
			u.with("kms:encryptionalgorithm", string(alg)).with("kms:reencryptonsamekey", onSameKey(from))
			return s.authorize(u)
		},
	}
	if len(in.DryRunModifiers) > 0 {
		d.dry = in.DryRun
	}
	from, sourceMaterial, plaintext, err := s.decrypt(&d)
	blind := isDryRun(err) && ignoresCiphertext(&d)
	if err != nil && !blind {
		return nil, err
	}
	defer clear(plaintext)
	blob, err := s.encrypt(c, to, alg, in.DestinationEncryptionContext, plaintext, in.DryRun)
	if err != nil {
		return nil, err
	}
	s.used(c, from, kms.KeyLastUsageTrackingOperationReEncrypt)
	s.used(c, to, kms.KeyLastUsageTrackingOperationReEncrypt)
	out := &kms.ReEncryptResponse{
		CiphertextBlob: blob, SourceKeyId: &from.arn, KeyId: &to.arn,
		SourceEncryptionAlgorithm: d.alg, DestinationEncryptionAlgorithm: alg, SourceKeyMaterialId: from.materialID(sourceMaterial),
	}
	if to.Spec == kms.KeySpecSymmetricDefault {
		_, id := to.current()
		out.DestinationKeyMaterialId = to.materialID(id)
	}
	return out, nil
}

func isDryRun(err error) bool {
	_, ok := errors.AsType[*kms.DryRunOperationException](err)
	return ok
}

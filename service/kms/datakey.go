package kms

import (
	"fmt"
	"io"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/keys"
)

// dataKey is what the four data key operations have in common.
type dataKey struct {
	c         *call.Call
	keyID     *string
	context   map[string]string
	tokens    []string
	grantOp   kms.GrantOperation
	used      kms.KeyLastUsageTrackingOperation
	recipient *recipient
	values    map[string]string // condition keys
	dry       *bool
}

// wrapper finds the key that will wrap a data key, and asks whether the caller may use it.
func (s *Service) wrapper(d *dataKey) (*key, error) {
	k, alias, err := s.forUse(d.c, d.keyID)
	if err != nil {
		return nil, err
	}
	u := &use{c: d.c, key: k, alias: alias, grantOp: d.grantOp, context: d.context, hasEC: true, tokens: d.tokens}
	u.with("kms:encryptionalgorithm", string(kms.EncryptionAlgorithmSpecSymmetricDefault))
	for name, v := range d.values {
		u.with(name, v)
	}
	d.recipient.conditions(u)
	if err := s.authorize(u); err != nil {
		return nil, err
	}
	if err := k.ready(); err != nil {
		return nil, err
	}
	if k.Spec != kms.KeySpecSymmetricDefault {
		return nil, &kms.InvalidKeyUsageException{Message: fmt.Sprintf("%s key usage is %s which is not valid for %s.", k.arn, k.Usage, d.c.Op.Name)}
	}
	return k, dryRun(d.dry)
}

// wrap encrypts a data key and notes the use of the wrapping key.
func (s *Service) wrap(d *dataKey, k *key, plaintext []byte) (blob []byte, materialID *string, err error) {
	blob, err = s.encryptUnder(d.c, k, d.context, plaintext)
	if err != nil {
		return nil, nil, err
	}
	s.used(d.c, k, d.used)
	_, id := k.current()
	return blob, k.materialID(id), nil
}

// size is the length of a symmetric data key in bytes.
func size(spec kms.DataKeySpec, bytes *int32) (int, error) {
	switch {
	case spec != "" && bytes != nil, spec == "" && bytes == nil:
		return 0, invalid("Please specify either number of bytes or key spec.")
	case spec == kms.DataKeySpecAes128:
		return 16, nil
	case spec == kms.DataKeySpecAes256:
		return 32, nil
	}
	return int(*bytes), nil
}

// GenerateDataKey returns a new symmetric key in the clear and encrypted under a KMS key.
func (s *Service) GenerateDataKey(c *call.Call, in *kms.GenerateDataKeyRequest) (*kms.GenerateDataKeyResponse, error) {
	r, err := s.attested(c, in.Recipient)
	if err != nil {
		return nil, err
	}
	d := &dataKey{
		c: c, keyID: in.KeyId, context: in.EncryptionContext, tokens: in.GrantTokens, recipient: r, dry: in.DryRun,
		grantOp: kms.GrantOperationGenerateDataKey, used: kms.KeyLastUsageTrackingOperationGenerateDataKey,
	}
	k, plaintext, blob, id, err := s.symmetricDataKey(d, in.KeySpec, in.NumberOfBytes)
	if err != nil {
		return nil, err
	}
	out := &kms.GenerateDataKeyResponse{CiphertextBlob: blob, KeyId: &k.arn, KeyMaterialId: id}
	out.Plaintext, out.CiphertextForRecipient, err = r.seal(c, plaintext)
	return out, err
}

// GenerateDataKeyWithoutPlaintext is GenerateDataKey for a key that is needed later only.
func (s *Service) GenerateDataKeyWithoutPlaintext(c *call.Call, in *kms.GenerateDataKeyWithoutPlaintextRequest) (*kms.GenerateDataKeyWithoutPlaintextResponse, error) {
	d := &dataKey{
		c: c, keyID: in.KeyId, context: in.EncryptionContext, tokens: in.GrantTokens, dry: in.DryRun,
		grantOp: kms.GrantOperationGenerateDataKeyWithoutPlaintext, used: kms.KeyLastUsageTrackingOperationGenerateDataKeyWithoutPlaintext,
	}
	k, plaintext, blob, id, err := s.symmetricDataKey(d, in.KeySpec, in.NumberOfBytes)
	if err != nil {
		return nil, err
	}
	clear(plaintext)
	return &kms.GenerateDataKeyWithoutPlaintextResponse{CiphertextBlob: blob, KeyId: &k.arn, KeyMaterialId: id}, nil
}

func (s *Service) symmetricDataKey(d *dataKey, spec kms.DataKeySpec, bytes *int32) (k *key, plaintext, blob []byte, materialID *string, err error) {
	n, err := size(spec, bytes)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	if k, err = s.wrapper(d); err != nil {
		return nil, nil, nil, nil, err
	}
	plaintext = make([]byte, n)
	if _, err := io.ReadFull(d.c.Rand, plaintext); err != nil {
		return nil, nil, nil, nil, fmt.Errorf("drawing a data key: %w", err)
	}
	blob, materialID, err = s.wrap(d, k, plaintext)
	return k, plaintext, blob, materialID, err
}

// GenerateDataKeyPair returns a new asymmetric key pair, with the private key in the clear and encrypted under a KMS key.
func (s *Service) GenerateDataKeyPair(c *call.Call, in *kms.GenerateDataKeyPairRequest) (*kms.GenerateDataKeyPairResponse, error) {
	r, err := s.attested(c, in.Recipient)
	if err != nil {
		return nil, err
	}
	d := &dataKey{
		c: c, keyID: in.KeyId, context: in.EncryptionContext, tokens: in.GrantTokens, recipient: r, dry: in.DryRun,
		grantOp: kms.GrantOperationGenerateDataKeyPair, used: kms.KeyLastUsageTrackingOperationGenerateDataKeyPair,
	}
	k, pair, private, blob, id, err := s.dataKeyPair(d, in.KeyPairSpec)
	if err != nil {
		return nil, err
	}
	out := &kms.GenerateDataKeyPairResponse{
		PrivateKeyCiphertextBlob: blob, PublicKey: pair.PublicKeyDER(), KeyId: &k.arn, KeyPairSpec: in.KeyPairSpec, KeyMaterialId: id,
	}
	out.PrivateKeyPlaintext, out.CiphertextForRecipient, err = r.seal(c, private)
	return out, err
}

// GenerateDataKeyPairWithoutPlaintext is GenerateDataKeyPair for a private key that is needed later only.
func (s *Service) GenerateDataKeyPairWithoutPlaintext(c *call.Call, in *kms.GenerateDataKeyPairWithoutPlaintextRequest) (*kms.GenerateDataKeyPairWithoutPlaintextResponse, error) {
	d := &dataKey{
		c: c, keyID: in.KeyId, context: in.EncryptionContext, tokens: in.GrantTokens, dry: in.DryRun,
		grantOp: kms.GrantOperationGenerateDataKeyPairWithoutPlaintext, used: kms.KeyLastUsageTrackingOperationGenerateDataKeyPairWithoutPlaintext,
	}
	k, pair, private, blob, id, err := s.dataKeyPair(d, in.KeyPairSpec)
	if err != nil {
		return nil, err
	}
	clear(private)
	return &kms.GenerateDataKeyPairWithoutPlaintextResponse{
		PrivateKeyCiphertextBlob: blob, PublicKey: pair.PublicKeyDER(), KeyId: &k.arn, KeyPairSpec: in.KeyPairSpec, KeyMaterialId: id,
	}, nil
}

func (s *Service) dataKeyPair(d *dataKey, pairSpec kms.DataKeyPairSpec) (k *key, pair *keys.Key, private, blob []byte, materialID *string, err error) {
	spec := keys.Spec(pairSpec)
	if !spec.DataKeyPair() {
		return nil, nil, nil, nil, nil, unsupported("%s is not supported in this Region.", pairSpec)
	}
	if err := s.offers(string(pairSpec), spec); err != nil {
		return nil, nil, nil, nil, nil, err
	}
	d.values = map[string]string{"kms:datakeypairspec": string(pairSpec)}
	if k, err = s.wrapper(d); err != nil {
		return nil, nil, nil, nil, nil, err
	}
	if pair, err = s.generator.Generate(d.c.Context, spec, d.c.Rand); err != nil {
		return nil, nil, nil, nil, nil, fmt.Errorf("making a data key pair: %w", err)
	}
	private = pair.Material()
	blob, materialID, err = s.wrap(d, k, private)
	return k, pair, private, blob, materialID, err
}

// GenerateRandom returns random bytes. It uses no key.
func (s *Service) GenerateRandom(c *call.Call, in *kms.GenerateRandomRequest) (*kms.GenerateRandomResponse, error) {
	r, err := s.attested(c, in.Recipient)
	if err != nil {
		return nil, err
	}
	u := &use{c: c}
	r.conditions(u)
	if err := c.Authorize(&call.Resource{ARN: "*", Conditions: u}); err != nil {
		return nil, err
	}
	if in.NumberOfBytes == nil {
		return nil, invalid("NumberOfBytes is required.")
	}
	random, err := s.random(c, in.CustomKeyStoreId, int(*in.NumberOfBytes))
	if err != nil {
		return nil, err
	}
	out := &kms.GenerateRandomResponse{}
	out.Plaintext, out.CiphertextForRecipient, err = r.seal(c, random)
	return out, err
}

// random draws random bytes, in the hardware security module of a custom key store if one is named.
func (s *Service) random(c *call.Call, storeID *string, n int) ([]byte, error) {
	if storeID == nil {
		random := make([]byte, n)
		if _, err := io.ReadFull(c.Rand, random); err != nil {
			return nil, fmt.Errorf("drawing random bytes: %w", err)
		}
		return random, nil
	}
	st, err := s.stores.Get(c.Context, storePlace{c.Scope.Account, c.Scope.Region, *storeID})
	switch {
	case missing(err):
		return nil, noStore(*storeID)
	case err != nil:
		return nil, err
	case st.Type != kms.CustomKeyStoreTypeAwsCloudhsm:
		return nil, unsupported("GenerateRandom is not supported for a custom key store of type %s.", st.Type)
	case !st.connected():
		return nil, st.wrongState()
	}
	return st.link.random(c, n)
}

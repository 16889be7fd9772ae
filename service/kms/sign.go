package kms

import (
	"errors"
	"fmt"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/keys"
)

// operate is the way of the operations on asymmetric and HMAC keys: find the key, ask, check its state and usage, and that its spec does the
// algorithm.
type operate struct {
	c       *call.Call
	keyID   *string
	tokens  []string
	grantOp kms.GrantOperation
	usage   kms.KeyUsageType
	alg     keys.Algorithm
	algKey  string // condition key of the algorithm
	values  map[string]string
	more    func(*use)
	dry     *bool
}

func (s *Service) operate(o *operate) (*key, *keys.Key, error) {
	k, alias, err := s.forUse(o.c, o.keyID)
	if err != nil {
		return nil, nil, err
	}
	u := &use{c: o.c, key: k, alias: alias, grantOp: o.grantOp, tokens: o.tokens}
	u.with(o.algKey, string(o.alg))
	for name, v := range o.values {
		u.with(name, v)
	}
	if o.more != nil {
		o.more(u)
	}
	if err := s.authorize(u); err != nil {
		return nil, nil, err
	}
	if err := k.ready(); err != nil {
		return nil, nil, err
	}
	if err := k.usable(o.c, o.usage); err != nil {
		return nil, nil, err
	}
	if !k.spec().Supports(k.usage(), o.alg) {
		return nil, nil, &kms.InvalidKeyUsageException{Message: fmt.Sprintf("Algorithm %s is incompatible with key spec %s.", o.alg, k.Spec)}
	}
	m, _ := k.current()
	return k, m, dryRun(o.dry)
}

// messageType is the message type given, or the default.
func messageType(given kms.MessageType) kms.MessageType {
	if given == "" {
		return kms.MessageTypeRaw
	}
	return given
}

// signing turns what the engine says of a message into what KMS says.
func signing(err error, alg kms.SigningAlgorithmSpec, mt kms.MessageType) error {
	if _, ok := errors.AsType[*keys.DigestLengthError](err); ok {
		return invalid("Digest is invalid length for algorithm %s.", alg)
	}
	if errors.Is(err, keys.ErrMessageType) {
		return invalid("MessageType %s is not valid for algorithm %s.", mt, alg)
	}
	return err
}

// Sign signs a message, or its digest.
func (s *Service) Sign(c *call.Call, in *kms.SignRequest) (*kms.SignResponse, error) {
	mt := messageType(in.MessageType)
	k, m, err := s.operate(&operate{
		c: c, keyID: in.KeyId, tokens: in.GrantTokens, grantOp: kms.GrantOperationSign, usage: kms.KeyUsageTypeSignVerify,
		alg: keys.Algorithm(in.SigningAlgorithm), algKey: "kms:signingalgorithm", values: map[string]string{"kms:messagetype": string(mt)}, dry: in.DryRun,
	})
	if err != nil {
		return nil, err
	}
	signature, err := m.Sign(keys.Algorithm(in.SigningAlgorithm), keys.MessageType(mt), in.Message)
	if err != nil {
		return nil, signing(err, in.SigningAlgorithm, mt)
	}
	s.used(c, k, kms.KeyLastUsageTrackingOperationSign)
	return &kms.SignResponse{KeyId: &k.arn, Signature: signature, SigningAlgorithm: in.SigningAlgorithm}, nil
}

// Verify checks a signature. One that is not valid is an error, never an answer.
func (s *Service) Verify(c *call.Call, in *kms.VerifyRequest) (*kms.VerifyResponse, error) {
	mt := messageType(in.MessageType)
	k, m, err := s.operate(&operate{
		c: c, keyID: in.KeyId, tokens: in.GrantTokens, grantOp: kms.GrantOperationVerify, usage: kms.KeyUsageTypeSignVerify,
		alg: keys.Algorithm(in.SigningAlgorithm), algKey: "kms:signingalgorithm", values: map[string]string{"kms:messagetype": string(mt)}, dry: in.DryRun,
	})
	if err != nil {
		return nil, err
	}
	err = m.Verify(keys.Algorithm(in.SigningAlgorithm), keys.MessageType(mt), in.Message, in.Signature)
	if errors.Is(err, keys.ErrInvalidSignature) {
		return nil, &kms.KMSInvalidSignatureException{}
	}
	if err != nil {
		return nil, signing(err, in.SigningAlgorithm, mt)
	}
	s.used(c, k, kms.KeyLastUsageTrackingOperationVerify)
	return &kms.VerifyResponse{KeyId: &k.arn, SignatureValid: new(true), SigningAlgorithm: in.SigningAlgorithm}, nil
}

// GenerateMac computes an HMAC.
func (s *Service) GenerateMac(c *call.Call, in *kms.GenerateMacRequest) (*kms.GenerateMacResponse, error) {
	k, m, err := s.operate(&operate{
		c: c, keyID: in.KeyId, tokens: in.GrantTokens, grantOp: kms.GrantOperationGenerateMac, usage: kms.KeyUsageTypeGenerateVerifyMac,
		alg: keys.Algorithm(in.MacAlgorithm), algKey: "kms:macalgorithm", dry: in.DryRun,
	})
	if err != nil {
		return nil, err
	}
	mac, err := m.MAC(keys.Algorithm(in.MacAlgorithm), in.Message)
	if err != nil {
		return nil, err
	}
	s.used(c, k, kms.KeyLastUsageTrackingOperationGenerateMac)
	return &kms.GenerateMacResponse{KeyId: &k.arn, Mac: mac, MacAlgorithm: in.MacAlgorithm}, nil
}

// VerifyMac checks an HMAC. One that is not valid is an error, never an answer.
func (s *Service) VerifyMac(c *call.Call, in *kms.VerifyMacRequest) (*kms.VerifyMacResponse, error) {
	k, m, err := s.operate(&operate{
		c: c, keyID: in.KeyId, tokens: in.GrantTokens, grantOp: kms.GrantOperationVerifyMac, usage: kms.KeyUsageTypeGenerateVerifyMac,
		alg: keys.Algorithm(in.MacAlgorithm), algKey: "kms:macalgorithm", dry: in.DryRun,
	})
	if err != nil {
		return nil, err
	}
	err = m.VerifyMAC(keys.Algorithm(in.MacAlgorithm), in.Message, in.Mac)
	if errors.Is(err, keys.ErrInvalidMAC) {
		return nil, &kms.KMSInvalidMacException{}
	}
	if err != nil {
		return nil, err
	}
	s.used(c, k, kms.KeyLastUsageTrackingOperationVerifyMac)
	return &kms.VerifyMacResponse{KeyId: &k.arn, MacValid: new(true), MacAlgorithm: in.MacAlgorithm}, nil
}

// DeriveSharedSecret agrees with a peer on a secret (ECDH).
func (s *Service) DeriveSharedSecret(c *call.Call, in *kms.DeriveSharedSecretRequest) (*kms.DeriveSharedSecretResponse, error) {
	r, err := s.attested(c, in.Recipient)
	if err != nil {
		return nil, err
	}
	k, m, err := s.operate(&operate{
		c: c, keyID: in.KeyId, tokens: in.GrantTokens, grantOp: kms.GrantOperationDeriveSharedSecret, usage: kms.KeyUsageTypeKeyAgreement,
		alg: keys.Algorithm(in.KeyAgreementAlgorithm), algKey: "kms:keyagreementalgorithm", more: r.conditions, dry: in.DryRun,
	})
	if err != nil {
		return nil, err
	}
	secret, err := m.Agree(keys.Algorithm(in.KeyAgreementAlgorithm), in.PublicKey)
	if errors.Is(err, keys.ErrInvalidPublicKey) {
		return nil, invalid("The public key in the request is not a valid %s public key.", k.Spec)
	}
	if err != nil {
		return nil, err
	}
	s.used(c, k, kms.KeyLastUsageTrackingOperationDeriveSharedSecret)
	out := &kms.DeriveSharedSecretResponse{KeyId: &k.arn, KeyAgreementAlgorithm: in.KeyAgreementAlgorithm, KeyOrigin: k.Origin}
	out.SharedSecret, out.CiphertextForRecipient, err = r.seal(c, secret)
	return out, err
}

// GetPublicKey returns the public half of an asymmetric key.
func (s *Service) GetPublicKey(c *call.Call, in *kms.GetPublicKeyRequest) (*kms.GetPublicKeyResponse, error) {
	k, alias, err := s.forUse(c, in.KeyId)
	if err != nil {
		return nil, err
	}
	if err := s.authorize(&use{c: c, key: k, alias: alias, grantOp: kms.GrantOperationGetPublicKey, tokens: in.GrantTokens}); err != nil {
		return nil, err
	}
	if !k.spec().Asymmetric() {
		return nil, unsupported("%s key spec is %s which is not valid for GetPublicKey.", k.arn, k.Spec)
	}
	if err := k.ready(); err != nil {
		return nil, err
	}
	m, _ := k.current()
	out := &kms.GetPublicKeyResponse{
		KeyId: &k.arn, PublicKey: m.PublicKeyDER(), KeySpec: k.Spec, CustomerMasterKeySpec: kms.CustomerMasterKeySpec(k.Spec), KeyUsage: k.Usage,
	}
	out.EncryptionAlgorithms, out.SigningAlgorithms, out.KeyAgreementAlgorithms, _ = k.algorithms()
	return out, nil
}

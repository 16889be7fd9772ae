package kms

import (
	"fmt"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/attest"
)

// recipient is an attested enclave that is to be answered so that nobody else can read it; nil is the caller in the clear.
type recipient struct{ doc *attest.Document }

// attested checks the attestation document of a Recipient parameter. Without one it returns nil.
func (s *Service) attested(c *call.Call, r *kms.RecipientInfo) (*recipient, error) {
	if r == nil {
		return nil, nil
	}
	if r.KeyEncryptionAlgorithm == "" {
		return nil, invalid("KeyEncryptionAlgorithm must be provided in Recipient.")
	}
	if len(r.AttestationDocument) == 0 {
		return nil, invalid("AttestationDocument must be provided in Recipient.")
	}
	doc, err := s.cfg.Attestation.Verify(r.AttestationDocument, c.Time)
	if err != nil {
		return nil, invalid("The attestation document in the request is not valid: %v.", err)
	}
	if len(doc.PublicKey) == 0 {
		return nil, invalid("The attestation document in the request is not valid: %v.", attest.ErrNoKey)
	}
	return &recipient{doc}, nil
}

// conditions adds the condition keys about the attested software.
func (r *recipient) conditions(u *use) {
	if r == nil {
		return
	}
	for name, value := range r.doc.Conditions() {
		u.with("kms:recipientattestation:"+strings.ToLower(name), value)
	}
}

// seal splits what is secret in an answer into the plaintext and the ciphertext for the recipient: one of them is nil.
func (r *recipient) seal(c *call.Call, secret []byte) (plaintext, forRecipient []byte, err error) {
	if r == nil {
		return secret, nil, nil
	}
	defer clear(secret)
	sealed, err := r.doc.Seal(secret, c.Rand)
	if err != nil {
		return nil, nil, fmt.Errorf("encrypting for an attested recipient: %w", err)
	}
	return nil, sealed, nil
}

package kms

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/keys"
	"github.com/holdfast-cloud/holdfast/hsm"
	"github.com/holdfast-cloud/holdfast/store"
)

// CloudHSM is what stands for a CloudHSM cluster.
type CloudHSM struct {
	Token       hsm.URI
	TrustAnchor []byte // the certificate that key stores must name, in DER; nil for any
}

// cloudHSM is the link to the token that stands for the cluster of a CloudHSM key store. Keys are made in the token, and encrypt and decrypt there alone.
type cloudHSM struct {
	s *Service
	storePlace
	*storeRecord
	password []byte
}

// hsmPatience is how long a call waits for a token, by the real clock.
const hsmPatience = 5 * time.Second

// newCloudHSM returns the link to the hardware security module that a store stands for. secret is the password of its crypto user, kmsuser.
func (s *Service) newCloudHSM(p storePlace, r *storeRecord, secret []byte) (link, error) {
	return &cloudHSM{s, p, r, secret}, nil
}

func (l *cloudHSM) check(c *call.Call, was *storeRecord) error {
	cluster, ok := l.s.cfg.CloudHSM[l.Cluster]
	if !ok {
		return &kms.CloudHsmClusterNotFoundException{Message: "KMS cannot find the CloudHSM cluster with the specified cluster ID " + l.Cluster + "."}
	}
	if !cluster.trusts(l.TrustAnchor) {
		return &kms.IncorrectTrustAnchorException{Message: "The trust anchor certificate is not the trust anchor certificate of the specified CloudHSM cluster."}
	}
	ctx, cancel := context.WithTimeout(c.Context, hsmPatience)
	defer cancel()
	_, err := hsm.Look(ctx, cluster.Token)
	switch {
	case errors.Is(err, hsm.ErrManyTokens):
		l.s.cfg.Report(l.trouble(err))
		return &kms.CloudHsmClusterInvalidConfigurationException{Message: invalidConfiguration}
	case err != nil:
		l.s.cfg.Report(l.trouble(err))
		return &kms.CloudHsmClusterNotActiveException{Message: notActive}
	case was != nil && was.Cluster != l.Cluster:
		return l.related(ctx, c, cluster)
	}
	return nil
}

// related refuses to move a store to a token that does not have its keys. AWS compares the certificates of the clusters, which tokens do not have.
func (l *cloudHSM) related(ctx context.Context, c *call.Call, cluster CloudHSM) error {
	for r, err := range keyTable.In(l.account, l.region).Scan(c.Tx(), store.Query{Index: "store", Prefix: store.Key{l.ID}, Limit: 1}) {
		if err != nil {
			return fmt.Errorf("looking for keys in custom key store %s: %w", l.ID, err)
		}
		token, err := hsm.Open(ctx, cluster.Token, l.password)
		if err != nil {
			l.s.cfg.Report(l.trouble(err))
			return &kms.CloudHsmClusterNotRelatedException{Message: "KMS cannot log in to the specified CloudHSM cluster to see whether it has the keys of the custom key store."}
		}
		defer token.Close()
		if _, err := token.FindKey(ctx, tokenKey(r.Outside)); err != nil {
			l.s.cfg.Report(l.trouble(err))
			return &kms.CloudHsmClusterNotRelatedException{Message: "The specified CloudHSM cluster does not have the keys of the custom key store."}
		}
	}
	return nil
}

const (
	notActive            = "The CloudHSM cluster associated with the CloudHSM key store is not active."
	invalidConfiguration = "The CloudHSM cluster does not meet the configuration requirements for a CloudHSM key store."
)

// trouble is what the log is told of a token.
func (l *cloudHSM) trouble(err error) error {
	return fmt.Errorf("custom key store %s, cluster %s: %w", l.ID, l.Cluster, err)
}

// trusts compares the certificate that a store names with the one that the configuration names, if it does.
func (h CloudHSM) trusts(text string) bool {
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) > 0 {
		return false
	}
	if _, err := x509.ParseCertificate(block.Bytes); err != nil {
		return false
	}
	return h.TrustAnchor == nil || bytes.Equal(h.TrustAnchor, block.Bytes)
}

// connect proves that the password is good. The login that calls use is made by the first of them, see hsmLogins.
func (l *cloudHSM) connect(c *call.Call) kms.ConnectionErrorCodeType {
	cluster, ok := l.s.cfg.CloudHSM[l.Cluster]
	if !ok {
		return kms.ConnectionErrorCodeTypeClusterNotFound
	}
	ctx, cancel := context.WithTimeout(c.Context, hsmPatience)
	defer cancel()
	l.s.logins.settle(ctx, l.storePlace)
	code, err := l.s.logins.once(l.storePlace, c.RequestID, func() (kms.ConnectionErrorCodeType, error) {
		token, err := hsm.OpenAnew(ctx, cluster.Token, l.password)
		if err == nil {
			err = token.Check(ctx)
			token.Close()
		}
		return credentialCode(err), err
	})
	if err != nil {
		l.s.cfg.Report(l.trouble(err))
	}
	switch {
	case code != "" || err == nil:
		return code
	case errors.Is(err, hsm.ErrNoToken):
		return kms.ConnectionErrorCodeTypeInsufficientCloudhsmHsms
	case errors.Is(err, hsm.ErrUnavailable):
		return kms.ConnectionErrorCodeTypeNetworkErrors
	}
	return kms.ConnectionErrorCodeTypeInternalError
}

// credentialCode is why the token did not let kmsuser in, or empty for other errors.
func credentialCode(err error) kms.ConnectionErrorCodeType {
	switch {
	case errors.Is(err, hsm.ErrPINIncorrect):
		return kms.ConnectionErrorCodeTypeInvalidCredentials
	case errors.Is(err, hsm.ErrPINLocked):
		return kms.ConnectionErrorCodeTypeUserLockedOut
	case errors.Is(err, hsm.ErrNoUser):
		return kms.ConnectionErrorCodeTypeUserNotFound
	case errors.Is(err, hsm.ErrUserLoggedIn):
		return kms.ConnectionErrorCodeTypeUserLoggedIn
	}
	return ""
}

// create makes a key in the token. Since that is not undone when the call fails, it is written down before.
func (l *cloudHSM) create(c *call.Call, k *key, _ *kms.CreateKeyRequest) error {
	k.Outside = k.ID
	if err := l.s.beforeMaking(c, k); err != nil {
		return err
	}
	_, err := withToken(c.Context, l, func(ctx context.Context, t *hsm.Token) (any, error) {
		return nil, t.GenerateKey(ctx, tokenKey(k.Outside))
	})
	if errors.Is(err, hsm.ErrUnavailable) || errors.Is(err, hsm.ErrNoToken) {
		l.s.cfg.Report(l.trouble(err))
		// Of what CreateKey may answer, this says that the cluster has too few active modules.
		return &kms.CloudHsmClusterInvalidConfigurationException{Message: invalidConfiguration}
	}
	return l.explain(k, err)
}

// tokenKey is the key of the token that a KMS key stands for. Its label is the ID of the KMS key, as in a CloudHSM cluster.
func tokenKey(outside string) hsm.Key { return hsm.Key{Label: outside, ID: outside} }

func (l *cloudHSM) destroy(c *call.Call, outside string) error {
	_, err := withToken(c.Context, l, func(ctx context.Context, t *hsm.Token) (any, error) { return nil, t.DestroyKey(ctx, tokenKey(outside)) })
	if errors.Is(err, hsm.ErrNoKey) {
		return nil
	}
	return err
}

func (l *cloudHSM) encrypt(c *call.Call, k *key, h keys.Header, encryption map[string]string, plaintext []byte) ([]byte, error) {
	aad, err := keys.AdditionalData(h, encryption)
	if err != nil {
		return nil, err
	}
	body, err := withToken(c.Context, l, func(ctx context.Context, t *hsm.Token) ([]byte, error) {
		return t.Encrypt(ctx, tokenKey(k.Outside), plaintext, aad)
	})
	return body, l.explain(k, err)
}

func (l *cloudHSM) decrypt(c *call.Call, k *key, h keys.Header, encryption map[string]string, body []byte) ([]byte, error) {
	aad, err := keys.AdditionalData(h, encryption)
	if err != nil {
		return nil, err
	}
	plaintext, err := withToken(c.Context, l, func(ctx context.Context, t *hsm.Token) ([]byte, error) {
		return t.Decrypt(ctx, tokenKey(k.Outside), body, aad)
	})
	if errors.Is(err, hsm.ErrDamaged) {
		return nil, keys.ErrInvalidCiphertext
	}
	return plaintext, l.explain(k, err)
}

func (l *cloudHSM) random(c *call.Call, n int) ([]byte, error) {
	random, err := withToken(c.Context, l, func(ctx context.Context, t *hsm.Token) ([]byte, error) { return t.Random(ctx, n) })
	return random, l.explain(nil, err)
}

// explain says what an error of the token is for the caller: an HSM that does not answer may do so a moment later, and is asked again by the next call.
// https://docs.aws.amazon.com/kms/latest/developerguide/fix-keystore.html
func (l *cloudHSM) explain(k *key, err error) error {
	if err == nil {
		return nil
	}
	l.s.cfg.Report(l.trouble(err))
	switch {
	case errors.Is(err, hsm.ErrRefused), errors.Is(err, hsm.ErrKeyExists), errors.Is(err, hsm.ErrManyKeys):
		return l.trouble(err)
	case errors.Is(err, hsm.ErrNoKey):
		return &kms.KMSInvalidStateException{Message: "KMS cannot find the key material of " + k.arn + " in your CloudHSM cluster"}
	}
	return &kms.KMSInvalidStateException{Message: "KMS cannot communicate with your CloudHSM cluster"}
}

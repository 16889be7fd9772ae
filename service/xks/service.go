// Package xks is the external key store proxy of AWS KMS: it lets the KMS of another cloud, AWS's or another Holdfast, encrypt and decrypt with keys that stay
// here. It holds no keys and decides nothing about them: each call goes on to KMS, as one of the user whose access key signed it.
//
// The protocol is https://github.com/aws/aws-kms-xksproxy-api-spec/blob/main/xks_proxy_api_spec.md.
package xks

import (
	"bytes"
	"context"
	"errors"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/xks"
	"github.com/holdfast-cloud/holdfast/cache"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
)

// KMS is what the proxy asks of KMS; kms.Client has it.
type KMS interface {
	DescribeKey(*call.Call, *kms.DescribeKeyRequest) (*kms.DescribeKeyResponse, error)
	Encrypt(*call.Call, *kms.EncryptRequest) (*kms.EncryptResponse, error)
	Decrypt(*call.Call, *kms.DecryptRequest) (*kms.DecryptResponse, error)
}

// Config is what the service is made of. All of it is needed.
type Config struct {
	Store   store.Store
	Seal    *seal.Keyring
	KMS     KMS
	Version string // of Holdfast
}

// Service is the proxy.
type Service struct {
	cfg     Config
	headers *cache.Cache[headerKey, []byte]
}

// New returns the service.
func New(cfg Config) (*Service, error) {
	if cfg.Store == nil || cfg.Seal == nil || cfg.KMS == nil || cfg.Version == "" {
		return nil, errors.New("xks: Config needs everything in it")
	}
	s := &Service{cfg: cfg}
	s.headers = cache.New(maxHeaders, s.loadHeader)
	return s, nil
}

// Room is the service as it stands behind the door.
func (s *Service) Room() door.Room {
	return door.Room{
		Service: xks.Service, Endpoints: xks.Endpoints(s),
		Internal: &xks.InternalException{Message: "The external key manager failed."},
	}
}

// GetHealthStatus tells whether keys can be used: the store answers, and the root of trust unwraps what it wrapped.
func (s *Service) GetHealthStatus(c *call.Call, _ *xks.GetHealthStatusRequest) (*xks.GetHealthStatusResponse, error) {
	c.Open("The specification has every KMS with credentials ask for the proxy's health: https://github.com/aws/aws-kms-xksproxy-api-spec/blob/main/xks_proxy_api_spec.md#gethealthstatus")
	if err := s.probe(c.Context); err != nil {
		return nil, err
	}
	model := "Holdfast " + s.cfg.Version
	return &xks.GetHealthStatusResponse{
		XksProxyFleetSize: new(int32(1)), XksProxyVendor: new("Holdfast"), XksProxyModel: &model, EkmVendor: new("Holdfast"),
		EkmFleetDetails: []xks.EkmDetails{{Id: new("kms-" + c.Scope.Region), Model: &model, HealthStatus: xks.HealthStatusActive}},
	}, nil
}

// probe wraps and unwraps something that nobody needs.
func (s *Service) probe(ctx context.Context) error {
	place, text := seal.At("xks", "health"), []byte("holdfast")
	wrapped, err := s.cfg.Seal.Wrap(place, text)
	if err != nil {
		return err
	}
	if again, err := s.cfg.Seal.Unwrap(place, wrapped); err != nil || !bytes.Equal(again, text) {
		return errors.Join(errors.New("what was wrapped does not unwrap"), err)
	}
	return s.cfg.Store.View(ctx, func(r store.Reader) error {
		if _, err := headers.In("", "").Get(r, ""); !errors.Is(err, store.ErrNotFound) {
			return err
		}
		return nil
	})
}

// GetKeyMetadata tells what a key can be used for.
func (s *Service) GetKeyMetadata(c *call.Call, in *xks.GetKeyMetadataRequest) (*xks.GetKeyMetadataResponse, error) {
	if err := admit(c, in.ExternalKeyId, (*xks.RequestMetadata)(in.RequestMetadata)); err != nil {
		return nil, err
	}
	out, err := s.cfg.KMS.DescribeKey(c, &kms.DescribeKeyRequest{KeyId: in.ExternalKeyId})
	if err != nil {
		return nil, translated(err)
	}
	m := out.KeyMetadata
	status := xks.KeyStatusDisabled
	if m.Enabled != nil && *m.Enabled {
		status = xks.KeyStatusEnabled
	}
	spec := xks.KeySpec(m.KeySpec)
	if m.KeySpec == kms.KeySpecSymmetricDefault {
		spec = xks.KeySpecAes256
	}
	return &xks.GetKeyMetadataResponse{KeySpec: spec, KeyUsage: usages(m), KeyStatus: status}, nil
}

// usages are the operations of a key, in the words of the API. Symmetric keys in custom key stores of this cloud have none: their ciphertexts are not such as the
// protocol can carry.
func usages(m *kms.KeyMetadata) []xks.KeyUsage {
	switch m.KeyUsage {
	case kms.KeyUsageTypeEncryptDecrypt:
		if m.CustomKeyStoreId == nil {
			return []xks.KeyUsage{xks.KeyUsageEncrypt, xks.KeyUsageDecrypt}
		}
	case kms.KeyUsageTypeSignVerify, kms.KeyUsageTypeGenerateVerifyMac:
		return []xks.KeyUsage{xks.KeyUsageSign, xks.KeyUsageVerify}
	case kms.KeyUsageTypeKeyAgreement:
		return []xks.KeyUsage{xks.KeyUsageDerive}
	}
	return []xks.KeyUsage{}
}

package kms

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"slices"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/xks"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/keys"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/remote/xksproxy"
	"github.com/holdfast-cloud/holdfast/sigv4"
)

// external is the link to an external key store: to its proxy.
//
// A key in such a store encrypts twice: with material of its own that lies here, as any key's does, and then, what comes of that, with the key outside. So neither side alone can decrypt, the
// proxy sees no plaintext, and whatever a proxy answers that is not what it was given once does not open.
// https://docs.aws.amazon.com/kms/latest/developerguide/keystore-external.html#concept-double-encryption
type external struct {
	s       *Service
	record  *storeRecord
	proxy   xks.Client
	unknown bool // there is no VPC endpoint service of the name
}

// newXKS returns the link to a proxy that is called from a region.
func (s *Service) newXKS(region string, r *storeRecord, secret []byte) (link, error) {
	prefix, ok := xksproxy.Prefix(r.Path)
	if !ok {
		return nil, invalid("XksProxyUriPath must end with /kms/xks/v1.")
	}
	t, err := s.cfg.Proxies.New(xksproxy.Target{
		Endpoint: r.Endpoint, Prefix: prefix, VPCService: r.VPCService, Credentials: sigv4.Credentials{AccessKeyID: r.AccessKeyID, Secret: string(secret)},
	})
	if err != nil {
		return nil, err
	}
	t.Region = region
	return &external{s: s, record: r, proxy: xks.Client{Transport: t}, unknown: r.VPCService != "" && !s.cfg.Proxies.HasService(r.VPCService)}, nil
}

// check implements link. What is reached through a VPC endpoint service is asked when the store is connected.
func (x *external) check(c *call.Call, _ *storeRecord) error {
	switch {
	case x.unknown:
		return &kms.XksProxyVpcEndpointServiceNotFoundException{Message: "AWS KMS cannot find the VPC endpoint service " + x.record.VPCService + "."}
	case x.record.VPCService != "" && !x.record.connected():
		return nil
	}
	f, err := x.health(c, c.Op.Name)
	if err != nil || f == nil {
		return err
	}
	return f.store(f.message)
}

// connect implements link.
func (x *external) connect(c *call.Call) kms.ConnectionErrorCodeType {
	if x.unknown {
		return kms.ConnectionErrorCodeTypeXksVpcEndpointServiceNotFound
	}
	f, err := x.health(c, kms.OpConnectCustomKeyStore.Name)
	switch {
	case err != nil:
		return kms.ConnectionErrorCodeTypeInternalError
	case f != nil:
		return f.code
	}
	return ""
}

// health asks the proxy how it does, and says what is wrong with it, if something is.
func (x *external) health(c *call.Call, operation string) (*proxyFault, error) {
	out, err := x.proxy.GetHealthStatus(c, &xks.GetHealthStatusRequest{RequestMetadata: &xks.HealthRequestMetadata{KmsOperation: &operation, KmsRequestId: &c.RequestID}})
	if err != nil {
		return x.s.faultOf(err)
	}
	fleet := out.EkmFleetDetails
	if optional.Value(out.XksProxyFleetSize) < 1 || out.XksProxyVendor == nil || out.XksProxyModel == nil || out.EkmVendor == nil || len(fleet) < 1 || len(fleet) > 10 {
		return &garbled, nil
	}
	down := 0
	for _, m := range fleet {
		switch m.HealthStatus {
		case xks.HealthStatusActive, xks.HealthStatusDegraded:
		case xks.HealthStatusUnavailable:
			down++
		default:
			return &garbled, nil
		}
	}
	if down == len(fleet) {
		return &allDown, nil
	}
	return nil, nil
}

// create implements link: the key outside is there already, and is to be one that can be used.
func (x *external) create(c *call.Call, k *key, in *kms.CreateKeyRequest) error {
	if err := x.s.alone(c, k, *in.XksKeyId); err != nil {
		return err
	}
	meta := xks.KeyRequestMetadata(*metadata(c))
	out, err := x.proxy.GetKeyMetadata(c, &xks.GetKeyMetadataRequest{ExternalKeyId: in.XksKeyId, RequestMetadata: &meta})
	if err != nil {
		f, err := x.s.faultOf(err)
		if err != nil {
			return err
		}
		return f.key(f.message)
	}
	if out.KeySpec == "" || out.KeyStatus == "" || len(out.KeyUsage) > 10 {
		return garbled.key(garbled.message)
	}
	if out.KeySpec != xks.KeySpecAes256 || out.KeyStatus != xks.KeyStatusEnabled || !slices.Contains(out.KeyUsage, xks.KeyUsageEncrypt) || !slices.Contains(out.KeyUsage, xks.KeyUsageDecrypt) {
		return &kms.XksKeyInvalidConfigurationException{Message: "The external key specified by the XksKeyId parameter did not meet the configuration requirements for an external key store. " +
			"The external key must be an AES-256 symmetric key that is enabled and performs encryption and decryption."}
	}
	k.Outside = *in.XksKeyId
	return x.s.addMaterial(c, k, "")
}

// destroy implements link: a key outside is its owner's.
func (x *external) destroy(*call.Call, string) error { return nil }

// random implements link. The protocol has nothing of the sort.
func (x *external) random(*call.Call, int) ([]byte, error) {
	return nil, errors.New("an external key store gives no random bytes")
}

// metadata tells a proxy on whose behalf it is called.
func metadata(c *call.Call) *xks.RequestMetadata {
	// aws:PrincipalArn, which is that of a role and not of its session.
	m := &xks.RequestMetadata{AwsPrincipalArn: new(cmp.Or(c.Caller.Issuer, c.Caller.ARN, c.Caller.ServiceName)), KmsOperation: &c.Op.Name, KmsRequestId: &c.RequestID}
	if c.Source.VPCEndpoint != "" {
		m.AwsSourceVpc, m.AwsSourceVpce = &c.Source.VPC, &c.Source.VPCEndpoint
	}
	if via, ok := c.ViaService(); ok {
		m.KmsViaService = &via
	}
	return m
}

// metadataOf is metadata with the KMS key that is used.
func metadataOf(c *call.Call, k *key) *xks.RequestMetadata {
	m := metadata(c)
	m.KmsKeyArn = &k.arn
	return m
}

// bound is the additional data that the key outside authenticates. It is the hash of all that belongs to the ciphertext: an encryption context may be longer than what a proxy has to take,
// and is none of its business.
func bound(h keys.Header, context map[string]string) ([]byte, error) {
	all, err := keys.AdditionalData(h, context)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(all)
	return sum[:], nil
}

// encrypt implements link.
func (x *external) encrypt(c *call.Call, k *key, h keys.Header, context map[string]string, plaintext []byte) ([]byte, error) {
	aad, err := bound(h, context)
	if err != nil {
		return nil, err
	}
	m, _ := k.current()
	inner, err := m.EncryptBlob(nil, h, context, plaintext, c.Rand)
	if err != nil {
		return nil, err
	}
	out, err := x.proxy.Encrypt(c, &xks.EncryptRequest{
		ExternalKeyId: &k.Outside, RequestMetadata: metadataOf(c, k), AdditionalAuthenticatedData: aad, Plaintext: inner,
		EncryptionAlgorithm: xks.EncryptionAlgorithmAesGcm, CiphertextDataIntegrityValueAlgorithm: xks.CiphertextDataIntegrityValueAlgorithmSha256,
	})
	if err != nil {
		return nil, x.s.unusable(err)
	}
	// A ciphertext that was damaged on its way here could never be decrypted, and whoever gets it may forget the plaintext.
	b := outer{iv: out.InitializationVector, tag: out.AuthenticationTag, metadata: out.CiphertextMetadata, ciphertext: out.Ciphertext}
	if !b.valid() || len(b.ciphertext) != len(inner) || !bytes.Equal(out.CiphertextDataIntegrityValue, b.integrity(aad)) {
		return nil, garbled.use()
	}
	return b.bytes(), nil
}

// decrypt implements link.
func (x *external) decrypt(c *call.Call, k *key, h keys.Header, context map[string]string, body []byte) ([]byte, error) {
	m := k.materials[h.Material]
	b, ok := parseOuter(body)
	if m == nil || !ok {
		return nil, keys.ErrInvalidCiphertext
	}
	aad, err := bound(h, context)
	if err != nil {
		return nil, err
	}
	out, err := x.proxy.Decrypt(c, &xks.DecryptRequest{
		ExternalKeyId: &k.Outside, RequestMetadata: metadataOf(c, k), AdditionalAuthenticatedData: aad, EncryptionAlgorithm: xks.EncryptionAlgorithmAesGcm,
		Ciphertext: b.ciphertext, CiphertextMetadata: b.metadata, InitializationVector: b.iv, AuthenticationTag: b.tag,
	})
	if err != nil {
		return nil, x.s.unusable(err)
	}
	if len(out.Plaintext) != len(b.ciphertext) {
		return nil, garbled.use()
	}
	plaintext, err := m.DecryptBlob(nil, out.Plaintext, context)
	if errors.Is(err, keys.ErrInvalidCiphertext) {
		return nil, otherText.use()
	}
	return plaintext, err
}

// outer is what a proxy makes of a plaintext. In the body of a ciphertext it is
//
//	offset   bytes  what
//	0        1      i, length of the initialization vector: 12 or 16
//	1        i      initialization vector
//	1+i      16     authentication tag
//	17+i     1      m, length of the metadata: 0 to 20
//	18+i     m      metadata
//	18+i+m   n      ciphertext, at least one byte
type outer struct{ iv, tag, metadata, ciphertext []byte }

const outerTag, maxMetadata = 16, 20

func (b *outer) valid() bool {
	return (len(b.iv) == 12 || len(b.iv) == 16) && len(b.tag) == outerTag && len(b.metadata) <= maxMetadata && len(b.ciphertext) > 0
}

// integrity is the hash by which a proxy warrants what it answers.
func (b *outer) integrity(aad []byte) []byte {
	h := sha256.New()
	for _, part := range [][]byte{aad, b.metadata, b.iv, b.ciphertext, b.tag} {
		h.Write(part)
	}
	return h.Sum(nil)
}

func (b *outer) bytes() []byte {
	out := append([]byte{byte(len(b.iv))}, b.iv...)
	out = append(append(out, b.tag...), byte(len(b.metadata)))
	return append(append(out, b.metadata...), b.ciphertext...)
}

// parseOuter undoes bytes.
func parseOuter(body []byte) (b outer, ok bool) {
	cut := func(n int) (part []byte) {
		if ok = ok && len(body) >= n; ok {
			part, body = body[:n], body[n:]
		}
		return part
	}
	length := func() int {
		if one := cut(1); ok {
			return int(one[0])
		}
		return 0
	}
	ok = true
	b.iv = cut(length())
	b.tag = cut(outerTag)
	if n := length(); n > 0 {
		b.metadata = cut(n)
	}
	b.ciphertext = body
	return b, ok && b.valid()
}

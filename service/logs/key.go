package logs

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"time"

	kmsapi "github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/api/logs"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/wire"
)

// A group with a KMS key has a data key that KMS made and only KMS can open. Its chunks are encrypted under it, and under the cloud's own key if it has none. A group may have had several keys:
// each chunk names its own. An open data key is kept for a few minutes, so this is how long a key that is disabled, or taken away, may still be in use.

// keptFor is how long an open data key is kept.
const keptFor = 5 * time.Minute

// maxKept bounds the open data keys in memory.
const maxKept = 10_000

type keyName struct{ group, id string }

type heldKey struct {
	dataKey
	until time.Time
}

// dataKey encrypts chunks. Its nonces are drawn at random, because FIPS 140-3 wants them drawn by the module that encrypts; two of 2^32 chunks with one nonce are less likely than
// 1 in 2^32 (NIST SP 800-38D, section 8.3).
type dataKey struct{ cipher.AEAD }

func newDataKey(key []byte) (dataKey, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return dataKey{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return dataKey{aead}, err
}

func (k dataKey) seal(place string, plaintext []byte) ([]byte, error) {
	return k.Seal(nil, nil, plaintext, []byte(place)), nil
}

func (k dataKey) open(place string, sealed []byte) ([]byte, error) {
	b, err := k.Open(nil, nil, sealed, []byte(place))
	if err != nil {
		return nil, fmt.Errorf("opening a chunk of log events: %w", err)
	}
	return b, nil
}

// own is the call as CloudWatch Logs makes it on behalf of the group. Policies know the service by its name with the region in it:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
func (g *group) own(sourceARN string) *call.Call {
	own := g.c.AsServiceFor(sourceARN)
	own.Scope.Region = g.scope.Region
	own.Caller = identity.RegionalService(logs.Service.EventSource, g.scope.Region)
	return own
}

func (g *group) encryptionContext() map[string]string {
	return map[string]string{"aws:logs:arn": g.arn()}
}

// encryptUnder gives the group a KMS key for what comes in from now on.
func (s *Service) encryptUnder(g *group, key string) error {
	a, err := arn.Parse(key)
	if err != nil || a.Service != "kms" || a.Partition != g.scope.Partition {
		return invalid("Invalid KMS key ARN: " + key)
	}
	out, err := s.cfg.KMS.GenerateDataKey(g.own(g.arn()), &kmsapi.GenerateDataKeyRequest{
		KeyId: &key, KeySpec: kmsapi.DataKeySpecAes256, EncryptionContext: g.encryptionContext(),
	})
	if err != nil {
		return g.ofKMS(err)
	}
	defer clear(out.Plaintext)
	k := &dataKeyRecord{Group: g.ID, Key: *out.KeyId, Encrypted: out.CiphertextBlob}
	if k.ID, err = randomID(g.c.Rand); err != nil {
		return err
	}
	g.Key, g.DataKey = k.Key, k.ID
	return dataKeyTable.In(g.scope.Account, g.scope.Region).Insert(g.c.Tx(), k)
}

// ofKMS is what the service says of an error of KMS.
func (g *group) ofKMS(err error) error {
	if _, ok := errors.AsType[*kmsapi.NotFoundException](err); ok {
		return invalid("The specified KMS Key Id could not be found.")
	}
	if _, ok := errors.AsType[*kmsapi.DisabledException](err); ok {
		return invalid("The specified KMS key is disabled.")
	}
	if _, ok := errors.AsType[*call.Denied](err); ok {
		return &logs.AccessDeniedException{Message: "The specified KMS key does not exist or is not allowed to be used with Arn '" + g.arn() + "'"}
	}
	if m, ok := errors.AsType[wire.ModeledError](err); ok && !m.Schema().Error.Fault {
		return invalid("The specified KMS key cannot be used: " + wire.Message(m))
	}
	return err
}

// dataKey opens a data key of the group.
func (s *Service) dataKey(g *group, id string) (dataKey, error) {
	name := keyName{g.ID, id}
	s.mu.Lock()
	held, ok := s.keys[name]
	s.mu.Unlock()
	if ok && g.c.Time.Before(held.until) && g.c.Time.After(held.until.Add(-2*keptFor)) {
		return held.dataKey, nil
	}
	k, err := dataKeyTable.In(g.scope.Account, g.scope.Region).Get(g.c.Tx(), g.ID, id)
	if err != nil {
		return dataKey{}, fmt.Errorf("finding the data key of a log group: %w", err)
	}
	out, err := s.cfg.KMS.Decrypt(g.own(g.arn()), &kmsapi.DecryptRequest{KeyId: &k.Key, CiphertextBlob: k.Encrypted, EncryptionContext: g.encryptionContext()})
	if err != nil {
		return dataKey{}, g.ofKMS(err)
	}
	defer clear(out.Plaintext)
	key, err := newDataKey(out.Plaintext)
	if err != nil {
		return dataKey{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.keys) >= maxKept {
		clear(s.keys)
	}
	s.keys[name] = heldKey{key, g.c.Time.Add(keptFor)}
	return key, nil
}

// AssociateKmsKey gives a group a KMS key.
func (s *Service) AssociateKmsKey(c *call.Call, in *logs.AssociateKmsKeyRequest) (*logs.AssociateKmsKeyResponse, error) {
	g, err := s.keyed(c, in.LogGroupName, in.ResourceIdentifier)
	if err != nil {
		return nil, err
	}
	if err := s.encryptUnder(g, optional.Value(in.KmsKeyId)); err != nil {
		return nil, err
	}
	return &logs.AssociateKmsKeyResponse{}, g.save()
}

// DisassociateKmsKey takes a group's KMS key away. What it encrypted needs it still.
func (s *Service) DisassociateKmsKey(c *call.Call, in *logs.DisassociateKmsKeyRequest) (*logs.DisassociateKmsKeyResponse, error) {
	g, err := s.keyed(c, in.LogGroupName, in.ResourceIdentifier)
	if err != nil {
		return nil, err
	}
	g.Key, g.DataKey = "", ""
	return &logs.DisassociateKmsKeyResponse{}, g.save()
}

// keyed finds the group whose key is to change.
func (s *Service) keyed(c *call.Call, name, identifier *string) (*group, error) {
	if identifier == nil || name != nil {
		return s.find(identified(c, name, identifier))
	}
	if _, _, ok := groupOf(*identifier); !ok {
		if err := c.Authorize(&call.Resource{ARN: *identifier}); err != nil {
			return nil, err
		}
		return nil, wire.NotImplemented(logs.Service.Package, c.Op.Name+" of query results")
	}
	return s.find(identified(c, nil, identifier))
}

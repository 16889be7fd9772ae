// Package kmsplugin keeps the secrets of a Kubernetes cluster encrypted under a KMS key: it is a plugin of the API server's KMS v2 interface, which wraps the
// seed of the data keys that encrypt what the cluster stores in etcd.
//
// The API server polls Status, about every minute. When the key ID told there changes, it has a new seed wrapped by Encrypt, and what it writes from then on is under
// that. Decrypt is called at its start, for every seed that something is still encrypted under. So all calls are rare, and each is one or two calls of KMS.
//
// https://kubernetes.io/docs/tasks/administer-cluster/kms-provider/
package kmsplugin

import (
	"context"
	"errors"
	"maps"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
)

// Config is what a [Plugin] needs. All of it is required.
type Config struct {
	// Key is the ID, ARN, alias name or alias ARN of a symmetric encryption key.
	Key string
	// Cluster names the cluster. It is bound to each ciphertext, as its encryption context, so that no other cluster's plugin opens it.
	Cluster string
	// Region is the one called.
	Region string
	// KMS returns what calls it. It is asked before each call, so that credentials may change meanwhile.
	KMS func(context.Context) (kms.Client, error)
}

// Plugin serves the API server.
type Plugin struct{ cfg Config }

// New returns the plugin of a cluster. It calls nobody: a plugin may start before KMS does.
func New(cfg Config) *Plugin { return &Plugin{cfg: cfg} }

const (
	// apiVersion is what the API server wants to hear.
	apiVersion = "v2"
	// clusterAnnotation is stored with each ciphertext, in the clear, and tells for which cluster it was made. The API server wants a domain name.
	clusterAnnotation = "cluster.kms-plugin.holdfast"
	// maxCiphertext is what the API server takes.
	maxCiphertext = 1023
)

func (p *Plugin) client(ctx context.Context) (kms.Client, error) {
	client, err := p.cfg.KMS(ctx)
	if err != nil {
		return client, problem(unauthenticated, "%v", err)
	}
	return client, nil
}

// context is the encryption context of everything that the plugin encrypts: whoever may use the key for this cluster need not be let near anything else under it.
func (p *Plugin) context() map[string]string {
	return map[string]string{"purpose": "kubernetes-kms-v2", "cluster": p.cfg.Cluster}
}

func (p *Plugin) annotations() map[string][]byte {
	return map[string][]byte{clusterAnnotation: []byte(p.cfg.Cluster)}
}

// A keyID is what the API server knows key material by: it changes when the key is rotated, and only then. It is the key's ARN, "#" and the material's ID.
func keyID(arn, material string) string { return arn + "#" + material }

func splitKeyID(id string) (arn, material string) {
	arn, material, _ = strings.Cut(id, "#")
	return arn, material
}

// status tells whether the plugin can encrypt and decrypt, and the ID of what it encrypts with. That KMS cannot be reached, or does not let the plugin look at the key, is an
// error, for without the key there is no ID to tell.
func (p *Plugin) status(ctx context.Context) (*statusResponse, error) {
	client, err := p.client(ctx)
	if err != nil {
		return nil, err
	}
	c := &call.Call{Context: ctx}
	key, err := client.DescribeKey(c, &kms.DescribeKeyRequest{KeyId: &p.cfg.Key})
	if err != nil {
		return nil, failed("looking at the key", err)
	}
	m := key.KeyMetadata
	if m == nil || m.Arn == nil || m.CurrentKeyMaterialId == nil {
		return nil, problem(failedPrecondition, "key %s is no symmetric encryption key with material in KMS", p.cfg.Key)
	}
	out := &statusResponse{version: apiVersion, healthz: "ok", keyID: keyID(*m.Arn, *m.CurrentKeyMaterialId)}
	if err := p.rehearse(c, client, *m.Arn); err != nil {
		out.healthz = err.Error()
	}
	return out, nil
}

// rehearse asks KMS whether it would encrypt and decrypt.
func (p *Plugin) rehearse(c *call.Call, client kms.Client, key string) error {
	_, err := client.Encrypt(c, &kms.EncryptRequest{KeyId: &key, Plaintext: make([]byte, 32), EncryptionContext: p.context(), DryRun: new(true)})
	if _, ok := errors.AsType[*kms.DryRunOperationException](err); !ok {
		return failed("encrypting", err)
	}
	_, err = client.Decrypt(c, &kms.DecryptRequest{
		KeyId: &key, EncryptionContext: p.context(), DryRun: new(true), DryRunModifiers: []kms.DryRunModifierType{kms.DryRunModifierTypeIgnoreCiphertext},
	})
	if _, ok := errors.AsType[*kms.DryRunOperationException](err); !ok {
		return failed("decrypting", err)
	}
	return nil
}

// encrypt wraps a seed. It decrypts what it encrypted: a cluster's data hangs on it, and decrypting tells which material it is under.
func (p *Plugin) encrypt(ctx context.Context, in *encryptRequest) (*encryptResponse, error) {
	client, err := p.client(ctx)
	if err != nil {
		return nil, err
	}
	c := &call.Call{Context: ctx}
	made, err := client.Encrypt(c, &kms.EncryptRequest{KeyId: &p.cfg.Key, Plaintext: in.plaintext, EncryptionContext: p.context()})
	if err != nil {
		return nil, failed("encrypting", err)
	}
	if len(made.CiphertextBlob) == 0 || len(made.CiphertextBlob) > maxCiphertext {
		return nil, problem(outOfRange, "encrypting: the ciphertext has %d bytes, and Kubernetes takes 1 to %d", len(made.CiphertextBlob), maxCiphertext)
	}
	back, err := client.Decrypt(c, &kms.DecryptRequest{KeyId: made.KeyId, CiphertextBlob: made.CiphertextBlob, EncryptionContext: p.context()})
	if err != nil {
		return nil, failed("decrypting what was just encrypted", err)
	}
	defer clear(back.Plaintext)
	if string(back.Plaintext) != string(in.plaintext) || back.KeyId == nil || back.KeyMaterialId == nil {
		return nil, problem(internal, "encrypting: what was encrypted decrypts to something else")
	}
	return &encryptResponse{ciphertext: made.CiphertextBlob, keyID: keyID(*back.KeyId, *back.KeyMaterialId), annotations: p.annotations()}, nil
}

// decrypt unwraps what encrypt wrapped, under the current material of the key or any earlier.
func (p *Plugin) decrypt(ctx context.Context, in *decryptRequest) (*decryptResponse, error) {
	if !maps.EqualFunc(in.annotations, p.annotations(), func(a, b []byte) bool { return string(a) == string(b) }) {
		return nil, problem(invalidArgument, "decrypting: it was not made for cluster %q, but for %q", p.cfg.Cluster, in.annotations[clusterAnnotation])
	}
	key, material := splitKeyID(in.keyID)
	if material == "" {
		return nil, problem(invalidArgument, "decrypting: key ID %q is none of this plugin's", in.keyID)
	}
	key = p.here(key)
	client, err := p.client(ctx)
	if err != nil {
		return nil, err
	}
	out, err := client.Decrypt(&call.Call{Context: ctx}, &kms.DecryptRequest{KeyId: &key, CiphertextBlob: in.ciphertext, EncryptionContext: p.context()})
	if err != nil {
		return nil, failed("decrypting", err)
	}
	if out.KeyMaterialId == nil || *out.KeyMaterialId != material {
		clear(out.Plaintext)
		return nil, problem(invalidArgument, "decrypting: it is under other key material than its key ID says")
	}
	return &decryptResponse{plaintext: out.Plaintext}, nil
}

// here is the ARN that a key has in the region called: a multi-Region key has one in each.
func (p *Plugin) here(key string) string {
	a, err := arn.Parse(key)
	if err != nil || !strings.HasPrefix(a.Resource, "key/mrk-") {
		return key
	}
	a.Region = p.cfg.Region
	return a.String()
}

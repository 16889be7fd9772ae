// Package awskms is the seal whose root key is a key of another KMS: AWS's, or another Holdfast's. The key never leaves it: a data key, new with each wrapping, wraps
// the keyring, and the KMS encrypts the data key.
//
// Whoever may call kms:Decrypt with that key and reads the data directory opens the cloud, and the trail of the KMS tells of each opening.
package awskms

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/remote"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/sigv4"
	"github.com/holdfast-cloud/holdfast/wire"
)

// Config names the key and the way to it.
type Config struct {
	Key         string // an ARN, an ID, or an alias; it must encrypt symmetrically
	Region      string // empty is the one in the key's ARN, or the AWS configuration's
	Endpoint    string // https://..., or http:// on this machine; empty is AWS's for the region
	CA          string // a PEM file with the authorities that vouch for the endpoint; empty is the system's
	Profile     string // of the AWS configuration files; empty is the default
	Credentials string // a file of the form of ~/.aws/credentials, instead of that one
}

// patience is how long one call to the KMS may take.
const patience = 15 * time.Second

// encryptionContext tells the ciphertexts from others under the same key; key policies can demand it.
func encryptionContext() map[string]string { return map[string]string{"holdfast:seal": "keyring"} }

// Seal is the [seal.Provider]. While the KMS does not answer it returns [seal.ErrUnavailable].
type Seal struct {
	key         string
	transport   remote.Transport // without credentials, which may change
	credentials aws.CredentialsProvider
}

// New returns the seal. Credentials come from where every AWS tool finds them: the environment, the configuration files, a role of the machine or the container. The
// endpoint does not: a server that finds its own endpoint in its environment would wait for itself.
func New(ctx context.Context, cfg Config) (*Seal, error) {
	if cfg.Key == "" {
		return nil, errors.New("seal: the KMS key is missing: awskms:KEY-ARN")
	}
	var options []func(*config.LoadOptions) error
	if cfg.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(cfg.Profile))
	}
	if cfg.Credentials != "" {
		options = append(options, config.WithSharedCredentialsFiles([]string{cfg.Credentials}), config.WithSharedConfigFiles(nil))
	}
	found, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("seal: reading the AWS configuration: %w", err)
	}
	region := found.Region
	if part := strings.Split(cfg.Key, ":"); len(part) == 6 && part[0] == "arn" {
		region = part[3]
	}
	if cfg.Region != "" {
		region = cfg.Region
	}
	if region == "" {
		return nil, fmt.Errorf("seal: the region of the KMS key %s is not known: give its ARN, or region=", cfg.Key)
	}
	endpoint, err := endpointOf(cfg.Endpoint, region)
	if err != nil {
		return nil, err
	}
	client, err := httpClient(cfg.CA)
	if err != nil {
		return nil, err
	}
	return &Seal{key: cfg.Key, transport: remote.Transport{Endpoint: endpoint, Region: region, HTTP: client}, credentials: found.Credentials}, nil
}

func endpointOf(text, region string) (*url.URL, error) {
	if text == "" {
		domain := "amazonaws.com"
		if strings.HasPrefix(region, "cn-") {
			domain += ".cn"
		}
		text = "https://kms." + region + "." + domain
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("seal: the KMS's endpoint is no URL such as https://kms.example.com")
	}
	if ip := net.ParseIP(u.Hostname()); u.Scheme == "http" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("seal: the KMS's endpoint %s is neither https nor on this machine, so the root key could be overheard", text)
	}
	return u, nil
}

func httpClient(ca string) (*http.Client, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("seal: reading the authorities of the KMS's endpoint: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("seal: %s holds no certificate", ca)
		}
	}
	return &http.Client{
		Timeout: patience, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: t, ForceAttemptHTTP2: true, IdleConnTimeout: patience},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// Kind implements [seal.Provider].
func (*Seal) Kind() string { return "awskms" }

// Create implements [seal.Provider]. The key is made by whoever has the KMS.
func (*Seal) Create(context.Context) error { return nil }

// What is stored, before what the data key wraps and authenticated with it:
//
//	1     format, 1
//	2, *  the ARN of the KMS key, after its length, big-endian: to say which one it was
//	2, *  the data key, encrypted by it
const format = 1

// Wrap implements [seal.Provider].
func (s *Seal) Wrap(ctx context.Context, keyring []byte) ([]byte, error) {
	client, c, err := s.client(ctx)
	if err != nil {
		return nil, err
	}
	dataKey := make([]byte, 32)
	defer clear(dataKey)
	rand.Read(dataKey)
	out, err := client.Encrypt(c, &kms.EncryptRequest{KeyId: &s.key, Plaintext: dataKey, EncryptionContext: encryptionContext()})
	if err != nil {
		return nil, s.explain(err, "")
	}
	prefix := []byte{format}
	for _, part := range [][]byte{[]byte(aws.ToString(out.KeyId)), out.CiphertextBlob} {
		prefix = binary.BigEndian.AppendUint16(prefix, uint16(len(part)))
		prefix = append(prefix, part...)
	}
	root, err := seal.NewKey(dataKey)
	if err != nil {
		return nil, err
	}
	return root.WrapAfter(prefix, keyring), nil
}

// Unwrap implements [seal.Provider]. The KMS is asked to decrypt by the key that was configured, and not by the one that is stored: who can write to the store must not
// choose it.
func (s *Seal) Unwrap(ctx context.Context, wrapped []byte) ([]byte, error) {
	arn, encrypted, prefix, err := decode(wrapped)
	if err != nil {
		return nil, err
	}
	client, c, err := s.client(ctx)
	if err != nil {
		return nil, err
	}
	out, err := client.Decrypt(c, &kms.DecryptRequest{KeyId: &s.key, CiphertextBlob: encrypted, EncryptionContext: encryptionContext()})
	if err != nil {
		return nil, s.explain(err, arn)
	}
	defer clear(out.Plaintext)
	root, err := seal.NewKey(out.Plaintext)
	if err != nil {
		return nil, seal.ErrDamaged
	}
	return root.UnwrapAfter(prefix, wrapped[len(prefix):])
}

func decode(wrapped []byte) (arn string, encrypted, prefix []byte, err error) {
	if len(wrapped) < 1 || wrapped[0] != format {
		return "", nil, nil, seal.ErrDamaged
	}
	rest := wrapped[1:]
	var parts [2][]byte
	for i := range parts {
		if len(rest) < 2 || len(rest)-2 < int(binary.BigEndian.Uint16(rest)) {
			return "", nil, nil, seal.ErrDamaged
		}
		n := int(binary.BigEndian.Uint16(rest))
		parts[i], rest = rest[2:2+n], rest[2+n:]
	}
	n := len(wrapped) - len(rest)
	return string(parts[0]), parts[1], wrapped[:n:n], nil
}

func (s *Seal) client(ctx context.Context) (kms.Client, *call.Call, error) {
	found, err := s.credentials.Retrieve(ctx)
	if err != nil {
		return kms.Client{}, nil, fmt.Errorf("%w: finding AWS credentials for the KMS that holds it: %w", seal.ErrUnavailable, err)
	}
	t := s.transport
	t.Credentials = sigv4.Credentials{AccessKeyID: found.AccessKeyID, Secret: found.SecretAccessKey, SessionToken: found.SessionToken}
	return kms.Client{Transport: &t}, &call.Call{Context: ctx}, nil
}

// explain tells whether the KMS will say something else later, and what is wrong if not. Which key sealed is empty while sealing.
func (s *Seal) explain(err error, sealedBy string) error {
	var known wire.ModeledError
	var plain *wire.Error
	switch {
	case errors.As(err, &known):
	case !errors.As(err, &plain):
		return fmt.Errorf("%w: the KMS that holds it does not answer: %w", seal.ErrUnavailable, err)
	case plain.Status >= 500 || plain.Status == http.StatusTooManyRequests || strings.Contains(plain.Code, "Throttl") || strings.HasPrefix(plain.Code, "ExpiredToken"):
		return fmt.Errorf("%w: the KMS that holds it answers %w", seal.ErrUnavailable, err)
	case strings.HasPrefix(plain.Code, "AccessDenied"):
		return fmt.Errorf("%w: the KMS key %s may not be used: %w", seal.ErrNoRoot, s.key, err)
	default:
		return fmt.Errorf("%w: the KMS refuses: %w", seal.ErrNoRoot, err)
	}
	switch known.(type) {
	case *kms.KMSInternalException, *kms.DependencyTimeoutException, *kms.KeyUnavailableException:
		return fmt.Errorf("%w: the KMS that holds it answers %w", seal.ErrUnavailable, err)
	case *kms.IncorrectKeyException, *kms.InvalidCiphertextException:
		return fmt.Errorf("%w: it was sealed by the KMS key %s, and %s is another, or it was altered", seal.ErrWrongRoot, sealedBy, s.key)
	case *kms.NotFoundException:
		return fmt.Errorf("%w: the KMS has no key %s", seal.ErrNoRoot, s.key)
	}
	return fmt.Errorf("%w: the KMS key %s is disabled, about to be deleted, or of no use here: %w", seal.ErrNoRoot, s.key, err)
}

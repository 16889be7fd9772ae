package remote

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/sigv4"
)

// PeersConfig says which processes are one cloud.
type PeersConfig struct {
	// Secret is what the processes have in common, at least MinSecret bytes that nobody can guess. Whoever has it can make keys and read their material.
	Secret []byte
	// Regions are served by this process.
	Regions []string
	// Peers are the processes that serve others, by region: https URLs, or http ones on loopback.
	Peers map[string]*url.URL
	// CAs vouch for the peers' certificates; nil are those that the machine trusts.
	CAs *x509.CertPool
	// Caller is the service principal as which peers call each other.
	Caller string
}

// MinSecret is the least length of the secret, in bytes: as many as 32 random ones take in base64 are better.
const MinSecret = 32

// Peers are the processes of one cloud that serve other regions than this one. What they send each other is signed and encrypted under keys that follow from their secret, one
// for each pair of regions and direction, so that neither TLS nor its want decides who reads it.
type Peers struct {
	cfg         PeersConfig
	client      *http.Client
	credentials map[string]*identity.Credential // of the peers, by access key ID
}

// NewPeers checks the configuration. It calls nobody.
func NewPeers(cfg PeersConfig) (*Peers, error) {
	if len(cfg.Secret) < MinSecret {
		return nil, fmt.Errorf("the peers' secret has %d bytes, and needs %d or more", len(cfg.Secret), MinSecret)
	}
	cfg.Regions = slices.Compact(slices.Sorted(slices.Values(cfg.Regions)))
	p := &Peers{cfg: cfg, credentials: make(map[string]*identity.Credential), client: newClient(cfg.CAs)}
	caller := identity.Service(cfg.Caller)
	for region, u := range cfg.Peers {
		if slices.Contains(cfg.Regions, region) {
			return nil, fmt.Errorf("region %s is served here, and cannot have a peer", region)
		}
		if err := checkURL(u); err != nil {
			return nil, fmt.Errorf("the peer of region %s: %w", region, err)
		}
		signs, err := p.signsAs(region)
		if err != nil {
			return nil, err
		}
		p.credentials[signs.AccessKeyID] = &identity.Credential{Secret: signs.Secret, Principal: caller}
	}
	return p, nil
}

// checkURL holds peers to the rule of all callers: what is not encrypted stays on the machine.
func checkURL(u *url.URL) error {
	if u == nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
		return errors.New("it is no URL such as https://cloud.example.com:4566")
	}
	if ip := net.ParseIP(u.Hostname()); u.Scheme == "http" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return errors.New("off loopback its URL must begin with https")
	}
	return nil
}

// patience is how long a peer may take to answer a call.
const patience = 10 * time.Second

func newClient(cas *x509.CertPool) *http.Client {
	return &http.Client{
		Timeout: patience,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: cas, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true,
			MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute,
		},
		// A signed call is for whom it is signed for.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Serves reports whether this process serves a region.
func (p *Peers) Serves(region string) bool { return slices.Contains(p.cfg.Regions, region) }

// Has reports whether a peer serves a region.
func (p *Peers) Has(region string) bool { return p.cfg.Peers[region] != nil }

// Regions are those that peers serve, sorted.
func (p *Peers) Regions() []string {
	var out []string
	for region := range p.cfg.Peers {
		out = append(out, region)
	}
	slices.Sort(out)
	return out
}

// Credential is what a peer signs with. It reports false for an access key that is none of a peer's.
func (p *Peers) Credential(accessKeyID string) (*identity.Credential, bool) {
	c, ok := p.credentials[accessKeyID]
	return c, ok
}

const accessKeyPrefix = "peer-"

// Sender is the region of the peer that signed a call with the access key, or "".
func Sender(accessKeyID string) string {
	region, ok := strings.CutPrefix(accessKeyID, accessKeyPrefix)
	if !ok {
		return ""
	}
	return region
}

// signsAs is what a region's process signs with. That the signature is for the receiver's region is in its scope.
func (p *Peers) signsAs(region string) (sigv4.Credentials, error) {
	key, err := p.key("signature", region)
	if err != nil {
		return sigv4.Credentials{}, err
	}
	return sigv4.Credentials{AccessKeyID: accessKeyPrefix + region, Secret: base64.RawStdEncoding.EncodeToString(key)}, nil
}

// Transport carries calls from a region that is served here to one that a peer serves.
func (p *Peers) Transport(sender, receiver string) (call.Transport, error) {
	if !p.Serves(sender) || !p.Has(receiver) {
		return nil, fmt.Errorf("there is no way from region %s to region %s", sender, receiver)
	}
	signs, err := p.signsAs(sender)
	if err != nil {
		return nil, err
	}
	return &Transport{Endpoint: p.cfg.Peers[receiver], Region: receiver, Credentials: signs, HTTP: p.client}, nil
}

// Wrap encrypts what goes from one region to another, for a place that the receiver knows as well. Wrapping the same twice gives different bytes.
func (p *Peers) Wrap(sender, receiver string, place []string, plaintext []byte) ([]byte, error) {
	aead, err := p.aead(sender, receiver)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, plaintext, encode(place)), nil
}

// ErrForeign is answered to what was not wrapped for just this way and place by a peer that has the same secret, or was altered.
var ErrForeign = errors.New("it was altered, or comes from somebody who does not have the secret of the peers")

// Unwrap opens what Wrap made.
func (p *Peers) Unwrap(sender, receiver string, place []string, wrapped []byte) ([]byte, error) {
	aead, err := p.aead(sender, receiver)
	if err != nil {
		return nil, err
	}
	plaintext, err := aead.Open(nil, nil, wrapped, encode(place))
	if err != nil {
		return nil, ErrForeign
	}
	return plaintext, nil
}

// aead draws its nonces at random: each pair of regions and direction has a key of its own, which stays far below the 2³² messages that NIST SP 800-38D allows.
func (p *Peers) aead(sender, receiver string) (cipher.AEAD, error) {
	key, err := p.key("envelope", sender, receiver)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// key derives the key for a purpose: https://www.rfc-editor.org/rfc/rfc5869
func (p *Peers) key(purpose ...string) ([]byte, error) {
	return hkdf.Key(sha256.New, p.cfg.Secret, nil, "holdfast peers\x00"+string(encode(purpose)), 32)
}

// encode puts names together so that no other names give the same bytes.
func encode(names []string) (b []byte) {
	for _, n := range names {
		b = binary.BigEndian.AppendUint32(b, uint32(len(n)))
		b = append(b, n...)
	}
	return b
}

// Close ends the connections that are kept open.
func (p *Peers) Close() { p.client.CloseIdleConnections() }

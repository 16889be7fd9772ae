// Package kmsclient calls a KMS elsewhere, AWS's or another Holdfast's, in the way of the AWS tools: with credentials from the environment, the configuration files, a
// web identity token, or a role of the machine or container.
package kmsclient

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/remote"
	"github.com/holdfast-cloud/holdfast/sigv4"
)

// ErrCredentials says that there are no credentials to call with, for now.
var ErrCredentials = errors.New("finding AWS credentials")

// Config says where a KMS is, and who calls it. Only Key is required.
type Config struct {
	Key         string        // what is called for: its ARN, if it is one, tells the region
	Region      string        // empty is the key's, or the AWS configuration's; if that has none and the endpoint is not AWS's, us-east-1, as of a Holdfast
	Endpoint    string        // https://..., or http:// on this machine; empty is AWS's for the region
	CA          string        // a PEM file with the authorities that vouch for the endpoint; empty is the system's
	Profile     string        // of the AWS configuration files; empty is the default
	Credentials string        // a file of the form of ~/.aws/credentials, before the environment and instead of the configuration files
	Patience    time.Duration // with one call, and with finding credentials for it; 0 is 10 s
	Clock       clock.Clock   // by which credentials expire; nil is the machine's
}

// Client calls one KMS. Several may use it at once.
type Client struct {
	cfg       Config
	transport remote.Transport // without credentials
	options   []func(*config.LoadOptions) error

	mu   sync.Mutex // guards held; nothing is waited for under it
	held aws.Credentials
}

// New returns a client. It reads configuration files, and calls nobody.
//
// The endpoint does not come from the environment: a server that finds its own there would call itself. Whoever wants that puts it into Config.
func New(ctx context.Context, cfg Config) (*Client, error) {
	cfg.Patience = cmp.Or(cfg.Patience, 10*time.Second)
	if cfg.Clock == nil {
		cfg.Clock = new(clock.Real)
	}
	c := &Client{cfg: cfg}
	if cfg.Credentials != "" {
		if _, err := os.Stat(cfg.Credentials); err != nil {
			return nil, fmt.Errorf("reading the credentials: %w", err)
		}
		c.options = append(c.options, config.WithSharedCredentialsFiles([]string{cfg.Credentials}), config.WithSharedConfigFiles(nil))
		cfg.Profile = cmp.Or(cfg.Profile, os.Getenv("AWS_PROFILE"), "default") // the SDK prefers the environment's credentials to those of a profile nobody named
	}
	if cfg.Profile != "" {
		c.options = append(c.options, config.WithSharedConfigProfile(cfg.Profile))
	}
	found, err := config.LoadDefaultConfig(ctx, c.options...)
	if err != nil {
		return nil, fmt.Errorf("reading the AWS configuration: %w", err)
	}
	a, _ := arn.Parse(cfg.Key)
	region := cmp.Or(cfg.Region, a.Region, found.Region)
	endpoint, err := parseEndpoint(cfg.Endpoint)
	if err != nil {
		return nil, err
	}
	own := endpoint != nil && !strings.Contains(endpoint.Hostname(), ".amazonaws.com")
	switch {
	case region == "" && own:
		region = "us-east-1"
	case region == "":
		return nil, fmt.Errorf("the region of the KMS key %s is not known", cfg.Key)
	}
	c.options = append(c.options, config.WithRegion(region), config.WithCredentialsCacheOptions(func(o *aws.CredentialsCacheOptions) { o.ExpiryWindow = 0 })) // see renewal
	if endpoint == nil {
		endpoint = awsEndpoint(region)
	}
	c.transport = remote.Transport{Endpoint: endpoint, Region: region}
	if own {
		c.assumeHere()
	}
	if err := c.trust(); err != nil {
		return nil, err
	}
	return c, nil
}

func parseEndpoint(text string) (*url.URL, error) {
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("the endpoint of the KMS is no URL such as https://kms.example.com")
	}
	if ip := net.ParseIP(u.Hostname()); u.Scheme == "http" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("the endpoint %s of the KMS is not on this machine, so keys could be overheard: https is required", text)
	}
	return u, nil
}

func awsEndpoint(region string) *url.URL {
	domain := "amazonaws.com"
	if strings.HasPrefix(region, "cn-") {
		domain += ".cn"
	}
	return &url.URL{Scheme: "https", Host: "kms." + region + "." + domain}
}

// trust sets how the KMS is reached.
func (c *Client) trust() error {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.cfg.CA != "" {
		pem, err := os.ReadFile(c.cfg.CA)
		if err != nil {
			return fmt.Errorf("reading the authorities of the KMS's endpoint: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("%s has no certificate in it", c.cfg.CA)
		}
	}
	c.transport.HTTP = &http.Client{
		Timeout: c.cfg.Patience,
		// Compressed objects are taken as they are stored.
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: t, ForceAttemptHTTP2: true, IdleConnTimeout: time.Minute, DisableCompression: true},
		// A signed call is for whom it is signed for.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return nil
}

// assumeHere has roles assumed where the KMS is. One that is not AWS's knows only roles of its own cloud.
func (c *Client) assumeHere() {
	here := func(o sts.Options) *sts.Client {
		o.BaseEndpoint, o.HTTPClient = new(c.Endpoint()), c.transport.HTTP
		return sts.New(o)
	}
	c.options = append(c.options,
		config.WithAssumeRoleCredentialOptions(func(o *stscreds.AssumeRoleOptions) {
			if theirs, ok := o.Client.(*sts.Client); ok {
				o.Client = here(theirs.Options())
			}
		}),
		config.WithWebIdentityRoleCredentialOptions(func(o *stscreds.WebIdentityRoleOptions) { o.Client = here(sts.Options{Region: c.Region()}) }),
	)
}

// Region is the one that is called.
func (c *Client) Region() string { return c.transport.Region }

// Endpoint is where the KMS is.
func (c *Client) Endpoint() string { return c.transport.Endpoint.String() }

// KMS returns what calls the KMS with the credentials of now. It is for one call, or a few in a row. The error is [ErrCredentials].
func (c *Client) KMS(ctx context.Context) (kms.Client, error) {
	t, err := c.Transport(ctx)
	if err != nil {
		return kms.Client{}, err
	}
	return kms.Client{Transport: t}, nil
}

// Transport is as [Client.KMS], for the client of another service at the same endpoint. It is the caller's own.
func (c *Client) Transport(ctx context.Context) (*remote.Transport, error) {
	found, err := c.credentials(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCredentials, err)
	}
	t := c.transport
	t.Credentials = sigv4.Credentials{AccessKeyID: found.AccessKeyID, Secret: found.SecretAccessKey, SessionToken: found.SessionToken}
	return &t, nil
}

// renewal is how long before credentials expire others are looked for.
const renewal = 5 * time.Minute

// credentials are looked for anew each time, so that files may change, except that those that expire, which somebody was asked for, are held until shortly before that.
// When there are no new ones then, they do until they expire.
func (c *Client) credentials(ctx context.Context) (aws.Credentials, error) {
	c.mu.Lock()
	held, now := c.held, c.cfg.Clock.Now()
	c.mu.Unlock()
	if held.CanExpire && now.Add(renewal).Before(held.Expires) {
		return held, nil
	}
	found, err := c.find(ctx)
	if err != nil {
		if held.CanExpire && now.Before(held.Expires) {
			return held, nil
		}
		return found, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = found
	return found, nil
}

func (c *Client) find(ctx context.Context) (aws.Credentials, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Patience)
	defer cancel()
	cfg, err := config.LoadDefaultConfig(ctx, c.options...)
	if err != nil {
		return aws.Credentials{}, err
	}
	found, err := cfg.Credentials.Retrieve(ctx)
	if _, ok := errors.AsType[*processcreds.ProviderError](err); ok {
		return found, errors.New("the credential_process of the AWS configuration prints none") // the SDK's error quotes what it prints
	}
	return found, err
}

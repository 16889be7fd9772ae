// Package cloudtest starts a whole cloud inside a Go test, in milliseconds: real cryptography, real policies, signatures verified, on a
// loopback port, with everything in memory and a clock that the test moves.
//
//	func TestMyCode(t *testing.T) {
//		c := cloudtest.Start(t)
//		client := kms.NewFromConfig(c.Config()) // the AWS SDK's, as the root user of the default account
//		...
//		c.Advance(90 * 24 * time.Hour)          // ninety days of rotations and deletions happen now
//	}
package cloudtest

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/cloud"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/sdkclient"
)

// Cloud is a cloud that runs until its test ends.
type Cloud struct {
	*cloud.Cloud
	// URL is the endpoint, e.g. http://127.0.0.1:41234.
	URL string
	// Account and Region are the defaults.
	Account, Region string
	// Clock is the cloud's clock. It runs with real time; Advance moves it.
	Clock *clock.Movable

	t                 testing.TB
	rootKey, rootPass string
}

// Start starts a strict cloud. Options change how.
func Start(t testing.TB, options ...func(*cloud.Config)) *Cloud {
	t.Helper()
	c := &Cloud{t: t, Clock: clock.NewMovable(0)}
	cfg := cloud.Config{Account: "111122223333", Region: "us-east-1", Clock: c.Clock, Log: slog.New(slog.NewTextHandler(logTo{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	cfg.IdentityProviders.Timeout = time.Minute // so that a busy machine does not make one look down
	for _, o := range options {
		o(&cfg)
	}
	if m, ok := cfg.Clock.(*clock.Movable); ok {
		c.Clock = m
	}
	c.Account, c.Region = cfg.Account, cfg.Region
	server := httptest.NewUnstartedServer(nil)
	c.URL = "http://" + server.Listener.Addr().String()
	if cfg.PublicURL == "" {
		cfg.PublicURL = c.URL
	}
	// Where a test's identity provider is, with TLS or without, its external key store proxy, its webhooks, and its databases.
	cfg.IdentityProviders.PlainLoopback = true
	cfg.IdentityProviders.Allow = append(cfg.IdentityProviders.Allow, netip.MustParsePrefix("127.0.0.0/8"))
	cfg.ExternalKeyStores.Allow = append(cfg.ExternalKeyStores.Allow, netip.MustParsePrefix("127.0.0.0/8"))
	cfg.Webhooks.Guard.Allow = append(cfg.Webhooks.Guard.Allow, netip.MustParsePrefix("127.0.0.0/8"))
	cfg.Databases.Guard.Allow = append(cfg.Databases.Guard.Allow, netip.MustParsePrefix("127.0.0.0/8"))
	inner, err := cloud.Open(context.Background(), cfg)
	if err != nil {
		server.Listener.Close()
		t.Fatalf("cloudtest: opening a cloud: %v", err)
	}
	c.Cloud = inner
	server.Config.Handler = inner
	server.Start()
	t.Cleanup(func() {
		server.Close()
		if err := inner.Close(); err != nil {
			t.Errorf("cloudtest: closing the cloud: %v", err)
		}
	})
	if c.rootKey, c.rootPass, err = c.CreateKey(context.Background(), c.Account, ""); err != nil {
		t.Fatalf("cloudtest: making the root user's access key: %v", err)
	}
	return c
}

// Config is the AWS SDK's configuration for the root user of the default account.
func (c *Cloud) Config() aws.Config { return c.As(c.rootKey, c.rootPass) }

// As is the AWS SDK's configuration for an access key. Nothing is tried again, so that a test sees each answer.
func (c *Cloud) As(accessKeyID, secret string) aws.Config {
	return sdkclient.Config(c.URL, c.Region, credentials.NewStaticCredentialsProvider(accessKeyID, secret, ""))
}

// Root is the AWS SDK's configuration for the root user of any account.
func (c *Cloud) Root(account string) aws.Config {
	c.t.Helper()
	return c.user(account, "")
}

// User makes an IAM user with the given identity policies, or replaces those it has, and returns the AWS SDK's configuration for it.
func (c *Cloud) User(account, name string, policies ...string) aws.Config {
	c.t.Helper()
	u := identity.User{Account: account, Name: name}
	u.Inline = make(map[string]string)
	for i, p := range policies {
		u.Inline["policy-"+string(rune('a'+i))] = p
	}
	if err := c.PutUser(context.Background(), u); err != nil {
		c.t.Fatalf("cloudtest: making user %s of account %s: %v", name, account, err)
	}
	return c.user(account, name)
}

// Role makes an IAM role with a trust policy and identity policies, or replaces those it has, and returns its ARN. Sessions of it last up to twelve hours.
func (c *Cloud) Role(account, name, trust string, policies ...string) string {
	c.t.Helper()
	r := identity.Role{Account: account, Name: name, Trust: trust, MaxSession: 12 * time.Hour}
	r.Inline = make(map[string]string)
	for i, p := range policies {
		r.Inline["policy-"+string(rune('a'+i))] = p
	}
	if err := c.PutRole(context.Background(), r); err != nil {
		c.t.Fatalf("cloudtest: making role %s of account %s: %v", name, account, err)
	}
	return r.ARN(door.PartitionOf(c.Region))
}

// Session is the AWS SDK's configuration for temporary credentials.
func (c *Cloud) Session(accessKeyID, secret, token string) aws.Config {
	cfg := c.As(accessKeyID, secret)
	cfg.Credentials = credentials.NewStaticCredentialsProvider(accessKeyID, secret, token)
	return cfg
}

func (c *Cloud) user(account, name string) aws.Config {
	c.t.Helper()
	id, secret, err := c.CreateKey(context.Background(), account, name)
	if err != nil {
		c.t.Fatalf("cloudtest: making an access key: %v", err)
	}
	return c.As(id, secret)
}

// Advance moves the clock on by d. It returns when every timer due by then has fired.
func (c *Cloud) Advance(d time.Duration) {
	c.t.Helper()
	if err := c.MoveClock(context.Background(), c.Clock.Now().Add(d)); err != nil {
		c.t.Fatalf("cloudtest: moving the clock by %s: %v", d, err)
	}
}

// Event is what tests mostly ask of an audit record; Raw is all of it.
type Event struct {
	EventID, EventName, EventSource, ErrorCode, ErrorMessage string
	RecipientAccountID                                       string `json:"recipientAccountId"`
	SharedEventID                                            string
	UserIdentity                                             struct{ Type, ARN, AccountID, InvokedBy string }
	RequestParameters, ResponseElements                      map[string]any
	Resources                                                []struct{ AccountID, Type, ARN string }
	ReadOnly                                                 bool
	EventType                                                string
	Raw                                                      json.RawMessage `json:"-"`
}

// Trail returns the audit records of an account, oldest first.
func (c *Cloud) Trail(account string) []Event {
	c.t.Helper()
	raw, err := c.Events(context.Background(), audit.Filter{Account: account})
	if err != nil {
		c.t.Fatalf("cloudtest: reading the audit records: %v", err)
	}
	events := make([]Event, len(raw))
	for i, r := range raw {
		if err := json.Unmarshal(r, &events[i]); err != nil {
			c.t.Fatalf("cloudtest: reading an audit record: %v", err)
		}
		events[i].Raw = r
	}
	return events
}

// logTo writes log lines to the test.
type logTo struct{ t testing.TB }

func (l logTo) Write(b []byte) (int, error) {
	if l.t.Context().Err() != nil {
		return 0, errors.New("the test is over")
	}
	l.t.Logf("%s", b)
	return len(b), nil
}

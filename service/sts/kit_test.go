package sts_test

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"

	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/cloud/cloudtest"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/engine/oidc"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/sdkclient"
	"github.com/holdfast-cloud/holdfast/organization"
	"github.com/holdfast-cloud/holdfast/seal"
	service "github.com/holdfast-cloud/holdfast/service/sts"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
)

const other = "444455556666" // another account

func allow(actions string) string {
	return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":` + actions + `,"Resource":"*"}}`
}

func deny(actions string) string {
	return strings.Replace(allow(actions), "Allow", "Deny", 1)
}

// trust lets a principal, written as JSON, do all that sessions need; conditions may be empty.
func trust(principal, conditions string) string {
	if conditions != "" {
		conditions = `,"Condition":` + conditions
	}
	return `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":` + principal +
		`,"Action":["sts:AssumeRole*","sts:TagSession","sts:SetSourceIdentity"]` + conditions + `}}`
}

func account(id string) string { return `{"AWS":"arn:aws:iam::` + id + `:root"}` }

// role is the least that AssumeRole takes.
func role(arn string) *sts.AssumeRoleInput {
	return &sts.AssumeRoleInput{RoleArn: &arn, RoleSessionName: aws.String("session")}
}

func with(c *cloudtest.Cloud, k *types.Credentials) aws.Config {
	return c.Session(*k.AccessKeyId, *k.SecretAccessKey, *k.SessionToken)
}

// assume assumes a role, which must succeed.
func assume(t *testing.T, c *cloudtest.Cloud, as aws.Config, in *sts.AssumeRoleInput) aws.Config {
	t.Helper()
	out, err := sts.NewFromConfig(as).AssumeRole(t.Context(), in)
	if err != nil {
		t.Fatalf("AssumeRole(%s): %v", *in.RoleArn, err)
	}
	return with(c, out.Credentials)
}

// whoami is the ARN that the cloud knows somebody by, or the code of the error.
func whoami(t *testing.T, as aws.Config) string {
	t.Helper()
	out, err := sts.NewFromConfig(as).GetCallerIdentity(t.Context(), nil)
	if err != nil {
		return code(err)
	}
	return *out.Arn
}

func code(err error) string {
	if e, ok := errors.AsType[smithy.APIError](err); ok {
		return e.ErrorCode()
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

// wantError fails unless err has the code and the message, which may be cut.
func wantError(t *testing.T, err error, wantCode, message string) {
	t.Helper()
	e, ok := errors.AsType[smithy.APIError](err)
	if !ok || e.ErrorCode() != wantCode || !strings.HasPrefix(e.ErrorMessage(), message) {
		t.Errorf("got %v, want %s: %s", err, wantCode, message)
	}
}

func tag(key, value string) types.Tag { return types.Tag{Key: &key, Value: &value} }

// putShort makes a role whose sessions last an hour at most.
func putShort(t *testing.T, c *cloudtest.Cloud, name, trust string) {
	t.Helper()
	if err := c.PutRole(t.Context(), identity.Role{Account: c.Account, Name: name, Trust: trust, MaxSession: time.Hour}); err != nil {
		t.Fatal(err)
	}
}

// house is the service alone behind a door, with its store at hand: for records that other services make.
type house struct {
	t         *testing.T
	url       string
	store     store.Store
	clock     *clock.Movable
	directory *identity.Directory
	service   *service.Service
	trail     *audit.Trail
	keys      *seal.Keyring
}

// home is the account of a house.
const home = "111122223333"

func build(t *testing.T) *house {
	t.Helper()
	return waiting(t, time.Minute) // so that a busy machine does not make an identity provider look down
}

// waiting is a house whose service waits so long for each document of an identity provider.
func waiting(t *testing.T, timeout time.Duration) *house {
	t.Helper()
	h := &house{t: t, store: memstore.New(), clock: clock.NewMovable(0)}
	t.Cleanup(func() { h.store.Close() })
	t.Cleanup(h.clock.Hold()) // a code must not grow old between two lines of a test
	keys := seal.Ephemeral()
	h.keys = keys
	h.directory = identity.New(h.store, keys, "aws")
	members := organization.New(h.store, "aws")
	server := httptest.NewUnstartedServer(nil)
	h.url = "http://" + server.Listener.Addr().String()
	var err error
	h.service, err = service.New(service.Config{
		Store: h.store, Seal: keys, Directory: h.directory, Organizations: members, Partition: "aws", PublicURL: h.url, World: new(clock.Real),
		Verifier: oidc.New(oidc.Config{PlainLoopback: true, Timeout: timeout}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if h.trail, err = audit.Open(audit.Config{Store: h.store}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.trail.Close() })
	d, err := door.New(door.Config{
		Store: h.store, Clock: h.clock, Signatures: new(clock.Real), Trail: h.trail, Directory: h.directory, Organizations: members,
		Log:       slog.New(slog.DiscardHandler),
		Partition: "aws", Account: home, Region: "us-east-1",
	}, h.service.Room())
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, ok := strings.CutPrefix(r.URL.Path, identity.IssuerPath)
		if !ok {
			d.ServeHTTP(w, r)
			return
		}
		doc, err := h.service.Document(r.Context(), path)
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		w.Write(doc)
	})
	server.Start()
	t.Cleanup(server.Close)
	return h
}

func (h *house) as(id, secret, token string) *sts.Client {
	cfg := sdkclient.Config(h.url, "us-east-1", credentials.NewStaticCredentialsProvider(id, secret, token))
	if id == "" {
		cfg.Credentials = aws.AnonymousCredentials{}
	}
	return sts.NewFromConfig(cfg)
}

func (h *house) with(k *types.Credentials) *sts.Client {
	return h.as(*k.AccessKeyId, *k.SecretAccessKey, *k.SessionToken)
}

func (h *house) nobody() *sts.Client { return h.as("", "", "") }

// user makes a user, or the root user if the name is empty, and returns its client.
func (h *house) user(account, name string, policies ...string) *sts.Client {
	h.t.Helper()
	if name != "" {
		u := identity.User{Account: account, Name: name}
		u.Inline = make(map[string]string)
		for i, p := range policies {
			u.Inline[string(rune('a'+i))] = p
		}
		if err := h.directory.PutUser(h.t.Context(), u, h.clock.Now()); err != nil {
			h.t.Fatal(err)
		}
	}
	id, secret, err := h.directory.CreateKey(h.t.Context(), account, name, h.clock.Now())
	if err != nil {
		h.t.Fatal(err)
	}
	return h.as(id, secret, "")
}

func (h *house) role(account, name, trust string, policies ...string) string {
	h.t.Helper()
	r := identity.Role{Account: account, Name: name, Trust: trust, MaxSession: 12 * time.Hour}
	r.Inline = make(map[string]string)
	for i, p := range policies {
		r.Inline[string(rune('a'+i))] = p
	}
	if err := h.directory.PutRole(h.t.Context(), r, h.clock.Now()); err != nil {
		h.t.Fatal(err)
	}
	return r.ARN("aws")
}

// put writes a record.
func put[R any](h *house, table *store.Table[R], account string, r R) {
	h.t.Helper()
	if err := h.store.Update(h.t.Context(), func(tx store.Tx) error { return table.In(account, "").Put(tx, &r) }); err != nil {
		h.t.Fatal(err)
	}
}

// advance moves the clock; there are no timers.
func (h *house) advance(d time.Duration) { h.clock.Set(h.clock.Now().Add(d)) }

// last is the youngest audit record of an account.
func (h *house) last(account string) string {
	h.t.Helper()
	events, err := h.trail.Events(h.t.Context(), audit.Filter{Account: account})
	if err != nil || len(events) == 0 {
		h.t.Fatalf("%d records of account %s, %v", len(events), account, err)
	}
	return string(events[len(events)-1])
}

func (h *house) whoami(k *types.Credentials) string {
	h.t.Helper()
	out, err := h.with(k).GetCallerIdentity(h.t.Context(), nil)
	if err != nil {
		return code(err)
	}
	return *out.Arn
}

package door

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/audit"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/organization"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/sigv4"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
)

// typical are ten managed policies that people attach.
var typical = []string{
	"AmazonS3ReadOnlyAccess", "AmazonSQSFullAccess", "AmazonSNSFullAccess", "CloudWatchLogsFullAccess", "AWSLambda_ReadOnlyAccess", "SecretsManagerReadWrite",
	"AmazonSSMReadOnlyAccess", "IAMReadOnlyAccess", "AWSKeyManagementServicePowerUser", "AmazonEventBridgeFullAccess",
}

// BenchmarkAuthorization is what the door's authentication and authorization cost a call of a principal with ten managed policies, beside the hashing that
// SigV4 cannot do without: three SHA-256 of a small request and one HMAC, the derived key being kept.
func BenchmarkAuthorization(b *testing.B) {
	const account, region = "111122223333", "us-east-1"
	ctx, s, keys := context.Background(), memstore.New(), seal.Ephemeral()
	defer s.Close()
	directory := identity.New(s, keys, "aws")
	trail, err := audit.Open(audit.Config{Store: s})
	if err != nil {
		b.Fatal(err)
	}
	u := identity.User{Account: account, Name: "ann"}
	for _, name := range typical {
		u.Attached = append(u.Attached, "arn:aws:iam::aws:policy/"+name)
	}
	u.Inline = map[string]string{"own": fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["kms:Encrypt","kms:Decrypt"],"Resource":"arn:aws:kms:%s:%s:key/*"}}`, region, account)}
	if err := directory.PutUser(ctx, u, time.Now()); err != nil {
		b.Fatal(err)
	}
	id, secret, err := directory.CreateKey(ctx, account, "ann", time.Now())
	if err != nil {
		b.Fatal(err)
	}
	user, err := directory.User(ctx, account, "ann")
	if err != nil {
		b.Fatal(err)
	}
	session := &identity.Session{Kind: identity.UserSession, Account: account, Name: "ann", ID: user.ID, Issued: time.Now(), Expires: time.Now().Add(time.Hour)}
	token, err := directory.Issue(session)
	if err != nil {
		b.Fatal(err)
	}
	d, err := New(Config{
		Store: s, Clock: new(clock.Real), Trail: trail, Directory: directory, Organizations: organization.New(s, "aws"), Log: slog.New(slog.DiscardHandler),
		Partition: "aws", Account: account, Region: region,
	}, Room{Service: kms.Service, Endpoints: kms.Endpoints(kms.Unimplemented{})})
	if err != nil {
		b.Fatal(err)
	}
	key := "arn:aws:kms:" + region + ":" + account + ":key/1234abcd-12ab-34cd-56ef-1234567890ab"
	keyPolicy, err := policy.Parse([]byte(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"`+account+`"},"Action":"kms:*","Resource":"*"}}`), policy.Resource)
	if err != nil {
		b.Fatal(err)
	}
	body := []byte(`{"KeyId":"` + key + `","Plaintext":"eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg="}`)
	signed := func(c sigv4.Credentials) *http.Request {
		r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:4566/", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", "TrentService.Encrypt")
		r.Header.Set("User-Agent", "aws-sdk-go-v2/1.48.0 ua/2.1 os/linux lang/go#1.26.8")
		sigv4.Sign(r, c, region, "kms", time.Now(), sigv4.PayloadHash(body))
		return r
	}
	x := new(exchange)
	begin := func(r *http.Request) {
		*x = exchange{route: unknownService("json"), request: r}
		if err := d.find(x); err != nil {
			b.Fatal(err)
		}
		x.body = body
	}
	authenticate := func() {
		if x.auth, x.authErr = sigv4.Parse(x.request); x.authErr != nil {
			b.Fatal(x.authErr)
		}
		if err := d.authenticate(x); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("Floor", func(b *testing.B) {
		signing := sha256.Sum256([]byte(secret))
		canonical := bytes.Repeat([]byte{'x'}, 420)
		b.ReportAllocs()
		for b.Loop() {
			sha256.Sum256(body)
			sha256.Sum256(canonical)
			mac := hmac.New(sha256.New, signing[:])
			mac.Write(canonical[:138])
			mac.Sum(nil)
		}
	})
	for name, credentials := range map[string]sigv4.Credentials{
		"Authenticate/Key":     {AccessKeyID: id, Secret: secret},
		"Authenticate/Session": {AccessKeyID: session.AccessKeyID, Secret: session.Secret, SessionToken: token},
	} {
		b.Run(name, func(b *testing.B) {
			begin(signed(credentials))
			b.ReportAllocs()
			for b.Loop() {
				authenticate()
			}
		})
	}
	b.Run("Authorize", func(b *testing.B) {
		begin(signed(sigv4.Credentials{AccessKeyID: id, Secret: secret}))
		authenticate()
		c := &call.Call{Context: ctx, Op: kms.OpEncrypt, Scope: x.scope, Caller: x.caller, Time: time.Now()}
		c.Bind("kms", d.cfg.Organizations, func() (store.Tx, error) { return nil, nil })
		r := &call.Resource{ARN: key, Account: account, Policy: keyPolicy, PolicyRequired: true}
		b.ReportAllocs()
		for b.Loop() {
			if err := c.Authorize(r); err != nil {
				b.Fatal(err)
			}
		}
	})
}

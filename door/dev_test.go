package door_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/apigen/golden/orchard"
	"github.com/holdfast-cloud/holdfast/organization"
	"github.com/holdfast-cloud/holdfast/sigv4"
	"github.com/holdfast-cloud/holdfast/store"
)

// Who was somebody here must not become the user of dev mode by what was taken from them, or by leaving a part of it out.
func TestDevKnowsItsOwn(t *testing.T) {
	var closed bool
	h := newHouse(t, func(c *door.Config) {
		c.Dev = true
		c.Organizations = members(func(account string) *organization.Member {
			if closed && account == "999988887777" {
				return &organization.Member{Status: organization.Suspended}
			}
			return nil
		})
	})
	var caller *identity.Principal
	h.orchard.describe = func(c *call.Call, in *orchard.DescribeTreeRequest) (*orchard.Tree, error) {
		caller = c.Caller
		return &orchard.Tree{}, c.Authorize(anything)
	}
	ctx, now := t.Context(), h.clock.Now()
	for _, name := range []string{"ann", "bob"} {
		if err := h.directory.PutUser(ctx, identity.User{Account: account, Name: name}, now); err != nil {
			t.Fatal(err)
		}
	}
	bob, err := h.directory.User(ctx, account, "bob")
	if err != nil {
		t.Fatal(err)
	}
	issue := func(name, id string, lasts time.Duration) (*identity.Session, string) {
		s := &identity.Session{Kind: identity.UserSession, Account: account, Name: name, ID: id, Issued: now, Expires: now.Add(lasts)}
		token, err := h.directory.Issue(s)
		if err != nil {
			t.Fatal(err)
		}
		return s, token
	}
	good, token := issue("bob", bob.ID, time.Hour)
	old, oldToken := issue("bob", bob.ID, 0)
	gone, goneToken := issue("carol", "AIDAGONE", time.Hour)
	inactive, inactiveSecret, err := h.directory.CreateKey(ctx, account, "ann", now)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.store.Update(ctx, func(tx store.Tx) error {
		key, err := identity.AccessKeys.In("", "").Get(tx, inactive)
		if err != nil {
			return err
		}
		key.Inactive = true
		return identity.AccessKeys.In("", "").Put(tx, key)
	}); err != nil {
		t.Fatal(err)
	}
	altered := []byte(token)
	if middle := &altered[len(altered)/2]; *middle == 'A' { // another letter of base64: what is none is no token of ours
		*middle = 'B'
	} else {
		*middle = 'A'
	}
	dev := "arn:aws:iam::" + account + ":user/dev"
	for _, tt := range []struct{ name, key, secret, token, code, want string }{
		{"Inactive", inactive, inactiveSecret, "", "UnrecognizedClientException", ""},
		{"InactiveWithToken", inactive, inactiveSecret, token, "UnrecognizedClientException", ""},
		{"InactiveWithForeignToken", inactive, inactiveSecret, "IQoJb3JpZ2luX2VjEXAMPLE", "UnrecognizedClientException", ""},
		{"Expired", old.AccessKeyID, old.Secret, oldToken, "ExpiredTokenException", ""},
		{"ExpiredUnsigned", old.AccessKeyID, "x", oldToken, "InvalidSignatureException", ""},
		{"Gone", gone.AccessKeyID, gone.Secret, goneToken, "UnrecognizedClientException", ""},
		{"Altered", good.AccessKeyID, good.Secret, string(altered), "UnrecognizedClientException", ""},
		{"TokenOfAnotherKey", old.AccessKeyID, good.Secret, token, "UnrecognizedClientException", ""},
		{"WithoutToken", good.AccessKeyID, good.Secret, "", "UnrecognizedClientException", ""},
		{"RootWithToken", h.key, h.secret, token, "UnrecognizedClientException", ""},
		{"Another clouds", "ASIAIOSFODNN7EXAMPLE", "x", "IQoJb3JpZ2luX2VjEXAMPLE", "", dev},
		{"Root", "999988887777", "x", "", "", "arn:aws:iam::999988887777:root"},
		{"ClosedAccount", "999988887777", "x", "", "UnrecognizedClientException", ""},
	} {
		closed = tt.name == "ClosedAccount"
		caller = nil
		r := toOrchard("DescribeTree", `{"TreeId":"oak"}`)
		cred := sigv4.Credentials{AccessKeyID: tt.key, Secret: tt.secret, SessionToken: tt.token}
		sigv4.Sign(r, cred, region, "orchard", now, sigv4.PayloadHash(bodyOf(r)))
		w := h.send(r)
		body, _ := io.ReadAll(w.Body)
		switch {
		case tt.want != "" && (caller == nil || caller.ARN != tt.want):
			t.Errorf("%s: %d %s, called by %+v", tt.name, w.StatusCode, body, caller)
		case tt.want == "" && (caller != nil || !strings.Contains(string(body), tt.code)):
			t.Errorf("%s: %d %s, called by %+v, want %s", tt.name, w.StatusCode, body, caller, tt.code)
		}
	}
}

// members are organizations.
type members func(account string) *organization.Member

func (m members) Member(_ context.Context, account string) (*organization.Member, error) {
	return m(account), nil
}

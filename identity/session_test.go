package identity_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/store/memstore"
)

const (
	allowAll = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`
	trustAll = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}}`
)

func putRole(t *testing.T, d *identity.Directory, s store.Store, inline map[string]string) *identity.Role {
	t.Helper()
	role := identity.Role{Account: account, Name: "Reader", Path: "/team/", Trust: trustAll, Tags: map[string]string{"team": "red", "Stage": "prod"}}
	role.Inline = inline
	if err := d.PutRole(t.Context(), role, now); err != nil {
		t.Fatal(err)
	}
	return get(t, s, identity.Roles, "Reader")
}

func get[R any](t *testing.T, s store.Store, table *store.Table[R], key ...any) (r *R) {
	t.Helper()
	err := s.View(t.Context(), func(rd store.Reader) (err error) {
		r, err = table.In(account, "").Get(rd, key...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func update(t *testing.T, s store.Store, fn func(store.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func roleSession(role *identity.Role) *identity.Session {
	return &identity.Session{
		Kind: identity.RoleSession, Account: account, Name: role.Name, ID: role.ID, SessionName: "ann", Issued: now, Expires: now.Add(time.Hour),
		Tags: map[string]string{"Team": "blue"}, Transitive: []string{"Team"}, SourceIdentity: "ann",
	}
}

func issue(t *testing.T, d *identity.Directory, s *identity.Session) string {
	t.Helper()
	token, err := d.Issue(s)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestRoleSession(t *testing.T) {
	d, s := open(t)
	role := putRole(t, d, s, map[string]string{"all": allowAll})
	session := roleSession(role)
	session.Policies = []string{allowAll}
	session.PolicyARNs = []string{"arn:aws:iam::aws:policy/ReadOnlyAccess", "arn:aws:iam::111122223333:policy/gone"}
	token := issue(t, d, session)
	if strings.Contains(token, session.Secret) || !strings.HasPrefix(session.AccessKeyID, "ASIA") {
		t.Errorf("issued %s, %+v", token, session)
	}
	// Another node has the same store and root key, and never heard of the session.
	cred, err := d.Session(t.Context(), session.AccessKeyID, token)
	if err != nil {
		t.Fatal(err)
	}
	if cred.Secret != session.Secret || !cred.Expires.Equal(session.Expires) {
		t.Errorf("the credential is %+v", cred)
	}
	p := cred.Principal
	want := policy.Principal{
		Kind: policy.Role, Account: account, ARN: "arn:aws:sts::111122223333:assumed-role/Reader/ann", Issuer: "arn:aws:iam::111122223333:role/team/Reader",
		ID: role.ID, SessionName: "ann",
	}
	if diff := cmp.Diff(want, p.Principal); diff != "" {
		t.Errorf("principal (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"Team": "blue", "Stage": "prod"}, p.Tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	if len(p.Identity) != 1 || len(p.Session) != 3 || p.AccessKeyID != session.AccessKeyID || p.UserID() != role.ID+":ann" {
		t.Errorf("principal %+v", p)
	}
	for _, text := range []string{`"type":"AssumedRole"`, `"sessionIssuer":{"type":"Role"`, `"creationDate":"2026-11-26T12:00:00Z"`, `"sourceIdentity":"ann"`, `"mfaAuthenticated":"false"`} {
		if !strings.Contains(string(p.UserIdentity()), text) {
			t.Errorf("userIdentity %s lacks %s", p.UserIdentity(), text)
		}
	}
	again, err := d.Session(t.Context(), session.AccessKeyID, token)
	if err != nil || again != cred {
		t.Errorf("the credential was not kept: %v", err)
	}
}

// What a role may do is what its policies say at the moment, in sessions that began before.
func TestSessionFollowsPolicies(t *testing.T) {
	d, s := open(t)
	role := putRole(t, d, s, nil)
	session := roleSession(role)
	token := issue(t, d, session)
	count := func() int {
		t.Helper()
		cred, err := d.Session(t.Context(), session.AccessKeyID, token)
		if err != nil {
			t.Fatal(err)
		}
		return len(cred.Principal.Identity)
	}
	for _, n := range []int{0, 2, 1, 0} {
		inline := make(map[string]string)
		for i := range n {
			inline[fmt.Sprint(i)] = allowAll
		}
		putRole(t, d, s, inline)
		if got := count(); got != n {
			t.Errorf("the session has %d policies, want %d", got, n)
		}
	}
	update(t, s, func(tx store.Tx) error {
		role.Attached = []string{"arn:aws:iam::111122223333:policy/p"}
		policies := &identity.ManagedPolicy{Account: account, Name: "p", Default: 1, Versions: []identity.PolicyVersion{{Number: 1, Document: allowAll}}}
		return errors.Join(identity.Roles.In(account, "").Put(tx, role), identity.Policies.In(account, "").Put(tx, policies))
	})
	if got := count(); got != 1 {
		t.Errorf("the session has %d policies after one was attached", got)
	}
}

func TestSessionOfWhoIsGone(t *testing.T) {
	d, s := open(t)
	role := putRole(t, d, s, nil)
	if err := d.PutUser(t.Context(), identity.User{Account: account, Name: "ann"}, now); err != nil {
		t.Fatal(err)
	}
	user := get(t, s, identity.Users, "ann")
	ofUser := func(kind identity.SessionKind) *identity.Session {
		return &identity.Session{Kind: kind, Account: account, Name: "ann", ID: user.ID, SessionName: "bob", Issued: now, Expires: now.Add(time.Hour)}
	}
	sessions := []*identity.Session{roleSession(role), ofUser(identity.UserSession), ofUser(identity.FederationSession)}
	tokens := make([]string, len(sessions))
	check := func(want error) {
		t.Helper()
		for i, session := range sessions {
			if _, err := d.Session(t.Context(), session.AccessKeyID, tokens[i]); !errors.Is(err, want) {
				t.Errorf("session of a %s: %v, want %v", session.Kind, err, want)
			}
		}
	}
	for i, session := range sessions {
		tokens[i] = issue(t, d, session)
	}
	check(nil)
	update(t, s, func(tx store.Tx) error {
		return errors.Join(identity.Roles.In(account, "").Delete(tx, "Reader"), identity.Users.In(account, "").Delete(tx, "ann"))
	})
	check(identity.ErrGone)
	// Who has the name later is somebody else.
	putRole(t, d, s, nil)
	if err := d.PutUser(t.Context(), identity.User{Account: account, Name: "ann"}, now); err != nil {
		t.Fatal(err)
	}
	check(identity.ErrGone)
}

func TestUserSessions(t *testing.T) {
	s := memstore.New()
	defer s.Close()
	d := identity.New(s, seal.Ephemeral(), "aws", identity.DeveloperARN("aws", account))
	u := identity.User{Account: account, Name: "ann", Tags: map[string]string{"team": "red"}}
	u.Inline = map[string]string{"all": allowAll}
	if err := d.PutUser(t.Context(), u, now); err != nil {
		t.Fatal(err)
	}
	id := get(t, s, identity.Users, "ann").ID
	dev, err := identity.Developer("aws", account, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name     string
		session  identity.Session
		kind     policy.PrincipalKind
		arn      string
		policies int
		record   string
	}{
		{"User", identity.Session{Kind: identity.UserSession, Name: "ann", ID: id, MFA: now}, policy.User, "arn:aws:iam::111122223333:user/ann", 1, `"mfaAuthenticated":"true"`},
		{"Root", identity.Session{Kind: identity.UserSession}, policy.Root, "arn:aws:iam::111122223333:root", 0, `"type":"Root"`},
		{"Developer", identity.Session{Kind: identity.UserSession, Name: "dev", ID: dev.ID}, policy.User, dev.ARN, 1, `"userName":"dev"`},
		{"Federated", identity.Session{Kind: identity.FederationSession, Name: "ann", ID: id, SessionName: "bob"}, policy.FederatedUser,
			"arn:aws:sts::111122223333:federated-user/bob", 1, `"sessionIssuer":{"type":"IAMUser"`},
		{"FederatedByRoot", identity.Session{Kind: identity.FederationSession, SessionName: "bob"}, policy.FederatedUser,
			"arn:aws:sts::111122223333:federated-user/bob", 1, `"sessionIssuer":{"type":"Root"`},
		{"AssumedRoot", identity.Session{Kind: identity.RootSession, PolicyARNs: []string{"arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials"}},
			policy.Root, "arn:aws:iam::111122223333:root", 0, `"assumedRoot":"true"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.session.Account, tt.session.Issued, tt.session.Expires = account, now, now.Add(time.Hour)
			token := issue(t, d, &tt.session)
			cred, err := d.Session(t.Context(), tt.session.AccessKeyID, token)
			if err != nil {
				t.Fatal(err)
			}
			p := cred.Principal
			if p.Kind != tt.kind || p.ARN != tt.arn || len(p.Identity) != tt.policies || !strings.Contains(string(p.UserIdentity()), tt.record) {
				t.Errorf("principal %+v, record %s", p, p.UserIdentity())
			}
		})
	}
}

// TestRootSessionDoesItsTask: the task policies of AWS only deny, and what they leave is the root user's.
func TestRootSessionDoesItsTask(t *testing.T) {
	d, _ := open(t)
	const root, audit = "arn:aws:iam::111122223333:root", "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials"
	for _, tt := range []struct {
		name, action, resource string
		policies               []string
		allowed                bool
	}{
		{"OK", "iam:ListAccessKeys", root, []string{audit}, true},
		{"OtherAction", "iam:DeleteAccessKey", root, []string{audit}, false},
		{"OtherService", "kms:ListKeys", "*", []string{audit}, false},
		{"OtherResource", "iam:ListAccessKeys", "arn:aws:iam::111122223333:user/ann", []string{audit}, false},
		{"NoPolicy", "iam:ListAccessKeys", root, nil, false},
		{"PolicyGone", "iam:ListAccessKeys", root, []string{audit, "arn:aws:iam::111122223333:policy/gone"}, false},
		{"UnknownTask", "iam:ListAccessKeys", root, []string{"arn:aws:iam::aws:policy/root-task/Unknown"}, false},
		{"NoTask", "kms:ListKeys", "*", []string{"arn:aws:iam::aws:policy/IAMReadOnlyAccess"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &identity.Session{Kind: identity.RootSession, Account: account, PolicyARNs: tt.policies, Issued: now, Expires: now.Add(time.Hour)}
			token := issue(t, d, s)
			cred, err := d.Session(t.Context(), s.AccessKeyID, token)
			if err != nil {
				t.Fatal(err)
			}
			p := cred.Principal
			got := policy.Decide(&policy.Request{
				Principal: p.Principal, Action: tt.action, Resource: tt.resource, ResourceAccount: account,
				Identity: p.Identity, Boundary: p.Boundary, Session: p.Session,
			})
			if got.Allowed != tt.allowed {
				t.Errorf("%s on %s: allowed %v", tt.action, tt.resource, got.Allowed)
			}
		})
	}
}

func TestTokensThatAreNotOurs(t *testing.T) {
	d, s := open(t)
	role := putRole(t, d, s, nil)
	session, other := roleSession(role), roleSession(role)
	token, otherToken := issue(t, d, session), issue(t, d, other)
	raw, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := identity.New(s, seal.Ephemeral(), "aws")
	foreign := issue(t, elsewhere, roleSession(role))
	bad := map[string]string{
		"LineBreak": token + "\n", "Empty": "", "NoBase64": "%" + token, "Truncated": token[:len(token)/2/4*4], "Longer": base64.StdEncoding.EncodeToString(append(raw, 0)),
		"OfAnotherKey": otherToken, "OfAnotherRoot": foreign, "TooLong": strings.Repeat("A", identity.MaxToken+4),
		"JSON": base64.StdEncoding.EncodeToString([]byte(`{"Kind":"root","Account":"111122223333"}`)),
	}
	for i := range 40 {
		altered := append([]byte(nil), raw...)
		altered[rand.IntN(len(altered))] ^= byte(1 << rand.IntN(8))
		bad[fmt.Sprintf("Altered%d", i)] = base64.StdEncoding.EncodeToString(altered)
	}
	for name, token := range bad {
		_, err := d.Session(t.Context(), session.AccessKeyID, token)
		if !errors.Is(err, identity.ErrUnknownKey) && !errors.Is(err, identity.ErrForged) {
			t.Errorf("%s: %v", name, err)
		}
		// What looks like ours is told from what never was.
		if ours := name == "Truncated" || name == "Longer" || strings.HasPrefix(name, "Of"); ours && !errors.Is(err, identity.ErrForged) {
			t.Errorf("%s: %v, want ErrForged", name, err)
		}
	}
	if _, err := d.Session(t.Context(), session.AccessKeyID, "IQoJb3JpZ2luX2VjEXAMPLE"+strings.Repeat("A", 401)); !errors.Is(err, identity.ErrUnknownKey) {
		t.Errorf("a token of another cloud: %v", err)
	}
	if _, err := d.Session(t.Context(), other.AccessKeyID, token); !errors.Is(err, identity.ErrForged) {
		t.Errorf("with another access key: %v", err)
	}
	if got := d.CacheStats().Values; got != 0 {
		t.Errorf("%d tokens that are not ours are kept", got)
	}
}

func TestIssueRefuses(t *testing.T) {
	d, _ := open(t)
	random := make([]byte, identity.MaxToken)
	for i := range random {
		random[i] = byte(' ' + rand.IntN(90))
	}
	if _, err := d.Issue(&identity.Session{Account: account, Issued: now, Expires: now, Policies: []string{string(random)}}); !errors.Is(err, identity.ErrTokenTooLarge) {
		t.Errorf("Issue of too much: %v", err)
	}
	for name, session := range map[string]*identity.Session{
		"for no account": {Account: "no account", Issued: now, Expires: now},
		"without end":    {Account: account, Issued: now},
		"from no time":   {Account: account, Expires: now},
		"for two days":   {Account: account, Issued: now, Expires: now.Add(48 * time.Hour)},
	} {
		if _, err := d.Issue(session); err == nil {
			t.Errorf("Issue %s succeeded", name)
		}
	}
}

func TestTrustIsBound(t *testing.T) {
	d, s := open(t)
	if err := d.PutUser(t.Context(), identity.User{Account: account, Name: "ann"}, now); err != nil {
		t.Fatal(err)
	}
	role := identity.Role{
		Account: account, Name: "r",
		Trust: `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:user/ann"},"Action":"sts:AssumeRole"}}`,
	}
	if err := d.PutRole(t.Context(), role, now); err != nil {
		t.Fatal(err)
	}
	stored := get(t, s, identity.Roles, "r")
	trust, err := d.Trust(stored)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(id string) bool {
		return policy.Decide(&policy.Request{
			Principal: policy.Principal{Kind: policy.User, Account: account, ARN: "arn:aws:iam::111122223333:user/ann", ID: id, UserName: "ann"},
			Action:    "sts:AssumeRole", Resource: stored.ARN("aws"), ResourceAccount: account, ResourcePolicy: trust, ResourcePolicyRequired: true,
		}).Allowed
	}
	if id := get(t, s, identity.Users, "ann").ID; !ask(id) || ask("AIDAANOTHERONE") {
		t.Errorf("the trust policy lets in %s: %v, and another of the name: %v", id, ask(id), ask("AIDAANOTHERONE"))
	}
}

func FuzzToken(f *testing.F) {
	s := memstore.New()
	defer s.Close()
	d := identity.New(s, seal.Ephemeral(), "aws")
	session := &identity.Session{Kind: identity.UserSession, Account: account, Issued: now, Expires: now.Add(time.Hour)}
	token, err := d.Issue(session)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(session.AccessKeyID, token)
	f.Add(session.AccessKeyID, token[:len(token)-4])
	f.Add("ASIA", "AAAA")
	f.Fuzz(func(t *testing.T, id, given string) {
		_, err := d.Session(t.Context(), id, given)
		if id == session.AccessKeyID && given == token {
			if err != nil {
				t.Errorf("the token does not open: %v", err)
			}
			return
		}
		if err == nil {
			t.Errorf("Session(%q, %q) opened", id, given)
		}
		if err != nil && !errors.Is(err, identity.ErrUnknownKey) && !errors.Is(err, identity.ErrForged) {
			t.Errorf("Session(%q, %q): %v", id, given, err)
		}
	})
}

// A root session is what its task lets it be, and no more where there is none.
func TestRootSessionWithoutPolicy(t *testing.T) {
	d, _ := open(t)
	session := &identity.Session{Kind: identity.RootSession, Account: account, Issued: now, Expires: now.Add(time.Minute)}
	token := issue(t, d, session)
	cred, err := d.Session(t.Context(), session.AccessKeyID, token)
	if err != nil {
		t.Fatal(err)
	}
	p := cred.Principal
	r := policy.Request{Principal: p.Principal, Action: "s3:ListBucket", Resource: "arn:aws:s3:::b", ResourceAccount: account, Session: p.Session}
	if d := policy.Decide(&r); d.Allowed || d.Kind != policy.Session {
		t.Errorf("%+v", d)
	}
}

// A caller who has many sessions with large policies must not fill the memory with them.
func TestSessionsAreWeighed(t *testing.T) {
	d, s := open(t)
	fill := func(role *identity.Role, n int) int {
		for range n {
			session := roleSession(role)
			token := issue(t, d, session)
			if _, err := d.Session(t.Context(), session.AccessKeyID, token); err != nil {
				t.Fatal(err)
			}
		}
		return d.CacheStats().Values
	}
	if small := fill(putRole(t, d, s, nil), 20); small != 20 {
		t.Errorf("of 20 sessions %d are kept", small)
	}
	large := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}` + strings.Repeat(" ", 200_000) + `}`
	if kept := fill(putRole(t, d, s, map[string]string{"large": large}), 60); kept > 32 {
		t.Errorf("of 60 sessions of 4 MB, which are 128 MB by 32, %d are kept", kept)
	}
}

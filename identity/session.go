package identity

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
)

// SessionKind says what temporary credentials stand for.
type SessionKind string

// The kinds of sessions.
const (
	RoleSession       SessionKind = "role"       // sts:AssumeRole and its like
	UserSession       SessionKind = "user"       // sts:GetSessionToken: a user, or the root user if Name is empty
	FederationSession SessionKind = "federation" // sts:GetFederationToken: SessionName, with what the user may do
	RootSession       SessionKind = "root"       // sts:AssumeRoot: the root user, limited to its session policy
)

// Session is what temporary credentials stand for. All of it is in the session token, wrapped under the root key, so that any node knows a session without
// looking it up. The policies of the role or user are not in it: they are those of the moment of each call.
type Session struct {
	Kind    SessionKind
	Account string // of the role or user
	Name    string `json:",omitempty"` // of the role or user
	ID      string `json:",omitempty"` // the unique ID of the role or user, which must still be its own

	SessionName string `json:",omitempty"` // of role sessions and federated users

	AccessKeyID string
	Secret      string
	Issued      time.Time
	Expires     time.Time

	MFA        time.Time `json:",omitzero"`  // when the caller proved to have an MFA device; zero if never
	Policies   []string  `json:",omitempty"` // documents of the session's own policies
	PolicyARNs []string  `json:",omitempty"` // managed policies that are session policies as well

	Tags           map[string]string `json:",omitempty"`
	Transitive     []string          `json:",omitempty"` // keys of those tags that sessions made from this one inherit
	SourceIdentity string            `json:",omitempty"`

	// Chained: made with credentials of another role session.
	Chained bool `json:",omitempty"`

	// Provider is the identity provider, as ARN or host name, that vouched for a role session, and Claims the values for condition keys that it gave, by
	// key in lower case: accounts.google.com:aud, saml:sub, ...
	Provider string              `json:",omitempty"`
	Claims   map[string][]string `json:",omitempty"`

	// Context are further condition keys that stay with the session, by key in lower case.
	Context map[string][]string `json:",omitempty"`
}

// MaxToken is the length of the longest session token that is read.
const MaxToken = 16 << 10

// maxSession is how long the longest session of AWS's lasts, that of sts:GetSessionToken and sts:GetFederationToken.
const maxSession = 36 * time.Hour

// maxVersion is the highest version of the root key that tokens are taken to be of.
const maxVersion = 1 << 16

// ErrTokenTooLarge: policies and tags of the session do not fit into a token.
var ErrTokenTooLarge = errors.New("the session's policies and tags do not fit into its token")

func sessionPlace(accessKeyID string) seal.Place { return seal.At("session", accessKeyID) }

// Issue gives a session its access key, and returns the session token. The session must have everything else.
func (d *Directory) Issue(s *Session) (token string, err error) {
	number, err := accountNumber(s.Account)
	if err != nil {
		return "", err
	}
	// No time means long-term elsewhere, see Credential.Expires.
	if s.Issued.IsZero() || s.Expires.IsZero() || s.Expires.Sub(s.Issued) > maxSession {
		return "", fmt.Errorf("a session from %v to %v", s.Issued, s.Expires)
	}
	s.AccessKeyID, s.Secret = newKeyID("ASIA", number), newSecret()
	plain, err := json.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("encoding a session: %w", err)
	}
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		return "", err
	}
	w.Write(plain) // into memory
	w.Close()
	wrapped, err := d.keys.Wrap(sessionPlace(s.AccessKeyID), packed.Bytes())
	if err != nil {
		return "", fmt.Errorf("wrapping a session: %w", err)
	}
	token = base64.StdEncoding.EncodeToString(wrapped)
	if len(token) > MaxToken {
		return "", ErrTokenTooLarge
	}
	return token, nil
}

func newSecret() string {
	var random [30]byte
	rand.Read(random[:])
	return base64.StdEncoding.EncodeToString(random[:])
}

// newProxySecret has 43 characters, and 256 bits as the specification of the proxies wants.
func newProxySecret() string {
	var random [32]byte
	rand.Read(random[:])
	return base64.RawStdEncoding.EncodeToString(random[:])
}

// open reads a token. For every token that was not issued here for this access key, its error is ErrForged if the token looks like ours, and else ErrUnknownKey.
func (d *Directory) open(accessKeyID, token string) (*Session, error) {
	// Base64 has line breaks that mean nothing. A session has one token, and not as many as there are ways to break it.
	if len(token) > MaxToken || strings.ContainsAny(token, "\r\n") {
		return nil, ErrUnknownKey
	}
	wrapped, err := base64.StdEncoding.Strict().DecodeString(token)
	if err != nil {
		return nil, ErrUnknownKey
	}
	// The first bytes say by which version of the root key. There are few versions, so hardly anybody else's tokens begin like ours.
	if version, err := seal.Version(wrapped); err != nil || version == 0 || version > maxVersion {
		return nil, ErrUnknownKey
	}
	packed, err := d.keys.Unwrap(sessionPlace(accessKeyID), wrapped)
	if errors.Is(err, seal.ErrDamaged) {
		return nil, ErrForged
	}
	if err != nil {
		return nil, fmt.Errorf("opening a session token: %w", err)
	}
	// It was made by Issue, which nobody else can do, so it unpacks to what Issue was given.
	plain, err := io.ReadAll(flate.NewReader(bytes.NewReader(packed)))
	if err != nil {
		return nil, fmt.Errorf("unpacking a session: %w", err)
	}
	s := new(Session)
	if err := json.Unmarshal(plain, s); err != nil {
		return nil, fmt.Errorf("decoding a session: %w", err)
	}
	return s, nil
}

// sessionKey is what a session is cached by.
type sessionKey struct{ accessKeyID, token string }

// Session returns the credential of temporary credentials. Its error is ErrUnknownKey or ErrForged if the token was not issued here for the access key, and
// ErrGone if whom it stood for is no more. Whether they have expired is for the caller to find out, see Credential.Expires.
func (d *Directory) Session(ctx context.Context, accessKeyID, token string) (*Credential, error) {
	return d.sessions.Get(ctx, sessionKey{accessKeyID, token})
}

func (d *Directory) loadSession(ctx context.Context, k sessionKey) (*Credential, error) {
	s, err := d.open(k.accessKeyID, k.token)
	if err != nil {
		return nil, err
	}
	var p *Principal
	err = d.store.View(ctx, func(r store.Reader) (err error) {
		p, err = d.Acting(r, s)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Credential{Secret: s.Secret, Principal: p, Expires: s.Expires}, nil
}

// Acting returns who acts in a session, with the policies of the moment, or ErrGone.
func (d *Directory) Acting(r store.Reader, s *Session) (p *Principal, err error) {
	switch s.Kind {
	case RoleSession:
		p, err = d.actingRole(r, s)
	case UserSession, FederationSession, RootSession:
		p, err = d.actingUser(r, s)
	default:
		return nil, fmt.Errorf("a session of kind %q", s.Kind) // of a newer release
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrGone
	}
	if err != nil {
		return nil, err
	}
	p.AccessKeyID, p.Temporary = s.AccessKeyID, s
	for _, doc := range s.Policies {
		compiled, err := d.compile(doc, policy.Session, "session policy")
		if err != nil {
			return nil, err
		}
		p.Session = append(p.Session, compiled)
	}
	if s.Kind == RootSession && len(s.Policies)+len(s.PolicyARNs) == 0 {
		// No policy is no limit elsewhere. Here it would be all of the root user.
		compiled, err := d.compile(nothing, policy.Session, "no session policy")
		if err != nil {
			return nil, err
		}
		p.Session = append(p.Session, compiled)
	}
	tasks := 0
	for _, name := range s.PolicyARNs {
		compiled, err := d.managedPolicy(r, name, policy.Session)
		switch {
		case errors.Is(err, store.ErrNotFound):
			// The policy was deleted meanwhile: what it allowed is gone with it.
			compiled, err = d.compile(nothing, policy.Session, name)
		case strings.Contains(name, ":iam::aws:policy/root-task/"):
			tasks++
		}
		if err != nil {
			return nil, err
		}
		p.Session = append(p.Session, compiled)
	}
	if s.Kind == RootSession && tasks > 0 && tasks == len(p.Session) {
		// Task policies deny what does not belong to the task, and leave the rest to the root user's standing.
		compiled, err := d.compile(administrator, policy.Session, "root user")
		if err != nil {
			return nil, err
		}
		p.Session = append(p.Session, compiled)
	}
	return p.seal(), nil
}

// nothing is a policy that allows nothing.
const nothing = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"none:none","Resource":"arn:aws:none:::none"}]}`

// Trust returns a role's trust policy, for those alone whom it was written for.
func (d *Directory) Trust(role *Role) (*policy.Policy, error) {
	p, err := d.compile(role.Trust, policy.Trust, "trust policy of "+role.Name)
	if err != nil || len(role.Bound) == 0 {
		return p, err
	}
	return p.Bind(func(ref policy.PrincipalRef) string { return role.Bound[ref.Value] }), nil
}

func (d *Directory) actingRole(r store.Reader, s *Session) (*Principal, error) {
	role, err := Roles.In(s.Account, "").Get(r, s.Name)
	if err != nil {
		return nil, err
	}
	if role.ID != s.ID {
		return nil, store.ErrNotFound // another one of the same name
	}
	p := &Principal{
		Principal: policy.Principal{
			Kind: policy.Role, Account: s.Account, ARN: "arn:" + d.partition + ":sts::" + s.Account + ":assumed-role/" + role.Name + "/" + s.SessionName,
			Issuer: role.ARN(d.partition), ID: role.ID, SessionName: s.SessionName, Provider: s.Provider,
		},
		Tags:          overlay(role.Tags, s.Tags),
		LinkedService: role.LinkedService,
	}
	p.Identity, p.Boundary, err = d.permissions(r, &role.Permissions)
	return p, err
}

func (d *Directory) actingUser(r store.Reader, s *Session) (*Principal, error) {
	base := root(d.partition, s.Account, "")
	if s.Name != "" {
		user, err := Users.In(s.Account, "").Get(r, s.Name)
		if guest := developer(s.Account); missing(err) && s.ID == guest.ID && slices.Contains(d.guests, guest.ARN(d.partition)) {
			user, err = guest, nil
			user.Inline = map[string]string{"AdministratorAccess": administrator}
		}
		if err != nil {
			return nil, err
		}
		if user.ID != s.ID {
			return nil, store.ErrNotFound
		}
		if base, err = d.user(r, user, ""); err != nil {
			return nil, err
		}
	}
	if s.Kind != FederationSession {
		return base, nil
	}
	p := &Principal{
		Principal: policy.Principal{
			Kind: policy.FederatedUser, Account: s.Account, ARN: "arn:" + d.partition + ":sts::" + s.Account + ":federated-user/" + s.SessionName,
			Issuer: base.ARN, ID: base.ID, SessionName: s.SessionName,
		},
		Tags: overlay(base.Tags, s.Tags), Identity: base.Identity, Groups: base.Groups, Boundary: base.Boundary,
	}
	if base.Kind == policy.Root {
		admin, err := d.compile(administrator, policy.Identity, "root user")
		if err != nil {
			return nil, err
		}
		p.Identity = append(p.Identity, admin)
	}
	return p, nil
}

// overlay is tags with others over them. Their keys have no case.
func overlay(tags, over map[string]string) map[string]string {
	if len(over) == 0 {
		return tags
	}
	all := make(map[string]string, len(tags)+len(over))
	for k, v := range over {
		all[k] = v
	}
	for k, v := range tags {
		if !hasFold(over, k) {
			all[k] = v
		}
	}
	return all
}

package identity

import (
	"slices"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/store"
)

// Permissions are the policies of a user, a group or a role.
type Permissions struct {
	Inline   map[string]string `json:"Policies,omitempty"` // documents by name
	Attached []string          `json:",omitempty"`         // ARNs of managed policies, in the order of their attachment
	Boundary string            `json:",omitempty"`         // ARN of the managed policy that is the permissions boundary; groups have none
}

// User is an IAM user.
type User struct {
	Account string
	Name    string
	Path    string            `json:",omitempty"` // "/" or /division/team/; empty is "/"
	ID      string            // AIDA...
	Tags    map[string]string `json:",omitempty"`
	Groups  []string          `json:",omitempty"` // names, in the order the user was added to them
	Created time.Time
	Permissions
}

// ARN names the user.
func (u *User) ARN(partition string) string {
	return iamARN(partition, u.Account, "user", u.Path, u.Name)
}

// Group is an IAM group. Its members say that they are in it.
type Group struct {
	Account string
	Name    string
	Path    string `json:",omitempty"`
	ID      string // AGPA...
	Created time.Time
	Permissions
}

// ARN names the group.
func (g *Group) ARN(partition string) string {
	return iamARN(partition, g.Account, "group", g.Path, g.Name)
}

// Role is an IAM role.
type Role struct {
	Account     string
	Name        string
	Path        string `json:",omitempty"`
	ID          string // AROA...
	Description string `json:",omitempty"`
	Trust       string // the trust policy's document as it was put
	// Bound pins the users and roles that the trust policy names, by their ARNs, to the unique IDs they had when it was put.
	Bound         map[string]string `json:",omitempty"`
	MaxSession    time.Duration     // 1 to 12 hours
	Tags          map[string]string `json:",omitempty"`
	LinkedService string            `json:",omitempty"` // of a service-linked role, e.g. config.amazonaws.com
	Created       time.Time
	Permissions
}

// ARN names the role.
func (r *Role) ARN(partition string) string {
	return iamARN(partition, r.Account, "role", r.Path, r.Name)
}

// ManagedPolicy is a customer managed policy. AWS's own are in package managed.
type ManagedPolicy struct {
	Account     string
	Name        string
	Path        string            `json:",omitempty"`
	ID          string            // ANPA...
	Description string            `json:",omitempty"`
	Tags        map[string]string `json:",omitempty"`
	Versions    []PolicyVersion   // oldest first
	Default     int               // the number of the version in force
	Last        int               // the highest number ever given
	Created     time.Time
	Updated     time.Time
}

// PolicyVersion is one version of a managed policy.
type PolicyVersion struct {
	Number   int // 1 is v1
	Document string
	Created  time.Time
}

// ARN names the policy.
func (p *ManagedPolicy) ARN(partition string) string {
	return iamARN(partition, p.Account, "policy", p.Path, p.Name)
}

// Version returns a version by its number, or nil.
func (p *ManagedPolicy) Version(number int) *PolicyVersion {
	i := slices.IndexFunc(p.Versions, func(v PolicyVersion) bool { return v.Number == number })
	if i < 0 {
		return nil
	}
	return &p.Versions[i]
}

// AccessKey is a long-term credential. Its primary key is its ID, in no account: the ID alone has to lead to it.
type AccessKey struct {
	ID       string
	Account  string
	User     string `json:",omitempty"` // empty for the root user's
	Secret   []byte // wrapped
	Inactive bool   `json:",omitempty"`
	Created  time.Time
}

// MFADevice is a virtual MFA device.
type MFADevice struct {
	Account string
	Name    string // with its path, as in the ARN after mfa/
	Seed    []byte // wrapped, see Directory.OpenSeed
	// User is the name of the user that it is enabled for, RootUser for the root user, and empty before it is enabled.
	User    string            `json:",omitempty"`
	Enabled time.Time         `json:",omitzero"`
	Step    int64             `json:",omitempty"` // of the last code that was taken: none is taken twice (RFC 6238, section 5.2)
	Drift   int64             `json:",omitempty"` // by how many steps the device's clock is ahead
	Tags    map[string]string `json:",omitempty"`
	Created time.Time
}

// RootUser stands for the root user where a user's name is kept. No IAM user can have this name.
const RootUser = "<root>"

// ARN is the device's serial number.
func (m *MFADevice) ARN(partition string) string {
	return iamARN(partition, m.Account, "mfa", "", m.Name)
}

// OIDCProvider is an OpenID Connect identity provider.
type OIDCProvider struct {
	Account     string
	URL         string            // without https://
	ClientIDs   []string          `json:",omitempty"`
	Thumbprints []string          `json:",omitempty"`
	Tags        map[string]string `json:",omitempty"`
	Created     time.Time
}

// ARN names the provider.
func (p *OIDCProvider) ARN(partition string) string {
	return iamARN(partition, p.Account, "oidc-provider", "", p.URL)
}

// SAMLProvider is a SAML 2.0 identity provider.
type SAMLProvider struct {
	Account    string
	Name       string
	ID         string            // the SAMLProviderUUID
	Metadata   string            // the XML document
	ValidUntil time.Time         `json:",omitzero"`
	Tags       map[string]string `json:",omitempty"`
	Created    time.Time
}

// ARN names the provider.
func (p *SAMLProvider) ARN(partition string) string {
	return iamARN(partition, p.Account, "saml-provider", "", p.Name)
}

// Settings are those of an account. There is one record an account, with an empty key, made when the first is set.
type Settings struct {
	Account string
	Alias   string `json:",omitempty"`
	// Outbound is the identifier in the issuer URL of the account's web identity tokens; empty until outbound federation is enabled for the first time.
	Outbound string `json:",omitempty"`
	// OutboundOff: outbound federation is disabled again. The issuer's documents stay, as the tokens that it has given out do.
	OutboundOff bool `json:",omitempty"`
	// TokensEverywhere: session tokens of the global endpoint are valid in all regions (v2Token).
	TokensEverywhere bool `json:",omitempty"`
	// RootCredentials and RootSessions: the organization's management account manages its members' root users.
	RootCredentials bool `json:",omitempty"`
	RootSessions    bool `json:",omitempty"`
}

// IsFederated reports whether the account gives out web identity tokens.
func (s *Settings) IsFederated() bool { return s.Outbound != "" && !s.OutboundOff }

// Stored as (see store.Table), all in their account and no region but the access keys, which are in no account:
//
//	identity // accesskey / AKIA...          → AccessKey
//	identity / account // user / name        → User
//	identity / account // group / name       → Group
//	identity / account // role / name        → Role
//	identity / account // policy / name      → ManagedPolicy
//	identity / account // mfa / name         → MFADevice
//	identity / account // oidc / url         → OIDCProvider
//	identity / account // saml / name        → SAMLProvider
//	identity / account // settings           → Settings
//
// Names are unique whatever their case, which the index "fold" sees to. The index "attached" leads from a managed policy's ARN to who has it
// attached, "bounded" to who has it as boundary, and "member" from a group's name to its users.
var (
	AccessKeys = store.NewTable("identity", "accesskey", func(k *AccessKey) store.Key { return store.Key{k.ID} },
		store.Index[AccessKey]{Name: "owner", Entries: func(k *AccessKey) []store.Key { return []store.Key{{k.Account, k.User}} }})
	Users = store.NewTable("identity", "user", func(u *User) store.Key { return store.Key{u.Name} },
		folded(func(u *User) string { return u.Name }),
		attached(func(u *User) *Permissions { return &u.Permissions }), bounded(func(u *User) *Permissions { return &u.Permissions }),
		store.Index[User]{Name: "member", Entries: func(u *User) []store.Key { return each(u.Groups) }})
	Groups = store.NewTable("identity", "group", func(g *Group) store.Key { return store.Key{g.Name} },
		folded(func(g *Group) string { return g.Name }), attached(func(g *Group) *Permissions { return &g.Permissions }))
	Roles = store.NewTable("identity", "role", func(r *Role) store.Key { return store.Key{r.Name} },
		folded(func(r *Role) string { return r.Name }),
		attached(func(r *Role) *Permissions { return &r.Permissions }), bounded(func(r *Role) *Permissions { return &r.Permissions }))
	Policies = store.NewTable("identity", "policy", func(p *ManagedPolicy) store.Key { return store.Key{p.Name} },
		folded(func(p *ManagedPolicy) string { return p.Name }))
	MFADevices = store.NewTable("identity", "mfa", func(m *MFADevice) store.Key { return store.Key{m.Name} },
		store.Index[MFADevice]{Name: "user", Entries: func(m *MFADevice) []store.Key { return some(m.User) }})
	OIDCProviders = store.NewTable("identity", "oidc", func(p *OIDCProvider) store.Key { return store.Key{p.URL} })
	SAMLProviders = store.NewTable("identity", "saml", func(p *SAMLProvider) store.Key { return store.Key{p.Name} })
	AllSettings   = store.NewTable("identity", "settings", func(*Settings) store.Key { return store.Key{} },
		store.Index[Settings]{Name: "alias", Unique: true, Global: true, Entries: func(s *Settings) []store.Key { return some(s.Alias) }},
		store.Index[Settings]{Name: "outbound", Unique: true, Global: true, Entries: func(s *Settings) []store.Key { return some(s.Outbound) }})
)

func folded[R any](name func(*R) string) store.Index[R] {
	return store.Index[R]{Name: "fold", Unique: true, Entries: func(r *R) []store.Key { return some(strings.ToLower(name(r))) }}
}

func attached[R any](of func(*R) *Permissions) store.Index[R] {
	return store.Index[R]{Name: "attached", Entries: func(r *R) []store.Key { return each(of(r).Attached) }}
}

func bounded[R any](of func(*R) *Permissions) store.Index[R] {
	return store.Index[R]{Name: "bounded", Entries: func(r *R) []store.Key { return some(of(r).Boundary) }}
}

func each(values []string) []store.Key {
	keys := make([]store.Key, len(values))
	for i, v := range values {
		keys[i] = store.Key{v}
	}
	return keys
}

// some is the entry of a value that may be empty, which has none.
func some(value string) []store.Key {
	if value == "" {
		return nil
	}
	return []store.Key{{value}}
}

// iamARN names a thing of IAM. An empty path is "/".
func iamARN(partition, account, kind, path, name string) string {
	if path == "" {
		path = "/"
	}
	return "arn:" + partition + ":iam::" + account + ":" + kind + path + name
}

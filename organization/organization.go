// Package organization knows which accounts belong together: organizations, their trees of organizational units, and the policies that are
// attached to them. It keeps the records, and tells for any account what its membership means to a call. What may be done with
// the records is the business of service/organizations.
package organization

import (
	"errors"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/store"
)

// The types of policies that this package knows the meaning of. Others are kept and inherited, see [Effective].
const (
	ServiceControl  = "SERVICE_CONTROL_POLICY"
	ResourceControl = "RESOURCE_CONTROL_POLICY"
)

// Organization is an organization of accounts with its root.
type Organization struct {
	ID         string // o-...
	Management string // the account that made it
	Root       string // r-...
	All        bool   // all features; otherwise consolidated billing alone
	Created    time.Time
	Types      []string          `json:",omitempty"` // of policies that are enabled in the root, sorted
	RootTags   map[string]string `json:",omitempty"`
}

// The states of an account in its organization.
const (
	Active    = "ACTIVE"
	Suspended = "SUSPENDED"
)

// Account is a member of an organization.
type Account struct {
	ID         string
	OrgID      string
	Management string // the organization's management account, under which the record lives
	Parent     string // the root or an organizational unit
	Status     string
	Invited    bool `json:",omitempty"` // otherwise it was created in the organization
	Joined     time.Time
	Closed     time.Time         `json:",omitzero"`
	Tags       map[string]string `json:",omitempty"`
}

// Unit is an organizational unit.
type Unit struct {
	ID     string // ou-...
	Parent string // the root or another unit
	Name   string
	Tags   map[string]string `json:",omitempty"`
}

// Policy is a policy of an organization.
type Policy struct {
	ID          string // p-...
	Type        string
	Name        string
	Description string
	Content     string            // as it was given, byte for byte
	Tags        map[string]string `json:",omitempty"`
	Updated     time.Time
}

// Attachment is a policy that is attached to a root, a unit or an account.
type Attachment struct {
	Target, Type, Policy string
	Created              time.Time
}

// Profile is what is known of an account wherever it belongs. It outlives its membership.
type Profile struct {
	ID     string
	Name   string
	Email  string
	Closed time.Time `json:",omitzero"` // for good: leaving its organization does not open an account again
}

// TrustedService is an AWS service that may act in the organization.
type TrustedService struct {
	Service string // a service principal, e.g. guardduty.amazonaws.com
	Enabled time.Time
}

// Delegation makes a member the administrator of the organization for a service.
type Delegation struct {
	Account, Service string
	Enabled          time.Time
}

// Handshake is an invitation, or an agreement on all features. It lives with the organization.
type Handshake struct {
	ID         string // h-...
	OrgID      string
	Management string
	Action     string            // INVITE, ENABLE_ALL_FEATURES, APPROVE_ALL_FEATURES
	State      string            // REQUESTED, OPEN, CANCELED, ACCEPTED, DECLINED; the passing of Expires makes it EXPIRED
	Account    string            // the other party; empty where there is none
	Email      string            `json:",omitempty"` // if the invitation was addressed so
	Notes      string            `json:",omitempty"`
	Parent     string            `json:",omitempty"` // the handshake that this one is a part of
	Tags       map[string]string `json:",omitempty"`
	Requested  time.Time
	Expires    time.Time
	Ended      time.Time `json:",omitzero"`
}

// Creation tells how the creation of an account went.
type Creation struct {
	ID        string // car-...
	Name      string
	Account   string // empty if it failed
	State     string
	Failure   string `json:",omitempty"`
	Requested time.Time
	Completed time.Time
}

// ResourcePolicy is the policy of the organization itself, by which it lets members do what its management account may.
type ResourcePolicy struct {
	ID      string // rp-...
	Content string
	Tags    map[string]string `json:",omitempty"`
}

// Stored as (see store.Table), all in the management account and no region, but for profiles, which belong to nobody:
//
//	organizations / management // organization / id                   → Organization
//	organizations / management // account / id                        → Account     (indexes account.id, global, unique: id; account.parent)
//	organizations / management // unit / id                           → Unit        (indexes unit.parent; unit.name, unique: parent, name)
//	organizations / management // policy / id                         → Policy      (index policy.name, unique: type, name)
//	organizations / management // attachment / target / type / policy → Attachment  (index attachment.policy)
//	organizations / management // trusted / service                   → TrustedService
//	organizations / management // delegation / account / service      → Delegation  (index delegation.service)
//	organizations / management // handshake / id                      → Handshake   (indexes handshake.id, handshake.party, global)
//	organizations / management // creation / id                       → Creation
//	organizations / management // resourcepolicy / id                 → ResourcePolicy
//	organizations // profile / account                                → Profile     (index profile.email, unique: email in lower case)
var (
	Organizations = store.NewTable(service, "organization", func(r *Organization) store.Key { return store.Key{r.ID} })
	Accounts      = store.NewTable(service, "account", func(r *Account) store.Key { return store.Key{r.ID} },
		store.Index[Account]{Name: "id", Unique: true, Global: true, Entries: func(r *Account) []store.Key { return []store.Key{{r.ID}} }},
		store.Index[Account]{Name: "parent", Entries: func(r *Account) []store.Key { return []store.Key{{r.Parent}} }})
	Units = store.NewTable(service, "unit", func(r *Unit) store.Key { return store.Key{r.ID} },
		store.Index[Unit]{Name: "parent", Entries: func(r *Unit) []store.Key { return []store.Key{{r.Parent}} }},
		store.Index[Unit]{Name: "name", Unique: true, Entries: func(r *Unit) []store.Key { return []store.Key{{r.Parent, r.Name}} }})
	Policies = store.NewTable(service, "policy", func(r *Policy) store.Key { return store.Key{r.ID} },
		store.Index[Policy]{Name: "name", Unique: true, Entries: func(r *Policy) []store.Key { return []store.Key{{r.Type, r.Name}} }})
	Attachments = store.NewTable(service, "attachment", func(r *Attachment) store.Key { return store.Key{r.Target, r.Type, r.Policy} },
		store.Index[Attachment]{Name: "policy", Entries: func(r *Attachment) []store.Key { return []store.Key{{r.Policy}} }})
	TrustedServices = store.NewTable(service, "trusted", func(r *TrustedService) store.Key { return store.Key{r.Service} })
	Delegations     = store.NewTable(service, "delegation", func(r *Delegation) store.Key { return store.Key{r.Account, r.Service} },
		store.Index[Delegation]{Name: "service", Entries: func(r *Delegation) []store.Key { return []store.Key{{r.Service}} }})
	Handshakes = store.NewTable(service, "handshake", func(r *Handshake) store.Key { return store.Key{r.ID} },
		store.Index[Handshake]{Name: "id", Unique: true, Global: true, Entries: func(r *Handshake) []store.Key { return []store.Key{{r.ID}} }},
		store.Index[Handshake]{Name: "party", Global: true, Entries: func(r *Handshake) []store.Key {
			if r.Account == "" {
				return nil
			}
			return []store.Key{{r.Account}}
		}})
	Creations        = store.NewTable(service, "creation", func(r *Creation) store.Key { return store.Key{r.ID} })
	ResourcePolicies = store.NewTable(service, "resourcepolicy", func(r *ResourcePolicy) store.Key { return store.Key{r.ID} })
	Profiles         = store.NewTable(service, "profile", func(r *Profile) store.Key { return store.Key{r.ID} },
		store.Index[Profile]{Name: "email", Unique: true, Entries: func(r *Profile) []store.Key { return []store.Key{{strings.ToLower(r.Email)}} }})
)

const service = "organizations"

// Of returns the membership of an account, or store.ErrNotFound.
func Of(r store.Reader, account string) (*Account, error) {
	return Accounts.In("", "").Find(r, "id", account)
}

// Organization returns the organization that an account is a member of.
func (a *Account) Organization(r store.Reader) (*Organization, error) {
	return Organizations.In(a.Management, "").Get(r, a.OrgID)
}

// ProfileOf returns what is known of an account. One that nobody has named goes by its number.
func ProfileOf(r store.Reader, account string) (*Profile, error) {
	p, err := Profiles.In("", "").Get(r, account)
	if errors.Is(err, store.ErrNotFound) {
		return &Profile{ID: account, Name: account, Email: addressBefore + account + addressAfter}, nil
	}
	return p, err
}

// An account that nobody has named has an address in a domain that belongs to nobody (RFC 2606).
const addressBefore, addressAfter = "account-", "@example.com"

// ByEmail returns the account with an e-mail address, or store.ErrNotFound.
func ByEmail(r store.Reader, email string) (string, error) {
	email = strings.ToLower(email)
	p, err := Profiles.In("", "").Find(r, "email", email)
	if err == nil {
		return p.ID, nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return "", err
	}
	id, before := strings.CutPrefix(email, addressBefore)
	id, after := strings.CutSuffix(id, addressAfter)
	if !before || !after || len(id) != 12 || strings.Trim(id, "0123456789") != "" {
		return "", err
	}
	if _, named := Profiles.In("", "").Get(r, id); named == nil {
		return "", err // it goes by another address now
	} else if !errors.Is(named, store.ErrNotFound) {
		return "", named
	}
	return id, nil
}

// Chain returns what lies above an account or a unit with the given parent: the root first, the parent last.
func Chain(r store.Reader, o *Organization, parent string) ([]string, error) {
	var up []string
	for parent != o.Root {
		up = append(up, parent)
		u, err := Units.In(o.Management, "").Get(r, parent)
		if err != nil {
			return nil, err
		}
		if len(up) > MaxDepth {
			return nil, errLoop
		}
		parent = u.Parent
	}
	chain := make([]string, 0, len(up)+1)
	chain = append(chain, o.Root)
	for i := len(up) - 1; i >= 0; i-- {
		chain = append(chain, up[i])
	}
	return chain, nil
}

// MaxDepth is how many units lie above an account at most:
// https://docs.aws.amazon.com/organizations/latest/userguide/orgs_reference_limits.html
const MaxDepth = 5

var errLoop = errors.New("units lie within each other too deep")

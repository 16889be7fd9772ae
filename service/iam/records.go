package iam

import (
	"time"

	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
)

// loginProfile is a user's password. Its owner is named by the unique ID, so that it follows when the user is renamed.
type loginProfile struct {
	User          string   // unique ID, or identity.RootUser
	Hash          string   `json:",omitempty"` // see hashPassword; empty while nobody has set a password
	Former        []string `json:",omitempty"` // hashes of passwords before it, the latest first
	ResetRequired bool     `json:",omitempty"`
	Created       time.Time
	Changed       time.Time // when the password was set
}

// passwordPolicy is what passwords of the account have to be. There is one record an account, with an empty key.
type passwordPolicy struct {
	MinimumLength                          int
	Symbols, Numbers, Uppercase, Lowercase bool `json:",omitempty"`
	UsersMayChange                         bool `json:",omitempty"`
	MaxAge                                 int  `json:",omitempty"` // days; 0 is that they do not expire
	Reuse                                  int  `json:",omitempty"` // so many former passwords may not come again
	HardExpiry                             *bool
}

// sshKey is an SSH public key of a user.
type sshKey struct {
	ID          string // APKA...
	User        string // unique ID
	Body        string // as it was uploaded
	Fingerprint string
	Inactive    bool `json:",omitempty"`
	Uploaded    time.Time
}

// signingCertificate is an X.509 certificate of a user.
type signingCertificate struct {
	ID       string
	User     string // unique ID, or identity.RootUser
	Body     string
	Digest   string // of the certificate: SHA-256, in hexadecimal digits
	Inactive bool   `json:",omitempty"`
	Uploaded time.Time
}

// serviceCredential is a user's password for one service.
type serviceCredential struct {
	ID       string // ACCA...
	User     string // unique ID
	Service  string // e.g. codecommit.amazonaws.com
	Name     string // the user name, or alias, that goes with the password
	Hash     []byte // SHA-256 of the password, which is random and long: guessing is hopeless however fast it goes
	Inactive bool   `json:",omitempty"`
	Created  time.Time
	Expires  time.Time `json:",omitzero"`
}

// serverCertificate is a certificate for HTTPS, with its key.
type serverCertificate struct {
	Account  string
	Name     string
	Path     string
	ID       string // ASCA...
	Body     string
	Chain    string            `json:",omitempty"`
	Key      []byte            // the private key's PEM, wrapped
	Tags     map[string]string `json:",omitempty"`
	Uploaded time.Time
	Expires  time.Time
}

// credentialReport is the account's report. There is one record an account, with an empty key.
type credentialReport struct {
	Content   string
	Generated time.Time
}

// Stored as (see store.Table), all in their account and no region:
//
//	iam / account // login / unique ID       → loginProfile
//	iam / account // passwordpolicy          → passwordPolicy
//	iam / account // sshkey / id             → sshKey               (index user: unique ID)
//	iam / account // signing / id            → signingCertificate   (indexes user: unique ID; digest, unique)
//	iam / account // service / id            → serviceCredential    (indexes user: unique ID; name, unique: service, name)
//	iam / account // certificate / name      → serverCertificate    (index fold: name in lower case)
//	iam / account // report                  → credentialReport
//
// What everybody reads is in package identity.
var (
	loginTable  = store.NewTable("iam", "login", func(l *loginProfile) store.Key { return store.Key{l.User} })
	policyTable = store.NewTable("iam", "passwordpolicy", func(*passwordPolicy) store.Key { return store.Key{} })
	sshTable    = store.NewTable("iam", "sshkey", func(k *sshKey) store.Key { return store.Key{k.ID} },
		store.Index[sshKey]{Name: "user", Entries: func(k *sshKey) []store.Key { return []store.Key{{k.User}} }})
	signingTable = store.NewTable("iam", "signing", func(k *signingCertificate) store.Key { return store.Key{k.ID} },
		store.Index[signingCertificate]{Name: "user", Entries: func(k *signingCertificate) []store.Key { return []store.Key{{k.User}} }},
		store.Index[signingCertificate]{Name: "digest", Unique: true, Entries: func(k *signingCertificate) []store.Key { return []store.Key{{k.Digest}} }})
	serviceTable = store.NewTable("iam", "service", func(k *serviceCredential) store.Key { return store.Key{k.ID} },
		store.Index[serviceCredential]{Name: "user", Entries: func(k *serviceCredential) []store.Key { return []store.Key{{k.User}} }},
		store.Index[serviceCredential]{Name: "name", Unique: true, Entries: func(k *serviceCredential) []store.Key { return []store.Key{{k.Service, k.Name}} }})
	certificateTable = store.NewTable("iam", "certificate", func(k *serverCertificate) store.Key { return store.Key{k.Name} },
		store.Index[serverCertificate]{Name: "fold", Unique: true, Entries: func(k *serverCertificate) []store.Key { return []store.Key{{fold(k.Name)}} }})
	reportTable = store.NewTable("iam", "report", func(*credentialReport) store.Key { return store.Key{} })
)

// keyPlace is where the private key of a server certificate belongs.
func keyPlace(account, id string) seal.Place { return seal.At("iam/servercertificate", account, id) }

func logins(c *call.Call) store.Rows[loginProfile] { return loginTable.In(c.Scope.Account, "") }

// ofOwner selects by the index "user".
func ofOwner(o owner) store.Query { return store.Query{Index: "user", Prefix: store.Key{o.id()}} }

// Package identity knows who calls: users, groups, roles and their policies, the access keys that principals sign with, and the sessions
// that stand for them for a while.
package identity

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/engine/policy"
)

// Principal is somebody who calls, with everything that decides what they may do. It is immutable.
type Principal struct {
	policy.Principal

	// AccessKeyID signed the call; empty for services.
	AccessKeyID string

	// Tags of the user or role, and over them those of the session.
	Tags map[string]string

	// Policies that bind the principal wherever it goes. A nil Boundary or Policies of the session means that there is none.
	Identity []*policy.Policy // attached to the user or the role
	Groups   []*policy.Policy // attached to the user's groups
	Boundary *policy.Policy
	Session  []*policy.Policy

	// Temporary is the session behind temporary credentials, or nil.
	Temporary *Session

	// LinkedService is the service that a service-linked role's session belongs to: no policy of an organization binds it.
	LinkedService string

	record []byte
}

// UserID is the unique identifier that sts:GetCallerIdentity tells: the account of a root user, AIDA... of a
// user, AROA...:session of a role session, account:name of a federated user.
func (p *Principal) UserID() string {
	switch p.Kind {
	case policy.Root:
		return p.Account
	case policy.Role:
		return p.ID + ":" + p.SessionName
	case policy.FederatedUser:
		return p.Account + ":" + p.SessionName
	}
	return p.ID
}

// userIdentity is the userIdentity element of audit records:
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
type userIdentity struct {
	Type             string          `json:"type"`
	PrincipalID      string          `json:"principalId,omitempty"`
	ARN              string          `json:"arn,omitempty"`
	AccountID        string          `json:"accountId,omitempty"`
	AccessKeyID      string          `json:"accessKeyId,omitempty"`
	UserName         string          `json:"userName,omitempty"`
	IdentityProvider string          `json:"identityProvider,omitempty"`
	InvokedBy        string          `json:"invokedBy,omitempty"`
	SessionContext   *sessionContext `json:"sessionContext,omitempty"`
}

type sessionContext struct {
	SessionIssuer       *sessionIssuer    `json:"sessionIssuer,omitempty"`
	WebIDFederationData *federationData   `json:"webIdFederationData,omitempty"`
	SourceIdentity      string            `json:"sourceIdentity,omitempty"`
	AssumedRoot         string            `json:"assumedRoot,omitempty"`
	Attributes          sessionAttributes `json:"attributes"`
}

type sessionIssuer struct {
	Type        string `json:"type"`
	PrincipalID string `json:"principalId"`
	ARN         string `json:"arn"`
	AccountID   string `json:"accountId"`
	UserName    string `json:"userName,omitempty"`
}

type federationData struct {
	Provider   string   `json:"federatedProvider"`
	Attributes struct{} `json:"attributes"`
}

type sessionAttributes struct {
	CreationDate     string `json:"creationDate"`
	MFAAuthenticated string `json:"mfaAuthenticated"`
}

// UserIdentity is the userIdentity element of the principal's audit records, as JSON.
func (p *Principal) UserIdentity() []byte { return p.record }

// UserIdentityElsewhere is what the records of other accounts have in its place: which account called, and who of it by an identifier that says no more.
func (p *Principal) UserIdentityElsewhere() []byte {
	if p.Account == "" {
		return p.record
	}
	b, _ := json.Marshal(userIdentity{Type: "AWSAccount", PrincipalID: p.UserID(), AccountID: p.Account}) // strings only
	return b
}

// seal computes what is asked for at every call. A Principal is not changed after it.
func (p *Principal) seal() *Principal {
	u := userIdentity{
		PrincipalID: p.UserID(), ARN: p.ARN, AccountID: p.Account, AccessKeyID: p.AccessKeyID, UserName: p.UserName,
	}
	switch p.Kind {
	case policy.Root:
		u.Type = "Root"
	case policy.User:
		u.Type = "IAMUser"
	case policy.Role:
		u.Type = "AssumedRole"
	case policy.FederatedUser:
		u.Type = "FederatedUser"
	case policy.Service:
		u = userIdentity{Type: "AWSService", InvokedBy: p.ServiceName}
	case policy.Federated:
		u.Type, u.UserName, u.IdentityProvider = "WebIdentityUser", p.SessionName, p.Provider
		u.PrincipalID = p.ID
		if strings.Contains(p.Provider, ":saml-provider/") {
			u.Type = "SAMLUser"
		}
	default:
		u.Type = "Unknown"
	}
	if s := p.Temporary; s != nil {
		u.SessionContext = s.context(p)
	}
	p.record, _ = json.Marshal(u) // strings only
	return p
}

// context is what audit records tell of a session.
func (s *Session) context(p *Principal) *sessionContext {
	x := &sessionContext{SourceIdentity: s.SourceIdentity, Attributes: sessionAttributes{
		CreationDate: s.Issued.UTC().Format(time.RFC3339), MFAAuthenticated: "false",
	}}
	if !s.MFA.IsZero() {
		x.Attributes.MFAAuthenticated = "true"
	}
	switch s.Kind {
	case RoleSession:
		x.SessionIssuer = &sessionIssuer{Type: "Role", PrincipalID: p.ID, ARN: p.Issuer, AccountID: p.Account, UserName: s.Name}
		if s.Provider != "" {
			x.WebIDFederationData = &federationData{Provider: s.Provider}
		}
	case FederationSession:
		x.SessionIssuer = &sessionIssuer{Type: "IAMUser", PrincipalID: s.ID, ARN: p.Issuer, AccountID: p.Account, UserName: s.Name}
		if s.Name == "" {
			x.SessionIssuer.Type, x.SessionIssuer.PrincipalID = "Root", p.Account
		}
	case RootSession:
		x.AssumedRoot = "true"
	}
	return x
}

// Anonymous is who calls without a signature, or with one that proves nothing. The access key ID is what they
// claim; it stands in the audit record of the refusal.
func Anonymous(accessKeyID string) *Principal {
	return (&Principal{AccessKeyID: accessKeyID}).seal()
}

// Federated is somebody whom an identity provider, given as ARN or host name, vouches for and who has no role yet. The subject is the
// provider's name for them.
func Federated(provider, subject string) *Principal {
	return (&Principal{Principal: policy.Principal{
		Kind: policy.Federated, Provider: provider, ID: provider + ":" + subject, SessionName: subject,
	}}).seal()
}

// Root is the root user of an account.
func Root(partition, account, accessKeyID string) *Principal {
	return root(partition, account, accessKeyID).seal()
}

func root(partition, account, accessKeyID string) *Principal {
	return &Principal{
		Principal:   policy.Principal{Kind: policy.Root, Account: account, ARN: "arn:" + partition + ":iam::" + account + ":root", ID: account},
		AccessKeyID: accessKeyID,
	}
}

// Service is a service acting for itself, e.g. kms.amazonaws.com.
func Service(name string) *Principal {
	return (&Principal{Principal: policy.Principal{Kind: policy.Service, ServiceName: name}}).seal()
}

// RegionalService is Service for one that policies also know by its name in each region, e.g. logs.eu-central-1.amazonaws.com.
func RegionalService(name, region string) *Principal {
	short, domain, _ := strings.Cut(name, ".")
	return (&Principal{Principal: policy.Principal{Kind: policy.Service, ServiceName: name, RegionalName: short + "." + region + "." + domain}}).seal()
}

// administrator is the document of the managed policy AdministratorAccess.
const administrator = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`

// Developer is the IAM user dev with AdministratorAccess: who an unknown access key stands for in dev mode.
func Developer(partition, account, accessKeyID string) (*Principal, error) {
	admin, err := policy.Parse([]byte(administrator), policy.Identity)
	if err != nil {
		return nil, err
	}
	p := ofUser(partition, developer(account), accessKeyID)
	p.Identity = []*policy.Policy{admin}
	return p.seal(), nil
}

func developer(account string) *User {
	return &User{Account: account, Name: "dev", ID: "AIDADEVDEVDEVDEVDEVDE"}
}

// DeveloperARN names the user that Developer returns.
func DeveloperARN(partition, account string) string { return developer(account).ARN(partition) }

func ofUser(partition string, u *User, accessKeyID string) *Principal {
	return &Principal{
		Principal:   policy.Principal{Kind: policy.User, Account: u.Account, ARN: u.ARN(partition), ID: u.ID, UserName: u.Name},
		AccessKeyID: accessKeyID,
		Tags:        u.Tags,
	}
}

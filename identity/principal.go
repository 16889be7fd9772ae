// Package identity knows who calls: the principals of the cloud, the access keys they sign with, and the
// policies that bind them.
package identity

import (
	"encoding/json"

	"github.com/holdfast-cloud/holdfast/engine/policy"
)

// Principal is somebody who calls, with everything that decides what they may do. It is immutable.
type Principal struct {
	policy.Principal

	// AccessKeyID signed the call; empty for services.
	AccessKeyID string

	// Tags of the user or role and of the session.
	Tags map[string]string

	// Policies that bind the principal wherever it goes. A nil Boundary or Session means that there is none.
	Identity []*policy.Policy
	Boundary *policy.Policy
	Session  []*policy.Policy

	record []byte
}

// Account, ID, ARN as sts:GetCallerIdentity tells them.
func (p *Principal) userID() string {
	switch p.Kind {
	case policy.Root:
		return p.Account
	case policy.Role, policy.FederatedUser:
		return p.ID + ":" + p.SessionName
	}
	return p.ID
}

// UserID is the unique identifier that sts:GetCallerIdentity tells: the account of a root user, AIDA... of a
// user, AROA...:session of a role session.
func (p *Principal) UserID() string { return p.userID() }

// userIdentity is the userIdentity element of audit records:
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-user-identity.html
type userIdentity struct {
	Type        string `json:"type"`
	PrincipalID string `json:"principalId,omitempty"`
	ARN         string `json:"arn,omitempty"`
	AccountID   string `json:"accountId,omitempty"`
	AccessKeyID string `json:"accessKeyId,omitempty"`
	UserName    string `json:"userName,omitempty"`
	InvokedBy   string `json:"invokedBy,omitempty"`
}

// UserIdentity is the userIdentity element of the principal's audit records, as JSON.
func (p *Principal) UserIdentity() []byte { return p.record }

// seal computes what is asked for at every call. A Principal is not changed after it.
func (p *Principal) seal() *Principal {
	u := userIdentity{
		PrincipalID: p.userID(), ARN: p.ARN, AccountID: p.Account, AccessKeyID: p.AccessKeyID, UserName: p.UserName,
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
	default:
		u.Type = "Unknown"
	}
	p.record, _ = json.Marshal(u) // strings only
	return p
}

// Anonymous is who calls without a signature, or with one that proves nothing. The access key ID is what they
// claim; it stands in the audit record of the refusal.
func Anonymous(accessKeyID string) *Principal {
	return (&Principal{AccessKeyID: accessKeyID}).seal()
}

// Root is the root user of an account.
func Root(partition, account, accessKeyID string) *Principal {
	return (&Principal{
		Principal: policy.Principal{
			Kind: policy.Root, Account: account, ARN: "arn:" + partition + ":iam::" + account + ":root", ID: account,
		},
		AccessKeyID: accessKeyID,
	}).seal()
}

// Service is a service acting for itself, e.g. kms.amazonaws.com.
func Service(name string) *Principal {
	return (&Principal{Principal: policy.Principal{Kind: policy.Service, ServiceName: name}}).seal()
}

// administrator is the document of the managed policy AdministratorAccess.
const administrator = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`

// Developer is the IAM user dev with AdministratorAccess: who an unknown access key stands for in dev mode.
func Developer(partition, account, accessKeyID string) (*Principal, error) {
	admin, err := policy.Parse([]byte(administrator), policy.Identity)
	if err != nil {
		return nil, err
	}
	return newUser(partition, developer(account), accessKeyID, []*policy.Policy{admin}), nil
}

func developer(account string) *User {
	return &User{Account: account, Name: "dev", ID: "AIDADEVDEVDEVDEVDEVDE"}
}

// DeveloperARN names the user that Developer returns.
func DeveloperARN(partition, account string) string { return developer(account).ARN(partition) }

func newUser(partition string, u *User, accessKeyID string, policies []*policy.Policy) *Principal {
	return (&Principal{
		Principal: policy.Principal{
			Kind: policy.User, Account: u.Account, ARN: u.ARN(partition), ID: u.ID, UserName: u.Name,
		},
		AccessKeyID: accessKeyID,
		Tags:        u.Tags,
		Identity:    policies,
	}).seal()
}

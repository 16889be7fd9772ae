package sts

import (
	"time"

	"github.com/holdfast-cloud/holdfast/api/sts"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/identity/managed"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/organization"
)

// maxRootSession is how long a session of AssumeRoot lasts at most, and if the caller does not say.
const maxRootSession = 15 * time.Minute

// rootService is the service whose trusted access lets an organization manage its members' root users.
const rootService = "iam.amazonaws.com"

// AssumeRoot lets the management account of an organization, or who administers IAM for it, do one of a few tasks as the root user of a member.
func (s *Service) AssumeRoot(c *call.Call, in *sts.AssumeRootRequest) (*sts.AssumeRootResponse, error) {
	if err := s.admit(c); err != nil {
		return nil, err
	}
	account := *in.TargetPrincipal
	if a, err := arn.Parse(account); err == nil && a.Partition == s.cfg.Partition && a.Service == "iam" && a.Region == "" && a.Resource == "root" {
		account = a.Account
	}
	if !identity.IsAccount(account) {
		return nil, invalid("%s is invalid", *in.TargetPrincipal)
	}
	task := optional.Value(in.TaskPolicyArn.Arn)
	if p, ok := managed.Find(task); !ok || !p.RootTask() {
		return nil, invalid("%s is not a policy of a root task", task)
	}
	name := "arn:" + s.cfg.Partition + ":iam::" + account + ":root"
	manages, err := s.managesRoot(c, account)
	if err != nil {
		return nil, err
	}
	if !manages {
		// Also where there is no such account: that would be telling.
		return nil, c.Refuse(c.Op.Action, "on resource: "+name)
	}
	// The member's consent lies in its membership.
	consent, err := policy.Parse([]byte(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"`+c.Caller.Account+`"},"Action":"sts:AssumeRoot","Resource":"*"}}`),
		policy.Resource)
	if err != nil {
		return nil, err
	}
	err = c.Authorize(&call.Resource{ARN: name, Account: account, Type: "AWS::IAM::Root", Policy: consent, Conditions: policy.Values{"sts:taskpolicyarn": {task}}})
	if err != nil {
		return nil, err
	}
	lasts := maxRootSession
	if in.DurationSeconds != nil {
		lasts = min(lasts, time.Duration(*in.DurationSeconds)*time.Second)
	}
	session := &identity.Session{Kind: identity.RootSession, Account: account, PolicyARNs: []string{task}}
	if t := c.Caller.Temporary; t != nil {
		session.SourceIdentity = t.SourceIdentity
	}
	credentials, _, err := s.issue(c, session, lasts)
	if err != nil {
		return nil, err
	}
	return &sts.AssumeRootResponse{Credentials: credentials, SourceIdentity: some(session.SourceIdentity)}, nil
}

// managesRoot reports whether the caller's account manages the root user of a member: it is the organization's management account or administers IAM for
// it, IAM has trusted access, and root sessions are enabled. The management account's own root user nobody manages.
func (s *Service) managesRoot(c *call.Call, account string) (bool, error) {
	caller, err := s.cfg.Organizations.Member(c.Context, c.Caller.Account)
	if err != nil {
		return false, err
	}
	member, err := s.cfg.Organizations.Member(c.Context, account)
	if err != nil || caller == nil || member == nil || member.OrgID != caller.OrgID || member.Management || member.Status != organization.Active {
		return false, err
	}
	management := caller.ManagementAccount
	tx := c.Tx()
	if _, err := organization.TrustedServices.In(management, "").Get(tx, rootService); missing(err) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	if !caller.Management {
		if _, err := organization.Delegations.In(management, "").Get(tx, c.Caller.Account, rootService); missing(err) {
			return false, nil
		} else if err != nil {
			return false, err
		}
	}
	settings, err := identity.AllSettings.In(management, "").Get(tx)
	if missing(err) {
		return false, nil
	}
	return err == nil && settings.RootSessions, err
}

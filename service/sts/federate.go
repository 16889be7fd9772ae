package sts

import (
	"time"

	"github.com/holdfast-cloud/holdfast/api/sts"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
)

// How long credentials of users last if the caller does not say. Those of the root user last an hour at most, whatever is asked for:
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html
const (
	usualSession = 12 * time.Hour
	rootSession  = time.Hour
)

// GetSessionToken gives the caller temporary credentials of their own, which say whether an MFA device was at hand.
func (s *Service) GetSessionToken(c *call.Call, in *sts.GetSessionTokenRequest) (*sts.GetSessionTokenResponse, error) {
	if err := s.longTerm(c); err != nil {
		return nil, err
	}
	c.Open("No permissions are required: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_control-access_getsessiontoken.html")
	session := &identity.Session{Kind: identity.UserSession, Account: c.Caller.Account, Name: c.Caller.UserName}
	if session.Name != "" {
		session.ID = c.Caller.ID
	}
	proven, err := s.proveMFA(c, in.SerialNumber, in.TokenCode)
	if err != nil {
		return nil, err
	}
	if proven {
		session.MFA = c.Time.UTC().Truncate(time.Second)
	}
	credentials, _, err := s.issue(c, session, lasting(c, in.DurationSeconds))
	if err != nil {
		return nil, err
	}
	return &sts.GetSessionTokenResponse{Credentials: credentials}, nil
}

// GetFederationToken gives credentials to somebody whom the calling user vouches for. They may do what both the user and the session policies may.
func (s *Service) GetFederationToken(c *call.Call, in *sts.GetFederationTokenRequest) (*sts.GetFederationTokenResponse, error) {
	if err := s.longTerm(c); err != nil {
		return nil, err
	}
	tags, err := tagSet(in.Tags)
	if err != nil {
		return nil, err
	}
	name := "arn:" + s.cfg.Partition + ":sts::" + c.Caller.Account + ":federated-user/" + *in.Name
	r := &call.Resource{ARN: name, RequestTags: tags}
	if err := c.Authorize(r); err != nil {
		return nil, err
	}
	if len(tags) > 0 {
		if err := c.AuthorizeAction(actionTag, r); err != nil {
			return nil, err
		}
	}
	session := &identity.Session{
		Kind: identity.FederationSession, Account: c.Caller.Account, Name: c.Caller.UserName, SessionName: *in.Name, Tags: tags,
	}
	if session.Name != "" {
		session.ID = c.Caller.ID
	}
	if err := s.restrict(c, session, in.Policy, in.PolicyArns); err != nil {
		return nil, err
	}
	credentials, size, err := s.issue(c, session, lasting(c, in.DurationSeconds))
	if err != nil {
		return nil, err
	}
	return &sts.GetFederationTokenResponse{
		Credentials: credentials, PackedPolicySize: size,
		FederatedUser: &sts.FederatedUser{FederatedUserId: new(c.Caller.Account + ":" + *in.Name), Arn: &name},
	}, nil
}

// longTerm refuses everybody but users with their own access keys, and the root user.
func (s *Service) longTerm(c *call.Call) error {
	if err := s.admit(c); err != nil {
		return err
	}
	if c.Caller.Kind != policy.User && c.Caller.Kind != policy.Root {
		return deny(c, "%s can be called by users only", c.Op.Name)
	}
	return nil
}

func lasting(c *call.Call, seconds *int32) time.Duration {
	lasts := usualSession
	if seconds != nil {
		lasts = time.Duration(*seconds) * time.Second
	}
	if c.Caller.Kind == policy.Root {
		lasts = min(lasts, rootSession)
	}
	return lasts
}

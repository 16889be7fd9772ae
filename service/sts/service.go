// Package sts gives out temporary credentials: for roles, to those whom their trust policies let in, for users, and for people whom identity providers
// vouch for. It also tells callers who they are, and vouches for them to others.
package sts

import (
	"errors"

	"github.com/holdfast-cloud/holdfast/api/sts"
	"github.com/holdfast-cloud/holdfast/cache"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/clock"
	"github.com/holdfast-cloud/holdfast/door"
	"github.com/holdfast-cloud/holdfast/engine/oidc"
	"github.com/holdfast-cloud/holdfast/engine/saml"
	"github.com/holdfast-cloud/holdfast/evidence"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/organization"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

// Config is what the service is made of. All of it is needed.
type Config struct {
	Store         store.Store
	Seal          *seal.Keyring
	Directory     *identity.Directory
	Organizations *organization.Directory
	Verifier      *oidc.Verifier // of ID tokens
	Partition     string         // aws, aws-cn, aws-us-gov

	// World is the time of the world, by which identity providers date what they say. The clock of calls may have been moved away from it.
	World clock.Clock

	// PublicURL is where others reach the cloud: the issuers of web identity tokens lie below it.
	PublicURL string
}

// Service is the Security Token Service.
type Service struct {
	cfg      Config
	codes    guesses
	metadata *cache.Cache[string, *saml.Metadata] // of SAML providers, by the document
}

// New returns the service.
func New(cfg Config) (*Service, error) {
	if cfg.Store == nil || cfg.Seal == nil || cfg.Directory == nil || cfg.Organizations == nil || cfg.Verifier == nil || cfg.Partition == "" || cfg.World == nil || cfg.PublicURL == "" {
		return nil, errors.New("sts: Config needs everything in it")
	}
	return &Service{cfg: cfg, metadata: newMetadata()}, nil
}

// Room is the service as it stands behind the door.
func (s *Service) Room() door.Room {
	return door.Room{Service: sts.Service, Endpoints: sts.Endpoints(s)}
}

// GetCallerIdentity tells who signed the call.
func (s *Service) GetCallerIdentity(c *call.Call, _ *sts.GetCallerIdentityRequest) (*sts.GetCallerIdentityResponse, error) {
	c.Open("No permissions are required: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html")
	return &sts.GetCallerIdentityResponse{
		UserId:  new(c.Caller.UserID()),
		Account: new(c.Caller.Account),
		Arn:     new(c.Caller.ARN),
	}, nil
}

// GetAccessKeyInfo tells which account an access key belongs to: by its ID, whether it is there or not.
func (s *Service) GetAccessKeyInfo(c *call.Call, in *sts.GetAccessKeyInfoRequest) (*sts.GetAccessKeyInfoResponse, error) {
	if err := s.admit(c); err != nil {
		return nil, err
	}
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	account, ok := identity.KeyAccount(*in.AccessKeyId)
	if !ok {
		return nil, invalid("Invalid access key ID: %s", *in.AccessKeyId)
	}
	return &sts.GetAccessKeyInfoResponse{Account: &account}, nil
}

// DecodeAuthorizationMessage shows what a denied caller was told in an encoded message.
func (s *Service) DecodeAuthorizationMessage(c *call.Call, in *sts.DecodeAuthorizationMessageRequest) (*sts.DecodeAuthorizationMessageResponse, error) {
	if err := s.admit(c); err != nil {
		return nil, err
	}
	if err := c.Authorize(&call.Resource{ARN: "*"}); err != nil {
		return nil, err
	}
	text, err := evidence.Decode(s.cfg.Seal, c.Scope.Account, *in.EncodedMessage)
	if errors.Is(err, evidence.ErrMessage) {
		return nil, &sts.InvalidAuthorizationMessageException{Message: "Message is not valid"}
	}
	if err != nil {
		return nil, err
	}
	return &sts.DecodeAuthorizationMessageResponse{DecodedMessage: &text}, nil
}

// GetDelegatedAccessToken trades in tokens of a program for AWS's partners, which are made nowhere here.
func (s *Service) GetDelegatedAccessToken(*call.Call, *sts.GetDelegatedAccessTokenRequest) (*sts.GetDelegatedAccessTokenResponse, error) {
	return nil, wire.NotImplemented(sts.Service.Package, sts.OpGetDelegatedAccessToken.Name)
}

package iam

import (
	"encoding/hex"
	"fmt"
	"io"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/identity"
)

// SetSecurityTokenServicePreferences says which session tokens the global endpoint gives out.
func (s *Service) SetSecurityTokenServicePreferences(c *call.Call, in *iam.SetSecurityTokenServicePreferencesRequest) (*iam.SetSecurityTokenServicePreferencesResponse, error) {
	if err := s.anything(c); err != nil {
		return nil, err
	}
	set, err := settings(c, c.Scope.Account)
	if err != nil {
		return nil, err
	}
	set.TokensEverywhere = in.GlobalEndpointTokenVersion == iam.GlobalEndpointTokenVersionV2Token
	return &iam.SetSecurityTokenServicePreferencesResponse{}, putSettings(c, set)
}

// EnableOutboundWebIdentityFederation has sts:GetWebIdentityToken give out tokens of the account.
func (s *Service) EnableOutboundWebIdentityFederation(c *call.Call, _ *iam.EnableOutboundWebIdentityFederationRequest) (*iam.EnableOutboundWebIdentityFederationResponse, error) {
	if err := s.anything(c); err != nil {
		return nil, err
	}
	set, err := settings(c, c.Scope.Account)
	if err != nil {
		return nil, err
	}
	if set.IsFederated() {
		return nil, &iam.FeatureEnabledException{Message: "Outbound web identity federation is already enabled for this account."}
	}
	set.OutboundOff = false
	if set.Outbound == "" {
		id := make([]byte, 16)
		if _, err := io.ReadFull(c.Rand, id); err != nil {
			return nil, fmt.Errorf("reading randomness: %w", err)
		}
		set.Outbound = hex.EncodeToString(id)
	}
	return &iam.EnableOutboundWebIdentityFederationResponse{IssuerIdentifier: s.issuer(set)}, putSettings(c, set)
}

func (s *Service) issuer(set *identity.Settings) *string {
	return new(identity.IssuerURL(s.cfg.PublicURL, set.Outbound))
}

func notFederated() error {
	return &iam.FeatureDisabledException{Message: "Outbound web identity federation is not enabled for this account."}
}

// DisableOutboundWebIdentityFederation ends it. What was given out before stays valid, so the issuer goes on to publish its keys, and is the account's again when
// federation is enabled once more.
func (s *Service) DisableOutboundWebIdentityFederation(c *call.Call, _ *iam.DisableOutboundWebIdentityFederationRequest) (*iam.DisableOutboundWebIdentityFederationResponse, error) {
	if err := s.anything(c); err != nil {
		return nil, err
	}
	set, err := settings(c, c.Scope.Account)
	if err != nil {
		return nil, err
	}
	if !set.IsFederated() {
		return nil, notFederated()
	}
	set.OutboundOff = true
	return &iam.DisableOutboundWebIdentityFederationResponse{}, putSettings(c, set)
}

// GetOutboundWebIdentityFederationInfo tells the account's issuer.
func (s *Service) GetOutboundWebIdentityFederationInfo(c *call.Call, _ *iam.GetOutboundWebIdentityFederationInfoRequest) (*iam.GetOutboundWebIdentityFederationInfoResponse, error) {
	if err := s.anything(c); err != nil {
		return nil, err
	}
	set, err := settings(c, c.Scope.Account)
	if err != nil {
		return nil, err
	}
	if !set.IsFederated() {
		return nil, notFederated()
	}
	return &iam.GetOutboundWebIdentityFederationInfoResponse{IssuerIdentifier: s.issuer(set), JwtVendingEnabled: new(true)}, nil
}

package iam

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

const (
	maxThumbprints = 5
	maxClientIDs   = 100

	oidcType = "AWS::IAM::OIDCProvider"
)

func oidcProviders(c *call.Call) store.Rows[identity.OIDCProvider] {
	return identity.OIDCProviders.In(c.Scope.Account, "")
}

// oidc finds the OpenID Connect provider of an ARN and asks for permission. It is nil if there is none.
func (s *Service) oidc(c *call.Call, name string, with ...func(*call.Resource)) (*identity.OIDCProvider, error) {
	r := &call.Resource{ARN: name, Type: oidcType}
	a, err := arn.Parse(name)
	address, ok := strings.CutPrefix(a.Resource, "oidc-provider/")
	// A name with a region would lead to the provider past the policies that are about its ARN, which has none.
	valid := err == nil && a.Service == "iam" && a.Region == "" && ok
	var p *identity.OIDCProvider
	if valid {
		r.Account = a.Account
		if a.Account == c.Scope.Account && a.Partition == s.cfg.Partition {
			if p, err = oidcProviders(c).Get(c.Tx(), address); err != nil && !missing(err) {
				return nil, err
			}
		}
	}
	if p != nil {
		r.Tags = p.Tags
	}
	if err := s.authorizeWith(c, r, with); err != nil {
		return nil, err
	}
	if !valid {
		return nil, invalid("Invalid ARN: %s", name)
	}
	return p, nil
}

// knownOIDC is oidc for operations that need the provider to be there.
func (s *Service) knownOIDC(c *call.Call, name string, with ...func(*call.Resource)) (*identity.OIDCProvider, error) {
	p, err := s.oidc(c, name, with...)
	if err == nil && p == nil {
		return nil, &iam.NoSuchEntityException{Message: "OpenIDConnect Provider not found for arn " + name}
	}
	return p, err
}

// providerAddress is a provider's URL without https://. One on this machine's loopback addresses may go without TLS, as the cloud's own issuers do when it listens
// there; whether it is ever asked is for the configuration of STS to say.
func providerAddress(given string) (string, error) {
	address, ok := strings.CutPrefix(given, "https://")
	u, err := url.Parse(given)
	if !ok && err == nil && onLoopback(u.Hostname()) {
		address, ok = strings.CutPrefix(given, "http://")
	}
	if !ok || err != nil || u.Host == "" || u.User != nil || strings.ContainsAny(address, "?# ") {
		return "", &wire.Error{Code: "ValidationError", Status: 400, Message: "Invalid Open ID Connect Provider URL"}
	}
	return address, nil
}

func onLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// CreateOpenIDConnectProvider registers an OpenID Connect provider, whose users can then be given roles.
func (s *Service) CreateOpenIDConnectProvider(c *call.Call, in *iam.CreateOpenIDConnectProviderRequest) (*iam.CreateOpenIDConnectProviderResponse, error) {
	tags, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	address, err := providerAddress(*in.Url)
	if err != nil {
		return nil, err
	}
	p := &identity.OIDCProvider{
		Account: c.Scope.Account, URL: address, ClientIDs: in.ClientIDList, Thumbprints: in.ThumbprintList, Tags: tags, Created: c.Time,
	}
	if err := s.create(c, &call.Resource{ARN: p.ARN(s.cfg.Partition), Type: oidcType}, iam.OpTagOpenIDConnectProvider, tags); err != nil {
		return nil, err
	}
	if err := checkOIDC(p); err != nil {
		return nil, err
	}
	taken := "Provider with url https://" + address + " already exists."
	if err := insert(c, identity.OIDCProviders, p, "OpenIdConnectProvidersPerAccount", providersQuota, taken); err != nil {
		return nil, err
	}
	out := &iam.CreateOpenIDConnectProviderResponse{OpenIDConnectProviderArn: new(p.ARN(s.cfg.Partition))}
	if len(tags) > 0 {
		out.Tags = tagList(tags)
	}
	return out, nil
}

func checkOIDC(p *identity.OIDCProvider) error {
	switch {
	case len(p.Thumbprints) > maxThumbprints:
		return invalid("Thumbprint list must contain fewer than 5 entries.")
	case len(p.ClientIDs) > maxClientIDs:
		return exceeded("ClientIdsPerOpenIdConnectProvider", maxClientIDs)
	}
	return nil
}

// GetOpenIDConnectProvider tells of a provider.
func (s *Service) GetOpenIDConnectProvider(c *call.Call, in *iam.GetOpenIDConnectProviderRequest) (*iam.GetOpenIDConnectProviderResponse, error) {
	p, err := s.knownOIDC(c, *in.OpenIDConnectProviderArn)
	if err != nil {
		return nil, err
	}
	return &iam.GetOpenIDConnectProviderResponse{
		Url: &p.URL, ClientIDList: orEmpty(p.ClientIDs), ThumbprintList: orEmpty(p.Thumbprints), CreateDate: &p.Created, Tags: tagList(p.Tags),
	}, nil
}

// orEmpty is a list that answers have even if there is nothing in it.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// ListOpenIDConnectProviders lists the account's providers: all of them, as the operation has no pages.
func (s *Service) ListOpenIDConnectProviders(c *call.Call, _ *iam.ListOpenIDConnectProvidersRequest) (*iam.ListOpenIDConnectProvidersResponse, error) {
	if err := s.anything(c); err != nil {
		return nil, err
	}
	out := &iam.ListOpenIDConnectProvidersResponse{OpenIDConnectProviderList: []iam.OpenIDConnectProviderListEntry{}}
	for p, err := range oidcProviders(c).Scan(c.Tx(), store.Query{}) {
		if err != nil {
			return nil, err
		}
		out.OpenIDConnectProviderList = append(out.OpenIDConnectProviderList, iam.OpenIDConnectProviderListEntry{Arn: new(p.ARN(s.cfg.Partition))})
	}
	return out, nil
}

// DeleteOpenIDConnectProvider deletes a provider. That there is none is no error.
func (s *Service) DeleteOpenIDConnectProvider(c *call.Call, in *iam.DeleteOpenIDConnectProviderRequest) (*iam.DeleteOpenIDConnectProviderResponse, error) {
	p, err := s.oidc(c, *in.OpenIDConnectProviderArn)
	if err != nil || p == nil {
		return &iam.DeleteOpenIDConnectProviderResponse{}, err
	}
	return &iam.DeleteOpenIDConnectProviderResponse{}, oidcProviders(c).Delete(c.Tx(), p.URL)
}

// AddClientIDToOpenIDConnectProvider adds an audience. One that is there already is no error.
func (s *Service) AddClientIDToOpenIDConnectProvider(c *call.Call, in *iam.AddClientIDToOpenIDConnectProviderRequest) (*iam.AddClientIDToOpenIDConnectProviderResponse, error) {
	p, err := s.knownOIDC(c, *in.OpenIDConnectProviderArn)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(p.ClientIDs, *in.ClientID) {
		p.ClientIDs = append(p.ClientIDs, *in.ClientID)
	}
	if err := checkOIDC(p); err != nil {
		return nil, err
	}
	return &iam.AddClientIDToOpenIDConnectProviderResponse{}, oidcProviders(c).Put(c.Tx(), p)
}

// RemoveClientIDFromOpenIDConnectProvider removes an audience. One that is not there is no error.
func (s *Service) RemoveClientIDFromOpenIDConnectProvider(c *call.Call, in *iam.RemoveClientIDFromOpenIDConnectProviderRequest) (*iam.RemoveClientIDFromOpenIDConnectProviderResponse, error) {
	p, err := s.knownOIDC(c, *in.OpenIDConnectProviderArn)
	if err != nil {
		return nil, err
	}
	p.ClientIDs = slices.DeleteFunc(p.ClientIDs, func(id string) bool { return id == *in.ClientID })
	return &iam.RemoveClientIDFromOpenIDConnectProviderResponse{}, oidcProviders(c).Put(c.Tx(), p)
}

// UpdateOpenIDConnectProviderThumbprint replaces the thumbprints.
func (s *Service) UpdateOpenIDConnectProviderThumbprint(c *call.Call, in *iam.UpdateOpenIDConnectProviderThumbprintRequest) (*iam.UpdateOpenIDConnectProviderThumbprintResponse, error) {
	p, err := s.knownOIDC(c, *in.OpenIDConnectProviderArn)
	if err != nil {
		return nil, err
	}
	p.Thumbprints = in.ThumbprintList
	if err := checkOIDC(p); err != nil {
		return nil, err
	}
	return &iam.UpdateOpenIDConnectProviderThumbprintResponse{}, oidcProviders(c).Put(c.Tx(), p)
}

// TagOpenIDConnectProvider sets tags of a provider.
func (s *Service) TagOpenIDConnectProvider(c *call.Call, in *iam.TagOpenIDConnectProviderRequest) (*iam.TagOpenIDConnectProviderResponse, error) {
	set, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	p, err := s.knownOIDC(c, *in.OpenIDConnectProviderArn, requesting(set))
	if err != nil {
		return nil, err
	}
	if p.Tags, err = addTags(p.Tags, set); err != nil {
		return nil, err
	}
	return &iam.TagOpenIDConnectProviderResponse{}, oidcProviders(c).Put(c.Tx(), p)
}

// UntagOpenIDConnectProvider removes tags of a provider.
func (s *Service) UntagOpenIDConnectProvider(c *call.Call, in *iam.UntagOpenIDConnectProviderRequest) (*iam.UntagOpenIDConnectProviderResponse, error) {
	p, err := s.knownOIDC(c, *in.OpenIDConnectProviderArn, requestingKeys(in.TagKeys))
	if err != nil {
		return nil, err
	}
	p.Tags = removeTags(p.Tags, in.TagKeys)
	return &iam.UntagOpenIDConnectProviderResponse{}, oidcProviders(c).Put(c.Tx(), p)
}

// ListOpenIDConnectProviderTags lists the tags of a provider.
func (s *Service) ListOpenIDConnectProviderTags(c *call.Call, in *iam.ListOpenIDConnectProviderTagsRequest) (*iam.ListOpenIDConnectProviderTagsResponse, error) {
	p, err := s.knownOIDC(c, *in.OpenIDConnectProviderArn)
	if err != nil {
		return nil, err
	}
	list, next, truncated, err := tagPage(p.Tags, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &iam.ListOpenIDConnectProviderTagsResponse{Tags: list, IsTruncated: &truncated, Marker: next}, nil
}

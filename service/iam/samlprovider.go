package iam

import (
	"errors"
	"strings"
	"time"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/arn"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/saml"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/store"
)

const samlType = "AWS::IAM::SAMLProvider"

func samlProviders(c *call.Call) store.Rows[identity.SAMLProvider] {
	return identity.SAMLProviders.In(c.Scope.Account, "")
}

// saml finds the SAML provider of an ARN and asks for permission.
func (s *Service) saml(c *call.Call, name string, with ...func(*call.Resource)) (*identity.SAMLProvider, error) {
	r := &call.Resource{ARN: name, Type: samlType}
	a, err := arn.Parse(name)
	short, ok := strings.CutPrefix(a.Resource, "saml-provider/")
	valid := err == nil && a.Service == "iam" && a.Region == "" && ok // as in oidc
	var p *identity.SAMLProvider
	if valid {
		r.Account = a.Account
		if a.Account == c.Scope.Account && a.Partition == s.cfg.Partition {
			if p, err = samlProviders(c).Get(c.Tx(), short); err != nil && !missing(err) {
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
	switch {
	case !valid:
		return nil, invalid("Invalid ARN: %s", name)
	case p == nil:
		return nil, &iam.NoSuchEntityException{Message: "Manifest not found for arn " + name}
	}
	return p, nil
}

// describe takes a metadata document over into a provider.
func describe(p *identity.SAMLProvider, document string) error {
	m, err := saml.ParseMetadata([]byte(document))
	if bad, ok := errors.AsType[*saml.Error](err); ok {
		return &iam.InvalidInputException{Message: bad.Message}
	}
	if err != nil {
		return err
	}
	p.Metadata, p.ValidUntil = document, m.ValidUntil
	return nil
}

// unencrypted refuses what encrypted assertions need: they are not built.
func unencrypted(mode iam.AssertionEncryptionModeType, addKey, removeKey *string) error {
	if mode == iam.AssertionEncryptionModeTypeRequired || addKey != nil || removeKey != nil {
		return invalid("Encrypted SAML assertions are not supported.")
	}
	return nil
}

// CreateSAMLProvider registers a SAML provider, whose users can then be given roles.
func (s *Service) CreateSAMLProvider(c *call.Call, in *iam.CreateSAMLProviderRequest) (*iam.CreateSAMLProviderResponse, error) {
	tags, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	p := &identity.SAMLProvider{Account: c.Scope.Account, Name: *in.Name, ID: identity.NewID("ASPR"), Tags: tags, Created: c.Time}
	if err := s.create(c, &call.Resource{ARN: p.ARN(s.cfg.Partition), Type: samlType}, iam.OpTagSAMLProvider, tags); err != nil {
		return nil, err
	}
	if err := unencrypted(in.AssertionEncryptionMode, in.AddPrivateKey, nil); err != nil {
		return nil, err
	}
	if err := describe(p, *in.SAMLMetadataDocument); err != nil {
		return nil, err
	}
	taken := "SAMLProvider with name " + p.Name + " already exists."
	if err := insert(c, identity.SAMLProviders, p, "SAMLProvidersPerAccount", providersQuota, taken); err != nil {
		return nil, err
	}
	out := &iam.CreateSAMLProviderResponse{SAMLProviderArn: new(p.ARN(s.cfg.Partition))}
	if len(tags) > 0 {
		out.Tags = tagList(tags)
	}
	return out, nil
}

// UpdateSAMLProvider replaces the metadata document.
func (s *Service) UpdateSAMLProvider(c *call.Call, in *iam.UpdateSAMLProviderRequest) (*iam.UpdateSAMLProviderResponse, error) {
	p, err := s.saml(c, *in.SAMLProviderArn)
	if err != nil {
		return nil, err
	}
	if err := unencrypted(in.AssertionEncryptionMode, in.AddPrivateKey, in.RemovePrivateKey); err != nil {
		return nil, err
	}
	if in.SAMLMetadataDocument != nil {
		if err := describe(p, *in.SAMLMetadataDocument); err != nil {
			return nil, err
		}
	}
	return &iam.UpdateSAMLProviderResponse{SAMLProviderArn: in.SAMLProviderArn}, samlProviders(c).Put(c.Tx(), p)
}

// GetSAMLProvider tells of a provider, with its metadata.
func (s *Service) GetSAMLProvider(c *call.Call, in *iam.GetSAMLProviderRequest) (*iam.GetSAMLProviderResponse, error) {
	p, err := s.saml(c, *in.SAMLProviderArn)
	if err != nil {
		return nil, err
	}
	return &iam.GetSAMLProviderResponse{
		SAMLProviderUUID: &p.ID, SAMLMetadataDocument: &p.Metadata, CreateDate: &p.Created, ValidUntil: when(p.ValidUntil), Tags: tagList(p.Tags),
		AssertionEncryptionMode: iam.AssertionEncryptionModeTypeAllowed, PrivateKeyList: []iam.SAMLPrivateKey{},
	}, nil
}

// when is a time of an answer that is left out if there is none.
func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// ListSAMLProviders lists the account's providers: all of them, as the operation has no pages.
func (s *Service) ListSAMLProviders(c *call.Call, _ *iam.ListSAMLProvidersRequest) (*iam.ListSAMLProvidersResponse, error) {
	if err := s.anything(c); err != nil {
		return nil, err
	}
	out := &iam.ListSAMLProvidersResponse{SAMLProviderList: []iam.SAMLProviderListEntry{}}
	for p, err := range samlProviders(c).Scan(c.Tx(), store.Query{}) {
		if err != nil {
			return nil, err
		}
		out.SAMLProviderList = append(out.SAMLProviderList,
			iam.SAMLProviderListEntry{Arn: new(p.ARN(s.cfg.Partition)), ValidUntil: when(p.ValidUntil), CreateDate: &p.Created})
	}
	return out, nil
}

// DeleteSAMLProvider deletes a provider.
func (s *Service) DeleteSAMLProvider(c *call.Call, in *iam.DeleteSAMLProviderRequest) (*iam.DeleteSAMLProviderResponse, error) {
	p, err := s.saml(c, *in.SAMLProviderArn)
	if err != nil {
		return nil, err
	}
	return &iam.DeleteSAMLProviderResponse{}, samlProviders(c).Delete(c.Tx(), p.Name)
}

// TagSAMLProvider sets tags of a provider.
func (s *Service) TagSAMLProvider(c *call.Call, in *iam.TagSAMLProviderRequest) (*iam.TagSAMLProviderResponse, error) {
	set, err := tagMap(in.Tags)
	if err != nil {
		return nil, err
	}
	p, err := s.saml(c, *in.SAMLProviderArn, requesting(set))
	if err != nil {
		return nil, err
	}
	if p.Tags, err = addTags(p.Tags, set); err != nil {
		return nil, err
	}
	return &iam.TagSAMLProviderResponse{}, samlProviders(c).Put(c.Tx(), p)
}

// UntagSAMLProvider removes tags of a provider.
func (s *Service) UntagSAMLProvider(c *call.Call, in *iam.UntagSAMLProviderRequest) (*iam.UntagSAMLProviderResponse, error) {
	p, err := s.saml(c, *in.SAMLProviderArn, requestingKeys(in.TagKeys))
	if err != nil {
		return nil, err
	}
	p.Tags = removeTags(p.Tags, in.TagKeys)
	return &iam.UntagSAMLProviderResponse{}, samlProviders(c).Put(c.Tx(), p)
}

// ListSAMLProviderTags lists the tags of a provider.
func (s *Service) ListSAMLProviderTags(c *call.Call, in *iam.ListSAMLProviderTagsRequest) (*iam.ListSAMLProviderTagsResponse, error) {
	p, err := s.saml(c, *in.SAMLProviderArn)
	if err != nil {
		return nil, err
	}
	list, next, truncated, err := tagPage(p.Tags, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	return &iam.ListSAMLProviderTagsResponse{Tags: list, IsTruncated: &truncated, Marker: next}, nil
}

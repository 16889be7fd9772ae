package kms

import (
	"fmt"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

// maxAliases is how many aliases a key may have: https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html
const maxAliases = 50

const aliasType = "AWS::KMS::Alias"

// aliasName refuses names that customers cannot give.
func aliasName(name string) error {
	if !strings.HasPrefix(name, "alias/") {
		return invalid("Alias must start with the prefix \"alias/\". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html")
	}
	if name == "alias/" {
		return &kms.InvalidAliasNameException{Message: "Alias must not be empty."}
	}
	if strings.HasPrefix(name, "alias/aws/") {
		return &wire.Error{Code: "NotAuthorizedException", Status: 400}
	}
	return nil
}

// authorizeAlias asks about the alias itself, which has no policy of its own: IAM policies decide.
func (s *Service) authorizeAlias(c *call.Call, name string) error {
	return c.Authorize(&call.Resource{ARN: c.ARN(name), Type: aliasType, Conditions: &use{c: c}})
}

// aliasKey finds the key that an alias is to name.
func (s *Service) aliasKey(c *call.Call, keyID *string) (*key, error) {
	if strings.HasPrefix(optional.Value(keyID), "alias/") || strings.Contains(optional.Value(keyID), ":alias/") {
		return nil, invalid("Aliases must refer to keys. Not aliases")
	}
	k, err := s.forChange(c, keyID, false)
	if err != nil {
		return nil, err
	}
	if err := s.authorize(&use{c: c, key: k}); err != nil {
		return nil, err
	}
	return k, k.in(notPendingDeletion...)
}

// CreateAlias gives a key a name.
func (s *Service) CreateAlias(c *call.Call, in *kms.CreateAliasRequest) (*kms.CreateAliasResponse, error) {
	name := optional.Value(in.AliasName)
	if err := aliasName(name); err != nil {
		return nil, err
	}
	if err := s.authorizeAlias(c, name); err != nil {
		return nil, err
	}
	k, err := s.aliasKey(c, in.TargetKeyId)
	if err != nil {
		return nil, err
	}
	rows := aliasTable.In(k.account, k.region)
	if _, err := rows.Get(c.Tx(), name); err == nil {
		return nil, &kms.AlreadyExistsException{Message: fmt.Sprintf("An alias with the name %s already exists", c.ARN(name))}
	} else if !missing(err) {
		return nil, err
	}
	if len(k.aliases) >= maxAliases {
		return nil, &kms.LimitExceededException{Message: fmt.Sprintf("A key may not have more than %d aliases.", maxAliases)}
	}
	return &kms.CreateAliasResponse{}, rows.Put(c.Tx(), &aliasRecord{Name: name, KeyID: k.ID, Created: c.Time, Updated: c.Time})
}

// existingAlias finds an alias that is to be changed, after asking about it.
func (s *Service) existingAlias(c *call.Call, name string) (*aliasRecord, error) {
	if err := aliasName(name); err != nil {
		return nil, err
	}
	if err := s.authorizeAlias(c, name); err != nil {
		return nil, err
	}
	a, err := aliasTable.In(c.Scope.Account, c.Scope.Region).Get(c.Tx(), name)
	if missing(err) {
		return nil, &kms.NotFoundException{Message: fmt.Sprintf("Alias %s is not found.", c.ARN(name))}
	}
	return a, err
}

// UpdateAlias moves a name to another key of the same type and usage.
func (s *Service) UpdateAlias(c *call.Call, in *kms.UpdateAliasRequest) (*kms.UpdateAliasResponse, error) {
	a, err := s.existingAlias(c, optional.Value(in.AliasName))
	if err != nil {
		return nil, err
	}
	to, err := s.aliasKey(c, in.TargetKeyId)
	if err != nil {
		return nil, err
	}
	from, err := s.forChange(c, &a.KeyID, false)
	if err != nil {
		return nil, err
	}
	if err := s.authorize(&use{c: c, key: from}); err != nil {
		return nil, err
	}
	if from.spec().Asymmetric() != to.spec().Asymmetric() || from.Usage != to.Usage {
		return nil, invalid("Alias %s cannot be moved from a key with key spec %s and key usage %s to one with key spec %s and key usage %s.",
			a.Name, from.Spec, from.Usage, to.Spec, to.Usage)
	}
	if to.ID != from.ID && len(to.aliases) >= maxAliases {
		return nil, &kms.LimitExceededException{Message: fmt.Sprintf("A key may not have more than %d aliases.", maxAliases)}
	}
	a.KeyID, a.Updated = to.ID, c.Time
	return &kms.UpdateAliasResponse{}, aliasTable.In(to.account, to.region).Put(c.Tx(), a)
}

// DeleteAlias takes a name away.
func (s *Service) DeleteAlias(c *call.Call, in *kms.DeleteAliasRequest) (*kms.DeleteAliasResponse, error) {
	a, err := s.existingAlias(c, optional.Value(in.AliasName))
	if err != nil {
		return nil, err
	}
	k, err := s.forChange(c, &a.KeyID, false)
	if err != nil {
		return nil, err
	}
	if err := s.authorize(&use{c: c, key: k}); err != nil {
		return nil, err
	}
	return &kms.DeleteAliasResponse{}, aliasTable.In(k.account, k.region).Delete(c.Tx(), a.Name)
}

// ListAliases lists the aliases of the caller's account in the region, or of one key.
func (s *Service) ListAliases(c *call.Call, in *kms.ListAliasesRequest) (*kms.ListAliasesResponse, error) {
	if err := c.Authorize(&call.Resource{ARN: "*", Conditions: &use{c: c}}); err != nil {
		return nil, err
	}
	q := store.Query{Limit: limit(in.Limit, 50)}
	if in.KeyId != nil {
		k, err := s.forChange(c, in.KeyId, false)
		if err != nil {
			return nil, err
		}
		q.Index, q.Prefix = "key", store.Key{k.ID}
	}
	found, next, err := aliasTable.In(c.Scope.Account, c.Scope.Region).Page(c.Tx(), q, optional.Value(in.Marker), "", nil)
	if err != nil {
		return nil, marker(err)
	}
	out := &kms.ListAliasesResponse{Aliases: make([]kms.AliasListEntry, 0, len(found))}
	for _, a := range found {
		out.Aliases = append(out.Aliases, kms.AliasListEntry{
			AliasName: &a.Name, AliasArn: new(c.ARN(a.Name)), TargetKeyId: &a.KeyID, CreationDate: &a.Created, LastUpdatedDate: &a.Updated,
		})
	}
	out.NextMarker, out.Truncated = truncated(next)
	return out, nil
}

package iam

import (
	"errors"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/store"
)

// settings are those of an account, which may have set none.
func settings(c *call.Call, account string) (*identity.Settings, error) {
	s, err := identity.AllSettings.In(account, "").Get(c.Tx())
	if missing(err) {
		return &identity.Settings{Account: account}, nil
	}
	return s, err
}

func putSettings(c *call.Call, s *identity.Settings) error {
	return identity.AllSettings.In(s.Account, "").Put(c.Tx(), s)
}

// CreateAccountAlias names the account, in place of the name it has. No two accounts have the same.
func (s *Service) CreateAccountAlias(c *call.Call, in *iam.CreateAccountAliasRequest) (*iam.CreateAccountAliasResponse, error) {
	if err := s.anything(c); err != nil {
		return nil, err
	}
	if identity.IsAccount(*in.AccountAlias) {
		return nil, invalid("An account alias cannot be a number of 12 digits.") // it would pass for another account
	}
	set, err := settings(c, c.Scope.Account)
	if err != nil {
		return nil, err
	}
	exists := &iam.EntityAlreadyExistsException{Message: "The account alias " + *in.AccountAlias + " already exists."}
	if set.Alias == *in.AccountAlias {
		return nil, exists
	}
	set.Alias = *in.AccountAlias
	if err := putSettings(c, set); errors.Is(err, store.ErrExists) {
		return nil, exists
	} else if err != nil {
		return nil, err
	}
	return &iam.CreateAccountAliasResponse{}, nil
}

// ListAccountAliases lists the account's alias, if it has one.
func (s *Service) ListAccountAliases(c *call.Call, in *iam.ListAccountAliasesRequest) (*iam.ListAccountAliasesResponse, error) {
	if err := s.anything(c); err != nil {
		return nil, err
	}
	if in.Marker != nil {
		return nil, badMarker() // one alias fits on a page
	}
	set, err := settings(c, c.Scope.Account)
	if err != nil {
		return nil, err
	}
	out := &iam.ListAccountAliasesResponse{AccountAliases: []string{}, IsTruncated: new(false)}
	if set.Alias != "" {
		out.AccountAliases = append(out.AccountAliases, set.Alias)
	}
	return out, nil
}

// DeleteAccountAlias takes the account's name away.
func (s *Service) DeleteAccountAlias(c *call.Call, in *iam.DeleteAccountAliasRequest) (*iam.DeleteAccountAliasResponse, error) {
	if err := s.anything(c); err != nil {
		return nil, err
	}
	set, err := settings(c, c.Scope.Account)
	if err != nil {
		return nil, err
	}
	if set.Alias != *in.AccountAlias {
		return nil, noSuch("account alias", *in.AccountAlias)
	}
	set.Alias = ""
	return &iam.DeleteAccountAliasResponse{}, putSettings(c, set)
}

package iam

import (
	"errors"
	"iter"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/store"
	"github.com/holdfast-cloud/holdfast/wire"
)

// keysQuery selects the access keys of a user, or of the root user if name is empty.
func keysQuery(c *call.Call, name string) store.Query {
	return store.Query{Index: "owner", Prefix: store.Key{c.Scope.Account, name}}
}

func keysOf(c *call.Call, name string) iter.Seq2[*identity.AccessKey, error] {
	return identity.AccessKeys.In("", "").Scan(c.Tx(), keysQuery(c, name))
}

// none refuses, with the message of a DeleteConflict, if there is something.
func none[R any](found iter.Seq2[*R, error], message string) error {
	for _, err := range found {
		if err != nil {
			return err
		}
		return conflict(message)
	}
	return nil
}

func count[R any](found iter.Seq2[*R, error]) (n int, err error) {
	for _, err := range found {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// CreateAccessKey makes an access key and tells its secret, this once.
func (s *Service) CreateAccessKey(c *call.Call, in *iam.CreateAccessKeyRequest) (*iam.CreateAccessKeyResponse, error) {
	o, err := s.owner(c, in.UserName)
	if err != nil {
		return nil, err
	}
	n, err := count(keysOf(c, o.name()))
	if err != nil {
		return nil, err
	}
	if n >= accessKeysPerUserQuota {
		return nil, exceeded("AccessKeysPerUser", accessKeysPerUserQuota)
	}
	key, secret, err := s.cfg.Directory.NewKey(c.Scope.Account, o.name(), c.Time)
	if err != nil {
		return nil, err
	}
	if err := identity.AccessKeys.In("", "").Insert(c.Tx(), key); err != nil {
		return nil, err
	}
	return &iam.CreateAccessKeyResponse{AccessKey: &iam.AccessKey{
		UserName: o.shown(), AccessKeyId: &key.ID, Status: iam.StatusTypeActive, SecretAccessKey: &secret, CreateDate: &key.Created,
	}}, nil
}

// ListAccessKeys lists the access keys of a user.
func (s *Service) ListAccessKeys(c *call.Call, in *iam.ListAccessKeysRequest) (*iam.ListAccessKeysResponse, error) {
	o, err := s.owner(c, in.UserName)
	if err != nil {
		return nil, err
	}
	found, next, truncated, err := pageOf(c, identity.AccessKeys.In("", ""), keysQuery(c, o.name()), in.Marker, in.MaxItems, "", nil)
	if err != nil {
		return nil, err
	}
	out := &iam.ListAccessKeysResponse{AccessKeyMetadata: make([]iam.AccessKeyMetadata, 0, len(found)), IsTruncated: &truncated, Marker: next}
	for _, k := range found {
		out.AccessKeyMetadata = append(out.AccessKeyMetadata, iam.AccessKeyMetadata{
			UserName: o.shown(), AccessKeyId: &k.ID, Status: status(k.Inactive), CreateDate: &k.Created,
		})
	}
	return out, nil
}

// accessKey finds an access key of a user, and asks for permission.
func (s *Service) accessKey(c *call.Call, user *string, id string) (*identity.AccessKey, error) {
	o, err := s.owner(c, user)
	if err != nil {
		return nil, err
	}
	k, err := identity.AccessKeys.In("", "").Get(c.Tx(), id)
	if missing(err) || err == nil && (k.Account != c.Scope.Account || k.User != o.name()) {
		return nil, &iam.NoSuchEntityException{Message: "The Access Key with id " + id + " cannot be found."}
	}
	return k, err
}

// UpdateAccessKey switches an access key on or off.
func (s *Service) UpdateAccessKey(c *call.Call, in *iam.UpdateAccessKeyRequest) (*iam.UpdateAccessKeyResponse, error) {
	off, err := inactive(in.Status)
	if err != nil {
		return nil, err
	}
	k, err := s.accessKey(c, in.UserName, *in.AccessKeyId)
	if err != nil {
		return nil, err
	}
	k.Inactive = off
	return &iam.UpdateAccessKeyResponse{}, identity.AccessKeys.In("", "").Put(c.Tx(), k)
}

// DeleteAccessKey deletes an access key.
func (s *Service) DeleteAccessKey(c *call.Call, in *iam.DeleteAccessKeyRequest) (*iam.DeleteAccessKeyResponse, error) {
	k, err := s.accessKey(c, in.UserName, *in.AccessKeyId)
	if err != nil {
		return nil, err
	}
	if err := identity.ForgetUses(c.Tx(), k.Account, k.ID); err != nil {
		return nil, err
	}
	return &iam.DeleteAccessKeyResponse{}, identity.AccessKeys.In("", "").Delete(c.Tx(), k.ID)
}

// GetAccessKeyLastUsed tells when an access key of the account was last used, and for what. One that is not the account's is refused like one that the caller
// may not ask about, so that nobody learns by it which keys there are, and whose.
func (s *Service) GetAccessKeyLastUsed(c *call.Call, in *iam.GetAccessKeyLastUsedRequest) (*iam.GetAccessKeyLastUsedResponse, error) {
	if err := s.temporary(c); err != nil {
		return nil, err
	}
	refusal := &wire.Error{Code: "AccessDenied", Status: 403, Message: "User: " + c.Caller.ARN +
		" is not authorized to perform iam:GetAccessKeyLastUsed on resource: access key " + *in.AccessKeyId}
	k, err := identity.AccessKeys.In("", "").Get(c.Tx(), *in.AccessKeyId)
	if missing(err) || err == nil && k.Account != c.Scope.Account {
		return nil, c.Reject(refusal)
	}
	if err != nil {
		return nil, err
	}
	if k.User == "" {
		err = s.authorize(c, &call.Resource{ARN: s.rootARN(c)})
	} else {
		_, err = s.user(c, &k.User, nil)
	}
	if _, denied := errors.AsType[*call.Denied](err); denied {
		return nil, c.Reject(refusal)
	}
	if err != nil {
		return nil, err
	}
	last, err := s.keyLastUsed(c, k)
	return &iam.GetAccessKeyLastUsedResponse{UserName: some(k.User), AccessKeyLastUsed: last}, err
}

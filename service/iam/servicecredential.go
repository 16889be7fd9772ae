package iam

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"iter"
	"strconv"

	"github.com/holdfast-cloud/holdfast/api/iam"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/policy"
	"github.com/holdfast-cloud/holdfast/identity"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// credentialServices are the services with passwords of their own. Of those that have API keys, the user name is an alias, and the key can expire.
var credentialServices = map[string]struct{ keys bool }{
	"codecommit.amazonaws.com": {}, "cassandra.amazonaws.com": {}, "bedrock.amazonaws.com": {keys: true}, "logs.amazonaws.com": {keys: true},
}

func serviceCredentialsOf(c *call.Call, o owner) iter.Seq2[*serviceCredential, error] {
	return serviceTable.In(c.Scope.Account, "").Scan(c.Tx(), ofOwner(o))
}

func forService(service string) conditions {
	return conditions{"iam:servicespecificcredentialservicename": service}
}

// servicePassword makes a password, and the hash that is kept of it.
func servicePassword(c *call.Call) (password string, hash []byte, err error) {
	random := make([]byte, 32)
	if _, err := io.ReadFull(c.Rand, random); err != nil {
		return "", nil, err
	}
	password = base64.StdEncoding.EncodeToString(random)
	sum := sha256.Sum256([]byte(password))
	return password, sum[:], nil
}

// CreateServiceSpecificCredential makes a password for one service and tells it, this once.
func (s *Service) CreateServiceSpecificCredential(c *call.Call, in *iam.CreateServiceSpecificCredentialRequest) (*iam.CreateServiceSpecificCredentialResponse, error) {
	given := forService(*in.ServiceName)
	if in.CredentialAgeDays != nil {
		given["iam:servicespecificcredentialagedays"] = strconv.Itoa(int(*in.CredentialAgeDays))
	}
	u, err := s.user(c, in.UserName, given)
	if err != nil {
		return nil, err
	}
	service, ok := credentialServices[*in.ServiceName]
	if !ok {
		return nil, &iam.ServiceNotSupportedException{Message: fmt.Sprintf("No such service %s is supported for Service Specific Credentials.", *in.ServiceName)}
	}
	if in.CredentialAgeDays != nil && !service.keys {
		return nil, invalid("CredentialAgeDays is not supported for service %s.", *in.ServiceName)
	}
	n := 0
	for k, err := range serviceCredentialsOf(c, owner{u}) {
		if err != nil {
			return nil, err
		}
		if k.Service == *in.ServiceName {
			n++
		}
	}
	if n >= credentialsPerUserQuota {
		return nil, exceeded("ServiceSpecificCredentialsPerUser", credentialsPerUserQuota)
	}
	k := &serviceCredential{ID: identity.NewID("ACCA"), User: u.ID, Service: *in.ServiceName, Name: u.Name + "-at-" + u.Account, Created: c.Time}
	// The name may be taken by another password of the user's, or of a user who had this name before.
	for i := 1; ; i++ {
		if _, err := serviceTable.In(u.Account, "").Find(c.Tx(), "name", k.Service, k.Name); missing(err) {
			break
		} else if err != nil {
			return nil, err
		}
		k.Name = fmt.Sprintf("%s+%d-at-%s", u.Name, i, u.Account)
	}
	if in.CredentialAgeDays != nil {
		k.Expires = c.Time.AddDate(0, 0, int(*in.CredentialAgeDays))
	}
	password, hash, err := servicePassword(c)
	if err != nil {
		return nil, err
	}
	k.Hash = hash
	return &iam.CreateServiceSpecificCredentialResponse{ServiceSpecificCredential: credentialShape(c, u, k, password)}, serviceTable.In(u.Account, "").Insert(c.Tx(), k)
}

func (k *serviceCredential) status(c *call.Call) iam.StatusType {
	if !k.Expires.IsZero() && !c.Time.Before(k.Expires) {
		return iam.StatusTypeExpired
	}
	return status(k.Inactive)
}

func credentialShape(c *call.Call, u *identity.User, k *serviceCredential, password string) *iam.ServiceSpecificCredential {
	out := &iam.ServiceSpecificCredential{
		CreateDate: &k.Created, ServiceName: &k.Service, ServiceSpecificCredentialId: &k.ID, UserName: &u.Name, Status: k.status(c),
	}
	if credentialServices[k.Service].keys {
		out.ServiceCredentialAlias, out.ServiceCredentialSecret = &k.Name, &password
	} else {
		out.ServiceUserName, out.ServicePassword = &k.Name, &password
	}
	if !k.Expires.IsZero() {
		out.ExpirationDate = &k.Expires
	}
	return out
}

// ListServiceSpecificCredentials lists the passwords of a user, or of all of them, and does not tell them.
func (s *Service) ListServiceSpecificCredentials(c *call.Call, in *iam.ListServiceSpecificCredentialsRequest) (*iam.ListServiceSpecificCredentialsResponse, error) {
	names := make(map[string]string)
	q := store.Query{}
	if optional.Value(in.AllUsers) {
		if err := s.authorize(c, &call.Resource{ARN: "*", Conditions: serviceCondition(in.ServiceName)}); err != nil {
			return nil, err
		}
		for u, err := range users(c).Scan(c.Tx(), store.Query{}) {
			if err != nil {
				return nil, err
			}
			names[u.ID] = u.Name
		}
	} else {
		u, err := s.user(c, in.UserName, serviceCondition(in.ServiceName))
		if err != nil {
			return nil, err
		}
		names[u.ID], q = u.Name, ofOwner(owner{u})
	}
	found, next, truncated, err := page(c, serviceTable, q, in.Marker, in.MaxItems, optional.Value(in.ServiceName), func(k *serviceCredential) bool {
		return in.ServiceName == nil || k.Service == *in.ServiceName
	})
	if err != nil {
		return nil, err
	}
	out := &iam.ListServiceSpecificCredentialsResponse{
		ServiceSpecificCredentials: make([]iam.ServiceSpecificCredentialMetadata, 0, len(found)), IsTruncated: &truncated, Marker: next,
	}
	for _, k := range found {
		m := iam.ServiceSpecificCredentialMetadata{
			UserName: some(names[k.User]), Status: k.status(c), CreateDate: &k.Created, ServiceSpecificCredentialId: &k.ID, ServiceName: &k.Service,
		}
		if credentialServices[k.Service].keys {
			m.ServiceCredentialAlias = &k.Name
		} else {
			m.ServiceUserName = &k.Name
		}
		if !k.Expires.IsZero() {
			m.ExpirationDate = &k.Expires
		}
		out.ServiceSpecificCredentials = append(out.ServiceSpecificCredentials, m)
	}
	return out, nil
}

func serviceCondition(service *string) policy.Context {
	if service == nil {
		return nil
	}
	return forService(*service)
}

// serviceCredential finds a user's password, and asks for permission. The service is known from the password that the request names.
func (s *Service) serviceCredential(c *call.Call, user *string, id string) (*identity.User, *serviceCredential, error) {
	k, err := serviceTable.In(c.Scope.Account, "").Get(c.Tx(), id)
	if err != nil && !missing(err) {
		return nil, nil, err
	}
	var given policy.Context
	if k != nil {
		given = forService(k.Service)
	}
	u, err := s.user(c, user, given)
	if err != nil {
		return nil, nil, err
	}
	if k == nil || k.User != u.ID {
		return nil, nil, &iam.NoSuchEntityException{Message: "No such credential " + id + " exists"}
	}
	return u, k, nil
}

// UpdateServiceSpecificCredential switches a password on or off.
func (s *Service) UpdateServiceSpecificCredential(c *call.Call, in *iam.UpdateServiceSpecificCredentialRequest) (*iam.UpdateServiceSpecificCredentialResponse, error) {
	off, err := inactive(in.Status)
	if err != nil {
		return nil, err
	}
	_, k, err := s.serviceCredential(c, in.UserName, *in.ServiceSpecificCredentialId)
	if err != nil {
		return nil, err
	}
	k.Inactive = off
	return &iam.UpdateServiceSpecificCredentialResponse{}, serviceTable.In(c.Scope.Account, "").Put(c.Tx(), k)
}

// ResetServiceSpecificCredential makes another password in place of one, and tells it, this once.
func (s *Service) ResetServiceSpecificCredential(c *call.Call, in *iam.ResetServiceSpecificCredentialRequest) (*iam.ResetServiceSpecificCredentialResponse, error) {
	u, k, err := s.serviceCredential(c, in.UserName, *in.ServiceSpecificCredentialId)
	if err != nil {
		return nil, err
	}
	password, hash, err := servicePassword(c)
	if err != nil {
		return nil, err
	}
	k.Hash = hash
	return &iam.ResetServiceSpecificCredentialResponse{ServiceSpecificCredential: credentialShape(c, u, k, password)}, serviceTable.In(u.Account, "").Put(c.Tx(), k)
}

// DeleteServiceSpecificCredential deletes a password.
func (s *Service) DeleteServiceSpecificCredential(c *call.Call, in *iam.DeleteServiceSpecificCredentialRequest) (*iam.DeleteServiceSpecificCredentialResponse, error) {
	_, k, err := s.serviceCredential(c, in.UserName, *in.ServiceSpecificCredentialId)
	if err != nil {
		return nil, err
	}
	return &iam.DeleteServiceSpecificCredentialResponse{}, serviceTable.In(c.Scope.Account, "").Delete(c.Tx(), k.ID)
}

package kms

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/store"
)

// maxStores is how many custom key stores an account may have in a region: https://docs.aws.amazon.com/kms/latest/developerguide/resource-limits.html
const maxStores = 10

// CreateCustomKeyStore makes a custom key store, disconnected.
func (s *Service) CreateCustomKeyStore(c *call.Call, in *kms.CreateCustomKeyStoreRequest) (*kms.CreateCustomKeyStoreResponse, error) {
	if err := askStore(c); err != nil {
		return nil, err
	}
	r := &storeRecord{Name: *in.CustomKeyStoreName, Type: cmp.Or(in.CustomKeyStoreType, kms.CustomKeyStoreTypeAwsCloudhsm), Created: c.Time, State: kms.ConnectionStateTypeDisconnected}
	r.ID = newStoreID(c.Rand)
	secret, err := r.configure(in, c.Scope.Account)
	if err != nil {
		return nil, err
	}
	p := storePlace{c.Scope.Account, c.Scope.Region, r.ID}
	n, err := s.collisions(c, r)
	if err != nil {
		return nil, err
	}
	if n >= maxStores {
		return nil, &kms.LimitExceededException{Message: fmt.Sprintf("An account may not have more than %d custom key stores in a Region.", maxStores)}
	}
	st, err := s.newStore(p, r, secret)
	if err != nil {
		return nil, err
	}
	if err := st.link.check(c, nil); err != nil {
		return nil, err
	}
	return &kms.CreateCustomKeyStoreResponse{CustomKeyStoreId: &r.ID}, s.saveStore(c.Tx(), p, r, secret)
}

// newStoreID returns an ID of the form that AWS's have.
func newStoreID(random io.Reader) string {
	return "cks-" + newMaterialID(random)[:17]
}

// present refuses parameters that have to be there and are not, and those that another type of store has. They come in pairs: name, and whether it is there.
type parameter struct {
	name  string
	given bool
}

func (r *storeRecord) present(required, others []parameter) error {
	for _, p := range required {
		if !p.given {
			return invalid("%s is required for a custom key store of type %s.", p.name, r.Type)
		}
	}
	for _, p := range others {
		if p.given {
			return invalid("%s is not valid for a custom key store of type %s.", p.name, r.Type)
		}
	}
	return nil
}

// configure puts what a request says into a new record, and returns the secret.
func (r *storeRecord) configure(in *kms.CreateCustomKeyStoreRequest, account string) (secret []byte, err error) {
	hsm := []parameter{
		{"CloudHsmClusterId", in.CloudHsmClusterId != nil}, {"TrustAnchorCertificate", in.TrustAnchorCertificate != nil}, {"KeyStorePassword", in.KeyStorePassword != nil},
	}
	xks := []parameter{
		{"XksProxyConnectivity", in.XksProxyConnectivity != ""}, {"XksProxyUriEndpoint", in.XksProxyUriEndpoint != nil}, {"XksProxyUriPath", in.XksProxyUriPath != nil},
		{"XksProxyAuthenticationCredential", in.XksProxyAuthenticationCredential != nil},
	}
	vpc := []parameter{
		{"XksProxyVpcEndpointServiceName", in.XksProxyVpcEndpointServiceName != nil}, {"XksProxyVpcEndpointServiceOwner", in.XksProxyVpcEndpointServiceOwner != nil},
	}
	if r.Type == kms.CustomKeyStoreTypeAwsCloudhsm {
		if err := r.present(hsm, append(xks, vpc...)); err != nil {
			return nil, err
		}
		r.Cluster, r.TrustAnchor = *in.CloudHsmClusterId, *in.TrustAnchorCertificate
		return []byte(*in.KeyStorePassword), nil
	}
	if err := r.present(xks, hsm); err != nil {
		return nil, err
	}
	r.Connectivity, r.Endpoint, r.Path = in.XksProxyConnectivity, *in.XksProxyUriEndpoint, *in.XksProxyUriPath
	r.VPCService, r.VPCOwner = optional.Value(in.XksProxyVpcEndpointServiceName), optional.Value(in.XksProxyVpcEndpointServiceOwner)
	if r.VPCService != "" {
		r.VPCOwner = cmp.Or(r.VPCOwner, account)
	}
	r.AccessKeyID = *in.XksProxyAuthenticationCredential.AccessKeyId
	return []byte(*in.XksProxyAuthenticationCredential.RawSecretAccessKey), r.coherent()
}

// coherent refuses an external key store whose ways of connecting do not go together.
func (r *storeRecord) coherent() error {
	switch vpc := r.Connectivity == kms.XksProxyConnectivityTypeVpcEndpointService; {
	case vpc && r.VPCService == "":
		return invalid("XksProxyVpcEndpointServiceName is required for XksProxyConnectivity %s.", r.Connectivity)
	case !vpc && (r.VPCService != "" || r.VPCOwner != ""):
		return invalid("XksProxyVpcEndpointServiceName and XksProxyVpcEndpointServiceOwner are not valid for XksProxyConnectivity %s.", r.Connectivity)
	}
	return nil
}

// collisions refuses a store that takes what another one of the account in the region has, and tells how many others there are.
func (s *Service) collisions(c *call.Call, r *storeRecord) (others int, err error) {
	for o, err := range storeTable.In(c.Scope.Account, c.Scope.Region).Scan(c.Tx(), store.Query{}) {
		if err != nil {
			return 0, fmt.Errorf("reading the custom key stores: %w", err)
		}
		if o.ID == r.ID {
			continue
		}
		if err := r.collides(o); err != nil {
			return 0, err
		}
		others++
	}
	return others, nil
}

// collides refuses a store that takes what the other has: https://docs.aws.amazon.com/kms/latest/APIReference/API_CreateCustomKeyStore.html
func (r *storeRecord) collides(o *storeRecord) error {
	const vpc = kms.XksProxyConnectivityTypeVpcEndpointService
	switch {
	case r.Name == o.Name:
		return &kms.CustomKeyStoreNameInUseException{Message: fmt.Sprintf("The custom key store name %s is already in use.", r.Name)}
	case r.Type != o.Type:
		return nil
	case r.Cluster != "" && r.Cluster == o.Cluster:
		return &kms.CloudHsmClusterInUseException{Message: fmt.Sprintf("The CloudHSM cluster %s is already associated with a custom key store.", r.Cluster)}
	case r.VPCService != "" && r.VPCService == o.VPCService:
		return &kms.XksProxyVpcEndpointServiceInUseException{Message: fmt.Sprintf("The VPC endpoint service %s is already associated with another external key store in this Region.", r.VPCService)}
	case !strings.EqualFold(r.Endpoint, o.Endpoint) || r.Endpoint == "":
		return nil
	case r.Path == o.Path:
		return &kms.XksProxyUriInUseException{Message: fmt.Sprintf("The combination of XksProxyUriEndpoint and XksProxyUriPath %s%s is already associated with another external key store in this Region.", r.Endpoint, r.Path)}
	case r.Connectivity == vpc || o.Connectivity == vpc:
		return &kms.XksProxyUriEndpointInUseException{Message: fmt.Sprintf("The XksProxyUriEndpoint %s is already associated with another external key store in this Region.", r.Endpoint)}
	}
	return nil
}

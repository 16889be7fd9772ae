package kms

import (
	"cmp"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
)

// UpdateCustomKeyStore changes what a custom key store is called, and how what it stands for is reached. A name can be changed while it is connected, and with an external key store
// the path and the credential, too; the rest only while it is disconnected.
func (s *Service) UpdateCustomKeyStore(c *call.Call, in *kms.UpdateCustomKeyStoreRequest) (*kms.UpdateCustomKeyStoreResponse, error) {
	p, r, err := s.storeForChange(c, in.CustomKeyStoreId)
	if err != nil {
		return nil, err
	}
	was := *r
	secret, err := r.reconfigure(in, c.Scope.Account)
	if err != nil {
		return nil, err
	}
	before, after := was.reach(), r.reach()
	moves := before.place != after.place || secret != nil && r.Type == kms.CustomKeyStoreTypeAwsCloudhsm
	if r.State != kms.ConnectionStateTypeDisconnected && (moves || !r.connected()) {
		return nil, r.wrongState()
	}
	if _, err := s.collisions(c, r); err != nil {
		return nil, err
	}
	if before != after || secret != nil {
		if err := s.recheck(c, p, r, &was, secret); err != nil {
			return nil, err
		}
	}
	return &kms.UpdateCustomKeyStoreResponse{}, s.saveStore(c.Tx(), p, r, secret)
}

// reach is how what a store stands for is reached: what can be changed of it while it is connected, and the place, which cannot.
type reach struct {
	path, accessKeyID string
	place             struct {
		cluster, endpoint, vpcService, vpcOwner string
		connectivity                            kms.XksProxyConnectivityType
	}
}

func (r *storeRecord) reach() (x reach) {
	x.path, x.accessKeyID = r.Path, r.AccessKeyID
	x.place.cluster, x.place.endpoint, x.place.vpcService, x.place.vpcOwner, x.place.connectivity = r.Cluster, r.Endpoint, r.VPCService, r.VPCOwner, r.Connectivity
	return x
}

// recheck looks whether a store whose configuration was changed can be reached. A nil secret is the one it has.
func (s *Service) recheck(c *call.Call, p storePlace, r, was *storeRecord, secret []byte) error {
	if secret == nil {
		var err error
		if secret, err = s.cfg.Seal.Unwrap(p.sealed(), r.Secret); err != nil {
			return err
		}
	}
	st, err := s.newStore(p, r, secret)
	if err != nil {
		return err
	}
	return st.link.check(c, was)
}

// reconfigure puts what a request says into the record, and returns the new secret, if there is one.
func (r *storeRecord) reconfigure(in *kms.UpdateCustomKeyStoreRequest, account string) (secret []byte, err error) {
	hsm := []parameter{{"CloudHsmClusterId", in.CloudHsmClusterId != nil}, {"KeyStorePassword", in.KeyStorePassword != nil}}
	xks := []parameter{
		{"XksProxyConnectivity", in.XksProxyConnectivity != ""}, {"XksProxyUriEndpoint", in.XksProxyUriEndpoint != nil}, {"XksProxyUriPath", in.XksProxyUriPath != nil},
		{"XksProxyAuthenticationCredential", in.XksProxyAuthenticationCredential != nil},
		{"XksProxyVpcEndpointServiceName", in.XksProxyVpcEndpointServiceName != nil}, {"XksProxyVpcEndpointServiceOwner", in.XksProxyVpcEndpointServiceOwner != nil},
	}
	r.Name = cmp.Or(optional.Value(in.NewCustomKeyStoreName), r.Name)
	if r.Type == kms.CustomKeyStoreTypeAwsCloudhsm {
		if err := r.present(nil, xks); err != nil {
			return nil, err
		}
		r.Cluster = cmp.Or(optional.Value(in.CloudHsmClusterId), r.Cluster)
		if in.KeyStorePassword != nil {
			secret = []byte(*in.KeyStorePassword)
		}
		return secret, nil
	}
	if err := r.present(nil, hsm); err != nil {
		return nil, err
	}
	if in.XksProxyConnectivity == kms.XksProxyConnectivityTypePublicEndpoint {
		r.VPCService, r.VPCOwner = "", "" // it has none any more
	}
	r.Connectivity = cmp.Or(in.XksProxyConnectivity, r.Connectivity)
	r.Endpoint, r.Path = cmp.Or(optional.Value(in.XksProxyUriEndpoint), r.Endpoint), cmp.Or(optional.Value(in.XksProxyUriPath), r.Path)
	r.VPCService, r.VPCOwner = cmp.Or(optional.Value(in.XksProxyVpcEndpointServiceName), r.VPCService), cmp.Or(optional.Value(in.XksProxyVpcEndpointServiceOwner), r.VPCOwner)
	if r.VPCService != "" {
		r.VPCOwner = cmp.Or(r.VPCOwner, account)
	}
	if cred := in.XksProxyAuthenticationCredential; cred != nil {
		r.AccessKeyID, secret = *cred.AccessKeyId, []byte(*cred.RawSecretAccessKey)
	}
	return secret, r.coherent()
}

package kms

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/internal/optional"
	"github.com/holdfast-cloud/holdfast/seal"
	"github.com/holdfast-cloud/holdfast/store"
)

// storeRecord is a custom key store.
type storeRecord struct {
	ID, Name string
	Type     kms.CustomKeyStoreType
	Created  time.Time
	State    kms.ConnectionStateType
	Error    kms.ConnectionErrorCodeType `json:",omitempty"` // while State is FAILED

	// Of the type AWS_CLOUDHSM.
	Cluster     string `json:",omitempty"`
	TrustAnchor string `json:",omitempty"` // PEM

	// Of the type EXTERNAL_KEY_STORE.
	Endpoint     string                       `json:",omitempty"` // https://proxy.example.com
	Path         string                       `json:",omitempty"` // with /kms/xks/v1 at its end
	Connectivity kms.XksProxyConnectivityType `json:",omitempty"`
	VPCService   string                       `json:",omitempty"`
	VPCOwner     string                       `json:",omitempty"` // account
	AccessKeyID  string                       `json:",omitempty"`

	// Secret is the password of kmsuser, or the proxy's secret access key, wrapped for the place that sealed returns.
	Secret []byte
}

// storePlace is where a custom key store is.
type storePlace struct{ account, region, id string }

// sealed is where the secret of a store belongs: ("kms custom key store", account, region, store).
func (p storePlace) sealed() seal.Place {
	return seal.At("kms custom key store", p.account, p.region, p.id)
}

// customStore is a custom key store ready for use. It is immutable.
type customStore struct {
	storePlace
	*storeRecord
	link link
}

// connected reports whether keys in the store can be used.
func (r *storeRecord) connected() bool { return r.State == kms.ConnectionStateTypeConnected }

// loadStore is the loader of the cache of stores.
func (s *Service) loadStore(ctx context.Context, p storePlace) (st *customStore, err error) {
	err = s.cfg.Store.View(ctx, func(r store.Reader) error {
		st, err = s.readStore(r, p)
		return err
	})
	return st, err
}

// readStore loads a store, or returns store.ErrNotFound.
func (s *Service) readStore(r store.Reader, p storePlace) (*customStore, error) {
	rec, err := storeTable.In(p.account, p.region).Get(r, p.id)
	if err != nil {
		return nil, err
	}
	secret, err := s.cfg.Seal.Unwrap(p.sealed(), rec.Secret)
	if err != nil {
		return nil, fmt.Errorf("opening the secret of custom key store %s: %w", p.id, err)
	}
	return s.newStore(p, rec, secret)
}

// newStore returns a store with its link, which keeps the secret.
func (s *Service) newStore(p storePlace, r *storeRecord, secret []byte) (*customStore, error) {
	st := &customStore{storePlace: p, storeRecord: r}
	var err error
	switch r.Type {
	case kms.CustomKeyStoreTypeAwsCloudhsm:
		st.link, err = s.newCloudHSM(p, r, secret)
	case kms.CustomKeyStoreTypeExternalKeyStore:
		st.link, err = s.newXKS(p.region, r, secret)
	default:
		err = errors.New("custom key store " + p.id + " is of an unknown type")
	}
	if err != nil {
		return nil, err
	}
	return st, nil
}

// saveStore writes a store's record, with the secret wrapped if one is given.
func (s *Service) saveStore(tx store.Tx, p storePlace, r *storeRecord, secret []byte) (err error) {
	if secret != nil {
		if r.Secret, err = s.cfg.Seal.Wrap(p.sealed(), secret); err != nil {
			return fmt.Errorf("wrapping the secret of custom key store %s: %w", p.id, err)
		}
	}
	if err := storeTable.In(p.account, p.region).Put(tx, r); err != nil {
		return fmt.Errorf("saving custom key store %s: %w", p.id, err)
	}
	return nil
}

// askStore asks whether the caller may do something with custom key stores. They have no ARN, so policies tell none from another.
func askStore(c *call.Call) error {
	return c.Authorize(&call.Resource{ARN: "*", Conditions: &use{c: c}})
}

// storeForChange asks for permission, and finds a custom key store of the caller's account in the region, in the call's transaction.
func (s *Service) storeForChange(c *call.Call, id *string) (storePlace, *storeRecord, error) {
	if err := askStore(c); err != nil {
		return storePlace{}, nil, err
	}
	p := storePlace{c.Scope.Account, c.Scope.Region, optional.Value(id)}
	r, err := storeTable.In(p.account, p.region).Get(c.Tx(), p.id)
	if missing(err) {
		return p, nil, noStore(p.id)
	}
	return p, r, err
}

func noStore(name string) error {
	return &kms.CustomKeyStoreNotFoundException{Message: fmt.Sprintf("Custom key store '%s' does not exist.", name)}
}

// wrongState refuses something that a store in its state does not let be done.
func (r *storeRecord) wrongState() error {
	return &kms.CustomKeyStoreInvalidStateException{Message: fmt.Sprintf("Custom key store %s is in the connection state %s, which is not valid for this operation.", r.ID, r.State)}
}

// DescribeCustomKeyStores tells of the custom key stores of the caller's account in the region.
func (s *Service) DescribeCustomKeyStores(c *call.Call, in *kms.DescribeCustomKeyStoresRequest) (*kms.DescribeCustomKeyStoresResponse, error) {
	if err := askStore(c); err != nil {
		return nil, err
	}
	if in.CustomKeyStoreId != nil && in.CustomKeyStoreName != nil {
		return nil, invalid("You cannot specify CustomKeyStoreId and CustomKeyStoreName in the same request.")
	}
	keep := func(r *storeRecord) bool {
		return (in.CustomKeyStoreId == nil || r.ID == *in.CustomKeyStoreId) && (in.CustomKeyStoreName == nil || r.Name == *in.CustomKeyStoreName)
	}
	filter := optional.Value(in.CustomKeyStoreId) + optional.Value(in.CustomKeyStoreName)
	found, next, err := storeTable.In(c.Scope.Account, c.Scope.Region).Page(c.Tx(), store.Query{Limit: limit(in.Limit, 100)}, optional.Value(in.Marker), filter, keep)
	if err != nil {
		return nil, marker(err)
	}
	if filter != "" && len(found) == 0 {
		return nil, noStore(filter)
	}
	out := &kms.DescribeCustomKeyStoresResponse{CustomKeyStores: make([]kms.CustomKeyStoresListEntry, 0, len(found))}
	for _, r := range found {
		out.CustomKeyStores = append(out.CustomKeyStores, r.entry())
	}
	out.NextMarker, out.Truncated = truncated(next)
	return out, nil
}

// entry is the store as it is told.
func (r *storeRecord) entry() kms.CustomKeyStoresListEntry {
	e := kms.CustomKeyStoresListEntry{
		CustomKeyStoreId: &r.ID, CustomKeyStoreName: &r.Name, CustomKeyStoreType: r.Type, CreationDate: &r.Created,
		ConnectionState: r.State, ConnectionErrorCode: r.Error,
	}
	if r.Type == kms.CustomKeyStoreTypeAwsCloudhsm {
		e.CloudHsmClusterId, e.TrustAnchorCertificate = &r.Cluster, &r.TrustAnchor
		return e
	}
	e.XksProxyConfiguration = &kms.XksProxyConfigurationType{Connectivity: r.Connectivity, AccessKeyId: &r.AccessKeyID, UriEndpoint: &r.Endpoint, UriPath: &r.Path}
	if r.VPCService != "" {
		e.XksProxyConfiguration.VpcEndpointServiceName, e.XksProxyConfiguration.VpcEndpointServiceOwner = &r.VPCService, &r.VPCOwner
	}
	return e
}

// DeleteCustomKeyStore deletes a custom key store that is disconnected and holds no keys, not even some that wait to be deleted. What it stood for stays as it is.
func (s *Service) DeleteCustomKeyStore(c *call.Call, in *kms.DeleteCustomKeyStoreRequest) (*kms.DeleteCustomKeyStoreResponse, error) {
	p, r, err := s.storeForChange(c, in.CustomKeyStoreId)
	if err != nil {
		return nil, err
	}
	for _, err := range keyTable.In(p.account, p.region).Scan(c.Tx(), store.Query{Index: "store", Prefix: store.Key{p.id}, Limit: 1}) {
		if err != nil {
			return nil, fmt.Errorf("looking for keys in custom key store %s: %w", p.id, err)
		}
		return nil, &kms.CustomKeyStoreHasCMKsException{Message: fmt.Sprintf("Custom key store %s contains KMS keys.", p.id)}
	}
	if r.State != kms.ConnectionStateTypeDisconnected {
		return nil, r.wrongState()
	}
	return &kms.DeleteCustomKeyStoreResponse{}, storeTable.In(p.account, p.region).Delete(c.Tx(), p.id)
}

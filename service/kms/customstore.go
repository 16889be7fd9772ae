package kms

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-cloud/holdfast/api/kms"
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
	AccessKeyID  string                       `json:",omitempty"`

	// Secret is the password of kmsuser, or the proxy's secret access key, wrapped for the place that sealed returns.
	Secret []byte `json:",omitempty"`
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
func (st *customStore) connected() bool { return st.State == kms.ConnectionStateTypeConnected }

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

func (s *Service) newStore(p storePlace, r *storeRecord, secret []byte) (*customStore, error) {
	st := &customStore{storePlace: p, storeRecord: r}
	var err error
	if st.link, err = s.newLink(p, r, secret); err != nil {
		return nil, err
	}
	return st, nil
}

// newLink returns the link of a store. It keeps the secret.
func (s *Service) newLink(p storePlace, r *storeRecord, secret []byte) (link, error) {
	switch r.Type {
	case kms.CustomKeyStoreTypeAwsCloudhsm:
		return s.newCloudHSM(p, r, secret)
	}
	return nil, errors.New("custom key store " + p.id + " is of an unknown type")
}

// held is a key as it was read, together with the store that it is in, if it is in one.
func (s *Service) held(ctx context.Context, k *key) (*key, error) {
	if k.Store == "" {
		return k, nil
	}
	st, err := s.stores.Get(ctx, storePlace{k.account, k.region, k.Store})
	if err != nil {
		return nil, fmt.Errorf("finding the custom key store of key %s: %w", k.id, err)
	}
	with := *k
	with.custody = st
	return &with, nil
}

// state is the state of the key as it is told: without a connection to its store an enabled or disabled key is unavailable.
// https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html
func (k *key) state() kms.KeyState {
	if k.custody != nil && !k.custody.connected() && (k.State == kms.KeyStateEnabled || k.State == kms.KeyStateDisabled) {
		return kms.KeyStateUnavailable
	}
	return k.State
}

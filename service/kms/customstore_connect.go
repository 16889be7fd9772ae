package kms

import (
	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
)

// connectTimer connects a store in the background. It is set with the state CONNECTING in one transaction, so a store that a crash leaves in the state is connected after it.
const connectTimer = "connect"

// ConnectCustomKeyStore begins to connect a store. Whether it succeeds is told by DescribeCustomKeyStores.
func (s *Service) ConnectCustomKeyStore(c *call.Call, in *kms.ConnectCustomKeyStoreRequest) (*kms.ConnectCustomKeyStoreResponse, error) {
	p, r, err := s.storeForChange(c, in.CustomKeyStoreId)
	if err != nil {
		return nil, err
	}
	switch r.State {
	case kms.ConnectionStateTypeConnected, kms.ConnectionStateTypeConnecting:
		return &kms.ConnectCustomKeyStoreResponse{}, nil
	case kms.ConnectionStateTypeDisconnected:
	default: // one that has failed has to be disconnected first
		return nil, r.wrongState()
	}
	r.State = kms.ConnectionStateTypeConnecting
	if err := c.At(c.Time, s.scope(p.account, p.region), connectTimer, p.id, []byte(c.RequestID)); err != nil {
		return nil, err
	}
	return &kms.ConnectCustomKeyStoreResponse{}, s.saveStore(c.Tx(), p, r, nil)
}

// connectDue is what the timer does. requestID is that of the ConnectCustomKeyStore which set it: the outside is told whom it has to do with.
func (s *Service) connectDue(c *call.Call, id string, requestID []byte) error {
	p := storePlace{c.Scope.Account, c.Scope.Region, id}
	st, err := s.readStore(c.Tx(), p)
	if missing(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if st.State != kms.ConnectionStateTypeConnecting {
		return nil // it was disconnected meanwhile
	}
	c.RequestID = string(requestID)
	st.State = kms.ConnectionStateTypeConnected
	if st.Error = st.link.connect(c); st.Error != "" {
		st.State = kms.ConnectionStateTypeFailed
	}
	return s.saveStore(c.Tx(), p, st.storeRecord, nil)
}

// DisconnectCustomKeyStore disconnects a store. Its keys are unavailable until it is connected again.
func (s *Service) DisconnectCustomKeyStore(c *call.Call, in *kms.DisconnectCustomKeyStoreRequest) (*kms.DisconnectCustomKeyStoreResponse, error) {
	p, r, err := s.storeForChange(c, in.CustomKeyStoreId)
	if err != nil {
		return nil, err
	}
	switch r.State {
	case kms.ConnectionStateTypeConnected, kms.ConnectionStateTypeConnecting, kms.ConnectionStateTypeFailed:
	default:
		return nil, r.wrongState()
	}
	r.State, r.Error = kms.ConnectionStateTypeDisconnected, ""
	if err := c.Cancel(s.scope(p.account, p.region), connectTimer, p.id); err != nil {
		return nil, err
	}
	return &kms.DisconnectCustomKeyStoreResponse{}, s.saveStore(c.Tx(), p, r, nil)
}

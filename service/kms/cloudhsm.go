package kms

import "github.com/holdfast-cloud/holdfast/wire"

// newCloudHSM returns the link to the hardware security module that a store stands for. secret is the password of its crypto user, kmsuser.
func (s *Service) newCloudHSM(storePlace, *storeRecord, []byte) (link, error) {
	return nil, wire.NotImplemented("kms", "a custom key store of type AWS_CLOUDHSM")
}

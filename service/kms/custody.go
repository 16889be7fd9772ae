package kms

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/holdfast-cloud/holdfast/api/kms"
	"github.com/holdfast-cloud/holdfast/call"
	"github.com/holdfast-cloud/holdfast/engine/keys"
	"github.com/holdfast-cloud/holdfast/store"
)

// A symmetric key encrypts in one of two ways. An ordinary key has its material here, unwrapped in the cache. A key in a custom key store is in somebody else's custody: an
// external key store proxy or a hardware security module encrypts for it, which the link of its store reaches. encryptUnder and decryptUnder are where the two ways
// part, and everything that encrypts or decrypts under a symmetric key goes through them.

// link reaches what one custom key store stands for. It is made from the store's record (see newStore), lives in the cache of stores as long as the record does not
// change, and is used by many calls at once. Making one touches no network and takes nothing that would have to be given back.
//
// Its methods may wait for the network: they are called under no lock, and give up when the context of the call ends. A call's handler may be run again when its transaction
// conflicts, so all of them can be repeated. Their errors are the model's, as the caller is to see them, or errors of ours; secrets and plaintexts are in none.
type link interface {
	// check looks whether there is such a thing, and whether it is what the record says, before a store is created or changed: kms.XksProxyUriUnreachableException and its like. was is
	// the record as it was before a change, or nil.
	check(c *call.Call, was *storeRecord) error

	// connect makes the store ready for use, and answers with the empty code when it is, or with the reason why it cannot be. c is a call of the service itself: a timer fires.
	connect(c *call.Call) kms.ConnectionErrorCodeType

	// create gives a new KMS key, whose record is not saved yet, what it stands for: it finds a key outside, or makes one there. How that is called goes into k.Outside;
	// no two keys of a store have the same there. It may make material of ours, too, with s.addMaterial.
	create(c *call.Call, k *key, in *kms.CreateKeyRequest) error

	// destroy removes what create made, once the KMS key has been deleted for good. It is called again until it succeeds, as long as there is the store.
	destroy(c *call.Call, outside string) error

	// encrypt encrypts under the key that k stands for. What it returns is the body of the ciphertext, see keys.OutsideBlob, whose header is h: it must authenticate header
	// and encryption context, with keys.AdditionalData or with material of ours.
	encrypt(c *call.Call, k *key, h keys.Header, context map[string]string, plaintext []byte) (body []byte, err error)

	// decrypt undoes encrypt. A ciphertext that is not one of the key, or of another header or context, is a kms.InvalidCiphertextException or what AWS says in its place.
	decrypt(c *call.Call, k *key, h keys.Header, context map[string]string, body []byte) (plaintext []byte, err error)

	// random returns n random bytes; it is asked of hardware security modules alone.
	random(c *call.Call, n int) ([]byte, error)
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

// state is the state of the key as it is told: without a connection to its store an enabled or disabled key is unavailable, and is what it was when there is one again.
// https://docs.aws.amazon.com/kms/latest/developerguide/key-state.html
func (k *key) state() kms.KeyState {
	if k.custody != nil && !k.custody.connected() && (k.State == kms.KeyStateEnabled || k.State == kms.KeyStateDisabled) {
		return kms.KeyStateUnavailable
	}
	return k.State
}

// custodian finds the store that a new key is to be in. It must be connected, and of the type that the key's origin says.
func (s *Service) custodian(c *call.Call, id string, origin kms.OriginType) (*customStore, error) {
	p := storePlace{c.Scope.Account, c.Scope.Region, id}
	r, err := storeTable.In(p.account, p.region).Get(c.Tx(), id) // in the transaction, so that it is not deleted meanwhile
	if missing(err) {
		return nil, noStore(id)
	}
	if err != nil {
		return nil, err
	}
	switch {
	case string(r.Type) != string(origin): // they are called the same
		return nil, invalid("Origin %s is not valid for a custom key store of type %s.", origin, r.Type)
	case !r.connected():
		return nil, &kms.CustomKeyStoreInvalidStateException{Message: r.notConnected()}
	}
	return s.stores.Get(c.Context, p)
}

// notConnected is what is said of a key whose store is not connected.
func (r *storeRecord) notConnected() string {
	if r.Type == kms.CustomKeyStoreTypeExternalKeyStore {
		return "This KMS key is in a custom key store that is not connected to its external key store proxy. Connect the external key store and try the request again."
	}
	return "This KMS key is in a custom key store that is not connected to its CloudHSM cluster. Connect the custom key store and try the request again."
}

// alone refuses a key outside that another KMS key of the store stands for already.
func (s *Service) alone(c *call.Call, k *key, outside string) error {
	for o, err := range keyTable.In(k.account, k.region).Scan(c.Tx(), store.Query{Index: "store", Prefix: store.Key{k.Store, outside}, Limit: 1}) {
		if err != nil {
			return fmt.Errorf("looking for the KMS key of an external key: %w", err)
		}
		return &kms.XksKeyAlreadyInUseException{Message: fmt.Sprintf("The external key %s is already associated with KMS key %s.", outside, o.ID)}
	}
	return nil
}

// destroyTimer removes what a deleted key stood for. It is set in the transaction that deletes the key.
const destroyTimer = "destroy"

// orphan is what such a timer has to know.
type orphan struct{ Store, Outside string }

// forsake has what a key stands for removed, if it was made for the key.
func (s *Service) forsake(c *call.Call, k *key) error {
	if k.Origin != kms.OriginTypeAwsCloudhsm {
		return nil
	}
	payload, err := json.Marshal(orphan{k.Store, k.Outside})
	if err != nil {
		return err
	}
	return c.At(c.Time, s.scope(k.account, k.region), destroyTimer, k.id, payload)
}

// destroyDue is what the timer does.
func (s *Service) destroyDue(c *call.Call, _ string, payload []byte) error {
	var o orphan
	if err := json.Unmarshal(payload, &o); err != nil {
		return fmt.Errorf("reading what to remove from a custom key store: %w", err)
	}
	st, err := s.stores.Get(c.Context, storePlace{c.Scope.Account, c.Scope.Region, o.Store})
	if missing(err) {
		return nil // it is left behind, as everything in a store that is deleted
	}
	if err != nil {
		return err
	}
	return st.link.destroy(c, o.Outside)
}

// encryptUnder encrypts under a symmetric key, wherever it is kept.
func (s *Service) encryptUnder(c *call.Call, k *key, context map[string]string, plaintext []byte) (blob []byte, err error) {
	m, id := k.current()
	h := blobHeader(k, id)
	if k.custody == nil {
		return m.EncryptBlob(nil, h, context, plaintext, c.Rand)
	}
	body, err := k.custody.link.encrypt(c, k, h, context, plaintext)
	if err != nil {
		return nil, err
	}
	return keys.OutsideBlob(h, body)
}

// decryptUnder decrypts a ciphertext of a symmetric key, wherever that is kept; h is its header.
func (s *Service) decryptUnder(c *call.Call, k *key, h keys.Header, context map[string]string, blob []byte) ([]byte, error) {
	if k.custody == nil {
		m := k.materials[h.Material]
		if m == nil {
			return nil, keys.ErrInvalidCiphertext
		}
		return m.DecryptBlob(nil, blob, context)
	}
	h, body, err := keys.ParseOutside(blob)
	if err != nil {
		return nil, err
	}
	return k.custody.link.decrypt(c, k, h, context, body)
}

// materialID is how operations name the material that they used. Of keys in custom key stores they name none: it is not here.
func (k *key) materialID(id string) *string {
	if id == "" || k.Store != "" {
		return nil
	}
	return &id
}
